"""E-mails about accounts that allauth does not send itself. Plain text, our voice."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse

from justpayme.accounts.invitations import VALID_FOR, link_key
from justpayme.accounts.models import Invitation


def absolute(path: str) -> str:
    """The full address of one of our pages, as people reach us."""
    return f"{settings.JUSTPAYME_BASE_URL}{path}"


def send_invitation(invitation: Invitation) -> None:
    """Send the link; called after the invitation is committed."""
    values = {
        "invitation": invitation,
        "link": absolute(reverse("accounts:invitation", args=[link_key(invitation)])),
        "days": VALID_FOR.days,
    }
    body = render_to_string("account/email/invitation_message.txt", values)
    subject = f"Join {invitation.business.name} on JustPayMe"
    send_mail(subject, body, None, [invitation.email])
