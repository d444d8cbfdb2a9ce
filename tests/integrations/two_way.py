"""Going both ways, in the hands of a person: ticks, buttons, and rows to decide about."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import uuid4

from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from tests.integrations.conftest import come_back
from tests.integrations.world import World

from justpayme.accounts.models import Business
from justpayme.bills.models import Bill, Client, Line, Payment
from justpayme.core.names import plain
from justpayme.integrations import defaults
from justpayme.sync.models import Conflict, Connection, OutboxItem, Record

HOSTILE = "<script>alert(1)</script> O'Neill & Söhne"


def address(name: str, *args: Any) -> str:
    return reverse(f"integrations:{name}", args=args)


def text_of(answer: Any) -> str:
    return unescape(answer.content.decode())


def ask_for_two(browser: Browser, row: Connection) -> Any:
    """Press Change direction with Bidirectional chosen."""
    return browser.post(address("direction", row.pk), {"direction": "two"})


def allow_changes(browser: Browser, world: World, row: Connection, *countries: str) -> Any:
    """The same, and say yes at Xero; the answer to the callback."""
    return come_back(browser, world.agree(ask_for_two(browser, row)["Location"], *countries))


def good_defaults(row: Connection, **other: Any) -> dict[str, Any]:
    """What the form of the defaults would send: the first of every list."""
    choices = defaults.choices_of(row)
    form = {
        "revenue_account": choices.accounts[0].value,
        "tax_type": choices.tax_types[0].value,
        "branding_theme": "",
        "create_as": "AUTHORISED",
    }
    return form | other


def save_defaults(browser: Browser, row: Connection, **other: Any) -> Any:
    answer = browser.post(address("defaults", row.pk), good_defaults(row, **other))
    row.refresh_from_db()
    return answer


def make_ready(browser: Browser, world: World, row: Connection, **other: Any) -> None:
    """Permission given and defaults chosen: the preview comes next."""
    allow_changes(browser, world, row, "GB")
    save_defaults(browser, row, **other)


def hidden(answer: Any) -> dict[str, str]:
    """The hidden fields of the preview's form."""
    found = re.findall(
        r'<input type="hidden" name="(\w+)" value="([^"]*)">', answer.content.decode()
    )
    return {name: unescape(value) for name, value in found if name != "csrfmiddlewaretoken"}


def show(browser: Browser, row: Connection, *ticks: str, do: str = "page:1") -> Any:
    """The preview with these boxes ticked."""
    form = hidden(browser.get(address("preview", row.pk)))
    return browser.post(address("preview", row.pk), form | {"item": list(ticks), "do": do})


def confirm(browser: Browser, row: Connection, shown: Any, *ticks: str) -> Any:
    """Press Go bidirectional on a preview that was shown."""
    form = hidden(shown) | {"item": list(ticks), "do": "confirm"}
    answer = browser.post(address("preview", row.pk), form)
    row.refresh_from_db()
    return answer


def local_bill(business: Business, number: str = "B-1", **fields: Any) -> Bill:
    """A bill that exists only here: £120.00, one line, for a client of its own."""
    now = timezone.now()
    name = fields.pop("client_name", f"{HOSTILE} {number}")
    client = fields.pop("client", None) or Client.objects.create(
        business=business, name=name, created_at=now, updated_at=now
    )
    usual = {
        "status": "active",
        "issued_on": date(2026, 11, 1),
        "due_on": date(2026, 12, 1),
        "currency": "GBP",
        "sub_total": Decimal(100),
        "tax_total": Decimal(20),
        "total": Decimal(120),
        "outstanding": Decimal(120),
        "created_at": now,
        "updated_at": now,
    }
    made = usual | {"number": number} | fields
    bill = Bill.objects.create(business=business, client=client, **made)
    Line.objects.create(
        bill=bill, position=0, description=HOSTILE, quantity=1, unit_amount=100, line_amount=100
    )
    return bill


def received(bill: Bill, amount: int = 50) -> Payment:
    """Money recorded here."""
    payment = Payment.objects.create(
        bill=bill, kind="payment", amount=amount, on=date(2026, 11, 17), reference="cash"
    )
    bill.paid, bill.outstanding = Decimal(amount), bill.total - amount
    bill.save()
    return payment


def override(row: Connection, bill: Bill, unit: str = "reference", **fields: Any) -> Conflict:
    """A value of ours that Xero overrode."""
    now = timezone.now()
    usual: dict[str, Any] = {
        "ours": {unit: f"mine {HOSTILE}"},
        "theirs": {unit: getattr(bill, unit, "")},
        "typed_at": now - timedelta(hours=2),
    }
    return Conflict.objects.create(
        business=row.business, connection=row, bill=bill, unit=unit, at=now, **usual | fields
    )


def held_up(row: Connection, state: str, **fields: Any) -> OutboxItem:
    """One change that has not reached Xero."""
    usual: dict[str, Any] = {"kind": "update", "created_at": timezone.now() - timedelta(hours=1)}
    return OutboxItem.objects.create(
        business=row.business, connection=row, state=state, **usual | fields
    )


def contact(row: Connection, name: str, **data: Any) -> str:
    """What Xero said about a contact; its id."""
    pk = str(uuid4())
    said = {"name": name, "plain_name": plain(name), "email": "", "archived": False} | data
    Record.objects.create(connection=row, kind=Record.Kind.CONTACT, remote_id=pk, data=said)
    return pk
