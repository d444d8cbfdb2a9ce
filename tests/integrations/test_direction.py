"""Going bidirectional: permission, defaults, a preview, and exactly what it showed (I-36)."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client as Browser
from tests.integrations.conftest import browser_of, come_back, connect, sync
from tests.integrations.two_way import (
    HOSTILE,
    address,
    allow_changes,
    ask_for_two,
    confirm,
    contact,
    held_up,
    hidden,
    local_bill,
    make_ready,
    override,
    received,
    save_defaults,
    show,
    text_of,
)
from tests.integrations.world import World

from justpayme.accounts.models import Business, User
from justpayme.bills.actions import Refused
from justpayme.bills.models import Bill
from justpayme.integrations import defaults
from justpayme.sync import lost
from justpayme.sync.models import Conflict, Connection, OutboxItem, ReceivingAccount, TokenSet
from justpayme.xero.oauth import READ_SCOPES, WRITE_SCOPES

pytestmark = pytest.mark.django_db


def scopes_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["scope"][0]


def calls_that_change(world: World) -> list[tuple[str, str]]:
    """Everything but reading, on the accounting API."""
    return [one for one in world.wire.sent if one[0] != "GET" and one[1].startswith("/api.xro")]


# --- Xero's permission -------------------------------------------------------------------------


def test_connecting_asks_to_read_and_going_bidirectional_asks_to_write(
    browser: Browser, world: World, imported: Connection
) -> None:
    assert scopes_of(browser.post(address("connect"))["Location"]) == READ_SCOPES
    assert scopes_of(ask_for_two(browser, imported)["Location"]) == WRITE_SCOPES


def test_after_the_permission_the_defaults_come_then_the_preview(
    browser: Browser, world: World, imported: Connection
) -> None:
    answer = allow_changes(browser, world, imported, "GB")
    assert answer["Location"] == address("preview", imported.pk)
    assert browser.get(answer["Location"])["Location"] == address("defaults", imported.pk)
    assert save_defaults(browser, imported)["Location"] == address("preview", imported.pk)
    assert "Before you go bidirectional" in text_of(browser.get(address("preview", imported.pk)))
    assert imported.direction == "one"
    assert TokenSet.objects.count() == 1


def test_with_the_permission_already_given_xero_is_not_asked_again(
    browser: Browser, world: World, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    assert ask_for_two(browser, imported)["Location"] == address("preview", imported.pk)


def everything(row: Connection) -> list[Any]:
    tokens = TokenSet.objects.values("pk", "sealed", "scopes", "state")
    return [
        Connection.objects.filter(business=row.business).order_by("pk").values_list(),
        [{**one, "sealed": bytes(one["sealed"])} for one in tokens],
    ]


def refused(browser: Browser, world: World, row: Connection, query: dict[str, str]) -> str:
    """Come back with this; nothing may change. The page that explains it."""
    before = [list(part) for part in everything(row)]
    answer = come_back(browser, query)
    assert [list(part) for part in everything(row)] == before
    page = browser.get(answer["Location"])
    assert page.status_code == 200
    told = text_of(page)
    assert "is still one-directional" in told
    assert "Everything is as it was" in told
    return told


def test_a_refused_consent_leaves_everything_as_it_was(
    browser: Browser, world: World, imported: Connection
) -> None:
    query = world.cancel(ask_for_two(browser, imported)["Location"])
    assert "You did not allow changes" in refused(browser, world, imported, query)


def test_fewer_permissions_than_asked_for_leave_everything_as_it_was(
    browser: Browser, world: World, imported: Connection
) -> None:
    url = ask_for_two(browser, imported)["Location"].replace("accounting.payments+", "")
    told = refused(browser, world, imported, world.agree(url, "GB"))
    assert "leave every permission" in told


def test_another_organisation_at_xero_leaves_everything_as_it_was(
    browser: Browser, world: World, imported: Connection
) -> None:
    query = world.agree(ask_for_two(browser, imported)["Location"], "NZ")
    told = refused(browser, world, imported, query)
    assert "You gave access to another organisation" in told
    names = [c.tenant_id for c in world.sandbox.identity.visible()]
    assert names == [str(imported.tenant_id)]  # what it connected at Xero was ended again


def test_another_xero_user_leaves_everything_as_it_was(
    browser: Browser, world: World, imported: Connection
) -> None:
    TokenSet.objects.update(xero_user_id="11111111-2222-3333-4444-555555555555")
    query = world.agree(ask_for_two(browser, imported)["Location"], "GB")
    told = refused(browser, world, imported, query)
    assert "as somebody else" in told
    assert str(imported.tenant_id) in [c.tenant_id for c in world.sandbox.identity.visible()]


def test_the_errand_of_a_sign_in_cannot_be_altered(
    browser: Browser, world: World, imported: Connection
) -> None:
    query = world.agree(browser.post(address("connect"))["Location"], "GB")
    query["state"] = query["state"].replace("connect.r.0", f"write.w.{imported.pk}")
    assert come_back(browser, query).status_code == 400
    imported.refresh_from_db()
    assert imported.direction == "one"


def test_reconnecting_asks_for_the_same_permissions_as_before(
    browser: Browser, world: World, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    confirm(browser, imported, show(browser, imported))
    lost.mark([imported.pk], code="consent_lost", now=imported.connected_at)  # type: ignore[arg-type]
    url = browser.post(address("reconnect", imported.pk))["Location"]
    assert scopes_of(url) == WRITE_SCOPES
    come_back(browser, world.agree(url, "GB"))
    imported.refresh_from_db()
    assert (imported.state, imported.direction) == ("live", "two")
    assert imported.defaults_set_at is not None


# --- preview -----------------------------------------------------------------------------------


def test_a_plan_without_anything_says_so_plainly(
    browser: Browser, world: World, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    shown = browser.get(address("preview", imported.pk))
    told = text_of(shown)
    assert "Going bidirectional changes nothing in Xero now. Nothing has been sent." in told
    assert "Every bill that could go to Xero is there already" in told
    confirm(browser, imported, shown)
    assert imported.direction == "two"
    assert not OutboxItem.objects.exists()
    assert calls_that_change(world) == []


def test_bills_that_exist_only_here_are_offered_and_none_is_ticked(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    bill = local_bill(business)
    local_bill(business, "B-2", status="void")
    told = text_of(browser.get(address("preview", imported.pk)))
    assert f'value="c{bill.pk}"' in told
    assert "B-1" in told
    assert "B-2" not in told
    assert "£120.00" in told
    assert " checked>" not in told.split("<table")[1]
    assert "<script>alert(1)" not in browser.get(address("preview", imported.pk)).content.decode()


def test_what_was_ticked_and_confirmed_is_exactly_what_is_sent(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    account = defaults_of(imported)
    make_ready(browser, world, imported, write_back="on", receiver_GBP=account)
    one, two = local_bill(business, "B-1"), local_bill(business, "B-2")
    payment = received(two)
    shown = show(browser, imported, f"c{two.pk}")
    told = text_of(shown)
    assert "Go bidirectional, send 3 changes" in told  # invoice, payment, contact
    assert "£120.00" in told
    assert "Payment of £50.00 into" in told
    assert "received 17 Nov 2026" in told
    answer = confirm(browser, imported, shown, f"c{two.pk}")
    assert answer["Location"] == address("organisation", imported.pk)
    assert imported.direction == "two"
    items = OutboxItem.objects.order_by("id").values_list("kind", "bill", "client")
    assert sorted(items, key=str) == sorted(
        [("contact", None, two.client_id), ("create", two.pk, None), ("pay", two.pk, None)],
        key=str,
    )
    payment.refresh_from_db()
    assert payment.reference.startswith("cash")
    assert payment.reference != "cash"  # it carries the mark by which it is found again
    assert not OutboxItem.objects.filter(bill=one).exists()
    assert calls_that_change(world) == []  # the sync sends, not the page


def defaults_of(row: Connection) -> str:
    """The first account that takes payments in pounds."""
    return defaults.choices_of(row).receivers["GBP"][0].value


def test_tick_all_works_without_script_and_leaves_out_what_cannot_go(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    good, bad = local_bill(business, "B-1"), local_bill(business, "")
    shown = show(browser, imported, do="all")
    told = text_of(shown)
    assert f'id="t-c{good.pk}" checked' in told
    assert f'value="c{bad.pk}"' not in told
    assert "It has no number." in told
    assert "One stays behind" in told
    confirm(browser, imported, shown, f"c{good.pk}")
    assert list(OutboxItem.objects.filter(kind="create").values_list("bill", flat=True)) == [
        good.pk
    ]


def test_ticks_on_other_pages_are_kept(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    client = local_bill(business, "B-0").client
    bills = [local_bill(business, f"C-{n}", client=client) for n in range(60)]
    first = show(browser, imported, f"c{bills[0].pk}", do="page:2")
    assert "51 to 61 of 61" in text_of(first)
    form = hidden(first) | {"item": [f"c{bills[58].pk}"], "do": "page:1"}
    second = browser.post(address("preview", imported.pk), form)
    assert set(hidden(second)["chosen"].split()) == {f"c{bills[0].pk}", f"c{bills[58].pk}"}
    assert "send 3 changes" in text_of(second)  # two invoices and their client's contact


def test_what_xero_holds_afterwards_equals_the_preview(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    """Read back from Xero itself: the invoice, its payment and our value, to the cent."""
    account = defaults_of(imported)
    make_ready(browser, world, imported, write_back="on", receiver_GBP=account)
    new = local_bill(business, "B-77", client_name="Tôdmorden Brewing")
    new.lines.update(tax_type="20%", tax_amount=20)
    received(new, 50)
    old = Bill.objects.filter(link__connection=imported, status="active", paid=0, credited=0)[0]
    kept = override(imported, old, ours={"reference": "ours"})
    ticks = (f"c{new.pk}", f"m{kept.pk}")
    shown = show(browser, imported, *ticks)
    assert "send 4 changes" in text_of(shown)
    confirm(browser, imported, shown, *ticks)
    for _ in range(3):
        run = sync(imported)
        assert run.error_code == "", run.error_text
    assert sum(imported.runs.values_list("sent", flat=True)) == 4
    ledger = world.sandbox.store.ledgers[str(imported.tenant_id)]
    invoices = {invoice.number: invoice for invoice in ledger.invoices.rows.values()}
    made = invoices["B-77"]
    assert (str(made.status), made.total) == ("AUTHORISED", 120)
    [paid] = [p for p in ledger.payments.rows.values() if p.invoice_id == made.id]
    assert (paid.amount, paid.date.isoformat(), paid.account_code) == (50, "2026-11-17", account)
    assert invoices[old.number].reference == "ours"
    assert set(OutboxItem.objects.values_list("state", flat=True)) == {"done"}
    new.refresh_from_db()
    assert (new.link.connection_id, new.outstanding) == (imported.pk, 70)


def test_more_than_can_go_at_once_is_refused_whole(
    browser: Browser, world: World, business: Business, imported: Connection, monkeypatch: Any
) -> None:
    monkeypatch.setattr("justpayme.integrations.direction.AT_ONCE", 2)
    make_ready(browser, world, imported)
    client = local_bill(business, "B-0").client
    keys = [f"c{local_bill(business, f'C-{n}', client=client).pk}" for n in range(3)]
    answer = confirm(browser, imported, show(browser, imported, *keys), *keys)
    assert answer.status_code == 409
    assert "At most 2 go at once." in text_of(answer)
    assert imported.direction == "one"
    assert not OutboxItem.objects.exists()


def test_what_was_left_out_can_be_sent_later_from_the_same_list(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    later = local_bill(business, "B-9")
    confirm(browser, imported, show(browser, imported))
    there = text_of(browser.get(address("organisation", imported.pk)))
    assert "Send bills that exist only here" in there
    shown = show(browser, imported, f"c{later.pk}")
    assert "Send bills to Xero" in text_of(shown)
    answer = confirm(browser, imported, shown, f"c{later.pk}")
    assert answer["Location"] == address("organisation", imported.pk)
    assert OutboxItem.objects.get(kind="create").bill_id == later.pk


def test_an_item_that_cannot_go_for_another_reason_stops_all(
    browser: Browser, world: World, business: Business, imported: Connection, monkeypatch: Any
) -> None:
    make_ready(browser, world, imported)
    good, bad = local_bill(business, "B-1"), local_bill(business, "B-2")

    def refuse(**what: Any) -> None:
        if what["bill_id"] == bad.pk:
            raise Refused({"": "No such thing."})

    monkeypatch.setattr("justpayme.bills.actions.bill_send_to_xero", refuse)
    ticks = (f"c{good.pk}", f"c{bad.pk}")
    answer = confirm(browser, imported, show(browser, imported, *ticks), *ticks)
    assert answer.status_code == 409
    assert "B-2: No such thing." in text_of(answer)
    assert imported.direction == "one"
    assert not OutboxItem.objects.exists()


# --- the world changes meanwhile ---------------------------------------------------------------


def test_a_bill_edited_meanwhile_is_shown_again_and_nothing_is_done(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    bill = local_bill(business)
    shown = show(browser, imported, f"c{bill.pk}")
    Bill.objects.filter(pk=bill.pk).update(total=130)
    answer = confirm(browser, imported, shown, f"c{bill.pk}")
    assert answer.status_code == 409
    told = text_of(answer)
    assert "Something changed while you looked" in told
    assert "Changed: B-1." in told
    assert "£130.00" in told
    assert imported.direction == "one"
    assert not OutboxItem.objects.exists()
    confirm(browser, imported, answer, f"c{bill.pk}")
    assert imported.direction == "two"


def test_a_new_and_a_vanished_bill_are_named(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    gone = local_bill(business, "B-1")
    shown = show(browser, imported, f"c{gone.pk}")
    Bill.objects.filter(pk=gone.pk).update(status="void")
    local_bill(business, "B-2")
    told = text_of(confirm(browser, imported, shown, f"c{gone.pk}"))
    assert "New on the list: B-2." in told
    assert "No longer on the list" in told
    assert imported.direction == "one"


def test_a_lock_date_set_meanwhile_is_shown_before_anything_is_sent(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    bill = local_bill(business)
    shown = show(browser, imported, f"c{bill.pk}")
    Connection.objects.update(period_lock_date=date(2026, 11, 1))
    told = text_of(confirm(browser, imported, shown, f"c{bill.pk}"))
    assert "settings, lists or lock date changed" in told
    assert "Xero’s books are locked up to 1 November 2026." in told
    assert imported.direction == "one"


@pytest.mark.parametrize("name", ["revenue_account", "tax_type", "branding_theme"])
def test_a_default_changed_meanwhile_is_shown_before_anything_is_sent(
    browser: Browser, world: World, business: Business, imported: Connection, name: str
) -> None:
    """The same invoices would be booked to something that nobody has confirmed."""
    make_ready(browser, world, imported)
    bill = local_bill(business)
    shown = show(browser, imported, f"c{bill.pk}")
    Connection.objects.update(**{name: "another"})
    told = text_of(confirm(browser, imported, shown, f"c{bill.pk}"))
    assert "settings, lists or lock date changed" in told
    assert imported.direction == "one"


def test_a_receiving_account_of_the_same_name_changed_meanwhile_is_shown_first(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    bill = local_bill(business)
    account = ReceivingAccount.objects.create(
        connection=imported, currency="GBP", account_id="one", name="090 Bank"
    )
    shown = show(browser, imported, f"c{bill.pk}")
    account.account_id = "another"
    account.save()
    told = text_of(confirm(browser, imported, shown, f"c{bill.pk}"))
    assert "settings, lists or lock date changed" in told
    assert imported.direction == "one"


def test_ticks_that_were_not_shown_yet_are_shown_first(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    bill = local_bill(business)
    shown = browser.get(address("preview", imported.pk))
    answer = confirm(browser, imported, shown, f"c{bill.pk}")
    assert answer.status_code == 409
    assert "Here is the list with your new ticks" in text_of(answer)
    assert imported.direction == "one"
    confirm(browser, imported, answer, f"c{bill.pk}")
    assert imported.direction == "two"


def test_a_digest_of_nobodys_plan_does_nothing(
    browser: Browser, world: World, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    form = {"do": "confirm", "digest": HOSTILE, "marks": "x y:z", "chosen": "c1 m2 ; --"}
    answer = browser.post(address("preview", imported.pk), form)
    assert answer.status_code == 409
    imported.refresh_from_db()
    assert imported.direction == "one"


# --- what stands in the way --------------------------------------------------------------------


def test_the_preview_names_what_stands_in_the_way_of_each_bill(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    used = Bill.objects.filter(link__connection=imported).exclude(number="").first()
    assert used is not None
    local_bill(business, used.number)
    local_bill(business, "E-1", currency="ISK")
    local_bill(business, "E-2", due_on=None)
    local_bill(business, "E-3")
    local_bill(business, "E-3")
    received(local_bill(business, "E-4"))
    contact(imported, "Acme ältd")
    local_bill(business, "E-5", client_name="ACME ALTD")
    told = text_of(browser.get(address("preview", imported.pk)))
    for sentence in (
        "Xero already has an invoice with this number.",
        "does not use ISK",
        "It has no due date.",
        "Another bill here has the same number.",
        "payments are not sent to Xero",
        "Xero has a contact like this client: Acme ältd. You are asked first.",
    ):
        assert sentence in told, sentence


def test_a_client_whose_contact_is_archived_blocks_her_bills(
    browser: Browser, world: World, business: Business, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    link = imported.client_links.first()
    assert link is not None
    records = imported.records.filter(kind="contact", remote_id=str(link.contact_id))
    assert records.exists()
    for record in records:
        record.data["archived"] = True
        record.save()
    local_bill(business, "A-1", client=link.client)
    told = text_of(browser.get(address("preview", imported.pk)))
    assert "This client’s contact is archived" in told.replace("'", "’")


# --- roles and states --------------------------------------------------------------------------


def test_only_an_owner_changes_the_direction(
    bob: User, vera: User, world: World, imported: Connection
) -> None:
    for person in (bob, vera):
        browser = browser_of(person)
        for name in ("direction", "preview", "one_way", "defaults", "refresh_lists"):
            answer = browser.post(address(name, imported.pk), {"direction": "two"})
            assert answer.status_code == 403, (person.name, name)
        assert "Only an owner" in text_of(browser.get(address("organisation", imported.pk)))


def test_a_stranger_finds_nothing(charlie: User, world: World, imported: Connection) -> None:
    browser = browser_of(charlie)
    for name in ("preview", "one_way", "defaults"):
        assert browser.get(address(name, imported.pk)).status_code == 404
        assert browser.post(address(name, imported.pk)).status_code == 404


def test_a_disconnected_organisation_cannot_go_bidirectional(
    browser: Browser, world: World, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    browser.post(address("disconnect", imported.pk))
    answer = browser.post(address("preview", imported.pk), {"do": "confirm"}, follow=True)
    assert "is not connected" in text_of(answer)
    imported.refresh_from_db()
    assert imported.direction == "one"


# --- back to one-directional -------------------------------------------------------------------


@pytest.fixture
def two(browser: Browser, world: World, imported: Connection) -> Connection:
    """The UK organisation, bidirectional."""
    make_ready(browser, world, imported)
    confirm(browser, imported, show(browser, imported))
    assert imported.direction == "two"
    return imported


def edit(row: Connection) -> Bill:
    """A linked bill whose reference somebody changed here."""
    bill = Bill.objects.filter(link__connection=row, status="active").order_by("pk")[0]
    Bill.objects.filter(pk=bill.pk).update(reference="typed here")
    bill.link.edited = True
    bill.link.save()
    held_up(row, "waiting", bill=bill)
    return bill


def test_going_back_says_what_becomes_of_what_waits(browser: Browser, two: Connection) -> None:
    bill = edit(two)
    held_up(two, "refused", bill=bill, kind="pay", paid={"amount": "5"})
    held_up(two, "unsure", bill=bill)
    told = text_of(browser.get(address("one_way", two.pk)))
    assert "2 changes have not left yet" in told
    assert "1 bill with edits, 1 payment" in told
    assert "1 change is under way" in told
    assert told.index("Stay bidirectional") < told.index("Only read from now on")


def test_going_back_sets_edits_aside_and_sends_nothing(
    browser: Browser, world: World, two: Connection
) -> None:
    bill = edit(two)
    theirs = bill.reference
    answer = browser.post(address("one_way", two.pk), follow=True)
    assert "1 change set aside" in text_of(answer)
    two.refresh_from_db()
    bill.refresh_from_db()
    assert two.direction == "one"
    assert bill.reference == theirs
    kept = Conflict.objects.get()
    assert (kept.unit, kept.state) == ("reference", "open")
    assert kept.ours == {"reference": "typed here"}
    assert not OutboxItem.objects.filter(state="waiting").exists()
    assert calls_that_change(world) == []


def test_what_is_under_way_is_left_to_be_looked_for(browser: Browser, two: Connection) -> None:
    bill = edit(two)
    OutboxItem.objects.update(state="unsure", sent={}, sent_units=["reference"])
    browser.post(address("one_way", two.pk))
    assert OutboxItem.objects.get().state == "unsure"
    bill.refresh_from_db()
    assert bill.link.connection.direction == "one"


def test_the_question_is_only_asked_of_a_bidirectional_organisation(
    browser: Browser, world: World, imported: Connection
) -> None:
    there = address("organisation", imported.pk)
    assert browser.get(address("one_way", imported.pk))["Location"] == there
    told = text_of(browser.post(address("one_way", imported.pk), follow=True))
    assert "is one-directional already" in told
    told = text_of(
        browser.post(address("direction", imported.pk), {"direction": "one"}, follow=True)
    )
    assert "is one-directional already" in told


def test_choosing_one_directional_leads_to_the_question(browser: Browser, two: Connection) -> None:
    answer = browser.post(address("direction", two.pk), {"direction": "one"})
    assert answer["Location"] == address("one_way", two.pk)
    two.refresh_from_db()
    assert two.direction == "two"


# --- disconnect --------------------------------------------------------------------------------


def test_disconnect_says_how_many_edits_wait_and_gives_them_up(
    browser: Browser, world: World, two: Connection
) -> None:
    bill = edit(two)
    told = text_of(browser.get(address("disconnect", two.pk)))
    assert "1 change has not left yet" in told
    assert "will not be sent: 1 bill with edits. It stays" in told
    browser.post(address("disconnect", two.pk))
    item = OutboxItem.objects.get()
    assert (item.state, item.error_code) == ("cancelled", "cancelled_by_disconnect")
    bill.refresh_from_db()
    assert bill.reference == "typed here"
    assert not Conflict.objects.exists()
    assert calls_that_change(world) == []


def test_connecting_again_after_a_disconnect_starts_one_directional(
    browser: Browser, world: World, two: Connection
) -> None:
    revenue = two.revenue_account
    browser.post(address("disconnect", two.pk))
    url = browser.post(address("reconnect", two.pk))["Location"]
    assert scopes_of(url) == READ_SCOPES
    come_back(browser, world.agree(url, "GB"))
    two.refresh_from_db()
    assert (two.state, two.direction) == ("live", "one")
    assert two.revenue_account == revenue


def test_the_choice_of_an_organisation_says_that_it_starts_one_directional(
    browser: Browser, world: World, two: Connection
) -> None:
    browser.post(address("disconnect", two.pk))
    connect(browser, world, "GB", "NZ")
    told = text_of(browser.get(address("choose")))
    assert "It starts one-directional." in told


def test_whoever_comes_back_is_offered_first_what_was_synced_before(
    browser: Browser, world: World, business: Business
) -> None:
    connect(browser, world, "GB", "NZ")
    for country in ("GB", "NZ"):
        business.connections.all().delete()
        connect(browser, world, "GB", "NZ")
        known = business.connections.get(country=country)
        browser.post(address("choose"), {"organisation": known.pk})
        browser.post(address("disconnect", known.pk))
        connect(browser, world, "GB", "NZ")
        page = browser.get(address("choose")).content.decode()
        assert re.findall(r'value="(\d+)" checked', page) == [str(known.pk)]


def test_a_value_of_ours_can_be_sent_with_the_switch(
    browser: Browser, world: World, imported: Connection
) -> None:
    make_ready(browser, world, imported)
    bill = Bill.objects.filter(link__connection=imported, status="active").order_by("pk")[0]
    kept = override(imported, bill)
    shown = show(browser, imported, f"m{kept.pk}")
    told = text_of(shown)
    assert "Reference" in told
    assert f"mine {HOSTILE}" in told
    assert "send 1 change" in told
    confirm(browser, imported, shown, f"m{kept.pk}")
    assert imported.direction == "two"
    bill.refresh_from_db()
    kept.refresh_from_db()
    assert bill.reference == f"mine {HOSTILE}"
    assert kept.state == "sent"
    assert OutboxItem.objects.get(kind="update").bill_id == bill.pk
