"""Reads for the pages about connections, always within one business."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, QuerySet, Sum

from justpayme.accounts.models import Business
from justpayme.sync.models import (
    NOT_ALLOWED,
    OPEN,
    ClientLink,
    Conflict,
    Connection,
    Meter,
    OutboxItem,
    Run,
)

State = Connection.State
ItemState = OutboxItem.State

ITEM_FILTERS: dict[str, tuple[ItemState, ...]] = {
    "all": OPEN,
    "waiting": (ItemState.WAITING, ItemState.SENDING, ItemState.UNSURE),
    "parked": (ItemState.PARKED,),
    "refused": (ItemState.REFUSED,),
}
"""The lists of what has not reached Xero: key -> states."""


def connections(business: Business) -> QuerySet[Connection]:
    """The organisations that were ever chosen."""
    return business.connections.exclude(state=State.OFFERED).select_related("business", "heard")


def choosable(business: Business) -> QuerySet[Connection]:
    """Organisations that a consent gave and that do not sync: never did, or no longer."""
    return business.connections.filter(
        state__in=(State.OFFERED, State.DISCONNECTED), tokens__isnull=False, next_due_at=None
    ).select_related("business")


def bill_count(connection: Connection) -> int:
    """How many bills are tied to this organisation's invoices."""
    return connection.links.count()


def bill_counts(business: Business) -> dict[int, int]:
    """Connection id -> how many bills are tied to it."""
    rows = business.connections.annotate(bills=Count("links")).values_list("pk", "bills")
    return dict(rows)


def syncing(business: Business) -> set[int]:
    """The organisations with a run under way."""
    under_way = Run.objects.filter(connection__business=business, state=Run.State.RUNNING)
    return set(under_way.values_list("connection_id", flat=True))


def runs(connection: Connection, *, before: int | None = None, limit: int) -> list[Run]:
    """The newest runs, or those older than the run `before`."""
    found = connection.runs.select_related("by").order_by("-pk")
    return list(found.filter(pk__lt=before)[:limit] if before else found[:limit])


def stopped_run(connection: Connection) -> Run | None:
    """The run whose safety stop halted this organisation."""
    if connection.state != State.HALTED:
        return None
    return connection.runs.filter(error_code=connection.error_code).order_by("-pk").first()


def not_allowed(connection: Connection) -> str:
    """The catalogue's code if changes rest because Xero does not let us write; else empty."""
    resting = OutboxItem.objects.filter(connection=connection, state=ItemState.PARKED)
    return NOT_ALLOWED if resting.filter(error_code=NOT_ALLOWED).exists() else ""


@dataclass(frozen=True, slots=True)
class Used:
    """What an organisation has used of Xero's allowances."""

    calls_today: int
    bytes_this_month: int


def used(connection: Connection, now: datetime) -> Used:
    """Calls since midnight UTC and bytes since the month began, of everybody who syncs it."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    meters = Meter.objects.filter(tenant_id=connection.tenant_id)
    today = meters.filter(minute__gte=midnight).aggregate(sum=Sum("calls"))
    month = meters.filter(minute__gte=midnight.replace(day=1)).aggregate(sum=Sum("bytes"))
    return Used(today["sum"] or 0, month["sum"] or 0)


def import_run(connection: Connection) -> Run | None:
    """The newest run since the organisation was last chosen, under way or ended."""
    if connection.connected_at is None:
        return None
    return connection.runs.filter(started_at__gte=connection.connected_at).order_by("-pk").first()


# --- what has not reached Xero -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """How much of one organisation waits, needs a decision, was refused or was overridden."""

    waiting: int = 0
    parked: int = 0
    refused: int = 0
    conflicts: int = 0


def held(business: Business) -> dict[int, Held]:
    """Connection id -> what is held up; organisations without anything are left out."""
    items = OutboxItem.objects.filter(business=business, state__in=OPEN)
    counts = {
        (pk, state): count
        for pk, state, count in items.order_by()
        .values_list("connection", "state")
        .annotate(Count("pk"))
    }
    overridden = dict(
        open_conflicts(business).order_by().values_list("connection").annotate(Count("pk"))
    )

    def sum_of(pk: int, name: str) -> int:
        return sum(counts.get((pk, state), 0) for state in ITEM_FILTERS[name])

    return {
        pk: Held(
            sum_of(pk, "waiting"),
            sum_of(pk, "parked"),
            sum_of(pk, "refused"),
            overridden.get(pk, 0),
        )
        for pk in {pk for pk, _ in counts} | set(overridden)
    }


def open_conflicts(business: Business, connection_id: int | None = None) -> QuerySet[Conflict]:
    """Values of ours that Xero overrode and nobody has decided about, newest first."""
    found = Conflict.objects.filter(business=business, state=Conflict.State.OPEN)
    if connection_id is not None:
        found = found.filter(connection=connection_id)
    related = ("bill__client", "connection", "typed_by")
    return found.select_related(*related).order_by("-id")


def items(
    business: Business, name: str = "all", connection_id: int | None = None
) -> QuerySet[OutboxItem]:
    """What has not reached Xero, newest first; `name` is one of `ITEM_FILTERS`."""
    found = OutboxItem.objects.filter(business=business, state__in=ITEM_FILTERS[name])
    if connection_id is not None:
        found = found.filter(connection=connection_id)
    related = ("bill__client", "client", "connection", "by")
    return found.select_related(*related).order_by("-id")


def contact_names(business: Business, units: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """ContactID -> name of the client, of those that these units of a bill name."""
    ids = {str(unit["client"]) for unit in units if unit.get("client")}
    if not ids:
        return {}
    links = ClientLink.objects.filter(client__business=business, contact_id__in=ids)
    return {str(pk): name for pk, name in links.values_list("contact_id", "client__name")}
