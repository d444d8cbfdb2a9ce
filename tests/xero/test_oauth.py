"""Signing in at Xero, without Django: addresses, answers, errors, and what never leaks."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from tests.integrations.world import NOW, World, make_world

from justpayme.core.errors import Problem
from justpayme.xero import oauth

APP = oauth.App(
    client_id="test-client",
    client_secret="test-client-secret",
    redirect_uri="http://localhost:8000/settings/integrations/xero/callback/",
    login_url="https://login.xero.com",
    identity_url="https://identity.xero.com",
    api_url="https://api.xero.com",
)
VERIFIER = "v" * 64


def answering(status: int, body: bytes, headers: dict[str, str] | None = None) -> httpx2.Client:
    """A client to a Xero that gives this one answer to everything."""
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(status, stream=httpx2.ByteStream(body), headers=headers)
    )
    return oauth.open_client(transport)


def failing(error: Exception) -> httpx2.Client:
    """A client whose network fails like this."""

    def fail(request: httpx2.Request) -> httpx2.Response:
        raise error

    return oauth.open_client(httpx2.MockTransport(fail))


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def http(world: World) -> httpx2.Client:
    return oauth.open_client(world.wire)


def signed_in(world: World, http: httpx2.Client, *countries: str) -> oauth.Tokens:
    url = oauth.authorise_url(APP, state="s", verifier=VERIFIER)
    code = world.agree(url, *(countries or ("GB",)))["code"]
    return oauth.exchange(http, APP, code=code, verifier=VERIFIER, now=NOW)


def test_one_directional_asks_for_exactly_the_read_scopes() -> None:
    query = parse_qs(urlsplit(oauth.authorise_url(APP, state="s")).query)
    assert query["scope"] == [
        "openid profile email offline_access accounting.invoices.read accounting.payments.read "
        "accounting.contacts.read accounting.settings.read"
    ]
    assert all(s.endswith(".read") for s in query["scope"][0].split() if "accounting" in s)


def test_bidirectional_asks_for_writing_and_no_more_than_it_uses() -> None:
    query = parse_qs(urlsplit(oauth.authorise_url(APP, state="s", scopes=oauth.WRITE_SCOPES)).query)
    assert query["scope"] == [
        "openid profile email offline_access accounting.invoices accounting.payments "
        "accounting.contacts accounting.settings.read"
    ]


def test_a_scope_to_write_is_one_to_read_as_well() -> None:
    """And not the other way round: a reader's consent lacks all that writing needs."""
    assert oauth.missing(oauth.WRITE_SCOPES) == frozenset()
    assert oauth.missing(oauth.WRITE_SCOPES, oauth.WRITE_SCOPES) == frozenset()
    assert oauth.missing(oauth.READ_SCOPES, oauth.WRITE_SCOPES) == {
        "accounting.invoices",
        "accounting.payments",
        "accounting.contacts",
    }
    assert oauth.missing("offline_access accounting.invoices", oauth.READ_SCOPES) == {
        "accounting.payments.read",
        "accounting.contacts.read",
        "accounting.settings.read",
    }


def test_a_consent_to_write_is_given_and_stays_after_a_refresh(
    world: World, http: httpx2.Client
) -> None:
    url = oauth.authorise_url(APP, state="s", scopes=oauth.WRITE_SCOPES)
    code = world.agree(url, "GB")["code"]
    first = oauth.exchange(http, APP, code=code, scopes=oauth.WRITE_SCOPES, now=NOW)
    assert first.missing(oauth.WRITE_SCOPES) == frozenset()
    again = oauth.refresh(http, APP, refresh_token=first.refresh, scopes=first.scopes, now=NOW)
    assert again.missing(oauth.WRITE_SCOPES) == frozenset()


def test_authorise_address_has_code_type_exact_redirect_and_state() -> None:
    parts = urlsplit(oauth.authorise_url(APP, state="a/b+c=&"))
    query = parse_qs(parts.query)
    assert (parts.scheme, parts.netloc) == ("https", "login.xero.com")
    assert parts.path == "/identity/connect/authorize"
    assert query["response_type"] == ["code"]
    assert query["redirect_uri"] == [APP.redirect_uri]
    assert query["state"] == ["a/b+c=&"]
    assert "code_challenge" not in query


def test_pkce_sends_the_s256_challenge_of_the_verifier() -> None:
    query = parse_qs(urlsplit(oauth.authorise_url(APP, state="s", verifier=VERIFIER)).query)
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    assert query["code_challenge"] == [base64.urlsafe_b64encode(digest).decode().rstrip("=")]
    assert query["code_challenge_method"] == ["S256"]


def test_the_code_becomes_tokens_only_with_its_verifier(world: World, http: httpx2.Client) -> None:
    url = oauth.authorise_url(APP, state="s", verifier=VERIFIER)
    code = world.agree(url, "GB")["code"]
    with pytest.raises(Problem) as refused:
        oauth.exchange(http, APP, code=code, verifier="w" * 64, now=NOW)
    assert refused.value.code == "sign_in_expired"
    tokens = oauth.exchange(http, APP, code=code, verifier=VERIFIER, now=NOW)
    assert tokens.expires_at == NOW + timedelta(minutes=30)
    assert tokens.missing() == frozenset()


def test_a_code_works_once(world: World, http: httpx2.Client) -> None:
    url = oauth.authorise_url(APP, state="s")
    code = world.agree(url, "GB")["code"]
    oauth.exchange(http, APP, code=code, now=NOW)
    with pytest.raises(Problem) as refused:
        oauth.exchange(http, APP, code=code, now=NOW)
    assert refused.value.code == "sign_in_expired"


def test_connections_lists_all_and_those_of_one_consent(world: World, http: httpx2.Client) -> None:
    signed_in(world, http, "GB")
    second = signed_in(world, http, "NZ")
    event = oauth.claims(second.access).authentication_event_id
    every = oauth.connections(http, APP, access_token=second.access)
    mine = oauth.connections(http, APP, access_token=second.access, auth_event_id=event)
    assert {str(t.tenant_id) for t in every} == {world.tenant("GB"), world.tenant("NZ")}
    assert [str(t.tenant_id) for t in mine] == [world.tenant("NZ")]
    assert mine[0].auth_event_id == event
    assert mine[0].is_organisation


def test_a_practice_is_not_an_organisation() -> None:
    row = {
        "id": "7c0ad1f3-6ee6-4f1e-8f4b-0f0f8f1f8e11",
        "authEventId": "x",
        "tenantId": "0f0f8f1f-6ee6-4f1e-8f4b-7c0ad1f38e11",
        "tenantType": "PRACTICE",
        "tenantName": None,
        "createdDateUtc": "2019-12-07T18:46:19.5165400",
    }
    http = answering(200, json.dumps([row]).encode())
    [tenant] = oauth.connections(http, APP, access_token="t")
    assert not tenant.is_organisation


def test_ending_a_connection_twice_is_no_error(world: World, http: httpx2.Client) -> None:
    tokens = signed_in(world, http)
    [tenant] = oauth.connections(http, APP, access_token=tokens.access)
    for _ in range(2):
        oauth.end_connection(http, APP, access_token=tokens.access, connection_id=str(tenant.id))
    assert oauth.connections(http, APP, access_token=tokens.access) == ()


def test_after_revocation_a_refresh_finds_the_consent_lost(
    world: World, http: httpx2.Client
) -> None:
    tokens = signed_in(world, http)
    oauth.revoke(http, APP, refresh_token=tokens.refresh)
    with pytest.raises(Problem) as lost:
        oauth.refresh(http, APP, refresh_token=tokens.refresh, now=NOW)
    assert lost.value.code == "consent_lost"


def test_the_old_refresh_token_heals_a_lost_answer_for_half_an_hour(
    world: World, http: httpx2.Client
) -> None:
    old = signed_in(world, http)
    oauth.refresh(http, APP, refresh_token=old.refresh, now=NOW)
    world.clock.advance(29 * 60)
    assert oauth.refresh(http, APP, refresh_token=old.refresh, now=NOW).access
    world.clock.advance(2 * 60)
    with pytest.raises(Problem) as late:
        oauth.refresh(http, APP, refresh_token=old.refresh, now=NOW)
    assert late.value.code == "consent_lost"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, b'{"error":"invalid_grant"}', "consent_lost"),
        (400, b'{"error":"invalid_client"}', "wrong_settings"),
        (401, b'{"error":"invalid_client"}', "wrong_settings"),
        (400, b'{"error":"unauthorized_client"}', "wrong_settings"),
        (400, b'{"error":"invalid_scope"}', "permission_missing"),
        (400, b'{"error":"invalid_request"}', "refused_request"),
        (400, b"<html>invalid_grant</html>", "refused_request"),
        (400, b'{"error":["invalid_grant"]}', "refused_request"),
        (400, b'\xff\xfe{"error":"invalid_grant"}', "refused_request"),
        (403, b"", "refused_request"),
        (302, b"", "refused_request"),
        (429, b'{"error":"invalid_grant"}', "xero_unavailable"),
        (500, b'{"error":"invalid_grant"}', "xero_unavailable"),
        (502, b"<html>", "xero_unavailable"),
        (503, b"", "xero_unavailable"),
        (200, b"", "wrong_shape"),
        (200, b"[]", "wrong_shape"),
        (200, b'{"access_token":"a","expires_in":1800}', "wrong_shape"),
        (200, b'{"access_token":"","refresh_token":"r","expires_in":1800}', "wrong_shape"),
        (200, b'{"access_token":"a","refresh_token":"r","expires_in":-1}', "wrong_shape"),
        (200, b'{"access_token":"a","refresh_token":"r","expires_in":"x"}', "wrong_shape"),
        (200, b'{"access_token":1,"refresh_token":"r","expires_in":1800}', "wrong_shape"),
        (200, b"{" * 2000, "wrong_shape"),
        (200, b" " * (oauth.ANSWER_LIMIT + 1), "wrong_shape"),
    ],
)
def test_a_failed_refresh_is_named_by_status_and_code(status: int, body: bytes, code: str) -> None:
    with pytest.raises(Problem) as raised:
        oauth.refresh(answering(status, body), APP, refresh_token="canary-r", now=NOW)
    assert raised.value.code == code
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
    ],
)
def test_a_network_failure_is_transient_and_keeps_no_request(error: Exception) -> None:
    with pytest.raises(Problem) as raised:
        oauth.refresh(failing(error), APP, refresh_token="canary-r", now=NOW)
    assert raised.value.code == "xero_unreachable"
    assert raised.value.__suppress_context__


def test_a_compressed_answer_is_refused_unread() -> None:
    http = answering(200, b"\x1f\x8b bomb", {"content-encoding": "gzip"})
    with pytest.raises(Problem) as raised:
        oauth.connections(http, APP, access_token="t")
    assert raised.value.code == "wrong_shape"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "permission_missing"),
        (403, "permission_missing"),
        (404, "refused_request"),
        (429, "xero_unavailable"),
        (500, "xero_unavailable"),
    ],
)
def test_a_failed_list_of_connections_is_named(status: int, code: str) -> None:
    with pytest.raises(Problem) as raised:
        oauth.connections(answering(status, b"{}"), APP, access_token="t")
    assert raised.value.code == code


@pytest.mark.parametrize(
    "rows", [b"{}", b"null", b'[{"id":"x"}]', b'[{"id":1,"tenantId":2}]', b"[[]]"]
)
def test_a_list_of_another_shape_is_refused(rows: bytes) -> None:
    with pytest.raises(Problem) as raised:
        oauth.connections(answering(200, rows), APP, access_token="t")
    assert raised.value.code == "wrong_shape"


def test_no_redirect_is_followed() -> None:
    seen: list[str] = []

    def redirecting(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(
            302,
            headers={"Location": "http://169.254.169.254/"},
            stream=httpx2.ByteStream(b""),
        )

    with pytest.raises(Problem):
        oauth.connections(
            oauth.open_client(httpx2.MockTransport(redirecting)), APP, access_token="t"
        )
    assert seen == ["https://api.xero.com/connections"]


@pytest.mark.parametrize(
    "token", ["", "a", "a.b", "a.!!.c", "a.e30x.c", "a." + "W10" + ".c", "a.bnVsbA.c", "é.é.é"]
)
def test_an_access_token_without_readable_claims_is_refused(token: str) -> None:
    with pytest.raises(Problem) as raised:
        oauth.claims(token)
    assert raised.value.code == "wrong_shape"


def test_claims_may_lack_what_we_look_for() -> None:
    payload = base64.urlsafe_b64encode(b'{"sub":"x"}').decode().rstrip("=")
    assert oauth.claims(f"a.{payload}.c") == oauth.Claims("", "")


def test_scopes_that_xero_leaves_out_are_those_that_were_asked_for() -> None:
    body: dict[str, Any] = {"access_token": "a", "refresh_token": "r", "expires_in": 1800}
    tokens = oauth.refresh(
        answering(200, json.dumps(body).encode()), APP, refresh_token="r", now=NOW
    )
    assert tokens.scopes == oauth.READ_SCOPES
    tokens = oauth.exchange(
        answering(200, json.dumps(body).encode()),
        APP,
        code="c",
        scopes=oauth.WRITE_SCOPES,
        now=NOW,
    )
    assert tokens.scopes == oauth.WRITE_SCOPES
    body["scope"] = "openid offline_access accounting.invoices.read"
    tokens = oauth.refresh(
        answering(200, json.dumps(body).encode()), APP, refresh_token="r", now=NOW
    )
    assert tokens.missing() == {
        "accounting.payments.read",
        "accounting.contacts.read",
        "accounting.settings.read",
    }


def test_secrets_are_in_no_repr() -> None:
    tokens = oauth.Tokens("canary-a", "canary-r", NOW, "openid")
    assert "canary" not in repr(tokens)
    assert "test-client-secret" not in repr(APP)
