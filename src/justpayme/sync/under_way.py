"""Items that have left: what they are locked with, and what happens when Xero says yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from justpayme.core.outbox import Decision, Sent, Watch
from justpayme.sync import arrivals, outbox, plain
from justpayme.sync.models import OutboxItem, Run, Shipment
from justpayme.sync.outbox import Kind, State
from justpayme.sync.pull import Pull
from justpayme.xero.client import Clock, XeroClient

WATCH = Watch()
"""What this process knows of shipments, by its own clock; another one starts with nothing."""


def next_step(shipment: Shipment, clock: Clock) -> Decision:
    """What is to be done with a shipment that has left and got no clear answer."""
    sent = Sent(shipment.first_sent_at, shipment.last_sent_at, shipment.attempts)
    return WATCH.step(shipment.pk, sent, clock.now(), clock.monotonic())


@dataclass
class Sending:
    """One run's hands while it sends: `pull` reads what Xero says before and after."""

    run: Run
    client: XeroClient
    clock: Clock
    pull: Pull


def lock(items: Any, *, states: Sequence[str]) -> list[OutboxItem]:
    """Those of the items that are in one of the states, locked after their links and bills: the
    order in which everything that changes a linked bill locks."""
    rows = items if isinstance(items, list) else list(items.only("bill_id", "client_id"))
    bills = [item.bill_id for item in rows if item.bill_id is not None]
    plain.rows("SELECT id FROM sync_link WHERE bill_id = ANY(%s) ORDER BY id FOR UPDATE", bills)
    plain.rows("SELECT id FROM bills_bill WHERE id = ANY(%s) ORDER BY id FOR UPDATE", bills)
    locked = OutboxItem.objects.select_for_update(of=("self",)).filter(
        pk__in=[item.pk for item in rows], state__in=states
    )
    if any(item.client_id is not None for item in rows):
        locked = locked.select_related("client", "connection")
    return list(locked.order_by("position", "id"))


def confirm(run: Run, kind: str, item: OutboxItem, remote_id: str, now: datetime) -> None:
    """Xero says that it is done. A contact is linked; a bill waits for Xero to show it."""
    arrived(run, item, now)
    if kind == Kind.CONTACT:
        outbox.link_client(item, remote_id, now)
        return
    if kind == Kind.PAY:
        item.paid = (item.paid or {}) | {"remote_id": remote_id}
    if kind != Kind.UPDATE:
        item.remote_id = remote_id
    item.detail = item.detail | {"confirmed": True}
    unsure(item)


def arrived(run: Run, item: OutboxItem, now: datetime) -> None:
    """Count on the run, and tell in the bill's history, that an item reached Xero: once."""
    if not arrivals.is_told(item):
        plain.do("UPDATE sync_run SET sent = sent + 1 WHERE id = %s", run.pk)
        arrivals.tell(run.pk, item, now)


def unsure(item: OutboxItem) -> None:
    """It has left, and Xero has not shown yet what came of it."""
    item.state = State.UNSURE
    item.save()
