"""What the pages of bills and clients share: the books, the acting person, a bill's own page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from justpayme.accounts.access import BusinessRequest
from justpayme.bills import forms, held, queries, receiving, shown, shown_bill, shown_way
from justpayme.bills.actions import Act
from justpayme.bills.models import Bill, Client, Payment
from justpayme.bills.paging import BadCursor
from justpayme.bills.queries import BillDetail, Books, Wanted
from justpayme.sync.models import Conflict, Connection, OutboxItem

MISSING_ROWS = (
    Bill.DoesNotExist,
    Client.DoesNotExist,
    Payment.DoesNotExist,
    Conflict.DoesNotExist,
    Connection.DoesNotExist,
    OutboxItem.DoesNotExist,
)
FEW_CLIENTS = 500
"""Above this a list to choose from is worse than the page of clients with its search."""

get_or_post = require_http_methods(["GET", "HEAD", "POST"])


def books_of(request: BusinessRequest) -> Books:
    """The business of this request, as of now."""
    return queries.open_books(request.business, timezone.now())


def act_of(request: BusinessRequest) -> Act:
    """Who presses which form, now."""
    return Act(request.membership, timezone.now(), request.POST.get("token", ""))


def seen_of(request: BusinessRequest) -> datetime | None:
    """When the bill had last changed as a question about it was asked."""
    try:
        return datetime.fromisoformat(request.POST.get("seen", ""))
    except ValueError:
        return None


def found(read: Callable[[], Any]) -> Any:
    """A row, or the same 404 for one that is not there and one of another business."""
    try:
        return read()
    except MISSING_ROWS as error:
        raise Http404 from error


@dataclass(frozen=True, slots=True)
class Pager:
    """The foot of a list."""

    text: str
    previous_url: str
    next_url: str
    previous_label: str = "Previous"
    next_label: str = "Next"


def edges_of(request: BusinessRequest) -> dict[str, Any]:
    """Where the wanted page lies, from the address."""
    return {name: request.GET.get(name, "") for name in ("after", "before")}


def list_url(wanted: Wanted, **edge: str) -> str:
    """The address of a list of bills; what is as usual is left out of it."""
    plain = {
        "status": "" if wanted.status == "all" else wanted.status,
        "q": wanted.q,
        "xero": wanted.xero,
        "due": wanted.due,
        "connection": wanted.connection,
        "client": wanted.client,
        "sort": "" if wanted.sort == "newest" else wanted.sort,
    }
    query = urlencode({name: value for name, value in (plain | edge).items() if value})
    return f"{reverse('bills:bills')}?{query}" if query else reverse("bills:bills")


def show_bill(
    request: BusinessRequest,
    books: Books,
    detail: BillDetail,
    *,
    problem: str = "",
    status: int = 200,
    settings_of: int | None = None,
) -> HttpResponse:
    """A bill's page; `problem` is what kept a button from doing its work. `settings_of`: the
    organisation in whose settings it is put right."""
    may_change = request.membership.may_change
    history, damaged = _history(request, books, detail)
    context = {
        "books": books,
        "detail": detail,
        "bill": detail.bill,
        "figures": shown_bill.bill_figures(detail, books),
        "lines": shown_bill.shown_lines(detail.lines, detail.bill.currency),
        "ladder": shown_bill.ladder(detail.bill),
        "state": shown.bill_confidence(detail.owner, books.now),
        "payments": shown_bill.shown_payments(detail, may_change),
        "history": history,
        "problem": problem or damaged,
        "settings_of": settings_of,
        "token": forms.new_token(),
        **_xero(request, books, detail),
        **_offers(detail, may_change),
    }
    return render(request, "bills/bill.html", context, status=400 if damaged else status)


def _xero(request: BusinessRequest, books: Books, detail: BillDetail) -> dict[str, Any]:
    """How the bill stands to Xero, and what a person may decide about that."""
    may_change = request.membership.may_change
    panel = shown_bill.xero_panel(detail, books.now, may_change)
    names = queries.contact_names(books, shown_way.clash_contacts(detail))
    troubles = shown_way.troubles(detail, books, panel.open_url)
    clashes = shown_way.clashes(detail, books, names, request.user.pk or 0)
    question = shown_way.question(detail, books)
    return {
        "panel": panel,
        "troubles": troubles,
        "leaving": shown_way.leaving(detail, books, request.user.pk or 0),
        "clashes": clashes,
        "question": question,
        "asks": bool(troubles or clashes or question),
        "may_change": may_change,
        "destinations": _destinations(books, detail) if may_change else [],
    }


def _destinations(books: Books, detail: BillDetail) -> list[Connection]:
    """Organisations in which a bill that exists only here can become an invoice."""
    here_only = detail.link is None and not any(item.bill_id for item in detail.items)
    if not here_only or detail.bill.status == "void" or not books.connections:
        return []
    return receiving.open_organisations(books.business.pk)


def _offers(detail: BillDetail, may_change: bool) -> dict[str, Any]:
    """What this person may do to this bill, here and now, and why not the rest."""
    free = may_change and not detail.is_locked
    status, came_off = detail.bill.status, detail.bill.paid + detail.bill.credited
    locks = held.locks(detail.bill, detail.partner) if detail.partner else {}
    no_payments = _no_payments(detail) if free and status == "active" else ""
    closed = locks.get("status", "")
    return {
        "may_edit": free and status != "void",
        "may_approve": free and status == "draft" and not closed,
        "may_pay": free and status == "active" and not no_payments,
        "no_payments": no_payments,
        "may_void": free and status != "void" and not came_off and not closed,
        "keeps_money": free and status != "void" and bool(came_off),
        "keeps_closed": closed if free and status != "void" and not came_off else "",
    }


def _no_payments(detail: BillDetail) -> str:
    partner = detail.partner
    return held.payments_refused(partner, detail.bill.currency) if partner else ""


def _history(
    request: BusinessRequest, books: Books, detail: BillDetail
) -> tuple[dict[str, Any], str]:
    """One page of the timeline, with addresses of the newer and older ones."""
    damaged = ""
    try:
        page = queries.bill_history(books, detail.bill, **edges_of(request))
    except BadCursor as error:
        damaged, page = str(error), queries.bill_history(books, detail.bill)
    names = queries.contact_names(books, shown_bill.history_contacts(page.rows))
    told = shown_bill.told_history(page.rows, detail, books, names, request.user.pk)
    own = reverse("bills:bill", args=[detail.bill.pk])
    return {
        "entries": told,
        "newer_url": f"{own}?{urlencode({'before': page.before})}#history" if page.before else "",
        "older_url": f"{own}?{urlencode({'after': page.after})}#history" if page.after else "",
    }, damaged


def show_locked(request: BusinessRequest, detail: BillDetail) -> HttpResponse:
    """The page that says why this bill can't be changed here, and where it can."""
    panel = shown_bill.xero_panel(detail, timezone.now(), False)
    context = {"bill": detail.bill, "panel": panel}
    return render(request, "bills/bill_locked.html", context, status=409)
