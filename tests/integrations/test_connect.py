"""Connect Xero, choose an organisation, and every way in which that can fail."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from tests.integrations.conftest import begin, browser_of, come_back, connect, sync
from tests.integrations.world import World

from justpayme.accounts.middleware import SESSION_KEY
from justpayme.accounts.models import Business, Membership, SecurityEvent, User
from justpayme.bills.models import Bill
from justpayme.sync.clock import RealClock
from justpayme.sync.models import Connection, Meter, OAuthState, TokenSet

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>\x00\r\n'\";--" + "x" * 3000


@pytest.fixture
def written() -> Iterator[StringIO]:
    """The log exactly as it is written, by the formatter of the settings."""
    root = logging.getLogger()
    formatter = next(
        handler.formatter
        for handler in root.handlers
        if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter)
    )
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def location(answer: Any) -> str:
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def outcome(code: str) -> str:
    return reverse("integrations:outcome", args=[code])


def nothing_connected() -> bool:
    return not (Connection.objects.exists() or TokenSet.objects.exists())


# --- the way in --------------------------------------------------------------------------------


def test_one_organisation_goes_straight_on_to_its_import(
    browser: Client, world: World, business: Business
) -> None:
    answer = connect(browser, world, "GB")
    row = Connection.objects.get(business=business)
    assert location(answer) == reverse("integrations:progress", args=[row.pk])
    assert (row.state, row.country, row.currency) == ("live", "GB", "GBP")
    assert row.name == "Demo Company (UK)"
    assert row.time_zone == "Europe/London"
    assert row.next_due_at is not None
    assert row.next_due_at <= timezone.now()
    assert row.tokens is not None
    assert str(row.tenant_id) == world.tenant("GB")
    run = sync(row)
    assert run.state == "done"
    assert Bill.objects.filter(business=business).count() > 40


def test_two_organisations_lead_to_the_picker_and_only_the_chosen_one_syncs(
    browser: Client, world: World, business: Business
) -> None:
    answer = connect(browser, world, "GB", "NZ")
    assert location(answer) == reverse("integrations:choose")
    assert set(business.connections.values_list("state", flat=True)) == {"offered"}
    page = browser.get(reverse("integrations:choose")).content.decode()
    assert "New Zealand · NZD" in page
    assert "United Kingdom · GBP" in page
    chosen = business.connections.get(country="NZ")
    answer = browser.post(reverse("integrations:choose"), {"organisation": chosen.pk})
    assert location(answer) == reverse("integrations:progress", args=[chosen.pk])
    states = dict(business.connections.values_list("country", "state"))
    assert states == {"NZ": "live", "GB": "offered"}
    # The other one can be added later, without another consent.
    page = browser.get(reverse("integrations:choose")).content.decode()
    assert "Already connected." in page


def test_drafts_come_along_when_asked(browser: Client, world: World, business: Business) -> None:
    connect(browser, world, "GB", "NZ")
    chosen = business.connections.get(country="GB")
    browser.post(reverse("integrations:choose"), {"organisation": chosen.pk, "import_drafts": "on"})
    chosen.refresh_from_db()
    assert chosen.import_drafts


def test_the_request_to_xero_is_exact(browser: Client, world: World) -> None:
    parts = urlsplit(begin(browser))
    query = parse_qs(parts.query)
    assert f"{parts.scheme}://{parts.netloc}" == "https://login.xero.com"
    assert query["scope"] == [
        "openid profile email offline_access accounting.invoices.read accounting.payments.read "
        "accounting.contacts.read accounting.settings.read"
    ]
    assert query["redirect_uri"] == ["http://localhost:8000/settings/integrations/xero/callback/"]
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["state"][0]) >= 22  # 128 bits or more
    [row] = OAuthState.objects.all()
    assert query["state"][0] not in (row.digest, row.session_digest)


def test_describing_an_organisation_counts_as_a_call(browser: Client, world: World) -> None:
    connect(browser, world, "GB", "NZ")
    assert sum(Meter.objects.values_list("calls", flat=True)) == 2
    assert world.wire.calls("/api.xro/2.0/Organisation") == 2


def test_the_callback_redirects_and_neither_shows_nor_logs_the_code(
    browser: Client, world: World, written: StringIO
) -> None:
    """S4."""
    query = world.agree(begin(browser), "GB")
    answer = come_back(browser, query)
    assert answer.status_code == 302
    assert answer.content == b""
    assert answer["Referrer-Policy"] in ("same-origin", "no-referrer")
    logged = written.getvalue()
    assert "integrations/xero/callback" in logged
    assert query["code"] not in logged
    assert query["state"] not in logged


def test_every_step_is_in_the_security_log(browser: Client, world: World, alice: User) -> None:
    connect(browser, world, "GB")
    actions = list(SecurityEvent.objects.order_by("pk").values_list("action", "user"))
    mine = [(action, user) for action, user in actions if action.startswith(("conn", "organ"))]
    assert mine == [
        ("connect_begun", alice.pk),
        ("connect", alice.pk),
        ("organisation_chosen", alice.pk),
    ]


# --- twelve callbacks that must not get in (S1) ------------------------------------------------


def _foreign_business(browser: Client, world: World, query: dict[str, str]) -> Any:
    user = User.objects.get(email="alice@example.com")
    second = Business.objects.create(name="Second")
    Membership.objects.create(user=user, business=second, role="owner")
    session = browser.session
    session[SESSION_KEY] = second.pk
    session.save()
    return come_back(browser, query)


def _other_session(browser: Client, world: World, query: dict[str, str]) -> Any:
    return come_back(browser_of(User.objects.get(email="alice@example.com")), query)


def _other_person(browser: Client, world: World, query: dict[str, str]) -> Any:
    business = Business.objects.get()
    eve = User.objects.create_user("eve@example.com", "correct horse battery")
    Membership.objects.create(user=eve, business=business, role="owner")
    return come_back(browser_of(eve), query)


def _expired(browser: Client, world: World, query: dict[str, str]) -> Any:
    OAuthState.objects.update(created_at=timezone.now() - timedelta(minutes=10, seconds=1))
    return come_back(browser, query)


def _used(browser: Client, world: World, query: dict[str, str]) -> Any:
    OAuthState.objects.update(used_at=timezone.now())
    return come_back(browser, query)


def _signed_out(browser: Client, world: World, query: dict[str, str]) -> Any:
    return come_back(Client(), query)


def _forgotten(browser: Client, world: World, query: dict[str, str]) -> Any:
    OAuthState.objects.all().delete()
    return come_back(browser, query)


def _with_state(state: str | None) -> Any:
    def come(browser: Client, world: World, query: dict[str, str]) -> Any:
        other = {k: v for k, v in query.items() if k != "state"}
        return come_back(browser, other if state is None else {**other, "state": state})

    return come


def _digest_as_state(browser: Client, world: World, query: dict[str, str]) -> Any:
    return come_back(browser, {**query, "state": OAuthState.objects.get().digest})


@pytest.mark.parametrize(
    "come",
    [
        pytest.param(_with_state(None), id="no state"),
        pytest.param(_with_state(""), id="empty state"),
        pytest.param(_with_state("A" * 43), id="made-up state"),
        pytest.param(_with_state(HOSTILE), id="hostile state"),
        pytest.param(_digest_as_state, id="stored digest as state"),
        pytest.param(_used, id="used state"),
        pytest.param(_expired, id="expired state"),
        pytest.param(_forgotten, id="forgotten state"),
        pytest.param(_other_session, id="another session"),
        pytest.param(_other_person, id="another person"),
        pytest.param(_foreign_business, id="another business"),
        pytest.param(_signed_out, id="signed out"),
    ],
)
def test_a_callback_with_a_wrong_state_is_400_and_asks_for_no_token(
    browser: Client, world: World, come: Any
) -> None:
    query = world.agree(begin(browser), "GB")
    answer = come(browser, world, query)
    assert answer.status_code == 400
    assert answer["Referrer-Policy"] == "no-referrer"
    page = answer.content.decode()
    assert "not started in this browser" in page
    assert query["code"] not in page
    assert HOSTILE[:8] not in page
    assert world.wire.sent == []
    assert nothing_connected()


def test_a_state_works_once_even_after_a_success(browser: Client, world: World) -> None:
    query = world.agree(begin(browser), "GB")
    assert come_back(browser, query).status_code == 302
    before = len(world.wire.sent)
    assert come_back(browser, query).status_code == 400
    assert len(world.wire.sent) == before


# --- consents that fail ------------------------------------------------------------------------


def test_refused_consent_is_a_clear_page_and_connects_nothing(
    browser: Client, world: World
) -> None:
    answer = come_back(browser, world.cancel(begin(browser)))
    assert location(answer) == outcome("consent_refused")
    page = browser.get(outcome("consent_refused")).content.decode()
    assert "consent was not given" in page
    assert "Connect Xero" in page
    assert world.wire.sent == []
    assert nothing_connected()


def test_an_expired_code_is_a_clear_page_and_connects_nothing(
    browser: Client, world: World
) -> None:
    query = world.agree(begin(browser), "GB")
    world.clock.advance(5 * 60 + 1)
    assert location(come_back(browser, query)) == outcome("sign_in_expired")
    assert nothing_connected()


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"/connect/token": (400, {"error": "invalid_client"})}, "wrong_settings"),
        ({"/connect/token": (500, {})}, "xero_unavailable"),
        ({"/connect/token": (200, {"hello": "<b>"})}, "wrong_shape"),
        (
            {
                "/connect/token": (
                    200,
                    {"access_token": "a.b.c", "refresh_token": "r", "expires_in": 1800},
                )
            },
            "wrong_shape",
        ),
        ({"/connections": (200, [])}, "no_organisation"),
        ({"/connections": (503, {})}, "xero_unavailable"),
        ({"/connections": (200, {"nope": 1})}, "wrong_shape"),
        ({"/api.xro": (403, {"Detail": "AuthenticationUnsuccessful"})}, "no_organisation"),
        ({"/api.xro": (401, {"Detail": "AuthorizationUnsuccessful"})}, "permission_missing"),
    ],
)
def test_a_failed_sign_in_names_its_reason_and_connects_nothing(
    browser: Client, world: World, answers: dict[str, tuple[int, Any]], code: str
) -> None:
    query = world.agree(begin(browser), "GB")
    world.wire.answers = answers
    assert location(come_back(browser, query)) == outcome(code)
    assert browser.get(outcome(code)).status_code == 200
    assert nothing_connected()
    event = SecurityEvent.objects.get(action="connect")
    assert (event.result, event.detail["code"]) == ("failed", code)


def test_a_practice_is_refused_with_a_sentence(browser: Client, world: World) -> None:
    query = world.agree(begin(browser), "GB")
    practice = {
        "id": "7c0ad1f3-6ee6-4f1e-8f4b-0f0f8f1f8e11",
        "authEventId": "7c0ad1f3-6ee6-4f1e-8f4b-0f0f8f1f8e12",
        "tenantId": "0f0f8f1f-6ee6-4f1e-8f4b-7c0ad1f38e11",
        "tenantType": "PRACTICE",
        "tenantName": "Ledger & Co",
    }
    world.wire.answers = {"/connections": (200, [practice])}
    assert location(come_back(browser, query)) == outcome("no_organisation")
    assert (
        "no organisation that we can sync"
        in browser.get(outcome("no_organisation")).content.decode()
    )
    assert nothing_connected()


def test_a_missing_scope_is_a_clear_page_and_ends_the_connection_at_xero(
    browser: Client, world: World
) -> None:
    url = begin(browser).replace("accounting.payments.read+", "")
    answer = come_back(browser, world.agree(url, "GB"))
    assert location(answer) == outcome("permission_missing")
    assert (
        "leave every permission ticked"
        in browser.get(outcome("permission_missing")).content.decode()
    )
    assert nothing_connected()
    assert world.sandbox.identity.visible() == []


def test_an_unknown_outcome_is_not_found(browser: Client) -> None:
    assert browser.get(outcome("no-such-thing")).status_code == 404


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable", HOSTILE])
def test_another_error_of_xero_is_a_clear_page(browser: Client, world: World, error: str) -> None:
    state = parse_qs(urlsplit(begin(browser)).query)["state"][0]
    answer = come_back(browser, {"state": state, "error": error})
    assert location(answer) == outcome("sign_in_expired")
    assert world.wire.sent == []
    assert nothing_connected()


# --- the picker --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "0", "-1", "x", HOSTILE, "9" * 40, "1.5", "None"])
def test_a_senseless_choice_is_told_and_connects_nothing(
    browser: Client, world: World, value: str
) -> None:
    connect(browser, world, "GB", "NZ")
    answer = browser.post(reverse("integrations:choose"), {"organisation": value})
    assert answer.status_code == 400
    assert "organisation" in answer.content.decode().lower()
    assert not Connection.objects.filter(state="live").exists()


def test_charlie_can_neither_see_nor_choose_alices_organisations(
    browser: Client, world: World, charlie: User, business: Business
) -> None:
    connect(browser, world, "GB", "NZ")
    theirs = business.connections.first()
    assert theirs is not None
    stranger = browser_of(charlie)
    assert location(stranger.get(reverse("integrations:choose"))) == reverse("integrations:xero")
    answer = stranger.post(reverse("integrations:choose"), {"organisation": theirs.pk})
    assert answer.status_code == 302
    assert business.connections.filter(state="offered").count() == 2


def test_a_hostile_organisation_name_is_shown_as_text(
    browser: Client, world: World, business: Business
) -> None:
    connect(browser, world, "GB", "NZ")
    business.connections.update(name="<img src=x onerror=alert(1)> & {{ 7|add:7 }}")
    page = browser.get(reverse("integrations:choose")).content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; {{ 7|add:7 }}" in page


def test_an_organisation_that_cannot_be_described_is_offered_by_name(
    browser: Client, world: World, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(RealClock, "sleep", lambda self, seconds: naps.append(seconds))
    query = world.agree(begin(browser), "GB", "NZ")
    world.wire.answers = {"/api.xro": (429, {})}
    answer = come_back(browser, query)
    assert location(answer) == reverse("integrations:choose")
    names = set(business.connections.values_list("name", flat=True))
    assert "Demo Company (UK)" in names
    assert 0 < sum(naps) < 10


def test_the_same_organisation_serves_two_businesses_without_mixing(
    browser: Client, world: World, charlie: User, business: Business, other_business: Business
) -> None:
    connect(browser, world, "GB")
    connect(browser_of(charlie), world, "GB")
    ours, theirs = business.connections.get(), other_business.connections.get()
    assert ours.tenant_id == theirs.tenant_id
    assert ours.tokens_id != theirs.tokens_id
