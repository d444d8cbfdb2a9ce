"""The two businesses of the security tests."""

import pytest
from tests.security.world import World, build


@pytest.fixture
def world(db: None) -> World:
    """Two businesses full of hostile text, with everybody signed in."""
    return build()
