"""Organisations, runs and payments over the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob
from tests.api.given import NOW, Caller, error_of, make_connection, make_payment, make_run

from justpayme.accounts.models import Business, SecurityEvent
from justpayme.bills.models import Bill
from justpayme.sync.models import Connection, Heard


def ids(answer: Any) -> list[int]:
    return [item["id"] for item in answer.json()["items"]]


def test_organisations_are_listed_without_those_never_chosen(
    as_vera: Caller, connection: Connection, business: Business
) -> None:
    make_connection(business, name="Offered", state="offered")
    make_run(connection, state="running", ended_at=None)
    (found,) = as_vera.get("/organisations").json()["items"]
    assert found["name"] == "Demo & <i>Company</i>"
    assert found["syncing"] is True
    assert not [name for name in found if "token" in name]


def test_an_organisation_says_when_xero_last_told_of_a_change(
    as_vera: Caller, as_charlie: Caller, connection: Connection
) -> None:
    assert as_vera.get("/organisations").json()["items"][0]["told_at"] is None
    Heard.objects.create(connection=connection, last_at=NOW)
    assert as_vera.get("/organisations").json()["items"][0]["told_at"] == "2026-11-22T09:30:00Z"
    error_of(as_charlie.get(f"/organisations/{connection.pk}"), 404)


def test_a_setting_is_changed_and_the_other_stays(as_alice: Caller, connection: Connection) -> None:
    path = f"/organisations/{connection.pk}"
    answer = as_alice.send("PATCH", path, {"interval_minutes": 60})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["interval_minutes"], answer.json()["import_drafts"]) == (60, False)
    event = SecurityEvent.objects.get(action="settings_changed")
    assert event.user is not None
    assert event.user.name == "Alice"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("interval_minutes", 7),
        ("interval_minutes", "15"),
        ("interval_minutes", None),
        ("interval_minutes", True),
        ("interval_minutes", 10**18),
        ("import_drafts", "yes"),
        ("import_drafts", 1),
        ("state", "disconnected"),
        ("direction", "both"),
        ("tenant_id", "x"),
        ("tokens", 1),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(
    as_alice: Caller, connection: Connection, field: str, value: Any
) -> None:
    before = Connection.objects.values().get()
    answer = as_alice.send("PATCH", f"/organisations/{connection.pk}", {field: value})
    assert field in error_of(answer, 422)["fields"]
    assert Connection.objects.values().get() == before


def test_sync_now_makes_the_organisation_due(as_bob: Caller, connection: Connection) -> None:
    path = f"/organisations/{connection.pk}/sync"
    answer = as_bob.send("POST", path)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "asked")
    assert Connection.objects.get().next_due_at is not None
    assert as_bob.send("POST", path).json()["outcome"] == "asked"
    assert ProcrastinateJob.objects.filter(task_name="sync_organisation").count() == 1


def test_a_disconnected_organisation_cannot_be_synced(
    as_bob: Caller, connection: Connection
) -> None:
    Connection.objects.update(state="disconnected")
    answer = as_bob.send("POST", f"/organisations/{connection.pk}/sync")
    assert "not connected" in error_of(answer, 409)["message"]


def test_disconnect_keeps_the_bills(
    as_alice: Caller, linked_bill: Bill, connection: Connection
) -> None:
    before = Bill.objects.values().get()
    answer = as_alice.send("POST", f"/organisations/{connection.pk}/disconnect")
    assert answer.status_code == 200, answer.content
    assert answer.json()["state"] == "disconnected"
    assert Bill.objects.values().get() == before
    found = as_alice.get(f"/bills/{linked_bill.pk}").json()
    assert found["sync"]["badge"] == "parted"


def test_a_member_may_not_change_settings_or_disconnect(
    as_bob: Caller, connection: Connection
) -> None:
    path = f"/organisations/{connection.pk}"
    error_of(as_bob.send("PATCH", path, {"interval_minutes": 60}), 403)
    error_of(as_bob.send("POST", f"{path}/disconnect"), 403)
    assert Connection.objects.get().state == "live"


def test_runs_are_listed_newest_first_and_filtered(
    as_vera: Caller, connection: Connection, business: Business
) -> None:
    old = make_run(connection)
    new = make_run(connection, state="failed", error_code="xero_unreachable", error_text="No.")
    other = make_run(make_connection(business), started_at=NOW - timedelta(days=9))
    assert ids(as_vera.get("/runs")) == [other.pk, new.pk, old.pk]
    assert ids(as_vera.get("/runs", organisation=connection.pk, limit=1)) == [new.pk]
    assert ids(as_vera.get("/runs", state="failed")) == [new.pk]
    found = as_vera.get(f"/runs/{new.pk}").json()
    assert (found["error_code"], found["error"], found["calls"]) == ("xero_unreachable", "No.", 7)


def test_payments_are_listed_for_all_bills_or_one(as_vera: Caller, bill: Bill) -> None:
    payment = make_payment(bill)
    credit = make_payment(bill, kind="credit", remote_id="abc")
    assert ids(as_vera.get("/payments")) == [payment.pk, credit.pk]
    found = as_vera.get("/payments", bill=bill.pk).json()["items"][1]
    assert (found["kind"], found["remote_id"], found["amount"]) == ("credit", "abc", "10.50")
    assert ids(as_vera.get("/payments", bill=bill.pk + 1)) == []
