"""`justpayme worker`: only the worker, for hosts of its own."""

from argparse import ArgumentParser, Namespace

from justpayme.runtime.command import OK, Command
from justpayme.runtime.parts import part_database_url, serving_config


def add_arguments(parser: ArgumentParser) -> None:
    """It takes none."""


def run(arguments: Namespace) -> int:
    """Take jobs until stopped. The database must run and be migrated."""
    from justpayme.runtime import worker
    from justpayme.runtime.ground import start_django

    url = part_database_url(serving_config())
    start_django(url)
    worker.run(url)
    return OK


COMMAND = Command("worker", "run only the worker (a database must run)", add_arguments, run)
