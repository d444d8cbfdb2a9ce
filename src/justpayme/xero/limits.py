"""Xero's limit of calls a minute, as pure functions over the times of our calls.

Whether Xero's window is fixed or rolling, and when a fixed one starts, is not established
(xero-facts 2.1, 11.1). At most 60 calls in *any* 60 seconds satisfies every reading of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WINDOW = 60.0
PER_MINUTE = 60

PER_DAY = 1000
"""Calls an organisation allows an app a day on Xero's smallest plan; 5,000 on the others."""

#: A call counts at Xero when it arrives, a little after we noted it.
_SLACK = 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """Times (seconds on one monotonic clock) of the calls that may still count."""

    times: tuple[float, ...] = ()


def wait(window: Window, now: float, calls: int = 1) -> float:
    """Seconds until so many more calls are within the limit; 0 if they are now."""
    recent, before = _recent(window, now), PER_MINUTE - calls
    if len(recent) <= before:
        return 0.0
    return max(recent[-before - 1] + WINDOW + _SLACK - now, 0.0)


def called(window: Window, now: float, remaining: int | None) -> Window:
    """The window after one more call at `now`. `remaining`: Xero's X-MinLimit-Remaining, if
    given; when Xero has counted more calls than we know of, the difference is added here."""
    recent = (*_recent(window, now), now)
    unknown = 0 if remaining is None else PER_MINUTE - max(remaining, 0) - len(recent)
    return Window(tuple(sorted((*recent, *(now for _ in range(unknown))))))


def _recent(window: Window, now: float) -> tuple[float, ...]:
    return tuple(t for t in window.times if t > now - WINDOW - _SLACK)


def remaining(headers: Mapping[str, str], name: str) -> int | None:
    """A limit header as a number; None if absent or senseless."""
    value = headers.get(name, "").strip()
    return int(value[:9]) if value.isascii() and value.isdigit() else None
