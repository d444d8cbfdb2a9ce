"""The rules of the merge as one table: it drives the tests and generates docs/sync-rules.md."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from justpayme.core.bill import BillFields, LineFields, Status


@dataclass(frozen=True)
class Case:
    """One rule seen on one field of a bill; `bill` is what our row says afterwards."""

    row: int
    title: str
    field: str
    base: Any
    ours: Any
    xero: Any
    bill: Any
    goes_out: bool = False
    conflict: bool = False
    one_directional: bool = False
    voided: bool = False

    def versions(self) -> tuple[BillFields, BillFields, BillFields]:
        """Base, our row, Xero's version."""
        start = BillFields(status=Status.ACTIVE, currency="GBP", client="c-1")
        end = replace(start, status=Status.VOID) if self.voided else start
        return (
            replace(start, **{self.field: self.base}),
            replace(start, **{self.field: self.ours}),
            replace(end, **{self.field: self.xero}),
        )


_MAY, _JUNE, _JULY = date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)
_ONE = (LineFields("Hull paint", Decimal(1), Decimal(250), line_amount=Decimal(250)),)
_TWO = (LineFields("Hull paint", Decimal(2), Decimal(250), line_amount=Decimal(500)),)
_INK = (LineFields("Ink <b>", Decimal(1), Decimal(99), line_amount=Decimal(99)),)
_P, _A = Decimal(500), Decimal(300)

CASES: tuple[Case, ...] = (
    Case(1, "nobody changed the due date", "due_on", _MAY, _MAY, _MAY, _MAY),
    Case(2, "only Xero changed the due date", "due_on", _MAY, _MAY, _JUNE, _JUNE),
    Case(2, "only Xero took the reference away", "reference", "PO 7", "PO 7", "", ""),
    Case(2, "only Xero changed the lines", "lines", _ONE, _ONE, _TWO, _TWO),
    Case(2, "Xero marked it as paid", "status", *[Status.ACTIVE] * 2, *[Status.PAID] * 2),
    Case(3, "only we changed the due date", "due_on", _MAY, _JUNE, _MAY, _JUNE, goes_out=True),
    Case(3, "only we changed the lines", "lines", _ONE, _INK, _ONE, _INK, goes_out=True),
    Case(
        3,
        "only we changed the due date, where nothing may go out",
        "due_on",
        _MAY,
        _JUNE,
        _MAY,
        _MAY,
        conflict=True,
        one_directional=True,
    ),
    Case(4, "both changed the due date to the same day", "due_on", _MAY, _JUNE, _JUNE, _JUNE),
    Case(5, "both changed the due date", "due_on", _MAY, _JUNE, _JULY, _JULY, conflict=True),
    Case(5, "both changed the lines", "lines", _ONE, _INK, _TWO, _TWO, conflict=True),
    Case(
        5,
        "both changed the due date, where nothing may go out",
        "due_on",
        _MAY,
        _JUNE,
        _JULY,
        _JULY,
        conflict=True,
        one_directional=True,
    ),
    Case(6, "Xero worked out what is owed", "outstanding", _P, _P, _A, _A),
    Case(6, "our row's amount owed is wrong", "outstanding", _P, _A, _P, _P),
    Case(6, "both amounts owed moved", "outstanding", _P, _A, Decimal(1), Decimal(1)),
    Case(
        9,
        "voided in Xero while our due date waited to go out",
        "due_on",
        _MAY,
        _JUNE,
        _MAY,
        _MAY,
        conflict=True,
        voided=True,
    ),
    Case(9, "voided in Xero, nothing typed here", "due_on", *[_MAY] * 4, voided=True),
)

_HEAD = """# Which value stands

Generated from `tests/core/rules.py`, the table that also drives the tests: do not edit.

Each *unit* of a bill (fields that only make sense together) is compared with its *base*, the
last version that both books agreed on.
*Goes out*: our value stands and is sent to Xero when the sync is bidirectional.
*Conflict*: Xero's value stands and ours is kept in the bill's history.

| rule | situation | field | base | here | in Xero | result | also |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def document() -> str:
    """docs/sync-rules.md."""
    return _HEAD + "".join(_row(case) for case in CASES)


def _row(case: Case) -> str:
    also = [
        "one-directional" if case.one_directional else "",
        "goes out" if case.goes_out else "",
        "conflict keeps ours" if case.conflict else "",
        "the bill is void" if case.voided else "",
    ]
    values = (case.base, case.ours, case.xero, case.bill)
    cells = (case.row, case.title, f"`{case.field}`", *map(_shown, values))
    return "| " + " | ".join(map(str, cells)) + f" | {', '.join(filter(None, also)) or '–'} |\n"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "; ".join(f"{n.quantity} × `{n.description}`" for n in value)
    return str(value) or "nothing"
