"""The business that this request acts for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.http import HttpRequest, HttpResponse

from justpayme.accounts.models import Membership

SESSION_KEY = "business"


class CurrentBusiness:
    """Sets `request.business` and `request.membership`.

    The business is the one chosen last in this session, else the first one joined. Both are
    None for a visitor and for a person without a business. The membership is read anew for
    every request, so a removed member is out with her next click.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        membership = self._membership(request)
        acting = cast(Any, request)
        acting.membership = membership
        acting.business = membership.business if membership else None
        return self.get_response(request)

    @staticmethod
    def _membership(request: HttpRequest) -> Membership | None:
        if not request.user.is_authenticated:
            return None
        chosen = request.session.get(SESSION_KEY)
        memberships = list(
            Membership.objects.filter(user=request.user)
            .select_related("business")
            .order_by("created_at", "pk")
        )
        for membership in memberships:
            if membership.business_id == chosen:
                return membership
        return memberships[0] if memberships else None


def choose(request: HttpRequest, membership: Membership) -> None:
    """Act for this business from now on, in this session."""
    request.session[SESSION_KEY] = membership.business_id
