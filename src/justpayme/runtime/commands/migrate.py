"""`justpayme migrate`: bring the tables up to date."""

from argparse import ArgumentParser, Namespace

from justpayme.runtime.command import OK, Command
from justpayme.runtime.parts import usable_config


def add_arguments(parser: ArgumentParser) -> None:
    """It takes none."""


def run(arguments: Namespace) -> int:
    """Migrate the database of the settings, starting the embedded one for the while."""
    from justpayme.runtime.ground import lay
    from justpayme.runtime.migrations import migrate

    with lay(usable_config()):
        migrate()
    return OK


COMMAND = Command("migrate", "bring the database's tables up to date", add_arguments, run)
