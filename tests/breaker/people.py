"""People on both sides: what somebody here does with a bill, what somebody does in Xero.

Each answers what was done, in few words, or "" where there was nothing to do it to or where it
was refused: a refusal is a right answer. What was typed here is remembered in the world, so that
`checkers.nothing_lost` can look for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tests.breaker.choices import Choices
from tests.breaker.world import Form, Received, TakenBack, Typed, World

from justpayme.accounts.models import Membership
from justpayme.bills import actions
from justpayme.bills.actions import Act, ActionError
from justpayme.bills.models import Bill, Client, HistoryEntry, Payment
from justpayme.core.bill import Status, to_plain
from justpayme.core.entry import BillEntry, ClientEntry, LineEntry, PaymentEntry
from justpayme.core.outbox import without_marker
from justpayme.integrations import actions as organisations
from justpayme.integrations import direction
from justpayme.integrations.actions import NotPossible
from justpayme.integrations.plan import Kind as PlanKind
from justpayme.sync.models import RESTING, Conflict, Connection, Link, OutboxItem
from xero_sandbox.model import Invoice

HERE = "127.0.0.1"
HOSTILE = " <b>Ω'; --\u202e=1+1"
COMPUTED = ("outstanding", "paid", "credited", "fully_paid_on", "payments")
DULL_DAYS = (1, 3, 7, 30)
Hand = Callable[["Here"], str]


class Here:
    """A person of one business."""

    def __init__(self, world: World, member: Membership, choices: Choices) -> None:
        self.world = world
        self.member = member
        self.choices = choices

    @property
    def act(self) -> Act:
        """Her, now."""
        return Act(self.member, self.world.clock.now())

    def word(self) -> str:
        """A text that nobody typed before."""
        return f"w{len(self.world.typed)}.{self.choices.below(10)}{HOSTILE}"

    def bill(self, **only: Any) -> Bill | None:
        """Some bill of the business."""
        rows = Bill.objects.filter(business=self.member.business_id, **only).order_by("pk")
        keys = list(rows.values_list("pk", flat=True))
        return Bill.objects.get(pk=self.choices.pick(keys)) if keys else None

    def organisation(self, **only: Any) -> Connection | None:
        """Some organisation of the business."""
        rows = list(
            Connection.objects.filter(business=self.member.business_id, **only).order_by("pk")
        )
        return self.choices.pick(rows) if rows else None

    def carry_out(self, hand: Hand) -> str:
        """Do it; "" where it was refused."""
        try:
            return hand(self)
        except (ActionError, NotPossible, direction.Shifted):
            return ""

    def remember(self, bill: Bill, *names: str) -> None:
        """What the newest entry of the bill says was typed, and must say of these fields."""
        entry = HistoryEntry.objects.filter(bill=bill, source="person").order_by("-id").first()
        said = {c["field"]: c["new"] for c in entry.changes} if entry else {}
        if entry is None or not set(names) <= said.keys():
            raise AssertionError(f"the history of bill {bill.pk} does not tell of {names}")
        self.world.typed += [
            Typed(bill.pk, name, value, entry.pk)
            for name, value in said.items()
            if name not in COMPUTED
        ]


def note_typed(world: World) -> None:
    """Every edit that histories tell of; for scenarios, whose people note nothing themselves."""
    edits = HistoryEntry.objects.filter(source="person", action="edited")
    world.typed = [
        Typed(entry.bill_id, change["field"], change["new"], entry.pk)
        for entry in edits
        for change in entry.changes
        if change["field"] not in COMPUTED
    ]


# --- here ----------------------------------------------------------------------------------------


def edit(here: Here) -> str:
    """Change one field of a bill."""
    bill = here.bill()
    if bill is None:
        return ""
    entry = actions.entry_of(bill)
    name = here.choices.pick(WRITTEN)
    new = _edited(here, entry, name)
    changed = "lines" if name in ("price", "more") else name
    if new == entry:
        return ""
    actions.bill_edit(act=here.act, bill_id=bill.pk, entry=new)
    here.remember(bill, changed)
    return f"edits {changed} of bill {bill.pk}"


WRITTEN = ("reference", "due_on", "lines", "expected_on", "url", "price", "more")


def open_form(here: Here) -> str:
    """Read a bill, to write it back later: on a page, or as a program does."""
    bill = here.bill()
    if bill is None:
        return ""
    seen = bill.updated_at if here.choices.below(2) else None
    form = Form(here.member.pk, bill.pk, actions.entry_of(bill), seen)
    here.world.forms.append(form)
    return f"opens bill {bill.pk}"


def save_form(here: Here) -> str:
    """Write a bill back with a change, whatever became of it meanwhile."""
    mine = [form for form in here.world.forms if form.member == here.member.pk]
    if not mine:
        return ""
    form = here.choices.pick(mine)
    here.world.forms.remove(form)
    entry = _edited(here, form.entry, here.choices.pick(WRITTEN))
    before = _newest(form.bill)
    actions.bill_edit(act=here.act, bill_id=form.bill, entry=entry, seen=form.seen)
    if _newest(form.bill) != before:
        here.remember(Bill.objects.get(pk=form.bill))
    return f"saves bill {form.bill}"


def _newest(bill: int) -> int | None:
    """The last thing that a person did to it."""
    entries = HistoryEntry.objects.filter(bill=bill, source="person")
    return entries.order_by("-id").values_list("id", flat=True).first()


def _edited(here: Here, entry: BillEntry, name: str) -> BillEntry:
    if name == "reference":
        return replace(entry, reference=here.word().strip())
    if name == "url":
        return replace(entry, url=f"https://example.com/{len(here.world.typed)}")
    if name in ("due_on", "expected_on"):
        start = entry.issued_on or here.act.today
        day = start + timedelta(days=here.choices.pick(DULL_DAYS))
        return replace(entry, due_on=day) if name == "due_on" else replace(entry, expected_on=day)
    if not entry.lines:
        return entry
    first, *others = entry.lines
    if name == "lines":
        return replace(entry, lines=(replace(first, description=here.word()), *others))
    if name == "price":
        price = Decimal(1000 + here.choices.below(9000)).scaleb(-2)
        return replace(entry, lines=(replace(first, unit_amount=price), *others))
    line = LineEntry(here.word(), Decimal(1), Decimal(5), tax_type=first.tax_type)
    return replace(entry, lines=(*entry.lines, line))


def pay(here: Here) -> str:
    """Record money that came in."""
    bill = here.bill(status=Status.ACTIVE)
    if bill is None:
        return ""
    return _receive(
        here, bill, here.choices.pick((Decimal("1.01"), Decimal("1.01"), bill.outstanding))
    )


def _receive(here: Here, bill: Bill, amount: Decimal) -> str:
    entry = PaymentEntry(amount, here.act.today, "thanks")
    paid = actions.payment_record(act=here.act, bill_id=bill.pk, entry=entry)
    if marker := _marker(paid.reference):
        here.world.received.append(Received(bill.pk, amount, marker))
    return f"records {amount} on bill {bill.pk}"


def _marker(reference: str) -> str:
    """What we append to a payment's reference, without its brackets; "" if nothing."""
    return reference.removeprefix(without_marker(reference)).strip().strip("()")


def unpay(here: Here) -> str:
    """Take a payment back."""
    rows = Payment.objects.filter(bill__business=here.member.business_id, kind="payment")
    payments = list(rows.order_by("pk"))
    if not payments:
        return ""
    payment = here.choices.pick(payments)
    actions.payment_remove(act=here.act, bill_id=payment.bill_id, payment_id=payment.pk)
    link = Link.objects.select_related("connection").filter(bill=payment.bill_id).first()
    sent = link is not None and link.connection.is_two_way
    marker = _marker(payment.reference)
    here.world.taken_back.append(
        TakenBack(payment.bill_id, payment.amount, marker, payment.remote_id, sent)
    )
    return f"takes {payment.amount} back from bill {payment.bill_id}"


def create(here: Here) -> str:
    """Write a new bill, for a client known or new, that goes to Xero or not."""
    connection = here.organisation(direction=Connection.Direction.TWO)
    client = _client(here)
    if client is None:
        return ""
    today = here.act.today
    entry = BillEntry(
        client_id=client.pk,
        currency=connection.currency if connection else "GBP",
        number=f"B-{len(here.world.typed)}-{here.choices.below(3)}",
        reference=here.word().strip(),
        issued_on=today,
        due_on=today + timedelta(days=14),
        lines=(LineEntry("Work" + HOSTILE, Decimal(2), Decimal("50.10"), tax_type="OUTPUT2"),),
    )
    where = connection.pk if connection else None
    owed = here.choices.below(3) < 2
    bill = actions.bill_create(act=here.act, entry=entry, approve=owed, also_in_xero=where)
    what = "bill" if owed else "draft"
    return f"writes {what} {bill.pk}" + (f" for organisation {where}" if where else "")


def _client(here: Here) -> Client | None:
    if here.choices.below(3) == 2:
        name = f"New client {len(here.world.calls)}{HOSTILE}"
        return actions.client_create(act=here.act, entry=ClientEntry(name=name))
    rows = Client.objects.filter(business=here.member.business_id, archived=False)
    clients = list(rows.order_by("pk")[:6])
    return here.choices.pick(clients) if clients else None


def approve(here: Here) -> str:
    """Make a draft active; some have been paid by then, in full."""
    bill = here.bill(status=Status.DRAFT)
    if bill is None:
        return ""
    bill = actions.bill_approve(act=here.act, bill_id=bill.pk)
    here.remember(bill, "status")
    paid = _receive(here, bill, bill.outstanding) if here.choices.below(2) else ""
    return f"makes bill {bill.pk} active" + (f" and {paid}" if paid else "")


def void(here: Here) -> str:
    """Take a bill out of the totals."""
    bill = here.bill(paid=0, credited=0)
    if bill is None:
        return ""
    actions.bill_void(act=here.act, bill_id=bill.pk)
    here.remember(bill, "status")
    return f"voids bill {bill.pk}"


def discard(here: Here) -> str:
    """Take Xero's version of a bill that was edited here."""
    bill = here.bill(link__edited=True)
    if bill is None:
        return ""
    actions.bill_discard(act=here.act, bill_id=bill.pk)
    return f"discards what was done to bill {bill.pk}"


def resolve(here: Here) -> str:
    """Decide about what Xero overrode."""
    rows = Conflict.objects.filter(business=here.member.business_id, state=Conflict.State.OPEN)
    found = list(rows.order_by("pk"))
    if not found:
        return ""
    conflict = here.choices.pick(found)
    choice = "mine" if here.choices.below(2) else "xero"
    actions.conflict_resolve(act=here.act, conflict_ids=[conflict.pk], choice=choice)
    return f"wants {choice} for {conflict.unit} of bill {conflict.bill_id}"


def decide(here: Here) -> str:
    """Try again what was refused, or say which contact a client is."""
    rows = OutboxItem.objects.filter(business=here.member.business_id, state__in=RESTING)
    found = list(rows.order_by("pk"))
    if not found:
        return ""
    item = here.choices.pick(found)
    if item.kind != OutboxItem.Kind.CONTACT:
        actions.item_retry(act=here.act, item_ids=[item.pk])
        return f"tries {item.kind} of bill {item.bill_id} again"
    alike = [c["id"] for c in item.detail.get("contacts", ())]
    contact = here.choices.pick([None, *alike])
    name = "" if contact else f"Renamed {item.pk}"
    actions.contact_decide(act=here.act, item_id=item.pk, contact_id=contact, name=name)
    return f"decides contact of item {item.pk}"


def sync_now(here: Here) -> str:
    """Press the button."""
    connection = here.organisation()
    if connection is None:
        return ""
    said = organisations.sync_now(by=here.member, connection=connection, now=here.act.now)
    return f"wants organisation {connection.pk} synced: {said}"


def turn(here: Here) -> str:
    """Change the direction of an organisation."""
    connection = here.organisation(state=Connection.State.LIVE)
    if connection is None:
        return ""
    now = here.act.now
    if connection.direction == Connection.Direction.TWO:
        direction.go_one_way(by=here.member, connection=connection, address=HERE, now=now)
        here.world.mark(connection, "one")
        return f"makes organisation {connection.pk} one-directional"
    everything = direction.preview(by=here.member, connection=connection, chosen=frozenset())
    chosen = frozenset(item.key for item in everything.items if item.kind in WANTED)
    plan = direction.preview(by=here.member, connection=connection, chosen=chosen)
    direction.go_two_way(
        by=here.member,
        connection=connection,
        chosen=chosen,
        digest=plan.digest,
        address=HERE,
        now=now,
    )
    here.world.mark(connection, "two")
    return f"makes organisation {connection.pk} bidirectional with {len(chosen)} changes"


WANTED = (PlanKind.UPDATE, PlanKind.CREATE)

AT_HOME: tuple[tuple[Hand, int], ...] = (
    (edit, 10),
    (open_form, 3),
    (save_form, 3),
    (pay, 6),
    (create, 3),
    (approve, 3),
    (unpay, 3),
    (void, 1),
    (discard, 1),
    (resolve, 3),
    (decide, 3),
    (sync_now, 1),
    (turn, 1),
)
"""Hands of a person here, and how often each is used."""


# --- in Xero -------------------------------------------------------------------------------------


class There:
    """A person who works in Xero."""

    def __init__(self, world: World, country: str, choices: Choices) -> None:
        self.world = world
        self.country = country
        self.choices = choices

    def do(self, action: str, **given: object) -> str:
        """Do it in Xero; "" where Xero refuses."""
        done = self.world.try_act(action, self.country, **given)
        return "" if done is None else f"{action} {given.get('invoice', given.get('contact', ''))}"

    def invoice(self) -> Invoice:
        """Some sales invoice."""
        return self.choices.pick(self.world.sales(self.country))

    def contact(self) -> Any:
        """Some contact."""
        rows = self.world.ledger(self.country).contacts.rows.values()
        return self.choices.pick(sorted(rows, key=lambda c: (c.name, c.id)))

    def word(self) -> str:
        """A text that nobody typed before."""
        return f"x{sum(map(len, self.world.versions.values()))}{HOSTILE}"


def xero_edit(there: There) -> str:
    """Change one field of an invoice; its stamp moves or, silently, not."""
    invoice = there.invoice()
    silent = there.choices.chance(0.15)
    given: dict[str, object] = {
        0: {"reference": there.word()},
        1: {"due_date": to_plain(invoice.date + timedelta(days=20))},
        2: {"line": "0", "description": there.word()},
        3: {"line": "0", "unit_amount": str(20 + there.choices.below(50))},
    }[there.choices.below(4)]
    action = "edit-silently" if silent else "edit-line" if "line" in given else "edit-invoice"
    return there.do(action, invoice=invoice.id, **given)


def xero_pay(there: There) -> str:
    """Record money, sometimes all of it."""
    invoice = there.invoice()
    amount = there.choices.pick(("1.01", str(invoice.amount_due)))
    return there.do("record-payment", invoice=invoice.id, amount=amount)


def xero_unpay(there: There) -> str:
    """Delete a payment."""
    rows = there.world.ledger(there.country).payments.rows.values()
    live = sorted((p for p in rows if p.status == "AUTHORISED"), key=lambda p: (p.updated, p.id))
    if not live:
        return ""
    payment = there.choices.pick(live)
    action = there.choices.pick(("remove-payment", "redo-payment"))
    return there.do(action, payment=payment.id)


def xero_status(there: There) -> str:
    """Approve, void, delete."""
    action = there.choices.pick(("approve-invoice", "void-invoice", "delete-invoice"))
    return there.do(action, invoice=there.invoice().id)


def xero_create(there: There) -> str:
    """Make an invoice."""
    contact = there.contact()
    return there.do(
        "create-invoice", contact=contact.id, description=there.word(), unit_amount="33.30"
    )


def xero_credit(there: There) -> str:
    """Give a credit note and set it against an invoice."""
    invoice = there.invoice()
    given = there.world.try_act(
        "give-credit", there.country, contact=invoice.contact_id, amount="2", tax_type="NONE"
    )
    if given is None:
        return ""
    number = given["CreditNoteNumber"]
    return there.do("allocate-credit", credit=number, invoice=invoice.id, amount="2")


def xero_contact(there: There) -> str:
    """Rename, archive or merge a contact."""
    contact, how = there.contact(), there.choices.below(3)
    if how == 0:
        return there.do("edit-contact", contact=contact.id, name=there.word())
    if how == 1:
        return there.do("archive-contact", contact=contact.id)
    other = there.contact()
    return there.do("merge-contact", contact=contact.id, into=other.id)


IN_XERO: tuple[tuple[Callable[[There], str], int], ...] = (
    (xero_edit, 8),
    (xero_pay, 4),
    (xero_unpay, 2),
    (xero_status, 2),
    (xero_create, 2),
    (xero_credit, 1),
    (xero_contact, 2),
)
"""Hands of a person in Xero, and how often each is used."""
