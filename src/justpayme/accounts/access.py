"""Who may do what: guards for views, and the same rule for the verbs beneath them.

Views are guarded so that a page is never offered in vain; `check_may_change` and
`check_may_manage` are the rule itself and are called by every verb.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from justpayme.accounts.models import Business, Membership, User

View = Callable[Concatenate[HttpRequest, ...], HttpResponse]

VIEWER_SENTENCE = "You can look at everything here, but not change it. Ask an owner for more."
OWNER_SENTENCE = "Only an owner of the business can do this. Ask one of them."
NOT_A_MEMBER = "You are not a member of this business."


class BusinessRequest(HttpRequest):
    """A request that passed a guard: somebody is signed in and acts for a business."""

    user: User
    business: Business
    membership: Membership


def check_may_change(membership: Membership | None) -> None:
    """Let owners and members pass; raise PermissionDenied for a viewer or a stranger."""
    if membership is None:
        raise PermissionDenied(NOT_A_MEMBER)
    if not membership.may_change:
        raise PermissionDenied(VIEWER_SENTENCE)


def check_may_manage(membership: Membership | None) -> None:
    """Let owners pass; raise PermissionDenied for everybody else."""
    if membership is None:
        raise PermissionDenied(NOT_A_MEMBER)
    if not membership.may_manage:
        raise PermissionDenied(OWNER_SENTENCE)


def _guard(check: Callable[[Membership | None], None] | None) -> Callable[[Any], View]:
    def decorate(view: Callable[..., HttpResponse]) -> View:
        @login_required
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            acting = cast(BusinessRequest, request)
            if acting.business is None:
                return redirect("accounts:business_new")
            if check is not None:
                check(acting.membership)
            return view(request, *args, **kwargs)

        return cast(View, guarded)

    return decorate


def member_required(view: Callable[..., HttpResponse]) -> View:
    """Signed in and a member of a business, in any role."""
    return _guard(None)(view)


def change_required(view: Callable[..., HttpResponse]) -> View:
    """An owner or a member; a viewer gets 403."""
    return _guard(check_may_change)(view)


def manage_required(view: Callable[..., HttpResponse]) -> View:
    """An owner; anybody else gets 403."""
    return _guard(check_may_manage)(view)
