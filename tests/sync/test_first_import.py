"""The first import: every sales invoice becomes a bill, once, whatever happens on the way."""

from __future__ import annotations

import pytest
from tests.fixtures.xero import Xero
from tests.integrations.two_way import local_bill

from justpayme.accounts import actions
from justpayme.accounts.models import Business, Membership, User
from justpayme.bills.models import Bill, HistoryEntry
from justpayme.sync.models import Connection, Link, Run
from justpayme.sync.verify import verify

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_sales_invoice_becomes_a_bill_equal_to_it(xero: Xero, connected: Connection) -> None:
    run = xero.sync(connected)
    assert (run.state, run.error_text) == (Run.State.DONE, "")
    report = verify(connected, xero.clock)
    assert report.differences == []
    assert report.compared == Bill.objects.count() == run.created > 40


def test_the_first_books_say_what_a_new_business_counts_in(xero: Xero, business: Business) -> None:
    xero.sync(xero.connect(business, "NZ"))
    business.refresh_from_db()
    assert (business.currency, business.time_zone) == ("NZD", "Pacific/Auckland")
    xero.sync(xero.connect(business))
    business.refresh_from_db()
    assert business.currency == "NZD"


def test_a_business_that_somebody_has_set_up_stays_as_it_is(
    xero: Xero, business: Business, alice: User
) -> None:
    actions.update_business(
        membership=Membership.objects.get(user=alice),
        name=business.name,
        currency="GBP",
        time_zone="Europe/London",
    )
    xero.sync(xero.connect(business, "NZ"))
    business.refresh_from_db()
    assert (business.currency, business.time_zone) == ("GBP", "Europe/London")


def test_a_business_with_bills_of_its_own_stays_as_it_is(xero: Xero, business: Business) -> None:
    local_bill(business)
    xero.sync(xero.connect(business, "NZ"))
    business.refresh_from_db()
    assert (business.currency, business.time_zone) == ("GBP", "Europe/London")


def test_calls_made_equal_the_formula(xero: Xero, connected: Connection) -> None:
    """K = ceil(N/P) + ceil(C/P) + ceil(Q/P) + 4 (performance.md): all fit one page here."""
    run = xero.sync(connected)
    assert run.calls == 1 + 1 + 1 + 4
    assert xero.counts()["total"] == run.calls


def test_an_idle_increment_makes_three_calls_and_changes_nothing(
    xero: Xero, imported: Connection
) -> None:
    history = HistoryEntry.objects.count()
    for _ in range(3):
        xero.later(15)
        run = xero.sync(imported)
        assert (run.kind, run.state, run.calls) == ("increment", "done", 3)
        assert (run.created, run.changed) == (0, 0)
    assert HistoryEntry.objects.count() == history


def test_supplier_bills_and_unwanted_drafts_are_never_imported(
    xero: Xero, imported: Connection
) -> None:
    invoices = list(xero.ledger().invoices.rows.values())
    purchases = {i.id for i in invoices if i.type == "ACCPAY"}
    drafts = {i.id for i in invoices if i.status in ("DRAFT", "SUBMITTED", "DELETED")}
    assert purchases
    assert drafts
    held = {str(link.invoice_id) for link in Link.objects.all()}
    assert held == {i.id for i in invoices} - purchases - drafts
