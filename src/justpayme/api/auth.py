"""Who calls: the bearer token becomes a membership, or the call ends with 401 or 429."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from justpayme.accounts.models import ApiToken, Business, Membership, User
from justpayme.api import tokens
from justpayme.api.errors import Refusal


@dataclass(frozen=True)
class Caller:
    """The person, the business and the role behind one call."""

    token: ApiToken
    membership: Membership

    @property
    def business(self) -> Business:
        """The one business whose rows this call may touch."""
        return self.token.business

    @property
    def user(self) -> User:
        """The person who answers for what this call does."""
        return self.token.user


class BearerToken(HttpBearer):
    """`Authorization: Bearer jpm_…`. Cookies are never looked at, so no other site can call."""

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        """The caller, or None for a token that opens nothing. Raises `Refusal` 429."""
        found = tokens.membership_of(token)
        if found is None:
            return None
        now = timezone.now()
        if tokens.count_call(found[0], now) > tokens.CALLS_A_MINUTE:
            raise Refusal(429, headers={"Retry-After": str(60 - now.second)})
        tokens.stamp_use(found[0], now)
        return Caller(*found)


def caller(request: HttpRequest) -> Caller:
    """The caller of an operation that needed a token."""
    who: Caller = request.auth  # type: ignore[attr-defined]
    return who
