"""Going bidirectional and back: permission, defaults, preview, confirmation."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from justpayme.accounts.access import BusinessRequest, manage_required, member_required
from justpayme.accounts.security_log import address_of
from justpayme.bills.actions import Refused
from justpayme.core.errors import CATALOGUE, Problem
from justpayme.integrations import actions, defaults, direction, queries, shown, shown_plan
from justpayme.integrations.actions import NotPossible
from justpayme.integrations.forms import DefaultsForm, DirectionForm
from justpayme.integrations.plan import AT_ONCE, Plan, difference, tickable, ticked
from justpayme.integrations.views import connection_of, organisation_page, to_xero
from justpayme.sync.clock import RealClock
from justpayme.sync.models import Connection

Direction = Connection.Direction
get_or_post = require_http_methods(["GET", "HEAD", "POST"])

ROWS_A_PAGE = 50


# --- which way ---------------------------------------------------------------------------------


@require_POST
@manage_required
def choose_direction(request: BusinessRequest, pk: int) -> HttpResponse:
    """The first step of the change: permission, defaults, preview; or the question back."""
    connection = connection_of(request, pk)
    form = DirectionForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"Direction: {form.errors['direction'][0]}")
        return organisation_page(request, connection, None, 400)
    if not connection.is_in_use:
        messages.error(request, f"{connection.name} is not connected. Connect it first.")
    elif form.cleaned_data["direction"] == connection.direction:
        messages.info(request, f"{connection.name} is {_word(connection)} already.")
    elif connection.direction == Direction.TWO:
        return redirect("integrations:one_way", pk=pk)
    elif actions.may_write(connection):
        return redirect("integrations:preview", pk=pk)
    else:
        return to_xero(request, actions.errand_of(connection, actions.Purpose.WRITE))
    return redirect("integrations:organisation", pk=pk)


def _word(connection: Connection) -> str:
    return str(connection.get_direction_display()).lower()


@require_safe
@member_required
def stayed(request: BusinessRequest, pk: int, code: str) -> HttpResponse:
    """Why Xero's consent did not lead to bidirectional; everything is as it was."""
    connection = connection_of(request, pk)
    entry = CATALOGUE.get(code)
    if entry is None and code not in actions.WRONG:
        raise Http404
    context = {"connection": connection, "entry": entry, "code": code}
    return render(request, "integrations/stayed.html", context)


# --- preview -----------------------------------------------------------------------------------


@get_or_post
@manage_required
def preview(request: BusinessRequest, pk: int) -> HttpResponse:
    """What going bidirectional would do in Xero; with ticks, and to be confirmed."""
    connection = connection_of(request, pk)
    if connection.defaults_set_at is None and connection.is_live:
        return redirect("integrations:defaults", pk=pk)
    pressed = request.POST.get("do", "")
    try:
        if pressed == "confirm":
            return _confirm(request, connection)
        plan = direction.preview(
            by=request.membership, connection=connection, chosen=_ticks(request)
        )
        if pressed in ("all", "none"):
            keys = tickable(plan) if pressed == "all" else frozenset()
            plan = direction.preview(by=request.membership, connection=connection, chosen=keys)
    except NotPossible as why:
        messages.error(request, str(why))
        return redirect("integrations:organisation", pk=pk)
    return _preview_page(request, connection, plan, _page_number(request), None)


def _confirm(request: BusinessRequest, connection: Connection) -> HttpResponse:
    try:
        plan = direction.go_two_way(
            by=request.membership,
            connection=connection,
            chosen=_ticks(request),
            digest=request.POST.get("digest", ""),
            address=address_of(request),
            now=timezone.now(),
        )
    except direction.Shifted as shifted:
        notice = shown_plan.notice(difference(_marks(request), shifted.plan))
        return _preview_page(request, connection, shifted.plan, 1, notice)
    except Refused as why:
        plan = direction.preview(
            by=request.membership, connection=connection, chosen=_ticks(request)
        )
        return _preview_page(request, connection, plan, 1, shown_plan.refused(str(why)))
    sent = len(plan.going)
    words = f"{shown.counted(sent, 'change')} on the way." if sent else "Nothing had to be sent."
    now = "" if connection.direction == Direction.TWO else f"{connection.name} is bidirectional. "
    messages.success(request, f"{now}{words}")
    return redirect("integrations:organisation", pk=connection.pk)


def _ticks(request: HttpRequest) -> frozenset[str]:
    """What is ticked: on this page by its boxes, on the others by what the form carries."""
    carried = set(request.POST.get("chosen", "").split())
    here = set(request.POST.get("here", "").split())
    return frozenset((carried - here) | set(request.POST.getlist("item")))


def _marks(request: HttpRequest) -> dict[str, str]:
    """The marks that the form carries: "key:mark key:mark"."""
    pairs = (part.partition(":") for part in request.POST.get("marks", "").split())
    return {key: mark for key, _, mark in pairs}


def _page_number(request: HttpRequest) -> int:
    """Which part of the list is wanted: a button "page:3"."""
    _, _, text = request.POST.get("do", "").partition("page:")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1


def _preview_page(
    request: BusinessRequest,
    connection: Connection,
    plan: Plan,
    wanted: int,
    notice: shown_plan.Notice | None,
) -> HttpResponse:
    order = shown_plan.in_order(plan)
    last = max(1, -(-len(order) // ROWS_A_PAGE))
    page = min(max(1, wanted), last)
    part = order[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE]
    units = (unit for i in part if i.source for unit in (i.source.ours, i.source.theirs))
    names = queries.contact_names(request.business, units)
    context = {
        "connection": connection,
        "plan": plan,
        "figures": shown_plan.figures(plan, connection.links.count(), connection.currency),
        "rows": shown_plan.rows(plan, part, connection.currency, names),
        "notice": notice,
        "here": " ".join(item.key for item in part),
        "chosen": " ".join(sorted(ticked(plan))),
        "marks": " ".join(f"{key}:{mark}" for key, mark in plan.marks.items()),
        "going": shown.counted(len(plan.going), "change"),
        "page": page,
        "pages": last,
        "first": (page - 1) * ROWS_A_PAGE + 1,
        "until": (page - 1) * ROWS_A_PAGE + len(part),
        "candidates": len(order),
        "stays": len(plan.blocked),
        "two_way": connection.direction == Direction.TWO,
        "at_once": AT_ONCE if len(order) > AT_ONCE else 0,
    }
    return render(request, "integrations/preview.html", context, status=409 if notice else 200)


# --- back --------------------------------------------------------------------------------------


@get_or_post
@manage_required
def one_way(request: BusinessRequest, pk: int) -> HttpResponse:
    """Ask first, saying what becomes of what waits; then stop sending."""
    connection = connection_of(request, pk)
    if request.method != "POST":
        if connection.direction == Direction.ONE:
            return redirect("integrations:organisation", pk=pk)
        context = {"connection": connection, "leaving": direction.leaving(connection)}
        return render(request, "integrations/one_way.html", context)
    try:
        aside = direction.go_one_way(
            by=request.membership,
            connection=connection,
            address=address_of(request),
            now=timezone.now(),
        )
    except NotPossible as why:
        messages.error(request, str(why))
    else:
        words = f"{shown.counted(aside.waiting, 'change')} set aside." if aside.waiting else ""
        text = f"{connection.name} is one-directional now. Nothing is sent to Xero. {words}"
        messages.success(request, text.strip())
    return redirect("integrations:organisation", pk=pk)


# --- defaults ----------------------------------------------------------------------------------


@get_or_post
@manage_required
def defaults_page(request: BusinessRequest, pk: int) -> HttpResponse:
    """The defaults for new invoices, and the accounts that receive payments."""
    connection = connection_of(request, pk)
    if not connection.is_in_use:
        messages.error(request, f"{connection.name} is not connected. Connect it first.")
        return redirect("integrations:organisation", pk=pk)
    choices = defaults.choices_of(connection)
    if request.method != "POST":
        form = DefaultsForm(initial=_initial(connection), choices=choices)
        return _defaults_page(request, connection, form, choices, 200)
    form = DefaultsForm(request.POST, choices=choices)
    form.is_valid()
    first = connection.defaults_set_at is None
    try:
        connection = defaults.save_defaults(
            by=request.membership,
            connection=connection,
            chosen=form.chosen(),
            address=address_of(request),
            now=timezone.now(),
        )
    except defaults.BadDefaults as bad:
        form.add_problems(bad.problems)
        return _defaults_page(request, connection, form, choices, 422)
    except NotPossible as why:
        messages.error(request, str(why))
        return redirect("integrations:organisation", pk=pk)
    messages.success(request, "Defaults saved.")
    one_way_still = connection.direction == Direction.ONE and connection.is_live
    if first and one_way_still and actions.may_write(connection):
        return redirect("integrations:preview", pk=pk)
    return redirect("integrations:organisation", pk=pk)


def _initial(connection: Connection) -> dict[str, Any]:
    now = defaults.stored(connection)
    receivers = {defaults.receiver_field(c): pk for c, pk in now.receivers.items()}
    return {
        "revenue_account": now.revenue_account,
        "tax_type": now.tax_type,
        "branding_theme": now.branding_theme,
        "create_as": now.create_as,
        "write_back": now.write_back,
        **receivers,
    }


def _defaults_page(
    request: BusinessRequest,
    connection: Connection,
    form: DefaultsForm,
    choices: defaults.Choices,
    status: int,
) -> HttpResponse:
    trouble = {} if form.is_bound else defaults.trouble(connection, choices)
    context = {
        "connection": connection,
        "form": form,
        "choices": choices,
        "trouble": [(form.fields[name].label, said) for name, said in trouble.items()],
        "first": connection.defaults_set_at is None,
        "listed": bool(choices.accounts and choices.tax_types),
    }
    return render(request, "integrations/defaults.html", context, status=status)


@require_POST
@manage_required
def refresh_lists(request: BusinessRequest, pk: int) -> HttpResponse:
    """Ask Xero for its lists anew."""
    connection = connection_of(request, pk)
    try:
        defaults.refresh_lists(by=request.membership, connection=connection, clock=RealClock())
    except NotPossible as why:
        messages.error(request, str(why))
    except Problem as problem:
        messages.error(request, f"{problem.sentence} {problem.entry.remedy}")
    else:
        messages.success(request, "The lists are as they are in Xero now.")
    return redirect("integrations:defaults", pk=pk)
