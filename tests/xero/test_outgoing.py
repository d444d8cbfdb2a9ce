"""What leaves, byte for byte: only what changes, ids for things of Xero's, exact numbers (I-21)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from justpayme.core.bill import UNITS, BillFields, LineFields, Status, TaxMode, TrackingFields
from justpayme.core.errors import CATALOGUE, Problem
from justpayme.xero import outgoing
from justpayme.xero.outgoing import MOST, Change, New, NewContact, NewPayment, what_hinders

INVOICE = "243216c5-369e-4056-ac67-05388f86dc81"
CONTACT = "025867f1-d741-4d6b-b1af-9ac774b59ba7"
LINE = "52208ff9-528a-4985-a9ad-b2b1d4210e38"

BILL = BillFields(
    number="JPM-7",
    reference='“PO” \\ "7" <b>',
    client=CONTACT,
    issued_on=date(2026, 2, 28),
    due_on=date(2026, 3, 1),
    expected_on=date(2026, 3, 2),
    status=Status.ACTIVE,
    sent=True,
    branding_theme="8d88348a-7eed-4d14-b06d-3fef701966a0",
    url="https://example.org/7",
    currency="EUR",
    rate=Decimal("1.1712345678"),
    tax_mode=TaxMode.INCLUSIVE,
    lines=(
        LineFields(
            description="Ink",
            quantity=Decimal("2.5000"),
            unit_amount=Decimal("9999999999.9999"),
            discount_rate=Decimal("12.50"),
            line_amount=Decimal(7),
            tax_type="OUTPUT2",
            tax_amount=Decimal(1),
            account_code="200",
            item_code="INK",
            tracking=(TrackingFields("Region", "North"),),
            remote_id=LINE,
        ),
        LineFields(description="Only words"),
    ),
    total=Decimal(99),
    outstanding=Decimal(1),
)

WRITTEN: dict[str, dict[str, Any]] = {
    "number": {"InvoiceNumber": "JPM-7"},
    "reference": {"Reference": '“PO” \\ "7" <b>'},
    "client": {"Contact": {"ContactID": CONTACT}},
    "issued_on": {"Date": "2026-02-28"},
    "due_on": {"DueDate": "2026-03-01"},
    "expected_on": {"ExpectedPaymentDate": "2026-03-02"},
    "status": {"Status": "AUTHORISED"},
    "sent": {"SentToContact": True},
    "branding_theme": {"BrandingThemeID": "8d88348a-7eed-4d14-b06d-3fef701966a0"},
    "url": {"Url": "https://example.org/7"},
    "money": {"CurrencyCode": "EUR", "CurrencyRate": "1.1712345678"},
    "lines": {
        "LineAmountTypes": "Inclusive",
        "LineItems": [
            {
                "Description": "Ink",
                "LineItemID": LINE,
                "Quantity": "2.5000",
                "UnitAmount": "9999999999.9999",
                "DiscountRate": "12.50",
                "AccountCode": "200",
                "TaxType": "OUTPUT2",
                "ItemCode": "INK",
                "Tracking": [{"Name": "Region", "Option": "North"}],
            },
            {"Description": "Only words"},
        ],
    },
}


def said(body: bytes) -> Any:
    """The body, its numbers as the literals that they are."""
    return json.loads(body, parse_float=str, parse_int=str)


def changed(*units: str, was: Status = Status.DRAFT, bill: BillFields = BILL, **more: Any) -> Any:
    request = outgoing.update_invoices([Change(INVOICE, bill, units, was, **more)])
    assert (request.method, request.path) == ("POST", "Invoices")
    assert dict(request.params) == {"summarizeErrors": "false", "unitdp": "4"}
    (row,) = said(request.body)["Invoices"]
    assert row.pop("InvoiceID") == INVOICE
    return row


@pytest.mark.parametrize("unit", WRITTEN)
def test_a_unit_is_written_alone_and_exactly(unit: str) -> None:
    assert changed(unit) == WRITTEN[unit]


def test_every_unit_that_may_go_out_can_be_written() -> None:
    assert WRITTEN.keys() == UNITS.keys() - {"settlement"}
    together = {key: value for row in WRITTEN.values() for key, value in row.items()}
    assert changed(*WRITTEN) == together


@given(st.sets(st.sampled_from(sorted(WRITTEN))))
def test_what_did_not_change_is_never_named(units: set[str]) -> None:
    """I-21, for any choice of units."""
    row = changed(*units)
    assert row.keys() == {key for unit in units for key in WRITTEN[unit]}


@pytest.mark.parametrize(
    ("was", "word"),
    [(Status.ACTIVE, "VOIDED"), (Status.PAID, "VOIDED"), (Status.DRAFT, "DELETED")],
)
def test_to_end_an_invoice_only_its_status_is_sent(was: Status, word: str) -> None:
    bill = replace(BILL, status=Status.VOID)
    assert changed("reference", "status", "lines", was=was, bill=bill) == {"Status": word}


def test_what_a_line_lost_is_taken_away_and_what_it_never_had_is_not_named() -> None:
    had = replace(BILL.lines[0], discount_rate=None, discount_amount=Decimal("1.50"))
    base = replace(BILL, lines=(had,))
    bare = replace(had, discount_amount=None, item_code="", tracking=())
    (row,) = changed("lines", bill=replace(BILL, lines=(bare,)), base=base)["LineItems"]
    assert (row["DiscountAmount"], row["ItemCode"], row["Tracking"]) == ("0", "", [])
    (row,) = changed("lines", bill=replace(BILL, lines=(bare,)))["LineItems"]
    assert row.keys() & {"DiscountAmount", "DiscountRate", "ItemCode", "Tracking"} == set()


def test_of_a_line_that_xero_has_only_what_changed_is_named() -> None:
    """So a tax amount that somebody typed in Xero stays on it (xero-facts 3.4)."""
    first, second = BILL.lines[0], replace(BILL.lines[0], remote_id=INVOICE)
    base = replace(BILL, lines=(first, second))
    edited = (replace(first, quantity=Decimal("2.50")), replace(second, description="Said better"))
    rows = changed("lines", bill=replace(BILL, lines=edited), base=base)["LineItems"]
    assert rows == [
        {"LineItemID": LINE},
        {"LineItemID": INVOICE, "Description": "Said better"},
    ]


def test_a_line_that_loses_its_numbers_is_made_anew() -> None:
    words = LineFields(description="Only words now", remote_id=LINE)
    (row,) = changed("lines", bill=replace(BILL, lines=(words,)), base=BILL)["LineItems"]
    assert row == {"Description": "Only words now"}
    (row,) = changed("lines", bill=replace(BILL, lines=(words,)))["LineItems"]
    assert row == {"Description": "Only words now", "LineItemID": LINE}


def test_a_new_invoice_has_what_the_bill_has_and_no_ids_of_lines() -> None:
    request = outgoing.create_invoices(
        [New(BILL), New(BillFields(number="7", client=CONTACT), "DRAFT", "t")]
    )
    assert (request.method, request.path) == ("PUT", "Invoices")
    assert dict(request.params) == {"summarizeErrors": "false", "unitdp": "4"}
    full, bare = said(request.body)["Invoices"]
    whole = {key: value for row in WRITTEN.values() for key, value in row.items()}
    first = {k: v for k, v in whole["LineItems"][0].items() if k != "LineItemID"}
    assert full == whole | {"Type": "ACCREC", "LineItems": [first, whole["LineItems"][1]]}
    assert bare == {
        "Type": "ACCREC",
        "Status": "DRAFT",
        "InvoiceNumber": "7",
        "Contact": {"ContactID": CONTACT},
        "BrandingThemeID": "t",
        "LineAmountTypes": "Exclusive",
        "LineItems": [],
    }


def test_a_new_draft_was_sent_to_nobody() -> None:
    request = outgoing.create_invoices([New(BILL, "DRAFT")])
    assert "SentToContact" not in said(request.body)["Invoices"][0]


def test_a_payment_names_invoice_and_account_by_their_ids() -> None:
    new = NewPayment(INVOICE, CONTACT, date(2024, 2, 29), Decimal("1E+2"), "Ref “1”")
    request = outgoing.create_payments([new, replace(new, reference="")])
    assert (request.method, request.path) == ("PUT", "Payments")
    assert dict(request.params) == {"summarizeErrors": "false"}
    row = {
        "Invoice": {"InvoiceID": INVOICE},
        "Account": {"AccountID": CONTACT},
        "Date": "2024-02-29",
        "Amount": "100",
    }
    assert said(request.body) == {"Payments": [row | {"Reference": "Ref “1”"}, row]}


def test_removing_a_payment_says_nothing_but_that() -> None:
    """xero-facts 4.1: any other field is refused."""
    request = outgoing.delete_payment(INVOICE)
    assert (request.method, request.path, request.params) == ("POST", f"Payments/{INVOICE}", ())
    assert request.body == b'{"Status":"DELETED"}'


def test_a_contact_has_what_the_client_has() -> None:
    full = NewContact(
        "jpm:1", " Zoë \t O'Neill ", "z@example.org", "020 1", "A\n\nB\nC\nD\nE", "GB1"
    )
    request = outgoing.create_contacts([full, NewContact("jpm:2", "Bob")])
    assert (request.method, request.path) == ("PUT", "Contacts")
    assert said(request.body)["Contacts"] == [
        {
            "Name": "Zoë O'Neill",
            "ContactNumber": "jpm:1",
            "EmailAddress": "z@example.org",
            "TaxNumber": "GB1",
            "Phones": [{"PhoneType": "DEFAULT", "PhoneNumber": "020 1"}],
            "Addresses": [
                {
                    "AddressType": "POBOX",
                    "AddressLine1": "A",
                    "AddressLine2": "B",
                    "AddressLine3": "C",
                    "AddressLine4": "D, E",
                }
            ],
        },
        {"Name": "Bob", "ContactNumber": "jpm:2"},
    ]


@given(st.decimals(Decimal("-9999999999.9999"), Decimal("9999999999.9999"), places=4))
def test_numbers_leave_as_exact_literals(number: Decimal) -> None:
    """I-26: no float, no exponent, no string."""
    bill = replace(BILL, lines=(LineFields(quantity=Decimal(1), unit_amount=number.normalize()),))
    body = outgoing.update_invoices([Change(INVOICE, bill, ("lines",), Status.ACTIVE)]).body
    literal = body.split(b'"UnitAmount":')[1].split(b"}")[0].decode()
    assert "e" not in literal.lower()
    assert Decimal(literal) == number


def test_the_same_things_make_the_same_bytes() -> None:
    """I-18: what is kept is what leaves, each time."""
    one = Change(INVOICE, BILL, tuple(WRITTEN), Status.DRAFT, BILL)
    assert outgoing.update_invoices([one]) == outgoing.update_invoices([one])


def change(*units: str, was: Status = Status.ACTIVE, **bill: Any) -> Change:
    return Change(INVOICE, replace(BILL, **bill), units, was)


PERCENT = (LineFields(quantity=Decimal(1), unit_amount=Decimal(1), tax_type="17.5%"),)
HINDRANCES: dict[str, tuple[Any, str]] = {
    "paid by hand": (change("status", status=Status.PAID), "status_not_valid"),
    "back to draft": (change("status", status=Status.DRAFT), "status_not_valid"),
    "alive again": (change("status", status=Status.ACTIVE, was=Status.VOID), "status_not_valid"),
    "nobody's": (change("client", client=""), "contact_missing"),
    "no number": (change("number", number=""), "cannot_be_empty"),
    "no date": (change("issued_on", issued_on=None), "cannot_be_empty"),
    "no due date": (change("due_on", due_on=None), "cannot_be_empty"),
    "not expected": (change("expected_on", expected_on=None), "cannot_be_empty"),
    "no theme": (change("branding_theme", branding_theme=""), "cannot_be_empty"),
    "a rate of ours": (change("lines", lines=PERCENT), "tax_rate_unknown"),
    "new, a rate of ours": (New(replace(BILL, lines=PERCENT)), "tax_rate_unknown"),
    "no account any more": (
        replace(change("lines", lines=(replace(BILL.lines[0], account_code=""),)), base=BILL),
        "account_missing",
    ),
    "no tax any more": (
        replace(change("lines", lines=(replace(BILL.lines[0], tax_type=""),)), base=BILL),
        "tax_rate_unknown",
    ),
    "new, no number": (New(BillFields(client=CONTACT)), "number_missing"),
    "new, nobody's": (New(BillFields()), "contact_missing"),
    "nothing paid": (
        NewPayment(INVOICE, CONTACT, date(2026, 1, 1), Decimal(0), ""),
        "payment_amount",
    ),
    "less than nothing": (
        NewPayment(INVOICE, CONTACT, date(2026, 1, 1), Decimal("-0.01"), ""),
        "payment_amount",
    ),
    "no name": (NewContact("1", " \t"), "contact_name_unfit"),
    "a tag for a name": (NewContact("1", "<b>Bob</b>"), "contact_name_unfit"),
    "a long name": (NewContact("1", "x" * 256), "contact_name_unfit"),
}

BUILDERS: dict[type, Callable[[Any], outgoing.Request]] = {
    Change: outgoing.update_invoices,
    New: outgoing.create_invoices,
    NewPayment: outgoing.create_payments,
    NewContact: outgoing.create_contacts,
}


@pytest.mark.parametrize(("thing", "code"), HINDRANCES.values(), ids=HINDRANCES)
def test_what_xero_could_not_take_is_said_before_it_is_sent(thing: Any, code: str) -> None:
    assert what_hinders(thing) == code
    assert code in CATALOGUE
    with pytest.raises(Problem) as caught:
        BUILDERS[type(thing)]([thing])
    assert caught.value.code == code


def test_what_can_be_sent_is_not_hindered() -> None:
    things: list[Change | New | NewPayment | NewContact] = [
        *(change(unit, was=Status.DRAFT) for unit in WRITTEN),
        change("reference", "url", "sent", reference="", url="", sent=False),
        change("status", "number", status=Status.VOID, number=""),
        change("lines", tax_mode=TaxMode.NONE, lines=PERCENT),
        New(BILL),
        NewContact("1", "x" * 255),
        NewPayment(INVOICE, CONTACT, date(2026, 1, 1), Decimal("0.01"), ""),
    ]
    for thing in things:
        assert what_hinders(thing) == ""
        assert BUILDERS[type(thing)]([thing]).body


def test_a_tax_rate_of_ours_is_never_sent_where_there_is_no_tax() -> None:
    row = changed("lines", bill=replace(BILL, tax_mode=TaxMode.NONE, lines=PERCENT))
    assert "TaxType" not in row["LineItems"][0]


@pytest.mark.parametrize("count", [0, MOST + 1])
def test_a_request_has_some_things_and_not_too_many(count: int) -> None:
    with pytest.raises(ValueError, match="things in one request"):
        outgoing.create_contacts([NewContact(str(n), "Bob") for n in range(count)])


def test_an_invoice_is_named_once_in_a_request() -> None:
    one = change("reference")
    with pytest.raises(ValueError, match="twice"):
        outgoing.update_invoices([one, replace(one, invoice_id=INVOICE.upper())])


def test_an_invoice_begins_as_a_draft_or_approved() -> None:
    with pytest.raises(ValueError, match="can't begin"):
        outgoing.create_invoices([New(BILL, "PAID")])
