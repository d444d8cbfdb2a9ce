"""Bills: list, read, create, change, approve, void, and their history."""

from dataclasses import replace
from typing import Annotated, Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Header, Query, Router
from ninja.responses import Status as Answer

from justpayme.api import present, shapes
from justpayme.api.auth import caller
from justpayme.api.once import KEY_HELP, KEY_LENGTH, acting
from justpayme.api.paging import page
from justpayme.api.routing import changes, reads
from justpayme.bills import actions
from justpayme.bills.models import Bill
from justpayme.bills.queries import Books, open_books
from justpayme.core.bill import TaxMode
from justpayme.core.entry import BillEntry, LineEntry

router = Router(tags=["bills"])
HISTORY_AT_MOST = 1000


@reads(router, "/bills", shapes.Bills, "List bills")
def list_bills(request: HttpRequest, query: Query[shapes.BillQuery]) -> Any:
    """Oldest first. `status=active` has the overdue ones too; `status=overdue` only those.

    To keep a copy in step, remember the time before you start and send it as `updated_since`
    the next time.
    """
    books = open_books(caller(request).business, timezone.now())
    rows = _filtered(books, query).select_related(*present.BILL_RELATED)
    found, following = page(rows, query)
    items = [present.bill_row(bill, books) for bill in found]
    return shapes.Bills(items=items, next_cursor=following)


@reads(router, "/bills/{int:bill_id}", shapes.BillOut, "Read a bill")
def read_bill(request: HttpRequest, bill_id: int) -> Any:
    """One bill with its lines and payments."""
    return _answer(request, bill_id)


@reads(router, "/bills/{int:bill_id}/history", shapes.History, "Read a bill's history")
def read_history(request: HttpRequest, bill_id: int) -> Any:
    """What changed, when and why, newest first; the last 1,000 entries."""
    bill = get_object_or_404(Bill, pk=bill_id, business=caller(request).business)
    entries = bill.history.select_related("by").order_by("-at", "-id")[:HISTORY_AT_MOST]
    return shapes.History(items=[present.history(entry) for entry in entries])


@changes(router, "POST", "/bills", {201: shapes.BillOut, 200: shapes.BillOut}, "Create a bill")
def create_bill(
    request: HttpRequest,
    body: shapes.NewBill,
    idempotency_key: Annotated[
        str | None, Header(max_length=KEY_LENGTH, description=KEY_HELP)
    ] = None,
) -> Any:
    """Totals are worked out from the lines. `status: "active"` makes it owed at once."""
    plain = body.model_dump(exclude={"status"})
    try:
        bill = actions.bill_create(
            act=acting(request, idempotency_key),
            entry=_entry(BillEntry(client_id=0, currency=""), plain),
            approve=body.status == "active",
        )
    except actions.AlreadyDone as done:
        return Answer(200, _answer(request, done.target_id or 0))
    return Answer(201, _answer(request, bill.pk))


@changes(router, "PATCH", "/bills/{int:bill_id}", {200: shapes.BillOut}, "Change a bill")
def change_bill(request: HttpRequest, bill_id: int, body: shapes.BillChange) -> Any:
    """Fields left out stay as they are; `lines` replaces all lines, keeping those with an `id`.

    409 while Xero owns the bill. With `seen`, the `updated_at` that you read, 409 also if the
    bill has changed since.
    """
    bill = get_object_or_404(Bill, pk=bill_id, business=caller(request).business)
    actions.bill_edit(
        act=acting(request),
        bill_id=bill_id,
        entry=_entry(actions.entry_of(bill), body.given()),
        seen=body.seen or bill.updated_at,
    )
    return _answer(request, bill_id)


@changes(
    router, "POST", "/bills/{int:bill_id}/approve", {200: shapes.BillOut}, "Make a draft active"
)
def approve_bill(request: HttpRequest, bill_id: int) -> Any:
    """From now on the bill is owed. It needs a number and a due date."""
    actions.bill_approve(act=acting(request), bill_id=bill_id)
    return _answer(request, bill_id)


@changes(router, "POST", "/bills/{int:bill_id}/void", {200: shapes.BillOut}, "Void a bill")
def void_bill(request: HttpRequest, bill_id: int) -> Any:
    """Takes the bill out of every total; it is kept. Not possible once money has come off it."""
    actions.bill_void(act=acting(request), bill_id=bill_id)
    return _answer(request, bill_id)


def _answer(request: HttpRequest, bill_id: int) -> shapes.BillOut:
    books = open_books(caller(request).business, timezone.now())
    rows = books.bills().select_related(*present.BILL_RELATED)
    bill = get_object_or_404(rows.prefetch_related("lines", "payments"), pk=bill_id)
    return present.bill_out(bill, books)


def _filtered(books: Books, query: shapes.BillQuery) -> QuerySet[Bill]:
    rows = books.bills()
    if query.status:
        late = query.status == "overdue"
        rows = rows.filter(books.overdue() if late else Q(status=query.status))
    if query.client:
        rows = rows.filter(client_id=query.client)
    if query.organisation:
        rows = rows.filter(link__connection_id=query.organisation)
    if query.updated_since:
        rows = rows.filter(updated_at__gte=query.updated_since)
    return rows.filter(_search(query.search)) if query.search else rows


def _search(text: str) -> Q:
    return (
        Q(number__icontains=text) | Q(reference__icontains=text) | Q(client__name__icontains=text)
    )


def _entry(base: BillEntry, given: dict[str, Any]) -> BillEntry:
    """`base` with what the body gave."""
    if "lines" in given:
        given["lines"] = tuple(_line(line) for line in given["lines"])
    if "tax_mode" in given:
        given["tax_mode"] = TaxMode(given["tax_mode"])
    return replace(base, **given)


def _line(given: dict[str, Any]) -> LineEntry:
    return LineEntry(line_id=given.pop("id"), **given)
