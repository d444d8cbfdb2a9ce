"""The local Xero with our own client in front of it, allowed to write or not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

from tests.fixtures.xero import REDIRECT, Xero

from justpayme.core.bill import BillFields, LineFields
from justpayme.xero import oauth, outgoing, translate, wire
from justpayme.xero.answer import Answer
from justpayme.xero.client import XeroClient, http_client, no_writing
from justpayme.xero.outgoing import Change, Request

APP = oauth.App("test-client", "test-client-secret", REDIRECT, *["http://xero.test"] * 3)


_NUMBERS = count(100)


def allowed() -> None:
    """A permission to write."""


class Books:
    """One organisation in the local Xero, in our words."""

    def __init__(self, scopes: str = oauth.WRITE_SCOPES, country: str = "GB") -> None:
        self.xero = Xero()
        self.country = country
        code = self.xero.consent(country, scopes=scopes)
        self.sign_in = oauth.open_client(self.xero.transport)
        self.pair = oauth.exchange(self.sign_in, APP, code=code, now=self.xero.clock.now())
        self.client = self.make_client()
        self.xero.reset_log()

    def make_client(self, may_write: Callable[[], None] = allowed, **more: Any) -> XeroClient:
        return XeroClient(
            http=http_client(self.xero.transport),
            api_url="http://xero.test",
            tenant_id=self.xero.tenant(self.country),
            token=self.token,
            clock=self.xero.clock,
            may_write=may_write,
            **more,
        )

    def token(self, force: bool) -> str:
        if force:
            self.pair = oauth.refresh(
                self.sign_in, APP, refresh_token=self.pair.refresh, now=self.xero.clock.now()
            )
        return self.pair.access

    @property
    def ledger(self) -> Any:
        return self.xero.ledger(self.country)

    def contact(self, number: int = 0) -> str:
        """An active contact."""
        contacts = sorted(self.ledger.contacts.rows.values(), key=lambda c: c.name)
        return str([c.id for c in contacts if c.status == "ACTIVE"][number])

    def account(self, code: str = "090") -> str:
        return str(self.ledger.organisation.account(code).id)

    def act(self, action: str, **body: object) -> dict[str, Any]:
        return self.xero.act(action, self.country, **body)

    def send(self, request: Request, key: str = "") -> Answer:
        """A minute later, so that no limit plays a part."""
        self.xero.clock.advance(61)
        return self.client.send(request, key=key or f"test:{uuid4()}")

    def raw(self, invoice_id: str) -> dict[str, Any]:
        """The invoice as Xero shows it in a list, key by key."""
        (row,) = self.client.invoices_by_id([invoice_id]).rows
        return dict(wire.decode(dict[str, Any], row))

    def bill(self, invoice_id: str) -> BillFields:
        """The invoice as a bill says it."""
        (row,) = self.client.invoices_by_id([invoice_id]).rows
        return translate.to_bill(wire.decode(wire.Invoice, row))

    def new_bill(self, **changed: Any) -> BillFields:
        said = {
            "number": f"JPM-{next(_NUMBERS)}",
            "client": self.contact(),
            "issued_on": date(2026, 11, 1),
            "due_on": date(2026, 12, 1),
            "reference": "PO 7 <b> “ł”",
            "currency": "GBP",
            "lines": (line(), line(description="Ink & <i>", quantity=Decimal("2.5"))),
        }
        return BillFields(**{**said, **changed})

    def made(self, status: str = "AUTHORISED", **changed: Any) -> str:
        """The id of an invoice that we made."""
        new = outgoing.New(self.new_bill(**changed), status)
        (element,) = self.send(outgoing.create_invoices([new])).elements
        assert element.ok, element.messages
        return element.id

    def change(self, invoice_id: str, *units: str, bill: BillFields) -> Answer:
        """Send these units of the bill."""
        before = self.bill(invoice_id)
        one = Change(invoice_id, bill, units, before.status, before)
        return self.send(outgoing.update_invoices([one]))

    def pay(self, invoice_id: str, amount: str, reference: str = "") -> str:
        """The id of a payment that we recorded."""
        new = outgoing.NewPayment(
            invoice_id, self.account(), date(2026, 11, 20), Decimal(amount), reference
        )
        (element,) = self.send(outgoing.create_payments([new])).elements
        assert element.ok, element.messages
        return element.id


def line(**changed: Any) -> LineFields:
    said: dict[str, Any] = {
        "description": "Hull paint",
        "quantity": Decimal(1),
        "unit_amount": Decimal("99.9999"),
        "account_code": "200",
        "tax_type": "OUTPUT2",
    }
    return LineFields(**{**said, **changed})


__all__ = ["APP", "Books", "allowed", "line", "no_writing"]
