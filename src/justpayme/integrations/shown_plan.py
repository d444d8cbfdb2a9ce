"""A plan for going bidirectional, ready to print: figures, rows, and what changed since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse

from justpayme.bills.told import Change, told_changes
from justpayme.integrations.plan import Difference, Item, Kind, Overridden, Plan
from justpayme.integrations.shown import counted
from justpayme.web.format import Money, long_day, money

NAMED_AT_MOST = 3
SIGNS = {
    Kind.CREATE: ("Create", "plus", "ok"),
    Kind.UPDATE: ("Update", "pencil", "go"),
    Kind.PAY: ("Payment", "card", "ok"),
    Kind.CONTACT: ("New contact", "user", "ok"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One entry of the strip of figures."""

    label: str
    value: str
    note: str = ""
    lead: bool = False
    state: str = ""
    extra: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate: what ticking it does in Xero, and what stands in its way."""

    key: str
    label: str
    icon: str
    tone: str
    client: str
    number: str
    url: str
    amount: Money
    ticked: bool
    blocked: bool
    notes: tuple[str, ...]
    changes: tuple[Change, ...]
    obstacles: tuple[str, ...]


def figures(plan: Plan, linked: int, home: str) -> list[Figure]:
    """What would happen in Xero, in numbers. `linked`: bills that are invoices already."""
    touched = [item for item in plan.going if item.kind is Kind.UPDATE]
    updated = {item.bill_id for item in touched if not item.pays}
    left = linked - len({item.bill_id for item in touched})
    contacts = plan.count(Kind.CONTACT)
    found = [
        Figure("Changes to Xero", f"{len(plan.going):,}", lead=True, state="final"),
        Figure("New invoices", f"{plan.count(Kind.CREATE):,}", sums(plan, Kind.CREATE, home)),
        Figure("Updated invoices", f"{len(updated):,}", "with values of yours"),
        Figure("Payments", f"{plan.count(Kind.PAY):,}", sums(plan, Kind.PAY, home)),
        Figure("Left as they are", f"{left:,}", "already equal"),
    ]
    if contacts:
        found.insert(4, Figure("New contacts", f"{contacts:,}", "of new clients"))
    return found


def sums(plan: Plan, kind: Kind, home: str) -> str:
    """The money of one kind, currency by currency; never added up."""
    found = plan.money(kind).items()
    told = " + ".join(str(money(amount, currency, home=home)) for currency, amount in found)
    return told or "none"


def in_order(plan: Plan) -> list[Item]:
    """New invoices, then values of ours; what can't be ticked stands last."""
    return sorted(plan.offered, key=lambda item: item.blocked)


def rows(plan: Plan, items: Sequence[Item], home: str, names: Mapping[str, str]) -> list[Row]:
    """These candidates as rows; what comes along with a bill stands in its row. `names`:
    ContactID -> client, for values that name one."""
    along: dict[int, list[Item]] = {}
    for item in plan.items:
        if item.kind in (Kind.PAY, Kind.CONTACT):
            along.setdefault(item.bill_id, []).append(item)
    return [
        _row(
            item,
            along.get(item.bill_id, []) if item.kind is Kind.CREATE else [],
            plan,
            home,
            names,
        )
        for item in items
    ]


def _row(item: Item, along: Iterable[Item], plan: Plan, home: str, names: Mapping[str, str]) -> Row:
    label, icon, tone = SIGNS[item.kind]
    as_draft = plan.terms.create_as == "DRAFT"
    notes = [f"New invoice, {'draft' if as_draft else 'authorised'}"]
    if item.on:
        notes[0] += f", due {long_day(item.on)}"
    return Row(
        key=item.key,
        label=label,
        icon=icon,
        tone=tone,
        client=item.client,
        number=item.number or "No number",
        url=reverse("bills:bill", args=[item.bill_id]),
        amount=money(item.amount, item.currency, home=home),
        ticked=item.chosen,
        blocked=item.blocked,
        notes=(*(notes if item.kind is Kind.CREATE else ()), *(_along(a, home) for a in along)),
        changes=tuple(changes(item.source, names)) if item.source else (),
        obstacles=tuple(o.sentence for o in item.obstacles),
    )


def _along(item: Item, home: str) -> str:
    """What else happens for a bill: a payment or a new contact."""
    if item.kind is Kind.CONTACT:
        return f"{item.client} becomes a new contact"
    into = f" into {item.note}" if item.note else ""
    on = f", received {long_day(item.on)}" if item.on else ""
    return f"Payment of {money(item.amount, item.currency, home=home)}{into}{on}"


def changes(source: Overridden, names: Mapping[str, str]) -> list[Change]:
    """Xero's value becomes ours, field by field."""
    return told(source.theirs, source.ours, source.currency, names)


def told(
    old: Mapping[str, object], new: Mapping[str, object], currency: str, names: Mapping[str, str]
) -> list[Change]:
    """What differs between two versions of one unit, in words. Of the sums only the total."""
    skipped = {"sub_total", "tax_total", "discount_total"}
    fields = [
        {"field": name, "old": old.get(name), "new": new.get(name)}
        for name in new
        if name not in skipped and old.get(name) != new.get(name)
    ]
    found, more = told_changes(fields, currency, names)
    return [*found, Change("And", "", counted(more, "more change"))] if more else found


@dataclass(frozen=True, slots=True)
class Notice:
    """Why a plan is shown again instead of being carried out."""

    title: str
    lines: tuple[str, ...]


def notice(found: Difference) -> Notice:
    """What changed since the page was shown; nothing has been sent."""
    if not found:
        return Notice(
            "Here is the list with your new ticks",
            ("Nothing has been sent. Confirm once more if this is what you want.",),
        )
    lines = [*_named("New on the list", found.new), *_named("Changed", found.changed)]
    if found.terms:
        lines.append("The organisation’s settings, lists or lock date changed.")
    if found.gone:
        lines.append(f"No longer on the list: {found.gone:,}.")
    lines.append("Nothing has been sent. Confirm the new list if it is right.")
    return Notice("Something changed while you looked", tuple(lines))


def refused(why: str) -> Notice:
    """One item can't go, so none went."""
    return Notice(
        "One of these can’t be sent", (why, "Nothing was sent. Untick it, or put it right.")
    )


def _named(word: str, items: Sequence[Item]) -> list[str]:
    if not items:
        return []
    names = ", ".join(item.number or "a bill without a number" for item in items[:NAMED_AT_MOST])
    more = len(items) - NAMED_AT_MOST
    return [f"{word}: {names}{f' and {more:,} more' if more > 0 else ''}."]
