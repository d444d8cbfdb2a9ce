"""Secrets at rest: what was sealed opens for its owner only, whichever key sealed it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from justpayme.accounts import sealing
from justpayme.accounts.adapter import TotpAdapter

OLD = {"old": b"o" * 32}
STORED = bytes.fromhex("000102030405060708090a0b52c7556f8748ddc0abe1071387de680c734ebe43b5faabff")
"""Nonce + ciphertext of JBSWY3DP for `totp`, as rows of earlier versions hold it."""


def test_what_an_earlier_version_stored_still_opens(settings: Any) -> None:
    settings.TOKEN_KEYS = {"new": b"n" * 32} | OLD
    assert sealing.unseal(STORED, key_id="old", bound_to=b"totp") == b"JBSWY3DP"
    assert TotpAdapter().decrypt(f"old:{base64.b64encode(STORED).decode()}") == "JBSWY3DP"


def test_the_first_key_seals_and_never_twice_the_same(settings: Any) -> None:
    settings.TOKEN_KEYS = {"new": b"n" * 32} | OLD
    (key_id, one), (_, two) = (sealing.seal(b"<b>s</b>", bound_to=b"a") for _ in range(2))
    assert key_id == "new"
    assert one != two
    assert sealing.unseal(one, key_id="new", bound_to=b"a") == b"<b>s</b>"


@pytest.mark.parametrize(
    ("sealed", "owner"),
    [(STORED, b"another row"), (STORED[:-1] + b"\0", b"totp"), (STORED[:12], b"totp")],
)
def test_a_moved_changed_or_cut_secret_does_not_open(
    settings: Any, sealed: bytes, owner: bytes
) -> None:
    settings.TOKEN_KEYS = OLD
    with pytest.raises(sealing.Tampered):
        sealing.unseal(sealed, key_id="old", bound_to=owner)


@pytest.mark.parametrize("keys", [{"new": b"n" * 32}, {"old": b"x" * 32}])
def test_a_second_step_whose_key_is_gone_or_another_is_refused_with_a_sentence(
    settings: Any, keys: dict[str, bytes]
) -> None:
    settings.TOKEN_KEYS = keys
    with pytest.raises(PermissionDenied, match="put the old key back"):
        TotpAdapter().decrypt(f"old:{base64.b64encode(STORED).decode()}")
