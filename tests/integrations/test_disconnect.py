"""Disconnect keeps every bill; reconnecting the same organisation links them again (I-37, I-38)."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection as database
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from tests.integrations.conftest import browser_of, connect, sync
from tests.integrations.world import World

from justpayme.accounts.models import Business, SecurityEvent, User
from justpayme.bills.models import Bill, HistoryEntry
from justpayme.sync import ending, lost, runs
from justpayme.sync.clock import RealClock
from justpayme.sync.models import Connection, Link, Run, TokenSet

pytestmark = pytest.mark.django_db

BOOK = ("bills_client", "bills_bill", "bills_line", "bills_payment", "sync_link", "sync_clientlink")


def dump(*tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables, as the database holds them."""
    found = {}
    with database.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY id")  # noqa: S608
            found[table] = cursor.fetchall()
    return found


def disconnect(browser: Client, row: Connection) -> Any:
    answer = browser.post(reverse("integrations:disconnect", args=[row.pk]))
    row.refresh_from_db()
    return answer


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_disconnect_keeps_every_bill_byte_for_byte_and_wipes_the_tokens(
    browser: Client, world: World, imported: Connection
) -> None:
    before = dump(*BOOK)
    bills = Bill.objects.count()
    answer = disconnect(browser, imported)
    assert "Every bill stays here" in said(answer)
    assert dump(*BOOK) == before
    assert bills == len(before["bills_bill"]) > 40
    assert imported.state == Connection.State.DISCONNECTED
    assert imported.disconnected_at is not None
    assert imported.tokens is None
    assert imported.connection_id == ""
    assert imported.next_due_at is None
    assert not TokenSet.objects.exists()
    assert world.sandbox.identity.visible() == []
    assert world.sandbox.store.refresh_tokens == {}


def test_disconnect_writes_one_history_entry_for_every_bill(
    browser: Client, imported: Connection, alice: User
) -> None:
    disconnect(browser, imported)
    entries = HistoryEntry.objects.filter(action="disconnected")
    assert entries.count() == Link.objects.count() == entries.values("bill").distinct().count()
    entry = entries.select_related("by").first()
    assert entry is not None
    assert entry.by == alice
    assert entry.source == HistoryEntry.Source.CONNECTION
    assert entry.changes == []
    assert entry.note == "No longer synced with Demo Company (UK)"
    event = SecurityEvent.objects.get(action="disconnect")
    assert event.detail["organisation"] == "Demo Company (UK)"


def test_no_call_follows_a_disconnect_but_its_own(
    browser: Client, world: World, imported: Connection
) -> None:
    world.wire.sent.clear()
    connection_id = imported.connection_id
    disconnect(browser, imported)
    assert world.wire.sent == [
        ("DELETE", f"/connections/{connection_id}"),
        ("POST", "/connect/revocation"),
    ]
    world.wire.sent.clear()
    browser.post(reverse("integrations:sync_now", args=[imported.pk]))
    ending.finish_all(timezone.now() + timedelta(days=2))
    assert Run.objects.count() == 1
    assert world.wire.sent == []


def test_a_token_that_xero_calls_expired_early_does_not_leave_the_connection_at_xero(
    browser: Client, world: World, imported: Connection
) -> None:
    """I-43: by our clock it was good. With a fresh one Xero can be told."""
    world.sandbox.identity.expire_tokens()
    disconnect(browser, imported)
    assert imported.tokens is None
    assert world.sandbox.identity.visible() == []
    assert world.sandbox.store.refresh_tokens == {}


def test_reconnecting_the_same_organisation_makes_no_double_and_keeps_settings(
    browser: Client, world: World, business: Business, imported: Connection
) -> None:
    imported.interval_minutes = 60
    imported.import_drafts = True
    imported.save()
    before = dump("bills_client", "bills_bill", "bills_line", "bills_payment")
    ids = set(Link.objects.values_list("bill", "invoice_id"))
    disconnect(browser, imported)
    answer = connect(browser, world, "GB")
    assert answer["Location"] == reverse("integrations:progress", args=[imported.pk])
    assert business.connections.count() == 1
    imported.refresh_from_db()
    assert imported.state == Connection.State.LIVE
    assert (imported.interval_minutes, imported.import_drafts) == (60, True)
    assert imported.disconnected_at is None
    run = sync(imported)
    assert (run.state, run.kind) == ("done", "import")
    kept = set(Link.objects.values_list("bill", "invoice_id"))
    assert ids <= kept
    after = dump("bills_client", "bills_bill", "bills_line", "bills_payment")
    assert set(before["bills_bill"]) <= set(after["bills_bill"])
    assert Link.objects.values("invoice_id").distinct().count() == Link.objects.count()
    assert HistoryEntry.objects.filter(action="reconnected").count() == len(ids)


def test_another_organisation_is_another_row_and_nothing_crosses(
    browser: Client, world: World, business: Business, imported: Connection
) -> None:
    disconnect(browser, imported)
    connect(browser, world, "NZ")
    other = business.connections.exclude(pk=imported.pk).get()
    sync(other)
    imported.refresh_from_db()
    assert imported.state == Connection.State.DISCONNECTED
    assert other.state == Connection.State.LIVE
    ours = set(imported.links.values_list("bill", flat=True))
    theirs = set(other.links.values_list("bill", flat=True))
    assert ours
    assert theirs
    assert not ours & theirs


def test_tokens_that_another_live_organisation_uses_stay(
    browser: Client, world: World, business: Business
) -> None:
    connect(browser, world, "GB", "NZ")
    for row in business.connections.all():
        browser.post(reverse("integrations:choose"), {"organisation": row.pk})
    uk, nz = business.connections.get(country="GB"), business.connections.get(country="NZ")
    disconnect(browser, uk)
    assert uk.tokens is None
    [left] = world.sandbox.identity.visible()
    assert left.tenant_id == str(nz.tenant_id)
    nz.refresh_from_db()
    assert sync(nz).state == "done"
    disconnect(browser, nz)
    assert not TokenSet.objects.exists()
    assert world.sandbox.store.refresh_tokens == {}


def test_a_connection_that_another_business_shares_is_not_ended_for_it(
    browser: Client, world: World, live: Connection, charlie: User, other_business: Business
) -> None:
    connect(browser_of(charlie), world, "GB")
    theirs = other_business.connections.get()
    disconnect(browser, live)
    assert live.tokens is None
    assert live.connection_id == ""
    assert sync(theirs).state == "done"


def test_an_organisation_that_was_only_offered_goes_with_the_tokens(
    browser: Client, world: World, business: Business
) -> None:
    connect(browser, world, "GB", "NZ")
    chosen = business.connections.get(country="GB")
    browser.post(reverse("integrations:choose"), {"organisation": chosen.pk})
    disconnect(browser, chosen)
    assert list(business.connections.all()) == [chosen]
    assert not TokenSet.objects.exists()


def test_a_xero_that_does_not_answer_is_told_later_by_the_tick(
    browser: Client, world: World, imported: Connection
) -> None:
    world.wire.answers = {"/connections": (503, {})}
    answer = disconnect(browser, imported)
    assert "could not be told yet" in said(answer)
    assert imported.state == Connection.State.DISCONNECTED
    assert imported.tokens is not None
    assert imported.next_due_at is not None
    now = timezone.now()
    assert ending.finish_all(now) == 0
    world.wire.answers = {}
    assert ending.finish_all(now + timedelta(minutes=16)) == 1
    imported.refresh_from_db()
    assert imported.tokens is None
    assert not TokenSet.objects.exists()
    assert world.sandbox.identity.visible() == []


def test_a_clock_that_was_ahead_does_not_put_an_ending_off(
    browser: Client, world: World, imported: Connection
) -> None:
    """I-43."""
    world.wire.answers = {"/connections": (503, {})}
    disconnect(browser, imported)
    world.wire.answers = {}
    a_year_back = timezone.now() - timedelta(days=365)
    assert ending.finish_all(a_year_back) == 1


def test_after_a_day_we_forget_our_side_even_if_xero_never_answers(
    browser: Client, world: World, imported: Connection
) -> None:
    world.wire.answers = {"/connect": (500, {})}
    disconnect(browser, imported)
    assert ending.finish_all(timezone.now() + timedelta(hours=25)) == 1
    assert not TokenSet.objects.exists()


def test_connecting_again_calls_off_an_ending_that_waits(
    browser: Client, world: World, imported: Connection
) -> None:
    world.wire.answers = {"/connections": (503, {})}
    disconnect(browser, imported)
    world.wire.answers = {}
    connect(browser, world, "GB")
    assert ending.finish_all(timezone.now() + timedelta(days=2)) == 0
    imported.refresh_from_db()
    assert imported.state == Connection.State.LIVE
    assert sync(imported).state == "done"


def test_connecting_another_organisation_does_not_call_off_an_ending_that_waits(
    browser: Client, world: World, business: Business, imported: Connection
) -> None:
    """I-37: Xero lists what waits to be ended too, whatever she came for."""
    world.wire.answers = {"/connections": (503, {})}
    disconnect(browser, imported)
    world.wire.answers = {}
    Connection.objects.update(next_due_at=timezone.now())
    connect(browser, world, "NZ")
    assert ending.finish_all(timezone.now()) == 0  # there may have been something to choose
    other = business.connections.get(country="NZ")
    assert other.is_live  # she was not asked to choose between the two
    assert ending.finish_all(timezone.now() + timedelta(minutes=16)) == 1
    imported.refresh_from_db()
    assert imported.tokens is None
    assert [c.tenant_id for c in world.sandbox.identity.visible()] == [str(other.tenant_id)]
    assert sync(other).state == "done"


def test_an_ending_that_comes_late_leaves_a_new_consent_alone(
    browser: Client, world: World, imported: Connection
) -> None:
    """It was found due before she came back, and she has not chosen yet."""
    world.wire.answers = {"/connections": (503, {})}
    disconnect(browser, imported)
    world.wire.answers = {}
    found_due = Connection.objects.get(pk=imported.pk)
    connect(browser, world, "GB", "NZ")
    assert ending.at_xero(found_due, timezone.now()) is None
    assert len(world.sandbox.identity.visible()) == 2
    browser.post(reverse("integrations:choose"), {"organisation": imported.pk})
    imported.refresh_from_db()
    assert sync(imported).state == "done"


def test_a_consent_that_was_taken_back_in_xero_is_simply_forgotten(
    browser: Client, world: World, imported: Connection
) -> None:
    world.sandbox.identity.revoke_all()
    TokenSet.objects.update(expires_at=timezone.now())
    answer = disconnect(browser, imported)
    assert "could not be told" not in said(answer)
    assert not TokenSet.objects.exists()


def test_a_lost_connection_can_be_disconnected(
    browser: Client, world: World, imported: Connection
) -> None:
    lost.mark([imported.pk], code="consent_lost", now=timezone.now())
    disconnect(browser, imported)
    assert imported.state == Connection.State.DISCONNECTED
    assert imported.error_code == ""
    assert imported.tokens is None


def test_disconnecting_twice_is_harmless(browser: Client, imported: Connection) -> None:
    disconnect(browser, imported)
    entries = HistoryEntry.objects.count()
    assert disconnect(browser, imported).status_code == 302
    assert HistoryEntry.objects.count() == entries


@pytest.mark.django_db(transaction=True)
def test_a_run_under_way_makes_no_call_after_the_disconnect(
    browser: Client, world: World, live: Connection
) -> None:
    """I-37: the run is held inside its third call while Alice disconnects."""
    inside, go_on = threading.Event(), threading.Event()
    handle = world.wire.handle_request
    api_calls: list[float] = []

    def slow(request: Any) -> Any:
        if request.url.path.startswith("/api.xro"):
            api_calls.append(time.monotonic())
            if len(api_calls) == 3:
                inside.set()
                go_on.wait(20)
        return handle(request)

    world.wire.handle_request = slow  # type: ignore[method-assign]
    states: list[str] = []

    def run() -> None:
        try:
            states.append(sync(live).state)
        finally:
            connections.close_all()

    worker = threading.Thread(target=run)
    worker.start()
    assert inside.wait(20)

    def leave() -> None:
        try:
            disconnect(browser, live)
        finally:
            connections.close_all()

    leaving = threading.Thread(target=leave)
    leaving.start()
    while Connection.objects.get(pk=live.pk).state != Connection.State.DISCONNECTED:
        time.sleep(0.02)
    go_on.set()
    worker.join(20)
    leaving.join(30)
    assert states == ["stopped"]
    assert len(api_calls) == 3
    live.refresh_from_db()
    assert live.state == Connection.State.DISCONNECTED
    assert not TokenSet.objects.exists()


def test_reconnecting_does_not_shorten_the_wait_that_xero_asked_for(
    browser: Client, world: World, imported: Connection
) -> None:
    """I-40: a day's limit outlives a disconnect; the first sync starts when it has passed."""
    until = timezone.now() + timedelta(hours=3)
    Connection.objects.filter(pk=imported.pk).update(blocked_until=until)
    disconnect(browser, imported)
    connect(browser, world, "GB")
    imported.refresh_from_db()
    assert (imported.state, imported.blocked_until) == (Connection.State.LIVE, until)
    assert runs.run_sync(imported.pk, cause=Run.Cause.CONNECT, clock=RealClock()) is None
