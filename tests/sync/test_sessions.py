"""The database sessions that hold locks: what frees them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.db import connections as databases
from django.db.backends.base.base import BaseDatabaseWrapper

from justpayme.sync import runs, tokens

LOCKS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "an organisation": lambda: runs.sole(1),
    "a token set": lambda: tokens._one_at_a_time(1),
}


@pytest.mark.django_db
@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_host_that_vanishes_gives_its_locks_back_within_seconds(
    lock: Callable[[], AbstractContextManager[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-42. It is the server that must ask whether its client is still there. These tests reach
    it by a Unix socket, where it shows what it was told as the values to reset to."""
    opened: list[BaseDatabaseWrapper] = []
    create = databases.create_connection

    def remember(alias: str) -> BaseDatabaseWrapper:
        opened.append(create(alias))
        return opened[-1]

    monkeypatch.setattr(databases, "create_connection", remember)
    with lock(), opened[0].cursor() as cursor:
        cursor.execute("SELECT name, reset_val::int FROM pg_settings WHERE name LIKE 'tcp\\_%'")
        asks = dict(cursor.fetchall())
    gone = (
        asks["tcp_keepalives_idle"] + asks["tcp_keepalives_interval"] * asks["tcp_keepalives_count"]
    )
    assert 0 < gone <= 10
    assert 0 < asks["tcp_user_timeout"] <= 10_000
