"""What was asked of the sandbox: the last requests, and counts of all of them."""

import threading
from collections import Counter, defaultdict, deque
from datetime import datetime
from typing import Any

import msgspec

KEPT = 2_000
COUNTED = ("total", "bytes", "mutating", "limited")
MUTATING = {"PUT", "POST", "PATCH", "DELETE"}
BODY_KEPT = 64 * 1024
"""Characters of a request's body that are kept; ``body_size`` says how many bytes it had."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer; ``bytes`` is the size of the body as sent.

    ``mutating`` calls are those that write to the accounting API, whatever came of them; only
    of these the request's ``body`` is kept.
    """

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
    mutating: bool = False
    body: str = ""
    body_size: int = 0


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
            count["mutating"] += entry.mutating
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
        """Per tenant id (empty for calls without one): total, mutating, 429s, by endpoint.

        ``all`` adds them up.
        """
        with self._lock:
            endpoints = sum(self._endpoints.values(), Counter())
            counts = {"all": sum(self._counts.values(), Counter(dict.fromkeys(COUNTED, 0)))}
            return {
                tenant: {
                    **dict.fromkeys(COUNTED, 0),
                    **count,
                    "endpoints": dict(self._endpoints.get(tenant, endpoints)),
                }
                for tenant, count in {**counts, **self._counts}.items()
            }
