"""The decisions about a shipment: windows, verdicts, keys and markers (I-13, I-18, I-19)."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from justpayme.core.outbox import (
    BACK_OFF,
    KEY_LIFE,
    LATE,
    MARGIN,
    QUARANTINE,
    RETRY_WINDOW,
    TRY,
    Decision,
    Found,
    Outcome,
    Sent,
    Step,
    Verdict,
    Watch,
    after,
    has_marker,
    key_of,
    marker_of,
    next_step,
    searched,
    tagged,
    without_marker,
)

START = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
TENANT = "3f2a9c1e-0000-4000-8000-0123456789ab"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def sent(first: float, last: float, attempts: int) -> Sent:
    return Sent(at(first), at(last), attempts)


def test_the_windows_follow_from_what_xero_remembers() -> None:
    assert timedelta(seconds=220) == RETRY_WINDOW
    assert timedelta(seconds=140) == QUARANTINE
    assert RETRY_WINDOW + MARGIN + TRY + LATE == KEY_LIFE
    assert QUARANTINE >= MARGIN + TRY + LATE


def test_what_was_never_sent_may_be_sent_now() -> None:
    assert next_step(None, START) == Decision(Step.SEND, START)


@pytest.mark.parametrize(
    ("tries", "seconds", "step", "due"),
    [
        (sent(0, 0, 1), 4, Step.WAIT, 5),
        (sent(0, 0, 1), 5, Step.RESEND, 5),
        (sent(0, 5, 2), 19, Step.WAIT, 20),
        (sent(0, 5, 2), 20, Step.RESEND, 20),
        (sent(0, 20, 3), 60, Step.RESEND, 60),
        (sent(0, 60, 4), 150, Step.RESEND, 150),
        (sent(0, 150, 5), 219, Step.WAIT, 290),
        (sent(0, 150, 5), 290, Step.SEARCH, 290),
        (sent(0, 60, 4), 219, Step.RESEND, 219),
        (sent(0, 60, 4), 220, Step.SEARCH, 220),
        (sent(0, 100, 4), 220, Step.WAIT, 240),
        (sent(0, 0, 1), 219, Step.RESEND, 219),
        (sent(0, 0, 1), 220, Step.SEARCH, 220),
    ],
)
def test_a_try_without_an_answer(tries: Sent, seconds: float, step: Step, due: float) -> None:
    assert next_step(tries, at(seconds)) == Decision(step, at(due))


def test_a_clock_that_stepped_back_never_sends_again() -> None:
    tries = sent(0, 20, 2)
    for seconds in (-86_400, -1, 0, 19):
        assert next_step(tries, at(seconds)) == Decision(Step.WAIT, at(160))


ID = UUID(int=7)


def test_what_another_process_sent_is_searched_and_never_sent_again() -> None:
    """I-43: nobody can tell how long ago it left, so its quarantine starts when it is found."""
    for tries in (sent(0, 0, 1), sent(-86_400, -86_400, 3), sent(86_400, 86_400, 1)):
        watch = Watch()
        assert watch.step(ID, tries, at(7), 1000.0) == Decision(Step.WAIT, at(147))
        assert watch.step(ID, tries, at(100), 1093.0) == Decision(Step.WAIT, at(147))
        assert watch.step(ID, tries, at(147), 1140.0) == Decision(Step.SEARCH, at(147))


def test_a_process_finds_it_anew_when_another_has_sent_it_again() -> None:
    one, other = Watch(), Watch()
    one.sending(ID, 1, 0.0)
    assert other.step(ID, sent(0, 0, 1), at(1), 1.0).at == at(141)
    one.sending(ID, 2, 100.0)
    assert other.step(ID, sent(0, 100, 2), at(141), 141.0) == Decision(Step.WAIT, at(281))
    assert one.step(ID, sent(0, 100, 2), at(115), 115.0) == Decision(Step.RESEND, at(115))
    one.forget(ID)
    assert one.step(ID, sent(0, 100, 2), at(116), 116.0) == Decision(Step.WAIT, at(256))


@pytest.mark.parametrize("jump", [0, 1, 300, 86_400, -300, -86_400])
def test_a_wall_clock_that_jumps_can_only_take_a_resend_away(jump: int) -> None:
    """I-43: the quarantine is measured, whatever the wall clock says meanwhile."""
    watch = Watch()
    watch.sending(ID, 1, 50.0)
    tries = sent(0, 0, 1)
    early = watch.step(ID, tries, at(jump + 10), 60.0)
    if jump in (0, 1):
        assert early == Decision(Step.RESEND, at(jump + 10))
    else:
        assert early == Decision(Step.WAIT, at(jump + 140))
        assert watch.step(ID, tries, at(jump + 140), 190.0).step is Step.SEARCH


def test_a_clock_that_stepped_back_a_little_does_not_stretch_the_keys_life() -> None:
    """It stands behind the true time, but not behind the last send."""
    watch = Watch()
    watch.sending(ID, 1, 0.0)
    watch.sending(ID, 2, 150.0)
    tries = sent(0, 150, 2)
    assert watch.step(ID, tries, at(170), 170.0) == Decision(Step.RESEND, at(170))
    assert watch.step(ID, tries, at(170), 230.0) == Decision(Step.WAIT, at(230))


def test_a_machine_that_slept_sends_nothing_again() -> None:
    """The monotonic clock stood still; the wall clock knows."""
    watch = Watch()
    watch.sending(ID, 1, 50.0)
    assert watch.step(ID, sent(0, 0, 1), at(3600), 60.0) == Decision(Step.WAIT, at(3730))


def test_following_the_decisions_never_leaves_the_windows() -> None:
    """I-19, for tries that take any time: the same key only within 220 s of the first send,
    a search only 140 s after the last, and both come to an end."""
    chance = random.Random(1)
    for _ in range(3_000):
        now, tries, resends = START, sent(0, 0, 1), 0
        while (decision := next_step(tries, now)).step is not Step.SEARCH:
            if decision.step is Step.WAIT:
                assert decision.at > now
                now = decision.at + timedelta(seconds=chance.choice((0, 0, 1, 33, 200)))
                continue
            assert decision == Decision(Step.RESEND, now)
            assert now - tries.first_at < RETRY_WINDOW
            assert now - tries.last_at >= BACK_OFF[0]
            tries = Sent(START, now, tries.attempts + 1)
            now += timedelta(seconds=chance.choice((0, 1, 30)))
            resends += 1
        assert now - tries.last_at >= QUARANTINE
        assert resends <= 5


@pytest.mark.parametrize(
    ("outcome", "earlier_unclear", "verdict"),
    [
        (Outcome.DONE, False, Verdict.SETTLE),
        (Outcome.DONE, True, Verdict.SETTLE),
        (Outcome.REFUSED, False, Verdict.REFUSE),
        (Outcome.REFUSED, True, Verdict.KEEP),
        (Outcome.LIMITED, False, Verdict.KEEP),
        (Outcome.LIMITED, True, Verdict.KEEP),
        (Outcome.UNCLEAR, False, Verdict.KEEP),
        (Outcome.UNCLEAR, True, Verdict.KEEP),
    ],
)
def test_what_a_try_means(outcome: Outcome, earlier_unclear: bool, verdict: Verdict) -> None:
    assert after(outcome, earlier_unclear) is verdict


def test_a_key_names_the_tenant_and_the_shipment_and_fits() -> None:
    """I-18."""
    one = key_of(TENANT, UUID(int=1))
    assert TENANT in one
    assert str(UUID(int=1)) in one
    assert len(one) <= 128
    assert one != key_of(TENANT, UUID(int=2))
    assert one != key_of(TENANT.replace("3f", "4f"), UUID(int=1))
    assert len(key_of("t" * 87, UUID(int=1))) == 128
    with pytest.raises(ValueError, match="too long"):
        key_of("t" * 88, UUID(int=1))


def test_a_marker_is_short_and_plain_and_made_of_the_randomness_only() -> None:
    chance = random.Random(2)
    made = {marker_of(chance.randbytes(7)) for _ in range(20_000)}
    assert len(made) == 20_000
    assert all(re.fullmatch(r"JPM-[0-9A-HJKMNP-TV-Z]{10}", marker) for marker in made)
    assert marker_of(b"\0" * 7) == "JPM-0000000000"
    assert marker_of(b"\xff" * 16) == "JPM-ZZZZZZZZZZ"
    with pytest.raises(ValueError, match="seven"):
        marker_of(b"short")


MARKER = "JPM-0123456789"


@pytest.mark.parametrize(
    "reference",
    [
        "",
        " ",
        "PO 7",
        "Deposit (half)",
        "<script>alert(1)</script>",
        "Łódź ‮ 🧾",
        "'; DROP TABLE bills;--",
        "JPM-0123456789 without parentheses",
    ],
)
def test_a_marker_is_put_on_and_taken_off(reference: str) -> None:
    shown = tagged(reference, MARKER)
    assert shown.endswith(f"({MARKER})")
    assert has_marker(shown, MARKER)
    assert not has_marker(shown, "JPM-9876543210")
    assert without_marker(shown) == reference
    assert tagged(shown, MARKER) == shown
    assert without_marker(reference) == reference


def test_a_long_reference_is_cut_and_its_marker_never() -> None:
    """Xero takes 255 UTF-16 units."""
    for text in ("x" * 300, "🧾" * 300, "x" + "🧾" * 127):
        shown = tagged(text, MARKER)
        assert 254 <= len(shown.encode("utf-16-le")) / 2 <= 255
        assert shown.endswith(f" ({MARKER})")
        assert text.startswith(without_marker(shown))


def test_a_marker_is_found_wherever_people_moved_it() -> None:
    moved = f"paid late ({MARKER.lower()}) thanks"
    assert searched(["", "PO 7", moved], MARKER) is Found.ADOPT
    assert searched(["", "PO 7", f"(x{MARKER})"], MARKER) is Found.AGAIN
    assert searched([], MARKER) is Found.AGAIN
