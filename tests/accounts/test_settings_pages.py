"""Settings pages: what each role sees and may do."""

import pytest
from django.test import Client

from justpayme.accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_settings_index_shows_the_places(owner: Client) -> None:
    page = owner.get("/settings/")
    assert page.status_code == 200
    assert "API tokens" in page.content.decode()
