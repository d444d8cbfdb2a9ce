"""A process may die at any point of anything that a sync does: nothing is lost or done twice."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

import pytest
from django.db import DatabaseError, transaction
from tests.breaker import crash_points
from tests.breaker.scenarios import SCENARIOS
from tests.breaker.stage import WIRE, Points
from tests.extent import FULL
from tests.fixtures.layers import Cases

from justpayme.accounts.models import Membership, User
from justpayme.sync import apply, jobs, outbox
from justpayme.sync.models import Run

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.layer("crash points"),
    pytest.mark.timeout(3600),
]
COMPARED = 150
"""Of so many points one is compared with the death that stands for it."""

FORTY = 40
FIRST_STEPS = 12
"""Points in which a dead run is found, ended and made due."""
EVERY = 797
"""Of so many pairs of deaths the everyday run takes one."""
FIFTH = 5
"""Of so many states, or refusals, of the large scenarios the full run takes one."""
HUNG_UP_EVERY = 30
"""Of so many states the everyday run lets the database hang up in one."""
REFUSED_EVERY = 120
"""Of so many statements the everyday run lets the database refuse one."""
AT_REST = (*WIRE, "ROLLBACK TO")
"""Points at which the database is asked nothing that it could refuse."""
LARGE = {"batch of 50": 60}
"""Scenarios so large that the everyday run takes so much less of them."""

arranged = contextmanager(crash_points.arranged)


@pytest.fixture
def owner(alice: User) -> Membership:
    return Membership.objects.get(user=alice)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_death_at_any_point(owner: Membership, cases: Cases, name: str) -> None:
    """F1; I-1, I-7, I-13 to I-20, I-33 to I-38 and I-51, at every single point. Every day one
    death stands for all in its state; the full run dies at each point."""
    scenario = SCENARIOS[name]
    with arranged(owner, scenario) as (stage, back):
        points = crash_points.count_points(stage, back, scenario)
        every = range(1, len(points.seen) + 1) if FULL else _last_ones(points, name)
        with crash_points.after_press(stage, back, scenario) as (_, done):
            press = len(done.seen)
        for at in every:
            if at <= press:
                crash_points.dies(stage, back, scenario, at)
        with crash_points.after_press(stage, back, scenario) as later:
            for at in every:
                if at > press:
                    crash_points.dies(stage, back, scenario, at, later)
            for at in () if FULL else range(press + 1, len(points.seen), COMPARED):
                crash_points.dies_alike(stage, back, scenario, at, points, later)
                cases(1)
        for at in every:
            alike = 0 if FULL else points.states.count(points.states[at - 1]) - 1
            cases(1, alike=alike)


def _last_ones(points: Points, name: str) -> list[int]:
    return points.one_of_each()[:: LARGE.get(name, 1)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_death_in_the_recovery_from_a_death(owner: Membership, cases: Cases, name: str) -> None:
    """Two in a row: the full run takes each state of the scenario (of the largest, every fifth)
    with the first forty points of what the next process does, the everyday run some of them."""
    scenario = SCENARIOS[name]
    with arranged(owner, scenario) as (stage, back):
        firsts = crash_points.count_points(stage, back, scenario).one_of_each()
        firsts = firsts[:: FIFTH if name in LARGE else 1]
        pairs = [(first, second) for first in firsts for second in range(1, FORTY + 1)]
        for first, second in pairs if FULL else pairs[7::EVERY]:
            cases(int(crash_points.dies_twice(stage, back, scenario, first, second)))


def test_a_death_while_a_dead_run_is_taken_up(owner: Membership, cases: Cases) -> None:
    """Who takes up what a dead process left may die as well, and the next one finds it again."""
    scenario = SCENARIOS["increment"]
    with arranged(owner, scenario) as (stage, back):
        points = crash_points.count_points(stage, back, scenario)
        running = points.seen.index("answer /api.xro/2.0/Invoices") + 1
        for second in range(1, FIRST_STEPS + 1):
            assert crash_points.dies_twice(stage, back, scenario, running, second)
            cases(1)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_database_fails(owner: Membership, cases: Cases, name: str) -> None:
    """F13, I-52: it hangs up (every day in every thirtieth state that a scenario goes through), or
    it refuses a statement or a commit: a full disk, a lock that is not given, a deadlock, too slow.
    The full run takes each point, of the largest scenario every fifth refusal."""
    scenario = SCENARIOS[name]
    with arranged(owner, scenario) as (stage, back):
        points = crash_points.count_points(stage, back, scenario, hangs_up=True)
        asked = [at for at, what in enumerate(points.seen, 1) if not what.startswith(WIRE)]
        last = sorted({points.states[at - 1]: at for at in asked}.values())
        for at in asked if FULL else last[:: LARGE.get(name, HUNG_UP_EVERY)]:
            crash_points.loses_database(stage, back, scenario, at)
            cases(1)
        points = crash_points.count_points(stage, back, scenario)
        asked = [at for at, what in enumerate(points.seen, 1) if not what.startswith(AT_REST)]
        every = FIFTH if name in LARGE else 1
        few = asked[3 :: LARGE.get(name, 1) * REFUSED_EVERY]
        for at in asked[::every] if FULL else few:
            crash_points.is_refused(stage, back, scenario, at)
            cases(1)


def test_an_intention_that_the_database_refused_in_silence_is_caught(
    owner: Membership, cases: Cases
) -> None:
    """The machine can fail: a change is committed whose intention was not."""
    scenario = SCENARIOS["taken back"]
    real = outbox.enqueue_unpay

    def planted(*args: Any) -> None:
        with suppress(DatabaseError), transaction.atomic():
            real(*args)

    with (
        arranged(owner, scenario) as (stage, back),
        mock.patch.object(outbox, "enqueue_unpay", planted),
    ):
        points = crash_points.count_points(stage, back, scenario)
        asked = next(
            at
            for at, what in enumerate(points.seen, 1)
            if what.startswith('INSERT INTO "sync_outboxitem"')
        )
        with pytest.raises(AssertionError, match='INSERT INTO "sync_outboxitem"'):
            crash_points.is_refused(stage, back, scenario, asked)
    cases(1)


def test_a_dead_run_that_nobody_takes_up_is_caught(owner: Membership, cases: Cases) -> None:
    """The machine can fail: what a dead process left would lie there for ever."""
    scenario = SCENARIOS["increment"]
    with arranged(owner, scenario) as (stage, back):
        points = crash_points.count_points(stage, back, scenario)
        asked = points.seen.index("answer /api.xro/2.0/Invoices") + 1
        with (
            mock.patch.object(jobs, "recover_dead_runs"),
            pytest.raises(AssertionError, match="never quiet"),
        ):
            crash_points.dies(stage, back, scenario, asked)
    cases(1)


def test_rows_that_are_written_after_their_cursor_are_caught(
    owner: Membership, cases: Cases
) -> None:
    """The machine can fail: a cursor that is committed before its rows loses them (I-7)."""
    scenario = SCENARIOS["increment"]
    real = apply.apply_invoices

    def planted(run: Run, *args: Any, **named: Any) -> Any:
        apply.move_only(run, named["endpoint"], named["position"])
        return real(run, *args, **named)

    with (
        arranged(owner, scenario) as (stage, back),
        mock.patch.object(apply, "apply_invoices", planted),
    ):

        def everywhere() -> None:
            for at in crash_points.count_points(stage, back, scenario).one_of_each():
                crash_points.dies(stage, back, scenario, at)

        with pytest.raises(AssertionError, match="I-2"):
            everywhere()
    cases(1)
