"""The export: complete, typed, harmless in a spreadsheet, bounded in memory."""

from __future__ import annotations

import csv
import gc
import io
import json
from argparse import ArgumentParser
from decimal import Decimal
from pathlib import Path

import pytest
from tests.api.given import HOSTILE, NOW, Caller, make_bill, make_client, make_payment

from justpayme.accounts.models import ApiToken, Business, SecurityEvent, User
from justpayme.api import export
from justpayme.api.commands import COMMANDS
from justpayme.api.export import AMOUNTS, TEXTS, export_bills, safe_text
from justpayme.bills.models import Bill, Client
from justpayme.runtime.command import CommandError

STARTS = ["=", "+", "-", "@", "\t", "\r", "\n", "|", "%"]
WRAPS = ["{}1+1", " {}1+1", "\u00a0{}1", "\u200b{}1", "\ufeff{}1", "{}cmd|' /C calc'!A0"]
FULL_WIDTH = ["＝1+1", "＋1", "－1", "＠SUM(1)", "﹢1", "﹣1", "₌1", " ＝1"]
FORMULAS = [wrap.format(start) for start in STARTS for wrap in WRAPS] + FULL_WIDTH


def run(name: str, *words: str) -> int:
    """Run one of our commands as the command line does."""
    (command,) = [command for command in COMMANDS if command.name == name]
    parser = ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def exported(business: Business, form: str) -> str:
    out = io.StringIO(newline="")
    export_bills(business, form, out, now=NOW)
    return out.getvalue()


def rows(business: Business) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(exported(business, "csv"), newline="")))


def test_json_has_every_bill_as_the_api_shows_it(bill: Bill, as_alice: Caller) -> None:
    make_payment(bill)
    make_bill(bill.client, number="B-2")
    found = json.loads(exported(bill.business, "json"))
    assert [one["number"] for one in found] == ["B-1", "B-2"]
    assert found[0] == as_alice.get(f"/bills/{bill.pk}").json()


def test_an_export_without_bills_is_still_valid(business: Business) -> None:
    assert json.loads(exported(business, "json")) == []
    assert rows(business) == []


def test_only_the_businesss_own_bills_are_exported(bill: Bill, other_business: Business) -> None:
    make_bill(make_client(other_business), number="FOREIGN")
    assert "FOREIGN" not in exported(bill.business, "json")
    assert "FOREIGN" not in exported(bill.business, "csv")


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_text_becomes_a_formula(formula: str) -> None:
    assert safe_text(formula) == "'" + formula


@pytest.mark.parametrize("text", ["", "INV-1", "Łódź & Co", "3 = 3", "a-b", " leading", "’tis"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert safe_text(text) == text


@pytest.mark.parametrize("formula", ["=1+1", "\t=1", '@"x",y', "-5", "=1\r\n=2"])
def test_every_text_column_is_kept_from_being_a_formula(business: Business, formula: str) -> None:
    make_bill(make_client(business, name=formula), number=formula, reference=formula)
    (row,) = rows(business)
    for name in TEXTS:
        assert not row[name].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row["number"] == row["client"] == row["reference"] == "'" + formula


def test_amounts_are_plain_numbers_even_when_negative(customer: Client) -> None:
    make_bill(customer, total=Decimal("-1234.5"), outstanding=Decimal("-0.0001"))
    (row,) = rows(customer.business)
    assert (row["total"], row["outstanding"]) == ("-1234.50", "-0.0001")
    assert all(Decimal(row[name]).is_finite() for name in AMOUNTS)


class Sampling(io.StringIO):
    """Counts the bills in memory now and then, while an export writes."""

    def __init__(self) -> None:
        super().__init__()
        self.bills = 0
        self.seen: list[int] = []

    def write(self, text: str) -> int:
        self.bills += text.startswith(",\n")
        if text.startswith(",\n") and self.bills % 12 == 0:
            gc.collect()
            self.seen.append(sum(isinstance(thing, Bill) for thing in gc.get_objects()))
            self.truncate(0)
        return super().write(text)


def test_only_a_handful_of_bills_is_in_memory_at_a_time(
    customer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "AT_ONCE", 5)
    plain = {"client": customer, "currency": "GBP", "created_at": NOW, "updated_at": NOW}
    Bill.objects.bulk_create(Bill(business=customer.business, **plain) for _ in range(60))
    out = Sampling()
    export_bills(customer.business, "json", out, now=NOW)
    assert len(out.seen) == 4
    assert max(out.seen) <= 15


def test_the_file_is_private_and_appears_when_complete(bill: Bill, tmp_path: Path) -> None:
    target = tmp_path / "bills.csv"
    assert run("export bills", "--format", "csv", "--output", str(target)) == 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["bills.csv"]
    (row,) = csv.DictReader(io.StringIO(target.read_text(), newline=""))
    assert row["client"] == "'" + HOSTILE
    event = SecurityEvent.objects.get(action="export")
    assert (event.business, event.detail) == (bill.business, {"bills": 1})


def test_a_folder_that_is_not_there_is_named(bill: Bill, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="nowhere"):
        run("export bills", "--format", "csv", "--output", str(tmp_path / "nowhere" / "a.csv"))


def test_with_several_businesses_one_must_be_named(
    bill: Bill, other_business: Business, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="--business"):
        run("export bills", "--format", "json")
    with pytest.raises(CommandError, match="no business"):
        run("export bills", "--format", "json", "--business", "Nobody")
    with pytest.raises(CommandError, match="no business"):
        run("export bills", "--format", "json", "--business", "9" * 30)
    for wanted in (str(other_business.pk), other_business.name):
        assert run("export bills", "--format", "json", "--business", wanted) == 0
        assert json.loads(capsys.readouterr().out) == []


def test_a_token_is_made_and_printed_once(vera: User, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("token create", "--user", "VERA@example.com", "--name", "reports", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["role"] == "viewer"
    assert Caller(told["token"]).get("/bills").status_code == 200
    assert told["token"] not in str(list(ApiToken.objects.values()))
    assert SecurityEvent.objects.filter(action="token_created").exists()


def test_a_plain_token_is_alone_on_standard_output(
    bob: User, capsys: pytest.CaptureFixture[str]
) -> None:
    run("token create", "--user", bob.email, "--name", "x")
    said = capsys.readouterr()
    assert said.out.startswith("jpm_")
    assert said.out.count("\n") == 1
    assert "only now" in said.err


@pytest.mark.parametrize("name", ["", "  ", "n" * 101])
def test_a_token_needs_a_name(bob: User, name: str) -> None:
    with pytest.raises(CommandError, match="--name"):
        run("token create", "--user", bob.email, "--name", name)


def test_a_token_is_only_for_members(alice: User, charlie: User) -> None:
    business = str(alice.businesses.get().pk)
    with pytest.raises(CommandError, match="not a member"):
        run("token create", "--user", charlie.email, "--business", business, "--name", "x")
    assert not ApiToken.objects.exists()
