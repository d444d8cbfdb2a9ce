"""Every address x method x role x id: nobody reads or changes what is not hers (I-48, I-49).

Every day, all of it; but a method that an address does not have is tried by two of the five roles,
in turns. The full run lets all five try.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.extent import FULL
from tests.security.calls import ask, is_api, path_of, send
from tests.security.routes import EVERYBODY, MAY, ROWS, addresses
from tests.security.world import World, fingerprint

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROLES = ("anonymous", "charlie", "vera", "bob", "alice")
OURS = [route for route, row in ROWS.items() if not row.library]
LIBRARY = [route for route, row in ROWS.items() if row.library]


def test_every_address_has_a_row() -> None:
    assert set(addresses()) == set(ROWS)


def is_let_in(status: int) -> bool:
    """Did the address do, or explain why it cannot do, what was asked?"""
    return status not in (401, 403, 404, 405) and status < 500


def is_sent_to_sign_in(answer: Any) -> bool:
    return answer.status_code == 302 and "/account/login/" in answer["Location"]


def expected(route: str, method: str, role: str, whose: str) -> str:
    """What must come: `in`, `sign in`, `401`, `403`, `404`, `405` or a choice of them."""
    row = ROWS[route]
    if method not in row.methods:
        return "404" if route.endswith("(?P<rest>.*)$") else "405"
    who = row.methods[method]
    if role == "anonymous" and who != EVERYBODY:
        return "401" if is_api(route) else "sign in"
    if role not in MAY[who]:
        return "403" if whose == "own" else "403 404"
    hers = whose == ("foreign" if role == "charlie" else "own")
    return "in" if hers or not row.ids else "404"


def verdict(answer: Any) -> str:
    if is_sent_to_sign_in(answer):
        return "sign in"
    return "in" if is_let_in(answer.status_code) else str(answer.status_code)


def roles(route: str, method: str) -> tuple[str, ...]:
    """Who tries this today."""
    if FULL or method in ROWS[route].methods:
        return ROLES
    turn = OURS.index(route) + METHODS.index(method)
    return tuple(ROLES[(turn + more) % len(ROLES)] for more in (0, 2))


@pytest.mark.parametrize("route", OURS)
def test_an_address_lets_in_exactly_who_may(world: World, route: str) -> None:
    ids = ("own", "foreign", "missing") if ROWS[route].ids else ("own",)
    before = fingerprint()
    wrong = []
    for method in METHODS:
        for role in roles(route, method):
            for whose in ids if method in ROWS[route].methods else ("own",):
                answer = ask(world, role, method, route, whose)
                want = expected(route, method, role, whose)
                got = verdict(answer)
                if got not in want.split(" ") and got != want:
                    wrong.append((method, role, whose, f"want {want}", f"got {got}"))
    assert wrong == []
    assert fingerprint() == before


@pytest.mark.parametrize("route", [r for r in OURS if ROWS[r].ids])
def test_a_refusal_changes_nothing(world: World, route: str) -> None:
    """Without a rollback: each refused request, then the rows as they were."""
    before = fingerprint()
    for method in ROWS[route].methods:
        for role, whose in (("charlie", "own"), ("alice", "foreign"), ("anonymous", "own")):
            answer = send(world, role, method, route, path_of(route, world, whose))
            assert is_sent_to_sign_in(answer) or not is_let_in(answer.status_code)
    assert fingerprint() == before


@pytest.mark.parametrize("route", LIBRARY)
def test_a_library_page_never_breaks(world: World, route: str) -> None:
    for method in METHODS:
        for role in ("anonymous", "alice"):
            assert ask(world, role, method, route).status_code < 500, (method, role)


@pytest.mark.parametrize("route", [r for r in OURS if r.startswith(("bills/<", "clients/<"))])
def test_what_a_stranger_sees_names_nothing_of_the_business(world: World, route: str) -> None:
    foreign, missing = (ask(world, "charlie", "GET", route, w) for w in ("own", "missing"))
    assert foreign.status_code == missing.status_code
    if foreign.status_code == 404:
        assert b"ours" not in foreign.content


def test_lists_have_no_row_of_another_business(world: World) -> None:
    for route in ("api/v1/bills", "api/v1/clients", "api/v1/payments", "api/v1/runs"):
        mine = ask(world, "alice", "GET", route).json()["items"]
        theirs = ask(world, "charlie", "GET", route).json()["items"]
        assert mine
        assert theirs
        assert not {one["id"] for one in mine} & {one["id"] for one in theirs}


def test_a_filter_by_a_foreign_id_finds_nothing(world: World) -> None:
    caller, ids = world.callers["alice"], world.foreign.ids
    assert caller.get("/bills", client=ids["client"]).json()["items"] == []
    assert caller.get("/bills", organisation=ids["connection"]).json()["items"] == []
    assert caller.get("/runs", organisation=ids["connection"]).json()["items"] == []
    assert caller.get("/payments", bill=ids["bill"]).json()["items"] == []
    page = world.browsers["alice"].get("/bills/", {"client": ids["client"]})
    assert page.status_code in (200, 400, 404)


def test_a_payment_of_another_bill_cannot_be_removed_through_ones_own(world: World) -> None:
    own, foreign = world.own.ids, world.foreign.ids
    before = fingerprint()
    path = f"/bills/{own['bill']}/payments/{foreign['payment']}/remove/"
    assert world.browsers["alice"].post(path).status_code == 404
    path = f"/settings/integrations/xero/{own['connection']}/runs/{foreign['run']}/"
    assert world.browsers["alice"].get(path).status_code == 404
    assert fingerprint() == before
