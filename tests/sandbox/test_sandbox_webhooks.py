"""Webhooks as Xero sends them: facts 5."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest
from tests.sandbox.client import Start, Xero
from tests.sandbox.test_sandbox_server import connect
from tests.sandbox.test_sandbox_write_invoices import UK, pay, put

from xero_sandbox import FrozenClock
from xero_sandbox.__main__ import main
from xero_sandbox.webhooks import post_it

URL, KEY = "http://127.0.0.1:9/hook", "Ω-key"
Sent = tuple[dict[str, Any], bool]


class Ear:
    """The app's address: answers 401 to bad signatures, otherwise with the next status."""

    def __init__(self) -> None:
        self.heard: list[Sent] = []
        self.statuses: list[int] = []
        self.deaf = False

    def __call__(self, url: str, body: bytes, signed: str) -> int:
        digest = hmac.new(KEY.encode(), body, hashlib.sha256).digest()
        good = signed == base64.b64encode(digest).decode()
        self.heard.append((json.loads(body), good))
        if self.deaf:
            return 200
        return (self.statuses.pop(0) if self.statuses else 200) if good else 401

    def events(self) -> list[dict[str, Any]]:
        return [event for body, _ in self.heard for event in body["events"]]


@pytest.fixture
def ear(writer: Xero) -> Ear:
    ear = Ear()
    writer.sandbox.webhooks.post = ear
    return ear


def subscribe(xero: Xero, **more: object) -> dict:
    answer = xero.http.post("/sandbox/webhooks", json={"url": URL, "key": KEY, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def deliver(xero: Xero) -> dict:
    return xero.http.post("/sandbox/webhooks/deliver").json()


def test_intent_to_receive_tells_signatures_apart(writer: Xero, ear: Ear) -> None:
    assert subscribe(writer)["state"] == "ok"
    assert [good for _, good in ear.heard] == [True, False, True, False]
    for body, _ in ear.heard:
        assert (body["events"], body["firstEventSequence"], body["lastEventSequence"]) == ([], 0, 0)
        assert body["entropy"]
    ear.deaf = True
    assert subscribe(writer)["state"] == "refused"
    put(writer)
    assert deliver(writer)["waiting"] == 1


def test_changes_are_told_without_their_content(writer: Xero, ear: Ear, clock: FrozenClock) -> None:
    subscribe(writer)
    made = put(writer)
    clock.advance(1)
    pay(writer, made, "5")
    writer.act("edit-contact", tenant=UK, contact="C004", email="new@example.com")
    note = writer.act("give-credit", tenant=UK, contact="C004", amount="1").json()
    for action in ("receive-overpayment", "receive-prepayment"):
        writer.act(action, tenant=UK, contact="C004", amount="1")
    writer.act("lock", tenant=UK, period_lock_date="2020-01-01")
    ear.heard.clear()
    assert deliver(writer)["waiting"] == 0
    ((body, good),) = ear.heard
    assert good
    told = [(e["eventCategory"], e["eventType"]) for e in body["events"]]
    assert told == [
        ("INVOICE", "CREATE"), ("INVOICE", "UPDATE"), ("CONTACT", "UPDATE"),
        ("CREDITNOTE", "CREATE"), ("OVERPAYMENT", "CREATE"), ("PREPAYMENT", "CREATE"),
    ]  # fmt: skip
    assert (body["firstEventSequence"], body["lastEventSequence"]) == (1, 6)
    assert body["events"][1] == {
        "resourceUrl": f"https://api.xero.com/api.xro/2.0/Invoices/{made['InvoiceID']}",
        "resourceId": made["InvoiceID"],
        "tenantId": writer.tenant(),
        "tenantType": "ORGANISATION",
        "eventCategory": "INVOICE",
        "eventType": "UPDATE",
        "eventDateUtc": "2026-11-22T10:30:16.250",
    }
    assert body["events"][3]["data"] == {"Type": "ACCRECCREDIT", "Status": "AUTHORISED"}
    assert body["events"][3]["resourceId"] == note["CreditNoteID"]


def test_what_moves_no_stamp_or_is_refused_is_not_told(
    writer: Xero, ear: Ear, clock: FrozenClock
) -> None:
    made = put(writer)
    pay(writer, made, "5")
    subscribe(writer)
    clock.advance(1)
    due = {"invoice": made["InvoiceID"], "due_date": "2027-03-01"}
    assert writer.act("edit-invoice", tenant=UK, **due).status_code == 200
    rows = [{"Name": "Two"}, {"Name": "Two"}]
    assert writer.write("PUT", "Contacts", {"Contacts": rows}).status_code == 400
    assert deliver_all(writer, ear) == []
    writer.write("PUT", "Contacts", {"Contacts": rows}, summarizeErrors="false")
    assert [e["eventCategory"] for e in deliver_all(writer, ear)] == ["CONTACT"]


def deliver_all(xero: Xero, ear: Ear) -> list[dict[str, Any]]:
    ear.heard.clear()
    deliver(xero)
    return ear.events()


def test_only_connected_organisations_are_told_of(writer: Xero, ear: Ear) -> None:
    subscribe(writer)
    writer.act("disconnect", tenant=UK)
    writer.act("edit-contact", tenant=UK, contact="C004", email="x@example.com")
    assert deliver_all(writer, ear) == []


def test_a_failure_is_tried_at_once_then_every_quarter_of_an_hour(
    writer: Xero, ear: Ear, clock: FrozenClock
) -> None:
    subscribe(writer)
    put(writer)
    ear.heard.clear()
    ear.statuses = [500, 0]
    shown = deliver(writer)
    assert (shown["subscription"]["state"], len(ear.heard)) == ("failing", 2)
    clock.advance(899)
    deliver(writer)
    assert len(ear.heard) == 2
    put(writer)
    clock.advance(1)
    shown = deliver(writer)
    assert (shown["subscription"]["state"], shown["waiting"]) == ("ok", 0)
    assert [e["eventType"] for e in ear.heard[-1][0]["events"]] == ["CREATE", "CREATE"]
    assert shown["deliveries"][0]["status"] == 200
    assert [d["status"] for d in shown["deliveries"][1:3]] == [0, 500]


def test_after_a_day_of_failures_it_is_disabled_and_catches_up_when_enabled(
    writer: Xero, ear: Ear, clock: FrozenClock
) -> None:
    subscribe(writer)
    put(writer)
    ear.statuses = [500] * 200
    for _ in range(4 * 24 + 1):
        deliver(writer)
        clock.advance(15 * 60)
    assert deliver(writer)["subscription"]["state"] == "disabled"
    tries = len(ear.heard)
    clock.advance(3_600)
    deliver(writer)
    assert len(ear.heard) == tries
    ear.statuses.clear()
    subscribe(writer)
    assert [e["eventType"] for e in deliver_all(writer, ear)] == ["CREATE"]


def test_events_are_kept_for_31_days(writer: Xero, ear: Ear, clock: FrozenClock) -> None:
    subscribe(writer)
    put(writer)
    clock.advance(31 * 86_400)
    assert deliver_all(writer, ear) == []


def test_deliveries_can_come_twice_and_backwards(writer: Xero, ear: Ear) -> None:
    subscribe(writer, twice=True, backwards=True)
    first, second = put(writer), put(writer)
    told = [e["resourceId"] for e in deliver_all(writer, ear)]
    assert told == [second["InvoiceID"], first["InvoiceID"]] * 2


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://example.com/x", "key": KEY},
        {"url": "ftp://127.0.0.1/x", "key": KEY},
        {"url": "http://[::1", "key": KEY},
        {"url": URL, "key": ""},
        {"url": URL},
        {"url": URL, "key": KEY, "more": 1},
    ],
)
def test_it_talks_to_this_machine_only(writer: Xero, body: dict) -> None:
    answer = writer.http.post("/sandbox/webhooks", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert writer.http.get("/sandbox/webhooks").json()["subscription"] is None


def test_the_subscription_can_be_dropped(writer: Xero, ear: Ear) -> None:
    subscribe(writer)
    put(writer)
    assert writer.http.delete("/sandbox/webhooks").status_code == 204
    assert deliver(writer) | {"deliveries": []} == {
        "subscription": None,
        "waiting": 0,
        "deliveries": [],
    }


@pytest.fixture
def address() -> Iterator[tuple[str, list[bytes], threading.Event]]:
    """A real address that takes webhooks, what it got, and whether an event was among it.

    Under /late it is not ready for the first four.
    """
    got: list[bytes] = []
    early = iter(range(4))
    event = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signed = hmac.new(b"served", body, hashlib.sha256).digest()
            good = self.headers["x-xero-signature"] == base64.b64encode(signed).decode()
            if self.path == "/late" and next(early, None) is not None:
                self.send_error(503)
                return
            self.send_response(200 if good else 401)
            self.end_headers()
            if good:
                got.append(body)
                if json.loads(body)["events"]:
                    event.set()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got, event
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_served_sandbox_sends_them_by_itself(
    start: Start, address: tuple[str, list[bytes], threading.Event]
) -> None:
    url, got, event = address
    _, base = start()
    with httpx2.Client(base_url=base) as http:
        tenant = connect(http)["xero-tenant-id"]
        given = {"url": url, "key": "served"}
        assert http.post("/sandbox/webhooks", json=given).json()["state"] == "ok"
        given = {"tenant": tenant, "contact": "C004", "email": "served@example.com"}
        assert http.post("/sandbox/act/edit-contact", json=given).status_code == 200
        assert event.wait(5)
    assert json.loads(got[-1])["events"][0]["eventCategory"] == "CONTACT"


def test_the_command_line_subscribes_too(
    start: Start, address: tuple[str, list[bytes], threading.Event]
) -> None:
    url, got, _ = address
    _, base = start("--webhook-url", url, "--webhook-key", "served")
    deadline = time.monotonic() + 10
    while len(got) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [json.loads(body)["events"] for body in got] == [[], []]
    assert httpx2.get(f"{base}/sandbox/webhooks").json()["subscription"]["state"] in ("new", "ok")


def test_the_command_line_waits_for_a_listener_that_starts_later(
    start: Start, address: tuple[str, list[bytes], threading.Event]
) -> None:
    url, got, _ = address
    _, base = start("--webhook-url", url.replace("/hook", "/late"), "--webhook-key", "served")
    states = set()
    deadline = time.monotonic() + 20
    while "ok" not in states and time.monotonic() < deadline:
        hook = httpx2.get(f"{base}/sandbox/webhooks").json()["subscription"]
        states.add(hook and hook["state"])
        time.sleep(0.05)
    assert {"refused", "ok"} <= states
    assert len(got) == 2


def test_the_command_line_takes_no_address_elsewhere() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--webhook-url", "http://example.com/hook"])
    assert stopped.value.code == 2


@pytest.fixture
def odd_address() -> Iterator[Callable[[bytes], str]]:
    """An address on this machine that answers once, with any bytes at all."""
    ears: list[socket.socket] = []

    def make(answer: bytes) -> str:
        ear = socket.create_server(("127.0.0.1", 0))
        ears.append(ear)

        def listen() -> None:
            caller, _ = ear.accept()
            with caller:
                caller.recv(65_536)
                caller.sendall(answer)

        threading.Thread(target=listen, daemon=True).start()
        return f"http://127.0.0.1:{ear.getsockname()[1]}/hook"

    yield make
    for ear in ears:
        ear.close()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"garbage\r\n\r\n", 0),
        (b"", 0),
        (b"HTTP/1.1 abc\r\n\r\n", 0),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 302 Found\r\nLocation: http://example.invalid/\r\n\r\n", 302),
        (b"HTTP/1.1 500 <b>\r\n\r\n", 500),
    ],
)
def test_an_address_may_answer_anything_and_is_never_followed_elsewhere(
    odd_address: Callable[[bytes], str], answer: bytes, status: int
) -> None:
    assert post_it(odd_address(answer), b"{}", "signed") == status
