"""A run in several sittings: what passed is not run again, and the table tells of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures import sittings
from tests.house.test_layers import QUIET

pytest_plugins = ["pytester"]

PLUGINS = 'pytest_plugins = ["tests.fixtures.layers", "tests.fixtures.sittings"]'
SOURCE = """
import os
import pytest

@pytest.mark.layer("audit")
@pytest.mark.parametrize("n", [2, 3])
def test_audit(cases, n):
    cases(n, alike=10)
    assert os.environ.get("BROKEN") != str(n), "the third wheel"

def test_plain():
    pass
"""


class Run:
    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester, self.path = pytester, pytester.path / "full.jsonl"
        pytester.makeconftest(PLUGINS)
        self.source = pytester.makepyfile(SOURCE).stem

    def __call__(self, *more: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(*QUIET, f"--record={self.path}", *more)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    return Run(pytester)


def test_what_passed_is_left_out_and_still_in_the_table(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", "3")
    first = run()
    first.assert_outcomes(passed=2, failed=1)
    first.stdout.re_match_lines_random([r"audit +5 +20 +1 +\d+", r"all +6 +20 +1 +\d+"])
    monkeypatch.delenv("BROKEN")
    second = run()
    second.assert_outcomes(passed=1, deselected=2)
    second.stdout.re_match_lines_random(
        [
            r"audit +5 +20 +0 +\d+",
            r"all +6 +20 +0 +\d+",
            r".*full.jsonl: sitting 2, 2 tests had passed before",
        ]
    )
    second.stdout.no_fnmatch_line("NOT WHOLE*")


def test_a_failure_can_be_read_while_the_run_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", "2")
    run()
    (failed,) = (line for line in run.lines if line.get("outcome") == "failed")
    assert failed["test"].endswith("test_audit[2]")
    assert "the third wheel" in failed["said"]


def test_when_all_has_passed_nothing_runs_and_that_is_well(run: Run) -> None:
    assert run().ret == pytest.ExitCode.OK
    again = run()
    assert again.ret == pytest.ExitCode.OK
    again.stdout.re_match_lines_random([r"all +6 +20 +0 +\d+"])


def test_a_sitting_that_is_ended_says_what_is_left(run: Run) -> None:
    run.pytester.makepyfile(
        test_stop="import pytest\ndef test_stop():\n    pytest.exit('enough')\n"
    )
    run("-k", "audit").assert_outcomes(passed=2, deselected=2)
    ended = run("test_stop.py", f"{run.source}.py")
    assert ended.ret == pytest.ExitCode.INTERRUPTED
    ended.stdout.fnmatch_lines(["NOT WHOLE: 2 tests have not run yet"])
    ended.stdout.re_match_lines_random([r"audit +5 +20 +0 +\d+"])


def test_a_line_that_a_death_tore_off_is_run_again(run: Run) -> None:
    run()
    whole = run.path.read_text()
    run.path.write_text(whole[:-20])
    run().assert_outcomes(passed=1, deselected=2)
    run().assert_outcomes(deselected=3)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ('{"code": "another", "full": false}\n', "of other code or of another extent"),
        (json.dumps({"code": sittings.code(), "full": "both"}) + "\n", "of another extent"),
        ("[1, 2]\n", "no record of tests"),
        ("<script>\n", "no record of tests"),
        ('{"test": 7}\n', "no record of tests"),
    ],
)
def test_a_file_that_is_no_record_of_this_run_is_refused_and_kept(
    run: Run, before: str, said: str
) -> None:
    run.path.write_text(before)
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--record: *{said}*"])
    assert run.path.read_text() == before


def test_two_never_write_one_record(run: Run) -> None:
    with sittings._held_alone(run.path):
        result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*another run is writing*"])
    assert run.path.read_text() == ""


def test_a_folder_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    run.path = tmp_path / "none" / "full.jsonl"
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot be written: No such file*"])
