"""Money, numbers, days and moments as a person reads them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from justpayme.core.zones import zone
from justpayme.web.format import day, moment, money, quantity, typed_money

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 11, 19, 14, 32, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("1234.5", "GBP", "£1,234.50"),
        ("2400", "EUR", "€2,400.00"),
        ("-750", "GBP", "\u2212£750.00"),
        ("0", "GBP", "£0.00"),
        ("480.0000", "GBP", "£480.00"),
        ("0.0123", "GBP", "£0.0123"),
        ("1234567", "JPY", "JP¥1,234,567"),
        ("1.5", "JPY", "JP¥1.5"),
        ("12.345", "KWD", "KWD\u00a012.345"),
        ("99999999999999.9999", "GBP", "£99,999,999,999,999.9999"),
        ("7", "QQQ", "QQQ\u00a07.00"),
        ("7", "", "7.00"),
        ("1E+3", "GBP", "£1,000.00"),
    ],
)
def test_money_has_symbol_sign_and_every_decimal(amount: str, currency: str, text: str) -> None:
    assert money(Decimal(amount), currency).text == text


def test_code_is_shown_only_beside_a_foreign_amount() -> None:
    assert money(Decimal(1), "EUR", home="GBP").code == "EUR"
    assert money(Decimal(1), "GBP", home="GBP").code == ""
    assert str(money(Decimal(1), "EUR", home="GBP")) == "€1.00\u00a0EUR"


def test_zero_and_negative_are_told() -> None:
    assert money(Decimal("0.00"), "GBP").zero
    assert money(Decimal("-0.01"), "GBP").negative
    assert not money(Decimal("-0.00"), "GBP").negative


@pytest.mark.parametrize(
    ("value", "text"),
    [("1.0000", "1"), ("2.5", "2.5"), ("-3", "\u22123"), ("1000", "1,000"), ("0", "0")],
)
def test_quantity_has_the_decimals_it_needs(value: str, text: str) -> None:
    assert quantity(Decimal(value)) == text


def test_missing_values_are_words() -> None:
    assert quantity(None) == day(None, date(2026, 1, 1)).text == "None given"


def test_an_exchange_rate_keeps_its_decimals() -> None:
    assert quantity(Decimal("1.172345")) == "1.172345"


@pytest.mark.parametrize(
    ("due", "text", "note"),
    [
        (date(2026, 12, 3), "3 Dec 2026", "in 14 days"),
        (date(2026, 11, 20), "20 Nov 2026", "tomorrow"),
        (date(2026, 11, 19), "19 Nov 2026", "today"),
        (date(2026, 11, 18), "18 Nov 2026", "1 day overdue"),
        (date(2026, 10, 26), "26 Oct 2026", "24 days overdue"),
        (date(2026, 9, 1), "1 Sep 2026", "79 days overdue"),
    ],
)
def test_due_day_and_how_far_it_is(due: date, text: str, note: str) -> None:
    told = day(due, date(2026, 11, 19))
    assert (told.text, told.iso, told.note) == (text, due.isoformat(), note)


@pytest.mark.parametrize(
    ("ago", "text", "relative"),
    [
        (timedelta(seconds=59), "just now", True),
        (timedelta(minutes=1), "1 minute ago", True),
        (timedelta(minutes=3), "3 minutes ago", True),
        (timedelta(hours=2), "2 hours ago", True),
        (timedelta(hours=20, minutes=34), "yesterday at 17:58", False),
        (timedelta(days=14, hours=6, minutes=31), "5 Nov 2026, 08:01", False),
        (timedelta(seconds=-30), "in less than a minute", True),
        (timedelta(minutes=-12), "in 12 minutes", True),
        (timedelta(hours=-20), "tomorrow at 10:32", False),
    ],
)
def test_moment_is_relative_within_a_day(ago: timedelta, text: str, relative: bool) -> None:
    told = moment(NOW - ago, NOW, LONDON)
    assert (told.text, told.relative) == (text, relative)


def test_moment_carries_the_exact_time_of_its_zone() -> None:
    told = moment(datetime(2026, 7, 1, 9, 0, 7, 123456, tzinfo=UTC), NOW, LONDON)
    assert told.iso == "2026-07-01T10:00:07+01:00"
    assert told.title == "Wednesday 1 July 2026, 10:00:07 BST"


@pytest.mark.parametrize("name", ["", "Nowhere/Land", "../../etc/passwd", "\0", "a" * 5000])
def test_unknown_zone_is_utc(name: str) -> None:
    assert NOW.astimezone(zone(name)).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [("2881.2", "GBP", "2881.20"), ("100.000", "JPY", "100"), ("0.0050", "GBP", "0.005")],
)
def test_an_amount_to_type_over_has_the_currencys_decimals(
    amount: str, currency: str, text: str
) -> None:
    assert typed_money(Decimal(amount), currency) == text
