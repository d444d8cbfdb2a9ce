"""What the demo tells: the truth about each sync run, and about what it imported."""

import io
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.bills.given import a_connection

from justpayme.accounts.models import Business
from justpayme.cli import main
from justpayme.runtime import ground
from justpayme.runtime.config import read
from justpayme.runtime.demo import (
    BUSINESS,
    ORGANISATION,
    Demo,
    Report,
    line_about,
    make_person,
    told_report,
)
from justpayme.sync.models import Connection, Run

README = Path(__file__).parents[2] / "README.md"
EXTENT = "every test that needs neither a browser nor the package index"
AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def told(kind: Run.Kind, values: dict[str, Any]) -> str:
    """The line about a run, after its time of day."""
    plain: dict[str, Any] = {"started_at": AT, "ended_at": AT, "calls": 4}
    run = Run(connection=Connection(name="Demo Company"), kind=kind, **plain | values)
    return line_about(run).split("  ", 1)[1]


@pytest.mark.parametrize(
    ("kind", "values", "line"),
    [
        (Run.Kind.INCREMENT, {}, "changes: 0 new, 0 changed (4 calls)"),
        (Run.Kind.INCREMENT, {"created": 2, "calls": 1}, "changes: 2 new, 0 changed (1 call)"),
        (Run.Kind.PUSH, {"sent": 1}, "sending: 1 sent (4 calls)"),
        (Run.Kind.PUSH, {}, "sending: 0 sent (4 calls)"),
        (Run.Kind.PUSH, {"sent": 2, "refused": 1}, "sending: 2 sent, 1 refused (4 calls)"),
        (Run.Kind.PUSH, {"sent": 1, "changed": 1}, "sending: 1 changed, 1 sent (4 calls)"),
        (Run.Kind.PUSH, {"error_text": "Xero is busy."}, "sending: Xero is busy. (4 calls)"),
    ],
)
def test_a_line_about_a_run_tells_what_it_did(
    kind: Run.Kind, values: dict[str, Any], line: str
) -> None:
    assert told(kind, values) == f"Demo Company, {line}"


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (False, ", in 7 calls and 0.2 s"),
        (True, ", kept from the last time (demo --fresh starts afresh)"),
    ],
)
def test_only_a_start_that_imported_tells_what_that_took(kept: bool, words: str) -> None:
    report = Report("Demo Company (UK)", 48, 20, 31, 7, 0.2, kept=kept)
    assert told_report(report) == f"Demo Company (UK): 48 bills, 20 clients and 31 payments{words}"


@pytest.mark.django_db
@pytest.mark.parametrize("before", [AT, None])
def test_bills_are_kept_where_an_earlier_start_imported_them(
    before: datetime | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_person("a long password")
    business = Business.objects.get(name=BUSINESS)
    connection = a_connection(business, name=ORGANISATION, imported_at=before)
    Run.objects.create(connection=connection, kind=Run.Kind.IMPORT, started_at=AT, ended_at=AT)

    def imports(_done: object, _seconds: float) -> bool:
        Connection.objects.update(imported_at=AT)
        return True

    demo = Demo(home=tmp_path, port=None, throw_away=False, out=io.StringIO())
    demo.server = SimpleNamespace(url="")  # type: ignore[assignment]
    monkeypatch.setattr(ground, "start_django", lambda _url: None)
    report = demo._connected(SimpleNamespace(wait_for=imports))  # type: ignore[arg-type]
    assert report.kept is (before is not None)


# --- what a newcomer reads before -------------------------------------------------------------


@pytest.mark.parametrize("uid", [0, 1000])
def test_the_readme_says_where_the_demo_lives_and_how_to_start_afresh(uid: int) -> None:
    text = README.read_text()
    home = read({"HOME": "/home/maeve"}, uid=uid).config.home / "demo"
    assert f"`{home}`".replace("/home/maeve", "~") in text
    assert "`./justpayme demo --fresh`" in text


def test_the_readme_and_the_help_agree_on_what_the_tests_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["test", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in (README.read_text(), shown):
        assert EXTENT in text
        assert "some ten minutes on two cores" in text
    assert "takes hours" in shown
