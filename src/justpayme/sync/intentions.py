"""What an answer of Xero's means for the intentions of the same bill: did one of them arrive?

Called by `apply` inside its transaction, so whichever door an answer comes through, our own
writes are known for what they are: by the marker of a payment, by what was sent of a bill, by
the number of a new invoice (I-13, merge row 13).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db.models import Q

from justpayme.core.bill import BillFields, PaidFields, Status
from justpayme.core.merge import Merge, arrived
from justpayme.core.outbox import has_marker
from justpayme.sync import bulk, clients, conflicts, outbox
from justpayme.sync.bulk import LinkRow
from justpayme.sync.models import IN_FLIGHT, NOT_LEFT, OPEN, Connection, Link, OutboxItem
from justpayme.sync.outbox import Kind, State

Landed = list[tuple[OutboxItem, str]]
_SAME_INVOICE = ("number", "client", "lines")


_LEFT = (*IN_FLIGHT, State.REFUSED)


def of_bills(connection: Connection, bill_ids: Iterable[int]) -> dict[int, list[OutboxItem]]:
    """Open items of these bills, oldest first."""
    found: dict[int, list[OutboxItem]] = defaultdict(list)
    items = OutboxItem.objects.filter(
        connection=connection, bill_id__in=list(bill_ids), state__in=OPEN
    )
    for item in items.order_by("id"):
        if item.bill_id is not None:
            found[item.bill_id].append(item)
    return found


def last_sent(
    items: Sequence[OutboxItem],
) -> tuple[BillFields | None, tuple[str, ...], bool]:
    """What was last sent of a bill and may have arrived; the units that were in it; and whether
    Xero has said that it stored them. A refusal does not prove that it did not."""
    for item in reversed(items):
        if item.state in _LEFT and item.sent is not None:
            told = bool(item.detail.get("confirmed"))
            return bulk.base_of(item.sent), tuple(item.sent_units), told
    return None, (), False


def name_payments(items: Iterable[OutboxItem], remote: BillFields) -> None:
    """A payment that was taken back here while it was under way: Xero shows now which it is."""
    for item in items:
        if item.kind == Kind.UNPAY and item.marker and not item.remote_id:
            item.remote_id = _marked(item, remote) or ""
            item.save(update_fields=["remote_id"])


def _marked(item: OutboxItem, remote: BillFields) -> str | None:
    found = (p.remote_id for p in remote.payments if has_marker(p.reference, item.marker))
    return next(found, None)


def aside(
    items: Sequence[OutboxItem], arrivals: Landed, before: BillFields, after: BillFields
) -> tuple[PaidFields, ...]:
    """Payments recorded here that the bill does not show any more, since Xero would not take
    them: the invoice is void, or somebody else has paid it; or since Xero has given it another
    currency than they were recorded in. One that may be in Xero already is none of them, nor one
    that waits for a draft to be approved."""
    landed_now = {item.pk for item, _ in arrivals}
    paid = [i for i in items if i.kind == Kind.PAY and i.pk not in landed_now]
    waits = after.status is Status.DRAFT and not turned(before, after)
    flying = {outbox.paid_of(i).reference for i in paid if waits or not is_held(i)}
    lost = [p for p in conflicts.unsent(before, after) if p.reference not in flying]
    known = {p.reference for p in (*lost, *after.payments)} | flying
    waiting = (outbox.paid_of(i) for i in paid)
    return (*lost, *(p for p in waiting if p.reference not in known))


def turned(before: BillFields, after: BillFields) -> bool:
    """Did Xero give the bill another currency? Amounts are in the one that they were typed in."""
    return before.currency != after.currency


def is_held(item: OutboxItem) -> bool:
    """Is this a payment that has not left, so that Xero can't have it?"""
    return item.kind == Kind.PAY and item.state not in IN_FLIGHT


def landed(items: Sequence[OutboxItem], remote: BillFields) -> Landed:
    """The items that this version of the invoice shows to have arrived, with their object's id."""
    found = ((item, _landed_as(item, remote)) for item in items)
    return [(item, remote_id) for item, remote_id in found if remote_id is not None]


def _landed_as(item: OutboxItem, remote: BillFields) -> str | None:
    """The id of what the item made or changed, if this version of the invoice shows it."""
    if item.kind == Kind.PAY:
        return _marked(item, remote)
    if item.kind == Kind.UNPAY:
        there = any(p.remote_id == item.remote_id for p in remote.payments)
        return item.remote_id if item.remote_id and not there else None
    if item.state not in _LEFT or item.sent is None:
        return None
    if item.kind == Kind.CREATE:
        return item.remote_id
    units = frozenset(item.sent_units)
    if item.detail.get("confirmed"):
        return ""
    return "" if units <= arrived(remote, bulk.base_of(item.sent), tuple(units)) else None


def follow(
    items: Sequence[OutboxItem],
    arrivals: Landed,
    decision: Merge,
    lost: Sequence[PaidFields],
    now: datetime,
) -> None:
    """Settle what arrived, payments that were set aside, and edits of which nothing is left to
    send. While one is under way that is not known: it may still change what Xero says."""
    done = set()
    for item, remote_id in arrivals:
        item.remote_id = remote_id or item.remote_id
        outbox.end(item, State.DONE, "", now)
        done.add(item.pk)
        if item.sent is not None and item.bill_id is not None:
            units = set(item.sent_units) - set(decision.outgoing)
            conflicts.reached(item.bill_id, bulk.base_of(item.sent), units, now)
    left = [item for item in items if item.pk not in done]
    references = {paid.reference for paid in lost}
    flying = any(i.kind in outbox.EDITS and i.state in IN_FLIGHT for i in left)
    for item in left:
        if item.kind == Kind.PAY and outbox.paid_of(item).reference in references:
            outbox.end(item, State.SUPERSEDED, "", now)
        if item.kind in outbox.EDITS and not (flying or decision.outgoing):
            outbox.end(item, State.SUPERSEDED if decision.conflicts else State.DONE, "", now)


def adopt_contacts(connection: Connection, ids: Mapping[str, str], now: datetime) -> int:
    """Link clients with the contacts that were made for them (ContactNumber -> id), before
    anybody takes these for new clients; how many had left without an answer."""
    items = OutboxItem.objects.filter(
        connection=connection,
        kind=Kind.CONTACT,
        marker__in=ids.keys() - {""},
        state__in=(*OPEN, State.CANCELLED),
        client__link__isnull=True,
    )
    left = 0
    for item in items.select_related("client", "connection"):
        left += item.state in IN_FLIGHT
        outbox.link_client(item, ids[item.marker], now)
    return left


def adopt_creations(connection: Connection, rows: Sequence[LinkRow], now: datetime) -> int:
    """Link bills under way to Xero with their new invoices, if these are among the rows: or a
    lost answer would make a second bill of each (I-3); how many. What was sent is their base.
    Those that had left when the connection ended count too; and those that wait, for they may
    have left before a backup was taken back (I-53)."""
    adopted = 0
    for item in _creations(connection, rows):
        row = next((row for row in rows if _is_of(item, row)), None)
        if row is None:
            continue
        taken = Link.objects.filter(connection=connection, invoice_id=row.invoice_id).exists()
        if not taken:
            item.remote_id = str(row.invoice_id)
            item.save(update_fields=["remote_id"])
            _link(item, row, now)
            adopted += 1
    return adopted


def _creations(connection: Connection, rows: Sequence[LinkRow]) -> list[OutboxItem]:
    """Items that may have made one of these invoices, each with what it sent or would send."""
    left = Q(state__in=(*_LEFT, State.CANCELLED), sent__isnull=False)
    waits = Q(
        state__in=NOT_LEFT,
        bill__number__in={row.fields.number for row in rows} - {""},
    )
    found = OutboxItem.objects.filter(
        left | waits, connection=connection, kind=Kind.CREATE, bill__link__isnull=True
    )
    items = list(found.select_related("bill__client__link").order_by("-id"))
    for item in items:
        if item.sent is None and item.bill is not None:
            contact = clients.contact_id_of(item.bill.client)
            item.sent = bulk.plain_of(item.bill.fields(contact_id=contact))
    return items


def _is_of(item: OutboxItem, row: LinkRow) -> bool:
    """Is this the invoice that the item made? Its id says so, or number and content do."""
    if item.remote_id:
        return item.remote_id == str(row.invoice_id)
    if str(row.invoice_id) in item.detail.get("known", ()):
        return False  # it was there before we sent ours
    sent = bulk.base_of(item.sent or {})
    same = arrived(row.fields, sent, _SAME_INVOICE) == frozenset(_SAME_INVOICE)
    return same and bool(sent.number) and row.fields.currency == sent.currency


def _link(item: OutboxItem, row: LinkRow, now: datetime) -> None:
    if item.bill is None:
        raise ValueError("only a bill can become an invoice")
    Link.objects.create(
        bill=item.bill,
        connection_id=item.connection_id,
        invoice_id=row.invoice_id,
        base=item.sent,
        raw=b"",
        digest=b"",
        remote_status=row.remote_status,
        edited=True,
        read_at=now,
    )
