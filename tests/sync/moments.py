"""For tests that try one thing many times: go back in time in both books, and judge the end."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from tests.fixtures.xero import Xero
from tests.sync.hands import undone

from justpayme.bills.models import Bill
from justpayme.core.bill import Status
from justpayme.core.outbox import has_marker
from justpayme.sync import runs
from justpayme.sync.models import IN_FLIGHT, Connection, Link, OutboxItem, Run, Shipment
from justpayme.sync.under_way import WATCH
from justpayme.sync.verify import verify

_STORE = ("ledgers", "connections", "codes", "refresh_tokens", "settings", "answers")
State = OutboxItem.State


@contextmanager
def once_more(xero: Xero) -> Iterator[None]:
    """Whatever happens inside, in our books or in Xero's, is taken back afterwards."""
    store, frozen = xero.app.store, xero.frozen
    kept = {name: copy.deepcopy(getattr(store, name)) for name in _STORE}
    now = frozen.now()
    try:
        with undone():
            try:
                yield
            finally:
                new_process()
    finally:
        xero.heal()
        frozen.advance((now - frozen.now()).total_seconds())
        for name, value in kept.items():
            setattr(store, name, value)
        xero.reset_log()


def new_process() -> None:
    """What a process knew by its own clock is gone."""
    for shipment in Shipment.objects.all():
        WATCH.forget(shipment.pk)


def sync(xero: Xero, connection: Connection) -> Run | None:
    """One run as the schedule starts it, if one may start."""
    return runs.run_sync(connection.pk, cause=Run.Cause.SCHEDULE, clock=xero.clock)


def quiet(xero: Xero, connection: Connection, *, steps: int = 36) -> None:
    """Let time pass until nothing is on its way any more, then look once more at everything."""
    for _ in range(steps):
        xero.later(0.5)
        xero.late()  # due ones land
        sync(xero, connection)
        moving = OutboxItem.objects.filter(state__in=(State.WAITING, *IN_FLIGHT))
        if not moving.exists() and not any(x["status"] == 0 for x in xero.late()):
            break
    xero.later(2)
    last = sync(xero, connection)
    assert last is not None
    assert last.state == Run.State.DONE, last.error_text
    connection.refresh_from_db()


def judge(xero: Xero, connection: Connection) -> None:
    """Both books are equal, everything happened at most once, nothing is left under way."""
    found = verify(connection, xero.clock).differences
    assert not found, [f"{d.number} {d.field}: {d.ours} / {d.xero}" for d in found]
    assert not OutboxItem.objects.filter(state__in=(State.WAITING, *IN_FLIGHT)).exists()
    _judge_bills(connection)
    _judge_xero(xero)
    _judge_keys(xero)


def _judge_bills(connection: Connection) -> None:
    """I-3 and I-16."""
    bills = Bill.objects.filter(link__connection=connection)
    for bill in bills.filter(status__in=(Status.ACTIVE, Status.PAID)).prefetch_related("payments"):
        assert bill.total == bill.outstanding + bill.paid + bill.credited, bill
        paid = [p.amount for p in bill.payments.all() if p.kind == "payment"]
        assert sum(paid, Decimal(0)) == bill.paid, bill
        assert all(p.remote_id for p in bill.payments.all()), bill
    edited = Link.objects.filter(connection=connection, edited=True)
    assert not edited.exclude(bill__outbox__state__in=(State.REFUSED, State.PARKED)).exists(), (
        "an edit that nobody will send"
    )


def _judge_xero(xero: Xero) -> None:
    """I-13: every marker is in Xero at most once."""
    ledger = xero.ledger()
    references = [p.reference for p in ledger.payments.rows.values()]
    for item in OutboxItem.objects.filter(kind=OutboxItem.Kind.PAY):
        found = [r for r in references if has_marker(r, item.marker)]
        assert len(found) <= 1, f"paid {len(found)} times"
        assert len(found) == (1 if item.state == State.DONE else len(found)), item
    contacts = Counter(c.number for c in ledger.contacts.rows.values() if c.number)
    assert all(count == 1 for count in contacts.values()), contacts
    names = Counter(
        c.name for c in ledger.contacts.rows.values() if getattr(c, "status", "") == "ACTIVE"
    )
    assert all(count == 1 for count in names.values())


def _judge_keys(xero: Xero) -> None:
    """I-18: a key belongs to one request for ever, and to one organisation."""
    by_key: dict[str, set[Any]] = defaultdict(set)
    for call in xero.writes():
        by_key[call["idempotency_key"]].add((call["method"], call["path"], call["body"]))
    assert all(len(requests) == 1 for requests in by_key.values())
    assert all(xero.tenant() in key for key in by_key)
    assert Shipment.objects.count() <= 60
