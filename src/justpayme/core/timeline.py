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

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import InvalidOperation
from typing import Any

from justpayme.core.bill import FIELD_NAMES, BillFields, from_plain


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
        try:
            old, new = (_value(name, change[side], client) for side in ("old", "new"))
            edits.append(Edit(name, old, new))
        except (ValueError, TypeError, KeyError, AttributeError, InvalidOperation):
            unread.append(name)
    return Entry(number, tuple(edits), tuple(unread))


def _value(name: str, plain: Any, client: Callable[[Any], str]) -> Any:
    return client(plain) if name == "client" else getattr(from_plain({name: plain}), name)
