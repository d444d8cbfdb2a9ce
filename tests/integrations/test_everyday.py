"""Sync now, settings, safety stops: what a person does with a connected organisation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from tests.integrations.conftest import browser_of, sync

from justpayme.accounts.models import SecurityEvent, User
from justpayme.sync.models import Connection, Run

pytestmark = pytest.mark.django_db


def post(browser: Client, name: str, row: Connection, data: dict[str, Any] | None = None) -> Any:
    return browser.post(reverse(f"integrations:{name}", args=[row.pk]), data or {})


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def idle(row: Connection) -> Connection:
    """As if the last run had ended a minute ago and the next one is due later."""
    row.runs.update(started_at=timezone.now() - timedelta(minutes=1))
    Connection.objects.filter(pk=row.pk).update(next_due_at=timezone.now() + timedelta(minutes=14))
    row.refresh_from_db()
    return row


def waiting_jobs() -> int:
    return ProcrastinateJob.objects.filter(task_name="sync_organisation", status="todo").count()


# --- sync now ----------------------------------------------------------------------------------


def test_sync_now_makes_the_organisation_due_and_defers_one_job(
    imported: Connection, bob: User
) -> None:
    idle(imported)
    answer = post(browser_of(bob), "sync_now", imported)
    assert "Syncing now" in said(answer)
    imported.refresh_from_db()
    assert imported.next_due_at is not None
    assert imported.next_due_at <= timezone.now()
    assert waiting_jobs() == 1


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/bills/", "/bills/"),
        ("https://evil.example/", None),
        ("//evil.example", None),
        ("javascript:alert(1)", None),
        ("/\\evil.example", None),
        ("http:///evil.example", None),
    ],
)
def test_sync_now_goes_back_only_to_a_page_of_ours(
    imported: Connection, browser: Client, wanted: str, target: str | None
) -> None:
    """S20."""
    answer = post(browser, "sync_now", imported, {"next": wanted})
    own = reverse("integrations:organisation", args=[imported.pk])
    assert answer["Location"] == (target or own)


def test_pressing_twice_asks_once(imported: Connection, browser: Client) -> None:
    idle(imported)
    post(browser, "sync_now", imported)
    assert "Syncing now" in said(post(browser, "sync_now", imported))
    assert waiting_jobs() == 1


def test_a_press_within_ten_seconds_of_a_run_is_carried_out_when_they_are_over(
    imported: Connection, browser: Client
) -> None:
    idle(imported)
    started = timezone.now() - timedelta(seconds=5)
    imported.runs.update(started_at=started)
    assert "in a few seconds" in said(post(browser, "sync_now", imported))
    imported.refresh_from_db()
    assert imported.next_due_at == started + timedelta(seconds=10)
    imported.runs.update(started_at=timezone.now() - timedelta(seconds=11))
    assert "Syncing now" in said(post(browser, "sync_now", imported))


def test_a_press_while_a_run_is_under_way_is_followed_by_another(
    imported: Connection, browser: Client
) -> None:
    idle(imported)
    imported.runs.update(state=Run.State.RUNNING)
    assert "Another follows it" in said(post(browser, "sync_now", imported))
    imported.refresh_from_db()
    assert imported.next_due_at is not None
    assert imported.next_due_at <= timezone.now()


def test_sync_now_while_xero_told_us_to_wait_says_so(imported: Connection, browser: Client) -> None:
    idle(imported)
    Connection.objects.update(blocked_until=timezone.now() + timedelta(hours=3))
    assert "no more calls" in said(post(browser, "sync_now", imported))


@pytest.mark.parametrize("state", ["lost", "halted", "disconnected"])
def test_sync_now_needs_a_live_connection(
    imported: Connection, browser: Client, state: str
) -> None:
    Connection.objects.update(state=state)
    assert "not connected" in said(post(browser, "sync_now", imported))


# --- settings ----------------------------------------------------------------------------------


def test_settings_are_kept_and_move_the_next_sync(imported: Connection, browser: Client) -> None:
    checked = timezone.now() - timedelta(minutes=10)
    Connection.objects.update(checked_at=checked, next_due_at=checked + timedelta(minutes=15))
    post(browser, "settings", imported, {"interval_minutes": "60"})
    imported.refresh_from_db()
    assert imported.interval_minutes == 60
    assert not imported.import_drafts
    assert imported.next_due_at == checked + timedelta(hours=1)
    event = SecurityEvent.objects.get(action="settings_changed")
    assert event.detail["minutes"] == 60


def test_drafts_switched_on_are_brought_in_by_the_next_sync(
    imported: Connection, browser: Client
) -> None:
    before = imported.links.count()
    post(
        browser,
        "settings",
        imported,
        {"interval_minutes": "15", "import_drafts": "on"},
    )
    imported.refresh_from_db()
    assert imported.import_drafts
    run = sync(imported)
    assert (run.state, run.kind) == ("done", "audit")
    assert imported.links.count() > before


@pytest.mark.parametrize("minutes", ["5", "15", "30", "60", "180", "360", "720", "1440"])
def test_every_schedule_from_five_minutes_to_a_day_can_be_set(
    imported: Connection, browser: Client, minutes: str
) -> None:
    answer = post(browser, "settings", imported, {"interval_minutes": minutes})
    assert answer.status_code == 302
    imported.refresh_from_db()
    assert imported.interval_minutes == int(minutes)


BAD = ["", "0", "4", "-5", "1441", "15.5", "x", "9" * 500, "<script>", "1\x005", "None", "१५"]


@pytest.mark.parametrize("minutes", BAD)
def test_a_senseless_schedule_is_400_with_a_sentence_and_changes_nothing(
    imported: Connection, browser: Client, minutes: str
) -> None:
    answer = post(browser, "settings", imported, {"interval_minutes": minutes})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "Choose one of the times" in page or "Choose how often" in page
    imported.refresh_from_db()
    assert imported.interval_minutes == 15


@pytest.mark.parametrize("direction", ["both", "", "<script>alert(1)</script>", "x" * 10_000])
def test_a_direction_that_does_not_exist_is_400_with_a_sentence(
    imported: Connection, browser: Client, direction: str
) -> None:
    answer = post(browser, "direction", imported, {"direction": direction})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "Choose One-directional or Bidirectional." in page or "Choose a direction." in page
    imported.refresh_from_db()
    assert imported.direction == "one"


def test_no_other_column_can_be_set_through_the_form(
    imported: Connection, browser: Client, other_business: Any
) -> None:
    """S13: mass assignment."""
    before = Connection.objects.filter(pk=imported.pk).values().get()
    extra = {name: "1" for name in before if name not in ("interval_minutes", "import_drafts")}
    extra |= {"business": str(other_business.pk), "state": "halted", "tokens": "", "name": "x"}
    post(
        browser,
        "settings",
        imported,
        {**extra, "interval_minutes": "15"},
    )
    assert Connection.objects.filter(pk=imported.pk).values().get() == before | {
        "next_due_at": Connection.objects.get(pk=imported.pk).next_due_at
    }


# --- safety stop -------------------------------------------------------------------------------


def halt(row: Connection, code: str) -> Connection:
    Connection.objects.filter(pk=row.pk).update(
        state="halted", error_code=code, error_text="It would void 12 of 20.", next_due_at=None
    )
    row.refresh_from_db()
    return row


def test_an_owner_can_let_a_stopped_sync_go_on(imported: Connection, browser: Client) -> None:
    halt(imported, "mass_void")
    post(browser, "resume", imported)
    imported.refresh_from_db()
    assert imported.state == "live"
    assert imported.accepted_risk
    assert imported.error_code == ""
    assert imported.next_due_at is not None
    event = SecurityEvent.objects.get(action="safety_stop_overruled")
    assert event.detail["code"] == "mass_void"


def test_another_organisation_behind_the_connection_cannot_be_accepted(
    imported: Connection, browser: Client
) -> None:
    halt(imported, "organisation_changed")
    assert "Disconnect it instead" in said(post(browser, "resume", imported))
    imported.refresh_from_db()
    assert imported.state == "halted"
    assert not imported.accepted_risk


def test_resuming_what_is_not_stopped_does_nothing(imported: Connection, browser: Client) -> None:
    assert "not stopped" in said(post(browser, "resume", imported))
    imported.refresh_from_db()
    assert not imported.accepted_risk
