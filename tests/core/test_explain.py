"""What is told about a bill is what the merge does with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.rules import CASES, Case
from tests.strategies import bill

from justpayme.core.bill import UNITS, BillFields, Status
from justpayme.core.explain import RULES, Fate, Told, Versions, Way, ahead, explain, key_dies
from justpayme.core.merge import merge
from justpayme.core.outbox import KEY_LIFE, QUARANTINE, RETRY_WINDOW, Sent

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
BILL = BillFields(number="A-1", reference="PO 7", status=Status.ACTIVE, due_on=date(2026, 5, 1))


def unit_of(field: str) -> str:
    return next(unit for unit, names in UNITS.items() if field in names)


def told(versions: Versions, unit: str) -> Told:
    return next(one for one in explain(versions) if one.unit == unit)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"rule {case.row}: {case.title}")
def test_the_rule_that_is_told_is_the_one_of_the_table(case: Case) -> None:
    unit, sent = unit_of(case.field), case.shipped()
    units = () if sent is None else (unit,)
    found = told(Versions(*case.versions(), case.one_directional, sent, units), unit)
    assert found.rule == case.row
    assert found.words.startswith(f"row {case.row}: ")
    assert (found.fate is Fate.OUTGOING) == case.goes_out
    assert (found.fate is Fate.SET_ASIDE) == case.conflict


def test_every_rule_of_the_table_has_its_words() -> None:
    assert set(RULES) == {case.row for case in CASES}


def test_a_change_of_ours_goes_out() -> None:
    ours = replace(BILL, reference="PO 8")
    found = told(Versions(BILL, ours, BILL), "reference")
    assert found.words == "row 3: we changed it, Xero did not: ours stands and goes out"
    assert (found.base, found.ours) == ({"reference": "PO 7"}, {"reference": "PO 8"})
    assert not found.quiet


def test_a_change_of_ours_where_nothing_may_go_out_is_set_aside() -> None:
    ours = replace(BILL, reference="PO 8")
    found = told(Versions(BILL, ours, BILL, read_only=True), "reference")
    assert "nothing may go out" in found.words
    assert found.fate is Fate.SET_ASIDE


def test_our_own_write_is_told_as_row_13_and_an_edit_since_goes_out() -> None:
    sent = replace(BILL, reference="PO 8")
    since = replace(BILL, reference="PO 9")
    for ours, fate in ((sent, Fate.EQUAL), (since, Fate.OUTGOING)):
        found = told(Versions(BILL, ours, sent, False, sent, ("reference",)), "reference")
        assert (found.rule, found.fate) == (13, fate)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("PO 7", "row 13: we sent it, and Xero does not show it yet: ours stands and goes out"),
        ("PO 6", "row 13: we sent it, but Xero shows something else: Xero’s value stands and"),
    ],
)
def test_what_was_sent_and_is_not_there_is_told(reference: str, words: str) -> None:
    sent = replace(BILL, reference="PO 8")
    theirs = replace(BILL, reference=reference)
    found = told(Versions(BILL, sent, theirs, False, sent, ("reference",)), "reference")
    assert found.words.startswith(words)


def test_our_own_void_is_no_void_of_xeros() -> None:
    sent = replace(BILL, status=Status.VOID)
    found = told(Versions(BILL, sent, sent, False, sent, ("status",)), "status")
    assert (found.rule, found.fate) == (13, Fate.EQUAL)


@settings(max_examples=200, deadline=None)
@given(seeds=st.tuples(*[st.integers(0, 2**32)] * 3), read_only=st.booleans())
def test_what_is_told_of_any_three_versions_is_what_the_merge_does(
    seeds: tuple[int, int, int], read_only: bool
) -> None:
    import random

    base, ours, theirs = (bill(random.Random(seed)) for seed in seeds)
    decision = merge(base, ours, theirs, read_only=read_only)
    found = explain(Versions(base, ours, theirs, read_only))
    assert [one.unit for one in found] == list(UNITS)
    assert tuple(o.unit for o in found if o.fate is Fate.OUTGOING) == decision.outgoing
    assert [o.unit for o in found if o.fate is Fate.SET_ASIDE] == [
        c.unit for c in decision.conflicts
    ]


def sent(seconds: float, attempts: int = 1) -> Sent:
    at = NOW - timedelta(seconds=seconds)
    return Sent(at, at, attempts)


@pytest.mark.parametrize(
    ("way", "may_leave", "words", "seconds"),
    [
        (Way("waiting"), True, "leaves with the next sending", None),
        (Way("waiting", NOW + timedelta(seconds=9)), True, "leaves with the next sending", 9),
        (Way("waiting", NOW - timedelta(seconds=9)), True, "leaves with the next sending", None),
        (Way("waiting"), False, "does not leave while", None),
        (Way("refused"), True, "until somebody tries again", None),
        (Way("parked"), True, "somebody's decision", None),
        (Way("unsure", sent=sent(2)), True, "sent again, under the same key", 3),
        (Way("sending", sent=sent(7)), True, "sent again, under the same key", None),
        (Way("unsure", sent=sent(300)), True, "searched for", None),
        (Way("unsure", sent=sent(2), confirmed=True), True, "Xero has said yes", None),
    ],
)
def test_what_happens_next(way: Way, may_leave: bool, words: str, seconds: float | None) -> None:
    found = ahead(way, NOW, may_leave=may_leave)
    assert words in found.words
    assert found.at == (None if seconds is None else NOW + timedelta(seconds=seconds))


def test_a_search_waits_until_nothing_can_arrive_any_more() -> None:
    last = NOW - timedelta(seconds=1)
    old = Sent(last - RETRY_WINDOW, last, 4)
    found = ahead(Way("unsure", sent=old), NOW, may_leave=True)
    assert "searched for" in found.words
    assert found.at == last + QUARANTINE


def test_a_key_lives_from_the_first_sending() -> None:
    assert key_dies(Sent(NOW, NOW + timedelta(seconds=99), 3)) == NOW + KEY_LIFE
