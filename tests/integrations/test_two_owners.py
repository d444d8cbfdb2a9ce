"""Two owners connect the same organisation at the same moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connections as databases
from django.db import transaction
from django.test import Client
from django.urls import reverse
from tests.integrations.conftest import connect
from tests.integrations.world import NOW, World

from justpayme.accounts.models import Business, Membership, User
from justpayme.integrations import actions
from justpayme.sync import tokens
from justpayme.sync.models import Connection, TokenSet
from justpayme.xero import oauth


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Let something happen between the consent and what follows it."""
    complete = actions.complete_connect

    def overtaken(**words: Any) -> actions.Consent:
        consent = complete(**words)
        act(consent.choosable[0])
        return consent

    monkeypatch.setattr(actions, "complete_connect", overtaken)


@pytest.mark.django_db
def test_the_slower_owner_lands_on_the_import_that_the_faster_one_began(
    browser: Client,
    world: World,
    alice: User,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = Membership.objects.get(user=alice, business=business)
    meanwhile(
        monkeypatch,
        lambda row: actions.choose(by=owner, connection=row, address="", now=NOW),
    )
    answer = connect(browser, world, "GB")
    row = business.connections.get()
    assert answer.status_code == 302
    assert answer["Location"] == reverse("integrations:progress", args=[row.pk])
    assert row.state == Connection.State.LIVE


@pytest.mark.django_db
def test_an_offer_that_is_gone_again_is_told_in_a_sentence(
    browser: Client, world: World, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda row: Connection.objects.filter(pk=row.pk).delete())
    answer = connect(browser, world, "GB")
    assert answer.status_code == 302
    page = browser.get(answer["Location"]).content.decode()
    assert "Xero gives no access to Demo Company (UK) now. Connect Xero again." in page


@pytest.mark.django_db(transaction=True)
def test_storing_new_tokens_lets_others_commit_who_point_at_them(
    world: World, business: Business
) -> None:
    """Otherwise two sign-ins at once end in a deadlock: each waits for the other's row."""
    url = oauth.authorise_url(tokens.app(), state="s")
    with tokens.open_client() as http:
        code = world.agree(url, "GB")["code"]
        fresh = oauth.exchange(http, tokens.app(), code=code, now=NOW)
    row = tokens.store(business=business, xero_user_id="xero-user", tokens=fresh, now=NOW)
    locked: list[int] = []

    def point_at_it() -> None:
        try:
            with transaction.atomic(), databases["default"].cursor() as cursor:
                cursor.execute(
                    "SELECT id FROM sync_tokenset WHERE id = %s FOR KEY SHARE NOWAIT", [row.pk]
                )
                locked.extend(found for (found,) in cursor.fetchall())
        finally:
            databases.close_all()

    with transaction.atomic():
        again = tokens.store(business=business, xero_user_id="xero-user", tokens=fresh, now=NOW)
        other = threading.Thread(target=point_at_it)
        other.start()
        other.join(20)
    assert again.pk == row.pk
    assert locked == [row.pk]
    assert TokenSet.objects.count() == 1
