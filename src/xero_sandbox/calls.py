"""One call that writes, and the shapes of its answer: all saved, or which elements not (3.5)."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
from werkzeug.wrappers import Response

from xero_sandbox import bodies, shapes
from xero_sandbox.answers import error_answer
from xero_sandbox.bodies import Fields
from xero_sandbox.checks import Refused
from xero_sandbox.listing import Question
from xero_sandbox.store import Ledger, Store

Json = dict[str, Any]
ZERO_GUID = "00000000-0000-0000-0000-000000000000"
ZONES = {"GMTSTANDARDTIME": "Europe/London", "NEWZEALANDSTANDARDTIME": "Pacific/Auckland"}
"""Xero's names of time zones; the sandbox has organisations in these two (4.6)."""
DATES = {"date", "duedate", "expectedpaymentdate"}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """An authorised call: the books, the moment, and what was sent."""

    store: Store
    ledger: Ledger
    now: datetime
    method: str
    body: bytes
    question: Question
    provider: str

    @property
    def create_only(self) -> bool:
        """PUT creates and never updates (3.4)."""
        return self.method == "PUT"

    @property
    def summarise(self) -> bool:
        """One bad element refuses the whole call, unless ``summarizeErrors=false`` (3.5)."""
        return self.question.text("summarizeerrors").lower() != "false"

    @property
    def places(self) -> int:
        """Decimal places of unit amounts, read and write (3.11)."""
        return self.question.places

    @property
    def tenant(self) -> str:
        """The tenant id."""
        return self.ledger.organisation.id

    @property
    def today(self) -> date:
        """Today where the organisation is (3.7)."""
        zone = ZONES.get(self.ledger.organisation.timezone, "UTC")
        return self.now.astimezone(ZoneInfo(zone)).date()

    def enveloped(self, plural: str, rows: list[Json]) -> Response:
        """Rows in Xero's envelope."""
        body = shapes.envelope(
            plural,
            [shapes.to_json(row) for row in rows],
            self.now,
            str(uuid4()),
            self.provider,
            None,
        )
        return Response(body, 200, content_type="application/json; charset=utf-8")


class Kind(msgspec.Struct, frozen=True):
    """How the elements of one endpoint are written.

    ``save`` writes one element and returns it as the answer shows it; ``shown`` is the element's
    present state for the echo of a refusal, None when it does not exist. ``error_flag`` is what
    says of a refused element that it has errors, empty where the kind has no such field.
    """

    plural: str
    id_name: str
    error_flag: str
    save: Callable[[Call, Fields], Json]
    shown: Callable[[Call, Fields], Json | None]


class _TakeBack(Exception):
    """Good siblings of a refused element are not saved."""


def answer(call: Call, kind: Kind, elements: list[Fields]) -> Response:
    """Save every element and answer as ``summarizeErrors`` asks (3.5)."""
    rows: list[Json] = []
    bad: list[Json] = []
    try:
        with call.store.together(call.tenant):
            for element in elements:
                row, good = _one(call, kind, element)
                rows.append(row)
                if not good:
                    bad.append(row)
            keep = call.ledger.open.good_siblings == "saved"
            if bad and call.summarise and not keep:
                raise _TakeBack
    except _TakeBack:
        pass
    if bad and call.summarise:
        return error_answer(10, "ValidationException", "A validation exception occurred", bad)
    return call.enveloped(kind.plural, rows)


def _one(call: Call, kind: Kind, element: Fields) -> tuple[Json, bool]:
    """One element as the answer shows it, and whether it was saved."""
    try:
        with call.store.together(call.tenant):
            row = kind.save(call, element)
    except Refused as refused:
        return _echo(call, kind, element, refused), False
    return row if call.summarise else {**row, "StatusAttributeString": "OK"}, True


def _echo(call: Call, kind: Kind, element: Fields, refused: Refused) -> Json:
    """A refused element: what is there, overlaid with what was asked, and the reasons (3.8)."""
    row = kind.shown(call, element) or {kind.id_name: ZERO_GUID}
    names = {name.lower(): name for name in row}
    for name, value in element.raw.items():
        if value is not None and name.lower() != kind.id_name.lower():
            row[names.get(name.lower(), name)] = _asked(name, value)
    if kind.error_flag:
        row[kind.error_flag] = True
    if not call.summarise:
        row["StatusAttributeString"] = "ERROR"
    row["ValidationErrors"] = [{"Message": message} for message in refused.messages]
    return row


def _asked(name: str, value: Any) -> Any:
    """A value as asked, dates in the form in which Xero answers (3.9)."""
    if name.lower() in DATES and isinstance(value, str):
        try:
            return shapes.day(bodies.parse_day(value, name))
        except bodies.BadBody:
            return value
    return value
