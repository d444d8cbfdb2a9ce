"""Bills and clients as the pages show them: every string ready, so that templates only print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

from babel.numbers import get_currency_name
from django.urls import reverse

from justpayme.bills.models import Bill, ClientHistory, Line, Payment
from justpayme.bills.queries import (
    OWNING,
    Age,
    Balance,
    BillDetail,
    BillRow,
    Books,
    ClientRow,
    Summary,
    Sums,
    Tally,
)
from justpayme.bills.told import PAYMENTS, Change, contact_ids, told_changes
from justpayme.core.badge import BADGES, Badge, BillSyncFacts, badge_for
from justpayme.core.bill import MoneyKind, TaxMode
from justpayme.core.totals import rate_text
from justpayme.sync.models import Connection, Link, is_fresh
from justpayme.web.format import (
    LOCALE,
    MISSING,
    Day,
    Moment,
    Money,
    day,
    long_day,
    moment,
    money,
    quantity,
    zone,
)

UNNAMED = "Draft"
LONG_AMOUNT = 16
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
    """The invoice in Xero's own pages. "" when the organisation's short code is not known.

    [?] The form of this address is taken from Xero's deep links and was not tried against a
    real organisation: https://developer.xero.com/documentation/guides/how-to-guides/deep-link-xero
    """
    if not connection.short_code:
        return ""
    return f"{XERO}/{connection.short_code}/invoicing/view/{invoice_id}"


# --- how sure are we ---------------------------------------------------------------------------


def confidence(books: Books) -> str:
    """ "final": every connected organisation was checked on time; else "stale" (the double rule).

    Bills kept only here are always final.
    """
    owners = [c for c in books.connections.values() if c.state in OWNING]
    fresh = all(c.imported_at and is_fresh(c, books.now) for c in owners)
    return "final" if fresh else "stale"


def bill_confidence(owner: Connection | None, now: datetime) -> str:
    """The same for one bill."""
    return "final" if owner is None or is_fresh(owner, now) else "stale"


def checked(books: Books) -> Moment | None:
    """When the organisation that was checked longest ago was checked."""
    owners = [c for c in books.connections.values() if c.state in OWNING and c.checked_at]
    if not owners:
        return None
    oldest = min(owners, key=lambda c: c.checked_at or books.now)
    return moment(oldest.checked_at or books.now, books.now, zone(oldest.time_zone))


def next_check(books: Books) -> Moment | None:
    """When the next check is planned, if one is."""
    due = [(c.next_due_at, c) for c in books.connections.values() if c.is_live and c.next_due_at]
    if not due:
        return None
    at, first = min(due, key=lambda pair: pair[0])
    return moment(at, books.now, zone(first.time_zone)) if at > books.now else None


# --- sync ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SyncLine:
    """A bill's badge, and the fact under it that helps most."""

    badge: Badge
    note: str
    moment: Moment | None = None


def sync_line(connection: Connection | None, now: datetime) -> SyncLine:
    """What the sync says about a bill of this organisation, or of none."""
    if connection is None:
        return SyncLine(BADGES["absent"], "Made here")
    parted = connection.state not in OWNING
    badge = badge_for(
        BillSyncFacts(linked=True, parted=parted, direction=str(connection.direction))
    )
    if parted:
        return SyncLine(badge, f"Was {connection.name}")
    if connection.checked_at is None:
        return SyncLine(badge, "First import is running")
    told = moment(connection.checked_at, now, zone(connection.time_zone))
    return SyncLine(badge, "Checked" if is_fresh(connection, now) else "As of", told)


# --- rows of lists -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShownBill:
    """One row of a list of bills. `hidden` tells rows of one client apart for a screen reader."""

    url: str
    title: str
    hidden: str
    sub: str
    due: Day
    due_note: str
    status: str
    amount: Money
    of: str
    sync: SyncLine


def shown_bills(
    rows: Sequence[BillRow], books: Books, *, of_client: bool = False
) -> list[ShownBill]:
    """The rows of one page; `of_client` leads with the number, for a page of one client."""
    lines = {
        key: sync_line(books.connections.get(key or 0), books.now)
        for key in {row.connection.pk if row.connection else None for row in rows}
    }
    return [
        _shown_bill(row, books, lines[row.connection.pk if row.connection else None], of_client)
        for row in rows
    ]


def _shown_bill(row: BillRow, books: Books, sync: SyncLine, of_client: bool) -> ShownBill:
    number = row.number or UNNAMED
    sub = row.reference if of_client else " · ".join(filter(None, (number, row.reference)))
    due = day(row.due_on, row.today)
    return ShownBill(
        url=reverse("bills:bill", args=[row.pk]),
        title=number if of_client else row.client_name or MISSING,
        hidden="" if of_client else number,
        sub=sub,
        due=due,
        due_note=_due_note(row, due),
        status=row.shown,
        amount=_list_amount(row, books),
        of=_of_total(row),
        sync=sync,
    )


def _list_amount(row: BillRow, books: Books) -> Money:
    """What is outstanding; a void bill shows what it was, struck through by the page."""
    amount = row.total if row.status == "void" else row.outstanding
    return money(amount, row.currency, home=books.business.currency)


def _of_total(row: BillRow) -> str:
    part = row.status in ("active", "paid") and row.taken_off and row.outstanding != row.total
    return f"of {money(row.total, row.currency).text}" if part else ""


def _due_note(row: BillRow, due: Day) -> str:
    if row.status == "draft":
        return "not owed yet"
    if row.status == "void":
        return "void"
    if row.status == "paid":
        if not row.total:
            return "nothing to pay"
        return f"paid {long_day(row.fully_paid_on)}" if row.fully_paid_on else "paid"
    return due.note


@dataclass(frozen=True, slots=True)
class ShownClient:
    """One row of the list of clients."""

    url: str
    new_bill_url: str
    name: str
    email: str
    archived: bool
    owed: list[Money]
    bills: str
    badge: Badge


def shown_clients(rows: Sequence[ClientRow], books: Books) -> list[ShownClient]:
    """The rows of one page of clients."""
    return [
        ShownClient(
            url=reverse("bills:client", args=[row.pk]),
            new_bill_url=f"{reverse('bills:bill_new')}?client={row.pk}",
            name=row.name or MISSING,
            email=row.email,
            archived=row.archived,
            owed=owed_moneys(row.balances, books),
            bills=bills_open(row.balances),
            badge=sync_line(row.connection, books.now).badge,
        )
        for row in rows
    ]


def owed_moneys(balances: Sequence[Balance], books: Books) -> list[Money]:
    """A balance per currency; one zero when nothing is owed."""
    home = books.business.currency
    found = [money(b.owed, b.currency, home=home) for b in balances]
    return found or [money(Decimal(0), home)]


def bills_open(balances: Sequence[Balance]) -> str:
    """How many bills are owed: "2 bills"."""
    count = sum(balance.bills for balance in balances)
    return count_bills(count) if count else "nothing owed"


def count_bills(count: int) -> str:
    """1 bill, 1,875 bills."""
    return f"{count:,} bill{'' if count == 1 else 's'}"


# --- figures -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """One entry of a figure strip. `state`: "final" or "stale" for the figure of the page."""

    label: str
    value: Money | Day | str
    note: str = ""
    lead: bool = False
    state: str = ""
    extra: str = ""


def list_figures(summary: Summary, books: Books, label: str = "Outstanding") -> list[Figure]:
    """The strip above the list of bills."""
    home = books.business.currency
    own = next((s for s in summary.sums if s.currency == home), Sums(home))
    month = books.today.strftime("%B")
    lead = money(own.owed, home)
    figures = [
        Figure(label, lead, lead=True, state=confidence(books), extra=_long(lead)),
        Figure("Overdue", money(own.late, home), count_bills(own.late_bills)),
        Figure("Due in 7 days", money(own.soon, home), count_bills(own.soon_bills), extra="hide-m"),
    ]
    for sums in summary.sums:
        if sums.currency != home and sums.owed_bills:
            note = f"{count_bills(sums.owed_bills)}, not converted"
            figures.append(
                Figure(f"In {currency_name(sums.currency)}", money(sums.owed, sums.currency), note)
            )
    paid = count_bills(own.paid_bills)
    figures.append(Figure(f"Paid in {month}", money(own.paid, home), paid, extra="hide-m"))
    return figures


def _long(amount: Money) -> str:
    """A class that draws a very large amount smaller, so that it is never cut on a phone."""
    return "long" if len(str(amount)) > LONG_AMOUNT else ""


def billed_figures(billed: Sequence[Balance], books: Books) -> list[Figure]:
    """What was billed to a client in the last year, per currency."""
    home = books.business.currency
    rows = [b for b in billed if b.currency == home] or [Balance(home, Decimal(0), 0)]
    rows += [b for b in billed if b.currency != home]
    return [
        Figure(
            "Billed in 12 months",
            money(row.owed, row.currency, home=home),
            f"{count_bills(row.bills)}, tax included",
        )
        for row in rows
    ]


def client_sync(connection: Connection | None, now: datetime) -> SyncLine:
    """What the sync says about a client: the same badges, with a client's words."""
    line = sync_line(connection, now)
    if connection is None:
        return SyncLine(line.badge, "Added here")
    if line.moment is None:
        return line
    return SyncLine(line.badge, f"A contact of {connection.name}, checked", line.moment)


def currency_name(code: str) -> str:
    """euros, Swiss francs."""
    name = get_currency_name(code, count=2, locale=LOCALE)
    return name or code


def bill_figures(detail: BillDetail, books: Books) -> list[Figure]:
    """The strip under a bill's heading."""
    bill = detail.bill
    code = books.business.currency
    lead = money(bill.outstanding, bill.currency, home=code)
    due = day(bill.due_on, detail.today)
    note = due.note if detail.shown in ("active", "overdue") else ""
    state = "" if bill.status in ("draft", "void") else bill_confidence(detail.owner, books.now)
    figures = [
        Figure("Outstanding", lead, lead=True, state=state, extra=_long(lead)),
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


# --- one bill ------------------------------------------------------------------------------------


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
    """One payment or credit; `remove_url` when a person may take it back here."""

    pk: int
    title: str
    sub: str
    on: Day
    amount: Money
    remove_url: str


def shown_payments(detail: BillDetail, may_change: bool) -> list[ShownPayment]:
    """Payments and credits, as amounts that come off."""
    return [_shown_payment(payment, detail, may_change) for payment in detail.payments]


def _shown_payment(payment: Payment, detail: BillDetail, may_change: bool) -> ShownPayment:
    kind = PAYMENTS.get(payment.kind, "Payment")
    title = f"{kind} {payment.number}" if payment.number else payment.reference or kind
    where = "Recorded in Xero" if payment.remote_id else "Recorded here"
    account = str(getattr(payment, "account", "") or "")
    reference = payment.reference if payment.number else ""
    removable = may_change and detail.owner is None and payment.kind == MoneyKind.PAYMENT
    args = [detail.bill.pk, payment.pk]
    return ShownPayment(
        pk=payment.pk,
        title=title,
        sub=", ".join(filter(None, (where, account, reference))),
        on=day(payment.on, detail.today),
        amount=money(-payment.amount, detail.bill.currency),
        remove_url=reverse("bills:payment_remove", args=args) if removable else "",
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
    line = sync_line(connection, now)
    if connection is None or link is None:
        return XeroPanel(line)
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
        locked=locked if owner else "",
    )


def _xero_facts(bill: Bill, link: Link, connection: Connection, now: datetime) -> list[Fact]:
    tz = zone(connection.time_zone)
    status = REMOTE_STATUS.get(link.remote_status, link.remote_status.capitalize())
    owned = connection.state in OWNING
    facts = [
        Fact("Status in Xero" if owned else "Last status in Xero", status or MISSING),
        Fact("Xero invoice", bill.number or "No number yet"),
        Fact("Organisation", connection.name),
    ]
    if owned:
        facts.append(Fact("Direction", connection.get_direction_display()))
    if owned and connection.checked_at:
        facts.append(Fact("Checked", "", moment(connection.checked_at, now, tz)))
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


PERSON_DID = {
    "created": ("calm", "pencil", "Made here"),
    "edited": ("calm", "pencil", "Changed here"),
    "approved": ("go", "dot", "Made active"),
    "voided": ("calm", "void", "Voided here"),
    "paid": ("ok", "card", "Payment recorded here"),
    "unpaid": ("calm", "card", "Payment removed here"),
}
XERO_DID = {
    "imported": ("calm", "down", "Imported from Xero"),
    "changed": ("go", "down", "Changed in Xero"),
    "overridden": ("clash", "notequal", "Xero’s version replaced edits made here"),
}


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
    )


def _by(entry: Mapping[str, Any], reader_id: int) -> str:
    if entry["source"] == "person":
        if entry["by_id"] == reader_id:
            return "You"
        return entry["by__name"] or entry["by__email"] or "Somebody who has left"
    return {"xero": "Xero", "import": "First import"}.get(entry["source"], "Connection")


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


# --- home ----------------------------------------------------------------------------------------

AGE_WORDS = ("Not yet due", "1 to 30 days", "31 to 60 days", "61 to 90 days", "Over 90 days")
AGE_FILL = ("f-calm", "f-warn", "f-warn", "f-bad", "f-bad")


@dataclass(frozen=True, slots=True)
class Bar:
    """One age group: its row in the table and its bar. `width` is of 100."""

    label: str
    fill: str
    width: str
    bills: str
    owed: Money


@dataclass(frozen=True, slots=True)
class Ageing:
    """What is owed in one currency, by age."""

    currency: str
    name: str
    total: Money
    late: Money
    late_bills: str
    bars: list[Bar]


def shown_ageing(ages: Mapping[str, Sequence[Age]], books: Books) -> list[Ageing]:
    """The chart of each currency; the home currency comes first and is always there."""
    home = books.business.currency
    groups = dict(ages) if home in ages else {home: [Age(n) for n in range(5)], **ages}
    return [_ageing(code, rows) for code, rows in groups.items()]


def _ageing(code: str, ages: Sequence[Age]) -> Ageing:
    late = ages[1:]
    late_count = sum(age.bills for age in late)
    return Ageing(
        currency=code,
        name=currency_name(code),
        total=money(sum((age.owed for age in ages), Decimal(0)), code),
        late=money(sum((age.owed for age in late), Decimal(0)), code),
        late_bills=count_bills(late_count),
        bars=[_bar(age, max(a.owed for a in ages), code) for age in ages],
    )


def _bar(age: Age, most: Decimal, code: str) -> Bar:
    share = 100 * age.owed / most if most > 0 and age.owed > 0 else Decimal(0)
    width = max(share, Decimal(1)) if share else share
    return Bar(
        label=AGE_WORDS[age.group],
        fill=AGE_FILL[age.group],
        width=f"{width:.1f}",
        bills=f"{age.bills:,}",
        owed=money(age.owed, code),
    )


@dataclass(frozen=True, slots=True)
class TallyLine:
    """How many bills stand to Xero in one way."""

    tone: str
    icon: str
    label: str
    count: str
    big: bool = False


def shown_tally(tally: Tally, books: Books) -> list[TallyLine]:
    """All bills by how they stand to Xero; nothing is left out, so the lines add up."""
    sums = {"equal": 0, "late": 0, "stopped": 0, "parted": 0}
    for pk, count in tally.by_connection.items():
        sums[_standing(books.connections[pk], books.now)] += count
    lines = [
        TallyLine("ok", "equal", "Equal to the penny", f"{sums['equal']:,}", big=True),
        TallyLine("go", "clock", "Being checked", f"{sums['late']:,}"),
        TallyLine("warn", "warn", "Sync is paused", f"{sums['stopped']:,}"),
        TallyLine("calm", "unlink", "No longer synced", f"{sums['parted']:,}"),
        TallyLine("calm", "absent", "Not in Xero", f"{tally.absent:,}"),
    ]
    return [line for line in lines if line.big or line.count != "0"]


def _standing(connection: Connection, now: datetime) -> str:
    if connection.state not in OWNING:
        return "parted"
    if not connection.is_live:
        return "stopped"
    return "equal" if is_fresh(connection, now) and connection.imported_at else "late"


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that waits for a person; `name` is whose it is, in whatever script."""

    tone: str
    icon: str
    title: str
    text: str
    url: str
    label: str
    name: str = ""


def needs(oldest: Sequence[BillRow], tally: Tally, books: Books) -> list[Need]:
    """What waits for a person: stopped organisations, the oldest overdue bills, drafts."""
    found = [_broken(c) for c in books.connections.values() if c.state in OWNING and not c.is_live]
    found += [_late(row) for row in oldest]
    if tally.drafts:
        one = tally.drafts == 1
        found.append(
            Need(
                "calm",
                "pencil",
                f"{tally.drafts:,} draft{'' if one else 's'}",
                f"{'It is' if one else 'They are'} not owed until made active.",
                f"{reverse('bills:bills')}?status=draft",
                "See drafts",
            )
        )
    return found


def _broken(connection: Connection) -> Need:
    lost = connection.state == Connection.State.LOST
    return Need(
        "warn",
        "warn",
        "is not being synced",
        "Xero has stopped letting us in." if lost else "The sync stopped itself to be safe.",
        reverse("integrations:organisation", args=[connection.pk]),
        "Look",
        connection.name,
    )


def _late(row: BillRow) -> Need:
    amount = money(row.outstanding, row.currency).text
    name = row.number or UNNAMED
    return Need(
        "bad",
        "glass",
        f"owes {amount}",
        f"{name} is {day(row.due_on, row.today).note}.",
        reverse("bills:bill", args=[row.pk]),
        "Look",
        row.client_name,
    )


@dataclass(frozen=True, slots=True)
class PaidRow:
    """One bill in "Recently paid"."""

    url: str
    name: str
    sub: str
    amount: Money


def shown_paid(rows: Sequence[BillRow], books: Books) -> list[PaidRow]:
    """The bills that were paid last."""
    return [
        PaidRow(
            url=reverse("bills:bill", args=[row.pk]),
            name=row.client_name or MISSING,
            sub=f"{row.number or UNNAMED} · {long_day(row.fully_paid_on)}"
            if row.fully_paid_on
            else row.number,
            amount=money(row.total, row.currency, home=books.business.currency),
        )
        for row in rows
    ]
