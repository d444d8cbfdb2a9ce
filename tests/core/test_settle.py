"""Payments on their way lie over the bill, and come off again exactly (I-2, I-15, I-16)."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from tests.strategies import EXAMPLES

from justpayme.core.bill import BillFields, MoneyKind, PaidFields, Status
from justpayme.core.settle import Pending, over, under

MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)


def money(amount: int, remote_id: str = "", on: date | None = JUNE) -> PaidFields:
    return PaidFields(MoneyKind.PAYMENT, remote_id, Decimal(amount), on)


def pay(amount: int, remote_id: str = "", on: date | None = JUNE) -> Pending:
    return Pending("pay", money(amount, remote_id, on))


def unpay(remote_id: str) -> Pending:
    return Pending("unpay", money(1, remote_id))


def owing(total: int, *payments: PaidFields, credited: int = 0) -> BillFields:
    """A bill as Xero would say it."""
    paid = sum((p.amount for p in payments if p.kind is MoneyKind.PAYMENT), Decimal(0))
    owed = total - paid - credited
    return BillFields(
        status=Status.ACTIVE if owed else Status.PAID,
        fully_paid_on=None if owed else JUNE,
        total=Decimal(total),
        outstanding=owed,
        paid=paid,
        credited=Decimal(credited),
        payments=payments,
    )


def test_a_payment_of_everything_shows_the_bill_paid_on_its_day() -> None:
    shown = over(owing(100, money(40, "p-1", MAY)), [pay(60)])
    assert (shown.status, shown.outstanding, shown.paid) == (Status.PAID, Decimal(0), Decimal(100))
    assert shown.fully_paid_on == JUNE
    assert shown.payments == (money(40, "p-1", MAY), money(60))


def test_a_part_payment_leaves_the_rest_owed() -> None:
    shown = over(owing(100), [pay(60)])
    assert (shown.status, shown.outstanding, shown.paid) == (
        Status.ACTIVE,
        Decimal(40),
        Decimal(60),
    )
    assert shown.fully_paid_on is None


def test_two_equal_payments_are_two_payments() -> None:
    """I-15."""
    shown = over(owing(100), [pay(50), pay(50)])
    assert (shown.status, shown.outstanding) == (Status.PAID, Decimal(0))
    assert over(shown, [pay(50), pay(50)]) == shown


def test_an_equal_payment_recorded_later_is_another_one() -> None:
    """I-15: of two that wait, one lies over the bill already."""
    shown = over(owing(100), [pay(30)])
    assert over(shown, [pay(30), pay(30)]).outstanding == 40


def test_a_removed_payment_makes_a_paid_bill_active_again() -> None:
    shown = over(owing(100, money(100, "p-1")), [unpay("p-1")])
    assert (shown.status, shown.outstanding, shown.paid) == (
        Status.ACTIVE,
        Decimal(100),
        Decimal(0),
    )
    assert (shown.payments, shown.fully_paid_on) == ((), None)


def test_a_credit_is_not_removed() -> None:
    credit = PaidFields(MoneyKind.CREDIT, "c-1", Decimal(100))
    bill = replace(owing(100, credited=100), payments=(credit,))
    assert over(bill, [unpay("c-1")]) == bill


def test_what_the_bill_shows_already_changes_nothing() -> None:
    bill = owing(100, money(40, "p-1"))
    assert over(bill, [pay(40, "p-1"), unpay("p-9")]) is bill


def test_a_payment_recorded_and_removed_before_xero_showed_it_changes_nothing() -> None:
    bill = owing(100)
    assert over(bill, [pay(40, "p-1"), unpay("p-1")]) is bill


def test_the_same_payment_pending_twice_counts_once() -> None:
    assert over(owing(100), [pay(40, "p-1"), pay(40, "p-1")]).outstanding == 60


def test_more_than_is_owed_is_not_counted() -> None:
    bill = owing(100)
    assert over(bill, [pay(101)]) is bill
    assert over(bill, [pay(60), pay(60), pay(40)]).outstanding == 0


def test_a_removal_makes_room_for_a_payment_in_any_order() -> None:
    bill = owing(100, money(100, "p-1"))
    for pending in ([pay(70), unpay("p-1")], [unpay("p-1"), pay(70)]):
        assert over(bill, pending).outstanding == 30


@pytest.mark.parametrize("status", [Status.DRAFT, Status.VOID])
def test_a_draft_or_a_void_bill_is_left_alone(status: Status) -> None:
    bill = replace(owing(100), status=status)
    assert over(bill, [pay(60)]) is bill


@pytest.mark.parametrize("edited", [Status.DRAFT, Status.VOID])
def test_a_status_that_a_person_set_stays_when_the_overlay_comes_off(edited: Status) -> None:
    base = owing(100)
    assert under(replace(base, status=edited), base).status is edited


def test_under_a_paid_bill_whose_invoice_is_a_draft_lies_its_approval() -> None:
    """Paid is never an edit of ours, and Xero takes no such word."""
    draft = replace(owing(100), status=Status.DRAFT)
    approved = replace(draft, status=Status.ACTIVE)
    shown = over(approved, [pay(100)])
    assert shown.status is Status.PAID
    assert under(shown, draft) == approved


def settlements(chance: random.Random) -> tuple[BillFields, list[Pending]]:
    """A bill with payments and any mixture of pending ones, some seen in Xero already."""
    there = [money(chance.randint(1, 40), f"p-{n}", MAY) for n in range(chance.randrange(4))]
    total = sum(int(p.amount) for p in there) + chance.choice((0, 1, 30, 100))
    bill = owing(total, *there)
    status = chance.choice((bill.status, bill.status, Status.DRAFT, Status.VOID))
    pending = [
        unpay(f"p-{chance.randrange(5)}")
        if chance.random() < 0.4
        else pay(chance.choice((1, 30, 30, 100)), chance.choice(("", "", "p-1", "p-7")))
        for _ in range(chance.randrange(6))
    ]
    return replace(bill, status=status), pending


def test_laws_of_the_overlay() -> None:
    chance = random.Random(3)
    reached = dict.fromkeys(Status, 0)
    for _ in range(EXAMPLES):
        bill, pending = settlements(chance)
        shown = over(bill, pending)
        assert under(shown, bill) == bill
        if bill.status is Status.ACTIVE:
            assert under(shown, replace(bill, status=Status.DRAFT)) == bill
        assert over(shown, pending) == shown
        assert shown.outstanding >= 0
        assert shown.outstanding + shown.paid == bill.outstanding + bill.paid
        if shown != bill:
            assert (shown.status is Status.PAID) == (shown.outstanding == 0)
            reached[shown.status] += 1
    assert reached[Status.ACTIVE] > EXAMPLES // 20
    assert reached[Status.PAID] > EXAMPLES // 50
    assert reached[Status.DRAFT] == reached[Status.VOID] == 0
