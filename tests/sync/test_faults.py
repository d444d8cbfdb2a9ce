"""A Xero that is slow, limits us, fails or takes its consent back: the right state, no harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from tests.fixtures.xero import Xero
from tests.sync.hands import Crash, Wire, books, done, drift, failed, plain_open, tap, undone

from justpayme.accounts.models import Business, Membership, User
from justpayme.integrations import actions
from justpayme.sync import calls, jobs, runs
from justpayme.sync.models import Connection, Link, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire(xero: Xero, settings: Any) -> Wire:
    return tap(xero, settings)


@pytest.fixture
def owner(alice: User, business: Business) -> Membership:
    return Membership.objects.get(user=alice, business=business)


def refused_while_blocked(xero: Xero, connection: Connection) -> bool:
    """Does neither a person nor the schedule start a run now?"""
    now = xero.clock.now()
    Connection.objects.filter(pk=connection.pk).update(next_due_at=now)
    run = runs.run_sync(connection.pk, cause=Run.Cause.PERSON, clock=xero.clock)
    return run is None and jobs.start_due(now) == 0


# --- F2, F3, F5: nobody's fault ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("timeout_before", "xero_unavailable"),
        ("timeout_after", "xero_unavailable"),
        ("error_500", "xero_unavailable"),
        ("error_502", "xero_unavailable"),
        ("error_503", "xero_unavailable"),
        ("error_504", "xero_unavailable"),
        ("offline", "organisation_offline"),
    ],
)
def test_an_outage_ends_the_run_by_name_and_is_tried_again_later(
    xero: Xero, imported: Connection, kind: str, code: str
) -> None:
    """F2, F5: no bill changed, still live, due again within minutes, well once it is over."""
    before = books()
    xero.fault(kind, path="api.xro", count=None)
    failed(xero.sync(imported), code)
    assert books() == before
    assert imported.state == Connection.State.LIVE
    wait = imported.next_due_at - xero.clock.now()
    assert timedelta(seconds=30) <= wait <= timedelta(minutes=15)
    assert sum(xero.clock.naps) <= 10
    xero.heal()
    done(xero.sync(imported))
    assert (imported.error_code, imported.failures) == ("", 0)


def test_repeated_failures_wait_longer_but_never_longer_than_the_schedule(
    xero: Xero, imported: Connection
) -> None:
    xero.fault("error_503", path="api.xro", count=None)
    waits = []
    for _ in range(6):
        failed(xero.sync(imported), "xero_unavailable")
        waits.append((imported.next_due_at - xero.clock.now()).total_seconds())
        xero.later(30)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (60, 15 * 60)


@pytest.mark.parametrize("error", [httpx2.ReadTimeout, httpx2.ConnectError, httpx2.ReadError])
def test_a_broken_line_is_unreachable_and_one_hiccup_is_nothing(
    xero: Xero, imported: Connection, wire: Wire, error: type[httpx2.TransportError]
) -> None:
    """F3: refused, reset, no answer in time."""
    broken = iter([True] * 1)

    def fail(request: httpx2.Request) -> None:
        if next(broken, False):
            raise error("no")

    wire.before = fail
    done(xero.sync(imported))
    broken = iter([True] * 100)
    failed(xero.sync(imported), "xero_unreachable")
    assert imported.state == Connection.State.LIVE


# --- F4: limits --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "seconds"),
    [("7", 7), ("0", 0), ("date", 60), ("missing", 60)],
)
def test_a_minute_limit_is_waited_out_to_the_second(
    xero: Xero, imported: Connection, wire: Wire, after: str, seconds: int
) -> None:
    """I-40: no call before Retry-After has passed; a missing one means a minute."""
    xero.fault("limit_minute", path="Invoices", parameters={"retry_after": after})
    asked: list[float] = []
    wire.before = lambda request: asked.append(xero.clock.monotonic())
    done(xero.sync(imported))
    gaps = [b - a for a, b in pairwise(asked)]
    assert max(gaps) >= seconds
    assert max(gaps) <= max(seconds, 61)


@pytest.mark.parametrize(
    ("kind", "after", "seconds", "code"),
    [
        ("limit_minute", "120", 120, "minute_limit"),
        ("limit_day", "66975", 66975, "day_limit"),
        ("limit_day", "3600", 3600, "day_limit"),
        ("limit_day", "absurd", 86400, "day_limit"),
        ("limit_day", "missing", 3600, "day_limit"),
        ("limit_app", "90", 90, "app_limit"),
    ],
)
def test_a_long_limit_holds_no_worker_and_nothing_starts_before_its_end(
    xero: Xero, imported: Connection, kind: str, after: str, seconds: int, code: str
) -> None:
    """I-40: blocked to the second, "Sync now" refused until then, then it goes on."""
    xero.fault(kind, path="api.xro", count=None, parameters={"retry_after": after})
    failed(xero.sync(imported), code)
    assert sum(xero.clock.naps) == 0
    assert imported.blocked_until == xero.clock.now() + timedelta(seconds=seconds)
    assert imported.next_due_at >= imported.blocked_until
    xero.heal()
    xero.clock.advance(seconds - 1)
    assert refused_while_blocked(xero, imported)
    xero.clock.advance(1)
    done(xero.sync(imported))
    assert imported.blocked_until is None


@pytest.mark.parametrize(("after", "dies_in"), [("30", "its sleep"), ("600", "its end")])
def test_who_dies_while_xero_makes_it_wait_leaves_word_for_the_next(
    xero: Xero, imported: Connection, monkeypatch: pytest.MonkeyPatch, after: str, dies_in: str
) -> None:
    """I-40, F8: the wait is stored when it is asked for, not when the run ends."""
    xero.fault("limit_minute", path="Invoices", parameters={"retry_after": after})

    def dies(*args: object) -> None:
        raise Crash

    began = xero.clock.now()
    with monkeypatch.context() as patch:
        if dies_in == "its sleep":
            patch.setattr(xero.clock, "sleep", lambda seconds: dies() if seconds else None)
        else:
            patch.setattr(runs, "_end", dies)
        with pytest.raises(Crash):
            xero.sync(imported)
    imported.refresh_from_db()
    assert imported.blocked_until == began + timedelta(seconds=int(after))
    assert refused_while_blocked(xero, imported)
    xero.clock.advance(int(after))
    done(xero.sync(imported))


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_press_while_a_run_sleeps_out_a_limit_is_kept(
    xero: Xero,
    imported: Connection,
    owner: Membership,
    monkeypatch: pytest.MonkeyPatch,
    ends: str,
) -> None:
    """What she just changed in Xero is read when the run that sleeps has ended."""
    Connection.objects.update(failures=5)  # a failure more, and half an hour would pass
    if ends == "badly":
        xero.fault("truncated_json", path="Payments")
    xero.fault("limit_minute", path="Invoices", parameters={"retry_after": "30"})
    sleep, said = xero.clock.sleep, []

    def pressed(seconds: float) -> None:
        if seconds:
            now = xero.clock.now()
            said.append(actions.sync_now(by=owner, connection=imported, now=now))
        sleep(seconds)

    monkeypatch.setattr(xero.clock, "sleep", pressed)
    run = xero.sync(imported)
    assert run.state == ("done" if ends == "well" else "failed")
    assert set(said) == {"running"}
    assert imported.next_due_at <= xero.clock.now()


def test_the_last_call_that_xero_allows_today_is_not_followed_by_one_too_many(
    xero: Xero, imported: Connection
) -> None:
    """I-39: X-DayLimit-Remaining says 0, so we stop before Xero has to refuse."""
    used = xero.counts()["total"]
    xero.http.post("/sandbox/limits", json={"day": used + 2})
    failed(xero.sync(imported), "day_limit")
    assert (xero.counts()["total"], xero.counts()["limited"]) == (used + 2, 0)
    assert imported.blocked_until == xero.clock.now() + timedelta(hours=1)


def test_a_person_is_told_that_xero_told_us_to_wait(
    xero: Xero, imported: Connection, owner: Membership
) -> None:
    xero.fault("limit_day", path="api.xro")
    failed(xero.sync(imported), "day_limit")
    now = xero.clock.now()
    assert actions.sync_now(by=owner, connection=imported, now=now) == "blocked"


def test_five_at_once_is_retried_with_growing_pauses_then_given_up(
    xero: Xero, imported: Connection
) -> None:
    """I-40: no Retry-After there, so back-off."""
    xero.fault("limit_concurrent", path="api.xro", count=2)
    done(xero.sync(imported))
    assert xero.clock.naps[:2] == [1, 2]
    xero.fault("limit_concurrent", path="api.xro", count=None)
    failed(xero.sync(imported), "concurrent_limit")
    assert imported.blocked_until is None


def test_one_organisation_at_its_day_limit_does_not_stop_another(
    xero: Xero, imported: Connection, business: Business
) -> None:
    """I-41."""
    other = xero.connect(business, "NZ")
    xero.fault("limit_day", tenant=xero.tenant("GB"), count=None)
    failed(xero.sync(imported), "day_limit")
    assert done(xero.sync(other)).created > 0


def test_an_import_of_many_pages_never_meets_the_minute_limit(
    xero: Xero, connected: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-39: never more than 60 calls in any 60 seconds; Xero never has to refuse one."""
    monkeypatch.setattr("justpayme.xero.client.PAGE_SIZE", 1)
    asked: list[float] = []
    wire.before = lambda request: asked.append(xero.clock.monotonic())
    done(xero.sync(connected))
    assert len(asked) > 120
    assert xero.counts()["limited"] == 0
    assert all(b - a > 60 for a, b in zip(asked, asked[60:], strict=False))


def test_a_restart_does_not_forget_the_calls_of_the_last_minute(
    xero: Xero, connected: Connection, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-39 across processes: the meter is in the database."""
    monkeypatch.setattr("justpayme.xero.client.PAGE_SIZE", 2)
    asked: list[float] = []

    def die(request: httpx2.Request) -> None:
        if len(wire.asked) % 50 == 0:
            raise Crash
        asked.append(xero.clock.monotonic())

    wire.before = die
    while connected.imported_at is None:
        with suppress(Crash):
            xero.sync(connected)
    assert len(asked) > 70
    assert xero.counts()["limited"] == 0
    assert all(b - a >= 60 for a, b in zip(asked, asked[60:], strict=False))


def test_whoever_starts_knows_of_the_calls_that_others_made(
    xero: Xero, imported: Connection
) -> None:
    """I-39: the first call of a process has had no answer yet that could say what is left."""
    for _ in range(70):
        with calls.client_of(imported, xero.clock) as client:
            client.organisation()
    assert xero.counts()["limited"] == 0


# --- F11: consent ------------------------------------------------------------------------------


@pytest.fixture
def quiet(xero: Xero) -> Iterator[None]:
    """After the test body, no call may have been made for an organisation that is not live."""
    yield
    seen = xero.counts().get("total", 0)
    for connection in Connection.objects.exclude(state=Connection.State.LIVE):
        xero.later(60)
        run = runs.run_sync(connection.pk, cause=Run.Cause.PERSON, clock=xero.clock)
        assert run is None
    assert jobs.start_due(xero.clock.now() + timedelta(days=2)) == 0 or (
        Connection.objects.filter(state=Connection.State.LIVE).exists()
    )
    assert xero.counts().get("total", 0) == seen


def test_a_token_that_expires_in_the_middle_of_an_import_is_refreshed_once(
    xero: Xero, connected: Connection
) -> None:
    xero.fault("expire_tokens", path="Invoices", count=1)
    run = done(xero.sync(connected))
    refreshes = xero.http.get("/sandbox/counts").json()[""]["endpoints"]["POST /connect/token"]
    assert refreshes == 2  # the consent's own, and one
    assert run.created > 40


def test_a_lost_answer_to_a_refresh_is_healed_by_asking_again(
    xero: Xero, imported: Connection, wire: Wire
) -> None:
    """I-34: the old pair is good for half an hour more."""
    xero.fault("expire_tokens", path="Contacts", count=1)
    xero.fault("lose_answer", path="/connect/token", count=1)
    failed(xero.sync(imported), "xero_unreachable")
    assert imported.state == Connection.State.LIVE
    done(xero.sync(imported))


@pytest.mark.parametrize("path", ["Contacts", "Invoices", "Payments"])
def test_consent_revoked_between_two_calls_loses_the_connection_and_no_bill(
    xero: Xero,
    imported: Connection,
    quiet: None,
    path: str,
    alice: User,
    mailoutbox: list[Any],
) -> None:
    before = books()
    xero.fault("revoke_consent", path=path, count=1)
    failed(xero.sync(imported), "removed_in_xero")
    assert imported.state == Connection.State.LOST
    assert imported.next_due_at is None
    assert books() == before
    assert [message.to for message in mailoutbox] == [[alice.email]]


def test_a_dead_refresh_token_loses_the_connection(
    xero: Xero, imported: Connection, quiet: None
) -> None:
    xero.fault("invalid_grant", path="/connect/token", count=None)
    xero.later(31)
    failed(xero.sync(imported), "consent_lost")
    assert imported.state == Connection.State.LOST


def test_a_tenant_gone_from_our_connections_is_lost_and_its_sister_goes_on(
    xero: Xero, imported: Connection, business: Business, quiet: None
) -> None:
    """F11: 403 for one organisation only."""
    other = xero.connect(business, "NZ")
    before = books()
    xero.fault("hide_tenant", parameters={"tenant": xero.tenant("GB")})
    failed(xero.sync(imported), "removed_in_xero")
    assert imported.state == Connection.State.LOST
    assert books() == before
    assert done(xero.sync(other)).created > 0


def test_a_403_while_xero_still_lists_us_is_a_missing_permission(
    xero: Xero, imported: Connection
) -> None:
    xero.fault("forbidden", tenant=xero.tenant("GB"))
    failed(xero.sync(imported), "permission_missing")
    assert imported.state == Connection.State.LOST


def test_a_scope_taken_away_is_a_missing_permission(
    xero: Xero, imported: Connection, quiet: None
) -> None:
    xero.fault("remove_scope", path="Payments", parameters={"scope": "accounting.payments.read"})
    xero.fault("remove_scope", path="Payments", parameters={"scope": "accounting.payments"})
    before = books()
    failed(xero.sync(imported), "permission_missing")
    assert imported.state == Connection.State.LOST
    assert books() == before


def test_a_demo_company_that_was_reset_stops_before_the_first_write(
    xero: Xero, imported: Connection, quiet: None
) -> None:
    """F11: the same name with new ids; our tenant is gone."""
    before = books()
    xero.fault("reset_demo", path="Contacts")
    run = xero.sync(imported)
    assert run.state == Run.State.FAILED
    assert run.error_code in ("removed_in_xero", "organisation_changed")
    assert not imported.is_live
    assert books() == before


@pytest.mark.parametrize("kind", [Run.Kind.INCREMENT, Run.Kind.AUDIT])
def test_another_organisation_behind_the_tenant_stops_before_the_first_write(
    xero: Xero, imported: Connection, quiet: None, kind: str
) -> None:
    """I-11, in an increment too."""
    for invoice in plain_open(xero)[:2]:
        xero.act("edit-invoice", invoice=invoice.id, reference="of another organisation")
    before = books()
    xero.fault("organisation_id_changed", path="Organisation", count=None)
    failed(xero.sync(imported, kind=kind), "organisation_changed")
    assert imported.state == Connection.State.HALTED
    assert books() == before


# --- I-11: mass void ---------------------------------------------------------------------------


def void(xero: Xero, count: int) -> None:
    for invoice in plain_open(xero)[:count]:
        xero.act("void-invoice", invoice=invoice.id)


def test_nine_voids_at_once_are_ordinary(xero: Xero, imported: Connection) -> None:
    """I-11: the stop begins at ten."""
    void(xero, 9)
    assert done(xero.sync(imported)).changed == 9


@pytest.mark.parametrize("size", [1000, 4])
def test_a_mass_void_stops_before_a_person_accepts_it(
    xero: Xero,
    imported: Connection,
    owner: Membership,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    """I-11: on one page before its first write, over many pages before the tenth; then a person
    says that Xero is right."""
    monkeypatch.setattr("justpayme.xero.client.PAGE_SIZE", size)
    void(xero, 12)
    before = books()
    failed(xero.sync(imported), "mass_void")
    assert imported.state == Connection.State.HALTED
    gone = Link.objects.filter(remote_status="VOIDED", bill__history__action="changed").count()
    assert gone < 10
    assert size < 12 or books() == before
    now = xero.clock.now()
    actions.resume(by=owner, connection=imported, address="127.0.0.1", now=now)
    xero.fault("error_503", path="api.xro", count=4)
    failed(xero.sync(imported), "xero_unavailable")
    done(xero.sync(imported))
    assert not imported.accepted_risk
    assert drift(xero, imported) == []


def test_an_acceptance_is_for_one_time(xero: Xero, imported: Connection) -> None:
    """I-11: the next mass void asks again."""
    with undone():
        void(xero, 12)
        Connection.objects.update(accepted_risk=True)
        done(xero.sync(imported))
        assert not imported.accepted_risk
