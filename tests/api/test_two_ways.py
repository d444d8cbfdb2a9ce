"""Every verb of a bill that goes both ways, over the API, read back from the local Xero."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.api.given import HOSTILE, Caller, error_of, make_bill, make_client
from tests.fixtures.xero import Xero
from tests.sync.given import bill_of, edit, invoice_of, open_bill, push, sent_calls

from justpayme.accounts.models import Business
from justpayme.bills.models import Bill, Client, Payment
from justpayme.sync import outbox, runs
from justpayme.sync.models import Conflict, Connection, OutboxItem, Run
from justpayme.sync.verify import verify

pytestmark = pytest.mark.django_db(transaction=True)
DAY = "2026-11-22"


def ok(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.content
    return answer.json()


def drain(xero: Xero, connection: Connection) -> None:
    """Send until nothing waits."""
    for _ in range(4):
        runs.run_sync(connection.pk, cause=Run.Cause.EDIT, clock=xero.clock)


def equal(xero: Xero, connection: Connection) -> bool:
    return verify(connection, xero.clock).differences == []


def conflicted(xero: Xero, connection: Connection) -> Bill:
    """A bill whose reference and due date were changed on both sides."""
    bill = open_bill(connection)
    edit(bill, reference="ours")
    xero.act("edit-invoice", invoice=str(bill.link.invoice_id), reference="theirs")
    push(xero, connection)
    return bill


def test_a_change_reaches_xero_and_the_bill_tells_how_far_it_is(
    xero: Xero, two_way: Connection, as_bob: Caller
) -> None:
    bill = open_bill(two_way)
    found = ok(as_bob.send("PATCH", f"/bills/{bill.pk}", {"reference": "PO 7", "due_on": DAY}))
    assert found["sync"]["badge"] == "waiting"
    (item,) = found["sync"]["items"]
    assert (item["kind"], item["state"], item["bill_id"]) == ("update", "waiting", bill.pk)
    assert (item["label"], item["by"], item["error"]) == ("Waiting to send", "Bob", None)
    push(xero, two_way)
    found = ok(as_bob.get(f"/bills/{bill.pk}"))
    assert (found["sync"]["badge"], found["sync"]["items"]) == ("synced", [])
    assert (invoice_of(xero, bill).reference, str(invoice_of(xero, bill).due_date)) == ("PO 7", DAY)
    assert equal(xero, two_way)


def test_a_list_of_bills_tells_the_same_badge(two_way: Connection, as_vera: Caller) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="x")
    rows = ok(as_vera.get("/bills", search=bill.number))["items"]
    assert {row["id"]: row["sync"]["badge"] for row in rows}[bill.pk] == "waiting"


def test_what_cannot_be_changed_is_named_with_the_reason_and_refused(
    two_way: Connection, as_bob: Caller
) -> None:
    paid = Bill.objects.filter(link__connection=two_way, status="paid").order_by("pk")[0]
    path = f"/bills/{paid.pk}"
    why = ok(as_bob.get(path))["sync"]["locked"]
    assert "currency" in why
    assert "reference" not in why
    lines = [{"description": "x", "unit_amount": "1.00", "tax_type": "OUTPUT2"}]
    refused = error_of(as_bob.send("PATCH", path, {"lines": lines}), 422)
    assert refused["fields"]["lines"] == why["lines"]
    assert not OutboxItem.objects.exists()


def test_a_bill_made_here_becomes_an_invoice_too(
    xero: Xero, two_way: Connection, as_bob: Caller
) -> None:
    client = Client.objects.filter(link__connection=two_way, archived=False).order_by("pk")[0]
    body = {
        "client_id": client.pk,
        "currency": "GBP",
        "number": "API-1",
        "reference": HOSTILE,
        "issued_on": DAY,
        "due_on": "2026-12-22",
        "lines": [{"description": HOSTILE, "unit_amount": "19.99", "tax_type": "OUTPUT2"}],
        "status": "active",
        "also_in_xero": two_way.pk,
    }
    found = ok(as_bob.send("POST", "/bills", body), 201)
    assert found["sync"]["items"][0]["kind"] == "create"
    push(xero, two_way)
    invoice = xero.invoice("API-1")
    assert (invoice["Status"], invoice["Total"]) == ("AUTHORISED", Decimal("23.99"))
    assert ok(as_bob.get(f"/bills/{found['id']}"))["sync"]["badge"] == "synced"
    assert equal(xero, two_way)


def test_an_organisation_of_another_business_is_not_there(
    two_way: Connection, as_charlie: Caller, other_business: Business
) -> None:
    theirs = make_bill(make_client(other_business), status="draft")
    body = {"organisation_id": two_way.pk}
    refused = as_charlie.send("POST", f"/bills/{theirs.pk}/send-to-xero", body)
    assert "organisation_id" in error_of(refused, 422)["fields"]
    line = {"description": "x", "unit_amount": "1"}
    new = {"client_id": theirs.client_id, "currency": "GBP", "issued_on": DAY, "lines": [line]}
    refused = as_charlie.send("POST", "/bills", new | {"also_in_xero": two_way.pk})
    assert "also_in_xero" in error_of(refused, 422)["fields"]
    bill = open_bill(two_way)
    for path in (f"/bills/{bill.pk}/send-to-xero", f"/bills/{bill.pk}/discard"):
        body = {"organisation_id": two_way.pk} if path.endswith("xero") else None
        error_of(as_charlie.send("POST", path, body), 404)


def test_a_bill_only_here_is_sent_with_its_payments(
    xero: Xero, two_way: Connection, as_bob: Caller
) -> None:
    bill = bill_of(two_way, number="SEND-1", client="Zoë & Co")
    pay = {"amount": "20.00", "on": "2026-11-21", "reference": "bank"}
    ok(as_bob.send("POST", f"/bills/{bill.pk}/payments", pay), 201)
    path = f"/bills/{bill.pk}/send-to-xero"
    found = ok(as_bob.send("POST", path, {"organisation_id": two_way.pk}))
    assert {item["kind"] for item in found["sync"]["items"]} == {"contact", "create", "pay"}
    drain(xero, two_way)
    assert xero.invoice("SEND-1")["AmountPaid"] == Decimal("20")
    assert ok(as_bob.get(f"/bills/{bill.pk}"))["sync"]["badge"] == "synced"
    again = error_of(as_bob.send("POST", path, {"organisation_id": two_way.pk}), 422)
    assert "has an invoice in Xero already" in again["message"]


def test_a_payment_is_recorded_once_for_its_key_and_taken_back(
    xero: Xero, two_way: Connection, as_bob: Caller
) -> None:
    bill = open_bill(two_way)
    path, body = f"/bills/{bill.pk}/payments", {"amount": "10.00", "on": DAY, "reference": "r"}
    first = ok(as_bob.send("POST", path, body, Idempotency_Key="k"), 201)
    again = ok(as_bob.send("POST", path, body, Idempotency_Key="k"), 200)
    assert first["paid"] == again["paid"] == "10.00"
    assert (first["payments"][-1]["reference"], first["payments"][-1]["remote_id"]) == ("r", None)
    push(xero, two_way)
    (payment,) = [p for p in xero.payments(bill.number) if p["Status"] == "AUTHORISED"]
    assert payment["Amount"] == Decimal("10")
    pk = Payment.objects.get(bill=bill, amount=10).pk
    back = ok(as_bob.send("DELETE", f"{path}/{pk}"))
    assert (back["paid"], back["sync"]["badge"]) == ("0.00", "waiting")
    push(xero, two_way)
    assert [p["Status"] for p in xero.payments(bill.number)] == ["DELETED"]
    assert equal(xero, two_way)


def test_a_key_with_another_body_is_refused_and_does_nothing(
    two_way: Connection, as_bob: Caller
) -> None:
    bill = open_bill(two_way)
    path, body = f"/bills/{bill.pk}/payments", {"amount": "10.00", "on": DAY}
    ok(as_bob.send("POST", path, body, Idempotency_Key="k"), 201)
    other = as_bob.send("POST", path, body | {"amount": "11.00"}, Idempotency_Key="k")
    assert "another body" in error_of(other, 422)["fields"]["Idempotency-Key"]
    assert Payment.objects.filter(bill=bill).count() == 1
    clients = Client.objects.count()
    ok(as_bob.send("POST", "/clients", {"name": "Zoë"}, Idempotency_Key="c"), 201)
    same = as_bob.raw("POST", "/clients", '{ "name":  "Zoë" }', Idempotency_Key="c")
    assert same.status_code == 200
    error_of(as_bob.send("POST", "/clients", {"name": "Ann"}, Idempotency_Key="c"), 422)
    assert Client.objects.count() == clients + 1


def test_a_refused_call_leaves_its_key_free(two_way: Connection, as_bob: Caller) -> None:
    path = f"/bills/{open_bill(two_way).pk}/payments"
    body = {"amount": "-1", "on": DAY}
    error_of(as_bob.send("POST", path, body, Idempotency_Key="k"), 422)
    ok(as_bob.send("POST", path, body | {"amount": "1.00"}, Idempotency_Key="k"), 201)


def test_what_was_seen_must_be_what_is_there(two_way: Connection, as_bob: Caller) -> None:
    bill = open_bill(two_way)
    path, old = f"/bills/{bill.pk}", "2026-01-01T00:00:00Z"
    pay = {"amount": "1.00", "on": DAY, "seen": old}
    error_of(as_bob.send("POST", f"{path}/payments", pay), 409)
    error_of(as_bob.send("POST", f"{path}/void?seen={old}"), 409)
    error_of(as_bob.send("PATCH", path, {"reference": "x", "seen": old}), 409)
    now = ok(as_bob.get(path))["updated_at"]
    found = ok(as_bob.send("POST", f"{path}/payments", pay | {"seen": now}), 201)
    pk = found["payments"][-1]["id"]
    error_of(as_bob.send("DELETE", f"{path}/payments/{pk}?seen={now}"), 409)
    ok(as_bob.send("DELETE", f"{path}/payments/{pk}?seen={found['updated_at']}"))


def test_a_bill_is_made_void_in_xero_too(xero: Xero, two_way: Connection, as_bob: Caller) -> None:
    bill = open_bill(two_way)
    assert ok(as_bob.send("POST", f"/bills/{bill.pk}/void"))["status"] == "void"
    push(xero, two_way)
    assert invoice_of(xero, bill).status == "VOIDED"


def test_changes_are_discarded(xero: Xero, two_way: Connection, as_bob: Caller) -> None:
    bill = open_bill(two_way)
    was = bill.reference
    ok(as_bob.send("PATCH", f"/bills/{bill.pk}", {"reference": "other"}))
    found = ok(as_bob.send("POST", f"/bills/{bill.pk}/discard"))
    assert (found["reference"], found["sync"]["badge"]) == (was, "synced")
    xero.reset_log()
    drain(xero, two_way)
    assert sent_calls(xero) == []


def test_a_conflict_shows_both_values_and_ours_is_sent_after_all(
    xero: Xero, two_way: Connection, as_bob: Caller
) -> None:
    bill = conflicted(xero, two_way)
    found = ok(as_bob.get(f"/bills/{bill.pk}"))
    (conflict,) = found["sync"]["conflicts"]
    assert (found["reference"], found["sync"]["badge"]) == ("theirs", "conflict")
    assert (conflict["unit"], conflict["ours"], conflict["xero"]) == (
        "reference",
        {"reference": "ours"},
        {"reference": "theirs"},
    )
    assert ok(as_bob.get("/conflicts"))["items"] == [conflict]
    body = {"choice": "mine", "units": ["due_on"]}
    refused = error_of(as_bob.send("POST", f"/bills/{bill.pk}/resolve", body), 422)
    assert refused["fields"]["units"] == "Nothing of due_on is undecided. Undecided: reference."
    found = ok(as_bob.send("POST", f"/bills/{bill.pk}/resolve", {"choice": "mine"}))
    assert (found["reference"], found["sync"]["conflicts"]) == ("ours", [])
    push(xero, two_way)
    assert invoice_of(xero, bill).reference == "ours"
    assert equal(xero, two_way)


def test_many_conflicts_are_decided_at_once_or_none(
    xero: Xero, two_way: Connection, as_bob: Caller, as_charlie: Caller
) -> None:
    bill = conflicted(xero, two_way)
    pk = Conflict.objects.get().pk
    body = {"ids": [pk], "choice": "xero"}
    foreign = error_of(as_charlie.send("POST", "/conflicts/resolve", body), 422)
    missing = as_bob.send("POST", "/conflicts/resolve", body | {"ids": [pk, 10**9]})
    assert error_of(missing, 422)["fields"] == foreign["fields"]
    assert "ids" in foreign["fields"]
    assert Conflict.objects.get().state == "open"
    assert ok(as_bob.send("POST", "/conflicts/resolve", body)) == {"count": 1}
    xero.reset_log()
    drain(xero, two_way)
    bill.refresh_from_db()
    assert (bill.reference, sent_calls(xero)) == ("theirs", [])


def test_a_refusal_is_told_in_words_with_the_way_out_and_tried_again(
    xero: Xero, two_way: Connection, as_bob: Caller, as_vera: Caller
) -> None:
    bill = open_bill(two_way)
    error_of(as_bob.send("POST", f"/bills/{bill.pk}/retry"), 422)
    ok(as_bob.send("PATCH", f"/bills/{bill.pk}", {"reference": "x"}))
    item = OutboxItem.objects.get(bill=bill)
    outbox.end(item, "refused", "refused_by_xero", xero.clock.now(), "No <b>thanks</b>.")
    sync = ok(as_vera.get(f"/bills/{bill.pk}"))["sync"]
    (told,) = sync["items"]
    assert (sync["badge"], told["error_code"]) == ("refused", "refused_by_xero")
    assert told["error"] == "Xero refused this: “No <b>thanks</b>.”"
    assert told["xero_text"] == "No <b>thanks</b>."
    assert told["remedy"]
    assert ok(as_vera.get("/outbox", state="refused"))["items"] == [told]
    assert ok(as_vera.get("/outbox", state="waiting"))["items"] == []
    assert ok(as_vera.get("/organisations"))["items"][0]["refused"] == 1
    error_of(as_vera.send("POST", f"/bills/{bill.pk}/retry"), 403)
    again = ok(as_bob.send("POST", f"/bills/{bill.pk}/retry"))
    assert again["sync"]["items"][0]["state"] == "waiting"
    push(xero, two_way)
    assert invoice_of(xero, bill).reference == "x"


def test_several_items_and_a_whole_organisation_are_tried_again(
    xero: Xero, two_way: Connection, as_bob: Caller, as_charlie: Caller
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="x")
    item = OutboxItem.objects.get()
    path = f"/organisations/{two_way.pk}/retry"
    for method, body in ((path, None), ("/outbox/retry", {"ids": [item.pk]})):
        outbox.end(item, "refused", "refused_by_xero", xero.clock.now())
        error_of(as_charlie.send("POST", method, body), 422 if body else 404)
        assert ok(as_bob.send("POST", method, body)) == {"count": 1}
        item.refresh_from_db()
        assert (item.state, item.error_code) == ("waiting", "")


def test_a_contact_is_decided_about(xero: Xero, two_way: Connection, as_bob: Caller) -> None:
    contact = xero.act("create-contact", name="Zoë & Co")
    xero.sync(two_way)
    bill = bill_of(two_way, number="C-1", client="Zoë & Co")
    path = f"/bills/{bill.pk}/send-to-xero"
    found = ok(as_bob.send("POST", path, {"organisation_id": two_way.pk}))
    assert found["sync"]["items"]
    (item,) = [i for i in ok(as_bob.get("/outbox"))["items"] if i["kind"] == "contact"]
    assert (item["state"], item["error_code"]) == ("parked", "contact_like_this")
    ids = [one["id"] for one in item["contacts"]]
    assert contact
    path = f"/outbox/{item['id']}/contact"
    bad = as_bob.send("POST", path, {"contact_id": "nobody"})
    assert "contact_id" in error_of(bad, 422)["fields"]
    ok(as_bob.send("POST", path, {"contact_id": ids[0]}))
    drain(xero, two_way)
    assert xero.invoice("C-1")["Contact"]["ContactID"] == ids[0]


# --- which way ---------------------------------------------------------------------------------


@pytest.fixture
def one_way(two_way: Connection) -> Connection:
    """Everything is ready for going bidirectional."""
    Connection.objects.update(direction="one")
    two_way.refresh_from_db()
    return two_way


def test_going_bidirectional_does_exactly_what_was_shown(
    xero: Xero, one_way: Connection, as_alice: Caller
) -> None:
    bill = bill_of(one_way, number="PLAN-1", client="Zoë & Co")
    path = f"/organisations/{one_way.pk}"
    plain = ok(as_alice.send("POST", f"{path}/preview", {}))
    assert (plain["creations"], plain["items"][0]["chosen"]) == (0, False)
    plan = ok(as_alice.send("POST", f"{path}/preview", {"everything": True}))
    assert (plan["creations"], plan["created_money"]) == (1, {"GBP": "120.00"})
    assert plan["items"][0]["number"] == "PLAN-1"
    ok(as_alice.send("PATCH", f"/bills/{bill.pk}", {"reference": "changed"}))
    body = {"direction": "two", "everything": True, "digest": plan["digest"]}
    assert (
        "nothing was sent"
        in error_of(as_alice.send("POST", f"{path}/direction", body), 409)["message"]
    )
    assert Connection.objects.get().direction == "one"
    plan = ok(as_alice.send("POST", f"{path}/preview", {"chosen": [plan["items"][0]["key"]]}))
    body = {"direction": "two", "chosen": [plan["items"][0]["key"]], "digest": plan["digest"]}
    done = ok(as_alice.send("POST", f"{path}/direction", body))
    assert done["direction"] == "two"
    drain(xero, one_way)
    assert xero.invoice("PLAN-1")["Total"] == Decimal("120")


def test_going_back_keeps_what_waited(
    xero: Xero, two_way: Connection, as_alice: Caller, as_bob: Caller
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="ours")
    path = f"/organisations/{two_way.pk}/direction"
    error_of(as_bob.send("POST", path, {"direction": "one"}), 403)
    told = ok(as_alice.send("POST", path, {"direction": "one"}))
    assert (told["direction"], told["set_aside"], told["under_way"]) == ("one", 1, 0)
    assert ok(as_bob.get(f"/bills/{bill.pk}"))["sync"]["conflicts"][0]["ours"] == {
        "reference": "ours"
    }
    error_of(as_alice.send("POST", path, {"direction": "one"}), 409)


def test_without_the_permission_the_way_out_is_told(imported: Connection, as_alice: Caller) -> None:
    answer = as_alice.send("POST", f"/organisations/{imported.pk}/preview", {})
    assert error_of(answer, 409)["message"].endswith(".")
    assert ok(as_alice.get(f"/organisations/{imported.pk}"))["may_write"] is False


def test_defaults_are_shown_set_and_refused_by_name(
    two_way: Connection, as_alice: Caller, as_vera: Caller
) -> None:
    path = f"/organisations/{two_way.pk}/defaults"
    now = ok(as_vera.get(path))
    assert (now["revenue_account"], now["write_back"]) == ("200", True)
    assert "200" in {one["value"] for one in now["accounts"]}
    names = ("revenue_account", "tax_type", "branding_theme", "create_as", "write_back")
    body = {name: now[name] for name in (*names, "receivers")}
    error_of(as_vera.send("PUT", path, body), 403)
    bad = as_alice.send("PUT", path, body | {"revenue_account": "nope", "receivers": {"GBP": "x"}})
    assert set(error_of(bad, 422)["fields"]) == {"revenue_account", "receivers.GBP"}
    found = ok(as_alice.send("PUT", path, body | {"create_as": "DRAFT"}))
    assert found["create_as"] == "DRAFT"
    assert Connection.objects.get().create_as == "DRAFT"


def test_lists_are_asked_for_anew(
    xero: Xero, two_way: Connection, as_alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("justpayme.api.operations.direction.RealClock", lambda: xero.clock)
    two_way.records.filter(kind="account").delete()
    found = ok(as_alice.send("POST", f"/organisations/{two_way.pk}/refresh-lists"))
    assert "200" in {one["value"] for one in found["accounts"]}
