"""A bill held for a change: its row, its link and its organisation, locked in the sync's order.

    organisation ─▶ link ─▶ bill        the sync takes them in this order too; any other deadlocks

What became of the bill is written in one transaction: the row, its history, and the intention
that Xero shall hear of it (I-17).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from justpayme.bills.acting import Act, Changed, Locked, Refused, refuse_stale
from justpayme.bills.models import Bill, Client, HistoryEntry, Payment
from justpayme.core.bill import BillFields, MoneyKind, Status, to_plain
from justpayme.core.editable import Facts, locked
from justpayme.sync import outbox
from justpayme.sync.models import IN_FLIGHT, OPEN, ClientLink, Connection, Link, OutboxItem

_CREATE = OutboxItem.Kind.CREATE


@dataclass(frozen=True, slots=True)
class Held:
    """A bill that may be changed. `connection`: the bidirectional organisation that its changes
    go to, if there is one; `link`: its invoice there, None while it is still on its way."""

    bill: Bill
    link: Link | None = None
    connection: Connection | None = None

    @property
    def is_linked(self) -> bool:
        """Is it an invoice of a connected organisation?"""
        return self.link is not None and self.connection is not None

    def locks(self) -> dict[str, str]:
        """Field -> why Xero would refuse a change of it."""
        return locks(self.bill, self.connection) if self.is_linked and self.connection else {}


def hold(act: Act, bill_id: int, seen: Any = None) -> Held:
    """The bill, locked for this transaction. Raises DoesNotExist, Locked or Changed."""
    mine = Bill.objects.filter(business_id=act.business_id, pk=bill_id)
    connection = _locked_connection(mine)
    links = Link.objects.select_for_update(of=("self",)).defer("raw", "base")
    link = links.filter(bill__in=mine).first()
    bill = mine.select_for_update(of=("self",)).select_related("client").get()
    if (link is None) == Link.objects.filter(bill=bill).exists():
        raise Changed("This bill has just become a Xero invoice. Look at it, then try again.")
    if connection and connection.direction != Connection.Direction.TWO:
        if link:
            raise Locked(owned_sentence(connection))
        connection = None
    refuse_stale(bill.updated_at, seen, "bill")
    return Held(bill, link, connection)


def owned_sentence(connection: Connection) -> str:
    """Why nothing of a bill of this one-directional organisation changes here."""
    return (
        f"Xero owns this bill while {connection.name} is connected. "
        "Change it in Xero; the change comes here with the next sync."
    )


def _locked_connection(bill: Any) -> Connection | None:
    """The organisation in use that the bill is linked with or on its way to. Held, so that its
    direction stays as it is until the commit (I-36)."""
    linked = Link.objects.filter(bill__in=bill).values_list("connection_id", flat=True)
    coming = OutboxItem.objects.filter(bill__in=bill, kind=_CREATE, state__in=OPEN)
    pk = linked.first() or coming.values_list("connection_id", flat=True).first()
    if pk is None:
        return None
    found = Connection.objects.select_for_update(no_key=True).get(pk=pk)
    return found if found.is_in_use else None


def locks(bill: Bill, connection: Connection) -> dict[str, str]:
    """Field -> why Xero would refuse a change of it now, for a bill linked with it.

    Judged by our row: it is what the invoice will be once everything before has arrived.
    """
    payments = list(bill.payments.all())
    direction: Literal["one", "two"] = (
        "two" if connection.direction == Connection.Direction.TWO else "one"
    )
    return locked(
        Facts(
            direction=direction,
            status=Status(bill.status),
            has_payments=any(p.kind == MoneyKind.PAYMENT for p in payments),
            has_credits=any(p.kind != MoneyKind.PAYMENT for p in payments),
            issued_on=bill.issued_on,
            lock_date=connection.lock_date,
            organisation=connection.name,
            pending=any(p.kind == MoneyKind.PAYMENT and not p.remote_id for p in payments),
        )
    )


def owner_of_client(client: Client) -> Connection | None:
    """The organisation that owns this client, if its contact is in a connected one."""
    link = ClientLink.objects.select_related("connection").filter(client=client).first()
    return link.connection if link and link.connection.is_in_use else None


# --- what became of it -------------------------------------------------------------------------


def settle(held: Held, act: Act) -> None:
    """A bill that is owed is Paid exactly when nothing is outstanding. Of an invoice with no
    money on it Xero says that."""
    bill = held.bill
    if bill.status not in (Status.ACTIVE, Status.PAID):
        return
    if held.is_linked and not (bill.paid or bill.credited) and bill.status == Status.ACTIVE:
        return
    bill.status = Status.ACTIVE if bill.outstanding else Status.PAID
    bill.fully_paid_on = _last_paid(bill, act) if bill.status == Status.PAID else None


def count_payment(held: Held, amount: Decimal, act: Act) -> None:
    """So much more has come off the bill; less, if it is below zero."""
    held.bill.paid += amount
    held.bill.outstanding -= amount
    if held.bill.outstanding and held.bill.status == Status.PAID:
        held.bill.status, held.bill.fully_paid_on = Status.ACTIVE, None
    settle(held, act)


def _last_paid(bill: Bill, act: Act) -> date:
    days = [payment.on for payment in bill.payments.all() if payment.on]
    return max(days, default=act.today)


def save_change(held: Held, act: Act, action: str, before: BillFields) -> bool:
    """Store the bill and one history entry, or nothing at all when nothing changed."""
    bill = held.bill
    after = bill.told()
    names = before.differing(after)
    if not names:
        return False
    bill.updated_at = act.now
    bill.save()
    Link.objects.filter(bill=bill).update(edited=True)
    changes = [
        {"field": name, "old": _plain(name, before), "new": _plain(name, after)} for name in names
    ]
    remember(bill, act, action, changes)
    return True


def _plain(name: str, version: BillFields) -> Any:
    if name == "client":
        return Client.objects.get(pk=int(version.client)).mark()
    return to_plain(getattr(version, name))


def remember(bill: Bill, act: Act, action: str, changes: list[dict[str, Any]]) -> None:
    """One history entry of this person."""
    HistoryEntry.objects.create(
        business_id=act.business_id,
        bill=bill,
        at=act.now,
        source=HistoryEntry.Source.PERSON,
        action=action,
        by=act.membership.user,
        changes=changes,
    )


def tell_xero(held: Held, act: Act) -> None:
    """The change shall reach Xero, if the bill is there or on its way there."""
    if held.connection is None:
        return
    bill, by = held.bill, act.membership.user
    if held.link is None and not _is_leaving(bill):
        outbox.enqueue_create(bill, held.connection, by, act.now)
    else:
        outbox.enqueue_update(bill, held.connection, by, act.now)


def _is_leaving(bill: Bill) -> bool:
    """Has its new invoice been sent, and is not known yet?"""
    return OutboxItem.objects.filter(bill=bill, kind=_CREATE, state__in=IN_FLIGHT).exists()


def record_in_xero(held: Held, payment: Payment, act: Act) -> None:
    """Money that came in shall be recorded in Xero too; the payment gets its marker."""
    if held.connection is None:
        return
    by = act.membership.user
    marked = outbox.enqueue_payment(held.bill, held.connection, payment.fields(), by, act.now)
    payment.reference = marked.reference
    payment.save(update_fields=["reference"])


def refuse_payments(held: Held) -> None:
    """Raise Refused if this organisation takes no payments of this bill from here."""
    connection, currency = held.connection, held.bill.currency
    if connection is None:
        return
    if why := payments_refused(connection, currency):
        raise Refused({"": why}, settings_of=connection.pk)


def payments_refused(connection: Connection, currency: str) -> str:
    """Why payments in this currency can't be recorded in Xero from here; "" if they can."""
    if not connection.write_back:
        return (
            f"Payments are not sent to Xero for {connection.name}. Switch that on in its "
            "settings, or record the payment in Xero."
        )
    if not connection.receiving_accounts.filter(currency=currency).exists():
        return (
            f"{connection.name} has no account for payments in {currency}. "
            "Choose one in its settings."
        )
    return ""
