"""Bills and clients as the pages show them: every string ready, so that templates only print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from babel.numbers import get_currency_name
from django.urls import reverse

from justpayme.bills.queries import (
    NOTHING,
    Balance,
    BillRow,
    Books,
    ClientRow,
    OnTheWay,
    Summary,
    Sums,
)
from justpayme.core.badge import Badge, BillSyncFacts, badge_for
from justpayme.core.errors import CATALOGUE
from justpayme.core.zones import zone
from justpayme.sync.models import Connection, OutboxItem, is_fresh
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
)

UNNAMED = "Draft"
LONG_AMOUNT = 16


# --- how sure are we -----------------------------------------------------------------------------


def confidence(books: Books) -> str:
    """ "final": every connected organisation was checked on time; else "stale" (the double rule).

    Bills kept only here are always final.
    """
    owners = [c for c in books.connections.values() if c.is_in_use]
    fresh = all(c.imported_at and is_fresh(c, books.now) for c in owners)
    return "final" if fresh else "stale"


def bill_confidence(owner: Connection | None, now: datetime) -> str:
    """The same for one bill."""
    return "final" if owner is None or is_fresh(owner, now) else "stale"


def checked(books: Books) -> Moment | None:
    """When the organisation that was checked longest ago was checked."""
    owners = [c for c in books.connections.values() if c.is_in_use and c.checked_at]
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


def sync_line(
    connection: Connection | None,
    now: datetime,
    way: OnTheWay = NOTHING,
    checked_at: datetime | None = None,
) -> SyncLine:
    """What the sync says about a bill of this organisation, or of none. `checked_at`: of the bill
    itself, if it is known; else the organisation's last complete check."""
    parted = connection is not None and not connection.is_in_use
    badge = badge_for(_facts(connection, way, parted=parted))
    if badge.key == "absent" or connection is None:
        return SyncLine(badge, way_note(way) or "Made here")
    if parted:
        return SyncLine(badge, f"Was {connection.name}")
    if note := way_note(way):
        return SyncLine(badge, note)
    if connection.checked_at is None:
        return SyncLine(badge, "First import is running")
    told = moment(checked_at or connection.checked_at, now, zone(connection.time_zone))
    return SyncLine(badge, "Checked" if is_fresh(connection, now) else "As of", told)


def _facts(connection: Connection | None, way: OnTheWay, *, parted: bool) -> BillSyncFacts:
    state = OutboxItem.State
    return BillSyncFacts(
        linked=connection is not None,
        parted=parted,
        direction=str(connection.direction) if connection else "one",
        needs_person=state.PARKED in way.states,
        refused=state.REFUSED in way.states,
        conflict=way.conflict,
        checking=state.UNSURE in way.states,
        sending=state.SENDING in way.states,
        waiting=state.WAITING in way.states,
    )


def way_note(way: OnTheWay) -> str:
    """The fact that helps most about a bill whose changes have not all reached Xero."""
    state = OutboxItem.State
    if way.code in CATALOGUE:
        return CATALOGUE[way.code].sentence
    if way.conflict:
        return "Your value is kept"
    if state.UNSURE in way.states:
        return "Being looked for in Xero"
    if state.SENDING in way.states:
        return "On its way now"
    return "Goes out by itself" if way.states else ""


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
    lines: dict[tuple[int | None, OnTheWay], SyncLine] = {}
    for row in rows:
        key = row.connection.pk if row.connection else None, row.way
        if key not in lines:
            lines[key] = sync_line(row.connection, books.now, row.way)
    return [
        _shown_bill(
            row, books, lines[row.connection.pk if row.connection else None, row.way], of_client
        )
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


def in_words(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


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
        Figure(label, lead, lead=True, state=confidence(books), extra=long_class(lead)),
        _figure_of("Overdue", summary, home, "late"),
        _figure_of("Due in 7 days", summary, home, "soon", extra="hide-m"),
    ]
    for sums in summary.sums:
        if sums.currency != home and sums.owed_bills:
            note = f"{count_bills(sums.owed_bills)}, not converted"
            name = f"In {currency_name(sums.currency)}"
            owed = money(sums.owed, sums.currency)
            figures.append(Figure(name, owed, note, extra="foreign"))
    figures.append(_figure_of(f"Paid in {month}", summary, home, "paid", extra="hide-m"))
    return figures


def _figure_of(label: str, summary: Summary, home: str, what: str, extra: str = "") -> Figure:
    """A sum in the home currency; under it those in others, and the bills of all of them."""
    own, others, bills = Decimal(0), [], 0
    for sums in summary.sums:
        amount, count = getattr(sums, what), getattr(sums, f"{what}_bills")
        bills += count
        if sums.currency == home:
            own = amount
        elif count:
            others.append(money(amount, sums.currency).text)
    note = f"and {', '.join(others)}, on {count_bills(bills)}" if others else count_bills(bills)
    return Figure(label, money(own, home), note, extra=extra)


def long_class(amount: Money) -> str:
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
