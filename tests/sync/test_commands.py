"""`justpayme sync`, `verify` and `explain` at a terminal."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from tests.fixtures.xero import Xero
from tests.sync.given import bill_of, edit, open_bill, pay, push, sent_calls
from tests.sync.hands import books

from justpayme.accounts.models import Business
from justpayme.bills.models import Bill
from justpayme.runtime.command import CommandError
from justpayme.sync import outbox
from justpayme.sync.commands import COMMANDS, check, sync
from justpayme.sync.models import Connection, Link, OutboxItem

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = "PO 7 <b>Ω\x1b[31m"


@pytest.mark.parametrize("command", [sync, check])
def test_no_connected_organisation_is_said_and_not_silence(
    command: Callable[[Namespace], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(Namespace(organisation=None, json=True)) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "No Xero organisation is connected here." in said.err


@pytest.fixture
def explain(
    xero: Xero, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs `justpayme explain` at the local Xero's time; its JSON, or its words."""
    monkeypatch.setattr("justpayme.sync.commands.RealClock", lambda: xero.clock)
    command = next(one for one in COMMANDS if one.name == "explain")
    parser = ArgumentParser()
    command.add_arguments(parser)

    def run(*words: str) -> Any:
        capsys.readouterr()
        assert command.run(parser.parse_args(words)) == 0
        said = capsys.readouterr().out
        return json.loads(said) if "--json" in words else said

    return run


def rules(told: dict[str, Any]) -> dict[str, int]:
    return {one["unit"]: one["rule"] for one in told["units"] if one["rule"] != 1}


def test_a_bill_that_both_books_agree_on_is_explained_by_row_1(
    two_way: Connection, explain: Callable[..., Any]
) -> None:
    bill = open_bill(two_way)
    told = explain(str(bill.pk), "--json")
    assert (told["bill"], told["direction"], rules(told)) == (bill.pk, "two", {})
    assert told["on_its_way"] == told["conflicts"] == []
    assert "row 1: nobody changed them: they stay" in explain(bill.number)


def test_an_edit_that_waits_is_explained_by_row_3_and_leaves_next(
    two_way: Connection, explain: Callable[..., Any]
) -> None:
    bill = open_bill(two_way)
    was = bill.reference
    edit(bill, reference=HOSTILE)
    told = explain(bill.number, "--json")
    (unit,) = [one for one in told["units"] if one["unit"] == "reference"]
    assert (unit["rule"], unit["fate"]) == (3, "outgoing")
    assert [unit[name]["reference"] for name in ("base", "ours", "xero")] == [was, HOSTILE, was]
    (item,) = told["on_its_way"]
    assert (item["kind"], item["state"], item["next_at"]) == ("update", "waiting", None)
    words = explain(bill.number)
    assert "reference: row 3: we changed it, Xero did not: ours stands and goes out" in words
    assert "next: it leaves with the next sending" in words


def test_asked_now_a_change_in_xero_shows_and_nothing_is_written(
    xero: Xero, two_way: Connection, explain: Callable[..., Any]
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="ours")
    xero.act(
        "edit-invoice", invoice=str(bill.link.invoice_id), reference="theirs", due_date="2027-03-01"
    )
    assert rules(explain(bill.number, "--json")) == {"reference": 3}
    xero.reset_log()
    before = books()
    told = explain(bill.number, "--json", "--fresh")
    assert rules(told) == {"reference": 5, "due_on": 2}
    assert told["asked_now"] is True
    assert sent_calls(xero) == []
    assert books() == before
    assert Link.objects.get(bill=bill).base["reference"] != "theirs"


def test_a_request_without_an_answer_is_shown_with_its_key_and_what_comes_of_it(
    xero: Xero, two_way: Connection, explain: Callable[..., Any]
) -> None:
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.fault("timeout_before", method="PUT", path="/payments", count=1)
    push(xero, two_way)
    (item,) = explain(bill.number, "--json")["on_its_way"]
    assert (item["kind"], item["state"], item["attempts"]) == ("pay", "unsure", 1)
    assert item["payment"]["reference"] == "thanks"
    assert item["payment"]["amount"] == "10"
    assert "under the same key" in item["next"]
    assert item["key_until"] > item["last_sent_at"]
    words = explain(bill.number)
    assert "Payment of £10.00: Sent, being checked" in words
    assert "Xero knows its key until" in words


def test_a_refusal_is_explained_with_xeros_own_words(
    xero: Xero, two_way: Connection, explain: Callable[..., Any]
) -> None:
    bill = open_bill(two_way)
    edit(bill, due_on=date(2027, 1, 15))
    item = OutboxItem.objects.get(bill=bill)
    outbox.end(item, "refused", "lock_date", xero.clock.now(), "The document date <b>")
    (told,) = explain(bill.number, "--json")["on_its_way"]
    assert (told["error_code"], told["xero_text"]) == ("lock_date", "The document date <b>")
    assert told["error"]
    assert told["remedy"]
    assert "Xero said: The document date <b>" in explain(bill.number)


def test_a_conflict_is_explained_with_both_values(
    xero: Xero, two_way: Connection, explain: Callable[..., Any]
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="ours")
    xero.act("edit-invoice", invoice=str(bill.link.invoice_id), reference="theirs")
    push(xero, two_way)
    told = explain(bill.number, "--json")
    (conflict,) = told["conflicts"]
    assert (conflict["ours"], conflict["xero"]) == (
        {"reference": "ours"},
        {"reference": "theirs"},
    )
    assert rules(told) == {}
    assert "Overridden by Xero, ours is kept" in explain(bill.number)


def test_one_directional_nothing_may_go_out(
    two_way: Connection, explain: Callable[..., Any]
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="ours")
    Connection.objects.update(direction="one")
    words = explain(bill.number)
    assert "row 3: we changed it, Xero did not, but nothing may go out" in words
    assert "it does not leave while the organisation is not bidirectional" in words


def test_a_bill_on_its_way_to_become_an_invoice_and_one_only_here(
    two_way: Connection, explain: Callable[..., Any]
) -> None:
    bill = bill_of(two_way, number="NEW-1", client="Zoë & <Co>")
    assert "It exists only here" in explain("NEW-1")
    outbox.enqueue_create(bill, two_way, None, bill.created_at)
    words = explain("NEW-1")
    assert f"It is not an invoice of {two_way.name}" in words
    assert "New invoice: Waiting to send" in words


def test_a_number_that_several_bills_have_says_which(
    two_way: Connection, explain: Callable[..., Any]
) -> None:
    first = bill_of(two_way, number="TWIN", client="Zoë")
    second = bill_of(two_way, number="TWIN", client="Ann")
    with pytest.raises(CommandError) as refused:
        explain("TWIN")
    for bill in (first, second):
        assert f"{bill.pk} ({bill.client.name}, active, £120.00)" in str(refused.value)
    assert explain(str(second.pk), "--json")["bill"] == second.pk


def test_a_bill_of_another_business_is_not_found(
    two_way: Connection, explain: Callable[..., Any], other_business: Business
) -> None:
    bill: Bill = open_bill(two_way)
    with pytest.raises(CommandError, match="has no bill"):
        explain(bill.number, "--business", str(other_business.pk))


def test_asking_xero_needs_the_settings_of_serve(
    two_way: Connection, explain: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the secret key our stored tokens would look lost."""
    monkeypatch.delenv("JUSTPAYME_SECRET_KEY")
    bill = open_bill(two_way)
    with pytest.raises(CommandError, match="JUSTPAYME_SECRET_KEY") as refused:
        explain(bill.number, "--fresh")
    assert refused.value.code == 2
    assert rules(explain(bill.number, "--json")) == {}


def test_words_of_an_explanation_never_steer_the_terminal(
    two_way: Connection, explain: Callable[..., Any]
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference=HOSTILE)
    assert "\x1b" not in explain(bill.number)
