"""A local Xero in process, and what a person does there, for the tests of connections."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from django.conf import settings

from justpayme.runtime.config import CALLBACK_PATH
from xero_sandbox import FrozenClock, Store, create_app
from xero_sandbox.app import Sandbox
from xero_sandbox.oauth import App
from xero_sandbox.seed import seed

NOW = datetime(2026, 11, 22, 10, 30, 15, 250_000, tzinfo=UTC)


@dataclass
class Wire(httpx2.BaseTransport):
    """The sandbox as a transport, with a log, and answers that a test puts in between.

    `lost`: so many next answers of the token endpoint reach Xero but never come back.
    `answers`: path start -> (status, JSON) given instead of Xero's.
    """

    sandbox: Sandbox
    sent: list[tuple[str, str]] = field(default_factory=list)
    lost: int = 0
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        with self.lock:
            self.sent.append((request.method, path))
            for start, (status, body) in self.answers.items():
                if path.startswith(start):
                    content = json.dumps(body).encode()
                    return httpx2.Response(status, stream=httpx2.ByteStream(content))
            answer = httpx2.WSGITransport(app=self.sandbox).handle_request(request)
            if path == "/connect/token" and self.lost:
                self.lost -= 1
                raise httpx2.ReadTimeout("the answer was lost")
            return answer

    def calls(self, path: str) -> int:
        """How many requests went to this path."""
        return sum(sent == path for _, sent in self.sent)


@dataclass
class World:
    """The sandbox, its clock and the wire to it."""

    clock: FrozenClock
    sandbox: Sandbox
    wire: Wire

    def tenant(self, country: str) -> str:
        """The tenant id of the demo organisation of this country."""
        ledgers = self.sandbox.store.ledgers.values()
        return next(x.organisation.id for x in ledgers if x.organisation.country == country)

    def agree(self, authorise_url: str, *countries: str) -> dict[str, str]:
        """Consent at Xero to these organisations; the query that the browser brings back."""
        tenants = [self.tenant(country) for country in countries]
        return self._answer(authorise_url, {"decision": "allow", "tenant": tenants})

    def cancel(self, authorise_url: str) -> dict[str, str]:
        """Press Cancel at Xero."""
        return self._answer(authorise_url, {"decision": "cancel"})

    def _answer(self, authorise_url: str, form: dict[str, Any]) -> dict[str, str]:
        asked = {k: v[0] for k, v in parse_qs(urlsplit(authorise_url).query).items()}
        with httpx2.Client(transport=httpx2.WSGITransport(app=self.sandbox)) as browser:
            answer = browser.post("http://xero.test/identity/connect/authorize", data=asked | form)
        assert answer.status_code == 302, answer.text
        back = urlsplit(answer.headers["Location"])
        return {name: values[0] for name, values in parse_qs(back.query).items()}


def make_world() -> World:
    """A fresh sandbox with both demo organisations."""
    clock = FrozenClock(NOW)
    store = Store()
    seed(store, 1, clock.now())
    app = App(
        client_id=settings.XERO_CLIENT_ID,
        client_secret=settings.XERO_CLIENT_SECRET,
        redirect_uris=(settings.JUSTPAYME_BASE_URL + CALLBACK_PATH,),
    )
    sandbox = create_app(store, clock=clock, app=app)
    return World(clock, sandbox, Wire(sandbox))
