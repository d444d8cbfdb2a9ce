"""Row 13 in many random histories: our own write is never taken for somebody else's.

A person edits, the change leaves, its answer may get lost, the person edits again, somebody
edits in Xero, we pull. A conflict is *false* when nobody but us ever wrote that unit in Xero.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from justpayme.core.bill import UNITS, BillFields, LineFields, Status
from justpayme.core.merge import Merge, arrived, merge

HISTORIES = int(os.environ.get("JUSTPAYME_OWN_WRITES", "20000"))

EDITED = ("due_on", "reference", "lines")
VALUES: dict[str, list[Any]] = {
    "due_on": [date(2026, 6, day) for day in range(1, 29)],
    "reference": [f"PO {n}" for n in range(30)],
    "lines": [
        (
            *(LineFields(f"line {k}", Decimal(k), Decimal("12.3456")) for k in range(n % 3)),
            LineFields(f"Łódź {n} 🧾"),
        )
        for n in range(30)
    ],
}


class Books:
    """One bill in both books. `rule` False forgets what was sent, as an engine without row 13."""

    def __init__(self, seed: int, *, rule: bool) -> None:
        self.chance = random.Random(seed)
        self.rule = rule
        self.xero = self.row = self.base = BillFields(
            number="INV-1", status=Status.ACTIVE, currency="GBP", due_on=date(2026, 5, 1)
        )
        self.sent: BillFields | None = None
        self.sent_units: tuple[str, ...] = ()
        self.theirs: set[str] = set()
        self.wanted: set[str] = set()
        self.ids = 0
        self.false_conflicts = 0

    def fresh(self, unit: str) -> dict[str, Any]:
        return {unit: self.chance.choice(VALUES[unit])}

    def we_edit(self) -> None:
        unit = self.chance.choice(EDITED)
        self.row = replace(self.row, **self.fresh(unit))
        self.wanted.add(unit)

    def somebody_edits(self) -> None:
        unit = self.chance.choice(EDITED)
        self.xero = self.numbered(replace(self.xero, **self.fresh(unit)))
        self.theirs.add(unit)

    def numbered(self, bill: BillFields) -> BillFields:
        """Xero gives ids and works amounts out."""
        lines = []
        for line in bill.lines:
            self.ids += not line.remote_id
            remote_id = line.remote_id or f"x-{self.ids}"
            amount = (line.quantity or Decimal(0)) * (line.unit_amount or Decimal(0))
            lines.append(replace(line, remote_id=remote_id, line_amount=amount))
        total = sum((line.line_amount for line in lines), Decimal(0))
        return replace(bill, lines=tuple(lines), total=total, outstanding=total)

    def push(self, *, heard: bool) -> None:
        """Read, then send what is outgoing; perhaps the answer gets lost."""
        decision = self.pull()
        if not decision.outgoing:
            return
        names = tuple(name for unit in decision.outgoing for name in UNITS[unit])
        self.sent, self.sent_units = self.row, decision.outgoing
        self.xero = self.numbered(self.xero.take(self.row, names))
        self.theirs -= set(decision.outgoing)
        if heard:
            self.pull()

    def pull(self) -> Merge:
        known = self.sent if self.rule else None
        decision = merge(
            self.base, self.row, self.xero, sent=known, sent_units=self.sent_units if known else ()
        )
        for conflict in decision.conflicts:
            self.false_conflicts += conflict.unit not in self.theirs
        if self.sent and arrived(self.xero, self.sent, self.sent_units) == set(self.sent_units):
            self.sent, self.sent_units = None, ()
        self.row, self.base = decision.bill, decision.base
        return decision

    def live(self) -> None:
        chance = self.chance
        for _ in range(chance.randrange(3, 12)):
            luck = chance.random()
            if luck < 0.45:
                self.we_edit()
            elif luck < 0.55:
                self.somebody_edits()
            elif luck < 0.8:
                self.push(heard=chance.random() < 0.5)
            else:
                self.pull()
        self.push(heard=True)


def false_conflicts(*, rule: bool) -> int:
    found = 0
    for seed in range(HISTORIES):
        books = Books(seed, rule=rule)
        books.live()
        assert books.row == books.base == books.xero, seed
        found += books.false_conflicts
    return found


@pytest.mark.layer("protocols")
def test_our_own_write_is_never_a_conflict(cases: Callable[[int], None]) -> None:
    """I-27, I-28, and I-2 at the end of each history."""
    assert false_conflicts(rule=True) == 0
    cases(HISTORIES)


def test_without_the_rule_there_are_many_false_conflicts() -> None:
    """Planted: an engine that forgets what it sent."""
    assert false_conflicts(rule=False) > HISTORIES / 20


def line(description: str, remote_id: str = "", **more: Any) -> LineFields:
    return LineFields(description, Decimal(1), Decimal(5), remote_id=remote_id, **more)


SENT = BillFields(status=Status.ACTIVE, lines=(line("one"), line("two"), line("three")))
THERE = replace(
    SENT,
    lines=tuple(
        line(n.description, f"x-{n.description}", tax_type="OUTPUT2", account_code="200")
        for n in SENT.lines
    ),
    total=Decimal(15),
)


def ids_after(*lines: LineFields) -> list[str]:
    ours = replace(SENT, lines=lines)
    found = merge(BillFields(), ours, THERE, sent=SENT, sent_units=("lines",))
    assert found.outgoing == ("lines",)
    assert found.conflicts == ()
    return [n.remote_id for n in found.bill.lines]


def test_lines_edited_since_keep_the_ids_that_xero_gave() -> None:
    assert ids_after(line("one"), line("2"), line("three")) == ["x-one", "x-two", "x-three"]
    assert ids_after(line("three"), line("one"), line("two")) == ["x-three", "x-one", "x-two"]
    assert ids_after(line("two"), line("three")) == ["x-two", "x-three"]
    assert ids_after(*SENT.lines, line("four")) == ["x-one", "x-two", "x-three", ""]
    assert ids_after(line("one"), line("one"), line("three")) == ["x-one", "x-two", "x-three"]


def test_no_two_lines_share_an_id() -> None:
    chance = random.Random(5)
    for _ in range(2_000):
        names = chance.choices(("one", "two", "three", "four"), k=chance.randrange(1, 5))
        lines = [line(name, chance.choice(("", "", "x-two", "old"))) for name in names]
        given = {n.remote_id for n in lines if n.remote_id}
        if len(given) < sum(bool(n.remote_id) for n in lines):
            continue
        if names == ["one", "two", "three"]:
            continue  # what was sent
        ids = [remote_id for remote_id in ids_after(*lines) if remote_id]
        assert len(ids) == len(set(ids))
        assert given <= set(ids)


@pytest.mark.parametrize(
    ("unit", "there"),
    [
        ("lines", replace(THERE, lines=THERE.lines[:2])),
        ("lines", replace(THERE, lines=(*THERE.lines[:2], line("thr33", "x-3")))),
        ("status", replace(THERE, status=Status.VOID)),
        ("number", replace(THERE, number="somebody's")),
    ],
)
def test_what_xero_does_not_show_as_sent_has_not_arrived(unit: str, there: BillFields) -> None:
    assert arrived(there, SENT, ("lines", "status", "number")) == {
        "lines",
        "status",
        "number",
    } - {unit}


def test_an_account_that_we_named_must_be_the_one_that_xero_shows() -> None:
    named = replace(SENT, lines=(line("one", account_code="310"), *SENT.lines[1:]))
    assert arrived(THERE, named, ("lines",)) == frozenset()


def test_what_a_row_was_put_back_to_is_nobodys_edit_when_our_own_write_arrives() -> None:
    """One-directional: ours was set aside while it was under way. An edit that a person took back
    herself was not set aside, and is kept."""
    base = replace(SENT, reference="", lines=())
    there = replace(THERE, reference="one")
    sent, units = replace(SENT, reference=there.reference), ("reference", "lines")
    aside = frozenset(units)
    put_back = merge(base, base, there, read_only=True, sent=sent, sent_units=units, aside=aside)
    assert (put_back.bill, put_back.conflicts) == (there, ())
    hers = merge(base, base, there, read_only=True, sent=sent, sent_units=units)
    assert {conflict.unit for conflict in hers.conflicts} == aside


def test_a_rate_that_we_did_not_send_is_xeros_to_fill_in() -> None:
    sent, units = replace(SENT, currency="EUR"), ("money",)
    there = replace(THERE, currency="EUR", rate=Decimal("1.18"))
    was = replace(SENT, currency="GBP", rate=Decimal(1))
    ours = merge(was, sent, there, sent=sent, sent_units=units)
    assert (ours.bill.rate, ours.outgoing, ours.conflicts) == (there.rate, (), ())


@pytest.mark.parametrize(
    ("sent", "there"),
    [
        (("EUR", None), ("USD", "1.18")),
        (("EUR", "1.2"), ("EUR", "1.18")),
        (("EUR", "1.2"), ("EUR", None)),
    ],
)
def test_another_currency_or_another_rate_than_the_one_we_sent_is_not_ours(
    sent: tuple[str, str | None], there: tuple[str, str | None]
) -> None:
    (wanted, asked), (currency, rate) = sent, there
    ours = replace(SENT, currency=wanted, rate=asked and Decimal(asked))
    theirs = replace(THERE, currency=currency, rate=rate and Decimal(rate))
    assert arrived(theirs, ours, ("money",)) == frozenset()


def test_void_arrives_as_void() -> None:
    sent = replace(SENT, status=Status.VOID)
    ended = replace(THERE, status=Status.VOID)
    found = merge(THERE, sent, ended, sent=sent, sent_units=("status",))
    assert found.bill.status is Status.VOID
    assert "status" not in {conflict.unit for conflict in found.conflicts}


def test_what_xero_said_it_stored_is_ours_however_it_spells_it() -> None:
    sent = replace(SENT, reference="PO  7 ", lines=SENT.lines[:2])
    spelt = replace(THERE, reference="PO 7")
    units = ("reference", "lines")
    told = merge(BillFields(), sent, spelt, sent=sent, sent_units=units, confirmed=True)
    assert (told.bill, told.outgoing, told.conflicts) == (spelt, (), ())
    untold = merge(BillFields(), sent, spelt, sent=sent, sent_units=units)
    assert {conflict.unit for conflict in untold.conflicts} >= set(units)


def test_an_edit_after_what_xero_stored_goes_out() -> None:
    sent = replace(SENT, reference="PO  7 ", lines=SENT.lines[:2])
    spelt = replace(THERE, reference="PO 7")
    ours = replace(sent, reference="PO 8", lines=(line("new"),))
    units = ("reference", "lines")
    found = merge(BillFields(), ours, spelt, sent=sent, sent_units=units, confirmed=True)
    assert found.outgoing == units
    assert found.conflicts == ()
    assert (found.bill.reference, found.bill.lines) == ("PO 8", (line("new"),))
