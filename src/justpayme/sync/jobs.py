"""What the job engine runs. The tables say what is due; a job only says "look now".

tick (every 5 s)  ─▶ one job per organisation that is due, or of which Xero told us something
Sync now, connect ─▶ the same job, at once
reap (every 5 s)  ─▶ forgets the jobs of workers that are gone
tell (every 15 s) ─▶ Xero of disconnects it has not heard of, owners of connections lost
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import structlog
from django.db import DatabaseError
from django.db import connections as databases
from procrastinate.contrib.django import app
from procrastinate.exceptions import ConnectorException

from justpayme.accounts.models import User
from justpayme.sync import ending, lost, outbox, plain, runs, tokens, webhooks
from justpayme.sync.clock import RealClock
from justpayme.sync.doorbell import TASK, defer
from justpayme.sync.models import Connection, Meter, OAuthState, Run, Shipment

log = structlog.get_logger(__name__)

UPKEEP = "upkeep"
"""The queue of what must not wait for anybody's sync (I-41)."""
KEPT = timedelta(days=62)
"""Figures of calls, and requests to Xero whose items have all come to rest."""
STATES_KEPT = timedelta(days=1)
ASK_AGAIN = timedelta(minutes=10)
"""A refresh that had no answer is repeated so soon: Xero takes the old token for 30 minutes."""
SILENT = timedelta(seconds=30)
"""A worker beats every 10 s; one that was silent this long is gone."""


@app.periodic(cron="* * * * * */5", periodic_id="tick")
@app.task(queue=UPKEEP, queueing_lock="tick", lock="tick")
def tick(timestamp: int) -> None:
    """Start what is due, recover what was left behind. Talks to the database alone, so that
    nobody's slow network can delay another's schedule (I-41)."""
    now = datetime.now(UTC)
    try:
        recover_dead_runs(now)
        start_due(now)
    finally:
        databases.close_all()


@app.periodic(cron="* * * * * */15", periodic_id="tell")
@app.task(queue=UPKEEP, queueing_lock="tell", lock="tell")
def tell(timestamp: int) -> None:
    """Tell Xero and people what they have not heard yet."""
    now = datetime.now(UTC)
    try:
        ending.finish_all(now)
        lost.send_notices(now)
    finally:
        databases.close_all()


@app.periodic(cron="* * * * * */5", periodic_id="reap")
@app.task(queue=UPKEEP, queueing_lock="reap")
def reap(timestamp: int) -> None:
    """Forget the jobs of dead workers. It has no lock: its own death must not stop it."""
    try:
        forget_dead_jobs()
    finally:
        databases.close_all()


@app.periodic(cron="17 3 * * *", periodic_id="tidy")
@app.task(queue=UPKEEP, queueing_lock="tidy")
def tidy(timestamp: int) -> None:
    """Delete what nobody needs any more; seal again what an older key sealed."""
    now = datetime.now(UTC)
    Meter.objects.filter(minute__lt=now - KEPT).delete()
    Shipment.objects.filter(items__isnull=True, last_sent_at__lt=now - KEPT).delete()
    OAuthState.objects.filter(created_at__lt=now - STATES_KEPT).delete()
    tokens.rotate_keys()
    forget_failed_jobs()
    databases.close_all()


@app.task(name=TASK)
def sync_organisation(connection_id: int, cause: str, by: int | None = None) -> None:
    """Sync one organisation, unless somebody is at it already."""
    try:
        user = User.objects.filter(pk=by).first() if by else None
        runs.run_sync(connection_id, cause=Run.Cause(cause), by=user, clock=RealClock())
    finally:
        databases.close_all()


def start_due(now: datetime) -> int:
    """One job for each organisation whose time has come; how many.

    A time further off than the interval can only come from a clock that was ahead then: it has
    come, too (I-43), as it has where a refresh of tokens has had no answer for a while, whoever
    asked for it (I-34). What Xero told us to wait for is `blocked_until`.
    """
    live = Connection.State.LIVE
    asked = now - ASK_AGAIN, now + ASK_AGAIN
    ids = [pk for (pk,) in plain.rows(_DUE, live, now, now, now, now, *asked)]
    told = [pk for pk in webhooks.due(now) if pk not in ids]
    waiting = {pk for (pk,) in plain.rows(_WAITING, live, now, now, list(outbox.MAY_LEAVE))}
    others = Connection.objects.filter(pk__in=waiting.difference(ids, told)).order_by("pk")
    to_send = [c for c in others.only("state", "direction") if outbox.has_work(c, now)]
    causes = dict.fromkeys((c.pk for c in to_send), Run.Cause.EDIT)
    causes |= dict.fromkeys(told, Run.Cause.WEBHOOK)
    causes |= dict.fromkeys(ids, Run.Cause.SCHEDULE)  # it sends and reads what is named as well
    started = 0
    for pk, cause in causes.items():
        with _apart(pk):
            defer(pk, cause, None)
            started += 1
    return started


@contextmanager
def _apart(connection: int) -> Iterator[None]:
    """The database's trouble with one organisation, such as a row that stays locked, is not that
    of the others (I-41). The next tick tries again."""
    try:
        yield
    except (DatabaseError, ConnectorException):
        log.exception("passed_over", connection=connection)


_DUE = """SELECT id FROM sync_connection
WHERE state = %s
AND (blocked_until > %s AND blocked_until <= %s + interval '1 day') IS NOT TRUE
AND (next_due_at <= %s OR next_due_at > %s + interval_minutes * interval '2 minutes'
OR tokens_id IN (SELECT id FROM sync_tokenset WHERE asked_at NOT BETWEEN %s AND %s))"""

# One that failed sends what waits with its next try.
_WAITING = """SELECT DISTINCT connection.id FROM sync_connection AS connection
JOIN sync_outboxitem AS item ON item.connection_id = connection.id
WHERE connection.state = %s AND connection.failures = 0
AND (blocked_until > %s AND blocked_until <= %s + interval '1 day') IS NOT TRUE
AND item.state = ANY(%s)"""


def forget_dead_jobs() -> int:
    """Delete jobs under way whose worker is gone; how many.

    The engine keeps them, and with them their lock: after kill -9 that organisation, or the
    tick itself, would never start again. Nothing is lost, because the tables say what is due.
    A beat in the future was before the clock was set back (I-43). If the worker was only paused,
    or has yet to beat by the new clock, the fences of `runs` keep the two apart.
    """
    with databases["default"].cursor() as cursor:
        cursor.execute(
            "DELETE FROM procrastinate_jobs AS job WHERE status = 'doing' AND NOT EXISTS ("
            "SELECT 1 FROM procrastinate_workers AS worker "
            "WHERE worker.id = job.worker_id "
            "AND abs(extract(epoch FROM now() - last_heartbeat)) < %s)",
            [SILENT.total_seconds()],
        )
        forgotten: int = cursor.rowcount
    if forgotten:
        log.warning("dead_jobs_forgotten", jobs=forgotten)
    return forgotten


def forget_failed_jobs() -> int:
    """Delete jobs that ended in an error; how many. The log has told of each."""
    with databases["default"].cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs WHERE status = 'failed'")
        forgotten: int = cursor.rowcount
    return forgotten


def recover_dead_runs(now: datetime) -> int:
    """Runs whose worker is gone: nobody holds their lock. They go on from their cursor at once."""
    recovered = 0
    running = Run.objects.filter(state=Run.State.RUNNING).order_by("connection").distinct()
    for pk in running.values_list("connection_id", flat=True):
        with _apart(pk), runs.sole(pk) as free:
            if free and runs.recover(pk, now):
                recovered += 1
                log.warning("run_abandoned", connection=pk)
    return recovered
