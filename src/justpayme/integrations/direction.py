"""Verbs that change the direction of an organisation, and what they would do.

    one-directional ── preview ── go_two_way(digest) ──▶ bidirectional ── preview, to send more
          ▲              ▲  the world changed: Shifted │            │
          │              └────────────────────────────┘            │
          └───────────────── go_one_way ────────────────────────────┘

Locks are taken in the sync's own order: organisation, links, bills. So what `go_two_way`
compares with the digest is what it carries out, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from justpayme.accounts.access import check_may_manage
from justpayme.accounts.models import Membership
from justpayme.bills import actions as bill_actions
from justpayme.bills.actions import Act, Refused
from justpayme.integrations import candidates
from justpayme.integrations.actions import NotPossible, locked, may_write, noted
from justpayme.integrations.plan import AT_ONCE, Kind, Plan, build, ticked
from justpayme.sync import outbox, revert
from justpayme.sync.doorbell import request_push
from justpayme.sync.models import IN_FLIGHT, NOT_LEFT, Conflict, Connection, Link, OutboxItem

Direction = Connection.Direction
BECAME_ONE_WAY = "read_only"
"""Why what waited was given up: the code that its items keep."""


class Shifted(Exception):
    """The world is no longer as it was shown; `plan` is how it is now. Nothing was done."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("the plan has changed")
        self.plan = plan


# --- bidirectional -----------------------------------------------------------------------------


def preview(*, by: Membership, connection: Connection, chosen: frozenset[str]) -> Plan:
    """What going bidirectional (or sending more, where it is already) would do in Xero, with what
    is ticked. Changes nothing."""
    check_may_manage(by)
    _check_ready(connection)
    return _plan(connection, chosen)


def _check_ready(row: Connection) -> None:
    if not row.is_live:
        raise NotPossible(f"{row.name} is not connected. Connect it first.")
    if not may_write(row):
        raise NotPossible("Xero has not allowed changes yet. Choose Bidirectional again.")
    if row.defaults_set_at is None:
        raise NotPossible("Choose the defaults for new invoices first.")


def _plan(connection: Connection, chosen: frozenset[str]) -> Plan:
    terms = candidates.terms_of(connection)
    bills = candidates.local_bills(connection)
    return build(terms, bills, candidates.overridden(connection), chosen)


def go_two_way(
    *,
    by: Membership,
    connection: Connection,
    chosen: frozenset[str],
    digest: str,
    address: str,
    now: datetime,
) -> Plan:
    """Carry out exactly the plan that `digest` stands for; what was done.

    Shifted, and nothing done, when what would happen now is not what was shown. Refused, and
    nothing done, for an item that can't go for a reason that no preview knows.
    """
    check_may_manage(by)
    with transaction.atomic():
        row = locked(by, connection)
        _check_ready(row)
        _lock_candidates(row)
        plan = _plan(row, chosen)
        if plan.digest != digest:
            raise Shifted(plan)
        if len(ticked(plan)) > AT_ONCE:
            raise Refused({"": f"At most {AT_ONCE} go at once. Send the others afterwards."})
        action = "sent_more" if row.direction == Direction.TWO else "went_bidirectional"
        row.direction = Direction.TWO
        row.save(update_fields=["direction"])
        _carry_out(plan, row, Act(by, now))
        request_push(connection=row, by=by.user)
        noted(by, row, action, address, changes=len(plan.going))
    return plan


def _lock_candidates(row: Connection) -> None:
    """Nobody changes a candidate between our look and our commit."""
    conflicts = Conflict.objects.filter(connection=row, state=Conflict.State.OPEN)
    links = Link.objects.filter(bill__in=conflicts.values("bill_id")).order_by("pk")
    list(links.select_for_update(of=("self",)).values_list("pk"))
    bills = candidates.only_here(row).order_by("pk")
    list(bills.select_for_update(of=("self",)).values_list("pk"))


def _carry_out(plan: Plan, row: Connection, act: Act) -> None:
    """Through the same verbs as a person who does each of these alone. Refused names the bill."""
    for item in plan.going:
        if item.kind is Kind.CREATE:
            with _named(item.number):
                bill_actions.bill_send_to_xero(act=act, bill_id=item.target, connection_id=row.pk)
    mine = [item.target for item in plan.going if item.kind is Kind.UPDATE]
    if mine:
        bill_actions.conflict_resolve(act=act, conflict_ids=mine, choice="mine")


@contextmanager
def _named(number: str) -> Iterator[None]:
    try:
        yield
    except Refused as why:
        raise Refused({"": f"{number}: {why}"}) from why


# --- one-directional ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leaving:
    """What has not reached Xero yet: counts of bills with edits, new invoices, payments, contacts;
    and of requests under way, which may still arrive."""

    edits: int
    creations: int
    payments: int
    contacts: int
    under_way: int

    @property
    def waiting(self) -> int:
        """Everything that has not left."""
        return self.edits + self.creations + self.payments + self.contacts


def leaving(connection: Connection) -> Leaving:
    """What going one-directional, or a disconnect, would set aside."""
    kinds = OutboxItem.Kind
    before = OutboxItem.objects.filter(connection=connection, state__in=NOT_LEFT)
    count = {kind: before.filter(kind=kind).count() for kind in kinds}
    flying = OutboxItem.objects.filter(connection=connection, state__in=IN_FLIGHT)
    return Leaving(
        edits=count[kinds.UPDATE],
        creations=count[kinds.CREATE],
        payments=count[kinds.PAY] + count[kinds.UNPAY],
        contacts=count[kinds.CONTACT],
        under_way=flying.count(),
    )


def go_one_way(*, by: Membership, connection: Connection, address: str, now: datetime) -> Leaving:
    """Xero is the source of truth again; what was set aside.

    From this commit on no call that changes anything starts (I-36). What waited is given up;
    Xero's values return to its bills, and ours are kept as conflicts (I-27). What is under way
    may still arrive, and is only looked for.
    """
    check_may_manage(by)
    with transaction.atomic():
        row = locked(by, connection)
        if row.direction == Direction.ONE:
            raise NotPossible(f"{row.name} is one-directional already.")
        aside = leaving(row)
        row.direction = Direction.ONE
        row.save(update_fields=["direction"])
        outbox.cancel_waiting(row, now, code=BECAME_ONE_WAY)
        for link in row.links.filter(edited=True).order_by("pk"):
            revert.to_base(link, by.user, now, keep=True)
        noted(by, row, "went_one_directional", address, set_aside=aside.waiting)
    return aside
