"""The command line explains itself, documents itself, and answers with the right code."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from justpayme.cli import OWN, ROOMS, main
from justpayme.runtime.commands.test import selection
from justpayme.runtime.config import NAMES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs/settings.md").read_text()


def test_no_setting_is_documented_that_does_not_exist() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    documented = set(re.findall(r"^\| `((?:JUSTPAYME|XERO)_[A-Z_]+)`", text, re.MULTILINE))
    assert documented == {*NAMES, "JUSTPAYME_VENV", "JUSTPAYME_TEST_DATABASE_URL"}


@pytest.mark.parametrize("name", [*OWN, *ROOMS])
def test_every_command_is_documented(name: str) -> None:
    assert f"`justpayme {name}" in (ROOT / "docs/commands.md").read_text()


@pytest.mark.parametrize("name", OWN)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"justpayme {name}" in capsys.readouterr().out


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(re.search(rf"^ +{name}( |$)", shown, re.MULTILINE) for name in (*OWN, *ROOMS))


def test_a_word_that_is_no_text_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", b"\xff".decode(errors="surrogateescape")]) == 2
    assert capsys.readouterr().err == "justpayme: Word 2 of the command is not UTF-8 text.\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dance"],
        ["serve", "--dance"],
        ["demo", "--port", "x"],
        ["demo", "--port", "99999"],
        ["sandbox", "--port", "0"],
        ["serve", "--port", "-1"],
    ],
)
def test_wrong_usage_is_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "usage: justpayme" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "web", "worker", "sync", "verify"])
def test_serving_and_calling_xero_without_settings_says_what_to_set(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("JUSTPAYME_SECRET_KEY", "XERO_CLIENT_ID", "XERO_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    assert main([command]) == 2
    said = capsys.readouterr().err
    assert "justpayme secret" in said
    assert "XERO_CLIENT_ID is not set" in said


def test_a_wrong_setting_stops_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUSTPAYME_BASE_URL", "http://bills.example.com")
    assert main(["serve"]) == 2
    assert "must be https" in capsys.readouterr().err


def test_doctor_says_nothing_fine_about_a_setting_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUSTPAYME_BASE_URL", "http://bills.example.com")
    monkeypatch.setenv("XERO_API_URL", "http://xero.example.com")
    monkeypatch.setenv("JUSTPAYME_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert main(["doctor", "--json"]) == 1
    checks = {one["check"] for one in json.loads(capsys.readouterr().out)}
    assert {"JUSTPAYME_BASE_URL", "XERO_API_URL"} <= checks
    assert not {"Xero", "redirect address"} & checks


@pytest.mark.parametrize(
    ("key", "base", "said"),
    [
        ("", "https://bills.example.com", "no XERO_WEBHOOK_KEY"),
        ("one", "http://localhost:8000", "https addresses only"),
        ("one two", "https://bills.example.com", "/webhooks/xero, signed with either of two keys"),
    ],
)
def test_doctor_says_how_webhooks_stand(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    base: str,
    said: str,
) -> None:
    monkeypatch.setenv("JUSTPAYME_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("XERO_WEBHOOK_KEY", key)
    monkeypatch.setenv("JUSTPAYME_BASE_URL", base)
    main(["doctor", "--json"])
    findings = {one["check"]: one for one in json.loads(capsys.readouterr().out)}
    assert findings["webhooks"]["ok"]
    assert said in findings["webhooks"]["text"]


def test_a_new_secret_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secret"]) == main(["secret"]) == 0
    one, two = capsys.readouterr().out.split()
    assert one != two
    assert len(one) >= 40


def test_parts_alone_need_a_database_that_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUSTPAYME_DATABASE_URL", "")
    monkeypatch.setenv("JUSTPAYME_HOME", str(tmp_path))
    assert main(["worker"]) == 1
    assert "No database runs" in capsys.readouterr().err


def test_doctor_lists_what_is_wrong_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUSTPAYME_SECRET_KEY", "short")
    monkeypatch.setenv("XERO_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("JUSTPAYME_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    failed = {one["check"] for one in findings if not one["ok"]}
    assert failed == {"JUSTPAYME_SECRET_KEY", "Xero", "database"}


@pytest.mark.django_db(transaction=True)
def test_doctor_is_content_with_this_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0 or "migrations" in capsys.readouterr().out


def test_a_closed_pipe_is_not_a_traceback() -> None:
    command = f"{sys.executable} -m justpayme.cli --help | true"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("browser", "rest", "expected"),
    [
        (False, [], ["-m", "not browser", "-n", "2", "--dist", "worksteal"]),
        (True, [], ["-n", "2", "--dist", "worksteal"]),
        (False, ["tests/core"], ["-m", "not browser", "tests/core"]),
        (True, ["-x"], ["-n", "2", "--dist", "worksteal", "-x"]),
    ],
)
def test_what_is_handed_to_pytest(browser: bool, rest: list[str], expected: list[str]) -> None:
    assert selection(browser, rest) == expected


def test_browser_tests_without_a_browser_fail_with_the_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["test", "--browser"]) == 1
    assert "apt-get install chromium" in capsys.readouterr().err
