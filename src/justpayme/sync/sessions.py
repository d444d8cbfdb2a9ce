"""Database sessions of their own, for the locks that keep processes apart.

Such a lock needs no open transaction and survives commits, and PostgreSQL frees it by itself
when the session ends: when it is closed, when our process dies, and when its host vanishes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

_HERE = {
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 6000,
}
"""So we notice within seconds that the server is gone."""

_THERE = (
    "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3 "
    "-c tcp_user_timeout=6000"
)
"""So the server notices within seconds that our host is gone, and frees the lock; by itself it
asks after two hours. A Unix socket takes them and does nothing with them."""


@contextmanager
def alone() -> Iterator[BaseDatabaseWrapper]:
    """A new session that ends with the block, and its locks with it."""
    own = connections.create_connection("default")
    given = settings.DATABASES["default"]["OPTIONS"]
    # Never from a pool: closing it must end the session.
    options = {**given, **_HERE, "options": f"{given['options']} {_THERE}", "pool": False}
    own.settings_dict = own.settings_dict | {"OPTIONS": options}
    try:
        yield own
    finally:
        own.close()
