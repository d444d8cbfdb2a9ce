"""When an organisation is synced next (I-11, I-40)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from justpayme.core.errors import CATALOGUE, Next, Problem
from justpayme.core.schedule import (
    AUDIT_EVERY,
    INTERVALS,
    after_death,
    after_problem,
    after_success,
    voids_are_unusual,
    wants_audit,
)

NOW = datetime(2026, 11, 22, 10, 30, 15, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_audit_is_wanted_once_a_day() -> None:
    assert wants_audit(None, NOW, 15)
    assert wants_audit(NOW - AUDIT_EVERY, NOW, 15)
    nearer = timedelta(minutes=7.5)
    assert wants_audit(NOW - AUDIT_EVERY + nearer, NOW, 15)
    assert not wants_audit(NOW - AUDIT_EVERY + nearer + SECOND, NOW, 15)


def test_an_audit_that_a_wrong_clock_dated_is_no_audit() -> None:
    """I-43."""
    assert wants_audit(NOW + SECOND, NOW, 15)
    assert not wants_audit(NOW, NOW, 15)


@pytest.mark.parametrize("minutes", INTERVALS)
def test_success_leads_to_the_next_interval(minutes: int) -> None:
    assert after_success(NOW, minutes, NOW) == NOW + timedelta(minutes=minutes)


@given(
    st.sampled_from(INTERVALS),
    st.integers(-(10**7), 10**9),
    st.lists(st.integers(0, 50_000), min_size=1, max_size=20),
)
def test_late_starts_and_long_syncs_do_not_push_the_schedule_on(
    minutes: int, anchored: int, taken: list[int]
) -> None:
    """Every due moment is one of the grid, the next one after the end; none before it is left
    out unless a sync lasted past it."""
    anchor, step = NOW - timedelta(seconds=anchored), timedelta(minutes=minutes)
    now = NOW
    for milliseconds in taken:
        due = after_success(now, minutes, anchor)
        assert (due - anchor) % step == timedelta()
        assert now < due <= now + step
        now = due + timedelta(milliseconds=milliseconds)


def test_intervals_reach_from_five_minutes_to_a_day() -> None:
    assert (INTERVALS[0], INTERVALS[-1]) == (5, 24 * 60)
    assert 15 in INTERVALS
    assert list(INTERVALS) == sorted(set(INTERVALS))


def test_passing_problems_are_tried_again_ever_more_slowly() -> None:
    waits = [
        (after_problem(Problem("xero_unavailable"), n, NOW, 1440, 0.0) or NOW) - NOW
        for n in (1, 2, 3, 4, 5, 6, 7, 50)
    ]
    assert [w.total_seconds() / 60 for w in waits] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_sync_of_which_workers_die_again_and_again_waits_ever_longer() -> None:
    """One death, such as a restart's, slows nothing."""
    waits = [(after_death(n, NOW, 1440) - NOW).total_seconds() / 60 for n in (1, 2, 3, 4, 8, 999)]
    assert waits == [0, 1, 2, 4, 30, 30]
    assert after_death(99, NOW, 5) - NOW == timedelta(minutes=5)


def test_a_problem_never_slows_a_fast_schedule_down() -> None:
    assert after_problem(Problem("internal"), 9, NOW, 5, 0.0) == NOW + timedelta(minutes=5)


codes_to_wait = [e.code for e in CATALOGUE.values() if e.next in (Next.RETRY, Next.WAIT)]
codes_to_stop = [e.code for e in CATALOGUE.values() if e.next in (Next.RECONNECT, Next.HALT)]


@pytest.mark.parametrize("code", codes_to_stop)
def test_what_a_person_must_decide_is_not_tried_again(code: str) -> None:
    assert after_problem(Problem(code, retry_after=1.0), 1, NOW, 15, 0.5) is None


@given(
    st.sampled_from(codes_to_wait),
    st.integers(1, 10_000),
    st.sampled_from(INTERVALS),
    st.floats(0, 1, exclude_max=True),
    st.one_of(st.none(), st.floats(0, 86_400)),
)
def test_next_try_is_never_before_xero_allows_and_never_far(
    code: str, failures: int, minutes: int, jitter: float, wait: float | None
) -> None:
    """Retry-After is obeyed to the second the first time; otherwise the wait has an end."""
    problem = Problem(code, retry_after=wait)
    after = (after_problem(problem, failures, NOW, minutes, jitter) or NOW) - NOW
    if wait is None:
        assert timedelta(minutes=1) <= after <= timedelta(minutes=30 * 1.25)
    else:
        longest = wait + 1 if failures == 1 else max(wait + 1, 30 * 60 * 1.25)
        # A timedelta keeps microseconds.
        assert wait - 1e-6 <= after.total_seconds() <= longest + 1e-6


@pytest.mark.parametrize(
    ("voids", "open_before", "unusual"),
    [
        (0, 0, False),
        (9, 9, False),
        (10, 10, True),
        (10, 49, True),
        (10, 50, False),
        (11, 50, True),
        (20, 100, False),
        (21, 100, True),
    ],
)
def test_more_than_one_in_five_and_at_least_ten_voids_are_unusual(
    voids: int, open_before: int, unusual: bool
) -> None:
    assert voids_are_unusual(voids, open_before) is unusual
