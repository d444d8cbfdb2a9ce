"""Callers of the API, and a business with bills to call about."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client as Browser

from justpayme.accounts.actions import add_token
from justpayme.accounts.models import Business, User
from justpayme.bills.models import Bill, Client, HistoryEntry, Line, Payment
from justpayme.sync.models import ClientLink, Connection, Link, Run

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
HOSTILE = "=1+1 <script>alert('x')</script> \"&amp;\" Łódź 😀"


class Caller:
    """Calls the API with one token."""

    def __init__(self, secret: str) -> None:
        self.headers = {"Authorization": f"Bearer {secret}"}
        self.browser = Browser(enforce_csrf_checks=True)

    def get(self, path: str, **query: Any) -> Any:
        return self.browser.get(f"/api/v1{path}", query, headers=self.headers)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = "" if body is None else json.dumps(body)
        return self.raw(method, path, data, **headers)

    def raw(
        self,
        method: str,
        path: str,
        data: str | bytes,
        kind: str = "application/json",
        **headers: str,
    ) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.browser.generic(
            method, f"/api/v1{path}", data, content_type=kind, headers=self.headers | named
        )


@pytest.fixture
def caller_of() -> Callable[[User], Caller]:
    """Makes a caller for a member of exactly one business."""

    def make(user: User) -> Caller:
        _, secret = add_token(membership=user.memberships.get(), name="test")
        return Caller(secret)

    return make


@pytest.fixture
def as_alice(alice: User, caller_of: Callable[[User], Caller]) -> Caller:
    return caller_of(alice)


@pytest.fixture
def as_bob(bob: User, caller_of: Callable[[User], Caller]) -> Caller:
    return caller_of(bob)


@pytest.fixture
def as_vera(vera: User, caller_of: Callable[[User], Caller]) -> Caller:
    return caller_of(vera)


@pytest.fixture
def as_charlie(charlie: User, caller_of: Callable[[User], Caller]) -> Caller:
    return caller_of(charlie)


@pytest.fixture
def customer(business: Business) -> Client:
    return make_client(business)


@pytest.fixture
def bill(customer: Client) -> Bill:
    return make_bill(customer)


@pytest.fixture
def connection(business: Business) -> Connection:
    return make_connection(business)


@pytest.fixture
def linked_bill(bill: Bill, connection: Connection) -> Bill:
    """A bill that Xero owns."""
    make_link(bill, connection)
    return bill


def make_client(business: Business, **fields: Any) -> Client:
    plain = {"name": HOSTILE, "created_at": NOW, "updated_at": NOW} | fields
    return Client.objects.create(business=business, **plain)


def make_bill(customer: Client, **fields: Any) -> Bill:
    """An active bill of £120.00 with one line."""
    plain = {
        "number": "B-1",
        "reference": HOSTILE,
        "status": "active",
        "issued_on": date(2026, 11, 1),
        "due_on": date(2026, 12, 1),
        "currency": "GBP",
        "sub_total": Decimal(100),
        "tax_total": Decimal(20),
        "total": Decimal(120),
        "outstanding": Decimal(120),
        "created_at": NOW,
        "updated_at": NOW,
    }
    bill = Bill.objects.create(business=customer.business, client=customer, **plain | fields)
    Line.objects.create(
        bill=bill,
        position=0,
        description=HOSTILE,
        quantity=1,
        unit_amount=100,
        line_amount=100,
        tax_amount=20,
        tax_type="20%",
    )
    return bill


def make_payment(bill: Bill, **fields: Any) -> Payment:
    plain = {"kind": "payment", "amount": Decimal("10.5"), "on": date(2026, 11, 3)} | fields
    return Payment.objects.create(bill=bill, **plain)


def make_connection(business: Business, **fields: Any) -> Connection:
    plain = {
        "tenant_id": uuid4(),
        "name": "Demo & <i>Company</i>",
        "state": "live",
        "currency": "GBP",
        "country": "GB",
        "checked_at": NOW,
        "connected_at": NOW,
    }
    return Connection.objects.create(business=business, **plain | fields)


def make_link(bill: Bill, connection: Connection, invoice_id: UUID | None = None) -> Link:
    ClientLink.objects.get_or_create(
        client=bill.client, connection=connection, defaults={"contact_id": uuid4()}
    )
    return Link.objects.create(
        bill=bill,
        connection=connection,
        invoice_id=invoice_id or uuid4(),
        base={},
        raw=b"",
        digest=b"",
        remote_status="AUTHORISED",
        read_at=NOW,
    )


def make_run(connection: Connection, **fields: Any) -> Run:
    plain = {
        "kind": "import",
        "cause": "schedule",
        "state": "done",
        "started_at": NOW,
        "ended_at": NOW,
        "calls": 7,
    }
    return Run.objects.create(connection=connection, **plain | fields)


def make_history(bill: Bill, **fields: Any) -> HistoryEntry:
    plain = {
        "at": NOW,
        "source": "person",
        "action": "edited",
        "changes": [{"field": "reference", "old": "", "new": HOSTILE}],
    }
    return HistoryEntry.objects.create(business=bill.business, bill=bill, **plain | fields)
