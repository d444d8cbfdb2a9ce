"""The currencies a bill can be in: those in use somewhere today, from Babel's CLDR tables."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache

from babel.core import get_global
from babel.numbers import format_currency, get_currency_name, get_currency_precision

LOCALE = "en_GB"


@cache
def digits_by_code() -> Mapping[str, int]:
    """Each currency's code and how many decimals its amounts have."""
    return {code: get_currency_precision(code) for code in sorted(_in_use())}


@cache
def choices() -> list[tuple[str, str]]:
    """Codes with names, for a list to choose from."""
    return [
        (code, f"{code}, {get_currency_name(code, locale=LOCALE)}") for code in digits_by_code()
    ]


def digits(code: str) -> int:
    """How many decimals amounts in this currency have; 2 for a code nobody knows."""
    return digits_by_code().get(code, get_currency_precision(code))


def text(amount: Decimal, code: str) -> str:
    """An amount inside a sentence: "£1,234.50"; decimals beyond the currency's are never cut."""
    return format_currency(amount, code, locale=LOCALE, decimal_quantization=False)


def _in_use() -> set[str]:
    """Legal tender of some territory, without an end date."""
    periods = get_global("territory_currencies").values()
    return {code for rows in periods for code, _, end, tender in rows if tender and end is None}
