"""What `justpayme sandbox` asks of the local Xero."""

from argparse import ArgumentParser
from pathlib import Path

import pytest

from justpayme.runtime.commands.sandbox import add_arguments, answers, wishes
from justpayme.runtime.parts import sandbox_command


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([], []),
        (["--tier", "core"], []),
        (["--seed", "0"], ["--seed=0"]),
        (
            ["--invoices", "5", "--country", "AU", "--invoices", "9"],
            ["--invoices=5", "--invoices=9", "--country=AU"],
        ),
    ],
)
def test_books_of_their_own_are_asked_for_in_the_sandboxs_words(
    given: list[str], passed: list[str]
) -> None:
    parser = ArgumentParser()
    add_arguments(parser)
    assert wishes(parser.parse_args(given)) == passed


def test_books_of_their_own_are_kept_in_no_file() -> None:
    same = {"port": 8100, "identity": ("id", "secret"), "redirect_uri": "http://localhost/cb"}
    kept = sandbox_command(data=Path("xero.sqlite"), **same)
    assert kept[kept.index("--data") + 1] == "xero.sqlite"
    own = sandbox_command(data=None, more=["--seed=7"], **same)
    assert "--data" not in own
    assert own[-1] == "--seed=7"


def test_open_questions_are_answered_in_the_sandboxs_words() -> None:
    parser = ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(["--open", "since=after", "--open", "halves=even"])
    assert answers(given) == ["--open=since=after", "--open=halves=even"]
    assert wishes(given) == answers(parser.parse_args([])) == []
