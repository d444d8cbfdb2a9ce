"""Make an organisation's next sync start now. Rung inside the transaction that gives the reason.

A job only says "look now": if it were lost, the next tick would find the same work in the tables.
"""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from justpayme.accounts.models import User
from justpayme.sync.models import Connection, Run

log = structlog.get_logger(__name__)

TASK = "sync_organisation"


def request_sync(*, connection: Connection, cause: Run.Cause, by: User | None = None) -> None:
    """Make an organisation due now."""
    Connection.objects.filter(pk=connection.pk, state=Connection.State.LIVE).update(
        next_due_at=datetime.now(UTC)
    )
    defer(connection.pk, cause, by)


def request_push(*, connection: Connection, by: User | None = None) -> None:
    """Something waits to be sent for this organisation."""
    defer(connection.pk, Run.Cause.EDIT, by)


def defer(connection_id: int, cause: Run.Cause, by: User | None) -> None:
    """A job under the organisation's lock; at most one waits."""
    lock = f"org:{connection_id}"
    job = app.configure_task(TASK, lock=lock, queueing_lock=lock)
    try:
        # A savepoint of its own: a refused second job must not spoil the caller's transaction.
        with transaction.atomic():
            job.defer(connection_id=connection_id, cause=cause.value, by=by.pk if by else None)
    except AlreadyEnqueued:
        log.debug("already_waiting", connection=connection_id)
