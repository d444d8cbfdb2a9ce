"""What many runs of the simulation write down counts once, for the code that played it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.breaker import record
from tests.breaker.command import Tally

FIRST, SECOND = datetime(2026, 11, 22, 9, tzinfo=UTC), datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "record.json")


def test_a_run_that_goes_on_writes_over_what_it_wrote(path: str) -> None:
    record.add(record.Run(path, FIRST), [2, 1], Tally(seeds=2), 1.0)
    record.add(record.Run(path, FIRST), [5, 2, 1, 3], Tally(seeds=4), 2.0)
    (entry,) = json.loads(Path(path).read_text())
    assert (entry["ranges"], entry["seeds"], entry["seconds"]) == ([[1, 3], [5, 5]], 4, 2)


def test_the_next_run_plays_what_none_has_played(path: str) -> None:
    assert record.missing(path, 1, 4) == [1, 2, 3, 4]
    record.add(record.Run(path, FIRST), [1, 2], Tally(), 1.0)
    record.add(record.Run(path, SECOND), [4], Tally(), 1.0)
    assert record.missing(path, 1, 6) == [3, 5, 6]


def test_what_other_code_played_does_not_count(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record.add(record.Run(path, FIRST), [1, 2], Tally(), 1.0)
    monkeypatch.setattr(record, "code", lambda: "another")
    assert record.missing(path, 1, 2) == [1, 2]


def test_a_failure_is_on_record_and_played_again(path: str) -> None:
    record.add(record.Run(path, FIRST), [7, 8], Tally(failures=[{"seed": 7}]), 1.0)
    assert json.loads(Path(path).read_text())[0]["failures"] == [7]
    assert record.missing(path, 7, 2) == [7]


def test_a_run_counts_for_the_code_that_it_began_with(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record.Run(path, FIRST)
    monkeypatch.setattr(record, "code", lambda: "edited meanwhile")
    record.add(run, [1], Tally(), 1.0)
    assert record.missing(path, 1, 1) == [1]


def test_the_record_of_the_releases_tells_of_no_failure() -> None:
    entries = json.loads((record.ROOT / "docs" / "simulation.json").read_text())
    assert sum(entry["seeds"] for entry in entries) > 0
    assert [entry["failures"] for entry in entries if entry["failures"]] == []
