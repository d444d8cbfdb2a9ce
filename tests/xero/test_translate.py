"""Xero's words into ours: exact money, known words only, days that stay days (I-12, I-26)."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.published import known
from tests.xero.pages import CONTACT_ID, INVOICE_ID, LINE_ID, PAYMENT_ID, encoded, invoice

from justpayme.core.bill import BillFields, MoneyKind, Status, TaxMode, to_plain
from justpayme.core.errors import Problem
from justpayme.xero import translate, wire


def bill(**changed: Any) -> BillFields:
    """The bill of an invoice that says this."""
    return translate.to_bill(wire.decode(wire.Invoice, encoded(invoice(**changed))))


def refusal(**changed: Any) -> str:
    with pytest.raises(Problem) as caught:
        bill(**changed)
    assert caught.value.code == "wrong_shape"
    return caught.value.detail


def said(amount: Decimal, key: str) -> BillFields:
    """A bill whose invoice says this number, character for character, under this key."""
    body = encoded(invoice(**{key: "HERE"})).replace(b'"HERE"', format(amount, "f").encode())
    return translate.to_bill(wire.decode(wire.Invoice, body))


money = st.decimals(Decimal("-9999999999.99"), Decimal("9999999999.99"), places=2)
rates = st.decimals(Decimal("0.0000000001"), Decimal("999999"), places=10)
prices = st.decimals(Decimal("-9999999999.9999"), Decimal("9999999999.9999"), places=4)

AMOUNTS = {
    "Total": "total",
    "SubTotal": "sub_total",
    "TotalTax": "tax_total",
    "TotalDiscount": "discount_total",
    "AmountDue": "outstanding",
    "AmountPaid": "paid",
    "AmountCredited": "credited",
}


@settings(max_examples=1_000, deadline=None)
@given(money, st.sampled_from(sorted(AMOUNTS)))
def test_every_amount_is_kept_to_the_digit(amount: Decimal, key: str) -> None:
    """I-26: parse, keep, write out again gives the same number."""
    found = getattr(said(amount, key), AMOUNTS[key])
    assert found == amount
    assert Decimal(to_plain(found)) == amount


@settings(max_examples=300, deadline=None)
@given(rates, prices, prices)
def test_rates_and_unit_prices_keep_every_decimal(
    rate: Decimal, price: Decimal, quantity: Decimal
) -> None:
    assert said(rate, "CurrencyRate").rate == rate
    line = {"LineItemID": LINE_ID, "UnitAmount": str(price), "Quantity": str(quantity)}
    found = bill(LineItems=[line]).lines[0]
    assert (found.unit_amount, found.quantity) == (price, quantity)


@given(st.lists(money, min_size=1, max_size=6))
def test_totals_are_kept_as_sent_and_never_worked_out(amounts: list[Decimal]) -> None:
    """I-12: whatever the lines add up to, Xero's own total stands."""
    lines = [{"LineItemID": LINE_ID, "LineAmount": str(a)} for a in amounts]
    assert bill(LineItems=lines, Total="100.10").total == Decimal("100.10")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Total", "0.00001"),
        ("Total", "10000000000000"),
        ("AmountDue", "-10000000000000.00"),
        ("CurrencyRate", "0.12345678901"),
    ],
)
def test_a_number_that_would_have_to_be_rounded_is_refused(key: str, value: str) -> None:
    assert "number" in refusal(**{key: value})


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("DRAFT", Status.DRAFT),
        ("SUBMITTED", Status.DRAFT),
        ("AUTHORISED", Status.ACTIVE),
        ("PAID", Status.PAID),
        ("VOIDED", Status.VOID),
        ("DELETED", Status.VOID),
    ],
)
def test_each_status_of_xeros_has_one_of_ours(word: str, status: Status) -> None:
    assert bill(Status=word).status is status


@pytest.mark.parametrize("word", ["", "authorised", "ARCHIVED", "DELETED ", "<script>"])
def test_a_status_that_we_do_not_know_is_refused_not_guessed(word: str) -> None:
    assert "Status" in refusal(Status=word)


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        ("Exclusive", TaxMode.EXCLUSIVE),
        ("Inclusive", TaxMode.INCLUSIVE),
        ("NoTax", TaxMode.NONE),
        (None, TaxMode.EXCLUSIVE),
    ],
)
def test_tax_modes(word: str | None, mode: TaxMode) -> None:
    assert bill(LineAmountTypes=word).tax_mode is mode


def test_an_unknown_tax_mode_is_refused() -> None:
    assert "LineAmountTypes" in refusal(LineAmountTypes="Reverse")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("/Date(1763769600000+0000)/", date(2025, 11, 22)),
        ("/Date(1763855999999+0000)/", date(2025, 11, 22)),
        ("/Date(0+0000)/", None),
        ("/Date(-62135596800000+0000)/", None),
        ("2028-02-29T00:00:00", date(2028, 2, 29)),
        (None, None),
    ],
)
def test_business_dates_are_the_utc_day_and_1970_means_none(
    text: str | None, day: date | None
) -> None:
    found = bill(Date=text, DueDate=text, FullyPaidOnDate=text, ExpectedPaymentDate=text)
    dates = (found.issued_on, found.due_on, found.fully_paid_on, found.expected_on)
    assert dates == (day,) * 4


def test_a_day_beyond_reason_is_refused() -> None:
    assert "business date" in refusal(DueDate="9999-12-31")


@pytest.mark.parametrize("code", ["", "GB", "GBPX", "£££", "1A2", "ＧＢＰ"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    assert "CurrencyCode" in refusal(CurrencyCode=code)


@pytest.mark.parametrize("drafts", [True, False])
@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("kind", ["ACCPAY", "ACCRECCREDIT", "APOVERPAYMENT", "accrec", ""])
def test_nothing_but_a_sales_invoice_is_ever_in_scope(
    kind: str, drafts: bool, linked: bool
) -> None:
    """A supplier's bill never becomes one of ours."""
    found = wire.decode(wire.Invoice, encoded(invoice(Type=kind)))
    assert not translate.in_scope(found, drafts=drafts, linked=linked)


@pytest.mark.parametrize(
    ("status", "drafts", "linked", "expected"),
    [
        ("AUTHORISED", False, False, True),
        ("PAID", False, False, True),
        ("VOIDED", False, False, True),
        ("DRAFT", False, False, False),
        ("DRAFT", True, False, True),
        ("SUBMITTED", False, False, False),
        ("SUBMITTED", False, True, True),
        ("DELETED", True, False, False),
        ("DELETED", False, True, True),
    ],
)
def test_which_sales_invoices_become_bills(
    status: str, drafts: bool, linked: bool, expected: bool
) -> None:
    found = wire.decode(wire.Invoice, encoded(invoice(Status=status)))
    assert translate.in_scope(found, drafts=drafts, linked=linked) is expected


def test_the_whole_bill() -> None:
    found = bill(
        InvoiceID=INVOICE_ID.upper(), BrandingThemeID="ABC", Url="https://example.com/?a=1&b"
    )
    assert found.number == "INV-0042"
    assert found.reference == "PO 7 <b>"
    assert found.client == CONTACT_ID
    assert (found.branding_theme, found.url) == ("abc", "https://example.com/?a=1&b")
    assert (found.outstanding, found.paid, found.total) == (250, 50, 300)
    (line,) = found.lines
    assert (line.remote_id, line.description, line.tax_type) == (LINE_ID, "Hull paint", "OUTPUT2")
    assert [(t.name, t.option) for t in line.tracking] == [("Region", "North")]
    (payment,) = found.payments
    assert (payment.kind, payment.remote_id) == (MoneyKind.PAYMENT, PAYMENT_ID)
    assert (payment.amount, payment.on) == (50, date(2025, 11, 22))


def ids(start: str) -> str:
    return f"{start * 8}-0000-4000-8000-000000000000"


def test_every_way_that_money_came_off_is_kept() -> None:
    found = bill(
        Payments=[{"PaymentID": ids("b"), "Amount": 1}, {"PaymentID": ids("a"), "Amount": 2}],
        CreditNotes=[{"CreditNoteID": ids("c"), "AppliedAmount": 3, "Total": 9}],
        Prepayments=[{"PrepaymentID": ids("d"), "AppliedAmount": 4}],
        Overpayments=[{"OverpaymentID": ids("e"), "Total": 5}],
    )
    assert {(p.kind.value, p.remote_id[0], p.amount) for p in found.payments} == {
        ("payment", "a", 2),
        ("payment", "b", 1),
        ("credit", "c", 3),
        ("prepayment", "d", 4),
        ("overpayment", "e", 5),
    }


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_payments_is_no_fact_about_the_bill(order: list[str]) -> None:
    said = [{"PaymentID": ids(o), "Amount": 1, "Reference": o} for o in order]
    again = [{"PaymentID": ids(o), "Amount": 1, "Reference": o} for o in "abcd"]
    assert bill(Payments=said) == bill(Payments=again)


def client(**said: Any) -> translate.ClientFields:
    contact = {"ContactID": CONTACT_ID, "Name": "O'Hara <b>", **said}
    return translate.to_client(wire.decode(wire.Contact, encoded(contact)))


def test_a_contact_becomes_a_client() -> None:
    found = client(
        EmailAddress="a@example.com",
        TaxNumber="GB 123",
        ContactStatus="ARCHIVED",
        Phones=[
            {"PhoneType": "FAX", "PhoneNumber": "9"},
            {"PhoneType": "DEFAULT", "PhoneNumber": ""},
            {"PhoneType": "MOBILE", "PhoneNumber": "123", "PhoneCountryCode": "+44"},
        ],
        Addresses=[
            {"AddressType": "STREET", "City": "Leeds"},
            {"AddressType": "POBOX", "AddressLine1": "1 Quay", "PostalCode": "LS1"},
        ],
    )
    assert (found.name, found.email, found.tax_number) == ("O'Hara <b>", "a@example.com", "GB 123")
    assert (found.phone, found.address, found.archived) == ("+44 123", "1 Quay\nLS1", True)


def test_a_contact_with_nothing_but_its_id_has_a_name_to_show() -> None:
    assert client(Name="") == translate.ClientFields(name="Unnamed")


def test_the_street_stands_in_for_an_empty_postal_address() -> None:
    addresses = [{"AddressType": "POBOX"}, {"AddressType": "STREET", "City": "Leeds"}]
    assert client(Addresses=addresses).address == "Leeds"


def payment(**said: Any) -> translate.PaymentFacts:
    whole = {"PaymentID": PAYMENT_ID, "Status": "AUTHORISED", "Amount": "12.50", **said}
    return translate.to_payment(wire.decode(wire.Payment, encoded(whole)))


def test_a_payment_says_its_account_and_invoice() -> None:
    found = payment(Account={"AccountID": ids("A")}, Invoice={"InvoiceID": INVOICE_ID.upper()})
    assert (found.live, found.amount) == (True, Decimal("12.50"))
    assert (found.account_id, found.invoice_id) == (ids("a"), INVOICE_ID)


def test_a_deleted_payment_is_no_longer_live() -> None:
    assert not payment(Status="DELETED").live


def test_a_payment_with_an_unknown_status_is_refused() -> None:
    with pytest.raises(Problem, match="Status"):
        payment(Status="PENDING")


def test_a_credit_note_names_the_invoices_it_was_applied_to() -> None:
    note = {
        "CreditNoteID": ids("c"),
        "CreditNoteNumber": "CN-1",
        "Allocations": [
            {"Amount": 5, "Invoice": {"InvoiceID": INVOICE_ID.upper()}},
            {"Amount": 6, "Invoice": {}},
            {"Amount": 7},
        ],
    }
    ((where, credit),) = translate.to_credits(wire.decode(wire.CreditNote, encoded(note)))
    assert where == INVOICE_ID
    assert (credit.kind, credit.amount, credit.number) == (MoneyKind.CREDIT, 5, "CN-1")


@pytest.mark.parametrize(
    ("windows", "zone"),
    [
        ("NEWZEALANDSTANDARDTIME", "Pacific/Auckland"),
        ("GMTSTANDARDTIME", "Europe/London"),
        ("CENTRALSTANDARDTIME(MEXICO)", "America/Mexico_City"),
        ("WEUROPESTANDARDTIME", "Europe/Berlin"),
        ("ESOUTHAMERICASTANDARDTIME", "America/Sao_Paulo"),
        ("EAUSTRALIASTANDARDTIME", "Australia/Brisbane"),
        ("KAMCHATKASTANDARDTIME", "Asia/Kamchatka"),
        ("MIDATLANTICSTANDARDTIME", "Etc/GMT+2"),
        ("UTC02", "Etc/GMT+2"),  # Windows: UTC-02; names with Etc count westwards
        ("UTC11", "Etc/GMT+11"),
        ("UTC+13", "Etc/GMT-13"),
        ("", "UTC"),
        ("MARSSTANDARDTIME", "UTC"),
        ("../../etc/passwd", "UTC"),
    ],
)
def test_an_organisation_gets_an_iana_time_zone(windows: str, zone: str) -> None:
    found = organisation(windows)
    assert (found.time_zone, found.currency, found.organisation_id) == (zone, "NZD", ids("a"))


def organisation(windows: str) -> translate.OrganisationFields:
    said = {"OrganisationID": ids("A"), "Name": "Demo", "BaseCurrency": "nzd", "Timezone": windows}
    return translate.to_organisation(wire.decode(wire.Organisation, encoded(said)))


def test_every_time_zone_that_xero_publishes_is_known() -> None:
    """Or bills of it become overdue, and clients are chased, hours too early."""
    published = known()["objects"]["TimeZone"].removeprefix("one of ").split(" | ")
    assert len(published) > 100
    zones = {windows: organisation(windows).time_zone for windows in published}
    assert [windows for windows, zone in zones.items() if zone == "UTC"] == []
    assert set(zones.values()) <= available_timezones()


def test_plain_form_of_a_bill_is_json_and_exact() -> None:
    plain = json.loads(json.dumps(to_plain(bill(Total="300.10"))))
    assert (plain["total"], plain["issued_on"]) == ("300.1", "2025-11-22")
