"""Answers that say less than happened, and effects that come when nobody waits any more (3.6)."""

import httpx2
import pytest
from tests.sandbox.client import WRITE_SCOPES, Start, Xero
from tests.sandbox.test_sandbox_server import connect
from tests.sandbox.test_sandbox_write_invoices import body, put, read

from xero_sandbox import FrozenClock

KEY = {"Idempotency-Key": "tenant:shipment-1"}


def fault(xero: Xero, kind: str, **rule: object) -> None:
    answer = xero.http.post("/sandbox/faults", json={"kind": kind, **rule})
    assert answer.status_code == 201, answer.text


def payment(invoice: dict, **more: object) -> dict:
    target = {"InvoiceID": invoice["InvoiceID"]}
    return {"Invoice": target, "Account": {"Code": "090"}, "Amount": 20, **more}


def pay_late(xero: Xero, given: dict, seconds: float, **rule: object) -> None:
    fault(xero, "late", path="/payments", parameters={"seconds": seconds}, **rule)
    with pytest.raises(ConnectionResetError):
        xero.write("PUT", "Payments", given, headers=KEY)


def test_a_late_payment_lands_when_its_time_has_come(writer: Xero, clock: FrozenClock) -> None:
    made = put(writer)
    pay_late(writer, payment(made), 90)
    clock.advance(89)
    assert read(writer, made)["AmountPaid"] == 0
    clock.advance(31)
    after = read(writer, made)
    assert after["AmountPaid"] == 20
    landed_at = writer.sandbox.late.all()[0].due
    assert after["UpdatedDateUTC"] == f"/Date({int(landed_at.timestamp() * 1000)}+0000)/"
    (shown,) = writer.http.get("/sandbox/late").json()
    assert (shown["status"], shown["method"]) == (200, "PUT")
    assert shown["idempotency_key"] == KEY["Idempotency-Key"]


def test_a_repetition_with_the_same_key_is_the_only_effect(
    writer: Xero, clock: FrozenClock
) -> None:
    """Whichever of the two comes second finds the key."""
    made = put(writer)
    pay_late(writer, payment(made), 90)
    clock.advance(10)
    assert writer.write("PUT", "Payments", payment(made), headers=KEY).status_code == 200
    clock.advance(200)
    assert read(writer, made)["AmountPaid"] == 20


def test_after_landing_the_key_gives_the_answer_that_nobody_saw(
    writer: Xero, clock: FrozenClock
) -> None:
    made = put(writer)
    pay_late(writer, payment(made), 5)
    clock.advance(5)
    again = writer.write("PUT", "Payments", payment(made), headers=KEY)
    assert again.json()["Payments"][0]["Amount"] == 20
    assert read(writer, made)["AmountPaid"] == 20


def test_a_late_effect_after_the_key_has_expired_happens_again(
    writer: Xero, clock: FrozenClock
) -> None:
    """What a search before a new attempt cannot see: it must never have to rely on that."""
    made = put(writer)
    pay_late(writer, payment(made), 400)
    clock.advance(10)
    writer.write("PUT", "Payments", payment(made), headers=KEY)
    clock.advance(389)
    assert read(writer, made)["AmountPaid"] == 20
    clock.advance(1)
    assert read(writer, made)["AmountPaid"] == 40


def test_a_late_repetition_of_an_answered_call_does_nothing(
    writer: Xero, clock: FrozenClock
) -> None:
    made = put(writer)
    writer.write("PUT", "Payments", payment(made), headers=KEY)
    pay_late(writer, payment(made), 400)
    assert writer.http.get("/sandbox/late").json() == []
    clock.advance(401)
    assert read(writer, made)["AmountPaid"] == 20


def test_late_effects_land_in_order_and_may_be_refused_by_then(
    writer: Xero, clock: FrozenClock
) -> None:
    made = put(writer)
    fault(writer, "late", parameters={"seconds": 60, "answer": "timeout"}, method="POST")
    path = f"Invoices/{made['InvoiceID']}"
    assert writer.write("POST", path, {"Reference": "Second"}).status_code == 504
    fault(writer, "late", parameters={"seconds": 30}, method="POST")
    with pytest.raises(ConnectionResetError):
        writer.write("POST", path, {"Status": "VOIDED"})
    clock.advance(60)
    assert (read(writer, made)["Status"], read(writer, made)["Reference"]) == ("VOIDED", "")
    shown = writer.http.get("/sandbox/late").json()
    assert [entry["status"] for entry in shown] == [200, 400]


def test_late_is_aimed_and_leaves_reads_alone(writer: Xero, clock: FrozenClock) -> None:
    made = put(writer)
    fault(writer, "late", nth=2, body="JPM-2", parameters={"seconds": 1})
    for n in (1, 2):
        answer = writer.write("PUT", "Payments", payment(made, Reference=f"JPM-{n}"))
        assert answer.status_code == 200
    assert read(writer, made)["AmountPaid"] == 40
    with pytest.raises(ConnectionResetError):
        writer.write("PUT", "Payments", payment(made, Reference="JPM-2 again"))


def test_a_late_call_is_checked_and_counted_when_it_arrives(
    writer: Xero, clock: FrozenClock
) -> None:
    writer.http.post("/sandbox/reset-log")
    made = put(writer)
    pay_late(writer, payment(made), 30)
    entry = writer.http.get("/sandbox/log").json()[0]
    assert (entry["fault"], entry["mutating"]) == ("late", True)
    fault(writer, "late", parameters={"seconds": 30})
    fault(writer, "expire_tokens")
    assert writer.write("PUT", "Payments", payment(made)).status_code == 401
    clock.advance(60)
    assert writer.http.get("/sandbox/late").json()[0]["status"] == 200
    assert writer.http.get("/sandbox/counts").json()["all"]["mutating"] == 3


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("elements_missing", ["W-0"]),
        ("elements_extra", ["W-0", "W-1", "W-1"]),
        ("elements_none", []),
        ("elements_reversed", ["W-1", "W-0"]),
    ],
)
def test_the_answer_to_a_write_can_hold_the_wrong_elements(
    writer: Xero, kind: str, numbers: list[str]
) -> None:
    fault(writer, kind)
    assert writer.get("Invoices/INV-0001").json()["Invoices"]
    given = {"Invoices": [body(writer, InvoiceNumber=f"W-{n}") for n in range(2)]}
    first = writer.write("PUT", "Invoices", given, headers=KEY, summarizeErrors="false")
    assert [i["InvoiceNumber"] for i in first.json()["Invoices"]] == numbers
    again = writer.write("PUT", "Invoices", given, headers=KEY, summarizeErrors="false")
    assert [i["InvoiceNumber"] for i in again.json()["Invoices"]] == ["W-0", "W-1"]


@pytest.mark.parametrize("rows", ["first", "all"])
def test_saved_elements_can_say_that_they_were_refused(writer: Xero, rows: str) -> None:
    made = put(writer)
    fault(writer, "errors_though_saved", parameters={"rows": rows})
    given = {"Payments": [payment(made, Amount=n) for n in (1, 2)]}
    shown = writer.write("PUT", "Payments", given, summarizeErrors="false").json()["Payments"]
    refused = [row["StatusAttributeString"] == "ERROR" for row in shown]
    assert refused == [True, rows == "all"]
    assert shown[0]["HasValidationErrors"] is True
    assert read(writer, made)["AmountPaid"] == 3


def test_a_served_late_write_resets_the_connection_and_lands(start: Start) -> None:
    _, base = start()
    with httpx2.Client(base_url=base) as http:
        http.headers.update(connect(http, WRITE_SCOPES))
        rule = {"kind": "late", "parameters": {"seconds": 60}}
        assert http.post("/sandbox/faults", json=rule).status_code == 201
        with pytest.raises(httpx2.TransportError):
            http.put("/api.xro/2.0/Contacts", json={"Name": "Late Larry"}, headers=KEY)
        where = {"where": 'Name == "Late Larry"'}
        assert http.get("/api.xro/2.0/Contacts", params=where).json()["Contacts"] == []
        assert http.post("/sandbox/clock", json={"advance": 60}).status_code == 200
        assert len(http.get("/api.xro/2.0/Contacts", params=where).json()["Contacts"]) == 1
