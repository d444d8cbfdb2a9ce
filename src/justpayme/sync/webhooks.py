"""What Xero told us by webhook and nobody has read yet: it makes an organisation due sooner.

    nothing waits ─▶ waiting ─▶ taken by a run ─┬─▶ nothing waits  the run ended well
                        ▲                       ├─▶ waiting        more came meanwhile
                        └───────────────────────┴─▶ waiting        the run failed or died

Only names are kept, never data (I-46), one row for each organisation however much comes (I-47):
up to 40 invoices are read by their ids in one call; of more, and of credits, which have no
invoice's id, the invoices that changed are read as in any increment. A lost word changes
nothing, because the schedule reads everything anyway (I-45).

The tick starts what is due (`jobs.start_due`): `SETTLE` after the first word, so that Xero's API
shows the change and a burst costs one look, and no sooner than `REST` after the last look.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import F

from justpayme.sync import plain
from justpayme.sync.calls import calls_of_a_day
from justpayme.sync.models import Connection, Heard, Run
from justpayme.xero.client import IDS_PER_CALL
from justpayme.xero.limits import PER_DAY
from justpayme.xero.webhook import Event

SETTLE = timedelta(seconds=2)
REST = timedelta(seconds=9)
"""A little less than two ticks of the clock that looks (`jobs.tick`)."""
SHARE = PER_DAY // 2
"""Calls of any 24 hours after which words wait for the schedule: it must never starve."""

CREDITS = frozenset({"CREDITNOTE", "PREPAYMENT", "OVERPAYMENT"})
CATEGORIES = frozenset({"INVOICE", "CONTACT"}) | CREDITS


class Fate(StrEnum):
    """What became of an event; a label of the metric."""

    TAKEN = "taken"
    NOT_CONNECTED = "not_connected"
    UNKNOWN_ORGANISATION = "unknown_organisation"
    OTHER_CATEGORY = "other_category"
    UNREAD = "unread"


def receive(events: Iterable[Event], now: datetime) -> Counter[Fate]:
    """Remember what was named, in one transaction; how many events had which fate.

    Two of our businesses may have the same organisation: each hears of it (I-48).
    """
    fates: Counter[Fate] = Counter()
    known: dict[UUID, list[Event]] = defaultdict(list)
    for event in events:
        if event.category in CATEGORIES:
            known[event.tenant_id].append(event)
        else:
            fates[Fate.OTHER_CATEGORY] += 1
    if known:
        with transaction.atomic():
            connections = _connections(known)
            for connection in connections:
                if connection.is_live:
                    _remember(connection, known[connection.tenant_id], now)
        live = {c.tenant_id for c in connections if c.is_live}
        ours = {c.tenant_id for c in connections}
        for tenant, named in known.items():
            fates[_fate(tenant, live, ours)] += len(named)
    return fates


def due(now: datetime) -> list[int]:
    """Ids of the organisations to look at now because of what Xero told us."""
    tenants = dict(plain.rows(_DUE, Connection.State.LIVE, now, now, now - SETTLE, now - REST))
    used = calls_of_a_day(now, set(tenants.values())) if tenants else {}
    return [pk for pk, tenant in tenants.items() if used.get(tenant, 0) < SHARE]


# One that failed is looked at with its next try.
_DUE = """SELECT connection.id, connection.tenant_id FROM sync_connection AS connection
JOIN sync_heard AS heard ON heard.connection_id = connection.id
WHERE connection.state = %s AND connection.failures = 0 AND connection.imported_at IS NOT NULL
AND (blocked_until > %s AND blocked_until <= %s + interval '1 day') IS NOT TRUE
AND heard.waiting_since <= %s AND (heard.taken_at IS NULL OR heard.taken_at <= %s)"""


def waits(connection: Connection) -> bool:
    """Has Xero named something that no run has read yet?"""
    return Heard.objects.filter(connection=connection, waiting_since__isnull=False).exists()


def take(run: Run) -> bool:
    """This run reads what waits; whether anything did. What comes from now on is for the next."""
    return bool(plain.do(_TAKE, run.started_at, run.connection_id))


_TAKE = """UPDATE sync_heard SET taken = words, taken_at = %s
WHERE connection_id = %s AND waiting_since IS NOT NULL"""


def settle(run: Run) -> None:
    """The run has read what it took: forget it, unless more has come meanwhile."""
    taken = Heard.objects.filter(connection=run.connection_id, words=F("taken"))
    taken.filter(waiting_since__isnull=False).update(**_NOTHING)


_NOTHING: dict[str, object] = {
    "waiting_since": None,
    "invoices": [],
    "many": False,
    "contacts": False,
}


def _connections(tenants: Iterable[UUID]) -> list[Connection]:
    """Everybody's connections to these organisations, in the order in which rows are locked."""
    found = Connection.objects.filter(tenant_id__in=list(tenants)).order_by("pk")
    return list(found.exclude(state=Connection.State.OFFERED).only("tenant_id", "state"))


def _fate(tenant: UUID, live: set[UUID], ours: set[UUID]) -> Fate:
    if tenant in live:
        return Fate.TAKEN
    return Fate.NOT_CONNECTED if tenant in ours else Fate.UNKNOWN_ORGANISATION


def _remember(connection: Connection, events: list[Event], now: datetime) -> None:
    """Add what these events name to what waits for this organisation."""
    Heard.objects.bulk_create([Heard(connection=connection, last_at=now)], ignore_conflicts=True)
    heard = Heard.objects.select_for_update().get(connection=connection)
    invoices = {str(e.resource_id) for e in events if e.category == "INVOICE"}
    invoices.update(heard.invoices)
    heard.many |= len(invoices) > IDS_PER_CALL or any(e.category in CREDITS for e in events)
    heard.invoices = [] if heard.many else sorted(invoices)
    heard.contacts |= any(e.category == "CONTACT" for e in events)
    heard.words += 1
    heard.last_at = now
    heard.waiting_since = heard.waiting_since or now
    heard.save()
