"""Xero's words into ours: the one place where both vocabularies appear.

Every function raises Problem("wrong_shape") for a value that cannot be what Xero means.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar

from tzlocal.windows_tz import win_tz

from justpayme.core.bill import (
    BillFields,
    LineFields,
    MoneyKind,
    PaidFields,
    Status,
    TaxMode,
    TrackingFields,
)
from justpayme.core.entry import is_storable
from justpayme.core.errors import Problem
from justpayme.xero import wire

#: xero-facts 3.10. What is not owed yet is a draft, and what will never be is void.
STATUS = {
    "DRAFT": Status.DRAFT,
    "SUBMITTED": Status.DRAFT,
    "AUTHORISED": Status.ACTIVE,
    "PAID": Status.PAID,
    "VOIDED": Status.VOID,
    "DELETED": Status.VOID,
}

TAX_MODE = {
    "Exclusive": TaxMode.EXCLUSIVE,
    "Inclusive": TaxMode.INCLUSIVE,
    "NoTax": TaxMode.NONE,
}

T = TypeVar("T")

_LARGEST = Decimal(10) ** 13
_MONEY_PLACES = Decimal("0.0001")
_PLACES = Decimal("0.0000000001")
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2200, 1, 1)


def to_bill(invoice: wire.Invoice) -> BillFields:
    """The invoice as a bill says it. Only for sales invoices (Type ACCREC)."""
    return BillFields(
        number=text(invoice.invoice_number, 255),
        reference=text(invoice.reference, 255),
        client=invoice.contact.contact_id.lower(),
        issued_on=business_day(invoice.date),
        due_on=business_day(invoice.due_date),
        expected_on=business_day(invoice.expected_payment_date),
        status=known(STATUS, invoice.status, "Status"),
        sent=bool(invoice.sent_to_contact),
        branding_theme=text(invoice.branding_theme_id, 36).lower(),
        url=text(invoice.url, 2000),
        currency=currency(invoice.currency_code),
        rate=_number(invoice.currency_rate),
        tax_mode=known(TAX_MODE, invoice.line_amount_types or "Exclusive", "LineAmountTypes"),
        lines=tuple(_line(item) for item in invoice.line_items or ()),
        sub_total=amount(invoice.sub_total),
        tax_total=amount(invoice.total_tax),
        total=amount(invoice.total),
        discount_total=amount(invoice.total_discount),
        # A voided invoice may still show its full AmountDue (xero-facts 3.8): stored as sent,
        # and kept out of totals by its status.
        outstanding=amount(invoice.amount_due),
        paid=amount(invoice.amount_paid),
        credited=amount(invoice.amount_credited),
        fully_paid_on=business_day(invoice.fully_paid_on_date),
        payments=_came_off(invoice),
    )


def check_sums(invoice: wire.Invoice) -> None:
    """What came off an invoice and what is due make its total (I-16), or the answer is broken.

    Not so for a voided one, which may show its full AmountDue (xero-facts 3.8), and in the UK a
    CIS deduction lowers what is due (xero-facts 3.7).
    """
    if invoice.status in ("VOIDED", "DELETED"):
        return
    came_off = amount(invoice.amount_paid) + amount(invoice.amount_credited)
    missing = amount(invoice.total) - amount(invoice.amount_due) - came_off
    if missing not in (0, amount(invoice.cis_deduction)):
        raise Problem("wrong_shape", f"Total is off by {missing} from what is due and came off")


def _line(item: wire.LineItem) -> LineFields:
    return LineFields(
        remote_id=(item.line_item_id or "").lower(),
        description=text(item.description, 10_000),
        quantity=_number(item.quantity),
        unit_amount=_number(item.unit_amount),
        # A discount of nothing is none: so it is written when one is taken off (`outgoing`).
        discount_rate=_number(item.discount_rate) or None,
        discount_amount=_number(item.discount_amount, _MONEY_PLACES) or None,
        line_amount=amount(item.line_amount),
        tax_type=text(item.tax_type, 50),
        tax_amount=amount(item.tax_amount),
        account_code=text(item.account_code, 10),
        item_code=text(item.item_code, 50),
        tracking=tuple(
            TrackingFields(text(t.name, 200), text(t.option, 200)) for t in item.tracking or ()
        ),
    )


def _came_off(invoice: wire.Invoice) -> tuple[PaidFields, ...]:
    """Payments and credits, ordered by id: Xero's order of them is not a fact about the bill."""
    found = [
        PaidFields(
            MoneyKind.PAYMENT,
            p.payment_id.lower(),
            amount(p.amount),
            business_day(p.date),
            text(p.reference, 255),
        )
        for p in invoice.payments or ()
    ]
    found += [
        PaidFields(
            MoneyKind.CREDIT,
            c.credit_note_id.lower(),
            _applied(c),
            business_day(c.date),
            number=text(c.credit_note_number, 255),
        )
        for c in invoice.credit_notes or ()
    ]
    found += [
        PaidFields(MoneyKind.PREPAYMENT, p.prepayment_id.lower(), _applied(p), business_day(p.date))
        for p in invoice.prepayments or ()
    ]
    found += [
        PaidFields(
            MoneyKind.OVERPAYMENT, o.overpayment_id.lower(), _applied(o), business_day(o.date)
        )
        for o in invoice.overpayments or ()
    ]
    return tuple(sorted(found, key=lambda p: (p.kind, p.remote_id, p.amount)))


def _applied(stub: wire.CreditStub | wire.PrepaymentStub | wire.OverpaymentStub) -> Decimal:
    return amount(stub.total if stub.applied_amount is None else stub.applied_amount)


def known(table: dict[str, T], word: str, key: str) -> T:
    """The table's value for Xero's word; a word we don't know is refused, not guessed."""
    if word not in table:
        raise Problem("wrong_shape", f"{key} is {word[:40]!r}, which we don't know")
    return table[word]


def amount(value: Decimal | None) -> Decimal:
    """An amount of money exactly as sent; a missing one is zero."""
    return _number(value, _MONEY_PLACES) or Decimal(0)


def _number(value: Decimal | None, places: Decimal = _PLACES) -> Decimal | None:
    """Exact, or refused: what cannot be stored without rounding is not what Xero documents."""
    if value is None:
        return None
    if not value.is_finite() or abs(value) >= _LARGEST or value != value.quantize(places):
        raise Problem("wrong_shape", f"{str(value)[:40]} is no possible number here")
    return value


def text(value: str | None, longest: int) -> str:
    """Text as sent. NUL and lone surrogates can't come from Xero's own storage."""
    value = value or ""
    if not is_storable(value):
        raise Problem("wrong_shape", "text holds characters that can't be stored")
    if len(value) > longest:
        raise Problem("wrong_shape", f"text of {len(value)} characters where {longest} fit")
    return value


def currency(code: str | None) -> str:
    """A three-letter currency code."""
    if code is None or len(code) != 3 or not (code.isascii() and code.isalpha()):
        raise Problem("wrong_shape", f"CurrencyCode is {str(code)[:20]!r}")
    return code.upper()


def business_day(stamp: datetime | None) -> date | None:
    """The calendar day; 1 January 1970 and earlier mean "none" (xero-facts 3.9)."""
    found = wire.day(stamp)
    if found is None or found <= date(1970, 1, 1):
        return None
    if not _FIRST_DAY <= found <= _LAST_DAY:
        raise Problem("wrong_shape", f"{found} is no possible business date")
    return found


@dataclass(frozen=True, slots=True)
class ClientFields:
    """What we keep of a contact."""

    name: str
    email: str = ""
    phone: str = ""
    address: str = ""
    tax_number: str = ""
    archived: bool = False


_ARCHIVED = {"ACTIVE": False, "ARCHIVED": True, "GDPRREQUEST": True}


def to_client(contact: wire.Contact) -> ClientFields:
    """The contact as a client. GDPRREQUEST counts as archived (xero-facts 4.4)."""
    return ClientFields(
        name=text(contact.name, 500) or "Unnamed",
        email=text(contact.email_address, 255),
        phone=_phone(contact.phones or ()),
        address=_address(contact.addresses or ()),
        tax_number=text(contact.tax_number, 100),
        archived=known(_ARCHIVED, contact.contact_status or "ACTIVE", "ContactStatus"),
    )


def _phone(phones: tuple[wire.Phone, ...]) -> str:
    """The first number given, default and mobile first."""
    order = {"DEFAULT": 0, "MOBILE": 1}
    for phone in sorted(phones, key=lambda p: order.get(p.phone_type or "", 2)):
        if phone.phone_number:
            parts = (phone.phone_country_code, phone.phone_area_code, phone.phone_number)
            return text(" ".join(p for p in parts if p), 100)
    return ""


def _address(addresses: tuple[wire.Address, ...]) -> str:
    """The postal address (POBOX, which Xero prints on invoices), else the street's; by lines."""
    for kind in ("POBOX", "STREET"):
        for a in addresses:
            lines = (
                a.address_line1,
                a.address_line2,
                a.address_line3,
                a.address_line4,
                a.city,
                a.region,
                a.postal_code,
                a.country,
            )
            if a.address_type == kind and any(lines):
                return text("\n".join(line for line in lines if line), 4000)
    return ""


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """What a payment says that an invoice's own list of payments does not (xero-facts 3.8)."""

    live: bool
    account_id: str
    invoice_id: str
    amount: Decimal
    payment_id: str = ""
    on: date | None = None
    reference: str = ""


def to_payment(payment: wire.Payment) -> PaymentFacts:
    """The payment's facts. Status DELETED means that it was taken back (xero-facts 4.1)."""
    live = known({"AUTHORISED": True, "DELETED": False}, payment.status or "", "Status")
    if live and amount(payment.amount) <= 0:
        raise Problem("wrong_shape", f"a payment of {payment.amount}")
    return PaymentFacts(
        live=live,
        account_id=(payment.account.account_id or "").lower() if payment.account else "",
        invoice_id=(payment.invoice.invoice_id or "").lower() if payment.invoice else "",
        amount=amount(payment.amount),
        payment_id=payment.payment_id.lower(),
        on=business_day(payment.date),
        reference=text(payment.reference, 255),
    )


def to_credits(note: wire.CreditNote) -> list[tuple[str, PaidFields]]:
    """(InvoiceID, credit) for each part of a credit note that was applied to an invoice."""
    return [
        (
            allocation.invoice.invoice_id.lower(),
            PaidFields(
                MoneyKind.CREDIT,
                note.credit_note_id.lower(),
                amount(allocation.amount),
                business_day(note.date),
                number=text(note.credit_note_number, 255),
            ),
        )
        for allocation in note.allocations or ()
        if allocation.invoice and allocation.invoice.invoice_id
    ]


@dataclass(frozen=True, slots=True)
class OrganisationFields:
    """What we keep of an organisation. `time_zone` is an IANA name.

    What is dated on a lock date or before it is closed (xero-facts 4.6, 11.5).
    """

    organisation_id: str
    name: str
    short_code: str
    country: str
    currency: str
    time_zone: str
    period_lock_date: date | None = None
    end_of_year_lock_date: date | None = None


_OLD_ZONES = {
    "Kamchatka Standard Time": "Asia/Kamchatka",
    "Mid-Atlantic Standard Time": "Etc/GMT+2",
}
"""Names that Windows keeps from before and maps to nothing any more, but Xero still lists."""

_DROPPED = str.maketrans("", "", " .-")
_ZONES = {n.translate(_DROPPED).upper(): zone for n, zone in (win_tz | _OLD_ZONES).items()}
"""By Xero's spelling: Windows' names in capitals, without their blanks, dots and hyphens. So
UTC02 is two hours behind, and UTC+12 keeps its plus (xero-facts 4.6)."""


def to_organisation(organisation: wire.Organisation) -> OrganisationFields:
    """The organisation; a zone that we don't know falls back to UTC (xero-facts 4.6)."""
    return OrganisationFields(
        organisation_id=organisation.organisation_id.lower(),
        name=text(organisation.name, 255),
        short_code=text(organisation.short_code, 20),
        country=text(organisation.country_code, 2),
        currency=currency(organisation.base_currency),
        time_zone=_ZONES.get((organisation.timezone or "").upper(), "UTC"),
        period_lock_date=business_day(organisation.period_lock_date),
        end_of_year_lock_date=business_day(organisation.end_of_year_lock_date),
    )


def in_scope(invoice: wire.Invoice, *, drafts: bool, linked: bool) -> bool:
    """Does this invoice become (or stay) a bill?

    Supplier bills never. Drafts only on wish, but one that is linked is followed on. A deleted
    draft that we never had is nothing; a voided invoice is kept as a void bill.
    """
    if invoice.type != "ACCREC":
        return False
    status = known(STATUS, invoice.status, "Status")
    if linked:
        return True
    if invoice.status == "DELETED":
        return False
    return drafts or status is not Status.DRAFT
