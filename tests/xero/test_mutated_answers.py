"""I-9, F6: answers of recorded shape with something random done to them.

Each is refused by name, or what is read of it are whole values; nothing else is ever raised, and
rows that got lost are noticed.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec
import pytest
from tests.extent import FULL
from tests.xero.pages import invoice, page
from tests.xero.test_client import Xero

from justpayme.core.bill import BillFields
from justpayme.core.errors import Problem
from justpayme.xero import wire
from justpayme.xero.translate import check_sums, to_bill

PAYLOADS = 20_000 if FULL else 2_000
PARTS = 2
ODD: tuple[Any, ...] = (
    None, "", 0, -1, 1e308, "NaN", "1e400", [], {}, [None], True, "/Date(0+0000)/", "\x00",
    "\u202e<b>", "9" * 400, {"InvoiceID": "x"}, "2026-02-31", "/Date(99999999999999999)/",
    0.1 + 0.2,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a JSON value."""
    steps: Any = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    inside = [place for step, inner in steps for place in places(inner, (*path, step))]
    return [path, *inside] if path else inside


def mutated(chance: random.Random) -> tuple[bytes, bool]:
    """A page of two invoices with one to three changes; whether a row was removed by them."""
    said: Any = page([invoice(), invoice(InvoiceID="343216c5-369e-4056-ac67-05388f86dc82")])
    for _ in range(chance.choice((1, 1, 2, 3))):
        *way, last = chance.choice(places(said))
        holder = said
        for step in way:
            holder = holder[step]
        match chance.randrange(4):
            case 0:
                del holder[last]
            case 1:
                holder[last] = copy.deepcopy(chance.choice(ODD))
            case 2:
                holder[last] = [holder[last]]
            case 3 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[last]))
            case _:
                holder[last] = str(holder[last])
    raw = json.dumps(said).encode()
    rows = said.get("Invoices")
    lost = isinstance(rows, list) and len(rows) < 2
    if chance.random() < 0.1:
        raw = raw[: chance.randrange(len(raw))]
    return raw, lost


def read(raw: bytes) -> list[BillFields]:
    """What the reading of a page makes of it; raises Problem."""
    xero = Xero(httpx2.Response(200, content=raw, headers={"content-type": "application/json"}))
    found = xero.client().invoices(1, None, True)
    invoices = [wire.decode(wire.Invoice, row) for row in found.rows]
    for one in invoices:
        check_sums(one)
    return [to_bill(one) for one in invoices if one.type == "ACCREC"]


@pytest.mark.layer("bad inputs")
@pytest.mark.parametrize("part", range(PARTS))
def test_a_mutated_answer_is_refused_by_name_or_read_whole(
    part: int, cases: Callable[[int], None]
) -> None:
    met: Counter[str] = Counter()
    for seed in range(part, PAYLOADS, PARTS):
        raw, lost = mutated(random.Random(seed))
        try:
            bills = read(raw)
        except Problem as problem:
            met[problem.code] += 1
            continue
        assert not lost, seed
        assert all(json.dumps(msgspec.to_builtins(bill)) for bill in bills), seed
        met["read"] += 1
    cases(met.total())
    assert met.keys() == {"read", "wrong_shape"}
    assert min(met.values()) > PAYLOADS / PARTS / 20, met
