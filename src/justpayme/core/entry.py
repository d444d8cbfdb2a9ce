"""What a person may enter (bills, clients, payments) as typed values, and what is wrong with it.

Pages and the API parse text into these values; the rules are here once, so that every door
refuses the same things with the same sentences. Each `*_problems` function answers
{field: sentence}; an empty answer means that the value may be stored. Line problems are keyed
"lines-<index>-<field>".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from justpayme.core.bill import ZERO, TaxMode

Problems = dict[str, str]

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

LINES_AT_MOST = 200
FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2199, 12, 31)
QUANTITY_BELOW = Decimal(10) ** 9
PRICE_BELOW = Decimal(10) ** 12
TOTAL_BELOW = Decimal(10) ** 14
"""The money columns hold fourteen digits before the point."""
RATE_UP_TO = Decimal(100)
PRICE_DECIMALS = 4

LENGTHS = {
    "name": 500,
    "email": 255,
    "phone": 100,
    "address": 2000,
    "tax_number": 100,
    "number": 255,
    "reference": 255,
    "description": 4000,
    "tax_type": 50,
    "account_code": 10,
    "branding_theme": 36,
    "url": 2000,
}
"""Characters each text may have: Xero's own limits, so a bill made here also fits there."""


@dataclass(frozen=True, slots=True)
class LineEntry:
    """One line as entered. `line_id` names the stored line it replaces, if it replaces one.

    `tax_type` and `account_code` are Xero's; empty: the line's own, else as is usual. A chosen
    `tax_type` says the rate, and `tax_rate` is not looked at.
    """

    description: str = ""
    quantity: Decimal = Decimal(1)
    unit_amount: Decimal = ZERO
    discount_rate: Decimal = ZERO
    tax_rate: Decimal = ZERO
    line_id: int | None = None
    tax_type: str = ""
    account_code: str = ""


@dataclass(frozen=True, slots=True)
class BillEntry:
    """A bill as entered; totals are worked out from it and never entered."""

    client_id: int
    currency: str
    number: str = ""
    reference: str = ""
    issued_on: date | None = None
    due_on: date | None = None
    tax_mode: TaxMode = TaxMode.EXCLUSIVE
    lines: tuple[LineEntry, ...] = ()
    expected_on: date | None = None
    branding_theme: str = ""
    url: str = ""
    sent: bool = False


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """A client as entered."""

    name: str
    email: str = ""
    phone: str = ""
    address: str = ""
    tax_number: str = ""


@dataclass(frozen=True, slots=True)
class PaymentEntry:
    """A payment as entered; `amount` is positive, in the bill's currency."""

    amount: Decimal
    on: date | None
    reference: str = ""


def client_problems(entry: ClientEntry) -> Problems:
    """What is wrong with a client."""
    names = ("name", "email", "phone", "address", "tax_number")
    found = _texts(entry, names)
    if not entry.name.strip():
        found["name"] = "Enter the client's name."
    if entry.email and "email" not in found and not _looks_like_email(entry.email):
        found["email"] = "Enter an e-mail address such as name@example.com, or leave it empty."
    return found


def payment_problems(
    entry: PaymentEntry, *, outstanding: Decimal, digits: int, show: Callable[[Decimal], str]
) -> Problems:
    """What is wrong with a payment. `show` writes an amount for a person."""
    found = _texts(entry, ("reference",)) | _day(entry.on, "on", "the payment came")
    if not entry.amount.is_finite() or entry.amount <= 0:
        found["amount"] = "Enter an amount above zero."
    elif _decimals(entry.amount) > digits:
        found["amount"] = _too_fine(digits)
    elif entry.amount > outstanding:
        most = show(outstanding)
        found["amount"] = f"That is more than the {most} outstanding. Enter {most} or less."
    return found


def bill_problems(entry: BillEntry, currencies: Mapping[str, int]) -> Problems:
    """What is wrong with a bill. `currencies` maps each known code to its decimals."""
    found = _texts(entry, ("number", "reference", "branding_theme", "url"))
    found |= _day(entry.issued_on, "issued_on", "the bill is issued")
    if entry.expected_on is not None:
        found |= _day(entry.expected_on, "expected_on", "the money is expected")
    if entry.url and "url" not in found and not _looks_like_address(entry.url):
        found["url"] = "Enter a web address that begins with https://, or leave it empty."
    if entry.due_on is not None:
        found |= _day(entry.due_on, "due_on", "the bill is due")
        if entry.issued_on and entry.due_on < entry.issued_on and "due_on" not in found:
            found["due_on"] = "The due date is before the issue date. Choose a later day."
    if entry.currency not in currencies:
        found["currency"] = "Choose a currency from the list."
    return found | _lines(entry.lines)


def _lines(lines: tuple[LineEntry, ...]) -> Problems:
    if not lines:
        return {"lines": "Add at least one line."}
    if len(lines) > LINES_AT_MOST:
        return {
            "lines": f"A bill can have {LINES_AT_MOST} lines at most. Split it into several bills."
        }
    found: Problems = {}
    for index, line in enumerate(lines):
        found |= {f"lines-{index}-{name}": text for name, text in _line(line).items()}
    return found


def _line(line: LineEntry) -> Problems:
    found = _texts(line, ("description", "tax_type", "account_code"))
    if not line.description.strip():
        found["description"] = "Say what this line is for."
    found |= _number(line.quantity, "quantity", ZERO, QUANTITY_BELOW, "Quantity")
    found |= _number(line.unit_amount, "unit_amount", -PRICE_BELOW, PRICE_BELOW, "Price")
    for name, label in (("discount_rate", "Discount"), ("tax_rate", "Tax")):
        value = getattr(line, name)
        if not value.is_finite() or not ZERO <= value <= RATE_UP_TO:
            found[name] = f"{label} is a percentage from 0 to 100."
        elif _decimals(value) > PRICE_DECIMALS:
            found[name] = _too_fine(PRICE_DECIMALS)
    return found


def _number(value: Decimal, name: str, low: Decimal, high: Decimal, label: str) -> Problems:
    if not value.is_finite() or not low <= value < high:
        least = "0 or more" if low == ZERO else f"above {low:,f}"
        return {name: f"{label} must be {least} and below {high:,f}."}
    if _decimals(value) > PRICE_DECIMALS:
        return {name: _too_fine(PRICE_DECIMALS)}
    return {}


def _texts(entry: object, names: tuple[str, ...]) -> Problems:
    found = {}
    for name in names:
        value = getattr(entry, name)
        if not is_storable(value):
            found[name] = "This contains a character that can't be kept. Type the text again."
        elif len(value) > LENGTHS[name]:
            found[name] = f"Use {LENGTHS[name]:,} characters or fewer; this has {len(value):,}."
    return found


def is_storable(text: str) -> bool:
    """False for NUL and for halves of surrogate pairs, which no database text can hold."""
    return not _UNSTORABLE.search(text)


def _day(value: date | None, name: str, what: str) -> Problems:
    if value is None:
        return {name: f"Enter the day {what}."}
    if not FIRST_DAY <= value <= LAST_DAY:
        return {name: f"Enter a day between {FIRST_DAY.year} and {LAST_DAY.year}."}
    return {}


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _too_fine(digits: int) -> str:
    return f"Use {digits} decimals or fewer." if digits else "Use whole numbers."


def _looks_like_address(text: str) -> bool:
    plain = not any(c.isspace() for c in text)
    return plain and bool(re.match(r"https?://[^/?#]+\.[^/?#]+", text))


def _looks_like_email(text: str) -> bool:
    name, at, host = text.rpartition("@")
    return bool(name and at and "." in host.strip(".")) and not any(c.isspace() for c in text)
