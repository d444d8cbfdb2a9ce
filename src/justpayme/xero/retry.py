"""Should this call be made again within the run, and after how long? Pure.

Only reads are repeated here: they have no effect, so repeating is always safe.
"""

from __future__ import annotations

from justpayme.core.errors import Problem

ATTEMPTS = 4
_LONGEST_NAP = 65.0
"""Longest wait that may hold a worker; a longer one ends the run, which goes on later."""

_PASSING = {"xero_unreachable", "xero_unavailable", "concurrent_limit"}
_NAPS = {"minute_limit", "app_limit"}


def nap(problem: Problem, attempt: int, jitter: float) -> float | None:
    """Seconds to wait before attempt number `attempt` + 1, or None to give up.

    `jitter` in [0, 1). Retry-After is obeyed to the second; without one (outages, the
    concurrency limit) the wait doubles from one second (xero-facts 2.1).
    """
    if attempt >= ATTEMPTS:
        return None
    if problem.code in _NAPS and problem.retry_after is not None:
        wait = problem.retry_after + jitter
        return wait if wait <= _LONGEST_NAP else None
    if problem.code in _PASSING:
        return float(2 ** (attempt - 1)) * (1 + jitter)
    return None
