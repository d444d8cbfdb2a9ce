"""Xero's call limits and the headers that tell of them (2.1).

The day is a fixed window, which begins at each organisation's own second; so is the minute,
unless ``Open.minute_window`` says rolling. Whether a refused call costs anything is open too.
"""

import math
import threading
from collections import defaultdict, deque
from datetime import datetime, timedelta
from typing import Annotated
from zlib import crc32

import msgspec

from xero_sandbox.open_questions import Open

DAY = 86_400
MINUTE = 60
LENGTH = timedelta(seconds=MINUTE)
DAILY_CALLS = {"starter": 1_000, "core": 5_000}


Calls = Annotated[int, msgspec.Meta(ge=0)]


class Allowance(msgspec.Struct):
    """How many calls are allowed; None lifts a limit."""

    minute: Calls | None = 60
    day: Calls | None = 1_000
    concurrent: Calls | None = 5
    app_minute: Calls | None = 10_000


class Verdict(msgspec.Struct, frozen=True):
    """Whether a call may go on, with the headers of its answer."""

    headers: dict[str, str]
    problem: str | None = None


class Limits:
    """Counts calls per organisation and for the whole app."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self.allowance = self._given = allowance or Allowance()
        self.open = Open()
        self._lock = threading.Lock()
        self._used: dict[tuple[str, int], tuple[int, int]] = {}
        self._in_flight: dict[str, int] = {}
        self._last: dict[str, deque[datetime]] = defaultdict(deque)

    def reset(self) -> None:
        """Forget all counted calls, not those in flight."""
        with self._lock:
            self._used.clear()
            self._last.clear()

    def start_over(self) -> None:
        """Forget all counted calls, and allow what was allowed at first."""
        self.allowance = self._given
        self.reset()

    def enter(self, tenant_id: str | None, now: datetime) -> Verdict:
        """Count a call; a verdict without a problem must be followed by ``leave``."""
        with self._lock:
            problem = self._problem(tenant_id, now)
            if problem is None or self.open.refused_calls == "counted":
                self._count("", MINUTE, now)
                if tenant_id:
                    self._count(tenant_id, MINUTE, now)
                    self._count(tenant_id, DAY, now)
            if problem is None and tenant_id:
                self._in_flight[tenant_id] = self._in_flight.get(tenant_id, 0) + 1
            return Verdict(self._headers(tenant_id, now, problem), problem)

    def leave(self, tenant_id: str | None) -> None:
        """A call has been answered."""
        if tenant_id:
            with self._lock:
                self._in_flight[tenant_id] -= 1

    def _problem(self, tenant_id: str | None, now: datetime) -> str | None:
        allowed = self.allowance
        if self._left("", MINUTE, allowed.app_minute, now) <= 0:
            return "appminute"
        if not tenant_id:
            return None
        if self._left(tenant_id, DAY, allowed.day, now) <= 0:
            return "day"
        if self._left(tenant_id, MINUTE, allowed.minute, now) <= 0:
            return "minute"
        full = allowed.concurrent is not None
        if full and self._in_flight.get(tenant_id, 0) >= (allowed.concurrent or 0):
            return "concurrent"
        return None

    def _headers(self, tenant_id: str | None, now: datetime, problem: str | None) -> dict[str, str]:
        allowed = self.allowance
        headers = {"X-AppMinLimit-Remaining": str(self._left("", MINUTE, allowed.app_minute, now))}
        if tenant_id:
            headers["X-MinLimit-Remaining"] = str(
                self._left(tenant_id, MINUTE, allowed.minute, now)
            )
            headers["X-DayLimit-Remaining"] = str(self._left(tenant_id, DAY, allowed.day, now))
        named = self.open.app_limit if problem == "appminute" else problem
        if named and named != "absent":
            headers["X-Rate-Limit-Problem"] = named
        wait = self._wait(tenant_id or "", problem, now)
        if wait:
            headers["Retry-After"] = str(wait)
        return headers

    def _wait(self, whose: str, problem: str | None, now: datetime) -> int | None:
        """Seconds of Retry-After; None when it is not sent."""
        if problem == "minute" and self.open.minute_window == "rolling":
            free = self._recent(whose, now)[-(self.allowance.minute or 1)] + LENGTH
            return max(math.ceil((free - now).total_seconds()), 1)
        if problem in ("minute", "day"):
            return seconds_left(whose, MINUTE if problem == "minute" else DAY, now)
        return 1 if problem == "concurrent" and self.open.concurrent_wait == "present" else None

    def _recent(self, whose: str, now: datetime) -> deque[datetime]:
        """The calls of the last sixty seconds, oldest first."""
        calls = self._last[whose]
        while calls and calls[0] <= now - LENGTH:
            calls.popleft()
        return calls

    def _left(self, whose: str, length: int, allowed: int | None, now: datetime) -> int:
        if allowed is None:
            return 1_000_000
        if whose and length == MINUTE and self.open.minute_window == "rolling":
            return max(allowed - len(self._recent(whose, now)), 0)
        window, used = self._used.get((whose, length), (0, 0))
        return max(allowed - (used if window == window_of(whose, length, now) else 0), 0)

    def _count(self, whose: str, length: int, now: datetime) -> None:
        this = window_of(whose, length, now)
        window, used = self._used.get((whose, length), (this, 0))
        self._used[whose, length] = (this, used + 1 if window == this else 1)
        if whose and length == MINUTE and self.open.minute_window == "rolling":
            self._last[whose].append(now)


def _elapsed(whose: str, now: datetime) -> int:
    return int(now.timestamp()) + crc32(whose.encode())


def window_of(whose: str, length: int, now: datetime) -> int:
    """Number of the fixed window that a moment falls in."""
    return _elapsed(whose, now) // length


def seconds_left(whose: str, length: int, now: datetime) -> int:
    """Whole seconds until the window ends, at least 1."""
    return length - _elapsed(whose, now) % length
