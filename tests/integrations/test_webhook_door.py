"""The door of Xero's webhooks: what it lets in, what it answers, what it leaves behind (I-44)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from tests.extent import FULL
from tests.fixtures.webhooks import KEY, knock, listen
from tests.fixtures.xero import Xero
from tests.integrations.conftest import browser_of
from tests.xero.forged import KEYS, forged, signed

from justpayme.accounts.models import Business, User
from justpayme.api.metrics import text
from justpayme.runtime.config import WEBHOOK_PATH
from justpayme.sync.models import Connection, Heard
from justpayme.xero.webhook import LONGEST

pytestmark = pytest.mark.django_db

FORGERIES = 5000 if FULL else 300


def event(tenant: object, category: str = "INVOICE", **other: Any) -> dict[str, Any]:
    return {
        "resourceUrl": "http://169.254.169.254/",
        "resourceId": str(uuid4()),
        "tenantId": str(tenant),
        "eventCategory": category,
        "eventType": "UPDATE",
        "eventDateUtc": "2026-11-22T10:30:15.123",
        **other,
    }


def body(*events: Any) -> bytes:
    return json.dumps({"events": events, "entropy": "<b>Ω</b>"}).encode()


def tell(*events: Any, key: str = KEY) -> Any:
    delivery = body(*events)
    return knock(delivery, signed(delivery, key))


@pytest.fixture
def live(business: Business) -> Connection:
    """A connected organisation, without a Xero behind it."""
    return Connection.objects.create(
        business=business, tenant_id=uuid4(), name="Łódź & Sons", state=Connection.State.LIVE
    )


def counted(fate: str) -> float:
    """The metric's count of events that had this fate."""
    lines = text().decode().splitlines()
    start = f'justpayme_webhook_events_total{{fate="{fate}"}} '
    return sum(float(line.removeprefix(start)) for line in lines if line.startswith(start))


def test_a_signed_delivery_is_answered_with_nothing_at_all(live: Connection) -> None:
    answer = tell(event(live.tenant_id))
    assert (answer.status_code, answer.content) == (200, b"")
    assert not answer.cookies
    heard = Heard.objects.get()
    assert (heard.connection_id, heard.words, len(heard.invoices)) == (live.pk, 1, 1)


@pytest.mark.layer("bad inputs")
def test_a_forged_delivery_is_refused_without_a_look_at_the_database(
    live: Connection,
    settings: Any,
    cases: Callable[[int], None],
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    settings.XERO_WEBHOOK_KEYS = KEYS
    delivery = body(event(live.tenant_id), event(live.tenant_id, "CONTACT"))
    with django_assert_num_queries(0):
        for changed, signature in forged(delivery, random.Random(44), FORGERIES):
            answer = knock(changed, signature)
            assert (answer.status_code, answer.content) == (401, b""), (changed, signature)
            assert not answer.cookies
    assert not Heard.objects.exists()
    cases(FORGERIES)


def test_the_door_tells_good_from_bad_when_xero_asks_whether_it_can(xero: Xero) -> None:
    """Intent to receive: four deliveries, rightly and wrongly signed in turn (xero-facts 5)."""
    listen(xero)
    shown = xero.http.get("/sandbox/webhooks").json()["deliveries"]
    told = [(one["good_signature"], one["status"]) for one in reversed(shown)]
    assert told == [(True, 200), (False, 401)] * 2


def test_the_key_before_is_right_while_it_is_changed(live: Connection, settings: Any) -> None:
    settings.XERO_WEBHOOK_KEYS = KEYS
    assert [tell(event(live.tenant_id), key=key).status_code for key in KEYS] == [200, 200]
    settings.XERO_WEBHOOK_KEYS = KEYS[:1]
    assert [tell(event(live.tenant_id), key=key).status_code for key in KEYS] == [200, 401]


def test_without_a_key_nothing_is_let_in(live: Connection, settings: Any) -> None:
    settings.XERO_WEBHOOK_KEYS = ()
    assert [tell(event(live.tenant_id), key=key).status_code for key in ("", KEY)] == [401, 401]
    assert not Heard.objects.exists()


@pytest.mark.parametrize("length", [LONGEST + 1, 2 * 1024 * 1024, 5 * 1024 * 1024])
def test_too_long_a_delivery_is_refused_although_signed(live: Connection, length: int) -> None:
    delivery = body(event(live.tenant_id))
    delivery += b" " * (length - len(delivery))
    assert knock(delivery, signed(delivery, KEY)).status_code == 401
    delivery = delivery[:LONGEST]
    assert knock(delivery, signed(delivery, KEY)).status_code == 200


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options", "trace"])
def test_only_post_is_a_delivery(live: Connection, method: str) -> None:
    delivery = body(event(live.tenant_id))
    headers = {"x-xero-signature": signed(delivery, KEY)}
    answer = Client().generic(method.upper(), WEBHOOK_PATH, delivery, headers=headers)
    assert (answer.status_code, answer.content) == (405, b"")
    assert not Heard.objects.exists()


def test_a_delivery_without_a_signature_is_refused(live: Connection) -> None:
    answer = Client().post(WEBHOOK_PATH, body(event(live.tenant_id)), content_type="text/plain")
    assert answer.status_code == 401


def test_no_cookie_comes_back_whoever_knocks(live: Connection, alice: User) -> None:
    """Nobody is let in by a session, and no session begins or ends here."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    delivery = body(event(live.tenant_id))
    for signature, status in ((signed(delivery, KEY), 200), ("wrong", 401)):
        headers = {"x-xero-signature": signature, "Origin": "https://evil.example"}
        answer = browser.post(
            WEBHOOK_PATH, delivery, content_type="application/json", headers=headers
        )
        assert (answer.status_code, len(answer.cookies)) == (status, 0)


@pytest.mark.parametrize(
    ("fate", "odd"),
    [
        ("unknown_organisation", event(uuid4())),
        ("other_category", event(uuid4(), "HOVERCRAFT_EELS")),
        ("other_category", event(uuid4(), "<script>")),
        ("unread", event("../../etc/passwd")),
        ("unread", {"events": []}),
        ("unread", "\x00"),
    ],
)
def test_what_means_nothing_to_us_is_taken_ignored_and_counted(
    live: Connection, fate: str, odd: object
) -> None:
    """I-46: Xero would only repeat it for a day."""
    before = counted(fate)
    assert tell(odd).status_code == 200
    assert counted(fate) == before + 1
    assert not Heard.objects.exists()


@pytest.mark.parametrize("junk", [b"", b"null", b"[" * 100_000, b'{"events": 1e400}', b"\xff"])
def test_signed_junk_is_taken_and_counted(junk: bytes) -> None:
    before = counted("unread")
    assert knock(junk, signed(junk, KEY)).status_code == 200
    assert counted("unread") == before + 1


@pytest.mark.parametrize("state", ["lost", "halted", "disconnected"])
def test_words_about_an_organisation_that_does_not_sync_are_counted_only(
    live: Connection, state: str
) -> None:
    Connection.objects.update(state=state)
    before = counted("not_connected")
    assert tell(event(live.tenant_id)).status_code == 200
    assert counted("not_connected") == before + 1
    assert not Heard.objects.exists()


def test_an_organisation_that_is_only_offered_is_nobodys(live: Connection) -> None:
    Connection.objects.update(state=Connection.State.OFFERED)
    before = counted("unknown_organisation")
    assert tell(event(live.tenant_id)).status_code == 200
    assert counted("unknown_organisation") == before + 1
    assert not Heard.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_answer_comes_after_the_commit(live: Connection, monkeypatch: Any) -> None:
    """I-44: if what was named can't be stored, Xero must repeat it."""
    monkeypatch.setattr(Heard, "save", _fail)
    knocker = Client(raise_request_exception=False)
    delivery = body(event(live.tenant_id))
    headers = {"x-xero-signature": signed(delivery, KEY)}
    answer = knocker.post(WEBHOOK_PATH, delivery, content_type="text/plain", headers=headers)
    assert answer.status_code == 500
    assert not Heard.objects.exists()


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError("the disk is full")


def test_the_silence_of_xero_is_a_figure(live: Connection) -> None:
    assert "justpayme_webhook_silent_seconds" not in text().decode()
    tell(event(live.tenant_id))
    assert "justpayme_webhook_silent_seconds" in text().decode()


# --- what people see ---------------------------------------------------------------------------

SET_UP = "Xero can tell us of changes at once, and has not yet."
WORKS = "Xero tells us of changes at once"


def page(user: User, connection: Connection) -> str:
    answer = browser_of(user).get(reverse("integrations:organisation", args=[connection.pk]))
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_the_page_says_when_the_last_word_came_to_everybody(
    live: Connection, alice: User, vera: User
) -> None:
    tell(event(live.tenant_id))
    for user in (alice, vera):
        shown = page(user, live)
        assert WORKS in shown
        assert SET_UP not in shown


def test_before_the_first_word_only_owners_read_how_it_is_set_up(
    live: Connection, alice: User, vera: User, settings: Any
) -> None:
    assert SET_UP in page(alice, live)
    assert SET_UP not in page(vera, live)
    settings.XERO_WEBHOOK_KEYS = ()
    assert SET_UP not in page(alice, live)
    assert WORKS not in page(alice, live)


def test_a_word_for_one_business_shows_in_no_other(live: Connection, charlie: User) -> None:
    other = Connection.objects.create(
        business=charlie.memberships.get().business,
        tenant_id=uuid4(),
        name="Charlie's",
        state=Connection.State.LIVE,
    )
    tell(event(live.tenant_id))
    assert WORKS not in page(charlie, other)
