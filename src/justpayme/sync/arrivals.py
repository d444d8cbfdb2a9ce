"""What a bill's history says of something of ours that reached Xero: field by field, by which run.

Said once for each item: when Xero confirms it, or, if that answer was lost, when Xero first
shows it. The entry changes nothing in our row (`HistoryEntry.SENT`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from justpayme.bills.models import HistoryEntry
from justpayme.core.bill import UNITS, BillFields
from justpayme.sync import bulk
from justpayme.sync.models import Link, OutboxItem
from justpayme.sync.outbox import Kind

_NOTES = {
    Kind.CREATE: "Created in Xero.",
    Kind.PAY: "The payment was recorded in Xero.",
    Kind.UNPAY: "The payment was taken back in Xero.",
}


def row(bill_id: int, item: OutboxItem, base: BillFields | None) -> bulk.HistoryRow:
    """The entry of an item that reached Xero. `base`: what Xero said before it did."""
    return bulk.HistoryRow(
        bill_id=bill_id,
        source=HistoryEntry.Source.WRITE_BACK,
        action=HistoryEntry.SENT,
        changes=_changes(item, base),
        note=_NOTES.get(Kind(item.kind), ""),
    )


def tell(run_id: int, item: OutboxItem, now: datetime) -> None:
    """Write the entry of an item that reached Xero, unless it is written or of no bill."""
    if item.bill_id is None or is_told(item):
        return
    link = Link.objects.filter(bill_id=item.bill_id).first()
    told = row(item.bill_id, item, bulk.base_of(link.base) if link else None)
    bulk.insert_history(item.business_id, run_id, [told], now)


def is_told(item: OutboxItem) -> bool:
    """Has the history said already that this item reached Xero?"""
    return bool(item.detail.get("confirmed"))


def _changes(item: OutboxItem, base: BillFields | None) -> list[tuple[str, Any, Any]]:
    paid = [item.paid] if item.paid else []
    if item.kind == Kind.PAY:
        return [("payments", [], paid)]
    if item.kind == Kind.UNPAY:
        return [("payments", paid, [])]
    if item.kind != Kind.UPDATE or base is None or item.sent is None:
        return []
    said = bulk.base_of(item.sent)
    names = [name for unit in item.sent_units for name in UNITS[unit]]
    every = [(name, getattr(base, name), getattr(said, name)) for name in names]
    return [change for change in every if change[1] != change[2]]
