"""Webhooks as their receiver sees them: one test for each statement of xero-facts 5."""

from datetime import timedelta

import pytest
from tests.sandbox.client import Xero
from tests.sandbox.test_sandbox_webhooks import Ear, deliver, subscribe
from tests.sandbox.test_sandbox_write_invoices import UK, contact, pay, put

from xero_sandbox import FrozenClock

pytestmark = [pytest.mark.layer("conformance"), pytest.mark.usefixtures("stated")]


@pytest.fixture
def ear(writer: Xero) -> Ear:
    """The app's address, subscribed."""
    ear = Ear()
    writer.sandbox.webhooks.post = ear
    subscribe(writer)
    return ear


def test_intent_to_receive(ear: Ear) -> None:
    """5: rightly and wrongly signed deliveries without events come first, with zeros."""
    assert [good for _, good in ear.heard] == [True, False, True, False]
    assert {body["lastEventSequence"] for body, _ in ear.heard} == {0}
    assert ear.events() == []


def test_an_event_says_that_and_not_what(writer: Xero, ear: Ear) -> None:
    """5: organisation, thing, CREATE or UPDATE; an invoice without its type or status."""
    made = put(writer)
    deliver(writer)
    (event,) = ear.events()
    assert (event["resourceId"], event["tenantId"]) == (made["InvoiceID"], writer.tenant())
    assert (event["eventCategory"], event["eventType"]) == ("INVOICE", "CREATE")
    assert set(event) == {
        "resourceUrl", "resourceId", "tenantId", "tenantType", "eventCategory", "eventType",
        "eventDateUtc",
    }  # fmt: skip


def test_a_payment_shows_as_an_update_of_its_invoice(
    writer: Xero, ear: Ear, clock: FrozenClock
) -> None:
    """5: there is no event for payments, accounts or settings."""
    made = put(writer)
    clock.advance(1)
    pay(writer, made, "10")
    writer.act("archive-account", tenant=UK, account="200")
    deliver(writer)
    kinds = [(e["eventCategory"], e["eventType"], e["resourceId"]) for e in ear.events()]
    assert kinds == [("INVOICE", kind, made["InvoiceID"]) for kind in ("CREATE", "UPDATE")]


def test_void_and_archived_are_updates(writer: Xero, ear: Ear, clock: FrozenClock) -> None:
    """5: there is no event of a deletion."""
    made = put(writer)
    clock.advance(1)
    writer.act("void-invoice", tenant=UK, invoice=made["InvoiceID"])
    writer.act("archive-contact", tenant=UK, contact=contact(writer, "Bayside Club").id)
    deliver(writer)
    assert [event["eventType"] for event in ear.events()] == ["CREATE", "UPDATE", "UPDATE"]


def test_the_end_of_a_connection_is_not_told(writer: Xero, ear: Ear) -> None:
    """5: nor anything of an organisation that is not connected."""
    writer.act("disconnect", tenant=UK)
    writer.act("create-contact", tenant=UK, name="Nobody hears of Vera")
    deliver(writer)
    assert ear.events() == []


def test_a_credit_note_comes_with_its_type_and_status(writer: Xero, ear: Ear) -> None:
    """5: credit notes alone have data."""
    writer.act("give-credit", tenant=UK, contact=contact(writer).id, amount="10")
    deliver(writer)
    (event,) = ear.events()
    assert event["data"] == {"Type": "ACCRECCREDIT", "Status": "AUTHORISED"}


def test_what_is_not_taken_comes_again(writer: Xero, ear: Ear, clock: FrozenClock) -> None:
    """5: at once, and then every fifteen minutes, in order and with its numbers."""
    put(writer)
    ear.statuses = [500, 500]
    assert deliver(writer)["subscription"]["state"] == "failing"
    put(writer)
    assert len(deliver(writer)["deliveries"]) == 6
    clock.advance(15 * 60)
    assert deliver(writer)["waiting"] == 0
    last = ear.heard[-1][0]
    assert (last["firstEventSequence"], last["lastEventSequence"]) == (1, 2)


def test_after_a_day_of_silence_the_subscription_ends(
    writer: Xero, ear: Ear, clock: FrozenClock
) -> None:
    """5: 24 hours without a good answer switch it off; events wait for it."""
    put(writer)
    ear.statuses = [500] * 200
    for _ in range(98):
        shown = deliver(writer)
        clock.advance(15 * 60)
    assert shown["subscription"]["state"] == "disabled"
    assert shown["waiting"] == 1


def test_events_are_kept_for_a_month(writer: Xero, ear: Ear, clock: FrozenClock) -> None:
    """5: 31 days, and then they are gone."""
    put(writer)
    ear.statuses = [500] * 2
    deliver(writer)
    clock.advance(timedelta(days=31).total_seconds())
    assert deliver(writer)["waiting"] == 0
    assert len(ear.events()) == 2
