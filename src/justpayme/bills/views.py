"""Home, the list of bills, a bill, and the buttons on it.

Every form posts to its own address and is shown again with what was typed when something is
wrong: 422 for values that can't be stored, 409 when the row belongs to Xero or has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from justpayme.accounts.access import BusinessRequest, change_required, member_required
from justpayme.bills import actions, forms, queries, shown, shown_bill, shown_home
from justpayme.bills.common import (
    Pager,
    act_of,
    books_of,
    edges_of,
    found,
    get_or_post,
    list_url,
    seen_of,
    show_bill,
    show_locked,
)
from justpayme.bills.models import Client
from justpayme.bills.paging import BadCursor, Page
from justpayme.bills.queries import BillDetail, Books, Wanted
from justpayme.bills.views_way import press
from justpayme.web.format import money
from justpayme.web.snapshot import one_moment


@require_GET
@member_required
@one_moment
def home(request: BusinessRequest) -> HttpResponse:
    """What is owed, what needs a person, what came in, and how much of it equals Xero."""
    books = books_of(request)
    tally = queries.tally(books)
    if not tally.bills:
        return render(request, "bills/home_empty.html", {"books": books})
    ages = shown_home.shown_ageing(queries.ageing(books), books)
    context = {
        "books": books,
        "own": ages[0],
        "others": ages[1:],
        "ages": ages,
        "late": shown_home.shown_late(ages),
        "state": shown.confidence(books),
        "needs": shown_home.needs(queries.oldest_overdue(books), tally, books),
        "paid": shown_home.shown_paid(queries.recently_paid(books), books),
        "tally": shown_home.shown_tally(tally, books),
        "checked": shown.checked(books),
        "next": shown.next_check(books),
    }
    return render(request, "bills/home.html", context)


TAB_WORDS = (
    ("all", "All"),
    ("draft", "Draft"),
    ("active", "Active"),
    ("overdue", "Overdue"),
    ("paid", "Paid"),
    ("void", "Void"),
)
SORT_WORDS = {
    "newest": "by date of issue, newest first",
    "due": "due first",
    "amount": "largest first",
    "client": "by client",
}


@dataclass(frozen=True, slots=True)
class Tab:
    """One status with its count."""

    label: str
    count: str
    url: str
    current: bool


@require_GET
@member_required
@one_moment
def bills(request: BusinessRequest) -> HttpResponse:
    """The list of bills, with its tabs, filters and sums."""
    books = books_of(request)
    organisations = [(c.pk, c.name) for c in books.connections.values()]
    form = forms.WantedForm(request.GET, organisations=organisations)
    valid = form.is_valid()
    wanted = queries.searched(books, form.wanted())
    page, damaged = _page_of_bills(request, books, wanted)
    summary = queries.summarise(books, wanted)
    context = {
        "books": books,
        "form": form,
        "wanted": wanted,
        "rows": shown.shown_bills(page.rows, books),
        "figures": shown.list_figures(summary, books),
        "tabs": _tabs(wanted, summary),
        "pager": _bills_pager(books, wanted, page, summary.counts[wanted.status]),
        "caption": f"{wanted.status.title()} bills, {SORT_WORDS[wanted.sort]}",
        "any_bill": summary.counts["all"] or wanted.narrows,
        "clear_url": list_url(Wanted(status=wanted.status, sort=wanted.sort)),
        "of_client": _client_filter(books, wanted),
        "checked": shown.checked(books),
        "next": shown.next_check(books),
        "sync": _only_live(books) if request.membership.may_change else None,
        "damaged": damaged,
    }
    return render(
        request, "bills/bills.html", context, status=200 if valid and not damaged else 400
    )


def _page_of_bills(
    request: BusinessRequest, books: Books, wanted: Wanted
) -> tuple[Page[queries.BillRow], str]:
    try:
        return queries.list_bills(books, wanted, **edges_of(request)), ""
    except BadCursor as error:
        return queries.list_bills(books, wanted), str(error)


def _client_filter(books: Books, wanted: Wanted) -> Client | None:
    return books.clients().filter(pk=wanted.client).first() if wanted.client else None


def _only_live(books: Books) -> Any:
    """The organisation that "Sync now" means, where there is no choice."""
    live = [c for c in books.connections.values() if c.is_live and c.imported_at]
    return live[0] if len(live) == 1 else None


def _tabs(wanted: Wanted, summary: queries.Summary) -> list[Tab]:
    def url(tab: str) -> str:
        return list_url(
            Wanted(tab, wanted.q, wanted.connection, wanted.client, wanted.xero, wanted.due)
        )

    return [
        Tab(label, f"{summary.counts[tab]:,}", url(tab), tab == wanted.status)
        for tab, label in TAB_WORDS
    ]


def _bills_pager(books: Books, wanted: Wanted, page: Page[Any], count: int) -> Pager:
    """The place of a page is counted only where a page is before it and another after it."""
    shown_now = shown.count_bills(count)
    if page.before or page.after:
        first = 1
        if page.before:
            last = count - len(page.rows)
            first += queries.count_before(books, wanted, page) if page.after else last
        shown_now = f"{first:,}–{first + len(page.rows) - 1:,} of {shown_now}"
    return Pager(
        text=f"{shown_now}, {SORT_WORDS[wanted.sort]}",
        previous_url=list_url(wanted, before=page.before) if page.before else "",
        next_url=list_url(wanted, after=page.after) if page.after else "",
        next_label=f"Next {queries.PAGE}",
    )


@require_GET
@member_required
@one_moment
def bill(request: BusinessRequest, pk: int) -> HttpResponse:
    """A bill with everything that is known about it."""
    books = books_of(request)
    detail = found(lambda: queries.bill_detail(books, pk))
    return show_bill(request, books, detail)


@require_POST
@change_required
def bill_approve(request: BusinessRequest, pk: int) -> HttpResponse:
    """Make a draft active."""
    return press(
        request,
        pk,
        lambda: actions.bill_approve(act=act_of(request), bill_id=pk),
        "This bill is active now: it is owed.",
    )


@get_or_post
@change_required
def bill_void(request: BusinessRequest, pk: int) -> HttpResponse:
    """Ask, then void."""
    books = books_of(request)
    detail = found(lambda: queries.bill_detail(books, pk))
    if request.method != "POST":
        return _ask_or_explain(request, detail, "bills/bill_void.html", {})
    return press(
        request,
        pk,
        lambda: actions.bill_void(act=act_of(request), bill_id=pk, seen=seen_of(request)),
        "This bill is void. It is kept, and counts in no total.",
    )


@get_or_post
@change_required
def payment_remove(request: BusinessRequest, pk: int, payment_pk: int) -> HttpResponse:
    """Ask, then take a payment back."""
    books = books_of(request)
    detail = found(lambda: queries.bill_detail(books, pk))
    payment = next(
        (p for p in shown_bill.shown_payments(detail, may_change=True) if p.pk == payment_pk), None
    )
    if payment is None and request.method != "POST":
        raise Http404
    if request.method != "POST":
        return _ask_or_explain(request, detail, "bills/payment_remove.html", {"payment": payment})
    return press(
        request,
        pk,
        lambda: actions.payment_remove(
            act=act_of(request), bill_id=pk, payment_id=payment_pk, seen=seen_of(request)
        ),
        "The payment is removed, and the bill is owed again.",
    )


def _ask_or_explain(
    request: BusinessRequest, detail: BillDetail, template: str, context: dict[str, Any]
) -> HttpResponse:
    """A question on its own page; for a bill that Xero owns, the page that says so."""
    if detail.is_locked:
        return show_locked(request, detail)
    asked = {
        "bill": detail.bill,
        "detail": detail,
        "name": detail.bill.number or f"the draft for {detail.bill.client.name}",
        "total": money(detail.bill.total, detail.bill.currency),
        "organisation": detail.partner.name if detail.partner else "",
        "in_xero": _is_draft_there(detail),
        "seen": detail.bill.updated_at.isoformat(),
        "token": forms.new_token(),
        **context,
    }
    return render(request, template, asked)


def _is_draft_there(detail: BillDetail) -> str:
    """How an invoice ends in Xero: a draft is deleted, any other made void."""
    drafts = ("DRAFT", "SUBMITTED")
    return "deleted" if detail.link and detail.link.remote_status in drafts else "made void"
