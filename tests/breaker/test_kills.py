"""kill -9 at any moment of web, worker and database loses nothing that was acknowledged (I-51).

The full run has at least 200 kills while changes travel to a slow and faulty Xero (I-13, I-17);
it waits for the end of quarantines. Every run has a few, with bills that exist only here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from tests.breaker.kills import TARGETS, Siege, begun, both_ways
from tests.e2e.conftest import running
from tests.extent import FULL

pytestmark = [pytest.mark.layer("process kills"), pytest.mark.timeout(7200)]

SIEGES = range(2, 6)
KILLS = 51
"""Of each siege: 204 together."""
STARTING = threading.Lock()
"""One at a time, for a port that was found free is taken only when its server has started."""
ORGANISATION = "Big Company (40 invoices)"
FAULTS = (
    {"kind": "lose_answer", "method": "PUT"},
    {"kind": "lose_answer", "method": "POST"},
    {"kind": "error_503", "method": "GET"},
    {"kind": "timeout_before", "method": "PUT"},
)


def own_bills(siege: Siege, count: int) -> list[int]:
    """Bills that no other books know."""
    client = siege.call("POST", "/clients", {"name": "Zoë <b>&</b> Söhne"}).json()["id"]
    made = []
    for number in range(count):
        line = {"description": "Work", "quantity": "1", "unit_amount": "500.00"}
        body = {
            "client_id": client,
            "currency": "GBP",
            "number": f"K-{number}",
            "issued_on": "2026-11-01",
            "due_on": "2027-01-01",
            "lines": [line],
        }
        bill = siege.call("POST", "/bills", body)
        assert bill.status_code == 201, bill.text
        approved = siege.call("POST", f"/bills/{bill.json()['id']}/approve", {})
        assert approved.status_code == 200, approved.text
        made.append(bill.json()["id"])
    return made


def test_a_few_kills_lose_nothing_acknowledged(cases: Callable[[int], None]) -> None:
    with running() as (product, serve):
        siege = begun(product, serve, "Demo Company (UK)", 1)
        bills = own_bills(siege, 3)
        for name in TARGETS:
            siege.work(bills)
            siege.kill(name)
            siege.work(bills)
            cases(1)
        assert siege.lost() == []


def survives(seed: int) -> None:
    """A siege, after which every acknowledged edit stands in both books and every payment is in
    Xero once."""
    with ExitStack() as stack:
        with STARTING:
            begins = running("40", more=("--latency=0.05",))
            product, serve = stack.enter_context(begins)
        siege = begun(product, serve, ORGANISATION, seed)
        both_ways(siege)
        rows = siege.books.bills(status="active")
        mine = [r["id"] for r in rows if r["currency"] == "GBP" and r["paid"] == "0.00"]
        bills, theirs = mine[2:], [r["number"] for r in rows if r["id"] in mine[:2]]
        assert len(bills) >= 4
        rules = []
        for kill in range(KILLS):
            for _ in range(siege.dice.randint(1, 4)):
                siege.work(bills)
            if kill % 10 == 0:
                number = siege.dice.choice(theirs)
                siege.books.act("edit-invoice", invoice=number, reference=f"theirs {kill}")
            if kill % 7 == 0:
                rules.append(siege.books.fault(**siege.dice.choice(FAULTS), count=1))
            siege.kill(siege.dice.choice(TARGETS))
        for rule in rules:  # what struck nobody meanwhile would only make the end longer
            siege.books.heal(rule)
        siege.settles()
        assert len(siege.payments) > KILLS // 2
        assert siege.lost() + siege.unlike_xero() == []
        assert siege.drift() == 0


if FULL:

    def test_many_kills_while_changes_travel(cases: Callable[[int], None]) -> None:
        """All sieges at once: what is killed again and again is started after a pause only, so
        each of them waits for most of its time."""
        with ThreadPoolExecutor(len(SIEGES)) as pool:
            list(pool.map(survives, SIEGES))
        cases(KILLS * len(SIEGES))
