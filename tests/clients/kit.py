"""What the suites of the clients stand on: the sandbox's own books, consent, and checks.

Standard library only: this runs inside each client's environment. A check compares what the
client returned, or brought about, with the books of the sandbox, which are asked past the client
(`/sandbox/books`). A check that compared nothing has failed.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

ADDRESS = "XERO_SANDBOX"
"""The environment variable in which a suite finds the sandbox's address."""
CLIENT_ID, CLIENT_SECRET = "SANDBOXCLIENT", "sandbox-secret"
REDIRECT = "http://127.0.0.1:9/callback"
SCOPES = (
    "openid profile email offline_access accounting.invoices accounting.payments"
    " accounting.contacts accounting.settings"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Json = dict[str, Any]


class Sandbox:
    """The sandbox, asked past the client."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.host = urlsplit(address).netloc

    def call(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/json"
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request; no redirect is followed."""
        line = http.client.HTTPConnection(self.host, timeout=30)
        try:
            line.request(method, path, body, {"Content-Type": kind})
            answer = line.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            line.close()

    def asked(self, method: str, path: str, body: object = None) -> Any:
        """A control or a look into the books; numbers are Decimal."""
        raw = b"" if body is None else json.dumps(body).encode()
        status, _, answer = self.call(method, path, raw)
        if status >= 300:
            raise AssertionError(f"the sandbox answered {status} to {path}: {answer[:200]!r}")
        return json.loads(answer, parse_float=Decimal) if answer else None

    def organisations(self) -> list[Json]:
        """Tenant, name, currency and whether it is connected."""
        rows: list[Json] = self.asked("GET", "/sandbox/organisations")
        return rows

    def books(self, tenant: str, path: str, **query: str) -> list[Json]:
        """The rows that Xero would show, such as `books(tenant, "Invoices", page="2")`."""
        asked = f"?{urlencode(query)}" if query else ""
        whole = self.asked("GET", f"/sandbox/books/{tenant}/{quote(path)}{asked}")
        rows: list[Json] = next(v for v in whole.values() if isinstance(v, list))
        return rows

    def one(self, tenant: str, path: str) -> Json:
        """The only row of an answer."""
        (row,) = self.books(tenant, path)
        return row

    def every(self, tenant: str, endpoint: str, **query: str) -> list[Json]:
        """All pages of a list."""
        rows: list[Json] = []
        page = 1
        while found := self.books(tenant, endpoint, page=str(page), pageSize="1000", **query):
            rows += found
            page += 1
        return rows

    def act(self, action: str, tenant: str, **fields: object) -> Json:
        """What a person does in Xero; a second passes first, so that stamps tell it apart."""
        self.asked("POST", "/sandbox/clock", {"advance": 1})
        done: Json = self.asked("POST", f"/sandbox/act/{action}", {"tenant": tenant, **fields})
        return done

    def fault(self, kind: str, **rule: object) -> None:
        """Spoil what comes next."""
        self.asked("POST", "/sandbox/faults", {"kind": kind, **rule})

    def counted(self, tenant: str) -> Json:
        """How many calls the sandbox saw for an organisation."""
        counts: Json = self.asked("GET", "/sandbox/counts").get(tenant, {})
        return counts

    def now(self) -> datetime:
        """The sandbox's time."""
        return datetime.fromisoformat(self.asked("GET", "/sandbox/clock")["now"])

    def allow(self, authorize_url: str) -> str:
        """Press Allow on the consent page for every organisation; returns the redirect."""
        fields = parse_qsl(urlsplit(authorize_url).query)
        tenants = [("tenant", row["tenant"]) for row in self.organisations()]
        form = urlencode([*fields, *tenants, ("decision", "allow")]).encode()
        status, headers, answer = self.call(
            "POST", "/identity/connect/authorize", form, "application/x-www-form-urlencoded"
        )
        if status != 302:
            raise AssertionError(f"consent: {status} {answer[:200]!r}")
        return str(headers["Location"])

    def tokens(self) -> Json:
        """First tokens, for clients that only refresh."""
        asked = urlencode(
            {
                "response_type": "code",
                "client_id": CLIENT_ID,
                "redirect_uri": REDIRECT,
                "scope": SCOPES,
                "state": "x",
            }
        )
        code = dict(parse_qsl(urlsplit(self.allow(f"/?{asked}")).query))["code"]
        form = urlencode(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": REDIRECT,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
            }
        ).encode()
        status, _, answer = self.call(
            "POST", "/connect/token", form, "application/x-www-form-urlencoded"
        )
        if status != 200:
            raise AssertionError(f"token: {status} {answer[:200]!r}")
        tokens: Json = json.loads(answer)
        return tokens


def moment(stamp: str) -> datetime:
    """`/Date(ms+0000)/` as an instant."""
    return EPOCH + timedelta(milliseconds=int(stamp[6:].split("+")[0].rstrip(")/")))


def cut(value: object) -> str:
    """A value as a message can bear it."""
    text = repr(value)
    return text if len(text) < 300 else f"{text[:300]}…"


class Compare:
    """Counts and makes the comparisons of one check."""

    def __init__(self) -> None:
        self.made = 0

    def same(self, what: str, client: object, books: object) -> None:
        """What the client says is what the books say."""
        self.made += 1
        if client != books:
            raise AssertionError(f"{what}: the client has {cut(client)}, the books {cut(books)}")

    def rows(self, what: str, client: list[Json], books: list[Json], key: str) -> None:
        """As many rows, in this order, each field of the client's rows equal to the books'."""
        self.same(f"{what}: ids", [row[key] for row in client], [row[key] for row in books])
        for ours, theirs in zip(client, books, strict=True):
            for name, value in ours.items():
                self.same(f"{what} {theirs[key]}: {name}", value, theirs.get(name))

    def refused(self, what: str, kind: type[Exception], call: Callable[[], object]) -> Exception:
        """The client raises this and nothing else; the error is returned for a closer look."""
        self.made += 1
        try:
            answer = call()
        except kind as error:
            return error
        raise AssertionError(f"{what}: {kind.__name__} was expected, not {cut(answer)}")


Check = Callable[[Compare], None]


class Suite:
    """The checks of one client, in the order in which they are written."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.version = version(client)
        self.sandbox = Sandbox(os.environ[ADDRESS])
        self.checks: list[Check] = []

    def check(self, check: Check) -> Check:
        """Add a check; its docstring is its name."""
        self.checks.append(check)
        return check

    def run(self) -> None:
        """Run every check and print a line of JSON for each."""
        for check in self.checks:
            compare = Compare()
            trouble = ""
            try:
                check(compare)
                if not compare.made:
                    trouble = "nothing was compared"
            except Exception:  # a broken client is a result, whatever it raised
                trouble = traceback.format_exc(limit=-3)
            line = {
                "client": self.client,
                "version": self.version,
                "name": (check.__doc__ or check.__name__).strip(),
                "ok": not trouble,
                "compared": compare.made,
                "detail": trouble,
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
