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

Why a base at all: without it, "Xero wins" would take away every local edit before it
could leave (docs/decisions/0001-xero-wins-per-unit.md).

What the laws in tests/core/test_merge.py promise for any three versions: nothing typed is
lost (it is in the row, in a conflict, or equal to Xero's); Xero wins wherever Xero changed;
merging the same answer twice changes nothing; edits to different units both survive.
"""

from __future__ import annotations

from dataclasses import dataclass

from justpayme.core.bill import OWNED_BY_XERO, UNITS, BillFields, Status

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
    base: BillFields, local: BillFields, remote: BillFields, *, read_only: bool = False
) -> Merge:
    """Merge our row and Xero's version against the last agreed one, unit by unit.

    `read_only`: one-directional sync. There an edit of ours can never go out, so keeping it
    would leave the books different for good: Xero's value stands and ours is set aside.
    The new base is always `remote`: what both sides will agree on once `outgoing` has left.
    """
    bill = local
    outgoing: list[str] = []
    conflicts: list[Conflict] = []
    taken: list[str] = []
    for unit, names in UNITS.items():
        if _same(local, remote, names):
            continue  # rows 1 and 4: nothing to do, whoever changed it
        ours_changed = not _same(local, base, names)
        theirs_changed = not _same(remote, base, names)
        ours_may_stand = not read_only and remote.status is not _ENDED
        if ours_changed and not theirs_changed and ours_may_stand and unit not in OWNED_BY_XERO:
            outgoing.append(unit)  # row 3
            continue
        if ours_changed and unit not in OWNED_BY_XERO:
            conflicts.append(Conflict(unit, local, remote))  # row 5, or ours can't go out
        bill = bill.take(remote, names)  # rows 2, 5 and 6
        taken.append(unit)
    return Merge(bill, remote, tuple(outgoing), tuple(conflicts), tuple(taken))


def _same(one: BillFields, other: BillFields, names: tuple[str, ...]) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in names)


def changes(before: BillFields, after: BillFields) -> list[tuple[str, object, object]]:
    """(field, old, new) for every field that differs, for the history."""
    return [(n, getattr(before, n), getattr(after, n)) for n in before.differing(after)]
