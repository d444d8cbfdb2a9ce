"""One bill as its page shows it: lines, ladder, payments, Xero and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from justpayme.bills.models import Bill, ClientHistory, Line, Payment
from justpayme.bills.queries import (
    BillDetail,
    Books,
)
from justpayme.bills.shown import Figure, SyncLine, bill_confidence, long_class, sync_line
from justpayme.bills.shown_way import BADGE_OF, payment_of
from justpayme.bills.told import PAYMENTS, Change, contact_ids, told_changes
from justpayme.core.badge import BADGES, Badge
from justpayme.core.bill import MoneyKind, TaxMode
from justpayme.core.outbox import without_marker
from justpayme.core.totals import rate_text
from justpayme.core.zones import zone
from justpayme.runtime.config import DEFAULT_XERO_LOGIN_URL
from justpayme.sync.models import Connection, Link, OutboxItem, checked_at
from justpayme.web.format import (
    MISSING,
    Day,
    Moment,
    Money,
    day,
    moment,
    money,
    quantity,
)

XERO = "https://go.xero.com/app"

REMOTE_STATUS = {
    "DRAFT": "Draft",
    "SUBMITTED": "Awaiting approval",
    "AUTHORISED": "Awaiting payment",
    "PAID": "Paid",
    "VOIDED": "Voided",
    "DELETED": "Deleted",
}
"""Xero's own words for its invoice states, as its pages show them."""


def open_in_xero(connection: Connection, invoice_id: UUID | str) -> str:
    """The invoice in the pages of the Xero that has it. "" when the organisation's short code is
    not known, which only the real one's pages need; any other Xero is our local one.

    [?] The form of this address is taken from Xero's deep links and was not tried against a
    real organisation: https://developer.xero.com/documentation/guides/how-to-guides/deep-link-xero
    """
    if settings.XERO_LOGIN_URL != DEFAULT_XERO_LOGIN_URL:
        return f"{settings.XERO_LOGIN_URL}/org/{connection.tenant_id}/invoice/{invoice_id}"
    if not connection.short_code:
        return ""
    return f"{XERO}/{quote(connection.short_code, safe='!')}/invoicing/view/{invoice_id}"


# --- one bill ------------------------------------------------------------------------------------


def bill_figures(detail: BillDetail, books: Books) -> list[Figure]:
    """The strip under a bill's heading."""
    bill = detail.bill
    code = books.business.currency
    lead = money(bill.outstanding, bill.currency, home=code)
    due = day(bill.due_on, detail.today)
    note = due.note if detail.shown in ("active", "overdue") else ""
    state = "" if bill.status in ("draft", "void") else bill_confidence(detail.owner, books.now)
    figures = [
        Figure("Outstanding", lead, lead=True, state=state, extra=long_class(lead)),
        Figure("Due", due, note),
        Figure("Total", money(bill.total, bill.currency), _tax_note(bill)),
        Figure("Issued", day(bill.issued_on, detail.today), "sent" if bill.sent else ""),
        Figure("Reference", bill.reference or MISSING),
    ]
    if bill.expected_on:
        figures.insert(2, Figure("Expected", day(bill.expected_on, detail.today)))
    return figures


def _tax_note(bill: Bill) -> str:
    if bill.tax_mode == TaxMode.NONE:
        return "no tax"
    return f"tax {money(bill.tax_total, bill.currency).text}"


@dataclass(frozen=True, slots=True)
class ShownLine:
    """One line of a bill."""

    description: str
    codes: str
    quantity: str
    price: str
    discount: str
    tax: str
    amount: Money


def shown_lines(lines: Sequence[Line], currency: str) -> list[ShownLine]:
    """The lines of a bill as its table shows them."""
    return [_shown_line(line, currency) for line in lines]


def _shown_line(line: Line, currency: str) -> ShownLine:
    tracking = [f"{t.get('name', '')}: {t.get('option', '')}" for t in line.tracking]
    codes = filter(None, [line.item_code, line.account_code, *tracking])
    price = "" if line.unit_amount is None else money(line.unit_amount, currency).text
    return ShownLine(
        description=line.description or MISSING,
        codes=" · ".join(codes),
        quantity="" if line.quantity is None else quantity(line.quantity),
        price=price,
        discount=_discount(line, currency),
        tax=_tax(line, currency),
        amount=money(line.line_amount, currency),
    )


def _discount(line: Line, currency: str) -> str:
    if line.discount_rate:
        return f"less {rate_text(line.discount_rate)}"
    return f"less {money(line.discount_amount, currency).text}" if line.discount_amount else ""


def _tax(line: Line, currency: str) -> str:
    """The rate of a line made here; what Xero worked out, for a line of its own."""
    if line.tax_type.endswith("%"):
        return line.tax_type
    return money(line.tax_amount, currency).text if line.tax_amount else "no tax"


@dataclass(frozen=True, slots=True)
class ShownPayment:
    """One payment or credit; `remove_url` when a person may take it back here.

    `badge`: how far it is on its way to Xero, or out of it. `leaves`: it is being taken back.
    """

    pk: int
    title: str
    sub: str
    on: Day
    amount: Money
    remove_url: str
    badge: Badge | None = None
    leaves: bool = False


def shown_payments(detail: BillDetail, may_change: bool) -> list[ShownPayment]:
    """Payments and credits, as amounts that come off; then those that Xero has still to drop."""
    rows = [_shown_payment(payment, detail, may_change) for payment in detail.payments]
    unpaid = (item for item in detail.items if item.kind == OutboxItem.Kind.UNPAY and item.paid)
    return [*rows, *(_taken_back(item, detail) for item in unpaid)]


def _shown_payment(payment: Payment, detail: BillDetail, may_change: bool) -> ShownPayment:
    kind = PAYMENTS.get(payment.kind, "Payment")
    reference = without_marker(payment.reference)
    title = f"{kind} {payment.number}" if payment.number else reference or kind
    item = next((i for i in detail.items if payment_of(i, [payment])), None)
    badge = BADGES[BADGE_OF[OutboxItem.State(item.state)]] if item else None
    removable = may_change and not detail.is_locked and payment.kind == MoneyKind.PAYMENT
    args = [detail.bill.pk, payment.pk]
    return ShownPayment(
        pk=payment.pk,
        title=title,
        sub=", ".join(
            filter(
                None,
                (
                    _where(payment, badge),
                    payment.account,
                    reference if payment.number else "",
                ),
            )
        ),
        on=day(payment.on, detail.today),
        amount=money(-payment.amount, detail.bill.currency),
        remove_url=reverse("bills:payment_remove", args=args) if removable else "",
        badge=badge,
    )


def _where(payment: Payment, badge: Badge | None) -> str:
    if payment.remote_id:
        return "Recorded in Xero"
    if badge is None:
        return "Recorded here"
    return "Recorded here" if badge.key in ("refused", "attention") else "On its way to Xero"


def _taken_back(item: OutboxItem, detail: BillDetail) -> ShownPayment:
    paid: Any = item.paid
    on = date.fromisoformat(paid["on"]) if paid.get("on") else None
    return ShownPayment(
        pk=0,
        title=without_marker(paid["reference"]) or "Payment",
        sub="Being taken back out of Xero",
        on=day(on, detail.today),
        amount=money(-Decimal(str(paid["amount"])), detail.bill.currency),
        remove_url="",
        badge=BADGES[BADGE_OF[OutboxItem.State(item.state)]],
        leaves=True,
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the ladder from lines to what is outstanding."""

    label: str
    amount: Money
    kind: str = ""


def ladder(bill: Bill) -> list[Step]:
    """Net, tax, total, what came off, outstanding. Amounts exactly as stored."""

    def step(label: str, amount: Decimal, kind: str = "") -> Step:
        return Step(label, money(amount, bill.currency), kind)

    steps = [step("Net", bill.sub_total)]
    if bill.discount_total:
        steps[0] = step("Net, after discount", bill.sub_total)
    if bill.tax_mode != TaxMode.NONE:
        steps.append(step("Tax", bill.tax_total))
    steps.append(step("Total", bill.total, "sum"))
    if bill.paid:
        steps.append(step("Paid", -bill.paid))
    if bill.credited:
        steps.append(step("Credited", -bill.credited))
    return [*steps, step("Outstanding", bill.outstanding, "due")]


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a list of facts."""

    label: str
    value: str
    moment: Moment | None = None


@dataclass(frozen=True, slots=True)
class XeroPanel:
    """What a bill's page says about its Xero invoice."""

    sync: SyncLine
    facts: list[Fact] = field(default_factory=list)
    open_url: str = ""
    sync_url: str = ""
    locked: str = ""


def xero_panel(detail: BillDetail, now: datetime, may_change: bool) -> XeroPanel:
    """Badge, organisation, Xero's own status, and why the fields are locked."""
    connection, link = detail.connection, detail.link
    if connection is None or link is None:
        return XeroPanel(sync_line(connection, now, detail.way))
    line = sync_line(connection, now, detail.way, checked_at(link, connection))
    owner = detail.owner
    locked = (
        f"{connection.name} owns this bill, so its fields are locked here. "
        "Change it in Xero, and the change comes with the next sync."
    )
    can_sync = owner is not None and owner.is_live and may_change
    return XeroPanel(
        sync=line,
        facts=_xero_facts(detail.bill, link, connection, now),
        open_url=open_in_xero(connection, link.invoice_id),
        sync_url=reverse("integrations:sync_now", args=[connection.pk]) if can_sync else "",
        locked=locked if detail.is_locked else "",
    )


def _xero_facts(bill: Bill, link: Link, connection: Connection, now: datetime) -> list[Fact]:
    tz = zone(connection.time_zone)
    status = REMOTE_STATUS.get(link.remote_status, link.remote_status.capitalize())
    owned = connection.is_in_use
    facts = [
        Fact("Status in Xero" if owned else "Last status in Xero", status or MISSING),
        Fact("Xero invoice", bill.number or "No number yet"),
        Fact("Organisation", connection.name),
    ]
    if owned:
        facts.append(Fact("Direction", connection.get_direction_display()))
    checked = checked_at(link, connection)
    if owned and checked:
        facts.append(Fact("Checked", "", moment(checked, now, tz)))
    if link.remote_updated_at:
        facts.append(Fact("Changed in Xero", "", moment(link.remote_updated_at, now, tz)))
    if link.edited and not owned:
        facts.append(Fact("Since then", "Changed here"))
    return facts


# --- history -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """One entry of a timeline."""

    tone: str
    icon: str
    what: str
    note: str
    changes: list[Change]
    more: int
    by: str
    moment: Moment
    run: str = ""
    run_url: str = ""
    past_url: str = ""


PERSON_DID = {
    "created": ("calm", "pencil", "Made here"),
    "edited": ("calm", "pencil", "Changed here"),
    "approved": ("go", "dot", "Made active"),
    "voided": ("calm", "void", "Voided here"),
    "paid": ("ok", "card", "Payment recorded here"),
    "unpaid": ("calm", "card", "Payment removed here"),
    "to_xero": ("go", "up", "To be created in Xero, too"),
    "kept_here": ("calm", "absent", "Not to be created in Xero after all"),
    "restored": ("go", "up", "Our value stands again and goes to Xero"),
    "kept_xeros": ("calm", "equal", "Xero’s value was kept"),
    "discarded": ("calm", "down", "Xero’s version was taken"),
}
XERO_DID = {
    "imported": ("calm", "down", "Imported from Xero"),
    "changed": ("go", "down", "Changed in Xero"),
    "overridden": ("clash", "notequal", "Xero’s version replaced edits made here"),
    "sent": ("ok", "up", "Sent to Xero"),
    "strayed": ("clash", "notequal", "Found changed outside JustPayMe"),
    "tied": ("calm", "link", "Tied to its Xero invoice again"),
    "untied": ("clash", "unlink", "Not an invoice in Xero any more"),
}

CONFIRMED = ("calm", "equal", "Confirmed by Xero, with every value the same")
"""Xero gave what we had sent its own ids, and changed nothing that is shown."""


def told_history(
    entries: Sequence[Mapping[str, Any]],
    detail: BillDetail,
    books: Books,
    names: Mapping[str, str],
    reader_id: int,
) -> list[Told]:
    """One page of a bill's history. `reader_id` reads "You"."""
    tz = zone(detail.connection.time_zone if detail.connection else books.business.time_zone)
    return [_told_entry(entry, detail, books.now, tz, names, reader_id) for entry in entries]


def history_contacts(entries: Sequence[Mapping[str, Any]]) -> set[str]:
    """ContactIDs that a page of history names."""
    return {pk for entry in entries for pk in contact_ids(entry["changes"])}


def _told_entry(
    entry: Mapping[str, Any],
    detail: BillDetail,
    now: datetime,
    tz: tzinfo,
    names: Mapping[str, str],
    reader_id: int,
) -> Told:
    changes, more = told_changes(entry["changes"], detail.bill.currency, names)
    known = PERSON_DID if entry["source"] == "person" else XERO_DID
    plain = entry["action"].replace("_", " ").capitalize()
    tone, icon, what = known.get(entry["action"], ("calm", "unlink", plain))
    if entry["action"] == "changed" and entry["source"] == "xero" and not changes:
        tone, icon, what = CONFIRMED
    run_url, run = _run(entry, detail)
    return Told(
        tone=tone,
        icon=icon,
        what=what,
        note=entry["note"] if entry["note"] != what else "",
        changes=changes,
        more=more,
        by=_by(entry, reader_id),
        moment=moment(entry["at"], now, tz),
        run=run,
        run_url=run_url,
        past_url=reverse("bills:bill_after", args=[detail.bill.pk, entry["id"]]),
    )


def _by(entry: Mapping[str, Any], reader_id: int) -> str:
    if entry["source"] == "person":
        if entry["by_id"] == reader_id:
            return "You"
        return entry["by__name"] or entry["by__email"] or "Somebody who has left"
    return _SOURCES.get(entry["source"], "Connection")


_SOURCES = {"xero": "Xero", "import": "First import", "write-back": "Sent by JustPayMe"}


def _run(entry: Mapping[str, Any], detail: BillDetail) -> tuple[str, str]:
    """The address and name of the sync run that brought a change."""
    if not entry["run"]:
        return "", ""
    label = f"sync run {entry['run']:,}"
    if detail.connection is None:
        return "", label
    return reverse("integrations:run", args=[detail.connection.pk, entry["run"]]), label


def told_client_history(
    entries: Sequence[ClientHistory], books: Books, reader_id: int
) -> list[Told]:
    """What people changed on a client."""
    tz = zone(books.business.time_zone)
    return [
        Told(
            tone="calm",
            icon="pencil",
            what="Added here" if entry.action == "created" else "Changed here",
            note="",
            changes=told_changes(entry.changes, books.business.currency, {})[0],
            more=0,
            by=_who(entry, reader_id),
            moment=moment(entry.at, books.now, tz),
        )
        for entry in entries
    ]


def _who(entry: ClientHistory, reader_id: int) -> str:
    if entry.by is None:
        return "Somebody who has left"
    return "You" if entry.by.pk == reader_id else entry.by.shown_name
