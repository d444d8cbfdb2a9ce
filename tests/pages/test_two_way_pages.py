"""The pages of a bill that stands between here and Xero: what they say and what they offer."""

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from tests.bills.given import HOSTILE, a_bill, act
from tests.bills.test_two_ways import clash, contact_question, edit, pay
from tests.extent import FULL
from tests.fixtures.xero import NOW
from tests.pages.test_bills_pages import filled, page_of, text_of
from tests.sync.given import invoice_of, open_bill, push

from justpayme.bills.actions import bill_edit, entry_of
from justpayme.bills.models import Bill
from justpayme.sync.models import Conflict, Connection, Link, OutboxItem

State = OutboxItem.State


@pytest.fixture
def page(client, alice):
    """Alice's browser."""
    return page_of(client, alice)


def path(bill, *rest):
    return "/".join(["/bills", str(bill.pk), *rest, ""])


def shown(page, bill, *rest):
    return text_of(page.get(path(bill, *rest)))


def rest_with(bill, state, code="", text=""):
    OutboxItem.objects.filter(bill=bill).update(
        state=state, error_code=code, error_text=text, error_at=NOW
    )


def form_of(html):
    """Names and values that a browser would send of the form on a page."""
    found = {}
    for tag in re.findall(r"<(?:input|button)[^>]*>", html):
        name, value = (re.search(rf'\b{a}="([^"]*)"', tag) for a in ("name", "value"))
        kind = re.search(r'type="(\w+)"', tag)
        boxed = bool(kind and kind[1] in ("checkbox", "radio"))
        left = boxed and " checked" not in tag
        if name and not tag.startswith("<button") and not left:
            found[name[1]] = unescaped(value[1]) if value else "on" * boxed
    for name, body in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', html, re.S):
        chosen = re.search(r'value="([^"]*)" selected', body)
        found[name] = unescaped(chosen[1]) if chosen else ""
    for name, body in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', html, re.S):
        found[name] = unescaped(body.removeprefix("\n"))
    return found


def unescaped(text):
    for code, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'")):
        text = text.replace(code, sign)
    return text.replace("&amp;", "&")


# --- badges and lists ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code", "badge", "note"),
    [
        (State.WAITING, "", "Waiting to send", "Goes out by itself"),
        (State.SENDING, "", "Sending", "On its way now"),
        (State.UNSURE, "", "Sent, being checked", "Being looked for in Xero"),
        (
            State.REFUSED,
            "number_in_use",
            "Refused by Xero",
            "Xero already has an invoice with this",
        ),
        (
            State.PARKED,
            "defaults_missing",
            "Needs attention",
            "We don&#x27;t know yet which account",
        ),
        (State.PARKED, "contact_needed", "Waiting to send", "Goes out by itself"),
    ],
)
def test_each_state_has_its_badge_in_list_and_page(page, two_way, alice, state, code, badge, note):
    bill = open_bill(two_way)
    edit(alice, bill, reference="New")
    rest_with(bill, state, code)
    row = text_of(page.get("/bills/", {"q": bill.number}))
    assert f"{badge} {note}" in row
    assert badge in shown(page, bill)


def test_a_bill_of_a_bidirectional_organisation_is_synced(page, two_way):
    text = shown(page, open_bill(two_way))
    assert "Synced with Xero" in text
    assert "Read-only" not in text


def test_the_list_finds_bills_by_how_they_stand(xero, page, two_way, alice):
    overridden, _ = clash(xero, two_way, alice)
    waiting, refused = Bill.objects.filter(
        link__connection=two_way, status="active", paid=0, credited=0
    ).exclude(pk=overridden.pk)[:2]
    for bill in (waiting, refused):
        edit(alice, bill, reference="New")
    rest_with(refused, State.REFUSED, "number_in_use")
    asking, _, _ = contact_question(two_way, alice)
    for name, bills in (
        ("conflict", {overridden}),
        ("waiting", {waiting, asking}),
        ("attention", {refused, asking}),
    ):
        html = page.get("/bills/", {"xero": name}).content.decode()
        found = {int(pk) for pk in re.findall(r'class="lnk" href="/bills/(\d+)/"', html)}
        assert found == {bill.pk for bill in bills}, name


def test_home_calls_no_bill_equal_whose_changes_have_not_arrived(xero, page, two_way, alice):
    linked = Bill.objects.filter(link__connection=two_way).count()
    overridden, _ = clash(xero, two_way, alice)
    waiting, refused = Bill.objects.filter(
        link__connection=two_way, status="active", paid=0, credited=0
    ).exclude(pk=overridden.pk)[:2]
    for bill in (waiting, refused):
        edit(alice, bill, reference="New")
    rest_with(refused, State.REFUSED, "number_in_use")
    Connection.objects.update(checked_at=timezone.now(), imported_at=timezone.now())
    text = text_of(page.get("/"))
    assert f"Equal to the penny {linked - 2} Waiting to reach Xero 1 Not equal: needs you 1" in text
    assert "1 bill not in step with Xero" in text
    assert "1 bill overridden by Xero" in text
    assert "Everything is in order" not in text


def test_home_asks_about_a_bill_that_is_not_in_xero_yet(page, two_way, alice):
    contact_question(two_way, alice)
    assert "1 bill not in step with Xero" in text_of(page.get("/"))


def test_the_list_costs_no_more_for_what_waits(page, two_way, alice, django_assert_num_queries):
    page.get("/bills/")
    for bill in Bill.objects.filter(link__connection=two_way, status="active", paid=0)[:8]:
        edit(alice, bill, reference="New")
    with django_assert_num_queries(8):
        page.get("/bills/")


# --- refusals --------------------------------------------------------------------------------


def test_a_refusal_says_what_xero_said_and_offers_the_way_out(page, two_way, alice):
    bill = open_bill(two_way)
    edit(alice, bill, reference="New")
    rest_with(bill, State.REFUSED, "number_in_use", HOSTILE)
    response = page.get(path(bill))
    text = text_of(response)
    assert "Xero refused your changes" in text
    assert "Give the bill another number" in text
    assert "<script>alert(1)" not in response.content.decode()
    for words in ("Edit the bill", "Try again", "Take Xero’s version"):
        assert words in text
    page.post(path(bill, "retry"), {"token": "r"})
    assert OutboxItem.objects.get(bill=bill).state == "waiting"
    assert "Xero refused" not in shown(page, bill)


def test_a_refusal_that_nobody_knows_shows_xero_s_own_text(page, two_way, alice):
    bill = open_bill(two_way)
    edit(alice, bill, reference="New")
    rest_with(bill, State.REFUSED, "refused_by_xero", "The moon is in the wrong phase.")
    assert "The moon is in the wrong phase." in shown(page, bill)


def test_missing_defaults_lead_to_the_settings(page, two_way, alice):
    bill = open_bill(two_way)
    edit(alice, bill, reference="New")
    rest_with(bill, State.PARKED, "defaults_missing")
    html = page.get(path(bill)).content.decode()
    assert f"/settings/integrations/xero/{two_way.pk}/defaults/" in html


def test_taking_xero_s_version_is_asked_first(page, two_way, alice):
    bill = open_bill(two_way)
    was = bill.reference
    edit(alice, bill, reference="Mine")
    assert "Take Xero’s version of" in shown(page, bill, "discard")
    page.post(path(bill, "discard"), {"token": "d"})
    bill.refresh_from_db()
    assert bill.reference == was


# --- conflicts and contacts --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "day"), [("mine", date(2027, 1, 31)), ("xero", date(2027, 2, 2))]
)
def test_both_values_stand_side_by_side_and_one_is_chosen(xero, page, two_way, alice, choice, day):
    bill, conflict = clash(xero, two_way, alice)
    text = shown(page, bill)
    assert "You and Xero changed the same thing" in text
    assert "Due date 31 Jan 2027 2 Feb 2027" in text
    page.post(path(bill, "conflicts"), {"conflict": conflict.pk, "do": choice, "token": "c"})
    bill.refresh_from_db()
    assert bill.due_on == day
    assert "changed the same thing" not in shown(page, bill)


def test_after_going_one_directional_a_conflict_can_only_be_put_away(xero, page, two_way, alice):
    bill, _ = clash(xero, two_way, alice)
    Connection.objects.filter(pk=two_way.pk).update(direction="one")
    text = shown(page, bill)
    assert "Keep Xero’s" in text
    assert "Send mine" not in text


def test_a_conflict_of_another_bill_is_not_decided_through_this_one(xero, page, two_way, alice):
    _, conflict = clash(xero, two_way, alice)
    other = a_bill(alice)
    answer = page.post(path(other, "conflicts"), {"conflict": conflict.pk, "do": "mine"})
    assert answer.status_code == 422
    assert Conflict.objects.get().state == "open"


def test_a_person_is_asked_which_contact_a_client_is(page, two_way, alice):
    bill, item, contact = contact_question(two_way, alice)
    text = shown(page, bill)
    assert "in Xero already?" in text
    assert "Needs attention" in text
    page.post(path(bill, "contact"), {"item": item.pk, "contact": contact, "token": "k"})
    item.refresh_from_db()
    assert (item.state, item.remote_id) == ("done", contact)
    assert "in Xero already?" not in shown(page, bill)


# --- forms -----------------------------------------------------------------------------------


def test_saving_a_form_as_it_is_changes_nothing(page, two_way):
    """What came from Xero survives a form to the letter. The everyday run takes one bill of each
    kind, the full run every bill of the organisation."""
    bills = Bill.objects.filter(link__connection=two_way).exclude(status="void")
    of_each = {
        (b.status, b.currency, b.paid > 0, b.credited > 0, b.lines.count()): b for b in bills
    }
    assert len(of_each) > 8
    for bill in bills if FULL else of_each.values():
        html, before = page.get(path(bill, "edit")).content.decode(), bill.fields()
        answer = page.post(path(bill, "edit"), form_of(html))
        assert answer.status_code == 302, (bill, text_of(answer))
        bill = Bill.objects.get(pk=bill.pk)
        for was, now in zip(before.lines, bill.fields().lines, strict=True):
            assert now == was
        assert not bill.outbox.exists()


def test_closed_fields_say_why_before_anyone_types(page, two_way, alice):
    bill = open_bill(two_way)
    pay(alice, bill, "1")
    html = page.get(path(bill, "edit")).content.decode()
    text = text_of(page.get(path(bill, "edit")))
    assert "A payment of this bill is on its way to Xero" in text
    assert re.search(r'type="hidden"[^>]*name="issued_on"', html)
    assert "Add more lines" not in text
    assert re.search(r'type="date"[^>]*name="due_on"', html)


def test_a_closed_field_that_is_changed_all_the_same_is_refused_and_nothing_stored(
    page, two_way, alice
):
    bill = open_bill(two_way)
    pay(alice, bill, "1")
    sent = form_of(page.get(path(bill, "edit")).content.decode())
    answer = page.post(
        path(bill, "edit"),
        sent | {"issued_on": "2026-01-02", "lines-0-unit_amount": "7", "reference": "New"},
    )
    assert answer.status_code == 422
    assert "Issued : A payment of this bill is on its way" in text_of(answer)
    bill.refresh_from_db()
    assert bill.reference != "New"


def test_more_fields_of_an_invoice_can_be_edited(xero, page, two_way):
    bill = open_bill(two_way)
    sent = form_of(page.get(path(bill, "edit")).content.decode())
    more = {"expected_on": "2027-01-05", "url": "https://example.com/job/7"}
    assert page.post(path(bill, "edit"), sent | more).status_code == 302
    push(xero, two_way)
    invoice = invoice_of(xero, bill)
    assert (invoice.expected_on, invoice.url) == (date(2027, 1, 5), more["url"])


def test_a_line_gets_one_of_xero_s_tax_rates_and_accounts(page, two_way):
    bill = open_bill(two_way)
    html = page.get(path(bill, "edit")).content.decode()
    sent = form_of(html)
    offered = re.findall(r'<select[^>]*name="lines-0-tax_type".*?</select>', html, re.S)[0]
    assert "OUTPUT2" in offered
    assert 'value="INPUT2"' not in offered
    assert 'name="lines-0-tax_rate"' not in html
    total = bill.total
    page.post(path(bill, "edit"), sent | {"lines-0-tax_type": "ZERORATEDOUTPUT"})
    bill.refresh_from_db()
    assert bill.total < total
    assert bill.lines.all()[0].tax_amount == 0


def test_a_new_bill_names_the_organisation_it_may_go_to(xero, page, two_way):
    owed_by = open_bill(two_way).client
    text = text_of(page.get("/bills/new/"))
    assert f"Also create in Xero No, only here Yes, in {two_way.name}" in text
    row = {"description": "Fitting", "quantity": "2", "unit_amount": "50", "tax_type": "OUTPUT2"}
    sent = filled(owed_by, row, also_in_xero=str(two_way.pk), do="approve", number="NEW-9")
    assert page.post("/bills/new/", sent).status_code == 302
    push(xero, two_way)
    bill = Bill.objects.get(number="NEW-9")
    assert invoice_of(xero, bill).total == Decimal(120)


def test_a_bill_made_here_can_be_sent_later(page, two_way, alice):
    bill = a_bill(alice, number="OLD-7")
    assert f"Also create in Xero in {two_way.name}" in shown(page, bill)
    page.post(path(bill, "send"), {"organisation": two_way.pk, "token": "s"})
    assert "Waiting to send" in shown(page, bill)
    assert page.post(path(bill, "send"), {"organisation": "<b>"}).status_code == 422


def test_one_directional_pages_offer_nothing_new(page, imported, alice):
    assert "Also create in Xero" not in text_of(page.get("/bills/new/"))
    bill = open_bill(imported)
    for words in ("Record payment", "Edit", "Void"):
        assert words not in shown(page, bill)
    assert page.get(path(bill, "edit")).status_code == 409


# --- payments and voids --------------------------------------------------------------------------


def test_a_payment_shows_how_far_it_has_come(xero, page, two_way, alice):
    bill = open_bill(two_way)
    asked = text_of(page.get(path(bill, "payments/new")))
    assert f"It is recorded in {two_way.name} , too" in asked
    pay(alice, bill, "40")
    text = shown(page, bill)
    assert "Cheque 001204 On its way to Xero" in text
    assert "JPM-" not in text
    push(xero, two_way)
    assert "Cheque 001204 Recorded in Xero" in shown(page, bill)
    payment = bill.payments.get()
    assert "It is taken back in" in shown(page, bill, "payments", str(payment.pk), "remove")
    page.post(path(bill, "payments", str(payment.pk), "remove"), {"token": "u"})
    assert "Being taken back out of Xero" in shown(page, bill)


def test_payments_without_a_way_to_xero_lead_to_the_settings(page, two_way):
    Connection.objects.filter(pk=two_way.pk).update(write_back=False)
    bill = open_bill(two_way)
    response = page.get(path(bill))
    assert "Payments are not sent to Xero" in text_of(response)
    assert "Record payment" not in text_of(response)
    assert f"/settings/integrations/xero/{two_way.pk}/defaults/" in response.content.decode()


def test_voiding_says_what_happens_in_xero(xero, page, two_way):
    bill = open_bill(two_way)
    html = page.get(path(bill, "void")).content.decode()
    assert "its invoice is made void, too" in text_of(page.get(path(bill, "void")))
    page.post(path(bill, "void"), form_of(html))
    push(xero, two_way)
    assert invoice_of(xero, bill).status == "VOIDED"


def test_a_question_about_a_bill_that_has_changed_is_asked_again(page, two_way, alice):
    bill = open_bill(two_way)
    sent = form_of(page.get(path(bill, "void")).content.decode())
    later = act(alice, now=NOW + timedelta(hours=1))
    bill_edit(act=later, bill_id=bill.pk, entry=replace(entry_of(bill), reference="New"))
    answer = page.post(path(bill, "void"), sent)
    assert answer.status_code == 409
    bill.refresh_from_db()
    assert bill.status == "active"


def test_a_bill_that_was_read_since_the_last_check_says_when(two_way, page):
    bill = open_bill(two_way)
    Connection.objects.update(checked_at=NOW - timedelta(minutes=14))
    Link.objects.filter(bill=bill).update(read_at=NOW - timedelta(hours=3))
    before = page.get(path(bill)).content.decode()
    Link.objects.filter(bill=bill).update(read_at=NOW)
    after = page.get(path(bill)).content.decode()
    at = 'Checked.*?datetime="([^"]+)'
    found = [re.search(at, html, re.S)[1] for html in (before, after)]
    assert found == [(NOW - timedelta(minutes=14)).isoformat(), NOW.isoformat()]
