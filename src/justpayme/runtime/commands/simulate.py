"""`justpayme simulate`: try to break the sync with seeded stories, from a checkout."""

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from importlib import import_module

from justpayme.runtime.command import USAGE, Command, CommandError
from justpayme.runtime.commands.test import checkout


def add_arguments(parser: ArgumentParser) -> None:
    """How many stories, which, and what to keep."""
    parser.add_argument("--seeds", type=number, default=500, help="how many stories (500)")
    parser.add_argument("--first-seed", type=number, default=1, help="the first one's number (1)")
    parser.add_argument("--processes", type=number, default=2, help="at the same time (2)")
    parser.add_argument("--minutes", type=number, help="begin no more stories after so long")
    parser.add_argument(
        "--record", metavar="FILE", help="add to this record, leave out what it has"
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--replay", type=number, metavar="SEED", help="tell this one again")
    parser.add_argument("--whole", action="store_true", help="with --replay: don't make it shorter")


def number(text: str) -> int:
    """A whole number from 1; what tries nothing would look like a success."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def run(options: Namespace) -> int:
    """1 if anything did not hold. The stories are part of the tests."""
    if options.whole and options.replay is None:
        raise CommandError("--whole is about --replay. Add that, or leave it out.", USAGE)
    if options.replay is not None and (options.record or options.minutes):
        raise CommandError("--replay tells one story: leave out --record and --minutes.", USAGE)
    sys.path.insert(0, str(checkout()))
    os.environ.pop("JUSTPAYME_TEST_DATABASE_URL", None)  # stories have databases of their own
    return int(import_module("tests.breaker.command").run(options))


COMMAND = Command("simulate", "try to break the sync (from a checkout)", add_arguments, run)
