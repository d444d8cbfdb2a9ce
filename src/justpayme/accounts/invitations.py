"""The link of an invitation: a signed id, so that nothing secret is stored."""

from __future__ import annotations

from datetime import timedelta

from django.core import signing

from justpayme.accounts.models import Invitation

VALID_FOR = timedelta(days=7)
SALT = "justpayme.invitation"


def link_key(invitation: Invitation) -> str:
    """The last part of the link. Sending the invitation anew makes older links useless."""
    content = [invitation.pk, int(invitation.sent_at.timestamp())]
    return signing.dumps(content, salt=SALT)


def find(key: str) -> Invitation | None:
    """The open invitation behind a link; None when forged, too old, withdrawn or sent anew."""
    try:
        pk, sent = signing.loads(key, salt=SALT, max_age=VALID_FOR)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    invitation = Invitation.objects.select_related("business", "invited_by").filter(pk=pk).first()
    if invitation is None or int(invitation.sent_at.timestamp()) != sent:
        return None
    return invitation
