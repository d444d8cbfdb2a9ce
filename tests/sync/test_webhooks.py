"""Webhooks make a sync sooner, and do nothing else (I-45 to I-48, F12, S11)."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from tests.fixtures.webhooks import deliver, listen, look, waiting
from tests.fixtures.xero import Xero
from tests.sync.hands import HOSTILE, bill_of, drift, plain_open, put_silently

from justpayme.sync.models import Connection, Heard
from justpayme.sync.webhooks import Fate, receive
from justpayme.xero.webhook import Event

pytestmark = pytest.mark.django_db


def told(connection: Connection, category: str = "INVOICE", resource: UUID | None = None) -> Event:
    return Event(connection.tenant_id, resource or uuid4(), category)


def test_a_change_in_xero_is_read_by_its_id_in_one_call(xero: Xero, imported: Connection) -> None:
    listen(xero)
    invoice = plain_open(xero)[0]
    xero.act("edit-invoice", invoice=invoice.id, reference=HOSTILE)
    deliver(xero)
    before = imported.checked_at, imported.next_due_at
    (run,) = look(xero)
    assert (run.kind, run.cause, run.state, run.changed) == ("named", "webhook", "done", 1)
    assert run.calls == 2, "the invoice, and whether this is still the same organisation"
    assert bill_of(imported, invoice.id).reference == HOSTILE
    imported.refresh_from_db()
    assert (imported.checked_at, imported.next_due_at) == before
    assert not waiting(imported)
    assert drift(xero, imported) == []


def test_a_change_without_a_stamp_is_seen_at_once_if_xero_names_it(
    xero: Xero, imported: Connection
) -> None:
    """A reading by id does not depend on UpdatedDateUTC (xero-facts 3.2)."""
    invoice = plain_open(xero)[0]
    put_silently(xero, invoice, reference="crept in")
    receive([told(imported, resource=UUID(invoice.id))], xero.clock.now())
    (run,) = look(xero)
    assert (run.changed, run.drift) == (1, 0)
    assert bill_of(imported, invoice.id).reference == "crept in"


def test_a_contact_that_changed_and_a_new_invoice_are_read_too(
    xero: Xero, imported: Connection
) -> None:
    listen(xero)
    contact = xero.ledger().invoices.rows[plain_open(xero)[0].id].contact_id
    xero.act("edit-contact", contact=contact, name="Renamed & Daughters")
    xero.act("create-invoice", contact=contact, description="Oak & ash", unit_amount="12.50")
    deliver(xero)
    (run,) = look(xero)
    assert (run.kind, run.created) == ("named", 1)
    assert drift(xero, imported) == []


@pytest.mark.parametrize(("events", "calls"), [(1, 1), (40, 1), (41, 1), (5000, 1)])
def test_however_many_are_named_it_costs_one_reading(
    xero: Xero, imported: Connection, events: int, calls: int
) -> None:
    """I-47: at most max(1, ceil(k / page)) calls, here of names that turn out to be unknown."""
    names = [told(imported) for _ in range(events)]
    for start in range(0, events, 100):
        fates = receive(names[start : start + 100], xero.clock.now())
        assert fates == {Fate.TAKEN: len(names[start : start + 100])}
    assert Heard.objects.count() == 1
    assert len(Heard.objects.get().invoices) <= 40
    (run,) = look(xero)
    assert (run.state, run.calls) == ("done", calls)
    assert look(xero) == []


def test_what_changed_is_read_even_if_there_were_too_many_names(
    xero: Xero, imported: Connection
) -> None:
    listen(xero)
    changed = plain_open(xero)[:3]
    for invoice in changed:
        xero.act("edit-invoice", invoice=invoice.id, reference="in the crowd")
    receive([told(imported) for _ in range(100)], xero.clock.now())
    deliver(xero)
    (run,) = look(xero)
    assert (run.kind, run.changed) == ("named", 3)
    assert drift(xero, imported) == []
