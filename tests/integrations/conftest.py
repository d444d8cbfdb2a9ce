"""Alice's business, a local Xero, and browsers of the cast."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from tests.fixtures.cast import PASSWORD, join
from tests.fixtures.laid import Laid, rehearsal
from tests.integrations.world import World, make_world

from justpayme.accounts.models import Business, Membership, User
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


class Still(RealClock):
    """Our clock, standing at a moment."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


def sync(connection: Connection, clock: RealClock | None = None) -> Run:
    """Run the sync of an organisation here and now."""
    run = run_sync(connection.pk, cause=Run.Cause.PERSON, clock=clock or RealClock())
    assert run is not None
    return run


@pytest.fixture
def live(browser: Client, world: World, business: Business) -> Connection:
    """The UK organisation, connected by Alice, not imported yet."""
    connect(browser, world, "GB")
    return Connection.objects.get(business=business)


@pytest.fixture(scope="session")
def import_of_live(django_db_setup: None, django_db_blocker: Any) -> tuple[Laid, list[Any]]:
    """The import of `live` to be laid down, and the calls that it made."""
    world = make_world()
    with (
        rehearsal(django_db_blocker) as business,
        override_settings(XERO_TRANSPORT=world.wire),
    ):
        connect(browser_of(join(business, "Alice", Membership.Role.OWNER)), world, "GB")
        before = len(world.wire.sent)
        # After connecting; and Xero knows milliseconds, so nothing of its has our microseconds.
        clock = Still(timezone.now().replace(microsecond=123_457) + timedelta(seconds=1))
        made = Connection.objects.get(business=business)
        laid = Laid(made, world.sandbox, lambda row: sync(row, clock))
    return laid, world.wire.sent[before:]


@pytest.fixture
def imported(live: Connection, world: World, import_of_live: tuple[Laid, list[Any]]) -> Connection:
    """The same, with every invoice imported."""
    laid, calls = import_of_live
    laid.lay(live, world.sandbox, timezone.now())
    world.wire.sent += calls
    return live
