"""Settings: your account, the business, its members, invitations and tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views as allauth_views
from allauth.account.internal.flows.login import perform_login
from allauth.account.models import EmailAddress, Login
from allauth.core import ratelimit
from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest, ObjectDoesNotExist
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from justpayme.accounts import actions, queries
from justpayme.accounts.access import (
    BusinessRequest,
    check_may_manage,
    manage_required,
    member_required,
)
from justpayme.accounts.actions import Refused
from justpayme.accounts.defaults import CURRENCY, TIME_ZONE
from justpayme.accounts.forms import (
    BusinessForm,
    InvitationForm,
    JoinForm,
    PersonForm,
    RoleForm,
    TokenForm,
)
from justpayme.accounts.invitations import find
from justpayme.accounts.mail import send_invitation
from justpayme.accounts.middleware import choose
from justpayme.accounts.models import Invitation
from justpayme.accounts.security_log import address_of
from justpayme.core.zones import zone
from justpayme.web.format import moment

GET_POST = require_http_methods(["GET", "HEAD", "POST"])


def missing_is_404(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """An id of another business is answered exactly like one that does not exist."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except ObjectDoesNotExist:
            raise Http404 from None

    return wrapped


def _page(request: HttpRequest, name: str, form: Form | None = None, **values: Any) -> HttpResponse:
    """A page, with 422 when its form was sent and could not be used."""
    status = 422 if form is not None and form.is_bound and form.errors else 200
    template = f"accounts/{name}.html"
    return render(request, template, {"form": form, **values}, status=status)


@require_safe
@member_required
def settings(request: BusinessRequest) -> HttpResponse:
    """What can be set, and the businesses to switch between."""
    return _page(request, "settings", memberships=queries.businesses_of(request.user))


@GET_POST
@login_required
def account(request: BusinessRequest) -> HttpResponse:
    """Your name, and the ways to address, password and two-step sign-in."""
    form = PersonForm(request.POST or None, initial={"name": request.user.name})
    if form.is_valid():
        actions.update_person(user=request.user, name=form.cleaned_data["name"])
        messages.success(request, "Your name is saved.")
        return redirect("accounts:account")
    return _page(request, "account", form, two_step=is_mfa_enabled(request.user))


@login_required
def email(request: BusinessRequest) -> HttpResponse:
    """Change the address. Only a link sent to it makes an address the one to sign in with."""
    if "action_primary" in request.POST:
        raise BadRequest("Open the link that we sent to the new address to start using it.")
    answer: HttpResponse = allauth_views.email(request)
    return answer


@GET_POST
@member_required
def business(request: BusinessRequest) -> HttpResponse:
    """Name, home currency and time zone; owners change them, others read them."""
    own = request.business
    if request.method == "POST":
        check_may_manage(request.membership)
    if not request.membership.may_manage:
        return _page(request, "business")
    initial = {"name": own.name, "currency": own.currency, "time_zone": own.time_zone}
    form = BusinessForm(request.POST or None, initial=initial)
    if form.is_valid():
        actions.update_business(
            membership=request.membership, address=address_of(request), **form.cleaned_data
        )
        messages.success(request, "The business is saved.")
        return redirect("accounts:business")
    return _page(request, "business", form)


@GET_POST
@login_required
def business_new(request: BusinessRequest) -> HttpResponse:
    """Start another business, or the first one."""
    initial = {"currency": CURRENCY, "time_zone": TIME_ZONE}
    form = BusinessForm(request.POST or None, initial=initial)
    if form.is_valid():
        choose(request, actions.create_business(user=request.user, **form.cleaned_data))
        messages.success(request, f"{form.cleaned_data['name']} is ready. You are its owner.")
        return redirect("bills:home")
    return _page(request, "business_new", form)


@require_POST
@login_required
@missing_is_404
def business_switch(request: BusinessRequest, pk: int) -> HttpResponse:
    """Work in another of your businesses."""
    membership = queries.businesses_of(request.user).get(business_id=pk)
    choose(request, membership)
    messages.success(request, f"You now work in {membership.business.name}.")
    return redirect("bills:home")


@require_safe
@member_required
def members(request: BusinessRequest) -> HttpResponse:
    """Who can see and change this business."""
    now, tz = timezone.now(), zone(request.business.time_zone)
    open_ones = [
        {"invitation": invitation, "sent": moment(invitation.sent_at, now, tz)}
        for invitation in queries.invitations(request.business)
    ]
    found = queries.members(request.business)
    return _page(request, "members", members=found, invitations=open_ones)


@GET_POST
@manage_required
def invite(request: BusinessRequest) -> HttpResponse:
    """Invite somebody by e-mail."""
    form = InvitationForm(request.POST or None, initial={"role": "member"})
    if form.is_valid():
        if not ratelimit.consume(request, action="invite", user=request.user):
            form.add_error(None, "Too many invitations in an hour. Try again later.")
        elif _try(form, _invite, request, form):
            return redirect("accounts:members")
    return _page(request, "invite", form)


def _invite(request: BusinessRequest, form: Form) -> None:
    invitation = actions.invite(
        membership=request.membership,
        now=timezone.now(),
        address=address_of(request),
        **form.cleaned_data,
    )
    if send_invitation(invitation):
        messages.success(request, f"We have sent an invitation to {invitation.email}.")
    else:
        messages.warning(
            request,
            f"{invitation.email} is invited, but the e-mail did not leave. Invite them again.",
        )


def _try(form: Form, act: Callable[..., Any], *args: Any) -> bool:
    """Do it; a refusal becomes an error of the form."""
    try:
        act(*args)
    except Refused as refused:
        form.add_error(None, str(refused))
        return False
    return True


@require_POST
@manage_required
@missing_is_404
def invitation_withdraw(request: BusinessRequest, pk: int) -> HttpResponse:
    """Make an invitation useless."""
    email = actions.withdraw_invitation(
        membership=request.membership, pk=pk, address=address_of(request)
    )
    messages.success(request, f"The invitation to {email} is withdrawn.")
    return redirect("accounts:members")


@GET_POST
@manage_required
@missing_is_404
def member(request: BusinessRequest, pk: int) -> HttpResponse:
    """Give a member another role."""
    target = queries.members(request.business).get(pk=pk)
    form = RoleForm(request.POST or None, initial={"role": target.role})
    if form.is_valid() and _try(form, _change_role, request, pk, form.cleaned_data["role"]):
        messages.success(request, f"{target.user.shown_name} has a new role.")
        return redirect("accounts:members")
    return _page(request, "member", form, member=target)


def _change_role(request: BusinessRequest, pk: int, role: str) -> None:
    actions.change_role(
        membership=request.membership, pk=pk, role=role, address=address_of(request)
    )


@GET_POST
@manage_required
@missing_is_404
def member_remove(request: BusinessRequest, pk: int) -> HttpResponse:
    """Ask, then take a person out of the business."""
    target = queries.members(request.business).get(pk=pk)
    form = Form(request.POST if request.method == "POST" else None)
    if form.is_valid() and _try(form, _remove, request, pk):
        messages.success(request, f"{target.user.shown_name} is no longer a member.")
        return redirect("accounts:settings" if target.user == request.user else "accounts:members")
    return _page(request, "member_remove", form, member=target)


def _remove(request: BusinessRequest, pk: int) -> None:
    actions.remove_member(
        membership=request.membership, pk=pk, now=timezone.now(), address=address_of(request)
    )


@require_safe
@manage_required
def tokens(request: BusinessRequest) -> HttpResponse:
    """Tokens in use for the JSON API."""
    now, tz = timezone.now(), zone(request.business.time_zone)
    rows = [
        {
            "token": token,
            "made": moment(token.created_at, now, tz),
            "used": moment(token.last_used_at, now, tz) if token.last_used_at else None,
        }
        for token in queries.api_tokens(request.business)
    ]
    return _page(request, "tokens", rows=rows)


@GET_POST
@manage_required
def token_new(request: BusinessRequest) -> HttpResponse:
    """Make a token; the answer to the form is the only page that ever shows it."""
    form = TokenForm(request.POST or None)
    if form.is_valid():
        try:
            token, secret = actions.create_token(
                membership=request.membership, address=address_of(request), **form.cleaned_data
            )
        except Refused as refused:
            form.add_error(None, str(refused))
        else:
            return _page(request, "token_made", token=token, secret=secret)
    return _page(request, "token_new", form)


@GET_POST
@manage_required
@missing_is_404
def token_revoke(request: BusinessRequest, pk: int) -> HttpResponse:
    """Ask, then make a token useless."""
    token = queries.api_tokens(request.business).get(pk=pk)
    if request.method != "POST":
        return _page(request, "token_revoke", token=token)
    actions.revoke_token(
        membership=request.membership, pk=pk, now=timezone.now(), address=address_of(request)
    )
    messages.success(request, f"The token “{token.name}” is revoked.")
    return redirect("accounts:tokens")


@sensitive_post_parameters("password")
@GET_POST
def invitation(request: BusinessRequest, key: str) -> HttpResponse:
    """The page behind the link of an invitation."""
    limited: HttpResponse | None = ratelimit.consume_or_429(request, action="invitation")
    if limited is not None:
        return limited
    found = find(key)
    if found is None:
        return render(request, "accounts/invitation_gone.html", status=404)
    if request.user.is_authenticated:
        return _accept(request, found)
    if queries.has_account(found.email):
        return _page(request, "invitation_sign_in", invitation=found)
    return _join(request, found)


def _accept(request: BusinessRequest, found: Invitation) -> HttpResponse:
    form = Form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            membership = actions.accept_invitation(
                invitation=found, user=request.user, address=address_of(request)
            )
        except Refused as refused:
            form.add_error(None, str(refused))
        else:
            choose(request, membership)
            messages.success(request, f"You now work in {membership.business.name}.")
            return redirect("bills:home")
    return _page(request, "invitation_accept", form, invitation=found)


def _join(request: BusinessRequest, found: Invitation) -> HttpResponse:
    form = JoinForm(request.POST or None, email=found.email)
    if form.is_valid():
        try:
            membership = actions.join_by_invitation(
                invitation=found, address=address_of(request), **form.cleaned_data
            )
        except Refused as refused:
            form.add_error(None, str(refused))
        else:
            # The link reached this address, so it is confirmed.
            EmailAddress.objects.create(
                user=membership.user, email=found.email, primary=True, verified=True
            )
            answer: HttpResponse = perform_login(request, Login(user=membership.user))
            return answer
    return _page(request, "invitation_join", form, invitation=found)
