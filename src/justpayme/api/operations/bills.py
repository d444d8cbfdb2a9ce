"""Bills: list, read, create, change, approve, void, send to Xero, decide, and their history."""

from typing import Annotated, Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Header, Query, Router
from ninja.responses import Status as Answer

from justpayme.api import held_up, present, shapes
from justpayme.api.auth import caller
from justpayme.api.entries import NOTHING, bill_entry
from justpayme.api.once import KEY_HELP, KEY_LENGTH, acting, once
from justpayme.api.paging import page
from justpayme.api.routing import changes, reads
from justpayme.bills import actions
from justpayme.bills.models import Bill
from justpayme.bills.queries import Books, open_books

router = Router(tags=["bills"])
ONE = "/bills/{int:bill_id}"
HISTORY_AT_MOST = 1000
_SENT_AS = {"also_in_xero": "organisation_id"}


@reads(router, "/bills", shapes.Bills, "List bills")
def list_bills(request: HttpRequest, query: Query[shapes.BillQuery]) -> Any:
    """Oldest first. `status=active` has the overdue ones too; `status=overdue` only those.

    To keep a copy in step, remember the time before you start and send it as `updated_since`
    the next time.
    """
    books = open_books(caller(request).business, timezone.now())
    found, following = page(present.with_related(_filtered(books, query)), query)
    return shapes.Bills(items=present.bill_rows(found, books), next_cursor=following)


@reads(router, ONE, shapes.BillOut, "Read a bill")
def read_bill(request: HttpRequest, bill_id: int) -> Any:
    """One bill with its lines and payments."""
    return _answer(request, bill_id)


@reads(router, f"{ONE}/history", shapes.History, "Read a bill's history")
def read_history(request: HttpRequest, bill_id: int) -> Any:
    """What changed, when and why, newest first; the last 1,000 entries."""
    bill = _mine(request, bill_id)
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
    """Totals are worked out from the lines. `status: "active"` makes it owed at once.

    With `also_in_xero` it becomes an invoice too; see `sync` of the answer for how far that is.
    """
    plain = body.model_dump(exclude={"status", "also_in_xero"})
    try:
        with once(request, idempotency_key, body) as act:
            bill = actions.bill_create(
                act=act,
                entry=bill_entry(NOTHING, plain),
                approve=body.status == "active",
                also_in_xero=body.also_in_xero,
            )
    except actions.AlreadyDone as done:
        return Answer(200, _answer(request, done.target_id or 0))
    return Answer(201, _answer(request, bill.pk))


@changes(router, "PATCH", ONE, {200: shapes.BillOut}, "Change a bill")
def change_bill(request: HttpRequest, bill_id: int, body: shapes.BillChange) -> Any:
    """Fields left out stay as they are; `lines` replaces all lines, keeping those with an `id`.

    Where Xero has the bill, the change goes to Xero as well; `sync.locked` of a bill names what
    can't be changed. 409 while Xero owns the bill. With `seen`, the `updated_at` that you read,
    409 also if the bill has changed since.
    """
    _mine(request, bill_id)
    actions.bill_edit(
        act=acting(request),
        bill_id=bill_id,
        entry=lambda stored: bill_entry(stored, body.given()),
        seen=body.seen,
    )
    return _answer(request, bill_id)


@changes(router, "POST", f"{ONE}/approve", {200: shapes.BillOut}, "Make a draft active")
def approve_bill(request: HttpRequest, bill_id: int, query: Query[shapes.SeenQuery]) -> Any:
    """From now on the bill is owed. It needs a number and a due date."""
    actions.bill_approve(act=acting(request), bill_id=bill_id, seen=query.seen)
    return _answer(request, bill_id)


@changes(router, "POST", f"{ONE}/void", {200: shapes.BillOut}, "Void a bill")
def void_bill(request: HttpRequest, bill_id: int, query: Query[shapes.SeenQuery]) -> Any:
    """Takes the bill out of every total, here and in Xero; it is kept.

    Not possible once money has come off it.
    """
    actions.bill_void(act=acting(request), bill_id=bill_id, seen=query.seen)
    return _answer(request, bill_id)


@changes(router, "POST", f"{ONE}/send-to-xero", {200: shapes.BillOut}, "Send a bill to Xero")
def send_bill_to_xero(request: HttpRequest, bill_id: int, body: shapes.Organisation) -> Any:
    """A bill that exists only here becomes an invoice, with the payments recorded on it."""
    bill = _mine(request, bill_id)
    try:
        actions.bill_send_to_xero(
            act=acting(request), bill_id=bill.pk, connection_id=body.organisation_id
        )
    except actions.Refused as refused:
        named = {_SENT_AS.get(name, name): text for name, text in refused.problems.items()}
        raise actions.Refused(named) from refused
    return _answer(request, bill_id)


@changes(router, "POST", f"{ONE}/discard", {200: shapes.BillOut}, "Discard a bill's changes")
def discard_changes(request: HttpRequest, bill_id: int) -> Any:
    """What has not reached Xero is undone; a bill that is no invoice yet is not sent."""
    actions.bill_discard(act=acting(request), bill_id=bill_id)
    return _answer(request, bill_id)


@changes(router, "POST", f"{ONE}/retry", {200: shapes.BillOut}, "Try a bill's changes again")
def retry_bill(request: HttpRequest, bill_id: int) -> Any:
    """Whatever of this bill was refused, or waits for a decision, is tried again."""
    act, bill = acting(request), _mine(request, bill_id)
    actions.item_retry(act=act, item_ids=held_up.retriable(act.membership, bill))
    return _answer(request, bill_id)


@changes(router, "POST", f"{ONE}/resolve", {200: shapes.BillOut}, "Decide what Xero overrode")
def resolve_bill(request: HttpRequest, bill_id: int, body: shapes.Resolution) -> Any:
    """`mine`: our values stand again and go to Xero; `xero`: Xero's stay."""
    act, bill = acting(request), _mine(request, bill_id)
    ids = held_up.undecided(act.membership, bill, body.units)
    actions.conflict_resolve(act=act, conflict_ids=ids, choice=body.choice)
    return _answer(request, bill_id)


def _mine(request: HttpRequest, bill_id: int) -> Bill:
    return get_object_or_404(Bill, pk=bill_id, business=caller(request).business)


def _answer(request: HttpRequest, bill_id: int) -> shapes.BillOut:
    return present.bill_out(open_books(caller(request).business, timezone.now()), bill_id)


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
