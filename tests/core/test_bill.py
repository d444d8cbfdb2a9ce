"""A bill as plain data, and back."""

from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from decimal import Decimal

from tests.strategies import bill

from justpayme.core import bill as module
from justpayme.core.bill import (
    BillFields,
    LineFields,
    PaidFields,
    TrackingFields,
    from_plain,
    to_plain,
)


def test_a_bill_survives_being_stored() -> None:
    chance = random.Random(1)
    line = LineFields(
        "Łódź ‮ 🧾",
        quantity=None,
        discount_rate=Decimal("12.5"),
        tracking=(TrackingFields("Region", "<b>North</b>"),),
    )
    for _ in range(2_000):
        version = replace(bill(chance), lines=(*bill(chance).lines, line))
        assert from_plain(json.loads(json.dumps(to_plain(version)))) == version


def test_every_field_is_read_back() -> None:
    for made, readers in (
        (BillFields, module._BILL),
        (LineFields, module._LINE),
        (PaidFields, module._PAID),
        (TrackingFields, module._TRACKING),
    ):
        assert {f.name for f in fields(made)} == set(readers)


def test_a_bill_stored_by_another_version_can_be_read() -> None:
    assert from_plain({"number": "A", "gone": 1}) == BillFields(number="A")
