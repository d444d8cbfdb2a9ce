"""`justpayme verify --fix`: what strayed is healed, what a person typed is not lost."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from tests.fixtures.xero import Xero
from tests.sync.given import edit, open_bill, pay
from tests.sync.hands import HOSTILE, bill_of, done, drift, plain_open, put_silently

from justpayme.accounts.models import Business
from justpayme.bills.asof import gaps_of
from justpayme.bills.models import Bill, Client, HistoryEntry
from justpayme.bills.queries import open_books
from justpayme.core.drift import Cause
from justpayme.runtime.command import FAILED, OK, USAGE, CommandError
from justpayme.sync import runs
from justpayme.sync.commands import COMMANDS
from justpayme.sync.mend import TIED, UNTIED, mend
from justpayme.sync.models import ClientLink, Conflict, Connection, Link, OutboxItem, Run
from justpayme.sync.verify import Report, verify

pytestmark = pytest.mark.django_db(transaction=True)


def healed(xero: Xero, connection: Connection) -> Report:
    """Compare, heal and compare again; the last comparison."""
    run, left = mend(connection, verify(connection, xero.clock), xero.clock)
    assert run is not None
    done(run)
    return left


def told(bill: Bill) -> list[tuple[str, str]]:
    """(action, note) of a bill's history, oldest first."""
    rows = HistoryEntry.objects.filter(bill=bill).order_by("id")
    return list(rows.values_list("action", "note"))


def test_a_strayed_bill_is_put_back_and_its_history_stays_whole(
    xero: Xero, imported: Connection
) -> None:
    """I-31: what was found, and what stands again; every past moment can still be rebuilt."""
    bill = bill_of(imported, plain_open(xero)[0].id)
    other = Client.objects.exclude(pk=bill.client_id).filter(link__isnull=False)[0]
    Bill.objects.filter(pk=bill.pk).update(due_on=date(1999, 1, 1), client=other, paid=5)
    bill.lines.all().delete()
    assert healed(xero, imported).differences == []
    now = Bill.objects.get(pk=bill.pk)
    assert (now.due_on, now.client_id, now.paid) == (bill.due_on, bill.client_id, bill.paid)
    assert [action for action, _ in told(bill)] == ["imported", "strayed", "changed"]
    assert gaps_of(open_books(imported.business, xero.clock.now()), bill.pk) == []
    assert not Conflict.objects.exists()


def test_what_xero_changed_meanwhile_is_taken_with_it(xero: Xero, imported: Connection) -> None:
    invoice = plain_open(xero)[0]
    bill = bill_of(imported, invoice.id)
    Bill.objects.filter(pk=bill.pk).update(reference="strayed", url="https://example.com/")
    put_silently(xero, invoice, reference=HOSTILE, due_date=date(2031, 1, 31))
    causes = {d.field: d.cause for d in verify(imported, xero.clock).differences}
    assert causes == {
        "reference": Cause.CHANGED_HERE,
        "url": Cause.CHANGED_HERE,
        "due_on": Cause.SILENT_IN_XERO,
    }
    assert healed(xero, imported).differences == []
    assert Bill.objects.get(pk=bill.pk).reference == HOSTILE


def test_an_edit_that_waits_is_kept_and_sent(xero: Xero, two_way: Connection) -> None:
    """I-27: a person's edit is no drift to be overwritten; what strayed beside it stays hers too,
    for nobody can tell the two apart."""
    bill = open_bill(two_way)
    edit(bill, reference=HOSTILE)
    pay(bill, two_way, Decimal("5.00"))
    found = verify(two_way, xero.clock)
    assert {d.cause for d in found.differences if d.field != "settlement"} == {Cause.EDITED}
    assert {d.field for d in found.differences} >= {"reference", "paid", "payments"}
    assert healed(xero, two_way).differences == []
    assert xero.invoice(bill.number)["Reference"] == HOSTILE
    assert Bill.objects.get(pk=bill.pk).paid == 5
    assert not Conflict.objects.exists()


def test_an_edit_that_xero_contradicts_is_kept_as_a_conflict(
    xero: Xero, two_way: Connection
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="ours")
    invoice = xero.ledger().invoices.rows[str(bill.link.invoice_id)]
    put_silently(xero, invoice, reference=HOSTILE)
    (found,) = verify(two_way, xero.clock).differences
    assert (found.cause, found.ours, found.xero) == (Cause.BOTH, "ours", HOSTILE)
    assert healed(xero, two_way).differences == []
    conflict = Conflict.objects.get(bill=bill)
    assert (conflict.unit, conflict.ours["reference"]) == ("reference", "ours")
    assert ("overridden", "Changed here too; Xero’s version stands and yours is kept.") in told(
        bill
    )


def test_nothing_that_strayed_goes_to_xero(xero: Xero, two_way: Connection) -> None:
    """I-21, I-22: a row that nobody edited is put back, not sent."""
    bill = open_bill(two_way)
    Bill.objects.filter(pk=bill.pk).update(reference="strayed", total=1)
    writes = xero.mutating()
    assert healed(xero, two_way).differences == []
    assert (xero.mutating(), OutboxItem.objects.count()) == (writes, 0)


def test_a_bill_that_lost_its_link_is_the_same_bill_again(xero: Xero, imported: Connection) -> None:
    """I-3: no second bill of one invoice, with an edit of the lost one or without."""
    first, second, third = (bill_of(imported, i.id) for i in plain_open(xero)[:3])
    Link.objects.filter(bill__in=[first, second]).delete()
    Bill.objects.filter(pk=second.pk).update(reference="changed while untied")
    Link.objects.filter(bill=third).update(invoice_id=uuid4())
    count = Bill.objects.count()
    assert healed(xero, imported).differences == []
    assert Bill.objects.count() == count
    assert all(("tied", TIED) in told(bill) for bill in (first, second, third))
    assert Bill.objects.get(pk=second.pk).reference == second.reference
    assert Link.objects.filter(bill__in=[first, second, third]).count() == 3


def test_a_bill_of_the_same_number_that_never_was_this_invoice_stays_apart(
    xero: Xero, imported: Connection
) -> None:
    """Two books may use a number twice; only a history proves which bill was the invoice."""
    bill = bill_of(imported, plain_open(xero)[0].id)
    now = xero.clock.now()
    twin = Bill.objects.create(
        business=imported.business, client=bill.client, number=bill.number,
        currency=bill.currency, created_at=now, updated_at=now,
    )  # fmt: skip
    Link.objects.filter(bill=bill).delete()
    assert healed(xero, imported).differences == []
    assert Link.objects.get(bill__number=bill.number).bill == bill
    assert not Link.objects.filter(bill=twin).exists()


def test_a_bill_that_xero_does_not_know_is_untied_and_kept(
    xero: Xero, imported: Connection
) -> None:
    invoice = plain_open(xero)[0]
    bill = bill_of(imported, invoice.id)
    put_silently(xero, invoice, type="ACCPAY")  # in no list of sales invoices any more
    Link.objects.filter(bill=bill).update(invoice_id=uuid4())
    (found,) = verify(imported, xero.clock).differences
    assert (found.bill, found.cause) == (bill.pk, Cause.NOT_IN_XERO)
    assert healed(xero, imported).differences == []
    assert told(bill)[-1] == ("untied", UNTIED)
    kept = Bill.objects.get(pk=bill.pk)
    assert (kept.status, kept.outstanding) == (bill.status, bill.outstanding)


def lose_many(connection: Connection) -> list[int]:
    """Twelve open bills say to be invoices that Xero does not have; all open bills that do."""
    links = Link.objects.filter(connection=connection, bill__status="active").order_by("pk")
    bills = [link.bill_id for link in links]
    for number, pk in enumerate(bills[:12]):
        Link.objects.filter(bill_id=pk).update(invoice_id=uuid4())
        Bill.objects.filter(pk=pk).update(number=f"unknown {number}")
    return bills


def test_untying_many_bills_stops_before_the_first(xero: Xero, imported: Connection) -> None:
    """I-11."""
    bills = lose_many(imported)
    found = verify(imported, xero.clock)
    run, left = mend(imported, found, xero.clock)
    assert run is not None
    assert (run.state, run.error_code) == (Run.State.FAILED, "mass_void")
    assert left is found
    assert Link.objects.filter(bill_id__in=bills).count() == len(bills)


def test_a_client_that_lost_its_contact_gets_it_back(xero: Xero, imported: Connection) -> None:
    """No second client is made of a contact whose bills are all here."""
    lost, strayed = ClientLink.objects.filter(client__bills__isnull=False).distinct()[:2]
    clients = Client.objects.count()
    lost.delete()
    ClientLink.objects.filter(pk=strayed.pk).update(contact_id=uuid4())
    assert {d.field for d in verify(imported, xero.clock).differences} == {"client"}
    assert healed(xero, imported).differences == []
    assert Client.objects.count() == clients
    again = ClientLink.objects.get(client_id=lost.client_id)
    assert again.contact_id == lost.contact_id
    strayed_again = ClientLink.objects.get(client_id=strayed.client_id)
    assert strayed_again.contact_id == strayed.contact_id


def test_what_xero_contradicts_itself_in_is_told_and_remains(
    xero: Xero, imported: Connection
) -> None:
    """I-16: the invoice says paid, the list of payments does not."""
    ledger = xero.ledger()
    payment = next(
        p
        for p in ledger.payments.rows.values()
        if p.type == "ACCRECPAYMENT" and p.status != "DELETED"
    )
    invoice = ledger.invoices.rows[payment.invoice_id]
    xero.app.store.save(xero.tenant(), replace(payment, amount=payment.amount + 1))
    put_silently(xero, invoice)
    found = [d for d in verify(imported, xero.clock).differences if d.field == "settlement"]
    assert [d.cause for d in found] == [Cause.XERO_DISAGREES]
    left = healed(xero, imported)
    assert [d.cause for d in left.differences if d.field == "settlement"] == [Cause.XERO_DISAGREES]


def test_two_businesses_with_one_organisation_are_healed_apart(
    xero: Xero, imported: Connection, other_business: Business
) -> None:
    """I-48: Charlie's copy of the same invoice strays too, and stays strayed."""
    theirs = xero.connect(other_business)
    done(xero.sync(theirs))
    invoice = plain_open(xero)[0]
    for connection in (imported, theirs):
        pk = bill_of(connection, invoice.id).pk
        Bill.objects.filter(pk=pk).update(reference="strayed")
    assert healed(xero, imported).differences == []
    assert [line.split()[1] for line in drift(xero, theirs)] == ["reference:"]


# --- at a terminal -------------------------------------------------------------------------------


@pytest.fixture
def command(
    xero: Xero, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs `justpayme verify` at the local Xero's time; its exit code and what it printed."""
    monkeypatch.setattr("justpayme.sync.commands.RealClock", lambda: xero.clock)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    found = next(one for one in COMMANDS if one.name == "verify")
    parser = ArgumentParser()
    found.add_arguments(parser)

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = found.run(parser.parse_args(words))
        return code, capsys.readouterr().out

    return run


Verify = Callable[..., tuple[int, str]]


def stray(connection: Connection) -> Bill:
    bill = open_bill(connection)
    Bill.objects.filter(pk=bill.pk).update(reference=HOSTILE + "\x1b[31m")
    return bill


def test_verify_explains_each_difference_and_changes_nothing(
    imported: Connection, command: Verify
) -> None:
    bill = stray(imported)
    code, text = command()
    assert code == FAILED
    assert f"{bill.number} reference:" in text
    assert "our row was changed behind the sync's back; --fix puts Xero's value back" in text
    assert "\x1b" not in text
    code, text = command("--json")
    (one,) = json.loads(text)["differences"]
    assert (code, one["cause"], one["xero"]) == (FAILED, "changed_here", bill.reference)
    assert (one["why"], one["fix"]) == (
        "our row was changed behind the sync's back",
        "puts Xero's value back",
    )


def test_the_fix_asks_first_and_without_a_terminal_needs_yes(
    imported: Connection, command: Verify
) -> None:
    bill = stray(imported)
    with pytest.raises(CommandError, match="Say --yes") as refused:
        command("--fix")
    assert refused.value.code == USAGE
    assert Bill.objects.get(pk=bill.pk).reference != bill.reference
    code, text = command("--fix", "--yes")
    assert (code, "healed 1 of 1 differences" in text) == (OK, True)
    assert Bill.objects.get(pk=bill.pk).reference == bill.reference
    assert command("--fix")[0] == OK  # nothing to heal, so nothing to ask


def test_untying_many_bills_is_asked_for_by_their_number(
    imported: Connection, command: Verify
) -> None:
    """I-11: a person says that it is right, and it is done; the sync is not stopped for it."""
    bills = lose_many(imported)
    with pytest.raises(CommandError, match=r"Untie 12 open bills .* Say --untie") as refused:
        command("--fix", "--yes")
    assert refused.value.code == USAGE
    imported.refresh_from_db()
    assert imported.is_live
    assert Link.objects.filter(bill_id__in=bills).count() == len(bills)
    code, text = command("--fix", "--yes", "--untie")
    assert code == OK, text
    assert not Link.objects.filter(bill_id__in=bills[:12]).exists()
    assert Bill.objects.filter(pk__in=bills).count() == len(bills)
    imported.refresh_from_db()
    assert imported.is_live


def test_the_fix_says_as_data_what_it_found_and_did(imported: Connection, command: Verify) -> None:
    stray(imported)
    code, text = command("--fix", "--yes", "--json")
    said: dict[str, Any] = json.loads(text)
    assert code == OK
    assert (said["healed"], said["drift"], said["error"]) == (1, 0, "")
    assert [one["field"] for one in said["found"]] == ["reference"]
    assert HistoryEntry.objects.filter(run=said["run"]).count() == 2


def test_a_fix_that_cannot_start_says_so_and_fails(imported: Connection, command: Verify) -> None:
    """I-42: it never runs beside another sync of the organisation."""
    stray(imported)
    with runs.sole(imported.pk):
        code, text = command("--fix", "--yes", "--json")
    said = json.loads(text)
    assert (code, said["healed"], said["run"], said["drift"]) == (FAILED, 0, None, 1)
    assert said["error"] == "Another sync of it did not end in time."
    assert command("--fix", "--yes")[0] == OK


def test_what_remains_is_listed_and_fails(
    xero: Xero, imported: Connection, command: Verify
) -> None:
    stray(imported)
    ledger = xero.ledger()
    note = next(n for n in ledger.credit_notes.rows.values() if n.allocations)
    first = note.allocations[0]
    less = replace(first, amount=first.amount + 1)
    xero.app.store.save(xero.tenant(), replace(note, allocations=[less]))
    invoice = ledger.invoices.rows[first.invoice_id]
    put_silently(xero, invoice)
    code, text = command("--fix", "--yes")
    assert code == FAILED
    assert "settlement" in text.rpartition("healed")[2]
