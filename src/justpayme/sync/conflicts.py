"""Values of ours that Xero overrode: kept with both values, who typed ours and when (I-27)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from justpayme.bills.models import HistoryEntry
from justpayme.core.bill import UNITS, BillFields, PaidFields, to_plain
from justpayme.core.merge import Merge
from justpayme.core.outbox import without_marker
from justpayme.sync.models import Conflict, Connection

PAYMENTS = "payments"
"""The unit of payments that were recorded here and never reached Xero."""

_LOOKED_AT = 50


def unsent(before: BillFields, after: BillFields) -> tuple[PaidFields, ...]:
    """Payments recorded here that `after` has no more, and that are not Xero's by now: a
    reference with a marker is one payment, in whichever book."""
    kept = set(after.payments)
    there = {p.reference for p in after.payments if p.reference != without_marker(p.reference)}
    return tuple(
        p for p in before.payments if not p.remote_id and p not in kept and p.reference not in there
    )


def keep(
    connection: Connection,
    bill_id: int,
    decision: Merge,
    lost: tuple[PaidFields, ...],
    run_id: int | None,
    now: datetime,
) -> None:
    """Keep what this merge set aside. An open conflict of the same unit is replaced."""
    found = [
        (c.unit, _fields(c.ours, UNITS[c.unit]), _fields(c.theirs, UNITS[c.unit]))
        for c in decision.conflicts
    ]
    if lost:
        theirs = {PAYMENTS: to_plain(decision.bill.payments)}
        found.append((PAYMENTS, {PAYMENTS: to_plain(lost)}, theirs))
    for unit, ours, theirs in found:
        open_ones = Conflict.objects.filter(bill_id=bill_id, unit=unit, state=Conflict.State.OPEN)
        open_ones.update(state=Conflict.State.REPLACED, resolved_at=now)
        typed = _typed(bill_id, ours)
        Conflict.objects.create(
            business_id=connection.business_id,
            connection=connection,
            bill_id=bill_id,
            unit=unit,
            ours=ours,
            theirs=theirs,
            typed_by_id=typed.by_id if typed else None,
            typed_at=typed.at if typed else None,
            at=now,
            run=run_id,
        )


def aside(connection: Connection, bill_id: int) -> frozenset[str]:
    """Units of this bill whose values of ours are kept, so that its row has nobody's edit there:
    in a one-directional organisation, where nothing is edited."""
    if connection.direction == Connection.Direction.TWO:
        return frozenset()
    rows = Conflict.objects.filter(bill_id=bill_id, state=Conflict.State.OPEN)
    return frozenset(rows.values_list("unit", flat=True))


def reached(bill_id: int, sent: BillFields, units: Iterable[str], now: datetime) -> None:
    """What was sent of a bill has reached Xero: where that is what we kept, nothing is left to
    decide. It was under way when it was set aside."""
    rows = Conflict.objects.filter(bill_id=bill_id, unit__in=units, state=Conflict.State.OPEN)
    for row in rows:
        if row.ours == _fields(sent, UNITS[row.unit]):
            row.state, row.resolved_at = Conflict.State.SENT, now
            row.save(update_fields=["state", "resolved_at"])


def _fields(bill: BillFields, names: Iterable[str]) -> dict[str, Any]:
    return {name: to_plain(getattr(bill, name)) for name in names}


def _typed(bill_id: int, ours: dict[str, Any]) -> HistoryEntry | None:
    """The newest edit by a person of one of these fields."""
    entries = HistoryEntry.objects.filter(bill_id=bill_id, source=HistoryEntry.Source.PERSON)
    for entry in entries.order_by("-at", "-id")[:_LOOKED_AT]:
        if any(change["field"] in ours for change in entry.changes):
            return entry
    return None
