"""What Xero tells us by webhook: is it Xero's, and which objects does it name (xero-facts 5).

A delivery never carries data into a bill (I-46): of each event only the organisation, the
category and the object's id are kept, and the object is read from the API like any other.
`resourceUrl` is not even looked at.

https://developer.xero.com/documentation/webhooks/configuring-your-server
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from uuid import UUID

import msgspec

LONGEST = 1024 * 1024
"""Bytes of a delivery that we look at; a longer one is refused before it is hashed (S10)."""


class Event(msgspec.Struct, rename="camel", frozen=True):
    """One named object. `category` is Xero's word; Xero adds new ones without warning."""

    tenant_id: UUID
    resource_id: UUID
    category: str = msgspec.field(name="eventCategory")


class Delivery(msgspec.Struct, frozen=True):
    """What one delivery names; `unread` counts what had no shape that we know."""

    events: tuple[Event, ...] = ()
    unread: int = 0


class _Body(msgspec.Struct, frozen=True):
    """The outer shape. Sequence numbers say nothing: they are the app's, and may come twice."""

    events: list[msgspec.Raw]


def verify(body: bytes, signature: str, keys: Iterable[str]) -> bool:
    """Did somebody sign exactly these bytes with one of our webhook keys?

    Two keys are valid while the key is being changed. Takes the same time whichever part of a
    signature is wrong; without a key nothing is right.
    """
    given = signature.encode("utf-8", "backslashreplace")
    matches = [hmac.compare_digest(sign(body, key), given) for key in keys if key]
    return any(matches)


def sign(body: bytes, key: str) -> bytes:
    """`x-xero-signature`: the base64 of the HMAC-SHA256 of the raw body."""
    return base64.b64encode(hmac.digest(key.encode(), body, hashlib.sha256))


def parse(body: bytes) -> Delivery:
    """What a delivery names. Never raises: what can't be read is counted, so that one odd event
    neither keeps the others from us nor makes Xero repeat it for a day."""
    try:
        rows = msgspec.json.decode(body, type=_Body).events
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Delivery(unread=1)
    events = [event for row in rows if (event := _event(row)) is not None]
    return Delivery(tuple(events), len(rows) - len(events))


def _event(row: msgspec.Raw) -> Event | None:
    try:
        return msgspec.json.decode(row, type=Event)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
