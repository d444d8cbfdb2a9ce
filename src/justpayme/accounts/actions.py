"""What people do about accounts: one verb each, one transaction each.

All but a change of one's own name leave an entry in the security log.
"""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from justpayme.accounts import security_log, tokens
from justpayme.accounts.access import check_may_manage
from justpayme.accounts.defaults import CURRENCY, TIME_ZONE
from justpayme.accounts.models import ApiToken, Business, Invitation, Membership, User

MAX_TOKENS = 50
MAX_INVITATIONS = 100


class Refused(Exception):
    """A verb can't be done as asked. The text is a sentence for the person who asked."""


@transaction.atomic
def create_business(
    *, user: User, name: str, currency: str = CURRENCY, time_zone: str = TIME_ZONE
) -> Membership:
    """Start a business; the person who does becomes its owner."""
    business = Business.objects.create(name=name, currency=currency, time_zone=time_zone)
    membership = Membership.objects.create(user=user, business=business, role=Membership.Role.OWNER)
    security_log.record(action="business_created", business=business, user=user)
    return membership


@transaction.atomic
def update_business(
    *, membership: Membership, name: str, currency: str, time_zone: str, address: str = ""
) -> Business:
    """Change the name, the home currency or the time zone."""
    check_may_manage(membership)
    business = Business.objects.select_for_update().get(pk=membership.business_id)
    business.name, business.currency, business.time_zone = name, currency, time_zone
    business.save(update_fields=["name", "currency", "time_zone"])
    security_log.record(
        action="business_changed", business=business, user=membership.user, address=address
    )
    return business


@transaction.atomic
def update_person(*, user: User, name: str) -> User:
    """Change the name that others see."""
    user.name = name
    user.save(update_fields=["name"])
    return user


@transaction.atomic
def create_person(
    *, email: str, password: str | None, name: str = "", business: Business, role: str
) -> User:
    """Add a person with a role, without an e-mail (the command line does this)."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, name=name)
    except IntegrityError:
        raise Refused(f"{email} already has an account. Choose another address.") from None
    Membership.objects.create(user=user, business=business, role=role)
    security_log.record(action="member_added", business=business, user=user, role=role)
    return user


@transaction.atomic
def invite(
    *, membership: Membership, email: str, role: str, now: datetime, address: str = ""
) -> Invitation:
    """Invite somebody, or renew an invitation. The caller sends the e-mail (`mail`) afterwards."""
    check_may_manage(membership)
    email, business = email.strip().lower(), membership.business
    if Membership.objects.filter(business=business, user__email=email).exists():
        raise Refused(f"{email} is a member already. Change the role in the list of members.")
    if business.invitations.count() >= MAX_INVITATIONS:
        raise Refused(f"{MAX_INVITATIONS} invitations are open. Withdraw some first.")
    invitation, _ = Invitation.objects.update_or_create(
        business=business,
        email=email,
        defaults={"role": role, "invited_by": membership.user, "sent_at": now},
    )
    security_log.record(
        action="member_invited",
        business=business,
        user=membership.user,
        address=address,
        email=email,
        role=role,
    )
    return invitation


@transaction.atomic
def withdraw_invitation(*, membership: Membership, pk: int, address: str = "") -> str:
    """Make the link of an invitation useless; returns the address it was sent to."""
    check_may_manage(membership)
    invitation = Invitation.objects.get(business=membership.business, pk=pk)
    invitation.delete()
    security_log.record(
        action="invitation_withdrawn",
        business=membership.business,
        user=membership.user,
        address=address,
        email=invitation.email,
    )
    return invitation.email


@transaction.atomic
def accept_invitation(*, invitation: Invitation, user: User, address: str = "") -> Membership:
    """Join the business. Only the person whose address was invited can."""
    open_one = Invitation.objects.select_for_update().filter(pk=invitation.pk).first()
    if open_one is None:
        raise Refused("This invitation was withdrawn or used already. Ask for a new one.")
    if user.email != open_one.email:
        raise Refused(f"This invitation is for {open_one.email}. Sign in as that person first.")
    membership, _ = Membership.objects.get_or_create(
        user=user, business=open_one.business, defaults={"role": open_one.role}
    )
    open_one.delete()
    security_log.record(
        action="member_joined",
        business=membership.business,
        user=user,
        address=address,
        role=membership.role,
    )
    return membership


@transaction.atomic
def join_by_invitation(
    *, invitation: Invitation, name: str, password: str, address: str = ""
) -> Membership:
    """Make an account for the invited address and join the business with it."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(invitation.email, password, name=name)
    except IntegrityError:
        raise Refused("This address has an account already. Sign in to accept.") from None
    return accept_invitation(invitation=invitation, user=user, address=address)


def _member(membership: Membership, pk: int) -> Membership:
    """The other membership of the same business, with the business locked (last-owner rule)."""
    Business.objects.select_for_update().get(pk=membership.business_id)
    found = Membership.objects.select_related("user", "business")
    return found.get(business_id=membership.business_id, pk=pk)


def _keep_an_owner(target: Membership) -> None:
    owners = Membership.objects.filter(
        business_id=target.business_id, role=Membership.Role.OWNER
    ).exclude(pk=target.pk)
    if target.role == Membership.Role.OWNER and not owners.exists():
        raise Refused(
            f"{target.user.shown_name} is the only owner. Make somebody else an owner first."
        )


@transaction.atomic
def change_role(*, membership: Membership, pk: int, role: str, address: str = "") -> Membership:
    """Give a member another role; the last owner stays one."""
    check_may_manage(membership)
    target = _member(membership, pk)
    if role != Membership.Role.OWNER:
        _keep_an_owner(target)
    was, target.role = target.role, role
    target.save(update_fields=["role"])
    security_log.record(
        action="role_changed",
        business=membership.business,
        user=membership.user,
        address=address,
        member=target.user.email,
        was=was,
        role=role,
    )
    return target


@transaction.atomic
def remove_member(
    *, membership: Membership, pk: int, now: datetime, address: str = ""
) -> Membership:
    """Take a person out of the business, with her tokens for it; her account stays."""
    check_may_manage(membership)
    target = _member(membership, pk)
    _keep_an_owner(target)
    ApiToken.objects.filter(
        business_id=target.business_id, user=target.user, revoked_at=None
    ).update(revoked_at=now)
    target.delete()
    security_log.record(
        action="member_removed",
        business=membership.business,
        user=membership.user,
        address=address,
        member=target.user.email,
        role=target.role,
    )
    return target


@transaction.atomic
def create_token(*, membership: Membership, name: str, address: str = "") -> tuple[ApiToken, str]:
    """Make a token for oneself, as an owner. Answers it and its secret, which is shown once."""
    check_may_manage(membership)
    return add_token(membership=membership, name=name, address=address)


@transaction.atomic
def add_token(*, membership: Membership, name: str, address: str = "") -> tuple[ApiToken, str]:
    """Make a token that acts as this member (the command line does this, for any role)."""
    if membership.business.api_tokens.filter(revoked_at=None).count() >= MAX_TOKENS:
        raise Refused(f"There are {MAX_TOKENS} tokens in use. Revoke one first.")
    secret = tokens.new_secret()
    token = ApiToken.objects.create(
        business=membership.business,
        user=membership.user,
        name=name,
        digest=tokens.digest(secret),
        start=secret[: tokens.SHOWN],
    )
    security_log.record(
        action="token_created",
        business=membership.business,
        user=membership.user,
        address=address,
        name=name,
        start=token.start,
    )
    return token, secret


@transaction.atomic
def revoke_token(*, membership: Membership, pk: int, now: datetime, address: str = "") -> ApiToken:
    """Make a token useless from now on."""
    check_may_manage(membership)
    token = ApiToken.objects.select_for_update().get(
        business=membership.business, pk=pk, revoked_at=None
    )
    token.revoked_at = now
    token.save(update_fields=["revoked_at"])
    security_log.record(
        action="token_revoked",
        business=membership.business,
        user=membership.user,
        address=address,
        name=token.name,
        start=token.start,
    )
    return token
