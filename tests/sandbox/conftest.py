"""A sandbox in process, its clock, and a client that is already connected."""

import pytest
from sandbox_client import NOW, REDIRECT, Xero

from xero_sandbox import FrozenClock, Store, create_app
from xero_sandbox.app import Sandbox
from xero_sandbox.oauth import App
from xero_sandbox.seed import seed


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
def sandbox(books: Store, clock: FrozenClock, naps: list[float]) -> Sandbox:
    store = Store()
    for ledger in books.ledgers.values():
        store.add_organisation(ledger.organisation, ledger.records())
    app = App(client_id="cid", client_secret="secret", redirect_uris=(REDIRECT,))
    return create_app(store, clock=clock, app=app, sleep=naps.append)


@pytest.fixture
def xero(sandbox: Sandbox) -> Xero:
    return Xero(sandbox)


@pytest.fixture
def connected(xero: Xero) -> Xero:
    xero.connect()
    return xero
