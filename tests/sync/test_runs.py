"""One run at a time, none after the end of a connection, none forgotten, none mixed up."""

from __future__ import annotations

import json
import threading
from argparse import Namespace
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from django.db import connection as database
from django.db import connections as databases
from django.db import transaction
from procrastinate.contrib.django.models import ProcrastinateJob
from tests.fixtures.xero import Xero
from tests.sync.given import edit
from tests.sync.hands import (
    Crash,
    Wire,
    bill_of,
    bill_prints,
    books,
    done,
    drift,
    failed,
    newest,
    plain_open,
    put_silently,
    sales,
    tap,
)

from justpayme.accounts.models import Business, Membership, User
from justpayme.bills.models import Bill, Client, HistoryEntry
from justpayme.core.errors import Problem
from justpayme.integrations import actions
from justpayme.runtime.command import FAILED, OK, CommandError
from justpayme.sync import apply, commands, doorbell, jobs, runs
from justpayme.sync.models import Connection, Cursor, Link, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire(xero: Xero, settings: Any) -> Wire:
    return tap(xero, settings)


@pytest.fixture
def owner(alice: User, business: Business) -> Membership:
    return Membership.objects.get(user=alice, business=business)


@pytest.fixture(autouse=True)
def no_jobs_left_over(db: None) -> None:
    """The job engine's tables are not emptied between tests that commit."""
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")


def jobs_waiting() -> int:
    return ProcrastinateJob.objects.filter(task_name="sync_organisation", status="todo").count()


# --- I-37: the end of a connection -------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("state", [Connection.State.DISCONNECTED, Connection.State.LOST])
def test_no_call_and_no_write_after_the_end_is_committed(
    xero: Xero, connected: Connection, wire: Wire, number: int, state: str
) -> None:
    """I-37: while any call is under way, the connection ends; it is the last one."""
    seen: list[dict[str, str]] = []

    def end(request: httpx2.Request) -> None:
        if len(wire.asked) == number:
            Connection.objects.update(state=state)
            seen.append(books())

    wire.after = end
    run = xero.sync(connected)
    assert (run.state, run.error_code) == (Run.State.STOPPED, "stopped")
    assert len(wire.asked) == number
    assert seen == [books()]
    assert connected.state == state


def test_a_disconnect_during_a_run_keeps_every_bill_byte_for_byte(
    xero: Xero, imported: Connection, wire: Wire, owner: Membership
) -> None:
    """I-37 through the verb itself, in the middle of an audit."""
    before = bill_prints()

    def end(request: httpx2.Request) -> None:
        if request.url.path.endswith("Invoices"):
            wire.after = lambda request: None
            Run.objects.filter(state=Run.State.RUNNING).update(state=Run.State.ABANDONED)
            actions.disconnect(
                by=owner, connection=imported, address="127.0.0.1", now=xero.clock.now()
            )
            calls.append(xero.counts()["total"])

    calls: list[int] = []
    wire.after = end
    xero.sync(imported, kind=Run.Kind.AUDIT)
    assert imported.state == Connection.State.DISCONNECTED
    assert xero.counts()["total"] == calls[0]
    assert bill_prints() == before


def test_reconnecting_finds_every_bill_again_by_its_invoice(
    xero: Xero, imported: Connection, owner: Membership, business: Business
) -> None:
    """I-38: no duplicate, no setting lost, and what Xero did meanwhile arrives."""
    Connection.objects.update(interval_minutes=60)
    imported.refresh_from_db()
    now = xero.clock.now()
    actions.disconnect(by=owner, connection=imported, address="127.0.0.1", now=now)
    invoice = plain_open(xero)[0]
    xero.act("edit-invoice", invoice=invoice.id, reference="while parted")
    ids = set(Bill.objects.values_list("pk", flat=True))
    clients = Client.objects.count()
    again = xero.connect(business)
    again.cursors.all().delete()
    Connection.objects.update(imported_at=None, audited_at=None)
    run = done(xero.sync(again))
    assert again.pk == imported.pk
    assert (run.created, run.changed, again.interval_minutes) == (0, 1, 60)
    assert set(Bill.objects.values_list("pk", flat=True)) == ids
    assert Client.objects.count() == clients
    assert bill_of(again, invoice.id).reference == "while parted"
    assert drift(xero, again) == []


def test_a_run_that_slept_through_a_disconnect_and_a_new_beginning_writes_nothing(
    xero: Xero, imported: Connection, wire: Wire, owner: Membership
) -> None:
    """I-38, I-42: its cursors are of before, and the new import would read only changes."""
    invoice = plain_open(xero)[0]
    put_silently(xero, invoice, reference="while parted")

    def come_back(request: httpx2.Request) -> None:
        wire.after = lambda request: None
        Connection.objects.update(state=Connection.State.DISCONNECTED)
        actions.choose(by=owner, connection=imported, address="", now=xero.clock.now())

    wire.after = come_back
    assert xero.sync(imported).state == Run.State.STOPPED
    assert len(wire.asked) == 1
    assert not Cursor.objects.exists()
    assert done(xero.sync(imported)).kind == Run.Kind.IMPORT
    assert bill_of(imported, invoice.id).reference == "while parted"


# --- I-42: one at a time -----------------------------------------------------------------------


def test_a_paused_worker_that_was_replaced_can_neither_write_nor_call(
    xero: Xero, imported: Connection, wire: Wire
) -> None:
    """I-42: it wakes up with an answer in its hands, and finds its run abandoned."""
    invoice = plain_open(xero)[0]
    xero.act("edit-invoice", invoice=invoice.id, reference="newer")
    before = books()
    position = Cursor.objects.get(endpoint="invoices").state

    def replace_me(request: httpx2.Request) -> None:
        if request.url.path.endswith("Organisation"):
            wire.after = lambda request: None
            Run.objects.filter(state=Run.State.RUNNING).update(state=Run.State.ABANDONED)

    wire.after = replace_me
    run = xero.sync(imported)
    assert run.state == Run.State.ABANDONED
    assert wire.asked[-1].endswith("Organisation")
    assert books() == before
    assert Cursor.objects.get(endpoint="invoices").state == position
    assert done(xero.sync(imported)).changed == 1


def test_every_door_is_shut_for_a_run_that_was_replaced(imported: Connection) -> None:
    """I-42: the fence refuses whoever is not the run that says *running*."""
    run = Run.objects.get()
    with pytest.raises(Problem, match="stopped"), transaction.atomic():
        apply.fence(run)


def test_a_dead_workers_run_is_recovered_and_goes_on_at_once(
    xero: Xero, connected: Connection, wire: Wire
) -> None:
    """I-42, I-51: nobody holds its lock, so the tick takes it up."""

    def die(request: httpx2.Request) -> None:
        if len(wire.asked) == 6:
            raise Crash

    wire.after = die
    with pytest.raises(Crash):
        xero.sync(connected)
    wire.after = lambda request: None
    connected.refresh_from_db()
    assert connected.next_due_at is None
    now = xero.clock.now()
    with runs.sole(connected.pk) as mine:
        assert mine
        assert jobs.recover_dead_runs(now) == 0  # somebody holds the lock: not dead
    assert jobs.recover_dead_runs(now) == 1
    connected.refresh_from_db()
    assert connected.next_due_at == now
    assert Run.objects.get().state == Run.State.ABANDONED
    assert jobs.start_due(now) == 1
    assert jobs_waiting() == 1
    done(xero.sync(connected))


def test_a_sync_that_kills_its_workers_makes_room_for_the_others(
    xero: Xero, two_way: Connection
) -> None:
    """I-41, I-51: not at once again, for ever; nor for the sake of an edit that waits."""
    edit(Bill.objects.filter(status="active")[0], reference="waits")
    now, waits = xero.clock.now(), []

    def die() -> timedelta:
        Run.objects.create(
            connection=two_way,
            kind=Run.Kind.PUSH,
            cause=Run.Cause.EDIT,
            started_at=now,
        )
        assert jobs.recover_dead_runs(now) == 1
        two_way.refresh_from_db()
        return two_way.next_due_at - now

    for _ in range(3):
        waits.append(die().total_seconds())
    assert waits == [0, 60, 120]
    assert jobs.start_due(now) == 0
    xero.clock.advance(120)
    assert jobs.start_due(xero.clock.now()) == 1
    done(xero.sync(two_way))
    assert two_way.failures == 0
    assert die() == timedelta(0)


@pytest.mark.django_db(transaction=True)
def test_what_holds_up_one_organisation_is_passed_over_by_the_tick(business: Business) -> None:
    """I-41: somebody holds the row of the first, and is about to ask for its sync."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    held, free = (
        Connection.objects.create(
            business=business, tenant_id=uuid4(), state=Connection.State.LIVE, next_due_at=now
        )
        for _ in range(2)
    )
    for row in (held, free):
        Run.objects.create(connection=row, started_at=now)
    with closing(databases.create_connection("default")) as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM sync_connection WHERE id = %s FOR UPDATE", [held.pk])
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock) "
            "VALUES ('q', 't', %s)",
            [f"org:{held.pk}"],
        )
        with database.cursor() as ours:
            ours.execute("SET lock_timeout = '30ms'")
        passed = jobs.recover_dead_runs(now), jobs.start_due(now)
        database.close()
    assert passed == (1, 1)
    assert (jobs.recover_dead_runs(now), jobs.start_due(now)) == (1, 2)


@pytest.mark.parametrize("cause", [Run.Cause.EDIT, Run.Cause.WEBHOOK])
def test_a_part_that_comes_before_the_tick_does_not_take_a_dead_syncs_time(
    xero: Xero, imported: Connection, cause: Run.Cause
) -> None:
    """I-51: a job for an edit finds the dead sync, ends it and has nothing to do itself."""
    Run.objects.create(
        connection=imported,
        kind=Run.Kind.INCREMENT,
        cause=Run.Cause.SCHEDULE,
        started_at=xero.clock.now(),
    )
    Connection.objects.update(next_due_at=None)
    assert runs.run_sync(imported.pk, cause=cause, clock=xero.clock) is None
    imported.refresh_from_db()
    assert imported.next_due_at == xero.clock.now()
    assert jobs.start_due(xero.clock.now()) == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_make_one_run(xero: Xero, connected: Connection, wire: Wire) -> None:
    """I-42: the second finds the lock taken and leaves."""
    inside, go_on = threading.Event(), threading.Event()

    def wait(request: httpx2.Request) -> None:
        inside.set()
        assert go_on.wait(30)

    wire.before = wait
    first: list[Run | None] = []
    worker = threading.Thread(target=lambda: first.append(run_in_thread(xero, connected)))
    worker.start()
    assert inside.wait(30)
    second = runs.run_sync(connected.pk, cause=Run.Cause.PERSON, clock=xero.clock)
    go_on.set()
    worker.join(60)
    assert second is None
    assert first[0] is not None
    assert Run.objects.get().state == Run.State.DONE


def run_in_thread(xero: Xero, connection: Connection) -> Run | None:
    try:
        return runs.run_sync(connection.pk, cause=Run.Cause.SCHEDULE, clock=xero.clock)
    finally:
        databases.close_all()


@pytest.mark.django_db(transaction=True)
def test_another_process_holding_the_lock_keeps_us_out(connected: Connection) -> None:
    """I-42 across processes: the lock is PostgreSQL's, not our memory's."""
    with closing(databases.create_connection("default")) as other, other.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_lock(hashtextextended(%s, 0))",
            [f"justpayme sync {connected.pk}"],
        )
        with runs.sole(connected.pk) as mine:
            assert not mine
        cursor.execute("SELECT pg_advisory_unlock_all()")
    with runs.sole(connected.pk) as mine:
        assert mine


# --- jobs --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_request_that_is_rolled_back_leaves_no_job(connected: Connection) -> None:
    with transaction.atomic():
        doorbell.request_sync(connection=connected, cause=Run.Cause.PERSON)
        transaction.set_rollback(True)
    assert jobs_waiting() == 0


def test_a_double_request_makes_one_job(connected: Connection) -> None:
    """I-50."""
    for _ in range(3):
        doorbell.request_sync(connection=connected, cause=Run.Cause.PERSON)
    assert jobs_waiting() == 1


def test_the_tick_starts_only_what_is_due_live_and_not_blocked(
    xero: Xero, imported: Connection
) -> None:
    now = xero.clock.now()
    assert jobs.start_due(now) == 0  # due in 15 minutes
    Connection.objects.update(next_due_at=now, blocked_until=now + timedelta(seconds=1))
    assert jobs.start_due(now) == 0
    assert jobs.start_due(now + timedelta(seconds=1)) == 1
    Connection.objects.update(state=Connection.State.HALTED)
    assert jobs.start_due(now + timedelta(days=1)) == 0


# --- I-48: nobody else's books -----------------------------------------------------------------


def test_two_businesses_with_the_same_organisation_do_not_mix(
    xero: Xero, imported: Connection, other_business: Business
) -> None:
    """I-48: each has its own bills, clients, links and history; each gets every change."""
    before = bill_prints()
    other = xero.connect(other_business)
    done(xero.sync(other))
    assert {k: v for k, v in bill_prints().items() if k in before} == before
    invoice = plain_open(xero)[0]
    xero.act("edit-invoice", invoice=invoice.id, reference="for both")
    done(xero.sync(other))
    assert bill_of(other, invoice.id).reference == "for both"
    assert bill_of(imported, invoice.id).reference == invoice.reference
    done(xero.sync(imported))
    assert bill_of(imported, invoice.id).reference == "for both"
    assert_apart()


def test_two_organisations_of_one_business_do_not_mix(
    xero: Xero, imported: Connection, business: Business
) -> None:
    """I-48: same business, two sets of books, no link across."""
    before = bill_prints()
    other = xero.connect(business, "NZ")
    done(xero.sync(other))
    assert {k: v for k, v in bill_prints().items() if k in before} == before
    assert Bill.objects.filter(link__connection=other, currency="NZD").exists()
    assert not Bill.objects.filter(link__connection=imported, currency="NZD").exists()
    assert drift(xero, imported) == drift(xero, other) == []
    assert_apart()


def assert_apart() -> None:
    """Every row's business is its bill's, its client's and its connection's."""
    for link in Link.objects.select_related("bill__client__link", "connection"):
        bill = link.bill
        assert bill.business_id == bill.client.business_id == link.connection.business_id
        assert bill.client.link.connection_id == link.connection_id
    for entry in HistoryEntry.objects.select_related("bill"):
        assert entry.business_id == entry.bill.business_id


# --- for machines ------------------------------------------------------------------------------


@pytest.fixture
def real_clock(xero: Xero, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands make their own clock; here it is the test's."""
    monkeypatch.setattr(commands, "RealClock", lambda: xero.clock)


def asked(**more: object) -> Namespace:
    return Namespace(**{"organisation": None, "json": True, "fix": False, **more})


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out = capsys.readouterr().out
    return [json.loads(line) for line in out.splitlines() if '"organisation"' in line]


def test_the_command_syncs_and_says_what_it_did(
    xero: Xero, connected: Connection, real_clock: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.sync(asked()) == OK
    (line,) = lines(capsys)
    assert (line["state"], line["error"], line["kind"]) == ("done", "", "import")
    assert line["created"] == Bill.objects.count()


def test_the_command_fails_when_xero_does(
    xero: Xero, imported: Connection, real_clock: None, capsys: pytest.CaptureFixture[str]
) -> None:
    xero.fault("error_503", path="api.xro", count=None)
    assert commands.sync(asked()) == FAILED
    assert "not available" in lines(capsys)[0]["error"]


def test_verify_says_equal_and_exits_0_then_1_on_drift(
    xero: Xero, imported: Connection, real_clock: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.check(asked()) == OK
    (line,) = lines(capsys)
    assert (line["drift"], line["compared"]) == (0, Bill.objects.count())
    bill = bill_of(imported, plain_open(xero)[0].id)
    Bill.objects.filter(pk=bill.pk).update(reference="not what Xero says")
    assert commands.check(asked()) == FAILED
    (line,) = lines(capsys)
    assert (line["drift"], line["differences"][0]["field"]) == (1, "reference")


def test_verify_fails_in_words_when_xero_cannot_be_read(
    xero: Xero, imported: Connection, real_clock: None, capsys: pytest.CaptureFixture[str]
) -> None:
    xero.fault("error_503", path="api.xro", count=None)
    assert commands.check(asked(json=False)) == FAILED
    assert "not available" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["nobody", "'; DROP TABLE sync_run; --", "٣", "9" * 40])
def test_an_organisation_that_is_not_there_is_named_with_those_that_are(
    imported: Connection, text: str
) -> None:
    with pytest.raises(CommandError, match="Demo Company"):
        commands.chosen(text)


def test_an_organisation_is_found_by_name_id_or_tenant(imported: Connection) -> None:
    for text in ("demo company (uk)", str(imported.pk), str(imported.tenant_id)):
        assert commands.chosen(text) == [imported]


def test_history_names_the_run_that_wrote_it(xero: Xero, imported: Connection) -> None:
    """I-55: the run's figures agree with what it wrote."""
    run = Run.objects.get()
    assert HistoryEntry.objects.filter(run=run.pk, action="imported").count() == run.created
    assert newest(Bill.objects.first()).run == run.pk
    assert run.calls == xero.counts()["total"]


@pytest.mark.parametrize("kind", ["import", "audit"])
def test_what_changes_silently_behind_an_interrupted_reading_waits_no_longer_than_a_day(
    xero: Xero, connected: Connection, kind: str
) -> None:
    """I-5: the day counts from the first page, whichever run read it."""
    if kind == "audit":
        done(xero.sync(connected))
        Connection.objects.update(audited_at=None)
    xero.later(5)
    xero.fault("truncated_json", path="CreditNotes" if kind == "audit" else "Payments")
    began = failed(xero.sync(connected), "wrong_shape").started_at
    invoice = plain_open(xero)[0]
    put_silently(xero, invoice, reference="silent")
    xero.later(60)
    assert done(xero.sync(connected)).kind == kind
    assert connected.audited_at == began
    xero.later(23 * 60)
    assert done(xero.sync(connected)).kind == Run.Kind.AUDIT
    assert bill_of(connected, invoice.id).reference == "silent"


# --- drafts wanted meanwhile -------------------------------------------------------------------


def want_drafts(connection: Connection, owner: Membership, xero: Xero) -> None:
    actions.change_settings(
        by=owner,
        connection=connection,
        interval_minutes=15,
        import_drafts=True,
        address="127.0.0.1",
        now=xero.clock.now(),
    )


@pytest.mark.parametrize("kind", ["import", "audit"])
def test_drafts_wanted_while_everything_is_read_come_at_once_and_not_after_a_day(
    xero: Xero, connected: Connection, wire: Wire, owner: Membership, kind: str
) -> None:
    if kind == "audit":
        done(xero.sync(connected))
        Connection.objects.update(audited_at=None)
    last = "CreditNotes" if kind == "audit" else "Payments"

    def ask(request: httpx2.Request) -> None:
        if request.url.path.endswith(last):  # every invoice has been read
            wire.after = lambda request: None
            want_drafts(connected, owner, xero)

    wire.after = ask
    xero.sync(connected)
    assert connected.next_due_at is not None
    assert done(xero.sync(connected)).kind == kind
    assert {str(pk) for pk in connected.links.values_list("invoice_id", flat=True)} >= {
        draft.id for draft in sales(xero, "DRAFT")
    }
    assert connected.audited_at is not None
    assert drift(xero, connected) == []


def test_drafts_of_pages_that_an_interrupted_audit_had_read_come_too(
    xero: Xero,
    imported: Connection,
    wire: Wire,
    owner: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drafts = sales(xero, "DRAFT")
    place = sorted(xero.ledger().invoices.rows).index(min(draft.id for draft in drafts))
    monkeypatch.setattr("justpayme.xero.client.PAGE_SIZE", max(20, place + 1))

    def fail(request: httpx2.Request) -> None:
        if request.url.path.endswith("Invoices") and request.url.params["page"] == "2":
            raise Problem("xero_unreachable")

    wire.before = fail
    failed(xero.sync(imported, kind=Run.Kind.AUDIT), "xero_unreachable")
    wire.before = lambda request: None
    want_drafts(imported, owner, xero)
    xero.later(31)
    assert done(xero.sync(imported)).kind == Run.Kind.AUDIT
    linked = {str(pk) for pk in imported.links.values_list("invoice_id", flat=True)}
    assert linked >= {draft.id for draft in drafts}
