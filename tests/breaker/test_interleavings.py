"""The dangerous pairs under many schedules: I-10, I-23, I-27, I-33, I-36, I-37, I-42, I-53 (F16).

Every schedule with at most one switch is played, and a fixed sample of those with two; in the
full run all of them, and 20,000 with more switches at random.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from random import Random
from typing import Any

import pytest
from django.db import connection as database
from django.db import transaction
from tests.breaker.interleave import Switches, duet
from tests.breaker.pairs import PAIRS, Pair
from tests.breaker.theatre import theatre

from justpayme.sync import apply, calls, push, search, tokens, webhooks
from justpayme.sync.models import Connection, Heard, Run

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.layer("interleavings"),
    pytest.mark.timeout(7200),
]

FULL = os.environ.get("JUSTPAYME_FULL") == "1"
TWICE = 88
"""Schedules with two switches that are played of each pair every time."""
PARTS = 4
"""Tests for each pair, so that two processes share the work."""
RANDOM = 20_000 // len(PAIRS) + 1


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    """A line of log for each of thousands of runs says nothing."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_the_two_never_harm_each_other(
    pair: Pair, part: int, cases: Callable[[int], None], request: pytest.FixtureRequest
) -> None:
    with theatre(pair) as stage:
        singles = list(stage.singles(part, PARTS))
        once = sum(bool(plan.at) or not part for plan, _ in singles)
        cases(once)
        twice = [plan for single in singles for plan in stage.doubles(*single)]
        few = FULL or len(twice) <= TWICE // PARTS
        sample = twice if few else Random(36).sample(twice, TWICE // PARTS)
        request.node.user_properties.append(
            ("schedules", f"{once + len(sample)}/{once + len(twice)}")
        )
        for plan in sample:
            stage.try_out(plan)
        cases(len(sample))
        longest = max(len(played.steps) for _, played in singles)
        at_random = _at_random(stage.random, longest)[part::PARTS] if FULL else []
        for plan in at_random:
            stage.try_out(plan)
        cases(len(at_random))


def _at_random(random: Callable[[Random, int], Switches], length: int) -> list[Switches]:
    dice = Random(53)
    return [random(dice, length) for _ in range(RANDOM)]


# --- what it would find ------------------------------------------------------------------------


def _no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_one_at_a_time", lambda token_set: nullcontext())


def _no_look_before_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_may_go_on", lambda run: None)
    monkeypatch.setattr(calls, "_may_write", lambda run: None)


def _no_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_look_before_a_call(monkeypatch)

    def unfenced(run: Run) -> Connection:
        return Connection.objects.get(pk=run.connection_id)

    for module in (apply, push, search):
        monkeypatch.setattr(module, "fence", unfenced)


def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(run: Run) -> None:
        Heard.objects.filter(connection=run.connection_id).update(**webhooks._NOTHING)

    monkeypatch.setattr(webhooks, "settle", settle)


def _overwriting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("justpayme.bills.held.refuse_stale", lambda *given: None)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("refresh and refresh", _no_lock),
        ("push and disconnect", _no_look_before_a_call),
        ("push and one-directional", _no_look_before_a_call),
        ("zombie and replacement", _no_fence),
        ("webhook and schedule", _forgetful),
        ("pull and edit", _overwriting),
    ],
    ids=lambda given: getattr(given, "__name__", given),
)
def test_a_missing_protection_is_found(
    name: str, spoil: Any, cases: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it some schedule with a single switch goes wrong: so the silence above means
    something."""
    spoil(monkeypatch)
    pair = next(pair for pair in PAIRS if pair.name == name)
    with theatre(pair) as stage, pytest.raises(AssertionError, match=name):
        list(stage.singles())
    cases(1)


def test_two_that_wait_for_each_other_are_let_go_on(cases: Callable[[int], None]) -> None:
    """A deadlock is PostgreSQL's to end: one of the two is told, the other goes on."""

    def locking(*keys: int) -> Any:
        def work() -> list[int]:
            with transaction.atomic(), database.cursor() as cursor:
                for key in keys:
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])
            return list(keys)

        return work

    with duet(lambda seconds: None) as both:
        for step in range(1, 4):
            played = both.play((locking(1, 2), locking(2, 1)), Switches(0, frozenset({step})))
            told = [error for error in played.errors if error is not None]
            assert len(told) == (1 if step == 1 else 0), played.told()
            assert [r for r in played.results if r is not None]
            cases(1)
