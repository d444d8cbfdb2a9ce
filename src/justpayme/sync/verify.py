"""Compare every bill with its invoice, field by field, and change nothing.

Independent of how a bill got here: it reads our rows (not the stored base) and Xero's
invoices, and counts payments and credit notes a second time from their own endpoints (I-16).
The base is only asked afterwards, to tell of each difference who may have made it
(core/drift.py). What to do about them is sync/mend.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from justpayme.core import cursor as cursors
from justpayme.core.bill import BillFields, Status
from justpayme.core.drift import WHY, Cause, Evidence, cause_of, fix_of
from justpayme.core.errors import Problem
from justpayme.core.merge import changes
from justpayme.sync import bulk, calls, clients, intentions
from justpayme.sync.models import Connection, Link
from justpayme.sync.pull import MOST_PAGES, Key, credit_key, invoice_key, payment_key
from justpayme.sync.slicing import Fetch, next_page
from justpayme.xero import wire
from justpayme.xero.client import Clock, XeroClient
from justpayme.xero.translate import in_scope, to_bill, to_credits, to_payment

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one bill that is not what Xero says, and why. `ours`/`xero` are JSON-ready."""

    bill: int | None
    invoice_id: str
    number: str
    field: str
    ours: object
    xero: object
    cause: Cause


@dataclass
class Report:
    """What a comparison found. `compared` bills were equal unless named in `differences`.
    `read_only`: the organisation is one-directional."""

    organisation: str
    read_only: bool = True
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    calls: int = 0

    @property
    def drift(self) -> int:
        """How many differences there are."""
        return len(self.differences)

    def plain(self) -> dict[str, Any]:
        """The same as data, for `--json`."""
        told = [
            {**asdict(one), "why": WHY[one.cause], "fix": self.fix_of(one)}
            for one in self.differences
        ]
        return {**asdict(self), "differences": told, "drift": self.drift}

    def fix_of(self, one: Difference) -> str:
        """What `--fix` does about this difference."""
        return fix_of(one.cause, read_only=self.read_only)


def verify(connection: Connection, clock: Clock) -> Report:
    """Compare all bills of a live connection. Raises Problem if Xero cannot be read."""
    report = Report(connection.name, read_only=not connection.is_two_way)
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
    held = {link.invoice_id: link for link in links}
    unlike: list[_Pair] = []
    for invoice_id, invoice in by_id.items():
        seen.add(invoice_id)
        link = held.get(invoice_id)
        if link is not None:
            report.compared += 1
            pair = _pair(link, invoice, survivors)
            unlike += [pair] if pair.ours != pair.theirs else []
        elif in_scope(invoice, drafts=connection.import_drafts, linked=False):
            report.differences.append(_missing_here(invoice))
    report.differences += _explained(connection, unlike, survivors)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A bill and its invoice as values."""

    link: Link
    invoice: wire.Invoice
    ours: BillFields
    theirs: BillFields


def _pair(link: Link, invoice: wire.Invoice, survivors: Mapping[str, str]) -> _Pair:
    ours = link.bill.fields(contact_id=clients.contact_id_of(link.bill.client))
    return _Pair(link, invoice, ours, _of_survivor(to_bill(invoice), survivors))


def _of_survivor(bill: BillFields, survivors: Mapping[str, str]) -> BillFields:
    return replace(bill, client=survivors.get(bill.client, bill.client))


def _missing_here(invoice: wire.Invoice) -> Difference:
    number = invoice.invoice_number or ""
    missing = Cause.MISSING_HERE
    return Difference(None, invoice.invoice_id, number, "bill", None, "missing here", missing)


def _explained(
    connection: Connection, unlike: Sequence[_Pair], survivors: Mapping[str, str]
) -> Iterator[Difference]:
    """Each field that differs, with its cause."""
    ids = [pair.link.pk for pair in unlike]
    bases = dict(Link.objects.filter(pk__in=ids).values_list("pk", "base"))
    waiting = intentions.of_bills(connection, [pair.link.bill_id for pair in unlike])
    for pair in unlike:
        base = _of_survivor(bulk.base_of(bases[pair.link.pk]), survivors)
        edited = pair.link.edited or pair.link.bill_id in waiting
        yield from _differences(pair, base, edited=edited)


def _differences(pair: _Pair, base: BillFields, *, edited: bool) -> Iterator[Difference]:
    held_at = pair.link.remote_updated_at
    newer = held_at is None or pair.invoice.updated > held_at
    for name, mine, xero in changes(pair.ours, pair.theirs):
        agreed = getattr(base, name)
        yield Difference(
            pair.link.bill_id,
            pair.invoice.invoice_id,
            pair.link.bill.number,
            name,
            msgspec.to_builtins(mine),
            msgspec.to_builtins(xero),
            cause_of(Evidence(edited, newer, mine != agreed, xero != agreed)),
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
        bill, invoice, cause = link.bill, str(link.invoice_id), Cause.NOT_IN_XERO
        report.differences.append(
            Difference(bill.pk, invoice, bill.number, "bill", "here", "not in Xero", cause)
        )


def _report_unsettled(connection: Connection, settled: dict[str, Decimal], report: Report) -> None:
    """Bills whose payments and credit notes don't add up to what their invoice says.

    Prepayments and overpayments have endpoints of their own and are left out of both sides.
    Where the bill itself is not what the invoice says, that is why; else Xero contradicts itself.
    """
    others = ("prepayment", "overpayment")
    gone = [one.bill for one in report.differences if one.cause is Cause.NOT_IN_XERO]
    known = {d.bill: d.cause for d in report.differences if d.field in _SETTLED}
    rows = (
        Link.objects.filter(connection=connection, bill__status__in=_WITH_MONEY)
        .exclude(bill__payments__kind__in=others)
        .exclude(bill__in=gone)
    )
    for bill, invoice, number, paid, credited in rows.values_list(
        "bill_id", "invoice_id", "bill__number", "bill__paid", "bill__credited"
    ):
        counted, ours = settled.get(str(invoice), Decimal(0)), paid + credited
        if counted != ours:
            cause = known.get(bill, Cause.XERO_DISAGREES)
            report.differences.append(
                Difference(bill, str(invoice), number, "settlement", str(ours), str(counted), cause)
            )


_SETTLED = ("paid", "credited")
_WITH_MONEY = [Status.ACTIVE.value, Status.PAID.value]
