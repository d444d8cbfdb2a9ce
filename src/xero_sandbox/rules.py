"""What Xero allows, and what else changes when something changes.

Every change of the books goes through a function here, whoever asks: the page, ``/sandbox/act``
or the API. Each either saves everything it changes in one transaction or raises ``Refused`` with
Xero's own words. Amounts are in the invoice's currency.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import TypeVar
from uuid import uuid4

from msgspec.structs import replace

from xero_sandbox.checks import (
    ARCHIVED,
    ARCHIVED_EDIT,
    HAS_MONEY,
    MOST,
    NEEDS_LINE_ID,
    NEGATIVE_TOTAL,
    NO_ACCOUNT,
    NO_CONTACT,
    NO_LINES,
    NOT_AUTHORISED,
    NOT_FOUND,
    NOT_MODIFIABLE,
    TOO_MUCH,
    VOID_WITH_MONEY,
    Refused,
    check_approval,
    check_contact_number,
    check_header,
    check_lines,
    check_lock,
    check_name,
    check_number,
    payable,
)
from xero_sandbox.model import (
    ZERO,
    Contact,
    Document,
    Invoice,
    Line,
    Note,
    Organisation,
    Payment,
)
from xero_sandbox.store import Ledger, Store

__all__ = [
    "HAS_MONEY",
    "NOT_AUTHORISED",
    "NOT_MODIFIABLE",
    "TOO_MUCH",
    "VOID_WITH_MONEY",
    "Refused",
]
Priced = TypeVar("Priced", bound=Document)
CENT = Decimal("0.01")
DAY_RATE = Decimal("1.1523")
"""The sandbox's one rate of exchange for documents that bring none (3.7)."""
NEXT_STATUS = {
    "DRAFT": {"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"},
    "SUBMITTED": {"SUBMITTED", "DRAFT", "AUTHORISED", "DELETED"},
    "AUTHORISED": {"AUTHORISED", "VOIDED"},
}
"""Which status may follow which (3.10); PAID, VOIDED and DELETED allow none by writing."""
EDITABLE_WITH_MONEY = {"reference", "due_date", "number", "theme_id", "url", "contact_id", "sent"}
"""Fields of an invoice that stay editable once money is applied (3.10)."""
STAMPLESS_WITH_MONEY = {"due_date", "sent"}
"""Fields that do not move UpdatedDateUTC of a part-paid invoice (3.2)."""


ROUNDING = {"away": ROUND_HALF_UP, "even": ROUND_HALF_EVEN}
"""By answer to the question of halves (11.13)."""


RECONCILED = {
    "refused": "The payment is reconciled and cannot be deleted.",
    "refused_unheard": "This transaction is matched to a line of the bank statement.",
}
"""The refusal to remove a reconciled payment, by answer to the question (11.4)."""


def cents(amount: Decimal, halves: str = "away") -> Decimal:
    """Round to two places (3.11)."""
    return amount.quantize(CENT, ROUNDING[halves])


def priced(
    organisation: Organisation, line: Line, line_amount_types: str, halves: str = "away"
) -> Line:
    """Work out a line's amount and tax from quantity, price, discount and rate (3.11)."""
    if line.quantity is None or line.unit_amount is None:
        return replace(line, line_amount=ZERO, tax_amount=ZERO)
    if line.quantity < 0:
        raise Refused(
            f"The quantity value '{line.quantity:.4f}' is invalid."
            " Quantity must not be less than zero."
        )
    amount = line_total(line, halves)
    rate = organisation.tax_rate(line.tax_type or "NONE") / 100
    if line_amount_types == "NoTax":
        tax = ZERO
    elif line.own_tax is not None:
        tax = cents(line.own_tax)
    elif line_amount_types == "Inclusive":
        tax = cents(amount * rate / (1 + rate), halves)
    else:
        tax = cents(amount * rate, halves)
    return replace(line, line_amount=amount, tax_amount=tax)


def line_total(line: Line, halves: str = "away") -> Decimal:
    """Quantity times price less the discount; 0 for a line of words only (3.11)."""
    if line.quantity is None or line.unit_amount is None:
        return ZERO
    kept = 1 - (line.discount_rate or Decimal(0)) / 100
    off = line.discount_amount or Decimal(0)
    amount = line.quantity * line.unit_amount * kept - off
    if abs(amount) > MOST:
        raise Refused(f"The line amount must be no more than {MOST}")
    return cents(amount, halves)


def with_totals(organisation: Organisation, document: Priced, halves: str = "away") -> Priced:
    """Price every line and add up: tax per line, rounded, then summed (3.11)."""
    types = document.line_amount_types
    lines = [priced(organisation, line, types, halves) for line in document.lines]
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
    if line.quantity is None or line.unit_amount is None:
        return ZERO
    if not line.discount_rate and not line.discount_amount:
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
    """Change header fields, lines and status of an invoice, by Xero's rules of 3.10.

    ``changes`` are names of ``Invoice`` fields. A due date changed on a part-paid invoice does
    not move UpdatedDateUTC, which is a trap of the real API (3.2).
    """
    with store.lock:
        invoice = found(ledger, invoice_id)
        new, changed = _edited(ledger, invoice, changes)
        if not changed:
            return invoice
        if not (has_money(invoice) and changed <= STAMPLESS_WITH_MONEY):
            new = replace(new, updated=now)
        store.save(ledger.organisation.id, new)
        return new


def _edited(
    ledger: Ledger, invoice: Invoice, changes: dict[str, object]
) -> tuple[Invoice, set[str]]:
    """The invoice with the changes, checked and priced, and what has really changed."""
    if invoice.status in ("VOIDED", "DELETED"):
        raise Refused(NOT_MODIFIABLE)
    currency = changes.get("currency", invoice.currency)
    if currency != invoice.currency:
        changes = {"rate": rate_for(ledger.organisation, str(currency)), **changes}
    changes = {k: v for k, v in changes.items() if getattr(invoice, k) != v}
    _check_edit(ledger, invoice, changes)
    new = replace(invoice, **changes)
    if changes:
        _check_result(ledger, invoice, new)
    if not has_money(invoice):
        new = with_totals(ledger.organisation, new, ledger.open.halves)
    if new.status == "AUTHORISED" and invoice.status in ("DRAFT", "SUBMITTED"):
        check_approval(ledger.organisation, new)
        new = replace(new, due_date=new.due_date or new.date)
    return new, set(changes)


def _check_edit(ledger: Ledger, invoice: Invoice, changes: dict[str, object]) -> None:
    """Whether these fields of this invoice may change (3.10)."""
    status = str(changes.get("status", invoice.status))
    if status == "VOIDED" and has_money(invoice):
        raise Refused(VOID_WITH_MONEY)
    if "status" in changes and status not in NEXT_STATUS.get(invoice.status, set()):
        more = [HAS_MONEY] if has_money(invoice) and len(changes) > 1 else []
        raise Refused(NOT_MODIFIABLE, *more)
    if has_money(invoice) and not _allowed_with_money(ledger, invoice, changes):
        paid = [NOT_MODIFIABLE] if invoice.status == "PAID" else []
        raise Refused(*paid, HAS_MONEY)
    number = str(changes.get("number", invoice.number))
    if number.casefold() != invoice.number.casefold():
        check_number(ledger, number)
    if "contact_id" in changes:
        open_contact(ledger, str(changes["contact_id"]))


def _check_result(ledger: Ledger, old: Invoice, new: Invoice) -> None:
    """Lock dates, header and lines of an invoice as it would become."""
    if old.status in ("AUTHORISED", "PAID") or new.status == "AUTHORISED":
        check_lock(ledger, old.date, new.date)
    if new.status == "AUTHORISED" and not new.lines:
        raise Refused(NO_LINES)
    if new.type == "ACCREC":
        check_header(ledger.organisation, new, old)
        check_lines(ledger.organisation, new.lines, old.lines)


def _allowed_with_money(ledger: Ledger, invoice: Invoice, changes: dict[str, object]) -> bool:
    """Lines may change only in description, account and tracking once money is applied."""
    if "contact_id" in changes and invoice.amount_credited:
        return False
    extra = set(changes) - EDITABLE_WITH_MONEY
    if ledger.open.expected_date_with_money == "free":
        extra -= {"expected_on"}
    if extra != {"lines"}:
        return not extra
    lines: Sequence[Line] = changes["lines"]  # type: ignore[assignment]
    if {line.id for line in lines} - {line.id for line in invoice.lines}:
        raise Refused(NEEDS_LINE_ID)
    return [_money_of(x) for x in lines] == [_money_of(x) for x in invoice.lines]


def _money_of(line: Line) -> tuple[object, ...]:
    return (
        line.id, line.quantity, line.unit_amount, line.tax_type, line.discount_rate,
        line.discount_amount, line.own_tax, line.item_code,
    )  # fmt: skip


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
        new, _ = _edited(ledger, found(ledger, invoice_id), changes)
        store.save(ledger.organisation.id, new)
        return new


def change_status(
    store: Store, ledger: Ledger, invoice_id: str, status: str, now: datetime
) -> Invoice:
    """Approve, submit, delete or void an invoice (3.10)."""
    return edit_invoice(store, ledger, invoice_id, now, status=status)


def create_invoice(
    store: Store,
    ledger: Ledger,
    now: datetime,
    *,
    contact_id: str,
    lines: Sequence[Line],
    date: date,
    status: str = "DRAFT",
    number: str = "",
    currency: str = "",
    **more: object,
) -> Invoice:
    """Make a new sales invoice; without a number Xero takes the next one (3.7).

    ``more`` are further ``Invoice`` fields, such as ``due_date`` and ``reference``.
    """
    with store.lock:
        _check_new(ledger, contact_id, number, status)
        organisation = ledger.organisation
        if not number:
            number, organisation = next_number(ledger)
        currency = currency or organisation.currency
        fields: dict[str, object] = {
            "due_date": None,
            "theme_id": organisation.themes[0].id,
            "rate": rate_for(organisation, currency),
            **more,
        }
        invoice = Invoice(
            id=str(uuid4()),
            type="ACCREC",
            number=number,
            contact_id=contact_id,
            date=date,
            status=status,
            lines=list(lines),
            currency=currency,
            updated=now,
            **fields,  # type: ignore[arg-type]
        )
        invoice = _checked_new(ledger, invoice)
        store.save(organisation.id, organisation, invoice)
        return invoice


def rate_for(organisation: Organisation, currency: str) -> Decimal:
    """The rate of exchange of a document that brings none (3.7)."""
    return Decimal(1) if currency == organisation.currency else DAY_RATE


def _checked_new(ledger: Ledger, invoice: Invoice) -> Invoice:
    """A new invoice, checked and priced; an approved one without a due date is due at once."""
    organisation = ledger.organisation
    check_header(organisation, invoice)
    check_lines(organisation, invoice.lines, ())
    invoice = with_totals(organisation, invoice, ledger.open.halves)
    if invoice.status == "AUTHORISED":
        check_lock(ledger, invoice.date)
        check_approval(organisation, invoice)
        invoice = replace(invoice, due_date=invoice.due_date or invoice.date)
    return invoice


def _check_new(ledger: Ledger, contact_id: str, number: str, status: str) -> None:
    open_contact(ledger, contact_id)
    if number:
        check_number(ledger, number)
    if status not in ("DRAFT", "SUBMITTED", "AUTHORISED"):
        raise Refused(NOT_MODIFIABLE)


def open_contact(ledger: Ledger, contact_id: str) -> Contact:
    """The contact of a new document: there and not archived (4.4)."""
    contact = ledger.contacts.get(contact_id)
    if contact is None:
        raise Refused(NO_CONTACT)
    if contact.status == "ARCHIVED":
        raise Refused(ARCHIVED)
    return contact


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
    **more: object,
) -> Payment:
    """Pay an invoice in part or in full; moves the invoice's stamp as well (3.2, 4.1).

    ``more`` are further ``Payment`` fields: rate, bank_amount, reconciled.
    """
    with store.lock:
        invoice = found(ledger, invoice_id)
        _check_payment(ledger, invoice, amount, account)
        check_lock(ledger, date)
        fields: dict[str, object] = {"rate": invoice.rate, **more}
        payment = Payment(
            id=str(uuid4()),
            invoice_id=invoice.id,
            account_code=account,
            date=date,
            amount=cents(amount),
            type="ACCRECPAYMENT" if invoice.type == "ACCREC" else "ACCPAYPAYMENT",
            updated=now,
            reference=reference,
            **fields,  # type: ignore[arg-type]
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
    else:
        messages += payable(ledger, target, invoice.currency)
    if messages:
        raise Refused(*messages)


def remove_payment(store: Store, ledger: Ledger, payment_id: str, now: datetime) -> Payment:
    """Delete a payment; it stays in the list as DELETED, the invoice is owed again (4.1)."""
    with store.lock:
        payment = ledger.payments.get(payment_id)
        if payment is None or payment.status == "DELETED":
            raise Refused(NOT_FOUND)
        check_lock(ledger, payment.date)
        if payment.reconciled and ledger.open.reconciled in RECONCILED:
            raise Refused(RECONCILED[ledger.open.reconciled])
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


def create_contact(
    store: Store, ledger: Ledger, now: datetime, *, name: str, **more: object
) -> Contact:
    """Make a contact; ``more`` are further ``Contact`` fields (4.4)."""
    with store.lock:
        check_name(ledger, name)
        new = Contact(id=str(uuid4()), name=name.strip(), updated=now, **more)  # type: ignore[arg-type]
        check_contact_number(ledger, new.number)
        store.save(ledger.organisation.id, new)
        return new


def change_contact(
    store: Store, ledger: Ledger, contact_id: str, now: datetime, **changes: object
) -> Contact:
    """Rename a contact or change its details; active names stay unique (4.4)."""
    with store.lock:
        contact = ledger.contacts.get(contact_id)
        if contact is None:
            raise Refused(NOT_FOUND)
        if contact.status == "ARCHIVED":
            raise Refused(ARCHIVED_EDIT)
        new = replace(contact, **changes, updated=now)
        if new.name != contact.name:
            check_name(ledger, new.name, contact.id)
        check_contact_number(ledger, new.number, contact.id)
        store.save(ledger.organisation.id, new)
        return new


def merge_contacts(
    store: Store, ledger: Ledger, gone_id: str, stays_id: str, now: datetime
) -> Contact:
    """Archive a contact in favour of another, which takes over its documents (4.4).

    Whether the documents get a new stamp is an open question. Returns the archived one.
    """
    with store.lock:
        gone, stays = ledger.contacts.get(gone_id), ledger.contacts.get(stays_id)
        if gone is None or stays is None:
            raise Refused(NOT_FOUND)
        if gone.id == stays.id or {gone.status, stays.status} != {"ACTIVE"}:
            raise Refused("Two different active contacts can be merged.")
        stamped = {"updated": now} if ledger.open.merged_documents == "stamped" else {}
        moved = [
            replace(document, contact_id=stays.id, **stamped)
            for document in (*ledger.invoices.rows.values(), *ledger.credits())
            if document.contact_id == gone.id
        ]
        merged = replace(gone, status="ARCHIVED", merged_to=stays.id, updated=now)
        store.save(ledger.organisation.id, merged, replace(stays, updated=now), *moved)
        return merged


def restore_contact(store: Store, ledger: Ledger, contact_id: str, now: datetime) -> Contact:
    """Take a contact out of the archive, unless its name is in use by now (4.4)."""
    with store.lock:
        contact = ledger.contacts.get(contact_id)
        if contact is None:
            raise Refused(NOT_FOUND)
        check_name(ledger, contact.name, contact.id)
        new = replace(contact, status="ACTIVE", updated=now)
        store.save(ledger.organisation.id, new)
        return new


def add_note(store: Store, ledger: Ledger, parent_id: str, details: str, now: datetime) -> Note:
    """Write a note into a document's history; it stays for good (3.12)."""
    if not details.strip():
        raise Refused("The history record needs Details.")
    if len(details) > 2_500:
        raise Refused("Details must be no more than 2500 characters.")
    note = Note(id=str(uuid4()), parent_id=parent_id, details=details, updated=now)
    store.save(ledger.organisation.id, note)
    return note


def email_invoice(store: Store, ledger: Ledger, invoice_id: str, now: datetime) -> Invoice:
    """Send an invoice to its contact, which marks it as sent (3.12)."""
    invoice = found(ledger, invoice_id)
    if invoice.status not in ("SUBMITTED", "AUTHORISED", "PAID"):
        raise Refused("Only invoices that are submitted, authorised or paid can be emailed.")
    if not ledger.organisation.switches.emails_allowed:
        raise Refused("The daily limit of emails has been reached.")
    return edit_invoice(store, ledger, invoice_id, now, sent=True)


def found(ledger: Ledger, invoice_id: str) -> Invoice:
    """The invoice, or Xero's refusal."""
    invoice = ledger.invoices.get(invoice_id)
    if invoice is None:
        raise Refused(NOT_FOUND)
    return invoice
