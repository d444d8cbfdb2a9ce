"""Counts requests, and answers health checks before anything that needs a database."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from justpayme.api import ops
from justpayme.api.metrics import REQUESTS, SECONDS

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


PROBES = {"/livez": ops.livez, "/readyz": ops.readyz, "/metrics": ops.metrics}


class Measure:
    """Outermost of all, so that its seconds include the other middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, then count by method, route pattern and status: never by what a person typed."""
        started = time.monotonic()
        response = self.get_response(request)
        route = _route(request)
        method = request.method if request.method in _METHODS else "other"
        REQUESTS.labels(method, route, str(response.status_code)).inc()
        SECONDS.labels(method, route).observe(time.monotonic() - started)
        return response


def _route(request: HttpRequest) -> str:
    if request.path in PROBES:
        return request.path.removeprefix("/")
    return request.resolver_match.route if request.resolver_match else "unmatched"


class Probes:
    """Stands before sessions and people: a probe that sends a cookie must not need a database.

    Nor does it need a Host header that we know: load balancers ask by address.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a probe, or pass the request on."""
        view = PROBES.get(request.path)
        return view(request) if view else self.get_response(request)
