"""Xero organisations: list, read, settings, sync now, disconnect."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Router
from ninja.responses import Status as Answer

from justpayme.accounts.security_log import address_of
from justpayme.api import present, shapes
from justpayme.api.auth import caller
from justpayme.api.routing import changes, reads
from justpayme.integrations import actions, queries
from justpayme.sync.models import Connection, Run

router = Router(tags=["organisations"])
ONE = "/organisations/{int:organisation_id}"
OUTCOMES = {
    "asked": "A sync was asked for and starts within seconds.",
    "running": "A sync is under way; another follows it.",
    "soon": "A sync has just run; another starts within seconds.",
    "blocked": "Xero asked us to wait; the sync runs as soon as it may.",
}


@reads(router, "/organisations", shapes.Organisations, "List organisations")
def list_organisations(request: HttpRequest) -> Any:
    """Every organisation that was ever chosen, by name, disconnected ones too."""
    rows = list(queries.connections(caller(request).business))
    busy = set(
        Run.objects.filter(connection__in=rows, state=Run.State.RUNNING).values_list(
            "connection_id", flat=True
        )
    )
    held = queries.held(caller(request).business)
    none = queries.Held()
    items = [
        present.organisation(row, held.get(row.pk, none), syncing=row.pk in busy) for row in rows
    ]
    return shapes.Organisations(items=items)


@reads(router, ONE, shapes.OrganisationOut, "Read an organisation")
def read_organisation(request: HttpRequest, organisation_id: int) -> Any:
    """One organisation with its settings, its state, and what is wrong if anything is."""
    return _answer(_one(request, organisation_id))


@changes(router, "PATCH", ONE, {200: shapes.OrganisationOut}, "Change an organisation's settings")
def change_settings(request: HttpRequest, organisation_id: int, body: shapes.SettingsChange) -> Any:
    """How often to sync, and whether drafts come along. For owners."""
    row = _one(request, organisation_id)
    stored = {"interval_minutes": row.interval_minutes, "import_drafts": row.import_drafts}
    changed = actions.change_settings(
        by=caller(request).membership,
        connection=row,
        address=address_of(request),
        now=timezone.now(),
        **{**stored, **body.model_dump(exclude_unset=True)},
    )
    return _answer(changed)


@changes(router, "POST", f"{ONE}/sync", {202: shapes.SyncOut}, "Sync an organisation now")
def sync_organisation(request: HttpRequest, organisation_id: int) -> Any:
    """Asks for a sync and does not wait for it; see `runs` for how it goes."""
    outcome = actions.sync_now(
        by=caller(request).membership,
        connection=_one(request, organisation_id),
        now=timezone.now(),
    )
    return Answer(202, shapes.SyncOut(outcome=outcome, sentence=OUTCOMES[outcome]))


@changes(
    router,
    "POST",
    f"{ONE}/disconnect",
    {200: shapes.OrganisationOut},
    "Disconnect an organisation",
)
def disconnect_organisation(request: HttpRequest, organisation_id: int) -> Any:
    """Ends the sync. Every bill stays and can be changed here from then on. For owners."""
    row = _one(request, organisation_id)
    actions.disconnect(
        by=caller(request).membership,
        connection=row,
        address=address_of(request),
        now=timezone.now(),
    )
    return _answer(_one(request, organisation_id))


def _one(request: HttpRequest, organisation_id: int) -> Connection:
    return get_object_or_404(queries.connections(caller(request).business), pk=organisation_id)


def _answer(row: Connection) -> shapes.OrganisationOut:
    syncing = row.runs.filter(state=Run.State.RUNNING).exists()
    held = queries.held(row.business).get(row.pk, queries.Held())
    return present.organisation(row, held, syncing=syncing)
