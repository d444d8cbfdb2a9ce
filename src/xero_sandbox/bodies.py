"""Reading what an app writes: keys in any letter case, dates in three forms (3.4, 3.9).

JSON, or XML as older clients send it: a body that begins with ``<`` (see ``xml_bodies``).

What cannot be read at all is ``BadBody``: a 400 with ErrorNumber 14 for the whole call (3.5).
"""

import json
import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from xero_sandbox import xml_bodies
from xero_sandbox.shapes import to_json

MS_DATE = re.compile(r"^/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/$")
LARGEST = Decimal(10) ** 13
"""Numbers have at most 13 digits before the point (3.7)."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadBody(Exception):
    """The body, or one value in it, is not what it should be."""


class Fields:
    """One JSON object; a key that is null counts as left out."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self._values = {k.lower(): v for k, v in raw.items() if v is not None}

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def names(self) -> set[str]:
        """The keys that are given, in lower case."""
        return set(self._values)

    def text(self, name: str, default: str = "") -> str:
        """Text, or a number as text."""
        value = self._values.get(name.lower(), default)
        if isinstance(value, bool) or not isinstance(value, str | Decimal):
            _bad(value, name, "String")
        text = str(value)
        if any(ch == "\0" or "\ud800" <= ch <= "\udfff" for ch in text):
            _bad(value, name, "String")
        return text

    def guid(self, name: str) -> str:
        """An id in lower case; empty when left out or all zeros."""
        text = self.text(name).strip().lower()
        return "" if set(text) <= set("0-") else text

    def choice(self, name: str, known: Collection[str]) -> str:
        """One of the known words in any letter case; empty when left out."""
        if name not in self:
            return ""
        text = self.text(name)
        found = next((word for word in known if word.lower() == text.lower()), None)
        return found if found is not None else _bad(text, name, name)

    def number(self, name: str) -> Decimal:
        """A decimal number, from a JSON number or text."""
        try:
            number = Decimal(self.text(name).strip())
        except InvalidOperation:
            _bad(self.text(name), name, "Decimal")
        if not number.is_finite() or abs(number) >= LARGEST:
            _bad(self.text(name), name, "Decimal")
        return number

    def flag(self, name: str) -> bool:
        """A boolean, or its word as XML has it; False when left out."""
        value = self._values.get(name.lower(), False)
        if isinstance(value, str):
            value = {"true": True, "false": False}.get(value.strip().lower(), value)
        return value if isinstance(value, bool) else _bad(value, name, "Boolean")

    def day(self, name: str) -> date:
        """A business date."""
        return parse_day(self.text(name), name)

    def child(self, name: str) -> "Fields | None":
        """An object inside."""
        value = self._values.get(name.lower())
        if value is None:
            return None
        return Fields(value) if isinstance(value, dict) else _bad(value, name, name)

    def rows(self, name: str) -> list["Fields"]:
        """A list of objects inside; empty when left out."""
        return objects(self._values.get(name.lower(), []), name)


def parse_day(text: str, name: str) -> date:
    """``YYYY-MM-DD``, a datetime (with an offset: its day in UTC) or ``/Date(ms)/`` (3.9)."""
    try:
        match = MS_DATE.match(text.strip())
        if match:
            return (EPOCH + timedelta(milliseconds=int(match[1]))).date()
        moment = datetime.fromisoformat(text.strip())
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError):
        _bad(text, name, "DateTime")


def objects(value: Any, name: str) -> list[Fields]:
    """A JSON list of objects."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        _bad(value, name, name)
    return [Fields(row) for row in value]


def read(body: bytes, plural: str) -> list[Fields]:
    """The elements of a body: one object, or a list under its plural (3.4)."""
    parsed = _xml(body, plural) if body.lstrip()[:1] == b"<" else _json(body)
    if not isinstance(parsed, dict):
        raise BadBody(f"The request body must be an object or a list named {plural}")
    whole = Fields(parsed)
    elements = whole.rows(plural) if plural in whole else [whole]
    if not elements or not all(element.raw for element in elements):
        raise BadBody(f"The request body holds no {plural}")
    return elements


def _json(body: bytes) -> Any:
    try:
        parsed = json.loads(
            body, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant
        )
        to_json([[[parsed]]])  # a refusal echoes it, so it must be writable as well
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise BadBody("The request body is not valid JSON") from error
    return parsed


def _xml(body: bytes, plural: str) -> dict[str, Any]:
    try:
        return xml_bodies.read(body, plural)
    except xml_bodies.BadXml as error:
        raise BadBody("The request body is not valid XML") from error


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


def _bad(value: Any, name: str, wanted: str) -> NoReturn:
    shown = str(value)[:60].encode(errors="replace").decode()
    raise BadBody(f"Error converting value \"{shown}\" to type '{wanted}'. Path '{name}'.")
