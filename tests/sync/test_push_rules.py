"""What may leave, in which order and company, and what holds it back or lets it go by itself."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.fixtures.xero import NOW, Xero
from tests.sync.given import (
    bill_of,
    edit,
    invoice_of,
    open_bill,
    open_bills,
    pay,
    push,
    sent_calls,
    unpay,
)
from tests.sync.hands import Wire, tap
from tests.sync.moments import judge, quiet, sync

from justpayme.bills.models import Bill, Client, HistoryEntry, Line, Payment
from justpayme.core.bill import Status
from justpayme.sync import jobs, outbox, parcels, revert
from justpayme.sync.models import ClientLink, Conflict, Connection, Link, OutboxItem, Run

pytestmark = pytest.mark.django_db
State, Kind = OutboxItem.State, OutboxItem.Kind


@pytest.fixture
def wire(xero: Xero, settings: Any) -> Wire:
    return tap(xero, settings)


def item_of(bill: Bill, kind: str = Kind.UPDATE) -> OutboxItem:
    return OutboxItem.objects.filter(bill=bill, kind=kind).order_by("-id")[0]


def again(bill: Bill) -> Bill:
    bill.refresh_from_db()
    return bill


# --- order and company -------------------------------------------------------------------------


def test_of_one_bill_the_edit_leaves_before_the_payment_and_the_payment_before_the_void(
    xero: Xero, two_way: Connection
) -> None:
    """I-23."""
    bill = open_bill(two_way)
    edit(bill, reference="first")
    pay(bill, two_way, Decimal("10"))
    unpay(bill, two_way, Payment.objects.get(bill=bill, amount=10))
    pay(bill, two_way, Decimal("20"))
    xero.reset_log()
    push(xero, two_way)
    unpay(bill, two_way, Payment.objects.get(bill=bill, amount=20))
    edit(again(bill), status=Status.VOID, outstanding=0)
    push(xero, two_way)
    assert [(c["method"], c["endpoint"].split("/")[0]) for c in xero.writes()] == [
        ("POST", "Invoices"),
        ("PUT", "Payments"),
        ("POST", "Payments"),
        ("POST", "Invoices"),
    ]
    assert invoice_of(xero, bill).status == "VOIDED"
    judge(xero, two_way)


def test_what_is_tried_again_waits_for_what_is_under_way(two_way: Connection) -> None:
    """I-23: a refused change may be the older one of two."""
    bill = open_bill(two_way)
    edit(bill, reference="refused, and tried again")
    pay(bill, two_way, Decimal("10"))
    older, younger = OutboxItem.objects.filter(bill=bill).order_by("id")
    assert outbox.due(two_way, NOW) == [older]
    for state in (State.SENDING, State.UNSURE):
        OutboxItem.objects.filter(pk=younger.pk).update(state=state)
        assert outbox.due(two_way, NOW) == []


def test_an_edit_after_a_payment_was_taken_back_leaves_after_it_although_an_older_one_waits(
    xero: Xero, two_way: Connection
) -> None:
    """I-23: before it, Xero would refuse the void, because there is a payment."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    push(xero, two_way)
    edit(again(bill), reference="first")
    unpay(bill, two_way, Payment.objects.get(bill=bill, amount=10))
    edit(again(bill), due_on=date(2027, 2, 28))
    edit(again(bill), status=Status.VOID, outstanding=0)
    waits = OutboxItem.objects.filter(bill=bill, state=State.WAITING).order_by("id")
    assert [item.kind for item in waits] == [Kind.UNPAY, Kind.UPDATE]
    quiet(xero, two_way)
    assert not OutboxItem.objects.filter(state=State.REFUSED).exists()
    assert invoice_of(xero, bill).status == "VOIDED"
    judge(xero, two_way)


def test_forty_bills_are_one_request_with_one_reading_before_and_one_after(
    xero: Xero, two_way: Connection
) -> None:
    many(xero, two_way, 45)
    bills = list(
        Bill.objects.filter(link__connection=two_way, number__startswith="MANY-").order_by("pk")
    )
    for bill in bills:
        edit(bill, reference=f"r {bill.number}")
    xero.reset_log()
    run = push(xero, two_way)
    assert (run.state, run.sent, run.refused) == (Run.State.DONE, 45, 0)
    assert len(sent_calls(xero)) == 2
    reads = xero.counts()["total"] - 2
    assert reads <= 5  # the organisation once, and two for each request
    judge(xero, two_way)


def many(xero: Xero, connection: Connection, count: int) -> None:
    contact = str(open_bill(connection).client.link.contact_id)
    for number in range(count):
        xero.act(
            "create-invoice",
            contact=contact,
            description="Work",
            unit_amount="10",
            number=f"MANY-{number}",
        )
    sync(xero, connection)


def test_one_refused_element_does_not_stop_the_others(xero: Xero, two_way: Connection) -> None:
    first, second, third = open_bills(two_way)[:3]
    edit(first, reference="one")
    edit(second, number=third.number)
    edit(third, reference="three")
    xero.reset_log()
    run = push(xero, two_way)
    assert (run.sent, run.refused) == (2, 1)
    assert len(sent_calls(xero)) == 1
    assert item_of(second).error_code == "number_in_use"
    assert item_of(second).error_text
    assert [item_of(b).state for b in (first, third)] == [State.DONE, State.DONE]


def test_a_request_that_is_refused_as_a_whole_is_sent_one_by_one(
    xero: Xero, two_way: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that Xero can't read must not keep the others from leaving."""
    from justpayme.xero import outgoing

    first, second = open_bills(two_way)[:2]
    edit(first, reference="unreadable")
    edit(second, reference="fine")
    real = outgoing._plain
    monkeypatch.setattr(
        outgoing, "_plain", lambda value: {"no": "text"} if value == "unreadable" else real(value)
    )
    xero.reset_log()
    run = push(xero, two_way)
    assert (run.sent, run.refused) == (1, 1)
    assert len(sent_calls(xero)) == 3
    assert (item_of(first).state, item_of(second).state) == (State.REFUSED, State.DONE)


def test_a_payment_that_is_refused_as_a_whole_is_told(xero: Xero, two_way: Connection) -> None:
    """The account was archived since it was chosen: the sentence is about the account."""
    bill = open_bill(two_way)
    account = two_way.receiving_accounts.get().account_id
    xero.act("archive-account", account=account)
    pay(bill, two_way, Decimal("10"))
    run = push(xero, two_way)
    assert (run.state, run.refused) == (Run.State.DONE, 1)
    item = item_of(bill, Kind.PAY)
    assert (item.state, item.error_code) == (State.REFUSED, "payment_account")
    assert again(bill).paid == 10
    xero.act("restore-account", account=account)
    outbox.retry(item, None, NOW)
    push(xero, two_way)
    judge(xero, two_way)


# --- lines -------------------------------------------------------------------------------------


def _two_lines(xero: Xero, connection: Connection) -> Bill:
    bill = open_bill(connection)
    xero.act("add-line", invoice=bill.number, description="Second", unit_amount="7", account="200")
    sync(xero, connection)
    return again(bill)


def _lines(bill: Bill, rows: list[Line]) -> None:
    """As the form does: all lines anew, each with its identity."""
    bill.lines.all().delete()
    for position, line in enumerate(rows):
        line.pk, line.position, line.bill = None, position, bill
    Line.objects.bulk_create(rows)


def test_lines_keep_their_ids_when_they_change_move_come_and_go(
    xero: Xero, two_way: Connection
) -> None:
    """I-21: each is the same line in Xero, with its tracking, item and account."""
    bill = _two_lines(xero, two_way)
    before = invoice_of(xero, bill).lines
    first, second = bill.lines.all()[0], bill.lines.order_by("-position")[0]
    others = [x for x in bill.lines.all() if x.pk not in (first.pk, second.pk)]
    second.description = "Second, changed"
    new = Line(description="New <i>", quantity=1, unit_amount=5, line_amount=5, account_code="200")
    _lines(bill, [second, *others, first, new])
    edit(bill, sub_total=bill.sub_total)
    push(xero, two_way)
    after = invoice_of(xero, bill).lines
    assert [x.id for x in after][: len(before)] == [
        before[-1].id,
        *(x.id for x in before[1:-1]),
        before[0].id,
    ]
    assert (after[0].description, after[-1].description) == ("Second, changed", "New <i>")
    kept = {x.id: x for x in before}
    for line in after[1:-1]:
        assert line == kept[line.id]
    assert not Conflict.objects.exists()
    judge(xero, two_way)
    again(bill)
    _lines(bill, list(bill.lines.all())[:1])
    edit(bill, sub_total=bill.sub_total)
    push(xero, two_way)
    assert [x.id for x in invoice_of(xero, bill).lines] == [before[-1].id]
    judge(xero, two_way)


def test_a_changed_total_is_owed_here_before_it_is_in_xero_and_equal_after(
    xero: Xero, two_way: Connection
) -> None:
    bill = open_bill(two_way)
    line = bill.lines.all()[0]
    line.unit_amount = line.unit_amount + 1
    line.save()
    edit(bill, total=bill.total + 1, outstanding=bill.outstanding + 1)
    push(xero, two_way)
    assert not Conflict.objects.exists()
    judge(xero, two_way)


# --- status and client -------------------------------------------------------------------------


def test_drafts_are_approved_and_deleted_and_open_ones_voided(
    xero: Xero, two_way: Connection
) -> None:
    Connection.objects.update(import_drafts=True, audited_at=None)
    quiet(xero, two_way)
    drafts = Bill.objects.filter(link__connection=two_way, status=Status.DRAFT).order_by("pk")
    approved, deleted = drafts[0], drafts[1]
    voided = open_bill(two_way)
    edit(approved, status=Status.ACTIVE)
    edit(deleted, status=Status.VOID)
    edit(voided, status=Status.VOID, outstanding=0)
    push(xero, two_way)
    assert [invoice_of(xero, b).status for b in (approved, deleted, voided)] == [
        "AUTHORISED",
        "DELETED",
        "VOIDED",
    ]
    assert {again(b).status for b in (deleted, voided)} == {Status.VOID}
    judge(xero, two_way)


def test_an_edit_that_a_void_overtakes_is_kept_and_not_said_to_be_sent(
    xero: Xero, two_way: Connection
) -> None:
    """I-27, I-32: with a void nothing else is sent, so nothing else reached Xero."""
    bill = open_bill(two_way)
    before = bill.reference
    edit(bill, reference="too late")
    edit(bill, status=Status.VOID, outstanding=0)
    push(xero, two_way)
    assert invoice_of(xero, bill).status == "VOIDED"
    assert again(bill).reference == before
    (sent,) = HistoryEntry.objects.filter(bill=bill, action=HistoryEntry.SENT)
    assert [change["field"] for change in sent.changes] == ["status"]
    kept = Conflict.objects.get(bill=bill)
    assert (kept.unit, kept.ours) == ("reference", {"reference": "too late"})
    judge(xero, two_way)


def test_a_new_bill_that_begins_as_a_draft_is_a_draft_here_too(
    xero: Xero, two_way: Connection
) -> None:
    Connection.objects.update(create_as="DRAFT")
    bill = bill_of(two_way, number="NEW-D", client="Draft Ltd")
    outbox.enqueue_create(bill, two_way, None, NOW)
    push(xero, two_way)
    quiet(xero, two_way)
    assert (invoice_of(xero, bill).status, again(bill).status) == ("DRAFT", Status.DRAFT)
    assert not Conflict.objects.exists()
    judge(xero, two_way)


def test_a_payment_waits_for_a_draft_to_be_approved_and_then_goes_by_itself(
    xero: Xero, two_way: Connection
) -> None:
    Connection.objects.update(create_as="DRAFT")
    bill = bill_of(two_way, number="NEW-D", client="Draft Ltd")
    outbox.enqueue_create(bill, two_way, None, NOW)
    pay(bill, two_way, Decimal("20"))
    push(xero, two_way)
    item = item_of(bill, Kind.PAY)
    assert (item.state, item.error_code) == (State.REFUSED, "payment_not_allowed")
    assert not Conflict.objects.exists()
    xero.act("approve-invoice", invoice="NEW-D")
    quiet(xero, two_way)
    assert again(bill).paid == 20
    judge(xero, two_way)


def test_another_client_of_xero_is_set_on_the_invoice_and_no_contact_changes(
    xero: Xero, two_way: Connection
) -> None:
    """I-21."""
    bill = open_bill(two_way)
    other = ClientLink.objects.exclude(client=bill.client).exclude(
        client__in=Client.objects.filter(link__merged_to__isnull=False)
    )
    active = {c.id for c in xero.ledger().contacts.rows.values() if c.status == "ACTIVE"}
    link = next(x for x in other.order_by("pk") if str(x.contact_id) in active)
    contacts = dict(xero.ledger().contacts.rows)
    edit(bill, client=link.client)
    push(xero, two_way)
    assert invoice_of(xero, bill).contact_id == str(link.contact_id)
    assert dict(xero.ledger().contacts.rows) == contacts
    judge(xero, two_way)


# --- contacts ----------------------------------------------------------------------------------


def _unlinked_name(xero: Xero) -> tuple[str, str]:
    """A contact that no client is linked to: its id and name."""
    linked = {str(i) for i in ClientLink.objects.values_list("contact_id", flat=True)}
    rows = xero.ledger().contacts.rows.values()
    found = next(c for c in rows if c.id not in linked and c.status == "ACTIVE")
    return found.id, found.name


def _paid_new_bill(connection: Connection, number: str) -> Bill:
    """A bill on its way to Xero, on which money came in before it got there."""
    bill = bill_of(connection, number=number, client="Zoë & Sons")
    outbox.enqueue_create(bill, connection, None, NOW)
    pay(bill, connection, Decimal("20.00"))
    return bill


def test_a_payment_does_not_keep_a_bill_back_whose_number_was_refused_and_mended(
    xero: Xero, two_way: Connection
) -> None:
    """The new creation is younger than the payment that waits for it."""
    bill = _paid_new_bill(two_way, open_bill(two_way).number)
    push(xero, two_way)
    assert item_of(bill, Kind.CREATE).error_code == "number_in_use"
    Bill.objects.filter(pk=bill.pk).update(number="NEW-FREE")
    outbox.enqueue_create(bill, two_way, None, NOW)
    quiet(xero, two_way)
    assert again(bill).paid == invoice_of(xero, bill).amount_paid == 20
    judge(xero, two_way)


def test_a_payment_and_an_edit_do_not_keep_a_bill_back_whose_request_got_lost(
    xero: Xero, two_way: Connection
) -> None:
    """The edit becomes the creation, and is younger than the payment."""
    bill = _paid_new_bill(two_way, "NEW-LOST")
    xero.fault("reset_before", method="PUT", path="/invoices", count=None)
    push(xero, two_way)
    assert item_of(bill, Kind.CREATE).state == State.UNSURE
    Bill.objects.filter(pk=bill.pk).update(reference="typed meanwhile")
    outbox.enqueue_update(bill, two_way, None, NOW)
    xero.later(5)
    sync(xero, two_way)
    xero.heal()
    quiet(xero, two_way)
    invoice = invoice_of(xero, bill)
    assert (invoice.reference, again(bill).paid, invoice.amount_paid) == ("typed meanwhile", 20, 20)
    judge(xero, two_way)


@pytest.mark.parametrize("same", [True, False])
def test_a_look_alike_waits_for_a_person_and_the_bill_follows_by_itself(
    xero: Xero, two_way: Connection, same: bool
) -> None:
    contact, name = _unlinked_name(xero)
    bill = bill_of(two_way, number="NEW-L", client=name.upper())
    outbox.enqueue_create(bill, two_way, None, NOW)
    xero.reset_log()
    push(xero, two_way)
    assert sent_calls(xero) == []
    item = OutboxItem.objects.get(client=bill.client, kind=Kind.CONTACT)
    assert (item.state, item.error_code) == (State.PARKED, "contact_like_this")
    assert [c["id"] for c in item.detail["contacts"]] == [contact]
    assert item_of(bill, Kind.CREATE).error_code == "contact_needed"
    if same:
        outbox.decide_contact(item, contact, None, NOW)
    else:
        outbox.decide_contact(item, None, None, NOW, name="Quite Another Ltd")
    push(xero, two_way)
    invoice = invoice_of(xero, bill)
    made = xero.ledger().contacts.rows[invoice.contact_id]
    assert (made.id == contact, made.name == "Quite Another Ltd") == (same, not same)
    judge(xero, two_way)


def test_a_contact_entered_in_xero_a_moment_ago_is_not_entered_again(
    xero: Xero, two_way: Connection
) -> None:
    bill = bill_of(two_way, number="NEW-M", client="Moment Ago Ltd")
    xero.act("create-contact", name="Moment Ago Ltd")
    outbox.enqueue_create(bill, two_way, None, NOW)
    xero.reset_log()
    push(xero, two_way)
    assert sent_calls(xero) == []
    item = OutboxItem.objects.get(client=bill.client, kind=Kind.CONTACT)
    assert (item.state, item.error_code) == (State.PARKED, "contact_like_this")
    outbox.decide_contact(item, item.detail["contacts"][0]["id"], None, NOW)
    push(xero, two_way)
    assert [c.name for c in xero.ledger().contacts.rows.values()].count("Moment Ago Ltd") == 1
    judge(xero, two_way)


def test_an_archived_look_alike_is_told_and_the_message_follows_the_contact(
    xero: Xero, two_way: Connection
) -> None:
    contact, name = _unlinked_name(xero)
    xero.act("archive-contact", contact=contact)
    sync(xero, two_way)
    bill = bill_of(two_way, number="NEW-A", client=name)
    outbox.enqueue_create(bill, two_way, None, NOW)
    push(xero, two_way) if outbox.has_work(two_way, xero.clock.now()) else None
    item = OutboxItem.objects.get(client=bill.client, kind=Kind.CONTACT)
    assert item.error_code == "contact_archived"
    xero.act("restore-contact", contact=contact)
    xero.later(15)
    sync(xero, two_way)
    item.refresh_from_db()
    assert (item.state, item.error_code) == (State.PARKED, "contact_like_this")
    xero.act("rename-contact", contact=contact, name="No More Alike")
    xero.later(15)
    quiet(xero, two_way)
    assert invoice_of(xero, bill).number == "NEW-A"
    judge(xero, two_way)


def test_a_bill_of_an_archived_contact_goes_once_it_is_restored(
    xero: Xero, two_way: Connection
) -> None:
    bill = open_bill(two_way)
    contact = str(bill.client.link.contact_id)
    new = bill_of(two_way, number="NEW-R", client="x")
    Bill.objects.filter(pk=new.pk).update(client=bill.client)
    xero.act("archive-contact", contact=contact)
    outbox.enqueue_create(again(new), two_way, None, NOW)
    push(xero, two_way)
    item = item_of(new, Kind.CREATE)
    assert (item.state, item.error_code) == (State.REFUSED, "contact_archived")
    assert item.error_text
    xero.reset_log()
    for _ in range(2):
        xero.later(15)
        sync(xero, two_way)
    assert sent_calls(xero) == []
    xero.act("restore-contact", contact=contact)
    xero.later(15)
    quiet(xero, two_way)
    assert invoice_of(xero, new).number == "NEW-R"
    judge(xero, two_way)


# --- what holds back ---------------------------------------------------------------------------


def test_a_locked_period_is_told_without_a_call_and_lets_go_when_it_is_opened(
    xero: Xero, two_way: Connection
) -> None:
    """I-25: an edit, a payment and a new bill."""
    bill, paid = open_bills(two_way)[:2]
    new = bill_of(two_way, number="NEW-K", client="Lock Ltd")
    xero.act("lock", period_lock_date="2026-12-31", end_of_year_lock_date="")
    edit(bill, reference="in a locked period")
    pay(paid, two_way, Decimal("10"))
    outbox.enqueue_create(new, two_way, None, NOW)
    xero.reset_log()
    push(xero, two_way)
    assert [c["endpoint"] for c in xero.writes()] in ([], ["Contacts"])
    items = [item_of(bill), item_of(paid, Kind.PAY), item_of(new, Kind.CREATE)]
    assert [i.error_code for i in items] == ["lock_date"] * 3
    xero.reset_log()
    for _ in range(2):
        xero.later(15)
        sync(xero, two_way)
    assert sent_calls(xero) == []
    xero.act("lock", period_lock_date="", end_of_year_lock_date="")
    xero.later(15)
    quiet(xero, two_way)
    assert invoice_of(xero, bill).reference == "in a locked period"
    assert again(paid).paid == 10
    assert invoice_of(xero, new).number == "NEW-K"
    judge(xero, two_way)


def test_a_payment_waits_for_its_account(xero: Xero, two_way: Connection) -> None:
    bill = open_bill(two_way)
    kept = two_way.receiving_accounts.get()
    two_way.receiving_accounts.all().delete()
    pay(bill, two_way, Decimal("10"))
    push(xero, two_way)
    assert item_of(bill, Kind.PAY).error_code == "receiving_account_missing"
    kept.pk = None
    kept.save()
    xero.later(15)
    quiet(xero, two_way)
    assert again(bill).paid == 10
    judge(xero, two_way)


def test_a_payment_waits_while_its_bill_has_another_currency_than_its_invoice(
    xero: Xero, two_way: Connection
) -> None:
    """I-24: ten euros are not ten pounds. It follows the change of currency by itself."""
    bill = open_bill(two_way)
    other = next(x for x in open_bills(two_way) if x != bill)
    was, account = bill.number, two_way.receiving_accounts.get()
    account.pk, account.currency = None, "EUR"
    account.save()
    edit(bill, currency="EUR", rate=None, number=other.number)
    push(xero, two_way)
    assert item_of(bill).state == State.REFUSED
    pay(bill, two_way, Decimal("10"))
    xero.reset_log()
    push(xero, two_way)
    item = item_of(bill, Kind.PAY)
    assert (item.state, item.error_code) == (State.PARKED, "currency_differs")
    assert xero.writes() == []
    edit(bill, number=was)
    quiet(xero, two_way)
    invoice = invoice_of(xero, bill)
    assert (invoice.currency, invoice.amount_paid) == ("EUR", 10)
    judge(xero, two_way)


def test_the_last_look_before_a_payment_leaves_refuses_more_than_is_owed(
    two_way: Connection,
) -> None:
    """I-24: whatever was looked at before, and whoever put it there."""
    bill = open_bill(two_way)
    pay(bill, two_way, bill.outstanding + 1)
    item = item_of(bill, Kind.PAY)
    assert parcels.pack(Kind.PAY, two_way, [item], NOW) == []
    assert (item.state, item.error_code) == (State.REFUSED, "payment_over_due")


def test_a_paid_bill_takes_the_edits_that_xero_allows(xero: Xero, two_way: Connection) -> None:
    """xero-facts 3.10."""
    paid = Bill.objects.filter(link__connection=two_way, status=Status.PAID).order_by("pk")[0]
    edit(paid, reference="after the payment", url="https://x.test/2")
    push(xero, two_way)
    assert item_of(paid).error_text == ""
    assert invoice_of(xero, paid).reference == "after the payment"
    judge(xero, two_way)


# --- conflicts and going back ------------------------------------------------------------------


def test_a_later_conflict_of_a_unit_replaces_the_open_one(xero: Xero, two_way: Connection) -> None:
    """I-27: both stay readable."""
    bill = open_bill(two_way)
    for ours, theirs in (("a", "b"), ("c", "d")):
        edit(again(bill), reference=ours)
        xero.act("edit-invoice", invoice=bill.number, reference=theirs)
        push(xero, two_way)
    found = Conflict.objects.filter(bill=bill).order_by("id")
    assert [(c.ours["reference"], c.state) for c in found] == [("a", "replaced"), ("c", "open")]
    assert again(bill).reference == "d"
    judge(xero, two_way)


@pytest.mark.parametrize("keep", [True, False])
def test_going_back_to_xeros_version_sends_nothing(
    xero: Xero, two_way: Connection, keep: bool
) -> None:
    bill = open_bill(two_way)
    was, account = bill.reference, Payment.objects.exclude(account="").first()
    assert account is not None
    edit(bill, reference="mine")
    pay(bill, two_way, Decimal("10"))
    edit(account.bill, reference="mine too")
    for one in (bill, account.bill):
        revert.to_base(Link.objects.get(bill=one), None, NOW, keep=keep)
    assert (again(bill).reference, bill.paid) == (was, 0)
    assert Payment.objects.get(bill=account.bill, remote_id=account.remote_id).account
    found = Conflict.objects.filter(bill=bill, state="open").values_list("unit", flat=True)
    assert sorted(found) == (["payments", "reference"] if keep else [])
    xero.reset_log()
    xero.later(15)
    quiet(xero, two_way)
    assert sent_calls(xero) == []
    judge(xero, two_way)


# --- runs and the schedule ---------------------------------------------------------------------


def test_what_a_run_says_that_it_sent_is_what_xero_took(xero: Xero, two_way: Connection) -> None:
    """I-55, with an answer lost: counted by the run that learns of it, once."""
    first, second, third = open_bills(two_way)[:3]
    edit(first, reference="one")
    edit(second, number=third.number)
    pay(third, two_way, Decimal("10"))
    xero.fault("lose_answer", method="PUT", path="/payments", count=1)
    push(xero, two_way)
    quiet(xero, two_way)
    runs = Run.objects.filter(connection=two_way)
    assert sum(r.sent for r in runs) == 2
    assert sum(r.refused for r in runs) == 1
    told = HistoryEntry.objects.filter(bill__in=(first, third), action=HistoryEntry.SENT)
    assert told.count() == 2


def test_a_sending_moves_no_schedule(xero: Xero, two_way: Connection) -> None:
    due = two_way.next_due_at
    edit(open_bill(two_way), reference="x")
    push(xero, two_way)
    two_way.refresh_from_db()
    assert two_way.next_due_at == due
    soon = xero.clock.now() + timedelta(seconds=10)
    Connection.objects.update(next_due_at=soon)
    edit(open_bill(two_way), reference="y")
    xero.fault("error_503", method="POST", path="/invoices", count=None)
    push(xero, two_way)
    two_way.refresh_from_db()
    assert two_way.next_due_at == soon


def test_while_xero_fails_nothing_is_tried_before_its_time(xero: Xero, two_way: Connection) -> None:
    """No loop: what waits goes with the next try of the schedule."""
    edit(open_bill(two_way), reference="x")
    xero.fault("error_503", count=None, path="api.xro")
    push(xero, two_way)
    two_way.refresh_from_db()
    assert two_way.next_due_at is not None
    now = xero.clock.now()
    wait = int((two_way.next_due_at - now).total_seconds())
    assert sum(jobs.start_due(now + timedelta(seconds=s)) for s in range(5, wait, 5)) == 0
    assert jobs.start_due(two_way.next_due_at) == 1


def test_the_tick_starts_no_sending_for_what_a_person_must_decide(
    xero: Xero, two_way: Connection
) -> None:
    first, second = open_bills(two_way)[:2]
    edit(first, number=second.number)
    _, name = _unlinked_name(xero)
    new = bill_of(two_way, number="NEW-T", client=name)
    outbox.enqueue_create(new, two_way, None, NOW)
    pay(new, two_way, Decimal("5"))
    push(xero, two_way)
    count = Run.objects.count()
    assert jobs.start_due(xero.clock.now()) == 0
    assert not outbox.has_work(two_way, xero.clock.now())
    assert Run.objects.count() == count


def test_a_day_limit_holds_no_worker(xero: Xero, two_way: Connection) -> None:
    """I-40."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.fault(
        "limit_day", method="PUT", path="/payments", count=1, parameters={"retry_after": "3600"}
    )
    run = push(xero, two_way)
    assert (run.error_code, sum(xero.clock.naps)) == ("day_limit", 0)
    xero.heal()
    for minutes in (10, 49):
        xero.later(minutes)
        assert sync(xero, two_way) is None
        assert jobs.start_due(xero.clock.now()) == 0
    xero.later(1)
    quiet(xero, two_way)
    judge(xero, two_way)


def test_many_changes_keep_to_the_minute_limit_without_a_failure(
    xero: Xero, two_way: Connection
) -> None:
    """I-39: 30 payments of one bill leave one after another; no call is refused."""
    bill = open_bill(two_way)
    for _ in range(30):
        pay(bill, two_way, Decimal("1"))
    xero.reset_log()
    run = push(xero, two_way)
    assert (run.state, run.sent) == (Run.State.DONE, 30)
    assert xero.counts()["limited"] == 0
    assert again(bill).paid == 30
    judge(xero, two_way)


@pytest.mark.parametrize(
    "values",
    [
        {"currency": "EUR", "rate": None},
        {"issued_on": date(2026, 11, 3), "due_on": date(2027, 2, 28)},
        {"expected_on": date(2027, 1, 2)},
        {"sent": True},
        {"number": "N 1'2"},
        {"reference": ""},
        {"url": ""},
        {"tax_mode": "inclusive"},
    ],
    ids=lambda values: "-".join(values),
)
def test_every_field_of_the_header_arrives_alone(
    xero: Xero, two_way: Connection, values: dict[str, Any]
) -> None:
    """I-21: nothing else of the invoice says anything else afterwards, but its sums."""
    bill = open_bill(two_way)
    before = invoice_of(xero, bill)
    edit(bill, **values)
    xero.reset_log()
    push(xero, two_way)
    found = item_of(bill)
    assert (found.state, found.error_text) == (State.DONE, "")
    assert not Conflict.objects.exists()
    again(bill)
    assert {name: getattr(bill, name) for name in values if name != "rate"} == {
        name: value for name, value in values.items() if name != "rate"
    }
    after = invoice_of(xero, bill)
    assert (after.contact_id, after.status) == (before.contact_id, before.status)
    assert [x.id for x in after.lines] == [x.id for x in before.lines]
    judge(xero, two_way)
