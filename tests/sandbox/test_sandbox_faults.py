"""Faults that can be switched on: limits, errors, lost answers, spoilt answers, lost access."""

import gzip
import json
from email.utils import parsedate_to_datetime

import httpx2
import pytest
from tests.sandbox.client import Xero

from xero_sandbox import FrozenClock
from xero_sandbox.faults import HARMLESS, KINDS, MANGLES


def fault(xero: Xero, kind: str, **more: object) -> dict:
    answer = xero.http.post("/sandbox/faults", json={"kind": kind, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def raw_get(xero: Xero, path: str, **args: str) -> tuple[httpx2.Response, bytes]:
    """An answer and its body before any decoding by the client."""
    headers = {"Authorization": f"Bearer {xero.access}", "xero-tenant-id": xero.tenant()}
    headers["Accept-Encoding"] = "identity"
    url = f"/api.xro/2.0/{path}"
    with xero.http.stream("GET", url, params=args, headers=headers) as answer:
        return answer, b"".join(answer.iter_raw())


def test_a_fault_happens_once_unless_told_otherwise(connected: Xero) -> None:
    fault(connected, "error_500", path="/invoices")
    assert connected.get("Contacts").status_code == 200
    assert connected.get("Invoices").status_code == 500
    assert connected.get("Invoices").status_code == 200


def test_a_fault_can_wait_for_the_nth_call_and_happen_several_times(connected: Xero) -> None:
    fault(connected, "error_502", method="GET", nth=2, count=2)
    codes = [connected.get("Organisation").status_code for _ in range(5)]
    assert codes == [200, 502, 502, 200, 200]


def test_a_fault_can_be_for_one_organisation(connected: Xero) -> None:
    fault(connected, "forbidden", tenant=connected.tenant("NZ"))
    assert connected.get("Organisation", "NZ").status_code == 403
    assert connected.get("Organisation", "NZ").status_code == 403
    assert connected.get("Organisation", "GB").status_code == 200


def test_an_outage_lasts_as_long_as_said(connected: Xero, clock: FrozenClock) -> None:
    fault(connected, "error_503", seconds=600)
    answer = connected.get("Organisation")
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        503,
        "text/html; charset=utf-8",
    )
    clock.advance(599)
    assert connected.get("Organisation").status_code == 503
    clock.advance(1)
    assert connected.get("Organisation").status_code == 200


def test_rules_are_listed_and_removed(connected: Xero) -> None:
    first = fault(connected, "error_504", count=None)
    fault(connected, "offline", count=None, path="contacts")
    listed = connected.http.get("/sandbox/faults").json()
    assert [r["kind"] for r in listed["rules"]] == ["error_504", "offline"]
    assert set(listed["kinds"]) == set(KINDS)
    assert connected.get("Organisation").status_code == 504
    assert connected.http.delete(f"/sandbox/faults/{first['id']}").status_code == 204
    answer = connected.get("Contacts")
    assert (answer.status_code, answer.text) == (503, "The Organisation is offline")
    assert connected.http.delete("/sandbox/faults").status_code == 204
    assert connected.get("Contacts").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "earthquake"},
        {},
        {"kind": "error_500", "nth": "two"},
        {"kind": "error_500", "colour": "red"},
        {"kind": "mangle", "parameters": {"mangle": "gently"}},
        [],
    ],
)
def test_an_impossible_rule_is_refused_with_a_sentence(xero: Xero, body: object) -> None:
    answer = xero.http.post("/sandbox/faults", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert xero.http.get("/sandbox/faults").json()["rules"] == []


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"kind": "delay", "parameters": {"delay": "x"}}, "parameters.delay"),
        ({"kind": "delay", "parameters": {"delay": -1}}, "parameters.delay"),
        ({"kind": "delay", "parameters": {"dealy": 1}}, "parameters.dealy"),
        ({"kind": "delay", "parameters": {"delay": None}}, "parameters.delay"),
        ({"kind": "drip", "parameters": {"bytes": 0}}, "parameters.bytes"),
        ({"kind": "late", "parameters": {"answer": "maybe"}}, "parameters.answer"),
        (
            {"kind": "limit_day", "parameters": {"retry_after": "1\r\nX: 2"}},
            "parameters.retry_after",
        ),
        ({"kind": "offline", "parameters": {"text": "\ud800"}}, "parameters.text"),
        ({"kind": "error_500", "parameters": {"delay": 1}}, "parameters.delay"),
        ({"kind": "null_row", "parameters": {"rows": "some"}}, "parameters.rows"),
        ({"kind": "mangle"}, "parameters.mangle"),
        ({"kind": "remove_scope"}, "parameters.scope"),
        ({"kind": "remove_scope", "parameters": {"scope": "invoices"}}, "parameters.scope"),
        ({"kind": "hide_tenant"}, "parameters.tenant"),
        ({"kind": "hide_tenant", "parameters": {"tenant": "nobody"}}, "parameters.tenant"),
        ({"kind": "reset_demo"}, "parameters.tenant"),
        ({"kind": "error_500", "tenant": "nobody"}, "tenant"),
        ({"kind": "error_500", "method": "FETCH"}, "method"),
        ({"kind": "write_500", "method": "GET"}, "method"),
        ({"kind": "error_500", "method": "GET", "body": "JPM"}, "method"),
        ({"kind": "error_500", "nth": 0}, "nth"),
        ({"kind": "error_500", "count": 0}, "count"),
        ({"kind": "error_500", "seconds": -1}, "seconds"),
        ({"kind": "error_500", "fired": 3}, "fired"),
        ({"kind": "earthquake"}, "kind"),
    ],
)
def test_a_rule_that_can_never_work_is_refused_by_its_field(
    connected: Xero, rule: dict, field: str
) -> None:
    answer = connected.http.post("/sandbox/faults", content=json.dumps(rule))
    assert (answer.status_code, answer.json()["error"].split(": ")[0]) == (400, field)
    assert connected.http.get("/sandbox/faults").json()["rules"] == []
    assert connected.get("Organisation").status_code == 200


def test_a_rule_that_is_not_there_cannot_be_removed(xero: Xero) -> None:
    answer = xero.http.delete("/sandbox/faults/77")
    assert (answer.status_code, "77" in answer.json()["error"]) == (404, True)


@pytest.mark.parametrize(
    ("kind", "problem", "retry_after"),
    [
        ("limit_minute", "minute", "26"),
        ("limit_day", "day", "66975"),
        ("limit_app", "appminute", None),
        ("limit_concurrent", "concurrent", None),
    ],
)
def test_limits_can_be_pretended(
    connected: Xero, kind: str, problem: str, retry_after: str | None
) -> None:
    fault(connected, kind)
    answer = connected.get("Organisation")
    assert (answer.status_code, answer.content) == (429, b"")
    assert "Content-Type" not in answer.headers
    assert answer.headers["X-Rate-Limit-Problem"] == problem
    assert answer.headers.get("Retry-After") == retry_after


def test_odd_retry_after_values(connected: Xero, clock: FrozenClock) -> None:
    for wanted in (0, "missing", "date", "absurd", "soon"):
        fault(connected, "limit_minute", parameters={"retry_after": wanted})
    values = [connected.get("Organisation").headers.get("Retry-After") for _ in range(5)]
    assert values[0] == "0"
    assert values[1] is None
    assert parsedate_to_datetime(str(values[2])) > clock.now()
    assert int(str(values[3])) > 10**12
    assert values[4] == "soon"


def test_timeouts_before_and_after_the_effect(connected: Xero, naps: list[float]) -> None:
    old = connected.refresh
    fault(connected, "timeout_before", path="/connect/token", parameters={"delay": 31})
    assert connected.refreshed().status_code == 504
    assert connected.sandbox.store.refresh_tokens[old].rotated is None
    fault(connected, "timeout_after", path="/connect/token", parameters={"delay": 32})
    assert connected.refreshed().status_code == 504
    assert connected.sandbox.store.refresh_tokens[old].rotated is not None
    fault(connected, "delay", parameters={"delay": 33})
    assert connected.get("Organisation").status_code == 200
    assert naps == [31, 32, 33]


def test_a_lost_refresh_answer_can_be_asked_for_again(connected: Xero) -> None:
    fault(connected, "lose_answer", path="/connect/token")
    with pytest.raises(ConnectionResetError):
        connected.refreshed()
    assert connected.refreshed().status_code == 200
    assert connected.http.get("/sandbox/log").json()[1]["fault"] == "lose_answer"


def test_connections_break_before_and_within_the_body(connected: Xero) -> None:
    fault(connected, "reset_before")
    with pytest.raises(ConnectionResetError):
        connected.get("Organisation")
    fault(connected, "reset_mid_body")
    with pytest.raises(ConnectionResetError):
        connected.get("Organisation")
    assert connected.get("Organisation").status_code == 200


def test_a_slow_drip_is_whole_in_the_end(connected: Xero, naps: list[float]) -> None:
    fault(connected, "drip", parameters={"bytes": 100, "delay": 2})
    assert connected.get("Organisation").json()["Status"] == "OK"
    assert len(naps) > 3
    assert set(naps) == {2.0}


def test_tokens_can_expire_at_any_call(connected: Xero) -> None:
    fault(connected, "expire_tokens", path="/invoices", nth=2)
    assert connected.get("Invoices").status_code == 200
    answer = connected.get("Invoices")
    assert (answer.status_code, answer.json()["Detail"][:12]) == (401, "TokenExpired")
    connected.keep(connected.refreshed().json())
    assert connected.get("Invoices").status_code == 200


def test_tokens_can_expire_at_once(connected: Xero) -> None:
    fault(connected, "expire_tokens")
    assert connected.get("Invoices").status_code == 401
    assert connected.http.get("/sandbox/faults").json()["rules"] == []


def test_invalid_grant_revoked_consent_and_missing_scope(connected: Xero) -> None:
    fault(connected, "invalid_grant")
    assert connected.refreshed().json() == {"error": "invalid_grant"}
    fault(connected, "remove_scope", parameters={"scope": "accounting.invoices.read"})
    answer = connected.get("Invoices")
    assert answer.json()["Detail"] == "AuthorizationUnsuccessful"
    assert connected.get("Contacts").status_code == 200
    fault(connected, "revoke_consent", path="/contacts")
    assert connected.get("Contacts").status_code == 403
    assert connected.refreshed().json() == {"error": "invalid_grant"}


def test_an_organisation_can_be_hidden(connected: Xero) -> None:
    rule = fault(connected, "hide_tenant", parameters={"tenant": connected.tenant("GB")})
    bearer = {"Authorization": f"Bearer {connected.access}"}
    (row,) = connected.http.get("/connections", headers=bearer).json()
    assert row["tenantName"] == "Demo Company (NZ)"
    assert connected.get("Organisation").status_code == 403
    connected.http.delete(f"/sandbox/faults/{rule['id']}")
    assert connected.get("Organisation").status_code == 200


def test_a_demo_company_can_be_made_anew(connected: Xero) -> None:
    old = connected.tenant("GB")
    fault(connected, "reset_demo", parameters={"tenant": old})
    new = connected.tenant("GB")
    assert new != old
    answer = connected.get("Organisation", headers={"xero-tenant-id": old})
    assert answer.status_code == 403
    assert connected.get("Organisation").status_code == 403
    connected.connect("GB")
    (organisation,) = connected.get("Organisation").json()["Organisations"]
    assert organisation["Name"] == "Demo Company (UK)"


def test_the_organisation_behind_a_tenant_can_change(connected: Xero) -> None:
    before = connected.get("Organisation").json()["Organisations"][0]["OrganisationID"]
    fault(connected, "organisation_id_changed", count=None)
    after = connected.get("Organisation").json()["Organisations"][0]["OrganisationID"]
    assert after != before
    assert connected.get("Organisation").json()["Organisations"][0]["OrganisationID"] == after


@pytest.mark.parametrize("name", sorted(MANGLES))
def test_every_mangle_changes_the_answer_and_keeps_200(connected: Xero, name: str) -> None:
    path = "Organisation" if name == "organisation_id_changed" else "Invoices"
    args = {} if path == "Organisation" else {"page": "1", "pageSize": "5"}
    good, good_body = raw_get(connected, path, **args)
    fault(connected, "mangle", parameters={"mangle": name})
    bad, bad_body = raw_get(connected, path, **args)
    assert bad.status_code == 200
    ids = len(good_body.split(b'"Status"', 1)[0])
    same_body = good_body[ids:] == bad_body[ids:]
    assert not same_body or bad.headers["Content-Type"] != good.headers["Content-Type"]
    if name in HARMLESS:
        assert len(json.loads(bad_body)["Invoices"]) == 5
    again, _ = raw_get(connected, path, **args)
    assert again.headers["Content-Type"] == good.headers["Content-Type"]


def test_there_are_more_than_twenty_mangles_and_each_says_what_it_does() -> None:
    assert len(MANGLES) > 20
    assert all(MANGLES.values())
    assert set(MANGLES) >= HARMLESS


def test_some_mangles_in_particular(connected: Xero) -> None:
    def mangled(name: str) -> bytes:
        fault(connected, name)
        return raw_get(connected, "Invoices", page="1", pageSize="2")[1]

    with pytest.raises(json.JSONDecodeError):
        json.loads(mangled("truncated_json"))
    assert b'"Total":1e400' in mangled("number_huge")
    assert b'"Total":NaN' in mangled("number_nan")
    assert json.loads(mangled("lone_surrogate"))["Invoices"][0]["Reference"] == "half \ud83d a face"
    assert "\0" in json.loads(mangled("nul_character"))["Invoices"][0]["Reference"]
    assert len(mangled("string_5mb")) > 5_000_000
    assert len(json.loads(mangled("duplicate_rows"))["Invoices"]) == 4
    assert "Invoices" not in json.loads(mangled("array_missing"))
    assert json.loads(mangled("array_null"))["Invoices"] is None
    empty = json.loads(mangled("rows_missing"))
    assert (empty["Invoices"], empty["pagination"]["itemCount"]) == ([], 68)
    with pytest.raises(EOFError):
        gzip.decompress(mangled("truncated_gzip"))


def test_every_row_can_be_spoilt(connected: Xero) -> None:
    fault(connected, "unknown_status", parameters={"rows": "all"})
    rows = connected.get("Invoices", page="1").json()["Invoices"]
    assert {r["Status"] for r in rows} == {"PARTLYFORGIVEN"}


def test_other_answers_than_good_ones_are_not_spoilt(connected: Xero) -> None:
    fault(connected, "empty_body", count=None)
    assert connected.get("Invoices/nothing").status_code == 404
    assert connected.get("Invoices/nothing").content


def test_log_and_counts_tell_of_every_call(connected: Xero) -> None:
    connected.http.post("/sandbox/reset-log")
    connected.get("Invoices", page="1")
    connected.get("Invoices", page="2")
    fault(connected, "limit_minute")
    connected.get("Contacts")
    connected.refreshed()
    entries = connected.http.get("/sandbox/log").json()
    assert [e["path"] for e in entries] == [
        "/connect/token", "/api.xro/2.0/Contacts", "/api.xro/2.0/Invoices",
        "/api.xro/2.0/Invoices",
    ]  # fmt: skip
    assert entries[2]["query"] == "page=2"
    assert entries[3]["bytes"] > 1_000
    counts = connected.http.get("/sandbox/counts").json()
    mine = counts[connected.tenant()]
    assert (mine["total"], mine["mutating"], mine["limited"]) == (3, 0, 1)
    assert mine["endpoints"] == {"GET Invoices": 2, "GET Contacts": 1}
    assert counts[""]["endpoints"] == {"POST /connect/token": 1}
