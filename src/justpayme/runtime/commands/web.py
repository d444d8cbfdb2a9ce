"""`justpayme web`: only the web, for hosts of its own."""

from argparse import ArgumentParser, Namespace

from justpayme.runtime import web
from justpayme.runtime.command import OK, Command
from justpayme.runtime.parts import (
    add_address_arguments,
    listening_address,
    part_database_url,
    serving_config,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Where to listen."""
    add_address_arguments(parser)


def run(arguments: Namespace) -> int:
    """Serve pages until stopped. The database must run and be migrated."""
    config = serving_config()
    part_database_url(config)
    web.run(*listening_address(arguments, config))
    return OK


COMMAND = Command("web", "run only the web (a database must run)", add_arguments, run)
