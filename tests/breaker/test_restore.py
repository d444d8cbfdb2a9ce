"""A backup is taken back while Xero and our people went on: nothing is posted twice (I-53, F17)."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections as databases
from django.test import override_settings
from tests.breaker.restores import AGES, Restores, as_from_a_dump, doubled, unequal
from tests.breaker.world import World, new_process
from tests.extent import FULL

from justpayme.core.outbox import has_marker
from justpayme.runtime.config import read
from justpayme.runtime.postgres import find_binaries
from justpayme.sync import restored
from justpayme.sync.models import OutboxItem

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.layer("restore"),
    pytest.mark.timeout(3600),
]

HISTORIES = 1_000 if FULL else 12
CHUNKS = 2
"""Tests for each age, so that two processes share the work."""


@pytest.fixture
def restores() -> Iterator[Restores]:
    """One beginning, gone back to before each history."""
    world = World(seed=5, sales=4)
    names = ("XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL")
    addresses: dict[str, Any] = dict.fromkeys(names, "http://xero.test")
    logging.disable(logging.CRITICAL)
    with override_settings(XERO_TRANSPORT=world.transport, **addresses):
        made = Restores(world)
        yield made
        made.close()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("age", AGES)
def test_a_backup_of_any_age_posts_nothing_twice(
    restores: Restores, age: str, chunk: int, cases: Callable[[int], None]
) -> None:
    for seed in range(chunk, HISTORIES // len(AGES), CHUNKS):
        found = restores.history(AGES[age], seed)
        assert not found, f"{age}, seed {seed}: {found}"
        cases(1)


def test_without_noticing_the_restore_some_history_posts_twice(
    restores: Restores, cases: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the silence above means something."""
    monkeypatch.setattr(restored, "notice", lambda now: 0)
    town = restores.town
    restores.back(1)
    town.dice.seed(4)
    town._pays()
    restores.dump.take()
    town.settles()
    made = next(p for p in town.world.ledger().payments.rows.values() if "JPM-" in p.reference)
    assert town.world.try_act("remove-payment", payment=made.id)
    restores.dump.back()
    as_from_a_dump()
    new_process()
    town.settles()
    assert doubled(town)
    cases(1)


# --- with PostgreSQL's own programs ------------------------------------------------------------


def _program(name: str) -> str:
    return str(find_binaries(read(dict(os.environ)).config) / name)


def _run(*words: str) -> None:
    given = database.get_connection_params()
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    where = {names[k]: str(given[k]) for k in names if given.get(k)}
    done = subprocess.run(
        words, env=os.environ | where, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def _dump(file: Path) -> None:
    _run(_program("pg_dump"), "-Fc", "-f", str(file), "-d", database.settings_dict["NAME"])


def _restore(file: Path) -> None:
    """As the runbook says."""
    databases.close_all()
    options = ("--clean", "--if-exists", "--single-transaction")
    _run(_program("pg_restore"), *options, "-d", database.settings_dict["NAME"], str(file))


def test_a_real_dump_that_is_restored_is_noticed_and_posts_nothing_twice(
    restores: Restores, tmp_path: Path, cases: Callable[[int], None]
) -> None:
    """By pg_dump and pg_restore; a payment that was deleted in Xero meanwhile counts."""
    town, file = restores.town, tmp_path / "bills.dump"
    restores.back(1)
    town.dice.seed(4)
    town._pays()
    town._pays()
    restored.notice(town.world.clock.now())
    _dump(file)
    town.settles()
    made = [p for p in town.world.ledger().payments.rows.values() if "JPM-" in p.reference]
    assert len(made) == 2
    assert town.world.try_act("remove-payment", payment=made[0].id)
    _restore(file)
    new_process()
    assert OutboxItem.objects.filter(state="waiting", kind="pay").count() == 2
    town.settles()
    assert not doubled(town) + unequal(town)
    markers = OutboxItem.objects.filter(kind="pay").values_list("marker", flat=True)
    rows = town.world.ledger().payments.rows.values()
    assert sum(any(has_marker(p.reference, m) for m in markers) for p in rows) == 2
    cases(1)
