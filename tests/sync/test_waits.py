"""How long Xero makes us wait, whoever heard it and whatever comes meanwhile (I-40, I-43)."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.fixtures.xero import Xero
from tests.sync.given import edit
from tests.sync.hands import done, failed, tap

from justpayme.accounts.models import Business, Membership, User
from justpayme.bills.models import Bill
from justpayme.core.errors import Problem
from justpayme.integrations import actions
from justpayme.sync import calls, commands, jobs, runs
from justpayme.sync.models import Connection, Run
from justpayme.sync.verify import verify

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def owner(alice: User, business: Business) -> Membership:
    return Membership.objects.get(user=alice, business=business)


class Ahead:
    """A clock that is wrong by a year."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock

    def now(self) -> datetime:
        there: datetime = self.clock.now() + timedelta(days=365)
        return there

    def __getattr__(self, name: str) -> Any:
        return getattr(self.clock, name)


def told(xero: Xero, seconds: int, kind: str = "limit_day", count: int | None = 1) -> None:
    """Xero's next answers are that we shall wait so long."""
    xero.fault(kind, path="api.xro", count=count, parameters={"retry_after": str(seconds)})


def test_a_wait_reckoned_by_a_clock_that_was_ahead_holds_nothing_up(
    xero: Xero, imported: Connection
) -> None:
    """I-43."""
    told(xero, 120)
    run = runs.run_sync(imported.pk, cause=Run.Cause.PERSON, clock=Ahead(xero.clock))
    failed(run, "day_limit")
    assert jobs.start_due(xero.clock.now()) == 1
    told(xero, 60)
    failed(xero.sync(imported), "day_limit")
    assert imported.blocked_until == xero.clock.now() + timedelta(seconds=60)


def test_calls_of_a_clock_that_was_ahead_are_no_calls_just_made(
    xero: Xero, imported: Connection
) -> None:
    """I-43. Each run began with a minute's wait, and webhooks with the day's allowance gone."""
    now, tenant = xero.clock.now(), imported.tenant_id
    before = calls.calls_of_a_day(now)
    for minutes in (5, 60 * 24 * 365):
        calls.meter(tenant, now + timedelta(minutes=minutes), 60, 0)
    xero.clock.naps.clear()
    done(xero.sync(imported))
    assert xero.clock.naps == []
    calls.meter(tenant, now, 1, 0)
    assert calls.calls_of_a_day(now)[tenant] - before[tenant] < 60


def test_a_press_meanwhile_is_kept_until_the_wait_is_over(
    xero: Xero, imported: Connection, owner: Membership
) -> None:
    """Whoever heard of it: here a comparison, after which no sync was due."""
    told(xero, 90)
    with pytest.raises(Problem):
        verify(imported, xero.clock)
    assert actions.sync_now(by=owner, connection=imported, now=xero.clock.now()) == "blocked"
    assert jobs.start_due(xero.clock.now()) == 0
    xero.clock.advance(90)
    assert jobs.start_due(xero.clock.now()) == 1


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_longer_wait_that_somebody_else_heard_outlasts_a_run(
    xero: Xero, imported: Connection, settings: Any, ends: str
) -> None:
    heard: list[datetime] = []

    def meanwhile(request: Any) -> None:
        if not heard:
            calls._block(imported, xero.clock.now(), 3600)
            heard.append(xero.clock.now())

    tap(xero, settings).before = meanwhile
    if ends == "badly":
        told(xero, 120)
    run = xero.sync(imported)
    assert run.state == (Run.State.DONE if ends == "well" else Run.State.FAILED)
    assert imported.blocked_until == heard[0] + HOUR


def test_a_wait_is_never_made_shorter_by_another(xero: Xero, imported: Connection) -> None:
    now = xero.clock.now()
    for seconds in (60, 3600, 120):
        calls._block(imported, now, seconds)
    imported.refresh_from_db()
    assert imported.blocked_until == now + HOUR


def test_nothing_is_asked_outside_a_run_either(xero: Xero, imported: Connection) -> None:
    told(xero, 3600)
    failed(xero.sync(imported), "day_limit")
    before = xero.counts()["total"]
    with pytest.raises(Problem) as refused:
        verify(imported, xero.clock)
    assert (refused.value.code, refused.value.retry_after) == ("minute_limit", 3600)
    assert xero.counts()["total"] == before


def test_whoever_else_is_connected_with_the_organisation_waits_too(
    xero: Xero, imported: Connection
) -> None:
    """Xero counts by organisation."""
    other = xero.connect(Business.objects.create(name="Charlie's Angling"))
    assert other.tenant_id == imported.tenant_id
    told(xero, 3600)
    failed(xero.sync(imported), "day_limit")
    before = xero.counts()["total"]
    run = runs.run_sync(other.pk, cause=Run.Cause.SCHEDULE, clock=xero.clock)
    assert (run, xero.counts()["total"]) == (None, before)


def test_edits_wait_too(xero: Xero, two_way: Connection) -> None:
    edit(Bill.objects.filter(status="active")[0], reference="later")
    now = xero.clock.now()
    assert jobs.start_due(now) == 1
    calls._block(two_way, now, 60)
    assert jobs.start_due(now) == 0
    assert jobs.start_due(now + timedelta(seconds=60)) == 1


def test_a_xero_that_always_says_now_is_asked_less_and_less(
    xero: Xero, imported: Connection
) -> None:
    """Retry-After: 0, for ever."""
    told(xero, 0, "limit_app", count=None)
    before, end = xero.counts()["total"], xero.clock.now() + HOUR
    while xero.clock.now() < end:
        if jobs.start_due(xero.clock.now()):
            runs.run_sync(imported.pk, cause=Run.Cause.SCHEDULE, clock=xero.clock)
        xero.clock.advance(5)
    assert xero.counts()["total"] - before < 50


def test_the_command_says_until_when(
    xero: Xero,
    imported: Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told(xero, 3600)
    with pytest.raises(Problem):
        verify(imported, xero.clock)
    monkeypatch.setattr(commands, "RealClock", lambda: xero.clock)
    assert commands.sync(Namespace(organisation=None, json=True)) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["error"].startswith("Xero allows no more calls before ")


def test_a_short_wait_is_waited_out_by_the_command(
    xero: Xero,
    imported: Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls._block(imported, xero.clock.now(), 30)
    monkeypatch.setattr(commands, "RealClock", lambda: xero.clock)
    assert commands.sync(Namespace(organisation=None, json=True)) == 0
    done(imported.runs.latest("pk"))
