"""The list of clients, a client, and the client's form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from justpayme.accounts.access import BusinessRequest, change_required, member_required
from justpayme.bills import actions, forms, queries, shown, shown_bill
from justpayme.bills.actions import AlreadyDone, Changed, Locked, Refused
from justpayme.bills.common import (
    Pager,
    act_of,
    books_of,
    edges_of,
    found,
    get_or_post,
    list_url,
)
from justpayme.bills.models import Client
from justpayme.bills.paging import BadCursor, Page
from justpayme.bills.queries import Wanted
from justpayme.web.snapshot import one_moment

YEAR = timedelta(days=365)


@require_GET
@member_required
@one_moment
def clients(request: BusinessRequest) -> HttpResponse:
    """The list of clients; `?for=bill` chooses one for a new bill."""
    books = books_of(request)
    q = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    damaged = ""
    try:
        page = queries.list_clients(books, q, **edges_of(request))
    except BadCursor as error:
        damaged, page = str(error), queries.list_clients(books, q)
    context = {
        "books": books,
        "q": q,
        "rows": shown.shown_clients(page.rows, books),
        "count": queries.count_clients(books),
        "pager": _clients_pager(q, request.GET.get("for", ""), page),
        "choosing": request.GET.get("for") == "bill",
        "damaged": damaged,
    }
    return render(request, "bills/clients.html", context, status=400 if damaged else 200)


def _clients_pager(q: str, purpose: str, page: Page[Any]) -> Pager:
    def url(**edge: str) -> str:
        given = {"q": q, "for": purpose if purpose == "bill" else "", **edge}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"{reverse('bills:clients')}?{query}"

    return Pager(
        text=f"{len(page.rows):,} clients, by name" if len(page.rows) != 1 else "1 client",
        previous_url=url(before=page.before) if page.before else "",
        next_url=url(after=page.after) if page.after else "",
    )


@require_GET
@member_required
@one_moment
def client(request: BusinessRequest, pk: int) -> HttpResponse:
    """A client with what is owed, the newest bills, and what is known of them."""
    books = books_of(request)
    row, _, connection = found(lambda: queries.client_detail(books, pk))
    wanted = Wanted(client=row.pk)
    summary = queries.summarise(books, wanted)
    page = queries.list_bills(books, wanted, size=10)
    owned = connection is not None and connection.is_in_use
    billed = queries.billed_since(books, row, books.today - YEAR)
    context = {
        "books": books,
        "client": row,
        "figures": [
            *shown.list_figures(summary, books, "They owe you")[:-1],
            *shown.billed_figures(billed, books),
        ],
        "rows": shown.shown_bills(page.rows, books, of_client=True),
        "count": shown.count_bills(summary.counts["all"]),
        "all_url": list_url(wanted) if page.after else "",
        "owner": connection if owned else None,
        "sync": shown.client_sync(connection, books.now),
        "history": shown_bill.told_client_history(
            queries.client_history(books, row), books, request.user.pk
        ),
    }
    return render(request, "bills/client.html", context)


@get_or_post
@change_required
def client_new(request: BusinessRequest) -> HttpResponse:
    """A new client."""
    if request.method != "POST":
        form = forms.ClientForm(initial={"token": forms.new_token()})
        return render(request, "bills/client_form.html", {"form": form, "client": None})
    return _submit_client(request, None)


@get_or_post
@change_required
def client_edit(request: BusinessRequest, pk: int) -> HttpResponse:
    """Change a client that Xero does not own."""
    books = books_of(request)
    row, _, connection = found(lambda: queries.client_detail(books, pk))
    if connection is not None and connection.is_in_use:
        context = {"client": row, "connection": connection}
        return render(request, "bills/client_locked.html", context, status=409)
    if request.method != "POST":
        names = ("name", "email", "phone", "address", "tax_number")
        initial = {name: getattr(row, name) for name in names}
        initial |= {"token": forms.new_token(), "seen": row.updated_at.isoformat()}
        form = forms.ClientForm(initial=initial)
        return render(request, "bills/client_form.html", {"form": form, "client": row})
    return _submit_client(request, row)


def _submit_client(request: BusinessRequest, row: Client | None) -> HttpResponse:
    form = forms.ClientForm(request.POST)
    context: dict[str, Any] = {"form": form, "client": row}
    status = 422
    if form.is_valid():
        try:
            saved = _save_client(request, form, row)
        except AlreadyDone as error:
            messages.info(request, str(error))
            return redirect("bills:client", error.target_id or 0)
        except Refused as error:
            form.place(error.problems)
        except (Changed, Locked) as error:
            context["problem"], status = str(error), 409
            if row is not None and isinstance(error, Changed):
                form.look_again(row.updated_at)
        else:
            messages.success(request, f"{saved.name} is saved.")
            return redirect("bills:client", saved.pk)
    return render(request, "bills/client_form.html", context, status=status)


def _save_client(request: BusinessRequest, form: forms.ClientForm, row: Client | None) -> Client:
    if row is None:
        return actions.client_create(act=act_of(request), entry=form.entry())
    seen = form.cleaned_data["seen"]
    return actions.client_edit(act=act_of(request), client_id=row.pk, entry=form.entry(), seen=seen)
