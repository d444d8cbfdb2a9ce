"""What Xero lets an app change of an invoice in each of its states, and the words for the rest."""

from dataclasses import replace
from datetime import date

import pytest

from justpayme.core.bill import Status
from justpayme.core.editable import FIELDS, Facts, in_locked_period, locked

OPEN = Facts(
    "two", Status.ACTIVE, issued_on=date(2026, 11, 1), organisation="Hollins & Daughter Joinery"
)
EVERYTHING = set(FIELDS)
WITH_MONEY = {
    "number", "reference", "client", "due_on", "branding_theme", "url",
    "line_description", "line_account", "payments",
}  # fmt: skip
"""xero-facts 3.10, written out: what stays open once a payment was recorded."""


@pytest.mark.parametrize(
    ("facts", "free"),
    [
        (replace(OPEN, direction="one"), set()),
        (replace(OPEN, status=Status.VOID), set()),
        (OPEN, EVERYTHING),
        (replace(OPEN, status=Status.DRAFT), EVERYTHING - {"sent", "payments"}),
        (replace(OPEN, has_payments=True), WITH_MONEY),
        (replace(OPEN, pending=True), WITH_MONEY),
        (replace(OPEN, status=Status.PAID), WITH_MONEY),
        (replace(OPEN, status=Status.PAID, has_payments=True), WITH_MONEY),
        (replace(OPEN, has_credits=True), WITH_MONEY - {"client"}),
        (replace(OPEN, has_payments=True, has_credits=True), WITH_MONEY - {"client"}),
        (replace(OPEN, lock_date=date(2026, 10, 31)), EVERYTHING),
        (replace(OPEN, lock_date=date(2026, 11, 1)), {"payments"}),
        (replace(OPEN, lock_date=date(2026, 12, 31), has_payments=True), {"payments"}),
        (replace(OPEN, lock_date=date(2026, 12, 31), issued_on=None), EVERYTHING),
        (
            replace(OPEN, lock_date=date(2026, 12, 31), status=Status.DRAFT),
            EVERYTHING - {"sent", "payments", "status"},
        ),
    ],
)
def test_what_may_be_changed_in_each_state(facts: Facts, free: set[str]) -> None:
    assert EVERYTHING - set(locked(facts)) == free


@pytest.mark.parametrize("direction", ["one", "two"])
@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("payments", [False, True])
@pytest.mark.parametrize("credits", [False, True])
@pytest.mark.parametrize("lock", [None, date(2026, 12, 31)])
def test_every_lock_says_why_in_a_sentence(direction, status, payments, credits, lock) -> None:
    facts = replace(
        OPEN,
        direction=direction,
        status=status,
        has_payments=payments,
        has_credits=credits,
        lock_date=lock,
    )
    found = locked(facts)
    assert set(found) <= EVERYTHING
    for sentence in found.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert len(sentence) > 30


@pytest.mark.parametrize(
    ("facts", "field", "words"),
    [
        (replace(OPEN, direction="one"), "due_on", "Hollins & Daughter Joinery"),
        (replace(OPEN, has_payments=True), "lines", "Remove its payments first"),
        (replace(OPEN, has_credits=True), "lines", "Take the credit off in Xero"),
        (replace(OPEN, pending=True, has_payments=True), "lines", "on its way to Xero"),
        (replace(OPEN, lock_date=date(2026, 11, 30)), "due_on", "up to 30 November 2026"),
        (replace(OPEN, status=Status.DRAFT), "payments", "no payments on a draft"),
    ],
)
def test_a_reason_names_the_cause_and_the_way_out(facts: Facts, field: str, words: str) -> None:
    assert words in locked(facts)[field]


def test_the_lock_date_itself_is_locked() -> None:
    day = date(2026, 9, 30)
    assert in_locked_period(day, day)
    assert not in_locked_period(date(2026, 10, 1), day)
    assert not in_locked_period(None, day)
    assert not in_locked_period(day, None)
