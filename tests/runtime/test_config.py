"""Settings from the environment: defaults, and a sentence with a way out for every mistake."""

from pathlib import Path

import pytest

from justpayme.runtime.config import (
    NAMES,
    database_settings,
    missing_for_serving,
    new_secret,
    read,
)

SECRET = "s" * 40


def problems(**environment: str) -> list[str]:
    return [one.sentence for one in read(environment, uid=1000).problems]


def test_an_empty_environment_has_no_problems_and_useful_defaults() -> None:
    config, found = (lambda r: (r.config, r.problems))(read({"HOME": "/home/ann"}, uid=1000))
    assert found == ()
    assert config.home == Path("/home/ann/.local/share/justpayme")
    assert config.base_url == "http://localhost:8000"
    assert config.embedded
    assert config.xero_api_url == "https://api.xero.com"
    assert config.xero_identity_url == "https://identity.xero.com"
    assert config.xero_login_url == "https://login.xero.com"
    assert config.email.kind == "file"
    assert config.email.folder == config.home / "mail"


@pytest.mark.parametrize(
    ("environment", "uid", "home"),
    [
        ({}, 0, "/var/lib/justpayme"),
        ({"JUSTPAYME_HOME": "/srv/bills"}, 0, "/srv/bills"),
        ({"HOME": "/home/ann", "XDG_DATA_HOME": "/data"}, 1000, "/data/justpayme"),
        ({"HOME": "/home/ann", "XDG_DATA_HOME": "data"}, 1000, "/home/ann/.local/share/justpayme"),
    ],
)
def test_where_the_home_is(environment: dict[str, str], uid: int, home: str) -> None:
    assert read(environment, uid=uid).config.home == Path(home)


WRONG = [
    ("JUSTPAYME_HOME", "bills", "whole path"),
    ("JUSTPAYME_SECRET_KEY", "short", "justpayme secret"),
    ("JUSTPAYME_SECRET_KEY_PREVIOUS", "old", "40 or more"),
    ("XERO_WEBHOOK_KEY", "one two three", "two separated by a space"),
    ("JUSTPAYME_BASE_URL", "http://bills.example.com", "must be https"),
    ("JUSTPAYME_BASE_URL", "https://bills.example.com/app", "without a path"),
    ("JUSTPAYME_BASE_URL", "bills.example.com", "start with https://"),
    ("JUSTPAYME_BASE_URL", "https://", "start with https://"),
    ("JUSTPAYME_BASE_URL", "https://bills.example.com:99999", "not an address"),
    ("JUSTPAYME_BASE_URL", "javascript:alert(1)", "start with https://"),
    ("JUSTPAYME_BASE_URL", "http://127.0.0.1.evil.example", "must be https"),
    ("JUSTPAYME_BASE_URL", "https://user@bills.example.com", "must not hold a user"),
    ("XERO_API_URL", "http://api.xero.com", "must be https"),
    ("XERO_IDENTITY_URL", "https://[::1", "not an address"),
    ("XERO_LOGIN_URL", "https://login.xero.com/?x=1", "query"),
    ("XERO_CLIENT_ID", "abc", "XERO_CLIENT_SECRET is not set"),
    ("XERO_CLIENT_SECRET", "abc", "XERO_CLIENT_ID is not set"),
    ("JUSTPAYME_DATABASE_URL", "mysql://db/bills", "start with postgresql://"),
    ("JUSTPAYME_DATABASE_URL", "postgresql://db", "database's name"),
    ("JUSTPAYME_DATABASE_URL", "postgresql://db:port/bills", "cannot be used"),
    ("JUSTPAYME_EMAIL_URL", "pigeon:", "console:"),
    ("JUSTPAYME_EMAIL_URL", "file:mail", "whole path"),
    ("JUSTPAYME_EMAIL_URL", "smtp://mail.example.com", "?from="),
    ("JUSTPAYME_POSTGRES_BIN", "/nowhere", "no program named postgres"),
    ("JUSTPAYME_LOG_LEVEL", "loud", "DEBUG, INFO, WARNING or ERROR"),
    ("JUSTPAYME_DEBUG", "perhaps", "Use 1"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_wrong_setting_is_a_sentence_with_its_name_and_the_way_out(
    name: str, value: str, words: str
) -> None:
    found = problems(**{name: value})
    assert len(found) == 1
    assert words in found[0]
    assert name in found[0]


def test_debug_is_refused_where_strangers_come_in() -> None:
    found = problems(JUSTPAYME_DEBUG="1", JUSTPAYME_BASE_URL="https://bills.example.com")
    assert len(found) == 1
    assert "strangers" in found[0]


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(JUSTPAYME_HOME="x", JUSTPAYME_SECRET_KEY="x", XERO_CLIENT_ID="x")) == 3


def test_serving_needs_a_secret_and_a_xero_app() -> None:
    names = [one.name for one in missing_for_serving(read({}, uid=1).config)]
    assert names == ["JUSTPAYME_SECRET_KEY", "XERO_CLIENT_ID", "XERO_CLIENT_SECRET"]
    full = {"JUSTPAYME_SECRET_KEY": SECRET, "XERO_CLIENT_ID": "a", "XERO_CLIENT_SECRET": "b"}
    assert missing_for_serving(read(full, uid=1).config) == ()


def test_the_redirect_address_follows_the_base_address() -> None:
    config = read({"JUSTPAYME_BASE_URL": "https://bills.example.com/"}, uid=1).config
    assert config.redirect_uri == ("https://bills.example.com/settings/integrations/xero/callback/")


def test_one_webhook_key_or_two_while_it_is_changed() -> None:
    given = {"XERO_WEBHOOK_KEY": "  new+/=  old "}
    assert read(given, uid=1).config.xero_webhook_keys == ("new+/=", "old")
    assert read({}, uid=1).config.xero_webhook_keys == ()
    given = {"JUSTPAYME_BASE_URL": "https://bills.example.com"}
    config = read(given, uid=1).config
    assert config.webhook_address == "https://bills.example.com/webhooks/xero"


def test_a_new_secret_key_keeps_the_old_one_able_to_open() -> None:
    before = read({"JUSTPAYME_SECRET_KEY": SECRET}, uid=1).config.token_keys
    fresh = new_secret()
    after = read(
        {"JUSTPAYME_SECRET_KEY": fresh, "JUSTPAYME_SECRET_KEY_PREVIOUS": SECRET}, uid=1
    ).config.token_keys
    assert list(after)[1:] == list(before)
    assert after[next(iter(before))] == next(iter(before.values()))
    assert all(len(key) == 32 for key in after.values())
    assert SECRET.encode() not in after.values()


def test_secrets_are_not_in_the_text_of_the_settings() -> None:
    values = {
        name: f"{name}-value-{'x' * 40}" for name in NAMES if "SECRET" in name or "KEY" in name
    }
    config = read(
        values
        | {
            "XERO_CLIENT_ID": "public",
            "JUSTPAYME_EMAIL_URL": "smtps://ann:geheim@mail.example.com?from=a@example.com",
            "JUSTPAYME_DATABASE_URL": "postgresql://ann:geheim@db/bills",
        },
        uid=1,
    ).config
    assert not any(value in repr(config) for value in (*values.values(), "geheim"))


def test_a_database_address_becomes_django_settings() -> None:
    given = "postgresql://ann:p%40ss@db.example.com:6432/bills?sslmode=require"
    assert database_settings(given) == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "bills",
        "USER": "ann",
        "PASSWORD": "p@ss",
        "HOST": "db.example.com",
        "PORT": "6432",
        "OPTIONS": {"sslmode": "require"},
    }


def test_mail_leaves_this_machine_only_encrypted() -> None:
    def tls(url: str) -> str:
        return read({"JUSTPAYME_EMAIL_URL": url}, uid=1).config.email.tls

    assert tls("smtp://mail.example.com?from=a@example.com") == "starttls"
    assert tls("smtps://mail.example.com?from=a@example.com") == "ssl"
    assert tls("smtp://localhost:25?from=a@example.com") == ""


@pytest.mark.parametrize(
    ("base_url", "login_url", "refused"),
    [
        ("http://127.0.0.1:8000", "", True),
        ("http://localhost:8000", "", False),
        ("https://bills.example.com", "", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:9000", False),
    ],
)
def test_an_address_that_xero_never_sends_people_back_to_stops_the_start(
    base_url: str, login_url: str, refused: bool
) -> None:
    environment = {
        "JUSTPAYME_SECRET_KEY": "k" * 50,
        "JUSTPAYME_BASE_URL": base_url,
        "XERO_CLIENT_ID": "id",
        "XERO_CLIENT_SECRET": "secret",
        "XERO_LOGIN_URL": login_url,
    }
    problems = missing_for_serving(read(environment).config)
    assert [p.name for p in problems] == ["JUSTPAYME_BASE_URL"] * refused
