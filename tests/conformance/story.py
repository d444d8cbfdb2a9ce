"""One story of everything that the sync does, told with a local Xero that answers the open
questions in some way.

    cancel, connect ─▶ import ─▶ news from Xero ─▶ both sides ─▶ new bills and money
        ─▶ refusals ─▶ lost answers ─▶ limits, permissions, tokens ─▶ audit ─▶ end

Nothing in it may depend on an answer: at the end both books are equal, every payment is there
once, and whatever Xero refused was told to a person.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from msgspec.structs import replace as changed
from tests.breaker.stage import Stage
from tests.fixtures import webhooks
from tests.fixtures.xero import go_two_way
from tests.sync.hands import HOSTILE, drift
from tests.sync.moments import judge

from justpayme.bills import actions as bills
from justpayme.bills.models import Bill, Payment
from justpayme.core.bill import Status
from justpayme.core.entry import BillEntry, LineEntry, PaymentEntry
from justpayme.core.errors import Problem
from justpayme.integrations import actions as integrations
from justpayme.integrations.actions import Errand, Purpose
from justpayme.sync.models import Connection, Link, OutboxItem, Run
from xero_sandbox.model import Invoice
from xero_sandbox.open_questions import Open

TEN = Decimal("10.00")
ODD_NUMBER = 'New "2", \\part b'
"""Asked for by a filter because of its comma, with both characters that a filter must escape."""
_forms = count(1)


def tell(stage: Stage, answers: Open) -> None:
    """The whole story, judged at its end."""
    stage.xero.app.assume(answers)
    stage.xero.app.webhooks.drop()
    for chapter in CHAPTERS:
        chapter(stage)
        assert stage.xero.app.store.open == answers


# --- hands -------------------------------------------------------------------------------------


def act(stage: Stage) -> bills.Act:
    """A form of its own for each thing that Alice does."""
    return bills.Act(stage.alice, stage.now, token=f"form {next(_forms)}")


def bill_of(invoice: Invoice) -> Bill:
    """The bill that an invoice became."""
    return Link.objects.get(invoice_id=invoice.id).bill


def again(stage: Stage, invoice: Invoice) -> Invoice:
    """The invoice as Xero has it by now."""
    found: Invoice = stage.xero.ledger().invoices.rows[invoice.id]
    return found


def run(stage: Stage, cause: Run.Cause = Run.Cause.SCHEDULE) -> Run:
    """One sync, a minute later."""
    stage.xero.clock.advance(61)
    found = stage.run(cause)
    assert found is not None, stage.told()
    return found


def settled(stage: Stage) -> None:
    """Until nothing is under way and everything was looked at again."""
    stage.xero.clock.advance(3)
    stage.newest_run = max(Run.objects.values_list("pk", flat=True))
    stage.recover()


def equal(stage: Stage) -> None:
    """Both books are, field by field."""
    found = drift(stage.xero, stage.connection)
    assert not found, found


def edit(stage: Stage, bill: Bill, **values: Any) -> None:
    """Alice changes a bill."""
    entry = replace(bills.entry_of(bill), **values)
    bills.bill_edit(act=act(stage), bill_id=bill.pk, entry=entry)


def pay(stage: Stage, bill: Bill, amount: Decimal = TEN) -> None:
    """Alice records a payment."""
    entry = PaymentEntry(amount, stage.now.date(), "cash")
    bills.payment_record(act=act(stage), bill_id=bill.pk, entry=entry)


def new_bill(stage: Stage, number: str, **line: Any) -> Bill:
    """Alice makes a bill that becomes an invoice too."""
    client = bill_of(stage.sale("open")).client
    entry = BillEntry(
        client_id=client.pk,
        currency="GBP",
        number=number,
        issued_on=stage.now.date(),
        due_on=stage.now.date() + timedelta(days=14),
        lines=(LineEntry(description=HOSTILE, tax_type="OUTPUT2", account_code="200", **line),),
    )
    connection = stage.connection.pk
    return bills.bill_create(act=act(stage), entry=entry, approve=True, also_in_xero=connection)


def invoices_numbered(stage: Stage, number: str) -> list[Invoice]:
    """Sales invoices of this number in Xero."""
    rows = stage.xero.ledger().invoices.rows.values()
    return [i for i in rows if i.type == "ACCREC" and i.number == number]


def sign_in(stage: Stage, errand: Errand, decision: str = "allow") -> integrations.Consent:
    """Alice goes to Xero, decides, and comes back."""
    address = integrations.begin_connect(
        by=stage.alice, session_key="s", address="::1", now=stage.now, errand=errand
    )
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    form = asked | {"decision": decision, "tenant": stage.xero.tenant()}
    back = stage.xero.http.post("/identity/connect/authorize", data=form).headers["Location"]
    told = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    return integrations.complete_connect(
        by=stage.alice,
        session_key="s",
        state=told["state"],
        code=told.get("code", ""),
        error=told.get("error", ""),
        address="::1",
        now=stage.now,
    )


def reconnect(stage: Stage) -> None:
    """Alice connects a lost organisation once more."""
    row = stage.connection
    assert row.state == Connection.State.LOST, stage.told()
    consent = sign_in(stage, integrations.errand_of(row, Purpose.RECONNECT))
    assert [healed.pk for healed in consent.healed] == [row.pk]
    held = {str(c.id) for c in stage.xero.app.identity.visible()}
    assert {stage.connection.connection_id} == held


# --- the chapters ------------------------------------------------------------------------------


def connects(stage: Stage) -> None:
    """She cancels first, and nothing is connected; then she allows it."""
    with suppress(Problem):
        sign_in(stage, Errand(), "cancel")
        raise AssertionError("cancelled, and connected")
    assert not Connection.objects.exists()
    consent = sign_in(stage, Errand(may_write=True))
    for row in consent.choosable:
        integrations.choose(by=stage.alice, connection=row, address="::1", now=stage.now)


def imports(stage: Stage) -> None:
    """Everything comes, and then it goes both ways."""
    assert run(stage).state == Run.State.DONE, stage.told()
    sales = [i for i in stage.xero.ledger().invoices.rows.values() if i.type == "ACCREC"]
    assert Bill.objects.count() == len(sales)
    go_two_way(stage.connection)
    webhooks.listen(stage.xero)


def hears_news(stage: Stage) -> None:
    """Edits, payments, credits, a void one and a new one in Xero, told by webhooks."""
    xero, first, second = stage.xero, stage.sale("open"), stage.sale("open", 1)
    xero.act("edit-invoice", invoice=first.number, reference=HOSTILE)
    xero.act("record-payment", invoice=second.number, amount="10.00")
    xero.act("rename-contact", contact=second.contact_id, name="Renamed & Söhne")
    note = xero.act("give-credit", contact=second.contact_id, amount="5.00", tax_type="NONE")
    xero.act("allocate-credit", credit=note["CreditNoteID"], invoice=second.number, amount="5")
    xero.act("void-invoice", invoice=stage.sale("open", 2).number)
    xero.act("deduct-cis", invoice=stage.sale("open", 3).number, amount="7.00")
    xero.act("merge-contact", contact=first.contact_id, into="Renamed & Söhne")
    fields = {"description": HOSTILE, "unit_amount": "12.34", "number": "NEW-X"}
    xero.act("create-invoice", contact=second.contact_id, **fields)
    webhooks.deliver(xero)
    webhooks.look(xero)
    settled(stage)
    equal(stage)
    heard = bill_of(second)
    assert (bill_of(first).reference, heard.paid, heard.credited) == (HOSTILE, TEN, Decimal(5))
    assert heard.client.name == bill_of(first).client.name == "Renamed & Söhne"
    assert bill_of(stage.sale("open", 2)).status == Status.VOID
    assert Bill.objects.filter(number="NEW-X").count() == 1


def edits_both(stage: Stage) -> None:
    """Different fields of one bill on both sides, and the same one: Xero wins, and says so."""
    invoice = stage.sale("open")
    stage.xero.act("edit-invoice", invoice=invoice.number, due_date="2027-02-20")
    edit(stage, bill_of(invoice), reference="mine", due_on=date(2027, 1, 15))
    new_bill(stage, "NEW-HALF", quantity=Decimal("0.5"), unit_amount=Decimal("100.01"))
    new_bill(stage, "NEW-VOID", unit_amount=TEN)
    settled(stage)
    after = again(stage, invoice)
    assert (after.reference, after.due_date) == ("mine", date(2027, 2, 20))


def takes_back(stage: Stage) -> None:
    """Money on a bill and off it again, one payment of which the bank knows; and one made void."""
    (invoice,), (gone,) = (invoices_numbered(stage, n) for n in ("NEW-HALF", "NEW-VOID"))
    bill = bill_of(invoice)
    pay(stage, bill)
    pay(stage, bill)
    bills.bill_void(act=act(stage), bill_id=bill_of(gone).pk)
    run(stage, Run.Cause.EDIT)
    assert again(stage, gone).status == "VOIDED"
    first, second = Payment.objects.filter(bill=bill).order_by("pk")
    _reconcile(stage, first.remote_id)
    for payment in (first, second):
        bills.payment_remove(act=act(stage), bill_id=bill.pk, payment_id=payment.pk)
    run(stage, Run.Cause.EDIT)
    _take_xeros(stage, bill)
    settled(stage)
    kept = stage.xero.app.store.open.reconciled != "removable"
    assert again(stage, invoice).amount_paid == (TEN if kept else 0)


def _reconcile(stage: Stage, payment_id: str) -> None:
    """The bank's statement has it."""
    ledger = stage.xero.ledger()
    row = changed(ledger.payments.rows[payment_id], reconciled=True)
    stage.xero.app.store.save(stage.xero.tenant(), row)


def _take_xeros(stage: Stage, bill: Bill) -> None:
    """What Xero refused is told; Alice takes Xero's version."""
    refused = OutboxItem.objects.filter(bill=bill, state=OutboxItem.State.REFUSED)
    for item in refused:
        assert item.error_code, item
    if refused.exists():
        bills.bill_discard(act=act(stage), bill_id=bill.pk)


def is_refused(stage: Stage) -> None:
    """An account that takes no payments, and the day of a lock date."""
    invoice, bank = stage.sale("open"), "090"
    bill = bill_of(invoice)
    stage.xero.act("archive-account", account=bank)
    pay(stage, bill)
    run(stage, Run.Cause.EDIT)
    assert OutboxItem.objects.filter(bill=bill, state=OutboxItem.State.REFUSED).exists()
    _take_xeros(stage, bill)
    stage.xero.act("restore-account", account=bank)
    edit(stage, bill_of(invoice), reference="on the lock day")
    stage.xero.act("lock", period_lock_date=invoice.date.isoformat())
    run(stage, Run.Cause.EDIT)
    _take_xeros(stage, bill)
    stage.xero.act("lock", period_lock_date="")
    assert again(stage, invoice).amount_paid == 0


def loses_answers(stage: Stage) -> None:
    """Answers to a payment and to new bills get lost, a third never leaves: each is there once."""
    invoice = stage.sale("open")
    stage.xero.fault("lose_answer", method="PUT", path="Payments")
    pay(stage, bill_of(invoice))
    for kind in ("lose_answer", "timeout_before"):
        stage.xero.fault(kind, method="PUT", path="Invoices", body=kind)
        new_bill(stage, f"{ODD_NUMBER} {kind}", unit_amount=TEN)
        run(stage, Run.Cause.EDIT)
    settled(stage)
    assert again(stage, invoice).amount_paid == TEN
    for kind in ("lose_answer", "timeout_before"):
        (made,) = invoices_numbered(stage, f"{ODD_NUMBER} {kind}")
        assert bill_of(made).number == made.number


def meets_limits(stage: Stage) -> None:
    """Five at once, the app's own limit, a minute, and one that is really full."""
    xero = stage.xero
    for kind in ("limit_concurrent", "limit_app", "limit_minute"):
        xero.fault(kind, path="/api.xro")
        edit(stage, bill_of(stage.sale("open")), reference=kind)
        run(stage, Run.Cause.EDIT)
    xero.http.post("/sandbox/limits", json={"minute": 10})
    for _ in range(4):
        stage.run()
    xero.http.post("/sandbox/limits", json={"minute": 60})


def loses_permission(stage: Stage) -> None:
    """A missing scope, a dead refresh token, and an organisation disconnected in Xero."""
    for kind, rule in (
        ("remove_scope", {"parameters": {"scope": "accounting.invoices"}, "path": "Invoices"}),
        ("invalid_grant", {"path": "/connect/token"}),
    ):
        stage.xero.app.identity.expire_tokens()
        stage.xero.fault(kind, **rule)
        stage.xero.clock.advance(61)
        stage.run()
        stage.xero.heal()
        if stage.connection.state == Connection.State.LOST:
            reconnect(stage)
        settled(stage)
        assert stage.connection.state == Connection.State.LIVE
    assert again(stage, stage.sale("open")).reference == "limit_minute"
    stage.xero.act("disconnect")
    stage.xero.clock.advance(61)
    stage.run()
    reconnect(stage)


def audits(stage: Stage) -> None:
    """What moved no stamp is found by the audit."""
    store, tenant = stage.xero.app.store, stage.xero.tenant()
    store.save(tenant, changed(stage.sale("open"), reference="silent"))
    Connection.objects.update(audited_at=stage.now - timedelta(hours=25))
    settled(stage)
    assert bill_of(stage.sale("open")).reference == "silent"
    equal(stage)
    deducted = stage.sale("open", 3)
    assert bill_of(deducted).outstanding == deducted.amount_due
    stage.xero.act("deduct-cis", invoice=deducted.number, amount="0")
    settled(stage)
    judge(stage.xero, stage.connection)


def ends(stage: Stage) -> None:
    """She disconnects; Xero no longer knows of us."""
    row = stage.connection
    integrations.disconnect(by=stage.alice, connection=row, address="::1", now=stage.now)
    assert stage.connection.state == Connection.State.DISCONNECTED
    assert not stage.xero.app.store.connections


CHAPTERS: tuple[Callable[[Stage], None], ...] = (
    connects,
    imports,
    hears_news,
    edits_both,
    takes_back,
    is_refused,
    loses_answers,
    meets_limits,
    loses_permission,
    audits,
    ends,
)
