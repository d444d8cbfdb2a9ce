"""Makes a story that fails shorter, while the same promise still does not hold in it.

First whole kinds of trouble are switched off, then steps are left out (delta debugging), then
what is left to chance within a step is made dull.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.breaker.choices import Script
from tests.breaker.simulation import Options, Story, Theatre

TRIES = 400


def shorten(
    theatre: Theatre, story: Story, tell: Callable[[int], None] = lambda steps: None
) -> Story:
    """The shortest story found in which a promise fails that failed in this one."""
    return _Search(theatre, story, tell).best_found()


class _Search:
    def __init__(self, theatre: Theatre, story: Story, tell: Callable[[int], None]) -> None:
        self.theatre = theatre
        self.best = story
        self.what = story.what
        self.tell = tell
        self.left = TRIES

    def best_found(self) -> Story:
        """Try everything once, and the steps again while that helps."""
        for options in self._milder():
            self._try(options, self.best.script)
        before = -1
        while before != len(self.best.script) and self.left > 0:
            before = len(self.best.script)
            self._fewer_steps()
        self._duller_steps()
        return self.best

    def _try(self, options: Options, script: Script) -> bool:
        """Does it still fail like this?"""
        if self.left <= 0:
            return False
        self.left -= 1
        options = replace(options, steps=len(script))
        story = self.theatre.play(self.best.seed, options, script)
        if not story.what & self.what:
            return False
        self.best = story
        self.tell(len(story.script))
        return True

    def _milder(self) -> Iterator[Options]:
        for kind in self.best.options.faults:
            yield replace(
                self.best.options, faults=tuple(k for k in self.best.options.faults if k != kind)
            )
        for change in _MILDER:
            yield replace(self.best.options, **change)

    def _fewer_steps(self) -> None:
        size = max(len(self.best.script) // 2, 1)
        while size >= 1:
            at = 0
            while at < len(self.best.script):
                script = self.best.script
                if not self._try(self.best.options, [*script[:at], *script[at + size :]]):
                    at += size
            size //= 2

    def _duller_steps(self) -> None:
        for at in range(len(self.best.script)):
            script = self.best.script
            if at < len(script) and any(script[at][1:]):
                duller = [script[at][0], *([0] * (len(script[at]) - 1))]
                self._try(self.best.options, [*script[:at], duller, *script[at + 1 :]])


_MILDER: tuple[dict[str, Any], ...] = (
    {"crashes": 0.0},
    {"cuts": 0.0},
    {"skew": 0.0},
    {"preempt": 0.0},
    {"clock": False},
)
