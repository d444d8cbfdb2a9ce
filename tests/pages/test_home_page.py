"""Home: what is owed, what needs a person, and how much of it equals Xero."""

import re
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from tests.bills.given import a_bill, a_client, a_connection, act, line, linked
from tests.pages.test_bills_pages import page_of, text_of

from justpayme.bills.actions import payment_record
from justpayme.core.entry import PaymentEntry
from justpayme.sync.models import Connection

TODAY = timezone.localdate()


@pytest.fixture
def browser(client, alice):
    """Alice's browser."""
    return page_of(client, alice)


def overdue(days):
    return {"issued_on": date(2026, 1, 1), "due_on": TODAY - timedelta(days=days)}


def test_a_new_business_is_offered_one_way_in_and_another(browser):
    page = browser.get("/")
    text = text_of(page)
    assert "No bills yet" in text
    assert "Connect Xero" in text
    assert page.content.decode().count("btn main") == 1


def test_what_is_owed_is_told_per_currency_and_by_age(browser, alice):
    a_bill(alice, due_on=TODAY + timedelta(days=5))
    a_bill(alice, **overdue(10))
    a_bill(alice, **overdue(45))
    a_bill(alice, currency="EUR", due_on=TODAY)
    a_bill(alice, approve=False)
    text = text_of(browser.get("/"))
    assert "You are owed £360.00" in text
    assert "and €120.00 in euros" in text
    assert "£240.00 of it is overdue, on 2 bills" in text
    assert "1 to 30 days 1 £120.00" in text
    assert "31 to 60 days 1 £120.00" in text
    assert "1 draft" in text


def test_overdue_bills_are_counted_over_all_currencies(browser, alice):
    a_bill(alice, **overdue(10))
    a_bill(alice, currency="EUR", **overdue(20))
    page = browser.get("/")
    assert "£120.00 and €120.00 are overdue, on 2 bills" in text_of(page)
    assert 'href="/bills/?status=overdue"' in page.content.decode()
    assert "2 bills" in text_of(browser.get("/bills/?status=overdue"))


def test_a_bill_that_is_overdue_in_another_currency_alone_is_told(browser, alice):
    a_bill(alice, due_on=TODAY)
    a_bill(alice, currency="EUR", **overdue(20))
    page = browser.get("/")
    assert "€120.00 is overdue, on 1 bill" in text_of(page)
    assert "nothing is overdue" not in text_of(page)
    assert "See overdue bills" in text_of(page)


def test_nothing_is_overdue_where_no_bill_of_any_currency_is(browser, alice):
    a_bill(alice, due_on=TODAY)
    a_bill(alice, currency="EUR", due_on=TODAY)
    text = text_of(browser.get("/"))
    assert "and €120.00 in euros · nothing is overdue" in text
    assert "See overdue bills" not in text


def test_the_bars_of_the_chart_carry_the_numbers_of_the_table(browser, alice):
    a_bill(alice, due_on=TODAY)
    a_bill(alice, lines=(line(unit_amount=Decimal(50)),), **overdue(3))
    page = browser.get("/").content.decode()
    widths = re.findall(r'<rect class="f-\w+" width="([\d.]+)"', page)
    assert widths == ["100.0", "50.0", "0.0", "0.0", "0.0"]
    assert "style=" not in page


def test_the_oldest_overdue_bills_need_you(browser, alice):
    for days in (5, 50, 20, 90):
        a_bill(alice, a_client(alice, f"Client {days}"), **overdue(days))
    text = text_of(browser.get("/"))
    assert text.index("Client 90") < text.index("Client 50") < text.index("Client 20")
    assert "Client 5 owes" not in text


def test_recently_paid_bills_are_named(browser, alice):
    bill = a_bill(alice, a_client(alice, "Mrs J. Okafor"))
    payment_record(act=act(alice), bill_id=bill.pk, entry=PaymentEntry(Decimal(120), TODAY))
    text = text_of(browser.get("/"))
    assert text.index("Recently paid") < text.index("Mrs J. Okafor")
    assert "Nothing. Everything is in order." in text


def test_every_bill_is_counted_once_in_how_it_stands_to_xero(browser, alice, business):
    now = timezone.now()
    fresh = a_connection(business, imported_at=now, checked_at=now)
    lost = a_connection(
        business, name="Lost one", state=Connection.State.LOST, imported_at=now, checked_at=now
    )
    gone = a_connection(business, state=Connection.State.DISCONNECTED)
    for connection in (fresh, fresh, lost, gone):
        linked(a_bill(alice), connection)
    a_bill(alice)
    text = text_of(browser.get("/"))
    assert "Equal to the penny 2" in text
    assert "Sync is paused 1" in text
    assert "No longer synced 1" in text
    assert "Not in Xero 1" in text
    assert "Lost one is not being synced" in text


def test_charlie_sees_nothing_of_another_business(client, alice, charlie):
    a_bill(alice, a_client(alice, "Mrs J. Okafor"), **overdue(5))
    text = text_of(page_of(client, charlie).get("/"))
    assert "Okafor" not in text
    assert "No bills yet" in text


def test_vera_is_offered_no_new_bill(client, alice, vera):
    a_bill(alice)
    assert "New bill" not in text_of(page_of(client, vera).get("/"))
