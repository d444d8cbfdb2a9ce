"""Payments and allocations as an app writes them (4.1, 4.2)."""

from decimal import Decimal

from xero_sandbox import checks, credits, rules, shapes
from xero_sandbox.bodies import Fields
from xero_sandbox.calls import Call, Json
from xero_sandbox.checks import Refused
from xero_sandbox.drafts import rate_of
from xero_sandbox.model import Invoice

TARGETS = ("Invoice", "CreditNote", "Prepayment", "Overpayment")
ONLY_STATUS = "Only Status accepted for updates."


def save(call: Call, given: Fields) -> Json:
    """Create one payment, or delete the one whose id is given; returns it."""
    if given.guid("PaymentID"):
        return _delete(call, given)
    invoice = _paid(call, given)
    amount = shapes.rounded(given.number("Amount"), 2) if "Amount" in given else Decimal(0)
    more: dict[str, object] = {"reconciled": given.flag("IsReconciled")}
    if "BankAmount" in given and amount > 0:
        bank = shapes.rounded(given.number("BankAmount"), 2)
        if bank <= 0:
            raise Refused("The BankAmount must be greater than zero.")
        more |= {"bank_amount": bank, "rate": shapes.rounded(amount / bank, 6)}
    elif "CurrencyRate" in given:
        more["rate"] = rate_of(given)
    payment = rules.record_payment(
        call.store,
        call.ledger,
        invoice.id,
        call.now,
        amount=amount,
        account=_account(given),
        date=given.day("Date") if "Date" in given else call.today,
        reference=given.text("Reference"),
        **more,
    )
    return shapes.payment_json(call.ledger, payment)


def shown(call: Call, given: Fields) -> Json | None:
    """The payment that an element means, as it is now."""
    payment = call.ledger.payments.get(given.guid("PaymentID"))
    return shapes.payment_json(call.ledger, payment) if payment else None


def _delete(call: Call, given: Fields) -> Json:
    """Payments are never updated: nothing but the status may come (4.1)."""
    if given.names() != {"paymentid", "status"}:
        raise Refused(ONLY_STATUS)
    if given.text("Status").upper() != "DELETED":
        raise Refused("The payment status can only be changed to DELETED.")
    wanted = given.guid("PaymentID")
    payment = rules.remove_payment(call.store, call.ledger, wanted, call.now)
    return shapes.payment_json(call.ledger, payment)


def _paid(call: Call, given: Fields) -> Invoice:
    """The one sales invoice that a payment is for."""
    targets = [name for name in TARGETS if name in given]
    if len(targets) > 1:
        raise Refused("A payment can be made against one document only.")
    if targets and targets != ["Invoice"]:
        raise Refused("This local Xero records payments of sales invoices only.")
    invoice = document(call, given.child("Invoice"))
    if invoice.type != "ACCREC":
        raise Refused("This local Xero records payments of sales invoices only.")
    return invoice


def document(call: Call, given: Fields | None) -> Invoice:
    """An invoice named by id or number."""
    if given is None:
        raise Refused(checks.NO_DOCUMENT)
    wanted = given.guid("InvoiceID")
    if wanted:
        return rules.found(call.ledger, wanted)
    number = given.text("InvoiceNumber")
    invoice = checks.sale_numbered(call.ledger, number) if number else None
    if invoice is None:
        raise Refused(checks.NO_DOCUMENT)
    return invoice


def _account(given: Fields) -> str:
    account = given.child("Account")
    return (account.guid("AccountID") or account.text("Code")) if account else ""


def allocate(call: Call, given: Fields, note_id: str) -> Json:
    """Set a part of a credit against an invoice; returns the allocation (4.2)."""
    invoice = document(call, given.child("Invoice"))
    amount = shapes.rounded(given.number("Amount"), 2) if "Amount" in given else Decimal(0)
    note = credits.allocate(call.store, call.ledger, note_id, invoice.id, amount, call.now)
    return shapes.allocation_json(call.ledger, note.allocations[-1])
