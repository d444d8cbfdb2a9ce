"""I-31 while changes go both ways: edits leave, arrive, collide, are refused or taken back, and
every past moment of every bill is still rebuilt from its history."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from tests.bills.given import HOSTILE
from tests.bills.test_asof import Diary, note_all, xero_acts
from tests.fixtures.xero import Xero
from tests.sync.given import invoice_of, open_bill, pay, unpay
from tests.sync.hands import bill_of, sales

from justpayme.bills.models import Bill, HistoryEntry, Payment
from justpayme.core.bill import to_plain
from justpayme.core.merge import changes
from justpayme.sync import outbox, revert, runs
from justpayme.sync.models import Conflict, Connection, Link, OutboxItem, Run

pytestmark = pytest.mark.django_db(transaction=True)

FAULTS = ("lose_answer", "timeout_before", "timeout_after", "write_500")


def told(bill: Bill, xero: Xero, act: Callable[[], Any]) -> None:
    """What a person does to a linked bill, and its entry, in one transaction."""
    xero.clock.advance(1)
    with transaction.atomic():
        before = Bill.objects.get(pk=bill.pk).told()
        act()
        after = Bill.objects.get(pk=bill.pk).told()
        plain = [
            {"field": name, "old": to_plain(old), "new": to_plain(new)}
            for name, old, new in changes(before, after)
        ]
        HistoryEntry.objects.create(
            business_id=bill.business_id,
            bill=bill,
            at=xero.clock.now(),
            source=HistoryEntry.Source.PERSON,
            action="edited",
            changes=plain,
        )


def edit(bill: Bill, connection: Connection, xero: Xero, **values: Any) -> None:
    Bill.objects.filter(pk=bill.pk).update(**values)
    Link.objects.filter(bill=bill).update(edited=True)
    outbox.enqueue_update(Bill.objects.get(pk=bill.pk), connection, None, xero.clock.now())


def person_acts(chance: random.Random, bill: Bill, connection: Connection, xero: Xero) -> None:
    bill.refresh_from_db()
    if bill.status not in ("active", "paid"):
        return
    payments = list(Payment.objects.filter(bill=bill, kind="payment"))
    due = xero.clock.now().date() + timedelta(days=chance.randint(0, 9))
    acts: list[Callable[[], Any]] = [
        lambda: edit(bill, connection, xero, reference=chance.choice((HOSTILE, "PO 7", ""))),
        lambda: edit(bill, connection, xero, due_on=due),
    ]
    if bill.outstanding > 1:
        acts.append(lambda: pay(bill, connection, Decimal(chance.choice(("0.01", "1")))))
    if payments:
        acts.append(lambda: unpay(bill, connection, chance.choice(payments)))
    told(bill, xero, chance.choice(acts))


def world_turns(
    chance: random.Random, xero: Xero, connection: Connection, ids: list[str], bills: list[Bill]
) -> None:
    """Something that is no person's edit here: Xero, a sync, a fault, edits taken back."""
    xero.clock.advance(1)
    kind = chance.randrange(6)
    if kind == 0:
        xero_acts(chance, xero, ids)
    elif kind == 1:
        method, path = chance.choice((("PUT", "/payments"), ("POST", "/invoices")))
        xero.fault(chance.choice(FAULTS), method=method, path=path, count=1)
        run(connection, xero)
    elif kind == 2:
        link = Link.objects.get(bill=chance.choice(bills))
        revert.to_base(link, None, xero.clock.now(), keep=chance.random() < 0.5)
    elif kind == 3:
        xero.heal()
        xero.later(chance.choice((0.5, 3, 15)))
        run(connection, xero)
    else:
        run(connection, xero)


def run(connection: Connection, xero: Xero) -> None:
    """A run, if one may start: after a failure there is a pause."""
    runs.run_sync(connection.pk, cause=Run.Cause.PERSON, clock=xero.clock)


@pytest.mark.parametrize("seed", range(6))
def test_every_past_moment_of_bills_that_go_both_ways_is_rebuilt(
    xero: Xero, two_way: Connection, seed: int
) -> None:
    chance = random.Random(seed)
    ids = [i.id for i in sales(xero, "AUTHORISED")[:5]]
    bills = [bill_of(two_way, one) for one in ids]
    diary = Diary(two_way.business)
    note_all(diary, bills, xero)
    for _ in range(30):
        if chance.random() < 0.5:
            person_acts(chance, chance.choice(bills), two_way, xero)
        else:
            world_turns(chance, xero, two_way, ids, bills)
        note_all(diary, bills, xero)
    assert diary.check() == 31 * len(bills)
    assert OutboxItem.objects.filter(state=OutboxItem.State.DONE).exists()
    assert HistoryEntry.objects.filter(source=HistoryEntry.Source.WRITE_BACK).exists()
    assert Conflict.objects.count() < 100


# --- what the history says of what was sent ------------------------------------------------------


def sent_entries(bill: Bill) -> list[HistoryEntry]:
    return list(bill.history.filter(source=HistoryEntry.Source.WRITE_BACK).order_by("id"))


@pytest.mark.parametrize("fault", [None, "lose_answer", "timeout_after"])
def test_an_edit_that_reached_xero_is_told_once_field_by_field(
    xero: Xero, two_way: Connection, fault: str | None
) -> None:
    """Also when only a later look at the invoice tells that it arrived."""
    bill = open_bill(two_way)
    was = bill.reference
    told(bill, xero, lambda: edit(bill, two_way, xero, reference=HOSTILE))
    if fault:
        xero.fault(fault, method="POST", path="/invoices", count=1)
    for _ in range(8):
        run(two_way, xero)
        xero.later(1)
    (entry,) = sent_entries(bill)
    assert (entry.action, entry.changes) == (
        "sent",
        [{"field": "reference", "old": was, "new": HOSTILE}],
    )
    assert Run.objects.get(pk=entry.run).connection == two_way
    assert invoice_of(xero, bill).reference == HOSTILE


@pytest.mark.parametrize("fault", [None, "lose_answer", "timeout_after"])
def test_a_payment_that_reached_xero_and_back_is_told_once_each(
    xero: Xero, two_way: Connection, fault: str | None
) -> None:
    bill = open_bill(two_way)
    steps: list[Callable[[], Any]] = [
        lambda: pay(bill, two_way, Decimal(10)),
        lambda: unpay(bill, two_way, Payment.objects.get(bill=bill)),
    ]
    for step in steps:
        told(bill, xero, step)
        if fault:
            xero.fault(fault, method="PUT", path="/payments", count=1)
            xero.fault(fault, method="POST", path="/payments", count=1)
        for _ in range(12):
            run(two_way, xero)
            xero.later(1)
    paid, taken = (entry.changes[0] for entry in sent_entries(bill))
    assert (paid["old"], Decimal(paid["new"][0]["amount"])) == ([], 10)
    assert (Decimal(taken["old"][0]["amount"]), taken["new"]) == (10, [])
    bill.refresh_from_db()
    assert (bill.paid, bill.payments.count()) == (0, 0)
