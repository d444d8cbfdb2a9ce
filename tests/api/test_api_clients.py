"""Clients over the API."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.given import HOSTILE, Caller, error_of, make_client

from justpayme.accounts.models import Business
from justpayme.bills.models import Bill, Client


def names(answer: Any) -> list[str]:
    return [item["name"] for item in answer.json()["items"]]


def test_a_client_is_created_read_and_changed(as_bob: Caller) -> None:
    body = {"name": HOSTILE, "email": "pay@example.com", "address": "1 Way\nŁódź"}
    answer = as_bob.send("POST", "/clients", body)
    assert answer.status_code == 201
    path = f"/clients/{answer.json()['id']}"
    changed = as_bob.send("PATCH", path, {"phone": "+44 20 7946 0000"})
    assert changed.status_code == 200
    found = as_bob.get(path).json()
    assert {name: found[name] for name in body} == body
    assert found["phone"] == "+44 20 7946 0000"
    assert found["organisation"] is None


def test_the_same_idempotency_key_creates_one_client(as_bob: Caller, business: Business) -> None:
    answers = [
        as_bob.send("POST", "/clients", {"name": "Once"}, Idempotency_Key="k") for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert Client.objects.get(business=business).pk == answers[1].json()["id"]


def test_clients_are_searched_and_paged(as_vera: Caller, business: Business) -> None:
    for name in ("Ann", "Ben", "Anna"):
        make_client(business, name=name, archived=name == "Ben")
    assert names(as_vera.get("/clients", search="ann")) == ["Ann", "Anna"]
    assert names(as_vera.get("/clients", archived="true")) == ["Ben"]
    first = as_vera.get("/clients", limit=2)
    assert names(first) == ["Ann", "Ben"]
    assert names(as_vera.get("/clients", limit=2, cursor=first.json()["next_cursor"])) == ["Anna"]


def test_a_client_that_xero_owns_cannot_be_changed(as_alice: Caller, linked_bill: Bill) -> None:
    path = f"/clients/{linked_bill.client_id}"
    assert as_alice.get(path).json()["organisation"]["name"] == "Demo & <i>Company</i>"
    answer = as_alice.send("PATCH", path, {"name": "Mine"})
    assert "Xero owns this client" in error_of(answer, 409)["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "   "),
        ("name", None),
        ("name", 5),
        ("name", "n" * 501),
        ("name", "a\0b"),
        ("email", "not an address"),
        ("email", "x" * 256),
        ("phone", ["1"]),
        ("address", "a" * 2001),
        ("tax_number", {"a": 1}),
        ("archived", True),
        ("business", 1),
        ("link", None),
        ("contact_id", "x"),
    ],
)
def test_a_bad_field_is_refused_by_its_name_and_nothing_is_stored(
    as_bob: Caller, field: str, value: Any
) -> None:
    answer = as_bob.send("POST", "/clients", {"name": "Good"} | {field: value})
    assert field in error_of(answer, 422)["fields"]
    assert not Client.objects.exists()
