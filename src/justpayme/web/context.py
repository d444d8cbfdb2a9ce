"""What the frame around every page shows: navigation, pulse, banner, theme.

Everything is worked out when a template first asks for it, so a fragment costs no query.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from justpayme.accounts.models import Business, Membership
from justpayme.core import schedule
from justpayme.core.errors import CATALOGUE
from justpayme.core.zones import zone
from justpayme.sync.models import Connection, is_fresh
from justpayme.web.format import Moment, moment
from justpayme.web.theme import theme_of

State = Connection.State


@dataclass(frozen=True, slots=True)
class NavItem:
    """One place of the main navigation."""

    label: str
    icon: str
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Pulse:
    """The state of the sync in three words, on every page."""

    state: str
    text: str
    icon: str
    url: str
    moment: Moment | None = None


@dataclass(frozen=True, slots=True)
class Banner:
    """The one thing that needs a person now: what happened, what it means, what to do."""

    key: str
    title: str
    text: str
    tone: str = "warn"
    icon: str = "warn"
    action_url: str = ""
    action_label: str = ""
    action_icon: str = ""
    action_post: bool = False
    id: str = "banner"


class Frame:
    """Works out the frame for one request; at most one query (the connections)."""

    def __init__(self, request: HttpRequest, now: datetime) -> None:
        self.request = request
        self.now = now
        self.business: Business | None = getattr(request, "business", None)
        self.membership: Membership | None = getattr(request, "membership", None)

    @cached_property
    def connections(self) -> list[Connection]:
        """The connections that were ever chosen, in the order of their names."""
        if self.business is None:
            return []
        return list(self.business.connections.exclude(state=State.OFFERED))

    @cached_property
    def pulse(self) -> Pulse | None:
        """The worst state of all organisations; None where nobody is at work."""
        if self.business is None:
            return None
        active = [c for c in self.connections if c.state != State.DISCONNECTED]
        if not active:
            return Pulse("none", "Xero not connected", "absent", integrations_url())
        if any(c.state in (State.LOST, State.HALTED) for c in active):
            return Pulse("paused", "Xero paused", "warn", integrations_url())
        if any(c.wants_import or c.checked_at is None for c in active):
            return Pulse("importing", "Importing from Xero", "down", integrations_url())
        return self._checked(min(active, key=lambda c: c.checked_at or self.now))

    def _checked(self, oldest: Connection) -> Pulse:
        told = moment(oldest.checked_at or self.now, self.now, zone(oldest.time_zone))
        icon = "equal" if is_fresh(oldest, self.now) else "clock"
        return Pulse("checked", "Xero checked", icon, integrations_url(), told)

    @cached_property
    def banner(self) -> Banner | None:
        """The most severe thing that holds up a connection, if any."""
        for state, make in ((State.LOST, self._lost), (State.HALTED, self._halted)):
            for connection in self.connections:
                if connection.state == state:
                    return make(connection)
        for connection in self.connections:
            if connection.is_live and self._waits_long(connection):
                return self._blocked(connection)
        return None

    @property
    def _may_manage(self) -> bool:
        return bool(self.membership and self.membership.may_manage)

    def _told(self, at: datetime | None, connection: Connection) -> str:
        return moment(at, self.now, zone(connection.time_zone)).text if at else "a while ago"

    def _lost(self, connection: Connection) -> Banner:
        when = self._told(connection.error_at, connection)
        text = (
            f"The permission for {connection.name} ended {when}. Every bill is here as it was, "
            "but changes made in Xero since then don’t show."
        )
        title = "Xero has stopped letting us in. Nothing is lost."
        if not self._may_manage:
            return Banner("lost", title, f"{text} An owner of the business can reconnect.")
        url = reverse("integrations:reconnect", args=[connection.pk])
        return Banner(
            "lost", title, text, "warn", "warn", url, "Reconnect Xero", "link", action_post=True
        )

    def _halted(self, connection: Connection) -> Banner:
        url = reverse("integrations:organisation", args=[connection.pk])
        title = f"We stopped the sync of {connection.name} to be safe"
        entry = CATALOGUE.get(connection.error_code)
        text = f"{entry.sentence} {entry.means}" if entry else "What Xero sent did not look right."
        return Banner("halted", title, text, "warn", "stop", url, "See what to do")

    def _waits_long(self, connection: Connection) -> bool:
        """Longer than the schedule: a short pause is not worth a banner."""
        until = connection.blocked_until
        if until is None or not schedule.waits(until, self.now):
            return False
        return (until - self.now).total_seconds() > 60 * connection.interval_minutes

    def _blocked(self, connection: Connection) -> Banner:
        when = self._told(connection.blocked_until, connection)
        entry = CATALOGUE.get(connection.error_code, CATALOGUE["day_limit"])
        text = (
            f"{connection.name}: your bills are here as of the last check, and the sync goes on "
            f"by itself {when}. Nothing to do."
        )
        return Banner("limit", entry.sentence, text, "calm", "clock")

    @cached_property
    def nav(self) -> list[NavItem]:
        """The four places, with the current one marked."""
        if self.business is None:
            return []
        bills, clients, settings = (
            reverse("bills:bills"),
            reverse("bills:clients"),
            reverse("accounts:settings"),
        )
        home, path = reverse("bills:home"), self.request.path
        return [
            NavItem("Home", "home", home, path == home),
            NavItem("Bills", "bill", bills, path.startswith(bills)),
            NavItem("Clients", "clients", clients, path.startswith(clients)),
            NavItem("Settings", "settings", settings, path.startswith((settings, "/account/"))),
        ]


def integrations_url() -> str:
    """Where the pulse leads: the card of the connection."""
    return reverse("integrations:index")


def frame(request: HttpRequest) -> dict[str, Any]:
    """The context processor. Values are functions: only what a template asks for is worked out."""
    made = Frame(request, timezone.now())
    return {
        "nav": lambda: made.nav,
        "pulse": lambda: made.pulse,
        "banner": lambda: made.banner,
        "theme": lambda: theme_of(request),
    }
