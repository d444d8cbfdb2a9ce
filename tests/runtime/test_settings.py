"""What Django makes of the environment, each time in a process of its own.

To load all of Django takes seconds and says nothing about an environment. So a right one is
loaded and checked once, and each wrong one is read anew in a copy of that process.
"""

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


def python(
    code: str, environment: dict[str, str], given: str = ""
) -> "subprocess.CompletedProcess[str]":
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUSTPAYME_", "XERO_"))
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "PYTHONPATH": str(SOURCE), **environment},
        input=given,
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


CHECKS = """
import json, os, sys
import django
from django.core.management import call_command

def check():
    call_command("check", deploy=True, fail_level="WARNING")

def check_anew(change):
    from django.conf import ENVIRONMENT_VARIABLE, Settings, settings
    os.environ.update(change)
    del sys.modules[os.environ[ENVIRONMENT_VARIABLE]]
    settings._wrapped = Settings(os.environ[ENVIRONMENT_VARIABLE])
    check()

def in_a_copy(change):
    sys.stdout.flush()
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        said = open(reading).read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said
    os.dup2(writing, 2)
    sys.stderr = os.fdopen(2, "w")
    try:
        check_anew(change)
    except BaseException as error:
        sys.stderr.write(f"{error!r} {error}")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)

django.setup()
check()
print(json.dumps([in_a_copy(change) for change in json.loads(sys.stdin.read())]))
"""
DJANGO = {"DJANGO_SETTINGS_MODULE": "justpayme.settings"}
WRONG = {
    "only this machine reaches": {"JUSTPAYME_BASE_URL": "http://localhost:8000"},
    "XERO_CLIENT_ID is not set": {"XERO_CLIENT_ID": "", "XERO_CLIENT_SECRET": ""},
    "DEBUG is on": {"JUSTPAYME_DEBUG": "1", "JUSTPAYME_BASE_URL": "http://localhost:8000"},
    "whole path": {"JUSTPAYME_HOME": "relative"},
}
"""Words of the check -> what is wrong with the environment."""


@pytest.fixture(scope="module")
def checked() -> "subprocess.CompletedProcess[str]":
    """A right environment was checked, then the same one and every wrong one in a copy."""
    return python(CHECKS, PRODUCTION | DJANGO, json.dumps([{}, *WRONG.values()]))


def test_a_production_configuration_passes_djangos_deployment_check(
    checked: "subprocess.CompletedProcess[str]",
) -> None:
    assert checked.returncode == 0, checked.stderr
    code, said = found(checked)[0]
    assert code == 0, said


@pytest.mark.parametrize("words", WRONG)
def test_the_deployment_check_finds(
    checked: "subprocess.CompletedProcess[str]", words: str
) -> None:
    assert checked.returncode == 0, checked.stderr
    code, said = found(checked)[1 + list(WRONG).index(words)]
    assert code == 1
    assert words in said


def found(checked: "subprocess.CompletedProcess[str]") -> list[tuple[int, str]]:
    """How each copy ended and what it said."""
    copies: list[tuple[int, str]] = json.loads(checked.stdout.splitlines()[-1])
    return copies


def test_django_itself_refuses_to_work_without_a_secret_key() -> None:
    done = python("import django; django.setup()\nfrom django.conf import settings\n"
                  "settings.SECRET_KEY", DJANGO)  # fmt: skip
    assert "SECRET_KEY setting must not be empty" in done.stderr
