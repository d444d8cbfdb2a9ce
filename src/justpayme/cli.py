"""The command line: `justpayme <command>`; every command explains itself with --help.

Exit codes: 0 done, 1 failed or a check found something, 2 wrong usage or settings.
The commands that run the program live in `runtime/`; those about bills, people and syncing live
in the room that knows about them and are imported only when they are asked for.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from justpayme.runtime.command import USAGE, Command, CommandError
from justpayme.runtime.parts import serving_config, usable_config

OWN = (
    *("demo", "serve", "web", "worker", "sandbox"),
    *("test", "simulate", "doctor", "secret", "migrate"),
)
ROOMS = {
    "sync": ("justpayme.sync.commands", "read from Xero now"),
    "verify": ("justpayme.sync.commands", "compare every bill with its Xero invoice"),
    "explain": ("justpayme.sync.commands", "tell why a bill says what it says"),
    "restored": ("justpayme.sync.commands", "look in Xero for what a restored backup would send"),
    "bill": ("justpayme.bills.bill_commands", "show, add, change, pay or void a bill"),
    "organisation": ("justpayme.integrations.commands", "which way it syncs, and its defaults"),
    "outbox": ("justpayme.integrations.commands", "what has not reached Xero"),
    "conflicts": ("justpayme.integrations.commands", "what Xero overrode"),
    "contact": ("justpayme.integrations.commands", "say which contact a client is"),
    "export": ("justpayme.api.commands", "write bills as JSON or CSV"),
    "history": ("justpayme.bills.commands", "show a bill as it was, or check every history"),
    "user": ("justpayme.accounts.commands", "create a person"),
    "token": ("justpayme.api.commands", "create a token for the JSON API"),
}
"""First word of a command -> the module with its COMMANDS, and a line for the overview."""
XERO_CALLERS = ("sync", "verify")
"""Without the secret key they would find stored tokens that nothing opens, and end the access."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _refuse_unreadable(words)
        return _run(words)
    except CommandError as error:
        print(f"justpayme: {error}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _refuse_unreadable(words: list[str]) -> None:
    """Raise CommandError for a word that is no text: no file of ours nor any table holds it."""
    for number, word in enumerate(words, 1):
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise CommandError(f"Word {number} of the command is not UTF-8 text.", USAGE) from error


def _run(words: list[str]) -> int:
    first = next((word for word in words if not word.startswith("-")), "")
    if first in ROOMS and words[0] == first:
        return _run_room(first, words)
    parser = _overview()
    parsed, rest = parser.parse_known_args(words)
    if rest and parsed.command != "test":
        parser.error(f"unrecognised arguments: {' '.join(rest)}")
    parsed.rest = rest
    return int(parsed.run(parsed))


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="justpayme",
        description="Bills for sole traders and small businesses, kept equal to Xero invoices.",
    )


def _overview() -> argparse.ArgumentParser:
    parser = _parser()
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name in OWN:
        _add(commands, _own_command(name))
    for name, (_, help_text) in ROOMS.items():
        commands.add_parser(name, help=help_text, add_help=False)
    return parser


def _own_command(name: str) -> Command:
    command: Command = import_module(f"justpayme.runtime.commands.{name}").COMMAND
    return command


def _add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", one: Command) -> None:
    parser = commands.add_parser(one.name.split()[-1], help=one.help, description=one.help)
    one.add_arguments(parser)
    parser.set_defaults(run=one.run)


def _run_room(first: str, words: list[str]) -> int:
    """Run a command of a room: Django first, then the arguments, then a database."""
    from justpayme.runtime import ground

    config = usable_config()
    database = ground.lay(config)
    module = import_module(ROOMS[first][0])
    parser = _parser()
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    found = [one for one in module.COMMANDS if one.name.split()[0] == first]
    if len(found) == 1 and found[0].name == first:
        _add(commands, found[0])
    else:
        group = commands.add_parser(first, help=ROOMS[first][1])
        inner = group.add_subparsers(dest="action", metavar="action", required=True)
        for one in found:
            _add(inner, one)
    parsed = parser.parse_args(words)
    if first in XERO_CALLERS:
        serving_config()
    with database:
        return int(parsed.run(parsed))


if __name__ == "__main__":
    sys.exit(main())
