"""Credit notes, overpayments and prepayments: made, set against invoices, taken back (4.2).

As in ``rules``, each function saves everything it changes or raises ``Refused``.
"""

from datetime import date, datetime
from decimal import Decimal
from uuid import uuid4

from msgspec.structs import replace

from xero_sandbox.checks import (
    NOT_AUTHORISED,
    NOT_FOUND,
    TOO_MUCH,
    Refused,
    check_lines,
    check_lock,
    payable,
)
from xero_sandbox.model import (
    Allocation,
    CreditNote,
    Invoice,
    Line,
    Organisation,
    Overpayment,
    Prepayment,
)
from xero_sandbox.rules import cents, found, open_contact, rate_for, settled, with_totals
from xero_sandbox.store import Ledger, Store

AnyCredit = CreditNote | Overpayment | Prepayment
OTHER_CURRENCY = "The credit and the invoice must be in the same currency."
"""Our words."""
OVER_ALLOCATED = {
    "payment_text": TOO_MUCH,
    "credit_text": "The amount is more than what is left of the credit or due on the document.",
}
"""The refusal of too much credit, by answer to the question (11.4)."""


def allocate(
    store: Store, ledger: Ledger, credit_id: str, invoice_id: str, amount: Decimal, now: datetime
) -> AnyCredit:
    """Set a part of an authorised credit against an invoice of the same contact."""
    with store.lock:
        credit, invoice = ledger.credit(credit_id), found(ledger, invoice_id)
        if credit is None or credit.status != "AUTHORISED":
            raise Refused(NOT_FOUND)
        if credit.contact_id != invoice.contact_id:
            raise Refused(NOT_FOUND)
        if credit.currency != invoice.currency:
            raise Refused(OTHER_CURRENCY)
        if invoice.status != "AUTHORISED":
            raise Refused(NOT_AUTHORISED)
        if not 0 < amount <= min(credit.remaining, invoice.amount_due):
            raise Refused(OVER_ALLOCATED[ledger.open.over_allocation])
        on = max(credit.date, invoice.date)
        part = Allocation(id=str(uuid4()), invoice_id=invoice.id, amount=cents(amount), date=on)
        credit = replace(credit, allocations=[*credit.allocations, part], updated=now)
        if credit.remaining == 0:
            credit = replace(credit, status="PAID", fully_paid_on=on)
        credited = invoice.amount_credited + part.amount
        stamp = _stamp(ledger, invoice, now)
        paid = settled(replace(invoice, amount_credited=credited, updated=stamp), on)
        store.save(ledger.organisation.id, credit, paid)
        return credit


def remove_allocation(
    store: Store, ledger: Ledger, credit_id: str, allocation_id: str, now: datetime
) -> Allocation:
    """Take an allocation back; credit and invoice are open again."""
    with store.lock:
        credit = ledger.credit(credit_id)
        parts = credit.allocations if credit else []
        part = next((p for p in parts if p.id == allocation_id), None)
        if credit is None or part is None:
            raise Refused(NOT_FOUND)
        invoice = found(ledger, part.invoice_id)
        kept = [p for p in parts if p.id != part.id]
        free = replace(
            credit, allocations=kept, status="AUTHORISED", fully_paid_on=None, updated=now
        )
        credited = invoice.amount_credited - part.amount
        stamp = _stamp(ledger, invoice, now)
        owed = replace(invoice, amount_credited=credited, fully_paid_on=None, updated=stamp)
        store.save(ledger.organisation.id, free, settled(owed, part.date))
        return part


def _stamp(ledger: Ledger, invoice: Invoice, now: datetime) -> datetime:
    """UpdatedDateUTC of an invoice whose credits change: an open question (11.7)."""
    return now if ledger.open.allocation_stamp == "moves" else invoice.updated


def receive(
    store: Store,
    ledger: Ledger,
    kind: type[Overpayment] | type[Prepayment],
    now: datetime,
    *,
    contact_id: str,
    amount: Decimal,
    account: str,
    date: date,
    reference: str = "",
    currency: str = "",
) -> Overpayment | Prepayment:
    """Receive money that no invoice asks for yet: what a person does under bank accounts."""
    organisation = ledger.organisation
    currency = currency or organisation.currency
    over = kind is Overpayment
    with store.lock:
        _check(ledger, contact_id, amount, account, currency)
        check_lock(ledger, date)
        credit = kind(
            id=str(uuid4()),
            type="RECEIVE-OVERPAYMENT" if over else "RECEIVE-PREPAYMENT",
            number="",
            contact_id=contact_id,
            date=date,
            due_date=None,
            status="AUTHORISED",
            lines=[_line(organisation, amount, over)],
            currency=currency,
            rate=rate_for(organisation, currency),
            line_amount_types="NoTax" if over else "Inclusive",
            reference=reference,
            updated=now,
        )
        credit = with_totals(organisation, credit, ledger.open.halves)
        store.save(organisation.id, credit)
        return credit


def _line(organisation: Organisation, amount: Decimal, over: bool) -> Line:
    """The one line: receivables without tax, or sales with it (4.2)."""
    debtors = next(a.code for a in organisation.accounts if a.system_account == "DEBTORS")
    return Line(
        id=str(uuid4()),
        description="Overpayment" if over else "Prepayment",
        quantity=Decimal(1),
        unit_amount=cents(amount),
        account_code=debtors if over else "200",
        tax_type="NONE" if over else organisation.default_tax,
    )


def _check(ledger: Ledger, contact_id: str, amount: Decimal, account: str, currency: str) -> None:
    open_contact(ledger, contact_id)
    if cents(amount) <= 0:
        raise Refused("The payment amount must be greater than zero")
    bank = ledger.organisation.account(account)
    problems = (
        payable(ledger, bank, currency)
        if bank
        else [f"Account code '{account}' is not a valid code for this document."]
    )
    if currency not in ledger.organisation.currencies:
        problems.append(f"Organisation is not subscribed to currency {currency}")
    if problems:
        raise Refused(*problems)


def give(
    store: Store,
    ledger: Ledger,
    now: datetime,
    *,
    contact_id: str,
    line: Line,
    date: date,
    reference: str = "",
    currency: str = "",
) -> CreditNote:
    """Approve a new credit note with one line."""
    organisation = ledger.organisation
    currency = currency or organisation.currency
    with store.lock:
        open_contact(ledger, contact_id)
        if currency not in organisation.currencies:
            raise Refused(f"Organisation is not subscribed to currency {currency}")
        check_lock(ledger, date)
        check_lines(organisation, [line], ())
        note = CreditNote(
            id=str(uuid4()),
            type="ACCRECCREDIT",
            number=next_number(ledger),
            contact_id=contact_id,
            date=date,
            due_date=None,
            status="AUTHORISED",
            lines=[line],
            currency=currency,
            rate=rate_for(organisation, currency),
            reference=reference,
            updated=now,
        )
        note = with_totals(organisation, note, ledger.open.halves)
        store.save(organisation.id, note)
        return note


def next_number(ledger: Ledger) -> str:
    """The next free number of a credit note."""
    taken = {note.number for note in ledger.credit_notes.rows.values()}
    count = len(taken) + 1
    while f"CN-{count:04d}" in taken:
        count += 1
    return f"CN-{count:04d}"
