"""What was asked of the sandbox: the last requests, and counts of all of them."""

import threading
from collections import Counter, defaultdict, deque
from datetime import datetime
from typing import Any

import msgspec

KEPT = 2_000
MUTATING = {"PUT", "POST", "PATCH", "DELETE"}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer; ``bytes`` is the size of the body as sent."""

    time: datetime
    method: str
    path: str
    query: str
    endpoint: str
    tenant: str
    status: int
    bytes: int
    seconds: float
    idempotency_key: str
    fault: str


class RequestLog:
    """A ring of the last requests and counters per organisation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._endpoints: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, entry: Entry) -> None:
        """Remember one request."""
        with self._lock:
            self._entries.append(entry)
            count = self._counts[entry.tenant]
            count["total"] += 1
            count["bytes"] += entry.bytes
            count["mutating"] += entry.method in MUTATING
            count["limited"] += entry.status == 429
            self._endpoints[entry.tenant][f"{entry.method} {entry.endpoint}"] += 1

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._counts.clear()
            self._endpoints.clear()

    def last(self, count: int = KEPT) -> list[Entry]:
        """The last requests, newest first."""
        with self._lock:
            return list(self._entries)[::-1][:count]

    def counts(self) -> dict[str, Any]:
        """Per tenant id (empty for calls without one): total, mutating, 429s, by endpoint."""
        with self._lock:
            return {
                tenant: {**count, "endpoints": dict(self._endpoints[tenant])}
                for tenant, count in self._counts.items()
            }
