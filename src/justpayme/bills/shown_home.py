"""Home as the page shows it: what is owed by age, what needs a person, how it stands to Xero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.urls import reverse

from justpayme.bills.queries import (
    Age,
    BillRow,
    Books,
    Tally,
)
from justpayme.bills.shown import UNNAMED, count_bills, currency_name, in_words
from justpayme.sync.models import Connection, is_fresh
from justpayme.web.format import (
    MISSING,
    Money,
    day,
    long_day,
    money,
)

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
    late_bills: int
    bars: list[Bar]


def shown_ageing(ages: Mapping[str, Sequence[Age]], books: Books) -> list[Ageing]:
    """The chart of each currency; the home currency comes first and is always there."""
    home = books.business.currency
    groups = dict(ages) if home in ages else {home: [Age(n) for n in range(5)], **ages}
    return [_ageing(code, rows) for code, rows in groups.items()]


def _ageing(code: str, ages: Sequence[Age]) -> Ageing:
    late = ages[1:]
    return Ageing(
        currency=code,
        name=currency_name(code),
        total=money(sum((age.owed for age in ages), Decimal(0)), code),
        late=money(sum((age.owed for age in late), Decimal(0)), code),
        late_bills=sum(age.bills for age in late),
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
class Late:
    """What is overdue, of every currency: amounts, and the words after them."""

    amounts: str
    words: str


def shown_late(ages: Sequence[Ageing]) -> Late | None:
    """As many bills as the list of overdue bills has; None when nothing is overdue."""
    late = [age for age in ages if age.late_bills]
    if not late:
        return None
    verb = "are" if len(late) > 1 else "of it is" if late[0] is ages[0] else "is"
    bills = count_bills(sum(age.late_bills for age in late))
    return Late(in_words([age.late.text for age in late]), f"{verb} overdue, on {bills}")


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
    sums = dict.fromkeys(("equal", "late", "stopped", "parted", "resting", "moving"), 0)
    for pk, count in tally.by_connection.items():
        standing = _standing(books.connections[pk], books.now)
        if standing in ("equal", "late"):
            resting, moving = tally.resting.get(pk, 0), tally.moving.get(pk, 0)
            sums["resting"] += resting
            sums["moving"] += moving
            count -= resting + moving
        sums[standing] += count
    lines = [
        TallyLine("ok", "equal", "Equal to the penny", f"{sums['equal']:,}", big=True),
        TallyLine("go", "clock", "Being checked", f"{sums['late']:,}"),
        TallyLine("calm", "clock", "Waiting to reach Xero", f"{sums['moving']:,}"),
        TallyLine("warn", "warn", "Not equal: needs you", f"{sums['resting']:,}"),
        TallyLine("warn", "warn", "Sync is paused", f"{sums['stopped']:,}"),
        TallyLine("calm", "unlink", "No longer synced", f"{sums['parted']:,}"),
        TallyLine("calm", "absent", "Not in Xero", f"{tally.absent:,}"),
    ]
    return [line for line in lines if line.big or line.count != "0"]


def _standing(connection: Connection, now: datetime) -> str:
    if not connection.is_in_use:
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
    """What waits for a person: stopped organisations, what Xero refused or asks, what it
    overrode, the oldest overdue bills, drafts."""
    found = [_broken(c) for c in books.connections.values() if c.is_in_use and not c.is_live]
    found += _asked(tally)
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


def _asked(tally: Tally) -> list[Need]:
    """Changes that wait for a decision, and values that Xero overrode."""
    found = []
    if tally.asking:
        found.append(
            Need(
                "warn",
                "warn",
                f"{count_bills(tally.asking)} not in step with Xero",
                "A change was refused, or waits for your decision.",
                reverse("integrations:outbox"),
                "Look",
            )
        )
    if tally.overridden:
        found.append(
            Need(
                "clash",
                "notequal",
                f"{count_bills(tally.overridden)} overridden by Xero",
                "Xero’s value counts. Yours is kept: send it, or drop it.",
                reverse("integrations:conflicts"),
                "Decide",
            )
        )
    return found


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
