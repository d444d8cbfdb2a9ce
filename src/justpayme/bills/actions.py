"""What a person can do to bills, clients and payments. One transaction each.

Every verb takes the caller's membership and refuses a viewer (I-49), finds its row within the
caller's business only (a foreign id raises `DoesNotExist`, a page's 404), writes history, and
does nothing twice for the same form `token` (I-50). `seen` is a bill's `updated_at` when the
form was opened; `Changed` if it has moved on.

A bill linked to a connected organisation belongs to Xero while the sync is one-directional:
every verb refuses it with `Locked`. Where it is bidirectional the verb changes the row and its
history, and enqueues what Xero shall hear, in its one transaction (I-17); what Xero would refuse
is refused first, with the reason. After a disconnect it is an ordinary bill again.

The verbs that decide between ours and Xero's are in `deciding.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from justpayme.bills import currencies
from justpayme.bills.acting import (
    Act,
    ActionError,
    AlreadyDone,
    Changed,
    Locked,
    Refused,
    once,
    refuse,
    refuse_stale,
)
from justpayme.bills.codes import Codes, codes_of
from justpayme.bills.deciding import (
    bill_discard,
    bill_send_to_xero,
    conflict_resolve,
    contact_decide,
    item_retry,
)
from justpayme.bills.filling import (
    entry_of,
    judged,
    period_sentence_of,
    priced,
    replace_lines,
    resolved,
    take,
    take_totals,
    unfit_for_xero,
)
from justpayme.bills.held import (
    Held,
    count_payment,
    hold,
    owner_of_client,
    record_in_xero,
    refuse_payments,
    remember,
    save_change,
    settle,
    tell_xero,
)
from justpayme.bills.models import Bill, Client, ClientHistory, Payment
from justpayme.bills.receiving import home_organisation, organisation_for_new
from justpayme.core.bill import ZERO, MoneyKind, Status
from justpayme.core.editable import in_locked_period
from justpayme.core.entry import (
    BillEntry,
    ClientEntry,
    PaymentEntry,
    Problems,
    client_problems,
    payment_problems,
)
from justpayme.sync import outbox
from justpayme.sync.models import NOT_LEFT, OutboxItem

__all__ = [
    "Act",
    "ActionError",
    "AlreadyDone",
    "Changed",
    "Locked",
    "Refused",
    "bill_approve",
    "bill_create",
    "bill_discard",
    "bill_edit",
    "bill_send_to_xero",
    "bill_void",
    "client_create",
    "client_edit",
    "conflict_resolve",
    "contact_decide",
    "entry_of",
    "item_retry",
    "owner_of_client",
    "payment_record",
    "payment_remove",
]

CLIENT_COLUMNS = ("name", "email", "phone", "address", "tax_number")


# --- clients -----------------------------------------------------------------------------------


def client_create(*, act: Act, entry: ClientEntry) -> Client:
    """Add a client."""
    with once(act) as form:
        refuse(client_problems(entry))
        plain = {name: getattr(entry, name).strip() for name in CLIENT_COLUMNS}
        client = Client.objects.create(
            business_id=act.business_id, created_at=act.now, updated_at=act.now, **plain
        )
        _remember_client(client, act, "created", [])
        form.done(client.pk)
    return client


def client_edit(
    *,
    act: Act,
    client_id: int,
    entry: ClientEntry | Callable[[ClientEntry], ClientEntry],
    seen: datetime | None = None,
) -> Client:
    """Change a client that no connected organisation owns. `entry`: see `bill_edit`."""
    with once(act) as form:
        client = _client_for_change(act, client_id, seen)
        if callable(entry):
            entry = entry(ClientEntry(**{name: getattr(client, name) for name in CLIENT_COLUMNS}))
        refuse(client_problems(entry))
        changes = []
        for name in CLIENT_COLUMNS:
            old, new = getattr(client, name), getattr(entry, name).strip()
            if old != new:
                changes.append({"field": name, "old": old, "new": new})
                setattr(client, name, new)
        if changes:
            client.updated_at = act.now
            client.save(update_fields=[*CLIENT_COLUMNS, "updated_at"])
            _remember_client(client, act, "edited", changes)
        form.done(client.pk)
    return client


def _client_for_change(act: Act, client_id: int, seen: datetime | None) -> Client:
    client = Client.objects.select_for_update().get(business_id=act.business_id, pk=client_id)
    if owner := owner_of_client(client):
        raise Locked(
            f"Xero owns this client while {owner.name} is connected. "
            "Change the contact in Xero; the change comes here with the next sync."
        )
    refuse_stale(client.updated_at, seen, "client")
    return client


def _remember_client(client: Client, act: Act, action: str, changes: list[dict[str, str]]) -> None:
    ClientHistory.objects.create(
        business_id=act.business_id,
        client=client,
        at=act.now,
        by=act.membership.user,
        action=action,
        changes=changes,
    )


# --- bills -------------------------------------------------------------------------------------


def bill_create(
    *, act: Act, entry: BillEntry, approve: bool = False, also_in_xero: int | None = None
) -> Bill:
    """Add a draft, or with `approve` a bill that is owed from the start.

    `also_in_xero`: the bidirectional organisation in which it becomes an invoice too.
    """
    with once(act) as form:
        connection = organisation_for_new(act, also_in_xero) if also_in_xero else None
        bill = Bill(business_id=act.business_id, created_at=act.now, updated_at=act.now)
        held = Held(bill, None, connection)
        entry = resolved(entry, None, _codes(held), goes_out=connection is not None)
        totals = judged(held, entry, act, None)
        take(bill, entry)
        take_totals(bill, totals)
        bill.save()
        replace_lines(bill, entry, totals)
        remember(bill, act, "created", [])
        if approve:
            _approve(held, act)
        if connection is not None:
            refuse(unfit_for_xero(bill, connection))
            tell_xero(held, act)
        form.done(bill.pk)
    return bill


def _codes(held: Held) -> Codes | None:
    """What lines may be booked to: in the bill's organisation, or in the only one there is."""
    connection = held.connection or home_organisation(held.bill.business_id)
    return codes_of(connection) if connection else None


def bill_edit(
    *,
    act: Act,
    bill_id: int,
    entry: BillEntry | Callable[[BillEntry], BillEntry],
    seen: datetime | None = None,
) -> Bill:
    """Change a bill. Where Xero has it, what Xero would refuse is refused by its field's name.

    `entry`: all of the bill, or what to make of it as it is when nobody else can change it any
    more, for whoever changes some fields only. Stored totals stay as they are unless lines, tax
    or currency change: those that came from Xero are not recomputed behind anyone's back (I-12).
    """
    with once(act) as form:
        held = hold(act, bill_id, seen)
        bill = held.bill
        if bill.status == Status.VOID:
            raise Refused({"": "A void bill can't be changed. Make a new bill instead."})
        before, stored = bill.told(), entry_of(bill)
        wanted = entry(stored) if callable(entry) else entry
        entry = resolved(wanted, stored, _codes(held), goes_out=held.connection is not None)
        totals = judged(held, entry, act, stored)
        repriced = priced(stored) != priced(entry)
        if stored.lines != entry.lines or repriced:
            replace_lines(bill, entry, totals, stored)
        take(bill, entry)
        if repriced:
            take_totals(bill, totals)
            settle(held, act)
        if save_change(held, act, "edited", before):
            tell_xero(held, act)
        form.done(bill.pk)
    return bill


def bill_approve(*, act: Act, bill_id: int, seen: datetime | None = None) -> Bill:
    """Make a draft active: it is owed from now on, and its invoice awaits payment."""
    with once(act) as form:
        held = hold(act, bill_id, seen)
        if held.bill.status != Status.DRAFT:
            raise Refused({"": "Only a draft can be made active."})
        _refuse_locked(held, "status")
        _approve(held, act)
        tell_xero(held, act)
        form.done(held.bill.pk)
    return held.bill


def bill_void(*, act: Act, bill_id: int, seen: datetime | None = None) -> Bill:
    """Take a bill out of every total. It is kept and shown as void.

    In Xero the invoice is made void too, or deleted if it is a draft there.
    """
    with once(act) as form:
        held = hold(act, bill_id, seen)
        bill = held.bill
        if bill.status == Status.VOID:
            raise Refused({"": "This bill is void already."})
        if bill.paid:
            raise Refused({"": "Money has come off this bill. Remove its payments first."})
        if bill.credited:
            raise Refused({"": _CREDITED})
        _refuse_locked(held, "status")
        before = bill.told()
        bill.status, bill.outstanding = Status.VOID, ZERO
        save_change(held, act, "voided", before)
        if held.is_linked or held.connection:
            _void_in_xero(held, act)
        form.done(bill.pk)
    return bill


_CREDITED = (
    "A credit has been used on this bill, so it can't be made void. Take the credit off the "
    "invoice in Xero first."
)


def _void_in_xero(held: Held, act: Act) -> None:
    """A new invoice that has not left is not sent at all."""
    if held.link is None:
        creation = OutboxItem.objects.filter(bill=held.bill, kind=OutboxItem.Kind.CREATE)
        stopped = creation.filter(state__in=NOT_LEFT)
        if stopped.update(state=OutboxItem.State.SUPERSEDED, settled_at=act.now):
            return
    tell_xero(held, act)


def _approve(held: Held, act: Act) -> None:
    bill = held.bill
    missing = {
        "number": "" if bill.number else "Give the bill a number before you make it active.",
        "issued_on": "" if bill.issued_on else "Enter the day the bill is issued.",
        "due_on": "" if bill.due_on else "Enter the day the bill is due.",
        "lines": "" if bill.lines.exists() else "Add at least one line.",
    }
    refuse({name: text for name, text in missing.items() if text})
    before = bill.told()
    bill.status = Status.ACTIVE
    settle(held, act)
    save_change(held, act, "approved", before)


def _refuse_locked(held: Held, field: str) -> None:
    if why := held.locks().get(field):
        raise Refused({"": why})


# --- payments ----------------------------------------------------------------------------------


def payment_record(
    *, act: Act, bill_id: int, entry: PaymentEntry, seen: datetime | None = None
) -> Payment:
    """Record money that came in, here and in Xero. The bill is Paid when nothing is left."""
    with once(act) as form:
        held = hold(act, bill_id, seen)
        bill = held.bill
        if bill.status != Status.ACTIVE:
            raise Refused({"": _UNPAYABLE[Status(bill.status)]})
        _refuse_locked(held, "payments")
        refuse_payments(held)
        refuse(_payment_problems(held, entry))
        before = bill.told()
        payment = Payment.objects.create(
            bill=bill,
            kind=MoneyKind.PAYMENT,
            amount=entry.amount,
            on=entry.on,
            reference=entry.reference.strip(),
            position=bill.payments.count(),
        )
        record_in_xero(held, payment, act)
        count_payment(held, payment.amount, act)
        save_change(held, act, "paid", before)
        form.done(bill.pk)
    return payment


def _payment_problems(held: Held, entry: PaymentEntry) -> Problems:
    bill, connection = held.bill, held.connection
    found = payment_problems(
        entry,
        outstanding=bill.outstanding,
        digits=currencies.digits(bill.currency),
        show=lambda amount: currencies.text(amount, bill.currency),
    )
    if connection and "on" not in found and in_locked_period(entry.on, connection.lock_date):
        found["on"] = period_sentence_of(connection)
    return found


def payment_remove(
    *, act: Act, bill_id: int, payment_id: int, seen: datetime | None = None
) -> Bill:
    """Take back a payment, not a credit; the bill is owed again, and in Xero too."""
    with once(act) as form:
        held = hold(act, bill_id, seen)
        bill = held.bill
        payment = bill.payments.get(pk=payment_id)
        if payment.kind != MoneyKind.PAYMENT:
            raise Refused({"": "Only payments can be removed here; this is a credit from Xero."})
        _refuse_locked(held, "payments")
        if payment.remote_id:
            _refuse_removal(held, payment)
        before = bill.told()
        paid = payment.fields()
        payment.delete()
        count_payment(held, -payment.amount, act)
        save_change(held, act, "unpaid", before)
        if held.connection is not None:
            outbox.enqueue_unpay(bill, held.connection, paid, act.membership.user, act.now)
        form.done(bill.pk)
    return bill


def _refuse_removal(held: Held, payment: Payment) -> None:
    """Raise Refused if Xero would not let go of a payment that it has."""
    refuse_payments(held)
    connection = held.connection
    if connection and in_locked_period(payment.on, connection.lock_date):
        raise Refused({"": period_sentence_of(connection)})


_UNPAYABLE = {
    Status.DRAFT: "This bill is a draft. Make it active first, then record the payment.",
    Status.PAID: "This bill is paid already; nothing is outstanding.",
    Status.VOID: "This bill is void; nothing is owed on it.",
}
