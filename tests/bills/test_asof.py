"""I-31: any past state of a bill is rebuilt from its history and equals what stood there then.

The everyday run lives through two random stories of each kind, the full run through all.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.db import connection as database
from msgspec.structs import replace as replaced
from psycopg.errors import UniqueViolation
from tests.bills.given import HOSTILE, NOW, a_bill, a_client, act, line
from tests.extent import FULL
from tests.fixtures.xero import Xero
from tests.sync.hands import bill_of, done, sales, stamp_of

from justpayme.accounts.models import Business, User
from justpayme.bills import actions, asof, queries
from justpayme.bills.models import Bill, Client, HistoryEntry, Payment
from justpayme.core.bill import BillFields, Status
from justpayme.core.entry import PaymentEntry
from justpayme.core.timeline import read_entry, redo, undo
from justpayme.sync.models import ClientLink, Connection

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def books(business: Business) -> queries.Books:
    return queries.open_books(business, NOW)


def stands(bill: Bill) -> BillFields:
    """The bill as the database has it now."""
    return Bill.objects.get(pk=bill.pk).told()


class Diary:
    """Notes what a bill says after each step; the history must tell the same later."""

    def __init__(self, business: Business) -> None:
        self.business = business
        self.notes: dict[int, list[tuple[datetime, BillFields]]] = {}

    def note(self, bill: Bill, at: datetime) -> None:
        self.notes.setdefault(bill.pk, []).append((at, stands(bill)))

    def check(self) -> int:
        """Every note against the rebuilt past; how many were compared."""
        known = books(self.business)
        for pk, notes in self.notes.items():
            assert asof.gaps_of(known, pk) == []
            for at, then in notes:
                past = asof.bill_at(known, pk, at)
                assert (past.fields, past.doubtful) == (then, ()), (pk, at)
        return sum(map(len, self.notes.values()))


# --- what people do here -------------------------------------------------------------------------


def some_lines(chance: random.Random) -> tuple[Any, ...]:
    return tuple(
        line(
            description=chance.choice(("Fitting", HOSTILE, "Łódź 🧾")),
            quantity=Decimal(chance.choice(("1", "0.5", "3"))),
            unit_amount=Decimal(chance.choice(("100", "19.99", "0.01"))),
            discount_rate=Decimal(chance.choice(("0", "10"))),
            tax_rate=Decimal(chance.choice(("0", "20"))),
        )
        for _ in range(chance.randint(1, 3))
    )


def person_acts(chance: random.Random, bill: Bill, clients: list[Client], doing: Any) -> None:
    """One verb on this bill; one that is not possible now is refused and changes nothing."""
    bill.refresh_from_db()
    entry = actions.entry_of(bill)
    payments = list(bill.payments.values_list("pk", flat=True))
    verbs: list[Callable[[], Any]] = [
        lambda: actions.bill_edit(
            act=doing, bill_id=bill.pk, entry=replace(entry, lines=some_lines(chance))
        ),
        lambda: actions.bill_edit(
            act=doing,
            bill_id=bill.pk,
            entry=replace(entry, client_id=chance.choice(clients).pk, reference=HOSTILE),
        ),
        lambda: actions.bill_edit(
            act=doing,
            bill_id=bill.pk,
            entry=replace(entry, due_on=NOW.date() + timedelta(days=chance.randint(0, 9))),
        ),
        lambda: actions.bill_approve(act=doing, bill_id=bill.pk),
        lambda: actions.payment_record(
            act=doing, bill_id=bill.pk, entry=PaymentEntry(Decimal("0.01"), NOW.date(), HOSTILE)
        ),
        lambda: actions.payment_record(
            act=doing, bill_id=bill.pk, entry=PaymentEntry(bill.outstanding, NOW.date())
        ),
        lambda: actions.payment_remove(
            act=doing, bill_id=bill.pk, payment_id=chance.choice(payments or [0])
        ),
    ]
    if chance.random() < 0.05:
        verbs = [lambda: actions.bill_void(act=doing, bill_id=bill.pk)]
    try:
        chance.choice(verbs)()
    except (actions.Refused, actions.Locked, Payment.DoesNotExist):
        return


@pytest.mark.parametrize("seed", range(8 if FULL else 2))
def test_every_past_moment_of_bills_made_here_is_rebuilt(
    alice: User, business: Business, seed: int
) -> None:
    chance = random.Random(seed)
    clients = [a_client(alice, name) for name in ("Castlefield", HOSTILE, "Castlefield")]
    diary, now = Diary(business), NOW
    bills = [a_bill(alice, chance.choice(clients), approve=chance.random() < 0.5) for _ in "ab"]
    for bill in bills:
        diary.note(bill, now)
    for _ in range(40):
        now += SECOND
        bill = chance.choice(bills)
        person_acts(chance, bill, clients, act(alice, now=now))
        diary.note(bill, now)
    assert diary.check() == 42


# --- what comes from Xero ------------------------------------------------------------------------


def xero_acts(chance: random.Random, xero: Xero, ids: list[str]) -> None:
    """Something that a person does in Xero to one of these invoices."""
    ledger = xero.ledger()
    open_ones = [i for i in sales(xero, "AUTHORISED") if i.id in ids]
    if not open_ones:
        return
    target = chance.choice(open_ones)
    contacts = sorted(c.id for c in ledger.contacts.rows.values() if c.status == "ACTIVE")
    payments = sorted(
        pk for pk in ledger.payments_of[target.id] if ledger.payments.get(pk).status == "AUTHORISED"
    )
    acts: list[Callable[[], Any]] = [
        lambda: xero.act("edit-invoice", invoice=target.id, due_date="2028-02-29"),
        lambda: xero.act("edit-invoice", invoice=target.id, reference=HOSTILE),
        lambda: xero.act("record-payment", invoice=target.id, amount="0.01"),
    ]
    if payments:
        acts += [lambda: xero.act("remove-payment", payment=chance.choice(payments))]
    if target.amount_due == target.total:
        amount = chance.choice(("777.77", "0.5"))
        acts += [
            lambda: xero.act("edit-line", invoice=target.id, line="0", unit_amount=amount),
            lambda: xero.act("edit-invoice", invoice=target.id, contact=chance.choice(contacts)),
        ]
        if chance.random() < 0.05:
            acts = [lambda: xero.act("void-invoice", invoice=target.id)]
    chance.choice(acts)()


def contacts_are_merged(chance: random.Random, xero: Xero, ids: list[str]) -> None:
    """In Xero, the contact of one of these invoices becomes part of another."""
    invoices = xero.ledger().invoices
    loser, survivor = (invoices.get(one).contact_id for one in chance.sample(ids, 2))
    if loser != survivor:
        row = xero.ledger().contacts.get(loser)
        xero.clock.advance(1)
        gone = replaced(row, status="ARCHIVED", merged_to=survivor, updated=stamp_of(xero))
        xero.app.store.save(xero.tenant(), gone)


def part(connection: Connection) -> None:
    Connection.objects.filter(pk=connection.pk).update(state=Connection.State.DISCONNECTED)


def rejoin(connection: Connection) -> None:
    Connection.objects.filter(pk=connection.pk).update(
        state=Connection.State.LIVE, imported_at=None, audited_at=None, checked_at=None
    )
    connection.cursors.all().delete()


@pytest.mark.parametrize("seed", range(6 if FULL else 2))
def test_every_past_moment_of_bills_from_xero_is_rebuilt(
    xero: Xero, imported: Connection, alice: User, seed: int
) -> None:
    """Also what people did while the organisation was disconnected, and what Xero then overrode."""
    chance = random.Random(seed)
    ids = [i.id for i in sales(xero, "AUTHORISED")[:5]]
    bills = [bill_of(imported, one) for one in ids]
    clients = [a_client(alice, HOSTILE), *(bill.client for bill in bills)]
    diary = Diary(imported.business)
    for parted in [False, True, False, True, False, False]:
        if parted:
            part(imported)
        for _ in range(6):
            xero.clock.advance(1)
            if parted:
                person_acts(chance, chance.choice(bills), clients, act(alice, now=xero.clock.now()))
            xero_acts(chance, xero, ids)
            note_all(diary, bills, xero)
        if parted:
            rejoin(imported)
        elif chance.random() < 0.5:
            contacts_are_merged(chance, xero, ids)
        xero.later(1)
        done(xero.sync(imported))
        note_all(diary, bills, xero)
    assert diary.check() == 42 * len(bills)


def note_all(diary: Diary, bills: list[Bill], xero: Xero) -> None:
    for bill in bills:
        diary.note(bill, xero.clock.now())


# --- one by one ----------------------------------------------------------------------------------


def test_replaying_forward_from_the_first_entry_gives_todays_bill(
    alice: User, business: Business
) -> None:
    """I-31: what undoing gives for the start, redoing leads back from."""
    bill = a_bill(alice)
    entry = replace(actions.entry_of(bill), reference=HOSTILE, lines=(line(), line()))
    actions.bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)
    first = bill.history.order_by("id")[0]
    start = asof.bill_after(books(business), bill.pk, first.pk).fields
    assert (start.status, start.reference, len(start.lines)) == (Status.DRAFT, "", 1)
    history = [
        read_entry(e.pk, e.changes, lambda mark: str(mark["id"]))
        for e in bill.history.order_by("id")
    ]
    assert reduce(redo, history, start) == stands(bill)
    assert reduce(undo, reversed(history), stands(bill)) == start


def test_before_its_first_entry_a_bill_was_not_there(alice: User, business: Business) -> None:
    bill = a_bill(alice)
    with pytest.raises(asof.NotYet) as refused:
        asof.bill_at(books(business), bill.pk, NOW - SECOND)
    assert refused.value.first == NOW


def test_entries_of_the_same_instant_are_told_apart_by_their_order(
    alice: User, business: Business
) -> None:
    """The bill at an instant is the one after all of it; each entry still leads to its own."""
    bill = a_bill(alice, number="B-1")
    for number in ("B-2", "B-3"):
        entry = replace(actions.entry_of(bill), number=number)
        bill = actions.bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)
    known = books(business)
    assert asof.bill_at(known, bill.pk, NOW).fields.number == "B-3"
    after = [asof.bill_after(known, bill.pk, e.pk) for e in bill.history.order_by("id")]
    assert [p.fields.number for p in after] == ["B-1", "B-1", "B-2", "B-3"]


def test_a_clock_that_stepped_back_tears_no_bill_apart(alice: User, business: Business) -> None:
    """F14: the order of entries is the order of changes, whatever their times say."""
    bill = a_bill(alice, number="B-1")
    for back, number in ((5, "B-2"), (60, "B-3")):
        entry = replace(actions.entry_of(bill), number=number)
        doing = act(alice, now=NOW - back * SECOND)
        bill = actions.bill_edit(act=doing, bill_id=bill.pk, entry=entry)
    known = books(business)
    assert asof.gaps_of(known, bill.pk) == []
    assert asof.bill_at(known, bill.pk, NOW).fields.number == "B-3"


def test_a_change_without_an_entry_is_found_and_told(alice: User, business: Business) -> None:
    """Somebody with the database's password is not kept out, but noticed."""
    bill = a_bill(alice, reference="as agreed")
    entry = replace(actions.entry_of(bill), reference="PO 7")
    actions.bill_edit(act=act(alice, now=NOW + SECOND), bill_id=bill.pk, entry=entry)
    Bill.objects.filter(pk=bill.pk).update(reference="forged")
    known, last = books(business), bill.history.order_by("-id")[0]
    assert asof.gaps_of(known, bill.pk) == [(last.pk, "reference")]
    assert asof.bill_at(known, bill.pk, NOW + SECOND).doubtful == ("reference",)
    earlier = asof.bill_at(known, bill.pk, NOW)
    assert (earlier.fields.reference, earlier.doubtful) == ("as agreed", ())


def legacy(bill: Bill, old: str, new: str) -> HistoryEntry:
    """An entry as the first version of the program wrote it."""
    return HistoryEntry.objects.create(
        business=bill.business,
        bill=bill,
        at=NOW + SECOND,
        source=HistoryEntry.Source.PERSON,
        action="edited",
        changes=[{"field": "client", "old": old, "new": new}],
    )


def test_an_old_entry_that_names_the_client_is_understood(alice: User, business: Business) -> None:
    before, after = a_client(alice, "Łódź <b>"), a_client(alice, "Castlefield")
    bill = a_bill(alice, after)
    legacy(bill, before.name, after.name)
    past = asof.bill_at(books(business), bill.pk, NOW)
    assert (past.bill.client, past.doubtful) == (before, ())


def test_an_old_entry_with_xeros_contact_is_understood(imported: Connection) -> None:
    one, other = ClientLink.objects.order_by("pk")[:2]
    bill = Bill.objects.filter(client=other.client)[0]
    entry = legacy(bill, str(one.contact_id).upper(), str(other.contact_id))
    known = books(imported.business)
    assert asof.gaps_of(known, bill.pk) == []
    assert asof.bill_after(known, bill.pk, entry.pk).bill.client == other.client
    first = bill.history.order_by("id")[0]
    assert asof.bill_after(known, bill.pk, first.pk).bill.client == one.client


def test_a_name_that_two_clients_have_is_shown_and_not_guessed(
    alice: User, business: Business
) -> None:
    twins, now = [a_client(alice, "Castlefield") for _ in range(2)], a_client(alice, "Angling")
    bill = a_bill(alice, now)
    legacy(bill, twins[0].name, now.name)
    past = asof.bill_at(books(business), bill.pk, NOW)
    assert (past.bill.client.pk, past.bill.client.name) == (None, "Castlefield")


def test_what_was_sent_to_xero_did_not_change_our_row(alice: User, business: Business) -> None:
    bill = a_bill(alice, reference="typed here")
    HistoryEntry.objects.create(
        business=business,
        bill=bill,
        at=NOW + SECOND,
        source=HistoryEntry.Source.WRITE_BACK,
        action=HistoryEntry.SENT,
        run=7,
        changes=[{"field": "reference", "old": "as in Xero", "new": "typed here"}],
    )
    assert asof.gaps_of(books(business), bill.pk) == []
    assert asof.bill_at(books(business), bill.pk, NOW).fields.reference == "typed here"


def test_nobody_reads_the_past_of_anothers_bill(
    alice: User, business: Business, charlie: User, other_business: Business
) -> None:
    """I-48."""
    bill, own = a_bill(alice), a_bill(charlie)
    first = bill.history.order_by("id")[0]
    with pytest.raises(Bill.DoesNotExist):
        asof.bill_at(books(other_business), bill.pk, NOW)
    with pytest.raises(HistoryEntry.DoesNotExist):
        asof.bill_after(books(other_business), own.pk, first.pk)


# --- the database keeps it -----------------------------------------------------------------------

REWRITES = {
    "update": "UPDATE bills_historyentry SET note = 'never'",
    "one column": "UPDATE bills_historyentry SET by_id = NULL",
    "delete": "DELETE FROM bills_historyentry",
    "truncate": "TRUNCATE bills_historyentry",
    "truncate from above": "TRUNCATE bills_bill CASCADE",
    "on conflict": "INSERT INTO bills_historyentry SELECT * FROM bills_historyentry LIMIT 1 "
    "ON CONFLICT (id) DO UPDATE SET note = 'never'",
    "merge": "MERGE INTO bills_historyentry h USING (SELECT 1) s ON true "
    "WHEN MATCHED THEN UPDATE SET note = 'never'",
    "copy over a number": "INSERT INTO bills_historyentry SELECT * FROM bills_historyentry",
    "delete the bill": "DELETE FROM bills_bill; SET CONSTRAINTS ALL IMMEDIATE",
    "as a replica": "SET LOCAL session_replication_role = replica; "
    "UPDATE bills_historyentry SET note = 'never'",
    "clients": "UPDATE bills_clienthistory SET action = 'never'",
    "clients away": "TRUNCATE bills_clienthistory",
    "rewriting while a business is erased": "SET LOCAL justpayme.erase_business = 'on'; "
    "UPDATE bills_historyentry SET note = 'never'",
}


@pytest.mark.parametrize("statement", REWRITES.values(), ids=REWRITES)
def test_no_statement_changes_what_a_history_says(alice: User, statement: str) -> None:
    """I-31: as the application's own user of the database, whatever the statement."""
    bill = a_bill(alice)
    before = print_of_histories()
    with pytest.raises(DatabaseError), transaction.atomic(), database.cursor() as cursor:
        cursor.execute(statement)
    assert print_of_histories() == before
    assert bill.history.exists()


def test_copy_can_only_add(alice: User) -> None:
    bill = a_bill(alice)
    first = bill.history.order_by("id")[0]
    columns = "id, business_id, bill_id, at, source, action, changes, note"
    row = [first.pk, first.business_id, bill.pk, NOW, "person", "never", "[]", ""]
    with (
        pytest.raises(UniqueViolation),
        transaction.atomic(),
        database.cursor() as cursor,
        cursor.copy(f"COPY bills_historyentry ({columns}) FROM STDIN") as target,
    ):
        target.write_row(row)
    first.refresh_from_db()
    assert first.action == "created"


def test_a_bill_with_a_history_can_not_be_deleted(alice: User) -> None:
    bill = a_bill(alice)
    with pytest.raises(DatabaseError), transaction.atomic():
        bill.delete()
    assert Bill.objects.filter(pk=bill.pk).exists()


def test_erasing_a_business_may_delete_and_says_so_first(alice: User) -> None:
    bill = a_bill(alice)
    with database.cursor() as cursor:
        cursor.execute("SET LOCAL justpayme.erase_business = 'on'")
        cursor.execute("DELETE FROM bills_historyentry WHERE bill_id = %s", [bill.pk])
    assert not bill.history.exists()


def print_of_histories() -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT 'bill', h::text FROM bills_historyentry h "
            "UNION ALL SELECT 'client', c::text FROM bills_clienthistory c ORDER BY 1, 2"
        )
        return cursor.fetchall()
