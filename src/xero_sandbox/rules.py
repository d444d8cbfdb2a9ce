"""What Xero allows, and what else changes when something changes.

Every change of the books goes through a function here, whoever asks: the page, ``/sandbox/act``
or the API. Each either saves everything it changes in one transaction or raises ``Refused`` with
Xero's own words. Amounts are in the invoice's currency.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar
from uuid import uuid4

from msgspec.structs import replace

from xero_sandbox.model import (
    ZERO,
    Allocation,
    Contact,
    CreditNote,
    Invoice,
    Line,
    Organisation,
    Payment,
)
from xero_sandbox.store import Ledger, Store

Priced = TypeVar("Priced", Invoice, CreditNote)
CENT = Decimal("0.01")
NOT_MODIFIABLE = "Invoice not of valid status for modification"
HAS_MONEY = "This document cannot be edited as it has a payment or credit note allocated to it."
VOID_WITH_MONEY = (
    "The status VOIDED cannot be applied to the invoice because it has payments or credit notes"
    " allocated to it."
)
TOO_MUCH = "Payment amount exceeds the amount outstanding on this document"
NOT_AUTHORISED = "Payments can only be made against Authorised documents"
NO_ACCOUNT = "You must specify an Account code or Account ID for the payment"
NOT_FOUND = "The document with the supplied id was not found for this endpoint."
NEGATIVE_TOTAL = "The Total for this document must be greater than or equal to zero."
NEXT_STATUS = {
    "DRAFT": {"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"},
    "SUBMITTED": {"SUBMITTED", "DRAFT", "AUTHORISED", "DELETED"},
    "AUTHORISED": {"AUTHORISED", "VOIDED"},
}
"""Which status may follow which (3.10); PAID, VOIDED and DELETED allow none by writing."""
EDITABLE_WITH_MONEY = {"reference", "due_date", "number", "theme_id", "url", "contact_id"}
"""Fields of an invoice that stay editable once money is applied (3.10)."""


class Refused(Exception):
    """Xero says no; ``messages`` are the texts of its ValidationErrors."""

    def __init__(self, *messages: str) -> None:
        super().__init__(" ".join(messages))
        self.messages = list(messages)


def cents(amount: Decimal) -> Decimal:
    """Round to two places, halves away from zero (3.11)."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def priced(organisation: Organisation, line: Line, line_amount_types: str) -> Line:
    """Work out a line's amount and tax from quantity, price, discount and rate (3.11)."""
    if line.quantity is None or line.unit_amount is None:
        return replace(line, line_amount=ZERO, tax_amount=ZERO)
    if line.quantity < 0:
        raise Refused(
            f"The quantity value '{line.quantity:.4f}' is invalid."
            " Quantity must not be less than zero."
        )
    kept = 1 - (line.discount_rate or Decimal(0)) / 100
    amount = cents(line.quantity * line.unit_amount * kept)
    rate = organisation.tax_rate(line.tax_type or "NONE") / 100
    if line_amount_types == "NoTax":
        tax = ZERO
    elif line_amount_types == "Inclusive":
        tax = cents(amount * rate / (1 + rate))
    else:
        tax = cents(amount * rate)
    return replace(line, line_amount=amount, tax_amount=tax)


def with_totals(organisation: Organisation, document: Priced) -> Priced:
    """Price every line and add up: tax per line, rounded, then summed (3.11)."""
    lines = [priced(organisation, line, document.line_amount_types) for line in document.lines]
    amounts = sum((x.line_amount for x in lines), ZERO)
    tax = sum((x.tax_amount for x in lines), ZERO)
    sub_total = amounts - tax if document.line_amount_types == "Inclusive" else amounts
    if sub_total + tax < 0:
        raise Refused(NEGATIVE_TOTAL)
    return replace(
        document,
        lines=lines,
        sub_total=sub_total,
        total_tax=tax,
        total=sub_total + tax,
        total_discount=sum((discount(line) for line in lines), ZERO),
    )


def discount(line: Line) -> Decimal:
    """How much a line's discount takes off."""
    if not line.discount_rate or line.quantity is None or line.unit_amount is None:
        return ZERO
    return cents(line.quantity * line.unit_amount) - line.line_amount


def settled(invoice: Invoice, on: date) -> Invoice:
    """Set PAID when nothing is due, back to AUTHORISED when something is again (4.1)."""
    if invoice.status not in ("AUTHORISED", "PAID"):
        return invoice
    money = invoice.amount_paid + invoice.amount_credited
    if invoice.amount_due == 0 and money > 0:
        return replace(invoice, status="PAID", fully_paid_on=invoice.fully_paid_on or on)
    return replace(invoice, status="AUTHORISED", fully_paid_on=None)


def has_money(invoice: Invoice) -> bool:
    """Whether a payment or a credit note is applied."""
    return bool(invoice.amount_paid or invoice.amount_credited)


def edit_invoice(
    store: Store, ledger: Ledger, invoice_id: str, now: datetime, **changes: object
) -> Invoice:
    """Change header fields and lines of an invoice, by Xero's rules of 3.10.

    ``changes`` are names of ``Invoice`` fields. A due date changed on a part-paid invoice does
    not move UpdatedDateUTC, which is a trap of the real API (3.2).
    """
    with store.lock:
        invoice = found(ledger, invoice_id)
        changes = {k: v for k, v in changes.items() if getattr(invoice, k) != v}
        if not changes:
            return invoice
        _check_edit(ledger, invoice, changes)
        new = replace(invoice, **changes)
        if not has_money(invoice):
            new = with_totals(ledger.organisation, new)
        if not (set(changes) == {"due_date"} and has_money(invoice)):
            new = replace(new, updated=now)
        store.save(ledger.organisation.id, new)
        return new


def _check_edit(ledger: Ledger, invoice: Invoice, changes: dict[str, object]) -> None:
    if invoice.status in ("VOIDED", "DELETED"):
        raise Refused(NOT_MODIFIABLE)
    if has_money(invoice) and not _allowed_with_money(invoice, changes):
        raise Refused(HAS_MONEY)
    number = changes.get("number")
    if number and ledger.numbers.get(str(number).casefold()):
        raise Refused("Invoice # must be unique.")
    contact = ledger.contacts.get(str(changes.get("contact_id", "")))
    if contact:
        _check_edit_contact(contact)


def _allowed_with_money(invoice: Invoice, changes: dict[str, object]) -> bool:
    """Lines may change only in description, account and tracking once money is applied."""
    extra = set(changes) - EDITABLE_WITH_MONEY
    if extra != {"lines"}:
        return not extra
    lines: Sequence[Line] = changes["lines"]  # type: ignore[assignment]
    return [_money_of(x) for x in lines] == [_money_of(x) for x in invoice.lines]


def _money_of(line: Line) -> tuple[object, ...]:
    return (line.id, line.quantity, line.unit_amount, line.tax_type, line.discount_rate)


def edit_line(
    store: Store, ledger: Ledger, invoice_id: str, line_id: str, now: datetime, **changes: object
) -> Invoice:
    """Change one line: ``unit_amount``, ``quantity``, ``description`` and so on."""
    with store.lock:
        lines = with_line(found(ledger, invoice_id), line_id, **changes)
        return edit_invoice(store, ledger, invoice_id, now, lines=lines)


def with_line(invoice: Invoice, line_id: str, **changes: object) -> list[Line]:
    """The invoice's lines with one of them changed, not yet priced."""
    if line_id not in {line.id for line in invoice.lines}:
        raise Refused(NOT_FOUND)
    return [replace(x, **changes) if x.id == line_id else x for x in invoice.lines]


def edit_silently(store: Store, ledger: Ledger, invoice_id: str, **changes: object) -> Invoice:
    """Change an invoice by the same rules without moving its stamp (3.2, 6.1)."""
    with store.lock:
        invoice = found(ledger, invoice_id)
        _check_edit(ledger, invoice, changes)
        new = replace(invoice, **changes)
        if not has_money(new):
            new = with_totals(ledger.organisation, new)
        store.save(ledger.organisation.id, new)
        return new


def change_status(
    store: Store, ledger: Ledger, invoice_id: str, status: str, now: datetime
) -> Invoice:
    """Approve, submit, delete or void an invoice (3.10)."""
    with store.lock:
        invoice = found(ledger, invoice_id)
        if status == "VOIDED" and has_money(invoice):
            raise Refused(VOID_WITH_MONEY)
        if status not in NEXT_STATUS.get(invoice.status, set()):
            raise Refused(NOT_MODIFIABLE)
        new = replace(invoice, status=status, updated=now)
        store.save(ledger.organisation.id, new)
        return new


def create_invoice(
    store: Store,
    ledger: Ledger,
    now: datetime,
    *,
    contact_id: str,
    lines: Sequence[Line],
    date: date,
    due_date: date,
    status: str = "DRAFT",
    number: str = "",
    reference: str = "",
    currency: str = "",
    line_amount_types: str = "Exclusive",
) -> Invoice:
    """Make a new sales invoice; without a number Xero takes the next one (3.7)."""
    with store.lock:
        _check_new(ledger, contact_id, number, status)
        organisation = ledger.organisation
        if not number:
            number, organisation = next_number(ledger)
        invoice = with_totals(
            organisation,
            Invoice(
                id=str(uuid4()),
                type="ACCREC",
                number=number,
                contact_id=contact_id,
                date=date,
                due_date=due_date,
                status=status,
                lines=list(lines),
                currency=currency or organisation.currency,
                updated=now,
                reference=reference,
                line_amount_types=line_amount_types,
                theme_id=organisation.themes[0].id,
            ),
        )
        store.save(organisation.id, organisation, invoice)
        return invoice


def _check_new(ledger: Ledger, contact_id: str, number: str, status: str) -> None:
    contact = ledger.contacts.get(contact_id)
    if contact is None:
        raise Refused("A Contact must be specified for this type of transaction")
    _check_edit_contact(contact)
    if number and ledger.numbers.get(number.casefold()):
        raise Refused("Invoice # must be unique.")
    if status not in ("DRAFT", "SUBMITTED", "AUTHORISED"):
        raise Refused(NOT_MODIFIABLE)


def _check_edit_contact(contact: Contact) -> None:
    if contact.status == "ARCHIVED":
        raise Refused(
            "The contact with the specified contact details has been archived. The contact must"
            " be un-archived before creating new invoices or credit notes."
        )


def next_number(ledger: Ledger) -> tuple[str, Organisation]:
    """The next free invoice number, and the organisation that has moved past it."""
    organisation = ledger.organisation
    count = organisation.next_number
    while ledger.numbers.get(f"{organisation.invoice_prefix}{count:04d}".casefold()):
        count += 1
    number = f"{organisation.invoice_prefix}{count:04d}"
    return number, replace(organisation, next_number=count + 1)


def record_payment(
    store: Store,
    ledger: Ledger,
    invoice_id: str,
    now: datetime,
    *,
    amount: Decimal,
    account: str,
    date: date,
    reference: str = "",
) -> Payment:
    """Pay an invoice in part or in full; moves the invoice's stamp as well (3.2, 4.1)."""
    with store.lock:
        invoice = found(ledger, invoice_id)
        _check_payment(ledger, invoice, amount, account)
        payment = Payment(
            id=str(uuid4()),
            invoice_id=invoice.id,
            account_code=account,
            date=date,
            amount=cents(amount),
            type="ACCRECPAYMENT" if invoice.type == "ACCREC" else "ACCPAYPAYMENT",
            updated=now,
            reference=reference,
            rate=invoice.rate,
        )
        paid = replace(invoice, amount_paid=invoice.amount_paid + payment.amount, updated=now)
        store.save(ledger.organisation.id, payment, settled(paid, date))
        return payment


def _check_payment(ledger: Ledger, invoice: Invoice, amount: Decimal, account: str) -> None:
    messages = []
    if amount <= 0:
        messages.append("The payment amount must be greater than zero")
    if amount > invoice.amount_due:
        messages.append(TOO_MUCH)
    if invoice.status != "AUTHORISED":
        messages.append(NOT_AUTHORISED)
    target = ledger.organisation.account(account) if account else None
    if target is None:
        messages.append(NO_ACCOUNT)
    elif target.type != "BANK" and not target.payments:
        messages.append(f"Account code '{account}' is not a valid code for this document.")
    if messages:
        raise Refused(*messages)


def remove_payment(store: Store, ledger: Ledger, payment_id: str, now: datetime) -> Payment:
    """Delete a payment; it stays in the list as DELETED, the invoice is owed again (4.1)."""
    with store.lock:
        payment = ledger.payments.get(payment_id)
        if payment is None or payment.status == "DELETED":
            raise Refused(NOT_FOUND)
        deleted = replace(payment, status="DELETED", updated=now)
        invoice = found(ledger, payment.invoice_id)
        owed = replace(
            invoice,
            amount_paid=invoice.amount_paid - payment.amount,
            fully_paid_on=None,
            updated=now,
        )
        store.save(ledger.organisation.id, deleted, settled(owed, payment.date))
        return deleted


def allocate_credit(
    store: Store, ledger: Ledger, credit_id: str, invoice_id: str, amount: Decimal, now: datetime
) -> CreditNote:
    """Set a part of an authorised credit note against an invoice of the same contact (4.2)."""
    with store.lock:
        note, invoice = ledger.credit_notes.get(credit_id), found(ledger, invoice_id)
        if note is None or note.status != "AUTHORISED" or note.contact_id != invoice.contact_id:
            raise Refused(NOT_FOUND)
        if invoice.status != "AUTHORISED":
            raise Refused(NOT_AUTHORISED)
        if not 0 < amount <= min(note.remaining, invoice.amount_due):
            raise Refused(TOO_MUCH)
        on = max(note.date, invoice.date)
        part = Allocation(id=str(uuid4()), invoice_id=invoice.id, amount=cents(amount), date=on)
        note = replace(note, allocations=[*note.allocations, part], updated=now)
        if note.remaining == 0:
            note = replace(note, status="PAID", fully_paid_on=on)
        credited = replace(
            invoice, amount_credited=invoice.amount_credited + part.amount, updated=now
        )
        store.save(ledger.organisation.id, note, settled(credited, on))
        return note


def change_contact(
    store: Store, ledger: Ledger, contact_id: str, now: datetime, **changes: object
) -> Contact:
    """Rename a contact or change its details; active names stay unique (4.4)."""
    with store.lock:
        contact = ledger.contacts.get(contact_id)
        if contact is None:
            raise Refused(NOT_FOUND)
        if contact.status == "ARCHIVED":
            raise Refused(
                "The specified contact details matched an archived contact. Archived contacts"
                " cannot currently be edited via the API."
            )
        name = changes.get("name")
        if name is not None:
            _check_name(ledger, contact, str(name))
        new = replace(contact, **changes, updated=now)
        store.save(ledger.organisation.id, new)
        return new


def _check_name(ledger: Ledger, contact: Contact, name: str) -> None:
    if not name.strip():
        raise Refused("The contact name must be specified.")
    if len(name) > 255:
        raise Refused("The contact name must be no more than 255 characters.")
    others = (
        c.name.casefold()
        for c in ledger.contacts.rows.values()
        if c.id != contact.id and c.status == "ACTIVE"
    )
    if name.casefold() in others:
        raise Refused(
            f"The contact name {name} is already assigned to another contact."
            " The contact name must be unique across all active contacts."
        )


def found(ledger: Ledger, invoice_id: str) -> Invoice:
    """The invoice, or Xero's refusal."""
    invoice = ledger.invoices.get(invoice_id)
    if invoice is None:
        raise Refused(NOT_FOUND)
    return invoice
