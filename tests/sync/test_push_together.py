"""Several at once: a person and a sync on one bill, two workers, one that was paused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from django.db import connection as database
from django.db import connections as databases
from django.db import transaction
from tests.fixtures.xero import NOW, Xero
from tests.sync.given import bill_of, edit, invoice_of, open_bill, open_bills, pay, push, sent_calls
from tests.sync.given import unpay as take_back
from tests.sync.hands import Wire, tap
from tests.sync.moments import judge, new_process, quiet, sync

from justpayme.bills.models import Bill, Payment
from justpayme.sync import outbox, runs
from justpayme.sync.models import Connection, Link, OutboxItem, Run

pytestmark = pytest.mark.django_db(transaction=True)
State, Kind = OutboxItem.State, OutboxItem.Kind


@pytest.fixture
def wire(xero: Xero, settings: Any) -> Wire:
    return tap(xero, settings)


class Beside(threading.Thread):
    """Something that goes on at the same time, on a database connection of its own."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.what, self.error = what, None
        self.error: BaseException | None

    def run(self) -> None:
        try:
            self.what()
        except BaseException as error:
            self.error = error
        finally:
            databases.close_all()

    def ended(self) -> None:
        """Wait for its end; raise what it raised."""
        self.join(30)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


def somebody_waits() -> bool:
    """Is a session waiting for a lock?"""
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        row = cursor.fetchone()
    return bool(row and row[0])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_edit_and_a_sync_of_the_same_bill_do_not_deadlock(
    xero: Xero, two_way: Connection
) -> None:
    """The person has locked her bill, the sync waits for it, and she adds what shall be sent."""
    bill = open_bill(two_way)
    xero.act("edit-invoice", invoice=bill.number, url="https://x.test/theirs")
    pulled: list[Run | None] = []
    pulling = Beside(lambda: pulled.append(sync(xero, two_way)))
    with transaction.atomic():
        Link.objects.select_for_update().get(bill=bill)
        pulling.start()
        until(somebody_waits)
        edit(bill, reference="ours")
    pulling.ended()
    assert [(run.state, run.error_text) for run in pulled if run] == [(Run.State.DONE, "")]
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert (bill.reference, bill.url) == ("ours", "https://x.test/theirs")
    judge(xero, two_way)


def test_many_edits_and_syncs_at_once_lose_nothing(xero: Xero, two_way: Connection) -> None:
    bills = open_bills(two_way)[:3]

    def type_away() -> None:
        for number in range(12):
            edit(bills[number % 3], reference=f"edit {number}")
            time.sleep(0.01)

    typing = Beside(type_away)
    typing.start()
    while typing.is_alive():
        xero.clock.advance(61)
        run = sync(xero, two_way)
        assert run is not None
        assert run.state == Run.State.DONE, run.error_text
    typing.ended()
    quiet(xero, two_way)
    assert [invoice_of(xero, b).reference for b in bills] == ["edit 9", "edit 10", "edit 11"]
    judge(xero, two_way)


def test_a_second_worker_sends_nothing_while_one_is_sending(
    xero: Xero, two_way: Connection, wire: Wire
) -> None:
    """I-42."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    others: list[Run | None] = []

    def before(request: httpx2.Request) -> None:
        if request.method == "PUT":
            other = Beside(lambda: others.append(sync(xero, two_way)))
            other.start()
            other.ended()

    wire.before = before
    xero.reset_log()
    push(xero, two_way)
    assert others == [None]
    assert len(sent_calls(xero)) == 1
    judge(xero, two_way)


@pytest.mark.parametrize("after", [False, True])
def test_a_worker_that_was_replaced_while_it_sent_writes_no_more(
    xero: Xero, two_way: Connection, wire: Wire, after: bool
) -> None:
    """I-42: paused on the wire, it wakes up and finds its run abandoned; another adopts."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))

    def replaced(request: httpx2.Request) -> None:
        if request.method == "PUT":
            Run.objects.filter(state=Run.State.RUNNING).update(state=Run.State.ABANDONED)

    setattr(wire, "after" if after else "before", replaced)
    run = push(xero, two_way)
    assert run.state == Run.State.ABANDONED
    assert OutboxItem.objects.get(bill=bill).state == State.SENDING
    wire.before = wire.after = lambda request: None
    new_process()
    xero.reset_log()
    quiet(xero, two_way)
    assert sent_calls(xero) == []
    bill.refresh_from_db()
    assert bill.paid == 10
    judge(xero, two_way)


def everything(xero: Xero, connection: Connection) -> None:
    """One item of every kind, and two under way that nobody knows the end of."""
    bills = open_bills(connection)
    pay(bills[0], connection, Decimal("10"))
    push(xero, connection)
    pay(bills[1], connection, Decimal("10"))
    xero.fault("timeout_before", method="PUT", path="/payments", count=1)
    runs.run_sync(connection.pk, cause=Run.Cause.PERSON, clock=xero.clock)
    edit(bills[2], reference="x")
    xero.fault("timeout_before", method="POST", path="/invoices", count=1)
    xero.clock.advance(1)
    runs.run_sync(connection.pk, cause=Run.Cause.PERSON, clock=xero.clock)
    take_back(bills[0], connection, Payment.objects.get(bill=bills[0], amount=10))
    edit(bills[3], reference="y")
    outbox.enqueue_create(
        bill_of(connection, number="NEW-1", client="Never Sent Ltd"), connection, None, NOW
    )


@pytest.mark.parametrize("how", ["direction", "disconnected", "lost", "halted"])
def test_whatever_waits_or_is_under_way_nothing_is_changed_in_xero_any_more(
    xero: Xero, two_way: Connection, how: str
) -> None:
    """I-36 and I-37, by the local Xero's own log; even if nothing was told to the outbox."""
    everything(xero, two_way)
    kinds = set(OutboxItem.objects.exclude(state=State.DONE).values_list("kind", flat=True))
    assert kinds == set(Kind.values)
    changes = {"direction": "one"} if how == "direction" else {"state": how}
    Connection.objects.update(**changes)
    xero.reset_log()
    for _ in range(10):
        xero.later(1)
        for cause in (Run.Cause.EDIT, Run.Cause.PERSON):
            runs.run_sync(two_way.pk, cause=cause, clock=xero.clock)
    assert sent_calls(xero) == []
    if how != "direction":
        assert xero.counts().get("total", 0) == 0


def test_nothing_under_way_in_a_one_directional_organisation_stays_for_ever(
    xero: Xero, two_way: Connection
) -> None:
    """I-14, for what was not told to the outbox when the direction changed."""
    everything(xero, two_way)
    Connection.objects.update(direction="one")
    quiet(xero, two_way, steps=12)
    xero.later(60 * 24)
    sync(xero, two_way)
    under_way = OutboxItem.objects.filter(state__in=(State.SENDING, State.UNSURE))
    assert not under_way.exists()
    assert Bill.objects.filter(number="NEW-1").exists()
