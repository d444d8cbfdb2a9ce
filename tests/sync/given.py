"""Hands of people for the tests of sending: edits and payments as the verbs of bills make them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F
from tests.fixtures.xero import NOW, Xero

from justpayme.bills.models import Bill, Client, HistoryEntry, Line, Payment
from justpayme.core.bill import MoneyKind, PaidFields, Status, to_plain
from justpayme.core.merge import changes
from justpayme.core.settle import Pending, over
from justpayme.sync import outbox, runs
from justpayme.sync.models import Connection, Link, Run

TODAY = NOW.date()


def open_bill(connection: Connection) -> Bill:
    """An active bill on which no money has come off."""
    bills = Bill.objects.filter(link__connection=connection, status=Status.ACTIVE)
    bill = bills.filter(paid=0, credited=0, outstanding__gt=100, currency=connection.currency)
    found = bill.order_by("pk").first()
    assert found is not None
    return found


def open_bills(connection: Connection) -> list[Bill]:
    """Active bills without drafts, credits or other money than payments, in a stable order."""
    bills = Bill.objects.filter(link__connection=connection, credited=0)
    open_ = bills.filter(status=Status.ACTIVE, currency=connection.currency, total__gt=100)
    return list(open_.filter(total=F("outstanding") + F("paid"), paid__lte=20).order_by("pk"))


def edit(bill: Bill, **values: Any) -> None:
    """Change a linked bill as a person does: row, history and intention in one transaction."""
    with transaction.atomic():
        link = Link.objects.select_for_update().get(bill=bill)
        row = Bill.objects.select_for_update().get(pk=bill.pk)
        before = row.fields()
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
        told = [
            {"field": n, "old": to_plain(o), "new": to_plain(v)}
            for n, o, v in changes(before, row.fields())
        ]
        HistoryEntry.objects.create(
            business=row.business,
            bill=row,
            at=NOW,
            source=HistoryEntry.Source.PERSON,
            action="edited",
            changes=told,
        )
        Link.objects.filter(pk=link.pk).update(edited=True)
        outbox.enqueue_update(row, link.connection, None, NOW)


def pay(bill: Bill, connection: Connection, amount: Decimal, on: date = TODAY) -> None:
    """Record a payment on a linked bill."""
    with transaction.atomic():
        paid = PaidFields(MoneyKind.PAYMENT, "", amount, on, "thanks")
        marked = outbox.enqueue_payment(bill, connection, paid, None, NOW)
        lay(bill, [Pending("pay", marked)])


def unpay(bill: Bill, connection: Connection, payment: Payment) -> None:
    """Take a payment back."""
    with transaction.atomic():
        paid = payment.fields()
        outbox.enqueue_unpay(bill, connection, paid, None, NOW)
        payment.delete()
        row = Bill.objects.get(pk=bill.pk)
        row.paid -= paid.amount
        row.outstanding += paid.amount
        row.status, row.fully_paid_on = Status.ACTIVE, None
        row.save()
        Link.objects.filter(bill=bill).update(edited=True)


def lay(bill: Bill, pending: list[Pending]) -> None:
    row = Bill.objects.get(pk=bill.pk)
    after = over(row.fields(), pending)
    row.paid, row.outstanding = after.paid, after.outstanding
    row.status, row.fully_paid_on = after.status, after.fully_paid_on
    row.save()
    for position, paid in enumerate(after.payments):
        if not paid.remote_id and not Payment.objects.filter(reference=paid.reference).exists():
            Payment.objects.create(
                bill=row,
                kind=paid.kind,
                amount=paid.amount,
                on=paid.on,
                reference=paid.reference,
                position=position,
            )
    Link.objects.filter(bill=bill).update(edited=True)


def bill_of(connection: Connection, *, number: str, client: str) -> Bill:
    """A bill that exists only here."""
    who = Client.objects.create(
        business_id=connection.business_id, name=client, created_at=NOW, updated_at=NOW
    )
    bill = Bill.objects.create(
        business_id=connection.business_id,
        client=who,
        number=number,
        status=Status.ACTIVE,
        issued_on=date(2026, 11, 20),
        due_on=date(2026, 12, 20),
        currency=connection.currency,
        sub_total=100,
        tax_total=20,
        total=120,
        outstanding=120,
        created_at=NOW,
        updated_at=NOW,
    )
    Line.objects.create(
        bill=bill,
        position=0,
        description="Work",
        quantity=2,
        unit_amount=50,
        line_amount=100,
        tax_type="OUTPUT2",
        tax_amount=20,
    )
    return bill


def push(xero: Xero, connection: Connection) -> Run:
    """What the job does after an edit."""
    run = runs.run_sync(connection.pk, cause=Run.Cause.EDIT, clock=xero.clock)
    assert run is not None
    return run


def invoice_of(xero: Xero, bill: Bill) -> Any:
    """The bill's invoice as the local Xero has it."""
    return xero.ledger().invoices.rows[str(Link.objects.get(bill=bill).invoice_id)]


def sent_calls(xero: Xero) -> list[dict[str, Any]]:
    """What reached Xero that would change something, by its own log."""
    log = xero.http.get("/sandbox/log").json()
    return [c for c in log if c["method"] not in ("GET", "HEAD") and "api.xro" in c["path"]]
