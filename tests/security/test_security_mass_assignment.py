"""No door lets anybody set what is not offered: tenant, owner, amounts, links, roles (S13)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import ForeignKey, Model
from tests.api.given import error_of
from tests.security.calls import path_of
from tests.security.routes import ROWS
from tests.security.world import World, local_client

from justpayme.accounts.models import Business, Membership, User
from justpayme.bills.models import Bill, Client, Line
from justpayme.sync.models import Connection

GUARDED: dict[type[Model], tuple[str, ...]] = {
    Bill: ("business_id", "paid", "credited", "fully_paid_on", "url", "created_at", "rate"),
    Client: ("business_id", "archived", "created_at"),
    Connection: ("business_id", "tenant_id", "connection_id", "state", "direction", "tokens_id"),
    Membership: ("business_id", "user_id"),
    Business: ("created_at",),
    User: ("email", "is_active", "password"),
}


def every_field(world: World) -> dict[str, str]:
    """A form with a value for each column of each guarded table, pointing at Charlie's rows."""
    foreign = world.foreign.ids
    form = {"id": str(foreign["bill"]), "pk": str(foreign["bill"]), "link": "1", "links": "1"}
    for model in (*GUARDED, Line):
        for column in model._meta.concrete_fields:
            value = _value_for(column, foreign)
            form |= {column.name: value, column.attname: value}
    form |= {"business": str(foreign["business"]), "business_id": str(foreign["business"])}
    return form


def _value_for(column: Any, foreign: dict[str, int]) -> str:
    if isinstance(column, ForeignKey):
        return str(foreign.get(column.name, 1))
    kind = column.get_internal_type()
    values = {
        "DecimalField": "77777.77",
        "BooleanField": "on",
        "DateField": "2001-01-01",
        "DateTimeField": "2001-01-01T00:00:00Z",
        "UUIDField": "00000000-0000-4000-8000-000000000077",
        "PositiveIntegerField": "77",
        "BigAutoField": str(foreign["bill"]),
    }
    return values.get(kind, "owner" if column.name == "role" else "forged")


def guarded_values() -> dict[str, Any]:
    """Every guarded column of every row that exists."""
    return {
        f"{model.__name__} {row['pk']}": row
        for model, names in GUARDED.items()
        for row in model._default_manager.values("pk", *names)
    }


FORMS = [
    route
    for route, row in ROWS.items()
    if "POST" in row.methods and not row.library and not route.startswith("api/")
]
ALLOWED = {
    "bills/<int:pk>/payments/<int:payment_pk>/remove/",
    "settings/integrations/xero/<int:pk>/disconnect/",
    "settings/members/<int:pk>/remove/",
}
"""These exist to change a guarded column or row, and do it whatever else is sent."""


@pytest.mark.parametrize("route", [route for route in FORMS if route not in ALLOWED])
def test_a_form_with_every_column_changes_no_guarded_one(world: World, route: str) -> None:
    before = guarded_values()
    path = path_of(route, world, "own")
    for who in ("alice", "bob"):
        answer = world.browsers[who].post(path, every_field(world))
        assert answer.status_code < 500
    after = guarded_values()
    assert {name: after[name] for name in before} == before
    assert_nothing_new_at_charlies(world, before)


def assert_nothing_new_at_charlies(world: World, before: dict[str, Any]) -> None:
    for model in (Bill, Client, Connection, Membership):
        for row in model._default_manager.filter(business=world.foreign.business):
            assert f"{model.__name__} {row.pk}" in before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/bills"),
        ("PATCH", "/bills/{bill}"),
        ("POST", "/clients"),
        ("PATCH", "/clients/{client}"),
        ("PATCH", "/organisations/{connection}"),
    ],
)
def test_the_api_refuses_each_column_that_it_does_not_offer(
    world: World, method: str, path: str
) -> None:
    before = guarded_values()
    answer = world.callers["alice"].send(method, path.format(**world.own.ids), every_field(world))
    fields = error_of(answer, 422)["fields"]
    assert {"business", "business_id", "id", "pk", "paid", "tenant_id", "role"} <= set(fields)
    assert guarded_values() == before


def test_a_line_of_another_bill_cannot_be_taken_over(world: World) -> None:
    foreign = Line.objects.filter(bill__business=world.foreign.business).first()
    assert foreign is not None
    lines = [{"id": foreign.pk, "description": "mine", "unit_amount": "1"}]
    path = f"/bills/{world.own.ids['bill']}"
    answer = world.callers["alice"].send("PATCH", path, {"lines": lines})
    assert "lines.0.id" in error_of(answer, 422)["fields"]
    after = Line.objects.get(pk=foreign.pk)
    assert (after.bill_id, after.description) == (foreign.bill_id, foreign.description)
    assert not Line.objects.filter(description="mine", item_code=foreign.item_code).exists()


def test_a_bill_cannot_be_moved_to_a_client_of_another_business(world: World) -> None:
    path = f"/bills/{world.own.ids['bill']}"
    body = {"client_id": world.foreign.ids["client"]}
    answer = world.callers["alice"].send("PATCH", path, body)
    assert "client_id" in error_of(answer, 422)["fields"]
    assert Bill.objects.get(pk=world.own.ids["bill"]).client == local_client(world.own)
