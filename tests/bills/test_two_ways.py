"""What people do to bills of a bidirectional organisation, and what Xero has afterwards."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied
from tests.bills.given import HOSTILE, a_bill, a_client, a_connection, act, bill_entry, line
from tests.fixtures.xero import NOW
from tests.sync.given import invoice_of, open_bill, push, sent_calls
from tests.sync.hands import done
from tests.sync.moments import judge, quiet

from justpayme.bills.actions import (
    AlreadyDone,
    Changed,
    Locked,
    Refused,
    bill_approve,
    bill_create,
    bill_discard,
    bill_edit,
    bill_send_to_xero,
    bill_void,
    conflict_resolve,
    contact_decide,
    entry_of,
    item_retry,
    payment_record,
    payment_remove,
)
from justpayme.bills.models import Bill, Client, Payment
from justpayme.core.bill import MoneyKind, Status
from justpayme.core.entry import PaymentEntry
from justpayme.sync.models import Conflict, Connection, Link, OutboxItem, Record

TODAY = NOW.date()
State = OutboxItem.State


def edit(who, bill, **values):
    """Change some fields as a person does, on the bill as it is."""
    bill.refresh_from_db()
    entry = replace(entry_of(bill), **values)
    return bill_edit(act=act(who, now=NOW), bill_id=bill.pk, entry=entry, seen=bill.updated_at)


def paying(amount, on=TODAY):
    return PaymentEntry(Decimal(amount), on, "Cheque 001204")


def pay(who, bill, amount, on=TODAY):
    return payment_record(act=act(who, now=NOW), bill_id=bill.pk, entry=paying(amount, on))


def states(bill):
    return list(OutboxItem.objects.filter(bill=bill).order_by("id").values_list("kind", "state"))


# --- edits -----------------------------------------------------------------------------------


def test_an_edit_reaches_the_invoice_and_leaves_the_rest_alone(xero, two_way, alice):
    bill = open_bill(two_way)
    before = invoice_of(xero, bill)
    was = (before.number, before.due_date, [x.id for x in before.lines], before.total)
    edit(alice, bill, reference=HOSTILE[:200])
    assert states(bill) == [("update", "waiting")]
    assert Link.objects.get(bill=bill).edited
    push(xero, two_way)
    after = invoice_of(xero, bill)
    assert after.reference == HOSTILE[:200]
    assert (after.number, after.due_date, [x.id for x in after.lines], after.total) == was
    assert states(bill) == [("update", "done")]


def test_lines_keep_their_ids_and_a_new_one_is_booked_as_usual(xero, two_way, alice):
    bill = open_bill(two_way)
    ids = [x.id for x in invoice_of(xero, bill).lines]
    stored = entry_of(bill)
    extra = line(tax_rate=Decimal(20), unit_amount=Decimal("12.3456"))
    edit(alice, bill, lines=(*stored.lines, extra))
    new = bill.lines.order_by("position").last()
    assert (new.tax_type, new.account_code) == ("OUTPUT2", "200")
    push(xero, two_way)
    bill.refresh_from_db()
    invoice = invoice_of(xero, bill)
    assert [x.id for x in invoice.lines][: len(ids)] == ids
    assert invoice.total == bill.total


def test_the_key_of_a_line_lives_through_syncs(xero, two_way, alice):
    """Who reads a bill, and changes a line a minute later by its id, changes that line."""
    bill = made(alice, two_way, "KEYS-1", line(), line(), line(description=HOSTILE))
    keys = [one.pk for one in bill.lines.all()]
    assert len(set(keys)) == 3
    push(xero, two_way)
    assert [one.pk for one in bill.lines.all()] == keys
    assert all(one.remote_id for one in bill.lines.all())
    xero.act("edit-line", invoice=invoice_of(xero, bill).id, line="1", description="turned")
    done(xero.sync(two_way))
    assert [(one.pk, one.description) for one in bill.lines.all()][1] == (keys[1], "turned")
    assert [one.pk for one in bill.lines.all()] == keys


def test_the_key_of_a_payment_lives_through_syncs(xero, two_way, alice):
    bill = open_bill(two_way)
    pay(alice, bill, "5.00")
    pay(alice, bill, "6.00")
    keys = {one.amount: one.pk for one in bill.payments.all()}
    push(xero, two_way)
    assert {one.amount: one.pk for one in bill.payments.all()} == keys
    assert all(one.remote_id for one in bill.payments.all())
    payment_remove(act=act(alice, now=NOW), bill_id=bill.pk, payment_id=keys[Decimal(5)])
    push(xero, two_way)
    assert [one.pk for one in bill.payments.all()] == [keys[Decimal(6)]]


def test_a_form_that_was_open_while_lines_were_written_keeps_what_xero_knows(xero, two_way, alice):
    """A flat discount, the item, the tracking and the line itself in Xero (I-12, I-21)."""
    bill = open_bill(two_way)
    opened = entry_of(bill)
    invoice = invoice_of(xero, bill)
    ids = [one.id for one in invoice.lines]
    xero.act("edit-line", invoice=invoice.id, line="0", description="by the bookkeeper")
    done(xero.sync(two_way))
    mine = (replace(opened.lines[0], quantity=Decimal(7)), *opened.lines[1:])
    edit(alice, bill, lines=mine)
    push(xero, two_way)
    assert [one.id for one in invoice_of(xero, bill).lines] == ids


@pytest.mark.parametrize("typed", ["tax_type", "tax_rate"])
def test_a_changed_quantity_is_taxed_at_the_organisations_rate(two_way, alice, typed):
    """The tax of a few pence fits many rates; that of a thousand times as many tells them."""
    bill = made(alice, two_way, "PENCE-1", line(unit_amount=Decimal("0.12"), tax_type="OUTPUT2"))
    (few,) = entry_of(bill).lines
    assert bill.tax_total == Decimal("0.02")
    many = replace(few, quantity=Decimal(1000))
    edit(alice, bill, lines=(many if typed == "tax_type" else replace(many, tax_type=""),))
    bill.refresh_from_db()
    assert (bill.sub_total, bill.tax_total) == (120, 24)
    assert bill.lines.get().tax_type == "OUTPUT2"


def made(who, connection, number, *lines):
    """A bill made here that is to become an invoice."""
    client = Client.objects.filter(link__connection=connection, archived=False).order_by("pk")[0]
    entry = bill_entry(client, number=number, lines=lines)
    return bill_create(act=act(who, now=NOW), entry=entry, approve=True, also_in_xero=connection.pk)


def test_a_percentage_typed_here_never_goes_to_xero(two_way, alice):
    bill = open_bill(two_way)
    stored = entry_of(bill)
    with pytest.raises(Refused) as refused:
        edit(alice, bill, lines=(*stored.lines, line(tax_rate=Decimal("17.5"))))
    key = f"lines-{len(stored.lines)}-tax_rate"
    assert refused.value.problems[key] == (
        "Xero has no tax rate of 17.5% for sales. Choose one of its rates."
    )
    assert not bill.lines.filter(tax_type__endswith="%").exists()


def test_an_unknown_tax_rate_or_account_is_refused_by_its_field(two_way, alice):
    bill = open_bill(two_way)
    for name in ("tax_type", "account_code"):
        wrong = replace(line(), **{name: "<b>" if name == "account_code" else HOSTILE[:50]})
        with pytest.raises(Refused) as refused:
            edit(alice, bill, lines=(*entry_of(bill).lines, wrong))
        assert [key.rpartition("-")[2] for key in refused.value.problems] == [name]
    assert states(bill) == []


def test_words_of_a_line_change_without_a_penny_moving(two_way, alice):
    bill = open_bill(two_way)
    first = bill.lines.order_by("position")[0]
    bill.lines.filter(pk=first.pk).update(tax_amount=first.tax_amount + Decimal("0.01"))
    totals = (bill.sub_total, bill.tax_total, bill.total)
    stored = entry_of(bill)
    edit(alice, bill, lines=(replace(stored.lines[0], description="New words"), *stored.lines[1:]))
    bill.refresh_from_db()
    again = bill.lines.order_by("position")[0]
    assert again.description == "New words"
    assert again.tax_amount == first.tax_amount + Decimal("0.01")
    assert (bill.sub_total, bill.tax_total, bill.total) == totals


LATER = date(2027, 1, 31)


@pytest.mark.parametrize(
    ("field", "value"),
    [("issued_on", LATER), ("due_on", LATER), ("number", "X-9"), ("reference", "New")],
)
def test_a_locked_period_refuses_each_field_by_its_name(two_way, alice, field, value):
    bill = open_bill(two_way)
    Connection.objects.filter(pk=two_way.pk).update(period_lock_date=date(2026, 12, 31))
    with pytest.raises(Refused) as refused:
        edit(alice, bill, due_on=LATER, **({field: value} if field != "due_on" else {}))
    assert "locked its books up to 31 December 2026" in refused.value.problems[field]
    assert states(bill) == []
    assert bill.history.filter(source="person").count() == 0


def test_money_on_a_bill_closes_its_amounts_but_not_its_due_date(xero, two_way, alice):
    bill = open_bill(two_way)
    pay(alice, bill, "1")
    push(xero, two_way)
    stored = entry_of(bill)
    dearer = replace(stored.lines[0], unit_amount=stored.lines[0].unit_amount + 1)
    with pytest.raises(Refused, match="closed this part") as refused:
        edit(alice, bill, lines=(dearer, *stored.lines[1:]), issued_on=TODAY)
    assert set(refused.value.problems) == {"lines", "issued_on"}
    edit(alice, bill, due_on=LATER)
    push(xero, two_way)
    assert invoice_of(xero, bill).due_date == LATER


def test_a_stale_form_is_refused(two_way, alice):
    bill = open_bill(two_way)
    seen = bill.updated_at - timedelta(seconds=1)
    with pytest.raises(Changed):
        bill_edit(act=act(alice), bill_id=bill.pk, entry=entry_of(bill), seen=seen)
    for verb in (bill_void, bill_approve):
        with pytest.raises(Changed):
            verb(act=act(alice), bill_id=bill.pk, seen=seen)
    with pytest.raises(Changed):
        payment_record(act=act(alice), bill_id=bill.pk, entry=paying("1"), seen=seen)


def test_what_xero_can_not_empty_must_stay_filled(two_way, alice):
    bill = open_bill(two_way)
    with pytest.raises(Refused, match="can't make this empty") as refused:
        edit(alice, bill, number="")
    assert set(refused.value.problems) == {"number"}


def test_an_organisation_that_went_one_directional_takes_no_edit(two_way, alice):
    bill = open_bill(two_way)
    Connection.objects.filter(pk=two_way.pk).update(direction="one")
    with pytest.raises(Locked):
        edit(alice, bill, reference="New")
    assert states(bill) == []


# --- void ------------------------------------------------------------------------------------


def test_a_void_bill_is_void_in_xero(xero, two_way, alice):
    bill = open_bill(two_way)
    bill_void(act=act(alice, now=NOW), bill_id=bill.pk)
    push(xero, two_way)
    assert invoice_of(xero, bill).status == "VOIDED"
    assert states(bill) == [("update", "done")]


def test_a_bill_with_money_on_it_is_not_made_void(xero, two_way, alice):
    bill = open_bill(two_way)
    pay(alice, bill, "1")
    with pytest.raises(Refused, match="Remove its payments first"):
        bill_void(act=act(alice), bill_id=bill.pk)


def test_a_bill_with_a_credit_says_so(two_way, alice):
    credited = Payment.objects.filter(
        bill__link__connection=two_way, kind=MoneyKind.CREDIT, bill__paid=0
    ).first()
    assert credited is not None
    with pytest.raises(Refused, match="Take the credit off"):
        bill_void(act=act(alice), bill_id=credited.bill_id)


# --- payments --------------------------------------------------------------------------------


def test_a_payment_is_in_xero_once_and_can_be_taken_back(xero, two_way, alice):
    bill = open_bill(two_way)
    owed = bill.outstanding
    payment = pay(alice, bill, "40")
    bill.refresh_from_db()
    assert (bill.paid, bill.outstanding) == (40, owed - 40)
    push(xero, two_way)
    assert invoice_of(xero, bill).amount_paid == 40
    payment = bill.payments.get()
    assert payment.remote_id
    payment_remove(act=act(alice, now=NOW), bill_id=bill.pk, payment_id=payment.pk)
    push(xero, two_way)
    bill.refresh_from_db()
    assert (bill.paid, bill.outstanding, bill.status) == (0, owed, Status.ACTIVE)
    assert invoice_of(xero, bill).amount_paid == 0
    assert states(bill) == [("pay", "done"), ("unpay", "done")]


def test_the_whole_amount_makes_the_bill_paid_in_both_books(xero, two_way, alice):
    bill = open_bill(two_way)
    pay(alice, bill, str(bill.outstanding.normalize()))
    bill.refresh_from_db()
    assert (bill.status, bill.outstanding, bill.fully_paid_on) == (Status.PAID, 0, TODAY)
    push(xero, two_way)
    assert invoice_of(xero, bill).status == "PAID"


@pytest.mark.parametrize("paid", ["before Xero has it", "with the approval"])
def test_a_draft_in_xero_that_is_made_active_and_paid_here_is_approved_and_paid_there(
    xero, two_way, alice, paid
):
    """Paid here is more than Xero can be told of a draft: it is approved first."""
    first = paid == "before Xero has it"
    Connection.objects.filter(pk=two_way.pk).update(create_as="DRAFT")
    entry = bill_entry(a_client(alice, "Bellweather Bakery"), number="NEW-1")
    bill = bill_create(act=act(alice), entry=entry, approve=first, also_in_xero=two_way.pk)
    owed = str(bill.outstanding.normalize())
    if first:
        pay(alice, bill, owed)
    push(xero, two_way)
    assert invoice_of(xero, bill).status == "DRAFT"
    bill_approve(act=act(alice, now=NOW), bill_id=bill.pk)
    if not first:
        pay(alice, bill, owed)
    push(xero, two_way)
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert (bill.status, invoice_of(xero, bill).status) == (Status.PAID, "PAID")
    assert {state for _, state in states(bill)} == {"done"}
    assert not Conflict.objects.exists()
    judge(xero, two_way)


def test_approved_on_both_sides_and_paid_in_xero_is_no_disagreement(xero, two_way, alice):
    """Whether an open bill is paid is Xero's word."""
    Connection.objects.filter(pk=two_way.pk).update(create_as="DRAFT")
    entry = bill_entry(a_client(alice, "Bellweather Bakery"), number="NEW-1")
    bill = bill_create(act=act(alice), entry=entry, approve=False, also_in_xero=two_way.pk)
    push(xero, two_way)
    bill_approve(act=act(alice, now=NOW), bill_id=bill.pk)
    invoice = invoice_of(xero, bill)
    xero.act("approve-invoice", invoice=invoice.id)
    xero.act("record-payment", invoice=invoice.id, amount=str(invoice.total))
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert (bill.status, Conflict.objects.count()) == (Status.PAID, 0)
    judge(xero, two_way)


def test_a_payment_that_never_left_is_just_dropped(xero, two_way, alice):
    bill = open_bill(two_way)
    payment = pay(alice, bill, "40")
    payment_remove(act=act(alice), bill_id=bill.pk, payment_id=payment.pk)
    xero.sync(two_way)
    assert sent_calls(xero) == []


def test_a_payment_in_a_locked_period_is_refused_here(xero, two_way, alice):
    bill = open_bill(two_way)
    before = TODAY - timedelta(days=400)
    Connection.objects.filter(pk=two_way.pk).update(year_lock_date=before)
    with pytest.raises(Refused, match="locked its books") as refused:
        pay(alice, bill, "1", on=before)
    assert set(refused.value.problems) == {"on"}
    assert pay(alice, bill, "1", on=before + timedelta(days=1)).pk


@pytest.mark.parametrize(
    ("change", "words"),
    [("write_back", "not sent to Xero"), ("account", "no account for payments in GBP")],
)
def test_payments_that_have_no_way_to_xero_say_why(two_way, alice, change, words):
    bill = open_bill(two_way)
    if change == "account":
        two_way.receiving_accounts.all().delete()
    else:
        Connection.objects.filter(pk=two_way.pk).update(write_back=False)
    with pytest.raises(Refused, match=words) as refused:
        pay(alice, bill, "1")
    assert refused.value.settings_of == two_way.pk
    assert bill.payments.count() == 0


# --- new invoices ----------------------------------------------------------------------------


def test_a_new_bill_is_created_in_xero_too(xero, two_way, alice):
    client = a_client(alice, "Bellweather Bakery")
    entry = bill_entry(client, number="NEW-1", due_on=date(2026, 12, 30))
    bill = bill_create(
        act=act(alice, token="f1", now=NOW), entry=entry, approve=True, also_in_xero=two_way.pk
    )
    assert bill.lines.get().tax_type == "OUTPUT2"
    push(xero, two_way)
    invoice = invoice_of(xero, bill)
    assert (invoice.number, invoice.status, invoice.total) == ("NEW-1", "AUTHORISED", bill.total)
    with pytest.raises(AlreadyDone):
        bill_create(act=act(alice, token="f1"), entry=entry, also_in_xero=two_way.pk)


def test_a_new_bill_that_xero_would_refuse_is_not_stored(two_way, alice):
    client, count = a_client(alice), Bill.objects.count()
    for values in ({"number": ""}, {"currency": "JPY"}):
        entry = bill_entry(client, **values)
        with pytest.raises(Refused):
            bill_create(act=act(alice), entry=entry, also_in_xero=two_way.pk)
    used = open_bill(two_way).number
    with pytest.raises(Refused):
        bill_create(act=act(alice), entry=bill_entry(client, number=used), also_in_xero=two_way.pk)
    assert Bill.objects.count() == count


def test_nobody_sends_a_bill_to_somebody_else_s_organisation(two_way, alice, charlie):
    theirs = a_connection(charlie.memberships.get().business, direction="two", defaults_set_at=NOW)
    entry = bill_entry(a_client(alice))
    with pytest.raises(Refused, match="Choose an organisation"):
        bill_create(act=act(alice), entry=entry, also_in_xero=theirs.pk)


def test_a_bill_made_here_follows_with_its_payments(xero, two_way, alice):
    bill = a_bill(alice, number="OLD-7", due_on=date(2026, 12, 30))
    payment_record(act=act(alice), bill_id=bill.pk, entry=paying("20"))
    bill_send_to_xero(act=act(alice, now=NOW), bill_id=bill.pk, connection_id=two_way.pk)
    push(xero, two_way)
    invoice = invoice_of(xero, bill)
    assert (invoice.number, invoice.amount_paid, invoice.amount_due) == ("OLD-7", 20, 100)
    with pytest.raises(Refused, match="an invoice in Xero already"):
        bill_send_to_xero(act=act(alice), bill_id=bill.pk, connection_id=two_way.pk)


def test_payments_that_can_not_follow_keep_the_bill_here(two_way, alice):
    Connection.objects.filter(pk=two_way.pk).update(write_back=False)
    bill = a_bill(alice, number="OLD-7")
    payment_record(act=act(alice), bill_id=bill.pk, entry=paying("20"))
    with pytest.raises(Refused, match="not sent to Xero"):
        bill_send_to_xero(act=act(alice), bill_id=bill.pk, connection_id=two_way.pk)
    assert states(bill) == []


def test_a_new_invoice_can_be_kept_here_after_all(xero, two_way, alice):
    bill = a_bill(alice, number="OLD-7")
    payment_record(act=act(alice), bill_id=bill.pk, entry=paying("20"))
    bill_send_to_xero(act=act(alice), bill_id=bill.pk, connection_id=two_way.pk)
    bill_discard(act=act(alice), bill_id=bill.pk)
    push(xero, two_way)
    assert [c for c in sent_calls(xero) if "Invoices" in c["path"]] == []
    assert bill.payments.get().reference == "Cheque 001204"


# --- refusals, conflicts, contacts -------------------------------------------------------------


def test_discarding_takes_xero_s_version(xero, two_way, alice):
    bill = open_bill(two_way)
    was = bill.reference
    edit(alice, bill, reference="Mine")
    bill_discard(act=act(alice), bill_id=bill.pk)
    bill.refresh_from_db()
    assert bill.reference == was
    xero.sync(two_way)
    assert sent_calls(xero) == []


def clash(xero, two_way, alice):
    """Both changed the due date differently, and Xero's stands."""
    bill = open_bill(two_way)
    invoice = str(Link.objects.get(bill=bill).invoice_id)
    edit(alice, bill, due_on=LATER, reference="Hall doors")
    xero.act("edit-invoice", invoice=invoice, due_date="2027-02-02")
    push(xero, two_way)
    bill.refresh_from_db()
    return bill, Conflict.objects.get(bill=bill, state="open")


def test_mine_goes_out_after_all(xero, two_way, alice):
    bill, conflict = clash(xero, two_way, alice)
    assert (bill.due_on, bill.reference) == (date(2027, 2, 2), "Hall doors")
    conflict_resolve(act=act(alice, now=NOW), conflict_ids=[conflict.pk], choice="mine")
    bill.refresh_from_db()
    assert bill.due_on == LATER
    push(xero, two_way)
    assert invoice_of(xero, bill).due_date == LATER
    conflict.refresh_from_db()
    assert (conflict.state, conflict.resolved_by) == ("sent", alice)


def test_xero_s_is_kept_without_a_call(xero, two_way, alice):
    bill, conflict = clash(xero, two_way, alice)
    calls = len(sent_calls(xero))
    conflict_resolve(act=act(alice), conflict_ids=[conflict.pk], choice="xero")
    xero.sync(two_way)
    bill.refresh_from_db()
    assert bill.due_on == date(2027, 2, 2)
    assert len(sent_calls(xero)) == calls
    conflict.refresh_from_db()
    assert conflict.state == "kept"


def test_a_conflict_that_is_locked_now_stays_open_with_the_reason(xero, two_way, alice):
    _, conflict = clash(xero, two_way, alice)
    Connection.objects.filter(pk=two_way.pk).update(period_lock_date=LATER)
    with pytest.raises(Refused, match="locked its books"):
        conflict_resolve(act=act(alice), conflict_ids=[conflict.pk], choice="mine")
    conflict.refresh_from_db()
    assert conflict.state == "open"


def test_a_refused_change_is_tried_again(two_way, alice):
    bill = open_bill(two_way)
    edit(alice, bill, reference="New")
    item = OutboxItem.objects.get(bill=bill)
    OutboxItem.objects.filter(pk=item.pk).update(state=State.REFUSED, error_code="number_in_use")
    assert item_retry(act=act(alice), item_ids=[item.pk]) == 1
    item.refresh_from_db()
    assert (item.state, item.error_code) == ("waiting", "")


def contact_question(two_way, alice):
    """A new client whose name a contact in Xero has, and its bill."""
    record = Record.objects.filter(connection=two_way, kind=Record.Kind.CONTACT)
    taken = set(two_way.client_links.values_list("contact_id", flat=True))
    free = next(r for r in record if r.remote_id not in {str(c) for c in taken})
    client = a_client(alice, free.data["name"])
    bill = bill_create(
        act=act(alice), entry=bill_entry(client, number="NEW-3"), also_in_xero=two_way.pk
    )
    return bill, OutboxItem.objects.get(client=client), free.remote_id


def test_a_person_says_which_contact_a_client_is(xero, two_way, alice):
    bill, item, contact = contact_question(two_way, alice)
    assert item.state == State.PARKED
    with pytest.raises(Refused, match="contacts shown"):
        contact_decide(act=act(alice), item_id=item.pk, contact_id="somebody")
    if item.detail["contacts"][0]["archived"]:
        pytest.fail("the sample contact should be active")
    contact_decide(act=act(alice, now=NOW), item_id=item.pk, contact_id=contact)
    push(xero, two_way)
    assert invoice_of(xero, bill).contact_id == contact


# --- rights ----------------------------------------------------------------------------------


def test_viewers_and_strangers_do_nothing(xero, two_way, alice, vera, charlie):
    bill, conflict = clash(xero, two_way, alice)
    item = OutboxItem.objects.filter(bill=bill)[0]
    calls = [
        lambda who: bill_edit(act=act(who), bill_id=bill.pk, entry=entry_of(bill)),
        lambda who: bill_void(act=act(who), bill_id=bill.pk),
        lambda who: bill_discard(act=act(who), bill_id=bill.pk),
        lambda who: payment_record(act=act(who), bill_id=bill.pk, entry=paying("1")),
        lambda who: bill_send_to_xero(act=act(who), bill_id=bill.pk, connection_id=two_way.pk),
        lambda who: conflict_resolve(act=act(who), conflict_ids=[conflict.pk], choice="mine"),
        lambda who: item_retry(act=act(who), item_ids=[item.pk]),
        lambda who: contact_decide(act=act(who), item_id=item.pk, contact_id=None),
    ]
    missing = (Bill.DoesNotExist, Conflict.DoesNotExist, OutboxItem.DoesNotExist, Refused)
    for call in calls:
        with pytest.raises(PermissionDenied):
            call(vera)
        with pytest.raises(missing):
            call(charlie)
    conflict.refresh_from_db()
    assert conflict.state == "open"
