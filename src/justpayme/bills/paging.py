"""Lists that stay fast at any depth: pages by position of the last row, never by counting.

A cursor holds the sort values of the row at the edge of a page. Going forward reads the rows
beyond it, going back the rows before it; an index serves both. Only to say which rows a page in
the middle shows are those before it counted.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import reduce
from typing import Any, Generic, TypeVar

from django.db.models import Q, QuerySet

from justpayme.core.entry import is_storable

Row = TypeVar("Row")
CURSOR_CHARACTERS = 3000
"""Longer than a cursor with the longest client name can be."""


class BadCursor(ValueError):
    """A cursor that this list did not make."""


@dataclass(frozen=True, slots=True)
class Key:
    """One value that a list is sorted by; never NULL. `parse` reads it back from text."""

    name: str
    parse: Callable[[str], Any]
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """The rows of one page, and cursors for the pages around it ("" when there is none)."""

    rows: list[Row]
    before: str = ""
    after: str = ""


def whole(text: str) -> int:
    """A row's id."""
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError(text)
    return number


def amount(text: str) -> Decimal:
    """An amount that fits its column."""
    number = Decimal(text)
    if not number.is_finite() or abs(number) >= Decimal(10) ** 14:
        raise ValueError(text)
    return number


def words(text: str) -> str:
    """A text that a database can compare."""
    if not is_storable(text):
        raise ValueError(text)
    return text


day = date.fromisoformat
instant = datetime.fromisoformat


def read_page(
    rows: QuerySet[Any, dict[str, Any]],
    keys: Sequence[Key],
    *,
    size: int,
    after: str = "",
    before: str = "",
) -> Page[dict[str, Any]]:
    """One page of rows given as dictionaries that contain the keys. Raises BadCursor."""
    back = bool(before)
    edge = before or after
    if edge:
        rows = rows.filter(_beyond(keys, _decode(keys, edge), back))
    order = [f"{'-' if key.descending is not back else ''}{key.name}" for key in keys]
    found = list(rows.order_by(*order)[: size + 1])
    more, found = len(found) > size, found[:size]
    if back:
        found.reverse()
    has_before, has_after = (more, True) if back else (bool(edge), more)
    if not found:
        return Page([])
    return Page(
        found,
        before=_encode(keys, found[0]) if has_before else "",
        after=_encode(keys, found[-1]) if has_after else "",
    )


def count_before(rows: QuerySet[Any, Any], keys: Sequence[Key], page: Page[Any]) -> int:
    """How many rows come before a page of them."""
    return (
        rows.filter(_beyond(keys, _decode(keys, page.before), True)).count() if page.before else 0
    )


def _beyond(keys: Sequence[Key], values: Sequence[Any], back: bool) -> Q:
    """Rows after the edge (or before it) in the order of `keys`.

    The bound on the first key says nothing new; it lets an index start at the edge.
    """
    ways = []
    for depth, (key, value) in enumerate(zip(keys, values, strict=True)):
        same = Q(**{k.name: v for k, v in zip(keys[:depth], values[:depth], strict=True)})
        ways.append(same & Q(**{f"{key.name}__{_side(key, back)}": value}))
    bound = Q(**{f"{keys[0].name}__{_side(keys[0], back)}e": values[0]})
    return bound & reduce(Q.__or__, ways)


def _side(key: Key, back: bool) -> str:
    return "lt" if key.descending is not back else "gt"


def _encode(keys: Sequence[Key], row: Mapping[str, Any]) -> str:
    plain = json.dumps([str(row[key.name]) for key in keys], ensure_ascii=False)
    return urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _decode(keys: Sequence[Key], text: str) -> list[Any]:
    try:
        if len(text) > CURSOR_CHARACTERS:
            raise BadCursor(text)
        padded = text + "=" * (-len(text) % 4)
        parts = json.loads(urlsafe_b64decode(padded.encode("ascii")))
        if not all(isinstance(part, str) for part in parts):
            raise BadCursor(text)
        return [key.parse(part) for key, part in zip(keys, parts, strict=True)]
    except (ValueError, TypeError, AttributeError, InvalidOperation, binascii.Error) as error:
        raise BadCursor("This page's address is damaged. Start again from the first page.") from (
            error
        )
