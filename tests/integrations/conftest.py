"""Alice's business, a local Xero, and browsers of the cast."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from tests.fixtures.cast import PASSWORD
from tests.integrations.world import World, make_world

from justpayme.accounts.models import Business, User
from justpayme.sync.clock import RealClock
from justpayme.sync.models import Connection, Run
from justpayme.sync.runs import run_sync


@pytest.fixture
def world(settings: Any) -> World:
    """A local Xero in place of the network."""
    made = make_world()
    settings.XERO_TRANSPORT = made.wire
    return made


def browser_of(user: User) -> Client:
    """A browser in which this person has signed in."""
    browser = Client()
    assert browser.login(email=user.email, password=PASSWORD)
    return browser


@pytest.fixture
def browser(alice: User) -> Client:
    """Alice's browser."""
    return browser_of(alice)


def begin(browser: Client) -> str:
    """Press Connect Xero; the address at Xero."""
    answer = browser.post(reverse("integrations:connect"))
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def come_back(browser: Client, query: dict[str, str]) -> Any:
    """The callback with this query; not followed."""
    return browser.get(reverse("integrations:callback"), query)


def connect(browser: Client, world: World, *countries: str) -> Any:
    """Connect Xero and consent to these organisations; the answer to the callback."""
    return come_back(browser, world.agree(begin(browser), *countries))


def sync(connection: Connection) -> Run:
    """Run the sync of an organisation here and now."""
    run = run_sync(connection.pk, cause=Run.Cause.PERSON, clock=RealClock())
    assert run is not None
    return run


@pytest.fixture
def live(browser: Client, world: World, business: Business) -> Connection:
    """The UK organisation, connected by Alice, not imported yet."""
    connect(browser, world, "GB")
    return Connection.objects.get(business=business)


@pytest.fixture
def imported(live: Connection) -> Connection:
    """The same, with every invoice imported."""
    run = sync(live)
    assert run.state == Run.State.DONE, run.error_text
    live.refresh_from_db()
    return live
