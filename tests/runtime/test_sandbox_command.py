"""What `justpayme sandbox` asks of the local Xero."""

from argparse import ArgumentParser
from pathlib import Path

import pytest

from justpayme.runtime.commands.sandbox import add_arguments, answers, wishes
from justpayme.runtime.parts import sandbox_command
from xero_sandbox.__main__ import arguments


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
    assert "--data=xero.sqlite" in kept
    own = sandbox_command(data=None, more=["--seed=7"], **same)
    assert not any(word.startswith("--data") for word in own)
    assert own[-1] == "--seed=7"


def test_a_secret_may_begin_with_a_hyphen() -> None:
    """One in 64 that chance makes does."""
    command = sandbox_command(
        port=8100,
        data=None,
        identity=("-id", "-secret"),
        redirect_uri="http://localhost/cb",
        webhook=("http://127.0.0.1:8000/hook", "--key"),
    )
    read = arguments().parse_args(command[3:])
    assert (read.client_id, read.client_secret, read.webhook_key) == ("-id", "-secret", "--key")


def test_open_questions_are_answered_in_the_sandboxs_words() -> None:
    parser = ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(["--open", "since=after", "--open", "halves=even"])
    assert answers(given) == ["--open=since=after", "--open=halves=even"]
    assert wishes(given) == answers(parser.parse_args([])) == []
