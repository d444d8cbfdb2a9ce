"""What going bidirectional would do in Xero, as data: shown to a person, then done exactly so.

    facts ─▶ build ─▶ Plan ─▶ page        the person ticks and reads
                       │ digest
                       └─▶ confirm ─▶ build again, under locks ─▶ equal: done · else: shown anew

Pure: facts come in, a plan comes out (`candidates.py` reads the facts, `direction.py` carries
the plan out). Money is Decimal in the bill's currency and is never added up across currencies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from justpayme.core.bill import ZERO, Status, from_plain
from justpayme.core.editable import in_locked_period
from justpayme.core.errors import CATALOGUE

TERMS = "terms"
"""The key of the terms among a plan's marks."""


class Kind(StrEnum):
    """What one item of a plan does in Xero."""

    CREATE = "create"
    UPDATE = "update"
    PAY = "pay"
    CONTACT = "contact"


class Contact(StrEnum):
    """What Xero has of a bill's client."""

    LINKED = "linked"
    NEW = "new"
    LIKE = "like"
    ARCHIVED = "archived"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Terms:
    """What an organisation lets us do, and what its owner chose for new invoices.

    `chosen`: the codes and ids of what new invoices and payments are booked to; a preview does
    not print them, but with others something else would happen.
    `receivers`: currency -> name of the account that payments in it go to.
    `currencies`: those that the organisation uses; empty when they are not known yet.
    """

    organisation: str
    chosen: tuple[str, ...] = ()
    create_as: str = "AUTHORISED"
    write_back: bool = False
    receivers: Mapping[str, str] = field(default_factory=dict)
    currencies: frozenset[str] = frozenset()
    lock_date: date | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One payment recorded here."""

    id: int
    amount: Decimal
    on: date | None


@dataclass(frozen=True, slots=True)
class LocalBill:
    """A bill that exists only here. `stamp` changes with every edit of it.

    `alike`: names of contacts in Xero that look like its client.
    `number_used`: an invoice of the organisation has this number already.
    `number_twice`: an earlier bill of this list has it too. `unfit`: why one of its lines can't
    be booked there, as a sentence.
    """

    id: int
    number: str
    client_id: int
    client: str
    currency: str
    total: Decimal
    status: Status
    issued_on: date | None
    due_on: date | None
    stamp: str
    lines: int = 1
    unfit: str = ""
    credited: Decimal = ZERO
    payments: tuple[Received, ...] = ()
    contact: Contact = Contact.LINKED
    alike: tuple[str, ...] = ()
    number_used: bool = False
    number_twice: bool = False


@dataclass(frozen=True, slots=True)
class Overridden:
    """A value of ours that Xero overrode. `ours`, `theirs`: the fields of one unit, plain.

    `locked`: why Xero would not take it now; empty when it may go.
    """

    id: int
    bill_id: int
    number: str
    client: str
    currency: str
    total: Decimal
    unit: str
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]
    locked: str = ""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in an item's way. One that does not block lets it wait for a person instead."""

    code: str
    sentence: str
    blocks: bool = True


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that would happen in Xero, or could. `key` names it in forms.

    `chosen`: a person ticked it (or the bill that it belongs to) and nothing blocks it.
    """

    key: str
    kind: Kind
    target: int
    bill_id: int
    number: str
    client: str
    amount: Decimal
    currency: str
    on: date | None = None
    note: str = ""
    obstacles: tuple[Obstacle, ...] = ()
    chosen: bool = False
    source: Overridden | None = None
    mark: str = ""

    @property
    def blocked(self) -> bool:
        """May it not be ticked?"""
        return any(obstacle.blocks for obstacle in self.obstacles)

    @property
    def pays(self) -> bool:
        """Is it payments that were set aside, and not a value of the bill?"""
        return self.source is not None and self.source.unit == "payments"


@dataclass(frozen=True, slots=True)
class Plan:
    """All candidates; those `chosen` would reach Xero. `digest` stands for every word of it."""

    items: tuple[Item, ...]
    terms: Terms
    digest: str

    @property
    def going(self) -> tuple[Item, ...]:
        """What would happen in Xero."""
        return tuple(item for item in self.items if item.chosen)

    @property
    def offered(self) -> tuple[Item, ...]:
        """What a person may tick, or would if nothing stood in the way."""
        return tuple(item for item in self.items if item.kind in (Kind.CREATE, Kind.UPDATE))

    @property
    def blocked(self) -> tuple[Item, ...]:
        """What stays behind whatever is ticked."""
        return tuple(item for item in self.offered if item.blocked)

    def count(self, kind: Kind) -> int:
        """How many of this kind would go; of payments, those of overridden values too."""
        return sum(len(_amounts(item, kind)) for item in self.going)

    def money(self, kind: Kind) -> dict[str, Decimal]:
        """Currency -> sum of what `count` counts."""
        sums: dict[str, Decimal] = {}
        for item in self.going:
            for amount in _amounts(item, kind):
                sums[item.currency] = sums.get(item.currency, ZERO) + amount
        return dict(sorted(sums.items()))

    @property
    def marks(self) -> dict[str, str]:
        """Key -> mark of every item, and of the terms: what a form carries to tell later what
        changed. Contacts are left out: they come and go with the ticks."""
        lasting = (item for item in self.items if item.kind is not Kind.CONTACT)
        return {TERMS: _digest(_plain(self.terms))[:8]} | {i.key: i.mark for i in lasting}


def _amounts(item: Item, kind: Kind) -> list[Decimal]:
    """The amounts of this kind that an item brings: one, none, or several payments at once."""
    if kind is Kind.PAY and item.source is not None and item.pays:
        ours = {"payments": item.source.ours.get("payments", [])}
        return [paid.amount for paid in from_plain(ours).payments]
    return [item.amount] if item.kind is kind else []


@dataclass(frozen=True, slots=True)
class Difference:
    """How the world differs from what a person was shown."""

    new: tuple[Item, ...]
    changed: tuple[Item, ...]
    gone: int
    terms: bool

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone or self.terms)


def difference(shown: Mapping[str, str], plan: Plan) -> Difference:
    """What is new, changed or gone since `shown` (the marks of an earlier plan)."""
    now = plan.marks
    items = [item for item in plan.items if item.key in now]
    return Difference(
        new=tuple(i for i in items if i.key not in shown),
        changed=tuple(i for i in items if i.key in shown and shown[i.key] != i.mark),
        gone=len(set(shown) - set(now)),
        terms=shown.get(TERMS) != now[TERMS],
    )


def build(
    terms: Terms,
    bills: Iterable[LocalBill],
    overridden: Iterable[Overridden],
    chosen: frozenset[str],
) -> Plan:
    """The plan for what is ticked; keys that are unknown or blocked count as not ticked."""
    items: list[Item] = []
    clients: set[int] = set()
    for bill in bills:
        items += _of_bill(bill, terms, chosen, clients)
    items += [_of_override(one, terms, chosen) for one in overridden]
    printed = [replace(item, mark=_mark(item)) for item in items]
    words = [_plain(terms), [(i.key, i.mark, i.chosen) for i in printed]]
    return Plan(tuple(printed), terms, _digest(words))


AT_ONCE = 100
"""Ticks that are carried out together: they are one transaction, and others wait for it."""


def ticked(plan: Plan) -> frozenset[str]:
    """The keys of what is ticked."""
    return frozenset(item.key for item in plan.offered if item.chosen)


def tickable(plan: Plan) -> frozenset[str]:
    """The keys of all that can be ticked, as far as it can go at once."""
    return frozenset([item.key for item in plan.offered if not item.blocked][:AT_ONCE])


# --- one bill ----------------------------------------------------------------------------------


def _of_bill(
    bill: LocalBill, terms: Terms, chosen: frozenset[str], clients: set[int]
) -> list[Item]:
    """Its new invoice, its payments, and a contact for its client if no other bill brings one."""
    key = f"c{bill.id}"
    obstacles = tuple(obstacles_of(bill, terms))
    goes = key in chosen and not any(o.blocks for o in obstacles)
    whole = Item(
        key, Kind.CREATE, bill.id, bill.id, bill.number, bill.client, bill.total, bill.currency
    )
    whole = replace(whole, on=bill.due_on, note=bill.stamp, obstacles=obstacles, chosen=goes)
    made = [whole]
    if goes and bill.contact in (Contact.NEW, Contact.LIKE) and bill.client_id not in clients:
        clients.add(bill.client_id)
        made.append(_contact(bill, whole))
    return made + [_payment(whole, paid, terms) for paid in bill.payments]


def _contact(bill: LocalBill, whole: Item) -> Item:
    waits = tuple(o for o in whole.obstacles if o.code == "contact_like_this")
    return replace(
        whole,
        key=f"k{bill.client_id}",
        kind=Kind.CONTACT,
        target=bill.client_id,
        amount=ZERO,
        on=None,
        note="",
        obstacles=waits,
    )


def _payment(whole: Item, paid: Received, terms: Terms) -> Item:
    return replace(
        whole,
        key=f"p{paid.id}",
        kind=Kind.PAY,
        target=paid.id,
        amount=paid.amount,
        on=paid.on,
        note=terms.receivers.get(whole.currency, ""),
        obstacles=(),
    )


def obstacles_of(bill: LocalBill, terms: Terms) -> list[Obstacle]:
    """Everything that keeps a bill from becoming an invoice; what Xero alone knows is not here."""
    return [*_of_number(bill), *_of_content(bill, terms), *_of_client(bill), *_of_paid(bill, terms)]


def _of_number(bill: LocalBill) -> Iterable[Obstacle]:
    if not bill.number.strip():
        yield Obstacle("number_missing", "It has no number. Give it one first.")
    if bill.number_used:
        yield _known("number_in_use")
    elif bill.number_twice:
        yield Obstacle("number_in_use", "Another bill here has the same number. Change one.")


def _of_content(bill: LocalBill, terms: Terms) -> Iterable[Obstacle]:
    if not bill.lines:
        yield Obstacle("lines_missing", "It has no lines.")
    if bill.unfit:
        yield Obstacle("tax_account_clash", bill.unfit)
    if bill.total < 0:
        yield _known("negative_total")
    if terms.currencies and bill.currency not in terms.currencies:
        yield Obstacle(
            "currency_not_enabled",
            f"{terms.organisation} does not use {bill.currency}. Add the currency in Xero, "
            "then refresh the lists.",
        )
    if bill.status is not Status.DRAFT and in_locked_period(bill.issued_on, terms.lock_date):
        yield Obstacle("lock_date", locked_sentence(terms))
    if bill.status is not Status.DRAFT and bill.due_on is None:
        yield Obstacle("due_date_missing", "It has no due date. Give it one first.")


def _of_client(bill: LocalBill) -> Iterable[Obstacle]:
    if bill.contact is Contact.ARCHIVED:
        yield _known("contact_archived")
    elif bill.contact is Contact.ELSEWHERE:
        yield Obstacle(
            "client_elsewhere", "Its client comes from another organisation. Use another client."
        )
    elif bill.contact is Contact.LIKE:
        names = ", ".join(bill.alike)
        sentence = f"Xero has a contact like this client: {names}. You are asked first."
        yield Obstacle("contact_like_this", sentence, blocks=False)


def _of_paid(bill: LocalBill, terms: Terms) -> Iterable[Obstacle]:
    if bill.credited:
        yield Obstacle("payment_not_allowed", "A credit recorded here can't be sent to Xero.")
    if not bill.payments:
        return
    if not terms.write_back:
        yield Obstacle("payment_not_allowed", "Money came in, and payments are not sent to Xero.")
    elif bill.currency not in terms.receivers:
        yield _known("receiving_account_missing")
    if terms.create_as == "DRAFT" or bill.status is Status.DRAFT:
        yield Obstacle("payment_not_allowed", "Xero takes no payments on a draft invoice.")
    if any(in_locked_period(paid.on, terms.lock_date) for paid in bill.payments):
        yield Obstacle("lock_date", f"A payment: {locked_sentence(terms)}")


def locked_sentence(terms: Terms) -> str:
    """Why nothing of an earlier day goes out."""
    day = terms.lock_date
    until = f" up to {day.day} {day:%B %Y}" if day else ""
    return f"Xero’s books are locked{until}."


def _known(code: str) -> Obstacle:
    entry = CATALOGUE[code]
    return Obstacle(code, f"{entry.sentence} {entry.remedy}")


# --- one conflict ------------------------------------------------------------------------------


def _of_override(one: Overridden, terms: Terms, chosen: frozenset[str]) -> Item:
    key = f"m{one.id}"
    obstacles = tuple(_of_value(one, terms))
    item = Item(
        key, Kind.UPDATE, one.id, one.bill_id, one.number, one.client, one.total, one.currency
    )
    blocked = any(o.blocks for o in obstacles)
    return replace(item, obstacles=obstacles, source=one, chosen=key in chosen and not blocked)


def _of_value(one: Overridden, terms: Terms) -> Iterable[Obstacle]:
    if one.locked:
        yield Obstacle("locked", one.locked)
    if one.unit != "payments":
        return
    if not terms.write_back:
        yield Obstacle("payment_not_allowed", "Payments are not sent to Xero.")
    elif one.currency not in terms.receivers:
        yield _known("receiving_account_missing")


# --- marks ------------------------------------------------------------------------------------


def _mark(item: Item) -> str:
    """Eight hex digits over all that a person sees of an item, its tick apart."""
    said = [item.key, item.number, item.client, item.amount, item.currency, item.on, item.note]
    words = [*said, [(o.code, o.sentence, o.blocks) for o in item.obstacles]]
    source = item.source
    if source is not None:
        words += [source.unit, dict(source.ours), dict(source.theirs)]
    return _digest(words)[:8]


def _plain(terms: Terms) -> list[Any]:
    return [
        terms.chosen,
        terms.create_as,
        terms.write_back,
        dict(terms.receivers),
        sorted(terms.currencies),
        terms.lock_date,
    ]


def _digest(words: Any) -> str:
    text = json.dumps(words, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
