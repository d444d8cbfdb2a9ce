"""Idempotency-Keys and faults of writes: facts 2.1, 3.6."""

import pytest
from tests.sandbox.client import Xero
from tests.sandbox.test_sandbox_write_invoices import UK, body, contact, put, refusal

from xero_sandbox import FrozenClock

KEY = {"Idempotency-Key": "3f2a-attempt-1"}


def names(xero: Xero, country: str = "GB") -> list[str]:
    rows = xero.sandbox.store.ledgers[xero.tenant(country)].contacts.rows.values()
    return [c.name for c in rows if c.name.startswith("Once")]


def test_a_key_makes_a_write_happen_once(writer: Xero, clock: FrozenClock) -> None:
    first = writer.write("PUT", "Contacts", {"Name": "Once"}, headers=KEY)
    clock.advance(359)
    again = writer.write("PUT", "Contacts", {"Name": "Once"}, headers=KEY)
    assert (again.status_code, again.content) == (200, first.content)
    assert names(writer) == ["Once"]


def test_a_key_is_forgotten_six_minutes_after_its_first_call(
    writer: Xero, clock: FrozenClock
) -> None:
    """A repetition does not prolong it."""
    given = body(writer)
    first = writer.write("PUT", "Invoices", given, headers=KEY).json()["Invoices"][0]
    clock.advance(300)
    same = writer.write("PUT", "Invoices", given, headers=KEY).json()["Invoices"][0]
    clock.advance(60)
    new = writer.write("PUT", "Invoices", given, headers=KEY).json()["Invoices"][0]
    assert first["InvoiceID"] == same["InvoiceID"] != new["InvoiceID"]


def test_errors_are_remembered_too(writer: Xero) -> None:
    writer.act("switch", tenant=UK, approval_limit_reached=True)
    first = writer.write("PUT", "Invoices", body(writer), headers=KEY)
    writer.act("switch", tenant=UK, approval_limit_reached=False)
    again = writer.write("PUT", "Invoices", body(writer), headers=KEY)
    assert (first.status_code, again.status_code) == (400, 400)
    assert again.content == first.content


def test_a_500_from_inside_replays_until_another_key_is_used(writer: Xero) -> None:
    writer.http.post("/sandbox/faults", json={"kind": "write_500", "method": "PUT"})
    given = {"Name": "Once"}
    assert writer.write("PUT", "Contacts", given, headers=KEY).status_code == 500
    assert writer.write("PUT", "Contacts", given, headers=KEY).status_code == 500
    assert names(writer) == []
    other = {"Idempotency-Key": "3f2a-attempt-2"}
    assert writer.write("PUT", "Contacts", given, headers=other).status_code == 200


@pytest.mark.parametrize("change", ["body", "path", "method", "query"])
def test_a_key_with_another_request_is_refused(writer: Xero, change: str) -> None:
    assert writer.write("PUT", "Contacts", {"Name": "Once"}, headers=KEY).status_code == 200
    path = f"Contacts/{contact(writer).id}" if change == "path" else "Contacts"
    method = "POST" if change in ("method", "path") else "PUT"
    given = {"Name": "Once more"} if change == "body" else {"Name": "Once"}
    args = {"summarizeErrors": "false"} if change == "query" else {}
    answer = writer.write(method, path, given, headers=KEY, **args)
    assert answer.status_code == 400
    assert answer.json()["Message"].endswith("is used with a different request")
    assert names(writer) == ["Once"]


def test_keys_belong_to_the_app_and_not_to_an_organisation(writer: Xero) -> None:
    writer.write("PUT", "Contacts", {"Name": "Once"}, headers=KEY)
    assert writer.write("PUT", "Contacts", {"Name": "Once"}, "NZ", headers=KEY).status_code == 200
    assert (names(writer), names(writer, "NZ")) == (["Once"], [])


def test_long_keys_are_refused_and_reads_ignore_them(writer: Xero) -> None:
    long = {"Idempotency-Key": "k" * 129}
    assert writer.write("PUT", "Contacts", {"Name": "Once"}, headers=long).status_code == 400
    fine = {"Idempotency-Key": "k" * 128}
    assert writer.write("PUT", "Contacts", {"Name": "Once"}, headers=fine).status_code == 200
    assert writer.get("Contacts", headers=fine).status_code == 200
    assert writer.get("Invoices", headers=long).status_code == 200


def test_a_key_store_that_is_down(writer: Xero) -> None:
    """Nothing is done; a write without a key still works."""
    writer.http.post("/sandbox/faults", json={"kind": "keys_down"})
    assert writer.write("PUT", "Contacts", {"Name": "Once"}, headers=KEY).status_code == 500
    assert names(writer) == []
    assert writer.write("PUT", "Contacts", {"Name": "Once"}).status_code == 200
    writer.http.delete("/sandbox/faults")
    assert writer.write("PUT", "Contacts", {"Name": "Once 2"}, headers=KEY).status_code == 200


def test_repetitions_count_against_the_limits(writer: Xero) -> None:
    """2.1: the limit is checked before the key."""
    writer.http.post("/sandbox/reset-log")
    writer.http.post("/sandbox/limits", json={"minute": 2})
    answers = [
        writer.write("PUT", "Contacts", {"Name": "Once"}, headers=KEY).status_code for _ in range(3)
    ]
    assert answers == [200, 200, 429]
    counts = writer.http.get("/sandbox/counts").json()[writer.tenant()]
    assert (counts["mutating"], counts["limited"]) == (3, 1)


def test_a_lost_answer_is_found_again_by_its_key(writer: Xero) -> None:
    """The effect has happened; only the answer was lost."""
    writer.http.post("/sandbox/faults", json={"kind": "lose_answer", "method": "PUT"})
    with pytest.raises(ConnectionResetError):
        writer.write("PUT", "Contacts", {"Name": "Once"}, headers=KEY)
    assert names(writer) == ["Once"]
    again = writer.write("PUT", "Contacts", {"Name": "Once"}, headers=KEY)
    assert again.json()["Contacts"][0]["Name"] == "Once"
    assert names(writer) == ["Once"]


def test_a_timeout_after_the_effect(writer: Xero, naps: list[float]) -> None:
    fault = {"kind": "timeout_after", "method": "PUT", "parameters": {"delay": 30}}
    writer.http.post("/sandbox/faults", json=fault)
    answer = writer.write("PUT", "Invoices", body(writer, InvoiceNumber="LATE-1"), headers=KEY)
    assert (answer.status_code, naps) == (504, [30])
    assert writer.get("Invoices/LATE-1").status_code == 200
    again = writer.write("PUT", "Invoices", body(writer, InvoiceNumber="LATE-1"), headers=KEY)
    assert again.json()["Invoices"][0]["InvoiceNumber"] == "LATE-1"


def test_without_a_key_a_repetition_writes_twice(writer: Xero) -> None:
    assert put(writer)["InvoiceID"] != put(writer)["InvoiceID"]
    assert refusal(writer.write("PUT", "Contacts", {"Name": contact(writer).name}))
