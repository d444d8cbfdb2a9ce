"""Three versions of a bill in, one decision out: the heart of the sync.

For every *unit* (fields that only make sense together, `core.bill.UNITS`) the local row and
Xero's version are each compared with the *base*, the last version both books agreed on:

    #  ours vs base   Xero vs base            result
    1  same           same                    keep
    2  same           changed                 take Xero's
    3  changed        same                    keep ours; it goes out
    4  changed        changed to the same     keep; the base moves, no conflict
    5  changed        changed differently     Xero's stands; ours is kept as a conflict
    6  (owned by Xero)                        Xero's
   13  what we sent is what Xero shows now    our own write: Xero's version is the base

Row 13: a person edits, we send, the answer is lost, the person edits again. Against the old
base both sides "changed differently", and the second edit would be taken away as a conflict
with the first. So for a unit that we sent, and that Xero shows as sent, Xero's version is the
base: nothing edited since takes Xero's (with its line ids and totals), an edit since goes out.

Why a base at all: without it, "Xero wins" would take away every local edit before it
could leave (docs/decisions/0001-xero-wins-per-unit.md).

What the laws in tests/core/test_merge.py promise for any three versions: nothing typed is
lost (it is in the row, in a conflict, or equal to Xero's); Xero wins wherever Xero changed;
merging the same answer twice changes nothing; edits to different units both survive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter

from justpayme.core.bill import OWNED_BY_XERO, UNITS, BillFields, LineFields, Status

#: A bill that is void in Xero stays void whatever we typed; our edits become conflicts (I-32).
_ENDED = Status.VOID


@dataclass(frozen=True, slots=True)
class Conflict:
    """One unit that both sides changed differently. Xero's stands; `ours` is kept."""

    unit: str
    ours: BillFields
    theirs: BillFields


@dataclass(frozen=True, slots=True)
class Merge:
    """The decision. `bill`: what our row should say. `base`: what both now agree on.

    `outgoing`: units where ours stands and Xero does not have it yet.
    `conflicts`: units where Xero's stands and ours was set aside.
    `taken`: units of our row that change to Xero's value.
    """

    bill: BillFields
    base: BillFields
    outgoing: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    taken: tuple[str, ...]


def merge(
    base: BillFields,
    local: BillFields,
    remote: BillFields,
    *,
    read_only: bool = False,
    sent: BillFields | None = None,
    sent_units: tuple[str, ...] = (),
    confirmed: bool = False,
    aside: frozenset[str] = frozenset(),
) -> Merge:
    """Merge our row and Xero's version against the last agreed one, unit by unit.

    `read_only`: one-directional sync. There an edit of ours can never go out, so keeping it
    would leave the books different for good: Xero's value stands and ours is set aside.
    `sent`, `sent_units`: what was last sent of this bill, if its answer was not applied yet;
    `confirmed`: Xero has said that it stored it, so what it shows now is ours in its own
    spelling.
    `aside`: units of which ours was set aside while it was under way. There our row was put back
    to Xero's value of then, which is nobody's edit when Xero shows what we sent.
    The new base is always `remote`: what both sides will agree on once `outgoing` has left.
    """
    seen = () if sent is None else sent_units if confirmed else arrived(remote, sent, sent_units)
    agreed, ours = _recognised(base, local, remote, sent, seen, aside)
    ours_may_stand = not read_only and remote.status is not _ENDED
    outgoing: list[str] = []
    conflicts: list[Conflict] = []
    differing = [unit for unit in UNITS if not _same(local, remote, unit)]  # not rows 1 and 4
    for unit in differing:
        if _same(ours, remote, unit):
            continue  # row 13
        ours_changed = unit not in OWNED_BY_XERO and not _same(ours, agreed, unit)
        if ours_changed and ours_may_stand and _same(remote, agreed, unit):
            outgoing.append(unit)  # row 3
        elif ours_changed:
            conflicts.append(Conflict(unit, local, remote))  # row 5, or ours can't go out
    bill = remote.take(ours, _names(outgoing))
    taken = tuple(unit for unit in differing if unit not in outgoing)
    return Merge(bill, remote, tuple(outgoing), tuple(conflicts), taken)


def _recognised(
    base: BillFields,
    local: BillFields,
    remote: BillFields,
    sent: BillFields | None,
    seen: Iterable[str],
    aside: frozenset[str],
) -> tuple[BillFields, BillFields]:
    """The base and our row once our own writes are recognised in Xero's version (row 13)."""
    if sent is None:
        return base, local
    own = frozenset(seen)
    settled = frozenset(u for u in own if u in aside or _says(local, sent, u, _GIVEN))
    if "lines" in own - settled and len(sent.lines) == len(remote.lines):
        local = replace(local, lines=_with_ids(local.lines, sent.lines, remote.lines))
    return base.take(remote, _names(own)), local.take(remote, _names(settled))


def _names(units: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for unit in units for name in UNITS[unit])


def arrived(remote: BillFields, sent: BillFields, units: Iterable[str]) -> frozenset[str]:
    """Those of the units that Xero's version shows as we sent them. Where we sent no rate, the
    rate is Xero's to fill in."""
    if sent.rate is None:
        sent = replace(sent, rate=remote.rate)
    return frozenset(unit for unit in units if _says(remote, sent, unit, _FILLED_IN))


_GIVEN = ("remote_id",)
"""What Xero gives a line that has none."""

_FILLED_IN = ("remote_id", "account_code", "tax_type")
"""What Xero fills in where a line that we sent says nothing (xero-facts 3.11)."""

_typed = attrgetter("description", "quantity", "unit_amount", "item_code", "tracking")


def _says(version: BillFields, sent: BillFields, unit: str, may_add: tuple[str, ...]) -> bool:
    """Does this version say what we sent? Amounts that Xero computes and what it adds to a
    line (`may_add`) don't count; nor does that an approved bill has been paid since."""
    if unit == "status" and sent.status is Status.ACTIVE:
        return version.status in (Status.ACTIVE, Status.PAID)
    if unit != "lines":
        return _same(version, sent, unit)
    return (
        version.tax_mode is sent.tax_mode
        and len(version.lines) == len(sent.lines)
        and all(_line_says(*pair, may_add) for pair in zip(version.lines, sent.lines, strict=True))
    )


def _line_says(line: LineFields, sent: LineFields, may_add: tuple[str, ...]) -> bool:
    added = {name for name in may_add if not getattr(sent, name)}
    kept = (name for name in _FILLED_IN if name not in added)
    return (
        _typed(line) == _typed(sent)
        # No discount is None or 0.
        and (line.discount_rate or None) == (sent.discount_rate or None)
        and (line.discount_amount or None) == (sent.discount_amount or None)
        and all(getattr(line, name) == getattr(sent, name) for name in kept)
    )


def _with_ids(
    lines: tuple[LineFields, ...], sent: tuple[LineFields, ...], arrived: tuple[LineFields, ...]
) -> tuple[LineFields, ...]:
    """Lines edited since they were sent, with the ids that Xero gave to what we sent.

    A line without an id gets the one of an equal line, else the one in its place, if no other
    line has it: Xero deletes and recreates a line that comes without its id.
    """
    kept = {line.remote_id for line in lines}
    free = {p: there.remote_id for p, there in enumerate(arrived) if there.remote_id not in kept}
    new = [place for place, line in enumerate(lines) if not line.remote_id]
    ids: dict[int, str] = {}
    for place in new:
        equal = (p for p in free if _line_says(lines[place], sent[p], _GIVEN))
        if (found := next(equal, None)) is not None:
            ids[place] = free.pop(found)
    for place in new:
        if place not in ids and place in free:
            ids[place] = free.pop(place)
    return tuple(
        replace(line, remote_id=ids[place]) if place in ids else line
        for place, line in enumerate(lines)
    )


_units = {unit: attrgetter(*names) for unit, names in UNITS.items()}


def _same(one: BillFields, other: BillFields, unit: str) -> bool:
    part = _units[unit]
    return bool(part(one) == part(other))


def changes(before: BillFields, after: BillFields) -> list[tuple[str, object, object]]:
    """(field, old, new) for every field that differs, for the history."""
    return [(n, getattr(before, n), getattr(after, n)) for n in before.differing(after)]
