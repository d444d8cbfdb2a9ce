"""The buttons of a bill that stands between here and Xero: send, take back, decide, try again.

Each posts to its own address, and is refused on the bill's own page with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from justpayme.accounts.access import BusinessRequest, change_required
from justpayme.bills import actions, forms, queries
from justpayme.bills.actions import AlreadyDone, Changed, Locked, Refused
from justpayme.bills.common import (
    MISSING_ROWS,
    act_of,
    books_of,
    found,
    get_or_post,
    show_bill,
)
from justpayme.bills.queries import BillDetail
from justpayme.sync.models import RESTING

CHOICES = {
    "mine": "Yours stands again and is on its way to Xero.",
    "xero": "Xero’s value stays. Yours is kept in the history.",
}


def press(request: BusinessRequest, pk: int, act: Callable[[], Any], done: str) -> HttpResponse:
    """Carry out a button; a refusal is told on the bill's own page."""
    try:
        act()
    except MISSING_ROWS as error:
        raise Http404 from error
    except AlreadyDone as error:
        messages.info(request, str(error))
    except (Locked, Changed, Refused) as error:
        books = books_of(request)
        detail = found(lambda: queries.bill_detail(books, pk))
        status = 422 if isinstance(error, Refused) else 409
        settings = error.settings_of if isinstance(error, Refused) else None
        return show_bill(
            request, books, detail, problem=str(error), status=status, settings_of=settings
        )
    else:
        messages.success(request, done)
    return redirect("bills:bill", pk)


def _detail(request: BusinessRequest, pk: int) -> BillDetail:
    books = books_of(request)
    detail: BillDetail = found(lambda: queries.bill_detail(books, pk))
    return detail


def _number(text: str) -> int:
    """An id from a form; 0, which is nobody's, for what is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


@require_POST
@change_required
def bill_send(request: BusinessRequest, pk: int) -> HttpResponse:
    """A bill that exists only here becomes an invoice of the chosen organisation."""
    chosen = _number(request.POST.get("organisation", ""))
    return press(
        request,
        pk,
        lambda: actions.bill_send_to_xero(act=act_of(request), bill_id=pk, connection_id=chosen),
        "This bill is on its way to Xero.",
    )


@get_or_post
@change_required
def bill_discard(request: BusinessRequest, pk: int) -> HttpResponse:
    """Ask, then take Xero's version, or keep the bill only here."""
    detail = _detail(request, pk)
    if request.method != "POST":
        context = {
            "bill": detail.bill,
            "name": detail.bill.number or f"the draft for {detail.bill.client.name}",
            "linked": detail.partner is not None,
            "token": forms.new_token(),
        }
        return render(request, "bills/bill_discard.html", context)
    done = "Xero’s version is in use now." if detail.partner else "This bill stays only here."
    return press(request, pk, lambda: actions.bill_discard(act=act_of(request), bill_id=pk), done)


@require_POST
@change_required
def bill_conflicts(request: BusinessRequest, pk: int) -> HttpResponse:
    """Send ours to Xero, or keep Xero's: for those ticked, or all of the bill."""
    detail = _detail(request, pk)
    choice = request.POST.get("do", "")
    ticked = {_number(text) for text in request.POST.getlist("conflict")}
    ids = [row.pk for row in detail.conflicts if row.pk in ticked]
    if choice not in ("mine", "xero") or not ids:
        why = "Tick at least one value, then choose which one counts."
        books = books_of(request)
        return show_bill(request, books, detail, problem=why, status=422)
    return press(
        request,
        pk,
        lambda: actions.conflict_resolve(
            act=act_of(request), conflict_ids=ids, choice="mine" if choice == "mine" else "xero"
        ),
        CHOICES[choice],
    )


@require_POST
@change_required
def bill_retry(request: BusinessRequest, pk: int) -> HttpResponse:
    """Try one change of the bill again, or all that rest."""
    detail = _detail(request, pk)
    given = request.POST.get("item", "")
    resting = [item.pk for item in detail.items if item.state in RESTING]
    wanted = [_number(given)] if given else resting
    if not set(wanted) <= set(resting) or not wanted:
        messages.info(request, "Nothing of this bill waits to be tried again.")
        return redirect("bills:bill", pk)
    return press(
        request,
        pk,
        lambda: actions.item_retry(act=act_of(request), item_ids=wanted),
        "It is being tried again.",
    )


@require_POST
@change_required
def bill_contact(request: BusinessRequest, pk: int) -> HttpResponse:
    """Say which contact in Xero the bill's client is, or that it is a new one."""
    detail = _detail(request, pk)
    item = _number(request.POST.get("item", ""))
    chosen = request.POST.get("contact", "")
    if item not in {one.pk for one in detail.items}:
        messages.info(request, "This was decided already.")
        return redirect("bills:bill", pk)
    return press(
        request,
        pk,
        lambda: actions.contact_decide(
            act=act_of(request),
            item_id=item,
            contact_id=None if chosen == "new" else chosen,
            name=request.POST.get("name", "") if chosen == "new" else "",
        ),
        "Thank you. What waited for this goes on.",
    )
