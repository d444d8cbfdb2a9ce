"""Exactly the JSON of Xero's that we use, typed: parse at the door (xero-facts 3.7, 3.8, 4).

Numbers become Decimal from the first byte; Xero's own examples sometimes write them as
strings, which is tolerated. Enumerations stay strings, because Xero extends them
(xero-facts 6.28); `translate` refuses the ones it must understand. Unknown keys are ignored.
A missing array, a wrong type or text instead of JSON is a `Problem("wrong_shape")`,
never "no invoices" (I-9).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec

from justpayme.core.errors import Problem

_MS_DATE = re.compile(r"/Date\((-?\d{1,15})([+-]0000)?\)/", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,7})?Z?)?", re.ASCII)

Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]

Figure = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
"""A count; a larger one is no count of anybody's invoices."""


class Stamp(datetime):
    """A time of Xero's, in UTC; a type of its own so that the decoder knows where to parse."""


_EPOCH = Stamp(1970, 1, 1, tzinfo=UTC)


def instant(text: str) -> Stamp:
    """A time of Xero's, `/Date(ms+0000)/` or ISO without an offset, as UTC (xero-facts 3.9).

    Raises ValueError for anything else, other offsets than UTC and years beyond 1 to 9999.
    """
    if match := _MS_DATE.fullmatch(text):
        try:
            return _EPOCH + timedelta(milliseconds=int(match[1]))
        except OverflowError as error:
            raise ValueError(f"{text[:40]!r} is no possible time") from error
    if _ISO.fullmatch(text):
        whole, _, fraction = text.rstrip("Z").partition(".")
        moment = Stamp.fromisoformat(whole).replace(tzinfo=UTC)
        return moment.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0")))
    raise ValueError(f"{text[:40]!r} is not one of Xero's dates")


def day(stamp: datetime | None) -> date | None:
    """A business date: the UTC date part, never converted to local time (xero-facts 3.9)."""
    return stamp.date() if stamp else None


class Struct(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A Xero object: PascalCase keys, immutable."""


class Tracking(Struct, frozen=True, kw_only=True):
    """A tracking category of a line with the option chosen."""

    name: str = ""
    option: str = ""


class LineItem(Struct, frozen=True, kw_only=True):
    """A line of an invoice or credit note. Amounts: up to 4 decimals with unitdp=4."""

    line_item_id: Id | None = msgspec.field(name="LineItemID", default=None)
    description: str | None = None
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    item_code: str | None = None
    account_code: str | None = None
    tax_type: str | None = None
    tax_amount: Decimal | None = None
    line_amount: Decimal | None = None
    discount_rate: Decimal | None = None
    discount_amount: Decimal | None = None
    tracking: tuple[Tracking, ...] | None = None


class Address(Struct, frozen=True, kw_only=True):
    """A contact's postal address; AddressType is POBOX or STREET."""

    address_type: str | None = None
    address_line1: str | None = None
    address_line2: str | None = None
    address_line3: str | None = None
    address_line4: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Phone(Struct, frozen=True, kw_only=True):
    """A contact's phone number in Xero's parts."""

    phone_type: str | None = None
    phone_number: str | None = None
    phone_area_code: str | None = None
    phone_country_code: str | None = None


class Contact(Struct, frozen=True, kw_only=True):
    """A contact; inside an invoice page only ContactID and Name (xero-facts 3.8, 4.4)."""

    contact_id: Id = msgspec.field(name="ContactID")
    name: str = ""
    contact_number: str | None = None
    contact_status: str | None = None
    email_address: str | None = None
    tax_number: str | None = None
    is_customer: bool | None = None
    addresses: tuple[Address, ...] | None = None
    phones: tuple[Phone, ...] | None = None
    merged_to_contact_id: Id | None = msgspec.field(name="MergedToContactID", default=None)
    updated: Stamp | None = msgspec.field(name="UpdatedDateUTC", default=None)


class PaymentStub(Struct, frozen=True, kw_only=True):
    """A payment as an invoice shows it: no status, no account (xero-facts 3.8)."""

    payment_id: Id = msgspec.field(name="PaymentID")
    date: Stamp | None = None
    amount: Decimal
    reference: str | None = None


class CreditStub(Struct, frozen=True, kw_only=True):
    """A credit note as an invoice shows it: what of it was applied here."""

    credit_note_id: Id = msgspec.field(name="CreditNoteID")
    credit_note_number: str | None = None
    applied_amount: Decimal | None = None
    date: Stamp | None = None
    total: Decimal | None = None


class PrepaymentStub(Struct, frozen=True, kw_only=True):
    """A prepayment applied to an invoice."""

    prepayment_id: Id = msgspec.field(name="PrepaymentID")
    applied_amount: Decimal | None = None
    date: Stamp | None = None
    total: Decimal | None = None


class OverpaymentStub(Struct, frozen=True, kw_only=True):
    """An overpayment applied to an invoice."""

    overpayment_id: Id = msgspec.field(name="OverpaymentID")
    applied_amount: Decimal | None = None
    date: Stamp | None = None
    total: Decimal | None = None


class Invoice(Struct, frozen=True, kw_only=True):
    """A sales (ACCREC) or supplier's (ACCPAY) invoice."""

    type: str
    invoice_id: Id = msgspec.field(name="InvoiceID")
    invoice_number: str | None = None
    reference: str | None = None
    status: str
    contact: Contact
    date: Stamp | None = None
    due_date: Stamp | None = None
    expected_payment_date: Stamp | None = None
    fully_paid_on_date: Stamp | None = None
    updated: Stamp = msgspec.field(name="UpdatedDateUTC")
    line_amount_types: str | None = None
    line_items: tuple[LineItem, ...] | None = None
    currency_code: str | None = None
    currency_rate: Decimal | None = None
    branding_theme_id: str | None = msgspec.field(name="BrandingThemeID", default=None)
    url: str | None = None
    sent_to_contact: bool | None = None
    sub_total: Decimal
    total_tax: Decimal
    total: Decimal
    total_discount: Decimal | None = None
    amount_due: Decimal
    amount_paid: Decimal
    amount_credited: Decimal | None = None
    cis_deduction: Decimal | None = msgspec.field(name="CISDeduction", default=None)
    payments: tuple[PaymentStub, ...] | None = None
    credit_notes: tuple[CreditStub, ...] | None = None
    prepayments: tuple[PrepaymentStub, ...] | None = None
    overpayments: tuple[OverpaymentStub, ...] | None = None


class InvoiceRef(Struct, frozen=True, kw_only=True):
    """An invoice named inside a payment or an allocation."""

    invoice_id: Id | None = msgspec.field(name="InvoiceID", default=None)


class AccountRef(Struct, frozen=True, kw_only=True):
    """An account named inside a payment."""

    account_id: Id | None = msgspec.field(name="AccountID", default=None)


class Payment(Struct, frozen=True, kw_only=True):
    """A payment from /Payments, with status and account (xero-facts 4.1)."""

    payment_id: Id = msgspec.field(name="PaymentID")
    status: str | None = None
    date: Stamp | None = None
    amount: Decimal | None = None
    reference: str | None = None
    is_reconciled: bool | None = None
    account: AccountRef | None = None
    invoice: InvoiceRef | None = None
    updated: Stamp | None = msgspec.field(name="UpdatedDateUTC", default=None)


class Allocation(Struct, frozen=True, kw_only=True):
    """Part of a credit note applied to one invoice."""

    amount: Decimal | None = None
    invoice: InvoiceRef | None = None


class CreditNote(Struct, frozen=True, kw_only=True):
    """A credit note from /CreditNotes (xero-facts 4.2)."""

    credit_note_id: Id = msgspec.field(name="CreditNoteID")
    credit_note_number: str | None = None
    date: Stamp | None = None
    allocations: tuple[Allocation, ...] | None = None
    updated: Stamp | None = msgspec.field(name="UpdatedDateUTC", default=None)


class Account(Struct, frozen=True, kw_only=True):
    """An account of the chart (xero-facts 4.3). Bank accounts may have no code.

    `kind` is Xero's Class: ASSET, EQUITY, EXPENSE, LIABILITY or REVENUE. An account with a
    `system_account` (DEBTORS, GST and so on) belongs to Xero itself.
    """

    account_id: Id = msgspec.field(name="AccountID")
    code: str | None = None
    name: str = ""
    type: str | None = None
    kind: str | None = msgspec.field(name="Class", default=None)
    status: str | None = None
    tax_type: str | None = None
    system_account: str | None = None
    enable_payments_to_account: bool | None = None
    currency_code: str | None = None


class TaxRate(Struct, frozen=True, kw_only=True):
    """A tax rate (xero-facts 4.5); `effective_rate` is a percentage.

    Each `can_apply_to_…` says whether Xero takes it with accounts of that class.
    """

    tax_type: str | None = None
    name: str = ""
    status: str | None = None
    effective_rate: Decimal | None = None
    can_apply_to_assets: bool | None = None
    can_apply_to_equity: bool | None = None
    can_apply_to_expenses: bool | None = None
    can_apply_to_liabilities: bool | None = None
    can_apply_to_revenue: bool | None = None


class Currency(Struct, frozen=True, kw_only=True):
    """A currency that the organisation uses."""

    code: str
    description: str | None = None


class BrandingTheme(Struct, frozen=True, kw_only=True):
    """How an invoice looks (xero-facts 4.5)."""

    branding_theme_id: Id = msgspec.field(name="BrandingThemeID")
    name: str = ""


class Organisation(Struct, frozen=True, kw_only=True):
    """The organisation behind a tenant (xero-facts 4.6). `timezone` is Windows-style.

    The lock dates are there only if set; what is dated on one or before it is closed.
    """

    organisation_id: Id = msgspec.field(name="OrganisationID")
    name: str = ""
    short_code: str | None = None
    country_code: str | None = None
    base_currency: str | None = None
    timezone: str | None = None
    period_lock_date: Stamp | None = None
    end_of_year_lock_date: Stamp | None = None


class Pagination(msgspec.Struct, rename="camel", frozen=True):
    """Xero's figures about a paged question."""

    page: Figure
    page_size: Figure
    page_count: Figure
    item_count: Figure


class Envelope(Struct, frozen=True, kw_only=True):
    """What surrounds every answer. `said_at` is Xero's own time."""

    said_at: Stamp = msgspec.field(name="DateTimeUTC")
    pagination: Pagination | None = msgspec.field(name="pagination", default=None)


class Invoices(Envelope, frozen=True, kw_only=True):
    """One page of invoices; each element stays raw too, because the sync keeps Xero's words."""

    items: tuple[msgspec.Raw, ...] = msgspec.field(name="Invoices")


class Contacts(Envelope, frozen=True, kw_only=True):
    """One page of contacts."""

    items: tuple[Contact, ...] = msgspec.field(name="Contacts")


class Payments(Envelope, frozen=True, kw_only=True):
    """One page of payments."""

    items: tuple[Payment, ...] = msgspec.field(name="Payments")


class CreditNotes(Envelope, frozen=True, kw_only=True):
    """One page of credit notes."""

    items: tuple[CreditNote, ...] = msgspec.field(name="CreditNotes")


class Accounts(Envelope, frozen=True, kw_only=True):
    """The chart of accounts; not paged."""

    items: tuple[Account, ...] = msgspec.field(name="Accounts")


class TaxRates(Envelope, frozen=True, kw_only=True):
    """All tax rates; not paged."""

    items: tuple[TaxRate, ...] = msgspec.field(name="TaxRates")


class Currencies(Envelope, frozen=True, kw_only=True):
    """All currencies; not paged."""

    items: tuple[Currency, ...] = msgspec.field(name="Currencies")


class BrandingThemes(Envelope, frozen=True, kw_only=True):
    """All branding themes; not paged."""

    items: tuple[BrandingTheme, ...] = msgspec.field(name="BrandingThemes")


class Organisations(Envelope, frozen=True, kw_only=True):
    """The one organisation, in a list."""

    items: tuple[Organisation, ...] = msgspec.field(name="Organisations")


T = TypeVar("T")
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _hook(kind: type, value: Any) -> Any:
    if kind is Stamp and isinstance(value, str):
        return instant(value)
    raise ValueError("expected one of Xero's dates")


def is_json(headers: Mapping[str, str], body: bytes) -> bool:
    """Does the answer call itself JSON, and is it UTF-8 throughout? The decoder skips what we
    don't read, so it would not notice (I-9)."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return "json" in headers.get("content-type", "").lower()


def decode(kind: type[T], body: bytes | msgspec.Raw) -> T:
    """The body as `kind`. Raises Problem("wrong_shape") and says where it stopped fitting."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_hook)
    try:
        result: T = decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, UnicodeError, RecursionError) as error:
        raise Problem("wrong_shape", f"{kind.__name__}: {str(error)[:300]}") from error
    return result
