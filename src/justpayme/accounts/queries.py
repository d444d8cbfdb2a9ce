"""Reads of accounts; every one starts from a business or a person."""

from __future__ import annotations

from django.db.models import Case, QuerySet, Value, When
from django.db.models.functions import Lower

from justpayme.accounts.models import ApiToken, Business, Invitation, Membership, User

BY_ROLE = Case(
    When(role=Membership.Role.OWNER, then=Value(0)),
    When(role=Membership.Role.MEMBER, then=Value(1)),
    default=Value(2),
)


def members(business: Business) -> QuerySet[Membership]:
    """Everybody in the business, owners first."""
    found = Membership.objects.filter(business=business).select_related("user")
    return found.order_by(BY_ROLE, Lower("user__name"), "user__email")


def invitations(business: Business) -> QuerySet[Invitation]:
    """Invitations that nobody has accepted yet."""
    return Invitation.objects.filter(business=business).order_by("email")


def api_tokens(business: Business) -> QuerySet[ApiToken]:
    """Tokens in use, newest first."""
    found = ApiToken.objects.filter(business=business, revoked_at=None)
    return found.select_related("user").order_by("-created_at", "-pk")


def businesses_of(user: User) -> QuerySet[Membership]:
    """The businesses a person can work in, with her role in each."""
    found = Membership.objects.filter(user=user).select_related("business")
    return found.order_by(Lower("business__name"), "pk")


def has_account(email: str) -> bool:
    """Is there a person with this address?"""
    return User.objects.filter(email=email).exists()
