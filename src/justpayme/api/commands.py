"""Commands of this room: export the bills, make a token."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from django.utils import timezone

from justpayme.accounts import actions, security_log
from justpayme.accounts.models import Membership
from justpayme.api.export import export_bills
from justpayme.api.terminal import HERE, find_business, find_member
from justpayme.runtime.command import OK, Command, CommandError

MAX_NAME = 100


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--format", choices=["json", "csv"], required=True)
    parser.add_argument("--business", help="name or id; needed if there are several")
    parser.add_argument("--output", type=Path, help="file to write; the terminal if left out")


def _export(options: Namespace) -> int:
    business = find_business(options.business)
    try:
        with _target(options.output) as out:
            count = export_bills(business, options.format, out, now=timezone.now())
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; what it did not read was not wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    security_log.record(action="export", business=business, user=None, address=HERE, bills=count)
    if options.output:
        sys.stderr.write(f"{count:,} bills written to {options.output}\n")
    return OK


@contextmanager
def _target(path: Path | None) -> Iterator[TextIO]:
    """The terminal, or a file that only its owner can read and that appears when complete."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    part = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise CommandError(f"Cannot write {path}: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            yield out
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _token_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--user", required=True, help="e-mail address of a member")
    parser.add_argument("--business", help="name or id; needed if there are several")
    parser.add_argument("--name", required=True, help="what the token is for")
    parser.add_argument("--json", action="store_true", help="print one JSON line")


def _create_token(options: Namespace) -> int:
    membership = find_member(find_business(options.business), options.user)
    name = options.name.strip()
    if not 0 < len(name) <= MAX_NAME:
        raise CommandError(f"Give a --name of 1 to {MAX_NAME} characters.")
    try:
        _, secret = actions.add_token(membership=membership, name=name, address=HERE)
    except actions.Refused as refused:
        raise CommandError(str(refused)) from refused
    _print_token(secret, membership, as_json=options.json)
    return OK


def _print_token(secret: str, membership: Membership, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "token": secret,
            "business": membership.business.name,
            "user": membership.user.email,
            "role": membership.role,
        }
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    sys.stdout.write(f"{secret}\n")
    sys.stderr.write(
        f"For {membership.business.name}, as {membership.user.email} ({membership.role}). "
        "It is shown only now; keep it somewhere safe.\n"
    )


COMMANDS = (
    Command("export bills", "Write all bills as JSON or CSV", _export_arguments, _export),
    Command("token create", "Make a token for the API", _token_arguments, _create_token),
)
