"""What an answer of Xero's means for the intentions of the same bill: did one of them arrive?

Called by `apply` inside its transaction, so whichever door an answer comes through, our own
writes are known for what they are: by the marker of a payment, by what was sent of a bill, by
the number of a new invoice (I-13, merge row 13).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from justpayme.core.bill import BillFields
from justpayme.core.merge import Merge, arrived
from justpayme.core.outbox import has_marker
from justpayme.sync import bulk
from justpayme.sync.bulk import LinkRow
from justpayme.sync.models import IN_FLIGHT, OPEN, Connection, Link, OutboxItem
from justpayme.sync.outbox import Kind, State, end

Landed = list[tuple[OutboxItem, str]]
_SAME_INVOICE = ("number", "client", "lines")


def of_bills(bill_ids: Iterable[int]) -> dict[int, list[OutboxItem]]:
    """Open items of these bills, oldest first."""
    found: dict[int, list[OutboxItem]] = defaultdict(list)
    items = OutboxItem.objects.filter(bill_id__in=list(bill_ids), state__in=OPEN)
    for item in items.order_by("id"):
        if item.bill_id is not None:
            found[item.bill_id].append(item)
    return found


def last_sent(
    items: Sequence[OutboxItem],
) -> tuple[BillFields | None, tuple[str, ...], bool]:
    """What was last sent of a bill and may have arrived; the units that were in it; and whether
    Xero has said that it stored them."""
    for item in reversed(items):
        if item.state in IN_FLIGHT and item.sent is not None:
            told = bool(item.detail.get("confirmed"))
            return bulk.base_of(item.sent), tuple(item.sent_units), told
    return None, (), False


def landed(items: Sequence[OutboxItem], remote: BillFields) -> Landed:
    """The items that this version of the invoice shows to have arrived, with their object's id."""
    found = ((item, _landed_as(item, remote)) for item in items)
    return [(item, remote_id) for item, remote_id in found if remote_id is not None]


def _landed_as(item: OutboxItem, remote: BillFields) -> str | None:
    """The id of what the item made or changed, if this version of the invoice shows it."""
    if item.kind == Kind.PAY:
        marked = (p.remote_id for p in remote.payments if has_marker(p.reference, item.marker))
        return next(marked, None)
    if item.kind == Kind.UNPAY:
        there = any(p.remote_id == item.remote_id for p in remote.payments)
        return item.remote_id if item.remote_id and not there else None
    if item.state not in IN_FLIGHT or item.sent is None:
        return None
    if item.kind == Kind.CREATE:
        return item.remote_id
    units = frozenset(item.sent_units)
    if item.detail.get("confirmed"):
        return ""
    return "" if units <= arrived(remote, bulk.base_of(item.sent), tuple(units)) else None


def follow(items: Sequence[OutboxItem], arrivals: Landed, decision: Merge, now: datetime) -> None:
    """Settle what arrived, and edits of which nothing is left to send."""
    done = set()
    for item, remote_id in arrivals:
        item.remote_id = remote_id or item.remote_id
        end(item, State.DONE, "", now)
        done.add(item.pk)
    if decision.outgoing:
        return
    for item in items:
        over = item.pk not in done and item.kind == Kind.UPDATE and item.state not in IN_FLIGHT
        if over:
            end(item, State.SUPERSEDED if decision.conflicts else State.DONE, "", now)


def adopt_creations(connection: Connection, rows: Sequence[LinkRow], now: datetime) -> None:
    """Link bills under way to Xero with their new invoices, if these are among the rows: or a
    lost answer would make a second bill of each (I-3). What was sent is their base. Those that
    had left when the connection ended count too."""
    left = OutboxItem.objects.filter(
        connection=connection, kind=Kind.CREATE, state__in=(*IN_FLIGHT, State.CANCELLED)
    )
    items = list(left.exclude(sent=None).exclude(bill__link__isnull=False))
    for item in items:
        row = next((row for row in rows if _is_of(item, row)), None)
        if row is None:
            continue
        taken = Link.objects.filter(connection=connection, invoice_id=row.invoice_id).exists()
        if not taken:
            item.remote_id = str(row.invoice_id)
            item.save(update_fields=["remote_id"])
            _link(item, row, now)


def _is_of(item: OutboxItem, row: LinkRow) -> bool:
    """Is this the invoice that the item made? Its id says so, or number and content do."""
    if item.remote_id:
        return item.remote_id == str(row.invoice_id)
    if str(row.invoice_id) in item.detail.get("known", ()):
        return False  # it was there before we sent ours
    sent = bulk.base_of(item.sent or {})
    same = arrived(row.fields, sent, _SAME_INVOICE) == frozenset(_SAME_INVOICE)
    return same and row.fields.currency == sent.currency


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
