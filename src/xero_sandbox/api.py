"""The accounting API under ``/api.xro/2.0``: who may call, and what they get.

Always JSON: real Xero answers XML without ``Accept: application/json`` (3.3), the sandbox does
not. Reading is here, writing in ``writes``; what is not built answers 501, as Xero does (2.2).
"""

from datetime import datetime
from uuid import uuid4

from werkzeug.wrappers import Request, Response

from xero_sandbox import listing, replays, shapes, sides, whole_lists, writes
from xero_sandbox.answers import error_answer, not_found
from xero_sandbox.bodies import BadBody
from xero_sandbox.clock import Clock
from xero_sandbox.listing import LISTINGS, BadHeader, NoSuchPage, NotModified, TooMany
from xero_sandbox.oauth import Denied, Identity, allows
from xero_sandbox.store import Ledger, Store
from xero_sandbox.where import QueryError
from xero_sandbox.whole_lists import WHOLE_LISTS

TOO_MANY = (
    "Your request is not filtering {} efficiently, given the extremely high volume for this"
    " organisation."
)
"""Real Xero's refusal in the words that are known (3.1)."""

SETTINGS_SCOPE = "accounting.settings"


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
            raise Denied(int(self.store.open.missing_scope), "AuthorizationUnsuccessful")
        tenant_id = request.headers.get("xero-tenant-id", "").strip().lower()
        connected = {c.tenant_id for c in self.identity.visible()}
        if tenant_id not in connected - hidden:
            raise Denied(403, "AuthenticationUnsuccessful")
        return self.store.ledgers[tenant_id]

    def answer(
        self,
        request: Request,
        ledger: Ledger,
        endpoint: str,
        key: str | None,
        now: datetime | None = None,
    ) -> Response:
        """Answer an authorised call, as of ``now`` when a late one lands."""
        now = now or self.clock.now()
        try:
            with self.store.lock:
                if request.method == "GET":
                    return self._read(request, ledger, endpoint, key, now)
                return replays.once(
                    self.store,
                    request,
                    now,
                    lambda: self._write(request, ledger, endpoint, key, now),
                )
        except QueryError as error:
            number = int(self.store.open.query_error)
            return error_answer(number, "QueryParseException", str(error))
        except TooMany:
            return self._too_many(LISTINGS[endpoint].plural)
        except NotModified:
            return Response(b"", 304)
        except NoSuchPage:
            return not_found()
        except BadHeader:
            return Response("Precondition failed", 412, mimetype="text/plain")

    def _read(
        self, request: Request, ledger: Ledger, endpoint: str, key: str | None, now: datetime
    ) -> Response:
        if endpoint in WHOLE_LISTS:
            return self._whole(request, ledger, endpoint, key, now)
        ledger = ledger.seen(now)
        side = sides.split(key)
        if side:
            return sides.read(self.call(request, ledger, now), endpoint, side)
        what = LISTINGS[endpoint]
        question = listing.parse_question(request.args, request.headers.get("If-Modified-Since"))
        if key is None:
            answer = listing.answer(what, ledger, question)
            return self._enveloped(what.plural, answer.rows, answer.pagination, now)
        record = listing.find_one(what, ledger, key)
        if record is None:
            return not_found()
        row = listing.render_one(what, ledger, record, question.places)
        return self._enveloped(what.plural, [row], None, now)

    def _too_many(self, plural: str) -> Response:
        """More rows than Xero is willing to list (3.1)."""
        text = TOO_MANY.format(plural)
        if self.store.open.high_volume == "text":
            return Response(text, 400, content_type="text/plain; charset=utf-8")
        return error_answer(51, "HighVolumeException", text)

    def _whole(
        self, request: Request, ledger: Ledger, endpoint: str, key: str | None, now: datetime
    ) -> Response:
        """A list of settings, or one row of it."""
        what = WHOLE_LISTS[endpoint]
        if (endpoint, key) == ("organisation", "actions"):
            actions = [shapes.to_json(row) for row in shapes.actions_json(ledger)]
            return self._enveloped("Actions", actions, None, now)
        if key is None:
            since = request.headers.get("If-Modified-Since")
            question = listing.parse_question(request.args, since)
            rows = whole_lists.answer(what, ledger, question)
        else:
            row = whole_lists.find_one(what, ledger, key)
            if row is None:
                return not_found()
            rows = [row]
        return self._enveloped(what.plural, [shapes.to_json(row) for row in rows], None, now)

    def call(self, request: Request, ledger: Ledger, now: datetime) -> writes.Call:
        """A call as the writing half wants it."""
        return writes.Call(
            store=self.store,
            ledger=ledger,
            now=now,
            method=request.method,
            body=request.get_data(),
            question=listing.parse_question(request.args, None),
            provider=self.identity.app.name,
        )

    def _write(
        self, request: Request, ledger: Ledger, endpoint: str, key: str | None, now: datetime
    ) -> Response:
        try:
            call = self.call(request, ledger, now)
            side = sides.split(key)
            if side:
                return sides.write(call, endpoint, side)
            return writes.answer(call, endpoint, key)
        except BadBody as error:
            return error_answer(14, "PostDataInvalidException", str(error))

    def _enveloped(
        self, plural: str, rows: list[bytes], pagination: dict[str, int] | None, now: datetime
    ) -> Response:
        body = shapes.envelope(plural, rows, now, str(uuid4()), self.identity.app.name, pagination)
        return Response(body, 200, content_type="application/json; charset=utf-8")


def scope_of(endpoint: str) -> str:
    """The scope that covers an endpoint (1.5)."""
    return SETTINGS_SCOPE if endpoint in WHOLE_LISTS else LISTINGS[endpoint].scope


def known(endpoint: str) -> str | None:
    """The endpoint's one name: any letter case, ``Organisations`` as well as ``Organisation``."""
    name = endpoint.lower()
    if name == "organisations":
        return "organisation"
    return name if name in WHOLE_LISTS or name in LISTINGS else None
