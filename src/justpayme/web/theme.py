"""Light, dark, or as the system says."""

from __future__ import annotations

from django.http import HttpRequest

from justpayme.accounts.models import User

COOKIE = "theme"
COOKIE_SECONDS = 365 * 24 * 3600


def theme_of(request: HttpRequest) -> str:
    """The saved preference of a signed-in person, the cookie of anybody else."""
    user = getattr(request, "user", None)
    chosen = user.theme if isinstance(user, User) else request.COOKIES.get(COOKIE, "")
    return chosen if chosen in User.Theme.values else User.Theme.SYSTEM.value
