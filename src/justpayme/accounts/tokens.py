"""Bearer tokens of the JSON API: how one is made and what is stored of it.

A token is `jpm_` and 256 random bits, so a plain SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "jpm_"
SHOWN = 12
"""Characters of a token that lists may show, so that a person can tell two apart."""


def new_secret() -> str:
    """A new token; shown once and never stored."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is stored of a token: SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
