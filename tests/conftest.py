"""What every test stands on: clean settings, a throw-away PostgreSQL, no network, the cast.

The controlling process starts one server for the whole run; the workers of pytest-xdist learn
its address from the environment and make a database each. Set JUSTPAYME_TEST_DATABASE_URL to
use a server of your own instead.
"""

import gc
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from justpayme.runtime.config import NAMES, read
from justpayme.runtime.postgres import Server, find_binaries

pytest_plugins = [
    "tests.fixtures.browser",
    "tests.fixtures.cast",
    "tests.fixtures.clients",
    "tests.fixtures.emptying",
    "tests.fixtures.guard",
    "tests.fixtures.layers",
    "tests.fixtures.published",
    "tests.fixtures.sessions",
    "tests.fixtures.sittings",
    "tests.fixtures.xero",
]

IN_WORKER = "PYTEST_XDIST_WORKER" in os.environ
TEST_SECRET = "only-for-tests-" + "x" * 40


def _lay_environment() -> Server | None:
    """Set the environment before Django reads it; returns the server to start, if any."""
    if IN_WORKER:
        return None
    given = os.environ.get("JUSTPAYME_TEST_DATABASE_URL", "")
    binaries = os.environ.get("JUSTPAYME_POSTGRES_BIN", "")
    for name in NAMES:
        os.environ.pop(name, None)
    home = tempfile.mkdtemp(prefix="justpayme-tests-")
    os.environ.update(
        JUSTPAYME_HOME=home,
        JUSTPAYME_SECRET_KEY=TEST_SECRET,
        JUSTPAYME_BASE_URL="http://localhost:8000",
        XERO_CLIENT_ID="test-client",
        XERO_CLIENT_SECRET="test-client-secret",
        XERO_WEBHOOK_KEY="test-webhook-key",
        DJANGO_SETTINGS_MODULE="justpayme.settings",
    )
    if binaries:
        os.environ["JUSTPAYME_POSTGRES_BIN"] = binaries
    Path(home).chmod(0o755)  # uid 65534 must get in where root may make no namespace
    server = None if given else throw_away(Path(home))
    os.environ["JUSTPAYME_DATABASE_URL"] = given or (server.url if server else "")
    return server


def throw_away(home: Path) -> Server:
    """A server that is quick, and loses everything in a power cut."""
    config = read(dict(os.environ)).config
    return Server(home, find_binaries(config), durable=False)


SERVER = _lay_environment()

import django  # noqa: E402
from django.conf import settings  # noqa: E402

settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
django.setup()  # the cast below imports models

# Searching for garbage took a fifth of a run, most of it among what is loaded by now for good.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 100)


def pytest_configure(config: pytest.Config) -> None:
    if SERVER is not None:
        SERVER.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not IN_WORKER:
        if SERVER is not None:
            SERVER.stop()
        shutil.rmtree(os.environ["JUSTPAYME_HOME"], ignore_errors=True)
