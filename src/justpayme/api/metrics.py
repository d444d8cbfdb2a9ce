"""Figures for Prometheus: requests as they come, and the sync's state as the tables say it.

Counters of requests live in this process (or in PROMETHEUS_MULTIPROC_DIR, when the operator
runs several). Figures about the sync are read from the tables at each scrape, so they agree
with what the pages show and survive a restart.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import Error, connection
from django.db.models import Count, Max, Min, Q, Sum
from django.utils import timezone
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from justpayme.sync.calls import calls_of_a_day
from justpayme.sync.models import OPEN, Conflict, Connection, Heard, OutboxItem, Run
from justpayme.xero.limits import PER_DAY

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "justpayme_requests",
    "Requests answered.",
    ["method", "route", "status"],
    registry=REGISTRY,
)
SECONDS = Histogram(
    "justpayme_request_seconds",
    "Seconds until the answer was ready.",
    ["method", "route"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
EVENTS = Counter(
    "justpayme_webhook_events",
    "Events in webhooks that Xero has signed, by what became of them.",
    ["fate"],
    registry=REGISTRY,
)
AGES = (60, 300, 900, 1800, 3600, 4 * 3600, 24 * 3600)
"""Seconds since the last complete check; 15 minutes is the default schedule."""
LEFT = (0, 100, 500, 1000, 2500, 4000)


def text() -> bytes:
    """Everything, in Prometheus' text form."""
    requests = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        requests = CollectorRegistry()
        multiprocess.MultiProcessCollector(requests)  # type: ignore[no-untyped-call]
    tables = CollectorRegistry()
    tables.register(FromTables())
    return generate_latest(requests) + generate_latest(tables)


class FromTables(Collector):
    """What the sync's tables say now. With no database there is only `justpayme_database_up`."""

    def collect(self) -> Iterable[Metric]:
        """The families, read in a handful of small queries."""
        try:
            now = timezone.now()
            families = [*_runs(), *_calls(now), *_queue(), *_outbox(now), *_freshness(now)]
            families.extend(_told(now))
        except Error:
            families = []
        up = GaugeMetricFamily("justpayme_database_up", "1 if the database answered this scrape.")
        up.add_metric([], 1 if families else 0)
        return [up, *families]

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: registering must not ask the database."""
        return []


def _runs() -> Iterable[Metric]:
    family = GaugeMetricFamily(
        "justpayme_sync_runs", "Sync runs in the tables, by how they ended.", labels=["state"]
    )
    counts = dict(Run.objects.values_list("state").annotate(Count("id")))
    for state in Run.State.values:
        family.add_metric([state], counts.get(state, 0))
    drift = GaugeMetricFamily("justpayme_drift", "Differences that runs found and repaired.")
    drift.add_metric([], Run.objects.aggregate(all=Sum("drift"))["all"] or 0)
    return [family, drift]


def _calls(now: datetime) -> Iterable[Metric]:
    used = calls_of_a_day(now)
    calls = GaugeMetricFamily("justpayme_xero_calls_day", "Calls to Xero in the last 24 hours.")
    calls.add_metric([], sum(used.values()))
    live = Connection.objects.filter(state=Connection.State.LIVE)
    left = [
        max(0, PER_DAY - used.get(tenant, 0)) for tenant in live.values_list("tenant_id", flat=True)
    ]
    family = GaugeHistogramMetricFamily(
        "justpayme_day_allowance_left",
        "Connected organisations by calls left of the day's allowance.",
        buckets=_buckets(left, LEFT),
        gsum_value=sum(left),
    )
    lowest = GaugeMetricFamily("justpayme_day_allowance_left_min", "The least calls left.")
    lowest.add_metric([], min(left, default=PER_DAY))
    return [calls, family, lowest]


def _queue() -> Iterable[Metric]:
    family = GaugeMetricFamily(
        "justpayme_jobs", "Jobs waiting (todo) and under way (doing).", labels=["status"]
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status::text, count(*) FROM procrastinate_jobs "
            "WHERE status IN ('todo', 'doing') GROUP BY 1"
        )
        counts = dict(cursor.fetchall())
    for status in ("todo", "doing"):
        family.add_metric([status], counts.get(status, 0))
    return [family]


_MOVES = Q(connection__state=Connection.State.LIVE) & ~Q(
    state=OutboxItem.State.WAITING,
    kind__in=(OutboxItem.Kind.PAY, OutboxItem.Kind.UNPAY),
    bill__link__isnull=True,
)
"""Items whose age tells an operator something: no person has to act first."""


def _outbox(now: datetime) -> Iterable[Metric]:
    """What has not reached Xero yet, and how long ago a person made the oldest of it."""
    found = OutboxItem.objects.filter(state__in=OPEN).values_list("state")
    rows = found.annotate(number=Count("id"), oldest=Min("created_at", filter=_MOVES))
    open_items = {state: (number, oldest or now) for state, number, oldest in rows}
    items = GaugeMetricFamily(
        "justpayme_outbox_items",
        "Changes that are not settled in Xero, by state.",
        labels=["state"],
    )
    ages = GaugeMetricFamily(
        "justpayme_outbox_oldest_seconds",
        "Seconds since the oldest change was made that waits for nobody's reconnecting, nor for "
        "its bill to become an invoice.",
        labels=["state"],
    )
    for state in OPEN:
        number, oldest = open_items.get(state, (0, now))
        items.add_metric([state], number)
        ages.add_metric([state], max(0.0, (now - oldest).total_seconds()))
    conflicts = GaugeMetricFamily(
        "justpayme_conflicts_open", "Values that Xero overrode and nobody has decided about."
    )
    conflicts.add_metric([], Conflict.objects.filter(state=Conflict.State.OPEN).count())
    return [items, ages, conflicts]


def _freshness(now: datetime) -> Iterable[Metric]:
    """Age of every connected organisation's bills: seconds since its last complete check."""
    live = Connection.objects.filter(state=Connection.State.LIVE)
    checked = live.exclude(checked_at=None).values_list("checked_at", flat=True)
    ages = [max(0.0, (now - moment).total_seconds()) for moment in checked if moment]
    age = GaugeHistogramMetricFamily(
        "justpayme_bill_age_seconds",
        "Connected organisations by seconds since their bills were last checked.",
        buckets=_buckets(ages, AGES),
        gsum_value=sum(ages),
    )
    oldest = GaugeMetricFamily("justpayme_bill_age_seconds_max", "The oldest check, in seconds.")
    oldest.add_metric([], max(ages, default=0))
    states = GaugeMetricFamily("justpayme_connections", "Organisations by state.", labels=["state"])
    counts = dict(Connection.objects.values_list("state").annotate(Count("id")))
    for state in Connection.State.values:
        states.add_metric([state], counts.get(state, 0))
    return [age, oldest, states]


def _told(now: datetime) -> Iterable[Metric]:
    """How long Xero has been silent: a subscription that Xero switched off says nothing."""
    last = Heard.objects.aggregate(last=Max("last_at"))["last"]
    if last is None:
        return []
    family = GaugeMetricFamily(
        "justpayme_webhook_silent_seconds", "Seconds since Xero last told us of any change."
    )
    family.add_metric([], max(0.0, (now - last).total_seconds()))
    return [family]


def _buckets(values: Sequence[float], edges: Sequence[float]) -> list[tuple[str, float]]:
    """Cumulative counts, as Prometheus wants them."""
    upto = [(str(edge), float(sum(value <= edge for value in values))) for edge in edges]
    return [*upto, ("+Inf", float(len(values)))]
