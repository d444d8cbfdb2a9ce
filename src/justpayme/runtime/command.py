"""The small agreement between `justpayme` and the rooms that bring commands."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

OK = 0
FAILED = 1
USAGE = 2


class CommandError(Exception):
    """A command cannot do what was asked. The text is a sentence for the person who asked."""

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True)
class Command:
    """One verb of the command line.

    `name` has one word or two ("user create"). `run` answers the exit code: 0 ok, 1 a check
    failed, 2 wrong usage; it may raise CommandError. Commands of the rooms run with Django set
    up and with a database that answers and is migrated.
    """

    name: str
    help: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]
