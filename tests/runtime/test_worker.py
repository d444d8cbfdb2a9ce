"""The worker process: what ends it, and that whoever watches it learns why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from justpayme.runtime import worker


class Ended(Exception):
    """The process ended with a status."""


def ends(status: int) -> NoReturn:
    raise Ended(status)


def passing(*walls: float) -> Any:
    """A time module on which 5 seconds pass between two looks; the calendar's clock shows
    `walls`."""
    steps: Iterator[tuple[int, float]] = enumerate(walls)
    at = SimpleNamespace(steady=0.0, wall=0.0)

    def sleep(seconds: float = 0.0) -> None:
        step = next(steps, None)
        if step is None:
            raise InterruptedError
        at.steady, at.wall = 5.0 * step[0], step[1]

    sleep()
    return SimpleNamespace(sleep=sleep, monotonic=lambda: at.steady, time=lambda: at.wall)


@pytest.mark.parametrize("back", [10, 3600, 86_400 * 365])
def test_a_clock_that_is_set_back_starts_the_worker_anew(back: float) -> None:
    """I-43. The job engine starts nothing until the old time has come again."""
    clock = passing(1e9, 1e9 + 5, 1e9 + 10 - back)
    with pytest.raises(Ended, match="1"):
        worker._watch(os.environ["JUSTPAYME_DATABASE_URL"], clock, ends)


def test_a_clock_that_is_corrected_a_little_or_set_forward_ends_nothing() -> None:
    """A machine that slept, too: its steady clock stood still meanwhile."""
    clock = passing(1e9, 1e9 + 5, 1e9 + 9, 1e9 + 3600, 1e9 + 90_000)
    with pytest.raises(InterruptedError):
        worker._watch(os.environ["JUSTPAYME_DATABASE_URL"], clock, ends)


def test_a_worker_whose_database_stays_away_ends() -> None:
    clock = passing(*(1e9 + 5 * step for step in range(9)))
    with pytest.raises(Ended, match="1"):
        worker._watch("postgresql://nobody@127.0.0.1:1/none", clock, ends)
