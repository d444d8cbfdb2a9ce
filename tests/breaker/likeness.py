"""Are two situations alike, as far as what comes next depends on them?

Only then need what comes of them be judged once. Moments count by how many minutes they are off;
ids that are drawn anew each time, and words for people, do not count.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from django.db import connection as database
from tests.breaker.checkers import MEANWHILE, judge
from tests.breaker.stage import Stage

from justpayme.sync.models import Connection
from justpayme.sync.under_way import WATCH
from xero_sandbox.store import Table

_OFF = "round(extract(epoch FROM {0} - %(now)s) / 60)"
_COLUMNS = {
    "sync_connection": "state, direction, failures, imported_at IS NULL,"
    " tokens_id IS NULL, {next_due_at}, {blocked_until},"
    " audited_at < %(now)s - interval '24 hours'",
    "sync_tokenset": "state, {expires_at}",
    "sync_cursor": "endpoint, state",
    "sync_link": "invoice_id, remote_status, edited, base",
    "sync_clientlink": "contact_id, merged_to",
    "sync_record": "kind, remote_id, data",
    "sync_outboxitem": "bill_id, client_id, kind, state, {not_before}, shipment_id IS NULL, sent,"
    " sent_units, paid, marker, remote_id, detail, error_code",
    "sync_shipment": "method, path, params, md5(body), {first_sent_at}, {last_sent_at}, attempts,"
    " unclear",
    "sync_heard": "{waiting_since}, {taken_at}, invoices, many, contacts, words, taken",
    "sync_conflict": "bill_id, unit, ours, theirs, state",
    "sync_run": "kind, state, id = (SELECT max(id) FROM sync_run)",
    "bills_client": "name, email, phone, address, tax_number, archived",
    "bills_bill": "{client}, number, reference, status, issued_on, due_on, expected_on, sent,"
    " branding_theme, url, currency, rate, tax_mode, paid, outstanding, credited, total",
    "bills_line": "{bill}, position, description, quantity, unit_amount, discount_rate,"
    " discount_amount, tax_type, account_code, item_code, tracking, remote_id",
    "bills_payment": '{bill}, kind, amount, "on", reference, account, remote_id',
    "bills_historyentry": "{bill}, source, action, changes, note",
}


_NAMED = {
    "client": "(SELECT c.name FROM bills_client c WHERE c.id = client_id)",
    "bill": "(SELECT b.number FROM bills_bill b WHERE b.id = bill_id)",
}


class _Offsets(dict[str, str]):
    def __missing__(self, column: str) -> str:
        return _OFF.format(column)


def _query() -> str:
    parts = (
        f"SELECT md5(coalesce(string_agg(ROW({columns.format_map(_Offsets(_NAMED))})::text, '|'"  # noqa: S608
        f" ORDER BY ROW({columns.format_map(_Offsets(_NAMED))})::text), '')) FROM {table}"
        for table, columns in _COLUMNS.items()
    )
    return "SELECT " + ", ".join(f"({part})" for part in parts)


_QUERY = _query()


def likeness(stage: Stage) -> dict[str, Any]:
    """What makes a situation what it is: our rows, what our process knows, Xero's books."""
    with database.cursor() as cursor:
        cursor.execute(_QUERY, {"now": stage.now})
        row = cursor.fetchone() or ()
    at = stage.xero.clock.monotonic()
    watched = sorted((s.attempts, s.first and at - s.first, at - s.last) for s in _watched())
    ours = dict(zip(_COLUMNS, row, strict=True))
    return ours | {"watched": tuple(watched)} | _xero(stage)


def _watched() -> list[Any]:
    return list(WATCH._seen.values())


def _xero(stage: Stage) -> dict[str, Any]:
    app, now = stage.xero.app, stage.now
    books = {
        name: tuple(sorted(map(_said, table.rows.values())))
        for name, table in vars(stage.xero.ledger()).items()
        if isinstance(table, Table)
    }
    return books | {
        "late": tuple(sorted(_off(late.due, now) for late in app.late.all() if not late.status)),
        "answers": len(app.store.answers),
        "connections at Xero": len(app.store.connections),
        "expired": len(app.identity._expired),
        "refresh tokens": len(app.store.refresh_tokens),
    }


def _said(record: Any) -> bytes:
    """All that a record of Xero's says, but for when it was changed."""
    return msgspec.json.encode(msgspec.structs.replace(record, updated=None))


def _off(moment: datetime, now: datetime) -> float:
    return (moment - now).total_seconds()


class Judged:
    """Situations that earlier cases came through, of which it is known what comes of them."""

    def __init__(self) -> None:
        self._known: set[Any] = set()

    def ends(self, stage: Stage, *going_on: Any) -> bool:
        """Need what comes now not be judged again? `going_on`: what is being done, by whom.
        AssertionError if anything was wrong on the way here."""
        stage.notice()
        situation = (going_on, tuple(likeness(stage).values()))
        known = situation in self._known
        self._known.add(situation)
        if known:
            found = judge(stage.xero, list(Connection.objects.all()), MEANWHILE)
            assert not found, [str(finding) for finding in found]
        return known
