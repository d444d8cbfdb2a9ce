"""Bearer tokens: made once, shown once, kept only as a digest.

A token is `jpm_` and 256 random bits, so a plain SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import connection

from justpayme.accounts.models import ApiToken, Business, Membership, User

PREFIX = "jpm_"
SHOWN = 12
"""Characters of a token that lists may show, so that a person can tell two apart."""
CALLS_A_MINUTE = 600
STAMP_EVERY = timedelta(minutes=5)
"""`last_used_at` is no finer than this: a stamp on every call would be a write on every call."""


def create(*, user: User, business: Business, name: str) -> tuple[ApiToken, str]:
    """Store a new token and return it with its secret, which nobody can read again."""
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        business=business,
        user=user,
        name=name,
        digest=digest(secret),
        start=secret[:SHOWN],
    )
    return token, secret


def digest(secret: str) -> str:
    """What is stored of a token: SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def membership_of(secret: str) -> tuple[ApiToken, Membership] | None:
    """The token and what its person may do now; None if it is unknown, revoked or has lost both.

    The role is read on every call: who is no longer a member has no way in.
    """
    if not secret.startswith(PREFIX):
        return None
    token = (
        ApiToken.objects.select_related("business", "user")
        .filter(digest=digest(secret), revoked_at=None, user__is_active=True)
        .first()
    )
    if token is None:
        return None
    membership = Membership.objects.filter(user=token.user, business=token.business).first()
    return (token, membership) if membership else None


_COUNT = """
INSERT INTO api_tokenuse AS used (token_id, minute, calls) VALUES (%s, %s, 1)
ON CONFLICT (token_id) DO UPDATE SET
  calls = CASE WHEN used.minute = excluded.minute THEN used.calls + 1 ELSE 1 END,
  minute = excluded.minute
RETURNING calls
"""


def count_call(token: ApiToken, now: datetime) -> int:
    """Count one call and return how many this token has made in the minute of `now`."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [token.pk, now.replace(second=0, microsecond=0)])
        (calls,) = cursor.fetchone()
    return int(calls)


def stamp_use(token: ApiToken, now: datetime) -> None:
    """Remember that the token is in use, at most once in `STAMP_EVERY`."""
    if token.last_used_at is None or now - token.last_used_at >= STAMP_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
