"""What the sync knows of one bill, gathered for `justpayme explain`. Changes nothing."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from justpayme.bills.models import Bill
from justpayme.core.bill import BillFields, PaidFields, to_plain
from justpayme.core.errors import CATALOGUE, Entry, Problem
from justpayme.core.explain import Ahead, Told, Versions, Way, ahead, explain, key_dies
from justpayme.core.outbox import Sent, without_marker
from justpayme.core.settle import beside, under
from justpayme.sync import bulk, calls, clients, conflicts, intentions, outbox
from justpayme.sync.models import OPEN, Conflict, Connection, Link, OutboxItem
from justpayme.xero import wire
from justpayme.xero.client import Clock
from justpayme.xero.translate import to_bill


@dataclass(frozen=True, slots=True)
class Travelling:
    """One intention on its way, its request if it has left, and what happens next."""

    item: OutboxItem
    sent: Sent | None
    entry: Entry | None
    next: Ahead

    @property
    def paid(self) -> PaidFields | None:
        """The payment that it records or takes back, as a person reads it."""
        if self.item.paid is None:
            return None
        paid = outbox.paid_of(self.item)
        return replace(paid, reference=without_marker(paid.reference))

    @property
    def amount(self) -> Decimal | None:
        """Its money, if it is about a payment."""
        return self.paid.amount if self.paid else None


@dataclass(frozen=True, slots=True)
class Explained:
    """One bill. `told` is empty for a bill that is no invoice (yet), or never read as one."""

    bill: Bill
    link: Link | None
    connection: Connection | None
    told: tuple[Told, ...]
    fresh: bool
    travelling: tuple[Travelling, ...]
    conflicts: tuple[Conflict, ...]


def explain_bill(bill: Bill, clock: Clock, *, fresh: bool) -> Explained:
    """Everything about one bill; `fresh` asks Xero for its invoice now, in one call.

    Raises Problem if Xero can't be asked.
    """
    link = Link.objects.select_related("connection").filter(bill=bill).first()
    items = list(bill.outbox.filter(state__in=OPEN).select_related("shipment", "connection"))
    items.sort(key=lambda item: item.pk)
    connection = link.connection if link else (items[0].connection if items else None)
    now = clock.now()
    told: tuple[Told, ...] = ()
    if link is not None:
        remote = _asked(link, clock) if fresh else _stored(link)
        told = _told(bill, link, remote, items)
    kept = bill.conflicts.filter(state=Conflict.State.OPEN).select_related("typed_by")
    travelling = tuple(_travelling(item, now) for item in items)
    return Explained(bill, link, connection, told, fresh, travelling, tuple(kept.order_by("id")))


def _stored(link: Link) -> BillFields:
    """Xero's version as it was last read; the base if what we sent was never read back."""
    raw = bytes(link.raw)
    return _parsed(link, zlib.decompress(raw)) if raw else bulk.base_of(link.base)


def _asked(link: Link, clock: Clock) -> BillFields:
    with calls.client_of(link.connection, clock) as client:
        page = client.invoices_by_id([str(link.invoice_id)])
    if not page.rows:
        raise Problem("not_found_in_xero")
    return _parsed(link, bytes(page.rows[0]))


def _parsed(link: Link, raw: bytes) -> BillFields:
    found = to_bill(wire.decode(wire.Invoice, raw))
    merged = clients.survivors(link.connection)
    return replace(found, client=merged.get(found.client, found.client))


def _told(
    bill: Bill, link: Link, remote: BillFields, items: Sequence[OutboxItem]
) -> tuple[Told, ...]:
    base = bulk.base_of(link.base)
    bare = under(bill.fields(contact_id=clients.contact_id_of(bill.client)), base)
    ours = beside(bare, remote)
    sent, units, confirmed = intentions.last_sent(items)
    read_only = not link.connection.is_two_way
    aside = conflicts.aside(link.connection, bill.pk)
    return explain(Versions(base, ours, remote, read_only, sent, units, confirmed, aside))


def _travelling(item: OutboxItem, now: datetime) -> Travelling:
    sent = None
    if item.shipment is not None:
        shipment = item.shipment
        sent = Sent(shipment.first_sent_at, shipment.last_sent_at, shipment.attempts)
    way = Way(item.state, item.not_before, sent, bool(item.detail.get("confirmed")))
    following = ahead(way, now, may_leave=item.connection.is_two_way)
    return Travelling(item, sent, CATALOGUE.get(item.error_code), following)


def plain(found: Explained) -> dict[str, Any]:
    """The same as data, for `--json`."""
    link, connection = found.link, found.connection
    return {
        "bill": found.bill.pk,
        "number": found.bill.number,
        "organisation": connection.name if connection else None,
        "direction": connection.direction if connection else None,
        "state": connection.state if connection else None,
        "invoice_id": str(link.invoice_id) if link else None,
        "read_at": _time(link.read_at) if link else None,
        "asked_now": found.fresh and link is not None,
        "units": [
            {
                "unit": one.unit,
                "rule": one.rule,
                "words": one.words,
                "fate": one.fate.value,
                "base": one.base,
                "ours": one.ours,
                "xero": one.xero,
            }
            for one in found.told
        ],
        "on_its_way": [_plain_way(one) for one in found.travelling],
        "conflicts": [_plain_conflict(one) for one in found.conflicts],
    }


def _plain_way(one: Travelling) -> dict[str, Any]:
    item, entry, sent = one.item, one.entry, one.sent
    return {
        "id": item.pk,
        "kind": item.kind,
        "state": item.state,
        "since": _time(item.created_at),
        "units": item.sent_units,
        "payment": to_plain(one.paid) if one.paid else None,
        "shipment": str(item.shipment_id) if item.shipment_id else None,
        "attempts": sent.attempts if sent else 0,
        "first_sent_at": _time(sent.first_at) if sent else None,
        "last_sent_at": _time(sent.last_at) if sent else None,
        "key_until": _time(key_dies(sent)) if sent else None,
        "error_code": item.error_code or None,
        "error": entry.sentence if entry else None,
        "remedy": entry.remedy if entry else None,
        "xero_text": item.error_text or None,
        "next": one.next.words,
        "next_at": _time(one.next.at) if one.next.at else None,
    }


def _plain_conflict(one: Conflict) -> dict[str, Any]:
    return {
        "id": one.pk,
        "unit": one.unit,
        "ours": one.ours,
        "xero": one.theirs,
        "typed_by": one.typed_by.shown_name if one.typed_by else None,
        "typed_at": _time(one.typed_at) if one.typed_at else None,
        "at": _time(one.at),
    }


def _time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")
