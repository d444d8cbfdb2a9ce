"""Sync runs: read only."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router

from justpayme.api import present, shapes
from justpayme.api.auth import caller
from justpayme.api.paging import page
from justpayme.api.routing import reads
from justpayme.sync.models import Run

router = Router(tags=["runs"])


@reads(router, "/runs", shapes.Runs, "List sync runs")
def list_runs(request: HttpRequest, query: Query[shapes.RunQuery]) -> Any:
    """Newest first."""
    rows = Run.objects.filter(connection__business=caller(request).business)
    rows = rows.select_related("connection")
    if query.organisation is not None:
        rows = rows.filter(connection_id=query.organisation)
    if query.state is not None:
        rows = rows.filter(state=query.state)
    found, following = page(rows, query, newest_first=True)
    return shapes.Runs(items=[present.run_out(run) for run in found], next_cursor=following)


@reads(router, "/runs/{int:run_id}", shapes.RunOut, "Read a sync run")
def read_run(request: HttpRequest, run_id: int) -> Any:
    """One run: what it read, changed and used, and how it ended."""
    rows = Run.objects.select_related("connection")
    business = caller(request).business
    return present.run_out(get_object_or_404(rows, pk=run_id, connection__business=business))
