"""Back to the beginning: books, clock, faults, limits, log and open questions."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sandbox.client import NOW, REDIRECT, WRITE_SCOPES, Xero

from xero_sandbox import FrozenClock, Store, create_app
from xero_sandbox.oauth import App
from xero_sandbox.seed import seed

ROOT = Path(__file__).parents[2]
UK = "Demo Company (UK)"
HOSTILE = "<script>alert('reset')</script>"


def books(xero: Xero) -> bytes:
    """Everything in the UK company, as the API would show it."""
    tenant = xero.tenant()
    kinds = ("Invoices", "Contacts", "Payments", "CreditNotes", "Overpayments", "Organisation")
    args = {"page": "1", "pageSize": "1000", "includeArchived": "true"}
    answers = [xero.http.get(f"/sandbox/books/{tenant}/{kind}", params=args) for kind in kinds]
    rows = [{k: v for k, v in a.json().items() if k not in ("Id", "DateTimeUTC")} for a in answers]
    return repr(rows).encode()


def spoil(xero: Xero) -> None:
    """Change everything that can be changed."""
    assert xero.act("edit-invoice", tenant=UK, invoice="INV-0001", reference=HOSTILE).is_success
    assert xero.act("receive-overpayment", tenant=UK, contact="C001", amount="9").is_success
    xero.write("PUT", "Contacts", {"Name": HOSTILE[8:20]})
    for door, body in (
        ("clock", {"advance": 7_200}),
        ("faults", {"kind": "error_503", "count": None}),
        ("limits", {"minute": 3}),
        ("open-questions", {"page_past_end": "last"}),
        ("webhooks", {"url": "http://127.0.0.1:9/", "key": "k"}),
    ):
        assert xero.http.post(f"/sandbox/{door}", json=body).is_success, door


def test_a_reset_brings_back_the_beginning(writer: Xero, clock: FrozenClock) -> None:
    sandbox = writer.sandbox
    before = books(writer)
    spoil(writer)
    assert books(writer) != before
    answer = writer.http.post("/sandbox/reset")
    assert [row["name"] for row in answer.json()] == [UK, "Demo Company (NZ)"]
    assert not any(row["connected"] for row in answer.json())
    assert books(writer) == before
    assert clock.now() == NOW
    assert writer.http.get("/sandbox/faults").json()["rules"] == []
    assert sandbox.limits.allowance.minute == 60
    assert sandbox.store.open.page_past_end == "empty"
    assert writer.http.get("/sandbox/log").json() == []
    assert writer.http.get("/sandbox/webhooks").json()["waiting"] == 0
    assert writer.get("Invoices").status_code == 401
    writer.connect(scope=WRITE_SCOPES)
    assert writer.get("Invoices").status_code == 200


def test_a_reset_can_leave_the_app_connected(writer: Xero) -> None:
    spoil(writer)
    answer = writer.http.post("/sandbox/reset", json={"keep_connections": True})
    assert all(row["connected"] for row in answer.json())
    assert writer.get("Invoices").status_code == 200
    assert writer.refreshed().status_code == 200


def test_a_reset_forgets_late_writes_and_answers_kept_for_keys(
    writer: Xero, clock: FrozenClock
) -> None:
    key = {"Idempotency-Key": "again"}
    first = writer.write("PUT", "Contacts", {"Name": "Keyed"}, headers=key)
    writer.http.post("/sandbox/faults", json={"kind": "late"})
    with pytest.raises(ConnectionResetError):
        writer.write("PUT", "Contacts", {"Name": "Late"})
    writer.http.post("/sandbox/reset", json={"keep_connections": True})
    assert writer.http.get("/sandbox/late").json() == []
    clock.advance(60)
    assert b"Late" not in books(writer)
    again = writer.write("PUT", "Contacts", {"Name": "Keyed"}, headers=key)
    assert again.status_code == 200
    assert again.json()["Contacts"][0]["ContactID"] != first.json()["Contacts"][0]["ContactID"]


def test_a_reset_reaches_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "xero.sqlite3")
    seed(store, 1, NOW)
    app = App(client_id="cid", client_secret="secret", redirect_uris=(REDIRECT,))
    xero = Xero(create_app(store, clock=FrozenClock(NOW), app=app))
    xero.connect(scope=WRITE_SCOPES)
    before = books(xero)
    spoil(xero)
    xero.http.post("/sandbox/reset")
    store.close()
    again = Xero(create_app(Store(tmp_path / "xero.sqlite3"), clock=FrozenClock(NOW), app=app))
    assert books(again) == before
    assert not again.sandbox.store.connections
    assert "signing-key" in again.sandbox.store.settings
    again.sandbox.store.close()


def test_what_a_reset_takes_is_checked(writer: Xero) -> None:
    answer = writer.http.post("/sandbox/reset", json={"keep_connections": HOSTILE})
    assert (answer.status_code, "keep_connections" in answer.json()["error"]) == (400, True)
    assert writer.http.get("/sandbox/reset").status_code == 405
    away = writer.http.post("/sandbox/reset", headers={"Origin": "http://evil.example"})
    assert away.status_code == 403
    assert writer.get("Invoices").status_code == 200


def test_a_person_resets_on_a_page_that_asks_first(writer: Xero) -> None:
    spoil(writer)
    writer.http.delete("/sandbox/faults")
    assert 'href="/reset"' in writer.http.get("/").text
    page = writer.http.get("/reset")
    assert "cannot be undone" in page.text
    assert HOSTILE.encode()[8:20] in books(writer)
    refused = writer.http.post("/do/reset", data={"back": "/"})
    assert (refused.status_code, HOSTILE[8:20].encode() in books(writer)) == (400, True)
    done = writer.http.post("/do/reset", data={"back": "/", "sure": "yes"})
    assert (done.status_code, done.headers["Location"]) == (303, "/?done=1")
    assert HOSTILE.encode()[8:20] not in books(writer)


PROGRAM = """
import sys
from datetime import UTC, datetime
import msgspec
from xero_sandbox import Store
from xero_sandbox.seed import big_organisation, demo_company, seed
store, now = Store(), datetime(2026, 11, 22, 10, tzinfo=UTC)
seed(store, 7, now)
demo_company(store, 7, now, "AU")
big_organisation(store, 7, now, 40)
books = [[one.organisation, one.records()] for one in store.ledgers.values()]
sys.stdout.buffer.write(msgspec.json.encode(books))
"""


def test_a_seed_gives_the_same_bytes_in_every_process() -> None:
    prints = set()
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        )
        assert len(done.stdout) > 100_000
        prints.add(hashlib.sha256(done.stdout).hexdigest())
    assert len(prints) == 1


def test_time_goes_to_a_moment_but_never_back(writer: Xero) -> None:
    door = "/sandbox/clock"
    there = writer.http.post(door, json={"to": "2026-12-24T09:00:00+01:00"})
    assert there.json() == {"now": "2026-12-24T08:00:00+00:00"}
    for body in (
        {"to": "2026-12-23T00:00:00Z"},
        {"to": "tomorrow"},
        {"to": "2026-12-25T09:00:00"},
        {"to": 5},
        {"advance": -1},
        {},
    ):
        answer = writer.http.post(door, json=body)
        assert answer.status_code == 400, body
        assert next(iter(body), "advance") in answer.json()["error"]
    assert writer.http.get(door).json() == {"now": "2026-12-24T08:00:00+00:00"}
    writer.http.post("/sandbox/reset")
    assert writer.http.get(door).json() == {"now": NOW.isoformat()}
