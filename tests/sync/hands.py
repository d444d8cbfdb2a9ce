"""What the tests of the sync share: fingerprints of our books, hooks on the wire, crashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx2
from django.db import connection as database
from django.db import transaction
from msgspec.structs import replace
from tests.fixtures.xero import Xero

from justpayme.bills.models import Bill, HistoryEntry
from justpayme.sync.models import Connection, Link, Run
from justpayme.sync.verify import verify
from xero_sandbox.model import Invoice

BOOKS = ("bills_bill", "bills_line", "bills_payment", "bills_historyentry")
HOSTILE = "Ω <b>'; DROP TABLE bills_bill; --</b> \u202e=1+1"

Seen = Callable[[httpx2.Request], None]


class Wire(httpx2.BaseTransport):
    """The way to the local Xero, with somebody listening: `before` a question, `after` it."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self.inner = inner
        self.before: Seen = lambda request: None
        self.after: Seen = lambda request: None
        self.asked: list[str] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        self.before(request)
        try:
            answer = self.inner.handle_request(request)
        except ConnectionResetError as error:  # what a socket's transport makes of it
            raise httpx2.ReadError(str(error)) from error
        self.after(request)
        return answer


def tap(xero: Xero, settings: Any) -> Wire:
    """Listen on the wire from now on."""
    wire = Wire(xero.transport)
    settings.XERO_TRANSPORT = wire
    return wire


class Crash(BaseException):
    """The process dies here."""


def books() -> dict[str, str]:
    """A fingerprint of every row of bills, lines, payments and history."""
    return {table: _fingerprint(table) for table in BOOKS}


def bill_prints() -> dict[int, str]:
    """A fingerprint of each bill with its lines and payments."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT b.id, md5(b::text || coalesce((SELECT string_agg(l::text, '|' ORDER BY l.id)"
            " FROM bills_line l WHERE l.bill_id = b.id), '') ||"
            " coalesce((SELECT string_agg(p::text, '|' ORDER BY p.id)"
            " FROM bills_payment p WHERE p.bill_id = b.id), '')) FROM bills_bill b"
        )
        return dict(cursor.fetchall())


def _fingerprint(table: str) -> str:
    with database.cursor() as cursor:
        cursor.execute(
            f"SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t.id)), '') FROM {table} t"  # noqa: S608
        )
        return str(cursor.fetchone()[0])


@contextmanager
def undone() -> Iterator[None]:
    """Whatever happens to the database inside is taken back; for loops within one test."""
    with transaction.atomic():
        mark = transaction.savepoint()
        try:
            yield
        finally:
            transaction.savepoint_rollback(mark)


@contextmanager
def crash_at(number: int) -> Iterator[list[int]]:
    """Die just before the number-th statement from here; the list counts statements."""
    count = [0]

    def run(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        count[0] += 1
        if count[0] == number:
            raise Crash
        return execute(sql, params, many, context)

    with database.execute_wrapper(run):
        yield count


def sales(xero: Xero, *statuses: str, country: str = "GB") -> list[Invoice]:
    """Sales invoices of these statuses, in a stable order."""
    found = (i for i in xero.ledger(country).invoices.rows.values() if i.type == "ACCREC")
    return sorted((i for i in found if i.status in statuses), key=lambda i: i.number)


def plain_open(xero: Xero, country: str = "GB") -> list[Invoice]:
    """Open invoices without payments or credits, which Xero lets a person edit freely."""
    return [i for i in sales(xero, "AUTHORISED", country=country) if i.amount_due == i.total]


def paid_in_part(xero: Xero) -> Invoice:
    """An open invoice with a payment on it."""
    ledger = xero.ledger()
    return next(i for i in sales(xero, "AUTHORISED") if i.amount_paid and ledger.payments_of[i.id])


def bill_of(connection: Connection, invoice_id: str) -> Bill:
    """The bill that this invoice became."""
    return (
        Link.objects.select_related("bill__client")
        .get(connection=connection, invoice_id=invoice_id)
        .bill
    )


def newest(bill: Bill) -> HistoryEntry:
    """The last thing that happened to a bill."""
    return HistoryEntry.objects.filter(bill=bill).order_by("-at", "-id")[0]


def changed_fields(entry: HistoryEntry) -> dict[str, tuple[Any, Any]]:
    """Field → (old, new) of a history entry."""
    return {change["field"]: (change["old"], change["new"]) for change in entry.changes}


def put_silently(xero: Xero, invoice: Invoice, **changes: object) -> Invoice:
    """Change an invoice inside Xero without its stamp moving, whatever Xero's rules say."""
    new = replace(invoice, **changes)
    xero.app.store.save(xero.tenant(), new)
    return new


def drift(xero: Xero, connection: Connection) -> list[str]:
    """What `verify` finds, in words; empty when all is equal."""
    report = verify(connection, xero.clock)
    return [f"{d.number} {d.field}: {d.ours} / {d.xero}" for d in report.differences]


def done(run: Run) -> Run:
    """The run, which must have ended well."""
    assert (run.state, run.error_code, run.error_text) == (Run.State.DONE, "", "")
    return run


def failed(run: Run, code: str) -> Run:
    """The run, which must have failed for this reason."""
    assert (run.state, run.error_code) == (Run.State.FAILED, code), run.error_text
    return run


def money(text: str) -> Decimal:
    """An amount."""
    return Decimal(text)


def stamp_of(xero: Xero) -> datetime:
    """The moment at Xero."""
    return xero.clock.now()
