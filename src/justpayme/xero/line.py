"""The line to Xero: a request and its whole answer end within a time, however they drip.

The HTTP library has a timeout for each read. A server that sends a byte of its headers a minute
keeps to that one for days (I-56).
"""

from __future__ import annotations

import time
from typing import Any

import httpx2

LONGEST = "longest"
"""The extension of a request that names its own seconds."""


class Line(httpx2.HTTPTransport):
    """HTTP over TLS with no proxies from the environment. For one thread: each request has
    `longest` seconds from its start to the last byte of its answer."""

    def __init__(self, longest: float, limits: httpx2.Limits | None = None) -> None:
        super().__init__(trust_env=False, limits=limits or httpx2.Limits())
        self._longest = longest
        self._end = 0.0
        # The pool takes a backend of the network; the transport has no argument for it.
        network: Any = _Network(self._pool._network_backend, self)
        self._pool._network_backend = network

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer once its headers are there; its body is read under the same deadline."""
        self._end = time.monotonic() + request.extensions.get(LONGEST, self._longest)
        return super().handle_request(request)

    def within(self, timeout: float | None) -> float:
        """Seconds that the next read or write may take; raises ReadTimeout at the end."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpx2.ReadTimeout("the answer took too long")
        return left if timeout is None else min(timeout, left)


class _Network:
    """A backend of the network whose streams keep to a line's deadline."""

    def __init__(self, backend: Any, line: Line) -> None:
        self._backend = backend
        self._line = line

    def connect_tcp(self, *args: Any, **kwargs: Any) -> _Stream:
        """A new connection; its own timeout bounds it."""
        return _Stream(self._backend.connect_tcp(*args, **kwargs), self._line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


class _Stream:
    """A connection whose every read and write ends with the line's deadline."""

    def __init__(self, stream: Any, line: Line) -> None:
        self._stream = stream
        self._line = line

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come, at most `max_bytes`."""
        found: bytes = self._stream.read(max_bytes, self._line.within(timeout))
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        self._stream.write(buffer, self._line.within(timeout))

    def start_tls(self, *args: Any, **kwargs: Any) -> _Stream:
        """The same connection, enciphered."""
        return _Stream(self._stream.start_tls(*args, **kwargs), self._line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
