"""A bill's past, rebuilt from today's bill and its history.

    first ◀─undo─ … ◀─undo─ as of the moment ◀─undo─ … ◀─undo newest─ today

Every entry keeps each changed field before and after, so going back is putting the old values
back, newest entry first. What an entry says stood there afterwards is checked against what the
newer entries left: where they disagree something changed the bill without telling its history,
and that field is *doubtful* instead of silently wrong.

Entries are ordered by their number, not by their time: whoever changes a bill holds its row, so
numbers are given in the order in which the changes truly happened, and a clock that stepped
back can't tear a bill apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from justpayme.core.bill import (
    FIELD_NAMES,
    BillFields,
    LineFields,
    MoneyKind,
    PaidFields,
    Status,
    TaxMode,
    TrackingFields,
)


@dataclass(frozen=True, slots=True)
class Edit:
    """One field before and after."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Entry:
    """What one entry of a history changed. `unread`: fields whose values nobody can read."""

    number: int
    edits: tuple[Edit, ...]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """A bill as it was. `doubtful`: fields that its history can't vouch for."""

    bill: BillFields
    doubtful: frozenset[str] = frozenset()


def undo(bill: BillFields, entry: Entry) -> BillFields:
    """The bill before this entry."""
    return replace(bill, **{edit.field: edit.old for edit in entry.edits})


def redo(bill: BillFields, entry: Entry) -> BillFields:
    """The bill after this entry."""
    return replace(bill, **{edit.field: edit.new for edit in entry.edits})


def as_of(today: BillFields, entries: Iterable[Entry], number: int) -> Past:
    """The bill right after entry `number`. `entries`: the bill's history, newest first."""
    bill, doubtful, vouched = today, set[str](), set[str]()
    for entry in entries:
        if entry.number > number:
            bill = undo(bill, entry)
            # What an entry says stood before it is certain, whatever happened to it later.
            doubtful = (doubtful - {edit.field for edit in entry.edits}) | set(entry.unread)
            continue
        disagreeing = set(bill.differing(redo(bill, entry))) | set(entry.unread)
        doubtful |= disagreeing - vouched  # only the last entry before the moment counts
        vouched |= {edit.field for edit in entry.edits} | set(entry.unread)
    return Past(bill, frozenset(doubtful))


def gaps(today: BillFields, entries: Iterable[Entry]) -> list[tuple[int, str]]:
    """(entry number, field) wherever a history is not whole. `entries`: newest first.

    A gap: the entry says that the field then held something else than the next newer entry
    (or today's bill) says, or its value can't be read.
    """
    found: list[tuple[int, str]] = []
    bill = today
    for entry in entries:
        found += [(entry.number, name) for name in bill.differing(redo(bill, entry))]
        found += [(entry.number, name) for name in entry.unread]
        bill = undo(bill, entry)
    return found


# --- reading values back -------------------------------------------------------------------------


def read_entry(
    number: int, changes: Iterable[Mapping[str, Any]], client: Callable[[Any], str]
) -> Entry:
    """An entry from its stored changes ({"field", "old", "new"}, as `core.bill.to_plain` writes).

    `client` turns what stands for a client into the one text that means this client. Fields
    that no bill has (any more) say nothing about a bill and are left out.
    """
    edits: list[Edit] = []
    unread: list[str] = []
    for change in changes:
        name = str(change.get("field", ""))
        if name not in FIELD_NAMES:
            continue
        read = client if name == "client" else READERS[name]
        try:
            edits.append(Edit(name, read(change.get("old")), read(change.get("new"))))
        except (ValueError, TypeError, KeyError, AttributeError, InvalidOperation):
            unread.append(name)
    return Entry(number, tuple(edits), tuple(unread))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _number(value: Any) -> Decimal:
    number = Decimal(_text(value))
    if not number.is_finite():
        raise ValueError(value)
    return number


def _maybe_number(value: Any) -> Decimal | None:
    return None if value is None else _number(value)


def _day(value: Any) -> date | None:
    return None if value is None else date.fromisoformat(_text(value))


def _tracking(value: Any) -> tuple[TrackingFields, ...]:
    return tuple(TrackingFields(_text(one["name"]), _text(one["option"])) for one in value)


def _line(value: Mapping[str, Any]) -> LineFields:
    return LineFields(**{name: _LINE[name](part) for name, part in value.items() if name in _LINE})


def _paid(value: Mapping[str, Any]) -> PaidFields:
    return PaidFields(**{name: _PAID[name](part) for name, part in value.items() if name in _PAID})


def _lines(value: Sequence[Mapping[str, Any]]) -> tuple[LineFields, ...]:
    return tuple(_line(one) for one in value)


def _payments(value: Sequence[Mapping[str, Any]]) -> tuple[PaidFields, ...]:
    return tuple(_paid(one) for one in value)


_BY_TYPE: dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "bool": _flag,
    "date | None": _day,
    "Decimal": _number,
    "Decimal | None": _maybe_number,
    "Status": Status,
    "TaxMode": TaxMode,
    "MoneyKind": MoneyKind,
    "tuple[TrackingFields, ...]": _tracking,
    "tuple[LineFields, ...]": _lines,
    "tuple[PaidFields, ...]": _payments,
}


def _readers(kind: Any) -> dict[str, Callable[[Any], Any]]:
    """Field → how to read its plain value; a field of a new type fails here, at the start."""
    return {field.name: _BY_TYPE[str(field.type)] for field in fields(kind)}


READERS = _readers(BillFields)
_LINE = _readers(LineFields)
_PAID = _readers(PaidFields)
