"""The page of a bill as it was: what it shows, what it says about time, and who may see it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone
from tests.bills.given import HOSTILE, NOW, a_bill, a_client, a_connection, act, line, linked

from justpayme.accounts.models import Business, User
from justpayme.bills import actions
from justpayme.bills.models import Bill, HistoryEntry
from justpayme.core.entry import PaymentEntry

LATER, LAST = NOW + timedelta(hours=1), NOW + timedelta(hours=2)


@pytest.fixture
def page(client: Browser, alice: User) -> Browser:
    client.force_login(alice)
    return client


@pytest.fixture
def bill(alice: User) -> Bill:
    """Made with one line of £120.00, then another reference and lines, then paid in part."""
    bill = a_bill(alice, a_client(alice, HOSTILE), number="B-1", reference="first words")
    lines = (line(description="Sanding"), line(description=HOSTILE, unit_amount=Decimal(50)))
    entry = replace(actions.entry_of(bill), reference="second words", lines=lines)
    actions.bill_edit(act=act(alice, now=LATER), bill_id=bill.pk, entry=entry)
    payment = PaymentEntry(Decimal(30), NOW.date(), "BACS 9")
    actions.payment_record(act=act(alice, now=LAST), bill_id=bill.pk, entry=payment)
    return bill


def entries(bill: Bill) -> list[int]:
    """Numbers of the bill's entries: created, approved, edited, paid."""
    return list(bill.history.order_by("id").values_list("pk", flat=True))


def text_of(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def at(page: Browser, bill: Bill, entry: int) -> str:
    answer = page.get(f"/bills/{bill.pk}/at/{entry}/")
    assert answer.status_code == 200
    return text_of(answer)


def test_each_entry_of_the_history_leads_to_the_bill_as_it_was(page: Browser, bill: Bill) -> None:
    shown = page.get(f"/bills/{bill.pk}/").content.decode()
    for entry in entries(bill):
        assert f'href="/bills/{bill.pk}/at/{entry}/"' in shown
    assert shown.count("See the bill as it was then") == len(entries(bill))


def test_a_past_bill_shows_its_lines_money_and_words_of_then(page: Browser, bill: Bill) -> None:
    made, _, edited, paid = entries(bill)
    first, second, third = (at(page, bill, entry) for entry in (made, edited, paid))
    assert "first words" in first
    assert "Fitting" in first
    assert "£120.00" in first
    assert "Nothing had come off this bill then" in first
    assert "Draft" in first
    assert "Sanding" in second
    assert "£180.00" in second
    assert "BACS 9" not in second
    assert "BACS 9" in third
    assert "£150.00" in third


def test_a_past_bill_says_that_it_is_past_and_what_changed_next(page: Browser, bill: Bill) -> None:
    shown = at(page, bill, entries(bill)[1])
    assert "This is the past" in shown
    assert "From Sunday 22 November 2026, 14:29:07" in shown
    assert "until Sunday 22 November 2026, 15:29:07" in shown
    following = shown.split("What changed next")[1]
    assert "Changed here" in following
    assert "first words" in following
    assert "second words" in following


def test_the_newest_state_says_that_it_still_stands(page: Browser, bill: Bill) -> None:
    shown = at(page, bill, entries(bill)[-1])
    assert "This is the past" not in shown
    assert "This is the bill as it stands today" in shown
    assert "Nothing yet. This is how the bill is today." in shown


def test_nothing_can_be_changed_in_the_past(page: Browser, bill: Bill) -> None:
    shown = page.get(f"/bills/{bill.pk}/at/{entries(bill)[-1]}/").content.decode()
    main = shown.split("<main")[1].split("</main>")[0]
    assert 'method="post"' not in main
    assert "/remove/" not in main
    assert "/edit/" not in main


def test_hostile_text_of_the_past_is_only_text(page: Browser, bill: Bill) -> None:
    shown = page.get(f"/bills/{bill.pk}/at/{entries(bill)[2]}/").content.decode()
    assert "<script>alert(1)" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_a_moment_leads_to_the_entry_that_stood_then(page: Browser, bill: Bill) -> None:
    """The field's time is meant where the business is."""
    zone = timezone.get_fixed_timezone(60)
    Business.objects.update(time_zone="Europe/Warsaw")
    for moment, index in ((NOW, 1), (LATER, 2), (LATER + timedelta(minutes=59), 2), (LAST, 3)):
        local = moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
        answer = page.get(f"/bills/{bill.pk}/at/", {"moment": local})
        assert answer["Location"] == f"/bills/{bill.pk}/at/{entries(bill)[index]}/"
    in_utc = page.get(f"/bills/{bill.pk}/at/", {"moment": NOW.isoformat()})
    assert in_utc["Location"] == f"/bills/{bill.pk}/at/{entries(bill)[1]}/"


@pytest.mark.parametrize(
    "moment",
    ["", "yesterday", "2026-13-01T00:00", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "\0"],
)
def test_a_moment_that_is_none_is_explained_on_the_bills_page(
    page: Browser, bill: Bill, moment: str
) -> None:
    answer = page.get(f"/bills/{bill.pk}/at/", {"moment": moment})
    assert answer.status_code == 400
    assert "Enter a day and a time, such as 2026-11-22T14:30." in text_of(answer)


def test_before_its_history_begins_the_bill_says_when_it_does(page: Browser, bill: Bill) -> None:
    answer = page.get(f"/bills/{bill.pk}/at/", {"moment": "2020-01-01T00:00"})
    assert answer.status_code == 400
    assert "Its history begins on Sunday 22 November 2026, 14:29:07" in text_of(answer)


def test_a_linked_bill_is_shown_in_the_organisations_time_with_its_run(
    page: Browser, bill: Bill, business: Business
) -> None:
    connection = a_connection(business, time_zone="Pacific/Auckland")
    linked(bill, connection)
    entry = HistoryEntry.objects.create(
        business=business, bill=bill, at=LAST, source="write-back", action="sent", run=4321
    )
    shown = at(page, bill, entry.pk)
    assert "Monday 23 November 2026, 05:29:07 NZDT" in shown
    assert "Sent to Xero" in shown
    assert "Sent by JustPayMe" in shown
    assert "sync run 4,321" in shown


def test_a_change_that_no_entry_tells_is_admitted(page: Browser, bill: Bill) -> None:
    Bill.objects.filter(pk=bill.pk).update(reference="forged")
    shown = at(page, bill, entries(bill)[-1])
    assert "The history can’t vouch for everything here" in shown
    assert "“Reference”" in shown


def test_the_past_is_read_by_members_only(
    client: Browser, bill: Bill, vera: User, charlie: User
) -> None:
    paths = [f"/bills/{bill.pk}/at/{entries(bill)[0]}/", f"/bills/{bill.pk}/at/?moment=2026-11-30"]
    for user, statuses in ((vera, [200, 302]), (charlie, [404, 404])):
        client.force_login(user)
        assert [client.get(path).status_code for path in paths] == statuses


def test_an_entry_of_another_bill_is_not_found(page: Browser, bill: Bill, alice: User) -> None:
    other = a_bill(alice)
    assert page.get(f"/bills/{bill.pk}/at/{entries(other)[0]}/").status_code == 404


def test_the_past_costs_the_same_for_a_long_history(
    page: Browser, bill: Bill, alice: User, django_assert_num_queries: Any
) -> None:
    path = f"/bills/{bill.pk}/at/{entries(bill)[0]}/"
    page.get(path)
    with django_assert_num_queries(12):
        page.get(path)
    for index in range(60):
        entry = replace(actions.entry_of(bill), reference=f"words {index}")
        actions.bill_edit(act=act(alice, now=LAST), bill_id=bill.pk, entry=entry)
    with django_assert_num_queries(12):
        page.get(path)
