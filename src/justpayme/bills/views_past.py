"""A bill as it was: after any entry of its history, or at any moment. Only reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from justpayme.accounts.access import BusinessRequest, member_required
from justpayme.bills import asof, queries, shown_bill, told
from justpayme.bills.asof import AsOf, NotYet
from justpayme.bills.common import books_of, found, show_bill
from justpayme.bills.models import Bill, HistoryEntry
from justpayme.bills.queries import BillDetail, Books
from justpayme.web.format import exact, moment
from justpayme.web.snapshot import one_moment


@require_GET
@member_required
@one_moment
def bill_at(request: BusinessRequest, pk: int) -> HttpResponse:
    """Leads to the bill as of `?moment=`, a time where the bill's organisation is."""
    books = books_of(request)
    detail = found(lambda: queries.bill_detail(books, pk))
    tz = _zone_of(books, detail)
    try:
        past = asof.bill_at(books, pk, asof.read_moment(request.GET.get("moment", ""), tz))
    except ValueError as error:
        return show_bill(request, books, detail, problem=str(error), status=400)
    except NotYet as error:
        return show_bill(request, books, detail, problem=_not_yet(error, tz), status=400)
    return redirect("bills:bill_after", pk, past.entry["id"])


@require_GET
@member_required
@one_moment
def bill_after(request: BusinessRequest, pk: int, entry_pk: int) -> HttpResponse:
    """The whole bill as it stood after one entry of its history, and what changed next."""
    books = books_of(request)
    detail = found(lambda: queries.bill_detail(books, pk))
    try:
        past = asof.bill_after(books, pk, entry_pk)
    except (Bill.DoesNotExist, HistoryEntry.DoesNotExist) as error:
        raise Http404 from error
    return render(request, "bills/past.html", _page(request, books, detail, past))


def _zone_of(books: Books, detail: BillDetail) -> tzinfo:
    return books.zone_for(detail.connection.pk if detail.connection else None)


def _not_yet(error: NotYet, tz: tzinfo) -> str:
    since = f" Its history begins on {exact(error.first, tz)}." if error.first else ""
    return f"This bill was not here then.{since}"


def _page(request: BusinessRequest, books: Books, detail: BillDetail, past: AsOf) -> dict[str, Any]:
    tz = _zone_of(books, detail)
    began = past.entry["at"].astimezone(tz)
    then = BillDetail(past.bill, None, None, past.lines, past.payments, began.date())
    rows = [row for row in (past.entry, past.following) if row is not None]
    names = queries.contact_names(books, shown_bill.history_contacts(rows))
    entries = shown_bill.told_history(rows, detail, books, names, request.user.pk)
    return {
        "today": detail.bill,
        "bill": past.bill,
        "detail": then,
        "figures": [replace(f, state="") for f in shown_bill.bill_figures(then, books)],
        "lines": shown_bill.shown_lines(past.lines, past.bill.currency),
        "ladder": shown_bill.ladder(past.bill),
        "payments": shown_bill.shown_payments(then, False),
        "began": moment(past.entry["at"], books.now, tz),
        "ended": moment(past.following["at"], books.now, tz) if past.following else None,
        "brought": [replace(entries[0], past_url="")],
        "following": entries[1:],
        "earlier_pk": past.earlier["id"] if past.earlier else None,
        "doubtful": [told.LABELS.get(name, name.capitalize()) for name in past.doubtful],
        "field_value": f"{began:%Y-%m-%dT%H:%M:%S}",
        "zone": began.tzname(),
    }
