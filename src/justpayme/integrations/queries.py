"""Reads for the pages about connections, always within one business."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, QuerySet, Sum

from justpayme.accounts.models import Business
from justpayme.sync.models import Connection, Meter, Run

State = Connection.State


def connections(business: Business) -> QuerySet[Connection]:
    """The organisations that were ever chosen."""
    return business.connections.exclude(state=State.OFFERED).select_related("business")


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
