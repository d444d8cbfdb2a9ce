"""The rules of the merge as one table: it drives the tests and generates docs/sync-rules.md."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from justpayme.core.bill import BillFields, LineFields, Status

NOTHING = "nothing was sent"


@dataclass(frozen=True)
class Case:
    """One rule seen on one field of a bill; `bill` is what our row says afterwards.

    `sent`: what had been sent of the field, and its answer was lost.
    """

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
    sent: Any = NOTHING

    def versions(self) -> tuple[BillFields, BillFields, BillFields]:
        """Base, our row, Xero's version."""
        start = BillFields(status=Status.ACTIVE, currency="GBP", client="c-1")
        end = replace(start, status=Status.VOID) if self.voided else start
        return (
            replace(start, **{self.field: self.base}),
            replace(start, **{self.field: self.ours}),
            replace(end, **{self.field: self.xero}),
        )

    def shipped(self) -> BillFields | None:
        """What was sent of the bill, if anything."""
        if self.sent is NOTHING:
            return None
        return replace(self.versions()[0], **{self.field: self.sent})


_MAY, _JUNE, _JULY = date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)
_ONE = (LineFields("Hull paint", Decimal(1), Decimal(250), line_amount=Decimal(250)),)
_TWO = (LineFields("Hull paint", Decimal(2), Decimal(250), line_amount=Decimal(500)),)
_INK = (LineFields("Ink <b>", Decimal(1), Decimal(99), line_amount=Decimal(99)),)
_TWO_THERE = (replace(_TWO[0], remote_id="there-1", tax_type="OUTPUT2", tax_amount=Decimal(100)),)
_INK_THERE = (replace(_INK[0], remote_id="there-1"),)
_P, _A = Decimal(500), Decimal(300)

_ALL_MAY, _MAY_TO_JUNE = (_MAY, _MAY, _MAY, _MAY), (_MAY, _JUNE, _JUNE, _JUNE)
_ACTIVE_TO_PAID = Status.ACTIVE, Status.ACTIVE, Status.PAID, Status.PAID
_APPROVED = Status.DRAFT, Status.ACTIVE, Status.PAID, Status.PAID

CASES: tuple[Case, ...] = (
    Case(1, "nobody changed the due date", "due_on", _MAY, _MAY, _MAY, _MAY),
    Case(2, "only Xero changed the due date", "due_on", _MAY, _MAY, _JUNE, _JUNE),
    Case(2, "only Xero took the reference away", "reference", "PO 7", "PO 7", "", ""),
    Case(2, "only Xero changed the lines", "lines", _ONE, _ONE, _TWO, _TWO),
    Case(2, "Xero marked it as paid", "status", *_ACTIVE_TO_PAID),
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
    Case(9, "voided in Xero, nothing typed here", "due_on", *_ALL_MAY, voided=True),
    Case(13, "our own due date arrived", "due_on", *_MAY_TO_JUNE, sent=_JUNE),
    Case(
        13,
        "our own due date arrived, and we changed it again",
        "due_on",
        _MAY,
        _JULY,
        _JUNE,
        _JULY,
        goes_out=True,
        sent=_JUNE,
    ),
    Case(
        13,
        "our own due date arrived, and we changed it back",
        "due_on",
        _MAY,
        _MAY,
        _JUNE,
        _MAY,
        goes_out=True,
        sent=_JUNE,
    ),
    Case(
        13,
        "our due date was sent, but Xero shows another",
        "due_on",
        _MAY,
        _JUNE,
        _JULY,
        _JULY,
        conflict=True,
        sent=_JUNE,
    ),
    Case(
        13,
        "our due date was sent and has not arrived",
        "due_on",
        _MAY,
        _JULY,
        _MAY,
        _JULY,
        goes_out=True,
        sent=_JUNE,
    ),
    Case(
        13,
        "our own lines arrived, with Xero's ids and tax",
        "lines",
        _ONE,
        _TWO,
        _TWO_THERE,
        _TWO_THERE,
        sent=_TWO,
    ),
    Case(
        13,
        "our own lines arrived, and we changed them again",
        "lines",
        _ONE,
        _INK,
        _TWO_THERE,
        _INK_THERE,
        goes_out=True,
        sent=_TWO,
    ),
    Case(13, "we approved it, and it was paid at once", "status", *_APPROVED, sent=Status.ACTIVE),
)

_HEAD = """# Which value stands

Generated from `tests/core/rules.py`, the table that also drives the tests: do not edit.

Each *unit* of a bill (fields that only make sense together) is compared with its *base*, the
last version that both books agreed on.
*Goes out*: our value stands and is sent to Xero when the sync is bidirectional.
*Conflict*: Xero's value stands and ours is kept until somebody decides.
*Sent*: we had sent a value and its answer was lost; where Xero shows that value, it is our own.

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
        "" if case.sent is NOTHING else f"sent {_shown(case.sent)}",
    ]
    values = (case.base, case.ours, case.xero, case.bill)
    cells = (case.row, case.title, f"`{case.field}`", *map(_shown, values))
    return "| " + " | ".join(map(str, cells)) + f" | {', '.join(filter(None, also)) or '–'} |\n"


def _shown_line(line: LineFields) -> str:
    return f"{line.quantity} × `{line.description}`" + (" with an id" if line.remote_id else "")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "; ".join(map(_shown_line, value))
    return str(value) or "nothing"
