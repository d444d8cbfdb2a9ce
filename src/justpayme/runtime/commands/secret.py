"""`justpayme secret`: print a new secret key."""

from argparse import ArgumentParser, Namespace

from justpayme.runtime.command import OK, Command
from justpayme.runtime.config import new_secret


def add_arguments(parser: ArgumentParser) -> None:
    """It takes none."""


def run(arguments: Namespace) -> int:
    """Print one; nothing is stored."""
    print(new_secret())
    return OK


COMMAND = Command("secret", "print a new JUSTPAYME_SECRET_KEY", add_arguments, run)
