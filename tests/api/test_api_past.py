"""A bill as it was, over the API."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.api.given import Caller, error_of
from tests.bills.given import HOSTILE, NOW, a_bill, a_client, act, line

from justpayme.accounts.models import User
from justpayme.bills import actions
from justpayme.bills.models import Bill
from justpayme.core.entry import PaymentEntry

LATER, LAST = NOW + timedelta(hours=1), NOW + timedelta(hours=2)


@pytest.fixture
def lived(alice: User) -> Bill:
    """A bill of £120.00 that moved to another client with other lines, and was paid in part."""
    bill = a_bill(alice, a_client(alice, HOSTILE), number="B-1")
    other = a_client(alice, "Angling")
    lines = (line(unit_amount=Decimal("0.1234"), discount_rate=Decimal(10)), line())
    entry = replace(actions.entry_of(bill), client_id=other.pk, lines=lines)
    actions.bill_edit(act=act(alice, now=LATER), bill_id=bill.pk, entry=entry)
    payment = PaymentEntry(Decimal(30), NOW.date(), HOSTILE)
    actions.payment_record(act=act(alice, now=LAST), bill_id=bill.pk, entry=payment)
    return bill


def at(caller: Caller, bill: Bill, moment: str) -> Any:
    return caller.get(f"/bills/{bill.pk}/at", moment=moment)


def test_a_bill_is_read_as_it_was(as_vera: Caller, lived: Bill) -> None:
    found = at(as_vera, lived, "2026-11-22T14:29:08Z").json()
    assert found["client"]["name"] == HOSTILE
    assert (found["total"], found["outstanding"], found["payments"]) == ("120.00", "120.00", [])
    assert [row["unit_amount"] for row in found["lines"]] == ["100.00"]
    assert (found["since"], found["until"]) == ("2026-11-22T14:29:07Z", "2026-11-22T15:29:07Z")
    assert found["entry"]["action"] == "approved"
    changed = {one["field"]: (one["old"], one["new"]) for one in found["following"]["changes"]}
    assert changed["client"] == (found["client"], {"id": lived.client_id + 1, "name": "Angling"})
    assert found["doubtful"] == []


def test_without_a_moment_it_is_the_bill_of_now(as_vera: Caller, lived: Bill) -> None:
    past, today = (as_vera.get(f"/bills/{lived.pk}{rest}").json() for rest in ("/at", ""))
    same = set(past) & set(today) - {"lines", "payments"}
    assert {name: past[name] for name in same} == {name: today[name] for name in same}
    assert "total" in same
    assert past["until"] is None
    assert past["following"] is None
    assert [p["amount"] for p in past["payments"]] == [p["amount"] for p in today["payments"]]
    shared = set(past["lines"][0]) & set(today["lines"][0])
    for before, now in zip(past["lines"], today["lines"], strict=True):
        assert {n: before[n] for n in shared} == {n: now[n] for n in shared}


def test_a_moment_before_the_bill_is_refused_with_when_it_began(
    as_alice: Caller, lived: Bill
) -> None:
    error = error_of(at(as_alice, lived, "2026-11-22T14:29:06.999999Z"), 422)
    assert "2026-11-22T14:29:07Z" in error["fields"]["moment"]


@pytest.mark.parametrize("moment", ["", "now", "2026-11-22", "2026-11-22T14:29:07", "9" * 400])
def test_a_moment_that_is_none_is_refused_by_name(
    as_alice: Caller, lived: Bill, moment: str
) -> None:
    error = error_of(at(as_alice, lived, moment), 422)
    assert error["fields"] == {"moment": "Send a time in UTC, such as 2026-11-22T09:30:00Z."}


def test_what_no_entry_tells_is_named(as_alice: Caller, lived: Bill) -> None:
    Bill.objects.filter(pk=lived.pk).update(total=Decimal(1))
    assert as_alice.get(f"/bills/{lived.pk}/at").json()["doubtful"] == ["total"]


def test_the_past_of_anothers_bill_is_not_there(as_charlie: Caller, lived: Bill) -> None:
    """I-48."""
    error_of(at(as_charlie, lived, "2026-11-22T14:29:08Z"), 404)
