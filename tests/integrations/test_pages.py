"""What the pages say, to whom, and that nobody else gets in."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from tests.integrations.conftest import browser_of, connect, sync
from tests.integrations.world import World

from justpayme.accounts.models import Business, User
from justpayme.core.errors import Problem
from justpayme.sync import lost, tokens
from justpayme.sync.models import Connection, Meter, Run

pytestmark = pytest.mark.django_db

OWN_PAGES = ("organisation", "progress", "runs", "disconnect")
POSTS = ("sync_now", "settings", "resume", "reconnect", "disconnect")


def page(browser: Client, name: str, *args: int, status: int = 200) -> str:
    answer = browser.get(reverse(f"integrations:{name}", args=args))
    assert answer.status_code == status, answer.content
    return unescape(answer.content.decode())


def table_dump() -> list[Any]:
    """Everything a page could have changed."""
    found = []
    with database.cursor() as cursor:
        for table in ("sync_connection", "sync_tokenset", "sync_oauthstate", "sync_run"):
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY id")  # noqa: S608
            found.append(cursor.fetchall())
    return found


# --- what they say -----------------------------------------------------------------------------


def test_before_connecting_everything_is_explained(browser: Client) -> None:
    assert "Connect Xero" in page(browser, "index")
    told = page(browser, "xero")
    assert "Supplier bills are never imported" in told
    assert "We ask to read only" in told
    assert "Sales invoices and credit notes" in told
    assert 'method="post"' in told


def test_a_live_organisation_shows_state_schedule_runs_and_meters(
    browser: Client, imported: Connection
) -> None:
    told = page(browser, "organisation", imported.pk)
    assert "Demo Company (UK)" in told
    assert "Connected" in told
    assert "United Kingdom · GBP" in told
    assert f"{imported.links.count()} bills" in told
    assert "just now" in told
    assert "next" in told
    assert "All equal" in told
    assert "Calls to Xero today" in told
    assert "of 1,000" in told
    assert "of 10 GB" in told
    assert "Change direction" in told
    assert told.index("Sync now") < told.index("Disconnect")


def test_the_import_can_be_watched(browser: Client, world: World, live: Connection) -> None:
    told = page(browser, "progress", live.pk)
    assert "Starting" in told
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in told
    Connection.objects.update(connected_at=timezone.now() - timedelta(minutes=1))
    run = Run.objects.create(
        connection=live,
        kind="import",
        cause="connect",
        started_at=timezone.now() - timedelta(seconds=20),
        read=1240,
        expected=1872,
        calls=7,
    )
    told = page(browser, "progress", live.pk)
    assert "1,240 of 1,872 invoices" in told
    assert "66%" in told
    assert "About 10 seconds to go." in told
    assert "7 calls to Xero so far" in told
    run.delete()
    sync(live)
    told = page(browser, "progress", live.pk)
    assert "Your invoices are here" in told
    assert "http-equiv" not in told
    assert "data-poll" not in told


def test_an_earlier_import_does_not_show_in_the_progress_of_the_next(
    browser: Client, world: World, imported: Connection
) -> None:
    browser.post(reverse("integrations:disconnect", args=[imported.pk]))
    connect(browser, world, "GB")
    assert "Starting" in page(browser, "progress", imported.pk)


def test_a_failed_import_names_its_reason(browser: Client, live: Connection) -> None:
    Connection.objects.update(error_code="xero_unavailable")
    assert "not available right now" in page(browser, "progress", live.pk)


def test_a_lost_connection_says_that_nothing_is_lost(browser: Client, imported: Connection) -> None:
    lost.mark([imported.pk], code="consent_lost", now=timezone.now())
    told = page(browser, "organisation", imported.pk)
    assert "Nothing is lost" in told
    assert "Needs attention" in told
    assert told.index("Reconnect") < told.index("Disconnect…")
    assert "<span>Sync now</span>" not in told


def test_a_safety_stop_shows_what_was_about_to_happen(
    browser: Client, imported: Connection
) -> None:
    Connection.objects.update(state="halted", error_code="mass_void")
    problem = Problem("mass_void", "12 of 20 open bills")
    imported.runs.update(
        state="failed", error_code="mass_void", error_text=f"{problem.sentence} {problem.detail}"
    )
    told = page(browser, "organisation", imported.pk)
    assert "We stopped to ask you" in told
    assert "12 of 20 open bills would have become Void." in told
    assert "It is right, let the sync go on" in told
    Connection.objects.update(error_code="organisation_changed")
    assert "It is right" not in page(browser, "organisation", imported.pk)


def test_a_day_limit_says_when_it_goes_on(browser: Client, imported: Connection) -> None:
    Connection.objects.update(blocked_until=timezone.now() + timedelta(minutes=50, seconds=30))
    told = page(browser, "organisation", imported.pk)
    assert "Xero allows no more calls for now" in told
    assert "in 50 minutes" in told


def test_a_running_sync_is_told_without_alarm(browser: Client, imported: Connection) -> None:
    imported.runs.update(state="running")
    told = page(browser, "organisation", imported.pk)
    assert "Syncing now" in told
    assert "tone-warn" not in told
    assert "tone-bad" not in told


def test_disconnecting_asks_first_and_says_what_stays(
    browser: Client, imported: Connection
) -> None:
    count = imported.links.count()
    told = page(browser, "disconnect", imported.pk)
    assert f"All {count} bills stay here" in told
    assert "No longer synced" in told
    assert told.index("Stay connected") < told.index("Disconnect, keep my bills")
    assert imported.is_live


def test_a_disconnected_organisation_can_be_connected_again(
    browser: Client, imported: Connection
) -> None:
    browser.post(reverse("integrations:disconnect", args=[imported.pk]))
    told = page(browser, "organisation", imported.pk)
    assert "Disconnected" in told
    assert "Connect again" in told
    assert "<span>Sync now</span>" not in told
    assert "Demo Company (UK)" in page(browser, "index")


def test_every_run_can_be_found_and_opened(browser: Client, imported: Connection) -> None:
    now = timezone.now()
    Run.objects.bulk_create(
        Run(connection=imported, kind="increment", cause="schedule", state="done", started_at=now)
        for _ in range(60)
    )
    first = browser.get(reverse("integrations:runs", args=[imported.pk]))
    seen = [row.run.pk for row in first.context["runs"]]
    older = first.context["older"]
    while older:
        answer = browser.get(
            reverse("integrations:runs", args=[imported.pk]), {"before": str(older)}
        )
        seen += [row.run.pk for row in answer.context["runs"]]
        older = answer.context["older"]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 61
    run = imported.runs.get(kind="import")
    told = page(browser, "run", imported.pk, run.pk)
    assert "First import" in told
    assert f"{run.created}" in told
    assert "Still under way" not in told


@pytest.mark.parametrize("code", ["wrong_shape", "day_limit", "internal", "not-in-the-catalogue"])
def test_a_run_that_failed_says_why(browser: Client, imported: Connection, code: str) -> None:
    run = imported.runs.get()
    imported.runs.update(state="failed", error_code=code, error_text="<b>")
    told = page(browser, "run", imported.pk, run.pk)
    assert "Did not finish" in told
    assert code in told


@pytest.mark.parametrize("before", ["", "0", "-1", "x", "9" * 40, "1.5", "<b>", "\x00", "१"])
def test_a_senseless_page_of_runs_is_the_first_one(
    browser: Client, imported: Connection, before: str
) -> None:
    answer = browser.get(reverse("integrations:runs", args=[imported.pk]), {"before": before})
    assert answer.status_code == 200


def test_calls_of_another_business_on_the_same_organisation_count_too(
    browser: Client, imported: Connection
) -> None:
    Meter.objects.all().delete()
    Meter.objects.create(
        tenant_id=imported.tenant_id, minute=timezone.now(), calls=214, bytes=118_000_000
    )
    told = page(browser, "organisation", imported.pk)
    assert "214 of 1,000" in told
    assert "118.0 MB" in told


def test_hostile_names_and_errors_are_shown_as_text(browser: Client, imported: Connection) -> None:
    hostile = "<img src=x onerror=alert(1)>\u202e{{ 7|add:7 }}"
    Connection.objects.update(
        name=hostile, state="halted", error_code="mass_void", error_text=hostile
    )
    imported.runs.update(state="failed", error_code="mass_void", error_text=hostile)
    for name in ("organisation", "progress", "runs", "disconnect"):
        raw = browser.get(reverse(f"integrations:{name}", args=[imported.pk])).content.decode()
        assert "<img" not in raw
    assert "<img" not in browser.get(reverse("integrations:index")).content.decode()


# --- who may ----------------------------------------------------------------------------------


def test_a_viewer_sees_everything_and_changes_nothing(imported: Connection, vera: User) -> None:
    viewer = browser_of(vera)
    for name in ("organisation", "progress", "runs"):
        page(viewer, name, imported.pk)
    page(viewer, "index")
    told = page(viewer, "organisation", imported.pk)
    for button in ("<span>Sync now</span>", "Save changes", "Disconnect…", "Leave Xero"):
        assert button not in told
    before = table_dump()
    for name in POSTS:
        assert viewer.post(reverse(f"integrations:{name}", args=[imported.pk])).status_code == 403
    assert viewer.post(reverse("integrations:connect")).status_code == 403
    assert viewer.get(reverse("integrations:choose")).status_code == 403
    assert viewer.get(reverse("integrations:disconnect", args=[imported.pk])).status_code == 403
    assert table_dump() == before


def test_a_member_may_sync_now_and_nothing_more(imported: Connection, bob: User) -> None:
    member = browser_of(bob)
    told = page(member, "organisation", imported.pk)
    assert "Sync now" in told
    assert "Disconnect…" not in told
    for name in ("settings", "resume", "reconnect", "disconnect"):
        assert member.post(reverse(f"integrations:{name}", args=[imported.pk])).status_code == 403
    assert member.post(reverse("integrations:connect")).status_code == 403
    assert member.post(reverse("integrations:sync_now", args=[imported.pk])).status_code == 302


def test_a_callback_by_somebody_who_may_not_connect_is_403(
    world: World, imported: Connection, bob: User
) -> None:
    before = len(world.wire.sent)
    answer = browser_of(bob).get(reverse("integrations:callback"), {"state": "x", "code": "y"})
    assert answer.status_code == 403
    assert len(world.wire.sent) == before


def test_another_business_gets_404_everywhere(
    imported: Connection, charlie: User, other_business: Business
) -> None:
    stranger = browser_of(charlie)
    run = imported.runs.get()
    before = table_dump()
    for name in OWN_PAGES:
        page(stranger, name, imported.pk, status=404)
    for name in POSTS:
        answer = stranger.post(reverse(f"integrations:{name}", args=[imported.pk]))
        assert answer.status_code == 404
    page(stranger, "run", imported.pk, run.pk, status=404)
    assert table_dump() == before
    assert "Demo Company" not in page(stranger, "index")


def test_a_run_of_another_organisation_is_404(
    browser: Client, world: World, imported: Connection, charlie: User, other_business: Business
) -> None:
    stranger = browser_of(charlie)
    connect(stranger, world, "NZ")
    theirs = other_business.connections.get(country="NZ")
    stranger.post(reverse("integrations:choose"), {"organisation": theirs.pk})
    run = sync(theirs)
    page(browser, "run", imported.pk, run.pk, status=404)


@pytest.mark.parametrize("pk", [0, 999_999_999, 2**63 - 1, 2**63, 10**40])
def test_an_organisation_that_does_not_exist_is_404(browser: Client, pk: int) -> None:
    for name in OWN_PAGES:
        page(browser, name, pk, status=404)
    for name in POSTS:
        assert browser.post(reverse(f"integrations:{name}", args=[pk])).status_code == 404


def test_an_organisation_that_was_only_offered_has_no_page(
    browser: Client, world: World, business: Business
) -> None:
    connect(browser, world, "GB", "NZ")
    offered = business.connections.first()
    assert offered is not None
    page(browser, "organisation", offered.pk, status=404)
    assert "Choose from 2 more organisations" in page(browser, "index")


def test_a_visitor_is_sent_to_sign_in(imported: Connection) -> None:
    visitor = Client()
    for name in ("index", "xero", "choose"):
        assert visitor.get(reverse(f"integrations:{name}")).status_code == 302
    for name in OWN_PAGES:
        answer = visitor.get(reverse(f"integrations:{name}", args=[imported.pk]))
        assert answer.status_code == 302
    for name in POSTS:
        answer = visitor.post(reverse(f"integrations:{name}", args=[imported.pk]))
        assert answer.status_code == 302


def test_nothing_changes_by_looking(browser: Client, imported: Connection) -> None:
    """S17: no change on GET; verbs refuse GET; forms need their token."""
    before = table_dump()
    run = imported.runs.get()
    for name in ("index", "xero", "choose"):
        browser.get(reverse(f"integrations:{name}"))
    for name in OWN_PAGES:
        page(browser, name, imported.pk)
        browser.head(reverse(f"integrations:{name}", args=[imported.pk]))
    page(browser, "run", imported.pk, run.pk)
    assert browser.head(reverse("integrations:callback")).status_code == 405
    for name in set(POSTS) - {"disconnect"}:
        answer = browser.get(reverse(f"integrations:{name}", args=[imported.pk]))
        assert answer.status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    for name in POSTS:
        answer = strict.post(reverse(f"integrations:{name}", args=[imported.pk]))
        assert answer.status_code == 403
    assert strict.post(reverse("integrations:connect")).status_code == 403
    assert table_dump() == before


def test_no_secret_reaches_a_page(
    browser: Client, world: World, imported: Connection, caplog: Any, capsys: Any
) -> None:
    """I-54: whatever a page, a log or a table of ours shows, no token of Xero is in it."""
    secrets = set(world.sandbox.store.refresh_tokens)
    assert imported.tokens is not None
    secrets |= {tokens.access_token(imported.tokens, timezone.now()), "test-client-secret"}
    told = caplog.text + "".join(capsys.readouterr())
    for name in OWN_PAGES:
        told += page(browser, name, imported.pk)
    told += page(browser, "index")
    with database.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')  # noqa: S608
            told += "".join(row[0] for row in cursor.fetchall())
    assert len(secrets) >= 3
    assert not [secret for secret in secrets if secret in told]
