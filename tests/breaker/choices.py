"""Chance that can be written down, played again, and made simpler.

Everything a simulation leaves to chance is a small number drawn here, in groups of one step
each. The same groups make the same story; a group less makes a shorter one. What a group does
not say is 0, and 0 is always the dullest thing that could happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")
Script = list[list[int]]


class Choices:
    """Draws numbers, from `script` if there is one, else at random."""

    def __init__(self, random: Random, script: Script | None = None) -> None:
        self._random = random
        self._script = script
        self._left: list[int] = []
        self.drawn: Script = []

    def step(self) -> None:
        """The next group begins."""
        if self._script is not None and len(self.drawn) < len(self._script):
            self._left = list(self._script[len(self.drawn)])
        else:
            self._left = []
        self.drawn.append([])

    def below(self, limit: int) -> int:
        """A number from 0 up to, but not, `limit`."""
        if limit <= 1:
            return 0
        if self._script is None:
            found = self._random.randrange(limit)
        else:
            found = self._left.pop(0) % limit if self._left else 0
        self.drawn[-1].append(found)
        return found

    def chance(self, share: float) -> bool:
        """True as often as `share` says; dull is False."""
        if share <= 0:
            return False
        if self._script is None:
            found = self._random.random() < share
        else:
            found = bool(self._left.pop(0)) if self._left else False
        self.drawn[-1].append(int(found))
        return found

    def pick(self, things: Sequence[T]) -> T:
        """One of them; the first is the dullest."""
        return things[self.below(len(things))]

    def weighted(self, things: Sequence[tuple[T, int]]) -> T:
        """One of them, as often as its weight says; the first is the dullest."""
        at = self.below(sum(weight for _, weight in things))
        for thing, weight in things:
            if at < weight:
                return thing
            at -= weight
        return things[0][0]
