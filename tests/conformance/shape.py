"""Compares answers with the digest of Xero's published API files (`published.json`).

Nothing there is marked as needed, so an absent field is never a finding. A finding is a field
that isn't there, null, another type, a word that isn't listed, a date of another form, a text
that is too long, or a status that the address doesn't have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from tests.conformance.published import Json, known

MS_DATE = re.compile(r"/Date\((-?\d+)([+-]\d{4})?\)/")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
DAY_MS = 86_400_000
UNKNOWN, NULL, TYPE, WORD = "not in the file", "null", "another type", "a word not listed"
DATE, LONG, STATUS = "another form of date", "too long", "a status not in the file"
ADDRESS = "an address not in the file"
ASKED = "a value that isn't allowed"
KINDS: dict[str, Any] = {
    "text": str, "number": (int, Decimal), "integer": int, "boolean": bool, "uuid": str,
    "day": str, "instant": str, "time": str, "object": dict, "any": object,
}  # fmt: skip


class Finding(NamedTuple):
    """Where an answer isn't as published; `shown` is the value, for whoever reads it."""

    place: str
    what: str
    shown: str = ""


class Shapes:
    """The digest, ready to compare with."""

    def __init__(self, digest: Json | None = None) -> None:
        digest = digest or known()
        self.objects: dict[str, Any] = digest["objects"]
        self.answers: dict[str, dict[str, str]] = {}
        for place, said in digest["answers"].items():
            pattern = re.sub(r"\{\w+\}", "{}", place).lower()
            self.answers[pattern] = said | self.answers.get(pattern, {})
        self.words = {
            name: set(word.removeprefix("one of ").split(" | "))
            for name, word in self._lists().items()
        }

    def _lists(self) -> dict[str, str]:
        fields = {
            word: word for object_ in self.objects.values() if isinstance(object_, dict)
            for word in object_.values()
        }  # fmt: skip
        named = {name: word for name, word in self.objects.items() if isinstance(word, str)}
        return {name: word for name, word in (fields | named).items() if word[:7] == "one of "}

    def answer(self, method: str, path: str, status: int, said: Any) -> Iterator[Finding]:
        """The findings of one answer; `said` is its parsed body, or None where there is none."""
        try:
            place, key = self._place(method, path)
        except LookupError:
            yield Finding(f"{method} {path} {status}", ADDRESS)
            return
        word = self.answers[key].get(str(status))
        if word is None:
            yield Finding(f"{place} {status}", STATUS, repr(said)[:60])
        elif word == "nothing":
            if said is not None:
                yield Finding(f"{place} {status}", UNKNOWN, repr(said)[:60])
        else:
            yield from self._whole(key, word, said, place)

    def _whole(self, key: str, word: str, said: Any, place: str) -> Iterator[Finding]:
        """An answer with a body; refused elements in it are looked at apart."""
        if not isinstance(said, dict) or key.startswith("get"):
            yield from self.value(word, said, place)
            return
        refused = [
            row
            for rows in said.values()
            if isinstance(rows, list)
            for row in rows
            if word == "Error" or row.get("StatusAttributeString") == "ERROR"
        ]
        good = {k: [r for r in v if r not in refused] if isinstance(v, list) else v
                for k, v in said.items()}  # fmt: skip
        yield from self.value(word, good, place)
        envelope = self.objects[self.answers[key].get("200", "Error")]
        kinds = [kind[1:-1] for kind in envelope.values() if kind[0] == "["]
        kind = next((kind for kind in kinds if kind != "ValidationError"), "Element")
        for row in refused:
            yield from self._refused(kind, row, word == "Error")

    def _refused(self, kind: str, row: Json, apart: bool) -> Iterator[Finding]:
        """A refused element is an object of the address's own kind, with what was asked for.

        `apart` in a 400, where the file has an object of its own for them, `Element`.
        """
        known = self.objects["Element"].keys()
        if apart and row.keys() - known:
            yield Finding("Element.*", UNKNOWN, repr(sorted(row.keys() - known))[:60])
        for found in self.value(kind, row, kind):
            if found.what in (WORD, LONG, TYPE, NULL):
                yield Finding("Element.*", ASKED, found.shown)
            elif found.what != UNKNOWN or found.place not in {f"{kind}.{key}" for key in known}:
                yield found

    def _place(self, method: str, path: str) -> tuple[str, str]:
        """The address as published: with `{}` where an id or a number stands."""
        path = path.lower().removeprefix("/api.xro/2.0").strip("/")
        words = path.split("/")
        for names in ((), (1,), (1, 3)):
            tried = "/".join("{}" if i in names else word for i, word in enumerate(words))
            key = f"{method.lower()} /{tried}"
            if key in self.answers and max((0, *names)) < len(words):
                return f"{method} /{tried}", key
        raise LookupError(path)

    def value(self, word: str, value: Any, place: str) -> Iterator[Finding]:
        """The findings of one value and all within it."""
        if value is None:
            yield Finding(place, NULL)
        elif word.startswith("["):
            yield from self._list(word[1:-1], value, place)
        elif word in self.words:
            if value not in self.words[word]:
                yield Finding(place, WORD, str(value))
        elif isinstance(self.objects.get(word), dict):
            yield from self._object(word, value, place)
        else:
            yield from _plain(word, value, place)

    def _list(self, word: str, value: Any, place: str) -> Iterator[Finding]:
        if not isinstance(value, list):
            yield Finding(place, TYPE, repr(value)[:60])
            return
        for one in value:
            yield from self.value(word, one, place)

    def _object(self, word: str, value: Any, place: str) -> Iterator[Finding]:
        fields = self.objects[word]
        if not isinstance(value, dict):
            yield Finding(place, TYPE, repr(value)[:60])
            return
        for key, inner in value.items():
            if key in fields:
                yield from self.value(fields[key], inner, f"{word}.{key}")
            else:
                yield Finding(f"{word}.{key}", UNKNOWN, repr(inner)[:60])


def _plain(word: str, value: Any, place: str) -> Iterator[Finding]:
    kind, _, longest = word.partition(" <= ")
    wrong = not isinstance(value, KINDS[kind]) or (kind != "boolean" and isinstance(value, bool))
    if wrong or (kind == "uuid" and not _is_uuid(value)):
        yield Finding(place, TYPE, repr(value)[:60])
    elif longest and len(value) > int(longest):
        yield Finding(place, LONG, value)
    elif kind in DATES and not DATES[kind](value):
        yield Finding(place, DATE, value)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_date(text: str, *, whole: bool) -> bool:
    """`/Date(ms+0000)/`; a day is midnight in UTC (xero-facts 3.9)."""
    match = MS_DATE.fullmatch(text)
    return match is not None and not (whole and int(match[1]) % DAY_MS)


DATES: dict[str, Callable[[str], bool]] = {
    "day": partial(_is_date, whole=True),
    "instant": partial(_is_date, whole=False),
    "time": lambda text: TIME.fullmatch(text) is not None,
}
"""Word to whether a text is such a date."""
