"""A change of the secret key must not lock out who signs in with a second step."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt, encrypt
from django.core.exceptions import PermissionDenied

from justpayme.accounts.jobs import seal_again
from justpayme.accounts.models import User

OLD, NEW = {"old": b"o" * 32}, {"new": b"n" * 32}


@pytest.mark.parametrize("name", ["secret", "seed"])
def test_an_older_key_can_go_once_second_steps_are_sealed_again(
    alice: User, settings: Any, name: str
) -> None:
    settings.TOKEN_KEYS = OLD
    data = {name: encrypt("JBSWY3DP"), "used_mask": 5}
    row = Authenticator.objects.create(user=alice, type="totp", data=data)
    assert seal_again() == 0
    settings.TOKEN_KEYS = NEW | OLD
    assert seal_again() == 1
    settings.TOKEN_KEYS = NEW
    row.refresh_from_db()
    assert (decrypt(row.data[name]), row.data["used_mask"]) == ("JBSWY3DP", 5)
    assert seal_again() == 0


def test_a_second_step_that_no_key_opens_is_left_as_it_is(alice: User, settings: Any) -> None:
    settings.TOKEN_KEYS = OLD
    data = {"secret": encrypt("JBSWY3DP")}
    row = Authenticator.objects.create(user=alice, type="totp", data=data)
    settings.TOKEN_KEYS = NEW
    assert seal_again() == 0
    row.refresh_from_db()
    assert row.data == data
    with pytest.raises(PermissionDenied, match="put the old key back"):
        decrypt(data["secret"])
