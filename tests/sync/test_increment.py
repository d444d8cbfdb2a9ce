"""What a person does in Xero reaches the bill at the next sync: the right fields, told in the
bill's history with old and new values, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace
from tests.fixtures.xero import Xero
from tests.sync.hands import (
    HOSTILE,
    bill_of,
    bill_prints,
    books,
    changed_fields,
    done,
    drift,
    newest,
    paid_in_part,
    plain_open,
    put_silently,
    sales,
    stamp_of,
    tap,
)

from justpayme.bills.models import Bill, HistoryEntry
from justpayme.sync.models import ClientLink, Connection, Link, Run

pytestmark = pytest.mark.django_db

Act = Callable[[Xero, Connection], tuple[str, set[str]]]


def change_amount(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    invoice = plain_open(xero)[0]
    xero.act("edit-line", invoice=invoice.id, line="0", unit_amount="777.77", quantity="3")
    return invoice.id, {"lines", "sub_total", "total", "outstanding"}


def change_description(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    invoice = plain_open(xero)[1]
    xero.act("edit-line", invoice=invoice.id, line="0", description=HOSTILE)
    return invoice.id, {"lines"}


def change_due_date(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    invoice = plain_open(xero)[2]
    xero.act("edit-invoice", invoice=invoice.id, due_date="2028-02-29")
    return invoice.id, {"due_on"}


def change_reference(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    invoice = plain_open(xero)[3]
    xero.act("edit-invoice", invoice=invoice.id, reference=HOSTILE)
    return invoice.id, {"reference"}


def change_contact(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    invoice = plain_open(xero)[4]
    contacts = xero.ledger().contacts.rows.values()
    other = next(c for c in contacts if c.status == "ACTIVE" and c.id != invoice.contact_id)
    xero.act("edit-invoice", invoice=invoice.id, contact=other.id)
    return invoice.id, {"client"}


def pay_in_part(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    invoice = plain_open(xero)[0]
    xero.act("record-payment", invoice=invoice.id, amount="1.00", reference="BACS ☂")
    return invoice.id, {"paid", "outstanding", "payments"}


def pay_in_full(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    invoice = plain_open(xero)[0]
    xero.act("record-payment", invoice=invoice.id, amount=str(invoice.total))
    return invoice.id, {"status", "paid", "outstanding", "payments", "fully_paid_on"}


def take_a_payment_back(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    invoice = paid_in_part(xero)
    payment = next(iter(xero.ledger().payments_of[invoice.id]))
    xero.act("remove-payment", payment=payment)
    return invoice.id, {"paid", "outstanding", "payments"}


def void(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    invoice = plain_open(xero)[0]
    xero.act("void-invoice", invoice=invoice.id)
    return invoice.id, {"status"}


def allocate_credit(xero: Xero, connection: Connection) -> tuple[str, set[str]]:
    ledger = xero.ledger()
    note = next(n for n in ledger.credit_notes.rows.values() if n.remaining > 1)
    invoice = replace(plain_open(xero)[0], contact_id=note.contact_id)
    xero.act("edit-invoice", invoice=invoice.id, contact=note.contact_id)
    done(xero.sync(connection))
    xero.act("allocate-credit", credit=note.id, invoice=invoice.id, amount="1.00")
    return invoice.id, {"credited", "outstanding", "payments"}


@pytest.mark.parametrize(
    "act",
    [
        change_amount,
        change_description,
        change_due_date,
        change_reference,
        change_contact,
        pay_in_part,
        pay_in_full,
        take_a_payment_back,
        void,
        allocate_credit,
    ],
)
def test_an_act_in_xero_reaches_its_bill_and_no_other(
    xero: Xero, imported: Connection, act: Act
) -> None:
    """I-2: the fields it changed are in the history with old and new; I-1: nothing else moved."""
    invoice_id, fields = act(xero, imported)
    before = bill_prints()
    run = done(xero.sync(imported))
    assert (run.kind, run.changed, run.created) == (Run.Kind.INCREMENT, 1, 0)
    bill = bill_of(imported, invoice_id)
    after = bill_prints()
    assert {pk for pk in after if after[pk] != before.get(pk)} == {bill.pk}
    entry = newest(bill)
    assert (entry.source, entry.action, entry.run) == ("xero", "changed", run.pk)
    changes = changed_fields(entry)
    assert fields <= set(changes)
    assert all(old != new for old, new in changes.values())
    assert drift(xero, imported) == []


def test_history_tells_old_and_new_amounts_as_exact_text(xero: Xero, imported: Connection) -> None:
    invoice = plain_open(xero)[0]
    xero.act("record-payment", invoice=invoice.id, amount="0.01")
    done(xero.sync(imported))
    bill = bill_of(imported, invoice.id)
    old, new = changed_fields(newest(bill))["outstanding"]
    assert Decimal(old) == invoice.total
    assert Decimal(new) == invoice.total - Decimal("0.01") == bill.outstanding


def test_a_payment_on_a_bill_names_the_account_that_received_it(
    xero: Xero, imported: Connection
) -> None:
    invoice = plain_open(xero)[0]
    xero.act("record-payment", invoice=invoice.id, amount="5.00", account="090")
    done(xero.sync(imported))
    payment = bill_of(imported, invoice.id).payments.get()
    assert payment.account == xero.ledger().organisation.account("090").name


def test_a_new_invoice_becomes_a_new_bill(xero: Xero, imported: Connection) -> None:
    contact = plain_open(xero)[0].contact_id
    made = xero.act(
        "create-invoice", contact=contact, description=HOSTILE, unit_amount="12.3456", quantity="7"
    )
    before = bill_prints()
    run = done(xero.sync(imported))
    assert (run.created, run.changed) == (1, 0)
    bill = bill_of(imported, made["InvoiceID"])
    assert bill.lines.get().unit_amount == Decimal("12.3456")
    assert {k: v for k, v in bill_prints().items() if k != bill.pk} == before
    assert drift(xero, imported) == []


def test_a_draft_is_followed_from_draft_to_approved_and_another_to_deleted(
    xero: Xero, connected: Connection
) -> None:
    """I-4: a draft deleted in Xero stays here as a void bill, never a row removed."""
    connected.import_drafts = True
    connected.save()
    done(xero.sync(connected))
    approved, deleted = (i for i in sales(xero, "DRAFT")[:2])
    count = Bill.objects.count()
    xero.act("approve-invoice", invoice=approved.id)
    xero.act("delete-invoice", invoice=deleted.id)
    done(xero.sync(connected))
    assert bill_of(connected, approved.id).status == "active"
    assert bill_of(connected, deleted.id).status == "void"
    assert Bill.objects.count() == count
    assert drift(xero, connected) == []


def test_an_approved_draft_that_was_not_imported_becomes_a_bill(
    xero: Xero, imported: Connection
) -> None:
    draft = sales(xero, "DRAFT")[0]
    assert not Link.objects.filter(invoice_id=draft.id).exists()
    xero.act("approve-invoice", invoice=draft.id)
    assert done(xero.sync(imported)).created == 1
    assert bill_of(imported, draft.id).status == "active"


def test_a_contact_renamed_and_archived_is_a_client_renamed_and_archived(
    xero: Xero, imported: Connection
) -> None:
    invoice = plain_open(xero)[0]
    xero.act("rename-contact", contact=invoice.contact_id, name=HOSTILE)
    done(xero.sync(imported))
    before = books()
    xero.act("archive-contact", contact=invoice.contact_id)
    done(xero.sync(imported))
    client = bill_of(imported, invoice.id).client
    assert (client.name, client.archived) == (HOSTILE, True)
    assert books() == before
    assert drift(xero, imported) == []


def merge_contacts(xero: Xero, loser: str, survivor: str) -> None:
    """Xero merges contacts: the loser is archived and names the survivor (xero-facts 4.4)."""
    xero.clock.advance(1)
    row = xero.ledger().contacts.get(loser)
    merged = replace(row, status="ARCHIVED", merged_to=survivor, updated=stamp_of(xero))
    xero.app.store.save(xero.tenant(), merged)


def three_customers(xero: Xero) -> tuple[str, str, str]:
    ids = list(dict.fromkeys(i.contact_id for i in plain_open(xero)))
    return ids[0], ids[1], ids[2]


@pytest.mark.parametrize("order", ["one by one", "chain at once", "last link first"])
def test_merged_contacts_move_their_bills_to_the_last_survivor(
    xero: Xero, imported: Connection, order: str
) -> None:
    """I-4: a → b → c, in whatever order the merges are learned."""
    a, b, c = three_customers(xero)
    steps = [(a, b), (b, c)] if order != "last link first" else [(b, c), (a, b)]
    for loser, survivor in steps:
        merge_contacts(xero, loser, survivor)
        if order != "chain at once":
            done(xero.sync(imported))
    done(xero.sync(imported))
    last = ClientLink.objects.get(connection=imported, contact_id=c).client
    for invoice in sales(xero, "AUTHORISED", "PAID"):
        if invoice.contact_id in (a, b):
            assert bill_of(imported, invoice.id).client == last
    assert drift(xero, imported) == []
    later = plain_open(xero)[0]
    xero.act("edit-invoice", invoice=later.id, reference="after the merge")
    done(xero.sync(imported))
    assert bill_of(imported, later.id).client == last


@pytest.mark.parametrize("stamped", [True, False])
def test_a_merge_is_told_once_although_the_invoices_follow(
    xero: Xero, imported: Connection, stamped: bool
) -> None:
    """I-8: once the bill is with the survivor, invoices that name it too say nothing new."""
    a, b, _ = three_customers(xero)
    invoice = next(i for i in plain_open(xero) if i.contact_id == a)
    merge_contacts(xero, a, b)
    done(xero.sync(imported))
    told = HistoryEntry.objects.count()
    when = stamp_of(xero) if stamped else invoice.updated
    put_silently(xero, invoice, contact_id=b, updated=when)
    run = done(xero.sync(imported, kind=Run.Kind.AUDIT))
    assert HistoryEntry.objects.count() == told
    assert (run.changed, run.drift) == (0, 0)
    assert drift(xero, imported) == []


def test_the_same_answers_again_change_nothing(xero: Xero, imported: Connection) -> None:
    """I-8: a whole pull again, twice, leaves every row as it was."""
    before, links = books(), list(Link.objects.order_by("id").values())
    for _ in range(2):
        imported.cursors.all().delete()
        run = done(xero.sync(imported, kind=Run.Kind.IMPORT))
        assert (run.created, run.changed) == (0, 0)
    assert books() == before
    assert list(Link.objects.order_by("id").values()) == links


def test_an_older_version_never_overwrites_a_newer_one(xero: Xero, imported: Connection) -> None:
    """I-10: a stale copy of Xero answers after the newest version was applied."""
    old = plain_open(xero)[0]
    xero.act("edit-invoice", invoice=old.id, reference="newer")
    done(xero.sync(imported))
    before = books()
    put_silently(xero, old)
    run = done(xero.sync(imported, kind=Run.Kind.AUDIT))
    assert run.changed == 0
    assert books() == before


def test_an_older_contact_never_overwrites_a_newer_one(xero: Xero, imported: Connection) -> None:
    """I-10, for clients."""
    contact = plain_open(xero)[0].contact_id
    old = xero.ledger().contacts.get(contact)
    xero.act("rename-contact", contact=contact, name="Newer name")
    done(xero.sync(imported))
    xero.app.store.save(xero.tenant(), old)
    imported.cursors.filter(endpoint="contacts").delete()
    done(xero.sync(imported))
    assert ClientLink.objects.get(contact_id=contact).client.name == "Newer name"


def test_a_silent_change_is_found_by_the_daily_audit_and_counted(
    xero: Xero, imported: Connection
) -> None:
    """I-5: no stamp moved, so no increment sees it; the audit does, within a day."""
    first, second = plain_open(xero)[:2]
    xero.act("edit-silently", invoice=first.id, line="0", unit_amount="4321.09")
    xero.act("edit-silently", invoice=second.id, due_date="2027-01-01")
    assert done(xero.sync(imported)).changed == 0
    xero.later(24 * 60)
    run = done(xero.sync(imported))
    assert (run.kind, run.changed, run.drift) == (Run.Kind.AUDIT, 2, 2)
    assert newest(bill_of(imported, first.id)).run == run.pk
    assert drift(xero, imported) == []
    again = done(xero.sync(imported, kind=Run.Kind.AUDIT))
    assert (again.changed, again.drift) == (0, 0)


def test_a_payment_taken_back_is_read_by_id_when_its_invoice_has_no_new_stamp(
    xero: Xero, imported: Connection
) -> None:
    """I-16: the bill's payments add up although Xero did not stamp the invoice."""
    invoice = paid_in_part(xero)
    ledger = xero.ledger()
    payment = ledger.payments.get(next(iter(ledger.payments_of[invoice.id])))
    xero.clock.advance(1)
    gone = replace(payment, status="DELETED", updated=stamp_of(xero))
    xero.app.store.save(xero.tenant(), gone)
    put_silently(xero, invoice, amount_paid=invoice.amount_paid - payment.amount)
    run = done(xero.sync(imported))
    assert (run.changed, run.calls) == (1, 5)  # 3, the organisation, and the invoice by its id
    bill = bill_of(imported, invoice.id)
    assert bill.paid == invoice.amount_paid - payment.amount
    assert not bill.payments.filter(remote_id=payment.id).exists()
    assert drift(xero, imported) == []


def test_a_credit_that_moved_no_stamp_is_found_by_the_audit(
    xero: Xero, imported: Connection
) -> None:
    """I-5, for credits: the credit note's own endpoint tells."""
    ledger = xero.ledger()
    note = next(n for n in ledger.credit_notes.rows.values() if n.remaining > 1)
    invoice = plain_open(xero)[0]
    put_silently(xero, invoice, contact_id=note.contact_id)
    done(xero.sync(imported, kind=Run.Kind.AUDIT))
    xero.act("allocate-credit", credit=note.id, invoice=invoice.id, amount="1.00")
    put_silently(xero, ledger.invoices.get(invoice.id), updated=invoice.updated)
    done(xero.sync(imported, kind=Run.Kind.AUDIT))
    assert bill_of(imported, invoice.id).credited == Decimal("1.00")
    assert drift(xero, imported) == []


def test_a_credit_given_while_the_audit_reads_is_in_it(
    xero: Xero, imported: Connection, settings: Any
) -> None:
    """I-5: the invoices were read when it was given, and its invoice's stamp does not move."""
    wire = tap(xero, settings)
    ledger = xero.ledger()
    note = next(n for n in ledger.credit_notes.rows.values() if n.remaining > 1)
    invoice = plain_open(xero)[0]
    put_silently(xero, invoice, contact_id=note.contact_id)

    def give(request: httpx2.Request) -> None:
        if request.url.path.endswith("/CreditNotes") and "CreditNotes" not in seen:
            seen.append("CreditNotes")
            xero.act("allocate-credit", credit=note.id, invoice=invoice.id, amount="1.00")
            put_silently(xero, ledger.invoices.get(invoice.id), updated=invoice.updated)

    seen: list[str] = []
    wire.before = give
    done(xero.sync(imported, kind=Run.Kind.AUDIT))
    assert bill_of(imported, invoice.id).credited == Decimal("1.00")


def test_the_books_of_bills_edited_while_parted_come_back_with_ours_kept(
    xero: Xero, imported: Connection
) -> None:
    """I-38: reconnecting re-links by InvoiceID; Xero's version stands, ours is in the history."""
    invoice = plain_open(xero)[0]
    bill, count = bill_of(imported, invoice.id), Bill.objects.count()
    Connection.objects.update(state=Connection.State.DISCONNECTED)
    Bill.objects.filter(pk=bill.pk).update(reference="typed while parted")
    Link.objects.filter(bill=bill).update(edited=True)
    Connection.objects.update(
        state=Connection.State.LIVE, imported_at=None, audited_at=None, checked_at=None
    )
    imported.cursors.all().delete()
    xero.later(60 * 24 * 3)
    run = done(xero.sync(imported))
    assert (run.kind, run.created, run.changed) == (Run.Kind.IMPORT, 0, 1)
    assert Bill.objects.count() == count
    entry = newest(bill)
    assert (entry.action, entry.source) == ("overridden", "xero")
    assert changed_fields(entry)["reference"] == ("typed while parted", invoice.reference)
    bill.refresh_from_db()
    assert bill.reference == invoice.reference
    assert not Link.objects.get(bill=bill).edited
    assert drift(xero, imported) == []


def test_a_client_edited_while_parted_is_as_in_xero_again(xero: Xero, imported: Connection) -> None:
    """I-38: the import after a reconnect believes Xero, although the contact did not change."""
    invoice = plain_open(xero)[0]
    client = bill_of(imported, invoice.id).client
    name = client.name
    client.name = "typed while parted"
    client.save()
    imported.cursors.all().delete()
    done(xero.sync(imported, kind=Run.Kind.IMPORT))
    client.refresh_from_db()
    assert client.name == name


def test_the_stamp_of_a_run_is_when_it_started(xero: Xero, imported: Connection) -> None:
    """`checked_at` never claims more than was read: what changed during the run may be newer."""
    xero.later(15)
    start = xero.clock.now()
    run = done(xero.sync(imported))
    assert imported.checked_at == run.started_at == start
    assert imported.next_due_at == xero.clock.now() + timedelta(minutes=15)


def test_hostile_text_arrives_as_it_was_sent(xero: Xero, imported: Connection) -> None:
    texts: list[Any] = [HOSTILE, "‏שלום‏", "🧾" * 200, "line\nbreak\ttab \\ \\N \\."]
    for invoice, text in zip(plain_open(xero), texts, strict=False):
        xero.act("edit-line", invoice=invoice.id, line="0", description=text)
    done(xero.sync(imported))
    for invoice, text in zip(plain_open(xero), texts, strict=False):
        assert bill_of(imported, invoice.id).lines.all()[0].description == text
    assert drift(xero, imported) == []
