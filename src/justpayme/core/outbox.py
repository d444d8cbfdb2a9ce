"""When a change may be sent to Xero, sent again, or looked for instead.

Xero remembers an Idempotency-Key for six minutes only, errors included, and answers may get
lost or come late (xero-facts 3.6). So sending until an answer comes would post a payment
twice. One *shipment* (one mutating request as it left: key, method, path, exact bytes) lives
like this; everything in it is committed before its first byte leaves (I-17):

    committed -> SEND -> answered: done ------------------------> settle
                  |          refused, and no try was unclear ---> refuse
                  |  unclear: timeout, reset, 5xx, unreadable
                  v
                 WAIT 5, 15, 40, 90 s -> RESEND same key, same bytes
                  |                     (only before first send + 220 s)
                  v
                 WAIT until last send + 140 s -> SEARCH Xero for the marker
                                                  |-- found:     adopt it
                                                  '-- not found: a new shipment, a new key

The arithmetic. A try gives up after `TRY` = 30 s, and may take effect up to `LATE` = 90 s
after that. The key lives `KEY_LIFE` = 360 s from the first call. A resend must take effect
within the key's life, so the last moment for one is 360 - 30 - 90 - `MARGIN` 20 = 220 s after
the first send. A search may only say "not there" once nothing can arrive any more: so
30 + 90 + 20 = 140 s after the last send. tests/core/test_push_model.py plants windows that
are a little too generous, and finds the payments that they double.

No clock can be trusted with this alone (I-43). A wall clock that jumps ahead ends the
quarantine too soon; one that steps back stretches the key's life; a monotonic clock stands
still while the machine sleeps and means nothing to another process. So `Watch` measures with
the monotonic clock of the process that sent, and lets the wall clock veto a resend. (Only a
wall clock set back by about as much as the machine slept would fool both.) What another
process sent, or an earlier life of this one, is never sent again: its quarantine
starts when it is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

KEY_LIFE = timedelta(seconds=360)
"""How long Xero remembers a key, from the first call that used it (xero-facts 3.6)."""

TRY = timedelta(seconds=30)
"""How long one try waits for its answer before it gives up."""

LATE = timedelta(seconds=90)
"""How long after we gave up a request may still take effect. Assumed: Xero does not say."""

MARGIN = timedelta(seconds=20)
"""For the time between reading the clock and the bytes leaving."""

RETRY_WINDOW = KEY_LIFE - TRY - LATE - MARGIN
"""220 s: the same key is sent only while less than this has passed since its first send."""

QUARANTINE = TRY + LATE + MARGIN
"""140 s: no search sooner than this after the last send."""

BACK_OFF = tuple(timedelta(seconds=s) for s in (5, 15, 40, 90))
"""How long after a send the next one may follow; the last of them repeats."""

KEY_LENGTH = 128
"""Xero's limit for a key, in characters (xero-facts 3.6)."""

REFERENCE_LENGTH = 255
"""Xero's limit for a reference, in UTF-16 units (xero-facts 3.7)."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MARKER = re.compile(r" ?\(JPM-[0-9A-HJKMNP-TV-Z]{10}\)", re.IGNORECASE)


class Step(StrEnum):
    """What to do with a shipment next."""

    SEND = "send"
    RESEND = "resend"
    WAIT = "wait"
    SEARCH = "search"


class Outcome(StrEnum):
    """What one try came to.

    `REFUSED`: a validation error, so this try had no effect. `LIMITED`: too many calls (429),
    no effect either. `UNCLEAR`: everything that says neither yes nor no: timeout, reset, 5xx,
    an answer we can't read, a key that Xero says belongs to another request.
    """

    DONE = "done"
    REFUSED = "refused"
    LIMITED = "limited"
    UNCLEAR = "unclear"


class Verdict(StrEnum):
    """What a try means for its shipment. `KEEP`: it stays, and `next_step` says what then."""

    SETTLE = "settle"
    REFUSE = "refuse"
    KEEP = "keep"


class Found(StrEnum):
    """What a search means for one item: it happened, or it must be sent in a new shipment."""

    ADOPT = "adopt"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Sent:
    """When a shipment left for the first and the last time, and how often."""

    first_at: datetime
    last_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Decision:
    """`step` is to be done now, at `at`; or it is WAIT and `at` is when to ask again."""

    step: Step
    at: datetime


def next_step(sent: Sent | None, now: datetime) -> Decision:
    """What to do with a shipment now, by one clock. `sent` None: no try was ever begun.

    For a clock that stands behind the last send nothing may be sent again.
    """
    if sent is None:
        return Decision(Step.SEND, now)
    again = sent.last_at + BACK_OFF[min(sent.attempts, len(BACK_OFF)) - 1]
    stepped_back = now < sent.last_at
    if max(again, now) < sent.first_at + RETRY_WINDOW and not stepped_back:
        return _wait_or(Step.RESEND, again, now)
    return _wait_or(Step.SEARCH, sent.last_at + QUARANTINE, now)


def _wait_or(step: Step, at: datetime, now: datetime) -> Decision:
    return Decision(Step.WAIT, at) if now < at else Decision(step, now)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A shipment as this process knows it: monotonic seconds. `first` None: found, not sent."""

    attempts: int
    first: float | None
    last: float


class Watch:
    """What one process knows of shipments by its own monotonic clock; in memory, never stored.

    Several processes may follow one shipment, one at a time: the stored number of attempts
    tells each whether another has sent it since.
    """

    def __init__(self) -> None:
        self._seen: dict[UUID, _Seen] = {}

    def sending(self, shipment: UUID, attempt: int, at: float) -> None:
        """Attempt number `attempt` (from 1) leaves now. To be said after its commit and before
        its first byte; `at` is the monotonic clock in seconds."""
        known = self._seen.get(shipment)
        first = at if attempt == 1 else None
        if known is not None and known.attempts == attempt - 1:
            first = known.first
        self._seen[shipment] = _Seen(attempt, first, at)

    def step(self, shipment: UUID, sent: Sent, now: datetime, at: float) -> Decision:
        """What to do with a shipment that was sent. `sent`: as stored; `now`: the wall clock,
        which `Decision.at` is in; `at`: the monotonic clock in seconds."""
        known = self._seen.get(shipment)
        if known is None or known.attempts != sent.attempts:
            known = self._seen[shipment] = _Seen(sent.attempts, None, at)
        last_at = now - timedelta(seconds=at - known.last)
        if known.first is not None:
            first_at = now - timedelta(seconds=at - known.first)
            measured = next_step(Sent(first_at, last_at, sent.attempts), now)
            if measured.step is not Step.RESEND or next_step(sent, now).step is Step.RESEND:
                return measured
        return _wait_or(Step.SEARCH, last_at + QUARANTINE, now)

    def forget(self, shipment: UUID) -> None:
        """The shipment is settled."""
        self._seen.pop(shipment, None)


def after(outcome: Outcome, earlier_unclear: bool) -> Verdict:
    """What the outcome of a try means.

    `earlier_unclear`: an earlier try of the same shipment may have had an effect (any but one
    that was answered LIMITED; one whose answer was never recorded too). A refusal is then no
    proof: "number in use" or "payment exceeds the amount outstanding" may be our own first try.
    """
    if outcome is Outcome.DONE:
        return Verdict.SETTLE
    if outcome is Outcome.REFUSED and not earlier_unclear:
        return Verdict.REFUSE
    return Verdict.KEEP


def searched(references: Iterable[str], marker: str) -> Found:
    """What a search says whose results carry these references.

    Deleted records count: what somebody deleted in Xero did happen, and must not happen again.
    """
    return Found.ADOPT if any(has_marker(r, marker) for r in references) else Found.AGAIN


def key_of(tenant_id: str, shipment_id: UUID) -> str:
    """The Idempotency-Key of a shipment. Keys are remembered for the whole app, so the tenant
    is part of it (I-18). Raises ValueError if it would be longer than Xero takes."""
    key = f"jpm:{tenant_id}:{shipment_id}"
    if len(key) > KEY_LENGTH:
        raise ValueError("The tenant id is too long for an idempotency key.")
    return key


def marker_of(randomness: bytes) -> str:
    """The tag by which an item is found again in Xero: 50 random bits, easy to read out.

    `randomness`: at least seven bytes; raises ValueError for fewer.
    """
    if len(randomness) < 7:
        raise ValueError("A marker needs seven random bytes.")
    bits = int.from_bytes(randomness[:7], "big")
    return "JPM-" + "".join(_CROCKFORD[bits >> shift & 31] for shift in range(0, 50, 5))


def tagged(reference: str, marker: str) -> str:
    """The reference with the marker at its end, cut before the marker if it is too long."""
    tag = f"({marker})"
    kept = without_marker(reference)
    while _units(kept) + 1 + len(tag) > REFERENCE_LENGTH:
        kept = kept[:-1]
    return f"{kept} {tag}" if kept else tag


def _units(text: str) -> int:
    """How long Xero takes a text to be: a character outside the first plane counts twice."""
    return len(text) + sum(character > "\uffff" for character in text)


def has_marker(reference: str, marker: str) -> bool:
    """Does the reference carry this marker, wherever people have moved it to?"""
    return f"({marker})".casefold() in reference.casefold()


def without_marker(reference: str) -> str:
    """The reference as a person typed it."""
    return _MARKER.sub("", reference)
