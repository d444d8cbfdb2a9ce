"""The merge: the table of rules, and laws for any three versions (I-27, I-28, I-29, I-32)."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from operator import attrgetter
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.rules import CASES, NOTHING, Case, document
from tests.generated import check_current
from tests.strategies import bill, edited, histories, typed

from justpayme.core import merge as merging
from justpayme.core.bill import FIELD_NAMES, OWNED_BY_XERO, UNITS, BillFields, Status
from justpayme.core.merge import Merge, changes, merge

MERGES = int(os.environ.get("JUSTPAYME_MERGES", "1000000"))
"""Merges of random versions per run; a full run sets ten million."""
PARTS = 8
"""Tests that they are divided among, for as many processes as there are."""

AMOUNT, TAX = Decimal("77.70"), Decimal("7.07")
"""What Xero works out, unlike anything that was typed."""

seeds = st.integers(min_value=0, max_value=2**63)


def part(version: BillFields, unit: str) -> tuple[object, ...]:
    """One unit's values."""
    return tuple(getattr(version, name) for name in UNITS[unit])


def unit_of(field: str) -> str:
    return next(unit for unit, names in UNITS.items() if field in names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"rule {case.row}: {case.title}")
def test_rule(case: Case) -> None:
    base, ours, theirs = case.versions()
    found = merge(
        base,
        ours,
        theirs,
        read_only=case.one_directional,
        sent=case.shipped(),
        sent_units=(unit_of(case.field),) if case.sent is not NOTHING else (),
    )
    unit = unit_of(case.field)
    assert getattr(found.bill, case.field) == case.bill
    assert found.base == theirs
    assert found.outgoing == ((unit,) if case.goes_out else ())
    assert [(c.unit, c.ours, c.theirs) for c in found.conflicts] == (
        [(unit, ours, theirs)] if case.conflict else []
    )
    assert found.bill.status is theirs.status


def test_every_rule_about_one_unit_has_a_case() -> None:
    assert {case.row for case in CASES} == {1, 2, 3, 4, 5, 6, 9, 13}
    titles = Counter(case.title for case in CASES)
    assert set(titles.values()) == {1}


def test_sync_rules_page_is_current() -> None:
    check_current("sync-rules.md", document())


def test_every_field_belongs_to_exactly_one_unit() -> None:
    counted = Counter(name for names in UNITS.values() for name in names)
    assert counted == Counter(FIELD_NAMES)


Parts = dict[str, object]

GETTERS = {unit: attrgetter(*names) for unit, names in UNITS.items()}
EDITABLE = tuple(unit for unit in UNITS if unit not in OWNED_BY_XERO)


def split(version: BillFields) -> Parts:
    """Every unit's values."""
    return {unit: get(version) for unit, get in GETTERS.items()}


def nothing_typed_is_lost(was: Parts, ours: Parts, theirs: Parts, found: Merge, now: Parts) -> None:
    """I-27: each typed value is in the row, kept by a conflict, or what Xero says too."""
    kept = {c.unit: GETTERS[c.unit](c.ours) for c in found.conflicts}
    for unit in EDITABLE:
        mine = ours[unit]
        if mine != was[unit] and mine != theirs[unit]:
            assert now[unit] == mine or kept.get(unit) == mine, unit


def conflicts_are_about_edits(was: Parts, ours: Parts, theirs: Parts, found: Merge) -> None:
    """A conflict is two values that differ, of which ours was typed; it has each of them."""
    for conflict in found.conflicts:
        unit = conflict.unit
        assert ours[unit] not in (was[unit], theirs[unit]), unit
        assert GETTERS[unit](conflict.theirs) == theirs[unit], unit


def xero_wins_wherever_it_changed(was: Parts, theirs: Parts, found: Merge, now: Parts) -> None:
    for unit in UNITS:
        if theirs[unit] != was[unit] or unit in OWNED_BY_XERO:
            assert now[unit] == theirs[unit], unit
            assert unit not in found.outgoing, unit


def the_row_is_theirs_but_for_what_goes_out(
    ours: Parts, theirs: Parts, found: Merge, now: Parts
) -> None:
    for unit in UNITS:
        assert now[unit] == (ours if unit in found.outgoing else theirs)[unit], unit
    taken = tuple(u for u in UNITS if u not in found.outgoing and ours[u] != theirs[u])
    assert found.taken == taken


def merging_again_changes_nothing(found: Merge, *, read_only: bool) -> None:
    """I-29: the same answer again plans nothing new."""
    again = merge(found.base, found.bill, found.base, read_only=read_only)
    assert again == Merge(found.bill, found.base, found.outgoing, (), ())


def disjoint_edits_survive(was: Parts, ours: Parts, theirs: Parts, now: Parts) -> None:
    for unit in EDITABLE:
        if ours[unit] == was[unit]:
            assert now[unit] == theirs[unit], unit
        elif theirs[unit] == was[unit]:
            assert now[unit] == ours[unit], unit


def answered(before: BillFields, sent: BillFields, units: tuple[str, ...]) -> BillFields:
    """What Xero says after it took these units: lines with ids and amounts of its own."""
    after = before.take(sent, tuple(name for unit in units for name in UNITS[unit]))
    if "lines" not in units:
        return after
    lines = tuple(
        replace(line, remote_id=line.remote_id or f"x-{place}", line_amount=AMOUNT, tax_amount=TAX)
        for place, line in enumerate(sent.lines)
    )
    return replace(after, lines=lines, total=AMOUNT, outstanding=AMOUNT)


def sending_makes_all_three_equal(found: Merge) -> None:
    """I-2, I-22: after the push, whether its answer or a later pull tells us, nothing is left."""
    units = found.outgoing
    said = answered(found.base, found.bill, units)
    last = merge(found.base, found.bill, said, sent=found.bill, sent_units=units)
    assert last.bill == last.base == said
    assert (last.outgoing, last.conflicts) == ((), ())


def check_both_ways(base: BillFields, ours: BillFields, theirs: BillFields) -> None:
    found = merge(base, ours, theirs)
    assert found.base is theirs
    was, mine, yours, now = split(base), split(ours), split(theirs), split(found.bill)
    nothing_typed_is_lost(was, mine, yours, found, now)
    conflicts_are_about_edits(was, mine, yours, found)
    xero_wins_wherever_it_changed(was, yours, found, now)
    the_row_is_theirs_but_for_what_goes_out(mine, yours, found, now)
    merging_again_changes_nothing(found, read_only=False)
    if theirs.status is Status.VOID:
        assert found.outgoing == ()  # I-32
    else:
        disjoint_edits_survive(was, mine, yours, now)
    sending_makes_all_three_equal(found)


def check_one_way(base: BillFields, ours: BillFields, theirs: BillFields) -> None:
    found = merge(base, ours, theirs, read_only=True)
    was, mine, yours = split(base), split(ours), split(theirs)
    assert found.outgoing == ()
    assert found.bill == found.base == theirs
    nothing_typed_is_lost(was, mine, yours, found, yours)
    conflicts_are_about_edits(was, mine, yours, found)
    merging_again_changes_nothing(found, read_only=True)
    assert set(found.taken) == {unit for unit in UNITS if mine[unit] != yours[unit]}


def triples(seed: int, count: int) -> Iterator[tuple[BillFields, BillFields, BillFields]]:
    """(base, our row, Xero's version): four of each side to a base, in every pairing."""
    chance = random.Random(seed)
    shares = (0.0, 0.1, 0.3, 1.0)
    for _ in range(-(-count // 16)):
        base = bill(chance)
        ours = [typed(chance, base, chance.choice(shares)) for _ in range(4)]
        theirs = [edited(chance, base, chance.choice(shares)) for _ in range(4)]
        for one in ours:
            for other in theirs:
                yield base, one, other


@pytest.mark.layer("planner")
@pytest.mark.parametrize("seed", range(PARTS))
def test_laws_hold_for_many_random_versions(seed: int, cases: Callable[[int], None]) -> None:
    """I-22, I-27, I-28, I-29, I-32."""
    tried = 0
    for base, ours, theirs in triples(seed, MERGES // PARTS):
        check_both_ways(base, ours, theirs)
        tried += 1
    cases(tried)


@pytest.mark.layer("planner")
def test_one_directional_laws_hold_for_many_random_versions(cases: Callable[[int], None]) -> None:
    tried = 0
    for base, ours, theirs in triples(1_000, MERGES // 50):
        check_one_way(base, ours, theirs)
        tried += 1
    cases(tried)


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_laws_hold_for_any_history(seed: int) -> None:
    base, ours, theirs = next(histories(seed, 1))
    check_both_ways(base, ours, theirs)
    check_one_way(base, ours, theirs)


def test_the_random_histories_reach_every_rule() -> None:
    met: Counter[str] = Counter()
    for base, ours, theirs in histories(seed=2, count=2_000):
        found = merge(base, ours, theirs)
        met["goes out"] += bool(found.outgoing)
        met["conflict"] += bool(found.conflicts)
        met["taken"] += bool(found.taken)
        met["void"] += theirs.status is Status.VOID and bool(found.conflicts)
        met["agree"] += any(part(ours, u) == part(theirs, u) != part(base, u) for u in UNITS)
    assert min(met.values()) > 50, met


def test_swapping_the_sides_swaps_who_gives_and_who_takes() -> None:
    """The mirror: what one side sends, the other takes; a conflict is one from both sides."""
    for base, ours, theirs in histories(seed=3, count=3_000):
        if Status.VOID in (ours.status, theirs.status):
            continue  # void beats an edit from either side, so it has no mirror
        theirs = theirs.take(base, UNITS["settlement"])
        one, other = merge(base, ours, theirs), merge(base, theirs, ours)
        clash = {c.unit for c in one.conflicts}
        assert clash == {c.unit for c in other.conflicts}
        assert set(one.outgoing) == set(other.taken) - clash
        assert set(other.outgoing) == set(one.taken) - clash
        for unit in UNITS.keys() - clash:
            assert part(one.bill, unit) == part(other.bill, unit)


def told(*steps: tuple[BillFields, BillFields, BillFields]) -> tuple[object, ...]:
    """What two answers in a row leave: the row, the base, what goes out, and what was set aside
    although Xero does not say it too."""
    base, row, first = steps[0]
    one = merge(base, row, first)
    two = merge(one.base, one.bill, steps[1][2])
    aside = {(c.unit, part(c.ours, c.unit)) for c in (*one.conflicts, *two.conflicts)}
    said_too = {(unit, part(two.base, unit)) for unit in UNITS}
    return two.bill, two.base, set(two.outgoing), aside - said_too


def test_the_order_in_which_xero_changes_arrive_does_not_matter() -> None:
    """I-29: two changes to different units, seen one after the other either way round."""
    chance = random.Random(4)
    for _ in range(3_000):
        # Void is terminal in Xero (it never leaves it), so no history starts there.
        base = replace(bill(chance), status=Status.ACTIVE)
        ours = typed(chance, base, 0.3)
        end = edited(chance, base, 0.5)
        first = tuple(n for names in UNITS.values() if chance.random() < 0.5 for n in names)
        second = tuple(n for n in FIELD_NAMES if n not in first)
        one, other = base.take(end, first), base.take(end, second)
        assert told((base, ours, one), (one, ours, end)) == told(
            (base, ours, other), (other, ours, end)
        )


def test_the_order_of_units_does_not_matter() -> None:
    backwards = dict(reversed(UNITS.items()))
    for base, ours, theirs in histories(seed=5, count=1_000):
        found = merge(base, ours, theirs)
        with mock.patch.object(merging, "UNITS", backwards):
            turned = merge(base, ours, theirs)
        assert turned.bill == found.bill
        assert turned.outgoing == found.outgoing[::-1]
        assert turned.conflicts == found.conflicts[::-1]


def test_void_in_xero_beats_every_local_edit() -> None:
    """I-32."""
    for base, ours, theirs in histories(seed=6, count=2_000):
        ended = theirs.take(BillFields(status=Status.VOID), ("status",))
        found = merge(base, ours, ended)
        assert found.bill == ended
        assert found.outgoing == ()
        nothing_typed_is_lost(split(base), split(ours), split(ended), found, split(found.bill))


def test_changes_name_field_old_and_new_value() -> None:
    before, after = BillFields(number="A", paid=BillFields().paid), BillFields(number="B")
    assert changes(before, after) == [("number", "A", "B")]
    assert changes(after, after) == []


def test_equal_amounts_written_differently_are_no_change() -> None:
    one, other = BillFields(total=Decimal("250")), BillFields(total=Decimal("250.00"))
    assert merge(one, one, other).taken == ()
