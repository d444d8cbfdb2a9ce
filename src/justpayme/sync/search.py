"""Looks in Xero for what may have arrived there, instead of sending it again (I-19).

Found: it is adopted. Not found, and nothing can arrive any more: it waits to be sent anew,
under a new key; or, if no more may be sent, it is given up and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from justpayme.core.outbox import Found, searched
from justpayme.sync import outbox, plain, revert
from justpayme.sync.apply import fence
from justpayme.sync.models import IN_FLIGHT, Connection, OutboxItem, Shipment
from justpayme.sync.outbox import Kind, State
from justpayme.sync.under_way import WATCH, Sending, arrived, confirm, lock
from justpayme.xero import wire
from justpayme.xero.translate import to_payment

_GONE = ("VOIDED", "DELETED")


def invoice_ids(connection_id: int, items: Iterable[OutboxItem]) -> list[str]:
    """The InvoiceIDs that these items of one organisation are about, as far as they are known."""
    rows = list(items)
    bills = [item.bill_id for item in rows if item.bill_id]
    links = plain.rows(_INVOICES, connection_id, bills)
    known = {str(invoice) for (invoice,) in links}
    made = {item.remote_id for item in rows if item.kind == Kind.CREATE and item.remote_id}
    return sorted(known | made)


_INVOICES = "SELECT invoice_id FROM sync_link WHERE connection_id = %s AND bill_id = ANY(%s)"


def numbers_in_use(sending: Sending, items: Sequence[OutboxItem]) -> None:
    """Refuse new invoices whose number Xero has already, unless they are ours after all. What is
    there is remembered, so that it is never taken for the one we are about to make."""
    numbers = {item.pk: item.bill.number for item in items if item.bill is not None}
    raws = sending.client.invoices_by_number(numbers.values())
    sending.pull.apply_found(raws)
    there, now = [wire.decode(wire.Invoice, raw) for raw in raws], sending.clock.now()
    with transaction.atomic():
        fence(sending.run)
        waiting = OutboxItem.objects.select_for_update(of=("self",))
        for item in waiting.filter(pk__in=numbers, state=State.WAITING, bill__link__isnull=True):
            same = [i for i in there if _same_number(i, numbers[item.pk])]
            if any(i.status not in _GONE for i in same):
                outbox.end(item, State.REFUSED, "number_in_use", now)
            else:
                item.detail = item.detail | {"known": [i.invoice_id.lower() for i in same]}
                item.save(update_fields=["detail"])


def _same_number(invoice: wire.Invoice, number: str) -> bool:
    return (invoice.invoice_number or "").strip().casefold() == number.strip().casefold()


def look_for(sending: Sending, kind: str, shipment: Shipment) -> None:
    """Find out what became of a shipment, and end its time under way."""
    items = list(shipment.items.filter(state__in=IN_FLIGHT).select_related("bill", "connection"))
    if kind == Kind.CONTACT:
        _look_for_contacts(sending, items)
    elif kind == Kind.CREATE:
        numbers = [item.sent["number"] for item in items if item.sent]
        sending.pull.apply_found(sending.client.invoices_by_number(numbers))
    elif kind in (Kind.PAY, Kind.UNPAY):
        _look_for_payments(sending, items)
    WATCH.forget(shipment.pk)
    _end(sending, kind, shipment)


def _look_for_contacts(sending: Sending, items: Sequence[OutboxItem]) -> None:
    found = sending.client.contacts_by_number([item.marker for item in items])
    ids = {c.contact_number: c.contact_id.lower() for c in found}
    with transaction.atomic():
        fence(sending.run)
        for item in _still(items):
            if contact_id := ids.get(item.marker):
                confirm(sending.run, Kind.CONTACT, item, contact_id, sending.clock.now())


def _look_for_payments(sending: Sending, items: Sequence[OutboxItem]) -> None:
    """Deleted payments count: what somebody deleted in Xero did happen, and happens once."""
    ids = invoice_ids(sending.run.connection_id, items)
    facts = [to_payment(p) for p in sending.client.payments_by_invoice(ids)]
    now = sending.clock.now()
    with transaction.atomic():
        fence(sending.run)
        for item in _still(items):
            mine = [f for f in facts if _is_of(item, f.payment_id, f.reference)]
            if item.kind == Kind.UNPAY:
                if any(not f.live for f in mine):
                    _done(sending, item, now)
            elif any(not f.live for f in mine):
                item.remote_id = mine[0].payment_id
                _done(sending, item, now)
            elif mine:
                confirm(sending.run, Kind.PAY, item, mine[0].payment_id, now)
    sending.pull.read_again(invoice_ids(sending.run.connection_id, items))


def _done(sending: Sending, item: OutboxItem, now: datetime) -> None:
    arrived(sending.run, item, now)
    outbox.end(item, State.DONE, "", now)


def _is_of(item: OutboxItem, payment_id: str, reference: str) -> bool:
    if item.kind == Kind.PAY:
        return searched([reference], item.marker) is Found.ADOPT
    return payment_id == item.remote_id


def _end(sending: Sending, kind: str, shipment: Shipment) -> None:
    """What was not found is not there, and will not come."""
    now = sending.clock.now()
    with transaction.atomic():
        connection = fence(sending.run)
        for item in _still(list(shipment.items.filter(state__in=IN_FLIGHT))):
            if item.detail.get("confirmed") and kind == Kind.PAY:
                continue  # it is there; the invoice will show it
            _again(connection, item, now)


def _again(connection: Connection, item: OutboxItem, now: datetime) -> None:
    if not connection.is_two_way:
        revert.give_up(item, now)
        return
    item.detail = {k: v for k, v in item.detail.items() if k != "confirmed"}
    outbox.send_anew(item, now)


def _still(items: Sequence[OutboxItem]) -> list[OutboxItem]:
    """Those still under way, locked."""
    return lock(list(items), states=IN_FLIGHT)
