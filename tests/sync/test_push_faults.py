"""Every fault of a write, for every kind of change: in the end it happened once, and is known.

The everyday run takes each fault with one kind of change, and each that lands late with two; the
full run takes all of them, and each with another process after the fault. The breaker too lets
each call meet each fault every day.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.extent import FULL
from tests.fixtures.xero import NOW, Xero
from tests.sync.given import bill_of, edit, invoice_of, open_bill, open_bills, pay, push, unpay
from tests.sync.hands import done, failed, undone
from tests.sync.moments import judge, new_process, once_more, quiet, sync

from justpayme.bills.models import Bill, Payment
from justpayme.core.errors import Problem
from justpayme.sync import calls, outbox, runs
from justpayme.sync.models import Conflict, Connection, Link, OutboxItem, Run, TokenSet

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(900)]
State = OutboxItem.State


def _edited(xero: Xero, connection: Connection) -> Callable[[], None]:
    bill = open_bill(connection)
    edit(bill, reference="new")

    def check() -> None:
        assert invoice_of(xero, bill).reference == "new"
        assert not Conflict.objects.exists()

    return check


def _created(xero: Xero, connection: Connection) -> Callable[[], None]:
    known = open_bill(connection).client
    bill = bill_of(connection, number="NEW-1", client="nobody")
    Bill.objects.filter(pk=bill.pk).update(client=known)
    bill.refresh_from_db()
    outbox.enqueue_create(bill, connection, None, NOW)

    def check() -> None:
        invoices = xero.ledger().invoices.rows.values()
        assert [i.number for i in invoices].count("NEW-1") == 1
        assert Bill.objects.filter(number="NEW-1").count() == 1
        assert Link.objects.filter(bill=bill).exists()

    return check


def _paid(xero: Xero, connection: Connection) -> Callable[[], None]:
    bills = open_bills(connection)[:3]
    for bill in bills:
        pay(bill, connection, Decimal("10"))

    def check() -> None:
        assert [b.paid for b in Bill.objects.filter(pk__in=[b.pk for b in bills])] == [10] * 3

    return check


def _unpaid(xero: Xero, connection: Connection) -> Callable[[], None]:
    bill = open_bill(connection)
    pay(bill, connection, Decimal("10"))
    push(xero, connection)
    unpay(bill, connection, Payment.objects.get(bill=bill, amount=10))

    def check() -> None:
        bill.refresh_from_db()
        assert bill.paid == 0

    return check


def _contact(xero: Xero, connection: Connection) -> Callable[[], None]:
    bill = bill_of(connection, number="NEW-2", client="Bright New Ltd")
    outbox.enqueue_create(bill, connection, None, NOW)

    def check() -> None:
        names = [c.name for c in xero.ledger().contacts.rows.values()]
        assert names.count("Bright New Ltd") == 1
        assert Link.objects.filter(bill=bill).exists()

    return check


KINDS = {
    "update": (_edited, {"method": "POST", "path": "/Invoices"}),
    "create": (_created, {"method": "PUT", "path": "/Invoices"}),
    "pay": (_paid, {"method": "PUT", "path": "/Payments"}),
    "unpay": (_unpaid, {"method": "POST", "path": "/Payments"}),
    "contact": (_contact, {"method": "PUT", "path": "/Contacts"}),
}

FAULTS: dict[str, dict[str, Any]] = {
    "late 5 s": {"kind": "late", "parameters": {"seconds": 5}},
    "late 60 s": {"kind": "late", "parameters": {"seconds": 60}},
    "late 90 s": {"kind": "late", "parameters": {"seconds": 90}},
    "late 90 s, every try": {"kind": "late", "count": 9, "parameters": {"seconds": 90}},
    "the answer lost": {"kind": "lose_answer"},
    "the answer lost four times": {"kind": "lose_answer", "count": 4},
    "a time-out before": {"kind": "timeout_before"},
    "a time-out after": {"kind": "timeout_after"},
    "a reset before": {"kind": "reset_before", "count": 6},
    "a reset in the answer": {"kind": "reset_mid_body"},
    "keys down": {"kind": "keys_down", "count": 3},
    "a remembered 500": {"kind": "write_500"},
    "502": {"kind": "error_502"},
    "503": {"kind": "error_503"},
    "offline": {"kind": "offline", "count": 2},
    "elements missing": {"kind": "elements_missing"},
    "elements extra": {"kind": "elements_extra"},
    "no elements": {"kind": "elements_none"},
    "elements reversed": {"kind": "elements_reversed"},
    "the minute limit": {"kind": "limit_minute", "parameters": {"retry_after": "90"}},
    "the day limit": {"kind": "limit_day", "parameters": {"retry_after": "600"}},
    "the app limit": {"kind": "limit_app", "parameters": {"retry_after": "60"}},
    "five at once": {"kind": "limit_concurrent", "count": 2},
}


def is_today(number: int, name: str, kind: str) -> bool:
    """Is this a case of this run?"""
    return FULL or (number + list(KINDS).index(kind)) % len(KINDS) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_of_a_write_ends_in_exactly_once(
    xero: Xero, two_way: Connection, kind: str
) -> None:
    """I-13, I-14, F2 to F5; one process, and another one after the fault."""
    begin, where = KINDS[kind]
    for name in (name for number, name in enumerate(FAULTS) if is_today(number, name, kind)):
        for again in (False, True) if FULL else (name.startswith("late"),):
            with once_more(xero):
                check = begin(xero, two_way)
                rule = {"count": 1, **FAULTS[name], **where}
                xero.fault(rule.pop("kind"), **rule)
                runs.run_sync(two_way.pk, cause=Run.Cause.EDIT, clock=xero.clock)
                if again:
                    new_process()
                try:
                    quiet(xero, two_way)
                    judge(xero, two_way)
                    check()
                except AssertionError as error:
                    raise AssertionError(f"{name}: {error}") from error


@pytest.mark.parametrize("kind", ["pay", "create", "contact"])
def test_a_repetition_that_xero_limits_proves_nothing_of_the_first_try(
    xero: Xero, two_way: Connection, kind: str
) -> None:
    """The first lands 90 s late; the second is answered 429. It must not be sent anew."""
    begin, where = KINDS[kind]
    check = begin(xero, two_way)
    xero.fault("late", count=1, parameters={"seconds": 90}, **where)
    push(xero, two_way)
    xero.fault("limit_minute", count=1, parameters={"retry_after": "10"}, **where)
    xero.clock.advance(20)
    sync(xero, two_way)
    xero.clock.advance(15)
    quiet(xero, two_way)
    check()
    judge(xero, two_way)


@pytest.mark.parametrize("kind", KINDS)
def test_an_expired_token_is_refreshed_and_the_same_bytes_leave_once_more(
    xero: Xero, two_way: Connection, kind: str
) -> None:
    begin, where = KINDS[kind]
    check = begin(xero, two_way)
    xero.fault("expire_tokens", count=1, **where)
    assert push(xero, two_way).state == Run.State.DONE
    check()
    judge(xero, two_way)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_although_it_was_saved_double_nothing(
    xero: Xero, two_way: Connection, kind: str
) -> None:
    """Xero says that it refused what it has saved: told as refused, and known once it shows."""
    begin, where = KINDS[kind]
    check = begin(xero, two_way)
    xero.fault("errors_though_saved", count=1, **where)
    push(xero, two_way)
    quiet(xero, two_way)
    for item in OutboxItem.objects.filter(state__in=(State.REFUSED, State.PARKED)):
        outbox.retry(item, None, NOW)
    quiet(xero, two_way)
    if kind != "contact":  # its name is taken now: a person says that it is the same
        check()
        judge(xero, two_way)


NOT_ALLOWED: dict[str, dict[str, Any]] = {
    "a scope is missing": {
        "kind": "remove_scope",
        "parameters": {"scope": "accounting.payments"},
    },
    "the person's role in Xero is too small": {"kind": "forbidden"},
}


@pytest.mark.parametrize("fault", NOT_ALLOWED.values(), ids=list(NOT_ALLOWED))
def test_a_change_that_we_lack_the_permission_for_waits_and_the_reading_goes_on(
    xero: Xero, two_way: Connection, fault: dict[str, Any]
) -> None:
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.fault(method="PUT", path="/Payments", count=None, **fault)
    xero.later(1)
    begun = xero.clock.now()
    done(xero.sync(two_way))
    assert (two_way.state, two_way.failures, two_way.error_code) == ("live", 0, "")
    assert two_way.checked_at is not None
    assert two_way.checked_at >= begun
    item = OutboxItem.objects.get()
    assert (item.state, item.error_code) == (State.PARKED, "write_permission_missing")
    tried = xero.mutating()
    xero.later(15)
    done(xero.sync(two_way))
    assert xero.mutating() == tried  # it is not tried with every sync
    xero.heal()
    done(xero.sync(two_way, kind=Run.Kind.AUDIT))  # but with every full reading
    bill.refresh_from_db()
    item.refresh_from_db()
    assert (bill.paid, item.state) == (10, State.DONE)


def test_an_organisation_that_was_taken_from_us_is_lost_when_we_write_too(
    xero: Xero, two_way: Connection
) -> None:
    pay(open_bill(two_way), two_way, Decimal("10"))
    gone = {"tenant": xero.tenant()}
    xero.fault("hide_tenant", method="PUT", path="/Payments", parameters=gone)
    xero.fault("hide_tenant", path="/connections", parameters=gone)
    failed(xero.sync(two_way), "removed_in_xero")
    assert two_way.state == Connection.State.LOST
    assert OutboxItem.objects.get().state == State.WAITING


def test_a_403_after_a_disconnect_that_wiped_the_tokens_is_no_error_of_ours(
    xero: Xero, two_way: Connection
) -> None:
    """The run slept between its call and the look at why; what it holds of the row is old."""
    row = Connection.objects.get(pk=two_way.pk)
    TokenSet.objects.all().delete()
    told = calls.look_closer(row, Problem("removed_in_xero"), xero.clock, lacks="read_only")
    assert told.code == "consent_lost"


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_that_is_taken_back_posts_nothing_twice(
    xero: Xero, two_way: Connection, kind: str
) -> None:
    """I-53: our books are those of before the sending, Xero's are not."""
    begin, _ = KINDS[kind]
    check = begin(xero, two_way)
    with undone():
        assert push(xero, two_way).state == Run.State.DONE
        new_process()
    quiet(xero, two_way)
    for item in OutboxItem.objects.filter(kind=OutboxItem.Kind.CONTACT, state=State.PARKED):
        outbox.decide_contact(item, item.detail["contacts"][0]["id"], None, NOW)
    quiet(xero, two_way)
    check()
    judge(xero, two_way)


def test_an_edit_that_nobody_would_send_is_sent_once_xero_speaks_of_the_bill(
    xero: Xero, two_way: Connection
) -> None:
    """I-27: whatever became of its intention."""
    bill = open_bill(two_way)
    edit(bill, reference="mine")
    OutboxItem.objects.all().delete()
    xero.act("edit-invoice", invoice=bill.number, url="https://x.test/theirs")
    quiet(xero, two_way)
    assert invoice_of(xero, bill).reference == "mine"
    judge(xero, two_way)
