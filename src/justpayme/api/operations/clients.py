"""Clients: list, read, create, change."""

from dataclasses import replace
from typing import Annotated, Any

from django.db.models import Q
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Header, Query, Router
from ninja.responses import Status as Answer

from justpayme.api import present, shapes
from justpayme.api.auth import caller
from justpayme.api.once import KEY_HELP, KEY_LENGTH, acting, once
from justpayme.api.paging import page
from justpayme.api.routing import changes, reads
from justpayme.bills import actions
from justpayme.bills.models import Client
from justpayme.core.entry import ClientEntry

router = Router(tags=["clients"])
RELATED = ("link__connection",)


@reads(router, "/clients", shapes.Clients, "List clients")
def list_clients(request: HttpRequest, query: Query[shapes.ClientQuery]) -> Any:
    """Oldest first."""
    rows = Client.objects.filter(business=caller(request).business).select_related(*RELATED)
    if query.search:
        rows = rows.filter(Q(name__icontains=query.search) | Q(email__icontains=query.search))
    if query.archived is not None:
        rows = rows.filter(archived=query.archived)
    found, following = page(rows, query)
    return shapes.Clients(items=[present.client_out(c) for c in found], next_cursor=following)


@reads(router, "/clients/{int:client_id}", shapes.ClientOut, "Read a client")
def read_client(request: HttpRequest, client_id: int) -> Any:
    """One client."""
    return _answer(request, client_id)


@changes(
    router, "POST", "/clients", {201: shapes.ClientOut, 200: shapes.ClientOut}, "Create a client"
)
def create_client(
    request: HttpRequest,
    body: shapes.NewClient,
    idempotency_key: Annotated[
        str | None, Header(max_length=KEY_LENGTH, description=KEY_HELP)
    ] = None,
) -> Any:
    """A client made here; one that comes from Xero is never made by hand."""
    try:
        entry = ClientEntry(**body.model_dump())
        with once(request, idempotency_key, body) as act:
            client = actions.client_create(act=act, entry=entry)
    except actions.AlreadyDone as done:
        return Answer(200, _answer(request, done.target_id or 0))
    return Answer(201, _answer(request, client.pk))


@changes(router, "PATCH", "/clients/{int:client_id}", {200: shapes.ClientOut}, "Change a client")
def change_client(request: HttpRequest, client_id: int, body: shapes.ClientChange) -> Any:
    """Fields left out stay as they are. 409 while Xero owns the client."""
    get_object_or_404(Client, pk=client_id, business=caller(request).business)
    actions.client_edit(
        act=acting(request),
        client_id=client_id,
        entry=lambda stored: replace(stored, **body.given()),
        seen=body.seen,
    )
    return _answer(request, client_id)


def _answer(request: HttpRequest, client_id: int) -> shapes.ClientOut:
    rows = Client.objects.select_related(*RELATED)
    return present.client_out(
        get_object_or_404(rows, pk=client_id, business=caller(request).business)
    )
