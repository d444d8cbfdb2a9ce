"""Which way an organisation syncs: preview, direction, defaults, lists, trying again."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Router

from justpayme.accounts.security_log import address_of
from justpayme.api import held_up, present_plan, shapes
from justpayme.api.auth import caller
from justpayme.api.errors import Refusal
from justpayme.api.once import acting
from justpayme.api.operations.organisations import ONE
from justpayme.api.routing import changes, reads
from justpayme.bills import actions as bill_actions
from justpayme.integrations import defaults, direction, queries
from justpayme.sync.clock import RealClock
from justpayme.sync.models import Connection

router = Router(tags=["organisations"])


@changes(router, "POST", f"{ONE}/preview", {200: shapes.PlanOut}, "Preview going bidirectional")
def preview_direction(request: HttpRequest, organisation_id: int, body: shapes.Ticks) -> Any:
    """What would be created, changed and paid in Xero, and what stands in the way.

    Changes nothing. Nothing is ticked unless you tick it. For owners.
    """
    row = _one(request, organisation_id)
    plan = present_plan.planned(
        caller(request).membership, row, frozenset(body.chosen), everything=body.everything
    )
    return present_plan.plan_out(plan)


@changes(router, "POST", f"{ONE}/direction", {200: shapes.DirectionOut}, "Change the direction")
def change_direction(
    request: HttpRequest, organisation_id: int, body: shapes.DirectionChange
) -> Any:
    """`two` carries out exactly the plan that `digest` stands for, or 409 if the world changed:
    then preview again. `one` stops every change to Xero at once and keeps what waited. For owners.
    """
    row = _one(request, organisation_id)
    who, here, now = caller(request).membership, address_of(request), timezone.now()
    if body.direction == "one":
        aside = direction.go_one_way(by=who, connection=row, address=here, now=now)
        return shapes.DirectionOut(
            direction="one", sent=0, set_aside=aside.waiting, under_way=aside.under_way
        )
    keys = present_plan.keys_of(who, row, frozenset(body.chosen), everything=body.everything)
    try:
        plan = direction.go_two_way(
            by=who, connection=row, chosen=keys, digest=body.digest, address=here, now=now
        )
    except direction.Shifted as shifted:
        raise Refusal(409, present_plan.SHIFTED) from shifted
    return shapes.DirectionOut(direction="two", sent=len(plan.going), set_aside=0, under_way=0)


@reads(router, f"{ONE}/defaults", shapes.DefaultsOut, "Read an organisation's defaults")
def read_defaults(request: HttpRequest, organisation_id: int) -> Any:
    """What new invoices and payments are booked to, and what there is to choose from."""
    return present_plan.defaults_out(_one(request, organisation_id))


@changes(
    router, "PUT", f"{ONE}/defaults", {200: shapes.DefaultsOut}, "Set an organisation's defaults"
)
def set_defaults(request: HttpRequest, organisation_id: int, body: shapes.DefaultsIn) -> Any:
    """All of them at once; what waited for one of them goes on. For owners."""
    row = defaults.save_defaults(
        by=caller(request).membership,
        connection=_one(request, organisation_id),
        chosen=defaults.Defaults(**body.model_dump()),
        address=address_of(request),
        now=timezone.now(),
    )
    return present_plan.defaults_out(row)


@changes(
    router,
    "POST",
    f"{ONE}/refresh-lists",
    {200: shapes.DefaultsOut},
    "Refresh an organisation's lists",
)
def refresh_lists(request: HttpRequest, organisation_id: int) -> Any:
    """Asks Xero for accounts, tax rates, currencies and themes anew. For owners."""
    row = _one(request, organisation_id)
    defaults.refresh_lists(by=caller(request).membership, connection=row, clock=RealClock())
    return present_plan.defaults_out(row)


@changes(router, "POST", f"{ONE}/retry", {200: shapes.Count}, "Try an organisation's changes again")
def retry_organisation(request: HttpRequest, organisation_id: int) -> Any:
    """Whatever was refused, or waits for another try."""
    act, row = acting(request), _one(request, organisation_id)
    ids = held_up.retriable(act.membership, row)
    return shapes.Count(count=bill_actions.item_retry(act=act, item_ids=ids))


def _one(request: HttpRequest, organisation_id: int) -> Connection:
    return get_object_or_404(queries.connections(caller(request).business), pk=organisation_id)
