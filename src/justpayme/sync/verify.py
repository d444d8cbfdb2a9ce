"""Compare every bill with its invoice, field by field, and change nothing.

Independent of how a bill got here: it reads our rows (not the stored base) and Xero's
invoices, and counts payments and credit notes a second time from their own endpoints (I-16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import msgspec

from justpayme.bills.models import Bill
from justpayme.core import cursor as cursors
from justpayme.core.bill import Status
from justpayme.core.errors import Problem
from justpayme.core.merge import changes
from justpayme.sync import calls, clients
from justpayme.sync.models import Connection, Link
from justpayme.sync.pull import MOST_PAGES, Key, credit_key, invoice_key, payment_key
from justpayme.sync.slicing import Fetch, next_page
from justpayme.xero import wire
from justpayme.xero.client import Clock, XeroClient
from justpayme.xero.translate import in_scope, to_bill, to_credits, to_payment

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one bill that is not what Xero says. `ours`/`xero` are JSON-ready."""

    bill: int | None
    invoice_id: str
    number: str
    field: str
    ours: object
    xero: object


@dataclass
class Report:
    """What a comparison found. `compared` bills were equal unless named in `differences`."""

    organisation: str
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    calls: int = 0

    @property
    def drift(self) -> int:
        """How many differences there are."""
        return len(self.differences)


def verify(connection: Connection, clock: Clock) -> Report:
    """Compare all bills of a live connection. Raises Problem if Xero cannot be read."""
    report = Report(connection.name)
    seen: set[UUID] = set()
    settled: dict[str, Decimal] = {}
    today = clock.now().date()
    with calls.client_of(connection, clock) as client:
        for page in _pages(client.invoices, invoice_key, today):
            _compare_page(
                connection, [wire.decode(wire.Invoice, raw) for raw in page], report, seen
            )
        _add_up(client, settled, today)
        report.calls = client.usage.calls
    _report_unseen(connection, seen, report)
    _report_unsettled(connection, settled, report)
    return report


def _pages(fetch: Fetch[T], key: Callable[[T], Key], today: date) -> Iterator[list[T]]:
    """Every page of an endpoint as a first import asks for them, each object once."""
    position, met = cursors.Position(), set[str]()
    for _ in range(MOST_PAGES):
        page, position = next_page(fetch, position, today)
        ids = tuple(key(row).id for row in page.rows)
        yield [row for row, found in zip(page.rows, ids, strict=True) if found not in met]
        met.update(ids)
        answer = cursors.Answer((), page.pages, page.said_at, ids)
        position, complete = cursors.advance(position, answer)
        if complete:
            return
    raise Problem("stopped", "a list had no end")


def _compare_page(
    connection: Connection, invoices: list[wire.Invoice], report: Report, seen: set[UUID]
) -> None:
    by_id = {UUID(invoice.invoice_id): invoice for invoice in invoices}
    links = (
        Link.objects.filter(connection=connection, invoice_id__in=by_id)
        .select_related("bill__client__link")
        .prefetch_related("bill__lines", "bill__payments")
        .defer("raw", "base")
    )
    survivors = clients.survivors(connection)
    held = {link.invoice_id: link.bill for link in links}
    for invoice_id, invoice in by_id.items():
        seen.add(invoice_id)
        bill = held.get(invoice_id)
        if bill is not None:
            report.compared += 1
            report.differences += _differences(bill, invoice, survivors)
        elif in_scope(invoice, drafts=connection.import_drafts, linked=False):
            number = invoice.invoice_number or ""
            report.differences.append(
                Difference(None, str(invoice_id), number, "bill", None, "missing here")
            )


def _differences(
    bill: Bill, invoice: wire.Invoice, survivors: dict[str, str]
) -> Iterator[Difference]:
    ours = bill.fields(contact_id=clients.contact_id_of(bill.client))
    theirs = to_bill(invoice)
    theirs = replace(theirs, client=survivors.get(theirs.client, theirs.client))
    for name, mine, xero in changes(ours, theirs):
        yield Difference(
            bill.pk,
            invoice.invoice_id,
            bill.number,
            name,
            msgspec.to_builtins(mine),
            msgspec.to_builtins(xero),
        )


def _add_up(client: XeroClient, settled: dict[str, Decimal], today: date) -> None:
    """Money that came off each invoice, from Xero's payments and credit notes themselves."""
    for payments in _pages(client.payments, payment_key, today):
        for fact in map(to_payment, payments):
            if fact.live:
                _add(settled, fact.invoice_id, fact.amount)
    for notes in _pages(client.credit_notes, credit_key, today):
        for invoice_id, credit in (pair for note in notes for pair in to_credits(note)):
            _add(settled, invoice_id, credit.amount)


def _add(settled: dict[str, Decimal], invoice_id: str, amount: Decimal) -> None:
    settled[invoice_id] = settled.get(invoice_id, Decimal(0)) + amount


def _report_unseen(connection: Connection, seen: set[UUID], report: Report) -> None:
    """Bills whose invoice Xero did not list: Xero keeps even deleted ones (xero-facts 3.1)."""
    links = Link.objects.filter(connection=connection).select_related("bill")
    for link in links.exclude(invoice_id__in=seen).defer("raw", "base"):
        report.differences.append(
            Difference(
                link.bill_id, str(link.invoice_id), link.bill.number, "bill", "here", "not in Xero"
            )
        )


def _report_unsettled(connection: Connection, settled: dict[str, Decimal], report: Report) -> None:
    """Bills whose payments and credit notes don't add up to what their invoice says.

    Prepayments and overpayments have endpoints of their own and are left out of both sides.
    """
    others = ("prepayment", "overpayment")
    rows = Link.objects.filter(connection=connection, bill__status__in=_WITH_MONEY).exclude(
        bill__payments__kind__in=others
    )
    for bill, invoice, number, paid, credited in rows.values_list(
        "bill_id", "invoice_id", "bill__number", "bill__paid", "bill__credited"
    ):
        counted = settled.get(str(invoice), Decimal(0))
        if counted != paid + credited:
            report.differences.append(
                Difference(
                    bill, str(invoice), number, "settlement", str(paid + credited), str(counted)
                )
            )


_WITH_MONEY = [Status.ACTIVE.value, Status.PAID.value]
