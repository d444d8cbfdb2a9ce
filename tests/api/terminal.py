"""Runs commands as `justpayme` does, in this process and database."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from importlib import import_module
from typing import Any

import pytest

from justpayme.cli import ROOMS
from justpayme.runtime.command import Command, CommandError


def commands() -> dict[str, Command]:
    """Every command of the rooms, by its words."""
    modules = {module for module, _ in ROOMS.values()}
    return {c.name: c for name in sorted(modules) for c in import_module(name).COMMANDS}


def parser_of(command: Command) -> ArgumentParser:
    parser = ArgumentParser(prog=f"justpayme {command.name}")
    command.add_arguments(parser)
    return parser


class Terminal:
    """`run("bill", "show", …)` answers what was printed; refusals are CommandErrors."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def run(self, *words: str) -> str:
        known = commands()
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        rest = words[len(name.split()) :]
        self.capsys.readouterr()
        assert known[name].run(parser_of(known[name]).parse_args(rest)) == 0
        return self.capsys.readouterr().out

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def refused(self, *words: str, code: int = 1) -> str:
        """The sentence of a refusal."""
        with pytest.raises(CommandError) as refusal:
            self.run(*words)
        assert refusal.value.code == code, str(refusal.value)
        return str(refusal.value)
