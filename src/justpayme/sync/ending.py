"""The end of a connection: Xero is told, then its tokens are wiped (I-37).

    disconnected, next_due_at set ──▶ Xero was told, or will never be ──▶ next_due_at empty,
    (Xero must still be told)         (consent gone, or a day has passed)   no tokens left

The disconnect itself is committed before anything here happens.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import httpx2
import structlog
from django.db import transaction
from django.db.models import Q, QuerySet

from justpayme.core.errors import Problem
from justpayme.sync import tokens
from justpayme.sync.models import IN_USE, Connection, TokenSet, running
from justpayme.xero import oauth

log = structlog.get_logger(__name__)

RETRY = timedelta(minutes=15)
PATIENCE = timedelta(hours=24)
"""How often, and for how long, we try to tell Xero before we only forget our side."""

RUN_RETRY = timedelta(seconds=30)
"""A run under way ends with its next call, so we look again soon."""

State = Connection.State


def wait_for_run(connection: Connection, *, seconds: float) -> bool:
    """Wait until no run of this connection is under way; whether that came about."""
    deadline = time.monotonic() + seconds
    while running(connection) is not None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True


def finish_all(now: datetime) -> int:
    """Tell Xero of the disconnects it has not heard of yet; how many are done. For the tick.

    A disconnected connection whose `next_due_at` is set is one that Xero must still be told. A
    time further off than any we set was reckoned by a clock that was ahead (I-43).
    """
    come = Q(next_due_at__lte=now) | Q(next_due_at__gt=now + 2 * RETRY)
    due = Connection.objects.filter(come, state=State.DISCONNECTED)
    return sum(at_xero(connection, now) is None for connection in list(due))


def at_xero(connection: Connection, now: datetime) -> Problem | None:
    """End a disconnected connection at Xero, then wipe its tokens; the Problem if not yet.

    A run still under way, or a Xero that does not answer, is tried again later. When the
    consent is gone already, or after a day, we forget our side and are done. Nothing is done if
    a person came back meanwhile: what would be ended is her new consent.
    """
    row = _ending(connection).select_related("tokens").first()  # as it is by now
    if row is None:
        return None
    if running(row) is not None:
        return _later(row, now, Problem("stopped", "a run is still ending"))
    try:
        if row.tokens is not None:
            _tell_xero(row, row.tokens, now)
    except Problem as problem:
        tired = now - (connection.disconnected_at or now) > PATIENCE
        if problem.code not in ("consent_lost", "permission_missing") and not tired:
            return _later(row, now, problem)
    _forget(row)
    return None


def _later(connection: Connection, now: datetime, problem: Problem) -> Problem:
    wait = RUN_RETRY if problem.code == "stopped" else RETRY
    _ending(connection).update(next_due_at=now + wait)
    log.warning("ending_put_off", connection=connection.pk, code=problem.code)
    return problem


def _ending(connection: Connection) -> QuerySet[Connection]:
    """The row, unless a person connected it again meanwhile."""
    return Connection.objects.filter(
        pk=connection.pk, state=State.DISCONNECTED, next_due_at__isnull=False
    )


def _tell_xero(connection: Connection, token_set: TokenSet, now: datetime) -> None:
    """End the connection at Xero; take back the whole consent if nothing else lives on it."""
    access = tokens.access_token(token_set, now)
    shared = Connection.objects.filter(
        connection_id=connection.connection_id, state__in=IN_USE
    ).exists()
    with tokens.open_client() as http:
        # The same connection id may serve another business of the same Xero user (I-48).
        if connection.connection_id and not shared:
            _end(http, connection, token_set, access, now)
        if not _still_needed(token_set):
            oauth.revoke(http, tokens.app(), refresh_token=tokens.refresh_token(token_set))


def _end(
    http: httpx2.Client, connection: Connection, token_set: TokenSet, access: str, now: datetime
) -> None:
    """End the connection; with a new token once more if Xero does not take the one we hold."""
    try:
        oauth.end_connection(
            http, tokens.app(), access_token=access, connection_id=connection.connection_id
        )
    except Problem as problem:
        if problem.code != "permission_missing":
            raise
        fresh = tokens.access_token(token_set, now, rejected=access)
        oauth.end_connection(
            http, tokens.app(), access_token=fresh, connection_id=connection.connection_id
        )


def _still_needed(token_set: TokenSet) -> bool:
    """Does any organisation of this Xero user sync? Revoking ends them all, in every business."""
    users = Connection.objects.filter(tokens__xero_user_id=token_set.xero_user_id)
    return users.filter(state__in=IN_USE).exists()


@transaction.atomic
def _forget(connection: Connection) -> None:
    """Wipe what opens this connection. A token set that serves nothing else is deleted, and
    organisations that were only offered by it go with it."""
    token_set = connection.tokens
    if not _ending(connection).update(next_due_at=None, tokens=None, connection_id=""):
        return
    if token_set is None or token_set.connections.filter(state__in=IN_USE).exists():
        return
    if _others_ending(token_set):
        return
    token_set.connections.filter(state=State.OFFERED).delete()
    token_set.delete()


def _others_ending(token_set: TokenSet) -> bool:
    """Does another disconnect still need these tokens to tell Xero?"""
    return token_set.connections.filter(
        state=State.DISCONNECTED, next_due_at__isnull=False
    ).exists()
