"""Weeks on the fake clock: every sync starts when it is due, on any day of any calendar (F14),
costs what the formula says to the call, and keeps to Xero's limits (I-39, I-43, I-56).

One process runs one call after the other here, so that there are never two in flight is not
proven here. The formula is written out in tests/breaker/time_machine.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.db import connections as databases
from tests.breaker import time_machine as tm
from tests.breaker.stage import Observed
from tests.breaker.time_machine import AUCKLAND, DAY, LONDON, NEW_YORK, SYDNEY, Machine, Watched
from tests.extent import FULL

from justpayme.accounts.models import Business
from justpayme.sync.models import Connection, Run

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.layer("time machine"),
    pytest.mark.timeout(3000),
]
Tell = Callable[[int], None]
Build = Callable[..., Machine]
CYCLES = 96
"""Syncs in 24 hours at one every 15 minutes."""


@pytest.fixture
def build(settings: Any, business: Business, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Makes a machine whose local Xero our code reaches; thousands of runs are not logged."""

    def made(*given: Any, two_way: int = 0, **more: Any) -> Machine:
        machine = Machine(*given, **more)
        settings.XERO_TRANSPORT = machine.transport
        settings.XERO_LOGIN_URL = settings.XERO_IDENTITY_URL = "http://xero.test"
        settings.XERO_API_URL = "http://xero.test"
        settings.XERO_CLIENT_ID = "test-client"
        settings.XERO_CLIENT_SECRET = "test-client-secret"
        machine.settle(business, two_way=two_way)
        return machine

    sessions = Observed()
    monkeypatch.setattr(databases, "create_connection", sessions.create)
    logging.disable()
    yield made
    logging.disable(logging.NOTSET)
    sessions.close()


def midnight(year: int, month: int, day: int) -> datetime:
    """Half a minute into a day (UTC): no sync is due around the midnights that follow."""
    return datetime(year, month, day, 0, 0, 30, tzinfo=UTC)


def nothing_skipped_or_doubled(machine: Machine, days: int) -> int:
    """Each organisation started each of its syncs once, in time; how many that were."""
    expected = list(range(1, days * CYCLES))
    for one in machine.watched:
        assert tm.slots(one) == expected, one.connection
        audits = Run.objects.filter(connection=one.connection, kind=Run.Kind.AUDIT)
        starts = audits.order_by("pk").values_list("started_at", flat=True)
        late = [(at - one.anchor) % DAY for at in starts]
        assert len(late) == days - 1
        assert all(wait <= tm.LATE for wait in late)
    assert not Run.objects.exclude(state=Run.State.DONE).exists()
    return len(expected) * len(machine.watched)


def every_call_is_accounted_for(machine: Machine) -> None:
    """The formula, the local Xero's count, our runs and our meter say the same (I-55)."""
    for one in machine.watched:
        assert one.expected == one.counted, one.connection
        made = sum(call.tenant == one.tenant for call in machine.calls)
        said = sum(Run.objects.filter(connection=one.connection).values_list("calls", flat=True))
        assert tm.metered(one) == said == made
        assert max(one.counted.values()) <= 1000
        assert tm.most_in_a_minute(machine, one) <= 60
    assert all(call.status != 429 for call in machine.calls)


def changes_were_read_in_time(machine: Machine) -> None:
    """All is equal, and the audits found what moved no stamp (I-2, I-5)."""
    assert tm.differences(machine) == []
    for one in machine.watched:
        found = Run.objects.filter(connection=one.connection).values_list("drift", flat=True)
        assert sum(found) == one.drift > 0


@dataclass(frozen=True)
class Window:
    """Some days of some organisations. `changed`: the days on which a zone's clocks are put
    forward or back, and how many syncs they have; `quiet`: days at the end without work."""

    zones: tuple[str, ...]
    first: datetime
    changed: dict[str, dict[date, int]]
    days: int = 5
    quiet: int = 2


AUTUMN_LONDON = {LONDON: {date(2026, 10, 25): 100}}
AUTUMN_NEW_YORK = {NEW_YORK: {date(2026, 11, 1): 100}}
SPRING_NEW_YORK = {NEW_YORK: {date(2027, 3, 14): 92}}
SPRING_LONDON = {LONDON: {date(2027, 3, 28): 92}}
AUTUMN_SOUTH = {SYDNEY: {date(2027, 4, 4): 100}, AUCKLAND: {date(2027, 4, 4): 100}}
SPRING_AUCKLAND = {AUCKLAND: {date(2027, 9, 26): 92}}
SPRING_SYDNEY = {SYDNEY: {date(2027, 10, 3): 92}}
WINDOWS = {
    "London back": Window((LONDON, NEW_YORK, AUCKLAND), midnight(2026, 10, 23), AUTUMN_LONDON),
    "New York back": Window((NEW_YORK, LONDON, SYDNEY), midnight(2026, 10, 30), AUTUMN_NEW_YORK),
    "New York on": Window((NEW_YORK, AUCKLAND, SYDNEY), midnight(2027, 3, 12), SPRING_NEW_YORK),
    "London on": Window((LONDON, SYDNEY, NEW_YORK), midnight(2027, 3, 26), SPRING_LONDON),
    "the south back": Window((SYDNEY, AUCKLAND, LONDON), midnight(2027, 4, 2), AUTUMN_SOUTH),
    "Auckland on": Window((AUCKLAND, SYDNEY, LONDON), midnight(2027, 9, 24), SPRING_AUCKLAND),
    "29 February": Window((NEW_YORK,), midnight(2028, 2, 27), {}, 3),
}
"""The first six are 3 organisations and 30 days: 8,640 syncs."""
MONTH = SPRING_NEW_YORK | SPRING_LONDON | AUTUMN_SOUTH
if FULL:
    WINDOWS |= {
        "Sydney on": Window((SYDNEY,), midnight(2027, 10, 1), SPRING_SYDNEY, 3),
        "a year ends": Window((AUCKLAND,), midnight(2027, 12, 30), {}, 3),
    }
    WINDOWS |= {
        f"month {part}": Window(tm.ZONES + tm.ZONES[:1], midnight(2027, 3, 8), MONTH, 30, 15)
        for part in range(10)
    }


def days_have_their_length(one: Watched, changed: dict[date, int]) -> None:
    """A day of the organisation's calendar has 96 syncs, or 92 or 100 when its clock is moved."""
    days = tm.by_day(one, one.zone)
    whole = sorted(days)[1:-1]
    assert {day: days[day] for day in whole if days[day] != CYCLES} == changed
    assert set(changed) <= set(whole)
    assert set(tm.by_day(one, UTC).values()) == {CYCLES, CYCLES - 1}  # the import was the first


@pytest.mark.parametrize("name", WINDOWS)
def test_days_of_organisations_cost_the_formula_to_the_call(
    build: Build, cases: Tell, name: str
) -> None:
    """F14: busy days in Xero and here, quiet ones, and a day on which the clocks are changed."""
    window = WINDOWS[name]
    machine = build(sum(name.encode()), window.zones, window.first, two_way=1)
    machine.busy(window.first, days=window.days - window.quiet)
    machine.live_until(window.first + window.days * DAY)
    tried = nothing_skipped_or_doubled(machine, window.days)
    every_call_is_accounted_for(machine)
    changes_were_read_in_time(machine)
    for one, zone in zip(machine.watched, window.zones, strict=True):
        days_have_their_length(one, window.changed.get(zone, {}))
    cases(tried)


def test_a_day_limit_is_kept_and_the_sync_goes_on_when_it_ends(build: Build, cases: Tell) -> None:
    """I-39, I-40: one organisation uses its day up, every day; the other is not held up."""
    first = midnight(2027, 5, 3)
    machine = build(7, [SYDNEY, LONDON], first)
    limited, free = machine.watched
    Connection.objects.filter(pk=free.connection.pk).update(
        interval_minutes=60, next_due_at=free.anchor + timedelta(hours=1)
    )
    free.connection.refresh_from_db()
    machine.http.post("/sandbox/limits", json={"day": 150})
    machine.busy(first, days=2)
    machine.live_until(first + 3 * DAY)
    refused = [call for call in machine.calls if call.status == 429]
    assert {call.tenant for call in refused} == {limited.tenant}
    assert 2 <= len(refused) <= 4  # about once a day we learn it from Xero itself
    for one in machine.watched:
        assert max(tm.by_xeros_day(machine, one).values()) <= 150
    for call in refused:
        assert call.retry_after is not None
        ends = call.at + timedelta(seconds=call.retry_after)
        after = [c.at for c in machine.calls if c.tenant == limited.tenant and c.at > call.at]
        assert after[0] >= ends
        assert after[0] - ends <= tm.LATE
    assert tm.slots(free) == list(range(1, 3 * 24))
    cases(Run.objects.count())


STEPS = [1, -1, 300, -300, 3600, -3600, 86_400, -86_400, -90_000, 90_000, 2_000, -2_000]
"""Seconds by which our clock is put forward or back, one step every three hours (F14)."""
EVERY = timedelta(hours=3)


def test_a_clock_that_jumps_stops_no_sync_and_loses_nothing(build: Build, cases: Tell) -> None:
    """I-43: however our clock is moved, with two schedulers (F16), Xero is read in time."""
    first = midnight(2027, 6, 1)
    machine = build(9, [LONDON], first, two_way=1)
    machine.schedulers = 2
    machine.busy(first, days=1)

    def step(seconds: float) -> None:
        machine.clock.ahead += seconds

    for number, seconds in enumerate(STEPS):
        machine.at(first + (number + 1) * EVERY, partial(step, seconds))
    end = first + (len(STEPS) + 1) * EVERY + DAY
    machine.live_until(end)
    for one in machine.watched:
        times = [call.at for call in machine.calls if call.tenant == one.tenant]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps) <= timedelta(minutes=45) + tm.LATE
        assert end - times[-1] <= timedelta(minutes=15) + tm.LATE
        assert tm.most_in_a_minute(machine, one) <= 60
    assert not Run.objects.exclude(state=Run.State.DONE).exists()
    assert tm.differences(machine) == []
    cases(Run.objects.count())
