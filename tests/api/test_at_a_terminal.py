"""The verbs at a terminal: what the buttons do, as a named member."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.api.given import HOSTILE, make_bill, make_client
from tests.api.terminal import Terminal, commands, parser_of
from tests.api.test_two_ways import conflicted, drain
from tests.fixtures.xero import Xero
from tests.sync.given import bill_of, edit, invoice_of, open_bill, push, sent_calls

from justpayme.accounts.models import Business, User
from justpayme.bills.models import Bill, Client, HistoryEntry
from justpayme.sync import outbox
from justpayme.sync.models import Connection, OutboxItem

pytestmark = pytest.mark.django_db(transaction=True)
ALICE, BOB, VERA = (
    ("--as", "alice@example.com"),
    ("--as", "bob@example.com"),
    ("--as", "vera@example.com"),
)


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], alice: User, bob: User, vera: User, charlie: User
) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def here(business: Business) -> tuple[str, str]:
    return ("--business", str(business.pk))


@pytest.mark.parametrize("name", [n for n in commands() if "create" not in n or n == "bill create"])
def test_every_command_explains_itself_and_takes_json(name: str) -> None:
    shown = parser_of(commands()[name]).format_help()
    options = {"--json", "--format"}
    assert any(option in shown for option in options), name
    if commands()[name].run.__module__.endswith(("bill_commands", "integrations.commands")):
        assert f"Example: justpayme {name.split()[0]}" in " ".join(shown.split())


def test_a_bill_is_made_changed_approved_and_made_void(
    terminal: Terminal, here: Any, business: Business
) -> None:
    client = make_client(business, name="Zoë & Co")
    made = terminal.json(
        *("bill", "create", "--client", "Zoë & Co", "--currency", "GBP", "--number", "T-1"),
        *("--issued-on", "2026-11-22", "--due-on", "2026-12-22", *BOB, *here),
        *("--line", HOSTILE, "2", "50.00", "20", "--line", "More", "1", "0.50", "0"),
    )
    assert (made["total"], made["status"], made["client"]["id"]) == ("120.50", "draft", client.pk)
    entry = HistoryEntry.objects.get(bill_id=made["id"])
    assert entry.by is not None
    assert entry.by.email == BOB[1]
    words = terminal.run(
        "bill", "edit", "T-1", "--due-on", "2026-12-24", "--sent", "no", *BOB, *here
    )
    assert "due 24 Dec 2026, £120.50 outstanding of £120.50" in words
    assert "Not in Xero" in words
    assert terminal.json("bill", "approve", "T-1", *BOB, *here)["status"] == "active"
    assert "say --yes" in terminal.refused("bill", "void", "T-1", *BOB, *here, code=2).lower()
    assert Bill.objects.get(number="T-1").status == "active"
    assert terminal.json("bill", "void", "T-1", "--yes", *BOB, *here)["status"] == "void"


def test_what_is_typed_goes_by_the_rules_of_the_api(
    terminal: Terminal, here: Any, business: Business, tmp_path: Path
) -> None:
    make_bill(make_client(business))
    said = terminal.refused("bill", "edit", "B-1", "--due-on", "24/12/2026", *BOB, *here, code=2)
    assert said == "due_on: Send a day as YYYY-MM-DD, such as 2026-11-22."
    said = terminal.refused("bill", "edit", "B-1", "--url", "\0", *BOB, *here, code=2)
    assert "url" in said
    assert "Say what to change" in terminal.refused("bill", "edit", "B-1", *BOB, *here, code=2)
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"reference": "from a file", "colour": "red"}))
    said = terminal.refused("bill", "edit", "B-1", "--body", str(body), *BOB, *here, code=2)
    assert said.startswith("colour: There is no such field")
    body.write_text(json.dumps({"reference": "from a file"}))
    told = terminal.json("bill", "edit", "B-1", "--body", str(body), *BOB, *here)
    assert told["reference"] == "from a file"


def test_an_id_of_nothing_and_a_body_that_no_table_holds_are_told(
    terminal: Terminal, here: Any, tmp_path: Path
) -> None:
    nothing = "There is nothing of that id in this business."
    assert terminal.refused("outbox", "retry", "999", *BOB, *here) == nothing
    assert terminal.refused("contact", "decide", "999", "new", *BOB, *here) == nothing
    assert terminal.refused("conflicts", "resolve", "mine", "999", *BOB, *here) == nothing
    body = tmp_path / "body.json"
    body.write_text('{"lines": [{"description": "a\\u0000b"}]}')
    told = terminal.refused("bill", "create", "--body", str(body), *BOB, *here, code=2)
    assert "lines.0.description: This text has a character that cannot be stored." in told


def test_who_acts_must_be_a_member_who_may(
    terminal: Terminal, here: Any, business: Business, other_business: Business
) -> None:
    bill = make_bill(make_client(business))
    edit_it = ("bill", "edit", "B-1", "--reference", "x")
    assert "look at everything" in terminal.refused(*edit_it, *VERA, *here)
    assert "is not a member" in terminal.refused(*edit_it, "--as", "eve@example.com", *here)
    elsewhere = ("--business", str(other_business.pk))
    assert "is not a member" in terminal.refused(*edit_it, *ALICE, *elsewhere)
    said = terminal.refused(*edit_it, *ALICE)
    assert f"{business.pk} ({business.name})" in said
    assert f"{other_business.pk} (Charlie" in said
    assert Bill.objects.get(pk=bill.pk).reference == HOSTILE


def test_a_bill_that_changed_since_it_was_seen_is_left_alone(
    terminal: Terminal, here: Any, business: Business
) -> None:
    make_bill(make_client(business))
    seen = ("--seen", "2026-01-01T00:00:00Z")
    said = terminal.refused("bill", "edit", "B-1", "--reference", "x", *seen, *BOB, *here)
    assert "was changed" in said
    assert Bill.objects.get().reference == HOSTILE


def test_yes_is_typed_or_nothing_happens(
    terminal: Terminal, here: Any, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bill(make_client(business))

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Screen("no\n"))
    assert terminal.refused("bill", "void", "B-1", *BOB, *here) == "Nothing was done."
    monkeypatch.setattr("sys.stdin", Screen("yes\n"))
    assert terminal.json("bill", "void", "B-1", *BOB, *here)["status"] == "void"


def test_words_never_steer_the_terminal(terminal: Terminal, here: Any, business: Business) -> None:
    make_bill(make_client(business, name="\x1b[2J\u202eevil"), number="B-1")
    said = terminal.run("bill", "show", "B-1", *here)
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "evil" in said


def test_a_bill_goes_to_xero_is_paid_and_paid_back(
    xero: Xero, two_way: Connection, terminal: Terminal, here: Any
) -> None:
    bill = bill_of(two_way, number="CLI-1", client="Zoë & Co")
    sent = terminal.json("bill", "send-to-xero", "CLI-1", *BOB, *here)
    assert [item["kind"] for item in sent["sync"]["items"]] == ["contact", "create"]
    drain(xero, two_way)
    pay = ("bill", "pay", "CLI-1", "--amount", "20.00", "--on", "2026-11-22", *BOB, *here)
    told = terminal.json(*pay)
    assert (told["paid"], told["sync"]["badge"]) == ("20.00", "waiting")
    drain(xero, two_way)
    assert xero.invoice("CLI-1")["AmountPaid"] == Decimal("20")
    payment = str(bill.payments.get().pk)
    unpay = ("bill", "unpay", "CLI-1", "--payment")
    assert payment in terminal.refused(*unpay, "999999", "--yes", *BOB, *here)
    assert terminal.json(*unpay, payment, "--yes", *BOB, *here)["paid"] == "0.00"
    drain(xero, two_way)
    assert xero.invoice("CLI-1")["AmountPaid"] == Decimal("0")


def test_a_bill_is_created_in_xero_too_and_discarded(
    xero: Xero, two_way: Connection, terminal: Terminal, here: Any
) -> None:
    client = Client.objects.filter(link__connection=two_way, archived=False).order_by("pk")[0]
    terminal.run(
        *("bill", "create", "--client", str(client.pk), "--currency", "GBP", "--number", "CLI-2"),
        *("--issued-on", "2026-11-22", "--due-on", "2026-12-22", "--approve", *BOB, *here),
        *("--line", "Work", "1", "100", "20", "--also-in-xero", two_way.name),
    )
    drain(xero, two_way)
    assert xero.invoice("CLI-2")["Total"] == Decimal("120")
    terminal.run("bill", "edit", "CLI-2", "--reference", "other", *BOB, *here)
    assert terminal.json("bill", "discard", "CLI-2", "--yes", *BOB, *here)["reference"] == ""


def test_conflicts_are_listed_and_decided_one_or_all(
    xero: Xero, two_way: Connection, terminal: Terminal, here: Any
) -> None:
    bill = conflicted(xero, two_way)
    (row,) = terminal.json("conflicts", "list", *here)["items"]
    assert (row["bill_id"], row["ours"]) == (bill.pk, {"reference": "ours"})
    words = terminal.run("bill", "show", bill.number, *here)
    assert "Overridden by Xero" in words
    assert "ours" in words
    told = terminal.json("bill", "resolve", "mine", bill.number, *BOB, *here)
    assert (told["reference"], told["sync"]["conflicts"]) == ("ours", [])
    push(xero, two_way)
    assert invoice_of(xero, bill).reference == "ours"
    edit(bill, reference="again")
    xero.act("edit-invoice", invoice=str(bill.link.invoice_id), reference="theirs")
    push(xero, two_way)
    assert terminal.json("conflicts", "resolve", "xero", "--all", *BOB, *here) == {"count": 1}
    assert terminal.json("conflicts", "list", *here)["items"] == []


def test_what_was_refused_is_listed_and_tried_again(
    xero: Xero, two_way: Connection, terminal: Terminal, here: Any
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="x")
    item = OutboxItem.objects.get()
    tries = (
        ("bill", "retry", bill.number),
        ("outbox", "retry", str(item.pk)),
        ("organisation", "retry", two_way.name),
    )
    for words in tries:
        outbox.end(item, "refused", "refused_by_xero", xero.clock.now(), "No thanks")
        assert "No thanks" in terminal.run("outbox", "list", "--state", "refused", *here)
        terminal.run(*words, *BOB, *here)
        item.refresh_from_db()
        assert item.state == "waiting"
    assert "Nothing of" in terminal.refused("bill", "retry", bill.number, *BOB, *here, code=2)


def test_a_contact_is_decided_about(
    xero: Xero, two_way: Connection, terminal: Terminal, here: Any
) -> None:
    xero.act("create-contact", name="Zoë & Co")
    xero.sync(two_way)
    bill_of(two_way, number="C-1", client="Zoë & Co")
    terminal.run("bill", "send-to-xero", "C-1", *BOB, *here)
    (item,) = [i for i in terminal.json("outbox", "list", *here)["items"] if i["contacts"]]
    contact = item["contacts"][0]["id"]
    terminal.refused("contact", "decide", str(item["id"]), "nobody", *BOB, *here, code=2)
    terminal.run("contact", "decide", str(item["id"]), contact, *BOB, *here)
    drain(xero, two_way)
    assert xero.invoice("C-1")["Contact"]["ContactID"] == contact


def test_the_direction_is_previewed_and_changed(
    xero: Xero, two_way: Connection, terminal: Terminal, here: Any
) -> None:
    back = ("organisation", "direction", "one", *here)
    assert "Say --yes" in terminal.refused(*back, *ALICE, code=2)
    assert "Only an owner" in terminal.refused(*back, "--yes", *BOB)
    assert terminal.json(*back, "--yes", *ALICE)["direction"] == "one"
    bill_of(two_way, number="PLAN-1", client="Zoë & Co")
    preview = ("organisation", "preview", "--everything", *ALICE, *here)
    words = terminal.run(*preview)
    assert "1 new invoices (120.00 GBP)" in words
    plan = terminal.json(*preview)
    assert f"digest {plan['digest']}" in words
    go = ("organisation", "direction", "two", "--everything", *ALICE, *here)
    assert "Preview first" in terminal.refused(*go, code=2)
    assert "nothing was sent" in terminal.refused(*go, "--digest", "0" * 64)
    assert terminal.json(*go, "--digest", plan["digest"])["direction"] == "two"
    drain(xero, two_way)
    assert xero.invoice("PLAN-1")["Total"] == Decimal("120")


def test_defaults_are_shown_and_set(two_way: Connection, terminal: Terminal, here: Any) -> None:
    show = ("organisation", "defaults", *ALICE, *here)
    assert "account for sales: 200" in terminal.run(*show)
    told = terminal.json(*show, "--create-as", "DRAFT", "--write-back", "no")
    assert (told["create_as"], told["write_back"]) == ("DRAFT", False)
    said = terminal.refused(*show, "--revenue-account", "nope", code=2)
    assert said.startswith("revenue_account: ")
    assert Connection.objects.get().create_as == "DRAFT"


def test_lists_are_asked_for_anew(
    xero: Xero,
    two_way: Connection,
    terminal: Terminal,
    here: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("justpayme.integrations.commands.RealClock", lambda: xero.clock)
    two_way.records.filter(kind="account").delete()
    xero.reset_log()
    told = terminal.json("organisation", "refresh-lists", *ALICE, *here)
    assert "200" in {one["value"] for one in told["accounts"]}
    assert sent_calls(xero) == []
