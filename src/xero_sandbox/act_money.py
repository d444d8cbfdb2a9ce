"""Payments and credits by a person's hand (4.1, 4.2)."""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

from xero_sandbox import credits, listing, rules
from xero_sandbox.credits import AnyCredit
from xero_sandbox.given import (
    BadInput,
    Given,
    contact_of,
    day,
    flag,
    has,
    invoice_of,
    money,
    text,
)
from xero_sandbox.model import CreditNote, Invoice, Line, Overpayment, Payment, Prepayment
from xero_sandbox.store import Ledger

if TYPE_CHECKING:
    from xero_sandbox.app import Sandbox


def record_payment(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Payment:
    """Record money received for an invoice."""
    return rules.record_payment(
        sandbox.store,
        ledger,
        invoice_of(ledger, given).id,
        sandbox.clock.now(),
        amount=money(given, "amount"),
        account=text(given, "account", "090"),
        date=day(given, "date", sandbox.clock.now().date()),
        reference=text(given, "reference", ""),
        reconciled=flag(given, "reconciled"),
    )


def remove_payment(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Payment:
    """Delete a payment."""
    return rules.remove_payment(sandbox.store, ledger, text(given, "payment"), sandbox.clock.now())


def redo_payment(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Payment:
    """ "Remove & redo": the same payment, or a corrected one, under a new PaymentID (6.25)."""
    now = sandbox.clock.now()
    with sandbox.store.together(ledger.organisation.id):
        old = rules.remove_payment(sandbox.store, ledger, text(given, "payment"), now)
        return rules.record_payment(
            sandbox.store,
            ledger,
            old.invoice_id,
            now,
            amount=money(given, "amount", old.amount),
            account=text(given, "account", old.account_code),
            date=day(given, "date", old.date),
            reference=text(given, "reference", "") if "reference" in given else old.reference,
        )


def receive(
    kind: type[Overpayment] | type[Prepayment],
) -> Callable[["Sandbox", Ledger, Given], AnyCredit]:
    """Receive money ahead, and set it against an invoice at once when one is named."""

    def act(sandbox: "Sandbox", ledger: Ledger, given: Given) -> AnyCredit:
        now = sandbox.clock.now()
        invoice = invoice_of(ledger, given) if has(given, "invoice") else None
        contact_id = invoice.contact_id if invoice else contact_of(ledger, given).id
        amount = money(given, "amount")
        with sandbox.store.together(ledger.organisation.id):
            credit: AnyCredit = credits.receive(
                sandbox.store,
                ledger,
                kind,
                now,
                contact_id=contact_id,
                amount=amount,
                account=text(given, "account", "090"),
                date=day(given, "date", now.date()),
                reference=text(given, "reference", ""),
                currency=text(given, "currency", invoice.currency if invoice else ""),
            )
            if invoice is None:
                return credit
            part = money(given, "allocate", min(amount, invoice.amount_due))
            return credits.allocate(sandbox.store, ledger, credit.id, invoice.id, part, now)

    return act


def give_credit(sandbox: "Sandbox", ledger: Ledger, given: Given) -> CreditNote:
    """Approve a credit note with one line."""
    now = sandbox.clock.now()
    line = Line(
        id=str(uuid4()),
        description=text(given, "description", "Credit"),
        quantity=Decimal(1),
        unit_amount=money(given, "amount"),
        account_code=text(given, "account", "200"),
        tax_type=text(given, "tax_type", ledger.organisation.default_tax),
    )
    return credits.give(
        sandbox.store,
        ledger,
        now,
        contact_id=contact_of(ledger, given).id,
        line=line,
        date=day(given, "date", now.date()),
        reference=text(given, "reference", ""),
        currency=text(given, "currency", ""),
    )


def allocate_credit(sandbox: "Sandbox", ledger: Ledger, given: Given) -> AnyCredit:
    """Set a credit note (its id or number), overpayment or prepayment against an invoice."""
    return credits.allocate(
        sandbox.store,
        ledger,
        credit_of(ledger, given).id,
        invoice_of(ledger, given).id,
        money(given, "amount"),
        sandbox.clock.now(),
    )


def remove_allocation(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Take back what a credit has paid of an invoice; returns the invoice."""
    credit, invoice = credit_of(ledger, given), invoice_of(ledger, given)
    parts = [p.id for p in credit.allocations if p.invoice_id == invoice.id]
    part = text(given, "allocation", parts[0] if parts else None)
    credits.remove_allocation(sandbox.store, ledger, credit.id, part, sandbox.clock.now())
    return rules.found(ledger, invoice.id)


def credit_of(ledger: Ledger, given: Given) -> AnyCredit:
    """The credit named by its id, or a credit note by its number."""
    wanted = text(given, "credit")
    found = ledger.credit(wanted)
    if found is None:
        note = listing.find_one(listing.LISTINGS["creditnotes"], ledger, wanted)
        found = note if isinstance(note, CreditNote) else None
    if found is None:
        raise BadInput("credit: there is no such credit")
    return found


ACTIONS: dict[str, Callable[["Sandbox", Ledger, Given], Payment | AnyCredit | Invoice]] = {
    "record-payment": record_payment,
    "remove-payment": remove_payment,
    "redo-payment": redo_payment,
    "receive-overpayment": receive(Overpayment),
    "receive-prepayment": receive(Prepayment),
    "give-credit": give_credit,
    "allocate-credit": allocate_credit,
    "remove-allocation": remove_allocation,
}
