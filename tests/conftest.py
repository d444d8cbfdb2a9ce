"""What every test stands on: clean settings, a throw-away PostgreSQL, no network, the cast.

Each process of a run starts a server of its own, on the processor on which it works itself. Set
JUSTPAYME_TEST_DATABASE_URL to use a server of yours instead, with a database for each process.
"""

import gc
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from tests.fixtures.processor import stay_on_one

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
    "tests.fixtures.xero",
]

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""gw0, gw1 …; "" in a run of one process, and in the one that shares out the tests."""
TEST_SECRET = "only-for-tests-" + "x" * 40


def _lay_environment() -> Server | None:
    """Set the environment before Django reads it; returns the server to start, if any."""
    given = os.environ.get("JUSTPAYME_TEST_DATABASE_URL", "")
    binaries = os.environ.get("JUSTPAYME_POSTGRES_BIN", "")
    if WORKER:
        stay_on_one(int(WORKER[2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    home = Path(tempfile.mkdtemp(prefix="justpayme-tests-"))
    for name in NAMES:
        os.environ.pop(name, None)
    os.environ.update(
        JUSTPAYME_HOME=str(home),
        JUSTPAYME_SECRET_KEY=TEST_SECRET,
        JUSTPAYME_BASE_URL="http://localhost:8000",
        XERO_CLIENT_ID="test-client",
        XERO_CLIENT_SECRET="test-client-secret",
        XERO_WEBHOOK_KEY="test-webhook-key",
        DJANGO_SETTINGS_MODULE="justpayme.settings",
    )
    if binaries:
        os.environ["JUSTPAYME_POSTGRES_BIN"] = binaries
    home.chmod(0o755)  # uid 65534 must get in where root may make no namespace
    server = None if given else throw_away(home)
    os.environ["JUSTPAYME_DATABASE_URL"] = given or (server.url if server else "")
    return server


def throw_away(home: Path) -> Server:
    """A server that loses everything in a power cut, and is quick."""
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
    if not WORKER and config.getoption("numprocesses", None):
        # A worker would read the settings with our environment, before it has laid its own.
        del os.environ["DJANGO_SETTINGS_MODULE"]
    elif SERVER is not None:
        SERVER.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVER is not None:
        SERVER.stop()
    shutil.rmtree(os.environ["JUSTPAYME_HOME"], ignore_errors=True)
