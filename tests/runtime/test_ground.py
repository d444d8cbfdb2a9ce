"""The ground itself: the suite's database answers, and nothing leaves the machine."""

import socket

import pytest
from django.db import connection
from tests.fixtures.guard import is_local

from justpayme.accounts.models import Business, Membership, User


def test_database_is_postgresql_in_utc(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, now()::text")
        version, now = cursor.fetchone()
    assert version >= 150000
    assert now.endswith("+00")


def test_the_cast_has_its_roles(alice: User, bob: User, vera: User, charlie: User) -> None:
    roles = dict(Membership.objects.values_list("user__email", "role"))
    assert roles == {
        "alice@example.com": "owner",
        "bob@example.com": "member",
        "vera@example.com": "viewer",
        "charlie@example.com": "owner",
    }
    assert Business.objects.count() == 2


def test_a_connection_to_the_internet_is_refused() -> None:
    assert is_local(socket.AF_INET, ("127.0.0.1", 80))
    assert not is_local(socket.AF_INET, ("93.184.216.34", 80))
    assert not is_local(socket.AF_INET6, ("::ffff:169.254.169.254", 80, 0, 0))


@pytest.mark.parametrize("path", ["/var/run/some.sock"])
def test_unix_sockets_are_local(path: str) -> None:
    assert is_local(socket.AF_UNIX, path)
