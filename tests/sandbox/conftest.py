"""A sandbox in process, its clock, and a client that is already connected."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.deviations import GUESSES, unexpected
from tests.conformance.shape import Shapes
from tests.conformance.watch import Watcher
from tests.sandbox.client import (
    NOW,
    REDIRECT,
    SERVED_REDIRECT,
    WRITE_SCOPES,
    Start,
    Xero,
)

from xero_sandbox import FrozenClock, Store, create_app
from xero_sandbox.app import Sandbox
from xero_sandbox.oauth import App
from xero_sandbox.seed import seed

SHAPES = Shapes()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@pytest.fixture
def naps() -> list[float]:
    """The sleeps that the sandbox would have taken."""
    return []


@pytest.fixture(scope="session")
def books() -> Store:
    """The seeded books, made once: records are frozen, so tests can share them."""
    store = Store()
    seed(store, 1, NOW)
    return store


@pytest.fixture
def sandbox(books: Store, clock: FrozenClock, naps: list[float]) -> Iterator[Sandbox]:
    """What it answers to any test is compared with Xero's published API files afterwards."""
    store = Store()
    for ledger in books.ledgers.values():
        store.add_organisation(ledger.organisation, ledger.records())
    app = App(client_id="cid", client_secret="secret", redirect_uris=(REDIRECT,))
    made = create_app(store, clock=clock, app=app, sleep=naps.append)
    watcher = Watcher(made, SHAPES, rows=3)
    yield made
    assert unexpected(watcher.found(), GUESSES) == []


@pytest.fixture
def xero(sandbox: Sandbox) -> Xero:
    return Xero(sandbox)


@pytest.fixture
def connected(xero: Xero) -> Xero:
    xero.connect()
    return xero


@pytest.fixture
def writer(xero: Xero) -> Xero:
    """A client that may write; the minute's limit is lifted."""
    xero.connect(scope=WRITE_SCOPES)
    xero.http.post("/sandbox/limits", json={"minute": None, "day": None})
    return xero


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the program; everything started is ended afterwards."""
    started: list[subprocess.Popen] = []

    def run(*more: str) -> tuple[subprocess.Popen, str]:
        source = str(Path(__file__).parents[2] / "src")
        command = [sys.executable, "-m", "xero_sandbox", "--redirect-uri", SERVED_REDIRECT, *more]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": source},
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("xero_sandbox ready on http://127.0.0.1:")
        return process, line.rpartition(" ")[2]

    yield run
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
