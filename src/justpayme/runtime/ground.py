"""Make Django and a database ready for one command outside the web and the worker."""

import contextlib
import os
from collections.abc import Iterator

import django

from justpayme.runtime.config import Config
from justpayme.runtime.postgres import Server, answers, find_binaries


def lay(config: Config) -> contextlib.AbstractContextManager[None]:
    """Set Django up; the returned context has a database that answers and is migrated.

    Its address is known before the server runs, so a command can show its --help without one.
    """
    server = None if config.database_url else Server(config.home, find_binaries(config))
    start_django(config.database_url or (server.url if server else ""))
    return _running(server)


def start_django(url: str) -> None:
    """Set Django up for this database."""
    os.environ["JUSTPAYME_DATABASE_URL"] = url
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "justpayme.settings")
    django.setup()


@contextlib.contextmanager
def _running(server: Server | None) -> Iterator[None]:
    """Use the server that runs, or run ours for the while and bring its tables up to date."""
    if server is None or answers(server.url):
        yield
        return
    from justpayme.runtime.migrations import migrate

    server.start()
    try:
        migrate(verbosity=0)
        yield
    finally:
        django.db.connections.close_all()
        server.stop()
