"""Which fields of a bill Xero would refuse to change now, and why.

A form locks these fields before anyone types, and the verb that takes the form refuses them:
one table for both, so that nobody types what can't be kept (I-25). It follows what Xero lets an
app edit in each state of an invoice (xero-facts 3.10) and its lock dates (xero-facts 4.6):

    one-directional, void             nothing
    dated in a locked period          nothing; money that comes later may still be recorded
    draft                             everything, except that it can't be sent or paid yet
    approved, no money on it          everything
    money or a credit on it, or paid  number, reference, due date, client (not with a credit),
                                      theme, link; of a line what it says and where it is booked
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from justpayme.core.bill import Status

FIELDS = (
    "number",
    "reference",
    "client",
    "issued_on",
    "due_on",
    "expected_on",
    "branding_theme",
    "url",
    "sent",
    "currency",
    "tax_mode",
    "lines",
    "line_description",
    "line_account",
    "status",
    "payments",
)
"""What can be locked. `lines`: how many there are, and their amounts and taxes; `status`: making
the bill active or void; `payments`: recording one or taking one back."""

OPEN_WITH_MONEY = frozenset(
    {
        "number",
        "reference",
        "client",
        "due_on",
        "branding_theme",
        "url",
        "line_description",
        "line_account",
        "payments",
    }
)
"""What Xero still lets an app change once money has come off an invoice (xero-facts 3.10)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the locks of a linked bill depend on.

    `status` is the invoice's, in our words. `has_credits`: a credit note, overpayment or
    prepayment was applied. `pending`: a payment recorded here is on its way to Xero, which
    counts as there. `lock_date`: the last locked day; None, if nothing is locked.
    """

    direction: Literal["one", "two"]
    status: Status
    has_payments: bool = False
    has_credits: bool = False
    issued_on: date | None = None
    lock_date: date | None = None
    organisation: str = "Xero"
    pending: bool = False


def locked(facts: Facts) -> dict[str, str]:
    """Field -> why it can't be changed now, as a sentence; what may be changed is absent."""
    if why := _closed(facts):
        return dict.fromkeys(FIELDS, why)
    if facts.status is Status.DRAFT:
        return _of_draft(facts)
    found: dict[str, str] = {}
    if facts.has_payments or facts.has_credits or facts.status is Status.PAID or facts.pending:
        why = _why_money(facts)
        found = {name: why for name in FIELDS if name not in OPEN_WITH_MONEY}
    if facts.has_credits:
        found["client"] = "A credit of this client has been used on it, so the client is fixed."
    if in_locked_period(facts.issued_on, facts.lock_date):
        why = _why_period(facts)
        found = {name: why for name in FIELDS if name != "payments"}
    return found


def in_locked_period(day: date | None, lock_date: date | None) -> bool:
    """Is this day closed in Xero? The lock date itself counts (assumed, xero-facts 4.6)."""
    return day is not None and lock_date is not None and day <= lock_date


def period_sentence(lock_date: date, organisation: str) -> str:
    """Why nothing of a locked day can be changed, and the way out."""
    day = f"{lock_date.day} {lock_date:%B %Y}"
    return (
        f"{organisation} has locked its books up to {day} in Xero. "
        "Use a later date, or have the lock moved in Xero."
    )


def _closed(facts: Facts) -> str:
    if facts.direction == "one":
        return (
            f"Xero owns this bill while {facts.organisation} is one-directional. "
            "Change it in Xero; the change comes here with the next sync."
        )
    if facts.status is Status.VOID:
        return "The invoice is void in Xero, and nothing of it can be changed any more."
    return ""


def _of_draft(facts: Facts) -> dict[str, str]:
    """A draft is not in the books yet, so a locked period only keeps it from being approved."""
    found = {
        "sent": "A draft can't have been sent. Make the bill active first.",
        "payments": "Xero takes no payments on a draft. Make the bill active first.",
    }
    if in_locked_period(facts.issued_on, facts.lock_date):
        found["status"] = _why_period(facts)
    return found


def _why_money(facts: Facts) -> str:
    if facts.pending:
        return (
            "A payment of this bill is on its way to Xero, which then closes this part. "
            "Take the payment back first."
        )
    if facts.has_payments:
        return (
            "Money has come off this invoice, so Xero has closed this part of it. "
            "Remove its payments first."
        )
    if facts.has_credits:
        return (
            "A credit has been used on this invoice, so Xero has closed this part of it. "
            "Take the credit off in Xero first."
        )
    return "The invoice counts as paid in Xero, so this part of it is closed."


def _why_period(facts: Facts) -> str:
    day = facts.lock_date or facts.issued_on
    return period_sentence(day, facts.organisation) if day else ""
