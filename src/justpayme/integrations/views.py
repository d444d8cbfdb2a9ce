"""Settings > Integrations: connect, choose, watch the import, look after, disconnect."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from django.conf import settings as django_settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
    require_safe,
)

from justpayme.accounts.access import (
    BusinessRequest,
    change_required,
    manage_required,
    member_required,
)
from justpayme.accounts.security_log import address_of
from justpayme.core.errors import CATALOGUE, Problem
from justpayme.integrations import actions, defaults, queries, shown
from justpayme.integrations.direction import leaving
from justpayme.integrations.forms import ChooseForm, SettingsForm
from justpayme.integrations.shown_lists import shown_defaults
from justpayme.sync.clock import RealClock
from justpayme.sync.models import Connection, Run
from justpayme.web.views import safe_next

log = structlog.get_logger(__name__)

State = Connection.State
RUNS_SHOWN = 5
RUNS_A_PAGE = 25

SYNC_SAID = {
    "asked": "Syncing now. This page shows the result in a moment.",
    "running": "A sync is under way. Another follows it, so that nothing is missed.",
    "soon": "Synced a moment ago. The next sync starts in a few seconds.",
    "blocked": "Xero allows no more calls for now. The sync goes on by itself.",
}


def connection_of(request: BusinessRequest, pk: int) -> Connection:
    """The organisation, if it is this business's and was chosen; else 404."""
    return get_object_or_404(queries.connections(request.business), pk=pk)


def _now() -> datetime:
    return timezone.now()


# --- connect -----------------------------------------------------------------------------------


@require_safe
@member_required
def index(request: BusinessRequest) -> HttpResponse:
    """Every organisation with its state, or the way to the first one."""
    now = _now()
    counts = queries.bill_counts(request.business)
    busy = queries.syncing(request.business)
    held = queries.held(request.business)
    cards = [
        shown.card(
            connection,
            counts.get(connection.pk, 0),
            now,
            under_way=connection.pk in busy,
            held=held.get(connection.pk),
        )
        for connection in queries.connections(request.business)
    ]
    offered = queries.choosable(request.business).filter(state=State.OFFERED).count()
    context = {
        "cards": cards,
        "offered": offered,
        "overridden": sum(one.conflicts for one in held.values()),
        "unsent": sum(one.waiting + one.parked + one.refused for one in held.values()),
    }
    return render(request, "integrations/index.html", context)


@require_safe
@member_required
def xero(request: BusinessRequest) -> HttpResponse:
    """What connecting means, before anything is asked."""
    return render(
        request,
        "integrations/xero.html",
        {"first": not queries.connections(request.business).exists()},
    )


@require_POST
@manage_required
def connect(request: BusinessRequest) -> HttpResponse:
    """Off to Xero."""
    return to_xero(request, actions.errand_to_connect(request.business))


@require_POST
@manage_required
def reconnect(request: BusinessRequest, pk: int) -> HttpResponse:
    """Off to Xero, to heal this connection."""
    connection = connection_of(request, pk)
    return to_xero(request, actions.errand_of(connection, actions.Purpose.RECONNECT))


def to_xero(request: BusinessRequest, errand: actions.Errand) -> HttpResponse:
    """Off to Xero, on this errand."""
    if request.session.session_key is None:
        request.session.create()
    url = actions.begin_connect(
        by=request.membership,
        session_key=request.session.session_key or "",
        address=address_of(request),
        now=_now(),
        errand=errand,
    )
    return HttpResponseRedirect(url)


@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Back from Xero. Answers a redirect, so that the code stays in no page and no history.

    No sign-in is offered here: it would carry the code along in an address.
    """
    asking: Any = request
    query = request.GET
    # From here on the address is without its query: pages and logs repeat addresses.
    request.META["QUERY_STRING"] = ""
    if not request.user.is_authenticated or asking.membership is None:
        return _state_refused(request)
    try:
        consent = actions.complete_connect(
            by=asking.membership,
            session_key=request.session.session_key or "",
            state=query.get("state", ""),
            code=query.get("code", ""),
            error=query.get("error", ""),
            address=address_of(request),
            now=_now(),
        )
    except actions.StateRefused:
        return _state_refused(request)
    except (Problem, actions.WrongConsent) as failed:
        return _failed(query.get("state", ""), failed.code)
    return _after_consent(asking, consent)


def _failed(state: str, code: str) -> HttpResponse:
    """Why nothing came of a sign-in; the state was one of ours, or we were not here."""
    errand = actions.Errand.of(state)
    if errand.purpose is actions.Purpose.WRITE:
        return redirect("integrations:stayed", pk=errand.pk, code=code)
    return redirect("integrations:outcome", code=code)


def _state_refused(request: HttpRequest) -> HttpResponse:
    response = render(request, "integrations/state_refused.html", status=400)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _after_consent(request: BusinessRequest, consent: actions.Consent) -> HttpResponse:
    """Where to go: on with going bidirectional, to the healed organisation, straight on with
    the only one, or to the picker."""
    errand = consent.errand
    if errand.purpose is actions.Purpose.WRITE:
        _refresh_lists(request, errand.pk)
        return redirect("integrations:preview", pk=errand.pk)
    for connection in consent.healed:
        messages.success(request, f"Reconnected {connection.name}. Every setting is as it was.")
    if queries.connections(request.business).filter(pk=errand.pk, state=State.LOST):
        return redirect("integrations:outcome", code="wrong_organisation")
    if len(consent.choosable) == 1:
        return _choose_only(request, consent.choosable[0])
    if consent.healed:
        return redirect("integrations:organisation", pk=consent.healed[0].pk)
    if consent.choosable:
        return redirect("integrations:choose")
    messages.info(request, "Every organisation that Xero gave is already connected.")
    return redirect("integrations:index")


def _refresh_lists(request: BusinessRequest, pk: int) -> None:
    """The defaults are chosen next, so have Xero's lists as they are now. At best: the page of
    the defaults says when something is missing, and has a button."""
    row = connection_of(request, pk)
    try:
        defaults.refresh_lists(by=request.membership, connection=row, clock=RealClock())
    except (Problem, actions.NotPossible) as failed:
        log.warning("lists_not_refreshed", connection=pk, why=str(failed))


def _choose_only(request: BusinessRequest, connection: Connection) -> HttpResponse:
    """Straight on to the import; it may have been begun by another owner a moment ago."""
    try:
        actions.choose(
            by=request.membership, connection=connection, address=address_of(request), now=_now()
        )
    except actions.NotPossible as why:
        if not queries.connections(request.business).filter(pk=connection.pk, state=State.LIVE):
            messages.error(request, str(why))
            return redirect("integrations:index")
    return redirect("integrations:progress", pk=connection.pk)


@require_safe
@member_required
def outcome(request: BusinessRequest, code: str) -> HttpResponse:
    """Why nothing was connected, and what to do."""
    entry = CATALOGUE.get(code)
    if entry is None and code != "wrong_organisation":
        raise Http404
    lost = queries.connections(request.business).filter(state=State.LOST).first()
    return render(request, "integrations/outcome.html", {"entry": entry, "lost": lost})


@require_http_methods(["GET", "HEAD", "POST"])
@manage_required
def choose(request: BusinessRequest) -> HttpResponse:
    """The organisation picker."""
    choosable = queries.choosable(request.business)
    form = ChooseForm(request.POST or None, choosable=choosable)
    if request.method == "POST" and form.is_valid():
        return _chosen(request, form)
    if not choosable.exists():
        return redirect("integrations:xero")
    return render(
        request,
        "integrations/choose.html",
        {"form": form, "options": _options(request, choosable, form)},
        status=400 if form.is_bound else 200,
    )


def _chosen(request: BusinessRequest, form: ChooseForm) -> HttpResponse:
    try:
        connection = actions.choose(
            by=request.membership,
            connection=form.cleaned_data["organisation"],
            import_drafts=form.cleaned_data["import_drafts"],
            address=address_of(request),
            now=_now(),
        )
    except actions.NotPossible as why:
        messages.error(request, str(why))
        return redirect("integrations:index")
    return redirect("integrations:progress", pk=connection.pk)


def _options(
    request: BusinessRequest, choosable: QuerySet[Connection], form: ChooseForm
) -> list[dict[str, Any]]:
    """Those to choose from, then those already connected; what was synced before comes first,
    so that coming back is not one press away from importing another organisation."""
    now = _now()
    counts = queries.bill_counts(request.business)
    busy = queries.syncing(request.business)
    picked = form["organisation"].value() if form.is_bound else None
    back_first = sorted(choosable, key=lambda one: one.state != State.DISCONNECTED)
    rows = [(one, True) for one in back_first]
    rows += [(one, False) for one in queries.connections(request.business) if one.is_live]
    return [
        {
            "card": shown.card(one, counts.get(one.pk, 0), now, under_way=one.pk in busy),
            "free": free,
            "checked": str(one.pk) == picked or (picked is None and place == 0),
            "before": one.state == State.DISCONNECTED,
        }
        for place, (one, free) in enumerate(rows)
    ]


# --- one organisation --------------------------------------------------------------------------


@require_safe
@member_required
def organisation(request: BusinessRequest, pk: int) -> HttpResponse:
    """State, settings, activity and the way out of one organisation."""
    return organisation_page(request, connection_of(request, pk), None, 200)


def organisation_page(
    request: BusinessRequest, connection: Connection, form: SettingsForm | None, status: int
) -> HttpResponse:
    """The page of one organisation; `form`: settings that could not be stored."""
    now = _now()
    values = {
        "interval_minutes": connection.interval_minutes,
        "import_drafts": connection.import_drafts,
    }
    calls, data = shown.meters(queries.used(connection, now))
    under_way = connection.pk in queries.syncing(request.business)
    context = {
        "card": shown.card(
            connection,
            queries.bill_count(connection),
            now,
            under_way=under_way,
            held=queries.held(request.business).get(connection.pk),
        ),
        "connection": connection,
        "form": form or SettingsForm(initial=values),
        "told": shown.told(connection, now),
        "may_tell": bool(django_settings.XERO_WEBHOOK_KEYS),
        "runs": _shown_runs(request, connection, queries.runs(connection, limit=RUNS_SHOWN)),
        "defaults": shown_defaults(connection),
        "may_write": actions.may_write(connection),
        "calls": calls,
        "data": data,
        "problem": CATALOGUE.get(connection.error_code or queries.not_allowed(connection)),
        "stopped_run": (stopped := queries.stopped_run(connection)),
        "about_to_change": shown.about_to_change(stopped),
        "may_resume": connection.error_code != "organisation_changed",
    }
    return render(request, "integrations/organisation.html", context, status=status)


def _shown_runs(
    request: BusinessRequest, connection: Connection, found: list[Run]
) -> list[shown.ShownRun]:
    now, tz = _now(), connection.time_zone
    return [shown.shown_run(run, now, tz, you=request.user.pk) for run in found]


@require_safe
@member_required
def progress(request: BusinessRequest, pk: int) -> HttpResponse:
    """The first import as it goes on; it goes on without this page too."""
    connection = connection_of(request, pk)
    run = queries.import_run(connection)
    context = {
        "connection": connection,
        "progress": shown.progress(connection, run, queries.bill_count(connection), _now()),
        "problem": CATALOGUE.get(connection.error_code),
    }
    return render(request, "integrations/progress.html", context)


@require_POST
@change_required
def sync_now(request: BusinessRequest, pk: int) -> HttpResponse:
    """Ask for a sync at once, and go back to where the button was pressed."""
    connection = connection_of(request, pk)
    try:
        answer = actions.sync_now(by=request.membership, connection=connection, now=_now())
    except actions.NotPossible as why:
        messages.error(request, str(why))
    else:
        level = messages.WARNING if answer == "blocked" else messages.INFO
        messages.add_message(request, level, SYNC_SAID[answer])
    return redirect(safe_next(request, reverse("integrations:organisation", args=[pk])))


@require_POST
@manage_required
def settings(request: BusinessRequest, pk: int) -> HttpResponse:
    """Save schedule and drafts."""
    connection = connection_of(request, pk)
    form = SettingsForm(request.POST)
    if not form.is_valid():
        return organisation_page(request, connection, form, 400)
    actions.change_settings(
        by=request.membership,
        connection=connection,
        interval_minutes=form.cleaned_data["interval_minutes"],
        import_drafts=form.cleaned_data["import_drafts"],
        address=address_of(request),
        now=_now(),
    )
    messages.success(request, "Settings saved.")
    return redirect("integrations:organisation", pk=pk)


@require_POST
@manage_required
def resume(request: BusinessRequest, pk: int) -> HttpResponse:
    """Go on after a safety stop."""
    connection = connection_of(request, pk)
    try:
        actions.resume(
            by=request.membership, connection=connection, address=address_of(request), now=_now()
        )
    except actions.NotPossible as why:
        messages.error(request, str(why))
    else:
        messages.success(request, "The sync goes on.")
    return redirect("integrations:organisation", pk=pk)


@require_http_methods(["GET", "HEAD", "POST"])
@manage_required
def disconnect(request: BusinessRequest, pk: int) -> HttpResponse:
    """Ask first, saying what stays; then end it."""
    connection = connection_of(request, pk)
    if connection.state == State.DISCONNECTED:
        return redirect("integrations:organisation", pk=pk)
    if request.method != "POST":
        count = queries.bill_count(connection)
        context = {
            "connection": connection,
            "count": count,
            "bills": shown.counted(count, "bill"),
            "leaving": leaving(connection),
        }
        return render(request, "integrations/disconnect.html", context)
    try:
        problem = actions.disconnect(
            by=request.membership, connection=connection, address=address_of(request), now=_now()
        )
    except actions.NotPossible as why:
        messages.error(request, str(why))
        return redirect("integrations:organisation", pk=pk)
    messages.success(request, f"Disconnected {connection.name}. Every bill stays here.")
    if problem is not None:
        messages.warning(
            request,
            "Xero could not be told yet. We make no more calls, and tell it as soon as we can.",
        )
    return redirect("integrations:organisation", pk=pk)


# --- runs --------------------------------------------------------------------------------------


@require_safe
@member_required
def runs(request: BusinessRequest, pk: int) -> HttpResponse:
    """Every sync run, newest first."""
    connection = connection_of(request, pk)
    text = request.GET.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    found = queries.runs(connection, before=before, limit=RUNS_A_PAGE + 1)
    older = found[RUNS_A_PAGE - 1].pk if len(found) > RUNS_A_PAGE else None
    context = {
        "connection": connection,
        "runs": _shown_runs(request, connection, found[:RUNS_A_PAGE]),
        "older": older,
        "before": before,
    }
    return render(request, "integrations/runs.html", context)


@require_safe
@member_required
def run(request: BusinessRequest, pk: int, run_pk: int) -> HttpResponse:
    """One sync run: what it read, changed and used, and how it ended."""
    connection = connection_of(request, pk)
    found = get_object_or_404(connection.runs.select_related("by"), pk=run_pk)
    [row] = _shown_runs(request, connection, [found])
    return render(request, "integrations/run.html", {"connection": connection, "row": row})
