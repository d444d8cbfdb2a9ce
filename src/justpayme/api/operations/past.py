"""A bill as it was at a moment."""

from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from justpayme.api import present, shapes
from justpayme.api.auth import caller
from justpayme.api.errors import Refusal
from justpayme.api.routing import reads
from justpayme.bills import asof
from justpayme.bills.asof import AsOf, NotYet
from justpayme.bills.models import Bill, HistoryEntry
from justpayme.bills.queries import open_books
from justpayme.core.bill import LineFields, PaidFields

router = Router(tags=["bills"])


class PastQuery(Schema):
    """Which moment."""

    moment: shapes.TimeIn | None = Field(None, description="Left out: as it is today.")


class PastClient(Schema):
    """Whose the bill was."""

    id: int | None = Field(description="null where an old entry names several clients alike.")
    name: str = Field(description="As the client is called today.")


class PastLine(Schema):
    """A line as it was; `remote_id` is Xero's id of it, if it had one."""

    description: str
    quantity: shapes.DecimalOut | None
    unit_amount: shapes.Money | None
    discount_rate: shapes.DecimalOut | None
    discount_amount: shapes.Money | None
    line_amount: shapes.Money
    tax_type: str
    tax_amount: shapes.Money
    account_code: str
    item_code: str
    remote_id: str | None


class PastPayment(Schema):
    """Money that had come off the bill by then."""

    kind: str = Field(description="payment, credit, prepayment or overpayment.")
    on: shapes.Day | None
    amount: shapes.Money
    reference: str
    number: str
    remote_id: str | None


class PastBill(Schema):
    """A bill as it stood from `since` until `until`."""

    id: int
    since: shapes.Time
    until: shapes.Time | None = Field(description="null: it stands like this today.")
    number: str
    reference: str
    client: PastClient
    status: str
    issued_on: shapes.Day | None
    due_on: shapes.Day | None
    expected_on: shapes.Day | None
    fully_paid_on: shapes.Day | None
    sent: bool
    branding_theme: str
    url: str
    currency: str
    rate: shapes.DecimalOut | None
    tax_mode: str
    sub_total: shapes.Money
    tax_total: shapes.Money
    discount_total: shapes.Money
    total: shapes.Money
    paid: shapes.Money
    credited: shapes.Money
    outstanding: shapes.Money
    lines: list[PastLine]
    payments: list[PastPayment]
    doubtful: list[str] = Field(
        description="Fields that something changed without an entry in the history; else empty."
    )
    entry: shapes.HistoryOut = Field(description="The entry that brought the bill to this.")
    following: shapes.HistoryOut | None = Field(description="The entry that changed it next.")


@reads(router, "/bills/{int:bill_id}/at", PastBill, "Read a bill as it was")
def read_past_bill(request: HttpRequest, bill_id: int, query: Query[PastQuery]) -> Any:
    """The whole bill as of `moment`, rebuilt from its history.

    422 for a moment before its history begins.
    """
    books = open_books(caller(request).business, timezone.now())
    try:
        return _past(asof.bill_at(books, bill_id, query.moment or asof.TODAY))
    except Bill.DoesNotExist as error:
        raise Http404 from error
    except NotYet as error:
        begins = f" Its history begins at {shapes.time(error.first)}." if error.first else ""
        raise Refusal(422, fields={"moment": f"This bill was not here then.{begins}"}) from error


def _past(past: AsOf) -> PastBill:
    bill, following = past.bill, past.following
    texts = ("number", "reference", "status", "branding_theme", "url", "currency", "tax_mode")
    days = ("issued_on", "due_on", "expected_on", "fully_paid_on")
    amounts = ("sub_total", "tax_total", "discount_total", "total", "paid", "credited")
    plain: dict[str, Any] = {name: getattr(past.fields, name) for name in (*texts, "sent")}
    plain |= {name: shapes.day(getattr(past.fields, name)) for name in days}
    plain |= {n: _money(getattr(past.fields, n), bill.currency) for n in (*amounts, "outstanding")}
    return PastBill(
        **plain,
        id=bill.pk,
        since=shapes.time(past.entry["at"]),
        until=shapes.time(following["at"]) if following else None,
        client=PastClient(id=bill.client.pk, name=bill.client.name),
        rate=shapes.decimal_or_none(past.fields.rate),
        lines=[_line(line, bill.currency) for line in past.fields.lines],
        payments=[_payment(paid, bill.currency) for paid in past.fields.payments],
        doubtful=list(past.doubtful),
        entry=_entry(past.entry["id"]),
        following=_entry(following["id"]) if following else None,
    )


def _money(amount: Decimal | None, currency: str) -> str | None:
    return None if amount is None else shapes.money(amount, currency)


def _line(line: LineFields, currency: str) -> PastLine:
    texts = ("description", "tax_type", "account_code", "item_code")
    amounts = ("unit_amount", "discount_amount", "line_amount", "tax_amount")
    plain: dict[str, Any] = {name: getattr(line, name) for name in texts}
    plain |= {name: _money(getattr(line, name), currency) for name in amounts}
    return PastLine(
        **plain,
        quantity=shapes.decimal_or_none(line.quantity),
        discount_rate=shapes.decimal_or_none(line.discount_rate),
        remote_id=line.remote_id or None,
    )


def _payment(paid: PaidFields, currency: str) -> PastPayment:
    return PastPayment(
        kind=paid.kind,
        on=shapes.day(paid.on),
        amount=shapes.money(paid.amount, currency),
        reference=paid.reference,
        number=paid.number,
        remote_id=paid.remote_id or None,
    )


def _entry(pk: int) -> shapes.HistoryOut:
    return present.history(HistoryEntry.objects.select_related("by").get(pk=pk))
