"""The plan of going bidirectional, as a value: what goes, what stays behind, what it is called."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from justpayme.core.bill import Status
from justpayme.integrations.plan import (
    AT_ONCE,
    Contact,
    Kind,
    LocalBill,
    Overridden,
    Plan,
    Received,
    Terms,
    build,
    difference,
    tickable,
)
from justpayme.integrations.shown_plan import figures

TERMS = Terms(
    organisation="Demo & Söhne",
    write_back=True,
    receivers={"GBP": "090 Bank"},
    currencies=frozenset({"GBP", "EUR"}),
    lock_date=date(2026, 9, 30),
)


def bill(pk: int = 1, **fields: Any) -> LocalBill:
    usual: dict[str, Any] = {
        "number": f"B-{pk}",
        "client_id": pk,
        "client": "Ann",
        "currency": "GBP",
        "total": Decimal("120.10"),
        "status": Status.ACTIVE,
        "issued_on": date(2026, 11, 1),
        "due_on": date(2026, 12, 1),
        "stamp": "2026-11-22T10:00:00",
    }
    return LocalBill(id=pk, **usual | fields)


def override(pk: int = 1, **fields: Any) -> Overridden:
    usual: dict[str, Any] = {
        "bill_id": 90 + pk,
        "number": "INV-9",
        "client": "Ann",
        "currency": "GBP",
        "total": Decimal(5),
        "unit": "reference",
        "ours": {"reference": "mine"},
        "theirs": {"reference": "theirs"},
    }
    return Overridden(id=pk, **usual | fields)


def test_nothing_goes_that_nobody_ticked() -> None:
    plan = build(TERMS, [bill()], [override()], frozenset())
    assert plan.going == ()
    assert len(plan.offered) == 2


def test_a_ticked_bill_brings_its_payments_and_one_contact_per_client() -> None:
    paid = (Received(7, Decimal(20), date(2026, 11, 5)),)
    bills = [
        bill(1, client_id=5, contact=Contact.NEW, payments=paid),
        bill(2, client_id=5, contact=Contact.NEW),
        bill(3),
    ]
    plan = build(TERMS, bills, [override()], frozenset({"c1", "c2", "m1"}))
    assert [item.key for item in plan.going] == ["c1", "k5", "p7", "c2", "m1"]
    assert plan.money(Kind.CREATE) == {"GBP": Decimal("240.20")}
    assert plan.money(Kind.PAY) == {"GBP": Decimal(20)}
    assert plan.count(Kind.CONTACT) == 1


def test_money_of_different_currencies_is_never_added_up() -> None:
    bills = [bill(1), bill(2, currency="EUR", total=Decimal(9))]
    plan = build(TERMS, bills, [], frozenset({"c1", "c2"}))
    assert plan.money(Kind.CREATE) == {"EUR": Decimal(9), "GBP": Decimal("120.10")}


PAID = {"payments": (Received(1, Decimal(5), date(2026, 11, 5)),)}
BLOCKING: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("no number", {"number": " "}, {}, "number_missing"),
    ("number used", {"number_used": True}, {}, "number_in_use"),
    ("number twice here", {"number_twice": True}, {}, "number_in_use"),
    ("no lines", {"lines": 0}, {}, "lines_missing"),
    ("negative", {"total": Decimal(-1)}, {}, "negative_total"),
    ("other currency", {"currency": "USD"}, {}, "currency_not_enabled"),
    ("on the lock date", {"issued_on": date(2026, 9, 30)}, {}, "lock_date"),
    ("no due date", {"due_on": None}, {}, "due_date_missing"),
    ("archived contact", {"contact": Contact.ARCHIVED}, {}, "contact_archived"),
    ("client of another", {"contact": Contact.ELSEWHERE}, {}, "client_elsewhere"),
    ("paid, no write-back", PAID, {"write_back": False}, "payment_not_allowed"),
    ("paid, no account", PAID, {"receivers": {}}, "receiving_account_missing"),
    ("paid, but a draft", PAID, {"create_as": "DRAFT"}, "payment_not_allowed"),
    ("credited", {"credited": Decimal(1)}, {}, "payment_not_allowed"),
    (
        "paid in a locked time",
        {"payments": (Received(1, Decimal(5), date(2026, 9, 1)),)},
        {},
        "lock_date",
    ),
]


@pytest.mark.parametrize(
    ("said", "fields", "terms", "code"), BLOCKING, ids=[row[0] for row in BLOCKING]
)
def test_what_xero_would_refuse_stays_behind_whatever_is_ticked(
    said: str, fields: dict[str, Any], terms: dict[str, Any], code: str
) -> None:
    plan = build(replace(TERMS, **terms), [bill(**fields)], [], frozenset({"c1"}))
    assert plan.going == (), said
    [item] = plan.blocked
    assert code in {obstacle.code for obstacle in item.obstacles}
    assert all(obstacle.sentence.endswith(".") for obstacle in item.obstacles)
    assert tickable(plan) == frozenset()


def test_the_day_after_the_lock_date_may_go() -> None:
    plan = build(TERMS, [bill(issued_on=date(2026, 10, 1))], [], frozenset({"c1"}))
    assert [item.key for item in plan.going] == ["c1"]


def test_a_draft_without_a_due_date_may_go() -> None:
    plan = build(TERMS, [bill(due_on=None, status=Status.DRAFT)], [], frozenset({"c1"}))
    assert plan.count(Kind.CREATE) == 1


def test_a_look_alike_contact_does_not_block_but_is_asked_about() -> None:
    one = bill(contact=Contact.LIKE, alike=("ANN",))
    plan = build(TERMS, [one], [], frozenset({"c1"}))
    assert plan.count(Kind.CREATE) == 1
    [obstacle] = plan.items[0].obstacles
    assert (obstacle.code, obstacle.blocks) == ("contact_like_this", False)


def test_unknown_currencies_block_nothing() -> None:
    plan = build(replace(TERMS, currencies=frozenset()), [bill(currency="USD")], [], frozenset())
    assert plan.blocked == ()


def test_lost_payments_that_go_are_counted_as_payments_with_their_money() -> None:
    paid = [
        {"kind": "payment", "remote_id": "", "amount": amount, "on": "2026-11-05", "reference": ""}
        for amount in ("5.10", "0.20")
    ]
    lost = override(unit="payments", ours={"payments": paid}, theirs={"payments": []})
    plan = build(TERMS, [], [lost], frozenset({"m1"}))
    assert (plan.count(Kind.PAY), plan.money(Kind.PAY)) == (2, {"GBP": Decimal("5.30")})
    left = build(TERMS, [], [lost], frozenset())
    assert (left.count(Kind.PAY), left.money(Kind.PAY)) == (0, {})
    assert shown_counts(plan) == {"Updated invoices": "0", "Payments": "2", "Left as they are": "9"}
    assert shown_counts(left) == {
        "Updated invoices": "0",
        "Payments": "0",
        "Left as they are": "10",
    }


def shown_counts(plan: Plan) -> dict[str, str]:
    """What a page says of a plan, with ten bills that are invoices already."""
    named = ("Updated invoices", "Payments", "Left as they are")
    return {f.label: f.value for f in figures(plan, 10, "GBP") if f.label in named}


def test_a_lost_payment_goes_only_with_write_back() -> None:
    one = override(unit="payments")
    assert build(TERMS, [], [one], frozenset({"m1"})).going
    off = replace(TERMS, write_back=False)
    assert not build(off, [], [one], frozenset({"m1"})).going


CHANGES: list[dict[str, Any]] = [
    {"number": "X"},
    {"client": "Bob"},
    {"total": Decimal(121)},
    {"currency": "EUR"},
    {"due_on": date(2027, 1, 1)},
    {"stamp": "2026-11-22T10:00:01"},
    {"number_used": True},
    {"contact": Contact.LIKE, "alike": ("ANN",)},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_every_change_of_what_was_shown_changes_the_digest(change: dict[str, Any]) -> None:
    shown = build(TERMS, [bill()], [], frozenset({"c1"}))
    now = build(TERMS, [bill(**change)], [], frozenset({"c1"}))
    assert now.digest != shown.digest
    assert [item.key for item in difference(shown.marks, now).changed] == ["c1"]


def test_the_same_facts_and_ticks_have_the_same_digest() -> None:
    first, again = (build(TERMS, [bill()], [override()], frozenset({"c1"})) for _ in range(2))
    assert first.digest == again.digest
    assert not difference(first.marks, again)
    assert build(TERMS, [bill()], [override()], frozenset()).digest != first.digest


def test_changed_terms_are_told_apart_from_changed_items() -> None:
    shown = build(TERMS, [bill()], [], frozenset())
    now = build(replace(TERMS, create_as="DRAFT"), [bill()], [], frozenset())
    found = difference(shown.marks, now)
    assert (found.terms, found.changed, found.new, found.gone) == (True, (), (), 0)


def test_a_changed_value_of_either_side_changes_the_plan() -> None:
    shown = build(TERMS, [], [override()], frozenset({"m1"}))
    for change in ({"ours": {"reference": "x"}}, {"theirs": {"reference": "x"}}):
        now = build(TERMS, [], [override(**change)], frozenset({"m1"}))
        assert now.digest != shown.digest


def test_no_more_is_ticked_at_once_than_can_go_at_once() -> None:
    bills = [bill(n) for n in range(1, AT_ONCE + 5)]
    keys = tickable(build(TERMS, bills, [], frozenset()))
    assert len(keys) == AT_ONCE
    assert "c1" in keys
