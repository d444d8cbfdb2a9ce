"""Overridden by Xero, and waiting or refused: what they show, and who may decide."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone
from tests.integrations.conftest import browser_of, connect, sync
from tests.integrations.two_way import (
    HOSTILE,
    address,
    contact,
    held_up,
    local_bill,
    override,
    text_of,
)
from tests.integrations.world import World

from justpayme.accounts.models import Business, User
from justpayme.bills.models import Bill
from justpayme.sync.models import ClientLink, Conflict, Connection, OutboxItem, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(imported: Connection) -> Connection:
    """The UK organisation, bidirectional."""
    Connection.objects.filter(pk=imported.pk).update(
        direction="two", defaults_set_at=timezone.now()
    )
    imported.refresh_from_db()
    return imported


def linked(row: Connection, index: int = 0) -> Bill:
    bills = Bill.objects.filter(link__connection=row, status="active").exclude(number="")
    return bills.order_by("pk")[index]


def page(browser: Browser, name: str, query: str = "") -> str:
    answer = browser.get(address(name) + query)
    assert answer.status_code == 200
    assert b"<script>alert(1)" not in answer.content
    return text_of(answer)


# --- overridden by Xero ------------------------------------------------------------------------


def test_an_overridden_value_is_shown_with_both_values_who_and_when(
    browser: Browser, alice: User, two: Connection
) -> None:
    bill = linked(two)
    run = two.runs.get()
    override(two, bill, typed_by=alice, run=run.pk, theirs={"reference": "PO 77"})
    told = page(browser, "conflicts")
    for words in ("Xero’s, in use", "PO 77", "Yours, kept", f"mine {HOSTILE}", "You typed it"):
        assert words in told, words
    assert bill.number in told
    assert address("run", two.pk, run.pk) in told
    assert "1 value" in told


def test_an_overridden_client_is_told_by_name(browser: Browser, two: Connection) -> None:
    theirs, ours = two.client_links.select_related("client").order_by("pk")[:2]
    override(
        two,
        linked(two),
        "client",
        ours={"client": str(ours.contact_id)},
        theirs={"client": str(theirs.contact_id)},
    )
    told = page(browser, "conflicts")
    assert f"<bdi>{theirs.client.name}</bdi>" in told
    assert f"<bdi>{ours.client.name}</bdi>" in told


def test_empty_lists_say_what_would_be_there(browser: Browser, two: Connection) -> None:
    assert "Nothing is overridden" in page(browser, "conflicts")
    assert "Nothing waits" in page(browser, "outbox")
    assert "Nothing was refused" in page(browser, "outbox", "?state=refused")
    assert "Nothing needs you" in page(browser, "outbox", "?state=parked")


def test_one_value_is_sent_by_its_own_button(browser: Browser, two: Connection) -> None:
    kept, other = override(two, linked(two)), override(two, linked(two, 1))
    answer = browser.post(address("resolve"), {"do": f"mine:{kept.pk}"}, follow=True)
    assert "1 value on the way to Xero." in text_of(answer)
    kept.refresh_from_db()
    other.refresh_from_db()
    assert (kept.state, other.state) == ("sent", "open")
    assert kept.bill.__class__.objects.get(pk=kept.bill_id).reference == f"mine {HOSTILE}"
    assert OutboxItem.objects.get(kind="update").bill_id == kept.bill_id


def test_many_values_are_kept_as_xero_has_them(browser: Browser, two: Connection) -> None:
    rows = [override(two, linked(two, n)) for n in range(3)]
    before = [row.bill.reference for row in rows]
    form = {"do": "xero", "item": [rows[0].pk, rows[2].pk]}
    answer = browser.post(address("resolve"), form, follow=True)
    assert "2 values kept as Xero has it." in text_of(answer)
    states = [Conflict.objects.get(pk=row.pk).state for row in rows]
    assert states == ["kept", "open", "kept"]
    assert [Bill.objects.get(pk=row.bill_id).reference for row in rows] == before
    assert not OutboxItem.objects.exists()


def test_while_one_directional_xeros_can_be_kept_and_ours_cannot_be_sent(
    browser: Browser, imported: Connection
) -> None:
    kept = override(imported, linked(imported))
    told = page(browser, "conflicts")
    assert "Go bidirectional to send yours." in told
    assert "Send mine" not in told
    answer = browser.post(address("resolve"), {"do": f"mine:{kept.pk}"})
    assert answer.status_code == 409
    assert Conflict.objects.get().state == "open"
    browser.post(address("resolve"), {"do": f"xero:{kept.pk}"})
    assert Conflict.objects.get().state == "kept"
    assert not OutboxItem.objects.exists()


@pytest.mark.parametrize(
    "form", [{}, {"do": "mine"}, {"do": "both", "item": "1"}, {"do": "mine:x"}, {"do": HOSTILE}]
)
def test_a_press_that_says_nothing_is_422_and_changes_nothing(
    browser: Browser, two: Connection, form: dict[str, Any]
) -> None:
    override(two, linked(two))
    answer = browser.post(address("resolve"), form)
    assert answer.status_code == 422
    assert "Tick at least one value" in text_of(answer)
    assert Conflict.objects.get().state == "open"
    assert browser.post(address("retry"), form if "item" not in form else {}).status_code == 422


def test_only_one_organisation_can_be_shown(
    browser: Browser, world: World, two: Connection
) -> None:
    connect(browser, world, "NZ")
    other = Connection.objects.exclude(pk=two.pk).get(state="live")
    sync(other)
    override(two, linked(two), ours={"reference": "ours in the UK"})
    override(other, linked(other), ours={"reference": "ours in New Zealand"})
    told = page(browser, "conflicts", f"?organisation={other.pk}")
    assert "ours in New Zealand" in told
    assert "ours in the UK" not in told
    both = page(browser, "conflicts", "?organisation=nonsense&before=x")
    assert "ours in the UK" in both
    assert "ours in New Zealand" in both
    assert "Every organisation" in both


def test_a_long_list_comes_in_pages(browser: Browser, two: Connection) -> None:
    client = linked(two).client
    for number in range(55):
        override(two, local_bill(two.business, f"L-{number}", client=client))
    first = page(browser, "conflicts")
    assert "55 values" in first
    assert first.count('name="item"') == 50
    assert "L-54" in first
    before = Conflict.objects.order_by("-id")[49].pk
    assert f"?before={before}" in first
    assert page(browser, "conflicts", f"?before={before}").count('name="item"') == 5


# --- waiting and refused -----------------------------------------------------------------------


def test_a_refusal_shows_xeros_words_and_the_way_out(browser: Browser, two: Connection) -> None:
    held_up(
        two,
        "refused",
        bill=linked(two),
        error_code="refused_by_xero",
        error_text=f"The date is {HOSTILE}",
        error_at=timezone.now(),
    )
    held_up(
        two,
        "refused",
        bill=linked(two, 1),
        error_code="number_in_use",
        error_text="Invoice # must be unique.",
    )
    told = page(browser, "outbox")
    assert f"Xero refused this: “The date is {HOSTILE}”" in told
    assert "Xero already has an invoice with this number." in told
    assert "Invoice # must be unique." in told
    assert told.count("Try again") >= 2
    assert f'href="/bills/{linked(two, 1).pk}/edit/">Edit the bill' in told


def test_the_tabs_count_and_filter_by_state(browser: Browser, two: Connection) -> None:
    for index, state in enumerate(("waiting", "sending", "unsure", "refused", "parked")):
        held_up(two, state, bill=linked(two, index))
    held_up(two, "done", bill=linked(two, 5))
    told = page(browser, "outbox")
    for tab in ("All <span>5", "Waiting <span>3", "Needs attention <span>1", "Refused <span>1"):
        assert tab in told, tab
    assert "Refused by Xero" not in page(browser, "outbox", "?state=waiting")
    for words in ("Waiting to send", "Sending", "Sent, being checked"):
        assert words in told


def test_refused_changes_are_tried_again_one_or_many(browser: Browser, two: Connection) -> None:
    rows = [held_up(two, "refused", bill=linked(two, n), error_code="lock_date") for n in range(3)]
    browser.post(address("retry"), {"do": f"retry:{rows[0].pk}"})
    assert [OutboxItem.objects.get(pk=r.pk).state for r in rows] == ["waiting"] + ["refused"] * 2
    answer = browser.post(
        address("retry"),
        {"do": "retry", "item": [rows[1].pk, rows[2].pk], "query": "state=refused"},
    )
    assert answer["Location"] == address("outbox") + "?state=refused"
    assert {item.state for item in OutboxItem.objects.all()} == {"waiting"}
    assert {item.error_code for item in OutboxItem.objects.all()} == {""}


@pytest.fixture
def undecided(two: Connection, business: Business) -> OutboxItem:
    """A new contact that looks like one in Xero."""
    bill = local_bill(business, client_name="Acme")
    like = contact(two, "ACME")
    return held_up(
        two,
        "parked",
        kind="contact",
        client=bill.client,
        error_code="contact_like_this",
        detail={"contacts": [{"id": like, "name": "ACME", "email": "a@b.c", "archived": False}]},
    )


def test_a_contact_is_decided_by_a_person(
    browser: Browser, two: Connection, undecided: OutboxItem
) -> None:
    told = page(browser, "outbox")
    assert "Which contact in Xero is" in told
    assert "ACME" in told
    assert "None of these: make a new contact" in told
    chosen = undecided.detail["contacts"][0]["id"]
    browser.post(address("contact", undecided.pk), {"contact": chosen})
    assert str(ClientLink.objects.get(client=undecided.client).contact_id) == chosen
    undecided.refresh_from_db()
    assert undecided.state == "done"


def test_a_new_contact_can_be_made_instead(
    browser: Browser, two: Connection, undecided: OutboxItem
) -> None:
    browser.post(address("contact", undecided.pk), {"contact": "new"})
    undecided.refresh_from_db()
    assert undecided.state == "waiting"
    assert not ClientLink.objects.filter(client=undecided.client).exists()


def test_a_contact_that_was_not_proposed_is_422(
    browser: Browser, two: Connection, undecided: OutboxItem
) -> None:
    for value in ("", "nobody", str(two.client_links.all()[0].contact_id)):
        answer = browser.post(address("contact", undecided.pk), {"contact": value})
        assert answer.status_code == 422
    undecided.refresh_from_db()
    assert undecided.state == "parked"


# --- who ---------------------------------------------------------------------------------------


def test_members_decide_and_viewers_only_look(
    bob: User, vera: User, two: Connection, undecided: OutboxItem
) -> None:
    kept = override(two, linked(two))
    row = held_up(two, "refused", bill=linked(two, 1), error_code="lock_date")
    looking = browser_of(vera)
    for name in ("conflicts", "outbox"):
        told = page(looking, name)
        assert 'name="item"' not in told
        assert "Send mine" not in told
        assert "Try again" not in told
    assert looking.post(address("resolve"), {"do": f"xero:{kept.pk}"}).status_code == 403
    assert looking.post(address("retry"), {"do": f"retry:{row.pk}"}).status_code == 403
    assert looking.post(address("contact", undecided.pk), {"contact": "new"}).status_code == 403
    acting = browser_of(bob)
    assert acting.post(address("resolve"), {"do": f"xero:{kept.pk}"}).status_code == 302
    assert acting.post(address("retry"), {"do": f"retry:{row.pk}"}).status_code == 302
    kept.refresh_from_db()
    row.refresh_from_db()
    assert (kept.state, row.state) == ("kept", "waiting")


def test_a_stranger_sees_and_changes_nothing(
    charlie: User, two: Connection, undecided: OutboxItem
) -> None:
    kept = override(two, linked(two))
    row = held_up(two, "refused", bill=linked(two, 1), error_code="lock_date")
    browser = browser_of(charlie)
    assert "Nothing is overridden" in page(browser, "conflicts", f"?organisation={two.pk}")
    assert "Nothing waits" in page(browser, "outbox", f"?organisation={two.pk}")
    assert browser.post(address("resolve"), {"do": f"mine:{kept.pk}"}).status_code == 404
    assert browser.post(address("retry"), {"do": f"retry:{row.pk}"}).status_code == 404
    assert browser.post(address("contact", undecided.pk), {"contact": "new"}).status_code == 404
    kept.refresh_from_db()
    row.refresh_from_db()
    assert (kept.state, row.state) == ("open", "refused")


# --- the cards and the runs --------------------------------------------------------------------


def test_the_integrations_page_says_direction_write_back_and_what_is_held_up(
    browser: Browser, two: Connection
) -> None:
    Connection.objects.update(write_back=True)
    override(two, linked(two))
    held_up(two, "waiting", bill=linked(two, 1))
    held_up(two, "refused", bill=linked(two, 2))
    held_up(two, "refused", bill=linked(two, 3))
    for told in (page(browser, "index"), text_of(browser.get(address("organisation", two.pk)))):
        assert "Bidirectional · payments go to Xero too" in told
        assert "1 waiting to send" in told
        assert "2 refused by Xero" in told
        assert "1 overridden by Xero" in told
    Connection.objects.update(direction="one")
    assert "One-directional" in page(browser, "index")


def test_a_run_shows_what_it_sent_and_what_was_refused(browser: Browser, two: Connection) -> None:
    run = Run.objects.create(
        connection=two,
        kind="push",
        cause="edit",
        state="done",
        started_at=timezone.now(),
        ended_at=timezone.now(),
        sent=12,
        refused=3,
    )
    told = text_of(browser.get(address("runs", two.pk)))
    assert "12, 3 refused" in told
    told = text_of(browser.get(address("run", two.pk, run.pk)))
    assert "Sent to Xero" in told
    assert "Refused by Xero" in told
    assert "A change here" in told
