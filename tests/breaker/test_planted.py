"""Each planted mistake is caught by tests of every day, so their silence means something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.breaker.planted import PLANTED
from tests.breaker.planting import ROOT, Outcome, Planted, is_assertion, planted, told
from tests.extent import FULL
from tests.generated import check_current

Cases = Callable[[int], None]

EVERY_DAY = (
    "both changed",
    "no overlap",
    "five minutes",
    "a 500 did nothing",
    "the beginning of a signature",
    "used but not kept",
    "everything is sent",
    "the cursor first",
    "the backup's payments",
    "an audit of nothing",
    "no look before a call",
    "one field less",
)
"""One or two of most layers, and none that takes long to catch; the full run tries all."""
PARTS = 8 if FULL else 1
CHOSEN = sorted(
    (plant for plant in PLANTED if FULL or plant.name in EVERY_DAY),
    key=lambda plant: plant.check,  # each check is tried as it is before its first plant
)
LARGE = 48
"""So many at least, or the list says little."""

HEAD = """# Planted bugs

Generated from `tests/breaker/planted.py` (CONTRIBUTING.md, “Generated pages”): do not edit.

Tests that find nothing say something only if they would have found something. So small mistakes
are planted in our own code, one at a time, each a slip that somebody has made somewhere; and each
must be caught, by an assertion, by tests that run every day and with no more cases than they try
every day. An everyday run plants twelve of them, a full run all. To try one:
`.venv/bin/python -m tests.breaker.planting "{example}"` (`./justpayme test` makes `.venv`).

| # | name | where | what is planted | what it would do to a user | promise | caught by |
| - | ---- | ----- | --------------- | -------------------------- | ------- | --------- |
"""


def attempts(plants: Sequence[Planted], report: Path) -> list[Outcome]:
    """Try them in a process of its own, which has a database server of its own, as every run."""
    environment = dict(os.environ)
    if given := environment.get("JUSTPAYME_TEST_DATABASE_URL"):
        server = given.rpartition("/")[0]
        environment["JUSTPAYME_TEST_DATABASE_URL"] = f"{server}/planted_{os.getpid()}"
    command = [sys.executable, "-m", "tests.breaker.planting", "--report", str(report)]
    command += [*(["--control"] if FULL else []), *(plant.name for plant in plants)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert report.exists(), done.stdout + done.stderr
    return [Outcome(**one) for one in json.loads(report.read_text())]


@pytest.mark.layer("planted bugs")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_planted_mistake_is_caught(part: int, cases: Cases, tmp_path: Path) -> None:
    plants = CHOSEN[part * len(CHOSEN) // PARTS : (part + 1) * len(CHOSEN) // PARTS]
    outcomes = attempts(plants, tmp_path / "report.json")
    assert {one.name for one in outcomes if one.planted} == {plant.name for plant in plants}
    wrong = [f"{told(one)} {one.error}" for one in outcomes if one.failed != one.planted]
    assert not wrong, "\n".join(wrong)
    cases(len(plants))


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.name)
def test_a_plant_fits_our_code_as_it_is_today(plant: Planted) -> None:
    with planted(plant):
        pass


def test_a_test_that_runs_out_of_time_has_caught_nothing() -> None:
    assert is_assertion(AssertionError("I-2"))
    assert is_assertion(pytest.fail.Exception("DID NOT RAISE <class 'Refused'>"))
    assert not is_assertion(pytest.fail.Exception("Timeout (>600.0s) from pytest-timeout."))
    assert not is_assertion(KeyError("Timeout"))


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    names = Counter(plant.name for plant in PLANTED)
    assert set(names.values()) == {1}
    assert len(names) >= LARGE
    assert set(EVERY_DAY) <= set(names)


def test_the_page_of_planted_bugs_is_current() -> None:
    rows = "".join(_row(number, plant) for number, plant in enumerate(PLANTED, 1))
    check_current("planted-bugs.md", HEAD.format(example=PLANTED[0].name) + rows)


def _row(number: int, plant: Planted) -> str:
    where = plant.where.removeprefix("justpayme.").replace(":", ".")
    path, _, test = plant.check.partition("::")
    caught = f"{Path(path).stem}: {test}" if test else Path(path).stem
    caught = caught.replace("_", " ").removeprefix("test ").replace(": test ", ": ")
    cells = (plant.mistake, plant.harm, plant.promise, caught)
    return f"| {number} | {plant.name} | `{where}` | {' | '.join(cells)} |\n"
