"""What Xero overrode, and what has not reached Xero, as rows ready to print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.urls import reverse

from justpayme.bills.told import Change
from justpayme.core.badge import BADGES, Badge
from justpayme.core.errors import CATALOGUE, Entry, told
from justpayme.core.zones import zone
from justpayme.integrations import defaults
from justpayme.integrations.shown_plan import told as told_unit
from justpayme.sync.models import RESTING, Conflict, Connection, OutboxItem
from justpayme.web.format import Moment, Money, moment, money

State = OutboxItem.State

BADGE_OF = {
    State.WAITING: "waiting",
    State.SENDING: "sending",
    State.UNSURE: "checking",
    State.PARKED: "attention",
    State.REFUSED: "refused",
}


@dataclass(frozen=True, slots=True)
class ShownConflict:
    """One value of ours that Xero overrode: both values, who typed ours and when.

    `why_not`: why ours can't be sent now; empty when it can.
    """

    pk: int
    number: str
    client: str
    url: str
    organisation: str
    changes: tuple[Change, ...]
    who: str
    typed: Moment | None
    at: Moment
    run_url: str
    why_not: str


def conflict(row: Conflict, now: datetime, *, you: int, names: Mapping[str, str]) -> ShownConflict:
    """One open conflict. `you` is the id of the person who looks; `names`: ContactID -> client."""
    tz, bill = zone(row.connection.time_zone), row.bill
    run = [row.connection_id, row.run]
    return ShownConflict(
        pk=row.pk,
        number=bill.number or f"Draft {bill.pk}",
        client=bill.client.name,
        url=reverse("bills:bill", args=[bill.pk]),
        organisation=row.connection.name,
        changes=tuple(told_unit(row.theirs, row.ours, bill.currency, names)),
        who=_who(row.typed_by, you),
        typed=moment(row.typed_at, now, tz) if row.typed_at else None,
        at=moment(row.at, now, tz),
        run_url=reverse("integrations:run", args=run) if row.run else "",
        why_not=_why_not(row.connection),
    )


def _why_not(connection: Connection) -> str:
    if not connection.is_in_use:
        return f"{connection.name} is no longer synced, so yours can’t be sent."
    if connection.direction == Connection.Direction.ONE:
        return f"{connection.name} is one-directional. Go bidirectional to send yours."
    return ""


def _who(person: Any, you: int) -> str:
    if person is None:
        return "Somebody"
    return "You" if person.pk == you else str(person.shown_name)


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One intention that has not reached Xero: its state, since when, and why.

    `said` is Xero's own text where there is one. `contacts`: those in Xero that may be this
    client, for a person to say which.
    """

    pk: int
    kind: str
    number: str
    client: str
    url: str
    organisation: str
    badge: Badge
    amount: Money | None
    since: Moment
    who: str
    entry: Entry | None
    sentence: str
    said: str
    may_retry: bool
    contacts: tuple[dict[str, Any], ...]
    fix_url: str
    fix_label: str


def item(row: OutboxItem, now: datetime, *, you: int) -> ShownItem:
    """One row of the outbox. `you` is the id of the person who looks."""
    tz = zone(row.connection.time_zone)
    entry = CATALOGUE.get(row.error_code)
    bill, client = row.bill, row.client
    state = State(row.state)
    decides = row.kind == OutboxItem.Kind.CONTACT and state is State.PARKED
    fix = _fix(row, entry)
    return ShownItem(
        pk=row.pk,
        kind=row.get_kind_display(),
        number=(bill.number or f"Draft {bill.pk}") if bill else "",
        client=bill.client.name if bill else client.name if client else "",
        url=_url(row),
        organisation=row.connection.name,
        badge=BADGES[BADGE_OF[state]],
        amount=_amount(row),
        since=moment(row.error_at or row.created_at, now, tz),
        who=_who(row.by, you),
        entry=entry,
        sentence=told(entry.code, row.error_text) if entry else "",
        said=row.error_text if entry and entry.code != "refused_by_xero" else "",
        may_retry=state in RESTING and not decides,
        contacts=tuple(row.detail.get("contacts", ())) if decides else (),
        fix_url=fix[0],
        fix_label=fix[1],
    )


def _url(row: OutboxItem) -> str:
    if row.bill_id is not None:
        return reverse("bills:bill", args=[row.bill_id])
    return reverse("bills:client", args=[row.client_id]) if row.client_id is not None else ""


def _fix(row: OutboxItem, entry: Entry | None) -> tuple[str, str]:
    """Where the cause is put right, and what to call the way there; empty if nowhere of ours."""
    fix = entry.fix if entry else ""
    if fix in ("defaults", "reload_lists"):
        return reverse("integrations:defaults", args=[row.connection_id]), "Go to the defaults"
    if fix == "reconnect":
        url = reverse("integrations:organisation", args=[row.connection_id])
        return url, "Go to the connection"
    if fix == "edit_bill" and row.bill is not None and row.bill.status != "void":
        return reverse("bills:bill_edit", args=[row.bill_id]), "Edit the bill"
    return "", ""


def _amount(row: OutboxItem) -> Money | None:
    if row.bill is None:
        return None
    home = row.connection.currency
    if row.paid:
        return money(Decimal(str(row.paid["amount"])), row.bill.currency, home=home)
    return money(row.bill.total, row.bill.currency, home=home)


# --- the organisation's page -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShownDefaults:
    """What is chosen for new invoices and payments; empty rows: nothing yet."""

    rows: tuple[tuple[str, str], ...]
    trouble: tuple[str, ...]


def shown_defaults(connection: Connection) -> ShownDefaults:
    """The choices of an organisation in words, and what became of them in Xero."""
    if connection.defaults_set_at is None:
        return ShownDefaults((), ())
    choices = defaults.choices_of(connection)
    receivers = connection.receiving_accounts.order_by("currency")
    rows = [
        ("Account for sales", _label(choices.accounts, connection.revenue_account)),
        ("Tax rate", _label(choices.tax_types, connection.tax_type)),
        ("Branding theme", _label(choices.themes, connection.branding_theme) or "Xero’s default"),
        ("New invoices are", connection.get_create_as_display()),
        ("Payments go to Xero", "Yes" if connection.write_back else "No"),
        *((f"{one.currency} payments", one.name) for one in receivers),
    ]
    return ShownDefaults(tuple(rows), tuple(defaults.trouble(connection, choices).values()))


def _label(options: Iterable[defaults.Option], value: str) -> str:
    return next((option.label for option in options if option.value == value), value)
