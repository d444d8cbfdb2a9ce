"""What of a bill has not reached Xero, why, and what a person can do about it: ready to print.

Each problem is told in three parts: what happened, in our words and in Xero's own; what to do;
and the button that does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.urls import reverse

from justpayme.bills.models import Payment
from justpayme.bills.queries import CONTACT_NEEDED, BillDetail, Books
from justpayme.bills.told import Change, contact_ids, told_changes
from justpayme.core.badge import BADGES, Badge
from justpayme.core.errors import CATALOGUE, Entry, told
from justpayme.core.zones import zone
from justpayme.sync.models import RESTING, Conflict, OutboxItem
from justpayme.web.format import Moment, moment, money

Kind, State = OutboxItem.Kind, OutboxItem.State

BADGE_OF = {
    State.WAITING: "waiting",
    State.SENDING: "sending",
    State.UNSURE: "checking",
    State.PARKED: "attention",
    State.REFUSED: "refused",
}
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@dataclass(frozen=True, slots=True)
class Fix:
    """One way out: a link, or with `item` a form that posts it."""

    label: str
    url: str
    icon: str = ""
    item: int = 0
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something of a bill that rests until a person does something. `said`: Xero's own words."""

    pk: int
    tone: str
    icon: str
    title: str
    sentence: str
    said: str
    remedy: str
    since: Moment
    fixes: list[Fix] = field(default_factory=list)


def troubles(detail: BillDetail, books: Books, open_url: str) -> list[Trouble]:
    """What Xero refused or what waits for a person, oldest first."""
    return [
        _trouble(item, detail, books, open_url)
        for item in detail.items
        if item.state in RESTING and not _asks(item)
        if item.error_code != CONTACT_NEEDED
    ]


def _asks(item: OutboxItem) -> bool:
    """Must a person say which contact a client is?"""
    return item.kind == Kind.CONTACT and bool(item.detail.get("contacts"))


def _trouble(item: OutboxItem, detail: BillDetail, books: Books, open_url: str) -> Trouble:
    refused = item.state == State.REFUSED
    entry = CATALOGUE.get(item.error_code)
    what = _what(item, detail)
    said = item.error_text if entry and entry.code != "refused_by_xero" else ""
    return Trouble(
        pk=item.pk,
        tone="bad" if refused else "warn",
        icon="stop" if refused else "warn",
        title=f"Xero refused {what}" if refused and said else f"{_start(what)} can’t go to Xero",
        sentence=told(entry.code, item.error_text) if entry else "It waits for a decision.",
        said=said,
        remedy=entry.remedy if entry else "Try it again.",
        since=_when(item.error_at or item.created_at, item.connection_id, books),
        fixes=_fixes(item, entry, detail, open_url),
    )


def _start(text: str) -> str:
    return text[0].upper() + text[1:]


def _what(item: OutboxItem, detail: BillDetail) -> str:
    if item.paid:
        amount = money(Decimal(str(item.paid["amount"])), detail.bill.currency).text
        return f"the payment of {amount}" if item.kind == Kind.PAY else f"taking back {amount}"
    if item.kind == Kind.CONTACT:
        return "the client"
    return "this bill" if item.kind == Kind.CREATE else "your changes"


def _fixes(item: OutboxItem, entry: Entry | None, detail: BillDetail, open_url: str) -> list[Fix]:
    """The way that the catalogue names first, then trying again, then giving it up."""
    found = _named(item, entry.fix if entry else "", detail, open_url)
    again = Fix("Try again", reverse("bills:bill_retry", args=[detail.bill.pk]), "refresh", item.pk)
    return [*found, again, *_give_up(item, detail)]


def _named(item: OutboxItem, fix: str, detail: BillDetail, open_url: str) -> list[Fix]:
    bill = detail.bill
    if fix == "edit_bill" and bill.status != "void":
        return [Fix("Edit the bill", reverse("bills:bill_edit", args=[bill.pk]), "pencil")]
    if fix == "edit_client":
        return [Fix("Edit the client", reverse("bills:client_edit", args=[bill.client_id]))]
    if fix in ("defaults", "reload_lists"):
        url = reverse("integrations:defaults", args=[item.connection_id])
        return [Fix("Open the settings", url, "settings")]
    if fix == "reconnect":
        return [Fix("Reconnect", reverse("integrations:organisation", args=[item.connection_id]))]
    if fix == "open_xero" and open_url:
        return [Fix("Open in Xero", open_url, "ext", outside=True)]
    return []


def _give_up(item: OutboxItem, detail: BillDetail) -> list[Fix]:
    if item.kind == Kind.PAY:
        payment = payment_of(item, detail.payments)
        if payment is None:
            return []
        args = [detail.bill.pk, payment.pk]
        return [Fix("Remove the payment", reverse("bills:payment_remove", args=args))]
    if item.kind == Kind.CONTACT:
        return []
    label = "Keep it only here" if item.kind == Kind.CREATE else "Take Xero’s version"
    return [Fix(label, reverse("bills:bill_discard", args=[detail.bill.pk]))]


def payment_of(item: OutboxItem, payments: Sequence[Payment]) -> Payment | None:
    """The payment that an item is about; its reference carries the item's marker."""
    if not item.paid:
        return None
    wanted = item.paid["reference"]
    return next((p for p in payments if not p.remote_id and p.reference == wanted), None)


def _when(at: Any, connection_id: int, books: Books) -> Moment:
    return moment(at, books.now, zone(books.connections[connection_id].time_zone))


# --- on its way --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leaving:
    """One change on its way to Xero."""

    what: str
    badge: Badge
    since: Moment
    by: str
    after: str = ""


def leaving(detail: BillDetail, books: Books, reader_id: int) -> list[Leaving]:
    """What waits, is being sent, or is being looked for; oldest first."""
    return [
        Leaving(
            what=_start(_what(item, detail)),
            badge=BADGES["waiting" if item.error_code else BADGE_OF[State(item.state)]],
            since=_when(item.created_at, item.connection_id, books),
            by=_by(item.by, reader_id),
            after="as soon as its client is there" if item.error_code else "",
        )
        for item in detail.items
        if item.state in (State.WAITING, State.SENDING, State.UNSURE)
        or item.error_code == CONTACT_NEEDED
    ]


def _by(person: Any, reader_id: int) -> str:
    if person is None:
        return ""
    return "you" if person.pk == reader_id else str(person.shown_name)


# --- overridden by Xero ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clash:
    """One unit that both changed. `changes`: `old` is ours, `new` is Xero's, in use."""

    pk: int
    label: str
    changes: list[Change]
    by: str
    typed: Moment | None
    at: Moment


@dataclass(frozen=True, slots=True)
class Clashes:
    """All that Xero overrode on a bill. `locked`: why ours can't be sent now."""

    title: str
    rows: list[Clash]
    locked: str = ""


UNIT_LABELS = {
    "lines": "Lines and total",
    "money": "Currency",
    "payments": "Payments recorded here",
    "issued_on": "Issue date",
    "due_on": "Due date",
    "expected_on": "Expected payment",
    "branding_theme": "Branding theme",
    "url": "Link",
}


def clashes(
    detail: BillDetail, books: Books, names: Mapping[str, str], reader_id: int
) -> Clashes | None:
    """The open conflicts of a bill, with both values side by side."""
    if not detail.conflicts:
        return None
    rows = [_clash(row, detail, books, names, reader_id) for row in detail.conflicts]
    several = NUMBERS[min(len(rows), 9) - 1] if len(rows) > 1 else ""
    if detail.partner is not None:
        things = f"{several} things" if several else "thing"
        return Clashes(f"You and Xero changed the same {things}", rows)
    locked = "Nothing is sent to Xero now, so yours can only be read here, or put away."
    values = f"{_start(several)} values of yours are" if several else "A value of yours is"
    return Clashes(f"{values} set aside", rows, locked)


def clash_contacts(detail: BillDetail) -> set[str]:
    """ContactIDs that the conflicts name."""
    return contact_ids(change for row in detail.conflicts for change in _differing(row))


def _clash(
    row: Conflict, detail: BillDetail, books: Books, names: Mapping[str, str], reader_id: int
) -> Clash:
    changes, _ = told_changes(_differing(row), detail.bill.currency, names)
    return Clash(
        pk=row.pk,
        label=UNIT_LABELS.get(row.unit, row.unit.capitalize()),
        changes=changes,
        by=_by(row.typed_by, reader_id),
        typed=_when(row.typed_at, row.connection_id, books) if row.typed_at else None,
        at=_when(row.at, row.connection_id, books),
    )


def _differing(row: Conflict) -> list[dict[str, Any]]:
    """As changes from ours to Xero's. Of the sums only the total is told."""
    skipped = {"sub_total", "tax_total", "discount_total"}
    names = [name for name in row.ours if name not in skipped]
    return [
        {"field": name, "old": row.ours[name], "new": row.theirs.get(name)}
        for name in names
        if row.ours[name] != row.theirs.get(name)
    ]


# --- which contact is it -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """A client that may be a contact in Xero already. `contacts`: id, name, email, archived."""

    pk: int
    client: str
    organisation: str
    contacts: list[dict[str, Any]]
    said: str
    only_archived: bool


def question(detail: BillDetail, books: Books) -> Question | None:
    """Which contact the bill's client is, if a person must say."""
    for item in detail.items:
        if _asks(item) and item.state in (State.PARKED, State.REFUSED):
            contacts = list(item.detail["contacts"])
            return Question(
                pk=item.pk,
                client=detail.bill.client.name,
                organisation=books.connections[item.connection_id].name,
                contacts=contacts,
                said=item.error_text,
                only_archived=all(contact.get("archived") for contact in contacts),
            )
    return None
