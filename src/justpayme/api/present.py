"""Rows become the objects of `shapes`: the API and the export say the same about a bill."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import Model

from justpayme.api import shapes
from justpayme.bills.currencies import digits
from justpayme.bills.models import Bill, Client, HistoryEntry, Line, Payment
from justpayme.bills.queries import Books
from justpayme.core.badge import Badge, BillSyncFacts, badge_for
from justpayme.core.bill import Status, TaxMode, shown_status
from justpayme.core.totals import rate_of
from justpayme.sync.models import Connection, Link, Run

BILL_RELATED = ("client", "link__connection")
"""What `bill_row` follows; a query that lists bills selects these."""


def bill_row(bill: Bill, books: Books) -> shapes.BillRow:
    """A bill as lists show it. Needs `BILL_RELATED`, or asks the database for each."""
    return shapes.BillRow(**_row(bill, books))


def bill_out(bill: Bill, books: Books) -> shapes.BillOut:
    """A bill with its lines and payments."""
    currency = bill.currency
    return shapes.BillOut(
        **_row(bill, books),
        rate=shapes.decimal_or_none(bill.rate),
        tax_mode=bill.tax_mode,
        sent=bill.sent,
        url=bill.url,
        sub_total=shapes.money(bill.sub_total, currency),
        tax_total=shapes.money(bill.tax_total, currency),
        discount_total=shapes.money(bill.discount_total, currency),
        lines=[_line(line, bill) for line in bill.lines.all()],
        payments=[payment(row, bill) for row in bill.payments.all()],
    )


def _row(bill: Bill, books: Books) -> dict[str, Any]:
    link = link_of(bill)
    today = books.today_for(link.connection_id if link else None)
    amounts = ("total", "paid", "credited", "outstanding")
    days = ("issued_on", "due_on", "expected_on", "fully_paid_on")
    return {
        "id": bill.pk,
        "number": bill.number,
        "reference": bill.reference,
        "client": shapes.Named(id=bill.client_id, name=bill.client.name),
        "status": bill.status,
        "shown_status": shown_status(Status(bill.status), bill.due_on, today),
        "currency": bill.currency,
        "sync": _sync(link),
        "created_at": shapes.time(bill.created_at),
        "updated_at": shapes.time(bill.updated_at),
        **{name: shapes.money(getattr(bill, name), bill.currency) for name in amounts},
        **{name: shapes.day(getattr(bill, name)) for name in days},
    }


def link_of(bill: Bill) -> Link | None:
    """The bill's link to its Xero invoice, if it has one."""
    return getattr(bill, "link", None)


def badge_of(link: Link | None) -> Badge:
    """The badge that people see on the bill."""
    if link is None:
        return badge_for(BillSyncFacts())
    connection = link.connection
    return badge_for(
        BillSyncFacts(
            linked=True,
            parted=not connection.is_in_use,
            direction=connection.direction,
        )
    )


def _sync(link: Link | None) -> shapes.Sync:
    badge = badge_of(link)
    where = link.connection if link else None
    return shapes.Sync(
        badge=badge.key,
        label=badge.label,
        sentence=badge.sentence,
        organisation=shapes.Named(id=where.pk, name=where.name) if where else None,
        invoice_id=str(link.invoice_id) if link else None,
        remote_status=link.remote_status if link else None,
        checked_at=shapes.time_or_none(where.checked_at) if where else None,
    )


def _line(line: Line, bill: Bill) -> shapes.LineOut:
    texts = ("description", "tax_type", "account_code", "item_code")
    currency = bill.currency
    return shapes.LineOut(
        id=line.pk,
        quantity=shapes.decimal_or_none(line.quantity),
        discount_rate=shapes.decimal_or_none(line.discount_rate),
        tax_rate=shapes.decimal(_tax_rate(line, bill)),
        line_amount=shapes.money(line.line_amount, currency),
        tax_amount=shapes.money(line.tax_amount, currency),
        unit_amount=_optional_money(line.unit_amount, currency),
        discount_amount=_optional_money(line.discount_amount, currency),
        **_same(line, texts),
    )


def _same(row: Model, names: tuple[str, ...]) -> dict[str, Any]:
    """Columns that travel as they are."""
    return {name: getattr(row, name) for name in names}


def _tax_rate(line: Line, bill: Bill) -> Decimal:
    mode, places = TaxMode(bill.tax_mode), digits(bill.currency)
    return rate_of(line.tax_type, line.line_amount, line.tax_amount, mode, places)


def _optional_money(amount: Decimal | None, currency: str) -> str | None:
    return None if amount is None else shapes.money(amount, currency)


def payment(row: Payment, bill: Bill) -> shapes.PaymentOut:
    """A payment, credit, prepayment or overpayment of this bill."""
    return shapes.PaymentOut(
        id=row.pk,
        bill_id=bill.pk,
        kind=row.kind,
        on=shapes.day(row.on),
        amount=shapes.money(row.amount, bill.currency),
        currency=bill.currency,
        reference=row.reference,
        number=row.number,
        remote_id=row.remote_id or None,
    )


def client_out(client: Client) -> shapes.ClientOut:
    """A client; needs `link__connection` selected."""
    link = getattr(client, "link", None)
    texts = ("name", "email", "phone", "address", "tax_number")
    where = link.connection if link else None
    return shapes.ClientOut(
        id=client.pk,
        archived=client.archived,
        organisation=shapes.Named(id=where.pk, name=where.name) if where else None,
        contact_id=str(link.contact_id) if link else None,
        created_at=shapes.time(client.created_at),
        updated_at=shapes.time(client.updated_at),
        **_same(client, texts),
    )


def history(entry: HistoryEntry) -> shapes.HistoryOut:
    """One entry of a bill's history; needs `by` selected."""
    return shapes.HistoryOut(
        id=entry.pk,
        at=shapes.time(entry.at),
        source=entry.source,
        action=entry.action,
        by=entry.by.shown_name if entry.by else None,
        run=entry.run,
        note=entry.note,
        changes=[
            shapes.Change(field=one["field"], old=one.get("old"), new=one.get("new"))
            for one in entry.changes
        ],
    )


def organisation(connection: Connection, *, syncing: bool) -> shapes.OrganisationOut:
    """An organisation with its settings and state; never its tokens."""
    texts = ("name", "country", "currency", "time_zone", "state", "direction")
    return shapes.OrganisationOut(
        id=connection.pk,
        tenant_id=str(connection.tenant_id),
        interval_minutes=connection.interval_minutes,
        import_drafts=connection.import_drafts,
        syncing=syncing,
        error_code=connection.error_code or None,
        error=connection.error_text or None,
        **_same(connection, texts),
        connected_at=shapes.time_or_none(connection.connected_at),
        disconnected_at=shapes.time_or_none(connection.disconnected_at),
        imported_at=shapes.time_or_none(connection.imported_at),
        checked_at=shapes.time_or_none(connection.checked_at),
        next_due_at=shapes.time_or_none(connection.next_due_at),
    )


def run_out(run: Run) -> shapes.RunOut:
    """A sync run; needs `connection` selected."""
    words = ("kind", "cause", "state")
    counts = (
        "expected",
        "read",
        "created",
        "changed",
        "unchanged",
        "skipped",
        "calls",
        "bytes",
        "drift",
    )
    return shapes.RunOut(
        id=run.pk,
        organisation=shapes.Named(id=run.connection_id, name=run.connection.name),
        started_at=shapes.time(run.started_at),
        ended_at=shapes.time_or_none(run.ended_at),
        error_code=run.error_code or None,
        error=run.error_text or None,
        **_same(run, (*words, *counts)),
    )
