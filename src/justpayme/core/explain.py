"""Why a bill says what it says: the rule of the merge behind each unit, and what happens next.

For a person who wonders, and for whoever helps her. Nothing is decided here: `merge` says what
becomes of each unit and `next_step` what becomes of a request; this puts both into words, with
the numbers of the rules in docs/sync-rules.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from justpayme.core.bill import OWNED_BY_XERO, UNITS, BillFields, Status, to_plain
from justpayme.core.merge import arrived, merge
from justpayme.core.outbox import KEY_LIFE, Sent, Step, next_step


class Fate(StrEnum):
    """What becomes of our value of one unit."""

    EQUAL = "equal"
    TAKEN = "taken"
    OUTGOING = "outgoing"
    SET_ASIDE = "set aside"


@dataclass(frozen=True, slots=True)
class Versions:
    """A bill three times, and what `merge` wants to know beside. `ours`: our row without what
    lies over it (core/settle.py)."""

    base: BillFields
    ours: BillFields
    remote: BillFields
    read_only: bool = False
    sent: BillFields | None = None
    sent_units: tuple[str, ...] = ()
    confirmed: bool = False
    aside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Told:
    """One unit: its three values (field -> plain value), the rule that applied, what follows."""

    unit: str
    base: dict[str, Any]
    ours: dict[str, Any]
    xero: dict[str, Any]
    rule: int
    fate: Fate
    words: str

    @property
    def quiet(self) -> bool:
        """Nobody changed anything."""
        return self.rule == 1


RULES: dict[int, str] = {
    1: "nobody changed it",
    2: "Xero changed it, we did not",
    3: "we changed it, Xero did not",
    4: "both changed it to the same",
    5: "both changed it, differently",
    6: "Xero works it out",
    9: "the invoice is void in Xero",
    13: "Xero shows what we sent: our own write, no change of Xero’s",
}
"""What each rule of the merge is about."""

_NOT_YET = "we sent it, and Xero does not show it yet"
_ANOTHER = "we sent it, but Xero shows something else"

FATES: dict[Fate, str] = {
    Fate.EQUAL: "it stays",
    Fate.TAKEN: "Xero’s value comes here",
    Fate.OUTGOING: "ours stands and goes out",
    Fate.SET_ASIDE: "Xero’s value stands and ours is kept as a conflict",
}


def explain(versions: Versions) -> tuple[Told, ...]:
    """Every unit, in the order of the bill's fields."""
    v = versions
    decision = merge(
        v.base,
        v.ours,
        v.remote,
        read_only=v.read_only,
        sent=v.sent,
        sent_units=v.sent_units,
        confirmed=v.confirmed,
        aside=v.aside,
    )
    fates = dict.fromkeys(decision.taken, Fate.TAKEN)
    fates |= dict.fromkeys(decision.outgoing, Fate.OUTGOING)
    fates |= dict.fromkeys((c.unit for c in decision.conflicts), Fate.SET_ASIDE)
    own = _own_writes(v)
    return tuple(_told(v, unit, own, fates.get(unit, Fate.EQUAL)) for unit in UNITS)


def _own_writes(v: Versions) -> frozenset[str]:
    if v.sent is None:
        return frozenset()
    return frozenset(v.sent_units) if v.confirmed else arrived(v.remote, v.sent, v.sent_units)


def _told(v: Versions, unit: str, own: frozenset[str], fate: Fate) -> Told:
    rule = _rule(v, unit, own)
    about = RULES[rule]
    if rule == 13 and unit not in own:
        about = _NOT_YET if _part(v.remote, unit) == _part(v.base, unit) else _ANOTHER
    if rule == 3 and v.read_only:
        about += ", but nothing may go out"
    return Told(
        unit,
        _values(v.base, unit),
        _values(v.ours, unit),
        _values(v.remote, unit),
        rule,
        fate,
        f"row {rule}: {about}: {FATES[fate]}",
    )


def _rule(v: Versions, unit: str, own: frozenset[str]) -> int:
    base, ours, xero = (_part(one, unit) for one in (v.base, v.ours, v.remote))
    if v.sent is not None and unit in v.sent_units and not base == ours == xero:
        return 13
    void = v.remote.status is Status.VOID and "status" not in own
    if void and (v.base.status is not Status.VOID or ours != base):
        return 9
    if base == ours == xero:
        return 1
    if unit in OWNED_BY_XERO:
        return 6
    return _compared(base, ours, xero)


def _compared(base: object, ours: object, xero: object) -> int:
    """Rows 2 to 5, of a unit that is not the same everywhere."""
    if ours == base:
        return 2
    if ours == xero:
        return 4
    return 5 if xero != base else 3


def _part(version: BillFields, unit: str) -> tuple[object, ...]:
    return tuple(getattr(version, name) for name in UNITS[unit])


def _values(version: BillFields, unit: str) -> dict[str, Any]:
    return {name: to_plain(getattr(version, name)) for name in UNITS[unit]}


# --- what is on its way ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """One intention on its way to Xero. `state` is the outbox's; `not_before`: it rests until
    then; `sent`: when its request left, if it has; `confirmed`: Xero has said yes."""

    state: str
    not_before: datetime | None = None
    sent: Sent | None = None
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Ahead:
    """What happens next. `at` None: as soon as a worker is free, or when a person acts."""

    words: str
    at: datetime | None = None


_AGAIN: dict[Step, str] = {
    Step.RESEND: "the same request is sent again, under the same key",
    Step.SEARCH: "Xero is searched for it; what is not there leaves again under a new key",
}
_FOR_A_PERSON = {
    "refused": "it stays here until somebody tries again or changes the bill",
    "parked": "it waits for somebody's decision",
}


def ahead(way: Way, now: datetime, *, may_leave: bool) -> Ahead:
    """What happens to an intention next, as far as stored times tell: the process that sent it
    also watches its own clock (core/outbox.py). `may_leave`: the organisation is bidirectional
    and connected."""
    if way.state in _FOR_A_PERSON:
        return Ahead(_FOR_A_PERSON[way.state])
    if way.confirmed:
        return Ahead("Xero has said yes; it is done once Xero shows it at the next sync")
    if way.sent is not None:
        return _under_way(way.sent, now)
    if not may_leave:
        return Ahead("it does not leave while the organisation is not bidirectional and connected")
    at = way.not_before
    return Ahead("it leaves with the next sending", at if at is not None and at > now else None)


def _under_way(sent: Sent, now: datetime) -> Ahead:
    decision = next_step(sent, now)
    if decision.step is Step.WAIT:
        return Ahead(_AGAIN[next_step(sent, decision.at).step], decision.at)
    return Ahead(_AGAIN[decision.step])


def key_dies(sent: Sent) -> datetime:
    """Until when Xero remembers the key of a request (xero-facts 3.6)."""
    return sent.first_at + KEY_LIFE
