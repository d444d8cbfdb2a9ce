"""Connections that Xero no longer lets us use: marked once, told once.

Nothing is lost but the permission: bills, links, cursors and settings stay as they are, and a
person's new consent brings the connection back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse

from justpayme.accounts.mail import absolute, deliver
from justpayme.accounts.models import Membership
from justpayme.core.errors import CATALOGUE
from justpayme.sync.models import Connection

SUBJECT = "Xero has stopped letting us in. Nothing is lost."


def mark(connection_ids: Iterable[int], *, code: str, now: datetime) -> int:
    """LIVE and HALTED connections become LOST for the reason `code`; how many. No call is made."""
    return Connection.objects.filter(
        pk__in=list(connection_ids),
        state__in=(Connection.State.LIVE, Connection.State.HALTED),
    ).update(
        state=Connection.State.LOST,
        error_code=code,
        error_text=CATALOGUE[code].sentence,
        error_at=now,
        next_due_at=None,
        notified_at=None,
    )


def send_notices(now: datetime) -> int:
    """One e-mail per business whose connections were lost and that was not told yet; how many.

    The claim is a conditional update, so of many processes one sends. While no owner can be
    reached the claim is given back and the next tick tries again; once one was, nobody is
    written to twice. The pages tell the others.
    """
    waiting = Connection.objects.filter(state=Connection.State.LOST, notified_at=None)
    business_ids = list(waiting.order_by().values_list("business", flat=True).distinct())
    return sum(_notify(business_id, now) for business_id in business_ids)


def _notify(business_id: int, now: datetime) -> bool:
    claim = Connection.objects.filter(
        business_id=business_id, state=Connection.State.LOST, notified_at=None
    )
    with transaction.atomic():
        ids = list(claim.select_for_update().values_list("pk", flat=True))
        Connection.objects.filter(pk__in=ids).update(notified_at=now)
    if not ids:
        return False
    if not _tell_owners(business_id, Connection.objects.filter(pk__in=ids)):
        Connection.objects.filter(pk__in=ids).update(notified_at=None)
        return False
    return True


def _tell_owners(business_id: int, lost: Iterable[Connection]) -> bool:
    """Write to the owners, who alone can reconnect; False if there are some and none was told.

    Names go into the body, never into a header.
    """
    owners = Membership.objects.filter(
        business_id=business_id, role=Membership.Role.OWNER, user__is_active=True
    )
    link = absolute(reverse("integrations:index"))
    body = render_to_string("sync/connection_lost.txt", {"connections": lost, "link": link})
    told = [
        deliver(EmailMessage(SUBJECT, body, None, [address]))
        for address in owners.values_list("user__email", flat=True)
    ]
    return any(told) or not told
