"""Xero's limits: never more than 60 calls in any minute, and waits that are obeyed (I-39, I-40)."""

from __future__ import annotations

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.xero import NOW, TestClock

from justpayme.core.errors import CATALOGUE, Problem
from justpayme.xero import limits, retry
from justpayme.xero.client import XeroClient
from xero_sandbox import FrozenClock

gaps = st.lists(st.sampled_from([0.0, 0.001, 0.3, 1.0, 5.0, 59.9, 61.0]), min_size=1, max_size=400)
said = st.one_of(st.none(), st.integers(-10, 10_000))


def calls(pauses: list[float], headers: list[int | None]) -> list[float]:
    """When calls were sent by somebody who waits as told; a header comes with each answer."""
    window, now, sent = limits.Window(), 1_000.0, []
    for number, pause in enumerate(pauses):
        now += pause
        now += limits.wait(window, now)
        assert limits.wait(window, now) == 0.0
        sent.append(now)
        window = limits.called(window, now, headers[number % len(headers)])
    return sent


@settings(max_examples=200, deadline=None)
@given(gaps, st.lists(said, min_size=1, max_size=5))
def test_never_more_than_60_calls_in_any_60_seconds(
    pauses: list[float], headers: list[int | None]
) -> None:
    """Whatever Xero's headers say, and however the windows lie."""
    sent = calls(pauses, headers)
    for first, later in zip(sent, sent[limits.PER_MINUTE :], strict=False):
        assert later - first > limits.WINDOW


def test_a_burst_waits_a_minute_and_no_longer() -> None:
    sent = calls([0.0] * 181, [None])
    assert sent[59] - sent[0] == 0
    assert 60 < sent[60] - sent[0] < 61
    assert 180 < sent[180] - sent[0] < 183


def test_calls_of_others_that_xero_counted_are_counted_here_too() -> None:
    window = limits.called(limits.Window(), 0.0, 10)
    for second in range(10):
        assert limits.wait(window, float(second)) == 0.0
        window = limits.called(window, float(second), 9 - second)
    assert limits.wait(window, 10.0) > 0


def test_room_is_made_for_calls_that_must_follow_one_another() -> None:
    """Reading, writing and reading again: no minute's wait may fall between them."""
    sandbox_clock = TestClock(FrozenClock(NOW))
    client = XeroClient(
        http=httpx2.Client(),
        api_url="https://xero.test",
        tenant_id="t",
        token=lambda force: "",
        clock=sandbox_clock,
        window=limits.Window(tuple(sandbox_clock.monotonic() - 30 for _ in range(57))),
    )
    client.make_room(3)
    assert sandbox_clock.naps == []
    client.make_room(4)
    assert [round(nap, 1) for nap in sandbox_clock.naps] == [30.5]


def test_a_window_never_grows_without_end() -> None:
    window = limits.Window()
    for number in range(1_000):
        window = limits.called(window, number * 0.9, 60)
    assert len(window.times) < 100


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("59", 59),
        ("0", 0),
        (" 7 ", 7),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("many", None),
        ("٣", None),
        ("²", None),
        ("9" * 5_000, 999_999_999),
    ],
)
def test_a_senseless_limit_header_is_ignored(text: str, number: int | None) -> None:
    assert limits.remaining({"x-minlimit-remaining": text}, "x-minlimit-remaining") == number
    assert limits.remaining({}, "x-minlimit-remaining") is None


def test_passing_trouble_is_retried_with_doubling_waits_and_an_end() -> None:
    waits = [retry.nap(Problem("xero_unavailable"), n, 0.0) for n in (1, 2, 3, 4, 5)]
    assert waits == [1.0, 2.0, 4.0, None, None]
    assert retry.nap(Problem("concurrent_limit"), 1, 0.5) == 1.5


def test_retry_after_is_obeyed_to_the_second() -> None:
    assert retry.nap(Problem("minute_limit", retry_after=26), 1, 0.25) == 26.25
    assert retry.nap(Problem("app_limit", retry_after=0), 1, 0.0) == 0.0


def test_no_worker_is_held_by_a_long_wait() -> None:
    """A day limit's Retry-After can be many hours: the run ends and goes on later."""
    assert retry.nap(Problem("minute_limit", retry_after=600), 1, 0.0) is None
    assert retry.nap(Problem("day_limit", retry_after=1), 1, 0.0) is None


@pytest.mark.parametrize(
    "code",
    sorted(
        CATALOGUE.keys()
        - {"xero_unreachable", "xero_unavailable", "concurrent_limit", "minute_limit", "app_limit"}
    ),
)
def test_nothing_else_is_asked_again_within_a_run(code: str) -> None:
    assert retry.nap(Problem(code), 1, 0.0) is None
