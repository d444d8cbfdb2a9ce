"""What the sync says about one bill, as one badge.

The only table of sync labels: pages, API, e-mails and exports all take their words from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """The six tones of the design; each has text, fill and edge colours in app.css."""

    OK = "ok"
    GO = "go"
    WARN = "warn"
    BAD = "bad"
    CLASH = "clash"
    CALM = "calm"


@dataclass(frozen=True, slots=True)
class Badge:
    """Icon, word and tone of one state; `quiet` badges have no fill in lists."""

    key: str
    label: str
    icon: str
    tone: Tone
    quiet: bool
    sentence: str


BADGES: dict[str, Badge] = {
    badge.key: badge
    for badge in (
        Badge(
            "synced",
            "Synced with Xero",
            "equal",
            Tone.OK,
            True,
            "Every field equals the Xero invoice, as of the time shown.",
        ),
        Badge(
            "waiting",
            "Waiting to send",
            "clock",
            Tone.GO,
            False,
            "Your change is kept and goes out by itself, mostly within seconds.",
        ),
        Badge(
            "sending",
            "Sending",
            "up",
            Tone.GO,
            False,
            "Your change is on its way to Xero now.",
        ),
        Badge(
            "checking",
            "Sent, being checked",
            "eye",
            Tone.GO,
            False,
            "Sent, but Xero’s answer was unclear; we look before doing anything more.",
        ),
        Badge(
            "conflict",
            "Overridden by Xero",
            "notequal",
            Tone.CLASH,
            False,
            "Xero’s value is in use; yours is kept, and you can send it.",
        ),
        Badge(
            "refused",
            "Refused by Xero",
            "stop",
            Tone.BAD,
            False,
            "Xero said no; the bill’s own page says why and how to fix it.",
        ),
        Badge(
            "attention",
            "Needs attention",
            "warn",
            Tone.WARN,
            False,
            "Something only you can decide.",
        ),
        Badge(
            "readonly",
            "Read-only from Xero",
            "lock",
            Tone.CALM,
            True,
            "Xero owns this bill; change it there.",
        ),
        Badge(
            "parted",
            "No longer synced",
            "unlink",
            Tone.CALM,
            True,
            "This bill stays here but follows Xero no more.",
        ),
        Badge(
            "absent",
            "Not in Xero",
            "absent",
            Tone.CALM,
            True,
            "This bill exists only in JustPayMe.",
        ),
    )
}

ONE_DIRECTION = "one"


@dataclass(frozen=True, slots=True)
class BillSyncFacts:
    """All that the badge of a bill depends on.

    `linked`: the bill is tied to a Xero invoice. `parted`: its organisation was disconnected.
    `direction`: of the connection, `one` means Xero owns the bill. `needs_person`: the link
    waits for a decision that only a person can make. The last five tell how far a change of
    ours has come; while the direction is `one`, only what left before it was can be true, and
    a conflict, which keeps what was set aside.
    """

    linked: bool = False
    parted: bool = False
    direction: str = ONE_DIRECTION
    needs_person: bool = False
    refused: bool = False
    conflict: bool = False
    checking: bool = False
    sending: bool = False
    waiting: bool = False


def badge_for(facts: BillSyncFacts) -> Badge:
    """The one badge of a bill; the most urgent of several facts wins."""
    if facts.parted:
        return BADGES["parted"]
    urgent = (
        ("refused", facts.refused),
        ("attention", facts.needs_person),
        ("conflict", facts.conflict),
        ("checking", facts.checking),
        ("sending", facts.sending),
        ("waiting", facts.waiting),
    )
    for key, holds in urgent:
        if holds:
            return BADGES[key]
    if not facts.linked:
        return BADGES["absent"]
    return BADGES["readonly" if facts.direction == ONE_DIRECTION else "synced"]
