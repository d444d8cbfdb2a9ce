"""A person's change reaches Xero once, and nothing else of the invoice is touched."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.fixtures.xero import NOW, Xero
from tests.sync.given import bill_of, edit, invoice_of, open_bill, pay, push, sent_calls, unpay

from justpayme.bills.models import Bill, HistoryEntry, Payment
from justpayme.core.bill import Status
from justpayme.sync import outbox
from justpayme.sync.models import Conflict, Connection, Link, OutboxItem, Run, Shipment
from justpayme.sync.under_way import WATCH
from justpayme.sync.verify import verify

pytestmark = pytest.mark.django_db(transaction=True)
State = OutboxItem.State


def drift(xero: Xero, connection: Connection) -> list[Any]:
    return verify(connection, xero.clock).differences


def test_an_edit_reaches_xero_and_leaves_every_other_field_as_it_was(
    xero: Xero, two_way: Connection
) -> None:
    """I-21, also of its contact; and both books are equal afterwards."""
    bill = open_bill(two_way)
    before, contact = invoice_of(xero, bill), xero.ledger().contacts.rows
    contacts = dict(contact)
    edit(bill, reference="PO 7 <b>Ω", due_on=date(2027, 1, 15))
    run = push(xero, two_way)
    after = invoice_of(xero, bill)
    assert run.state == Run.State.DONE, run.error_text
    assert (after.reference, after.due_date) == ("PO 7 <b>Ω", date(2027, 1, 15))
    assert (
        replace(after, reference=before.reference, due_date=before.due_date, updated=before.updated)
        == before
    )
    assert dict(xero.ledger().contacts.rows) == contacts
    assert drift(xero, two_way) == []
    bill.refresh_from_db()
    assert (bill.reference, Link.objects.get(bill=bill).edited) == ("PO 7 <b>Ω", False)
    assert OutboxItem.objects.get(bill=bill).state == State.DONE


def test_a_sync_without_an_edit_sends_nothing(xero: Xero, two_way: Connection) -> None:
    """I-22."""
    xero.reset_log()
    for _ in range(3):
        xero.later(15)
        xero.sync(two_way)
    assert sent_calls(xero) == []


def test_an_edit_that_is_undone_before_it_leaves_sends_nothing(
    xero: Xero, two_way: Connection
) -> None:
    """I-22."""
    bill = open_bill(two_way)
    was = bill.reference
    edit(bill, reference="other")
    edit(bill, reference=was)
    xero.reset_log()
    push(xero, two_way)
    assert sent_calls(xero) == []
    assert OutboxItem.objects.get(bill=bill).state == State.DONE


def test_a_payment_is_recorded_once_and_paid_there(xero: Xero, two_way: Connection) -> None:
    bill = open_bill(two_way)
    total = bill.outstanding
    pay(bill, two_way, total)
    bill.refresh_from_db()
    assert (bill.status, bill.outstanding) == (Status.PAID, 0)
    run = push(xero, two_way)
    assert run.state == Run.State.DONE, run.error_text
    invoice = invoice_of(xero, bill)
    assert (invoice.status, invoice.amount_paid) == ("PAID", total + 0)
    payment = Payment.objects.get(bill=bill, amount=total)
    assert payment.remote_id
    assert drift(xero, two_way) == []
    xero.later(15)
    xero.sync(two_way)
    assert Payment.objects.filter(bill=bill, amount=total).count() == 1
    assert drift(xero, two_way) == []


def test_two_equal_payments_are_two(xero: Xero, two_way: Connection) -> None:
    """I-15."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    pay(bill, two_way, Decimal("10"))
    push(xero, two_way)
    bill.refresh_from_db()
    assert bill.paid == 20
    assert drift(xero, two_way) == []
    assert len([c for c in sent_calls(xero) if "Payments" in c["path"]]) == 2


def test_a_payment_taken_back_is_deleted_there(xero: Xero, two_way: Connection) -> None:
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    push(xero, two_way)
    unpay(bill, two_way, Payment.objects.get(bill=bill, amount=10))
    push(xero, two_way)
    bill.refresh_from_db()
    assert (bill.paid, drift(xero, two_way)) == (0, [])


def test_a_payment_taken_back_before_it_left_is_never_sent(xero: Xero, two_way: Connection) -> None:
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    unpay(bill, two_way, Payment.objects.get(bill=bill, amount=10))
    xero.reset_log()
    xero.sync(two_way)
    assert sent_calls(xero) == []
    assert drift(xero, two_way) == []


@pytest.mark.parametrize("fault", ["lose_answer", "timeout_before", "timeout_after", "write_500"])
def test_a_payment_whose_answer_is_lost_is_there_once_in_the_end(
    xero: Xero, two_way: Connection, fault: str
) -> None:
    """I-13, I-14."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.fault(fault, method="PUT", path="/payments", count=1)
    run = push(xero, two_way)
    assert run.state == Run.State.FAILED
    for _ in range(12):
        xero.later(0.75)
        xero.sync(two_way)
    assert OutboxItem.objects.get(bill=bill).state == State.DONE
    payments = [p for p in xero.ledger().payments.rows.values() if p.amount == 10]
    assert len([p for p in payments if p.status == "AUTHORISED"]) == 1
    bill.refresh_from_db()
    assert (bill.paid, drift(xero, two_way)) == (10, [])


def test_after_a_crash_a_payment_is_looked_for_and_not_repeated(
    xero: Xero, two_way: Connection
) -> None:
    """I-19: another process found it, so it may not be sent again."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.fault("lose_answer", method="PUT", path="/payments", count=1)
    push(xero, two_way)
    for shipment in Shipment.objects.all():
        WATCH.forget(shipment.pk)
    xero.reset_log()
    for _ in range(12):
        xero.later(0.75)
        xero.sync(two_way)
    assert sent_calls(xero) == []
    assert OutboxItem.objects.get(bill=bill).state == State.DONE


def test_both_sides_changed_differently(xero: Xero, two_way: Connection) -> None:
    """Xero's stands, ours is kept, and the edit of another field still goes out (I-28)."""
    bill = open_bill(two_way)
    edit(bill, reference="ours", due_on=date(2027, 2, 1))
    xero.act("edit-invoice", invoice=bill.number, reference="theirs")
    run = push(xero, two_way)
    assert run.state == Run.State.DONE, run.error_text
    bill.refresh_from_db()
    assert (bill.reference, bill.due_on) == ("theirs", date(2027, 2, 1))
    conflict = Conflict.objects.get(bill=bill)
    assert (conflict.unit, conflict.ours, conflict.theirs, conflict.state) == (
        "reference",
        {"reference": "ours"},
        {"reference": "theirs"},
        "open",
    )
    assert invoice_of(xero, bill).reference == "theirs"
    assert drift(xero, two_way) == []


def test_a_second_edit_after_a_lost_answer_is_no_conflict_with_the_first(
    xero: Xero, two_way: Connection
) -> None:
    """Merge row 13."""
    bill = open_bill(two_way)
    edit(bill, reference="first")
    xero.fault("lose_answer", method="POST", path="/invoices", count=1)
    push(xero, two_way)
    edit(bill, reference="second")
    for _ in range(8):
        xero.later(1)
        xero.sync(two_way)
    assert not Conflict.objects.exists()
    assert invoice_of(xero, bill).reference == "second"
    assert drift(xero, two_way) == []


def test_a_change_of_currency_whose_answer_is_lost_is_our_own_with_the_rate_that_xero_has(
    xero: Xero, two_way: Connection
) -> None:
    """Merge row 13: we send no rate, and Xero fills in the day's."""
    bill = open_bill(two_way)
    edit(bill, currency="EUR", rate=None)
    xero.fault("lose_answer", method="POST", path="/invoices", count=1)
    push(xero, two_way)
    edit(bill, reference="second")
    for _ in range(8):
        xero.later(1)
        xero.sync(two_way)
    bill.refresh_from_db()
    assert (bill.currency, invoice_of(xero, bill).currency) == ("EUR", "EUR")
    assert bill.rate == invoice_of(xero, bill).rate
    assert not Conflict.objects.exists()
    assert drift(xero, two_way) == []


def test_a_new_bill_becomes_an_invoice_with_its_client(xero: Xero, two_way: Connection) -> None:
    bill = bill_of(two_way, number="NEW-1", client="Brand New Ltd")
    outbox.enqueue_create(bill, two_way, None, NOW)
    run = push(xero, two_way)
    assert run.state == Run.State.DONE, run.error_text
    link = Link.objects.get(bill=bill)
    invoice = xero.ledger().invoices.rows[str(link.invoice_id)]
    assert (invoice.number, invoice.status) == ("NEW-1", "AUTHORISED")
    assert drift(xero, two_way) == []
    assert not Conflict.objects.exists()


def test_a_new_bill_whose_answer_is_lost_is_one_bill_and_one_invoice(
    xero: Xero, two_way: Connection
) -> None:
    """I-3, I-13: also when a pull sees the invoice before we know that it is ours."""
    bill = bill_of(two_way, number="NEW-2", client="Brand New Ltd")
    outbox.enqueue_create(bill, two_way, None, NOW)
    xero.fault("lose_answer", method="PUT", path="/invoices", count=1)
    push(xero, two_way)
    for _ in range(8):
        xero.later(1)
        xero.sync(two_way)
    assert Bill.objects.filter(number="NEW-2").count() == 1
    assert [i.number for i in xero.ledger().invoices.rows.values()].count("NEW-2") == 1
    assert drift(xero, two_way) == []


def test_one_directional_sends_nothing_even_if_something_waits(
    xero: Xero, two_way: Connection
) -> None:
    """I-36."""
    bill = open_bill(two_way)
    edit(bill, reference="x")
    Connection.objects.update(direction="one")
    xero.reset_log()
    xero.later(15)
    xero.sync(two_way)
    assert sent_calls(xero) == []


def test_what_xero_says_of_a_refusal_is_kept(xero: Xero, two_way: Connection) -> None:
    """I-20."""
    bill = open_bill(two_way)
    xero.act("switch", approval_limit_reached=False)
    edit(bill, number=Bill.objects.exclude(pk=bill.pk).exclude(number="")[0].number)
    push(xero, two_way)
    item = OutboxItem.objects.get(bill=bill)
    assert (item.state, item.error_code) == (State.REFUSED, "number_in_use")
    assert item.error_text
    assert HistoryEntry.objects.filter(bill=bill, action="edited").exists()
