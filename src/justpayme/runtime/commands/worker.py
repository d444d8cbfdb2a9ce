"""`justpayme worker`: only the worker, for hosts of its own."""

from argparse import ArgumentParser, Namespace

from justpayme.runtime.command import FAILED, OK, Command
from justpayme.runtime.parts import part_database_url, serving_config


def add_arguments(parser: ArgumentParser) -> None:
    """It takes none."""


def run(arguments: Namespace) -> int:
    """Take jobs until stopped. The database must run and be migrated. A worker that ended for
    another reason than a signal failed, so that a service manager starts it again."""
    from justpayme.runtime import worker
    from justpayme.runtime.ground import start_django

    url = part_database_url(serving_config())
    start_django(url)
    return OK if worker.run(url) else FAILED


COMMAND = Command("worker", "run only the worker (a database must run)", add_arguments, run)
