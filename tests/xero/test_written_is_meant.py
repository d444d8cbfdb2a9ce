"""The round trip: a bill that we wrote, and that Xero stored, reads back as what we meant.

For any bill, and any choice of units that is changed afterwards; all fields are compared, those
that were not sent too (I-21), and the totals with our own arithmetic (core/totals.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.xero.books import Books

from justpayme.core.bill import BillFields, LineFields, Status, TaxMode, TrackingFields
from justpayme.core.outbox import Outcome
from justpayme.core.totals import PricedLine, Totals, add_up
from justpayme.xero import outgoing
from justpayme.xero.outgoing import Change, New

RATES = {"OUTPUT2": Decimal(20), "ZERORATEDOUTPUT": Decimal(0), "NONE": Decimal(0)}
NUMBERS = count(1)

hostile = st.sampled_from(['"\\', "<script>", "Łódź “ł”", "😀\u200f", "a\nb", "&amp;", "' OR 1=1"])
texts = st.one_of(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30), hostile)
days = st.dates(date(2020, 1, 1), date(2030, 12, 31))
prices = st.decimals(Decimal(-200), Decimal(9999), places=4)
quantities = st.decimals(Decimal(0), Decimal(99), places=4)
percents = st.decimals(Decimal("0.01"), Decimal(100), places=2)
amounts = st.decimals(Decimal("0.01"), Decimal(20), places=2)
words = st.builds(LineFields, description=texts)
tracked = st.builds(TrackingFields, st.just("Region"), st.sampled_from(["North", "Ł"]))


@st.composite
def priced(draw: st.DrawFn) -> LineFields:
    """A line with numbers; a percentage off, an amount off, or neither."""
    off = draw(st.sampled_from(["", "discount_rate", "discount_amount"]))
    discount: dict[str, Any] = (
        {off: draw(percents if off == "discount_rate" else amounts)} if off else {}
    )
    return LineFields(
        description=draw(texts),
        quantity=draw(quantities),
        unit_amount=draw(prices),
        tax_type=draw(st.sampled_from(sorted(RATES))),
        account_code=draw(st.sampled_from(["200", "260"])),
        item_code=draw(st.sampled_from(["", "INK"])),
        tracking=tuple(draw(st.lists(tracked, max_size=1))),
        **discount,
    )


lines = st.lists(st.one_of(priced(), priced(), words), min_size=1, max_size=4).map(tuple)


@st.composite
def bills(draw: st.DrawFn) -> BillFields:
    """Any bill whose total Xero takes."""
    currency = draw(st.sampled_from(["GBP", "EUR"]))
    rate = st.decimals(Decimal("0.5"), Decimal(2), places=6)
    bill = BillFields(
        number=f"{next(NUMBERS)}: {draw(st.sampled_from(['a,b', 'x<y>', '%2C']))}",
        reference=draw(texts).strip(),
        client=BOOKS.contact(draw(st.integers(0, 3))),
        issued_on=draw(days),
        due_on=draw(days),
        expected_on=draw(days),
        branding_theme=draw(st.sampled_from([t.id for t in BOOKS.ledger.organisation.themes])),
        url=draw(st.sampled_from(["", "https://example.org/?a=“ł”&b=<c>"])),
        currency=currency,
        rate=Decimal(1) if currency == "GBP" else draw(rate),
        tax_mode=draw(st.sampled_from(list(TaxMode))),
        lines=draw(lines),
    )
    assume(worth(bill).total >= 0)
    return bill


def worth(bill: BillFields) -> Totals:
    """The bill added up by us."""
    return add_up(map(_worth, bill.lines), bill.tax_mode, 2)


def _worth(line: LineFields) -> PricedLine:
    return PricedLine(
        quantity=line.quantity or Decimal(0),
        unit_amount=line.unit_amount or Decimal(0),
        discount_rate=line.discount_rate or Decimal(0),
        discount_amount=line.discount_amount or Decimal(0),
        tax_rate=RATES.get(line.tax_type, Decimal(0)),
    )


def added_up(bill: BillFields) -> BillFields:
    """The bill with all amounts that Xero works out, as we would."""
    totals = worth(bill)
    return replace(
        bill,
        lines=tuple(
            replace(line, line_amount=one.amount, tax_amount=one.tax)
            for line, one in zip(bill.lines, totals.lines, strict=True)
        ),
        sub_total=totals.sub_total,
        tax_total=totals.tax_total,
        total=totals.total,
        discount_total=discount(bill),
        outstanding=totals.total,
    )


def discount(bill: BillFields) -> Decimal:
    """Xero counts what was taken off lines that say so."""
    lines = zip(bill.lines, worth(bill).lines, strict=True)
    return sum((w.discount for x, w in lines if x.discount_rate or x.discount_amount), Decimal(0))


def without_ids(lines: Iterable[LineFields]) -> tuple[LineFields, ...]:
    return tuple(replace(line, remote_id="") for line in lines)


BOOKS = Books()
BOOKS.xero.http.post(
    "/sandbox/limits", json={"minute": None, "day": None, "concurrent": None, "app_minute": None}
)


def made(bill: BillFields, status: str) -> str:
    answer = BOOKS.send(outgoing.create_invoices([New(bill, status)]))
    assert answer.outcome is Outcome.DONE, answer
    return answer.elements[0].id


@settings(max_examples=100)
@given(bills(), st.sampled_from(["AUTHORISED", "DRAFT"]), st.booleans())
def test_a_new_bill_reads_back_as_it_was_meant(bill: BillFields, status: str, sent: bool) -> None:
    found = BOOKS.bill(made(replace(bill, sent=sent), status))
    meant = replace(
        added_up(bill),
        status=Status.ACTIVE if status == "AUTHORISED" else Status.DRAFT,
        sent=sent and status == "AUTHORISED",
    )
    assert replace(found, lines=without_ids(found.lines)) == meant
    assert all(line.remote_id for line in found.lines)


SENT = (
    "number", "reference", "client", "issued_on", "due_on", "expected_on", "branding_theme",
    "url", "money", "lines", "sent",
)  # fmt: skip
UNITS = st.sets(st.sampled_from(SENT), min_size=1)
FIELDS = {"money": ("currency", "rate"), "lines": ("tax_mode", "lines")}


@st.composite
def edited(draw: st.DrawFn, before: tuple[LineFields, ...]) -> tuple[LineFields, ...]:
    """Some of the lines kept, some changed under their id, some gone, some new, in any order."""
    new = iter(draw(lines))
    kept: list[LineFields] = []
    for line in before:
        fate = draw(st.sampled_from(["kept", "gone", "changed"]))
        if fate == "kept":
            kept.append(line)
        if fate == "changed" and (other := next(new, None)) is not None:
            kept.append(replace(other, remote_id=line.remote_id))
    return tuple(draw(st.permutations([*kept, *new]))) or before


@settings(max_examples=100)
@given(bills(), bills(), UNITS, st.data())
def test_an_edit_reads_back_as_it_was_meant_and_all_else_as_it_was(
    first: BillFields, second: BillFields, units: set[str], data: st.DataObject
) -> None:
    invoice = made(first, "AUTHORISED")
    before = BOOKS.bill(invoice)
    wanted = replace(second, sent=True, lines=data.draw(edited(before.lines)))
    names = tuple(n for unit in sorted(units) for n in FIELDS.get(unit, (unit,)))
    meant = before.take(wanted, names)
    assume(worth(meant).total >= 0)
    change = Change(invoice, meant, tuple(sorted(units)), before.status, before)
    answer = BOOKS.send(outgoing.update_invoices([change]))
    assert answer.outcome is Outcome.DONE, answer
    found = BOOKS.bill(invoice)
    assert replace(found, lines=without_ids(found.lines)) == replace(
        added_up(meant), lines=without_ids(added_up(meant).lines)
    )
    numbered = {x.remote_id for x in before.lines if x.quantity is not None}
    for ours, theirs in zip(meant.lines, found.lines, strict=True):
        if ours.remote_id and not (ours.quantity is None and ours.remote_id in numbered):
            assert theirs.remote_id == ours.remote_id
