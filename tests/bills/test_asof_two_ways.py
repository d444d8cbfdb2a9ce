"""I-31 while changes go both ways: edits leave, arrive, collide, are refused or taken back, and
every past moment of every bill is still rebuilt from its history.

The everyday run lives through two random stories, the full run through six.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.bills.given import HOSTILE, a_client, act, bill_entry
from tests.bills.test_asof import FULL, Diary, note_all, xero_acts
from tests.fixtures.xero import Xero
from tests.sync.given import invoice_of, open_bill
from tests.sync.hands import bill_of, sales

from justpayme.accounts.models import User
from justpayme.bills import actions, deciding
from justpayme.bills.actions import Act
from justpayme.bills.models import Bill, Client, HistoryEntry, Payment
from justpayme.core.entry import BillEntry, PaymentEntry
from justpayme.sync import revert, runs
from justpayme.sync.models import Conflict, Connection, Link, OutboxItem, Run

pytestmark = pytest.mark.django_db(transaction=True)

FAULTS = ("lose_answer", "timeout_before", "timeout_after", "write_500")


def person_acts(chance: random.Random, bill: Bill, clients: list[Client], doing: Act) -> None:
    """One verb on this bill; one that is not possible now is refused and changes nothing."""
    bill.refresh_from_db()
    entry, pk = actions.entry_of(bill), bill.pk
    payments = list(bill.payments.values_list("pk", flat=True)) or [0]
    open_ones = list(Conflict.objects.filter(bill=bill, state="open").values_list("pk", flat=True))
    due = doing.now.date() + timedelta(days=chance.randint(0, 9))
    amount = Decimal(chance.choice(("0.01", "1", str(bill.outstanding))))
    other = replace(entry.lines[0], unit_amount=Decimal(chance.choice(("7.5", "100"))))
    verbs: list[Callable[[], Any]] = [
        lambda: edit(doing, pk, replace(entry, reference=chance.choice((HOSTILE, "PO 7", "")))),
        lambda: edit(doing, pk, replace(entry, due_on=due)),
        lambda: edit(doing, pk, replace(entry, lines=(other, *entry.lines[1:]))),
        lambda: edit(doing, pk, replace(entry, client_id=chance.choice(clients).pk)),
        lambda: actions.payment_record(
            act=doing, bill_id=pk, entry=PaymentEntry(amount, doing.today, chance.choice(("", "x")))
        ),
        lambda: actions.payment_remove(act=doing, bill_id=pk, payment_id=chance.choice(payments)),
        lambda: deciding.bill_discard(act=doing, bill_id=pk),
        lambda: deciding.conflict_resolve(
            act=doing, conflict_ids=open_ones, choice=chance.choice(("mine", "xero"))
        ),
    ]
    if chance.random() < 0.03:
        verbs = [lambda: actions.bill_void(act=doing, bill_id=pk)]
    try:
        chance.choice(verbs)()
    except (actions.ActionError, Payment.DoesNotExist):
        return


def edit(doing: Act, pk: int, entry: BillEntry) -> None:
    actions.bill_edit(act=doing, bill_id=pk, entry=entry)


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
        link = Link.objects.filter(bill=chance.choice(bills)).first()
        if link is not None:
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


@pytest.mark.parametrize("seed", range(6 if FULL else 2))
def test_every_past_moment_of_bills_that_go_both_ways_is_rebuilt(
    xero: Xero, two_way: Connection, alice: User, seed: int
) -> None:
    """Two of the bills begin here and become invoices on the way."""
    chance = random.Random(seed)
    ids = [i.id for i in sales(xero, "AUTHORISED")[:5]]
    bills = [bill_of(two_way, one) for one in ids]
    clients = [
        a_client(alice, "Made Here Ltd"),
        *(b.client for b in bills if not b.client.archived),
    ]
    bills += [new_bill(xero, two_way, alice, client) for client in clients[:2]]
    diary = Diary(two_way.business)
    note_all(diary, bills, xero)
    for _ in range(30):
        if chance.random() < 0.5:
            xero.clock.advance(1)
            doing = act(alice, now=xero.clock.now())
            person_acts(chance, chance.choice(bills), clients, doing)
        else:
            world_turns(chance, xero, two_way, ids, bills)
        note_all(diary, bills, xero)
    assert diary.check() == 31 * len(bills)
    assert OutboxItem.objects.filter(state=OutboxItem.State.DONE).exists()
    assert HistoryEntry.objects.filter(source=HistoryEntry.Source.WRITE_BACK).exists()


def new_bill(xero: Xero, connection: Connection, user: User, client: Client) -> Bill:
    """A bill made here that shall be in Xero too."""
    doing = act(user, now=xero.clock.now())
    entry = bill_entry(client, currency=connection.currency)
    return actions.bill_create(act=doing, entry=entry, approve=True, also_in_xero=connection.pk)


# --- what the history says of what was sent ------------------------------------------------------


def sent_entries(bill: Bill) -> list[HistoryEntry]:
    return list(bill.history.filter(source=HistoryEntry.Source.WRITE_BACK).order_by("id"))


@pytest.mark.parametrize("fault", [None, "lose_answer", "timeout_after"])
def test_an_edit_that_reached_xero_is_told_once_field_by_field(
    xero: Xero, two_way: Connection, alice: User, fault: str | None
) -> None:
    """Also when only a later look at the invoice tells that it arrived."""
    bill = open_bill(two_way)
    was = bill.reference
    entry = replace(actions.entry_of(bill), reference=HOSTILE)
    actions.bill_edit(act=act(alice, now=xero.clock.now()), bill_id=bill.pk, entry=entry)
    if fault:
        xero.fault(fault, method="POST", path="/invoices", count=1)
    for _ in range(8):
        run(two_way, xero)
        xero.later(1)
    (sent,) = sent_entries(bill)
    assert (sent.action, sent.changes) == (
        "sent",
        [{"field": "reference", "old": was, "new": HOSTILE}],
    )
    assert Run.objects.get(pk=sent.run).connection == two_way
    assert invoice_of(xero, bill).reference == HOSTILE


@pytest.mark.parametrize("fault", [None, "lose_answer", "timeout_after"])
def test_a_payment_that_reached_xero_and_back_is_told_once_each(
    xero: Xero, two_way: Connection, alice: User, fault: str | None
) -> None:
    bill = open_bill(two_way)
    steps: list[Callable[[Act], Any]] = [
        lambda doing: actions.payment_record(
            act=doing, bill_id=bill.pk, entry=PaymentEntry(Decimal(10), doing.today)
        ),
        lambda doing: actions.payment_remove(
            act=doing, bill_id=bill.pk, payment_id=Payment.objects.get(bill=bill).pk
        ),
    ]
    for step in steps:
        step(act(alice, now=xero.clock.now()))
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
