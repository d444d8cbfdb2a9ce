"""What people may do to bills, clients and payments, and what is refused."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.utils import DatabaseError
from tests.bills.given import (
    HOSTILE,
    NOW,
    TODAY,
    a_bill,
    a_client,
    a_connection,
    act,
    bill_entry,
    client_linked,
    line,
    linked,
)

from justpayme.accounts.models import Business
from justpayme.bills import currencies
from justpayme.bills.actions import (
    AlreadyDone,
    Changed,
    Locked,
    Refused,
    bill_approve,
    bill_create,
    bill_edit,
    bill_void,
    client_create,
    client_edit,
    entry_of,
    payment_record,
    payment_remove,
)
from justpayme.bills.models import Bill, Client, HistoryEntry, Line, Payment
from justpayme.core.bill import MoneyKind, Status, TaxMode
from justpayme.core.entry import ClientEntry, PaymentEntry
from justpayme.sync.models import Connection

LATER = NOW + timedelta(minutes=5)
OWNING = [Connection.State.LIVE, Connection.State.LOST, Connection.State.HALTED]


def paying(amount: str) -> PaymentEntry:
    return PaymentEntry(Decimal(amount), TODAY, "Cheque 001204")


def test_a_new_bill_is_a_draft_with_totals_of_its_lines(bob):
    bill = a_bill(bob, approve=False, lines=(line(), line(unit_amount=Decimal("50.25"))))
    bill.refresh_from_db()
    assert bill.status == Status.DRAFT
    assert (bill.sub_total, bill.tax_total, bill.total) == (
        Decimal("150.25"),
        Decimal("30.05"),
        Decimal("180.30"),
    )
    assert bill.outstanding == bill.total
    assert [entry.action for entry in bill.history.all()] == ["created"]


def test_hostile_text_is_kept_letter_by_letter(alice):
    client = client_create(act=act(alice), entry=ClientEntry(name=HOSTILE, address=HOSTILE))
    bill = a_bill(alice, client, reference=HOSTILE, lines=(line(description=HOSTILE),))
    bill.refresh_from_db()
    assert (bill.reference, bill.lines.get().description) == (HOSTILE, HOSTILE)
    assert Client.objects.get(pk=client.pk).address == HOSTILE


def test_a_bill_may_be_owed_from_the_start(alice):
    bill = a_bill(alice, approve=True)
    assert bill.status == Status.ACTIVE
    assert [e.action for e in bill.history.order_by("id")] == ["created", "approved"]


def test_a_bill_of_nothing_is_paid_when_it_becomes_active(alice):
    bill = a_bill(alice, lines=(line(unit_amount=Decimal(0)),))
    assert (bill.status, bill.fully_paid_on) == (Status.PAID, TODAY)


@pytest.mark.parametrize("missing", [{"number": ""}, {"due_on": None}])
def test_a_draft_without_a_number_or_due_date_stays_a_draft(alice, missing):
    bill = a_bill(alice, approve=False, **missing)
    with pytest.raises(Refused) as refused:
        bill_approve(act=act(alice), bill_id=bill.pk)
    assert set(refused.value.problems) == set(missing)
    bill.refresh_from_db()
    assert bill.status == Status.DRAFT


def test_an_edit_writes_each_old_and_new_value(alice):
    bill = a_bill(alice, number="B-1", lines=(line(),))
    entry = bill_entry(
        bill.client,
        number="B-1",
        reference="Hall doors",
        due_on=date(2026, 12, 3),
        lines=(line(unit_amount=Decimal(200)),),
    )
    bill_edit(act=act(alice, now=LATER), bill_id=bill.pk, entry=entry)
    last = bill.history.order_by("-id")[0]
    changes = {change["field"]: (change["old"], change["new"]) for change in last.changes}
    assert changes["reference"] == ("", "Hall doors")
    assert changes["due_on"] == ("2026-11-30", "2026-12-03")
    assert [Decimal(value) for value in changes["total"]] == [120, 240]
    assert changes["lines"][1][0]["unit_amount"] == "200"
    assert (last.source, last.by) == (HistoryEntry.Source.PERSON, alice)


def test_an_edit_that_changes_nothing_leaves_no_trace(alice):
    bill = a_bill(alice)
    bill_edit(act=act(alice, now=LATER), bill_id=bill.pk, entry=entry_of(bill))
    bill.refresh_from_db()
    assert bill.updated_at == NOW
    assert bill.history.count() == 2


def test_totals_from_xero_are_not_recomputed_when_only_the_reference_changes(alice):
    """A parted bill whose tax was typed by hand in Xero keeps it to the penny (I-12)."""
    bill = a_bill(alice)
    Line.objects.filter(bill=bill).update(tax_type="OUTPUT2", tax_amount=Decimal("19.99"))
    Bill.objects.filter(pk=bill.pk).update(tax_total=Decimal("19.99"), total=Decimal("119.99"))
    bill.refresh_from_db()
    entry = bill_entry(bill.client, number=bill.number, reference="New", lines=entry_of(bill).lines)
    bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)
    bill.refresh_from_db()
    assert (bill.reference, bill.total) == ("New", Decimal("119.99"))
    assert bill.lines.get().tax_type == "OUTPUT2"


def test_a_line_keeps_what_only_xero_knows_about_it(alice):
    bill = a_bill(alice, lines=(line(), line(description="Ironmongery")))
    first = bill.lines.all()[0]
    Line.objects.filter(pk=first.pk).update(
        remote_id="line-1", account_code="200", tax_type="OUTPUT2"
    )
    kept = line(line_id=first.pk, quantity=Decimal(2))
    entry = bill_entry(bill.client, number=bill.number, lines=(line(description="New"), kept))
    bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)
    new, old = bill.lines.all()
    assert (new.remote_id, new.tax_type) == ("", "20%")
    assert (old.remote_id, old.account_code, old.tax_type) == ("line-1", "200", "OUTPUT2")
    assert old.line_amount == 200


def test_the_line_of_another_bill_is_refused_and_brings_nothing_along(alice):
    theirs = a_bill(alice)
    Line.objects.filter(bill=theirs).update(remote_id="secret", account_code="999")
    foreign = theirs.lines.get().pk
    bill = a_bill(alice, theirs.client)
    entry = bill_entry(bill.client, number=bill.number, lines=(line(line_id=foreign),))
    with pytest.raises(Refused) as refused:
        bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)
    assert refused.value.problems == {
        "lines-0-line_id": "The bill has no such line any more. Open it again."
    }
    assert (bill.lines.get().remote_id, bill.lines.get().account_code) == ("", "")
    assert theirs.lines.get().pk == foreign


def test_a_line_keeps_its_key_through_edits(alice):
    """Two windows are open: what the second one names is still there."""
    bill = a_bill(alice, lines=(line(), line(description="Ironmongery")))
    keys = [one.pk for one in bill.lines.all()]
    stored = entry_of(bill).lines
    entry = bill_entry(bill.client, number=bill.number, lines=(line(), *reversed(stored)))
    bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)
    assert [one.pk for one in bill.lines.all()][1:] == keys[::-1]


def test_a_line_named_twice_is_itself_once(alice):
    bill = a_bill(alice)
    Line.objects.filter(bill=bill).update(remote_id="line-1")
    kept = entry_of(bill).lines[0]
    bill_edit(
        act=act(alice),
        bill_id=bill.pk,
        entry=bill_entry(bill.client, number=bill.number, lines=(kept, kept)),
    )
    first, second = bill.lines.all()
    assert (first.pk, first.remote_id) == (kept.line_id, "line-1")
    assert second.remote_id == ""


def test_a_price_that_comes_later_is_taxed_as_the_line_says(alice):
    """Of no amount there was no tax to see the rate by."""
    bill = a_bill(alice, lines=(line(unit_amount=Decimal(0), tax_rate=Decimal(20)),))
    later = replace(entry_of(bill).lines[0], unit_amount=Decimal(500))
    entry = bill_entry(bill.client, number=bill.number, lines=(later,))
    bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)
    bill.refresh_from_db()
    assert (bill.tax_total, bill.total) == (100, 600)


def test_saving_over_a_change_by_somebody_else_is_noticed(alice, bob):
    bill = a_bill(alice)
    opened = bill.updated_at
    entry = bill_entry(bill.client, number=bill.number, reference="Bob's")
    bill_edit(act=act(bob, now=LATER), bill_id=bill.pk, entry=entry, seen=opened)
    mine = bill_entry(bill.client, number=bill.number, reference="Alice's")
    with pytest.raises(Changed, match="changed while you had it open"):
        bill_edit(act=act(alice), bill_id=bill.pk, entry=mine, seen=opened)
    bill.refresh_from_db()
    assert bill.reference == "Bob's"


def test_the_same_form_sent_twice_makes_one_bill(alice):
    entry = bill_entry(a_client(alice), number="B-1")
    first = bill_create(act=act(alice, token="form-1"), entry=entry)
    with pytest.raises(AlreadyDone) as done:
        bill_create(act=act(alice, token="form-1"), entry=entry)
    assert done.value.target_id == first.pk
    assert Bill.objects.count() == 1


def test_a_refused_form_can_be_sent_again(alice):
    client = a_client(alice)
    with pytest.raises(Refused):
        bill_create(act=act(alice, token="form-1"), entry=bill_entry(client, lines=()))
    assert bill_create(act=act(alice, token="form-1"), entry=bill_entry(client)).pk


def test_sent_forms_are_forgotten_after_two_days(alice):
    client_create(act=act(alice, token="form-1"), entry=ClientEntry(name="Once"))
    much_later = NOW + timedelta(days=3)
    client_create(act=act(alice, token="form-2", now=much_later), entry=ClientEntry(name="Two"))
    client_create(act=act(alice, token="form-1", now=much_later), entry=ClientEntry(name="Three"))
    assert Client.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_form_sent_twice_at_once_makes_one_payment(alice):
    bill = a_bill(alice)
    gate, errors = threading.Barrier(2), []

    def press() -> None:
        gate.wait()
        try:
            payment_record(act=act(alice, token="pay-1"), bill_id=bill.pk, entry=paying("50"))
        except AlreadyDone as error:
            errors.append(error)
        finally:
            connection.close()

    pressed = [threading.Thread(target=press) for _ in range(2)]
    for thread in pressed:
        thread.start()
    for thread in pressed:
        thread.join()
    bill.refresh_from_db()
    assert (len(errors), bill.paid, bill.payments.count()) == (1, 50, 1)


def test_a_part_payment_leaves_the_rest_outstanding(alice):
    bill = a_bill(alice)
    payment_record(act=act(alice), bill_id=bill.pk, entry=paying("20"))
    bill.refresh_from_db()
    assert (bill.status, bill.paid, bill.outstanding) == (Status.ACTIVE, 20, 100)


def test_a_bill_is_paid_exactly_when_nothing_is_outstanding(alice):
    bill = a_bill(alice)
    payment_record(act=act(alice), bill_id=bill.pk, entry=paying("20"))
    payment_record(act=act(alice), bill_id=bill.pk, entry=paying("100"))
    bill.refresh_from_db()
    assert (bill.status, bill.outstanding, bill.fully_paid_on) == (Status.PAID, 0, TODAY)


def test_a_bill_of_nothing_is_paid_on_the_day_of_the_business(alice):
    Business.objects.update(time_zone="Pacific/Auckland")
    late = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
    entry = bill_entry(a_client(alice), lines=(line(unit_amount=Decimal(0)),))
    bill = bill_create(act=act(alice, now=late), entry=entry, approve=True)
    assert (bill.status, bill.fully_paid_on) == (Status.PAID, date(2026, 11, 23))


def test_an_amount_in_a_refusal_is_never_rounded(alice):
    assert currencies.text(Decimal("0.0049"), "GBP") == "£0.0049"
    assert currencies.text(Decimal("1234.5"), "GBP") == "£1,234.50"
    assert currencies.text(Decimal("1500"), "JPY") == "JP¥1,500"


def test_removing_a_payment_makes_the_bill_owed_again(alice):
    bill = a_bill(alice)
    payment = payment_record(act=act(alice), bill_id=bill.pk, entry=paying("120"))
    payment_remove(act=act(alice), bill_id=bill.pk, payment_id=payment.pk)
    bill.refresh_from_db()
    assert (bill.status, bill.outstanding, bill.paid) == (Status.ACTIVE, 120, 0)
    assert bill.fully_paid_on is None
    assert bill.history.order_by("-id")[0].action == "unpaid"


def test_a_credit_from_xero_cannot_be_removed(alice):
    bill = a_bill(alice)
    credit = Payment.objects.create(bill=bill, kind=MoneyKind.CREDIT, amount=5)
    with pytest.raises(Refused, match="Only payments"):
        payment_remove(act=act(alice), bill_id=bill.pk, payment_id=credit.pk)
    assert bill.payments.count() == 1


def test_a_payment_of_another_bill_is_not_found(alice):
    bill, other = a_bill(alice), a_bill(alice)
    payment = payment_record(act=act(alice), bill_id=other.pk, entry=paying("1"))
    with pytest.raises(Payment.DoesNotExist):
        payment_remove(act=act(alice), bill_id=bill.pk, payment_id=payment.pk)
    assert other.payments.count() == 1


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        ("0", "above zero"),
        ("-1", "above zero"),
        ("NaN", "above zero"),
        ("Infinity", "above zero"),
        ("120.01", "more than the £120.00 outstanding"),
        ("1E+400", "more than the"),
        ("1.005", "2 decimals"),
    ],
)
def test_a_payment_that_cannot_be_is_refused(alice, amount, says):
    bill = a_bill(alice)
    with pytest.raises(Refused) as refused:
        payment_record(act=act(alice), bill_id=bill.pk, entry=paying(amount))
    assert says in refused.value.problems["amount"]
    assert bill.payments.count() == 0


@pytest.mark.parametrize("status", [Status.DRAFT, Status.PAID, Status.VOID])
def test_only_an_active_bill_takes_payments(alice, status):
    bill = a_bill(alice)
    Bill.objects.filter(pk=bill.pk).update(status=status)
    with pytest.raises(Refused):
        payment_record(act=act(alice), bill_id=bill.pk, entry=paying("1"))
    assert bill.payments.count() == 0


def test_the_total_cannot_fall_below_what_was_paid(alice):
    bill = a_bill(alice)
    payment_record(act=act(alice), bill_id=bill.pk, entry=paying("100"))
    entry = bill_entry(bill.client, number=bill.number, lines=(line(unit_amount=Decimal(10)),))
    with pytest.raises(Refused, match=r"£100\.00"):
        bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)


def test_a_paid_bill_whose_total_grows_is_owed_again(alice):
    bill = a_bill(alice)
    payment_record(act=act(alice), bill_id=bill.pk, entry=paying("120"))
    entry = bill_entry(bill.client, number=bill.number, lines=(line(unit_amount=Decimal(200)),))
    bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)
    bill.refresh_from_db()
    assert (bill.status, bill.outstanding) == (Status.ACTIVE, 120)


def test_a_void_bill_is_kept_and_owes_nothing(alice):
    bill = a_bill(alice)
    bill_void(act=act(alice), bill_id=bill.pk)
    bill.refresh_from_db()
    assert (bill.status, bill.outstanding, bill.total) == (Status.VOID, 0, 120)


def test_a_void_bill_stays_as_it_is(alice):
    bill = a_bill(alice)
    bill_void(act=act(alice), bill_id=bill.pk)
    with pytest.raises(Refused, match="void"):
        bill_edit(act=act(alice), bill_id=bill.pk, entry=entry_of(bill))
    with pytest.raises(Refused, match="void already"):
        bill_void(act=act(alice), bill_id=bill.pk)


def test_a_bill_with_payments_is_not_voided(alice):
    bill = a_bill(alice)
    payment_record(act=act(alice), bill_id=bill.pk, entry=paying("1"))
    with pytest.raises(Refused, match="Remove its payments first"):
        bill_void(act=act(alice), bill_id=bill.pk)


def verbs(user, bill):
    """Every verb on one bill, ready to be called."""
    entry = entry_of(bill)
    payment = bill.payments.first()
    return {
        "edit": lambda: bill_edit(act=act(user), bill_id=bill.pk, entry=entry),
        "void": lambda: bill_void(act=act(user), bill_id=bill.pk),
        "approve": lambda: bill_approve(act=act(user), bill_id=bill.pk),
        "pay": lambda: payment_record(act=act(user), bill_id=bill.pk, entry=paying("1")),
        "unpay": lambda: payment_remove(act=act(user), bill_id=bill.pk, payment_id=payment.pk),
        "client": lambda: client_edit(
            act=act(user), client_id=bill.client_id, entry=ClientEntry(name="X")
        ),
    }


VERBS = ["edit", "void", "approve", "pay", "unpay", "client"]


@pytest.fixture
def bill(alice):
    made = a_bill(alice)
    payment_record(act=act(alice), bill_id=made.pk, entry=paying("20"))
    made.refresh_from_db()
    return made


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", OWNING)
def test_a_bill_of_a_connected_organisation_is_locked(alice, business, bill, verb, state):
    owner = a_connection(business, state=state)
    linked(bill, owner)
    client_linked(bill.client, owner)
    entries = HistoryEntry.objects.count()
    with pytest.raises(Locked, match="Hollins & Daughter Joinery"):
        verbs(alice, bill)[verb]()
    assert HistoryEntry.objects.count() == entries


@pytest.mark.parametrize("verb", VERBS)
def test_viewers_change_nothing(vera, bill, verb):
    with pytest.raises(PermissionDenied):
        verbs(vera, bill)[verb]()


@pytest.mark.parametrize("verb", VERBS)
def test_charlie_finds_no_bill_of_another_business(charlie, bill, verb):
    with pytest.raises((Bill.DoesNotExist, Client.DoesNotExist)):
        verbs(charlie, bill)[verb]()


def test_viewers_make_nothing_new(alice, vera):
    client = a_client(alice)
    with pytest.raises(PermissionDenied):
        bill_create(act=act(vera), entry=bill_entry(client))
    with pytest.raises(PermissionDenied):
        client_create(act=act(vera), entry=ClientEntry(name="X"))


def test_a_bill_cannot_name_a_client_of_another_business(alice, charlie):
    theirs = a_client(alice)
    with pytest.raises(Refused) as refused:
        bill_create(act=act(charlie), entry=bill_entry(theirs))
    assert "client" in refused.value.problems


def test_after_a_disconnect_the_bill_is_ordinary_again_and_marked_as_edited(alice, business, bill):
    link = linked(bill, a_connection(business, state=Connection.State.DISCONNECTED))
    entry = bill_entry(
        bill.client, number=bill.number, reference="Mine", lines=entry_of(bill).lines
    )
    bill_edit(act=act(alice), bill_id=bill.pk, entry=entry)
    link.refresh_from_db()
    bill.refresh_from_db()
    assert (bill.reference, link.edited) == ("Mine", True)


def test_two_bills_never_share_a_number(alice):
    bill = a_bill(alice, number="INV-7")
    with pytest.raises(Refused) as refused:
        a_bill(alice, number="inv-7")
    assert "INV-7" not in refused.value.problems["number"]
    bill_void(act=act(alice), bill_id=bill.pk)
    assert a_bill(alice, number="INV-7").pk


BAD_BILLS = {
    "no lines": ({"lines": ()}, "lines"),
    "too many lines": ({"lines": (line(),) * 201}, "lines"),
    "no issue date": ({"issued_on": None}, "issued_on"),
    "issued long ago": ({"issued_on": date(1, 1, 1)}, "issued_on"),
    "due far away": ({"due_on": date(9999, 12, 31)}, "due_on"),
    "due before issued": ({"due_on": date(2026, 10, 1)}, "due_on"),
    "unknown currency": ({"currency": "XXQ"}, "currency"),
    "no currency": ({"currency": ""}, "currency"),
    "long number": ({"number": "9" * 256}, "number"),
    "nul in number": ({"number": "a\x00b"}, "number"),
    "lone surrogate": ({"reference": "a\ud800b"}, "reference"),
    "long reference": ({"reference": "x" * 256}, "reference"),
    "client of nobody": ({"client_id": 2**62}, "client"),
    "empty line": ({"lines": (line(description=" "),)}, "lines-0-description"),
    "nul in line": ({"lines": (line(description="a\x00"),)}, "lines-0-description"),
    "long line": ({"lines": (line(description="x" * 4001),)}, "lines-0-description"),
    "negative quantity": ({"lines": (line(quantity=Decimal(-1)),)}, "lines-0-quantity"),
    "nan quantity": ({"lines": (line(quantity=Decimal("NaN")),)}, "lines-0-quantity"),
    "fine quantity": ({"lines": (line(quantity=Decimal("1E-400")),)}, "lines-0-quantity"),
    "huge price": ({"lines": (line(unit_amount=Decimal("1E+400")),)}, "lines-0-unit_amount"),
    "nan price": ({"lines": (line(unit_amount=Decimal("sNaN")),)}, "lines-0-unit_amount"),
    "endless price": ({"lines": (line(unit_amount=Decimal("-inf")),)}, "lines-0-unit_amount"),
    "discount over 100": ({"lines": (line(discount_rate=Decimal(101)),)}, "lines-0-discount_rate"),
    "negative tax": ({"lines": (line(tax_rate=Decimal(-1)),)}, "lines-0-tax_rate"),
    "nan tax": ({"lines": (line(tax_rate=Decimal("NaN")),)}, "lines-0-tax_rate"),
    "negative total": ({"lines": (line(unit_amount=Decimal(-1)),)}, "lines"),
    "huge total": (
        {"lines": (line(quantity=Decimal(10**8), unit_amount=Decimal(10**11)),)},
        "lines",
    ),
    "huge discount": (
        {
            "lines": (
                line(
                    quantity=Decimal(10**8),
                    unit_amount=Decimal(10**11),
                    discount_rate=Decimal(100),
                ),
            )
        },
        "lines",
    ),
}


@pytest.mark.parametrize("case", BAD_BILLS)
def test_a_bill_that_cannot_be_is_refused_at_its_field(alice, case):
    values, field = BAD_BILLS[case]
    client = a_client(alice)
    with pytest.raises(Refused) as refused:
        bill_create(act=act(alice), entry=bill_entry(client, **{"client_id": client.pk, **values}))
    assert field in refused.value.problems
    assert refused.value.problems[field].endswith(".")
    assert Bill.objects.count() == 0


BAD_CLIENTS = {
    "no name": ({"name": "  "}, "name"),
    "long name": ({"name": "x" * 501}, "name"),
    "nul in name": ({"name": "a\x00b"}, "name"),
    "not an address": ({"email": "not an address"}, "email"),
    "long address": ({"email": "x" * 250 + "@example.com"}, "email"),
    "surrogate in phone": ({"phone": "\udfff"}, "phone"),
    "long post address": ({"address": "x" * 2001}, "address"),
    "long tax number": ({"tax_number": "x" * 101}, "tax_number"),
}


@pytest.mark.parametrize("case", BAD_CLIENTS)
def test_a_client_that_cannot_be_is_refused_at_its_field(alice, case):
    values, field = BAD_CLIENTS[case]
    with pytest.raises(Refused) as refused:
        client_create(act=act(alice), entry=ClientEntry(**{"name": "Castlefield", **values}))
    assert field in refused.value.problems
    assert Client.objects.count() == 0


def test_a_currency_keeps_its_own_decimals(alice):
    bill = a_bill(alice, currency="JPY", lines=(line(unit_amount=Decimal("99.5")),))
    assert (bill.sub_total, bill.tax_total) == (100, 20)
    with pytest.raises(Refused, match="whole numbers"):
        payment_record(act=act(alice), bill_id=bill.pk, entry=paying("1.5"))


def test_inclusive_lines_hold_their_tax(alice):
    bill = a_bill(alice, tax_mode=TaxMode.INCLUSIVE, lines=(line(unit_amount=Decimal(120)),))
    assert (bill.sub_total, bill.tax_total, bill.total) == (100, 20, 120)


def test_an_archived_client_gets_no_new_bill(alice):
    client = a_client(alice)
    Client.objects.filter(pk=client.pk).update(archived=True)
    with pytest.raises(Refused) as refused:
        bill_create(act=act(alice), entry=bill_entry(client))
    assert "client" in refused.value.problems


def test_the_history_of_a_bill_cannot_be_rewritten(alice, bill):
    """I-31: the database refuses it, whoever asks."""
    for rewrite in (lambda: bill.history.update(action="never"), bill.history.all().delete):
        with pytest.raises(DatabaseError), transaction.atomic():
            rewrite()
    assert bill.history.exists()


def test_changes_of_a_client_are_remembered_and_cannot_be_rewritten(alice):
    client = a_client(alice)
    entry = ClientEntry(name="Castlefield Lettings", email="rent@example.com")
    client_edit(act=act(alice, now=LATER), client_id=client.pk, entry=entry)
    last = client.history.order_by("-id")[0]
    assert last.changes == [{"field": "email", "old": "", "new": "rent@example.com"}]
    with pytest.raises(DatabaseError), transaction.atomic():
        client.history.update(action="never")
