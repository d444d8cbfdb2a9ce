"""Random bills, from a seed: small pools of values, so that both sides often agree by chance."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from justpayme.core.bill import (
    UNITS,
    BillFields,
    LineFields,
    MoneyKind,
    PaidFields,
    Status,
    TaxMode,
)

EXAMPLES = int(os.environ.get("JUSTPAYME_EXAMPLES", "10000"))
"""Random examples per law; a full run sets a million."""

_WORDS = ("", "INV-0042", "PO 7", "<script>alert(1)</script>", "Łódź ‮ 🧾", "'; DROP TABLE bills;--")
_DAYS = (None, date(2026, 2, 28), date(2028, 2, 29), date(2026, 11, 22))
_MONEY = tuple(Decimal(m) for m in ("0", "0.01", "250", "260.50", "9999999999.99"))
_LINE_SETS = tuple(
    tuple(
        LineFields(f"line {i}", Decimal(i), Decimal("12.3456"), line_amount=Decimal(n), remote_id=w)
        for i, w in enumerate(words)
    )
    for n, words in enumerate(((), ("a",), ("a", "b"), ("b", "a")))
)
_PAYMENTS = (
    (),
    (PaidFields(MoneyKind.PAYMENT, "p-1", Decimal("5")),),
    (PaidFields(MoneyKind.CREDIT, "c-1", Decimal("5")),),
)
_POOLS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("number", "reference", "client", "branding_theme", "url"), _WORDS),
    **dict.fromkeys(("issued_on", "due_on", "expected_on", "fully_paid_on"), _DAYS),
    "status": (Status.DRAFT, Status.ACTIVE, Status.ACTIVE, Status.ACTIVE, Status.PAID, Status.VOID),
    "sent": (False, True),
    "currency": ("GBP", "JPY", "KWD"),
    "rate": (None, Decimal("1.2345678901")),
    "tax_mode": tuple(TaxMode),
    "lines": _LINE_SETS,
    "payments": _PAYMENTS,
}


def value(chance: random.Random, name: str) -> Any:
    """A value for one field of a bill."""
    return chance.choice(_POOLS.get(name, _MONEY))


def bill(chance: random.Random) -> BillFields:
    """A whole bill."""
    return BillFields(**{n: value(chance, n) for names in UNITS.values() for n in names})


def edited(chance: random.Random, before: BillFields, share: float) -> BillFields:
    """The bill with about this share of its units changed (some to what they were)."""
    names = [n for unit in UNITS.values() if chance.random() < share for n in unit]
    return replace(before, **{n: value(chance, n) for n in names})


def typed(chance: random.Random, before: BillFields, share: float) -> BillFields:
    """An edit of ours: like `edited`, but a person here can't touch what Xero computes."""
    return edited(chance, before, share).take(before, UNITS["settlement"])


def histories(seed: int, count: int = EXAMPLES) -> Iterator[tuple[BillFields, ...]]:
    """(base, our row, Xero's version), as many as asked."""
    chance = random.Random(seed)
    for _ in range(count):
        base = bill(chance)
        share = chance.choice((0.0, 0.1, 0.3, 1.0))
        ours = typed(chance, base, share)
        yield base, ours, edited(chance, base, chance.choice((0.0, 0.1, 0.3, 1.0)))
