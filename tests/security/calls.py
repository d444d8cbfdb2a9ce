"""One way to ask an address as one of the cast, undone afterwards."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.urls import reverse
from tests.security.routes import EVERYBODY, ROWS, Row, addresses
from tests.security.world import MISSING, World

BODIES: dict[str, Any] = {
    "api/v1/clients": {"name": "New"},
    "api/v1/clients/<int:client_id>": {"name": "New", "email": "new@example.com"},
    "api/v1/bills/<int:bill_id>": {"reference": "New", "number": "N-1"},
    "api/v1/organisations/<int:organisation_id>": {"interval_minutes": 60},
    "api/v1/organisations/<int:organisation_id>/preview": {},
    "api/v1/organisations/<int:organisation_id>/direction": {"direction": "one"},
    "api/v1/organisations/<int:organisation_id>/defaults": {
        "revenue_account": "200",
        "tax_type": "OUTPUT2",
    },
    "api/v1/bills/<int:bill_id>/resolve": {"choice": "mine"},
    "api/v1/bills/<int:bill_id>/payments": {"amount": "1.00", "on": "2026-11-22"},
    "api/v1/outbox/<int:item_id>/contact": {"contact_id": None},
}
"""Bodies of calls that would succeed; the page forms are sent empty."""


def path_of(route: str, world: World, whose: str) -> str:
    """The address with the ids of `own`, `foreign` or `missing` rows."""
    row = ROWS[route]
    sides = {"own": world.own.ids, "foreign": world.foreign.ids}
    ids = {n: sides[whose][kind] if whose in sides else MISSING for n, kind in row.ids.items()}
    return reverse(addresses()[route], kwargs={**ids, **row.fixed})


def ask(world: World, role: str, method: str, route: str, whose: str = "own") -> Any:
    """The answer; whatever it changed is rolled back."""
    path = path_of(route, world, whose)
    with transaction.atomic():
        answer = send(world, role, method, route, path)
        transaction.set_rollback(True)
    return answer


def send(world: World, role: str, method: str, route: str, path: str) -> Any:
    """The answer, with everything that it changed."""
    if is_api(route):
        body = _body(world, role, method, route)
        has_body = method in ("POST", "PATCH", "PUT") and body is not None
        return world.callers[role].send(
            method, path.removeprefix("/api/v1"), body if has_body else None
        )
    return world.browsers[role].generic(
        method, path, "", content_type="application/x-www-form-urlencoded"
    )


def _body(world: World, role: str, method: str, route: str) -> Any:
    if (route, method) == ("api/v1/bills", "POST"):
        return _bill(world)
    side = world.foreign if role == "charlie" else world.own
    named = {
        "api/v1/bills/<int:bill_id>/send-to-xero": {"organisation_id": side.ids["connection"]},
        "api/v1/outbox/retry": {"ids": [side.ids["item"]]},
        "api/v1/conflicts/resolve": {"ids": [side.ids["conflict"]], "choice": "xero"},
    }
    return named.get(route, BODIES.get(route))


def _bill(world: World) -> dict[str, Any]:
    line = {"description": "x", "unit_amount": "1"}
    return {
        "client_id": world.own.ids["client"],
        "currency": "GBP",
        "issued_on": "2026-11-22",
        "lines": [line],
    }


def is_api(route: str) -> bool:
    """Does this address take tokens instead of sessions?"""
    return route.startswith("api/v1/") and not _is_open(ROWS[route])


def _is_open(row: Row) -> bool:
    return set(row.methods.values()) <= {EVERYBODY}
