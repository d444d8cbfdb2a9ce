"""The security log: who did what, when, from where, and whether it worked.

Append-only (the database refuses changes); kept for at least a year.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from justpayme.accounts.models import Business, SecurityEvent, User

MAX_TEXT = 300


def record(
    *,
    action: str,
    business: Business | None,
    user: User | None,
    address: str = "",
    result: str = "ok",
    **detail: Any,
) -> SecurityEvent:
    """Add one event. `detail` is made safe for a line of text: no line breaks, no control signs."""
    return SecurityEvent.objects.create(
        action=one_line(action)[:40],
        business=business,
        user=user,
        address=one_line(address)[:45],
        result=one_line(result)[:20],
        detail={name: _plain(value) for name, value in detail.items()},
    )


def one_line(text: str) -> str:
    """The text with every control sign and line separator shown as a space."""
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_TEXT]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    return one_line(str(value))


def address_of(request: HttpRequest) -> str:
    """The address that the request came from.

    X-Forwarded-For is read only where a proxy of ours stands in front, and only the entry
    that this proxy added: whatever a visitor sent is left of it. The rate limits do the same.
    """
    hops = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    passed = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    if hops and len(passed) >= hops and passed[-hops]:
        return passed[-hops]
    return str(request.META.get("REMOTE_ADDR", ""))
