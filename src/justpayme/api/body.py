"""Reading a request's body: JSON with nothing in it that could surprise the code behind.

Refused at the door: another media type, more than 1 MiB, NaN and infinities, numbers of
hundreds of digits, a key given twice, deep nesting, and text that PostgreSQL cannot store
(NUL and lone surrogates).
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser

from justpayme.api.errors import MAX_BODY, Refusal
from justpayme.core.entry import is_storable

MAX_DEPTH = 12
MAX_DIGITS = 19
"""Of a JSON number. Money travels as text; the largest number we take is an id."""


class JsonParser(Parser):
    """django-ninja's parser, strict."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The body as plain values. Raises `Refusal`, which django-ninja keeps as the cause."""
        if (request.content_type or "").lower() != "application/json":
            raise Refusal(415)
        if len(request.body) > MAX_BODY:
            raise Refusal(413)
        return parse(request.body)


def parse(raw: bytes) -> Any:
    """JSON as plain values, or a `Refusal` that says what cannot be used."""
    try:
        data = json.loads(
            raw.decode("utf-8"),
            parse_constant=_no_constant,
            parse_int=_short_int,
            object_pairs_hook=_no_twins,
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Refusal(400, "The body is not JSON in UTF-8.") from error
    check_text(data)
    return data


def _no_constant(name: str) -> NoReturn:
    raise Refusal(400, f"JSON knows no {name}. Send null, or a number as text.")


def _short_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Refusal(400, f"A number has more than {MAX_DIGITS} digits.")
    return int(digits)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refusal(400, "A name occurs twice in one object of the body.")
    return found


def check_text(value: Any, where: tuple[str, ...] = ()) -> None:
    """Refuse text that cannot be stored, and nesting beyond every shape we know."""
    if len(where) > MAX_DEPTH:
        raise Refusal(400, f"The body is nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, str) and not is_storable(value):
        sentence = "This text has a character that cannot be stored."
        raise Refusal(422, fields={".".join(where) or "body": sentence})
    if isinstance(value, dict):
        for name, inner in value.items():
            check_text(name, (*where, "(name)"))
            check_text(inner, (*where, name))
    if isinstance(value, list):
        for position, inner in enumerate(value):
            check_text(inner, (*where, str(position)))
