"""The two businesses of the security tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connections, transaction
from tests.security.world import World, build, fresh


@pytest.fixture(scope="module")
def built(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Two businesses full of hostile text, made once for each file: a hundred and more tests
    look at them. Nothing of it is ever committed."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield build()
        transaction.set_rollback(True)
    connections.close_all()


@pytest.fixture
def world(built: World, db: None) -> World:
    """Two businesses full of hostile text, with everybody signed in; whatever a test does to
    them is taken back."""
    return replace(built, browsers={name: fresh(b) for name, b in built.browsers.items()})
