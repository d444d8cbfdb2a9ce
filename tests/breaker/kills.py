"""Real processes that are killed at any moment, while a client works through the API (F1, F16).

    client ── edits, pays ──▶ web ──▶ PostgreSQL ◀── worker ──▶ local Xero (slow, and it fails)
                               ✝          ✝            ✝

The client behaves as one should: a call without an answer is made again with the same key. What
was answered with 200 is written down, and must be there in the end.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx2
from tests.e2e.conftest import PASSWORD, Product
from tests.e2e.hands import Books, Row

from justpayme.runtime.demo import Visitor
from justpayme.runtime.page import forms

TARGETS = ("web", "worker", "postgres")
UNDER_WAY = {"waiting", "sending", "unsure"}
EMAIL, BUSINESS = "killed@example.com", "Killed"


class Browser(Visitor):
    """The person's browser, for what only a person may agree to."""

    def go_both_ways(self, organisation_page: str, organisation: str) -> None:
        """Ask for both ways on the organisation's page, and allow it at Xero."""
        page = self.client.get(organisation_page)
        form = next(f for f in forms(page.text) if f.choose("Bidirectional"))
        page = self._send(page, form)
        consent = next(f for f in forms(page.text) if f.choose(organisation))
        self._send(page, consent, "Allow")


@dataclass
class Siege:
    """The product under fire."""

    product: Product
    books: Books
    serve: int
    dice: Random
    edits: dict[int, str] = field(default_factory=dict)
    payments: dict[str, tuple[int, Decimal]] = field(default_factory=dict)
    number: int = 0

    # --- the client ----------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Row) -> httpx2.Response:
        """A call that is made again until it is answered; with one key, so it counts once."""
        self.number += 1
        headers = self.books.headers | {"idempotency-key": f"siege-{self.number}"}
        deadline = time.monotonic() + 120
        while True:
            try:
                answer = httpx2.request(
                    method,
                    f"{self.product.url}/api/v1{path}",
                    json=body,
                    headers=headers,
                    trust_env=False,
                    timeout=30,
                )
                if answer.status_code < 500 and answer.status_code != 429:
                    return answer
            except httpx2.TransportError:
                pass
            assert time.monotonic() < deadline, f"{method} {path} is never answered"
            time.sleep(0.2)

    def edit(self, bill: int) -> None:
        """Change a bill's reference."""
        reference = f"typed {self.number}"
        answer = self.call("PATCH", f"/bills/{bill}", {"reference": reference})
        assert answer.status_code == 200, answer.text
        self.edits[bill] = reference

    def pay(self, bill: int) -> None:
        """Record a payment; one that is refused, say of too much, counts for nothing."""
        reference = f"paid {self.number}"
        body = {"amount": "1.01", "on": time.strftime("%Y-%m-%d"), "reference": reference}
        answer = self.call("POST", f"/bills/{bill}/payments", body)
        if answer.status_code in (200, 201):
            self.payments[reference] = (bill, Decimal("1.01"))

    def work(self, bills: list[int]) -> None:
        """One thing that the client does."""
        bill = self.dice.choice(bills)
        self.dice.choice((self.edit, self.pay))(bill)

    # --- the killer ----------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL a process of ours, and wait until the product works again."""
        until(lambda: self.pid(name), f"{name} runs", 120)  # after a kill it may pause a while
        pid = self.pid(name)
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.pid(name) not in (None, pid) and self.answers(), f"{name} is back", 120)

    def pid(self, name: str) -> int | None:
        """The process of this name among the children of the one that we started."""
        for pid in children(self.serve):
            words = command(pid)
            if name == "postgres" and words and Path(words[0]).name == "postgres":
                return pid
            if words[-1:] == [name] or (len(words) > 3 and words[3] == name):
                return pid
        return None

    def answers(self) -> bool:
        """Does a page that needs the database come?"""
        try:
            url = f"{self.product.url}/api/v1/bills?limit=1"
            answer = httpx2.get(url, headers=self.books.headers, trust_env=False, timeout=5)
        except httpx2.TransportError:
            return False
        return answer.status_code == 200

    # --- the end -------------------------------------------------------------------------------

    def settles(self, seconds: float = 1500) -> None:
        """Until nothing is on its way to Xero any more. A lost answer takes some minutes, and
        after so many deaths an organisation waits for its next quarter of an hour."""
        until(lambda: not self.under_way(), "everything has reached Xero", seconds, every=2)

    def under_way(self) -> list[Row]:
        """What has not reached Xero yet."""
        rows = self.books.get("/outbox?state=all&limit=200")["items"]
        return [row for row in rows if row["state"] in UNDER_WAY]

    def lost(self) -> list[str]:
        """What was acknowledged and is not there, or is there twice; in our books."""
        found = []
        for bill, reference in self.edits.items():
            if self.books.bill(bill)["reference"] != reference:
                found.append(f"bill {bill}: {reference} is gone")
        held = [
            payment["reference"]
            for bill in {bill for bill, _ in self.payments.values()}
            for payment in self.books.bill(bill)["payments"]
        ]
        for reference in self.payments:
            count = sum(own_words(text) == reference for text in held)
            if count != 1:
                found.append(f"{reference} is there {count} times")
        return found

    def unlike_xero(self) -> list[str]:
        """Acknowledged payments that are not in Xero exactly once."""
        live = [p for p in self.books.xero("Payments") if p["Status"] == "AUTHORISED"]
        texts = [own_words(str(payment.get("Reference", ""))) for payment in live]
        counts = {reference: texts.count(reference) for reference in self.payments}
        return [f"{r} is {n} times in Xero" for r, n in counts.items() if n != 1]

    def drift(self) -> int:
        """How many fields differ, as the product says; it may have to wait for Xero's minute."""
        words = ("verify", "--organisation", self.books.organisation, "--json")
        return int(json.loads(self.product.command(*words, seconds=300))["drift"])


def own_words(reference: str) -> str:
    """A payment's reference without the marker that we add."""
    return reference.split(" (JPM-")[0]


def until(met: Callable[[], Any], what: str, seconds: float, *, every: float = 0.1) -> None:
    """Wait for something. AssertionError if it does not come."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"it took too long: {what}"
        time.sleep(every)


def children(pid: int) -> Iterator[int]:
    """All processes below one."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found = (task / "children").read_text().split()
        except OSError:
            continue
        for child in map(int, found):
            yield child
            yield from children(child)


def command(pid: int) -> list[str]:
    """The words that a process was started with; none if it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
    return [word.decode(errors="replace") for word in words if word]


def begun(product: Product, serve: int, organisation: str, seed: int) -> Siege:
    """A person with a token for the API."""
    product.person(EMAIL, BUSINESS)
    books = Books(product, EMAIL, BUSINESS, organisation)
    return Siege(product, books, serve, Random(f"siege {seed}"))


def both_ways(siege: Siege) -> None:
    """Connect, import, go bidirectional: with a browser where a person must agree."""
    books, product = siege.books, siege.product
    with _browser(product) as browser:
        browser.connect(books.organisation)
        until(lambda: _imported(books), "the import", 120)
        pk = _imported(books)
        page = f"{product.url}/settings/integrations/xero/{pk}/"
        browser.go_both_ways(page, books.organisation)
    told = books.get(f"/organisations/{pk}/defaults")
    defaults = {
        "revenue_account": "200",
        "tax_type": "OUTPUT2",
        "write_back": True,
        "receivers": {"GBP": told["receiving_accounts"]["GBP"][0]["value"]},
    }
    for method, path, body in (("PUT", "defaults", defaults), ("POST", "preview", {})):
        answer = books.call(method, f"/organisations/{pk}/{path}", body)
        assert answer.status_code == 200, answer.text
    change = {"direction": "two", "digest": json.loads(answer.content)["digest"]}
    answer = books.call("POST", f"/organisations/{pk}/direction", change)
    assert answer.status_code == 200, answer.text


def _imported(books: Books) -> int | None:
    """The id of the organisation, once everything of it is here."""
    rows = books.get("/organisations")["items"]
    return next((int(row["id"]) for row in rows if row["imported_at"]), None)


@contextmanager
def _browser(product: Product) -> Iterator[Browser]:
    browser = Browser(product.url)
    with browser:
        browser.sign_in(EMAIL, PASSWORD)
        yield browser
