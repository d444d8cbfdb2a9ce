"""Adding up a bill: worked numbers, and laws that hold for any bill."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from justpayme.core.bill import TaxMode
from justpayme.core.totals import PricedLine, add_up, rate_of, rate_text, tax_of


def priced(unit: str, **values: str) -> PricedLine:
    more = {name: Decimal(text) for name, text in values.items()}
    return PricedLine(**{"quantity": Decimal(1), "unit_amount": Decimal(unit), **more})


def test_tax_is_rounded_per_line_and_then_summed():
    """Xero's own example: 11.44, where rounding once at the end would give 11.45."""
    lines = [priced(unit, tax_rate="15") for unit in ("25.06", "25.61", "25.63")]
    totals = add_up(lines, TaxMode.EXCLUSIVE, 2)
    assert (totals.sub_total, totals.tax_total, totals.total) == (
        Decimal("76.30"),
        Decimal("11.44"),
        Decimal("87.74"),
    )


@pytest.mark.parametrize(
    ("amount", "rate", "mode", "tax"),
    [
        ("10.45", "10", TaxMode.EXCLUSIVE, "1.05"),
        ("-10.45", "10", TaxMode.EXCLUSIVE, "-1.05"),
        ("541.25", "15", TaxMode.INCLUSIVE, "70.60"),
        ("500", "15", TaxMode.INCLUSIVE, "65.22"),
        ("500", "15", TaxMode.NONE, "0.00"),
        ("500", "0", TaxMode.EXCLUSIVE, "0.00"),
    ],
)
def test_halves_of_a_penny_of_tax_go_away_from_zero(amount, rate, mode, tax):
    assert tax_of(Decimal(amount), Decimal(rate), mode, 2) == Decimal(tax)


def test_discounts_come_off_before_tax():
    line = priced("100", quantity="3", discount_rate="10", tax_rate="20")
    totals = add_up([line], TaxMode.EXCLUSIVE, 2)
    assert totals.lines[0].amount == Decimal("270.00")
    assert (totals.tax_total, totals.discount_total) == (Decimal("54.00"), Decimal("30.00"))


def test_a_flat_discount_comes_off_too():
    totals = add_up([priced("100", discount_amount="12.50")], TaxMode.EXCLUSIVE, 2)
    assert (totals.total, totals.discount_total) == (Decimal("87.50"), Decimal("12.50"))


def test_inclusive_amounts_hold_their_tax():
    totals = add_up([priced("120", tax_rate="20")], TaxMode.INCLUSIVE, 2)
    assert (totals.sub_total, totals.tax_total, totals.total) == (100, 20, 120)


def test_a_currency_without_decimals_is_rounded_to_whole_numbers():
    totals = add_up([priced("99.5", tax_rate="10")], TaxMode.EXCLUSIVE, 0)
    assert (totals.sub_total, totals.tax_total, totals.total) == (100, 10, 110)


@pytest.mark.parametrize(
    ("rate", "text"), [("20", "20%"), ("17.5", "17.5%"), ("100", "100%"), ("0", "")]
)
def test_a_percentage_is_kept_as_short_text_and_found_again(rate, text):
    assert rate_text(Decimal(rate)) == text
    assert rate_text(Decimal(f"{rate}.0000" if "." not in rate else rate)) == text
    if text:
        found = rate_of(text, Decimal(1000), Decimal(200), TaxMode.EXCLUSIVE, 2)
        assert found == Decimal(rate)


def test_the_percentage_behind_xeros_code_is_the_roundest_that_fits():
    found = rate_of("OUTPUT2", Decimal("33.33"), Decimal("6.67"), TaxMode.EXCLUSIVE, 2)
    assert found == 20


def test_tax_typed_by_hand_gives_the_nearest_percentage():
    found = rate_of("OUTPUT2", Decimal(1000000), Decimal("123456.78"), TaxMode.EXCLUSIVE, 2)
    assert found == Decimal("12.3457")


amounts = st.decimals(-(10**9), 10**9, places=4)
rates = st.decimals(0, 100, places=2)
any_line = st.builds(
    PricedLine,
    quantity=st.decimals(0, 10**6, places=4),
    unit_amount=amounts,
    discount_rate=rates,
    tax_rate=rates,
)


@given(st.lists(any_line, max_size=20), st.sampled_from(TaxMode), st.sampled_from([0, 2, 3]))
def test_totals_always_agree_with_their_lines(lines, mode, digits):
    totals = add_up(lines, mode, digits)
    assert totals.total == totals.sub_total + totals.tax_total
    assert totals.tax_total == sum(line.tax for line in totals.lines)
    amounts_ = sum(line.amount for line in totals.lines)
    assert amounts_ == (totals.total if mode is TaxMode.INCLUSIVE else totals.sub_total)


@given(st.decimals("0.01", 10**7, places=2), rates, st.sampled_from(TaxMode))
def test_the_percentage_found_gives_the_same_tax_again(amount, rate, mode):
    tax = tax_of(amount, rate, mode, 2)
    found = rate_of("OUTPUT2", amount, tax, mode, 2)
    assert tax_of(amount, found, mode, 2) == tax or amount > 10**4
