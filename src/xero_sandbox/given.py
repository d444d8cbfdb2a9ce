"""The fields of a form or of a JSON object, each read with a sentence when it is wrong."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from xero_sandbox import listing
from xero_sandbox.checks import MOST
from xero_sandbox.model import Contact, Invoice
from xero_sandbox.store import Ledger

Given = Mapping[str, Any]
Shape = TypeVar("Shape")
UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.S)
YES, NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class BadInput(Exception):
    """A field is missing or wrong; the sentence names it."""


def some(names: Iterable[str]) -> str:
    """Names for a sentence, in order."""
    return ", ".join(sorted(names))


def only_known(given: Given, known: Iterable[str]) -> None:
    """Refuse a field that nobody would read."""
    for name in given:
        if name not in known:
            there = ", ".join(known) or "none at all"
            raise BadInput(f"{name[:60]}: there is no such field here, but {there}")


def read(given: object, shape: type[Shape]) -> Shape:
    """JSON as a struct; what is wrong is named by its field."""
    try:
        return msgspec.convert(given, shape)
    except UnicodeError as error:
        raise BadInput("A character in it cannot be stored") from error
    except msgspec.ValidationError as error:
        said = str(error)
        unknown = UNKNOWN.match(said)
        if unknown:
            only_known({unknown[1]: None}, shape.__struct_fields__)  # type: ignore[attr-defined]
        what, _, where = said.rpartition(" - at `$.")
        raise BadInput(f"{where[:-1]}: {what}" if where and what else said) from error


def has(given: Given, name: str) -> bool:
    """Whether a field is there and not empty."""
    return given.get(name) not in (None, "")


def text(given: Given, name: str, default: str | None = None) -> str:
    """A field as text; missing without a default is an error that names it."""
    value = given.get(name)
    if value is None or value == "":
        if default is None:
            raise BadInput(f"{name}: this is needed")
        return default
    if not isinstance(value, str | int | float | Decimal) or isinstance(value, bool):
        raise BadInput(f"{name}: this must be text or a number")
    cleaned = str(value).strip()
    if len(cleaned) > 4_000:
        raise BadInput(f"{name}: at most 4,000 characters")
    if any(ch == "\0" or "\ud800" <= ch <= "\udfff" for ch in cleaned):
        raise BadInput(f"{name}: a character in it cannot be stored")
    return cleaned


def money(given: Given, name: str, default: Decimal | None = None) -> Decimal:
    """A decimal number of up to four places."""
    value = text(given, name, None if default is None else str(default))
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise BadInput(f"{name}: write a number such as 120.50") from error
    if not amount.is_finite() or abs(amount) > MOST:
        raise BadInput(f"{name}: write a number up to {MOST}")
    return amount.quantize(Decimal("0.0001"))


def day(given: Given, name: str, default: date | None = None) -> date:
    """A calendar day."""
    value = text(given, name, default.isoformat() if default else None)
    try:
        return date.fromisoformat(value[:10])
    except ValueError as error:
        raise BadInput(f"{name}: write a date such as 2026-11-30") from error


def flag(given: Given, name: str, default: bool = False) -> bool:
    """Yes or no, as a JSON boolean or as a word."""
    value = given.get(name, default)
    if isinstance(value, bool):
        return value
    word = text(given, name).lower()
    if word not in YES | NO:
        raise BadInput(f"{name}: write yes or no")
    return word in YES


def invoice_of(ledger: Ledger, given: Given) -> Invoice:
    """The invoice named by its id or number; sales first."""
    record = listing.find_one(listing.LISTINGS["invoices"], ledger, text(given, "invoice"))
    if not isinstance(record, Invoice):
        raise BadInput("invoice: there is no such invoice")
    return record


def contact_of(ledger: Ledger, given: Given) -> Contact:
    """The contact named by its id, number or name."""
    wanted = text(given, "contact")
    record = listing.find_one(listing.LISTINGS["contacts"], ledger, wanted)
    if isinstance(record, Contact):
        return record
    named = [c for c in ledger.contacts.rows.values() if c.name == wanted]
    if not named:
        raise BadInput("contact: there is no such contact")
    return min(named, key=lambda c: c.status != "ACTIVE")
