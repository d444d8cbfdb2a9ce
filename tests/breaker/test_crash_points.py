"""A process may die at any point of anything that a sync does: nothing is lost or done twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager

import pytest
from tests.breaker import crash_points
from tests.breaker.scenarios import SCENARIOS

from justpayme.accounts.models import Membership, User

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.layer("crash points"),
    pytest.mark.timeout(900),
]
FULL = os.environ.get("JUSTPAYME_FULL") == "1"
Cases = Callable[[int], None]
PARTS = {"batch of 50": 8}
"""Scenarios whose points are shared out over several tests."""

arranged = contextmanager(crash_points.arranged)


@pytest.fixture
def owner(alice: User) -> Membership:
    return Membership.objects.get(user=alice)


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name in SCENARIOS for part in range(PARTS.get(name, 2))]
)
def test_a_death_at_any_point(owner: Membership, cases: Cases, name: str, part: int) -> None:
    """F1; I-1, I-7, I-13 to I-20, I-33 to I-38 and I-51, at every single point."""
    scenario, step = SCENARIOS[name], PARTS.get(name, 2)
    with arranged(owner, scenario) as (stage, back):
        at = part + 1
        while crash_points.dies(stage, back, scenario, at):
            at += step
            cases(1)
    assert at > 2 * step
