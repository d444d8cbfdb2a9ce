"""From what a body says to what a verb takes; the API and the commands share it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from justpayme.core.bill import TaxMode
from justpayme.core.entry import BillEntry, LineEntry

NOTHING = BillEntry(client_id=0, currency="")
"""What a new bill starts from."""


def bill_entry(base: BillEntry, given: dict[str, Any]) -> BillEntry:
    """`base` with what a body gave."""
    plain = dict(given)
    if "lines" in plain:
        plain["lines"] = tuple(_line(line) for line in plain["lines"])
    if "tax_mode" in plain:
        plain["tax_mode"] = TaxMode(plain["tax_mode"])
    return replace(base, **plain)


def _line(given: dict[str, Any]) -> LineEntry:
    plain = dict(given)
    return LineEntry(line_id=plain.pop("id"), **plain)
