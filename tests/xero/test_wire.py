"""Parsing at the door: what fits becomes typed values, what doesn't is wrong_shape (I-9, F6)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.xero.pages import STAMP, encoded, invoice, page

from justpayme.core.errors import Problem
from justpayme.xero import wire
from justpayme.xero.translate import in_scope, to_bill

KINDS = (
    wire.Invoice,
    wire.Invoices,
    wire.Contacts,
    wire.Payments,
    wire.CreditNotes,
    wire.Accounts,
    wire.TaxRates,
    wire.Currencies,
    wire.Organisations,
)


def refused(kind: type, body: bytes) -> str:
    """The detail of the Problem that this body is; fails if it is believed."""
    with pytest.raises(Problem) as caught:
        wire.decode(kind, body)
    assert caught.value.code == "wrong_shape"
    return caught.value.detail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/Date(1763807415987+0000)/", datetime(2025, 11, 22, 10, 30, 15, 987000, UTC)),
        ("/Date(1763807415987)/", datetime(2025, 11, 22, 10, 30, 15, 987000, UTC)),
        ("/Date(1763807415987-0000)/", datetime(2025, 11, 22, 10, 30, 15, 987000, UTC)),
        ("/Date(0+0000)/", datetime(1970, 1, 1, tzinfo=UTC)),
        ("/Date(-86400000)/", datetime(1969, 12, 31, tzinfo=UTC)),
        ("/Date(1582934400000+0000)/", datetime(2020, 2, 29, tzinfo=UTC)),
        ("2026-09-14T00:00:00", datetime(2026, 9, 14, tzinfo=UTC)),
        ("2026-09-14T10:11:12Z", datetime(2026, 9, 14, 10, 11, 12, tzinfo=UTC)),
        ("2019-12-07T18:46:19.5165400", datetime(2019, 12, 7, 18, 46, 19, 516540, UTC)),
        ("2026-09-14T10:11:12.5", datetime(2026, 9, 14, 10, 11, 12, 500000, UTC)),
        ("2026-09-14", datetime(2026, 9, 14, tzinfo=UTC)),
    ],
)
def test_every_form_of_xeros_dates_is_the_same_utc_moment(text: str, expected: datetime) -> None:
    assert wire.instant(text) == expected
    assert wire.instant(text).utcoffset() == UTC.utcoffset(None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "/Date(1763807415987+0100)/",
        "/Date(1763807415987-0800)/",
        "/Date(999999999999999)/",
        "/Date(-999999999999999)/",
        "/Date(9999999999999999999999)/",
        "/Date(1e3)/",
        "/Date(٣)/",
        "2026-02-30",
        "2026-13-01T00:00:00",
        "0000-01-01",
        "2026-09-14T25:00:00",
        "2026-09-14T10:11:12+02:00",
        "2026-09-14T10:11:12.12345678",
        " 2026-09-14",
        "２０２６-09-14",
    ],
)
def test_what_is_not_one_of_xeros_dates_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        wire.instant(text)
    refused(wire.Invoice, encoded(invoice(Date=text)))


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_a_value_error(text: str) -> None:
    try:
        assert wire.instant(text).tzinfo is UTC
    except ValueError as error:
        assert type(error) is not UnicodeError  # noqa: PT017


def test_a_business_date_is_the_utc_day_wherever_we_are() -> None:
    assert wire.day(wire.instant("/Date(1763769600000+0000)/")) == date(2025, 11, 22)
    assert wire.day(None) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1230.00", "1230.00"),
        ('"1230.00"', "1230.00"),
        ("0.1", "0.1"),
        ("-9999999999.99", "-9999999999.99"),
        ("9007199254740993", "9007199254740993"),
        ("1.0000000000", "1.0000000000"),
        ("12e2", "12E+2"),
    ],
)
def test_numbers_are_exact_from_the_first_byte(text: str, expected: str) -> None:
    """I-26: no float in between, also where Xero's examples write a string."""
    body = encoded(invoice(Total="HERE")).replace(b'"HERE"', text.encode())
    found = wire.decode(wire.Invoice, body).total
    assert type(found) is Decimal
    assert found.as_tuple() == Decimal(expected).as_tuple()


BROKEN_NUMBERS = ["1e400", "NaN", "Infinity", '"NaN"', '"-Infinity"', '"1e999999"', '"12,50"']
BROKEN_NUMBERS += ["0x1", "true", "[]", "{}", '""', "9" * 400, "-", "1e99999999999999999999"]


@pytest.mark.parametrize("text", BROKEN_NUMBERS)
def test_no_impossible_number_gets_through(text: str) -> None:
    """What the decoder can express, translate refuses; both as wrong_shape."""
    body = encoded(invoice(Total="HERE")).replace(b'"HERE"', text.encode())
    with pytest.raises(Problem) as caught:
        to_bill(wire.decode(wire.Invoice, body))
    assert caught.value.code == "wrong_shape"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"<html><body>The Xero API is temporarily unavailable</body></html>",
        b"<Response><Status>OK</Status></Response>",
        b"\x1f\x8b\x08\x00truncated",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"Invoices": null}',
        b'{"Status": "OK"}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_answer_is_never_an_empty_one(kind: type, body: bytes) -> None:
    refused(kind, body)


@pytest.mark.parametrize(
    "changed",
    [
        {"Invoices": None},
        {"Invoices": {}},
        {"Invoices": "none"},
        {"DateTimeUTC": None},
        {"DateTimeUTC": 5},
        {"pagination": []},
        {"pagination": {"page": 1}},
        {"pagination": {"page": "1", "pageSize": 1, "pageCount": 1, "itemCount": 1}},
        {"pagination": {"page": 1.5, "pageSize": 1, "pageCount": 1, "itemCount": 1}},
        {"pagination": {"page": -1, "pageSize": 1, "pageCount": 1, "itemCount": 1}},
        {"pagination": {"page": 10**30, "pageSize": 1, "pageCount": 1, "itemCount": 1}},
    ],
    ids=str,
)
def test_a_page_with_a_wrong_envelope_is_refused(changed: dict[str, Any]) -> None:
    refused(wire.Invoices, encoded(page([invoice()], **changed)))


@pytest.mark.parametrize(
    "changed",
    [
        {"InvoiceID": None},
        {"InvoiceID": "42"},
        {"InvoiceID": "../../Organisation"},
        {"Contact": None},
        {"Contact": {"Name": "no id"}},
        {"Contact": "ABC Ltd"},
        {"Status": None},
        {"Status": 7},
        {"Type": None},
        {"Total": None},
        {"AmountDue": None},
        {"UpdatedDateUTC": None},
        {"LineItems": {}},
        {"LineItems": [None]},
        {"LineItems": [{"LineItemID": "x"}]},
        {"Payments": [{"Amount": 1}]},
        {"SentToContact": "yes"},
        {"InvoiceNumber": 42},
    ],
    ids=str,
)
def test_an_invoice_with_a_wrong_shape_is_refused(changed: dict[str, Any]) -> None:
    refused(wire.Invoice, encoded(invoice(**changed)))


def test_keys_that_we_do_not_know_are_ignored() -> None:
    found = wire.decode(wire.Invoice, encoded(invoice(RoundingAmount=0.1, Later={"a": [1]})))
    assert found == wire.decode(wire.Invoice, encoded(invoice()))


def test_keys_that_xero_leaves_out_may_be_absent() -> None:
    """xero-facts 3.8: these keys are sometimes missing or null."""
    left_out = ("Payments", "CreditNotes", "Prepayments", "Overpayments", "AmountCredited")
    said = invoice(**dict.fromkeys((*left_out, "CurrencyRate", "Reference", "DueDate")))
    bill = to_bill(wire.decode(wire.Invoice, encoded(said)))
    assert (bill.payments, bill.credited, bill.rate, bill.reference) == ((), 0, None, "")
    nulls = encoded({**said, "Payments": None, "DueDate": None, "Reference": None})
    assert to_bill(wire.decode(wire.Invoice, nulls)) == bill


@pytest.mark.parametrize(
    "text",
    ["a\\u0000b", "\\ud800", "\\udfff alone", "x" * 300],
    ids=["NUL", "lone high surrogate", "lone low surrogate", "longer than Xero allows"],
)
def test_text_that_cannot_be_stored_is_refused(text: str) -> None:
    body = encoded(invoice(Reference="HERE")).replace(b"HERE", text.encode())
    with pytest.raises(Problem) as caught:
        to_bill(wire.decode(wire.Invoice, body))
    assert caught.value.code == "wrong_shape"


def test_the_refusal_names_the_place_and_stays_short() -> None:
    assert "$.Total" in refused(wire.Invoice, encoded(invoice(Total="x" * 5_000_000)))
    assert len(refused(wire.Invoice, encoded(invoice(InvoiceID="y" * 5_000_000)))) < 400


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(KINDS), st.binary(max_size=300))
def test_random_bytes_are_refused_and_nothing_else_happens(kind: type, body: bytes) -> None:
    refused(kind, body)


HOSTILE: tuple[Any, ...] = (None, True, -1, 10**400, 0.1, "", "\x00", "\ud800", "x" * 9_000, [], {})
HOSTILE += ([[]], [None], {"a": {}}, "/Date(1)/", "NaN", "1e400", "‮", "ACCPAY", "DELETED")


def places(said: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = (
        said.items()
        if isinstance(said, dict)
        else enumerate(said)
        if isinstance(said, list)
        else ()
    )
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


def planted(said: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at this place."""
    copy = json.loads(json.dumps(said))
    if not path:
        return value
    spot = copy
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return copy


def believe(body: bytes) -> None:
    """Read a page as the sync does, up to the bill."""
    for raw in wire.decode(wire.Invoices, body).items:
        found = wire.decode(wire.Invoice, raw)
        if in_scope(found, drafts=True, linked=False):
            to_bill(found)


def test_a_valid_page_with_any_one_value_replaced_is_read_or_refused() -> None:
    """Never another error than wrong_shape, whatever stands where (every place x every value)."""
    said = page([invoice()])
    outcomes = {"read": 0, "refused": 0}
    for path in places(said):
        for value in HOSTILE:
            try:
                believe(encoded(planted(said, path, value)))
                outcomes["read"] += 1
            except Problem as problem:
                assert problem.code == "wrong_shape"  # noqa: PT017
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 200, outcomes


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_valid_page_with_damaged_bytes_is_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(encoded(page([invoice()])))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(body))))
    try:
        believe(bytes(body[:cut]))
    except Problem as problem:
        assert problem.code == "wrong_shape"  # noqa: PT017


def test_a_truncated_page_is_never_believed() -> None:
    body = encoded(page([invoice(), invoice()]))
    for cut in range(len(body)):
        refused(wire.Invoices, body[:cut])


def test_the_envelope_says_xeros_own_time() -> None:
    found = wire.decode(wire.Invoices, encoded(page([invoice()])))
    assert found.said_at == datetime(2025, 11, 22, 10, 30, 15, 987000, UTC)
    assert found.said_at == wire.instant(STAMP)
    assert found.pagination == wire.Pagination(1, 1000, 1, 1)
