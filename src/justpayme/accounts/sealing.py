"""Secrets at rest: AES-GCM with the first of TOKEN_KEYS; older keys still open what they sealed."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE = 12
"""Bytes before the ciphertext: a fresh nonce each time."""


class KeyGone(Exception):
    """This installation lacks the key that sealed it. The text is the key's id."""


class Tampered(Exception):
    """The key is there, but what was stored is not what was sealed with it."""


def current_key_id() -> str:
    """The id of the key that seals from now on."""
    return next(iter(settings.TOKEN_KEYS))


def seal(plain: bytes, *, bound_to: bytes) -> tuple[str, bytes]:
    """Key id and nonce + ciphertext. It opens only for `bound_to`, so no row can be moved."""
    key_id, nonce = current_key_id(), os.urandom(NONCE)
    return key_id, nonce + AESGCM(settings.TOKEN_KEYS[key_id]).encrypt(nonce, plain, bound_to)


def unseal(sealed: bytes, *, key_id: str, bound_to: bytes) -> bytes:
    """What was sealed. KeyGone or Tampered when it cannot be opened."""
    key = settings.TOKEN_KEYS.get(key_id)
    if key is None:
        raise KeyGone(key_id)
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], bound_to)
    except (InvalidTag, ValueError):
        raise Tampered from None
