"""Reading a moving Xero: nothing is lost or stale, and a sync always ends (I-6, I-7, I-56)."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.core.simulated_xero import PAGE_SIZE, START, Row, SimulatedXero

from justpayme.core import cursor
from justpayme.core.cursor import OVERLAP, Answer, Position

LIVES = int(os.environ.get("JUSTPAYME_LIVES", "10000"))
"""Lives of an organisation per run; a full run sets two hundred thousand."""
PARTS = 4
"""Tests that they are divided among, for as many processes as there are."""
SEEDS = 400
"""Lives where fewer will do."""
MOST_CALLS = 500

Book = dict[str, Row]


def keep(book: Book, page: Book) -> None:
    """Write a page: an older version never overwrites a newer one (I-10)."""
    for key, row in page.items():
        book[key] = max(row, book.get(key, row))


def sync(
    xero: SimulatedXero, book: Book, position: Position, churn: Callable[[], None]
) -> Position:
    """One sync. Every position is stored and loaded again, as a crash after each page would."""
    for _ in range(MOST_CALLS):
        page, answer = xero.answer(cursor.request(position))
        keep(book, page)
        position, complete = cursor.advance(position, answer)
        position = cursor.from_plain(json.loads(json.dumps(cursor.to_plain(position))))
        if complete:
            return position
        churn()
    raise AssertionError("this sync never ends")


def still() -> None:
    """Nobody changes anything."""


def lived(seed: int, lateness: float) -> tuple[SimulatedXero, Book, list[Position]]:
    """An import and some increments under churn, then one quiet cycle."""
    chance = random.Random(seed)
    xero = SimulatedXero(chance, lateness)
    for _ in range(chance.choice((0, 1, PAGE_SIZE, 5 * PAGE_SIZE))):
        xero.put(xero.new_key())
        xero.wait(chance.choice((0, 0.1, 3)))
    book: Book = {}
    positions = [Position()]
    for _ in range(chance.choice((1, 3, 6))):
        xero.writes_left = chance.choice((5, 30, 100))
        positions.append(sync(xero, book, positions[-1], xero.churn))
        xero.churn()
    xero.wait(60)
    positions.append(sync(xero, book, positions[-1], still))
    return xero, book, positions


@pytest.mark.layer("protocols")
@pytest.mark.parametrize("lateness", [0.0, 4.0], ids=["at once", "shown up to 4 s late"])
@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_or_stale_after_a_quiet_cycle(
    part: int, lateness: float, cases: Callable[[int], None]
) -> None:
    """I-6, over many random lives of an organisation."""
    seeds = range(part, LIVES // 2, PARTS)
    differing = [
        seed for seed in seeds for xero, book, _ in [lived(seed, lateness)] if book != xero.rows
    ]
    assert differing == []
    cases(len(seeds))


def test_finished_positions_never_go_backwards() -> None:
    """I-7."""
    for seed in range(SEEDS):
        _, _, positions = lived(seed, 0.0)
        stamps = [p.since for p in positions[1:]]
        assert None not in stamps
        assert stamps == sorted(stamps), seed  # type: ignore[type-var]
        assert all(not p.importing and p.page == 1 for p in positions[1:])


def test_a_position_stored_before_a_field_was_added_can_be_read() -> None:
    found = cursor.from_plain({"importing": False, "page": 1, "since": START.isoformat()})
    assert found == Position(importing=False, since=START)


def naive(xero: SimulatedXero, book: Book, since: datetime | None) -> datetime | None:
    """The usual loop, planted: pages 1, 2, 3 … by stamp, and on from the last row."""
    page = 1
    while True:
        rows, answer = xero.answer(cursor.Ask(page, since, False))
        keep(book, rows)
        if page >= answer.pages:
            return answer.rows[-1][0] if answer.rows else since
        page += 1
        xero.churn()


def test_the_model_can_fail_a_page_number_loop_loses_rows() -> None:
    """The proof that silence of the test above means something."""
    lost = 0
    for seed in range(SEEDS):
        xero, book = SimulatedXero(random.Random(seed)), {}
        for _ in range(5 * PAGE_SIZE):
            xero.put(xero.new_key())
            xero.wait(0.1)
        since = None
        for _ in range(3):
            xero.writes_left = 30
            since = naive(xero, book, since)
            xero.churn()
        xero.churn = still  # type: ignore[method-assign]
        naive(xero, book, since)
        lost += book != xero.rows
    assert lost > SEEDS / 4


def settled(rows: int, gap: float) -> tuple[SimulatedXero, Book, Position]:
    """An imported organisation of so many rows, with everything long past."""
    xero, book = SimulatedXero(random.Random(7)), {}
    for _ in range(rows):
        xero.put(xero.new_key())
        xero.wait(gap)
    xero.wait(3600)
    position = sync(xero, book, Position(), still)
    position = sync(xero, book, position, still)
    xero.wait(3600)
    xero.calls = 0
    return xero, book, position


def test_the_import_asks_in_the_stable_order_for_each_page_once() -> None:
    xero, book = SimulatedXero(random.Random(1)), {}
    for _ in range(3 * PAGE_SIZE):
        xero.put(xero.new_key())
    asked = cursor.request(Position())
    assert (asked.page, asked.since, asked.by_id) == (1, None, True)
    position = sync(xero, book, Position(), still)
    assert xero.calls == 3
    assert position == Position(importing=False, since=(START - OVERLAP).replace(microsecond=0))


def test_the_import_of_an_empty_organisation_is_one_call() -> None:
    xero = SimulatedXero(random.Random(1))
    position = sync(xero, {}, Position(), still)
    assert xero.calls == 1
    assert not position.importing


def test_an_idle_increment_is_one_call() -> None:
    xero, book, position = settled(5 * PAGE_SIZE, 30)
    again = sync(xero, book, position, still)
    assert xero.calls == 1
    assert again == position


def test_an_increment_of_spread_changes_costs_about_one_call_a_page() -> None:
    xero, book, position = settled(10 * PAGE_SIZE, 30)
    for key in list(xero.rows):
        xero.put(key)
        xero.wait(30)
    sync(xero, book, position, still)
    # Each page starts with the last row of the page before, read a second time.
    assert xero.calls <= 10 * PAGE_SIZE / (PAGE_SIZE - 1) + 2
    assert book == xero.rows


def test_a_second_with_more_rows_than_a_page_is_read_until_two_readings_agree() -> None:
    xero, book, position = settled(5 * PAGE_SIZE, 30)
    for key in list(xero.rows)[: 3 * PAGE_SIZE]:
        xero.put(key)
    sync(xero, book, position, still)
    assert book == xero.rows
    assert xero.calls <= 2 + 2 * 3


def test_rows_edited_inside_a_crowded_second_pull_none_across_the_page_boundary() -> None:
    """While the crowded second is paged, its first row leaves it: a plain loop skips one row."""
    xero, book, position = settled(5 * PAGE_SIZE, 30)
    crowd = sorted(xero.rows)[: 3 * PAGE_SIZE]
    for key in crowd:
        xero.put(key)
    leavers = iter(crowd[:2])

    def somebody_edits() -> None:
        xero.wait(1)
        for key in leavers:
            xero.put(key)
            return

    sync(xero, book, position, somebody_edits)
    assert book == xero.rows


def test_a_sync_ends_however_fast_others_write() -> None:
    """I-56: every call reads on, so writers that never rest can't hold a sync for ever."""
    for seed in range(50):
        xero, book, position = settled(2 * PAGE_SIZE, 30)
        chance = random.Random(seed)
        writes = iter(range(100))

        def busy(xero: SimulatedXero = xero, writes: object = writes) -> None:
            for _ in zip(range(PAGE_SIZE), writes, strict=False):  # type: ignore[call-overload]
                xero.put(chance.choice(list(xero.rows)))  # noqa: B023
            xero.wait(0.4)

        busy()
        sync(xero, book, position, busy)
        assert xero.calls <= 120


def test_positions_are_whole_seconds() -> None:
    """If-Modified-Since is accurate to the second."""
    for seed in range(50):
        _, _, positions = lived(seed, 0.0)
        assert all(p.since is not None and p.since.microsecond == 0 for p in positions[1:])


def test_our_clock_plays_no_part() -> None:
    """I-43: only stamps in Xero's answers move the position."""
    said = datetime(1999, 1, 1, tzinfo=UTC)
    position, complete = cursor.advance(Position(), Answer((), 0, said))
    assert complete
    assert position.since == said - OVERLAP


@pytest.mark.parametrize(
    "position",
    [
        Position(),
        Position(page=7, started_at=START),
        Position(False, 3, START, START, START + timedelta(seconds=9), -(2**61), 2**61, START),
    ],
)
def test_a_position_survives_being_stored(position: Position) -> None:
    stored = json.dumps(cursor.to_plain(position))
    assert cursor.from_plain(json.loads(stored)) == position
