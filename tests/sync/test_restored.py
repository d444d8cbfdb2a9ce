"""A database that was restored from a backup: no payment is posted twice (I-53, F17)."""

from __future__ import annotations

import json
from argparse import Namespace
from decimal import Decimal

import pytest
from django.db import connection as database
from tests.fixtures.xero import NOW, Xero
from tests.sync.given import bill_of, open_bill, open_bills, pay, push, sent_calls
from tests.sync.hands import undone
from tests.sync.moments import judge, new_process, quiet

from justpayme.runtime.command import OK
from justpayme.sync import commands, outbox, restored
from justpayme.sync.models import Connection, OutboxItem, Run

pytestmark = pytest.mark.django_db
State, Kind = OutboxItem.State, OutboxItem.Kind


def as_from_a_dump() -> None:
    """A restored dump makes the table anew; the comment is that of the old one."""
    with database.cursor() as cursor:
        cursor.execute("COMMENT ON TABLE sync_outboxitem IS 'table 1'")


def paid_in_xero(xero: Xero) -> list[str]:
    """What became there of the payments that we recorded."""
    rows = xero.ledger().payments.rows.values()
    return [p.status for p in rows if "JPM-" in p.reference]


def test_a_payment_that_left_after_the_backup_and_was_deleted_there_is_not_posted_again(
    xero: Xero, two_way: Connection
) -> None:
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    with undone():
        assert push(xero, two_way).state == Run.State.DONE
    new_process()
    made = next(p for p in xero.ledger().payments.rows.values() if "JPM-" in p.reference)
    xero.act("remove-payment", payment=made.id)
    as_from_a_dump()
    quiet(xero, two_way)
    assert paid_in_xero(xero) == ["DELETED"]
    bill.refresh_from_db()
    assert bill.paid == 0
    judge(xero, two_way)


def test_a_payment_that_was_held_back_in_the_backup_is_not_posted_again(
    xero: Xero, two_way: Connection
) -> None:
    """It left by itself after the backup, once its draft was approved, and was deleted there."""
    Connection.objects.update(create_as="DRAFT")
    bill = bill_of(two_way, number="NEW-D", client="Draft Ltd")
    outbox.enqueue_create(bill, two_way, None, NOW)
    pay(bill, two_way, Decimal("10"))
    push(xero, two_way)
    held = OutboxItem.objects.get(kind=Kind.PAY)
    assert (held.state, held.error_code) == (State.REFUSED, "payment_not_allowed")
    xero.act("approve-invoice", invoice="NEW-D")
    with undone():
        quiet(xero, two_way)
    new_process()
    made = next(p for p in xero.ledger().payments.rows.values() if "JPM-" in p.reference)
    xero.act("remove-payment", payment=made.id)
    restored.mark(NOW)
    quiet(xero, two_way)
    assert paid_in_xero(xero) == ["DELETED"]
    bill.refresh_from_db()
    assert bill.paid == 0
    judge(xero, two_way)


@pytest.mark.parametrize(
    ("code", "said", "marked"),
    [
        ("payment_not_allowed", "", 1),
        ("lock_date", "", 1),
        ("payment_not_allowed", "Payments can only be made against Authorised documents", 0),
        ("payment_account", "", 0),
    ],
)
def test_of_refused_payments_those_that_may_go_by_themselves_are_searched_for(
    two_way: Connection, code: str, said: str, marked: int
) -> None:
    pay(open_bill(two_way), two_way, Decimal("10"))
    outbox.end(OutboxItem.objects.get(), State.REFUSED, code, NOW, said)
    assert restored.mark(NOW) == marked
    assert OutboxItem.objects.get().state == (State.UNSURE if marked else State.REFUSED)


def test_a_payment_whose_request_is_still_on_its_way_is_not_posted_again(
    xero: Xero, two_way: Connection
) -> None:
    """It left after the backup, and lands after our books were put back."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.fault("late", method="PUT", path="/payments", count=1, parameters={"seconds": 85})
    with undone():
        push(xero, two_way)
    new_process()
    as_from_a_dump()
    quiet(xero, two_way)
    assert paid_in_xero(xero) == ["AUTHORISED"]
    bill.refresh_from_db()
    assert bill.paid == 10
    judge(xero, two_way)


def test_one_reading_may_show_two_payments_of_one_bill(xero: Xero, two_way: Connection) -> None:
    """What it settled beside what it was made for needs no look of its own any more."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    pay(bill, two_way, Decimal("20"))
    with undone():
        push(xero, two_way)
    new_process()
    assert restored.mark(NOW) == 2
    run = push(xero, two_way)
    assert (run.state, run.error_code) == (Run.State.DONE, "")
    assert set(OutboxItem.objects.values_list("state", flat=True)) == {State.DONE}
    assert paid_in_xero(xero) == ["AUTHORISED"] * 2


def test_what_has_never_left_is_sent_once_that_is_known(xero: Xero, two_way: Connection) -> None:
    """And two equal payments are two (I-15)."""
    for bill in open_bills(two_way)[:2]:
        pay(bill, two_way, Decimal("10"))
        pay(bill, two_way, Decimal("10"))
    as_from_a_dump()
    push(xero, two_way)
    assert sent_calls(xero) == []
    assert set(OutboxItem.objects.values_list("state", flat=True)) <= {State.UNSURE, State.WAITING}
    quiet(xero, two_way)
    assert paid_in_xero(xero) == ["AUTHORISED"] * 4
    judge(xero, two_way)


def test_nothing_is_held_up_where_nothing_was_restored(xero: Xero, two_way: Connection) -> None:
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    assert restored.notice(NOW) == 0
    assert restored.notice(NOW) == 0
    assert push(xero, two_way).state == Run.State.DONE
    assert paid_in_xero(xero) == ["AUTHORISED"]


def test_a_restore_is_noticed_once(two_way: Connection) -> None:
    pay(open_bill(two_way), two_way, Decimal("10"))
    as_from_a_dump()
    assert [restored.notice(NOW) for _ in range(3)] == [1, 0, 0]


def test_a_payment_of_a_bill_that_was_no_invoice_yet_follows_it(
    xero: Xero, two_way: Connection
) -> None:
    bill = bill_of(two_way, number="NEW-R", client="Bright Ltd")
    outbox.enqueue_create(bill, two_way, None, NOW)
    push(xero, two_way)
    fresh = bill_of(two_way, number="NEW-S", client="Bright Two Ltd")
    outbox.enqueue_create(fresh, two_way, None, NOW)
    pay(fresh, two_way, Decimal("10"))
    with undone():
        push(xero, two_way)
    new_process()
    as_from_a_dump()
    quiet(xero, two_way)
    parked = OutboxItem.objects.filter(kind=Kind.CONTACT, state=State.PARKED)
    for item in parked:
        outbox.decide_contact(item, item.detail["contacts"][0]["id"], None, NOW)
    quiet(xero, two_way)
    assert paid_in_xero(xero) == ["AUTHORISED"]
    judge(xero, two_way)


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_says_so_where_nothing_can_be_noticed(
    two_way: Connection, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """A snapshot of the disk looks like the database that it was."""
    pay(open_bill(two_way), two_way, Decimal("10"))
    assert commands.tell_restored(Namespace(json=as_json)) == OK
    told = capsys.readouterr().out
    assert (json.loads(told) == {"payments": 1}) if as_json else ("1 waiting payment" in told)
    assert OutboxItem.objects.get().state == State.UNSURE
