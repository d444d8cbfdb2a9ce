"""An import too large for one question, read in slices of dates (I-6, I-7, I-56)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.core.simulated_xero import START, Row, SimulatedXero

from justpayme.core import cursor
from justpayme.core.cursor import Answer, Ask, Position, Slice
from justpayme.core.errors import Problem

TODAY = date(2026, 11, 22)
PAGE_SIZE = 8
MOST_ROWS = 18
"""More than this in one question is refused in this model."""
MOST_CALLS = 500
SEEDS = 150
LIVES = 600
"""Twice as many as it takes to catch pages whose seam nobody looks at (docs/planted-bugs.md)."""

Book = dict[str, Row]
Change = Callable[[Position], Position]
days = st.dates(date(1900, 1, 1), date(2099, 12, 31))
clocks = st.dates(date(1970, 1, 1), date(2100, 1, 1))


@dataclass
class LargeXero(SimulatedXero):
    """Rows have business dates, which people edit too, and large questions are refused."""

    dates: dict[str, date] = field(default_factory=dict)
    most: int = MOST_ROWS
    refused: int = 0
    overlapping: bool = True

    def put(self, key: str) -> None:
        if key not in self.dates or self.chance.random() < 0.5:
            self.dates[key] = TODAY - timedelta(days=self.chance.randrange(9000) - 400)
        super().put(key)

    def found(self, ask: Ask) -> list[tuple[str, Row]]:
        rows = [row for row in super().found(ask) if within(ask.dates, self.dates[row[0]])]
        if ask.since is None and len(rows) > self.most:
            self.refused += 1
            raise Problem("too_many_records")
        return rows

    def answer(self, ask: Ask) -> tuple[dict[str, Row], Answer]:
        self.calls += 1
        everything, size = self.found(ask), PAGE_SIZE - ask.shorter * self.overlapping
        page = everything[(ask.page - 1) * size : ask.page * size]
        pages = -(-len(everything) // size)
        rows = tuple(row for _, row in page)
        return dict(page), Answer(rows, pages, self.now, tuple(key for key, _ in page))


def within(dates: Slice | None, day: date) -> bool:
    start, end = dates or (None, None)
    return (start is None or start <= day) and (end is None or day < end)


def stored(position: Position) -> Position:
    return cursor.from_plain(json.loads(json.dumps(cursor.to_plain(position))))


def same(position: Position) -> Position:
    return position


def sync(
    xero: LargeXero,
    book: Book,
    position: Position,
    churn: Callable[[], None],
    spoilt: Change = same,
) -> Position:
    """One sync; a crash after every step. `spoilt` plants a mistake in the stored position."""
    for _ in range(MOST_CALLS):
        try:
            page, answer = xero.answer(cursor.request(position))
        except Problem:
            smaller = cursor.split(position, TODAY)
            assert smaller is not None
            position = stored(smaller)
            continue
        for key, row in page.items():
            book[key] = max(row, book.get(key, row))
        position, complete = cursor.advance(position, answer)
        position = spoilt(stored(position))
        if complete:
            return position
        churn()
    raise AssertionError("this sync never ends")


def lived(seed: int, spoilt: Change = same, overlapping: bool = True) -> tuple[LargeXero, Book]:
    """A large import under churn, an increment at once, and one after a quiet time."""
    chance = random.Random(seed)
    xero = LargeXero(chance, overlapping=overlapping)
    for _ in range(chance.choice((MOST_ROWS, 3 * MOST_ROWS, 6 * MOST_ROWS))):
        xero.put(xero.new_key())
        xero.wait(chance.choice((0, 0.1, 3)))
    xero.wait(60)
    book: Book = {}
    xero.writes_left = 40
    position = sync(xero, book, Position(), xero.churn, spoilt)
    position = sync(xero, book, position, xero.churn)
    xero.wait(60)
    sync(xero, book, position, lambda: None)
    return xero, book


@pytest.mark.layer("protocols")
def test_nothing_is_lost_or_stale_after_an_import_in_slices(cases: Callable[[int], None]) -> None:
    """I-6, with dates edited while the slices are read, from one into another."""
    lives = [lived(seed) for seed in range(LIVES)]
    assert [seed for seed, (xero, book) in enumerate(lives) if book != xero.rows] == []
    assert sum(xero.refused for xero, _ in lives) > LIVES
    cases(LIVES)


def test_the_model_can_fail_an_increment_from_the_last_slice_loses_rows() -> None:
    """The proof that silence of the test above means something: the time of the first page of
    all is what finds a row that moved into a slice already read."""

    def forget(position: Position) -> Position:
        at_a_slice = position.importing and position.page == 1
        return replace(position, started_at=None) if at_a_slice else position

    lives = [lived(seed, forget) for seed in range(SEEDS)]
    assert sum(book != xero.rows for xero, book in lives) > SEEDS / 10


def test_the_model_can_fail_pages_of_a_slice_that_do_not_overlap_lose_rows() -> None:
    """A row that leaves a slice pulls another, which nobody touched, across the boundary."""
    lives = [lived(seed, lambda p: replace(p, last=None), False) for seed in range(SEEDS)]
    assert sum(book != xero.rows for xero, book in lives) > SEEDS / 50


def test_pages_of_a_slice_overlap_and_a_row_that_is_missing_there_starts_it_again() -> None:
    xero, book = LargeXero(random.Random(5)), {}
    for _ in range(MOST_ROWS):
        xero.put(xero.new_key())
    position = Position(slices=(Slice(None, None),))
    first, answer = xero.answer(cursor.request(position))
    position, _ = cursor.advance(position, answer)
    assert position.last == list(first)[-1]
    second, again = xero.answer(cursor.request(position))
    assert next(iter(second)) == position.last
    assert cursor.advance(position, again)[0].page == 3
    left = replace(again, ids=again.ids[1:])
    restarted, complete = cursor.advance(position, left)
    assert (restarted.page, restarted.last, complete) == (1, None, False)
    assert sync(xero, book, restarted, lambda: None).slices == ()
    assert book == xero.rows


def cut(today: date, halvings: list[int]) -> Position:
    """A position whose slices were refused so often, at any of them."""
    position = cursor.split(Position(), today)
    assert position is not None
    done: tuple[Slice, ...] = ()
    for skip in halvings:
        while len(position.slices) > 1 and skip:
            done, skip = (*done, position.slices[0]), skip - 1
            position = replace(position, slices=position.slices[1:])
        position = cursor.split(position, today) or position
    return replace(position, slices=done + position.slices)


@given(clocks, st.lists(st.integers(0, 6), max_size=40), days)
@example(date(2100, 1, 1), [], date(2099, 12, 31))
@example(date(2024, 2, 29), [0] * 20, date(2024, 2, 29))
def test_slices_hold_every_date_once_whatever_our_clock_says(
    today: date, halvings: list[int], day: date
) -> None:
    slices = cut(today, halvings).slices
    assert slices[0].start is None
    assert slices[-1].end is None
    assert all(left.end == right.start for left, right in pairwise(slices))
    assert sum(within(one, day) for one in slices) == 1


@given(clocks, days)
def test_halving_ends_at_a_single_day(today: date, crowded: date) -> None:
    """I-56: however many fall on one day, the slices end, and that day's refusal stands."""
    position, refusals = cursor.split(Position(), today), 1
    assert position is not None
    while True:
        while not within(position.slices[0], crowded):
            position, _ = cursor.advance(position, Answer((), 0, START))
        smaller = cursor.split(position, today)
        if smaller is None:
            break
        position, refusals = smaller, refusals + 1
    start, end = position.slices[0]
    assert ((end or cursor.LATEST) - (start or cursor.EARLIEST)).days <= 1
    assert refusals <= 20


def test_an_organisation_that_is_not_large_is_never_sliced() -> None:
    xero, book = LargeXero(random.Random(3)), {}
    for _ in range(MOST_ROWS):
        xero.put(xero.new_key())
    position = sync(xero, book, Position(), lambda: None)
    assert (xero.calls, xero.refused, position.slices) == (3, 0, ())


def test_an_increment_is_never_sliced() -> None:
    assert cursor.split(Position(importing=False, since=START), TODAY) is None


def test_an_organisation_that_grows_too_large_while_it_is_read_starts_again_in_slices() -> None:
    """What was read stays; the increments still start where the first reading did."""
    position, _ = cursor.advance(Position(), Answer((), 5, START))
    smaller = cursor.split(position, TODAY)
    assert smaller is not None
    assert (smaller.page, smaller.started_at, len(smaller.slices)) == (1, START, 12)


def test_the_slices_left_survive_being_stored() -> None:
    position = cursor.split(Position(page=3, started_at=START), TODAY)
    assert position is not None
    assert stored(position) == position
    assert stored(replace(position, slices=position.slices[5:])).slices[0] == Slice(
        date(2021, 1, 1), date(2022, 1, 1)
    )
