"""The records of a local Xero: frozen values in Xero's words.

Records never change; a change makes a new record and the store replaces the old one.
Money is Decimal, business dates are ``date``, stamps are aware UTC datetimes.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias

import msgspec

ZERO = Decimal("0.00")
Day: TypeAlias = date
"""A business date; its own name because records have a field called ``date``."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Anything with an id that the store keeps."""

    id: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account of the chart of accounts (4.3)."""

    id: str
    code: str
    name: str
    type: str
    tax_type: str
    account_class: str
    status: str = "ACTIVE"
    system_account: str = ""
    payments: bool = False
    currency: str | None = None


class TaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """One tax rate in per cent; ``revenue`` says whether sales may use it (4.5)."""

    tax_type: str
    name: str
    rate: Decimal
    revenue: bool
    report_type: str = "OUTPUT"
    status: str = "ACTIVE"


class Theme(msgspec.Struct, frozen=True, kw_only=True):
    """A branding theme."""

    id: str
    name: str
    sort_order: int


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation or its plan decides; what nobody knows is in ``open_questions``."""

    period_lock_date: date | None = None
    end_of_year_lock_date: date | None = None
    approval_limit_reached: bool = False
    emails_allowed: bool = True


class Organisation(Record, frozen=True, kw_only=True):
    """A Xero organisation with its settings; ``id`` is the tenant id of the API."""

    organisation_id: str
    name: str
    legal_name: str
    short_code: str
    country: str
    version: str
    currency: str
    timezone: str
    created: datetime
    updated: datetime
    tax_number: str
    accounts: list[Account]
    tax_rates: list[TaxRate]
    themes: list[Theme]
    currencies: dict[str, str]
    default_tax: str
    invoice_prefix: str = "INV-"
    next_number: int = 1
    is_demo: bool = True
    financial_year_end: tuple[int, int] = (31, 3)
    switches: Switches = Switches()

    def account(self, code: str) -> Account | None:
        """Find an account by its code or id."""
        return next((a for a in self.accounts if code in (a.code, a.id)), None)

    def tax_rate(self, tax_type: str) -> Decimal:
        """Per cent of a tax type; an unknown one is 0."""
        return next((t.rate for t in self.tax_rates if t.tax_type == tax_type), Decimal(0))


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One of up to five people of a contact (4.4)."""

    first_name: str = ""
    last_name: str = ""
    email: str = ""
    included: bool = False


class Contact(Record, frozen=True, kw_only=True):
    """A customer or supplier (4.4).

    ``street`` holds what the STREET address has beyond its four fields, ``postal`` the POBOX
    one, ``phones`` the numbers of other kinds than DEFAULT; all by Xero's names.
    """

    name: str
    updated: datetime
    number: str | None = None
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    phone: str = ""
    address: str = ""
    city: str = ""
    postcode: str = ""
    country: str = ""
    street: dict[str, str] = {}
    postal: dict[str, str] = {}
    phones: dict[str, str] = {}
    tax_number: str = ""
    status: str = "ACTIVE"
    merged_to: str | None = None
    default_currency: str | None = None
    persons: list[Person] = []


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line; quantity and unit amount are None on a description-only line (3.7).

    ``own_tax`` is a TaxAmount that was written in place of the computed one (3.11).
    """

    id: str
    description: str
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    account_code: str | None = None
    tax_type: str | None = None
    tax_amount: Decimal = ZERO
    line_amount: Decimal = ZERO
    discount_rate: Decimal | None = None
    discount_amount: Decimal | None = None
    own_tax: Decimal | None = None
    item_code: str | None = None
    tracking: list[tuple[str, str]] = []


class Document(Record, frozen=True, kw_only=True):
    """What invoices and credit notes have in common."""

    type: str
    number: str
    contact_id: str
    date: Day
    due_date: Day | None
    status: str
    lines: list[Line]
    currency: str
    updated: datetime
    reference: str = ""
    rate: Decimal = Decimal(1)
    line_amount_types: str = "Exclusive"
    sub_total: Decimal = ZERO
    total_tax: Decimal = ZERO
    total: Decimal = ZERO
    total_discount: Decimal = ZERO
    theme_id: str | None = None
    sent: bool = False
    fully_paid_on: Day | None = None


class Invoice(Document, frozen=True, kw_only=True):
    """ACCREC (a sale) or ACCPAY (a supplier's bill).

    ``cis`` is the deduction of the UK's construction industry scheme as shown, ``cis_off`` what
    of it comes off AmountDue (4.2).
    """

    amount_paid: Decimal = ZERO
    amount_credited: Decimal = ZERO
    cis: Decimal = ZERO
    cis_off: Decimal = ZERO
    url: str | None = None
    expected_on: Day | None = None

    @property
    def amount_due(self) -> Decimal:
        """What is still owed (4.2); 0 on documents that are void or deleted (3.8)."""
        if self.status in ("VOIDED", "DELETED"):
            return ZERO
        return self.total - self.amount_paid - self.amount_credited - self.cis_off


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a credit set against an invoice (4.2)."""

    id: str
    invoice_id: str
    amount: Decimal
    date: Day


class Credit(Document, frozen=True, kw_only=True):
    """What can be set against invoices of its contact (4.2)."""

    allocations: list[Allocation] = []

    @property
    def remaining(self) -> Decimal:
        """What has not been allocated yet."""
        if self.status in ("VOIDED", "DELETED"):
            return ZERO
        return self.total - sum((a.amount for a in self.allocations), ZERO)


class CreditNote(Credit, frozen=True, kw_only=True):
    """A credit note: ACCRECCREDIT or ACCPAYCREDIT."""


class Overpayment(Credit, frozen=True, kw_only=True):
    """More money than was owed: RECEIVE-OVERPAYMENT, into the account of receivables (4.2)."""


class Prepayment(Credit, frozen=True, kw_only=True):
    """Money received ahead of an invoice: RECEIVE-PREPAYMENT, with its tax (4.2)."""


class Payment(Record, frozen=True, kw_only=True):
    """Money received or sent for one invoice (4.1)."""

    invoice_id: str
    account_code: str
    date: Day
    amount: Decimal
    type: str
    updated: datetime
    reference: str = ""
    rate: Decimal = Decimal(1)
    status: str = "AUTHORISED"
    reconciled: bool = False
    bank_amount: Decimal | None = None


class Note(Record, frozen=True, kw_only=True):
    """A note in the history of a document (3.12)."""

    parent_id: str
    details: str
    updated: datetime


class Connection(Record, frozen=True, kw_only=True):
    """The app's access to one organisation (1.6)."""

    tenant_id: str
    auth_event_id: str
    created: datetime
    updated: datetime


class Code(Record, frozen=True, kw_only=True):
    """An authorization code; ``id`` is the code itself. Single use, five minutes (1.1)."""

    redirect_uri: str
    scopes: list[str]
    auth_event_id: str
    issued: datetime
    challenge: str | None = None
    used: bool = False


class RefreshToken(Record, frozen=True, kw_only=True):
    """A refresh token; ``id`` is the token. ``rotated`` is when it was first used (1.3)."""

    scopes: list[str]
    auth_event_id: str
    issued: datetime
    rotated: datetime | None = None


class KeptAnswer(Record, frozen=True, kw_only=True):
    """The answer to a call with an Idempotency-Key, which is the ``id`` (3.6)."""

    request: str
    first: datetime
    status: int
    content_type: str
    body: bytes


class Setting(Record, frozen=True, kw_only=True):
    """One named value of the sandbox itself, such as the signing key."""

    value: str


def sql_guid_key(text: str) -> bytes:
    """Key that sorts GUIDs like SQL Server's uniqueidentifier: last group first (3.1)."""
    raw = bytes.fromhex(text.replace("-", ""))
    return raw[10:] + raw[8:10] + raw[7:5:-1] + raw[5:3:-1] + raw[3::-1]
