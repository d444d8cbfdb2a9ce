"""The push never doubles, never loses, never swaps: many random histories of the product's own
decisions against a model Xero (I-13, I-14, I-15, I-18, I-19, I-23, I-43).

A failing seed is told again by `PYTHONPATH=src python -m tests.core.push_model SEED`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest
from tests.core.planted_push import PLANTED
from tests.core.push_model import Engine, Op, Shipment, World, Wrong, live

from justpayme.core.outbox import Found

HISTORIES = int(os.environ.get("JUSTPAYME_HISTORIES", "50000"))
"""Histories per run; a full run sets a million."""


PARTS = 4
"""Tests that they are divided among, for as many processes as there are."""


def failing(
    count: int, made: type[Engine] = Engine, *, first: int = 0, step: int = 1
) -> tuple[int, str] | None:
    """The first seed whose history breaks a promise, and how."""
    for seed in range(first, count, step):
        try:
            live(seed, made)
        except Wrong as wrong:
            return seed, str(wrong)
    return None


@pytest.mark.layer("protocols")
@pytest.mark.parametrize("part", range(PARTS))
def test_each_operation_takes_effect_once_or_is_refused_in_every_history(
    part: int, cases: Callable[[int], None]
) -> None:
    assert failing(HISTORIES, first=part, step=PARTS) is None
    cases(len(range(part, HISTORIES, PARTS)))


@pytest.mark.parametrize("planted", PLANTED, ids=lambda made: made.__name__)
def test_the_checker_catches(planted: type[Engine]) -> None:
    caught = failing(PLANTED[planted], planted)
    assert caught is not None, f"{planted.__name__} lived through {PLANTED[planted]} histories"


def test_a_history_is_the_same_again_from_its_seed() -> None:
    for seed in range(300):
        assert told(live(seed)) == told(live(seed))


def told(world: World) -> object:
    there = world.xero.made.values()
    made = [(m.op, m.at, m.deleted) for records in there for m in records]
    return made, [(op.state, op.marker) for op in world.ops], world.xero.now


class Counting(Engine):
    """Counts what the histories come to."""

    met: Counter[str] = Counter()

    def resend(self, shipment: Shipment) -> None:
        self.met["resent"] += 1
        super().resend(shipment)

    def find(self, op: Op) -> Found:
        found = super().find(op)
        self.met[found] += 1
        return found


def test_the_histories_reach_every_end() -> None:
    """Silence of the checker means something only if there was something to break."""
    met = Counting.met
    met.clear()
    for seed in range(1_000):
        world = live(seed, Counting)
        met["crashes"] += world.crashes > 0
        met["clock jumps"] += world.jumpy and world.wall != 0
        met["naps"] += world.asleep > 0
        met["batches"] += world.batch > 1
        met.update(op.state for op in world.ops)
        pays = [op.wanted[1:4] for op in world.ops if op.wanted.kind == "pay"]
        met["equal payments"] += len(set(pays)) < len(pays)
        there = [made for records in world.xero.made.values() for made in records]
        met["deleted by somebody"] += any(made.deleted for made in there)
    rare = {what: count for what, count in met.items() if count < 50}
    assert rare == {}
    assert {"resent", "adopt", "again", "done", "refused", "naps", "clock jumps"} <= set(met)
