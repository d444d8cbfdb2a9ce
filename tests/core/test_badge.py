"""The one table of sync labels, and which badge a bill gets."""

import pytest

from justpayme.core.badge import BADGES, BillSyncFacts, badge_for

# Key, label, icon, tone, quiet in lists, sentence: written out from the design language.
DESIGN = [
    (
        "synced", "Synced with Xero", "equal", "ok", True,
        "Every field equals the Xero invoice, as of the time shown.",
    ),
    (
        "waiting", "Waiting to send", "clock", "go", False,
        "Your change is kept and goes out by itself, mostly within seconds.",
    ),
    (
        "sending", "Sending", "up", "go", False,
        "Your change is on its way to Xero now.",
    ),
    (
        "checking", "Sent, being checked", "eye", "go", False,
        "Sent, but Xero’s answer was unclear; we look before doing anything more.",
    ),
    (
        "conflict", "Overridden by Xero", "notequal", "clash", False,
        "Xero’s value is in use; yours is kept, and you can send it.",
    ),
    (
        "refused", "Refused by Xero", "stop", "bad", False,
        "Xero said no; the bill’s own page says why and how to fix it.",
    ),
    (
        "attention", "Needs attention", "warn", "warn", False,
        "Something only you can decide.",
    ),
    (
        "readonly", "Read-only from Xero", "lock", "calm", True,
        "Xero owns this bill; change it there.",
    ),
    (
        "parted", "No longer synced", "unlink", "calm", True,
        "This bill stays here but follows Xero no more.",
    ),
    (
        "absent", "Not in Xero", "absent", "calm", True,
        "This bill exists only in JustPayMe.",
    ),
]  # fmt: skip


def test_badge_table_says_what_the_design_says() -> None:
    told = [(b.key, b.label, b.icon, b.tone.value, b.quiet, b.sentence) for b in BADGES.values()]
    assert told == DESIGN


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        (BillSyncFacts(), "absent"),
        (BillSyncFacts(linked=True), "readonly"),
        (BillSyncFacts(linked=True, direction="both"), "synced"),
        (BillSyncFacts(linked=True, parted=True), "parted"),
        (BillSyncFacts(linked=True, parted=True, needs_person=True), "parted"),
        (BillSyncFacts(linked=True, needs_person=True), "attention"),
        (BillSyncFacts(linked=False, waiting=True), "waiting"),
    ],
)
def test_badge_of_a_bill(facts: BillSyncFacts, key: str) -> None:
    assert badge_for(facts).key == key


def test_most_urgent_fact_wins_in_the_order_of_the_design() -> None:
    order = ["refused", "attention", "conflict", "checking", "sending", "waiting"]
    fields = ["refused", "needs_person", "conflict", "checking", "sending", "waiting"]
    for first in range(len(order)):
        holding = dict.fromkeys(fields[first:], True)
        assert badge_for(BillSyncFacts(linked=True, **holding)).key == order[first]
