"""Signing in at Xero: consent, tokens, the organisations given, and the end of it all.

Functions over a handed-in HTTP client; nothing is stored here. Only three hosts are ever
called, those of `App`. No answer of Xero's login servers is put into an error message, and
tokens are left out of `repr`, so that neither can reach a log (I-54).
Facts: https://developer.xero.com/documentation/guides/oauth2/auth-flow
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import httpx2
import msgspec

from justpayme.core.errors import Problem
from justpayme.xero.line import Line

READ_SCOPES: Final = (
    "openid profile email offline_access accounting.invoices.read accounting.payments.read "
    "accounting.contacts.read accounting.settings.read"
)
"""What a one-directional connection asks for: `.read` only, so that Xero itself refuses writes."""

WRITE_SCOPES: Final = (
    "openid profile email offline_access accounting.invoices accounting.payments "
    "accounting.contacts accounting.settings.read"
)
"""What a bidirectional connection asks for. Each also allows what its `.read` does, and Xero adds
to what was given before instead of replacing it (xero-facts 1.5)."""

_COURTESY: Final = frozenset({"openid", "profile", "email"})
"""Scopes about the person; a sync works without them."""

LONGEST_CALL: Final = 40.0
"""Seconds for a whole answer: others wait for a refresh a little longer than this."""

ANSWER_LIMIT: Final = 1024 * 1024
"""Most bytes of an answer that we read. A real one has a few kilobytes."""


@dataclass(frozen=True, slots=True)
class App:
    """This installation as Xero knows it. Addresses have no trailing slash."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    login_url: str
    identity_url: str
    api_url: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A token pair. `expires_at` is counted from before the request, so it is never late."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: datetime
    scopes: str

    def missing(self, needed: str = READ_SCOPES) -> frozenset[str]:
        """Scopes that are needed and not given; one to write is one to read as well."""
        return missing(self.scopes, needed)


def missing(given: str, needed: str = READ_SCOPES) -> frozenset[str]:
    """Scopes of `needed` that `given` lacks; both as Xero writes them, with spaces between."""
    held = frozenset(given.split())
    wanted = frozenset(needed.split()) - _COURTESY
    return frozenset(s for s in wanted if s not in held and s.removesuffix(".read") not in held)


@dataclass(frozen=True, slots=True)
class Claims:
    """Who consented, and the consent's own id. Both may be empty."""

    xero_user_id: str
    authentication_event_id: str


class Tenant(msgspec.Struct, frozen=True, rename="camel"):
    """One row of /connections: an organisation (or a practice) that this user gave us.

    `id` belongs to this connection only and may change on reconnect; `tenant_id` is the
    organisation's own and stays.
    """

    id: UUID
    tenant_id: UUID
    tenant_type: str = "ORGANISATION"
    tenant_name: str | None = None
    auth_event_id: str | None = None

    @property
    def is_organisation(self) -> bool:
        """Xero also lists practices, which hold no invoices."""
        return self.tenant_type == "ORGANISATION"


class _TokenAnswer(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: int
    refresh_token: str
    scope: str = ""


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: str = ""


class _ClaimsAnswer(msgspec.Struct, frozen=True):
    xero_userid: str = ""
    authentication_event_id: str = ""


def open_client(transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """An HTTP client that goes nowhere by itself: no redirects, no proxies, TLS verified.

    `transport` replaces the network in tests.
    """
    return httpx2.Client(
        transport=transport or Line(LONGEST_CALL),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(20.0, connect=10.0),
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )


def challenge(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorise_url(app: App, *, state: str, verifier: str = "", scopes: str = READ_SCOPES) -> str:
    """Where to send the person. With a `verifier` the code is bound to us by PKCE as well."""
    query = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": app.redirect_uri,
        "scope": scopes,
        "state": state,
    }
    if verifier:
        query |= {"code_challenge": challenge(verifier), "code_challenge_method": "S256"}
    return f"{app.login_url}/identity/connect/authorize?{urlencode(query)}"


def exchange(
    http: httpx2.Client,
    app: App,
    *,
    code: str,
    verifier: str = "",
    scopes: str = READ_SCOPES,
    now: datetime,
) -> Tokens:
    """Turn the code of a callback into tokens. Problem: sign_in_expired, wrong_settings, …

    `scopes`: what was asked for, which is given where the answer doesn't say (RFC 6749, 5.1).
    """
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": app.redirect_uri}
    if verifier:
        form["code_verifier"] = verifier
    fresh = _ask_for_tokens(http, app, form, now=now, invalid_grant="sign_in_expired")
    return fresh if fresh.scopes else replace(fresh, scopes=scopes)


def refresh(
    http: httpx2.Client,
    app: App,
    *,
    refresh_token: str,
    scopes: str = READ_SCOPES,
    now: datetime,
) -> Tokens:
    """A new pair for an old refresh token. Problem consent_lost only for `invalid_grant`.

    Xero accepts the old refresh token for 30 more minutes, in case this answer is lost.
    `scopes`: what the old pair had, which stays where the answer doesn't say (RFC 6749, 6).
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    fresh = _ask_for_tokens(http, app, form, now=now, invalid_grant="consent_lost")
    return fresh if fresh.scopes else replace(fresh, scopes=scopes)


def connections(
    http: httpx2.Client, app: App, *, access_token: str, auth_event_id: str = ""
) -> tuple[Tenant, ...]:
    """The organisations this user gave us; with `auth_event_id` those of that consent alone."""
    query = {"authEventId": auth_event_id} if auth_event_id else {}
    request = http.build_request(
        "GET", f"{app.api_url}/connections", params=query, headers=_bearer(access_token)
    )
    status, body = _send(http, request)
    if status != 200:
        raise _api_problem(status)
    return tuple(_decode(body, list[Tenant]))


def end_connection(http: httpx2.Client, app: App, *, access_token: str, connection_id: str) -> None:
    """End one connection at Xero. One that is already gone (404) is a success."""
    request = http.build_request(
        "DELETE",
        f"{app.api_url}/connections/{UUID(connection_id)}",
        headers=_bearer(access_token),
    )
    status, _ = _send(http, request)
    if status not in (200, 204, 404):
        raise _api_problem(status)


def revoke(http: httpx2.Client, app: App, *, refresh_token: str) -> None:
    """Take back this user's consent. It ends **all** of her connections to this app."""
    status, body = _post(http, app, "revocation", {"token": refresh_token})
    if status != 200:
        raise _token_problem(status, body, invalid_grant="consent_lost")


def claims(access_token: str) -> Claims:
    """Read who consented out of a fresh access token.

    The signature is not checked, and need not be: the token came straight from Xero's token
    endpoint over TLS, to a request that carried our secret (OpenID Connect Core 3.1.3.7,
    point 6). Nothing is allowed because of these values; they only name a row and narrow the
    list that /connections answers. A token from anywhere else must never be read like this.
    """
    try:
        payload = access_token.split(".")[1]
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        answer = msgspec.json.decode(raw, type=_ClaimsAnswer)
    except (IndexError, binascii.Error, msgspec.MsgspecError, ValueError):
        raise Problem("wrong_shape", "the access token has no readable claims") from None
    return Claims(answer.xero_userid[:36], answer.authentication_event_id)


def _ask_for_tokens(
    http: httpx2.Client, app: App, form: dict[str, str], *, now: datetime, invalid_grant: str
) -> Tokens:
    status, body = _post(http, app, "token", form)
    if status != 200:
        raise _token_problem(status, body, invalid_grant=invalid_grant)
    answer = _decode(body, _TokenAnswer)
    if not (answer.access_token and answer.refresh_token and 0 < answer.expires_in <= 86_400):
        raise Problem("wrong_shape", "the token answer is incomplete")
    return Tokens(
        access=answer.access_token,
        refresh=answer.refresh_token,
        expires_at=now + timedelta(seconds=answer.expires_in),
        scopes=answer.scope,
    )


def _post(http: httpx2.Client, app: App, name: str, form: dict[str, str]) -> tuple[int, bytes]:
    """One form post to the identity host, with our id and secret as Basic authentication."""
    request = http.build_request(
        "POST",
        f"{app.identity_url}/connect/{name}",
        data=form,
        headers={"Authorization": _basic(app)},
    )
    return _send(http, request)


def _send(http: httpx2.Client, request: httpx2.Request) -> tuple[int, bytes]:
    """Status and body of one call. Problem xero_unreachable when no whole answer came.

    The cause is dropped (`from None`): httpx2's errors hold the request with its secrets.
    """
    try:
        response = http.send(request, stream=True)
        try:
            return response.status_code, _read(response)
        finally:
            response.close()
    except httpx2.HTTPError as error:
        raise Problem("xero_unreachable", type(error).__name__) from None


def _read(response: httpx2.Response) -> bytes:
    """The body, up to the limit. We asked for no compression, so any is refused (no bombs)."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Problem("wrong_shape", "a compressed answer")
    deadline = time.monotonic() + LONGEST_CALL
    body = bytearray()
    for part in response.iter_raw():
        body += part
        if len(body) > ANSWER_LIMIT:
            raise Problem("wrong_shape", "an answer that does not end")
        if time.monotonic() > deadline:
            raise httpx2.ReadTimeout("the answer took too long")
    return bytes(body)


def _token_problem(status: int, body: bytes, *, invalid_grant: str) -> Problem:
    """Classify a failure of the identity host by status and error code, never by its prose."""
    if status == 429 or status >= 500:
        return Problem("xero_unavailable", f"identity host answered {status}")
    try:
        code = msgspec.json.decode(body, type=_ErrorAnswer).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        code = ""
    known = {
        "invalid_grant": invalid_grant,
        "invalid_client": "wrong_settings",
        "unauthorized_client": "wrong_settings",
        "invalid_scope": "permission_missing",
    }
    return Problem(known.get(code, "refused_request"), f"identity host answered {status}")


def _api_problem(status: int) -> Problem:
    """A failure of /connections, which knows no tenant: only the token can be wrong."""
    if status == 429 or status >= 500:
        return Problem("xero_unavailable", f"/connections answered {status}")
    code = "permission_missing" if status in (401, 403) else "refused_request"
    return Problem(code, f"/connections answered {status}")


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Problem("wrong_shape", "an answer of another shape") from None


def _bearer(access_token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access_token}"}


def _basic(app: App) -> str:
    pair = f"{app.client_id}:{app.client_secret}".encode()
    return "Basic " + base64.b64encode(pair).decode()
