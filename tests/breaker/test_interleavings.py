"""The dangerous pairs under many schedules: I-10, I-23, I-27, I-33, I-36, I-37, I-42, I-53 (F16).

Every schedule with at most one switch is played. Of those with two only such are played as no
play stands for yet (`independence`), first those that stand for most, up to a fixed number; in the
full run all of them, and 20,000 with more switches at random.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from django.db import connection as database
from django.db import transaction
from tests.breaker import independence
from tests.breaker.independence import Seen, Stories
from tests.breaker.interleave import Switches, duet
from tests.breaker.pairs import PAIRS, Pair
from tests.breaker.theatre import Theatre, theatre
from tests.extent import FULL
from tests.fixtures.layers import Cases

from justpayme.sync import apply, calls, push, search, tokens, webhooks
from justpayme.sync.models import Connection, Heard, Run

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.layer("interleavings"),
    pytest.mark.timeout(7200),
]

TWICE, MANY = 90, 5
"""Of each pair at most so many schedules with two switches are played every time that stand for
so many others."""
OTHERS = 4
"""So many more of each pair, whatever they stand for."""
COMPARED = 2
"""Of those of a pair that another stands for, so many are played all the same, and compared."""
PARTS = 2
"""Tests for each of the longer pairs, so that two processes share the work."""
SHORT = ("refresh and refresh",)
SHARES = [
    (p, part, n) for p in PAIRS for n in [1 if p.name in SHORT else PARTS] for part in range(n)
]
RANDOM = 20_000 // len(PAIRS) + 1


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    """A line of log for each of thousands of runs says nothing."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("pair", "part", "parts"),
    SHARES,
    ids=[f"{pair.name}-{part}" if parts > 1 else pair.name for pair, part, parts in SHARES],
)
def test_the_two_never_harm_each_other(pair: Pair, part: int, parts: int, cases: Cases) -> None:
    with theatre(pair) as stage:
        stage.remembers = FULL
        singles = list(stage.singles(part, parts))
        once = sum(bool(plan.at) or not part for plan, _ in singles)
        cases(once)
        known = Stories(Seen(*single) for single in singles)
        twice = [Twice(Seen(*s), plan) for s in singles for plan in stage.doubles(*s)]
        played = _every(stage, known, twice) if FULL else _enough(stage, known, twice, parts)
        covered = [second for second in twice if known.alike(second.once, second.number)]
        cases(played, alike=0 if FULL else len(covered) - played)
        cases(_compare(stage, known, covered, COMPARED // parts))
        longest = max(len(played.steps) for _, played in singles)
        at_random = _at_random(stage.random, longest)[part::parts] if FULL else []
        for plan in at_random:
            stage.try_out(plan)
        cases(len(at_random))


@dataclass(frozen=True)
class Twice:
    """A schedule with two switches, and the play that has only the first of them."""

    once: Seen
    plan: Switches

    @property
    def number(self) -> int:
        """The step before which it switches once more."""
        return max(self.plan.at)


def _enough(stage: Theatre, known: Stories, twice: list[Twice], parts: int) -> int:
    """Play those that stand for many, then a few others in a fixed order. Each play tells of
    more."""
    played, most, left = 0, TWICE // parts, Random(36).sample(twice, len(twice))
    while chosen := _for_many(known, left)[: most - played]:
        played += sum(_play_if_new(stage, known, second) for second in chosen)
        left = [second for second in left if second not in chosen]
    most = played + OTHERS // parts
    for second in left:
        if played < most:
            played += _play_if_new(stage, known, second)
    return played


def _for_many(known: Stories, twice: list[Twice]) -> list[Twice]:
    """One for each class of many, the largest first."""
    classes: dict[Hashable, list[Twice]] = {}
    for second in twice:
        if (like := known.awaited(second.once, second.number)) is not None:
            classes.setdefault(like, []).append(second)
    largest = sorted(classes.values(), key=len, reverse=True)
    return [members[0] for members in largest if len(members) >= MANY]


def _play_if_new(stage: Theatre, known: Stories, second: Twice) -> bool:
    """Unless a play stands for it by now."""
    if known.alike(second.once, second.number):
        return False
    known.add(Seen(second.plan, stage.try_out(second.plan)))
    return True


def _every(stage: Theatre, known: Stories, twice: list[Twice]) -> int:
    """Play all. Where one was said to be like another, both must end in the same way."""
    for second in twice:
        alike = known.alike(second.once, second.number)
        known.add(Seen(second.plan, stage.try_out(second.plan)))
        if alike is not None:
            _same_end(alike.plan, second.plan, stage.ends[alike.plan], stage.ends[second.plan])
    return len(twice)


def _compare(stage: Theatre, known: Stories, twice: list[Twice], few: int) -> int:
    """Play a few that another stands for, and that other: they end in the same way."""
    stood_for = [(s, a) for s in twice if (a := known.alike(s.once, s.number)) and a.plan != s.plan]
    chosen = Random(7).sample(stood_for, min(few, len(stood_for)))
    for second, alike in chosen:
        ends = [stage.end(stage.play(plan)) for plan in (alike.plan, second.plan)]
        _same_end(alike.plan, second.plan, *ends)
    return 2 * len(chosen)


def _same_end(one: Switches, two: Switches, end: list[str], other: list[str]) -> None:
    differ = [line[:300] for line in sorted({*end} ^ {*other})]
    assert end == other, f"{one} and {two} are not alike: {differ}"


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


# --- which schedules are alike -----------------------------------------------------------------

_READ = 'SELECT "bills_bill"."id" FROM "bills_bill" WHERE "bills_bill"."id" = %s'
_LOCK = f"{_READ} FOR UPDATE"
_WRITE = 'UPDATE "bills_bill" SET "number" = %s'
_LINE = 'INSERT INTO "bills_line" ("bill_id") VALUES (%s)'
_CALL = "GET /api.xro/2.0/Invoices"
_OTHER = 'SELECT "sync_cursor"."id" FROM "sync_cursor"'
_EXCLUSIVE = "LOCK TABLE bills_bill IN SHARE ROW EXCLUSIVE MODE"
_ID = "'table ' || 'bills_bill'::regclass::oid"
_COMMENT = f"SELECT obj_description('bills_bill'::regclass, 'pg_class'), {_ID}"
_COMMENTING = f"DO $$ BEGIN EXECUTE format('COMMENT ON TABLE bills_bill IS %L', {_ID}); END $$"


@pytest.mark.parametrize(
    ("one", "two", "met"),
    [
        (_READ, _READ, False),
        (_READ, _LOCK, False),
        (_READ, _WRITE, False),  # nobody sees it before its COMMIT
        (_LOCK, _WRITE, True),
        (_WRITE, _WRITE, True),
        (_LINE, _LOCK, True),  # a foreign key holds its bill
        (_LINE, _LINE, True),
        (_CALL, _CALL, True),
        (_CALL, _WRITE, False),
        (_OTHER, _WRITE, False),
        (_OTHER, "SELECT pg_sleep(1)", True),
        (_OTHER, "SELECT snapshot_backup.back()", True),
        (_OTHER, "LOCK TABLE bills_bill", True),
        (_OTHER, "LOCK TABLE bills_bill IN ACCESS EXCLUSIVE MODE", True),
        (_EXCLUSIVE, _WRITE, True),
        (_EXCLUSIVE, _LINE, True),
        (_EXCLUSIVE, _EXCLUSIVE, True),
        (_EXCLUSIVE, _READ, False),
        (_EXCLUSIVE, _OTHER, False),
        (_COMMENTING, _COMMENTING, True),
        (_COMMENTING, _COMMENT, False),  # nobody sees it before its COMMIT
        (_COMMENTING, f"{_COMMENT}; SELECT 1", True),
        (_COMMENT, _WRITE, False),
        (_COMMENT, "SELECT obj_description(1, 'pg_class')", True),
        (_COMMENT, "SELECT snapshot_backup.back()", True),
        (_OTHER, "SELECT unnest(procrastinate_defer_jobs_v1(%s))", True),
    ],
)
def test_steps_that_notice_each_other_conflict(
    one: str, two: str, met: bool, cases: Callable[[int], None]
) -> None:
    """Inside transactions; outside, a write is seen at once."""
    first, second = (independence.of_text(text, atomic=True) for text in (one, two))
    assert independence.conflict(first, second) == met
    assert independence.conflict(second, first) == met
    at_once = independence.of_text(_WRITE, atomic=False)
    assert independence.conflict(at_once, independence.of_text(_READ, atomic=True))
    assert not independence.conflict(at_once, independence.of_text(_OTHER, atomic=True))
    said = independence.of_text(_COMMENTING, atomic=False)
    assert independence.conflict(said, independence.of_text(_COMMENT, atomic=True))
    cases(1)


def _blind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independence, "of_text", lambda text, *, atomic: independence.Touch())


def test_a_wait_that_no_footprint_explains_is_found(
    cases: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said to touch nothing, a step is seen to wait for a lock all the same."""
    _blind(monkeypatch)
    pair = next(pair for pair in PAIRS if pair.name == "pull and edit")
    plan = Switches(0, frozenset({5}))
    with theatre(pair) as stage, pytest.raises(AssertionError, match="waited for nothing"):
        Stories([Seen(plan, stage.play(plan))])
    cases(1)


def test_schedules_that_end_differently_are_told_apart(
    cases: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of steps that are said to touch nothing every order is alike; but the ends are not."""
    _blind(monkeypatch)
    pair = next(pair for pair in PAIRS if pair.name == "pull and edit")
    plan = Switches(1, frozenset({1}))
    with theatre(pair) as stage:
        once = Seen(plan, stage.play(plan))
        twice = [Twice(once, second) for second in stage.doubles(plan, once.played)]
        with pytest.raises(AssertionError, match="are not alike"):
            _compare(stage, Stories([once]), twice, few=8)
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
