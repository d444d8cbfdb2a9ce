"""The two businesses of the security tests."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client as Browser
from tests.security.world import World, build


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
    return replace(built, browsers={name: _copy(b) for name, b in built.browsers.items()})


def _copy(browser: Browser) -> Browser:
    """The same person in a browser of her own: signing out must not reach the next test."""
    fresh = Browser(raise_request_exception=False)
    fresh.cookies = copy.deepcopy(browser.cookies)
    return fresh
