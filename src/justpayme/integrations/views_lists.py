"""The two lists of what needs a person: overridden by Xero, and waiting or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from justpayme.accounts.access import BusinessRequest, change_required, member_required
from justpayme.bills import actions as bill_actions
from justpayme.bills.actions import Act, ActionError
from justpayme.integrations import queries, shown_lists
from justpayme.integrations.shown import counted
from justpayme.sync.models import Conflict, Connection, OutboxItem

ROWS_A_PAGE = 50
TABS = (
    ("all", "All"),
    ("waiting", "Waiting"),
    ("parked", "Needs attention"),
    ("refused", "Refused"),
)
CHOICES = {"mine": "on the way to Xero", "xero": "kept as Xero has it"}
MISSING = (Conflict.DoesNotExist, OutboxItem.DoesNotExist)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a list: a tab, an organisation, and from where on."""

    tab: str
    organisation: Connection | None
    before: int | None

    def url(self, name: str, **other: Any) -> str:
        """The address of this part, or of a neighbour of it."""
        parts = {
            "state": "" if self.tab == "all" else self.tab,
            "organisation": self.organisation.pk if self.organisation else "",
        }
        query = urlencode({k: v for k, v in (parts | other).items() if v})
        return reverse(name) + (f"?{query}" if query else "")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _query(request: HttpRequest) -> QueryDict:
    """The query of the list: of the address, or as it travelled along in a form."""
    return QueryDict(request.POST["query"][:200]) if "query" in request.POST else request.GET


def _wanted(request: BusinessRequest) -> Wanted:
    """What the address asks for; what makes no sense there is left out."""
    query = _query(request)
    pk = _number(query.get("organisation", ""))
    row = queries.connections(request.business).filter(pk=pk).first() if pk else None
    tab = query.get("state", "all")
    tab = tab if tab in queries.ITEM_FILTERS else "all"
    return Wanted(tab, row, _number(query.get("before", "")))


def _part(rows: QuerySet[Any], wanted: Wanted) -> tuple[list[Any], int | None]:
    """One page of rows, and the id before which the next one begins."""
    if wanted.before is not None:
        rows = rows.filter(pk__lt=wanted.before)
    found = list(rows[: ROWS_A_PAGE + 1])
    more = len(found) > ROWS_A_PAGE
    return found[:ROWS_A_PAGE], found[ROWS_A_PAGE - 1].pk if more else None


def _context(
    request: BusinessRequest, wanted: Wanted, name: str, older: int | None
) -> dict[str, Any]:
    organisations = list(queries.connections(request.business))
    return {
        "wanted": wanted,
        "organisations": organisations,
        "query": _query(request).urlencode(),
        "older_url": wanted.url(name, before=older) if older else "",
        "newest_url": wanted.url(name) if wanted.before else "",
        "may_change": request.membership.may_change,
    }


# --- overridden by Xero ------------------------------------------------------------------------


@require_safe
@member_required
def conflicts(request: BusinessRequest) -> HttpResponse:
    """Values of ours that Xero overrode, newest first, with both values."""
    return _conflicts_page(request, 200)


def _conflicts_page(request: BusinessRequest, status: int) -> HttpResponse:
    wanted, now = _wanted(request), timezone.now()
    pk = wanted.organisation.pk if wanted.organisation else None
    found = queries.open_conflicts(request.business, pk)
    rows, older = _part(found, wanted)
    units = (unit for row in rows for unit in (row.ours, row.theirs))
    names = queries.contact_names(request.business, units)
    shown = [shown_lists.conflict(row, now, you=request.user.pk, names=names) for row in rows]
    context = _context(request, wanted, "integrations:conflicts", older) | {
        "rows": shown,
        "any_sendable": any(not row.why_not for row in shown),
        "count": counted(found.count(), "value"),
    }
    return render(request, "integrations/conflicts.html", context, status=status)


@require_POST
@change_required
def resolve(request: BusinessRequest) -> HttpResponse:
    """Send ours, or keep Xero's, for those that are ticked or whose own button was pressed."""
    choice, _, alone = request.POST.get("do", "").partition(":")
    ids = _ids(request, alone)
    if choice not in CHOICES or not ids:
        messages.error(request, "Tick at least one value, then choose which one counts.")
        return _conflicts_page(request, 422)
    try:
        bill_actions.conflict_resolve(
            act=_act(request), conflict_ids=ids, choice="mine" if choice == "mine" else "xero"
        )
    except MISSING as error:
        raise Http404 from error
    except ActionError as why:
        messages.error(request, str(why))
        return _conflicts_page(request, 409)
    messages.success(request, f"{counted(len(ids), 'value')} {CHOICES[choice]}.")
    return _back(request, "integrations:conflicts")


# --- waiting and refused -----------------------------------------------------------------------


@require_safe
@member_required
def outbox(request: BusinessRequest) -> HttpResponse:
    """What has not reached Xero: waiting, needing a decision, or refused."""
    return _outbox_page(request, 200)


def _outbox_page(request: BusinessRequest, status: int) -> HttpResponse:
    wanted, now = _wanted(request), timezone.now()
    pk = wanted.organisation.pk if wanted.organisation else None
    rows, older = _part(queries.items(request.business, wanted.tab, pk), wanted)
    shown = [shown_lists.item(row, now, you=request.user.pk) for row in rows]
    context = _context(request, wanted, "integrations:outbox", older) | {
        "rows": shown,
        "retriable": any(row.may_retry for row in shown),
        "tabs": [
            {
                "label": label,
                "count": f"{queries.items(request.business, key, pk).count():,}",
                "url": Wanted(key, wanted.organisation, None).url("integrations:outbox"),
                "current": key == wanted.tab,
            }
            for key, label in TABS
        ],
    }
    return render(request, "integrations/outbox.html", context, status=status)


@require_POST
@change_required
def retry(request: BusinessRequest) -> HttpResponse:
    """Try again those that are ticked, or the one whose button was pressed."""
    _, _, alone = request.POST.get("do", "").partition(":")
    ids = _ids(request, alone)
    if not ids:
        messages.error(request, "Tick at least one row first.")
        return _outbox_page(request, 422)
    try:
        bill_actions.item_retry(act=_act(request), item_ids=ids)
    except MISSING as error:
        raise Http404 from error
    except ActionError as why:
        messages.error(request, str(why))
        return _outbox_page(request, 409)
    messages.success(request, f"{counted(len(ids), 'change')} will be tried again.")
    return _back(request, "integrations:outbox")


@require_POST
@change_required
def decide_contact(request: BusinessRequest, pk: int) -> HttpResponse:
    """Say which contact in Xero a client is, or that it is a new one."""
    item = queries.items(request.business).filter(pk=pk).first()
    if item is None:
        raise Http404
    chosen = request.POST.get("contact", "")
    known = {str(contact["id"]) for contact in item.detail.get("contacts", ())}
    if chosen != "new" and chosen not in known:
        messages.error(request, "Contact: choose one of the list, or a new one.")
        return _outbox_page(request, 422)
    try:
        bill_actions.contact_decide(
            act=_act(request), item_id=pk, contact_id=None if chosen == "new" else chosen
        )
    except MISSING as error:
        raise Http404 from error
    except ActionError as why:
        messages.error(request, str(why))
        return _outbox_page(request, 409)
    messages.success(request, "Thank you. What waited for this goes on.")
    return _back(request, "integrations:outbox")


def _ids(request: HttpRequest, alone: str) -> list[int]:
    """The one whose own button was pressed, else those that are ticked."""
    texts = [alone] if alone else request.POST.getlist("item")
    numbers = [_number(text) for text in texts]
    return [number for number in numbers if number is not None]


def _act(request: BusinessRequest) -> Act:
    return Act(request.membership, timezone.now(), request.POST.get("token", ""))


def _back(request: HttpRequest, name: str) -> HttpResponse:
    """To the same part of the list."""
    query = _query(request).urlencode()
    return redirect(reverse(name) + (f"?{query}" if query else ""))
