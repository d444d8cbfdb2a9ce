"""Writes that take effect after their caller has given up: the fault ``late``.

    arrives ---- reset or 504 to the caller ----> nothing yet
       |
       +---- its time comes ----> done then, stamped then, by the rules and keys of then

Whoever asks next sees it, as every request first lets the due ones land, in order. It has its
Idempotency-Key with it: if that is known when it lands, nothing happens (3.6); if the key has
expired by then, it happens although a repetition may have happened as well.
Those that wait are kept in memory only, and are lost with the process.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from werkzeug.wrappers import Request, Response

from xero_sandbox.log import BODY_KEPT

Do = Callable[[datetime], Response]


class Landing(msgspec.Struct, kw_only=True):
    """One late write. ``status`` is 0 until it has landed; then what the caller never saw."""

    due: datetime
    arrived: datetime
    method: str
    path: str
    tenant: str
    idempotency_key: str
    body: str
    status: int = 0


class Late:
    """The late writes, waiting and landed."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: list[tuple[Landing, Do]] = []
        self._landed: list[Landing] = []

    def put_off(self, request: Request, now: datetime, seconds: float, do: Do) -> Landing:
        """Do what a request asked so many seconds later; ``do`` takes the moment."""
        landing = Landing(
            due=now + timedelta(seconds=seconds),
            arrived=now,
            method=request.method,
            path=request.path,
            tenant=request.headers.get("xero-tenant-id", "").lower(),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
            body=request.get_data().decode(errors="replace")[:BODY_KEPT],
        )
        with self._lock:
            self._waiting.append((landing, do))
            self._waiting.sort(key=lambda pair: pair[0].due)
        return landing

    def land(self, now: datetime) -> None:
        """Do everything whose time has come."""
        with self._lock:
            while self._waiting and self._waiting[0][0].due <= now:
                landing, do = self._waiting.pop(0)
                landing.status = do(landing.due).status_code
                self._landed.append(landing)

    def all(self) -> list[Landing]:
        """Landed ones, oldest first, then those that wait."""
        with self._lock:
            return [*self._landed, *(landing for landing, _ in self._waiting)]

    def start_over(self) -> None:
        """Forget all of them; those that wait will never come."""
        with self._lock:
            self._waiting.clear()
            self._landed.clear()

    def forget(self) -> None:
        """Forget the landed ones; those that wait still come."""
        with self._lock:
            self._landed.clear()
