"""Is a delivery Xero's, and what does it name (I-44, I-46, S10, xero-facts 5)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.xero.forged import KEYS, forged, signed

from justpayme.xero.webhook import Delivery, Event, parse, sign, verify

TENANT = "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f"
INVOICE = "44aa0707-f718-4f1c-8d53-f2da9ca59533"


def event(**other: Any) -> dict[str, Any]:
    """An event as in Xero's documentation."""
    return {
        "resourceUrl": f"https://api.xero.com/api.xro/2.0/Invoices/{INVOICE}",
        "resourceId": INVOICE,
        "tenantId": TENANT,
        "tenantType": "ORGANISATION",
        "eventCategory": "INVOICE",
        "eventType": "UPDATE",
        "eventDateUtc": "2026-11-22T10:30:15.123",
        **other,
    }


def body(*events: Any, **other: Any) -> bytes:
    whole = {"events": list(events), "firstEventSequence": 1, "lastEventSequence": 1}
    return json.dumps({**whole, "entropy": "S0m3R4nd0m", **other}).encode()


def test_the_signature_is_the_one_that_xero_documents() -> None:
    delivery = body(event())
    right = base64.b64encode(hmac.new(b"key", delivery, hashlib.sha256).digest()).decode()
    assert sign(delivery, "key").decode() == right
    assert verify(delivery, right, ["key"])


def test_either_key_is_right_while_it_is_changed_and_no_key_never() -> None:
    delivery = body(event())
    for key in KEYS:
        assert verify(delivery, signed(delivery, key), KEYS)
        assert not verify(delivery, signed(delivery, key), ())
    assert not verify(delivery, signed(delivery, KEYS[0]), KEYS[1:])
    assert not verify(delivery, signed(delivery, ""), ("",))


@pytest.mark.layer("bad inputs")
def test_no_forgery_is_right(cases: Callable[[int], None]) -> None:
    delivery = body(event(), event(eventCategory="CONTACT"))
    tried = 0
    for changed, signature in forged(delivery, random.Random(5), 2000):
        assert not verify(changed, signature, KEYS), (changed, signature)
        tried += 1
    cases(tried)


def test_only_organisation_category_and_id_are_kept() -> None:
    odd = event(resourceUrl="http://169.254.169.254/latest/meta-data/", data={"Total": "1.00"})
    assert parse(body(odd, pages=7)) == Delivery((Event(UUID(TENANT), UUID(INVOICE), "INVOICE"),))


def test_an_intent_to_receive_names_nothing() -> None:
    assert parse(body()) == Delivery()


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "INVOICE",
        7,
        {},
        event(tenantId=None),
        event(tenantId="../../etc/passwd"),
        event(resourceId="<script>alert(1)</script>"),
        event(resourceId=7),
        event(eventCategory=None),
        event(eventCategory=["INVOICE"]),
    ],
)
def test_one_odd_event_does_not_keep_the_others_away(odd: object) -> None:
    assert parse(body(odd, event())) == Delivery(parse(body(event())).events, 1)


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"events": null}',
        b'{"events": {}}',
        b'{"events": [',
        b"[" * 100_000,
        b'{"events": [' + b"[" * 100_000,
        b'{"events": "\\ud800"}',
        b"<html>",
    ],
)
def test_a_body_of_no_known_shape_names_nothing_and_is_counted(odd: bytes) -> None:
    assert parse(odd) == Delivery(unread=1)


@given(some.binary())
def test_no_bytes_at_all_raise(odd: bytes) -> None:
    assert parse(odd).events == ()
    assert not verify(odd, odd.decode("latin-1"), KEYS)
