"""An answer that drips in over a real socket, headers first, is given up (I-56)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx2
import pytest
from tests.xero.test_client import Xero, ok
from tests.xero.test_send import KEY, UPDATE
from tests.xero.test_send import client as writer

from justpayme.core.outbox import Outcome
from justpayme.xero import client, oauth

PATIENCE = 0.1


@pytest.fixture
def dripping() -> Iterator[str]:
    """The address of a server that sends a byte of its headers every few milliseconds, for a
    second."""
    door = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        visitor, _ = door.accept()
        with visitor:
            visitor.sendall(b"HTTP/1.1 200 OK\r\nx-drip: ")
            with suppress(OSError):
                for _ in range(200):
                    visitor.sendall(b".")
                    if over.wait(0.005):
                        return

    thread = threading.Thread(target=drip)
    thread.start()
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    over.set()
    thread.join()
    door.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_CALL", PATIENCE)
    monkeypatch.setattr(oauth, "LONGEST_CALL", PATIENCE)
    monkeypatch.setattr(client, "LONGEST_WRITE", PATIENCE)


@pytest.mark.parametrize("open_line", [client.http_client, oauth.open_client])
def test_headers_that_drip_are_given_up(dripping: str, open_line: type[httpx2.Client]) -> None:
    with open_line() as http, pytest.raises(httpx2.ReadTimeout):
        http.get(dripping)


def test_a_write_whose_answer_drips_is_given_up_sooner_and_unclear(
    dripping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LONGEST_CALL", 5)
    one = writer(Xero(ok({})))
    one.api_url = dripping
    with client.http_client() as one.http:
        answer = one.send(UPDATE, key=KEY)
    assert answer.outcome is Outcome.UNCLEAR
    assert answer.problem is not None
    assert answer.problem.detail == "ReadTimeout"
