"""What has not reached Xero, and what Xero overrode: list, try again, decide."""

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from justpayme.api import present, shapes
from justpayme.api.auth import caller
from justpayme.api.errors import Refusal
from justpayme.api.once import acting
from justpayme.api.paging import page
from justpayme.api.routing import changes, reads
from justpayme.bills import actions
from justpayme.integrations import queries
from justpayme.sync.models import Conflict, OutboxItem

router = Router(tags=["outbox"])
UNKNOWN = "One of these is not there. Nothing was done; ask for the list again."


@reads(router, "/outbox", shapes.Outbox, "List what has not reached Xero")
def list_outbox(request: HttpRequest, query: Query[shapes.OutboxQuery]) -> Any:
    """Newest first. `state=waiting` has what is being sent or checked, too."""
    rows = queries.items(caller(request).business, query.state, query.organisation)
    rows = rows.select_related(*present.ITEM_RELATED)
    if query.bill is not None:
        rows = rows.filter(bill_id=query.bill)
    found, following = page(rows, query, newest_first=True)
    return shapes.Outbox(items=[present.item_out(one) for one in found], next_cursor=following)


@changes(router, "POST", "/outbox/retry", {200: shapes.Count}, "Try several changes again")
def retry_items(request: HttpRequest, body: shapes.Items) -> Any:
    """Those of them that were refused or wait for a decision; `count` says how many that were."""
    try:
        return shapes.Count(count=actions.item_retry(act=acting(request), item_ids=body.ids))
    except OutboxItem.DoesNotExist as error:
        raise Refusal(422, fields={"ids": UNKNOWN}) from error


@changes(
    router,
    "POST",
    "/outbox/{int:item_id}/contact",
    {200: shapes.Count},
    "Decide which contact a client is",
)
def decide_contact(request: HttpRequest, item_id: int, body: shapes.ContactChoice) -> Any:
    """For an item of kind contact that is parked: one of its `contacts`, or null for a new one.

    What waited for this goes on.
    """
    actions.contact_decide(
        act=acting(request), item_id=item_id, contact_id=body.contact_id, name=body.name
    )
    return shapes.Count(count=1)


@reads(router, "/conflicts", shapes.Conflicts, "List what Xero overrode")
def list_conflicts(request: HttpRequest, query: Query[shapes.ConflictQuery]) -> Any:
    """Values of ours that nobody has decided about, with Xero's beside them; newest first."""
    rows = queries.open_conflicts(caller(request).business, query.organisation)
    rows = rows.select_related(*present.CONFLICT_RELATED)
    if query.bill is not None:
        rows = rows.filter(bill_id=query.bill)
    found, following = page(rows, query, newest_first=True)
    items = [present.conflict_out(row) for row in found]
    return shapes.Conflicts(items=items, next_cursor=following)


@changes(router, "POST", "/conflicts/resolve", {200: shapes.Count}, "Decide several conflicts")
def resolve_conflicts(request: HttpRequest, body: shapes.Resolutions) -> Any:
    """All of them, or none if one can't be: `mine` goes to Xero after all, `xero` stays."""
    ids = list(dict.fromkeys(body.ids))
    try:
        actions.conflict_resolve(act=acting(request), conflict_ids=ids, choice=body.choice)
    except Conflict.DoesNotExist as error:
        raise Refusal(422, fields={"ids": UNKNOWN}) from error
    return shapes.Count(count=len(ids))
