"""A small client of the sandbox for its tests, and the time and app that they use."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx2

from xero_sandbox.app import Sandbox

REDIRECT = "http://127.0.0.1:8000/integrations/callback"
SERVED_REDIRECT = "http://127.0.0.1:9/cb"
Start = Callable[..., tuple[subprocess.Popen[str], str]]
SCOPES = (
    "openid profile email offline_access accounting.invoices.read accounting.payments.read"
    " accounting.contacts.read accounting.settings.read"
)
WRITE_SCOPES = (
    "openid profile email offline_access accounting.invoices accounting.payments"
    " accounting.contacts accounting.settings.read"
)
NOW = datetime(2026, 11, 22, 10, 30, 15, 250_000, tzinfo=UTC)


class Xero:
    """A small client of the sandbox, as a test would write it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.http = httpx2.Client(
            transport=httpx2.WSGITransport(app=sandbox), base_url="http://xero.test"
        )
        self.access = ""
        self.refresh = ""

    def tenant(self, country: str = "GB") -> str:
        rows = self.sandbox.store.ledgers.values()
        return next(x.organisation.id for x in rows if x.organisation.country == country)

    def authorize_args(self, **more: str) -> dict[str, str]:
        return {
            "response_type": "code",
            "client_id": "cid",
            "redirect_uri": REDIRECT,
            "scope": SCOPES,
            "state": "s-123",
            **more,
        }

    def consent(self, *tenants: str, **more: str) -> dict[str, list[str]]:
        """Allow access; returns the query of the redirect."""
        form = {**self.authorize_args(**more), "tenant": list(tenants), "decision": "allow"}
        answer = self.http.post("/identity/connect/authorize", data=form)
        assert answer.status_code == 302, answer.text
        return parse_qs(urlsplit(answer.headers["Location"]).query)

    def token(self, **form: str) -> httpx2.Response:
        return self.http.post("/connect/token", data=form, auth=("cid", "secret"))

    def connect(self, *countries: str, **more: str) -> dict:
        """Connect organisations and keep the tokens."""
        code = self.consent(*(self.tenant(c) for c in countries or ("GB", "NZ")), **more)["code"]
        answer = self.token(grant_type="authorization_code", code=code[0], redirect_uri=REDIRECT)
        return self.keep(answer.json())

    def keep(self, tokens: dict) -> dict:
        self.access, self.refresh = tokens["access_token"], tokens.get("refresh_token", "")
        return tokens

    def refreshed(self, token: str | None = None) -> httpx2.Response:
        return self.token(grant_type="refresh_token", refresh_token=token or self.refresh)

    def get(
        self, path: str, country: str = "GB", headers: dict | None = None, **args: str
    ) -> httpx2.Response:
        """Call the accounting API."""
        return self.http.get(
            f"/api.xro/2.0/{path}",
            params=args,
            headers={
                "Authorization": f"Bearer {self.access}",
                "xero-tenant-id": self.tenant(country),
                "Accept": "application/json",
                **(headers or {}),
            },
        )

    def write(
        self,
        method: str,
        path: str,
        body: object = None,
        country: str = "GB",
        headers: dict | None = None,
        **args: str,
    ) -> httpx2.Response:
        """Write through the accounting API; ``body`` is JSON, or raw text."""
        raw = body if isinstance(body, str) else json.dumps(body)
        return self.http.request(
            method,
            f"/api.xro/2.0/{path}",
            params=args,
            content=raw if body is not None else b"",
            headers={
                "Authorization": f"Bearer {self.access}",
                "xero-tenant-id": self.tenant(country),
                "Accept": "application/json",
                "Content-Type": "application/json",
                **(headers or {}),
            },
        )

    def act(self, action: str, **body: object) -> httpx2.Response:
        return self.http.post(f"/sandbox/act/{action}", json=body)

    def assume(self, **answers: str) -> None:
        """Answer open questions about Xero."""
        assert self.http.post("/sandbox/open-questions", json=answers).status_code == 200
