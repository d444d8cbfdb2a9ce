"""A Xero client for one run: its tokens, its guard, its meter."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import httpx2
from django.conf import settings
from django.db.models import Sum

from justpayme.core import schedule
from justpayme.core.errors import Problem
from justpayme.sync import plain, tokens
from justpayme.sync.models import Connection, Meter, Run
from justpayme.xero import limits, oauth
from justpayme.xero.client import Clock, XeroClient, http_client


def open_http() -> httpx2.Client:
    """The network, or what `settings.XERO_TRANSPORT` puts in its place in tests."""
    return http_client(getattr(settings, "XERO_TRANSPORT", None))


@contextmanager
def client_for(run: Run, clock: Clock) -> Iterator[XeroClient]:
    """A client whose every call is counted on the run, and refused once the run must stop."""
    with client_of(run.connection, clock) as client:
        tenant = run.connection.tenant_id
        client.metered = lambda calls, size: meter(tenant, clock.now(), calls, size, run.pk)
        client.guard = lambda: _may_go_on(run)
        client.may_write = lambda: _may_write(run)
        yield client


@contextmanager
def client_of(connection: Connection, clock: Clock) -> Iterator[XeroClient]:
    """A client of a live connection, outside a run; its calls are metered too."""
    if connection.tokens_id is None:
        raise Problem("consent_lost", "no tokens are stored")
    with open_http() as http:
        yield XeroClient(
            http=http,
            api_url=settings.XERO_API_URL,
            tenant_id=str(connection.tenant_id),
            token=tokens.source(connection.tokens_id, clock.now),
            clock=clock,
            guard=lambda: _is_free(connection, clock.now()),
            metered=lambda calls, size: meter(connection.tenant_id, clock.now(), calls, size),
            told_to_wait=lambda seconds: _block(connection, clock.now(), seconds),
            window=_recent_calls(connection, clock),
        )


def still_given(connection: Connection, clock: Clock) -> bool:
    """Does Xero still list this organisation among those that we may read? Raises Problem, also
    consent_lost where a disconnect has wiped the tokens meanwhile."""
    if connection.tokens_id is None:
        return False
    access = tokens.source(connection.tokens_id, clock.now)(False)
    with tokens.open_client() as http:
        tenants = oauth.connections(http, tokens.app(), access_token=access)
    return any(str(tenant.tenant_id) == str(connection.tenant_id) for tenant in tenants)


def look_closer(connection: Connection, problem: Problem, clock: Clock, *, lacks: str) -> Problem:
    """403 may mean that the organisation was taken from us, or only that this user's role in
    Xero does not reach: /connections tells which (xero-facts 1.7). `lacks`: the code of the
    latter."""
    if problem.code != "removed_in_xero":
        return problem
    try:
        gone = not still_given(connection, clock)
    except Problem as other:
        return other
    return problem if gone else Problem(lacks, problem.detail)


def _may_go_on(run: Run) -> None:
    """No call after a disconnect has committed, nor by a run that was replaced (I-37, I-42)."""
    if plain.one(_GOES_ON, run.pk, Run.State.RUNNING, Connection.State.LIVE) is None:
        raise Problem("stopped", "the organisation was disconnected or the run replaced")


_GOES_ON = """SELECT 1 FROM sync_run AS run JOIN sync_connection AS connection
ON connection.id = run.connection_id
WHERE run.id = %s AND run.state = %s AND connection.state = %s
"""


def _may_write(run: Run) -> None:
    """Nothing that changes Xero leaves in one-directional sync, whoever asks for it (I-36)."""
    two_way = run.connection_id, Connection.State.LIVE, Connection.Direction.TWO
    if plain.one(_MAY_WRITE, *two_way) is None:
        raise Problem("read_only", "the organisation is not bidirectional any more")


_MAY_WRITE = "SELECT 1 FROM sync_connection WHERE id = %s AND state = %s AND direction = %s"


def _is_free(connection: Connection, now: datetime) -> None:
    """Outside a run nothing is asked while Xero makes us wait."""
    row = plain.one(_BLOCKED, connection.pk, Connection.State.LIVE)
    if row is None:
        raise Problem("stopped", "the organisation is not connected")
    if schedule.waits(row[0], now):
        raise Problem("minute_limit", retry_after=(row[0] - now).total_seconds())


_BLOCKED = "SELECT blocked_until FROM sync_connection WHERE id = %s AND state = %s"


def _block(connection: Connection, now: datetime, seconds: float) -> None:
    """No sync of this organisation in Xero starts before so many seconds have passed, whoever
    is connected with it."""
    until = now + timedelta(seconds=seconds)
    plain.do(_BLOCK, now + schedule.LONGEST_WAIT, until, until, connection.tenant_id)


_BLOCK = """UPDATE sync_connection SET blocked_until =
CASE WHEN blocked_until > %s THEN %s ELSE GREATEST(blocked_until, %s) END WHERE tenant_id = %s"""


def meter(
    tenant_id: UUID | str, now: datetime, calls: int, size: int, run: int | None = None
) -> None:
    """Count calls and bytes against an organisation's limits, and on a run's row if one made
    them; both in one statement. `now` in UTC."""
    minute = now.replace(second=0, microsecond=0)
    plain.do(_METER, tenant_id, minute, calls, size, calls, size, run)


_METER = """
WITH counted AS (
  INSERT INTO sync_meter (tenant_id, minute, calls, bytes) VALUES (%s, %s, %s, %s)
  ON CONFLICT (tenant_id, minute) DO UPDATE SET
  calls = sync_meter.calls + excluded.calls, bytes = sync_meter.bytes + excluded.bytes)
UPDATE sync_run SET calls = calls + %s, bytes = bytes + %s WHERE id = %s
"""


def calls_of_a_day(now: datetime, tenants: Collection[UUID] | None = None) -> dict[UUID, int]:
    """Organisation in Xero -> our calls of the last 24 hours, whoever made them. `tenants`: only
    of these. `now` in UTC. Calls of the future were dated by a clock that was ahead (I-43)."""
    recent = Meter.objects.filter(minute__gt=now - timedelta(days=1), minute__lte=now + _MINUTE)
    if tenants is not None:
        recent = recent.filter(tenant_id__in=tenants)
    return dict(recent.values_list("tenant_id").annotate(Sum("calls")))


def _recent_calls(connection: Connection, clock: Clock) -> limits.Window:
    """The calls of the last minute, whoever made them: a restart does not forget them (I-39).

    The meter knows minutes, not seconds: each call counts as if made at its minute's end. Those
    of the future were dated by a clock that was ahead (I-43).
    """
    now, here = clock.now(), clock.monotonic()
    since = now - timedelta(seconds=limits.WINDOW * 2)
    times: list[float] = []
    for minute, calls in plain.rows(_RECENT, connection.tenant_id, since, now + _MINUTE):
        end = min(minute + _MINUTE, now)
        times += [here - (now - end).total_seconds()] * calls
    return limits.Window(tuple(sorted(times)))


_RECENT = """SELECT minute, calls FROM sync_meter
WHERE tenant_id = %s AND minute >= %s AND minute <= %s"""
_MINUTE = timedelta(minutes=1)
