"""Any call may go wrong in any way: it ends as if it had not, or a person is told what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from unittest import mock

import pytest
from tests.breaker import call_faults
from tests.breaker.call_faults import FAULTS
from tests.breaker.likeness import Judged
from tests.breaker.scenarios import SCENARIOS
from tests.breaker.stage import stage_of
from tests.extent import FULL

from justpayme.accounts.models import Membership, User
from justpayme.core import outbox as rules

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.layer("call faults"),
    pytest.mark.timeout(1800),
]
Cases = Callable[[int], None]
FLAVOURS = ("alone", "replaced", "lasting")
QUICK = ("disconnect", "one-directional", "contact merge", "webhook burst")
"""Of these scenarios the everyday run takes all cases."""
SELDOM = {"batch of 50": 80, "audit": 6, "connect": 10}
"""Of so many cases of these, which take long, it takes one."""
ONE_READ_IN = 3
"""Of so many cases of a read it takes one in the others, which read as the quick ones do; but
each of a call that changes Xero."""
PARTS = 8 if FULL else 1


@pytest.fixture
def owner(alice: User) -> Membership:
    return Membership.objects.get(user=alice)


def chosen(name: str, calls: list[tuple[str, str]]) -> Iterator[tuple[int, str, str]]:
    """Call, fault and flavour of the cases: the everyday run takes each call with each fault
    in one flavour, but for what is quick or left out; the full run takes all in all three."""
    count = 0
    for at, (method, path) in enumerate(calls, 1):
        for index, fault in enumerate(n for n, f in FAULTS.items() if f.fits(method, path)):
            for turn, flavour in enumerate(FLAVOURS):
                mine = (at + index) % len(FLAVOURS) == turn
                count += mine
                whole = FULL or name in QUICK
                if whole or (mine and _is_of_every_day(name, method, count)):
                    yield at, fault, flavour


def _is_of_every_day(name: str, method: str, count: int) -> bool:
    if name in SELDOM:
        return count % SELDOM[name] == 0
    return method != "GET" or count % ONE_READ_IN == 0


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SCENARIOS)
def test_any_fault_of_any_call(owner: Membership, cases: Cases, name: str, part: int) -> None:
    """F2 to F6, F10, F11; I-9, I-13 to I-20, I-33 to I-37."""
    scenario = SCENARIOS[name]
    with stage_of(owner, scenario.invoices) as stage:
        call_faults.begin(stage, scenario)
        with stage.marked() as back:
            calls = call_faults.calls_of(stage, back, scenario)
            failed, judged = [], None if FULL else Judged()
            for at, fault, flavour in list(chosen(name, calls))[part::PARTS]:
                try:
                    call_faults.survives(stage, back, scenario, at, fault, flavour, judged)
                except AssertionError as error:
                    failed.append(str(error)[:700])
                cases(1)
    assert not failed, "\n".join([f"{len(failed)} failed", *failed[:10]])


def test_a_key_of_its_own_for_each_try_is_caught(owner: Membership, cases: Cases) -> None:
    """The machine can fail: with a new key, a repetition and the first try are two payments."""
    scenario, fresh = SCENARIOS["new payment"], (f"jpm:{n}" for n in range(1000))
    planted = mock.patch.object(rules, "key_of", lambda tenant, _: f"{next(fresh)}:{tenant}")
    with stage_of(owner) as stage, planted:
        call_faults.begin(stage, scenario)
        with stage.marked() as back:
            calls = call_faults.calls_of(stage, back, scenario)
            at = calls.index(("PUT", "/api.xro/2.0/Payments")) + 1
            with pytest.raises(AssertionError, match="I-13"):
                call_faults.survives(stage, back, scenario, at, "90 s late", "alone")
    cases(1)


def test_there_are_more_than_twenty_kinds(cases: Cases) -> None:
    kinds = {fault.kind for fault in FAULTS.values()}
    assert len(kinds) > 20, sorted(kinds)
    cases(1)
