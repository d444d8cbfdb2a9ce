"""The checks behind `justpayme doctor`. They change nothing; a stopped database stays stopped."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from justpayme.runtime.config import (
    DEFAULT_XERO_API_URL,
    DEFAULT_XERO_IDENTITY_URL,
    DEFAULT_XERO_LOGIN_URL,
    Config,
    missing_for_serving,
    read,
)
from justpayme.runtime.postgres import (
    Identity,
    PostgresError,
    Server,
    answers,
    find_binaries,
    major_version,
)

ROOM_NEEDED = 1024**3
"""Free bytes on the home's disk; PostgreSQL stops when there are none."""
OLDEST_POSTGRESQL = 15
XERO_HOSTS = ("XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL")


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, whether it is fine, and a sentence."""

    check: str
    ok: bool
    text: str


def examine() -> list[Finding]:
    """Run every check on the settings of this environment."""
    reading = read(os.environ)
    config = reading.config
    problems = [Finding(one.name, False, one.sentence) for one in reading.problems]
    named = {one.name for one in reading.problems}
    missing = [one for one in missing_for_serving(config) if one.name not in named]
    problems += [Finding(one.name, False, one.sentence) for one in missing]
    settings = problems or [Finding("settings", True, "all that serve needs are set")]
    wrong = {one.check for one in problems}
    return [_python(), *settings, *_xero(config, wrong), _home(config), *_database(config)]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", True, f"{version} at {sys.executable}")


def _xero(config: Config, wrong: set[str]) -> Iterator[Finding]:
    """Which hosts will be called. Whether they answer is not asked: doctor works offline.

    A setting in `wrong` has been replaced by its default, so nothing is said about it here.
    """
    hosts = (config.xero_login_url, config.xero_identity_url, config.xero_api_url)
    real = (DEFAULT_XERO_LOGIN_URL, DEFAULT_XERO_IDENTITY_URL, DEFAULT_XERO_API_URL)
    if not wrong.intersection(XERO_HOSTS):
        yield _xero_hosts(hosts, real)
    if "JUSTPAYME_BASE_URL" not in wrong:
        text = f"register exactly this at Xero: {config.redirect_uri}"
        yield Finding("redirect address", True, text)
        yield Finding("webhooks", True, _webhooks(config))


def _webhooks(config: Config) -> str:
    if not config.xero_webhook_keys:
        return "no XERO_WEBHOOK_KEY: changes in Xero are seen on schedule and by Sync now"
    strict = config.xero_login_url == DEFAULT_XERO_LOGIN_URL
    if strict and not config.https:
        return "XERO_WEBHOOK_KEY is set, but Xero sends webhooks to https addresses only"
    several = ", signed with either of two keys" if len(config.xero_webhook_keys) > 1 else ""
    return f"give exactly this to Xero: {config.webhook_address}{several}"


def _xero_hosts(hosts: tuple[str, ...], real: tuple[str, ...]) -> Finding:
    if hosts == real:
        return Finding("Xero", True, "Xero's own hosts will be called")
    if len({host in real for host in hosts}) == 1:
        return Finding("Xero", True, f"not Xero itself: {', '.join(sorted(set(hosts)))}")
    return Finding(
        "Xero",
        False,
        "XERO_LOGIN_URL, XERO_IDENTITY_URL and XERO_API_URL mix Xero's hosts with others: "
        "set all three or none",
    )


def _home(config: Config) -> Finding:
    place = next(folder for folder in (config.home, *config.home.parents) if folder.exists())
    if not os.access(place, os.W_OK):
        return Finding("home", False, f"{place} cannot be written; set JUSTPAYME_HOME")
    free = shutil.disk_usage(place).free
    size = f"{free / 1024**3:.1f} GB free"
    if free < ROOM_NEEDED:
        return Finding("home", False, f"{config.home}: only {size}; make room for at least 1 GB")
    return Finding("home", True, f"{config.home}: {size}")


def _database(config: Config) -> Iterator[Finding]:
    if config.database_url:
        yield from _answering(config.database_url)
        return
    try:
        binaries = find_binaries(config)
        server = Server(config.home, binaries)
    except PostgresError as error:
        yield Finding("PostgreSQL", False, str(error))
        return
    yield Finding("PostgreSQL", True, f"{major_version(binaries)} in {binaries}{_as_whom(server)}")
    if answers(server.url):
        yield from _answering(server.url)
    else:
        yield Finding("database", True, "not running; serve starts it")


def _as_whom(server: Server) -> str:
    if server.identity == Identity():
        return ""
    if server.identity.prefix:
        return ", run in a user namespace because this is root"
    return f", run as uid {server.identity.uid} in {server.places.data}"


def _answering(url: str) -> Iterator[Finding]:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            number = connection.info.server_version // 10000
    except psycopg.Error as error:
        reason = str(error).splitlines()[0]
        yield Finding("database", False, f"no answer: {reason}. Check JUSTPAYME_DATABASE_URL")
        return
    if number < OLDEST_POSTGRESQL:
        yield Finding("database", False, f"PostgreSQL {number}; {OLDEST_POSTGRESQL} is needed")
        return
    yield Finding("database", True, f"PostgreSQL {number} answers")
    yield _migrations(url)


def _migrations(url: str) -> Finding:
    from justpayme.runtime.ground import start_django
    from justpayme.runtime.migrations import missing

    start_django(url)
    names = missing()
    if names:
        return Finding("migrations", False, f"{len(names)} to run: run `justpayme migrate`")
    return Finding("migrations", True, "up to date")
