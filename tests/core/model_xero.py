"""A Xero reduced to what a push sees: keys that are forgotten, errors that are remembered,
effects that come late, and people who delete payments (xero-facts 3.6; I-13 … I-19).

Time is true time in seconds. Nothing here knows of the product.
"""

from __future__ import annotations

import random
from typing import NamedTuple

KEY_LIFE = 360.0
GIVES_UP = 30.0
LATEST = 90.0

Elements = tuple[bool, ...]
"""One per thing that was sent: saved, or refused with a validation error."""

FAULTS = (
    "unsent",  # nothing leaves
    "unanswered",  # takes effect; the answer gets lost, at once or after the time-out
    "late",  # reaches Xero only after we gave up
    "slow",  # reaches Xero at once, takes effect only after we gave up
    "500 before",  # no effect; the error is remembered under the key
    "500 after",  # takes effect; the error is remembered under the key
    "no key store",  # 500; Xero neither looks at the key nor remembers it
    "garbled",  # takes effect; the answer can't be read
    "limited",  # 429
    "forgotten",  # takes effect; answer and key get lost. Only where a unique number guards
)


class Wanted(NamedTuple):
    """One thing to make: a payment, or an invoice whose number is unique."""

    op: int
    kind: str
    bill: tuple[str, int]
    amount: int
    reference: str


class Made:
    """Something made. Deleted things stay and can be found."""

    __slots__ = ("at", "deleted", "op", "wanted")

    def __init__(self, wanted: Wanted, at: float) -> None:
        self.wanted, self.op, self.at, self.deleted = wanted, wanted.op, at, False


class Said(NamedTuple):
    """An answer. `status` 0: none came. `elements` are there when it is 200."""

    status: int
    elements: Elements = ()


class ModelXero:
    """Keys are the app's, so several organisations share one ModelXero."""

    def __init__(self, chance: random.Random, owed: dict[tuple[str, int], int]) -> None:
        self.chance = chance
        self.owed = owed
        self.now = 0.0
        self.made: dict[tuple[str, int], list[Made]] = {bill: [] for bill in owed}
        self.keys: dict[str, tuple[float, tuple[Wanted, ...], Said]] = {}
        self.later: list[tuple[float, str, tuple[Wanted, ...], bool]] = []
        self.clashes = 0

    def wait(self, seconds: float) -> None:
        """Time passes, and what was under way lands."""
        until = self.now + seconds
        while self.later and (first := min(self.later))[0] <= until:
            self.later.remove(first)
            self.now = first[0]
            self._land(*first[1:])
        self.now = until

    def _land(self, key: str, body: tuple[Wanted, ...], taken_in: bool) -> None:
        if not taken_in:
            self._process(key, body)
            return
        since = self.keys[key][0]
        self.keys[key] = (since, body, self._make(body))

    def call(self, key: str, body: tuple[Wanted, ...], fault: str) -> Said:
        """One request and what its sender gets to see of the answer; time passes meanwhile."""
        if fault == "forgotten" and any(wanted.kind != "create" for wanted in body):
            fault = "unanswered"
        if fault in ("late", "slow"):
            return self._call_slowly(key, body, fault)
        self.wait(0.3)
        if fault == "unsent":
            return Said(0)
        if fault == "limited":
            return Said(429)
        if fault == "no key store":
            return Said(500)
        forgets = fault == "forgotten" and self._known(key) is None
        said = self._process(key, body, fault)
        if forgets:
            self.keys.pop(key)
        if fault in ("unanswered", "forgotten"):
            self.wait(self.chance.choice((0.1, GIVES_UP)))
            return Said(0)
        return Said(0) if fault == "garbled" else said

    def _call_slowly(self, key: str, body: tuple[Wanted, ...], fault: str) -> Said:
        """Lands up to 90 s after we gave up, which may be at once."""
        gave_up = self.chance.choice((0.1, 5.0, GIVES_UP))
        lands = self.now + gave_up + self.chance.choice((0.01, 0.5, 0.95, 1.0)) * LATEST
        taken_in = fault == "slow" and self._known(key) is None
        if taken_in:
            self.keys[key] = (self.now, body, Said(500))
        if taken_in or fault == "late":
            self.later.append((lands, key, body, taken_in))
        self.wait(gave_up)
        return Said(0)

    def _known(self, key: str) -> tuple[float, tuple[Wanted, ...], Said] | None:
        known = self.keys.get(key)
        return known if known and self.now < known[0] + KEY_LIFE else None

    def _process(self, key: str, body: tuple[Wanted, ...], fault: str = "") -> Said:
        """What Xero does with a request: once per key while it is remembered."""
        known = self._known(key)
        if known is not None:
            if known[1] != body:
                self.clashes += 1
                return Said(400)
            return known[2]
        said = Said(500) if fault == "500 before" else self._make(body)
        if fault == "500 after":
            said = Said(500)
        self.keys[key] = (self.now, body, said)
        return said

    def _make(self, body: tuple[Wanted, ...]) -> Said:
        return Said(200, tuple([self._make_one(wanted) for wanted in body]))

    def _make_one(self, wanted: Wanted) -> bool:
        """A number can't be used twice; a payment can't exceed what is owed."""
        there = self.made[wanted.bill]
        if wanted.kind == "create":
            taken = any(made.wanted.reference == wanted.reference for made in there)
        else:
            paid = sum([m.wanted.amount for m in there if not m.deleted])
            taken = paid + wanted.amount > self.owed[wanted.bill]
        if not taken:
            there.append(Made(wanted, self.now))
        return not taken

    def somebody_deletes(self) -> None:
        """A payment, in Xero itself: the money is owed again."""
        found = [m for there in self.made.values() for m in there if m.wanted.kind == "pay"]
        if found:
            self.chance.choice(found).deleted = True

    def search(self, bill: tuple[str, int]) -> list[Made]:
        """Everything there is of a bill, deleted or not."""
        return self.made[bill]
