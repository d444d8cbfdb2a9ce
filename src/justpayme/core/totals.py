"""What a bill made here adds up to.

Totals that came from Xero are kept as sent and never recomputed (I-12), and so is a line whose
numbers nobody changed (`PricedLine.known`). The rules are Xero's, so that a bill made here and
the same invoice made there agree to the penny:

- a line's amount is quantity x price, less its discount, rounded to the currency's digits;
- tax is worked out per line, rounded half away from zero, and then summed
  (https://developer.xero.com/documentation/api-guides/rounding-in-xero).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext

from justpayme.core.bill import ZERO, TaxMode

HUNDRED = Decimal(100)
PRECISION = 60
"""Enough digits for the exact product of the largest quantity and the largest price."""


@dataclass(frozen=True, slots=True)
class LineTotals:
    """One line worked out. `amount` includes the tax when the bill's amounts do."""

    amount: Decimal
    tax: Decimal
    discount: Decimal


@dataclass(frozen=True, slots=True)
class PricedLine:
    """What a line's amount is made from. `discount_rate` and `tax_rate` are percentages.

    `known`: amount and tax of a line that came from Xero and was not changed.
    """

    quantity: Decimal
    unit_amount: Decimal
    discount_rate: Decimal = ZERO
    discount_amount: Decimal = ZERO
    tax_rate: Decimal = ZERO
    known: tuple[Decimal, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """A bill worked out: `total` is always `sub_total + tax_total`."""

    lines: tuple[LineTotals, ...]
    sub_total: Decimal
    tax_total: Decimal
    total: Decimal
    discount_total: Decimal


def add_up(lines: Iterable[PricedLine], mode: TaxMode, digits: int) -> Totals:
    """Work out a bill whose currency has `digits` decimals (2 for pounds, 0 for yen)."""
    with localcontext(prec=PRECISION):
        worked = tuple(_line(line, mode, digits) for line in lines)
        amounts = sum((line.amount for line in worked), ZERO)
        tax = sum((line.tax for line in worked), ZERO)
        discount = sum((line.discount for line in worked), ZERO)
        net = amounts - tax if mode is TaxMode.INCLUSIVE else amounts
        return Totals(worked, net, tax, net + tax, discount)


def _line(line: PricedLine, mode: TaxMode, digits: int) -> LineTotals:
    full = line.quantity * line.unit_amount
    amount = full * (HUNDRED - line.discount_rate) / HUNDRED - line.discount_amount
    if line.known is not None:
        rounded, tax = line.known
    else:
        rounded = to_digits(amount, digits)
        tax = tax_of(rounded, line.tax_rate, mode, digits)
    return LineTotals(rounded, tax, to_digits(full, digits) - rounded)


def tax_of(amount: Decimal, rate: Decimal, mode: TaxMode, digits: int) -> Decimal:
    """The tax on, or inside, one line's amount at `rate` percent."""
    if mode is TaxMode.NONE or not rate:
        return to_digits(ZERO, digits)
    with localcontext(prec=PRECISION):
        whole = HUNDRED + rate if mode is TaxMode.INCLUSIVE else HUNDRED
        return to_digits(amount * rate / whole, digits)


def to_digits(amount: Decimal, digits: int) -> Decimal:
    """Round half away from zero to so many decimals."""
    with localcontext(prec=PRECISION):
        return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)


def rate_text(rate: Decimal) -> str:
    """How a tax percentage typed here is kept as a line's `tax_type`: "20%", "17.5%", or ""."""
    return f"{_short(rate)}%" if rate else ""


def rate_of(tax_type: str, amount: Decimal, tax: Decimal, mode: TaxMode, digits: int) -> Decimal:
    """The percentage behind a stored line.

    A line made here says it ("20%"). A line that came from Xero carries the organisation's own
    code ("OUTPUT2"), so the roundest percentage that gives exactly this tax is found; the
    nearest with four decimals when none does (somebody typed the tax by hand).
    """
    if mode is TaxMode.NONE:
        return ZERO
    if tax_type.endswith("%") and (said := _parsed(tax_type[:-1])) is not None:
        return said
    if not tax:
        return ZERO
    with localcontext(prec=PRECISION):
        net = amount - tax if mode is TaxMode.INCLUSIVE else amount
        raw = tax / net * HUNDRED if net else ZERO
        rates = [to_digits(raw, decimals) for decimals in range(5)]
        exact = (rate for rate in rates if tax_of(amount, rate, mode, digits) == tax)
        return next(exact, rates[-1])


def _parsed(text: str) -> Decimal | None:
    plain = text.replace(".", "", 1)
    return Decimal(text) if plain.isascii() and plain.isdigit() else None


def _short(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
