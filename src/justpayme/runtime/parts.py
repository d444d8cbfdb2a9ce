"""What the commands that run the program share: settings, addresses, command lines."""

import http.client
import os
import subprocess
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from justpayme.runtime.command import USAGE, CommandError
from justpayme.runtime.config import Config, missing_for_serving, read
from justpayme.runtime.postgres import PostgresError, Server, answers, find_binaries


def usable_config(environment: Mapping[str, str] | None = None) -> Config:
    """The settings, or CommandError that holds every problem, a line each."""
    reading = read(os.environ if environment is None else environment)
    if reading.problems:
        raise CommandError("\n  ".join(map(str, ("", *reading.problems))).strip(), USAGE)
    return reading.config


def serving_config() -> Config:
    """The settings of `serve`, `web` and `worker`, which need more than the others."""
    config = usable_config()
    missing = missing_for_serving(config)
    if missing:
        raise CommandError("\n  ".join(map(str, ("", *missing))).strip(), USAGE)
    return config


def port_number(text: str) -> int:
    """For argparse: the port of a --port."""
    if text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 65536:
        return int(text)
    raise ArgumentTypeError(f"{text} is not a port. Use 1 to 65535.")


def add_address_arguments(parser: ArgumentParser) -> None:
    """--host and --port; their defaults come from JUSTPAYME_BASE_URL and loopback."""
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1 (this machine)")
    parser.add_argument("--port", type=port_number, help="default: JUSTPAYME_BASE_URL's, or 8000")


def listening_address(arguments: Namespace, config: Config) -> tuple[str, int]:
    """Host and port to listen on."""
    port = config.port if arguments.port is None else arguments.port
    return arguments.host, port


def database_server(config: Config) -> Server | None:
    """The embedded server of these settings, not started; None when they name another."""
    if config.database_url:
        return None
    try:
        return Server(config.home, find_binaries(config))
    except PostgresError as error:
        raise CommandError(str(error)) from error


def part_database_url(config: Config) -> str:
    """The database for `web` or `worker` alone: it must run already. Sets the environment."""
    server = database_server(config)
    url = config.database_url or (server.url if server else "")
    if server and not answers(url):
        raise CommandError(
            "No database runs. Start `justpayme serve` on this machine, or set "
            "JUSTPAYME_DATABASE_URL to the one that web and workers share."
        )
    os.environ["JUSTPAYME_DATABASE_URL"] = url
    return url


def program(*words: str) -> list[str]:
    """The command line of one of our own commands, run by this very Python."""
    return [sys.executable, "-m", "justpayme.cli", *words]


def sandbox_command(
    *,
    port: int,
    data: Path | None,
    identity: tuple[str, str],
    redirect_uri: str,
    webhook: tuple[str, str] | None = None,
    ready_file: Path | None = None,
    more: Sequence[str] = (),
) -> list[str]:
    """The command line of the local Xero; `identity` is client id and secret, `webhook` the
    address that hears of changes and the key that signs them. Without `data` its books are in
    memory only; `more` goes to it as it is."""
    words = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--client-id": identity[0],
        "--client-secret": identity[1],
        "--redirect-uri": redirect_uri,
    }
    if data:
        words["--data"] = str(data)
    if webhook:
        words |= {"--webhook-url": webhook[0], "--webhook-key": webhook[1]}
    if ready_file:
        words["--ready-file"] = str(ready_file)
    flags = [f"{name}={value}" for name, value in words.items()]  # a secret may begin with "-"
    return [sys.executable, "-m", "xero_sandbox", *flags, *more]


def part_environment(config: Config, url: str) -> dict[str, str]:
    """The environment of web and worker under a supervisor."""
    return dict(
        os.environ,
        JUSTPAYME_DATABASE_URL=url,
        JUSTPAYME_HOME=str(config.home),
        DJANGO_SETTINGS_MODULE="justpayme.settings",
        PYTHONUNBUFFERED="1",
    )


def migrate(environment: Mapping[str, str]) -> None:
    """Bring the tables up to date in a process of its own. Raises CommandError with its words."""
    done = subprocess.run(
        program("migrate"),
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        words = "\n".join(done.stderr.splitlines()[-15:])
        raise CommandError(f"The database could not be brought up to date.\n{words}")


def web_answers(host: str, port: int) -> bool:
    """Whether the web answers a request, whatever it says."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()
