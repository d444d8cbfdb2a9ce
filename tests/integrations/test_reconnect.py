"""A lost connection heals by consent, and only the organisation that consent is about."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from tests.integrations.conftest import come_back, sync
from tests.integrations.two_way import held_up, text_of
from tests.integrations.world import World

from justpayme.accounts.models import Business
from justpayme.integrations import actions
from justpayme.sync import lost
from justpayme.sync.models import Connection, OutboxItem, Run, TokenSet
from justpayme.xero import oauth

pytestmark = pytest.mark.django_db


def lose(world: World, row: Connection) -> None:
    """Xero forgets the consent; the next sync finds out."""
    world.sandbox.identity.revoke_all()
    TokenSet.objects.update(expires_at=timezone.now())
    run = sync(row)
    assert run.error_code == "consent_lost"
    row.refresh_from_db()
    assert row.state == Connection.State.LOST


def reconnect(browser: Client, world: World, row: Connection, *countries: str) -> Any:
    answer = browser.post(reverse("integrations:reconnect", args=[row.pk]))
    return come_back(browser, world.agree(answer["Location"], *countries))


def test_reconnecting_heals_and_keeps_every_setting(
    browser: Client, world: World, business: Business, imported: Connection
) -> None:
    imported.interval_minutes, imported.import_drafts = 360, True
    imported.save()
    lose(world, imported)
    assert len(mail.outbox) == 1
    answer = reconnect(browser, world, imported, "GB")
    assert answer["Location"] == reverse("integrations:organisation", args=[imported.pk])
    imported.refresh_from_db()
    assert imported.state == Connection.State.LIVE
    assert (imported.interval_minutes, imported.import_drafts) == (360, True)
    assert (imported.error_code, imported.error_text, imported.notified_at) == ("", "", None)
    assert imported.imported_at is not None  # it goes on where it was
    assert business.connections.count() == 1
    assert sync(imported).state == "done"
    assert len(mail.outbox) == 1


def test_a_run_from_before_the_loss_does_not_go_on_after_it(
    browser: Client, world: World, imported: Connection
) -> None:
    """I-42: it slept meanwhile, and knows the tokens that were lost."""
    lose(world, imported)
    run = Run.objects.create(connection=imported, started_at=timezone.now())
    reconnect(browser, world, imported, "GB")
    run.refresh_from_db()
    assert run.state == "stopped"


def test_a_second_loss_is_told_again(browser: Client, world: World, imported: Connection) -> None:
    lose(world, imported)
    reconnect(browser, world, imported, "GB")
    lose(world, imported)
    assert len(mail.outbox) == 2


def test_no_call_is_made_while_the_connection_is_lost(
    browser: Client, world: World, imported: Connection
) -> None:
    lose(world, imported)
    world.wire.sent.clear()
    browser.post(reverse("integrations:sync_now", args=[imported.pk]))
    assert imported.runs.filter(state="running").count() == 0
    assert world.wire.sent == []


def test_consenting_to_another_organisation_does_not_heal_the_lost_one(
    browser: Client, world: World, business: Business, imported: Connection
) -> None:
    lose(world, imported)
    answer = reconnect(browser, world, imported, "NZ")
    assert answer["Location"] == reverse("integrations:outcome", args=["wrong_organisation"])
    imported.refresh_from_db()
    assert imported.state == Connection.State.LOST
    other = business.connections.exclude(pk=imported.pk).get()
    assert other.state == Connection.State.OFFERED
    assert not other.links.exists()


def test_one_consent_heals_every_organisation_that_it_covers(
    browser: Client, world: World, business: Business, imported: Connection
) -> None:
    answer = browser.post(reverse("integrations:connect"))
    come_back(browser, world.agree(answer["Location"], "NZ"))
    other = business.connections.exclude(pk=imported.pk).get()
    assert other.is_live
    lose(world, imported)
    other.refresh_from_db()
    assert other.state == Connection.State.LOST
    assert len(mail.outbox) == 1  # one message for both
    reconnect(browser, world, imported, "GB", "NZ")
    assert set(business.connections.values_list("state", flat=True)) == {"live"}


def test_an_organisation_removed_inside_xero_is_lost_and_can_come_back(
    browser: Client, world: World, imported: Connection
) -> None:
    world.sandbox.identity.disconnect(imported.connection_id)
    run = sync(imported)
    assert run.error_code == "removed_in_xero"
    imported.refresh_from_db()
    assert imported.state == Connection.State.LOST
    assert len(mail.outbox) == 1
    reconnect(browser, world, imported, "GB")
    imported.refresh_from_db()
    assert imported.state == Connection.State.LIVE
    assert sync(imported).state == "done"


def test_reconnecting_what_is_live_renews_its_tokens_without_harm(
    browser: Client, world: World, imported: Connection
) -> None:
    answer = reconnect(browser, world, imported, "GB")
    assert answer.status_code == 302
    imported.refresh_from_db()
    assert imported.state == Connection.State.LIVE
    assert sync(imported).state == "done"


def test_lost_bills_are_untouched(
    browser: Client, world: World, business: Business, imported: Connection
) -> None:
    before = list(business.bills.order_by("pk").values())
    lose(world, imported)
    assert list(business.bills.order_by("pk").values()) == before
    assert lost.send_notices(timezone.now()) == 0


# --- the permission to write -------------------------------------------------------------------


def may_write(row: Connection) -> None:
    """It is bidirectional, with a consent to that."""
    Connection.objects.filter(pk=row.pk).update(direction="two")
    TokenSet.objects.update(scopes=oauth.WRITE_SCOPES)
    row.refresh_from_db()


def lacks_permission(row: Connection) -> OutboxItem:
    """A change that Xero did not let us make."""
    bill = row.links.order_by("pk")[0].bill
    return held_up(row, "parked", bill=bill, error_code="write_permission_missing")


def test_what_waits_for_a_permission_leaves_by_itself_after_a_reconnect(
    browser: Client, world: World, imported: Connection
) -> None:
    may_write(imported)
    item = lacks_permission(imported)
    page = text_of(browser.get(reverse("integrations:organisation", args=[imported.pk])))
    assert "Xero lets us read, but not change anything." in page
    reconnect(browser, world, imported, "GB")
    item.refresh_from_db()
    assert (item.state, item.error_code) == ("waiting", "")
    page = text_of(browser.get(reverse("integrations:organisation", args=[imported.pk])))
    assert "Xero lets us read, but not change anything." not in page


def test_a_consent_without_the_permission_lets_nothing_leave(
    browser: Client, world: World, imported: Connection
) -> None:
    item = lacks_permission(imported)
    reconnect(browser, world, imported, "GB")
    item.refresh_from_db()
    assert item.state == "parked"


@pytest.mark.parametrize("state", [Connection.State.LIVE, Connection.State.LOST])
def test_no_consent_takes_the_permission_from_what_is_bidirectional(
    browser: Client, world: World, imported: Connection, state: str
) -> None:
    """The plain button, for one more organisation: her consent replaces her earlier one."""
    may_write(imported)
    if state == Connection.State.LOST:
        lose(world, imported)
    answer = browser.post(reverse("integrations:connect"))
    come_back(browser, world.agree(answer["Location"], "GB", "NZ"))
    imported.refresh_from_db()
    assert (imported.state, imported.direction) == ("live", "two")
    assert actions.may_write(imported)


def test_reconnecting_as_somebody_else_takes_her_consent(
    browser: Client, world: World, imported: Connection
) -> None:
    """The one who connected may have left the firm, or may change nothing in Xero."""
    before = TokenSet.objects.get()
    TokenSet.objects.update(xero_user_id="11111111-2222-3333-4444-555555555555")
    run = Run.objects.create(connection=imported, started_at=timezone.now())
    reconnect(browser, world, imported, "GB")
    imported.refresh_from_db()
    tokens = TokenSet.objects.get()
    assert imported.tokens == tokens
    assert tokens.pk != before.pk
    assert imported.connection_id in {c.id for c in world.sandbox.identity.visible()}
    run.refresh_from_db()
    assert run.state == "stopped"  # it would have asked with tokens that are gone
    assert imported.state == Connection.State.LIVE
    assert sync(imported).state == "done"


def test_a_consent_for_something_else_leaves_living_tokens_alone(
    browser: Client, world: World, imported: Connection
) -> None:
    TokenSet.objects.update(xero_user_id="11111111-2222-3333-4444-555555555555")
    before = TokenSet.objects.get()
    answer = browser.post(reverse("integrations:connect"))
    come_back(browser, world.agree(answer["Location"], "GB"))
    imported.refresh_from_db()
    assert imported.tokens == before
