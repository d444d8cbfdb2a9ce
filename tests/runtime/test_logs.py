"""Logs hide secrets whatever they are wrapped in, and keep what helps."""

import json
import logging
from io import StringIO
from logging.config import dictConfig

import pytest

from justpayme.runtime.logs import HIDDEN, is_secret_name, logging_settings, redact

SECRET = "eyJhbGciOi-very-secret"


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "Authorization", "client_secret", "code", "auth_code", "password",
     "Set-Cookie", "cookie", "XERO_WEBHOOK_KEY", "api_key"],
)  # fmt: skip
def test_values_with_a_secret_name_are_hidden(name: str) -> None:
    event = redact(None, "info", {"event": "x", name: SECRET, "deep": [{name: SECRET}]})
    assert SECRET not in json.dumps(event)
    assert event[name] == HIDDEN


@pytest.mark.parametrize("name", ["status_code", "error_code", "organisation", "barcode", "keys"])
def test_harmless_names_are_kept(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        f"GET /callback/?code={SECRET}&state=x",
        f"Authorization: Bearer {SECRET}",
        f"refresh_token={SECRET}",
        f"client_secret={SECRET}&grant_type=authorization_code",
    ],
)
def test_secrets_inside_a_text_are_hidden(text: str) -> None:
    assert SECRET not in str(redact(None, "info", {"event": text})["event"])


def test_a_request_status_is_kept() -> None:
    assert redact(None, "info", {"event": "request_finished", "code": 200})["code"] == 200


def test_a_log_line_is_one_line_of_json_even_for_hostile_text() -> None:
    settings = logging_settings("INFO", terminal=False)
    out = StringIO()
    settings["handlers"]["stderr"]["stream"] = out
    before = list(logging.getLogger().handlers)
    try:
        dictConfig(settings)
        logging.getLogger("justpayme.test").warning("a\nb %s", '{"level":"error"}')
    finally:
        logging.getLogger().handlers[:] = before
    lines = out.getvalue().splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["event"] == 'a\nb {"level":"error"}'
