"""Home, bills and clients: read with queries, write with actions, show with `shown`.

Every form posts to its own address and is shown again with what was typed when something is
wrong: 422 for values that can't be stored, 409 when the row belongs to Xero or has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from justpayme.accounts.access import BusinessRequest, change_required, member_required
from justpayme.bills import actions, forms, queries, shown, shown_bill, shown_home
from justpayme.bills.actions import Act, AlreadyDone, Changed, Locked, Refused
from justpayme.bills.models import Bill, Client, Payment
from justpayme.bills.paging import BadCursor, Page
from justpayme.bills.queries import BillDetail, Books, Wanted
from justpayme.core.entry import BillEntry
from justpayme.core.totals import rate_text
from justpayme.web.format import money, quantity

MISSING_ROWS = (Bill.DoesNotExist, Client.DoesNotExist, Payment.DoesNotExist)
FEW_CLIENTS = 500
"""Above this a list to choose from is worse than the page of clients with its search."""

get_or_post = require_http_methods(["GET", "HEAD", "POST"])


def _books(request: BusinessRequest) -> Books:
    return queries.open_books(request.business, timezone.now())


def _act(request: BusinessRequest) -> Act:
    return Act(request.membership, timezone.now(), request.POST.get("token", ""))


def _found(read: Callable[[], Any]) -> Any:
    """A row, or the same 404 for one that is not there and one of another business."""
    try:
        return read()
    except MISSING_ROWS as error:
        raise Http404 from error


# --- home ----------------------------------------------------------------------------------------


@require_GET
@member_required
def home(request: BusinessRequest) -> HttpResponse:
    """What is owed, what needs a person, what came in, and how much of it equals Xero."""
    books = _books(request)
    tally = queries.tally(books)
    if not tally.bills:
        return render(request, "bills/home_empty.html", {"books": books})
    ages = shown_home.shown_ageing(queries.ageing(books), books)
    context = {
        "books": books,
        "own": ages[0],
        "others": ages[1:],
        "ages": ages,
        "state": shown.confidence(books),
        "needs": shown_home.needs(queries.oldest_overdue(books), tally, books),
        "paid": shown_home.shown_paid(queries.recently_paid(books), books),
        "tally": shown_home.shown_tally(tally, books),
        "checked": shown.checked(books),
        "next": shown.next_check(books),
    }
    return render(request, "bills/home.html", context)


# --- the list of bills ---------------------------------------------------------------------------

TAB_WORDS = (
    ("all", "All"),
    ("draft", "Draft"),
    ("active", "Active"),
    ("overdue", "Overdue"),
    ("paid", "Paid"),
    ("void", "Void"),
)
SORT_WORDS = {
    "newest": "newest first",
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


@dataclass(frozen=True, slots=True)
class Pager:
    """The foot of a list."""

    text: str
    previous_url: str
    next_url: str
    previous_label: str = "Previous"
    next_label: str = "Next"


@require_GET
@member_required
def bills(request: BusinessRequest) -> HttpResponse:
    """The list of bills, with its tabs, filters and sums."""
    books = _books(request)
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
        "pager": _bills_pager(wanted, page, summary.counts[wanted.status]),
        "caption": f"{wanted.status.title()} bills, {SORT_WORDS[wanted.sort]}",
        "any_bill": summary.counts["all"] or wanted.narrows,
        "clear_url": _list_url(Wanted(status=wanted.status, sort=wanted.sort)),
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
        return queries.list_bills(books, wanted, **_edges(request)), ""
    except BadCursor as error:
        return queries.list_bills(books, wanted), str(error)


def _edges(request: BusinessRequest) -> dict[str, Any]:
    """Where the wanted page lies, from the address."""
    return {name: request.GET.get(name, "") for name in ("after", "before")}


def _client_filter(books: Books, wanted: Wanted) -> Client | None:
    return books.clients().filter(pk=wanted.client).first() if wanted.client else None


def _only_live(books: Books) -> Any:
    """The organisation that "Sync now" means, where there is no choice."""
    live = [c for c in books.connections.values() if c.is_live and c.imported_at]
    return live[0] if len(live) == 1 else None


def _list_url(wanted: Wanted, **edge: str) -> str:
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


def _tabs(wanted: Wanted, summary: queries.Summary) -> list[Tab]:
    def url(tab: str) -> str:
        return _list_url(
            Wanted(tab, wanted.q, wanted.connection, wanted.client, wanted.xero, wanted.due)
        )

    return [
        Tab(label, f"{summary.counts[tab]:,}", url(tab), tab == wanted.status)
        for tab, label in TAB_WORDS
    ]


def _bills_pager(wanted: Wanted, page: Page[Any], count: int) -> Pager:
    shown_now = f"{len(page.rows):,} of {shown.count_bills(count)}"
    return Pager(
        text=f"{shown_now}, {SORT_WORDS[wanted.sort]}",
        previous_url=_list_url(wanted, before=page.before) if page.before else "",
        next_url=_list_url(wanted, after=page.after) if page.after else "",
        next_label=f"Next {queries.PAGE}",
    )


# --- one bill ------------------------------------------------------------------------------------


@require_GET
@member_required
def bill(request: BusinessRequest, pk: int) -> HttpResponse:
    """A bill with everything that is known about it."""
    books = _books(request)
    detail = _found(lambda: queries.bill_detail(books, pk))
    return _show_bill(request, books, detail)


def _show_bill(
    request: BusinessRequest,
    books: Books,
    detail: BillDetail,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
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
        "panel": shown_bill.xero_panel(detail, books.now, may_change),
        "history": history,
        "problem": problem or damaged,
        "token": forms.new_token(),
        **_offers(detail, may_change),
    }
    return render(request, "bills/bill.html", context, status=400 if damaged else status)


def _offers(detail: BillDetail, may_change: bool) -> dict[str, bool]:
    """What this person may do to this bill, here and now."""
    free = may_change and detail.owner is None
    status, came_off = detail.bill.status, detail.bill.paid + detail.bill.credited
    return {
        "may_edit": free and status != "void",
        "may_approve": free and status == "draft",
        "may_pay": free and status == "active",
        "may_void": free and status != "void" and not came_off,
    }


def _history(
    request: BusinessRequest, books: Books, detail: BillDetail
) -> tuple[dict[str, Any], str]:
    """One page of the timeline, with addresses of the newer and older ones."""
    damaged = ""
    try:
        page = queries.bill_history(books, detail.bill, **_edges(request))
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


@require_POST
@change_required
def bill_approve(request: BusinessRequest, pk: int) -> HttpResponse:
    """Make a draft active."""
    return _press(
        request,
        pk,
        lambda: actions.bill_approve(act=_act(request), bill_id=pk),
        "This bill is active now: it is owed.",
    )


@get_or_post
@change_required
def bill_void(request: BusinessRequest, pk: int) -> HttpResponse:
    """Ask, then void."""
    books = _books(request)
    detail = _found(lambda: queries.bill_detail(books, pk))
    if request.method != "POST":
        return _ask_or_explain(request, detail, "bills/bill_void.html", {})
    return _press(
        request,
        pk,
        lambda: actions.bill_void(act=_act(request), bill_id=pk),
        "This bill is void. It is kept, and counts in no total.",
    )


@get_or_post
@change_required
def payment_remove(request: BusinessRequest, pk: int, payment_pk: int) -> HttpResponse:
    """Ask, then take a payment back."""
    books = _books(request)
    detail = _found(lambda: queries.bill_detail(books, pk))
    payment = next((p for p in shown_bill.shown_payments(detail, True) if p.pk == payment_pk), None)
    if payment is None and request.method != "POST":
        raise Http404
    if request.method != "POST":
        return _ask_or_explain(request, detail, "bills/payment_remove.html", {"payment": payment})
    return _press(
        request,
        pk,
        lambda: actions.payment_remove(act=_act(request), bill_id=pk, payment_id=payment_pk),
        "The payment is removed, and the bill is owed again.",
    )


def _ask_or_explain(
    request: BusinessRequest, detail: BillDetail, template: str, context: dict[str, Any]
) -> HttpResponse:
    """A question on its own page; for a bill that Xero owns, the page that says so."""
    if detail.owner is not None:
        return _locked(request, detail)
    asked = {
        "bill": detail.bill,
        "detail": detail,
        "name": detail.bill.number or f"the draft for {detail.bill.client.name}",
        "total": money(detail.bill.total, detail.bill.currency),
        "token": forms.new_token(),
        **context,
    }
    return render(request, template, asked)


def _press(request: BusinessRequest, pk: int, act: Callable[[], Any], done: str) -> HttpResponse:
    """Carry out a button; a refusal is told on the bill's own page."""
    try:
        act()
    except MISSING_ROWS as error:
        raise Http404 from error
    except AlreadyDone as error:
        messages.info(request, str(error))
    except (Locked, Refused) as error:
        books = _books(request)
        detail = _found(lambda: queries.bill_detail(books, pk))
        status = 409 if isinstance(error, Locked) else 422
        return _show_bill(request, books, detail, problem=str(error), status=status)
    else:
        messages.success(request, done)
    return redirect("bills:bill", pk)


def _locked(request: BusinessRequest, detail: BillDetail) -> HttpResponse:
    panel = shown_bill.xero_panel(detail, timezone.now(), False)
    context = {"bill": detail.bill, "panel": panel}
    return render(request, "bills/bill_locked.html", context, status=409)


# --- new and edited bills ------------------------------------------------------------------------


@get_or_post
@change_required
def bill_new(request: BusinessRequest) -> HttpResponse:
    """A new bill; `?client=` chooses the client beforehand."""
    books = _books(request)
    clients = _choices(books, request.GET.get("client", ""))
    if clients is None:
        return redirect(f"{reverse('bills:clients')}?for=bill")
    if request.method != "POST":
        return _show_form(request, _blank_bill(request, books, clients), more=forms.ROWS_AT_FIRST)
    return _submit_bill(request, books, None, clients)


@get_or_post
@change_required
def bill_edit(request: BusinessRequest, pk: int) -> HttpResponse:
    """Change a bill that Xero does not own."""
    books = _books(request)
    detail = _found(lambda: queries.bill_detail(books, pk))
    if detail.owner is not None:
        return _locked(request, detail)
    if detail.bill.status == "void":
        sentence = "A void bill can't be changed. Make a new bill instead."
        return _show_bill(request, books, detail, problem=sentence, status=409)
    own = (detail.bill.client_id, detail.bill.client.name)
    clients = _choices(books, str(own[0])) or [own]
    clients = clients if own in clients else [own, *clients]
    if request.method != "POST":
        return _show_form(request, _stored_bill(detail, clients), detail=detail, more=1)
    return _submit_bill(request, books, detail, clients)


def _choices(books: Books, chosen: str) -> list[tuple[int, str]] | None:
    """Clients to choose from; with very many only the chosen one, None when none is chosen."""
    few = queries.choosable_clients(books, FEW_CLIENTS + 1)
    if len(few) <= FEW_CLIENTS:
        return few
    number = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 19 else 0
    own = books.clients().filter(pk=number, archived=False).values_list("pk", "name")
    return list(own) or None


@dataclass
class Editor:
    """A bill being edited: the head, the rows, and what stands above them."""

    form: forms.BillForm
    rows: Any
    problem: str = ""
    status: int = 200


def _blank_bill(request: BusinessRequest, books: Books, clients: list[tuple[int, str]]) -> Editor:
    chosen = request.GET.get("client", "")
    initial = {
        "client": chosen if chosen.isascii() and chosen.isdigit() else "",
        "number": queries.next_number(books),
        "issued_on": books.today,
        "due_on": forms.suggested_due(books.today),
        "currency": books.business.currency,
        "tax_mode": "exclusive",
        "token": forms.new_token(),
    }
    return Editor(forms.BillForm(initial=initial, clients=clients), forms.line_rows())


def _stored_bill(detail: BillDetail, clients: list[tuple[int, str]]) -> Editor:
    entry = actions.entry_of(detail.bill)
    initial = {
        "client": entry.client_id,
        "number": entry.number,
        "reference": entry.reference,
        "issued_on": entry.issued_on,
        "due_on": entry.due_on,
        "currency": entry.currency,
        "tax_mode": entry.tax_mode.value,
        "token": forms.new_token(),
        "seen": detail.bill.updated_at.isoformat(),
    }
    form = forms.BillForm(initial=initial, clients=clients)
    return Editor(form, forms.line_rows(initial=_stored_rows(entry)))


def _stored_rows(entry: BillEntry) -> list[dict[str, Any]]:
    return [
        {
            "line_id": line.line_id,
            "description": line.description,
            "quantity": quantity(line.quantity),
            "unit_amount": f"{line.unit_amount.normalize():f}" if line.unit_amount else "0",
            "discount_rate": rate_text(line.discount_rate).rstrip("%"),
            "tax_rate": rate_text(line.tax_rate).rstrip("%"),
        }
        for line in entry.lines
    ]


def _submit_bill(
    request: BusinessRequest,
    books: Books,
    detail: BillDetail | None,
    clients: list[tuple[int, str]],
) -> HttpResponse:
    if "more" in request.POST:
        return _more_rows(request, detail, clients)
    editor = Editor(
        forms.BillForm(request.POST, clients=clients), forms.line_rows(request.POST), status=422
    )
    valid = editor.form.is_valid()
    if not (editor.rows.is_valid() and valid):
        return _show_form(request, editor, detail=detail)
    try:
        saved = _save_bill(request, editor, detail)
    except AlreadyDone as error:
        messages.info(request, str(error))
        return (
            redirect("bills:bill", error.target_id) if error.target_id else redirect("bills:bills")
        )
    except (Locked, Changed) as error:
        editor.problem, editor.status = str(error), 409
        return _show_form(request, editor, detail=detail, fresh=isinstance(error, Changed))
    except Refused as error:
        own = {k: v for k, v in error.problems.items() if not k.startswith("lines")}
        editor.form.place(own)
        editor.rows.place({k: v for k, v in error.problems.items() if k not in own})
        return _show_form(request, editor, detail=detail)
    except MISSING_ROWS as error:
        raise Http404 from error
    messages.success(request, f"Bill {saved} is saved.")
    return redirect("bills:bill", saved.pk)


def _save_bill(request: BusinessRequest, editor: Editor, detail: BillDetail | None) -> Bill:
    entry = editor.form.entry(editor.rows.entries())
    if detail is None:
        approve = request.POST.get("do") == "approve"
        return actions.bill_create(act=_act(request), entry=entry, approve=approve)
    seen = editor.form.cleaned_data["seen"]
    return actions.bill_edit(act=_act(request), bill_id=detail.bill.pk, entry=entry, seen=seen)


def _more_rows(
    request: BusinessRequest, detail: BillDetail | None, clients: list[tuple[int, str]]
) -> HttpResponse:
    """The form as it was typed, judged by nobody, with more empty rows."""
    typed = {name: request.POST.get(name, "") for name in forms.BillForm.base_fields}
    editor = Editor(
        forms.BillForm(initial=typed, clients=clients),
        forms.line_rows(initial=forms.typed_rows(request.POST)),
    )
    return _show_form(request, editor, detail=detail, more=forms.ROWS_MORE)


def _show_form(
    request: BusinessRequest,
    editor: Editor,
    *,
    detail: BillDetail | None = None,
    more: int = 0,
    fresh: bool = False,
) -> HttpResponse:
    if more:
        editor.rows.extra = more
    if fresh and detail is not None:
        _look_again(editor, detail)
    context = {
        "form": editor.form,
        "rows": editor.rows,
        "errors": _errors(editor),
        "problem": editor.problem,
        "bill": detail.bill if detail else None,
        "parted": detail is not None and detail.link is not None,
    }
    return render(request, "bills/bill_form.html", context, status=editor.status)


def _look_again(editor: Editor, detail: BillDetail) -> None:
    """After a clash the next press is made knowingly: it counts from the row as it is now."""
    data: Any = dict(editor.form.data.items())
    data["seen"], data["token"] = detail.bill.updated_at.isoformat(), forms.new_token()
    editor.form.data = data


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of the summary above a form."""

    target: str
    label: str
    text: str


def _errors(editor: Editor) -> list[FieldError]:
    if not editor.form.is_bound:
        return []
    found = [FieldError("", "", str(text)) for text in editor.form.non_field_errors()]
    found += [FieldError("lines", "Lines", str(t)) for t in editor.rows.non_form_errors()]
    found += _field_errors(editor.form, "")
    for index, row in enumerate(editor.rows.forms, start=1):
        found += _field_errors(row, f"Line {index}, ")
    return found


def _field_errors(form: Any, start: str) -> list[FieldError]:
    return [
        FieldError(field.id_for_label, f"{start}{field.label}", str(text))
        for field in form
        for text in field.errors
    ]


# --- payments ------------------------------------------------------------------------------------


@get_or_post
@change_required
def payment_new(request: BusinessRequest, pk: int) -> HttpResponse:
    """Record money that came in."""
    books = _books(request)
    detail = _found(lambda: queries.bill_detail(books, pk))
    if detail.owner is not None:
        return _locked(request, detail)
    if request.method != "POST":
        initial = {
            "amount": f"{detail.bill.outstanding.normalize():f}",
            "on": books.today,
            "token": forms.new_token(),
        }
        return _show_payment(request, detail, forms.PaymentForm(initial=initial))
    return _submit_payment(request, detail, forms.PaymentForm(request.POST))


def _submit_payment(
    request: BusinessRequest, detail: BillDetail, form: forms.PaymentForm
) -> HttpResponse:
    if not form.is_valid():
        return _show_payment(request, detail, form, status=422)
    try:
        actions.payment_record(act=_act(request), bill_id=detail.bill.pk, entry=form.entry())
    except AlreadyDone as error:
        messages.info(request, str(error))
    except Locked:
        return _locked(request, detail)
    except Refused as error:
        form.place(error.problems)
        return _show_payment(request, detail, form, status=422)
    else:
        messages.success(request, "The payment is recorded.")
    return redirect("bills:bill", detail.bill.pk)


def _show_payment(
    request: BusinessRequest, detail: BillDetail, form: forms.PaymentForm, status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "bill": detail.bill,
        "name": detail.bill.number or "this draft",
        "outstanding": money(detail.bill.outstanding, detail.bill.currency),
    }
    return render(request, "bills/payment_form.html", context, status=status)


# --- clients -------------------------------------------------------------------------------------

YEAR = timedelta(days=365)


@require_GET
@member_required
def clients(request: BusinessRequest) -> HttpResponse:
    """The list of clients; `?for=bill` chooses one for a new bill."""
    books = _books(request)
    q = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    damaged = ""
    try:
        page = queries.list_clients(books, q, **_edges(request))
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
def client(request: BusinessRequest, pk: int) -> HttpResponse:
    """A client with what is owed, the newest bills, and what is known of them."""
    books = _books(request)
    row, _, connection = _found(lambda: queries.client_detail(books, pk))
    wanted = Wanted(client=row.pk)
    summary = queries.summarise(books, wanted)
    page = queries.list_bills(books, wanted, size=10)
    owned = connection is not None and connection.state in queries.OWNING
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
        "all_url": _list_url(wanted) if page.after else "",
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
    books = _books(request)
    row, _, connection = _found(lambda: queries.client_detail(books, pk))
    if connection is not None and connection.state in queries.OWNING:
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
            form.data = _seen_again(form.data, row) if isinstance(error, Changed) else form.data
        else:
            messages.success(request, f"{saved.name} is saved.")
            return redirect("bills:client", saved.pk)
    return render(request, "bills/client_form.html", context, status=status)


def _save_client(request: BusinessRequest, form: forms.ClientForm, row: Client | None) -> Client:
    if row is None:
        return actions.client_create(act=_act(request), entry=form.entry())
    seen = form.cleaned_data["seen"]
    return actions.client_edit(act=_act(request), client_id=row.pk, entry=form.entry(), seen=seen)


def _seen_again(data: Any, row: Client | None) -> Any:
    again = data.copy()
    again["token"] = forms.new_token()
    if row is not None:
        again["seen"] = row.updated_at.isoformat()
    return again
