"""One sync run of one organisation, from its first row to its last.

    (lock taken) ─▶ running ─┬─▶ done        everything due was read and written
                             ├─▶ failed      a Problem of the catalogue; the reason is kept
                             ├─▶ stopped     the organisation was disconnected meanwhile
                             └─▶ abandoned   its worker died or was replaced

Two fences keep two runs apart: a session lock of PostgreSQL that lives as long as the worker's
connection, and the run's own row, which every write checks (`apply.fence`). The lock stops a
second worker at once; the row stops a worker that was paused, lost its lock and woke up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, transaction
from django.db.models import F, Min

from justpayme.accounts.models import User
from justpayme.core import schedule
from justpayme.core.errors import Next, Problem
from justpayme.sync import calls, lost, outbox, plain, sessions, webhooks
from justpayme.sync.models import Connection, Run
from justpayme.sync.pull import Pull
from justpayme.sync.push import Push
from justpayme.xero.client import Clock

log = structlog.get_logger(__name__)

_mine: set[int] = set()
_mine_lock = threading.Lock()


@contextmanager
def sole(connection_id: int) -> Iterator[bool]:
    """Be the only one that syncs this organisation, over all processes; False if somebody is.

    The lock is held by a database connection of its own and needs no open transaction.
    Session locks let the same session in twice, hence the set for our own threads.
    """
    with _mine_lock:
        taken = connection_id in _mine
        _mine.add(connection_id)
    if taken:
        yield False
        return
    try:
        with sessions.alone() as own:
            with own.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))",
                    [f"justpayme sync {connection_id}"],
                )
                row = cursor.fetchone()
            try:
                yield bool(row and row[0])
            finally:
                with suppress(DatabaseError):  # closing alone frees it too, but a moment later
                    own.cursor().execute("SELECT pg_advisory_unlock_all()")
    finally:
        with _mine_lock:
            _mine.discard(connection_id)


def run_sync(
    connection_id: int,
    *,
    cause: Run.Cause,
    clock: Clock,
    by: User | None = None,
    kind: Run.Kind | None = None,
    first: Callable[[Pull], None] | None = None,
) -> Run | None:
    """Sync one organisation now; the run's row, or None if there was nothing to start.

    `first`: what this run does before anything else, as part of it.

    Nothing starts when the organisation is not live, when Xero told us to wait, or when
    another run is under way. A Problem ends in the run's row, it is not raised.
    """
    with sole(connection_id) as mine:
        if not mine:
            return None
        run = _start(connection_id, cause, by, kind, clock.now())
        if run is None:
            return None
        problem, seen_again = _carry_out(run, clock, first)
        _end(run, problem, seen_again, clock)
    if problem is not None and problem.entry.next is Next.RECONNECT:
        lost.send_notices(clock.now())
    run.refresh_from_db()
    return run


def _start(
    connection_id: int, cause: Run.Cause, by: User | None, kind: Run.Kind | None, now: datetime
) -> Run | None:
    with transaction.atomic():
        connection = Connection.objects.select_for_update().filter(pk=connection_id).first()
        if connection is None or not connection.is_live:
            return None
        if schedule.waits(connection.blocked_until, now):
            return None
        _bury(connection.pk, now)
        kind = kind or _kind(connection, cause, now)
        if kind == Run.Kind.PUSH and not outbox.has_work(connection, now):
            return None  # another run has sent it meanwhile
        if kind == Run.Kind.NAMED and not webhooks.waits(connection):
            return None  # another run has read it meanwhile
        if kind not in PARTS:
            # None while it runs: the tick leaves it alone, and a "Sync now" pressed shows.
            plain.do("UPDATE sync_connection SET next_due_at = NULL WHERE id = %s", connection.pk)
        run = Run.objects.create(
            connection=connection,
            kind=kind,
            cause=cause,
            by=by,
            started_at=now,
        )
        run.took_words = kind != Run.Kind.PUSH and webhooks.take(run)
        return run


PARTS = frozenset({Run.Kind.PUSH, Run.Kind.NAMED})
"""Kinds of runs that do not check everything, so they change nothing about the schedule."""

_PART_OF = {Run.Cause.EDIT: Run.Kind.PUSH, Run.Cause.WEBHOOK: Run.Kind.NAMED}


def _kind(connection: Connection, cause: Run.Cause, now: datetime) -> Run.Kind:
    if connection.wants_import:
        return Run.Kind.IMPORT
    if cause in _PART_OF and not connection.failures:
        return _PART_OF[cause]
    if schedule.wants_audit(connection.audited_at, now, connection.interval_minutes):
        return Run.Kind.AUDIT
    return Run.Kind.INCREMENT


def recover(connection_id: int, now: datetime) -> bool:
    """End what a dead worker left of this organisation, and make it due; was there anything?

    Only with the lock of `sole`.
    """
    with transaction.atomic():
        Connection.objects.select_for_update().only("pk").filter(pk=connection_id).first()
        return _bury(connection_id, now)


def end_stale(connection_id: int, now: datetime) -> None:
    """End the run that still says *running* although what it knows of the organisation is of
    before, and make due what comes next. Only with the connection's row locked."""
    if plain.do(_STOP, Run.State.STOPPED, now, "stopped", connection_id, Run.State.RUNNING):
        plain.do(_DUE, now, 0, connection_id, Connection.State.LIVE)


def _bury(connection_id: int, now: datetime) -> bool:
    """Runs that still say *running* although nobody holds the lock: their worker is gone. What
    comes next is due in the same transaction: while a run works nothing is, and an organisation
    without a time would never be synced again. Where it is not due at once, the wait is one after
    a failure: nothing of it starts sooner for an edit's or a webhook's sake."""
    if not plain.do(_STOP, Run.State.ABANDONED, now, "stopped", connection_id, Run.State.RUNNING):
        return False
    [(interval, deaths)] = plain.rows(_DEATHS, Run.State.ABANDONED, connection_id)
    due = schedule.after_death(deaths, now, interval)
    plain.do(_DUE, due, int(due > now), connection_id, Connection.State.LIVE)
    return True


_STOP = """UPDATE sync_run SET state = %s, ended_at = %s, error_code = %s
WHERE connection_id = %s AND state = %s"""
_DEATHS = """SELECT interval_minutes, (SELECT count(*) FROM sync_run AS died
WHERE died.connection_id = connection.id AND died.id > (SELECT coalesce(max(id), 0)
FROM sync_run WHERE connection_id = connection.id AND state <> %s))
FROM sync_connection AS connection WHERE id = %s"""
_DUE = """UPDATE sync_connection SET next_due_at = %s, failures = failures + %s
WHERE id = %s AND state = %s"""


def _carry_out(
    run: Run, clock: Clock, first: Callable[[Pull], None] | None
) -> tuple[Problem | None, int]:
    """Read, then send; what went wrong, if anything, and how many invoices said nothing new."""
    seen_again = 0
    try:
        with calls.client_for(run, clock) as client:
            pull = Pull(run, client, clock)
            try:
                if first is not None:
                    first(pull)
                pull.everything_due()
                Push(run, client, clock, pull).everything_waiting()
            finally:
                seen_again = pull.seen_again
    except Problem as problem:
        lacks = "permission_missing"
        return calls.look_closer(run.connection, problem, clock, lacks=lacks), seen_again
    except Exception as error:
        # The run's row must end whatever happened; the trace goes to the log.
        log.exception("run_failed", run=run.pk, connection=run.connection_id)
        return Problem("internal", type(error).__name__), seen_again
    return None, seen_again


def _end(run: Run, problem: Problem | None, seen_again: int, clock: Clock) -> None:
    """Close the run's row and schedule what comes next, in one transaction."""
    now = clock.now()
    with transaction.atomic():
        locked = Connection.objects.select_for_update().only(*_DECIDING)
        connection = locked.get(pk=run.connection_id)
        outcome = _outcome(problem)
        if not plain.do(_END, *outcome, now, seen_again, seen_again, run.pk, Run.State.RUNNING):
            return  # replaced meanwhile: the other run speaks for this organisation
        if problem is None and run.took_words:
            webhooks.settle(run)
        if connection.is_live:
            changes = (
                _after_success(run, connection, now)
                if problem is None
                else _after_problem(connection, problem, now, clock.jitter())
            )
            if changes:
                Connection.objects.filter(pk=connection.pk).update(**changes)
    log.info(
        "run_ended",
        run=run.pk,
        connection=run.connection_id,
        kind=str(run.kind),
        problem=problem.code if problem else "",
        detail=problem.detail if problem else "",
    )


_DECIDING = (
    "state",
    "failures",
    "next_due_at",
    "blocked_until",
    "connected_at",
    "interval_minutes",
)
"""What decides when the next sync is due."""


_END = """UPDATE sync_run SET state = %s, error_code = %s, error_text = %s, ended_at = %s,
read = read + %s, unchanged = unchanged + %s
WHERE id = %s AND state = %s"""


def _outcome(problem: Problem | None) -> tuple[str, str, str]:
    """How a run ended: its state, the code of what went wrong, and words for it."""
    if problem is None:
        return Run.State.DONE, "", ""
    state = Run.State.STOPPED if problem.code == "stopped" else Run.State.FAILED
    return state, problem.code, f"{problem.sentence} {problem.detail}".strip()


def _after_success(run: Run, connection: Connection, now: datetime) -> dict[str, Any]:
    if run.kind in PARTS:
        return {}
    anchor = connection.connected_at or run.started_at
    due = schedule.after_success(now, connection.interval_minutes, anchor)
    changes: dict[str, Any] = {
        "checked_at": run.started_at,
        "next_due_at": connection.next_due_at or due,
        "blocked_until": _still_blocked(connection, now),
        "failures": 0,
        "error_code": "",
        "error_text": "",
        "error_at": None,
        "accepted_risk": False,
        "notified_at": None,
    }
    if run.kind == Run.Kind.IMPORT:
        changes["imported_at"] = now
    if run.kind in (Run.Kind.IMPORT, Run.Kind.AUDIT):
        changes["audited_at"] = _reading_since(run, connection)
    return changes


def _still_blocked(connection: Connection, now: datetime) -> datetime | None:
    """Until when Xero made somebody wait meanwhile, if that is not over."""
    until = connection.blocked_until
    return until if schedule.waits(until, now) else None


def _reading_since(run: Run, connection: Connection) -> datetime:
    """When this full reading began: an earlier run of its kind may have read the first pages and
    failed, and what Xero changed since without a stamp is on none of ours (I-5)."""
    since = connection.connected_at or run.started_at
    same = connection.runs.filter(kind=run.kind, started_at__gte=since)
    whole = same.filter(state=Run.State.DONE).exclude(pk=run.pk).order_by("-started_at").first()
    if whole is not None:
        same = same.filter(started_at__gt=whole.started_at)
    began: datetime | None = same.aggregate(first=Min("started_at"))["first"]
    return began or run.started_at


def _after_problem(
    connection: Connection, problem: Problem, now: datetime, jitter: float
) -> dict[str, Any]:
    failures = connection.failures + 1
    due = schedule.after_problem(problem, failures, now, connection.interval_minutes, jitter)
    if due is not None and connection.next_due_at is not None:
        due = min(due, connection.next_due_at)  # as it was before a part, or pressed meanwhile
    changes: dict[str, Any] = {
        "failures": F("failures") + 1,
        "next_due_at": due,
        "error_code": problem.code,
        "error_text": problem.sentence,
        "error_at": now,
    }
    if problem.retry_after is not None:
        until = now + timedelta(seconds=problem.retry_after)
        changes["blocked_until"] = max(until, _still_blocked(connection, now) or until)
    if problem.entry.next is Next.RECONNECT:
        unheard = {"notified_at": None, "telling_since": None}
        changes |= {"state": Connection.State.LOST, **unheard}
    if problem.entry.next is Next.HALT:
        changes |= {"state": Connection.State.HALTED, "accepted_risk": False}
    return changes
