"""The process dies at any point of a sending: in the end everything happened exactly once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from tests.fixtures.xero import NOW, Xero
from tests.sync.given import bill_of, edit, invoice_of, open_bills, pay, unpay
from tests.sync.hands import Crash, Wire, crash_at, tap
from tests.sync.moments import judge, new_process, once_more, quiet

from justpayme.bills.models import Bill, Payment
from justpayme.sync import outbox, runs
from justpayme.sync.models import Connection, OutboxItem, Run

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(900)]
SAMPLE = 5
"""Statements of each sending at which it dies, unless all are wanted (JUSTPAYME_FULL=1)."""
FULL = os.environ.get("JUSTPAYME_FULL") == "1"
State = OutboxItem.State


@dataclass
class Scenario:
    """What people did, what is done about it, and what must have come of it."""

    before: Callable[[Xero, Connection], None]
    after: Callable[[Xero, Connection], None]
    tried: Callable[[Xero, Connection], None] = lambda xero, connection: None


def _edited(xero: Xero, connection: Connection) -> None:
    edit(open_bills(connection)[0], reference="new", due_on=date(2027, 1, 15))


def _edit_arrived(xero: Xero, connection: Connection) -> None:
    bill = open_bills(connection)[0]
    assert (bill.reference, invoice_of(xero, bill).reference) == ("new", "new")


def _five_paid(xero: Xero, connection: Connection) -> None:
    for bill in open_bills(connection)[:4]:
        pay(bill, connection, Decimal("10"))
    pay(open_bills(connection)[0], connection, Decimal("10"))


def _paid_each(xero: Xero, connection: Connection) -> None:
    paid = [b.paid for b in open_bills(connection)[:4]]
    assert paid == [20, 10, 10, 10]


def _new_bill(xero: Xero, connection: Connection) -> None:
    bill = bill_of(connection, number="NEW-1", client="Brand New Ltd")
    outbox.enqueue_create(bill, connection, None, NOW)


def _one_invoice(xero: Xero, connection: Connection) -> None:
    invoices = xero.ledger().invoices.rows.values()
    assert [i.number for i in invoices].count("NEW-1") == 1
    assert Bill.objects.filter(number="NEW-1", link__isnull=False).count() == 1
    assert [c.name for c in xero.ledger().contacts.rows.values()].count("Brand New Ltd") == 1


def _taken_back(xero: Xero, connection: Connection) -> None:
    bill = open_bills(connection)[0]
    pay(bill, connection, Decimal("10"))
    runs.run_sync(connection.pk, cause=Run.Cause.EDIT, clock=xero.clock)
    unpay(bill, connection, Payment.objects.get(bill=bill, amount=10))


def _nothing_paid(xero: Xero, connection: Connection) -> None:
    assert open_bills(connection)[0].paid == 0


def _lost_payment(xero: Xero, connection: Connection) -> None:
    """Its answer was lost, and the process that sent it is gone: only a search can tell."""
    pay(open_bills(connection)[0], connection, Decimal("10"))
    xero.fault("lose_answer", method="PUT", path="/payments", count=1)
    runs.run_sync(connection.pk, cause=Run.Cause.EDIT, clock=xero.clock)
    new_process()
    xero.later(1)
    runs.run_sync(connection.pk, cause=Run.Cause.SCHEDULE, clock=xero.clock)
    OutboxItem.objects.filter(state__in=(State.SENDING, State.UNSURE)).update(not_before=None)
    xero.later(2.5)


def _one_payment(xero: Xero, connection: Connection) -> None:
    assert open_bills(connection)[0].paid == 10


def _never_arrived(xero: Xero, connection: Connection) -> None:
    """The same, but the request never reached Xero, so it must be sent anew."""
    pay(open_bills(connection)[0], connection, Decimal("10"))
    xero.fault("timeout_before", method="PUT", path="/payments", count=1)
    runs.run_sync(connection.pk, cause=Run.Cause.EDIT, clock=xero.clock)
    new_process()
    xero.later(1)
    runs.run_sync(connection.pk, cause=Run.Cause.SCHEDULE, clock=xero.clock)
    xero.later(2.5)


SCENARIOS = {
    "an edit": Scenario(_edited, _edit_arrived),
    "five payments": Scenario(_five_paid, _paid_each),
    "a new bill of a new client": Scenario(_new_bill, _one_invoice),
    "a payment taken back": Scenario(_taken_back, _nothing_paid),
    "a search for a payment": Scenario(_lost_payment, _one_payment),
    "a payment that never arrived": Scenario(_never_arrived, _one_payment),
}


def send(xero: Xero, connection: Connection) -> None:
    runs.run_sync(connection.pk, cause=Run.Cause.SCHEDULE, clock=xero.clock)


def dies(xero: Xero, connection: Connection, scenario: Scenario, point: Any) -> bool:
    """Go through it with a crash at one point; whether that point was reached."""
    with once_more(xero):
        scenario.before(xero, connection)
        died = True
        with suppress(Crash), point:
            send(xero, connection)
            died = False
        new_process()
        quiet(xero, connection)
        judge(xero, connection)
        scenario.after(xero, connection)
    return died


def count_statements(xero: Xero, connection: Connection, scenario: Scenario) -> int:
    with once_more(xero):
        scenario.before(xero, connection)
        with crash_at(0) as count:
            send(xero, connection)
        return count[0]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_before_any_statement_ends_in_exactly_once(
    xero: Xero, two_way: Connection, name: str
) -> None:
    """I-13, I-14, I-16, I-19 at the statements of one sending, its savepoints among them."""
    scenario = SCENARIOS[name]
    total = count_statements(xero, two_way, scenario)
    assert total > 20
    step = 1 if FULL else max(total // SAMPLE, 1)
    for number in range(1 + list(SCENARIOS).index(name) % step, total + 1, step):
        assert dies(xero, two_way, scenario, crash_at(number)), number


@contextmanager
def crash_on_the_wire(wire: Wire, number: int, *, after: bool) -> Iterator[None]:
    """Die when the number-th call is about to leave, or when its answer has just come."""
    count = [0]

    def seen(request: httpx2.Request) -> None:
        count[0] += 1
        if count[0] == number:
            raise Crash

    before = wire.before, wire.after
    setattr(wire, "after" if after else "before", seen)
    try:
        yield
    finally:
        wire.before, wire.after = before


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_before_or_after_any_write_ends_in_exactly_once(
    xero: Xero, two_way: Connection, settings: Any, name: str
) -> None:
    """The two points that no transaction can close; each call of a sending when run in full."""
    wire, scenario = tap(xero, settings), SCENARIOS[name]
    calls = _calls(xero, two_way, wire, scenario)
    chosen = [n for n, is_write in enumerate(calls, 1) if FULL or is_write or n == len(calls)]
    assert chosen
    for number in chosen:
        for after in (False, True):
            point = crash_on_the_wire(wire, number, after=after)
            assert dies(xero, two_way, scenario, point), (number, after)


def _calls(xero: Xero, connection: Connection, wire: Wire, scenario: Scenario) -> list[bool]:
    """The calls of a sending: which of them are writes."""
    found: list[bool] = []
    with once_more(xero):
        scenario.before(xero, connection)
        wire.before = lambda request: found.append(request.method != "GET")
        send(xero, connection)
        wire.before = lambda request: None
    return found


def test_a_crash_in_the_recovery_from_a_crash(xero: Xero, two_way: Connection) -> None:
    """Two in a row: while sending, and while the next process finds what was left."""
    for name in ("five payments", "a new bill of a new client"):
        for first, second in ((60, 30), (95, 12), (40, 75)):
            with once_more(xero):
                scenario = SCENARIOS[name]
                scenario.before(xero, two_way)
                for point in (first, second):
                    with suppress(Crash), crash_at(point):
                        send(xero, two_way)
                    new_process()
                    xero.later(3)
                quiet(xero, two_way)
                judge(xero, two_way)
                scenario.after(xero, two_way)
