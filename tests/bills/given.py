"""Ready-made rows for the tests of bills: clients, bills, connections and links."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from justpayme.accounts.models import Business, Membership, User
from justpayme.bills.actions import Act, bill_create, client_create
from justpayme.bills.models import Bill, Client
from justpayme.core.entry import BillEntry, ClientEntry, LineEntry
from justpayme.sync.models import ClientLink, Connection, Link

NOW = datetime(2026, 11, 22, 14, 29, 7, tzinfo=UTC)
TODAY = NOW.date()
HOSTILE = '<script>alert(1)</script> ‮O\'Neill & Søn "☃️" {{ 7|add:7 }} 名前'


def act(user: User, *, token: str = "", now: datetime = NOW) -> Act:
    """Acting as this person, in her only business."""
    return Act(Membership.objects.get(user=user), now, token)


def line(**values: Any) -> LineEntry:
    """One line of £100.00 with 20 % tax, unless told otherwise."""
    plain: dict[str, Any] = {
        "description": "Fitting",
        "quantity": Decimal(1),
        "unit_amount": Decimal(100),
        "tax_rate": Decimal(20),
    }
    return LineEntry(**{**plain, **values})


def bill_entry(client: Client, **values: Any) -> BillEntry:
    """A bill of £120.00 issued and due in November 2026, unless told otherwise."""
    plain: dict[str, Any] = {
        "client_id": client.pk,
        "currency": "GBP",
        "number": f"B-{uuid.uuid4().hex[:8]}",
        "issued_on": date(2026, 11, 1),
        "due_on": date(2026, 11, 30),
        "lines": (line(),),
    }
    return BillEntry(**{**plain, **values})


def a_client(user: User, name: str = "Castlefield Lettings") -> Client:
    """A client of this person's business."""
    return client_create(act=act(user), entry=ClientEntry(name=name))


def a_bill(
    user: User, client: Client | None = None, *, approve: bool = True, **values: Any
) -> Bill:
    """A bill made here, active unless told otherwise."""
    owed_by = client or a_client(user)
    return bill_create(act=act(user), entry=bill_entry(owed_by, **values), approve=approve)


def a_connection(business: Business, **values: Any) -> Connection:
    """A connected organisation."""
    plain: dict[str, Any] = {
        "tenant_id": uuid.uuid4(),
        "name": "Hollins & Daughter Joinery",
        "short_code": "!abc12",
        "currency": "GBP",
        "time_zone": "Europe/London",
        "state": Connection.State.LIVE,
        "checked_at": NOW,
    }
    return Connection.objects.create(business=business, **{**plain, **values})


def linked(bill: Bill, connection: Connection, **values: Any) -> Link:
    """Tie a bill to a Xero invoice of this organisation."""
    plain: dict[str, Any] = {
        "invoice_id": uuid.uuid4(),
        "base": {},
        "raw": b"",
        "digest": b"",
        "remote_status": "AUTHORISED",
        "read_at": NOW,
    }
    return Link.objects.create(bill=bill, connection=connection, **{**plain, **values})


def client_linked(client: Client, connection: Connection) -> ClientLink:
    """Tie a client to a Xero contact of this organisation."""
    return ClientLink.objects.create(client=client, connection=connection, contact_id=uuid.uuid4())
