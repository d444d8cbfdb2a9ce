"""Bills over the API: lists, filters, verbs, refusals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.api.given import (
    HOSTILE,
    NOW,
    Caller,
    error_of,
    make_bill,
    make_client,
    make_connection,
    make_history,
    make_link,
    make_payment,
)

from justpayme.accounts.models import Business
from justpayme.api.operations import bills as operations
from justpayme.bills.models import Bill, Client, HistoryEntry
from justpayme.sync.models import Connection


def new_bill(customer: Client, **fields: Any) -> dict[str, Any]:
    line = {"description": HOSTILE, "unit_amount": "19.99", "quantity": "3", "tax_rate": "20"}
    plain = {"client_id": customer.pk, "currency": "GBP", "issued_on": "2026-11-22"}
    return plain | {"lines": [line]} | fields


def numbers(answer: Any) -> list[str]:
    return [item["number"] for item in answer.json()["items"]]


def test_a_bill_is_read_with_money_as_text_and_times_in_utc(as_vera: Caller, bill: Bill) -> None:
    make_payment(bill)
    found = as_vera.get(f"/bills/{bill.pk}").json()
    assert found["total"] == "120.00"
    assert found["client"] == {"id": bill.client_id, "name": HOSTILE}
    assert found["created_at"] == "2026-11-22T09:30:00Z"
    assert found["due_on"] == "2026-12-01"
    assert found["lines"][0]["unit_amount"] == "100.00"
    assert found["lines"][0]["tax_rate"] == "20"
    assert found["payments"][0]["amount"] == "10.50"
    assert found["sync"]["badge"] == "absent"


@pytest.mark.parametrize(
    ("currency", "stored", "shown"),
    [
        ("GBP", "1234.5", "1234.50"),
        ("JPY", "1234", "1234"),
        ("KWD", "1.5", "1.500"),
        ("GBP", "0.1234", "0.1234"),
        ("GBP", "-5", "-5.00"),
    ],
)
def test_money_has_the_currencys_decimals_and_is_never_cut(
    as_vera: Caller, customer: Client, currency: str, stored: str, shown: str
) -> None:
    bill = make_bill(customer, currency=currency, total=Decimal(stored))
    assert as_vera.get(f"/bills/{bill.pk}").json()["total"] == shown


def test_a_linked_bill_names_its_organisation_and_invoice(
    as_vera: Caller, linked_bill: Bill, connection: Connection
) -> None:
    sync = as_vera.get(f"/bills/{linked_bill.pk}").json()["sync"]
    assert sync["badge"] == "readonly"
    assert sync["organisation"] == {"id": connection.pk, "name": connection.name}
    assert sync["invoice_id"] == str(linked_bill.link.invoice_id)
    assert sync["checked_at"] == "2026-11-22T09:30:00Z"


def test_paging_by_cursor_gives_every_bill_once(as_vera: Caller, customer: Client) -> None:
    for n in range(7):
        make_bill(customer, number=f"N-{n}")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        page = as_vera.get("/bills", limit=2, **cursor)
        seen += numbers(page)
        cursor = {"cursor": page.json()["next_cursor"]}
    assert seen == [f"N-{n}" for n in range(7)]
    assert cursor == {"cursor": None}


def test_filters_narrow_the_list(as_vera: Caller, customer: Client, business: Business) -> None:
    other = make_client(business, name="Zoë & Co")
    today = datetime.now(UTC).date()
    make_bill(customer, number="late", due_on=today - timedelta(days=3))
    make_bill(customer, number="soon", due_on=today + timedelta(days=3))
    make_bill(customer, number="paid", status="paid", due_on=date(2026, 1, 1))
    make_bill(other, number="theirs", status="draft", updated_at=NOW + timedelta(days=1))
    make_link(make_bill(customer, number="linked", status="void"), make_connection(business))
    linked_to = Connection.objects.get().pk

    assert numbers(as_vera.get("/bills", status="active")) == ["late", "soon"]
    assert numbers(as_vera.get("/bills", status="overdue")) == ["late"]
    assert numbers(as_vera.get("/bills", client=other.pk)) == ["theirs"]
    assert numbers(as_vera.get("/bills", organisation=linked_to)) == ["linked"]
    assert numbers(as_vera.get("/bills", updated_since="2026-11-23T00:00:00Z")) == ["theirs"]
    assert numbers(as_vera.get("/bills", search="ZOË")) == ["theirs"]
    assert numbers(as_vera.get("/bills", search="%")) == []


def test_overdue_is_judged_by_the_day_of_the_organisation_that_owns_the_bill(
    as_vera: Caller, customer: Client, business: Business
) -> None:
    """Between these two zones lie 25 hours: it is always another day."""
    business.time_zone = "Pacific/Pago_Pago"
    business.save()
    today = datetime.now(ZoneInfo(business.time_zone)).date()
    owner = make_connection(business, time_zone="Pacific/Kiritimati")
    left = make_connection(business, time_zone="Pacific/Kiritimati", state="disconnected")
    make_link(make_bill(customer, number="there", due_on=today), owner)
    other = make_client(business, name="Zoë & Co")
    make_link(make_bill(other, number="parted", due_on=today), left)
    make_bill(customer, number="here", due_on=today)

    assert numbers(as_vera.get("/bills", status="overdue")) == ["there"]
    shown = {one["number"]: one["shown_status"] for one in as_vera.get("/bills").json()["items"]}
    assert shown == {"there": "overdue", "parted": "active", "here": "active"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "9" * 50}, "limit"),
        ({"cursor": "abc"}, "cursor"),
        ({"cursor": "9" * 40}, "cursor"),
        ({"cursor": "-1"}, "cursor"),
        ({"cursor": "²"}, "cursor"),
        ({"status": "late"}, "status"),
        ({"client": "x"}, "client"),
        ({"client": str(2**64)}, "client"),
        ({"updated_since": "yesterday"}, "updated_since"),
        ({"updated_since": "2026-02-30T00:00:00Z"}, "updated_since"),
        ({"search": "x" * 101}, "search"),
        ({"search": "a\0b"}, "search"),
        ({"status": ["paid", "void"]}, "status"),
    ],
)
def test_a_bad_parameter_is_refused_by_its_name(
    as_vera: Caller, query: dict[str, Any], field: str
) -> None:
    assert field in error_of(as_vera.get("/bills", **query), 422)["fields"]


def test_a_bill_is_created_with_its_totals_worked_out(as_bob: Caller, customer: Client) -> None:
    answer = as_bob.send("POST", "/bills", new_bill(customer, number="A-1", due_on="2026-12-22"))
    assert answer.status_code == 201
    found = answer.json()
    assert (found["sub_total"], found["tax_total"], found["total"]) == ("59.97", "11.99", "71.96")
    assert found["status"] == "draft"
    entry = HistoryEntry.objects.get(bill_id=found["id"])
    assert (entry.action, entry.by and entry.by.name) == ("created", "Bob")


def test_a_bill_can_be_owed_from_the_start(as_bob: Caller, customer: Client) -> None:
    body = new_bill(customer, number="A-2", due_on="2026-12-22", status="active")
    assert as_bob.send("POST", "/bills", body).json()["status"] == "active"


def test_the_same_idempotency_key_creates_one_bill(as_bob: Caller, customer: Client) -> None:
    body = new_bill(customer)
    first = as_bob.send("POST", "/bills", body, Idempotency_Key="key 1")
    again = as_bob.send("POST", "/bills", body, Idempotency_Key="key 1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert Bill.objects.count() == 1


def test_a_key_of_bills_does_not_meet_one_of_clients(as_bob: Caller, customer: Client) -> None:
    as_bob.send("POST", "/bills", new_bill(customer), Idempotency_Key="same")
    answer = as_bob.send("POST", "/clients", {"name": "New"}, Idempotency_Key="same")
    assert answer.status_code == 201


def test_a_change_touches_only_what_was_sent(as_bob: Caller, bill: Bill) -> None:
    answer = as_bob.send("PATCH", f"/bills/{bill.pk}", {"reference": "PO 7"})
    assert answer.status_code == 200
    after = Bill.objects.get(pk=bill.pk)
    assert (after.reference, after.total, after.number) == ("PO 7", Decimal(120), "B-1")
    assert after.lines.get().description == HOSTILE


def test_new_lines_replace_the_old_and_keep_those_with_an_id(as_bob: Caller, bill: Bill) -> None:
    lines = [
        {"id": bill.lines.get().pk, "description": "kept", "unit_amount": "50"},
        {"description": "new", "unit_amount": "1.005", "quantity": "2"},
    ]
    found = as_bob.send("PATCH", f"/bills/{bill.pk}", {"lines": lines}).json()
    assert [line["description"] for line in found["lines"]] == ["kept", "new"]
    assert found["total"] == "52.01"


def test_a_line_that_is_not_there_is_refused_by_its_name(as_bob: Caller, bill: Bill) -> None:
    """It would be a new line without what the old one had, and nobody would know."""
    kept = {"description": "kept", "unit_amount": "1"}
    lines = [kept, {**kept, "id": bill.lines.get().pk + 1}]
    found = error_of(as_bob.send("PATCH", f"/bills/{bill.pk}", {"lines": lines}), 422)
    assert found["fields"] == {"lines.1.id": "The bill has no such line any more. Open it again."}
    assert bill.lines.get().description == HOSTILE


def test_a_change_is_refused_when_the_bill_changed_since_it_was_seen(
    as_bob: Caller, bill: Bill
) -> None:
    body = {"reference": "x", "seen": "2026-11-22T09:29:59Z"}
    assert error_of(as_bob.send("PATCH", f"/bills/{bill.pk}", body), 409)["code"] == "conflict"
    assert Bill.objects.get(pk=bill.pk).reference == HOSTILE


def test_a_change_that_names_no_moment_leaves_alone_what_changed_meanwhile(
    as_bob: Caller, bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync may write between the call's first look and its lock: no reason to refuse."""
    held = operations._mine

    def and_the_sync(request: Any, bill_id: int) -> Bill:
        found = held(request, bill_id)
        now = found.updated_at + timedelta(seconds=1)
        Bill.objects.filter(pk=bill_id).update(due_on=date(2027, 3, 1), updated_at=now)
        return found

    monkeypatch.setattr(operations, "_mine", and_the_sync)
    assert as_bob.send("PATCH", f"/bills/{bill.pk}", {"reference": "mine"}).status_code == 200
    bill.refresh_from_db()
    assert (bill.reference, bill.due_on) == ("mine", date(2027, 3, 1))


@pytest.mark.parametrize("verb", ["PATCH", "void"])
def test_a_bill_that_xero_owns_cannot_be_changed(
    as_alice: Caller, linked_bill: Bill, verb: str
) -> None:
    path = f"/bills/{linked_bill.pk}"
    if verb == "PATCH":
        answer = as_alice.send("PATCH", path, {"reference": "x"})
    else:
        answer = as_alice.send("POST", f"{path}/{verb}")
    assert "Xero owns this bill" in error_of(answer, 409)["message"]
    assert Bill.objects.get(pk=linked_bill.pk).status == "active"


def test_a_draft_becomes_active_and_then_void(as_bob: Caller, customer: Client) -> None:
    bill = make_bill(customer, status="draft")
    assert as_bob.send("POST", f"/bills/{bill.pk}/approve").json()["status"] == "active"
    void = as_bob.send("POST", f"/bills/{bill.pk}/void").json()
    assert (void["status"], void["outstanding"]) == ("void", "0.00")
    assert error_of(as_bob.send("POST", f"/bills/{bill.pk}/void"), 422)["message"]


def test_history_is_newest_first(as_vera: Caller, bill: Bill) -> None:
    make_history(bill, at=NOW - timedelta(days=1), action="created")
    make_history(bill, run=5, source="xero")
    items = as_vera.get(f"/bills/{bill.pk}/history").json()["items"]
    assert [item["action"] for item in items] == ["edited", "created"]
    assert items[0]["changes"] == [{"field": "reference", "old": "", "new": HOSTILE}]
    assert items[0]["run"] == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("client_id", None),
        ("client_id", "1"),
        ("client_id", 1.5),
        ("client_id", True),
        ("client_id", -1),
        ("client_id", 2**63),
        ("currency", "gbp"),
        ("currency", "XXX"),
        ("currency", 5),
        ("currency", ["GBP"]),
        ("number", "n" * 256),
        ("number", {"a": 1}),
        ("reference", "r" * 256),
        ("reference", "\ud800"),
        ("reference", "a\0b"),
        ("issued_on", "22/11/2026"),
        ("issued_on", "2026-13-01"),
        ("issued_on", "0001-01-01"),
        ("issued_on", 20261122),
        ("due_on", "2026-11-21"),
        ("due_on", "9999-12-31"),
        ("tax_mode", "some"),
        ("lines", []),
        ("lines", "none"),
        ("lines", [{"description": "x", "unit_amount": "1"}] * 201),
        ("status", "paid"),
        ("total", "5.00"),
        ("business", 1),
        ("business_id", 1),
        ("id", 1),
        ("link", 1),
        ("outstanding", "0"),
    ],
)
def test_a_bad_field_is_refused_by_its_name_and_nothing_is_stored(
    as_bob: Caller, customer: Client, field: str, value: Any
) -> None:
    answer = as_bob.send("POST", "/bills", new_bill(customer, **{field: value}))
    assert field in error_of(answer, 422)["fields"]
    assert not Bill.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", 1),
        ("quantity", "1e9"),
        ("quantity", "NaN"),
        ("quantity", "-1"),
        ("quantity", "1" * 400),
        ("unit_amount", "Infinity"),
        ("unit_amount", "1,000.00"),
        ("unit_amount", "1.123456"),
        ("unit_amount", "٣"),
        ("unit_amount", None),
        ("discount_rate", "101"),
        ("tax_rate", "-1"),
        ("description", ""),
        ("description", "d" * 4001),
        ("id", "1"),
        ("line_amount", "1.00"),
        ("tax_amount", "1.00"),
    ],
)
def test_a_bad_line_is_refused_by_its_place_and_name(
    as_bob: Caller, customer: Client, field: str, value: Any
) -> None:
    line = {"description": "x", "unit_amount": "1.00"} | {field: value}
    answer = as_bob.send("POST", "/bills", new_bill(customer, lines=[line]))
    assert f"lines.0.{field}" in error_of(answer, 422)["fields"]
    assert not Bill.objects.exists()


def test_a_client_of_another_business_cannot_be_billed(
    as_bob: Caller, other_business: Business
) -> None:
    theirs = make_client(other_business)
    answer = as_bob.send("POST", "/bills", new_bill(theirs))
    assert "client_id" in error_of(answer, 422)["fields"]


def test_a_total_that_does_not_fit_is_refused(as_bob: Caller, customer: Client) -> None:
    line = {"description": "x", "unit_amount": "999999999999", "quantity": "999999999"}
    answer = as_bob.send("POST", "/bills", new_bill(customer, lines=[line]))
    assert "lines" in error_of(answer, 422)["fields"]
