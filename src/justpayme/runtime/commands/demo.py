"""`justpayme demo`: the whole program beside a local Xero, connected and filled."""

import json
import sys
from argparse import ArgumentParser, Namespace

from justpayme.runtime.command import FAILED, OK, Command, CommandError
from justpayme.runtime.demo import Demo, DemoError, Report
from justpayme.runtime.parts import port_number, usable_config
from justpayme.runtime.postgres import PostgresError
from justpayme.runtime.supervisor import StoppedEarly


def add_arguments(parser: ArgumentParser) -> None:
    """How to start."""
    parser.add_argument("--fresh", action="store_true", help="forget the last demo, start over")
    parser.add_argument(
        "--check",
        action="store_true",
        help="import into an empty folder, compare every bill with Xero, print a line of JSON",
    )
    parser.add_argument(
        "--port", type=port_number, help="where to listen; default: 8000 or a free one"
    )


def run(arguments: Namespace) -> int:
    """Exit code 1 when something went wrong or, with --check, when a bill differs."""
    config = usable_config()
    demo = Demo(
        home=config.home / ("check" if arguments.check else "demo"),
        port=arguments.port,
        throw_away=arguments.check,
        out=sys.stderr if arguments.check else sys.stdout,
    )
    try:
        if arguments.fresh or arguments.check:
            demo.forget()
        if arguments.check:
            return _finish(demo.check())
        demo.stay()
    except StoppedEarly:
        return 130
    except (DemoError, PostgresError) as error:
        raise CommandError(str(error)) from error
    return OK


def _finish(report: Report) -> int:
    print(json.dumps(report.as_json(), ensure_ascii=False))
    return OK if report.drift == 0 else FAILED


COMMAND = Command(
    "demo", "everything beside a local Xero, connected and filled", add_arguments, run
)
