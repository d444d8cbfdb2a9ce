"""Whatever is tried over the API or at a terminal: nothing changes Xero while an organisation is
one-directional, and nothing is even asked after a disconnect (I-36, I-37)."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from tests.api.given import Caller
from tests.api.terminal import Terminal, commands, parser_of
from tests.api.test_two_ways import conflicted, drain, ok
from tests.fixtures.xero import Xero
from tests.sync.given import bill_of, edit, open_bill

from justpayme.accounts.models import Business
from justpayme.api.v1 import schema
from justpayme.bills.models import Bill
from justpayme.runtime.command import CommandError
from justpayme.sync import outbox, runs
from justpayme.sync.models import Conflict, Connection, OutboxItem, Run

pytestmark = pytest.mark.django_db(transaction=True)
DAY = "2026-11-22"

CHANGING = {
    f"{method.upper()} {path.removeprefix('/api/v1')}"
    for path, methods in schema()["paths"].items()
    for method in methods
    if method != "get"
}
"""Every operation of the API that changes something, by the schema."""


class Tried:
    """The bodies and ids for all of them, about one organisation and its bills."""

    def __init__(self, connection: Connection, bill: Bill, local: Bill) -> None:
        self.connection, self.bill, self.local = connection, bill, local
        self.items = list(OutboxItem.objects.values_list("pk", flat=True)) or [1]
        self.conflicts = list(Conflict.objects.values_list("pk", flat=True)) or [1]
        self.contact = OutboxItem.objects.filter(kind="contact").values_list("pk", flat=True)[0]

    def calls(self) -> dict[str, Any]:
        """Operation -> body. A new operation without one here fails the test."""
        two = {"direction": "two", "digest": "0" * 64}
        client = {"client_id": self.local.client_id, "currency": "GBP", "issued_on": DAY}
        line = {"description": "x", "unit_amount": "1.00", "tax_type": "OUTPUT2"}
        also = {"also_in_xero": self.connection.pk, "number": "X-1", "lines": [line]}
        return {
            "POST /bills": client | also,
            "PATCH /bills/{bill_id}": {"reference": "tried"},
            "POST /bills/{bill_id}/approve": None,
            "POST /bills/{bill_id}/send-to-xero": {"organisation_id": self.connection.pk},
            "POST /bills/{bill_id}/payments": {"amount": "1.00", "on": DAY},
            "DELETE /bills/{bill_id}/payments/{payment_id}": None,
            "POST /bills/{bill_id}/retry": None,
            "POST /bills/{bill_id}/resolve": {"choice": "mine"},
            "POST /bills/{bill_id}/discard": None,
            "POST /bills/{bill_id}/void": None,
            "POST /clients": {"name": "Tried"},
            "PATCH /clients/{client_id}": {"name": "Tried"},
            "POST /outbox/retry": {"ids": self.items},
            "POST /outbox/{item_id}/contact": {"contact_id": None},
            "POST /conflicts/resolve": {"ids": self.conflicts, "choice": "mine"},
            "PATCH /organisations/{organisation_id}": {"interval_minutes": 60},
            "POST /organisations/{organisation_id}/sync": None,
            "POST /organisations/{organisation_id}/preview": {"everything": True},
            "POST /organisations/{organisation_id}/direction": two,
            "PUT /organisations/{organisation_id}/defaults": {
                "revenue_account": "200",
                "tax_type": "OUTPUT2",
            },
            "POST /organisations/{organisation_id}/retry": None,
            "POST /organisations/{organisation_id}/refresh-lists": None,
            "POST /organisations/{organisation_id}/disconnect": None,
        }

    def path(self, operation: str, bill: Bill) -> str:
        payment = bill.payments.first()
        return operation.partition(" ")[2].format(
            bill_id=bill.pk,
            client_id=bill.client_id,
            payment_id=payment.pk if payment else 1,
            item_id=self.contact,
            organisation_id=self.connection.pk,
        )

    def over_the_api(self, caller: Caller, *, leave_out: str = "") -> None:
        """Every operation, about the linked bill and about the one only here."""
        for operation, body in self.calls().items():
            for bill in (self.bill, self.local):
                if operation != leave_out:
                    method = operation.partition(" ")[0]
                    answer = caller.send(method, self.path(operation, bill), body)
                    assert answer.status_code < 500, (operation, answer.content)

    def at_a_terminal(self, terminal: Terminal, business: Business) -> None:
        """Every command that acts for a person, and those that ask Xero."""
        about = ("--as", "alice@example.com", "--business", str(business.pk))
        for name, words in self.commands().items():
            for bill in (self.bill, self.local):
                given = [word.format(bill=bill.pk) for word in words]
                with suppress(CommandError):
                    terminal.run(*name.split(), *given, *about)

    def commands(self) -> dict[str, tuple[str, ...]]:
        """Command -> its words. A new command that acts without any here fails the test."""
        line = ("--line", "x", "1", "1.00", "20")
        new = ("--client", str(self.local.client_id), "--currency", "GBP", "--issued-on", DAY)
        organisation = str(self.connection.pk)
        return {
            "bill create": (*new, *line, "--number", "X-2", "--also-in-xero", organisation),
            "bill edit": ("{bill}", "--reference", "typed"),
            "bill approve": ("{bill}",),
            "bill send-to-xero": ("{bill}", "--organisation", organisation),
            "bill pay": ("{bill}", "--amount", "1.00", "--on", DAY),
            "bill unpay": ("{bill}", "--payment", "1", "--yes"),
            "bill retry": ("{bill}",),
            "bill resolve": ("mine", "{bill}"),
            "bill discard": ("{bill}", "--yes"),
            "bill void": ("{bill}", "--yes"),
            "outbox retry": tuple(map(str, self.items)),
            "conflicts resolve": ("mine", "--all"),
            "contact decide": (str(self.contact), "new"),
            "organisation preview": (organisation, "--everything"),
            "organisation direction": ("two", organisation, "--digest", "0" * 64),
            "organisation defaults": (organisation, "--create-as", "DRAFT"),
            "organisation retry": (organisation,),
            "organisation refresh-lists": (organisation,),
        }


@pytest.fixture
def tried(xero: Xero, two_way: Connection) -> Tried:
    """One-directional again, with something waiting, refused, parked and overridden."""
    bill = conflicted(xero, two_way)
    edit(open_bill(two_way), due_on=date(2027, 1, 15))
    local = bill_of(two_way, number="LOCAL-1", client="Zoë & Co")
    outbox.enqueue_contact(local.client, two_way, None, local.created_at)
    Connection.objects.update(direction="one")
    for item in OutboxItem.objects.filter(kind="contact"):
        outbox.end(item, "parked", "contact_like_this", local.created_at)
    for item in OutboxItem.objects.filter(kind="update", state="waiting"):
        outbox.end(item, "refused", "refused_by_xero", local.created_at)
    two_way.refresh_from_db()
    xero.reset_log()
    return Tried(two_way, bill, local)


def test_every_way_in_is_tried(tried: Tried) -> None:
    acting = {n for n, c in commands().items() if "--as" in parser_of(c).format_help()}
    assert set(tried.calls()) == CHANGING
    assert set(tried.commands()) == acting


@pytest.fixture
def at_xeros_time(xero: Xero, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("api.operations.direction", "integrations.commands", "sync.commands"):
        monkeypatch.setattr(f"justpayme.{name}.RealClock", lambda: xero.clock)


Door = Callable[[Tried], None]


@pytest.fixture(params=["api", "terminal"])
def door(
    request: pytest.FixtureRequest,
    as_alice: Caller,
    capsys: pytest.CaptureFixture[str],
    business: Business,
    at_xeros_time: None,
) -> Door:
    terminal = Terminal(capsys)

    def through(tried: Tried) -> None:
        if request.param == "api":
            disconnect = "POST /organisations/{organisation_id}/disconnect"
            tried.over_the_api(as_alice, leave_out=disconnect)
        else:
            tried.at_a_terminal(terminal, business)

    return through


def test_one_directional_nothing_changes_xero_whatever_is_tried(
    xero: Xero, tried: Tried, door: Door
) -> None:
    books = xero.ledger().invoices.rows.copy()
    door(tried)
    drain(xero, tried.connection)
    xero.sync(tried.connection)
    assert Connection.objects.get().direction == "one"
    assert xero.mutating() == 0
    assert xero.ledger().invoices.rows == books
    assert xero.http.get("/sandbox/log").json() != []


def test_the_same_tries_do_change_xero_once_it_is_bidirectional(
    xero: Xero, tried: Tried, door: Door
) -> None:
    """So that the silence above is the direction's, and not the tries'."""
    Connection.objects.update(direction="two")
    door(tried)
    drain(xero, tried.connection)
    assert xero.mutating() > 0


def test_after_a_disconnect_nothing_is_asked_whatever_is_tried(
    xero: Xero,
    tried: Tried,
    door: Door,
    as_alice: Caller,
    terminal_reads: Callable[[], None],
) -> None:
    ok(as_alice.send("POST", f"/organisations/{tried.connection.pk}/disconnect"))
    xero.reset_log()
    door(tried)
    terminal_reads()
    for cause in (Run.Cause.EDIT, Run.Cause.SCHEDULE, Run.Cause.PERSON):
        runs.run_sync(tried.connection.pk, cause=cause, clock=xero.clock)
    assert Connection.objects.get().state == "disconnected"
    assert xero.http.get("/sandbox/log").json() == []


@pytest.fixture
def terminal_reads(tried: Tried, business: Business) -> Callable[[], None]:
    """The commands that ask Xero: sync, verify, and explain with --fresh."""

    def read() -> None:
        for name, words in (("sync", ()), ("verify", ()), ("explain", ("B", "--fresh"))):
            given = [str(tried.bill.pk) if word == "B" else word for word in words]
            if name == "explain":
                given += ["--business", str(business.pk)]
            command = commands()[name]
            arguments: argparse.Namespace = parser_of(command).parse_args(given)
            with suppress(CommandError):
                command.run(arguments)

    return read
