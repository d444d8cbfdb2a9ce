"""Notices that the database was restored from a backup, before a payment leaves (I-53, F17).

A backup knows as waiting what may have left since. What a bill says, a new invoice by its number
and a contact by its number are known again in Xero, and Xero takes none of them twice. A payment
is known by its marker, but not if somebody has deleted it in Xero meanwhile, and not while its
request is still on its way there. So after a restore each waiting payment, also one that we held
back and that may go by itself, is treated as one that has left: nothing before the end of its
quarantine, then Xero is searched (sync/search.py).

How it is noticed: restoring a dump makes every table anew, with another object id (oid). The
table of the outbox carries the id that it had in a comment, which travels with the dump.

    comment says this id ──▶ nothing happened        none ──▶ written
    comment says another ──▶ waiting payments become unsure, and it is written anew

A copy of the server's files, or a snapshot of its disk, keeps the ids: for those there is
`justpayme restored`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.db import connection as database
from django.db import transaction

from justpayme.sync import parcels, plain
from justpayme.sync.models import NOT_LEFT, OutboxItem, Shipment
from justpayme.sync.outbox import Kind, State

log = structlog.get_logger(__name__)


def notice(now: datetime) -> int:
    """Compare; how many payments are searched for because of it."""
    said, is_now = _tables()
    if said == is_now:
        return 0
    with transaction.atomic():
        with database.cursor() as cursor:
            cursor.execute("LOCK TABLE sync_outboxitem IN SHARE ROW EXCLUSIVE MODE")
        said, is_now = _tables()
        if said == is_now:
            return 0  # somebody else has noticed meanwhile
        return _remember() if said is None else mark(now)


def mark(now: datetime) -> int:
    """The database is another one than yesterday: treat every payment that may have left since
    as one that has; how many."""
    with transaction.atomic():
        items = OutboxItem.objects.filter(kind=Kind.PAY, state__in=NOT_LEFT).select_for_update()
        marked = _as_sent([item for item in items if _may_have_left(item)], now)
        _remember()
    log.warning("database_restored", payments=marked)
    return marked


def _may_have_left(item: OutboxItem) -> bool:
    """May a payment that had not left when the backup was made have done so since? One that Xero
    refused only leaves when a person says so again, and is looked for in its invoice first."""
    return item.state != State.REFUSED or parcels.may_change_its_mind(item, audit=True)


def _as_sent(items: Iterable[OutboxItem], now: datetime) -> int:
    """As if each had left in a request without an answer, which is never repeated: nobody has
    seen it leave."""
    marked = 0
    for item in items:
        item.shipment = Shipment.objects.create(
            connection_id=item.connection_id,
            method="PUT",
            path="Payments",
            body=b"",
            first_sent_at=now,
            last_sent_at=now,
            unclear=True,
        )
        item.state, item.not_before = State.UNSURE, None
        item.error_code, item.error_text, item.error_at = "", "", None
        item.save()
        marked += 1
    return marked


def _tables() -> tuple[str | None, str]:
    """Which table the outbox was, by its comment, and which it is."""
    said, is_now = plain.one(_WHICH) or (None, "")
    return said, is_now


_WHICH = """SELECT obj_description('sync_outboxitem'::regclass, 'pg_class'),
'table ' || 'sync_outboxitem'::regclass::oid"""


def _remember() -> int:
    with database.cursor() as cursor:
        cursor.execute(
            "DO $$ BEGIN EXECUTE format('COMMENT ON TABLE sync_outboxitem IS %L', "
            "'table ' || 'sync_outboxitem'::regclass::oid); END $$"
        )
    return 0
