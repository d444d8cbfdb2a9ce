"""Each checker can fail: what it must find is planted, and it alone says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as change
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.breaker import checkers
from tests.breaker.world import Received, TakenBack, Typed, World, quiet
from tests.sync.given import edit, open_bill, pay, push

from justpayme.accounts.models import Business
from justpayme.bills.models import Bill, HistoryEntry, Payment
from justpayme.core.bill import to_plain
from justpayme.sync.models import Connection, Link, OutboxItem

pytestmark = pytest.mark.layer("simulation")
Plant = Callable[[World, Connection], None]


@pytest.fixture
def world(settings: Any) -> World:
    """A small world in place of the network."""
    found = World(2)
    for name in ("LOGIN", "IDENTITY", "API"):
        setattr(settings, f"XERO_{name}_URL", "http://xero.test")
    settings.XERO_TRANSPORT = found.transport
    return found


@pytest.fixture
def connection(world: World, business: Business) -> Connection:
    """Bidirectional, with an edit and a payment that have reached Xero."""
    found = world.connect_two_way(business)
    world.working_for = lambda: found.pk
    bill = open_bill(found)
    edit(bill, reference="typed here")
    pay(bill, found, Decimal("1.01"))
    push(world, found)
    quiet(world, found, audit=True)
    return found


def test_a_world_that_is_right_gives_nothing_to_say(
    world: World, connection: Connection, cases: Callable[[int], None]
) -> None:
    assert checkers.judge(world, [connection]) == []
    assert OutboxItem.objects.filter(state="done").count() == 2
    cases(1)


def test_the_last_look_is_at_every_invoice_though_an_import_was_under_way(
    world: World, connection: Connection, cases: Callable[[int], None]
) -> None:
    """What is left of an import reads on from where it was, so it alone would not do."""
    Connection.objects.filter(pk=connection.pk).update(imported_at=None)
    invoice = world.ledger().invoices.rows[str(some_bill(connection).link.invoice_id)]
    world.app.store.save(world.tenant(), replace(invoice, reference="moved no stamp"))
    quiet(world, connection, audit=True)
    assert checkers.judge(world, [connection]) == []
    cases(1)


# --- what is planted -----------------------------------------------------------------------------


def some_bill(connection: Connection) -> Bill:
    return Bill.objects.filter(link__connection=connection, status="active").earliest("pk")


def unequal_field(world: World, connection: Connection) -> None:
    Bill.objects.filter(link__connection=connection).update(reference="something else")


def missing_bill(world: World, connection: Connection) -> None:
    Link.objects.filter(bill=some_bill(connection)).delete()


def paid_twice(world: World, connection: Connection) -> None:
    rows = world.ledger().payments.rows.values()
    mine = next(p for p in rows if "JPM-" in p.reference)
    world.app.store.save(world.tenant(), replace(mine, id="0" * 8 + mine.id[8:]))


def paid_for_ever(world: World, connection: Connection) -> None:
    bill = some_bill(connection)
    paid = next(p for p in world.ledger().payments.rows.values() if p.status == "AUTHORISED")
    world.taken_back.append(TakenBack(bill.pk, paid.amount, "", paid.id, sent=True))


def _overruled(world: World, name: str, old: Any, typed: Any, after: Any) -> None:
    """A person's edit of a bill, and what a sync made of it; both are in the history."""
    bill = some_bill(Connection.objects.get())
    for source, action, was, new in (
        ("person", "edited", old, typed),
        ("xero", "changed", typed, after),
    ):
        entry = HistoryEntry.objects.create(
            business=bill.business,
            bill=bill,
            at=world.clock.now(),
            source=source,
            action=action,
            changes=[{"field": name, "old": was, "new": new}],
        )
        if source == "person":
            world.typed.append(Typed(bill.pk, name, typed, entry.pk))


def lost_edit(world: World, connection: Connection) -> None:
    reference = some_bill(connection).reference
    _overruled(world, "reference", reference, "gone", reference)


def lost_line(world: World, connection: Connection) -> None:
    line = {"description": "Work", "quantity": "1", "unit_amount": "5", "remote_id": ""}
    both = [line, line | {"description": "More"}]
    _overruled(world, "lines", [], both, [line | {"remote_id": "an id"}])


def lost_price(world: World, connection: Connection) -> None:
    line = to_plain(some_bill(connection).fields(contact_id="").lines[0])
    dearer = line | {"unit_amount": "987.65"}
    _overruled(world, "lines", [line], [dearer], [line | {"description": "theirs"}])


def line_made_anew(world: World, connection: Connection) -> None:
    invoice = world.sales()[0]
    line, *others = invoice.lines
    new = replace(line, id="0" * 8 + line.id[8:])
    world.app.store.save(world.tenant(), replace(invoice, lines=[new, *others]))


def discount_gone(world: World, connection: Connection) -> None:
    invoice = world.sales()[0]
    line, *others = invoice.lines
    new = replace(line, discount_amount=Decimal(1))
    world.app.store.save(world.tenant(), replace(invoice, lines=[new, *others]))


def other_terms(world: World, connection: Connection) -> None:
    invoice = world.sales()[0]
    world.app.store.save(world.tenant(), replace(invoice, sent=not invoice.sent))


def other_address(world: World, connection: Connection) -> None:
    contact = next(iter(world.ledger().contacts.rows.values()))
    world.app.store.save(world.tenant(), replace(contact, city="Elsewhere"))


def untold_change(world: World, connection: Connection) -> None:
    entry = HistoryEntry.objects.exclude(changes=[]).exclude(action="sent").latest("id")
    Bill.objects.filter(pk=entry.bill_id).update(reference="nobody told")


def wrong_sum(world: World, connection: Connection) -> None:
    Payment.objects.filter(bill__link__connection=connection).update(amount=Decimal("0.5"))


def left_behind(world: World, connection: Connection) -> None:
    OutboxItem.objects.filter(kind="pay").update(state="unsure")


def taken_and_never_sent(world: World, connection: Connection) -> None:
    changed = OutboxItem.objects.filter(kind="update")
    changed.update(state="refused", error_code="status_not_valid")


def _call(world: World, **more: object) -> None:
    last = next(c for c in reversed(world.calls) if c.changes_xero)
    world.calls.append(change(last, mark=len(world.marks), at=world.frozen.now(), **more))


def call_after_disconnect(world: World, connection: Connection) -> None:
    world.mark(connection, "disconnected")
    _call(world, method="GET", key="", body=b"")


def write_while_one_directional(world: World, connection: Connection) -> None:
    world.mark(connection, "one")
    _call(world, key=f"jpm:{world.tenant()}:another")


def key_used_twice(world: World, connection: Connection) -> None:
    last = next(c for c in reversed(world.calls) if c.changes_xero)
    world.calls.append(change(last, body=b"other words"))


def key_used_late(world: World, connection: Connection) -> None:
    world.frozen.advance(400)
    _call(world)


def too_many_calls(world: World, connection: Connection) -> None:
    get = next(c for c in reversed(world.calls) if c.method == "GET" and c.tenant)
    world.calls += [get] * 61


def impatient(world: World, connection: Connection) -> None:
    get = next(c for c in reversed(world.calls) if c.method == "GET" and c.tenant)
    told = change(get, status=429, retry_after=60.0, answered=get.at)
    world.calls += [told, change(get, at=get.at + timedelta(seconds=59))]


def two_refreshes(world: World, connection: Connection) -> None:
    body, now = b"grant_type=refresh_token&refresh_token=x", world.frozen.now()
    first = change(world.calls[0], path="/connect/token", method="POST", tenant="", body=body)
    first = change(first, at=now, answered=now + timedelta(seconds=2))
    world.calls += [first, change(first, at=now + timedelta(seconds=1))]


def leaked_secret(world: World, connection: Connection) -> None:
    Connection.objects.filter(pk=connection.pk).update(error_text=f"with {min(world.secrets)}")


def lost_without_a_reason(world: World, connection: Connection) -> None:
    Connection.objects.filter(pk=connection.pk).update(state="lost")
    connection.refresh_from_db()


def foreign_row(world: World, connection: Connection) -> None:
    other = Business.objects.create(name="Charlie's")
    OutboxItem.objects.filter(connection=connection).update(business=other)


def two_runs(world: World, connection: Connection) -> None:
    connection.runs.update(state="running")


def forgotten(world: World, connection: Connection) -> None:
    Connection.objects.update(next_due_at=None)


def unexplained_money(world: World, connection: Connection) -> None:
    item = OutboxItem.objects.get(kind="pay")
    pay(Bill.objects.get(pk=item.bill_id), connection, Decimal("1.01"))
    second = OutboxItem.objects.filter(kind="pay").latest("id")
    OutboxItem.objects.filter(pk=second.pk).update(state="superseded")
    world.received.append(Received(item.bill_id or 0, Decimal("1.01"), second.marker))


PLANTED: dict[Plant, str] = {
    unequal_field: "I-2",
    missing_bill: "I-3",
    paid_twice: "I-13",
    left_behind: "I-14",
    taken_and_never_sent: "I-14",
    wrong_sum: "I-16",
    key_used_twice: "I-18",
    line_made_anew: "I-21",
    discount_gone: "I-21",
    other_terms: "I-21",
    other_address: "I-21",
    key_used_late: "I-19",
    lost_edit: "I-27",
    lost_line: "I-27",
    lost_price: "I-27",
    paid_for_ever: "I-27",
    unexplained_money: "I-27",
    untold_change: "I-31",
    two_refreshes: "I-33",
    lost_without_a_reason: "I-35",
    write_while_one_directional: "I-36",
    call_after_disconnect: "I-37",
    too_many_calls: "I-39",
    impatient: "I-40",
    two_runs: "I-42",
    foreign_row: "I-48",
    forgotten: "I-51",
    leaked_secret: "I-54",
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_is_planted_is_found(
    world: World, connection: Connection, plant: Plant, cases: Callable[[int], None]
) -> None:
    plant(world, connection)
    found = {finding.promise for finding in checkers.judge(world, [connection])}
    assert PLANTED[plant] in found
    cases(1)
