"""OAuth as Xero does it: xero-facts 1.1 to 1.7."""

import base64
import hashlib
import json

import pytest
from tests.sandbox.client import REDIRECT, SCOPES, Xero

from xero_sandbox import FrozenClock


def claims(token: str) -> dict:
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_consent_page_lists_organisations_and_says_who_is_signed_in(xero: Xero) -> None:
    page = xero.http.get("/identity/connect/authorize", params=xero.authorize_args())
    assert page.status_code == 200
    assert "Demo Company (UK)" in page.text
    assert "Demo Company (NZ)" in page.text
    assert "demo@example.com" in page.text
    assert 'type="checkbox"' in page.text
    assert page.headers["X-Frame-Options"] == "DENY"


def test_only_one_organisation_can_be_chosen_when_the_app_asks_for_that(xero: Xero) -> None:
    args = xero.authorize_args(acr_values="bulk_connect:false")
    assert 'type="radio"' in xero.http.get("/identity/connect/authorize", params=args).text
    both = {**args, "tenant": [xero.tenant("GB"), xero.tenant("NZ")], "decision": "allow"}
    assert xero.http.post("/identity/connect/authorize", data=both).status_code == 400


def test_state_is_echoed_and_cancel_is_access_denied(xero: Xero) -> None:
    assert xero.consent(xero.tenant())["state"] == ["s-123"]
    form = {**xero.authorize_args(), "decision": "cancel"}
    answer = xero.http.post("/identity/connect/authorize", data=form)
    assert answer.headers["Location"] == f"{REDIRECT}?error=access_denied&state=s-123"


def test_allow_without_an_organisation_asks_again(xero: Xero) -> None:
    form = {**xero.authorize_args(), "decision": "allow"}
    answer = xero.http.post("/identity/connect/authorize", data=form)
    assert answer.status_code == 400
    assert "Choose at least one organisation" in answer.text


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_id": "somebody"}, "unauthorized_client"),
        ({"redirect_uri": REDIRECT + "/"}, "unauthorized_client"),
        ({"scope": "accounting.transactions"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": "x", "code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_a_wrong_authorize_url_shows_an_error_page(xero: Xero, change: dict, error: str) -> None:
    answer = xero.http.get("/identity/connect/authorize", params=xero.authorize_args(**change))
    assert answer.status_code == 400
    assert error in answer.text


def test_token_answer_has_only_the_known_keys(xero: Xero) -> None:
    tokens = xero.connect()
    assert set(tokens) == {
        "id_token", "access_token", "expires_in", "token_type", "refresh_token", "scope",
    }  # fmt: skip
    assert tokens["expires_in"] == 1_800
    assert tokens["scope"] == SCOPES


def test_access_token_carries_the_event_and_the_scopes(xero: Xero) -> None:
    body = claims(xero.connect()["access_token"])
    assert body["iss"] == "https://identity.xero.com"
    assert body["scope"] == SCOPES.split()
    assert body["exp"] - body["nbf"] == 1_800
    events = xero.http.get(
        "/Connections", headers={"Authorization": f"Bearer {xero.access}"}
    ).json()
    assert {row["authEventId"] for row in events} == {body["authentication_event_id"]}


def test_no_refresh_token_without_offline_access(xero: Xero) -> None:
    tokens = xero.connect(scope="accounting.invoices.read")
    assert "refresh_token" not in tokens
    assert "id_token" not in tokens


def test_a_code_works_once_and_for_five_minutes(xero: Xero, clock: FrozenClock) -> None:
    code = xero.consent(xero.tenant())["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    assert xero.token(**form).status_code == 200
    again = xero.token(**form)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})
    late = xero.consent(xero.tenant())["code"][0]
    clock.advance(301)
    assert xero.token(**{**form, "code": late}).json() == {"error": "invalid_grant"}


def test_pkce_is_checked_when_it_was_asked_for(xero: Xero) -> None:
    verifier = "v" * 50
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    more = {"code_challenge": challenge, "code_challenge_method": "S256"}
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT}
    code = xero.consent(xero.tenant(), **more)["code"][0]
    assert xero.token(**form, code=code).json() == {"error": "invalid_grant"}
    assert xero.token(**form, code=code, code_verifier=verifier).status_code == 200


@pytest.mark.parametrize(
    ("auth", "form", "error"),
    [
        (("cid", "wrong"), {}, "invalid_client"),
        (("who", "secret"), {}, "invalid_client"),
        (None, {}, "invalid_request"),
        (None, {"client_id": "cid", "client_secret": "secret"}, "invalid_grant"),
        (("cid", "secret"), {"grant_type": "client_credentials"}, "unauthorized_client"),
        (("cid", "secret"), {"grant_type": ""}, "invalid_request"),
    ],
)
def test_token_endpoint_errors(xero: Xero, auth: tuple, form: dict, error: str) -> None:
    body = {"grant_type": "refresh_token", "refresh_token": "none", **form}
    answer = xero.http.post("/connect/token", data=body, auth=auth)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_token_endpoint_refuses_json(xero: Xero) -> None:
    answer = xero.http.post("/connect/token", json={}, auth=("cid", "secret"))
    assert answer.json() == {"error": "invalid_request"}


def test_refresh_rotates_and_the_old_token_has_thirty_minutes(
    connected: Xero, clock: FrozenClock
) -> None:
    first = connected.refresh
    second = connected.refreshed(first).json()["refresh_token"]
    assert second != first
    clock.advance(29 * 60)
    assert connected.refreshed(first).status_code == 200
    clock.advance(2 * 60)
    assert connected.refreshed(first).json() == {"error": "invalid_grant"}
    assert connected.refreshed(second).status_code == 200


def test_refresh_token_dies_after_sixty_days_unused(connected: Xero, clock: FrozenClock) -> None:
    clock.advance(60 * 86_400 + 1)
    assert connected.refreshed().json() == {"error": "invalid_grant"}


def test_revocation_drops_everything_of_the_user(connected: Xero) -> None:
    answer = connected.http.post(
        "/connect/revocation", data={"token": connected.refresh}, auth=("cid", "secret")
    )
    assert (answer.status_code, answer.content) == (200, b"")
    assert connected.refreshed().json() == {"error": "invalid_grant"}
    bearer = {"Authorization": f"Bearer {connected.access}"}
    assert connected.http.get("/connections", headers=bearer).json() == []


def test_connections_add_up_and_can_be_read_by_event(xero: Xero) -> None:
    xero.connect("GB")
    xero.connect("NZ")
    bearer = {"Authorization": f"Bearer {xero.access}"}
    rows = xero.http.get("/connections", headers=bearer).json()
    assert {r["tenantName"] for r in rows} == {"Demo Company (UK)", "Demo Company (NZ)"}
    assert set(rows[0]) == {
        "id", "authEventId", "tenantId", "tenantType", "tenantName", "createdDateUtc",
        "updatedDateUtc",
    }  # fmt: skip
    assert rows[0]["createdDateUtc"] == "2026-11-22T10:30:15.2500000"
    event = claims(xero.access)["authentication_event_id"]
    new = xero.http.get("/connections", params={"authEventId": event}, headers=bearer).json()
    assert [r["tenantName"] for r in new] == ["Demo Company (NZ)"]


def test_connecting_again_moves_updated_but_not_created(xero: Xero, clock: FrozenClock) -> None:
    xero.connect("GB")
    clock.advance(3_600)
    xero.connect("GB")
    bearer = {"Authorization": f"Bearer {xero.access}"}
    (row,) = xero.http.get("/connections", headers=bearer).json()
    assert row["updatedDateUtc"] > row["createdDateUtc"]


def test_scopes_of_earlier_consents_are_kept(xero: Xero) -> None:
    xero.connect("GB")
    tokens = xero.connect("GB", scope="offline_access accounting.attachments")
    assert "accounting.invoices.read" in tokens["scope"].split()


def test_delete_connection_by_its_id_only(connected: Xero) -> None:
    bearer = {"Authorization": f"Bearer {connected.access}"}
    row = next(
        r
        for r in connected.http.get("/connections", headers=bearer).json()
        if r["tenantId"] == connected.tenant("GB")
    )
    wrong = connected.http.delete(f"/connections/{row['tenantId']}", headers=bearer)
    assert (wrong.status_code, wrong.json()["Detail"]) == (403, "AuthenticationUnsuccessful")
    assert connected.http.delete(f"/Connections/{row['id']}", headers=bearer).status_code == 204
    assert connected.http.delete(f"/connections/{row['id']}", headers=bearer).status_code == 404
    assert connected.get("Organisation").status_code == 403
    assert connected.get("Organisation", "NZ").status_code == 200
    assert connected.refreshed().status_code == 200


def test_refresh_is_dead_when_the_last_organisation_is_gone(xero: Xero) -> None:
    xero.connect("GB")
    assert xero.act("disconnect", tenant="Demo Company (UK)").json() == {"disconnected": True}
    assert xero.refreshed().json() == {"error": "invalid_grant"}


def test_expired_token_is_401_token_expired(connected: Xero, clock: FrozenClock) -> None:
    clock.advance(1_800)
    answer = connected.get("Invoices")
    assert answer.status_code == 401
    body = answer.json()
    assert set(body) == {"Type", "Title", "Status", "Detail", "Instance", "Extensions"}
    assert body["Detail"] == "TokenExpired: token expired at 11/22/2026 11:00:15"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.e30", "Bearer Bearer"])
def test_garbage_token_is_401(connected: Xero, token: str) -> None:
    header = {"Authorization": f"Bearer {token}"}
    answer = connected.get("Invoices", headers=header)
    assert (answer.status_code, answer.json()["Detail"]) == (401, "AuthenticationUnsuccessful")


def test_a_changed_token_is_refused(connected: Xero) -> None:
    head, body, signature = connected.access.split(".")
    forged = claims(connected.access) | {"scope": ["accounting.invoices"]}
    body = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    connected.access = f"{head}.{body}.{signature}"
    assert connected.get("Invoices").status_code == 401


@pytest.mark.parametrize(
    ("scope", "works", "fails"),
    [
        ("accounting.invoices.read", ("Invoices", "CreditNotes"), ("Contacts", "Payments")),
        ("accounting.contacts", ("Contacts",), ("Invoices", "Organisation")),
        (
            "accounting.payments.read",
            ("Payments", "Overpayments", "Prepayments"),
            ("Contacts", "CreditNotes"),
        ),
        ("accounting.settings.read", ("Organisation", "TaxRates", "Accounts"), ("Invoices",)),
    ],
)
def test_each_endpoint_needs_its_scope(xero: Xero, scope: str, works: tuple, fails: tuple) -> None:
    xero.connect(scope=scope)
    assert [xero.get(name).status_code for name in works] == [200] * len(works)
    for name in fails:
        answer = xero.get(name)
        assert answer.status_code == 401
        assert answer.json()["Detail"] == "AuthorizationUnsuccessful"


def test_read_scope_does_not_write(connected: Xero) -> None:
    answer = connected.http.put(
        "/api.xro/2.0/Invoices",
        json={},
        headers={
            "Authorization": f"Bearer {connected.access}",
            "xero-tenant-id": connected.tenant(),
        },
    )
    assert answer.json()["Detail"] == "AuthorizationUnsuccessful"


def test_missing_or_wrong_organisation_is_403(connected: Xero) -> None:
    for tenant in ("", "nonsense", "00000000-0000-0000-0000-000000000000"):
        answer = connected.get("Invoices", headers={"xero-tenant-id": tenant})
        assert answer.status_code == 403
        assert answer.json()["Title"] == "Forbidden"


def test_discovery_names_this_address(xero: Xero) -> None:
    body = xero.http.get("/.well-known/openid-configuration").json()
    assert body["token_endpoint"] == "http://xero.test/connect/token"
