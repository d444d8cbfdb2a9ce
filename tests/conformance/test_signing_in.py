"""Signing in at Xero: one test for each statement of xero-facts 1."""

from datetime import timedelta

import httpx2
import pytest
from tests.sandbox.client import REDIRECT, SCOPES, WRITE_SCOPES, Xero
from tests.sandbox.test_sandbox_oauth import claims

from xero_sandbox import FrozenClock

pytestmark = [pytest.mark.layer("conformance"), pytest.mark.usefixtures("stated")]
Answer = httpx2.Response


def bearer(xero: Xero) -> dict[str, str]:
    return {"Authorization": f"Bearer {xero.access}"}


def connections(xero: Xero, **args: str) -> list[dict]:
    return xero.http.get("/connections", params=args, headers=bearer(xero)).json()


def exchanged(xero: Xero, code: str, **more: str) -> Answer:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, **more}
    return xero.token(**form)


def error(answer: Answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def problem(answer: Answer) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["Title"], body["Detail"]


# --- 1.1 ---------------------------------------------------------------------------------------


def test_paths_have_no_letter_case(connected: Xero) -> None:
    """1.1: `/Connections`, as xero-python asks, is `/connections`."""
    answer = connected.http.get("/Connections", headers=bearer(connected))
    assert [row["tenantId"] for row in answer.json()] == [
        row["tenantId"] for row in connections(connected)
    ]


@pytest.mark.parametrize("wrong", [f"{REDIRECT}/", f"{REDIRECT}?a=1", "http://127.0.0.1:8001/x"])
def test_a_redirect_address_matches_exactly_or_not_at_all(xero: Xero, wrong: str) -> None:
    """1.1: an address that is not registered gets a page and never a redirect."""
    args = xero.authorize_args(redirect_uri=wrong)
    answer = xero.http.get("/identity/connect/authorize", params=args)
    assert answer.status_code == 400
    assert "Location" not in answer.headers


def test_a_code_works_once(xero: Xero) -> None:
    """1.1: the second use of a code is `invalid_grant`."""
    code = xero.consent(xero.tenant())["code"][0]
    assert exchanged(xero, code).status_code == 200
    assert error(exchanged(xero, code)) == (400, "invalid_grant")


def test_a_code_lives_for_five_minutes(xero: Xero, clock: FrozenClock) -> None:
    """1.1: after five minutes a code is dead."""
    for seconds, status in ((300, 200), (301, 400)):
        code = xero.consent(xero.tenant())["code"][0]
        clock.advance(seconds)
        assert exchanged(xero, code).status_code == status


def test_the_apps_secret_comes_by_basic_or_in_the_form(connected: Xero) -> None:
    """1.1: both forms of client authentication are taken."""
    form = {"grant_type": "refresh_token", "refresh_token": connected.refresh}
    both = {**form, "client_id": "cid", "client_secret": "secret"}
    assert connected.http.post("/connect/token", data=both).status_code == 200
    assert connected.token(**form).status_code == 200


def test_a_connection_is_ended_by_its_own_id(connected: Xero) -> None:
    """1.1: DELETE of a connection ends it alone; an unknown one is a 404."""
    first, second = connections(connected)
    path = f"/connections/{first['id']}"
    assert connected.http.delete(path, headers=bearer(connected)).status_code == 204
    assert connections(connected) == [second]
    assert connected.http.delete(path, headers=bearer(connected)).status_code == 404


def test_revocation_ends_every_connection_of_the_user(connected: Xero) -> None:
    """1.1: revocation answers 200 with nothing in it, and all connections are gone."""
    form = {"token": connected.refresh}
    answer = connected.http.post("/connect/revocation", data=form, auth=("cid", "secret"))
    assert (answer.status_code, answer.content) == (200, b"")
    assert error(connected.refreshed()) == (400, "invalid_grant")
    assert connections(connected) == []


# --- 1.2 ---------------------------------------------------------------------------------------


def test_one_consent_can_be_held_to_one_organisation(xero: Xero) -> None:
    """1.2: with `acr_values=bulk_connect:false` two organisations are refused."""
    args = xero.authorize_args(acr_values="bulk_connect:false")
    both = {**args, "tenant": [xero.tenant("GB"), xero.tenant("NZ")], "decision": "allow"}
    assert xero.http.post("/identity/connect/authorize", data=both).status_code == 400
    assert "code" in xero.consent(xero.tenant(), acr_values="bulk_connect:false")


def test_pkce_is_checked_when_it_is_used(xero: Xero) -> None:
    """1.2: a challenge may be added to a web app, and then its verifier must fit."""
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    more = {"code_challenge": challenge, "code_challenge_method": "S256"}
    for given, status in (("wrong", 400), (verifier, 200)):
        code = xero.consent(xero.tenant(), **more)["code"][0]
        assert exchanged(xero, code, code_verifier=given).status_code == status


def test_the_state_comes_back(xero: Xero) -> None:
    """1.2: `state` is echoed as it was sent."""
    assert xero.consent(xero.tenant(), state="<b>&=?#")["state"] == ["<b>&=?#"]


# --- 1.3 ---------------------------------------------------------------------------------------


def test_the_token_answer_has_these_keys_and_no_others(xero: Xero) -> None:
    """1.3: any further key would break xero-python."""
    wanted = {"id_token", "access_token", "expires_in", "token_type", "refresh_token", "scope"}
    assert set(xero.connect()) == wanted


def test_no_refresh_token_without_offline_access(xero: Xero) -> None:
    """1.3: `offline_access` brings the refresh token."""
    assert "refresh_token" not in xero.connect(scope="openid accounting.invoices")


def test_an_access_token_lives_for_thirty_minutes(connected: Xero, clock: FrozenClock) -> None:
    """1.3: 1,799 seconds are well, 1,800 are too many."""
    clock.advance(1_799)
    assert connected.get("Organisation").status_code == 200
    clock.advance(1)
    assert connected.get("Organisation").status_code == 401


def test_a_refresh_token_dies_unused_after_sixty_days(connected: Xero, clock: FrozenClock) -> None:
    """1.3: and each refresh gives sixty days more."""
    for _ in range(2):
        clock.advance(timedelta(days=60).total_seconds())
        connected.keep(connected.refreshed().json())
    clock.advance(timedelta(days=60).total_seconds() + 1)
    assert error(connected.refreshed()) == (400, "invalid_grant")


def test_the_former_refresh_token_has_thirty_minutes_of_grace(
    connected: Xero, clock: FrozenClock
) -> None:
    """1.3: a lost answer can be asked for again, with another new token each time."""
    old = connected.refresh
    first = connected.refreshed(old).json()["refresh_token"]
    clock.advance(1_800)
    again = connected.refreshed(old)
    assert again.json()["refresh_token"] not in (first, old)
    clock.advance(1)
    assert error(connected.refreshed(old)) == (400, "invalid_grant")


def test_the_access_token_names_the_consent(connected: Xero) -> None:
    """1.3: `authentication_event_id` is a claim of the access token."""
    event = claims(connected.access)["authentication_event_id"]
    assert {row["authEventId"] for row in connections(connected)} == {event}


# --- 1.4 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "auth", "wanted"),
    [
        ({"grant_type": "refresh_token", "refresh_token": "used"}, "secret", "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x"}, "secret", "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "wrong", "invalid_client"),
        ({"grant_type": "password"}, "secret", "unauthorized_client"),
        ({}, "secret", "invalid_request"),
    ],
)
def test_errors_of_the_token_endpoint(xero: Xero, form: dict, auth: str, wanted: str) -> None:
    """1.4: always a 400 whose `error` says which."""
    answer = xero.http.post("/connect/token", data=form, auth=("cid", auth))
    assert error(answer) == (400, wanted)


def test_a_json_body_is_no_form(xero: Xero) -> None:
    """1.4: `invalid_request` for anything but a form."""
    answer = xero.http.post("/connect/token", json={"grant_type": "refresh_token"})
    assert error(answer) == (400, "invalid_request")


# --- 1.5 ---------------------------------------------------------------------------------------


def test_a_read_scope_reads_and_does_not_write(connected: Xero) -> None:
    """1.5: `.read` is enough for reading only."""
    assert connected.get("Contacts").status_code == 200
    answer = connected.write("PUT", "Contacts", {"Name": "Vera"})
    assert problem(answer)[::2] == (401, "AuthorizationUnsuccessful")


def test_a_scope_without_read_reads_too(xero: Xero) -> None:
    """1.5: `accounting.contacts` covers reading."""
    xero.connect(scope="openid offline_access accounting.contacts")
    assert xero.get("Contacts").status_code == 200
    assert xero.get("Payments").status_code == 401


def test_scopes_are_added_and_never_taken_away(xero: Xero) -> None:
    """1.5: a further consent for less keeps what was given."""
    xero.connect(scope=WRITE_SCOPES)
    assert "accounting.payments" in xero.connect(scope=SCOPES)["scope"].split()


def test_credit_notes_belong_to_the_scope_of_invoices(xero: Xero) -> None:
    """1.5: and overpayments to that of payments."""
    xero.connect(scope="openid offline_access accounting.invoices.read")
    assert xero.get("CreditNotes").status_code == 200
    assert xero.get("Overpayments").status_code == 401


# --- 1.6 ---------------------------------------------------------------------------------------


def test_the_rows_of_connections(connected: Xero) -> None:
    """1.6: their keys; stamps have seven digits and no zone."""
    row = connections(connected)[0]
    assert set(row) == {
        "id", "authEventId", "tenantId", "tenantType", "tenantName", "createdDateUtc",
        "updatedDateUtc",
    }  # fmt: skip
    assert row["createdDateUtc"] == "2026-11-22T10:30:15.2500000"


def test_connections_of_one_consent(xero: Xero) -> None:
    """1.6: `authEventId` lists what this consent gave, and nothing given before."""
    xero.connect("GB")
    xero.connect("NZ")
    event = claims(xero.access)["authentication_event_id"]
    assert len(connections(xero)) == 2
    assert [row["tenantId"] for row in connections(xero, authEventId=event)] == [xero.tenant("NZ")]


# --- 1.7 ---------------------------------------------------------------------------------------


def test_an_expired_token(connected: Xero, clock: FrozenClock) -> None:
    """1.7: 401, and `TokenExpired` with the time."""
    clock.advance(3_600)
    status, title, detail = problem(connected.get("Organisation"))
    assert (status, title) == (401, "Unauthorized")
    assert detail == "TokenExpired: token expired at 11/22/2026 11:00:15"


@pytest.mark.parametrize("token", ["garbage", "", "a.b.c"])
def test_a_token_that_is_none(connected: Xero, token: str) -> None:
    """1.7: 401, and `AuthenticationUnsuccessful`."""
    connected.access = token
    answer = connected.get("Organisation")
    assert problem(answer) == (401, "Unauthorized", "AuthenticationUnsuccessful")
    assert set(answer.json()) == {"Type", "Title", "Status", "Detail", "Instance", "Extensions"}


@pytest.mark.parametrize("tenant", ["", "11111111-2222-4333-8444-555555555555", "' OR 1=1 --"])
def test_an_organisation_that_is_not_ours(connected: Xero, tenant: str) -> None:
    """1.7: a missing or foreign tenant is a 403, not a 404 (6.12)."""
    answer = connected.get("Organisation", headers={"xero-tenant-id": tenant})
    assert problem(answer) == (403, "Forbidden", "AuthenticationUnsuccessful")


def test_after_a_disconnect_in_xero(connected: Xero) -> None:
    """1.7: refreshing works, the organisation is no longer listed, and its calls get a 403."""
    connected.act("disconnect", tenant=connected.tenant("GB"))
    connected.keep(connected.refreshed().json())
    assert [row["tenantId"] for row in connections(connected)] == [connected.tenant("NZ")]
    assert problem(connected.get("Organisation"))[0] == 403
    assert connected.get("Organisation", "NZ").status_code == 200


def test_disconnecting_by_the_tenants_id_is_forbidden(connected: Xero) -> None:
    """1.7: DELETE wants the connection's id."""
    path = f"/connections/{connected.tenant()}"
    answer = connected.http.delete(path, headers=bearer(connected))
    assert problem(answer) == (403, "Forbidden", "AuthenticationUnsuccessful")
