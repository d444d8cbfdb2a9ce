"""Faults that can be switched on, one rule each: what to spoil, when, and how.

A rule matches requests by method, a part of the path (any letter case) and organisation. It
fires from the ``nth`` match on, ``count`` times (null: until it is removed), or for ``seconds``
after its first match. Rules may be combined; they apply in the order they were added, and of
those that answer in Xero's place only the first does, the others wait for the next request.

Faults of the connection (``reset_before``, ``lose_answer``, ``reset_mid_body``, ``drip``) do the
real thing on the server; mounted in process they raise ``ConnectionResetError`` to the caller,
and ``drip`` only sleeps through the clock that was handed in.
"""

import socket
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import count as counter
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import msgspec
from msgspec import Meta
from msgspec.structs import asdict, replace
from werkzeug.wrappers import Request, Response

from xero_sandbox.answers import denied_answer, oauth_answer
from xero_sandbox.given import BadInput, Given, money, only_known, read, some, text
from xero_sandbox.log import MUTATING
from xero_sandbox.mangles import HARMLESS, MANGLES, WRITE_MANGLES, mangled
from xero_sandbox.oauth import API_SCOPES, Denied
from xero_sandbox.replays import FAILS, KEYS_DOWN, known
from xero_sandbox.store import Store

if TYPE_CHECKING:
    from xero_sandbox.app import Sandbox

__all__ = ["HARMLESS", "KINDS", "MANGLES", "Faults", "Rule"]

PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
OFFLINE = "The Organisation is offline"
BARRED, HIDDEN = "xero_sandbox.barred", "xero_sandbox.hidden"
"""Where a rule leaves scopes taken away and organisations hidden, in the WSGI environment."""
LATE = "xero_sandbox.late"
"""Where a rule leaves itself when the write is to take effect later."""
METHODS = ("GET", "HEAD", "OPTIONS", *sorted(MUTATING))
LONGEST = 10_000_000
"""Seconds that a fault may last or wait."""


class Wanted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A fault as it is asked for. ``parameters`` depend on the kind, see ``PARAMETERS``."""

    kind: str
    method: str = ""
    path: str = ""
    tenant: str = ""
    body: str = ""
    nth: Annotated[int, Meta(ge=1)] = 1
    count: Annotated[int, Meta(ge=1)] | msgspec.UnsetType | None = msgspec.UNSET
    seconds: Annotated[float, Meta(gt=0, le=LONGEST)] | None = None
    parameters: dict[str, Any] = {}


class Rule(Wanted, kw_only=True):
    """One fault that is switched on, and what came of it."""

    id: str = ""
    seen: int = 0
    fired: int = 0
    until: datetime | None = None

    def matches(self, request: Request) -> bool:
        """Whether this request is meant."""
        tenant = request.headers.get("xero-tenant-id", "").lower()
        return (
            self.method.upper() in ("", request.method)
            and self.path.lower() in request.path.lower()
            and self.tenant.lower() in ("", tenant)
            and (request.method in MUTATING or self.kind not in OF_WRITES)
            and self.body in (written(request) if self.body else "")
        )

    def fires(self, now: datetime, answered: bool) -> bool:
        """Count a match and say whether the fault happens this time."""
        self.seen += 1
        if self.seen < self.nth or (answered and self.kind in ANSWERING):
            return False
        if self.seconds is not None:
            self.until = self.until or now + timedelta(seconds=self.seconds)
            if now >= self.until:
                return False
        if self.count is not None and self.fired >= int(self.count or 0):
            return False
        self.fired += 1
        return True


OF_WRITES = {"keys_down", "write_500", "late", *WRITE_MANGLES}
"""Kinds that are about writing: they neither count nor fire on a GET."""
Before = Callable[["Sandbox", Rule, Request], Response | None]
After = Callable[["Sandbox", Rule, Request, Response], None]


def delay(sandbox: "Sandbox", rule: Rule, request: Request) -> None:
    """Wait ``delay`` seconds (default 5), then do what was asked: a late effect."""
    sandbox.sleep(_seconds(rule))


def timeout_before(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """Wait ``delay`` seconds (default 5), then a 504; nothing has been done."""
    sandbox.sleep(_seconds(rule))
    return _html(504, "Gateway Timeout")


def reset_before(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """Hang up before doing anything."""
    raise hang_up(request)


def limit_minute(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """429 of the minute limit. ``retry_after``: see ``limit_day``; default 26 (2.1)."""
    return _limited(sandbox, rule, "minute", "26")


def limit_day(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """429 of the day limit, default 66975 s. ``retry_after``: seconds, missing, date, absurd."""
    return _limited(sandbox, rule, "day", "66975")


def limit_app(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """429 of the app's minute; real Xero's literal is unknown (2.1)."""
    return _limited(sandbox, rule, sandbox.store.open.app_limit, "missing")


def limit_concurrent(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """429 of five at once; whether it has a Retry-After is an open question (2.1)."""
    wait = "1" if sandbox.store.open.concurrent_wait == "present" else "missing"
    return _limited(sandbox, rule, "concurrent", wait)


def error_500(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """500 with an HTML page."""
    return _html(500, "Internal Server Error")


def error_502(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """502 with an HTML page."""
    return _html(502, "Bad Gateway")


def error_503(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """503 with an HTML page; give ``seconds`` for an outage of some length."""
    return _html(503, "Service Unavailable")


def error_504(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """504 with an HTML page."""
    return _html(504, "Gateway Timeout")


def offline(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """503 with the plain text of 2.2; ``text`` for another one."""
    text = str(rule.parameters.get("text", OFFLINE))
    return Response(text, 503, content_type="text/plain; charset=utf-8")


def invalid_grant(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """The token endpoint says that the refresh token is dead (1.4)."""
    return oauth_answer("invalid_grant", sandbox.store.open)


def forbidden(sandbox: "Sandbox", rule: Rule, request: Request) -> Response:
    """403 for the matched organisation, or for all (1.7)."""
    return denied_answer(Denied(403, "AuthenticationUnsuccessful"), sandbox.store.open)


def expire_tokens(sandbox: "Sandbox", rule: Rule, request: Request) -> None:
    """Every access token issued so far has expired, from this request on."""
    sandbox.identity.expire_tokens()


def revoke_consent(sandbox: "Sandbox", rule: Rule, request: Request) -> None:
    """The user takes all access back, just before this request."""
    sandbox.identity.revoke_all()


def reset_demo(sandbox: "Sandbox", rule: Rule, request: Request) -> None:
    """The demo company is made anew: same name, new tenant and organisation id (6.19).

    ``tenant`` in the parameters says which; else the one that the request is for.
    """
    wanted = rule.parameters.get("tenant") or request.headers.get("xero-tenant-id", "")
    ledger = sandbox.store.ledgers.get(str(wanted).lower())
    if ledger:
        old = ledger.organisation
        new = replace(old, id=str(uuid4()), organisation_id=str(uuid4()))
        sandbox.store.move_organisation(old.id, new)


def remove_scope(sandbox: "Sandbox", rule: Rule, request: Request) -> None:
    """The token lacks the scopes in ``scope`` (separated by spaces) for this request."""
    barred = str(rule.parameters.get("scope", "")).split()
    request.environ[BARRED] = request.environ.get(BARRED, frozenset()) | frozenset(barred)


def hide_tenant(sandbox: "Sandbox", rule: Rule, request: Request) -> None:
    """The organisation in ``tenant`` is gone from /connections, and its calls give 403."""
    hidden = {str(rule.parameters.get("tenant", "")).lower()}
    request.environ[HIDDEN] = request.environ.get(HIDDEN, frozenset()) | hidden


def keys_down(sandbox: "Sandbox", rule: Rule, request: Request) -> None:
    """The store of Idempotency-Keys is down: a write with a key gets 500, nothing done (3.6)."""
    request.environ[KEYS_DOWN] = True


def write_500(sandbox: "Sandbox", rule: Rule, request: Request) -> None:
    """A write fails inside with 500, nothing done; its Idempotency-Key keeps that answer (3.6)."""
    request.environ[FAILS] = True


def late(sandbox: "Sandbox", rule: Rule, request: Request) -> None:
    """A write takes effect ``seconds`` (default 30) later by the sandbox's clock, whatever else
    happens until then; the caller's connection is reset, or with ``answer`` "timeout" it gets a
    504 after ``delay`` seconds.
    """
    request.environ[LATE] = rule


def put_off(sandbox: "Sandbox", request: Request, do: Callable[[datetime], Response]) -> Response:
    """Keep a late write for its time. One whose key has an answer is done already (3.6)."""
    rule: Rule = request.environ[LATE]
    now = sandbox.clock.now()
    if not known(sandbox.store, request, now):
        sandbox.late.put_off(request, now, float(rule.parameters.get("seconds", 30)), do)
    if rule.parameters.get("answer") != "timeout":
        raise hang_up(request)
    sandbox.sleep(_seconds(rule))
    return _html(504, "Gateway Timeout")


def timeout_after(sandbox: "Sandbox", rule: Rule, request: Request, response: Response) -> None:
    """Do what was asked, wait ``delay`` seconds (default 5), then a 504."""
    sandbox.sleep(_seconds(rule))
    response.status_code = 504
    response.set_data(PAGE.format("Gateway Timeout"))
    response.headers["Content-Type"] = "text/html"


def lose_answer(sandbox: "Sandbox", rule: Rule, request: Request, response: Response) -> None:
    """Do what was asked, then hang up without an answer."""
    raise hang_up(request)


def reset_mid_body(sandbox: "Sandbox", rule: Rule, request: Request, response: Response) -> None:
    """Send half of the body, then hang up."""
    body = response.get_data()
    length = len(body)

    def halves() -> Iterator[bytes]:
        yield body[: length // 2]
        raise hang_up(request)

    response.response = halves()
    response.headers["Content-Length"] = str(length)


def drip(sandbox: "Sandbox", rule: Rule, request: Request, response: Response) -> None:
    """Send ``bytes`` at a time (default 1), ``delay`` seconds apart (default 1)."""
    body = response.get_data()
    step = int(rule.parameters.get("bytes", 1))
    pause = float(rule.parameters.get("delay", 1))

    def drops() -> Iterator[bytes]:
        for start in range(0, len(body), step):
            sandbox.sleep(pause)
            yield body[start : start + step]

    response.response = drops()
    response.headers["Content-Length"] = str(len(body))


def mangle(sandbox: "Sandbox", rule: Rule, request: Request, response: Response) -> None:
    """Spoil a 200; ``mangle`` names how (or use the mangle's name as the kind)."""
    name = rule.kind if rule.kind != "mangle" else str(rule.parameters["mangle"])
    mangled(response, name, rule.parameters.get("rows") == "all")


BEFORE: dict[str, Before] = {
    action.__name__: action
    for action in (
        delay, timeout_before, reset_before, limit_minute, limit_day, limit_app,
        limit_concurrent, error_500, error_502, error_503, error_504, offline, invalid_grant,
        forbidden, expire_tokens, revoke_consent, reset_demo, remove_scope, hide_tenant,
        keys_down, write_500, late,
    )
}  # fmt: skip
AFTER: dict[str, After] = {
    "timeout_after": timeout_after,
    "lose_answer": lose_answer,
    "mangle": mangle,
    **dict.fromkeys((*MANGLES, *WRITE_MANGLES), mangle),
}
SENDING: dict[str, After] = {"reset_mid_body": reset_mid_body, "drip": drip}
LASTING = {"remove_scope", "hide_tenant", "forbidden", "keys_down"}
ANSWERING = {
    "timeout_before", "reset_before", "limit_minute", "limit_day", "limit_app",
    "limit_concurrent", "error_500", "error_502", "error_503", "error_504", "offline",
    "invalid_grant", "forbidden",
}  # fmt: skip
"""Kinds that answer in Xero's place."""
USUAL_PATH = {
    "invalid_grant": "/connect/token",
    "forbidden": "/api.xro",
    "keys_down": "/api.xro",
    "write_500": "/api.xro",
    "late": "/api.xro",
    **dict.fromkeys(("mangle", *MANGLES, *WRITE_MANGLES), "/api.xro"),
}
"""Where a kind applies when the rule does not say."""
AT_ONCE = {"expire_tokens", "revoke_consent", "reset_demo"}
"""Without method, path and organisation these happen as soon as they are switched on."""
KINDS: dict[str, str] = {
    **{
        name: " ".join((action.__doc__ or "").split())
        for name, action in {**BEFORE, **AFTER, **SENDING}.items()
    },
    **MANGLES,
    **{name: " ".join((it.__doc__ or "").split()) for name, it in WRITE_MANGLES.items()},
}
"""Every kind by name, with what it does."""


Check = Callable[[Given, str], object]


def _number(given: Given, name: str) -> None:
    """A number of seconds."""
    number = money(given, name)
    if not 0 <= number <= LONGEST:
        raise BadInput(f"{name}: a number of seconds from 0 to {LONGEST}")


def _whole(given: Given, name: str) -> None:
    """A whole number of at least one."""
    wanted = text(given, name)
    if not wanted.isdecimal() or int(wanted) < 1:
        raise BadInput(f"{name}: a whole number from 1")


def _header(given: Given, name: str) -> None:
    """What a header can hold."""
    wanted = text(given, name)
    if not (wanted.isascii() and wanted.isprintable()):
        raise BadInput(f"{name}: seconds, missing, date, absurd or other plain letters")


def _scopes(given: Given, name: str) -> None:
    """Scopes of Xero's API, separated by spaces."""
    for scope in text(given, name).split():
        if scope not in API_SCOPES:
            raise BadInput(f"{name}: there is no scope '{scope[:60]}', but {some(API_SCOPES)}")


def _one_of(*values: str) -> Check:
    def check(given: Given, name: str) -> None:
        if text(given, name) not in values:
            raise BadInput(f"{name}: one of {', '.join(values)}")

    return check


DELAY: dict[str, Check] = {"delay": _number}
RETRY: dict[str, Check] = {"retry_after": _header}
ROWS: dict[str, Check] = {"rows": _one_of("first", "all")}
PARAMETERS: dict[str, dict[str, Check]] = {
    **dict.fromkeys(("delay", "timeout_before", "timeout_after"), DELAY),
    **dict.fromkeys(("limit_minute", "limit_day", "limit_app", "limit_concurrent"), RETRY),
    "offline": {"text": text},
    "reset_demo": {"tenant": text},
    "remove_scope": {"scope": _scopes},
    "hide_tenant": {"tenant": text},
    "late": {"seconds": _number, "answer": _one_of("reset", "timeout"), **DELAY},
    "drip": {"bytes": _whole, **DELAY},
    **dict.fromkeys((*MANGLES, *WRITE_MANGLES), ROWS),
    "mangle": {"mangle": _one_of(*MANGLES), **ROWS},
}
"""What the parameters of a kind may be; a kind that is not here has none."""
NEEDED = {"remove_scope": "scope", "hide_tenant": "tenant", "mangle": "mangle"}
"""The parameter that a kind is nothing without."""


def checked(wanted: Wanted, tenants: Collection[str]) -> None:
    """Refuse a rule that could never do anything, naming the field."""
    if wanted.kind not in KINDS:
        raise BadInput(f"kind: there is no '{wanted.kind[:60]}', but {', '.join(KINDS)}")
    if wanted.method and wanted.method.upper() not in METHODS:
        raise BadInput(f"method: one of {', '.join(METHODS)}, or none for any call")
    reads = wanted.method and wanted.method.upper() not in MUTATING
    if reads and (wanted.kind in OF_WRITES or wanted.body):
        what = "body" if wanted.body else wanted.kind
        raise BadInput(f"method: {what} is about writes, which are {some(MUTATING)}")
    known = PARAMETERS.get(wanted.kind, {})
    given = {f"parameters.{name}": value for name, value in wanted.parameters.items()}
    only_known(given, [f"parameters.{name}" for name in known])
    if wanted.kind in NEEDED:
        text(given, f"parameters.{NEEDED[wanted.kind]}")
    for name in wanted.parameters:
        known[name](given, f"parameters.{name}")
    for name, tenant in (
        ("tenant", wanted.tenant),
        ("parameters.tenant", given.get("parameters.tenant")),
    ):
        if tenant and str(tenant).lower() not in tenants:
            raise BadInput(f"{name}: there is no such organisation; {SEE_TENANTS}")
    if wanted.kind == "reset_demo" and not (given or wanted.method or wanted.path or wanted.tenant):
        raise BadInput(f"parameters.tenant: the organisation to make anew; {SEE_TENANTS}")


SEE_TENANTS = "GET /sandbox/organisations lists their tenant ids"


class Faults:
    """The rules switched on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._rules: dict[str, Rule] = {}
        self._ids = counter(1)

    def add(self, body: Any) -> Rule:
        """Check and add a rule given as JSON."""
        wanted = read(body, Wanted)
        checked(wanted, self._store.ledgers)
        rule = Rule(**asdict(wanted))
        rule.path = rule.path or USUAL_PATH.get(rule.kind, "")
        if rule.count is msgspec.UNSET:
            lasting = rule.kind in LASTING or rule.seconds is not None
            rule.count = None if lasting else 1
        rule.id = str(next(self._ids))
        with self._lock:
            self._rules[rule.id] = rule
        return rule

    def rules(self) -> list[Rule]:
        """All rules in order."""
        with self._lock:
            return list(self._rules.values())

    def remove(self, rule_id: str | None = None) -> bool:
        """Switch one rule off, or all; whether there was such a rule."""
        with self._lock:
            if rule_id is not None:
                return self._rules.pop(rule_id, None) is not None
            self._rules.clear()
            return True

    def firing(self, request: Request, now: datetime) -> list[Rule]:
        """The rules that happen to this request."""
        firing: list[Rule] = []
        with self._lock:
            for rule in self._rules.values():
                answered = any(r.kind in ANSWERING for r in firing)
                if rule.matches(request) and rule.fires(now, answered):
                    firing.append(rule)
        return firing


def written(request: Request) -> str:
    """The body of a request as text, for rules that look into it."""
    return request.get_data().decode(errors="replace") if request.method in MUTATING else ""


def hang_up(request: Request) -> ConnectionResetError:
    """Reset the connection of a served request; the error to raise in any case."""
    connection: socket.socket | None = request.environ.get("werkzeug.socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    return ConnectionResetError("The sandbox hung up on purpose")


def _seconds(rule: Rule) -> float:
    return float(rule.parameters.get("delay", 5))


def _html(status: int, title: str) -> Response:
    return Response(PAGE.format(title), status, content_type="text/html; charset=utf-8")


def _limited(sandbox: "Sandbox", rule: Rule, problem: str, usual: str) -> Response:
    """A 429 as recorded: empty, no content type (2.1)."""
    response = Response(b"", 429)
    del response.headers["Content-Type"]
    left = {"minute": "X-MinLimit-Remaining", "day": "X-DayLimit-Remaining"}
    if problem != "absent":
        response.headers["X-Rate-Limit-Problem"] = problem
    response.headers[left.get(problem, "X-AppMinLimit-Remaining")] = (
        "9900" if problem == "concurrent" else "0"
    )
    wanted = str(rule.parameters.get("retry_after", usual))
    if wanted == "date":
        wanted = format_datetime(sandbox.clock.now() + timedelta(minutes=1), usegmt=True)
    if wanted == "absurd":
        wanted = "99999999999999"
    if wanted != "missing":
        response.headers["Retry-After"] = wanted
    return response
