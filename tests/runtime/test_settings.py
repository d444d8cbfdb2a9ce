"""What Django makes of the environment, each time in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "src"
PRODUCTION = {
    "JUSTPAYME_BASE_URL": "https://bills.example.com",
    "JUSTPAYME_SECRET_KEY": "k9-" + "aB3$" * 20,
    "XERO_CLIENT_ID": "a",
    "XERO_CLIENT_SECRET": "b",
}


def python(code: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUSTPAYME_", "XERO_"))
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def values(names: str, environment: dict[str, str]) -> list[Any]:
    code = (
        "import json; from justpayme import settings; "
        f"print(json.dumps([getattr(settings, n, None) for n in {names.split()!r}]))"
    )
    done = python(code, environment)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def test_behind_https_no_cookie_travels_without_it() -> None:
    found = values(
        "SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE SESSION_COOKIE_NAME CSRF_COOKIE_NAME "
        "SECURE_HSTS_SECONDS SECURE_PROXY_SSL_HEADER DEBUG",
        PRODUCTION,
    )
    assert found == [
        True,
        True,
        "__Host-session",
        "__Host-csrf",
        31_536_000,
        ["HTTP_X_FORWARDED_PROTO", "https"],
        False,
    ]


def test_only_our_own_host_names_are_answered() -> None:
    hosts, origins = values("ALLOWED_HOSTS CSRF_TRUSTED_ORIGINS", PRODUCTION)
    assert set(hosts) == {"bills.example.com", "localhost", "127.0.0.1", "[::1]"}
    assert origins == ["https://bills.example.com"]


def test_an_old_secret_key_still_opens_sessions() -> None:
    (fallbacks,) = values(
        "SECRET_KEY_FALLBACKS", {**PRODUCTION, "JUSTPAYME_SECRET_KEY_PREVIOUS": "o" * 40}
    )
    assert fallbacks == ["o" * 40]


def test_a_database_elsewhere_is_used_with_its_options() -> None:
    (databases,) = values(
        "DATABASES",
        {**PRODUCTION, "JUSTPAYME_DATABASE_URL": "postgresql://a:b@db/bills?sslmode=verify-full"},
    )
    default = databases["default"]
    assert (default["HOST"], default["NAME"]) == ("db", "bills")
    assert default["OPTIONS"]["sslmode"] == "verify-full"
    assert "statement_timeout" in default["OPTIONS"]["options"]


CHECK = """
import django
django.setup()
from django.core.management import call_command
call_command("check", deploy=True, fail_level="WARNING")
"""
DJANGO = {"DJANGO_SETTINGS_MODULE": "justpayme.settings"}


def test_a_production_configuration_passes_djangos_deployment_check() -> None:
    done = python(CHECK, PRODUCTION | DJANGO)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"JUSTPAYME_BASE_URL": "http://localhost:8000"}, "only this machine reaches"),
        ({"XERO_CLIENT_ID": "", "XERO_CLIENT_SECRET": ""}, "XERO_CLIENT_ID is not set"),
        ({"JUSTPAYME_DEBUG": "1", "JUSTPAYME_BASE_URL": "http://localhost:8000"}, "DEBUG is on"),
        ({"JUSTPAYME_HOME": "relative"}, "whole path"),
    ],
)
def test_the_deployment_check_finds(change: dict[str, str], words: str) -> None:
    done = python(CHECK, PRODUCTION | DJANGO | change)
    assert done.returncode == 1
    assert words in done.stderr


def test_django_itself_refuses_to_work_without_a_secret_key() -> None:
    done = python("import django; django.setup()\nfrom django.conf import settings\n"
                  "settings.SECRET_KEY", DJANGO)  # fmt: skip
    assert "SECRET_KEY setting must not be empty" in done.stderr
