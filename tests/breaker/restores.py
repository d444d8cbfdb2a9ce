"""A backup is taken back while Xero and our people went on (F17): histories by seed.

    history ─▶ backup ─▶ more history ─▶ a minute, a day or a week later: our books are those of
    the backup, Xero's are not ─▶ what the operator does ─▶ quiet ─▶ judge

Everybody acts through the real verbs and Xero's own hands. What Xero shows afterwards is what it
showed before, but for what the backup still held as unsent.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from django.db import connection as database
from tests.breaker.interleave import Snapshot
from tests.breaker.stage import copy_store, put_back
from tests.breaker.world import World, new_process, people_of, quiet, sync

from justpayme.accounts.models import Membership
from justpayme.bills import actions as bills
from justpayme.bills.models import Bill
from justpayme.core.bill import Status
from justpayme.core.entry import ClientEntry, PaymentEntry
from justpayme.core.errors import Problem
from justpayme.core.outbox import has_marker
from justpayme.integrations import actions, direction
from justpayme.sync.models import IN_FLIGHT, RESTING, Connection, OutboxItem, Run
from justpayme.sync.verify import verify
from justpayme.xero import oauth

HERE = "127.0.0.1"
AGES = {"a minute": 60, "a day": 86_400, "a week": 7 * 86_400}
"""How old the backup is when it is taken back, in seconds."""
FAULTS = ("lose_answer", "timeout_before", "late", "error_503")
State, Kind = OutboxItem.State, OutboxItem.Kind
MOVING = (State.WAITING, *IN_FLIGHT)


@dataclass
class Town:
    """Both books, and the person who works in ours."""

    world: World
    owner: Membership
    connection: Connection
    dice: Random = field(default_factory=Random)
    names: int = 0

    @property
    def act(self) -> bills.Act:
        """Alice, now."""
        return bills.Act(self.owner, self.world.clock.now())

    def now(self) -> Connection:
        """The organisation as its row is now."""
        return Connection.objects.get(pk=self.connection.pk)

    def word(self) -> str:
        """A text that nobody has used yet."""
        self.names += 1
        return f"<i>{self.names}</i> '; --"

    # --- our people ----------------------------------------------------------------------------

    def someone_acts(self) -> None:
        """One thing that a person does here, if it is allowed now."""
        choices = (self._edits, self._edits, self._pays, self._pays, self._unpays, self._makes)
        with suppress(bills.ActionError):
            self.dice.choice(choices)()

    def _bill(self) -> Bill | None:
        open_ = list(Bill.objects.filter(status=Status.ACTIVE).order_by("pk"))
        return self.dice.choice(open_) if open_ else None

    def _edits(self) -> None:
        if bill := self._bill():
            entry = replace(bills.entry_of(bill), reference=self.word())
            if self.dice.random() < 0.4:
                due = date(2027, 1, 1) + timedelta(days=self.dice.randrange(90))
                entry = replace(entry, due_on=due)
            bills.bill_edit(act=self.act, bill_id=bill.pk, entry=entry)

    def _pays(self) -> None:
        if bill := self._bill():
            amount = Decimal(self.dice.randint(100, 999)) / 100
            entry = PaymentEntry(amount, self.act.today, self.word())
            bills.payment_record(act=self.act, bill_id=bill.pk, entry=entry)

    def _unpays(self) -> None:
        bill = self._bill()
        payment = bill.payments.filter(kind="payment").order_by("-pk").first() if bill else None
        if bill and payment:
            bills.payment_remove(act=self.act, bill_id=bill.pk, payment_id=payment.pk)

    def _makes(self) -> None:
        model = self._bill()
        if model is None:
            return
        entry = bills.entry_of(model)
        client = entry.client_id
        if self.dice.random() < 0.5:
            client = bills.client_create(act=self.act, entry=ClientEntry(self.word())).pk
        lines = tuple(replace(line, line_id=None) for line in entry.lines)
        new = replace(entry, client_id=client, number=f"N-{self.names}-{self.dice.random():.9f}")
        bills.bill_create(
            act=self.act,
            entry=replace(new, lines=lines, currency="GBP", reference=self.word()),
            approve=True,
            also_in_xero=self.connection.pk,
        )

    # --- people in Xero ------------------------------------------------------------------------

    def xero_acts(self) -> None:
        """One thing that somebody does in Xero, while an invoice is open there."""
        sales = [i for i in self.world.sales() if i.status == "AUTHORISED"]
        if not sales:
            return
        invoice = self.dice.choice(sales)
        made = [p for p in self.world.ledger().payments.rows.values() if "JPM-" in p.reference]
        live = [p for p in made if p.status == "AUTHORISED"]
        roll = self.dice.random()
        if roll < 0.45:
            self.world.try_act("edit-invoice", invoice=invoice.id, reference=self.word())
        elif roll < 0.65:
            self.world.try_act("record-payment", invoice=invoice.id, amount="1.25")
        elif roll < 0.9 and live:
            self.world.try_act("remove-payment", payment=self.dice.choice(live).id)
        else:
            self.world.try_act("void-invoice", invoice=invoice.id)

    # --- time ----------------------------------------------------------------------------------

    def works(self, steps: int) -> None:
        """So many things happen, seconds apart, and jobs run now and then."""
        for _ in range(steps):
            self.world.clock.advance(self.dice.choice((1, 5, 20)))
            roll = self.dice.random()
            if roll < 0.5:
                self.someone_acts()
            elif roll < 0.7:
                self.xero_acts()
            else:
                self._a_job()

    def _a_job(self) -> None:
        if self.dice.random() < 0.3:
            where = self.dice.choice((("PUT", "/payments"), ("POST", "/invoices")))
            kind = self.dice.choice(FAULTS)
            more = {"parameters": {"seconds": 80}} if kind == "late" else {}
            self.world.fault(kind, method=where[0], path=where[1], count=1, **more)
        sync(self.world, self.now(), self.dice.choice((Run.Cause.EDIT, Run.Cause.SCHEDULE)))
        self.world.heal()

    def leaves(self) -> None:
        """The owner ends the sync, in one way or another."""
        end: Any = self.dice.choice((actions.disconnect, direction.go_one_way))
        with suppress(actions.NotPossible, Problem):
            end(by=self.owner, connection=self.now(), address=HERE, now=self.world.clock.now())

    def settles(self) -> None:
        """Until nothing moves; a lost connection is made again, as its page asks."""
        try:
            quiet(self.world, self.now())
        except AssertionError:
            if self.now().state != Connection.State.LOST:
                raise
        if self.now().state == Connection.State.LOST:
            self.world.connect(self.owner.business, scopes=oauth.WRITE_SCOPES)
            quiet(self.world, self.now())


class Restores:
    """Histories from one beginning: a small organisation, bidirectional and imported."""

    def __init__(self, world: World) -> None:
        owner = people_of("O'Hara & <b>Sons</b>")
        self.town = Town(world, owner, world.connect_two_way(owner.business))
        self.begin, self.dump = Snapshot("begin"), Snapshot("dump", again=True)
        self.store, self.at = copy_store(world.app.store), world.frozen.now()

    def close(self) -> None:
        """Forget what was kept."""
        self.begin.drop()
        self.dump.drop()

    def back(self, seed: int) -> None:
        """To the beginning, with other dice."""
        town, world = self.town, self.town.world
        self.begin.back()
        put_back(world.app.store, self.store)
        world.frozen.advance((self.at - world.frozen.now()).total_seconds())
        world.heal()
        world.http.post("/sandbox/reset-log")
        world.calls.clear()
        town.dice, town.names = Random(f"restore {seed}"), 0
        new_process()

    def history(self, age: int, seed: int) -> list[str]:
        """One history; what is wrong in the end. `age`: of the backup, in seconds."""
        self.back(seed)
        town, world = self.town, self.town.world
        town.works(town.dice.randint(2, 8))
        if town.dice.random() < 0.3:
            town.settles()
        self.dump.take()
        unsent = OutboxItem.objects.filter(state__in=(*MOVING, *RESTING)).exists()
        taken = world.frozen.now()
        self._goes_on(age)
        world.clock.advance(max(age - (world.frozen.now() - taken).total_seconds(), 1))
        self.dump.back()
        as_from_a_dump()
        new_process()
        return self._restored(unsent)

    def _goes_on(self, age: int) -> None:
        town = self.town
        town.works(town.dice.randint(1, 3) if age == 60 else town.dice.randint(4, 12))
        if age > 60:
            quiet(town.world, town.now())
            town.works(town.dice.randint(0, 4))
        if town.dice.random() < 0.2:
            town.leaves()

    def _restored(self, unsent: bool) -> list[str]:
        town = self.town
        before = len(town.world.calls)
        town.settles()
        sent = [c.path for c in town.world.calls[before:] if c.changes_xero]
        found = [] if unsent or not sent else [f"nothing waited, and it sent {sent}"]
        return found + doubled(town) + unequal(town)


def as_from_a_dump() -> None:
    """A restored dump makes the outbox's table anew; the comment is that of the old one."""
    with database.cursor() as cursor:
        cursor.execute("COMMENT ON TABLE sync_outboxitem IS 'table 1'")


def doubled(town: Town) -> list[str]:
    """I-53: nothing is in Xero twice, deleted records counted."""
    ledger, found = town.world.ledger(), []
    references = [p.reference for p in ledger.payments.rows.values()]
    for item in OutboxItem.objects.filter(kind=Kind.PAY):
        count = sum(has_marker(r, item.marker) for r in references)
        if count > 1:
            found.append(f"payment {item.marker} is {count} times in Xero")
    numbers = [i.number for i in ledger.invoices.rows.values() if i.number.startswith("N-")]
    found += [f"invoice {n} is there twice" for n in set(numbers) if numbers.count(n) > 1]
    contacts = [c.number for c in ledger.contacts.rows.values() if c.number]
    found += [f"contact {n} is there twice" for n in set(contacts) if contacts.count(n) > 1]
    return found


def unequal(town: Town) -> list[str]:
    """Both books are equal, and nothing is under way."""
    if not town.now().is_live:
        return [f"the connection is {town.now().state}"]
    moving = OutboxItem.objects.filter(state__in=MOVING)
    waits = [f"{i} {i.error_code}" for i in moving if not _waits_for_another(i)]
    report = verify(town.now(), town.world.clock)
    return waits + [f"{d.number} {d.field}: {d.ours} / {d.xero}" for d in report.differences]


def _waits_for_another(item: OutboxItem) -> bool:
    """A payment goes once its bill is an invoice, which a person may have to decide."""
    others = OutboxItem.objects.filter(bill=item.bill, state__in=RESTING)
    return item.state == State.WAITING and others.exists()
