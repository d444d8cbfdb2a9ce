"""When an organisation is synced next, and how much. Pure: `now` is handed in (UTC)."""

from __future__ import annotations

from datetime import datetime, timedelta

from justpayme.core.errors import Next, Problem

INTERVALS = (5, 15, 30, 60, 180, 360, 720, 1440)
"""Minutes between syncs that a person can choose: 5 minutes to 24 hours."""

AUDIT_EVERY = timedelta(hours=24)
"""Xero does not stamp every change (xero-facts 3.2); a full read finds the rest (I-5)."""

LONGEST_WAIT = timedelta(days=1)
"""Nothing that Xero asks us to wait for lasts longer (xero-facts 2.1)."""

_FIRST_RETRY = timedelta(minutes=1)
_LONGEST_RETRY = timedelta(minutes=30)

MAX_VOIDS_SHARE = 5
MIN_VOIDS = 10
"""A run that would void more than one in five open bills, and at least ten, stops (I-11)."""


def wants_audit(audited_at: datetime | None, now: datetime, interval_minutes: int) -> bool:
    """Is the daily full read due? The first import counts as one.

    The sync that comes nearest to a day after the last one: if it had to be a whole day, each
    would come one sync later than the one before. An audit in the future was dated by a clock
    that was wrong (I-43).
    """
    if audited_at is None or audited_at > now:
        return True
    return now - audited_at >= AUDIT_EVERY - timedelta(minutes=interval_minutes) / 2


def after_success(now: datetime, interval_minutes: int, anchor: datetime) -> datetime:
    """When the next scheduled sync starts: on a grid that begins at `anchor`, so that however
    long syncs and their starts take, an hour has as many as it should. Instants, so no day of
    any calendar has more or fewer (F14)."""
    step = timedelta(minutes=interval_minutes)
    return anchor + ((now - anchor) // step + 1) * step


def after_problem(
    problem: Problem, failures: int, now: datetime, interval_minutes: int, jitter: float
) -> datetime | None:
    """When to try again after a failed sync, or None if a person must act first.

    `failures` counts this one. `jitter` in [0, 1) spreads organisations that failed together.
    A time that Xero gave (Retry-After) is obeyed to the second; if it was not long enough, we
    wait longer on our own.
    """
    if problem.entry.next in (Next.RECONNECT, Next.HALT):
        return None
    asked = problem.retry_after
    if asked is not None and failures == 1:
        return now + timedelta(seconds=asked + jitter)
    doubled = _FIRST_RETRY * int(2 ** min(failures - 1, 10))
    wait = min(doubled, _LONGEST_RETRY)
    wait = min(wait, timedelta(minutes=interval_minutes))
    return now + max(wait * (1 + jitter / 4), timedelta(seconds=(asked or 0) + jitter))


def after_death(deaths: int, now: datetime, interval_minutes: int) -> datetime:
    """When to go on after so many workers in a row have died while they synced an organisation:
    at once after the first, for workers are restarted. More may die of that very sync, and each
    takes the syncs of others with it, so those wait longer and longer."""
    if deaths < 2:
        return now
    wait = min(_FIRST_RETRY * int(2 ** min(deaths - 2, 10)), _LONGEST_RETRY)
    return now + min(wait, timedelta(minutes=interval_minutes))


def waits(until: datetime | None, now: datetime) -> bool:
    """Has Xero told us to wait `until` then? A time further off than any wait was reckoned by a
    clock that was ahead, and holds nothing up (I-43)."""
    return until is not None and now < until <= now + LONGEST_WAIT


def voids_are_unusual(voids: int, open_before: int) -> bool:
    """Would this many voids be out of the ordinary for a book with so many open bills?"""
    return voids >= MIN_VOIDS and voids * MAX_VOIDS_SHARE > open_before
