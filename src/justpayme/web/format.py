"""Numbers, money, dates and moments as a person reads them (UK English).

Pages call these before the loop that draws the rows, so templates only print.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache

from babel.core import UnknownLocaleError
from babel.numbers import get_currency_precision, get_currency_symbol

LOCALE = "en_GB"
MINUS = "\u2212"
NO_BREAK = "\u00a0"
MISSING = "None given"
MONTHS = "January February March April May June July August September October November December"
MONTH_NAMES = tuple(MONTHS.split())
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount ready to print. `code` is the currency's code when it is not the home one."""

    text: str
    code: str = ""
    zero: bool = False
    negative: bool = False

    def __str__(self) -> str:
        return f"{self.text}{NO_BREAK}{self.code}" if self.code else self.text


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day: "3 Dec 2026", its ISO form, and how far it is ("in 14 days")."""

    text: str
    iso: str = ""
    note: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant: relative words, machine form, and the exact time with its zone.

    `relative` tells the script in the browser that the words age and may be refreshed.
    """

    text: str
    iso: str
    title: str
    relative: bool = False

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=256)
def _currency(code: str) -> tuple[str, int]:
    """Symbol (with a no-break space if it ends in a letter) and number of decimals."""
    if not code:
        return "", 2
    try:
        symbol, places = get_currency_symbol(code, LOCALE), get_currency_precision(code)
    except (UnknownLocaleError, ValueError):
        symbol, places = code, 2
    return (symbol + NO_BREAK if symbol[-1].isalpha() else symbol), places


def _decimals(amount: Decimal) -> int:
    """How many decimals the value needs, trailing zeros apart."""
    exponent = amount.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def money(amount: Decimal, currency: str, *, home: str = "") -> Money:
    """An amount with its sign and symbol; decimals beyond the currency's own are never cut.

    `home` is the organisation's or business's currency: another one gets its code shown.
    """
    symbol, places = _currency(currency)
    digits = f"{abs(amount):,.{max(places, _decimals(amount))}f}"
    sign = MINUS if amount < 0 else ""
    says_code = symbol.startswith(currency)
    code = currency if home and currency != home and not says_code else ""
    return Money(f"{sign}{symbol}{digits}", code, amount == 0, amount < 0)


def typed_money(amount: Decimal, currency: str) -> str:
    """An amount as a person types it into a field: "2881.20", without symbol or commas."""
    _, places = _currency(currency)
    return f"{amount:.{max(places, _decimals(amount))}f}"


def quantity(amount: Decimal | None) -> str:
    """A plain number with the decimals that it needs: 1, 2.5, 1,000; a word when missing."""
    if amount is None:
        return MISSING
    sign = MINUS if amount < 0 else ""
    return f"{sign}{abs(amount):,.{_decimals(amount)}f}"


def long_day(value: date) -> str:
    """3 Dec 2026."""
    return f"{value.day} {MONTH_NAMES[value.month - 1][:3]} {value.year}"


def _distance(days: int) -> str:
    if days == 0:
        return "today"
    if days == 1:
        return "tomorrow"
    if days > 0:
        return f"in {days:,} days"
    return f"{-days:,} day{'' if days == -1 else 's'} overdue"


def day(value: date | None, today: date) -> Day:
    """A due date as seen on `today`; the word "None given" when there is none."""
    if value is None:
        return Day(MISSING)
    return Day(long_day(value), value.isoformat(), _distance((value - today).days))


def exact(value: datetime, tz: tzinfo) -> str:
    """Thursday 19 November 2026, 14:29:07 GMT."""
    there = value.astimezone(tz)
    name = f"{DAY_NAMES[there.weekday()]} {there.day} {MONTH_NAMES[there.month - 1]} {there.year}"
    return f"{name}, {there:%H:%M:%S} {there.tzname()}"


def moment(value: datetime, now: datetime, tz: tzinfo) -> Moment:
    """An instant as told at `now`, in the zone `tz`; past and future."""
    there = value.astimezone(tz).replace(microsecond=0)
    words, relative = _relative_words(there, now.astimezone(tz))
    return Moment(words, there.isoformat(), exact(value, tz), relative)


def _relative_words(there: datetime, now: datetime) -> tuple[str, bool]:
    seconds = (now - there).total_seconds()
    if abs(seconds) < 60:
        return ("just now", True) if seconds >= 0 else ("in less than a minute", True)
    if abs(seconds) < 3600:
        return _ago(int(abs(seconds) // 60), "minute", future=seconds < 0), True
    if there.date() == now.date():
        return _ago(int(abs(seconds) // 3600), "hour", future=seconds < 0), True
    days = (there.date() - now.date()).days
    if days in (-1, 1):
        return f"{'yesterday' if days == -1 else 'tomorrow'} at {there:%H:%M}", False
    return f"{long_day(there)}, {there:%H:%M}", False


def _ago(count: int, unit: str, *, future: bool) -> str:
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"in {words}" if future else f"{words} ago"
