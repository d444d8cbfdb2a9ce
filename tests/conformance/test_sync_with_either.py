"""The whole sync with every open question about Xero answered either way (xero-facts 11)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from tests.breaker.stage import stage_of
from tests.conformance.story import tell
from tests.extent import FULL

from justpayme.accounts.models import Membership, User
from xero_sandbox.open_questions import Open, changed, questions

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.layer("conformance"),
    pytest.mark.timeout(900),
]
EITHER = [{}, *({q.name: value} for q in questions() for value in q.values[1:])]
CHUNKS = 8 if FULL else 4
MIXED = 200 if FULL else 6
Cases = Callable[[int], None]


@pytest.fixture
def owner(alice: User) -> Membership:
    return Membership.objects.get(user=alice)


def told(owner: Membership, answers: list[dict[str, str]], cases: Cases) -> None:
    """The story with each of these answers, from the same beginning."""
    with stage_of(owner) as stage, stage.marked() as back:
        for some in answers:
            back()
            try:
                tell(stage, changed(Open(), some))
            except BaseException as error:
                error.add_note(f"with {some}; {stage.told()}")
                raise
            cases(1)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_sync_is_right_with_any_mixture(owner: Membership, cases: Cases, chunk: int) -> None:
    """All questions answered at once, by seed; in the full run also one at a time."""
    answers = [mixture(seed) for seed in range(MIXED)] + (EITHER if FULL else [])
    told(owner, answers[chunk::CHUNKS], cases)


def test_the_story_finds_what_depends_on_an_answer(
    owner: Membership, cases: Cases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The story can fail: with a filter that writes a quote in the likely way, which another
    Xero refuses, a bill whose answer was lost is never found again."""

    def guessing(column: str, text: str) -> str:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'{column}=="{quoted}"'

    monkeypatch.setattr("justpayme.xero.client.like", guessing)
    monkeypatch.setattr("tests.breaker.stage.ROUNDS", 4)
    with stage_of(owner) as stage, stage.marked(), pytest.raises(AssertionError, match="quiet"):
        tell(stage, Open(where_quote="refused"))
    cases(1)


def test_the_mixtures_of_every_day_hold_every_answer(cases: Cases) -> None:
    """Else a value that breaks the sync could go unseen."""
    used = {pair for seed in range(6) for pair in mixture(seed).items()}
    wanted = {(question.name, value) for question in questions() for value in question.values}
    assert wanted - used == set()
    cases(len(wanted))


def mixture(seed: int) -> dict[str, str]:
    """An answer to every question; each value comes up about equally often."""
    return {
        question.name: question.values[(seed + place) % len(question.values)]
        for question, place in zip(questions(), _places(seed), strict=True)
    }


def _places(seed: int) -> list[int]:
    """Where each question stands in this mixture: dealt anew for every six seeds."""
    random = Random(seed // 6)
    return [random.randrange(12) for _ in questions()]
