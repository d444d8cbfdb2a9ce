"""Callers of the API, rows to call about, and the shape of a refusal."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.test import Client as Browser

from justpayme.accounts.models import Business
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


def error_of(answer: Any, status: int) -> dict[str, Any]:
    """The error of an answer, after checking that it has the one shape."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"].startswith("application/json")
    body = json.loads(answer.content)
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message", "fields"]
    assert body["error"]["message"].endswith((".", "?"))
    error: dict[str, Any] = body["error"]
    return error


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
