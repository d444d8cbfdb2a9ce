"""Puts a bill back to what Xero last said, without asking Xero.

When a person discards her edits, or sending has ended and they can't go out any more. What is
under way at that moment may still arrive, so it stays over the bill until that is known.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from justpayme.accounts.models import User
from justpayme.bills.models import Bill, Client, HistoryEntry
from justpayme.core.bill import BillFields, to_plain
from justpayme.core.merge import changes, merge
from justpayme.core.settle import over, under
from justpayme.sync import apply, bulk, clients, conflicts, outbox
from justpayme.sync.models import IN_FLIGHT, NOT_LEFT, Link, OutboxItem
from justpayme.sync.outbox import State


@transaction.atomic
def to_base(link: Link, by: User | None, now: datetime, *, keep: bool) -> None:
    """Undo what was edited here since. `keep`: as open conflicts, so that it can be sent later.

    Everything of the bill that has not left is cancelled.
    """
    link = Link.objects.select_for_update().select_related("connection").get(pk=link.pk)
    Bill.objects.select_for_update().only("pk").get(pk=link.bill_id)
    rows = Bill.objects.select_related("client__link").prefetch_related("lines", "payments")
    bill = rows.get(pk=link.bill_id)
    items = OutboxItem.objects.filter(bill=bill)
    items.filter(state__in=NOT_LEFT).update(state=State.CANCELLED, settled_at=now)
    under_way = outbox.pending(list(items.filter(state__in=IN_FLIGHT).order_by("id")))
    base = bulk.base_of(link.base)
    before = bill.fields(contact_id=clients.contact_id_of(bill.client))
    decision = merge(base, under(before, base), base, read_only=True)
    after = over(base, under_way)
    if keep and before != after:
        lost = conflicts.unsent(before, after)
        conflicts.keep(link.connection, bill.pk, decision, lost, None, now)
    _write(link, bill, before, after, by, keep, now)
    Link.objects.filter(pk=link.pk).update(edited=after != base)


def _write(
    link: Link,
    bill: Bill,
    before: BillFields,
    after: BillFields,
    by: User | None,
    keep: bool,
    now: datetime,
) -> None:
    if before == after:
        return
    contact = UUID(after.client)
    client_id = clients.ensure(link.connection, {contact: ""}, now)[contact]
    was, now_is = (Client.objects.get(pk=pk).mark() for pk in (bill.client_id, client_id))
    told = [
        {"field": name, "old": was, "new": now_is}
        if name == "client"
        else {"field": name, "old": to_plain(old), "new": to_plain(new)}
        for name, old, new in changes(before, after)
    ]
    bulk.update_bills([(bill.pk, client_id, after)], now)
    bulk.replace_lines([(bill.pk, after)])
    bulk.replace_payments([(bill.pk, after)])
    apply.name_accounts(link.connection, [bill.pk])
    source = HistoryEntry.Source
    HistoryEntry.objects.create(
        business_id=bill.business_id,
        bill=bill,
        at=now,
        source=source.PERSON if by else source.CONNECTION,
        action="overridden" if keep else "discarded",
        by=by,
        changes=told,
        note="Xero’s version stands and yours is kept." if keep else "Xero’s version was taken.",
    )


def give_up(item: OutboxItem, now: datetime) -> None:
    """End an item that may not be sent any more, and keep what was typed as conflicts."""
    outbox.end(item, State.CANCELLED, "sending_ended", now)
    link = Link.objects.filter(bill__outbox=item).first()
    if link is not None:
        to_base(link, None, now, keep=True)
