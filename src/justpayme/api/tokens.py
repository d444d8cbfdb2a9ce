"""Bearer tokens at work: whose they are, and how often they are used.

`accounts.actions` makes and revokes them; only their digest is stored.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from justpayme.accounts.models import ApiToken, Membership
from justpayme.accounts.tokens import PREFIX, digest

CALLS_A_MINUTE = 600
STAMP_EVERY = timedelta(minutes=5)
"""`last_used_at` is no finer than this: a stamp on every call would be a write on every call."""


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
