"""The local Xero as an API client sees it: its doors only arrange, HTTP alone judges."""

from collections.abc import Callable

import pytest
from tests.sandbox.client import Xero
from tests.sandbox.conftest import books, clock, connected, naps, sandbox, writer

__all__ = ["books", "clock", "connected", "naps", "sandbox", "writer"]


@pytest.fixture
def xero(sandbox: object) -> Xero:
    """A client that has signed in nowhere yet."""
    return Xero(sandbox)  # type: ignore[arg-type]


@pytest.fixture
def stated(cases: Callable[[int], None]) -> None:
    """One statement, one case."""
    cases(1)
