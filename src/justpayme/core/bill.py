"""What a bill says, as values that can be compared.

One vocabulary for both books: a bill read from our rows and an invoice translated from
Xero become the same `BillFields`, so "equal" is simply `==`. Money is Decimal in the
bill's own currency; dates are calendar days, never instants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any

ZERO = Decimal(0)


class Status(StrEnum):
    """The life of a bill. *Overdue* is not stored: see `shown_status`."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAID = "paid"
    VOID = "void"


class TaxMode(StrEnum):
    """Whether line amounts include tax."""

    EXCLUSIVE = "exclusive"
    INCLUSIVE = "inclusive"
    NONE = "none"


class MoneyKind(StrEnum):
    """How an amount came off a bill."""

    PAYMENT = "payment"
    CREDIT = "credit"
    PREPAYMENT = "prepayment"
    OVERPAYMENT = "overpayment"


@dataclass(frozen=True, slots=True)
class TrackingFields:
    """One tracking category of a line and the option chosen in it."""

    name: str
    option: str


@dataclass(frozen=True, slots=True)
class LineFields:
    """One line. `remote_id` is Xero's LineItemID, empty for a line that only exists here.

    `quantity` and `unit_amount` keep up to four decimals; `discount_rate` is a percentage.
    """

    description: str = ""
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    discount_rate: Decimal | None = None
    discount_amount: Decimal | None = None
    line_amount: Decimal = ZERO
    tax_type: str = ""
    tax_amount: Decimal = ZERO
    account_code: str = ""
    item_code: str = ""
    tracking: tuple[TrackingFields, ...] = ()
    remote_id: str = ""


@dataclass(frozen=True, slots=True)
class PaidFields:
    """Money that came off a bill: a payment, or a credit note, prepayment or overpayment applied.

    `remote_id` is the PaymentID, or the id of the credit note (prepayment, overpayment).
    `amount` is positive and in the bill's currency.
    """

    kind: MoneyKind
    remote_id: str
    amount: Decimal
    on: date | None = None
    reference: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class BillFields:
    """Every field that is mirrored between a bill and its Xero invoice.

    `client` is the ContactID of the client (empty while the client has none).
    Totals are stored as the other book sent them and never recomputed over it (I-12).
    `rate` converts the organisation's currency into the bill's: as Xero gives it.
    """

    number: str = ""
    reference: str = ""
    client: str = ""
    issued_on: date | None = None
    due_on: date | None = None
    expected_on: date | None = None
    status: Status = Status.DRAFT
    sent: bool = False
    branding_theme: str = ""
    url: str = ""
    currency: str = ""
    rate: Decimal | None = None
    tax_mode: TaxMode = TaxMode.EXCLUSIVE
    lines: tuple[LineFields, ...] = ()
    sub_total: Decimal = ZERO
    tax_total: Decimal = ZERO
    total: Decimal = ZERO
    discount_total: Decimal = ZERO
    outstanding: Decimal = ZERO
    paid: Decimal = ZERO
    credited: Decimal = ZERO
    fully_paid_on: date | None = None
    payments: tuple[PaidFields, ...] = field(default=())

    def take(self, other: BillFields, names: tuple[str, ...]) -> BillFields:
        """The same with the named fields taken from `other`."""
        if not names:
            return self
        taken = list(_values(self))
        for name in names:
            taken[_PLACE[name]] = getattr(other, name)
        return BillFields(*taken)

    def differing(self, other: BillFields) -> tuple[str, ...]:
        """The names of the fields whose values differ, in declaration order."""
        return tuple(n for n in FIELD_NAMES if getattr(self, n) != getattr(other, n))


FIELD_NAMES: tuple[str, ...] = tuple(f.name for f in fields(BillFields))
_PLACE = {name: place for place, name in enumerate(FIELD_NAMES)}
_values: Callable[[BillFields], tuple[Any, ...]] = attrgetter(*FIELD_NAMES)

UNITS: dict[str, tuple[str, ...]] = {
    "number": ("number",),
    "reference": ("reference",),
    "client": ("client",),
    "issued_on": ("issued_on",),
    "due_on": ("due_on",),
    "expected_on": ("expected_on",),
    "status": ("status",),
    "sent": ("sent",),
    "branding_theme": ("branding_theme",),
    "url": ("url",),
    "money": ("currency", "rate"),
    "lines": ("tax_mode", "lines", "sub_total", "tax_total", "total", "discount_total"),
    "settlement": ("outstanding", "paid", "credited", "fully_paid_on", "payments"),
}
"""Fields that only make sense together, merged as one: half of each side is a bill nobody wrote."""

OWNED_BY_XERO = frozenset({"settlement"})
"""Units that are computed by Xero and never edited here."""


def shown_status(status: Status, due_on: date | None, today: date) -> str:
    """The word a person sees: `overdue` for an active bill whose due date has passed.

    `today` is the calendar day in the organisation's time zone.
    """
    if status is Status.ACTIVE and due_on is not None and due_on < today:
        return "overdue"
    return status.value


def to_plain(value: Any) -> Any:
    """A value of this module as JSON-ready data; Decimals and dates become strings."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [to_plain(v) for v in value]
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    return value


def from_plain(data: Mapping[str, Any]) -> BillFields:
    """The bill that `to_plain` wrote. A field it does not name (written before there was one)
    has its usual value; a name that is no field any more is ignored."""
    return BillFields(**_read(data, _BILL))


_Reader = Callable[[Any], Any]


def _read(data: Mapping[str, Any], readers: Mapping[str, _Reader]) -> dict[str, Any]:
    return {name: readers[name](data[name]) for name in readers if name in data}


def _maybe(read: _Reader) -> _Reader:
    return lambda value: None if value is None else read(value)


def _each(made: type, readers: Mapping[str, _Reader]) -> _Reader:
    return lambda values: tuple(made(**_read(value, readers)) for value in values)


_day = _maybe(date.fromisoformat)
_number = _maybe(Decimal)
_TRACKING: dict[str, _Reader] = dict.fromkeys(("name", "option"), str)
_LINE: dict[str, _Reader] = {
    **dict.fromkeys(("description", "tax_type", "account_code", "item_code", "remote_id"), str),
    **dict.fromkeys(("quantity", "unit_amount", "discount_rate", "discount_amount"), _number),
    **dict.fromkeys(("line_amount", "tax_amount"), Decimal),
    "tracking": _each(TrackingFields, _TRACKING),
}
_PAID: dict[str, _Reader] = {
    **dict.fromkeys(("remote_id", "reference", "number"), str),
    "kind": MoneyKind,
    "amount": Decimal,
    "on": _day,
}
_BILL: dict[str, _Reader] = {
    **dict.fromkeys(("number", "reference", "client", "branding_theme", "url", "currency"), str),
    **dict.fromkeys(("issued_on", "due_on", "expected_on", "fully_paid_on"), _day),
    **dict.fromkeys(("sub_total", "tax_total", "total", "discount_total"), Decimal),
    **dict.fromkeys(("outstanding", "paid", "credited"), Decimal),
    "status": Status,
    "sent": bool,
    "rate": _number,
    "tax_mode": TaxMode,
    "lines": _each(LineFields, _LINE),
    "payments": _each(PaidFields, _PAID),
}
