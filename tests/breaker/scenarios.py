"""Seventeen things that a sync does, each small enough to be broken at every point.

`arrange` makes the situation, once. `press` is what a person does through the real verbs; she
presses again when nothing came of it, with the form that she has still open, so that what she
wanted happens once. `work` is what the process does then. `check` says what must have come of it,
besides everything that must be true anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec.structs import replace as changed
from tests.breaker.stage import Stage
from tests.fixtures.xero import go_two_way
from tests.sync.given import pay
from tests.sync.hands import HOSTILE, bill_prints

from justpayme.bills import actions as bills
from justpayme.bills.models import Bill, HistoryEntry
from justpayme.core.bill import ZERO, Status
from justpayme.core.entry import BillEntry, ClientEntry, LineEntry, PaymentEntry
from justpayme.integrations import actions as integrations
from justpayme.integrations import direction
from justpayme.sync import webhooks
from justpayme.sync.models import (
    ClientLink,
    Conflict,
    Connection,
    Heard,
    Link,
    OutboxItem,
    Run,
    TokenSet,
)
from justpayme.xero import oauth
from justpayme.xero.webhook import Event
from xero_sandbox.model import Invoice

Act = Callable[[Stage], None]
State = OutboxItem.State
REFERENCE = f"mine {HOSTILE}"
LATER = date(2027, 1, 15)
LATEST = date(2027, 2, 20)
TEN = Decimal("10.00")
BRAND = "& Söhne 'Ω' 🎈"


def nothing(stage: Stage) -> None:
    """Nobody presses anything."""


def by_schedule(stage: Stage) -> None:
    """The job of an organisation that is due."""
    stage.run(Run.Cause.SCHEDULE)


def after_an_edit(stage: Stage) -> None:
    """The job that a verb rings for."""
    stage.run(Run.Cause.EDIT)


@dataclass(frozen=True)
class Scenario:
    """One of them. `invoices`: so many open ones in place of the usual few. `press_talks`:
    what the person does talks to Xero itself."""

    name: str
    arrange: Act
    check: Act
    press: Act = nothing
    work: Act = by_schedule
    invoices: int = 0
    press_talks: bool = False

    def attack(self, stage: Stage) -> None:
        """All of it, as it goes when nothing goes wrong."""
        self.press(stage)
        self.work(stage)


# --- where scenarios begin ---------------------------------------------------------------------


def connected(stage: Stage) -> None:
    """Allowed, chosen, nothing read yet."""
    _connect(stage)
    _later(stage)


def imported(stage: Stage) -> None:
    """One-directional, after its first import."""
    _connect(stage)
    run = stage.run()
    assert run is not None
    assert run.state == Run.State.DONE, run.error_text
    _later(stage)


def two_way(stage: Stage) -> None:
    """Bidirectional, with every default chosen."""
    imported(stage)
    go_two_way(stage.connection)


def _connect(stage: Stage) -> None:
    stage.xero.connect(stage.alice.business, scopes=oauth.WRITE_SCOPES)


def _later(stage: Stage) -> None:
    stage.xero.clock.advance(60)


def bill_of(invoice: Invoice) -> Bill:
    """The bill that an invoice became."""
    return Link.objects.get(invoice_id=invoice.id).bill


def _act(stage: Stage, form: str) -> bills.Act:
    return bills.Act(stage.alice, stage.now, token=form)


# --- reading -------------------------------------------------------------------------------------


def _every_invoice_is_here(stage: Stage) -> None:
    sales = [i for i in stage.xero.ledger().invoices.rows.values() if i.type == "ACCREC"]
    assert Bill.objects.count() == Link.objects.count() == len(sales)


def _xero_moved_on(stage: Stage) -> None:
    """Further apart than the overlap of two readings, so that nothing is found by its luck."""
    imported(stage)
    contact = stage.sale("open", 1).contact_id
    number = [stage.sale("open", nth).number for nth in range(3)]
    for action, given in (
        ("edit-invoice", {"invoice": number[0], "reference": HOSTILE}),
        ("record-payment", {"invoice": number[1], "amount": "10.00"}),
        ("rename-contact", {"contact": contact, "name": "Renamed & Söhne"}),
        ("void-invoice", {"invoice": number[2]}),
        ("create-invoice", {"contact": contact, "number": "NEW-X", "description": HOSTILE,
                            "unit_amount": "12.34"}),
    ):  # fmt: skip
        stage.xero.act(action, **given)
        stage.xero.clock.advance(20)


def _news_is_here(stage: Stage) -> None:
    assert bill_of(stage.sale("open")).reference == HOSTILE
    assert bill_of(stage.sale("open", 1)).paid == TEN
    assert bill_of(stage.sale("open", 1)).client.name == "Renamed & Söhne"
    assert bill_of(stage.sale("open", 2)).status == Status.VOID
    assert Bill.objects.filter(number="NEW-X").count() == 1
    _once_in_history(stage.sale("open"))


def _once_in_history(invoice: Invoice) -> None:
    """I-8: however often it was read, a change is told once."""
    told = HistoryEntry.objects.filter(bill=bill_of(invoice))
    changes = [c["field"] for entry in told for c in entry.changes if entry.action != "imported"]
    assert changes.count("reference") <= 1, changes


def _silent_changes(stage: Stage) -> None:
    imported(stage)
    store, tenant = stage.xero.app.store, stage.xero.tenant()
    store.save(tenant, changed(stage.sale("open"), reference="silent"))
    store.save(tenant, changed(stage.sale("part"), due_date=LATEST))
    Connection.objects.update(audited_at=stage.now - timedelta(hours=25))
    stage.memory["began"] = stage.now


def _nothing_stayed_silent(stage: Stage) -> None:
    assert bill_of(stage.sale("open")).reference == "silent"
    assert bill_of(stage.sale("part")).due_on == LATEST
    audited = stage.connection.audited_at
    assert audited is not None
    assert audited >= stage.memory["began"]


# --- sending -------------------------------------------------------------------------------------


def _edit(stage: Stage, invoice: Invoice, form: str, **values: Any) -> None:
    bill = bill_of(invoice)
    entry = replace(bills.entry_of(bill), **values)
    with suppress(bills.AlreadyDone):
        bills.bill_edit(act=_act(stage, form), bill_id=bill.pk, entry=entry)


def _press_edit(stage: Stage) -> None:
    _edit(stage, stage.sale("open"), "edit", reference=REFERENCE, due_on=LATER)


def _edit_arrived(stage: Stage) -> None:
    invoice = stage.sale("open")
    assert (invoice.reference, invoice.due_date) == (REFERENCE, LATER)
    assert not Conflict.objects.exists()
    assert OutboxItem.objects.get().state == State.DONE
    assert HistoryEntry.objects.filter(bill=bill_of(invoice), action="edited").count() == 1


def _press_payment(stage: Stage) -> None:
    entry = PaymentEntry(TEN, stage.now.date(), "cash")
    with suppress(bills.AlreadyDone):
        bills.payment_record(
            act=_act(stage, "pay"), bill_id=bill_of(stage.sale("open")).pk, entry=entry
        )


def _paid_once(stage: Stage) -> None:
    invoice = stage.sale("open")
    assert (invoice.amount_paid, bill_of(invoice).paid) == (TEN, TEN)
    assert OutboxItem.objects.get().state == State.DONE


def _fifty_payments(stage: Stage) -> None:
    two_way(stage)
    for bill in Bill.objects.filter(currency="GBP").order_by("pk")[:50]:
        pay(bill, stage.connection, TEN)


def _all_paid_once(stage: Stage) -> None:
    came = sorted(i.amount_paid for i in stage.xero.sales())[-50:]
    assert came == [TEN] * 50
    assert Bill.objects.filter(paid=TEN).count() == 50
    assert set(OutboxItem.objects.values_list("state", flat=True)) == {State.DONE}


def _xero_moved_the_same(stage: Stage) -> None:
    two_way(stage)
    stage.xero.act("edit-invoice", invoice=stage.sale("open").number, due_date=str(LATEST))


def _xero_won(stage: Stage) -> None:
    invoice = stage.sale("open")
    assert (invoice.reference, invoice.due_date) == (REFERENCE, LATEST)
    conflict = Conflict.objects.get()
    assert (conflict.unit, conflict.bill) == ("due_on", bill_of(invoice))
    assert str(LATER) in str(conflict.ours)


def _voided_there_too(stage: Stage) -> None:
    two_way(stage)
    stage.xero.act("void-invoice", invoice=stage.sale("open", 2).number)
    stage.needs_a_look = True


def _press_void(stage: Stage) -> None:
    with suppress(bills.AlreadyDone):
        bills.bill_void(act=_act(stage, "void"), bill_id=bill_of(stage.sale("open")).pk)


def _both_void(stage: Stage) -> None:
    for nth in (0, 2):
        invoice = stage.sale("open", nth)
        assert invoice.status == "VOIDED"
        assert bill_of(invoice).status == Status.VOID
        assert bill_of(invoice).outstanding == 0


def _a_new_client(stage: Stage) -> None:
    two_way(stage)
    act = bills.Act(stage.alice, stage.now)
    client = bills.client_create(act=act, entry=ClientEntry(f"Brand new {BRAND}"))
    stage.memory["client"] = client.pk


def _press_bill(stage: Stage) -> None:
    entry = BillEntry(
        stage.memory["client"],
        "GBP",
        number="OURS-1",
        reference=REFERENCE,
        issued_on=stage.now.date(),
        due_on=LATER,
        lines=(
            LineEntry(
                HOSTILE, Decimal(2), Decimal("12.34"), tax_type="OUTPUT2", account_code="200"
            ),
        ),
    )
    with suppress(bills.AlreadyDone):
        bills.bill_create(
            act=_act(stage, "bill"), entry=entry, approve=True, also_in_xero=stage.connection.pk
        )


def _one_invoice_and_contact(stage: Stage) -> None:
    made = Bill.objects.get(number="OURS-1")
    invoice = next(i for i in stage.xero.sales() if i.number == "OURS-1")
    assert bill_of(invoice) == made
    assert (invoice.reference, invoice.due_date) == (REFERENCE, LATER)
    names = [c.name for c in stage.xero.ledger().contacts.rows.values()]
    assert names.count(f"Brand new {BRAND}") == 1


def _paid_before(stage: Stage) -> None:
    two_way(stage)
    _press_payment(stage)
    after_an_edit(stage)
    _paid_once(stage)
    _later(stage)


def _press_removal(stage: Stage) -> None:
    bill = bill_of(stage.sale("open"))
    payment = bill.payments.first()
    if payment is not None:
        bills.payment_remove(act=_act(stage, "back"), bill_id=bill.pk, payment_id=payment.pk)


def _taken_back(stage: Stage) -> None:
    invoice = stage.sale("open")
    assert (invoice.amount_paid, bill_of(invoice).paid) == (ZERO, ZERO)
    rows = stage.xero.ledger().payments.rows.values()
    assert [p.status for p in rows if p.invoice_id == invoice.id] == ["DELETED"]


def _never_arrived(stage: Stage) -> None:
    """What became of a payment is unknown, and whoever sent it is gone: only a search can tell."""
    two_way(stage)
    _press_payment(stage)
    stage.xero.fault("timeout_before", method="PUT", path="/payments", count=1)
    after_an_edit(stage)
    stage.process_died()
    _later(stage)
    by_schedule(stage)
    stage.xero.clock.advance(150)


# --- a contact merge -----------------------------------------------------------------------------


def _merge(stage: Stage) -> None:
    """Xero moves the invoices to the survivor and archives the other (xero-facts 4.4)."""
    imported(stage)
    store, ledger, now = stage.xero.app.store, stage.xero.ledger(), stage.now
    gone, stays = stage.sale("open").contact_id, stage.sale("open", 1).contact_id
    contact = changed(ledger.contacts.rows[gone], status="ARCHIVED", merged_to=stays, updated=now)
    moved = [
        changed(i, contact_id=stays, updated=now)
        for i in ledger.invoices.rows.values()
        if i.contact_id == gone
    ]
    store.save(ledger.organisation.id, contact, *moved)
    stage.memory.update(gone=gone, stays=stays)
    _later(stage)


def _survivor_has_all(stage: Stage) -> None:
    assert bill_of(stage.sale("open")).client == bill_of(stage.sale("open", 1)).client
    merged = ClientLink.objects.get(contact_id=stage.memory["gone"])
    assert str(merged.merged_to) == stage.memory["stays"]
    assert not Bill.objects.filter(client=merged.client).exists()


# --- a token refresh -----------------------------------------------------------------------------


def _token_runs_out(stage: Stage) -> None:
    _xero_moved_on(stage)
    stage.xero.app.identity.expire_tokens()
    stage.memory["sealed"] = bytes(TokenSet.objects.get().sealed)


def _a_new_pair(stage: Stage) -> None:
    _news_is_here(stage)
    held = TokenSet.objects.get()
    assert held.state == TokenSet.State.LIVE
    assert bytes(held.sealed) != stage.memory["sealed"]


# --- a burst of webhooks -------------------------------------------------------------------------


def _press_send(stage: Stage) -> None:
    """Xero sends its words, each several times and in no order, until it hears 200."""
    xero = stage.xero
    invoices = [stage.sale("open", nth).id for nth in range(3)]
    invoices.append(next(i.id for i in xero.sales() if i.number == "NEW-X"))
    words = [Event(UUID(xero.tenant()), UUID(i), "INVOICE") for i in invoices]
    words.append(Event(UUID(xero.tenant()), UUID(stage.sale("open", 1).contact_id), "CONTACT"))
    for nth in range(4):
        webhooks.receive(words[nth:] + words[::-1], stage.now)


def _by_webhook(stage: Stage) -> None:
    """The tick finds the words after a moment."""
    stage.xero.clock.advance(3)
    stage.tick()


def _heard_and_read(stage: Stage) -> None:
    _news_is_here(stage)
    assert not Heard.objects.filter(waiting_since__isnull=False).exists()


# --- connecting, switching, ending ---------------------------------------------------------------


def _press_connect(stage: Stage) -> None:
    """Through Xero's consent, and choose: she starts again if she was left without."""
    if not Connection.objects.filter(state=Connection.State.LIVE).exists():
        stage.connect(integrations.Errand())


def _empty(stage: Stage) -> None:
    assert not Connection.objects.exists()


def _one_organisation(stage: Stage) -> None:
    assert stage.connection.is_live
    assert TokenSet.objects.count() == 1
    _every_invoice_is_here(stage)


def _something_waits(stage: Stage) -> None:
    two_way(stage)
    _press_edit(stage)
    stage.memory["bills"] = bill_prints()


def _press_disconnect(stage: Stage) -> None:
    row = stage.connection
    if row.is_in_use:
        integrations.disconnect(by=stage.alice, connection=row, address="::1", now=stage.now)


def _gone_but_kept(stage: Stage) -> None:
    """I-37 and I-38."""
    row = stage.connection
    assert (row.state, row.tokens, row.connection_id) == (Connection.State.DISCONNECTED, None, "")
    assert not stage.xero.app.store.connections
    assert bill_prints() == stage.memory["bills"]
    assert OutboxItem.objects.get().state == State.CANCELLED
    assert not TokenSet.objects.exists()
    assert not stage.xero.mutating()


def _money_waits_too(stage: Stage) -> None:
    two_way(stage)
    _press_edit(stage)
    entry = PaymentEntry(TEN, stage.now.date(), "cash")
    bill = bill_of(stage.sale("open", 1))
    bills.payment_record(act=_act(stage, "pay"), bill_id=bill.pk, entry=entry)


def _press_one_way(stage: Stage) -> None:
    row = stage.connection
    if row.direction == Connection.Direction.TWO:
        direction.go_one_way(by=stage.alice, connection=row, address="::1", now=stage.now)


def _nothing_left(stage: Stage) -> None:
    """I-36: not one call that changes anything; I-27: what was typed is kept beside."""
    assert not stage.xero.mutating()
    assert stage.connection.direction == Connection.Direction.ONE
    kept = {c.unit: c.ours for c in Conflict.objects.all()}
    assert kept["reference"]["reference"] == REFERENCE
    assert kept["due_on"]["due_on"] == str(LATER)
    assert bill_of(stage.sale("open")).reference == stage.sale("open").reference
    states = set(OutboxItem.objects.values_list("state", flat=True))
    assert states == {State.CANCELLED}


SCENARIOS = {
    s.name: s
    for s in (
        Scenario("initial import", connected, _every_invoice_is_here),
        Scenario("increment", _xero_moved_on, _news_is_here),
        Scenario("audit", _silent_changes, _nothing_stayed_silent),
        Scenario("edit-push", two_way, _edit_arrived, _press_edit, after_an_edit),
        Scenario("new payment", two_way, _paid_once, _press_payment, after_an_edit),
        Scenario("batch of 50", _fifty_payments, _all_paid_once, work=after_an_edit, invoices=56),
        Scenario("conflict", _xero_moved_the_same, _xero_won, _press_edit, after_an_edit),
        Scenario("void", _voided_there_too, _both_void, _press_void, after_an_edit),
        Scenario("new bill", _a_new_client, _one_invoice_and_contact, _press_bill, after_an_edit),
        Scenario("taken back", _paid_before, _taken_back, _press_removal, after_an_edit),
        Scenario("search", _never_arrived, _paid_once),
        Scenario("contact merge", _merge, _survivor_has_all),
        Scenario("token refresh", _token_runs_out, _a_new_pair),
        Scenario("connect", _empty, _one_organisation, _press_connect,
                 press_talks=True),
        Scenario("disconnect", _something_waits, _gone_but_kept, _press_disconnect, nothing,
                 press_talks=True),
        Scenario("one-directional", _money_waits_too, _nothing_left, _press_one_way),
        Scenario("webhook burst", _xero_moved_on, _heard_and_read, _press_send, _by_webhook),
    )
}  # fmt: skip
