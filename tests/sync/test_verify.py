"""I-5: planted differences are all found, and none is invented."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.fixtures.xero import Xero
from tests.sync.hands import bill_of, done, drift, paid_in_part, plain_open, put_silently, undone

from justpayme.bills.models import Bill, Client, Line, Payment
from justpayme.sync.models import ClientLink, Connection, Link, Run
from justpayme.sync.verify import verify
from xero_sandbox.model import Invoice

pytestmark = pytest.mark.django_db

OURS: dict[str, object] = {
    "number": "X-1",
    "reference": "x",
    "status": "draft",
    "issued_on": date(1999, 1, 1),
    "due_on": None,
    "expected_on": date(2030, 1, 1),
    "sent": None,
    "branding_theme": "x",
    "url": "https://example.invalid/",
    "currency": "XXX",
    "rate": Decimal("9.9"),
    "tax_mode": "none",
    "sub_total": Decimal("0.0001"),
    "tax_total": Decimal("0.01"),
    "total": Decimal("-1"),
    "discount_total": Decimal("0.5"),
    "outstanding": Decimal("0.01"),
    "paid": Decimal("0.02"),
    "credited": Decimal("0.03"),
    "fully_paid_on": date(2026, 1, 1),
}


LINE_COLUMNS = (
    "description", "quantity", "unit_amount", "line_amount", "tax_amount", "tax_type",
    "account_code", "item_code", "discount_rate", "discount_amount", "remote_id", "position",
)  # fmt: skip
PAID = {"amount": Decimal("0.01"), "on": None, "kind": "credit", "reference": "x", "remote_id": "x"}


def test_each_field_of_ours_that_differs_is_found(xero: Xero, imported: Connection) -> None:
    bill = bill_of(imported, plain_open(xero)[0].id)
    for name, planted in OURS.items():
        with undone():
            value = not bill.sent if name == "sent" else planted
            Bill.objects.filter(pk=bill.pk).update(**{name: value})
            found = verify(imported, xero.clock).differences
        assert name in {d.field for d in found}
        assert {d.bill for d in found} == {bill.pk}


def test_each_field_of_a_line_that_differs_is_found(xero: Xero, imported: Connection) -> None:
    invoice = next(i for i in plain_open(xero) if len(i.lines) > 1)
    line = Line.objects.filter(bill=bill_of(imported, invoice.id)).order_by("position")[0]
    for name in LINE_COLUMNS:
        old = getattr(line, name)
        new = 99 if name == "position" else "x" if isinstance(old, str) else Decimal("1.2345")
        with undone():
            Line.objects.filter(pk=line.pk).update(**{name: new})
            found = verify(imported, xero.clock).differences
        assert (name, [d.field for d in found]) == (name, ["lines"])


def test_each_field_of_a_payment_that_differs_is_found(xero: Xero, imported: Connection) -> None:
    payment = Payment.objects.filter(bill=bill_of(imported, paid_in_part(xero).id))[0]
    for name, value in PAID.items():
        with undone():
            Payment.objects.filter(pk=payment.pk).update(**{name: value})
            found = verify(imported, xero.clock).differences
        assert (name, "payments" in {d.field for d in found}) == (name, True)


def test_a_bill_with_another_client_or_gone_or_too_many_is_found(
    xero: Xero, imported: Connection
) -> None:
    """I-3: the two sets are the same set."""
    first, second, third = (bill_of(imported, i.id) for i in plain_open(xero)[:3])
    other = Client.objects.exclude(pk=first.client_id).filter(link__isnull=False)[0]
    Bill.objects.filter(pk=first.pk).update(client=other)
    Link.objects.filter(bill=second).delete()
    Link.objects.filter(bill=third).update(invoice_id="00000000-0000-4000-8000-000000000000")
    found = {(d.bill, d.field) for d in verify(imported, xero.clock).differences}
    assert found == {(first.pk, "client"), (None, "bill"), (third.pk, "bill")}


Plant = Callable[[Xero, Invoice], Invoice]
THEIRS: dict[str, Plant] = {
    "reference": lambda xero, i: put_silently(xero, i, reference="silent"),
    "number": lambda xero, i: put_silently(xero, i, number="SILENT-1"),
    "due_on": lambda xero, i: put_silently(xero, i, due_date=date(2031, 12, 31)),
    "issued_on": lambda xero, i: put_silently(xero, i, date=date(2024, 2, 29)),
    "status": lambda xero, i: put_silently(xero, i, status="VOIDED"),
    "currency": lambda xero, i: put_silently(xero, i, currency="JPY"),
    "rate": lambda xero, i: put_silently(xero, i, rate=Decimal("1.2345678901")),
    "sent": lambda xero, i: put_silently(xero, i, sent=not i.sent),
    "branding_theme": lambda xero, i: put_silently(
        xero, i, theme_id="00000000-0000-4000-8000-000000000001"
    ),
    "lines": lambda xero, i: put_silently(
        xero, i, lines=[replace(i.lines[0], description="silent"), *i.lines[1:]]
    ),
}


def test_each_field_that_xero_changed_silently_is_found_and_the_audit_mends_it(
    xero: Xero, imported: Connection
) -> None:
    """I-5: verify finds it, the audit takes it and counts it, then all is equal."""
    invoice = plain_open(xero)[0]
    for name, plant in THEIRS.items():
        with undone():
            imported.refresh_from_db()
            plant(xero, invoice)
            found = {d.field for d in verify(imported, xero.clock).differences}
            run = done(xero.sync(imported, kind=Run.Kind.AUDIT))
            left = drift(xero, imported)
        assert (name, name in found, run.changed, run.drift, left) == (name, True, 1, 1, [])
        put_silently(xero, invoice)


def test_payments_are_counted_a_second_time_from_their_own_list(
    xero: Xero, imported: Connection
) -> None:
    """I-16: an invoice and its payments that disagree inside Xero are told, not hidden."""
    invoice = paid_in_part(xero)
    ledger = xero.ledger()
    payment = ledger.payments.get(next(iter(ledger.payments_of[invoice.id])))
    xero.app.store.save(xero.tenant(), replace(payment, status="DELETED"))
    found = {d.field for d in verify(imported, xero.clock).differences}
    assert "settlement" in found


def test_verify_changes_nothing_and_invents_nothing(xero: Xero, imported: Connection) -> None:
    """0 false findings on a clean copy, however often it is asked."""
    links = list(ClientLink.objects.values())
    for _ in range(2):
        assert drift(xero, imported) == []
    assert list(ClientLink.objects.values()) == links
