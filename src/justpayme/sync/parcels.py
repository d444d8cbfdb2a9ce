"""What of the outbox may leave now, and what exactly would leave: decided on locked rows.

Each packer takes the waiting items of one kind and answers a `Parcel` for every one that can
go. One that can't is ended here, with the reason, before Xero is asked: dated in a locked
period (I-25), a payment of more than is owed or in another currency (I-24), a client without a
contact, and so on.
An edit that made no difference in the end is done without a call (I-22).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from justpayme.bills.models import Bill
from justpayme.core.bill import OWNED_BY_XERO, UNITS, BillFields, Status
from justpayme.core.editable import in_locked_period
from justpayme.core.settle import under
from justpayme.sync import bulk, clients, outbox
from justpayme.sync.models import (
    NOT_ALLOWED,
    ClientLink,
    Connection,
    Link,
    OutboxItem,
    ReceivingAccount,
    Record,
)
from justpayme.sync.outbox import Kind, State
from justpayme.xero import outgoing
from justpayme.xero.outgoing import Change, New, NewContact, NewPayment, Request, what_hinders

ONE_BY_ONE = {Kind.UNPAY}
"""Kinds that Xero takes one at a time."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why an item does not leave: what becomes of it, and the catalogue's code if any."""

    state: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One item and what of it leaves. `sent` and `units`: for knowing our own write again;
    `over`: what Xero's version says of these units, as a base stores it."""

    item: OutboxItem
    thing: Change | New | NewPayment | NewContact | str
    sent: BillFields | None = None
    units: tuple[str, ...] = ()
    over: dict[str, Any] | None = None


def pack(
    kind: str, connection: Connection, items: Sequence[OutboxItem], now: datetime
) -> list[Parcel]:
    """Parcels of those items that can leave; the others are ended. Rows are locked already."""
    found = []
    for item in items:
        decision = _PACKERS[kind](connection, item)
        if isinstance(decision, Parcel):
            found.append(decision)
        else:
            outbox.end(item, decision.state, decision.code, now)
    return found


_SAID_BY_US = {
    "lock_date",
    "contact_needed",
    "contact_like_this",
    "contact_archived",
    "defaults_missing",
    "receiving_account_missing",
    "currency_differs",
    "payment_not_allowed",
    "payment_over_due",
}
"""Why an item was held back here that may be over without anybody's doing anything to it."""


def may_change_its_mind(item: OutboxItem, *, audit: bool) -> bool:
    """Might the reason why this item is held back be gone? Xero's own words are no reason of
    ours, but for a contact that was archived and is not any more. Whether a permission is there
    again only a try can tell, so that is for the daily `audit`."""
    if item.error_code == NOT_ALLOWED:
        return audit
    if item.error_code == "contact_archived" and item.error_text:
        return _is_restored(item)
    return item.error_code in _SAID_BY_US and not item.error_text


def _is_restored(item: OutboxItem) -> bool:
    if item.bill is None:
        return False
    contact = Record.objects.filter(
        connection=item.connection,
        kind=Record.Kind.CONTACT,
        remote_id=clients.contact_id_of(item.bill.client),
        updated_at__gt=item.error_at,
    ).first()
    return contact is not None and not contact.data["archived"]


def reconsider(connection: Connection, item: OutboxItem, now: datetime) -> None:
    """Let an item go that could leave now, or say why not any more. Rows are locked already."""
    decision = _PACKERS[item.kind](connection, item)
    if isinstance(decision, Parcel):
        outbox.end(item, State.WAITING, "", now)
    elif (decision.state, decision.code) != (item.state, item.error_code):
        outbox.end(item, decision.state, decision.code, now)


def request_of(kind: str, parcels: Sequence[Parcel]) -> Request:
    """The one request that carries these parcels, all of one kind."""
    things = [parcel.thing for parcel in parcels]
    return _REQUESTS[kind](things)


def _pack_update(connection: Connection, item: OutboxItem) -> Parcel | Ending:
    bill, link = _bill_and_link(item)
    base = bulk.base_of(link.base)
    local = under(_fields(bill), base)
    units = changed_units(base, local)
    if not units:
        return Ending(State.DONE)
    if local.status is Status.VOID and "status" in units:
        units = ("status",)  # nothing else is sent with it, so nothing else may count as sent
    if _is_locked(connection, base, local):
        return Ending(State.REFUSED, "lock_date")
    change = Change(str(link.invoice_id), local, units, base.status, base)
    over = {name: link.base.get(name) for unit in units for name in UNITS[unit]}
    return _unless_hindered(Parcel(item, change, local, units, over))


def changed_units(base: BillFields, local: BillFields) -> tuple[str, ...]:
    """The units of a bill that say something else here than in Xero, and are ours to say."""
    return tuple(
        unit
        for unit, names in UNITS.items()
        if unit not in OWNED_BY_XERO and any(getattr(base, n) != getattr(local, n) for n in names)
    )


def _is_locked(connection: Connection, base: BillFields, local: BillFields) -> bool:
    """Is this bill, as it is or as it would be, dated in a locked period? Drafts are not in the
    books yet (xero-facts 3.10, 4.6)."""
    both, lock = (base, local), connection.lock_date
    return any(b.status is not Status.DRAFT and in_locked_period(b.issued_on, lock) for b in both)


def _pack_create(connection: Connection, item: OutboxItem) -> Parcel | Ending:
    bill = _bill(item)
    local = _fields(bill)
    if Link.objects.filter(bill=bill).exists():
        item.kind = Kind.UPDATE  # the one before it arrived after all
        return _pack_update(connection, item)
    if local.status is Status.VOID:
        return Ending(State.SUPERSEDED)
    if connection.defaults_set_at is None:
        return Ending(State.PARKED, "defaults_missing")
    status = "DRAFT" if local.status is Status.DRAFT else connection.create_as
    if status != "DRAFT" and in_locked_period(local.issued_on, connection.lock_date):
        return Ending(State.REFUSED, "lock_date")
    new = New(_with_defaults(local, connection), status, connection.branding_theme)
    # Xero's invoice begins unpaid; payments recorded here follow by themselves. One that begins
    # as a draft is a draft here too: `sent` says what our row says, so Xero's word is taken.
    sent = replace(local, status=Status.ACTIVE) if local.status is Status.PAID else local
    return _unless_hindered(Parcel(item, new, sent, tuple(UNITS)))


def _with_defaults(bill: BillFields, connection: Connection) -> BillFields:
    lines = tuple(
        replace(
            line,
            account_code=line.account_code or connection.revenue_account,
            tax_type=line.tax_type or connection.tax_type,
        )
        for line in bill.lines
    )
    return replace(bill, lines=lines)


def _pack_pay(connection: Connection, item: OutboxItem) -> Parcel | Ending:
    bill, link = _bill_and_link(item)
    base, paid = bulk.base_of(link.base), outbox.paid_of(item)
    if bill.currency != base.currency:
        return Ending(State.PARKED, "currency_differs")  # the amount is in the bill's
    account = ReceivingAccount.objects.filter(connection=connection, currency=bill.currency).first()
    if not connection.write_back or account is None:
        return Ending(State.PARKED, "receiving_account_missing")
    if base.status is not Status.ACTIVE:
        return Ending(State.REFUSED, "payment_not_allowed")
    if paid.amount > base.outstanding:
        return Ending(State.REFUSED, "payment_over_due")
    if paid.on is None or in_locked_period(paid.on, connection.lock_date):
        return Ending(State.REFUSED, "lock_date")
    new = NewPayment(str(link.invoice_id), account.account_id, paid.on, paid.amount, paid.reference)
    return _unless_hindered(Parcel(item, new))


def _pack_unpay(connection: Connection, item: OutboxItem) -> Parcel | Ending:
    _, link = _bill_and_link(item)
    base = bulk.base_of(link.base)
    payment_id = item.remote_id or _recorded_as(item)
    there = any(p.remote_id == payment_id for p in base.payments)
    if not payment_id or not there:
        return Ending(State.DONE)
    if in_locked_period(outbox.paid_of(item).on, connection.lock_date):
        return Ending(State.REFUSED, "lock_date")
    item.remote_id = payment_id
    return Parcel(item, payment_id)


def _recorded_as(item: OutboxItem) -> str:
    """The PaymentID of a payment that was under way when it was taken back here."""
    recorded = OutboxItem.objects.filter(bill=item.bill, kind=Kind.PAY, marker=item.marker)
    done = recorded.exclude(marker="").filter(state=State.DONE).first()
    return done.remote_id if done else ""


def _pack_contact(connection: Connection, item: OutboxItem) -> Parcel | Ending:
    client = item.client
    if client is None or ClientLink.objects.filter(client=client).exists():
        return Ending(State.SUPERSEDED)
    if code := outbox.propose(item):
        return Ending(State.PARKED, code)
    new = NewContact(
        number=item.marker,
        name=item.detail.get("name") or client.name,
        email=client.email,
        phone=client.phone,
        address=client.address,
        tax_number=client.tax_number,
    )
    return _unless_hindered(Parcel(item, new))


def _unless_hindered(parcel: Parcel) -> Parcel | Ending:
    """The parcel, or why it can't leave: one bad bill must not spoil a batch."""
    if isinstance(parcel.thing, str):
        return parcel
    code = what_hinders(parcel.thing)
    if code == "contact_missing":
        return Ending(State.PARKED, "contact_needed")
    if code:
        return Ending(State.REFUSED, code)
    return parcel


def _bill(item: OutboxItem) -> Bill:
    rows = Bill.objects.select_related("client__link").prefetch_related("lines", "payments")
    return rows.get(outbox=item)


def _bill_and_link(item: OutboxItem) -> tuple[Bill, Link]:
    bill = _bill(item)
    return bill, Link.objects.defer("raw").get(bill=bill)


def _fields(bill: Bill) -> BillFields:
    return bill.fields(contact_id=clients.contact_id_of(bill.client))


_PACKERS: dict[str, Callable[[Connection, OutboxItem], Parcel | Ending]] = {
    Kind.CONTACT: _pack_contact,
    Kind.CREATE: _pack_create,
    Kind.UPDATE: _pack_update,
    Kind.PAY: _pack_pay,
    Kind.UNPAY: _pack_unpay,
}

_REQUESTS: dict[str, Callable[[Sequence[Any]], Request]] = {
    Kind.CONTACT: outgoing.create_contacts,
    Kind.CREATE: outgoing.create_invoices,
    Kind.UPDATE: outgoing.update_invoices,
    Kind.PAY: outgoing.create_payments,
    Kind.UNPAY: lambda things: outgoing.delete_payment(str(things[0])),
}
