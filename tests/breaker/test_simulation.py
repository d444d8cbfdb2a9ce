"""The simulation: hundreds of seeded stories, each told by the real sync, all of them held.

What they can find is shown by what they do find when something is planted: `test_checkers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from tests.breaker import people
from tests.breaker.shrink import shorten
from tests.breaker.simulation import Options, Theatre
from tests.extent import FULL

from justpayme.sync import restored

SEEDS = 5000 if FULL else 500
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.layer("simulation"),
    pytest.mark.timeout(3600 if FULL else 600),
]
CHUNKS = 10
Cases = Callable[[int], None]


@pytest.fixture(scope="module")
def opened(django_db_setup: None, django_db_blocker: Any) -> Iterator[Theatre]:
    """The stage in this process's test database; it leaves the tables empty. The books that
    stories begin with are made once for all of them."""
    with django_db_blocker.unblock():
        found = Theatre()
        with found.open():
            yield found
        connections.close_all()


@pytest.fixture
def theatre(opened: Theatre) -> Theatre:
    """The stage, in a database that is not a restored one: each test takes that mark away."""
    restored.notice(timezone.now())
    return opened


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_promise_holds_in_every_story(theatre: Theatre, chunk: int, cases: Cases) -> None:
    """Whatever happens; `./justpayme simulate --replay SEED` tells one again."""
    failed = []
    for seed in range(1 + chunk, SEEDS + 1, CHUNKS):
        story = theatre.play(seed)
        cases(1)
        failed += [f"seed {seed}: {finding}" for finding in story.findings[:2]]
    assert not failed, "\n".join(failed)


def test_a_story_is_told_twice_in_the_same_words(theatre: Theatre, cases: Cases) -> None:
    """The trace, every call and every row in the end; after another story in between as well."""
    digests = [(theatre.play(seed).digest, theatre.play(seed).digest) for seed in (3, 7, 11)]
    assert [first for first, _ in digests] == [second for _, second in digests]
    assert theatre.play(3).digest == digests[0][0]
    cases(7)


def test_a_story_in_which_tokens_end_early_is_told_twice_in_the_same_words(
    theatre: Theatre, cases: Cases
) -> None:
    """Their ids are drawn from the seed: the local Xero must forget those of the first time."""
    first = theatre.play(36)
    assert any(" 401" in line for line in first.trace)
    assert theatre.play(36).digest == first.digest
    cases(2)


def test_a_story_is_told_by_its_choices_alone(theatre: Theatre, cases: Cases) -> None:
    """What shrinking stands on."""
    story = theatre.play(5)
    again = theatre.play(5, replace(story.options, steps=len(story.script)), story.script)
    assert again.digest == story.digest
    cases(2)


def test_a_failing_story_is_made_short(
    theatre: Theatre, cases: Cases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake that one step in ten makes is told in a few steps: the edit, and little else."""

    def forgets(here: people.Here, bill: object, *names: str) -> None:
        raise AssertionError("the history does not tell of it")

    monkeypatch.setattr(people.Here, "remember", forgets)
    options = replace(Options.of(2), home=("edit",), faults=("F3 broken",), crashes=0.15, runs=3)
    seeds = (theatre.play(seed, options) for seed in range(1, 20))
    story = next(story for story in seeds if story.findings)
    short = shorten(theatre, story)
    assert short.what == story.what
    assert len(short.script) <= 2 < len(story.script)
    assert short.options.faults == ()
    cases(1)
