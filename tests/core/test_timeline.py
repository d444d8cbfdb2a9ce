"""Undo, redo and what a history vouches for: laws for any life of a bill (I-31)."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from tests.strategies import EXAMPLES, bill, edited

from justpayme.core.bill import FIELD_NAMES, BillFields, LineFields, TrackingFields, to_plain
from justpayme.core.merge import changes
from justpayme.core.timeline import Edit, Entry, as_of, gaps, read_entry, redo, undo

SHARES = (0.0, 0.1, 0.5)


def life(chance: random.Random, steps: int) -> tuple[list[BillFields], list[Entry]]:
    """What a bill said after each entry, oldest first, and its entries, oldest first."""
    states, entries = [bill(chance)], [Entry(0, ())]
    for number in range(1, steps + 1):
        after = edited(chance, states[-1], chance.choice(SHARES))
        entries.append(stored(number, states[-1], after))
        states.append(after)
    return states, entries


def stored(number: int, before: BillFields, after: BillFields) -> Entry:
    """The entry of this change as it comes back from a database."""
    plain = [
        {"field": name, "old": to_plain(old), "new": to_plain(new)}
        for name, old, new in changes(before, after)
    ]
    return read_entry(number, json.loads(json.dumps(plain)), str)


def test_every_past_state_is_rebuilt_and_vouched_for() -> None:
    chance = random.Random(31)
    for _ in range(max(20, EXAMPLES // 200)):
        states, entries = life(chance, chance.randint(0, 12))
        newest_first = entries[::-1]
        assert gaps(states[-1], newest_first) == []
        for number, state in enumerate(states):
            past = as_of(states[-1], newest_first, number)
            assert (past.bill, past.doubtful) == (state, frozenset())


def test_forwards_from_the_first_state_leads_to_today() -> None:
    chance = random.Random(32)
    for _ in range(max(20, EXAMPLES // 200)):
        states, entries = life(chance, 8)
        first = reduce(undo, entries[::-1], states[-1])
        assert first == states[0]
        assert reduce(redo, entries, first) == states[-1]


def test_a_change_that_no_entry_tells_makes_its_time_doubtful_and_no_other() -> None:
    start = BillFields(number="1", reference="a")
    entries = [
        Entry(3, (Edit("reference", "forged", "c"),)),
        Entry(2, (Edit("number", "1", "2"),)),
        Entry(1, (Edit("reference", "a", "b"),)),
        Entry(0, ()),
    ]
    today = replace(start, number="2", reference="c")
    assert gaps(today, entries) == [(1, "reference")]
    doubts = [as_of(today, entries, number).doubtful for number in range(4)]
    assert doubts == [frozenset(), {"reference"}, {"reference"}, frozenset()]
    assert as_of(today, entries, 0).bill == start


def test_a_change_since_the_last_entry_is_found() -> None:
    entries = [Entry(1, (Edit("reference", "a", "b"),)), Entry(0, ())]
    today = BillFields(reference="forged")
    assert gaps(today, entries) == [(1, "reference")]
    assert as_of(today, entries, 1).doubtful == {"reference"}
    assert as_of(today, entries, 0).bill.reference == "a"


@pytest.mark.parametrize(
    "change",
    [
        {"field": "total", "old": "much", "new": "1"},
        {"field": "total", "old": None, "new": "1"},
        {"field": "due_on", "old": "someday", "new": None},
        {"field": "status", "old": "gone", "new": "paid"},
        {"field": "lines", "old": None, "new": []},
        {"field": "lines", "old": [{"tracking": [{"name": "Region"}]}], "new": []},
        {"field": "payments", "old": [{"kind": "payment"}], "new": []},
        {"field": "number"},
    ],
)
def test_a_value_that_nobody_can_read_is_doubtful_and_breaks_nothing(change: Any) -> None:
    entry = read_entry(1, [change], str)
    name = change["field"]
    assert entry == Entry(1, (), (name,))
    today = BillFields()
    assert as_of(today, [entry, Entry(0, ())], 0).doubtful == {name}
    assert as_of(today, [entry], 1).doubtful == {name}
    assert gaps(today, [entry]) == [(1, name)]


def test_fields_that_no_bill_has_say_nothing() -> None:
    """Written by a newer or older version of the program, or about a client."""
    foreign = [{"field": "phone", "old": "1", "new": "2"}, {}]
    assert read_entry(1, foreign, str) == Entry(1, ())


def test_amounts_and_days_come_back_as_they_were_however_they_were_written() -> None:
    texts = [{"field": "total", "old": "1E+3", "new": "1000.0000"}]
    (edit,) = read_entry(1, texts, str).edits
    assert edit.old == edit.new == Decimal(1000)
    line = LineFields("x", Decimal("0.5"), tracking=(TrackingFields("Region", "Łódź"),))
    before, after = BillFields(), BillFields(lines=(line,), due_on=date(2028, 2, 29))
    assert redo(before, stored(1, before, after)) == after


def test_a_line_part_of_a_later_version_is_left_out() -> None:
    plain = [{"field": "lines", "old": [], "new": [{"description": "x", "colour": "red"}]}]
    (edit,) = read_entry(1, plain, str).edits
    assert edit.new == (LineFields("x"),)


def test_every_field_can_be_read_back() -> None:
    chance = random.Random(33)
    for _ in range(200):
        before, after = bill(chance), bill(chance)
        entry = stored(1, before, after)
        assert entry.unread == ()
        assert {edit.field for edit in entry.edits} == set(before.differing(after))
        assert redo(before, entry) == after
    assert set(FIELD_NAMES) == set(BillFields.__dataclass_fields__)
