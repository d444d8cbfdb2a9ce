"""The accounting API under ``/api.xro/2.0``: who may call, and what they get.

Always JSON: real Xero answers XML without ``Accept: application/json`` (3.3), the sandbox does
not. Read-only so far: other methods answer 501, as Xero does for what it has not built (2.2).
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from werkzeug.wrappers import Request, Response

from xero_sandbox import listing, shapes
from xero_sandbox.clock import Clock
from xero_sandbox.listing import LISTINGS, BadHeader, TooMany
from xero_sandbox.oauth import Denied, Identity, allows
from xero_sandbox.store import Ledger, Store
from xero_sandbox.where import QueryError

SETTINGS_SCOPE = "accounting.settings"
Rows = Callable[[Ledger], list[dict[str, Any]]]
SETTINGS: dict[str, tuple[str, Rows]] = {
    "organisation": ("Organisations", lambda x: [shapes.organisation_json(x.organisation)]),
    "accounts": (
        "Accounts",
        lambda x: [shapes.account_json(a, x.organisation.updated) for a in x.organisation.accounts],
    ),
    "taxrates": (
        "TaxRates",
        lambda x: [shapes.tax_rate_json(rate) for rate in x.organisation.tax_rates],
    ),
    "brandingthemes": (
        "BrandingThemes",
        lambda x: [shapes.theme_json(t, x.organisation.created) for t in x.organisation.themes],
    ),
    "currencies": (
        "Currencies",
        lambda x: [
            {"Code": code, "Description": name} for code, name in x.organisation.currencies.items()
        ],
    ),
}
"""Settings endpoints: path, plural of the envelope, rows. None of them is paged (4.3, 4.5)."""


class Api:
    """Answers accounting calls from the store."""

    def __init__(self, store: Store, clock: Clock, identity: Identity) -> None:
        self.store = store
        self.clock = clock
        self.identity = identity

    def authorise(
        self,
        request: Request,
        endpoint: str,
        *,
        barred: frozenset[str] = frozenset(),
        hidden: frozenset[str] = frozenset(),
    ) -> Ledger:
        """Check token, scope and organisation in this order; ``Denied`` otherwise (1.7).

        ``barred`` scopes are treated as missing and ``hidden`` organisations as disconnected:
        faults that are switched on.
        """
        now = self.clock.now()
        claims = self.identity.bearer(request.headers.get("Authorization"), now)
        claims = {**claims, "scope": set(claims["scope"]) - barred}
        if not allows(claims, scope_of(endpoint), request.method != "GET"):
            raise Denied(401, "AuthorizationUnsuccessful")
        tenant_id = request.headers.get("xero-tenant-id", "").strip().lower()
        connected = {c.tenant_id for c in self.identity.visible()}
        if tenant_id not in connected - hidden:
            raise Denied(403, "AuthenticationUnsuccessful")
        return self.store.ledgers[tenant_id]

    def answer(self, request: Request, ledger: Ledger, endpoint: str, key: str | None) -> Response:
        """Answer an authorised call."""
        if request.method != "GET":
            return Response("Method not implemented", 501, mimetype="text/plain")
        try:
            with self.store.lock:
                return self._read(request, ledger, endpoint, key)
        except QueryError as error:
            return error_answer(16, "QueryParseException", str(error))
        except TooMany:
            return error_answer(
                10, "ValidationException", "The request exceeds the limit of 100000 results"
            )
        except BadHeader:
            return Response("Precondition failed", 412, mimetype="text/plain")

    def _read(self, request: Request, ledger: Ledger, endpoint: str, key: str | None) -> Response:
        if endpoint in SETTINGS:
            plural, rows = SETTINGS[endpoint]
            found = [shapes.to_json(row) for row in rows(ledger)]
            if key is not None:
                return not_found()
            return self._enveloped(plural, found, None)
        what = LISTINGS[endpoint]
        question = listing.parse_question(request.args, request.headers.get("If-Modified-Since"))
        if key is None:
            answer = listing.answer(what, ledger, question)
            return self._enveloped(what.plural, answer.rows, answer.pagination)
        record = listing.find_one(what, ledger, key)
        if record is None:
            return not_found()
        row = listing.render_one(what, ledger, record, question.places)
        return self._enveloped(what.plural, [row], None)

    def _enveloped(
        self, plural: str, rows: list[bytes], pagination: dict[str, int] | None
    ) -> Response:
        body = shapes.envelope(
            plural, rows, self.clock.now(), str(uuid4()), self.identity.app.name, pagination
        )
        return Response(body, 200, content_type="application/json; charset=utf-8")


def scope_of(endpoint: str) -> str:
    """The scope that covers an endpoint (1.5)."""
    return SETTINGS_SCOPE if endpoint in SETTINGS else LISTINGS[endpoint].scope


def known(endpoint: str) -> str | None:
    """The endpoint's one name: any letter case, ``Organisations`` as well as ``Organisation``."""
    name = endpoint.lower()
    if name == "organisations":
        return "organisation"
    return name if name in SETTINGS or name in LISTINGS else None


def denied_answer(denied: Denied) -> Response:
    """The 401 and 403 bodies of 1.7."""
    body: dict[str, Any] = {
        "Type": None,
        "Title": "Unauthorized" if denied.status == 401 else "Forbidden",
        "Status": denied.status,
        "Detail": denied.detail,
        "Instance": str(uuid4()),
        "Extensions": {},
    }
    return json_answer(body, denied.status)


def error_answer(number: int, kind: str, message: str) -> Response:
    """A 400 of the API: ErrorNumber, Type, Message (3.5)."""
    return json_answer({"ErrorNumber": number, "Type": kind, "Message": message}, 400)


def json_answer(body: Any, status: int = 200) -> Response:
    """Any JSON body."""
    return Response(shapes.to_json(body), status, content_type="application/json; charset=utf-8")


def not_found() -> Response:
    """An unknown object: 404 in HTML, no JSON (3.3)."""
    page = "<!DOCTYPE html><title>404</title><p>The resource you're looking for cannot be found</p>"
    return Response(page, 404, content_type="text/html; charset=utf-8")
