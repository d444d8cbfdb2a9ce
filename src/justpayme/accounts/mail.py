"""E-mails that allauth does not send itself, and how every e-mail leaves. Plain text, our voice."""

from __future__ import annotations

from smtplib import SMTPException

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from justpayme.accounts.invitations import VALID_FOR, link_key
from justpayme.accounts.models import Invitation
from justpayme.accounts.security_log import one_line

log = structlog.get_logger(__name__)


def absolute(path: str) -> str:
    """The full address of one of our pages, as people reach us."""
    return f"{settings.JUSTPAYME_BASE_URL}{path}"


def deliver(message: EmailMessage) -> bool:
    """Hand a message to the mail server; False, and a line in the log, when that fails.

    What a person did is saved by then, so a mail server that is down must not undo it.
    """
    try:
        message.send()
    except (OSError, SMTPException) as error:
        log.error("mail_not_sent", subject=message.subject, error=type(error).__name__)
        return False
    return True


def send_invitation(invitation: Invitation) -> bool:
    """Send the link; called after the invitation is committed. False if it could not leave."""
    values = {
        "invitation": invitation,
        "link": absolute(reverse("accounts:invitation", args=[link_key(invitation)])),
        "days": VALID_FOR.days,
    }
    body = render_to_string("account/email/invitation_message.txt", values)
    subject = one_line(f"Join {invitation.business.name} on JustPayMe")
    return deliver(EmailMessage(subject, body, None, [invitation.email]))
