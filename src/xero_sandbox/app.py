"""The sandbox as one WSGI program: identity, connections, accounting API, page and controls.

All three hosts of real Xero (login, identity, api) are one address here.
"""

import gzip
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import uuid4

import msgspec
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from xero_sandbox import act, api, page_invoice, page_settings, pages
from xero_sandbox.act_fields import FIELDS
from xero_sandbox.answers import denied_answer, json_answer, not_found, oauth_answer
from xero_sandbox.api import Api
from xero_sandbox.clock import Clock
from xero_sandbox.faults import (
    AFTER,
    AT_ONCE,
    BARRED,
    BEFORE,
    HIDDEN,
    KINDS,
    LATE,
    SENDING,
    Faults,
    put_off,
)
from xero_sandbox.faults import Rule as Fault
from xero_sandbox.given import BadInput, money, only_known, read
from xero_sandbox.late import Late
from xero_sandbox.limits import Allowance, Limits
from xero_sandbox.log import BODY_KEPT, MUTATING, Entry, RequestLog
from xero_sandbox.oauth import App, Denied, Identity, OAuthError
from xero_sandbox.open_questions import Open, changed, questions
from xero_sandbox.rules import Refused
from xero_sandbox.store import Ledger, Store
from xero_sandbox.webhooks import Change, Post, Webhooks, post_it

MAX_BODY = 10 * 1024 * 1024
WORTH_GZIP = 256
LAST_MOMENT = datetime(2100, 1, 1, tzinfo=UTC)
"""The clock goes no further; near the last year of the calendar nothing could be reckoned."""
UNSEEN = timedelta(seconds=2)
"""How long a change by hand is not readable, when that open question is answered so (11.9)."""
CANCELLED: dict[str, dict[str, str]] = {
    "access_denied": {"error": "access_denied"},
    "described": {"error": "access_denied", "error_description": "The user <i>declined</i>"},
    "login_cancelled": {"error": "login_cancelled"},
    "silent": {},
}
"""What Cancel sends back, by answer to the open question (1.4)."""
Beginning = Callable[[Store, datetime], None]
"""Fills an empty store as of a moment."""


def create_app(
    store: Store,
    *,
    clock: Clock | None = None,
    app: App | None = None,
    limits: Limits | None = None,
    latency: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
    post: Post = post_it,
    open_questions: Open | None = None,
    beginning: Beginning | None = None,
) -> "Sandbox":
    """Make the WSGI callable; mount it with ``httpx2.WSGITransport`` or serve it.

    ``latency`` is slept before every API answer, in seconds, through ``sleep``. ``post`` sends
    webhooks. ``open_questions`` answers what nobody knows about Xero. ``beginning`` fills an
    empty store as of a moment, for a reset; unless given that brings back what is there now.
    """
    clock = clock or Clock()
    sandbox = Sandbox(store, clock, app or App(), limits or Limits(), latency, sleep)
    sandbox.webhooks.post = post
    if beginning:
        sandbox.beginning = beginning
    sandbox.answers_at_first = open_questions or store.open
    sandbox.assume(sandbox.answers_at_first)
    return sandbox


def as_it_is(store: Store) -> Beginning:
    """The books as they are now, to begin with again; records never change."""
    kept = [(ledger.organisation, ledger.records()) for ledger in store.ledgers.values()]

    def fill(empty: Store, now: datetime) -> None:
        for organisation, records in kept:
            empty.add_organisation(organisation, records)

    return fill


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
        self.faults = Faults(store)
        self.late = Late()
        self.webhooks = Webhooks(clock)
        self._hands = 0
        self.beginning = as_it_is(store)
        self.answers_at_first = store.open
        store.on_saved.append(self.changed)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        request = Request(with_latin_path(environ))
        request.max_content_length = MAX_BODY
        body = written(request)
        self.late.land(self.clock.now())
        started = time.monotonic()
        rules = self.faults.firing(request, self.clock.now()) if is_api(request) else []
        status = size = 0
        try:
            response = self.answer(request, rules)
            status, size = response.status_code, len(response.get_data())
            for rule in rules:
                if rule.kind in SENDING:
                    SENDING[rule.kind](self, rule, request, response)
        finally:
            self.record(request, body, status, size, started, rules)
        return response(environ, start_response)

    def answer(self, request: Request, rules: list[Fault]) -> Response:
        """Answer with the faults that happen to this request, as it will be sent."""
        response = None
        for rule in rules:
            if response is None and rule.kind in BEFORE:
                response = BEFORE[rule.kind](self, rule, request)
        if response is None:
            response = self.handle(request)
        for rule in rules:
            if rule.kind in AFTER:
                AFTER[rule.kind](self, rule, request, response)
        self.finish(request, response)
        return response

    def handle(self, request: Request) -> Response:
        """Find the handler of a request; paths match in any letter case (1.1)."""
        try:
            name, arguments = found(request.path.lower(), request.method)
            self.check_origin(request)
            response: Response = getattr(self, name)(request, **arguments)
            return response
        except HTTPException as error:
            return Response(error.get_body(), error.code, content_type="text/html")
        except Denied as denied:
            return denied_answer(denied, self.store.open)
        except (BadInput, Refused) as error:
            text = str(error).encode(errors="replace").decode()
            return json_answer({"error": text}, 400)

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

    def record(
        self,
        request: Request,
        body: bytes | None,
        status: int,
        size: int,
        started: float,
        rules: list[Fault],
    ) -> None:
        """Write the request log; the sandbox's own pages and controls stay out of it."""
        if not is_api(request):
            return
        accounting = request.path.lower().startswith("/api.xro")
        self.log.add(
            Entry(
                time=self.clock.now(),
                method=request.method,
                path=request.path,
                query=request.query_string.decode("latin-1"),
                endpoint=request.path.split("/")[3] if accounting else request.path,
                tenant=request.headers.get("xero-tenant-id", "").lower(),
                status=status,
                bytes=size,
                seconds=round(time.monotonic() - started, 4),
                idempotency_key=request.headers.get("Idempotency-Key", ""),
                fault=" ".join(rule.kind for rule in rules),
                mutating=body is not None,
                body=(body or b"").decode(errors="replace")[:BODY_KEPT],
                body_size=len(body or b""),
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
            return _redirect(asked.answer(**CANCELLED[self.store.open.cancel]))
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
            return oauth_answer(error.error, self.store.open)

    def revocation(self, request: Request) -> Response:
        """Drop all connections of the user: 200 with an empty body (1.1)."""
        try:
            self.identity.check_client(request.headers.get("Authorization"), request.form)
        except OAuthError as error:
            return oauth_answer(error.error, self.store.open)
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
        hidden: frozenset[str] = request.environ.get(HIDDEN, frozenset())
        return self.limited(None, lambda: json_answer(self.connection_rows(event, hidden)))

    def connection_rows(self, event: str | None, hidden: frozenset[str]) -> list[dict[str, Any]]:
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
            if c.tenant_id not in hidden
        ]

    def connection(self, request: Request, key: str) -> Response:
        """Disconnect one organisation: 204; with a tenant id 403; unknown 404 (1.1, 1.7)."""
        self.identity.bearer(request.headers.get("Authorization"), self.clock.now())
        if key in self.store.ledgers:
            raise Denied(403, "AuthenticationUnsuccessful")
        gone = self.identity.disconnect(key)
        done = int(self.store.open.empty_answers)
        return self.limited(None, lambda: Response(b"", done if gone else 404))

    def accounting(self, request: Request, endpoint: str, key: str | None = None) -> Response:
        """One call of the accounting API; a slash at the end of a path means nothing."""
        name = api.known(endpoint)
        key = (key or "").rstrip("/") or None
        if name is None:
            return not_found()
        ledger = self.api.authorise(
            request,
            name,
            barred=request.environ.get(BARRED, frozenset()),
            hidden=request.environ.get(HIDDEN, frozenset()),
        )
        if LATE in request.environ:
            return self.limited(
                ledger,
                lambda: put_off(
                    self, request, lambda at: self.api.answer(request, ledger, name, key, at)
                ),
            )
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

    def home(self, request: Request) -> Response:
        """The person's page: organisations, faults, last requests."""
        return pages.home(self, request.args.get("done", ""))

    def organisation(self, request: Request, tenant: str) -> Response:
        """The invoices of one organisation."""
        return pages.invoices(self, self.ledger(tenant), request.args)

    def contacts(self, request: Request, tenant: str) -> Response:
        """The contacts of one organisation."""
        return page_settings.contacts(self, self.ledger(tenant), request.args.get("done", ""))

    def settings(self, request: Request, tenant: str) -> Response:
        """The settings of one organisation."""
        return page_settings.settings(self, self.ledger(tenant), request.args.get("done", ""))

    def invoice(self, request: Request, tenant: str, invoice: str) -> Response:
        """One invoice with everything that can be done to it."""
        record = self.ledger(tenant).invoices.get(invoice)
        if record is None:
            raise NotFound
        return page_invoice.invoice(self, self.ledger(tenant), record, request.args.get("done", ""))

    def ledger(self, tenant: str) -> Ledger:
        """The books of an organisation, or 404."""
        if tenant not in self.store.ledgers:
            raise NotFound
        return self.store.ledgers[tenant]

    def do(self, request: Request, action: str) -> Response:
        """A form of the page: do it and go back, or say why not."""
        given = request.form.to_dict()
        try:
            if action == "add-fault":
                self.add_fault(request, pages.fault_from_form(given))
            elif action == "remove-faults":
                self.faults.remove(given.get("rule"))
            elif action == "reset":
                self.start_over(pages.sure(given))
            else:
                act.act(self, action, given)
        except (BadInput, Refused) as error:
            return pages.refused(str(error), pages.way_back(given))
        return Response(b"", 303, headers={"Location": pages.way_back(given, done=True)})

    def act(self, request: Request, action: str) -> Response:
        """The same actions as JSON."""
        given = body_of(request)
        if action in FIELDS:
            only_known(given, ("tenant", *FIELDS[action]))
        return json_answer(act.act(self, action, given))

    def show_organisations(self, request: Request) -> Response:
        """Every organisation: tenant id, name, currency, connected or not."""
        connected = {c.tenant_id for c in self.identity.visible()}
        return json_answer(
            [
                {
                    "tenant": tenant,
                    "name": ledger.organisation.name,
                    "currency": ledger.organisation.currency,
                    "connected": tenant in connected,
                }
                for tenant, ledger in self.store.ledgers.items()
            ]
        )

    def books(
        self, request: Request, tenant: str, endpoint: str, key: str | None = None
    ) -> Response:
        """What the API would answer, without a token: not logged, counted, limited or spoilt."""
        name = api.known(endpoint)
        return self.api.answer(request, self.ledger(tenant), name, key) if name else not_found()

    def clock_door(self, request: Request) -> Response:
        """GET tells the time; POST moves it by ``advance`` seconds or ``to`` a moment, never back.

        Back it goes with a reset only: stamps in the future would make no sense.
        """
        if request.method == "POST":
            self.clock.advance(seconds_ahead(body_of(request), self.clock.now()))
            self.late.land(self.clock.now())
        return json_answer({"now": self.clock.now().isoformat()})

    def faults_door(self, request: Request) -> Response:
        """GET lists the rules and kinds, POST adds a rule, DELETE removes all."""
        if request.method == "POST":
            return json_answer(self.add_fault(request, body_of(request)), 201)
        if request.method == "DELETE":
            self.faults.remove()
            return Response(b"", 204)
        return json_answer({"rules": self.faults.rules(), "kinds": KINDS})

    def add_fault(self, request: Request, body: dict[str, Any]) -> Fault:
        """Add a rule; some kinds happen at once when nothing is said about when."""
        rule = self.faults.add(body)
        if rule.kind in AT_ONCE and not (rule.method or rule.path or rule.tenant):
            BEFORE[rule.kind](self, rule, request)
            self.faults.remove(rule.id)
        return rule

    def drop_fault(self, request: Request, rule: str) -> Response:
        """Remove one rule."""
        if not self.faults.remove(rule):
            text = f"There is no fault {rule[:60]}; GET /sandbox/faults lists those that are on"
            return json_answer({"error": text}, 404)
        return Response(b"", 204)

    def changed(self, tenant_id: str, changes: Sequence[Change]) -> None:
        """Something was saved: tell the webhooks, if the app is connected there."""
        if any(c.tenant_id == tenant_id for c in self.identity.visible()):
            self.webhooks.changed(tenant_id, changes)
        slow = self.store.open.readable
        if slow == "own_writes_too" or (self._hands and slow == "after_two_seconds"):
            until = self.clock.now() + UNSEEN
            self.store.ledgers[tenant_id].unseen += [(until, old, new) for old, new in changes]

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """What is changed inside is a person's doing; the store must be locked."""
        self._hands += 1
        try:
            yield
        finally:
            self._hands -= 1

    def assume(self, answers: Open) -> None:
        """Answer the open questions from now on."""
        self.store.assume(answers)
        self.limits.open = self.webhooks.open = answers

    def questions(self, request: Request) -> Response:
        """GET lists the open questions and the answers here; POST changes answers by name."""
        if request.method == "POST":
            try:
                self.assume(changed(self.store.open, body_of(request)))
            except ValueError as error:
                raise BadInput(str(error)) from error
        return json_answer({"answers": self.store.open, "questions": questions()})

    def webhooks_door(self, request: Request) -> Response:
        """GET tells the subscription and its deliveries, POST subscribes, DELETE forgets."""
        if request.method == "POST":
            return json_answer(self.webhooks.subscribe(body_of(request)), 201)
        if request.method == "DELETE":
            self.webhooks.drop()
            return Response(b"", 204)
        return json_answer(self.webhooks.shown())

    def deliver(self, request: Request) -> Response:
        """Send the webhooks that are due; a served sandbox does so every second by itself."""
        self.webhooks.deliver()
        return json_answer(self.webhooks.shown())

    def set_limits(self, request: Request) -> Response:
        """Change the allowance: minute, day, concurrent, app_minute; null lifts a limit."""
        known = msgspec.structs.asdict(self.limits.allowance)
        body = body_of(request)
        only_known(body, known)
        self.limits.allowance = read({**known, **body}, Allowance)
        return json_answer(self.limits.allowance)

    def show_log(self, request: Request) -> Response:
        """The last requests, newest first."""
        return json_answer(self.log.last())

    def show_late(self, request: Request) -> Response:
        """The late writes: landed ones with the status that nobody saw, then the waiting."""
        return json_answer(self.late.all())

    def show_counts(self, request: Request) -> Response:
        """Counters per organisation."""
        return json_answer(self.log.counts())

    def reset(self, request: Request) -> Response:
        """Back to the beginning; ``keep_connections`` leaves the app connected."""
        body = body_of(request)
        only_known(body, ("keep_connections",))
        keep = body.get("keep_connections", False)
        if not isinstance(keep, bool):
            raise BadInput("keep_connections: true or false")
        self.start_over(keep)
        return self.show_organisations(request)

    def ask_reset(self, request: Request) -> Response:
        """The page that asks first."""
        return pages.ask_reset(self)

    def start_over(self, keep_access: bool) -> None:
        """Books, clock, faults, limits, log, open questions: everything as at the beginning."""
        with self.store.lock:
            self.clock.start_over()
            now = self.clock.now()
            self.store.start_over(lambda: self.beginning(self.store, now), keep_access)
            self.assume(self.answers_at_first)
        if not keep_access:
            self.identity.expire_tokens()
        self.faults.remove()
        self.late.start_over()
        self.webhooks.start_over()
        self.limits.start_over()
        self.log.reset()

    def reset_log(self, request: Request) -> Response:
        """Forget log, counters and used limits."""
        self.log.reset()
        self.late.forget()
        self.limits.reset()
        return json_answer({"ok": True})


ROUTES = (
    ("/identity/connect/authorize", "authorize", ""),
    ("/connect/token", "token", "POST"),
    ("/connect/revocation", "revocation", "POST"),
    ("/.well-known/openid-configuration", "discovery", ""),
    ("/connections", "connections", "GET"),
    ("/connections/<key>", "connection", "DELETE"),
    ("/api.xro/2.0/<endpoint>", "accounting", ""),
    ("/api.xro/2.0/<endpoint>/<path:key>", "accounting", ""),
    ("/", "home", "GET"),
    ("/org/<tenant>", "organisation", "GET"),
    ("/org/<tenant>/contacts", "contacts", "GET"),
    ("/org/<tenant>/settings", "settings", "GET"),
    ("/org/<tenant>/invoice/<invoice>", "invoice", "GET"),
    ("/do/<action>", "do", "POST"),
    ("/sandbox/act/<action>", "act", "POST"),
    ("/sandbox/organisations", "show_organisations", ""),
    ("/sandbox/books/<tenant>/<endpoint>", "books", "GET"),
    ("/sandbox/books/<tenant>/<endpoint>/<path:key>", "books", "GET"),
    ("/sandbox/clock", "clock_door", "GET POST"),
    ("/sandbox/faults", "faults_door", ""),
    ("/sandbox/faults/<rule>", "drop_fault", "DELETE"),
    ("/sandbox/webhooks", "webhooks_door", ""),
    ("/sandbox/webhooks/deliver", "deliver", "POST"),
    ("/sandbox/open-questions", "questions", "GET POST"),
    ("/sandbox/limits", "set_limits", "POST"),
    ("/sandbox/log", "show_log", "GET"),
    ("/sandbox/late", "show_late", "GET"),
    ("/sandbox/counts", "show_counts", "GET"),
    ("/reset", "ask_reset", "GET"),
    ("/sandbox/reset", "reset", "POST"),
    ("/sandbox/reset-log", "reset_log", "POST"),
)
"""Path, the method of ``Sandbox`` that answers there, and the HTTP methods taken, any if empty."""
RULES = Map(
    [Rule(path, endpoint=name, methods=taken.split() or None) for path, name, taken in ROUTES],
    strict_slashes=False,
).bind("sandbox")


@lru_cache(maxsize=1_000)
def found(path: str, method: str) -> tuple[str, dict[str, Any]]:
    """The route of a request; an ``HTTPException`` where there is none."""
    name, arguments = RULES.match(path, method=method)
    return name, dict(arguments)


def with_latin_path(environ: dict[str, Any]) -> dict[str, Any]:
    """Paths travel as Latin-1 in WSGI; in-process transports may hand in plain Unicode."""
    path = environ.get("PATH_INFO", "")
    try:
        path.encode("latin-1")
    except UnicodeEncodeError:
        return {**environ, "PATH_INFO": path.encode().decode("latin-1")}
    return environ


def is_api(request: Request) -> bool:
    """Whether a request is one that an app makes: faults and the log are about those."""
    path = request.path.lower()
    return path.startswith(("/api.xro", "/connect"))


def written(request: Request) -> bytes | None:
    """The body of a call that writes to the accounting API, None of any other call.

    Read before anything else happens: a fault may cut the connection. One that is too large or
    breaks off is empty here, and refused by whoever wants it.
    """
    if request.method not in MUTATING or not request.path.lower().startswith("/api.xro"):
        return None
    try:
        return request.get_data()
    except (HTTPException, OSError):
        return b""


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a control request; an empty body is an empty object."""
    try:
        body = json.loads(request.get_data() or b"{}", parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise BadInput("The body must be a JSON object") from error
    if not isinstance(body, dict):
        raise BadInput("The body must be a JSON object")
    return body


def seconds_ahead(given: dict[str, Any], now: datetime) -> float:
    """How far a request wants to move the clock."""
    only_known(given, ("advance", "to"))
    if "to" not in given:
        seconds = float(money(given, "advance"))
    else:
        try:
            seconds = (datetime.fromisoformat(given["to"]) - now).total_seconds()
        except (TypeError, ValueError) as error:
            raise BadInput("to: a moment with its zone, such as 2026-12-24T09:00:00Z") from error
    name = "to" if "to" in given else "advance"
    if seconds < 0:
        raise BadInput(f"{name}: time goes forward only")
    if seconds > (LAST_MOMENT - now).total_seconds():
        raise BadInput(f"{name}: no later than {LAST_MOMENT:%Y-%m-%d}")
    return seconds


def _redirect(address: str) -> Response:
    return Response(b"", 302, headers={"Location": address, "Cache-Control": "no-store"})
