"""Connections that Xero no longer lets us use: marked once, told once.

Nothing is lost but the permission: bills, links, cursors and settings stay as they are, and a
person's new consent brings the connection back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
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
        telling_since=None,
    )


def send_notices(now: datetime) -> int:
    """One e-mail per business whose connections were lost and that was not told yet; how many.

    Of many processes one sends: it claims the telling for `LEASE`. While no owner can be reached
    the claim is given back and the next tick tries again; once one was, nobody is written to
    twice. The pages tell the others. Where the teller died another one tells, so that an owner
    may hear of it twice, and never not at all.
    """
    business_ids = list(_untold(now).order_by().values_list("business", flat=True).distinct())
    return sum(_notify(business_id, now) for business_id in business_ids)


LEASE = timedelta(minutes=10)
"""So long nobody else tells what a process has begun to tell; a mail server may be slow."""


def _untold(now: datetime) -> QuerySet[Connection]:
    """Lost connections of which nobody was told, nor is being told."""
    claimed = Q(telling_since__range=(now - LEASE, now + LEASE))
    return Connection.objects.filter(~claimed, state=Connection.State.LOST, notified_at=None)


def _notify(business_id: int, now: datetime) -> bool:
    with transaction.atomic():
        claim = _untold(now).filter(business_id=business_id).select_for_update()
        ids = list(claim.values_list("pk", flat=True))
        rows = Connection.objects.filter(pk__in=ids)
        rows.update(telling_since=now)
    if not ids:
        return False
    told = _tell_owners(business_id, rows)
    # Ours no more where a connection came back and was lost again meanwhile: that is news.
    ours = rows.filter(telling_since=now)
    ours.update(telling_since=None, notified_at=now if told else None)
    return told


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
