"""`justpayme history at` and `history check` at a terminal."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.bills.given import HOSTILE, NOW, a_bill, a_client, a_connection, act, linked

from justpayme.accounts.models import Business, User
from justpayme.bills import actions
from justpayme.bills.commands import COMMANDS
from justpayme.bills.models import Bill
from justpayme.runtime.command import CommandError

pytestmark = pytest.mark.django_db


def run(name: str, *words: str) -> int:
    command = next(one for one in COMMANDS if one.name == name)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


@pytest.fixture
def bill(alice: User) -> Bill:
    bill = a_bill(alice, a_client(alice, HOSTILE), number="B-1", reference="first words")
    entry = replace(actions.entry_of(bill), reference="second words", number="B-2")
    later = act(alice, now=NOW + timedelta(hours=1))
    return actions.bill_edit(act=later, bill_id=bill.pk, entry=entry)


def test_a_bill_of_then_is_told_in_words(bill: Bill, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("history at", "B-2", "2026-11-22T15:00") == 0
    said = capsys.readouterr().out
    assert f"Bill B-1 for {HOSTILE}: active" in said
    assert "until Sunday 22 November 2026, 15:29:07" in said
    assert "1 × Fitting, £100.00" in said
    assert "outstanding £120.00" in said


def test_a_moment_is_one_where_the_bills_organisation_is(
    bill: Bill, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on its page: 16:00 in Auckland was 03:00 in London, before anybody wrote the bill."""
    linked(bill, a_connection(bill.business, time_zone="Pacific/Auckland"))
    with pytest.raises(CommandError, match="was not here then"):
        run("history at", "B-2", "2026-11-22T16:00")
    assert run("history at", "B-2", "2026-11-23T04:00") == 0
    assert "until Monday 23 November 2026, 04:29:07" in capsys.readouterr().out


def test_a_bill_of_then_is_told_to_machines(bill: Bill, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("history at", str(bill.pk), "2026-11-22T14:29:07Z", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["number"], said["reference"], said["total"]) == ("B-1", "first words", "120")
    assert (said["since"], said["until"]) == ("2026-11-22T14:29:07Z", "2026-11-22T15:29:07Z")
    assert said["client"] == {"id": bill.client_id, "name": HOSTILE}
    assert said["doubtful"] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("B-2", "yesterday"), "Enter a day and a time"),
        (("B-9", "2026-11-22T14:30"), "has no bill 'B-9'"),
        (("9" * 30, "2026-11-22T14:30"), "has no bill"),
        (("B-2", "2020-01-01"), "Its history begins at 2026-11-22T14:29:07Z."),
    ],
)
def test_what_cannot_be_shown_is_said(bill: Bill, words: Any, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run("history at", *words)


def test_the_bill_of_another_business_is_not_found(
    bill: Bill, business: Business, other_business: Business
) -> None:
    with pytest.raises(CommandError, match="has no bill"):
        run("history at", "B-2", "2026-11-22T15:00", "--business", str(other_business.pk))


def test_whole_histories_are_confirmed_and_a_gap_is_named(
    bill: Bill, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("history check") == 0
    assert "1 bills, every change is told" in capsys.readouterr().out
    Bill.objects.update(reference="forged")
    assert run("history check") == 1
    last = bill.history.order_by("-id")[0].pk
    assert f"bill {bill.pk}: reference changed after entry {last}" in capsys.readouterr().out
    assert run("history check", "--json") == 1
    gaps = json.loads(capsys.readouterr().out)["gaps"]
    assert gaps == [{"bill": bill.pk, "entry": last, "field": "reference"}]
