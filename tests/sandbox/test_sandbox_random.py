"""Hundreds of random actions leave books that still add up: xero-facts 3.10, 3.11, 4.1, 4.2."""

from decimal import Decimal
from random import Random

import pytest
from tests.sandbox.client import Xero

from xero_sandbox import FrozenClock
from xero_sandbox.act_fields import FIELDS
from xero_sandbox.model import Invoice
from xero_sandbox.store import Ledger

ACTIONS = (
    "edit-line", "edit-invoice", "record-payment", "record-payment", "remove-payment",
    "approve-invoice", "void-invoice", "delete-invoice", "allocate-credit", "edit-silently",
    "redo-payment", "receive-overpayment", "receive-prepayment", "remove-allocation", "add-line",
    "remove-line", "submit-invoice", "reopen-invoice",
)  # fmt: skip


def random_body(random: Random, ledger: Ledger) -> dict[str, object]:
    invoice = random.choice(list(ledger.invoices.rows))
    payment = random.choice(list(ledger.payments.rows))
    return {
        "tenant": ledger.organisation.id,
        "invoice": invoice,
        "payment": payment,
        "credit": random.choice(ledger.credits()).id,
        "allocate": str(Decimal(random.randrange(1, 20_000)).scaleb(-2)),
        "description": "Anything",
        "amount": str(Decimal(random.randrange(-100, 60_000)).scaleb(-2)),
        "line": random.randrange(3),
        "unit_amount": str(Decimal(random.randrange(-500, 99_999)).scaleb(-3)),
        "quantity": random.choice(("0", "1", "2.5", "-1")),
        "due_date": f"2026-12-{random.randrange(1, 29):02d}",
    }


def owed(ledger: Ledger, invoice: Invoice) -> None:
    payments = [ledger.payments.rows[p] for p in ledger.payments_of[invoice.id]]
    paid = sum((p.amount for p in payments if p.status != "DELETED"), Decimal(0))
    credited = sum(
        (
            part.amount
            for note in ledger.credits()
            for part in note.allocations
            if part.invoice_id == invoice.id
        ),
        Decimal(0),
    )
    assert (invoice.amount_paid, invoice.amount_credited) == (paid, credited)
    assert invoice.total == invoice.sub_total + invoice.total_tax
    assert 0 <= invoice.amount_due <= invoice.total
    if paid or credited:
        assert (invoice.status == "PAID") == (invoice.amount_due == 0)
        assert invoice.status in ("AUTHORISED", "PAID")


@pytest.mark.parametrize("number", range(3))
def test_the_books_add_up_after_anything(xero: Xero, clock: FrozenClock, number: int) -> None:
    random, done = Random(number), 0
    ledger = xero.sandbox.store.ledgers[xero.tenant()]
    for _ in range(300):
        clock.advance(1)
        action = random.choice(ACTIONS)
        body, known = random_body(random, ledger), ("tenant", *FIELDS[action])
        answer = xero.act(action, **{name: body[name] for name in body if name in known})
        assert answer.status_code in (200, 400), answer.text
        done += answer.status_code == 200
    assert done > 30
    for invoice in ledger.invoices.rows.values():
        owed(ledger, invoice)
    for note in ledger.credits():
        assert 0 <= note.remaining <= note.total
