"""Xero's answer → one error of the catalogue: every row of xero-facts 1.7, 2.1, 2.2 and 3."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from justpayme.core.errors import CATALOGUE, Problem
from justpayme.xero.errors import TokenExpired, classify, retry_after

NOW = datetime(2026, 11, 22, 10, 30, 15, tzinfo=UTC)


def refused(title: str, status: int, detail: str) -> bytes:
    """Xero's error body (recorded shape)."""
    body = {"Type": None, "Title": title, "Status": status, "Detail": detail, "Extensions": {}}
    return json.dumps(body).encode()


EXPIRED = "TokenExpired: token expired at 11/22/2026 10:00:00"
LOWER = json.dumps({"title": "Unauthorized", "detail": "AuthorizationUnsuccessful"}).encode()
VALIDATION = json.dumps({"ErrorNumber": 10, "Type": "ValidationException"}).encode()
HIGH = b'{"ErrorNumber": 51, "Type": "HighVolumeException", "Message": "..."}'
HIGH_IN_PROSE = (
    b"Your request is not filtering payments efficiently, given the extremely high volume for"
    b" this organisation."
)

Case = tuple[int, dict[str, str], bytes, str]

CASES: dict[str, Case] = {
    "token without the scope": (
        401,
        {},
        refused("Unauthorized", 401, "AuthorizationUnsuccessful"),
        "permission_missing",
    ),
    "scope, old key case": (401, {}, LOWER, "permission_missing"),
    "scope, said with 403": (
        403,
        {},
        refused("Forbidden", 403, "AuthorizationUnsuccessful"),
        "permission_missing",
    ),
    "401 without a word": (401, {}, b"", "permission_missing"),
    "tenant disconnected in Xero": (
        403,
        {},
        refused("Forbidden", 403, "AuthenticationUnsuccessful"),
        "removed_in_xero",
    ),
    "403 without a word": (403, {}, b"<html>", "removed_in_xero"),
    "minute limit, as recorded": (
        429,
        {"x-minlimit-remaining": "0", "retry-after": "26", "x-rate-limit-problem": "minute"},
        b"",
        "minute_limit",
    ),
    "day limit": (
        429,
        {"x-rate-limit-problem": "Day", "retry-after": "66975"},
        b"",
        "day_limit",
    ),
    "concurrency limit": (429, {"x-rate-limit-problem": "concurrent"}, b"", "concurrent_limit"),
    "limit of no kind": (429, {}, b"", "concurrent_limit"),
    "limit of no kind, with a time": (429, {"retry-after": "5"}, b"", "minute_limit"),
    "app limit": (429, {"x-appminlimit-remaining": "0", "retry-after": "9"}, b"", "app_limit"),
    "app limit, named": (429, {"x-rate-limit-problem": "appminute"}, b"", "app_limit"),
    "maintenance": (
        503,
        {},
        b"The Xero API is currently offline for maintenance",
        "xero_unavailable",
    ),
    "unavailable": (503, {}, b"The Xero API is temporarily unavailable", "xero_unavailable"),
    "organisation offline": (503, {}, b"The Organisation is offline", "organisation_offline"),
    "unhandled": (500, {}, b"<html>oops</html>", "xero_unavailable"),
    "not implemented": (501, {}, b"", "xero_unavailable"),
    "bad gateway": (502, {}, b"<html>", "xero_unavailable"),
    "gateway timeout": (504, {}, b"", "xero_unavailable"),
    "too many records": (400, {}, HIGH, "too_many_records"),
    "too many records, in prose": (400, {}, HIGH_IN_PROSE, "too_many_records"),
    "bad query": (400, {}, VALIDATION, "refused_request"),
    "not found, as HTML": (404, {}, b"<html>", "refused_request"),
    "precondition": (412, {}, b"", "refused_request"),
    "redirect": (302, {"location": "https://evil.example"}, b"", "refused_request"),
    "not modified": (304, {}, b"", "refused_request"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_answer_is_one_error(case: Case) -> None:
    status, headers, body, code = case
    found = classify(status, headers, body, NOW)
    assert isinstance(found, Problem)
    assert found.code == code


@pytest.mark.parametrize("detail", [EXPIRED, "AuthenticationUnsuccessful"])
def test_an_expired_or_unknown_token_is_refreshed_first(detail: str) -> None:
    found = classify(401, {}, refused("Unauthorized", 401, detail), NOW)
    assert isinstance(found, TokenExpired)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"x-rate-limit-problem": "minute", "retry-after": "26"}, 26.0),
        ({"x-rate-limit-problem": "minute", "retry-after": "soon"}, 60.0),
        ({"x-rate-limit-problem": "minute"}, 60.0),
        ({"x-rate-limit-problem": "day", "retry-after": "66975"}, 66_975.0),
        ({"x-rate-limit-problem": "day"}, 3_600.0),
        ({"x-rate-limit-problem": "day", "retry-after": "99999999999999"}, 86_400.0),
        ({"x-rate-limit-problem": "concurrent"}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], wait: float | None) -> None:
    found = classify(429, headers, b"", NOW)
    assert isinstance(found, Problem)
    assert found.retry_after == wait


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 5 ", 5.0),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("Sun, 22 Nov 2026 10:30:45 GMT", 30.0),
        ("Sun, 22 Nov 2026 10:00:00 GMT", 0.0),
        ("Fri, 22 Nov 2999 10:00:00 GMT", 86_400.0),
        ("Sun, 22 Nov 2026 10:30:45", None),
        ("1" * 5_000, 86_400.0),
    ],
)
def test_retry_after_as_seconds_or_as_a_date(value: str | None, wait: float | None) -> None:
    assert retry_after(value, NOW) == wait


headers = st.dictionaries(
    st.sampled_from(["retry-after", "x-rate-limit-problem", "x-appminlimit-remaining"]),
    st.text(max_size=30),
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.text()),
        lambda inner: st.dictionaries(st.sampled_from(["Detail", "detail", "x"]), inner),
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=500, deadline=None)
@given(st.integers(201, 999), headers, bodies)
def test_any_answer_at_all_is_an_error_of_the_catalogue(
    status: int, said: dict[str, Any], body: bytes
) -> None:
    found = classify(status, said, body, NOW)
    if isinstance(found, Problem):
        assert found.code in CATALOGUE
        assert found.retry_after is None or 0 <= found.retry_after <= 86_400
        assert len(found.detail) < 300
        assert "\x00" not in found.detail
