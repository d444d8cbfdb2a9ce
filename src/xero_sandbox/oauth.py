"""OAuth 2.0 as Xero does it: consent, codes, rotation with grace, revocation (1.1 to 1.7).

Deviations, on purpose: ``http://127.0.0.1`` redirect addresses are allowed when registered with
the sandbox (real Xero refuses them, 1.1), and one consent may cover several organisations unless
``acr_values=bulk_connect:false`` is asked for (a premium feature of real Xero, 1.2). The sandbox
has a single Xero user who is always signed in.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import uuid4

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec.structs import replace

from xero_sandbox.model import Code, Connection, RefreshToken, Setting
from xero_sandbox.store import Store

ACCESS_SECONDS = 1_800
ID_SECONDS = 300
CODE_LIFE = timedelta(minutes=5)
GRACE = timedelta(minutes=30)
REFRESH_LIFE = timedelta(days=60)
ISSUER = "https://identity.xero.com"
USER_ID = "5b6f4a1e-7a1c-4c5e-9c1e-0d3f0a9b2c11"
USER_NAME = "Demi Example"
USER_EMAIL = "demo@example.com"
IDENTITY_SCOPES = {"openid", "profile", "email", "offline_access"}
API_SCOPES = {
    f"accounting.{name}{suffix}"
    for name in ("invoices", "payments", "contacts", "settings", "attachments")
    for suffix in ("", ".read")
}


class App(msgspec.Struct, frozen=True):
    """The app as registered in Xero's developer portal."""

    client_id: str = "SANDBOXCLIENT"
    client_secret: str = "sandbox-secret"  # noqa: S105 - a default for a loopback-only fake
    redirect_uris: tuple[str, ...] = ()
    name: str = "JustPayMe"


class OAuthError(Exception):
    """An error of the token endpoint: HTTP 400 ``{"error": …}`` (1.4)."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Denied(Exception):
    """The API refuses the caller, in the shapes of 1.7."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class AuthorizeRequest(msgspec.Struct, frozen=True):
    """A checked authorization request."""

    client_id: str
    redirect_uri: str
    scopes: list[str]
    state: str
    challenge: str | None
    one_only: bool

    def answer(self, **parameters: str) -> str:
        """The redirect address with parameters and the state echoed."""
        if self.state:
            parameters["state"] = self.state
        parts = urlsplit(self.redirect_uri)
        query = "&".join(filter(None, (parts.query, urlencode(parameters))))
        return urlunsplit(parts._replace(query=query))


class Identity:
    """Issues and checks codes and tokens for one app and one user."""

    def __init__(self, store: Store, app: App) -> None:
        self.store = store
        self.app = app
        self._seen: set[str] = set()
        self._expired: set[str] = set()
        self._verified: dict[str, dict[str, Any]] = {}

    def check_authorize(self, args: Mapping[str, str]) -> AuthorizeRequest:
        """Check an authorize URL; an error is shown on a page, never redirected (1.4)."""
        if args.get("client_id") != self.app.client_id:
            raise OAuthError("unauthorized_client")
        if args.get("redirect_uri") not in self.app.redirect_uris:
            raise OAuthError("unauthorized_client")
        if args.get("response_type") != "code":
            raise OAuthError("unsupported_response_type")
        scopes = args.get("scope", "").split()
        if not scopes or set(scopes) - IDENTITY_SCOPES - API_SCOPES:
            raise OAuthError("invalid_scope")
        challenge = args.get("code_challenge") or None
        if challenge and args.get("code_challenge_method") != "S256":
            raise OAuthError("invalid_request")
        return AuthorizeRequest(
            client_id=args["client_id"],
            redirect_uri=args["redirect_uri"],
            scopes=scopes,
            state=args.get("state", ""),
            challenge=challenge,
            one_only="bulk_connect:false" in args.get("acr_values", ""),
        )

    def consent(self, request: AuthorizeRequest, tenants: Sequence[str], now: datetime) -> str:
        """Connect the chosen organisations and return a fresh code."""
        event = str(uuid4())
        connected = {c.tenant_id: c for c in self.store.connections.values()}
        for tenant_id in tenants:
            old = connected.get(tenant_id)
            fresh = self._fresh(tenant_id, event, now)
            new = replace(old, auth_event_id=event, updated=now) if old else fresh
            if old and self.store.open.reconnect_id == "always_new":
                self.store.drop(old)
                new = replace(new, id=fresh.id)
            self.store.keep(new, Setting(id=f"connection {tenant_id}", value=new.id))
        code = Code(
            id=secrets.token_urlsafe(32),
            redirect_uri=request.redirect_uri,
            scopes=self._with_earlier(request.scopes),
            auth_event_id=event,
            issued=now,
            challenge=request.challenge,
        )
        self.store.keep(code)
        return code.id

    def _fresh(self, tenant_id: str, event: str, now: datetime) -> Connection:
        """A connection to an organisation that is not connected; its id is an open question."""
        former = self.store.settings.get(f"connection {tenant_id}")
        same = former and self.store.open.reconnect_id == "same"
        return Connection(
            id=former.value if former and same else str(uuid4()),
            tenant_id=tenant_id,
            auth_event_id=event,
            created=now,
            updated=now,
        )

    def _with_earlier(self, scopes: list[str]) -> list[str]:
        """Scopes are additive: what was granted before stays granted (1.5)."""
        granted = {s for t in self.store.refresh_tokens.values() for s in t.scopes}
        earlier = sorted(granted & API_SCOPES - set(scopes))
        return [*scopes, *earlier]

    def check_client(self, authorization: str | None, form: Mapping[str, str]) -> None:
        """Client id and secret from Basic or the form body (1.1)."""
        if authorization and authorization.startswith("Basic "):
            client_id, secret = _basic(authorization)
        else:
            client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        if not client_id:
            raise OAuthError("invalid_request")
        right = hmac.compare_digest(secret.encode(), self.app.client_secret.encode())
        if client_id != self.app.client_id or not right:
            raise OAuthError("invalid_client")

    def token(self, form: Mapping[str, str], now: datetime) -> dict[str, Any]:
        """Answer the token endpoint for an authenticated client."""
        grant = form.get("grant_type")
        if grant == "authorization_code":
            return self._exchange(form, now)
        if grant == "refresh_token":
            return self._refresh(form.get("refresh_token", ""), now)
        raise OAuthError("unauthorized_client" if grant else "invalid_request")

    def _exchange(self, form: Mapping[str, str], now: datetime) -> dict[str, Any]:
        with self.store.lock:
            code = self.store.codes.get(form.get("code", ""))
            if code is None or code.used or now - code.issued > CODE_LIFE:
                raise OAuthError("invalid_grant")
            if form.get("redirect_uri") != code.redirect_uri:
                raise OAuthError("invalid_grant")
            if code.challenge and not _pkce_holds(code.challenge, form.get("code_verifier", "")):
                raise OAuthError("invalid_grant")
            self.store.keep(replace(code, used=True))
            return self._issue(code.scopes, code.auth_event_id, now)

    def _refresh(self, presented: str, now: datetime) -> dict[str, Any]:
        """Rotate; the previous token may be retried for 30 minutes (1.3)."""
        with self.store.lock:
            token = self.store.refresh_tokens.get(presented)
            if token is None or now - token.issued > REFRESH_LIFE:
                raise OAuthError("invalid_grant")
            if token.rotated and now - token.rotated > GRACE:
                raise OAuthError("invalid_grant")
            if not self.store.connections:  # all is gone (1.7)
                raise OAuthError("invalid_grant")
            if token.rotated is None:
                self.store.keep(replace(token, rotated=now))
            return self._issue(token.scopes, token.auth_event_id, now)

    def _issue(self, scopes: list[str], event: str, now: datetime) -> dict[str, Any]:
        """Only the keys of 1.3; a refresh token only with ``offline_access``."""
        answer: dict[str, Any] = {}
        if "openid" in scopes:
            answer["id_token"] = self._sign(self._id_claims(now))
        answer |= {
            "access_token": self._sign(self._access_claims(scopes, event, now)),
            "expires_in": ACCESS_SECONDS,
            "token_type": "Bearer",
        }
        if "offline_access" in scopes:
            token = RefreshToken(
                id=secrets.token_urlsafe(32), scopes=scopes, auth_event_id=event, issued=now
            )
            self.store.keep(token)
            answer["refresh_token"] = token.id
        return answer | {"scope": " ".join(scopes)}

    def _access_claims(self, scopes: list[str], event: str, now: datetime) -> dict[str, Any]:
        seconds, jti = int(now.timestamp()), secrets.token_hex(16)
        self._seen.add(jti)
        return {
            "nbf": seconds,
            "exp": seconds + ACCESS_SECONDS,
            "iat": seconds,
            "iss": ISSUER,
            "aud": f"{ISSUER}/resources",
            "client_id": self.app.client_id,
            "sub": USER_ID.replace("-", ""),
            "auth_time": seconds,
            "xero_userid": USER_ID,
            "global_session_id": secrets.token_hex(16),
            "jti": jti,
            "authentication_event_id": event,
            "scope": scopes,
        }

    def _id_claims(self, now: datetime) -> dict[str, Any]:
        seconds = int(now.timestamp())
        given, _, family = USER_NAME.partition(" ")
        return {
            "nbf": seconds,
            "exp": seconds + ID_SECONDS,
            "iat": seconds,
            "iss": ISSUER,
            "aud": self.app.client_id,
            "sub": USER_ID.replace("-", ""),
            "xero_userid": USER_ID,
            "preferred_username": USER_EMAIL,
            "email": USER_EMAIL,
            "given_name": given,
            "family_name": family,
            "name": USER_NAME,
        }

    def bearer(self, authorization: str | None, now: datetime) -> dict[str, Any]:
        """The claims of a valid access token, or the 401 of 1.7."""
        kind, _, token = (authorization or "").partition(" ")
        claims = self._verify(token.strip()) if kind.lower() == "bearer" else None
        if claims is None:
            raise Denied(401, "AuthenticationUnsuccessful")
        expiry = datetime.fromtimestamp(claims["exp"], tz=now.tzinfo)
        self._seen.add(claims["jti"])
        if now >= expiry or claims["jti"] in self._expired:
            shown = min(expiry, now).strftime("%m/%d/%Y %H:%M:%S")
            raise Denied(401, f"TokenExpired: token expired at {shown}")
        return claims

    def expire_tokens(self) -> None:
        """Treat every access token that this process has issued or seen as expired."""
        self._expired |= self._seen

    def visible(self, event: str | None = None) -> list[Connection]:
        """The user's connections, of one consent when asked (1.6)."""
        with self.store.lock:
            rows = sorted(self.store.connections.values(), key=lambda c: (c.created, c.id))
        rows = [c for c in rows if c.tenant_id in self.store.ledgers]
        return [c for c in rows if not event or c.auth_event_id == event]

    def disconnect(self, connection_id: str) -> bool:
        """Drop one connection; False when there is none with this id."""
        with self.store.lock:
            connection = self.store.connections.get(connection_id)
            if connection:
                self.store.drop(connection)
        return connection is not None

    def revoke_all(self) -> None:
        """Drop every connection, code and refresh token of the user (1.1)."""
        with self.store.lock:
            self.store.drop(
                *self.store.connections.values(),
                *self.store.codes.values(),
                *self.store.refresh_tokens.values(),
            )

    def revoke(self, token: str) -> None:
        """The revocation endpoint: an unknown token changes nothing and is no error."""
        if token in self.store.refresh_tokens:
            self.revoke_all()

    def _sign(self, claims: dict[str, Any]) -> str:
        head = {"alg": "RS256", "kid": "SANDBOX", "typ": "JWT"}
        body = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(claims).encode())}"
        signature = self._key().sign(body.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{body}.{_b64(signature)}"

    def _verify(self, token: str) -> dict[str, Any] | None:
        if token in self._verified:
            return self._verified[token]
        try:
            body, _, signature = token.rpartition(".")
            public = self._key().public_key()
            public.verify(_unb64(signature), body.encode(), padding.PKCS1v15(), hashes.SHA256())
            claims: dict[str, Any] = json.loads(_unb64(body.split(".")[1]))
        except (InvalidSignature, ValueError, IndexError):
            return None
        if "scope" not in claims:
            return None
        if len(self._verified) > 1_000:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def _key(self) -> rsa.RSAPrivateKey:
        """The signing key: kept with the data, so that tokens survive a restart."""
        kept = self.store.settings.get("signing-key")
        if kept is None:
            kept = Setting(id="signing-key", value=_new_key())
            self.store.keep(kept)
        return _load_key(kept.value)


@cache
def _new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@cache
def _load_key(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("The signing key must be an RSA key")
    return key


def allows(claims: Mapping[str, Any], scope: str, write: bool) -> bool:
    """Whether a token's scopes cover an endpoint; ``.read`` is enough for reading (1.5)."""
    granted = set(claims["scope"])
    return scope in granted or (not write and f"{scope}.read" in granted)


def _basic(authorization: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(authorization[6:], validate=True).decode()
    except ValueError as error:
        raise OAuthError("invalid_client") from error
    client_id, _, secret = text.partition(":")
    return client_id, secret


def _pkce_holds(challenge: str, verifier: str) -> bool:
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(_b64(digest), challenge.rstrip("="))


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
