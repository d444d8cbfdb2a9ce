"""What shall reach Xero: put in by people, taken out by sync/push.py.

    enqueue ─▶ waiting ─▶ claim ─▶ …  as drawn at `models.OutboxItem`

An edit and its intention are one transaction (I-17): the verbs of bills/actions.py call these
inside theirs. Ten edits of a bill before the next sending are one item; an edit while one is
under way, or after a payment was taken back, is a second. Items of one bill leave in the order of
their ids (I-23).
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Q, QuerySet

from justpayme.accounts.models import User
from justpayme.bills.models import Bill, Client
from justpayme.core import names
from justpayme.core.bill import PaidFields
from justpayme.core.outbox import marker_of, tagged
from justpayme.core.settle import Pending
from justpayme.sync import doorbell, plain
from justpayme.sync.models import (
    IN_FLIGHT,
    NOT_LEFT,
    OPEN,
    RESTING,
    ClientLink,
    Connection,
    OutboxItem,
    Record,
)

Kind, State = OutboxItem.Kind, OutboxItem.State

MARKER_BYTES = 8
LONGEST_TEXT = 4000
PROPOSED_AT_MOST = 10
MAY_LEAVE = (State.WAITING, *IN_FLIGHT)
"""States of items that a sending may have something to do for."""

EDITS = (Kind.UPDATE, Kind.CREATE)
"""Kinds that carry what a bill says. Of one bill at most one of them waits."""


def enqueue_update(bill: Bill, connection: Connection, by: User | None, now: datetime) -> None:
    """The edits of a linked bill shall reach its invoice."""
    _enqueue_change(Kind.UPDATE, bill, connection, by, now)


def enqueue_create(bill: Bill, connection: Connection, by: User | None, now: datetime) -> None:
    """A bill that exists only here shall become an invoice."""
    _enqueue_change(Kind.CREATE, bill, connection, by, now)


def _enqueue_change(
    kind: str, bill: Bill, connection: Connection, by: User | None, now: datetime
) -> None:
    enqueue_contact(bill.client, connection, by, now)
    changes = OutboxItem.objects.filter(bill=bill, kind__in=EDITS)
    changes.filter(state=State.REFUSED).update(state=State.SUPERSEDED, settled_at=now)
    _let_go(changes.filter(state=State.PARKED))  # the edit may have been the decision
    _give_way(bill, changes.filter(state=State.WAITING), now)
    if not changes.filter(state=State.WAITING).exists():
        _add(connection, kind, by, now, bill=bill)
    doorbell.request_push(connection=connection, by=by)


def _give_way(bill: Bill, waiting: QuerySet[OutboxItem], now: datetime) -> None:
    """A change that would carry this edit too, but leave before a payment that was taken back
    earlier: Xero may refuse the edit while the payment is there, so a new one goes after it."""
    back = OutboxItem.objects.filter(bill=bill, kind=Kind.UNPAY, state__in=MAY_LEAVE)
    last = back.order_by("-id").values_list("pk", flat=True).first()
    if last is not None:
        waiting.filter(pk__lt=last).update(state=State.SUPERSEDED, settled_at=now)


def keep_going(connection: Connection, bill_id: int, now: datetime) -> None:
    """A bill says something that Xero does not: there must be somebody to send it (I-27)."""
    changes = OutboxItem.objects.filter(bill_id=bill_id, kind__in=EDITS, state__in=OPEN)
    if not changes.exists():
        _add(connection, Kind.UPDATE, None, now, bill_id=bill_id)


def enqueue_payment(
    bill: Bill, connection: Connection, paid: PaidFields, by: User | None, now: datetime
) -> PaidFields:
    """Money recorded here shall be recorded in Xero once; answers the payment with its marker.

    The marker makes it unlike any other: two equal payments are two (I-15).
    """
    marker = marker_of(secrets.token_bytes(MARKER_BYTES))
    marked = replace(paid, reference=tagged(paid.reference, marker))
    _add(connection, Kind.PAY, by, now, bill=bill, marker=marker, paid=msgspec.to_builtins(marked))
    doorbell.request_push(connection=connection, by=by)
    return marked


def enqueue_unpay(
    bill: Bill, connection: Connection, paid: PaidFields, by: User | None, now: datetime
) -> None:
    """A payment taken back here shall be deleted in Xero. One that never left is just dropped."""
    recorded = _recording_of(bill, paid)
    if recorded is not None and recorded.state in NOT_LEFT:
        recorded.state, recorded.settled_at = State.SUPERSEDED, now
        recorded.save(update_fields=["state", "settled_at"])
        return
    _add(
        connection,
        Kind.UNPAY,
        by,
        now,
        bill=bill,
        marker=recorded.marker if recorded else "",
        remote_id=paid.remote_id,
        paid=msgspec.to_builtins(paid),
    )
    doorbell.request_push(connection=connection, by=by)


def send_anew(item: OutboxItem, now: datetime) -> None:
    """What left is not in Xero: it waits again, unless something overtook it meanwhile."""
    if is_overtaken(item, now):
        end(item, State.SUPERSEDED, "", now)
        return
    item.state, item.shipment, item.sent, item.sent_units = State.WAITING, None, None, []
    item.not_before = None
    item.save()


def is_overtaken(item: OutboxItem, now: datetime) -> bool:
    """Has a person done something since that makes it needless to send this at all? A later
    edit carries everything; one of a bill that was never made makes it. A payment that was taken
    back needs neither recording nor deleting."""
    since = OutboxItem.objects.filter(bill=item.bill, pk__gt=item.pk)
    if item.kind == Kind.PAY:
        back = since.filter(kind=Kind.UNPAY, marker=item.marker, state__in=NOT_LEFT)
        return bool(back.update(state=State.SUPERSEDED, settled_at=now))
    edits = since.filter(kind__in=EDITS, state__in=(State.WAITING, State.PARKED))
    if item.kind == Kind.CREATE:
        return bool(edits.update(kind=Kind.CREATE))
    return item.kind == Kind.UPDATE and edits.exists()


def _recording_of(bill: Bill, paid: PaidFields) -> OutboxItem | None:
    """The item that records this payment in Xero, while it is not done."""
    if paid.remote_id:
        return None
    items = OutboxItem.objects.filter(bill=bill, kind=Kind.PAY, state__in=OPEN)
    return next((i for i in items if paid_of(i).reference == paid.reference), None)


def enqueue_contact(
    client: Client, connection: Connection, by: User | None, now: datetime
) -> OutboxItem | None:
    """A client without a contact shall get one, unless a person must choose among contacts that
    look like it: those are proposed, never guessed (product decision 6)."""
    if ClientLink.objects.filter(client=client, connection=connection).exists():
        return None
    items = OutboxItem.objects.filter(client=client, connection=connection, kind=Kind.CONTACT)
    under_way = items.filter(state__in=OPEN).first()
    if under_way is not None:
        return under_way
    marker = marker_of(secrets.token_bytes(MARKER_BYTES))
    item = _add(connection, Kind.CONTACT, by, now, client=client, marker=marker)
    if code := propose(item):
        end(item, State.PARKED, code, now)
    return item


def propose(item: OutboxItem) -> str:
    """Does Xero have contacts like a new one? Remembers them, and answers why a person must
    decide, or "". Xero keeps the names of active contacts unique (xero-facts 4.4)."""
    if item.client is None or item.detail.get("decided"):
        return ""
    alike = contacts_like(item.connection, item.client)
    if not alike:
        return ""
    item.detail = {"contacts": alike}
    return "contact_archived" if all(c["archived"] for c in alike) else "contact_like_this"


def contacts_like(connection: Connection, client: Client) -> list[dict[str, Any]]:
    """Contacts that no client is linked to, with this client's name or e-mail address."""
    like = Q(data__plain_name=names.plain(client.name))
    if client.email:
        like |= Q(data__email__iexact=client.email)
    rows = Record.objects.filter(like, connection=connection, kind=Record.Kind.CONTACT)
    linked = ClientLink.objects.filter(
        connection=connection, contact_id__in=list(rows.values_list("remote_id", flat=True))
    )
    taken = {str(contact) for contact in linked.values_list("contact_id", flat=True)}
    found = [
        {
            "id": remote_id,
            "name": data["name"],
            "email": data["email"],
            "archived": data["archived"],
        }
        for remote_id, data in rows.order_by("pk").values_list("remote_id", "data")
        if remote_id not in taken
    ]
    return found[:PROPOSED_AT_MOST]


# --- what a person decides ---------------------------------------------------------------------


def retry(item: OutboxItem, by: User | None, now: datetime) -> bool:
    """Try a refused or parked item again; False if it is neither."""
    changed = _let_go(OutboxItem.objects.filter(pk=item.pk, state__in=RESTING))
    if changed:
        doorbell.request_push(connection=item.connection, by=by)
    return bool(changed)


def cancel_waiting(connection: Connection, now: datetime, *, code: str) -> int:
    """Give up what has not left yet, of this organisation; how many."""
    items = OutboxItem.objects.filter(connection=connection, state__in=NOT_LEFT)
    return items.update(state=State.CANCELLED, error_code=code, error_text="", settled_at=now)


def cancel_all(connection: Connection, now: datetime, *, code: str) -> int:
    """Give up everything of this organisation that is not done (I-38); how many."""
    items = OutboxItem.objects.filter(connection=connection, state__in=OPEN)
    return items.update(state=State.CANCELLED, error_code=code, settled_at=now)


def decide_contact(
    item: OutboxItem, contact_id: str | None, by: User | None, now: datetime, *, name: str = ""
) -> None:
    """Answer a parked contact: it is this one of Xero's, or (None) a new one, called `name`."""
    if contact_id is None:
        item.detail = item.detail | {"decided": True, "name": name}
        item.state, item.error_code, item.error_text = State.WAITING, "", ""
        item.error_at = None
        item.save()
    else:
        link_client(item, contact_id, now)
    doorbell.request_push(connection=item.connection, by=by)


def link_client(item: OutboxItem, contact_id: str, now: datetime) -> None:
    """The client is this contact from now on; its bills may go."""
    if item.client is None:
        raise ValueError("only a new contact has a client to link")
    links = ClientLink.objects.filter(connection=item.connection)
    held = links.filter(contact_id=UUID(contact_id)).first()
    item.remote_id = contact_id
    if held is not None and held.client_id != item.client_id:
        end(item, State.PARKED, "contact_like_this", now)  # another client became it meanwhile
        return
    if not links.filter(client=item.client).exists():
        links.create(client=item.client, connection=item.connection, contact_id=UUID(contact_id))
    end(item, State.DONE, "", now)
    unpark(item.connection, ("contact_needed",), bill__client=item.client)


def unpark(connection: Connection, codes: tuple[str, ...], **about: Any) -> int:
    """Items that were parked for these reasons may go now; how many."""
    parked = OutboxItem.objects.filter(
        connection=connection, state=State.PARKED, error_code__in=codes, **about
    )
    return _let_go(OutboxItem.objects.filter(pk__in=list(parked.values_list("pk", flat=True))))


def _let_go(items: QuerySet[OutboxItem]) -> int:
    return items.update(
        state=State.WAITING, error_code="", error_text="", error_at=None, not_before=None
    )


# --- what is under way -------------------------------------------------------------------------


def paid_of(item: OutboxItem) -> PaidFields:
    """The payment that an item records or takes back."""
    return msgspec.convert(item.paid, PaidFields)


def pending(items: list[OutboxItem]) -> list[Pending]:
    """What these items of one bill lay over it until Xero shows it (core/settle.py).

    A refused payment was received all the same, so it stays until a person takes it back. One
    that was taken back while Xero had not shown it yet is neither there nor to be removed.
    """
    lying = [item for item in items if item.paid is not None and item.state in OPEN]
    undone = {i.marker for i in lying if i.kind == Kind.UNPAY and not i.remote_id}
    return [_pending(i) for i in lying if not i.marker or i.marker not in undone]


def _pending(item: OutboxItem) -> Pending:
    if item.kind == Kind.PAY:
        return Pending("pay", paid_of(item))
    return Pending("unpay", replace(paid_of(item), remote_id=item.remote_id))


def due(connection: Connection, now: datetime) -> list[OutboxItem]:
    """Waiting items that may leave now: the first of each bill, nothing of it being under way
    (I-23), and only bills that are invoices already, unless the item makes them one. What waits
    for the invoice does not keep it from being made: its creation may be the younger item, when
    one before it was refused or got lost."""
    items = OutboxItem.objects.filter(
        Q(kind__in=(Kind.CONTACT, Kind.CREATE)) | Q(bill__link__connection=connection),
        connection=connection,
        state__in=MAY_LEAVE,
    )
    seen = list(items.only(*_TO_SEE).order_by("id"))
    taken = {_about(item) for item in seen if item.state in IN_FLIGHT}
    found = []
    for item in seen:
        rested = item.not_before is None or item.not_before <= now
        if item.state == State.WAITING and rested and _about(item) not in taken:
            found.append(item)
        taken.add(_about(item))
    return found


def _about(item: OutboxItem) -> object:
    return item.bill_id or ("client", item.client_id)


_TO_SEE = ("kind", "state", "bill_id", "client_id", "not_before", "remote_id", "detail")
"""Of an item, what says whether and with what it goes: every tick asks, and `sent` is a bill."""


def has_work(connection: Connection, now: datetime) -> bool:
    """Is there anything to send, or to look for, now?"""
    under_way = plain.one(_UNDER_WAY, connection.pk, list(IN_FLIGHT), now)
    return under_way is not None or (connection.is_two_way and bool(due(connection, now)))


_UNDER_WAY = """SELECT 1 FROM sync_outboxitem
WHERE connection_id = %s AND state = ANY(%s) AND (not_before IS NULL OR not_before <= %s) LIMIT 1
"""


def end(item: OutboxItem, state: str, code: str, now: datetime, text: str = "") -> None:
    """The item comes to rest: done, or waiting for a person (parked, refused), or given up.
    `code` of the catalogue says why; `text` is Xero's own. A message goes with its cause."""
    item.state, item.shipment = state, None
    item.error_code, item.error_text = code, text[:LONGEST_TEXT]
    item.error_at = now if code else None
    item.settled_at = None if state in OPEN else now
    item.save()


def _add(
    connection: Connection, kind: str, by: User | None, now: datetime, **what: Any
) -> OutboxItem:
    return OutboxItem.objects.create(
        business_id=connection.business_id,
        connection=connection,
        kind=kind,
        by=by,
        created_at=now,
        **what,
    )
