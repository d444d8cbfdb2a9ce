"""`justpayme sandbox`: a local Xero alone, to point an installation at."""

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from justpayme.runtime.command import Command, CommandError
from justpayme.runtime.config import is_loopback
from justpayme.runtime.parts import port_number, sandbox_command, usable_config
from justpayme.runtime.supervisor import port_is_free

DEFAULT_PORT = 8100
CLIENT_ID = "JUSTPAYME-SANDBOX-CLIENT"
CLIENT_SECRET = "justpayme-sandbox-secret"  # noqa: S105 - a public value of a local fake
TIER = "calls a day: 1,000 (starter) or 5,000 (core)"
OPEN = "answer a question that nobody has settled about Xero"
COUNTRIES = ("AU", "IE", "SG", "US")
"""Beside the United Kingdom and New Zealand, which are always there."""
WEBHOOK_KEY = "justpayme-sandbox-webhook-key"


def add_arguments(parser: ArgumentParser) -> None:
    """Where to listen, and what books to begin with."""
    parser.add_argument("--port", type=port_number, default=DEFAULT_PORT, help="default: 8100")
    parser.add_argument("--open", action="append", metavar="NAME=VALUE", help=OPEN)
    parser.add_argument("--tier", choices=("core", "starter"), default="starter", help=TIER)
    books = parser.add_argument_group("books of their own, gone when it stops")
    books.add_argument("--seed", type=int, help="number that the demo data come from")
    books.add_argument(
        "--invoices", type=invoices, action="append", help="one more company, of so many invoices"
    )
    books.add_argument(
        "--country", choices=COUNTRIES, action="append", help="that country's company as well"
    )


def invoices(text: str) -> int:
    """For argparse: how many invoices a company has."""
    if text.isascii() and text.isdecimal() and len(text) < 7:
        return int(text)
    raise ArgumentTypeError(f"{text} is no number of invoices. Use 0 to 999999.")


def wishes(arguments: Namespace) -> list[str]:
    """What is asked of the books, as the sandbox's own options."""
    seeds = [] if arguments.seed is None else [arguments.seed]
    asked = {
        "--seed": seeds,
        "--invoices": arguments.invoices or [],
        "--country": arguments.country or [],
    }
    return [f"{name}={value}" for name, values in asked.items() for value in values]


def answers(arguments: Namespace) -> list[str]:
    """What is said about open questions, as the sandbox's own options."""
    return [f"--open={pair}" for pair in arguments.open or []]


def run(arguments: Namespace) -> int:
    """Become the sandbox."""
    config = usable_config()
    if not port_is_free("127.0.0.1", arguments.port):
        raise CommandError(f"Port {arguments.port} is taken. Choose another with --port.")
    address = f"http://127.0.0.1:{arguments.port}"
    identity = (config.xero_client_id or CLIENT_ID, config.xero_client_secret or CLIENT_SECRET)
    webhook_key = next(iter(config.xero_webhook_keys), WEBHOOK_KEY)
    print(f"The sandbox is at {address}. To use it, start `serve` with:", file=sys.stderr)
    for name, value in (
        ("XERO_CLIENT_ID", identity[0]),
        ("XERO_CLIENT_SECRET", identity[1]),
        ("XERO_WEBHOOK_KEY", webhook_key),
        ("XERO_LOGIN_URL", address),
        ("XERO_IDENTITY_URL", address),
        ("XERO_API_URL", address),
    ):
        print(f"  {name}={value}", file=sys.stderr)
    asked = wishes(arguments)
    command = sandbox_command(
        port=arguments.port,
        data=None if asked else config.home / "sandbox.sqlite",
        more=[*asked, *answers(arguments), "--tier", arguments.tier],
        identity=identity,
        redirect_uri=config.redirect_uri,
        # A local Xero tells nobody but this machine of changes.
        webhook=(config.webhook_address, webhook_key) if is_loopback(config.hostname) else None,
    )
    os.execv(command[0], command)  # noqa: S606
    return 0


COMMAND = Command("sandbox", "run a local Xero alone", add_arguments, run)
