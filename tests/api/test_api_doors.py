"""What every call passes first: token, limit, method, body."""

from __future__ import annotations

import gzip
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone
from tests.api.given import Caller, error_of

from justpayme.accounts.models import ApiToken, Membership, User
from justpayme.api import tokens
from justpayme.api.models import TokenUse
from justpayme.bills.models import Client


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer jpm_wrong",
        "Bearer jpm_\x80\xff",
        "Basic dXNlcjpwYXNz",
        "jpm_wrong",
        "Bearer " + "x" * 10000,
    ],
)
def test_without_a_token_in_use_the_answer_is_401(db: None, header: str) -> None:
    answer = Browser().get("/api/v1/bills", headers={"Authorization": header} if header else {})
    assert error_of(answer, 401)["code"] == "unauthorised"
    assert answer["WWW-Authenticate"] == "Bearer"


def test_a_session_is_not_a_token(alice: User) -> None:
    browser = Browser()
    browser.force_login(alice)
    error_of(browser.get("/api/v1/bills"), 401)


def test_a_revoked_token_is_useless(as_alice: Caller) -> None:
    ApiToken.objects.update(revoked_at=timezone.now())
    error_of(as_alice.get("/bills"), 401)


def test_the_token_of_a_person_who_left_is_useless(as_alice: Caller) -> None:
    Membership.objects.all().delete()
    error_of(as_alice.get("/bills"), 401)


def test_the_token_of_a_person_who_was_locked_out_is_useless(as_alice: Caller) -> None:
    User.objects.update(is_active=False)
    error_of(as_alice.get("/bills"), 401)


def test_only_the_digest_of_a_token_is_stored(as_alice: Caller) -> None:
    secret = as_alice.headers["Authorization"].removeprefix("Bearer ")
    row = ApiToken.objects.values().get()
    assert row["digest"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(row)
    assert secret.startswith(row["start"])
    assert len(secret) > 40


def test_use_is_stamped_but_not_on_every_call(as_alice: Caller) -> None:
    as_alice.get("/bills")
    first = ApiToken.objects.get().last_used_at
    as_alice.get("/bills")
    assert first is not None
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=6))
    as_alice.get("/bills")
    stamped = ApiToken.objects.get().last_used_at
    assert stamped is not None
    assert stamped >= first


def test_too_many_calls_in_a_minute_are_429_and_the_next_minute_starts_anew(
    as_alice: Caller,
) -> None:
    as_alice.get("/bills")
    TokenUse.objects.update(calls=tokens.CALLS_A_MINUTE - 1)
    # The clock may pass into a new minute between two lines; then the count is back at one.
    last_allowed, refused = as_alice.get("/bills"), as_alice.get("/bills")
    if refused.status_code == 200:
        assert TokenUse.objects.get().calls <= 2
        return
    assert last_allowed.status_code == 200
    assert error_of(refused, 429)["code"] == "too_many_calls"
    assert 1 <= int(refused["Retry-After"]) <= 60
    TokenUse.objects.update(minute=timezone.now() - timedelta(minutes=2))
    assert as_alice.get("/bills").status_code == 200


def test_one_tokens_calls_do_not_count_for_another(as_alice: Caller, as_bob: Caller) -> None:
    as_alice.get("/bills")
    now = timezone.now().replace(second=0, microsecond=0)
    TokenUse.objects.update(calls=tokens.CALLS_A_MINUTE, minute=now)
    assert as_bob.get("/bills").status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_an_unknown_method_is_405_and_says_what_is_known(as_alice: Caller, method: str) -> None:
    answer = as_alice.send(method, "/bills")
    error_of(answer, 405)
    assert set(answer["Allow"].split(", ")) == {"GET", "POST"}


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/bills/", "/bills/x", "/bills/-1", f"/bills/{2**70}", "/bills/1e3"]
)
def test_an_unknown_address_is_404_in_json(as_alice: Caller, path: str) -> None:
    error_of(as_alice.get(path), 404)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_media_type_is_415(as_bob: Caller, kind: str) -> None:
    error_of(as_bob.raw("POST", "/clients", '{"name": "A"}', kind=kind), 415)
    assert not Client.objects.exists()


def test_a_body_over_one_mebibyte_is_413(as_bob: Caller) -> None:
    big = '{"name": "' + "x" * (1024 * 1024) + '"}'
    error_of(as_bob.raw("POST", "/clients", big), 413)
    error_of(as_bob.raw("POST", "/clients", big * 3), 413)
    assert not Client.objects.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"not json",
        b'{"name": NaN}',
        b'{"name": -Infinity}',
        b'{"name": 1' + b"0" * 5000 + b"}",
        b'{"name": "A", "name": "B"}',
        b"\xff\xfe",
        b'{"name": "\xc3\x28"}',
        b"[" * 100_000,
        b'{"a":' * 50 + b"1" + b"}" * 50,
        gzip.compress(b'{"name": "A"}', mtime=0),
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_body_that_is_not_plain_json_is_400(as_bob: Caller, raw: bytes) -> None:
    error_of(as_bob.raw("POST", "/clients", raw), 400)
    assert not Client.objects.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b'{"name": 1e400}',
        b'{"name": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"name": "A", "\\u0000": 1}',
        b'{"name": {"a": {"b": []}}}',
    ],
)
def test_json_of_another_shape_is_422_with_a_field(as_bob: Caller, raw: bytes) -> None:
    assert error_of(as_bob.raw("POST", "/clients", raw), 422)["fields"]
    assert not Client.objects.exists()


def test_an_overlong_idempotency_key_is_refused(as_bob: Caller) -> None:
    answer = as_bob.send("POST", "/clients", {"name": "A"}, Idempotency_Key="k" * 201)
    assert error_of(answer, 422)["fields"]


def test_an_error_never_repeats_what_was_sent(as_bob: Caller) -> None:
    answer: Any = as_bob.send("POST", "/clients", {"name": 5, "email": "<script>secret"})
    assert b"secret" not in answer.content
