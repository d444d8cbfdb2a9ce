"""The sandbox as one WSGI program: identity, connections, accounting API, page and controls.

All three hosts of real Xero (login, identity, api) are one address here.
"""

import gzip
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from xero_sandbox import api, pages
from xero_sandbox.api import Api, denied_answer, json_answer, not_found
from xero_sandbox.clock import Clock
from xero_sandbox.limits import Limits
from xero_sandbox.log import Entry, RequestLog
from xero_sandbox.oauth import App, Denied, Identity, OAuthError
from xero_sandbox.store import Ledger, Store

MAX_BODY = 10 * 1024 * 1024
WORTH_GZIP = 256
Handler = Callable[..., Response]


def create_app(
    store: Store,
    *,
    clock: Clock | None = None,
    app: App | None = None,
    limits: Limits | None = None,
    latency: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> "Sandbox":
    """Make the WSGI callable; mount it with ``httpx2.WSGITransport`` or serve it.

    ``latency`` is slept before every API answer, in seconds, through ``sleep``.
    """
    return Sandbox(store, clock or Clock(), app or App(), limits or Limits(), latency, sleep)


class Sandbox:
    """Routes requests, and wraps each answer: limits, correlation id, gzip, log."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        app: App,
        limits: Limits,
        latency: float,
        sleep: Callable[[float], None],
    ) -> None:
        self.store = store
        self.clock = clock
        self.limits = limits
        self.latency = latency
        self.sleep = sleep
        self.identity = Identity(store, app)
        self.api = Api(store, clock, self.identity)
        self.log = RequestLog()
        self.routes = Map(
            [
                Rule("/identity/connect/authorize", endpoint=self.authorize),
                Rule("/connect/token", endpoint=self.token, methods=["POST"]),
                Rule("/connect/revocation", endpoint=self.revocation, methods=["POST"]),
                Rule("/.well-known/openid-configuration", endpoint=self.discovery),
                Rule("/connections", endpoint=self.connections, methods=["GET"]),
                Rule("/connections/<key>", endpoint=self.connection, methods=["DELETE"]),
                Rule("/api.xro/2.0/<endpoint>", endpoint=self.accounting),
                Rule("/api.xro/2.0/<endpoint>/<path:key>", endpoint=self.accounting),
                Rule("/sandbox/log", endpoint=self.show_log, methods=["GET"]),
                Rule("/sandbox/counts", endpoint=self.show_counts, methods=["GET"]),
                Rule("/sandbox/reset-log", endpoint=self.reset_log, methods=["POST"]),
            ],
            strict_slashes=False,
        )

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = MAX_BODY
        started = time.monotonic()
        response = self.handle(request)
        self.finish(request, response)
        self.record(request, response, time.monotonic() - started)
        return response(environ, start_response)

    def handle(self, request: Request) -> Response:
        """Find the handler of a request; paths match in any letter case (1.1)."""
        urls = self.routes.bind("sandbox")
        try:
            handler, arguments = urls.match(request.path.lower(), method=request.method)
            self.check_origin(request)
            response: Response = handler(request, **arguments)
            return response
        except HTTPException as error:
            return Response(error.get_response(request.environ).get_data(), error.code)
        except Denied as denied:
            return denied_answer(denied)

    def check_origin(self, request: Request) -> None:
        """Refuse forms posted from other sites to the pages and controls."""
        origin = request.headers.get("Origin")
        if request.method != "GET" and origin and origin != request.host_url.rstrip("/"):
            raise Denied(403, "Cross-origin request refused")

    def finish(self, request: Request, response: Response) -> None:
        """Add the correlation id (2.1) and compress when asked."""
        response.headers["Xero-Correlation-Id"] = str(uuid4())
        body = response.get_data()
        if (
            "gzip" in request.headers.get("Accept-Encoding", "")
            and len(body) >= WORTH_GZIP
            and "Content-Encoding" not in response.headers
        ):
            response.set_data(gzip.compress(body, 1))
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Vary"] = "Accept-Encoding"

    def record(self, request: Request, response: Response, seconds: float) -> None:
        """Write the request log; the sandbox's own pages and controls stay out of it."""
        path = request.path
        if not path.lower().startswith(("/api.xro", "/connect", "/identity")):
            return
        self.log.add(
            Entry(
                time=self.clock.now(),
                method=request.method,
                path=path,
                query=request.query_string.decode("latin-1"),
                endpoint="/".join(path.split("/")[:4]) if "api.xro" in path.lower() else path,
                tenant=request.headers.get("xero-tenant-id", "").lower(),
                status=response.status_code,
                bytes=len(response.get_data()),
                seconds=round(seconds, 4),
                idempotency_key=request.headers.get("Idempotency-Key", ""),
                fault="",
            )
        )

    def authorize(self, request: Request) -> Response:
        """The consent page, and the answer given on it (1.1)."""
        try:
            asked = self.identity.check_authorize(request.values)
        except OAuthError as error:
            return pages.authorize_error(error.error)
        if request.method != "POST":
            return pages.consent(self, asked, request.args)
        if request.form.get("decision") != "allow":
            return _redirect(asked.answer(error="access_denied"))
        tenants = [t for t in request.form.getlist("tenant") if t in self.store.ledgers]
        if not tenants or (asked.one_only and len(tenants) > 1):
            return pages.consent(self, asked, request.form, nothing_chosen=True)
        code = self.identity.consent(asked, tenants, self.clock.now())
        return _redirect(asked.answer(code=code))

    def token(self, request: Request) -> Response:
        """Exchange a code, or refresh (1.3, 1.4)."""
        try:
            if request.mimetype != "application/x-www-form-urlencoded":
                raise OAuthError("invalid_request")
            self.identity.check_client(request.headers.get("Authorization"), request.form)
            return json_answer(self.identity.token(request.form, self.clock.now()))
        except OAuthError as error:
            return json_answer({"error": error.error}, 400)

    def revocation(self, request: Request) -> Response:
        """Drop all connections of the user: 200 with an empty body (1.1)."""
        try:
            self.identity.check_client(request.headers.get("Authorization"), request.form)
        except OAuthError as error:
            return json_answer({"error": error.error}, 400)
        self.identity.revoke(request.form.get("token", ""))
        return Response(b"", 200)

    def discovery(self, request: Request) -> Response:
        """A minimal OpenID configuration with this sandbox's addresses."""
        base = request.host_url.rstrip("/")
        return json_answer(
            {
                "issuer": "https://identity.xero.com",
                "authorization_endpoint": f"{base}/identity/connect/authorize",
                "token_endpoint": f"{base}/connect/token",
                "revocation_endpoint": f"{base}/connect/revocation",
            }
        )

    def connections(self, request: Request) -> Response:
        """All organisations that the user has connected, of one consent if asked (1.6)."""
        self.identity.bearer(request.headers.get("Authorization"), self.clock.now())
        event = {k.lower(): v for k, v in request.args.items()}.get("autheventid")
        return self.limited(None, lambda: json_answer(self.connection_rows(event)))

    def connection_rows(self, event: str | None) -> list[dict[str, Any]]:
        """The rows of ``/connections``; stamps have seven digits and no zone (1.6)."""
        return [
            {
                "id": c.id,
                "authEventId": c.auth_event_id,
                "tenantId": c.tenant_id,
                "tenantType": "ORGANISATION",
                "tenantName": self.store.ledgers[c.tenant_id].organisation.name,
                "createdDateUtc": c.created.strftime("%Y-%m-%dT%H:%M:%S.%f0"),
                "updatedDateUtc": c.updated.strftime("%Y-%m-%dT%H:%M:%S.%f0"),
            }
            for c in self.identity.visible(event)
        ]

    def connection(self, request: Request, key: str) -> Response:
        """Disconnect one organisation: 204; with a tenant id 403; unknown 404 (1.1, 1.7)."""
        self.identity.bearer(request.headers.get("Authorization"), self.clock.now())
        if key in self.store.ledgers:
            raise Denied(403, "AuthenticationUnsuccessful")
        gone = self.identity.disconnect(key)
        return self.limited(None, lambda: Response(b"", 204) if gone else not_found())

    def accounting(self, request: Request, endpoint: str, key: str | None = None) -> Response:
        """One call of the accounting API."""
        name = api.known(endpoint)
        if name is None:
            return not_found()
        ledger = self.api.authorise(request, name)
        return self.limited(ledger, lambda: self.api.answer(request, ledger, name, key))

    def limited(self, ledger: Ledger | None, answer: Callable[[], Response]) -> Response:
        """Count the call against the limits and put their headers on the answer (2.1)."""
        tenant = ledger.organisation.id if ledger else None
        verdict = self.limits.enter(tenant, self.clock.now())
        if verdict.problem:
            response = Response(b"", 429)
            del response.headers["Content-Type"]
        else:
            try:
                if self.latency:
                    self.sleep(self.latency)
                response = answer()
            finally:
                self.limits.leave(tenant)
        response.headers.extend(verdict.headers)
        return response

    def show_log(self, request: Request) -> Response:
        """The last requests, newest first."""
        return json_answer(self.log.last())

    def show_counts(self, request: Request) -> Response:
        """Counters per organisation."""
        return json_answer(self.log.counts())

    def reset_log(self, request: Request) -> Response:
        """Forget log, counters and used limits."""
        self.log.reset()
        self.limits.reset()
        return json_answer({"ok": True})


def _redirect(address: str) -> Response:
    return Response(b"", 302, headers={"Location": address, "Cache-Control": "no-store"})
