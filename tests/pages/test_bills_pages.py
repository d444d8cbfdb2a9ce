"""The pages of bills: what they show, who may press what, and what bad input does (nothing)."""

import re
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from django.utils import timezone
from tests.bills.given import HOSTILE, a_bill, a_client, a_connection, act, line, linked
from tests.bills.large import make_large

from justpayme.bills.actions import payment_record
from justpayme.bills.models import Bill, Client, HistoryEntry, Line, Payment, Submission
from justpayme.bills.shown_bill import open_in_xero
from justpayme.core.bill import Status
from justpayme.core.entry import PaymentEntry
from justpayme.sync.models import Connection

TODAY = timezone.localdate()


def page_of(client, user):
    client.force_login(user)
    return client


@pytest.fixture
def browser(client, alice):
    """Alice's browser."""
    return page_of(client, alice)


def text_of(response):
    """The words of a page without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def rows(*lines):
    """The fields of the line editor."""
    data = {"lines-TOTAL_FORMS": str(len(lines)), "lines-INITIAL_FORMS": "0"}
    for index, values in enumerate(lines):
        data |= {f"lines-{index}-{name}": value for name, value in values.items()}
    return data


FITTING = {"description": "Fitting", "quantity": "2", "unit_amount": "50", "tax_rate": "20"}


def filled(client_row, *lines, **values):
    """A complete form of a new bill."""
    plain = {
        "client": str(client_row.pk),
        "number": "B-7",
        "reference": "Hall doors",
        "issued_on": "2026-11-01",
        "due_on": "2026-12-01",
        "currency": "GBP",
        "tax_mode": "exclusive",
        "token": "form-1",
        "do": "save",
    }
    return {**plain, **rows(*(lines or (FITTING,))), **values}


# --- the list --------------------------------------------------------------------------------


def test_an_empty_business_is_told_how_bills_get_here(browser):
    text = text_of(browser.get("/bills/"))
    assert "No bills yet" in text
    assert "Connect Xero" in text
    assert "New bill" in text


def test_a_list_without_a_match_says_so_and_leads_back(browser, alice):
    a_bill(alice)
    response = browser.get("/bills/?q=nobody")
    assert "No bill matches" in text_of(response)
    assert 'href="/bills/"' in response.content.decode()


def test_a_part_paid_bill_shows_what_it_was(browser, alice):
    bill = a_bill(alice)
    entry = PaymentEntry(Decimal(20), TODAY)
    payment_record(act=act(alice), bill_id=bill.pk, entry=entry)
    text = text_of(browser.get("/bills/"))
    assert "£100.00" in text
    assert "of £120.00" in text


def test_a_void_bill_is_struck_through_and_said_to_be_void(browser, alice):
    bill = a_bill(alice)
    browser.post(f"/bills/{bill.pk}/void/", {"token": "x"})
    page = browser.get("/bills/?status=void").content.decode()
    assert '<tr role="row" class="void">' in page
    assert "void, was" in page


def test_a_linked_bill_says_when_it_was_checked(browser, alice, business):
    linked(a_bill(alice), a_connection(business, checked_at=timezone.now()))
    text = text_of(browser.get("/bills/"))
    assert "Read-only from Xero" in text
    assert "Checked just now" in text


def test_a_late_check_takes_the_double_rule_away(browser, alice, business):
    now = timezone.now()
    fresh = {"imported_at": now, "checked_at": now}
    connection = a_connection(business, **fresh)
    linked(a_bill(alice), connection)
    assert 'class="final"' in browser.get("/bills/").content.decode()
    late = now - timedelta(minutes=2 * connection.interval_minutes + 1)
    Connection.objects.filter(pk=connection.pk).update(checked_at=late)
    page = browser.get("/bills/")
    assert 'class="final stale"' in page.content.decode()
    assert "As of" in text_of(page)


def test_overdue_bills_are_as_many_in_the_figures_as_in_their_tab(browser, alice):
    late = TODAY - timedelta(days=3)
    for currency in ("GBP", "GBP", "EUR", "USD"):
        a_bill(alice, currency=currency, due_on=late)
    text = text_of(browser.get("/bills/"))
    assert "Overdue £240.00 and €120.00, US$120.00, on 4 bills" in text
    assert "Overdue 4" in text


def test_the_foot_of_the_list_says_which_bills_these_are(browser, alice, business):
    make_large(business, a_connection(business), bills=60, clients=5, now=timezone.now())
    page, feet = browser.get("/bills/").content.decode(), []
    for way in ("after", "after", "before", "before"):
        feet.append(re.search(r"(\d+–\d+ of \d+ bills)", page)[1])
        edge = re.search(rf'href="([^"]*{way}=[^"]*)"', page)[1].replace("&amp;", "&")
        page = browser.get(edge).content.decode()
    assert feet == [
        "1–25 of 60 bills",
        "26–50 of 60 bills",
        "51–60 of 60 bills",
        "26–50 of 60 bills",
    ]
    assert "1–25 of 60 bills" in page


@pytest.mark.parametrize("sort", ["newest", "due", "amount", "client"])
def test_the_foot_counts_in_the_order_of_the_list(browser, business, sort):
    make_large(business, a_connection(business), bills=60, clients=5, now=timezone.now())
    page = browser.get(f"/bills/?sort={sort}").content.decode()
    edge = re.search(r'href="([^"]*after=[^"]*)"', page)[1].replace("&amp;", "&")
    assert "26–50 of 60 bills" in browser.get(edge).content.decode()


def test_a_list_of_one_page_says_only_how_many_bills_there_are(browser, alice):
    a_bill(alice)
    a_bill(alice)
    text = text_of(browser.get("/bills/"))
    assert "2 bills, by date of issue" in text
    assert "of 2 bills" not in text


def test_paging_leads_forwards_and_back(browser, alice, business):
    make_large(business, a_connection(business), bills=60, clients=5, now=timezone.now())
    first = browser.get("/bills/").content.decode()
    following = re.search(r'href="([^"]*after=[^"]*)"', first)[1].replace("&amp;", "&")
    second = browser.get(following).content.decode()
    assert 'rel="prev"' in second
    back = re.search(r'href="([^"]*before=[^"]*)"', second)[1].replace("&amp;", "&")
    links = re.compile(r'class="lnk" href="(/bills/\d+/)"')
    assert links.findall(browser.get(back).content.decode()) == links.findall(first)
    assert not set(links.findall(first)) & set(links.findall(second))


def test_the_list_costs_the_same_for_few_and_for_many_bills(
    browser, business, django_assert_num_queries
):
    make_large(business, a_connection(business), bills=300, clients=30, now=timezone.now())
    browser.get("/bills/")
    with django_assert_num_queries(8):
        browser.get("/bills/")
    with django_assert_num_queries(9):
        browser.get("/")


HOSTILE_WORDS = [
    "\x00",
    "'",
    "' OR '1'='1",
    "1; DROP TABLE bills_bill",
    "%",
    "%%%s",
    "{{7*7}}",
    "../../etc/passwd",
    "<script>",
    "9" * 5000,
    "1e400",
    "-1",
    "NaN",
    "\ud83d",
    "‮",
]


@pytest.mark.parametrize(
    "name",
    [
        "status",
        "q",
        "xero",
        "due",
        "sort",
        "connection",
        "client",
        "after",
        "before",
    ],
)
def test_a_damaged_address_gives_a_page_never_an_error(browser, alice, name):
    a_bill(alice)
    for word in HOSTILE_WORDS:
        sent = word.encode("utf-8", "surrogatepass")
        response = browser.get("/bills/", {name: sent})
        assert response.status_code in (200, 400), (name, word)
        if response.status_code == 400:
            assert "makes no sense" in text_of(response)


# --- one bill --------------------------------------------------------------------------------


def test_a_bill_shows_lines_ladder_payments_and_history(browser, alice):
    bill = a_bill(alice, number="INV-1830", reference="Hall doors")
    entry = PaymentEntry(Decimal(20), TODAY, "Cheque 001204")
    payment_record(act=act(alice), bill_id=bill.pk, entry=entry)
    text = text_of(browser.get(f"/bills/{bill.pk}/"))
    for words in ("INV-1830", "Hall doors", "Fitting", "Net £100.00", "Tax £20.00"):
        assert words in text
    for words in ("Paid −£20.00", "Outstanding £100.00", "Cheque 001204", "Not in Xero"):
        assert words in text
    assert "from £120.00 to £100.00" in text


def test_a_linked_bill_names_its_owner_and_offers_no_change(browser, alice, business):
    connection = a_connection(business)
    link = linked(a_bill(alice), connection)
    page = browser.get(f"/bills/{link.bill_id}/")
    text = text_of(page)
    assert "Hollins &amp; Daughter Joinery owns this bill, so its fields are locked here" in text
    assert "Awaiting payment" in text
    assert open_in_xero(connection, link.invoice_id) in page.content.decode()
    for words in ("Record payment", "Edit", "Void this bill", "Make active"):
        assert words not in text


def test_a_bill_leads_to_the_xero_that_has_its_invoice(browser, alice, business, settings):
    connection = a_connection(business)
    link = linked(a_bill(alice), connection)
    real = f"https://go.xero.com/app/!abc12/invoicing/view/{link.invoice_id}"
    assert real in browser.get(f"/bills/{link.bill_id}/").content.decode()
    settings.XERO_LOGIN_URL = "http://127.0.0.1:8100"
    page = browser.get(f"/bills/{link.bill_id}/").content.decode()
    local = f"http://127.0.0.1:8100/org/{connection.tenant_id}/invoice/{link.invoice_id}"
    assert f'href="{local}"' in page
    assert "go.xero.com" not in page


def test_a_bill_leads_to_a_page_that_the_local_xero_has(browser, xero, imported):
    link = imported.links.exclude(bill__number="").first()
    page = browser.get(f"/bills/{link.bill_id}/").content.decode()
    address = re.search(r'href="(http://xero\.test/[^"]*)"', page)[1]
    there = xero.http.get(address)
    assert there.status_code == 200
    assert link.bill.number in there.text


def test_a_change_from_xero_names_its_run(browser, alice, business):
    bill = a_bill(alice)
    connection = a_connection(business)
    linked(bill, connection)
    changes = [
        {"field": "due_on", "old": "2026-12-17", "new": "2026-12-03"},
        {"field": "lines", "old": [{"unit_amount": "440"}], "new": [{"unit_amount": "480"}]},
        {"field": "from the future", "old": {"a": 1}, "new": None},
    ]
    HistoryEntry.objects.create(
        business=business,
        bill=bill,
        at=timezone.now(),
        source="xero",
        action="changed",
        run=5817,
        changes=changes,
    )
    page = browser.get(f"/bills/{bill.pk}/")
    text = text_of(page)
    assert "Due date from 17 Dec 2026 to 3 Dec 2026" in text
    assert "price from £440.00 to £480.00" in text
    assert f"/xero/{connection.pk}/runs/5817/" in page.content.decode()


def test_a_long_history_is_paged(browser, alice, business):
    bill = a_bill(alice)
    for number in range(30):
        HistoryEntry.objects.create(
            business=business,
            bill=bill,
            at=timezone.now(),
            source="xero",
            action="changed",
            changes=[{"field": "reference", "old": "", "new": f"change {number}"}],
        )
    page = browser.get(f"/bills/{bill.pk}/").content.decode()
    assert "change 29" in page
    assert "change 1<" not in page
    older = re.search(r'href="([^"#]*after=[^"#]*)#history"', page)[1].replace("&amp;", "&")
    assert "change 1<" in browser.get(older).content.decode()
    assert browser.get(f"/bills/{bill.pk}/?after=junk").status_code == 400


class Tags(HTMLParser):
    """Every tag of a page with the names of its attributes."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found.add((tag, *sorted(name for name, _ in attrs)))


def tags(response):
    parser = Tags()
    parser.feed(response.content.decode())
    return parser.found


def test_hostile_text_adds_no_tag_to_any_page(browser, alice, business):
    quiet = a_client(alice, "Quiet")
    calm = a_bill(alice, quiet, reference="calm", lines=(line(description="calm"),))
    loud_client = a_client(alice, HOSTILE)
    loud = a_bill(
        alice, loud_client, number=HOSTILE, reference=HOSTILE, lines=(line(description=HOSTILE),)
    )
    entry = PaymentEntry(Decimal(1), TODAY, "calm")
    payment_record(act=act(alice), bill_id=calm.pk, entry=entry)
    entry = PaymentEntry(Decimal(1), TODAY, HOSTILE)
    payment_record(act=act(alice), bill_id=loud.pk, entry=entry)
    for address in ("/bills/{}/", "/bills/{}/edit/", "/bills/{}/payments/new/"):
        assert tags(browser.get(address.format(loud.pk))) == tags(
            browser.get(address.format(calm.pk))
        )
    for address in ("/clients/{}/", "/clients/{}/edit/"):
        assert tags(browser.get(address.format(loud_client.pk))) == tags(
            browser.get(address.format(quiet.pk))
        )
    for address in ("/", "/bills/", "/clients/", f"/bills/?q={HOSTILE}"):
        page = browser.get(address).content.decode()
        assert "<script>alert(1)" not in page
        assert "{{ 7|add:7 }}" in page or "7|add" not in page


# --- new and edited bills ----------------------------------------------------------------------


def test_a_new_bill_is_saved_with_its_totals(browser, alice):
    response = browser.post("/bills/new/", filled(a_client(alice)))
    bill = Bill.objects.get()
    assert response.headers["Location"] == f"/bills/{bill.pk}/"
    assert (bill.total, bill.status, bill.lines.count()) == (120, Status.DRAFT, 1)


def test_a_new_bill_can_be_made_active_at_once(browser, alice):
    browser.post("/bills/new/", filled(a_client(alice), do="approve"))
    assert Bill.objects.get().status == Status.ACTIVE


def test_numbers_and_days_are_read_as_people_write_them(browser, alice):
    rich = {**FITTING, "unit_amount": "£1,234.50", "quantity": "1", "tax_rate": "20%"}
    browser.post("/bills/new/", filled(a_client(alice), rich, issued_on="1 Nov 2026"))
    assert Bill.objects.get().sub_total == Decimal("1234.50")


def test_empty_rows_are_no_lines_and_ticked_ones_are_taken_out(browser, alice):
    empty = {"description": "", "quantity": "", "unit_amount": "", "tax_rate": "20"}
    out = {**FITTING, "description": "Not this", "DELETE": "on"}
    browser.post("/bills/new/", filled(a_client(alice), FITTING, empty, out))
    assert [row.description for row in Bill.objects.get().lines.all()] == ["Fitting"]


def test_more_lines_come_without_script_and_keep_what_was_typed(browser, alice):
    data = filled(a_client(alice), {**FITTING, "unit_amount": "not yet"}, more="1")
    response = browser.post("/bills/new/", data)
    page = response.content.decode()
    assert response.status_code == 200
    assert 'value="not yet"' in page
    assert 'name="lines-5-description"' in page
    assert "Enter a number" not in page
    assert Bill.objects.count() == 0


def test_a_client_made_meanwhile_joins_the_list_and_keeps_what_was_typed(browser, alice):
    data = filled(a_client(alice), {**FITTING, "unit_amount": "not yet"}, more="clients")
    later = a_client(alice, HOSTILE)
    response = browser.post("/bills/new/", data)
    page = response.content.decode()
    assert response.status_code == 200
    assert 'value="not yet"' in page
    assert f'<option value="{later.pk}">' in page
    assert not Bill.objects.exists()


def test_the_same_form_sent_twice_makes_one_bill(browser, alice):
    data = filled(a_client(alice))
    first = browser.post("/bills/new/", data)
    second = browser.post("/bills/new/", data)
    assert Bill.objects.count() == 1
    assert second.headers["Location"] == first.headers["Location"]
    assert "Nothing was done twice" in text_of(browser.get(second.headers["Location"]))


def edit_form(bill, **values):
    own = bill.lines.get()
    kept = {**FITTING, "line_id": str(own.pk)}
    seen = {"seen": bill.updated_at.isoformat(), "number": bill.number}
    return filled(bill.client, kept, **{**seen, **values})


def test_an_edit_is_saved_and_remembered(browser, alice):
    bill = a_bill(alice)
    response = browser.post(f"/bills/{bill.pk}/edit/", edit_form(bill, reference="New one"))
    bill.refresh_from_db()
    assert response.status_code == 302
    assert bill.reference == "New one"


def test_an_edit_of_a_bill_that_changed_meanwhile_is_shown_again(browser, alice):
    bill = a_bill(alice)
    form = edit_form(bill, reference="Mine")
    Bill.objects.filter(pk=bill.pk).update(updated_at=timezone.now(), reference="Theirs")
    response = browser.post(f"/bills/{bill.pk}/edit/", form)
    bill.refresh_from_db()
    assert response.status_code == 409
    assert "changed while you had it open" in text_of(response)
    assert 'value="Mine"' in response.content.decode()
    assert bill.reference == "Theirs"
    fresh = re.search(r'name="seen" value="([^"]+)"', response.content.decode())[1]
    again = browser.post(f"/bills/{bill.pk}/edit/", {**form, "seen": fresh, "token": "form-2"})
    bill.refresh_from_db()
    assert (again.status_code, bill.reference) == (302, "Mine")


def test_a_line_that_is_gone_meanwhile_is_a_new_one_if_the_person_wants_it(browser, alice):
    bill = a_bill(alice)
    form = edit_form(bill)
    bill.lines.all().delete()
    bill.lines.create(position=0, description="Theirs", remote_id="line-2")
    Bill.objects.filter(pk=bill.pk).update(updated_at=timezone.now())
    shown = browser.post(f"/bills/{bill.pk}/edit/", form)
    assert shown.status_code == 409
    page = shown.content.decode()
    assert 'name="lines-0-line_id"' in page
    assert form["lines-0-line_id"] not in re.findall(r'name="lines-0-line_id" value="(\d+)"', page)
    fresh = re.search(r'name="seen" value="([^"]+)"', page)[1]
    mine = {**form, "seen": fresh, "token": "form-2", "lines-0-line_id": ""}
    assert browser.post(f"/bills/{bill.pk}/edit/", mine).status_code == 302
    own = bill.lines.get()
    assert (own.description, own.remote_id) == ("Fitting", "")


def test_saving_cannot_set_what_the_form_does_not_have(browser, alice, business, other_business):
    bill = a_bill(alice)
    extra = {
        "business": other_business.pk,
        "business_id": other_business.pk,
        "status": "paid",
        "total": "1",
        "outstanding": "0",
        "paid": "999",
        "credited": "5",
        "id": "1",
        "pk": "1",
        "created_at": "2000-01-01",
        "sent": "on",
        "url": "https://example.com",
        "link": "1",
        "lines-0-line_amount": "1",
        "lines-0-remote_id": "x",
        "lines-0-bill": "1",
    }
    browser.post(f"/bills/{bill.pk}/edit/", edit_form(bill, **extra))
    bill.refresh_from_db()
    assert (bill.business_id, bill.status, bill.total, bill.paid) == (
        business.pk,
        Status.ACTIVE,
        120,
        0,
    )
    assert (bill.sent, bill.url, bill.lines.get().remote_id) == (False, "", "")


BAD_NUMBERS = [
    "abc",
    "1e400",
    "NaN",
    "Infinity",
    "--5",
    "1.2.3",
    "9" * 31,
    "٣",
    "1,2",
    "\x00",
    "{}",
]
BAD_DAYS = ["", "2026-13-01", "31/02/2026", "0000-00-00", "99999-01-01", "today", "1", "\x00"]
BAD_HEADS = {
    "client": ["", "0", "-1", "abc", "9" * 30, "\x00", "1.5", "999999999"],
    "number": ["x" * 256, "a\x00b"],
    "reference": ["x" * 256, "a\x00b"],
    "issued_on": [*BAD_DAYS, "1066-10-14", "3000-01-01"],
    "due_on": [*BAD_DAYS[1:], "1066-10-14", "2026-10-31"],
    "currency": ["", "GB", "ZZZ", "gbp", "<b>", "x" * 5000, "\x00"],
    "tax_mode": ["", "both", "\x00", "x" * 5000],
    "seen": ["yesterday", "\x00", "x" * 41],
    "token": ["x" * 65, "\x00"],
    "lines-TOTAL_FORMS": ["", "-1", "abc", "9" * 5000, "\x00"],
}
BAD_LINES = {
    "description": ["", " ", "x" * 4001, "a\x00b"],
    "quantity": [*BAD_NUMBERS, "-1", "1000000000", "0.00001"],
    "unit_amount": [*BAD_NUMBERS, "1000000000000", "0.00001", "-50"],
    "discount_rate": [*BAD_NUMBERS, "-1", "100.1", "0.00001"],
    "tax_rate": [*BAD_NUMBERS, "-1", "100.1", "0.00001"],
}
BAD_BILL_VALUES = [(name, value) for name, values in BAD_HEADS.items() for value in values] + [
    (f"lines-0-{name}", value) for name, values in BAD_LINES.items() for value in values
]


@pytest.mark.parametrize(("name", "value"), BAD_BILL_VALUES)
def test_a_bad_value_is_told_at_its_field_and_nothing_is_stored(browser, alice, name, value):
    response = browser.post("/bills/new/", filled(a_client(alice), **{name: value}))
    assert response.status_code == 422
    assert "another look" in text_of(response)
    assert (Bill.objects.count(), Line.objects.count()) == (0, 0)
    assert Submission.objects.filter(target_id=None).count() == 0
    assert 'value="Hall doors"' in response.content.decode() or name == "reference"


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in filled(Client(pk=1))
        if n
        not in (
            "number",
            "reference",
            "due_on",
            "token",
            "do",
            "lines-INITIAL_FORMS",
            "lines-0-quantity",
            "lines-0-unit_amount",
            "lines-0-tax_rate",
        )
    ],
)
def test_a_missing_value_is_told_and_nothing_is_stored(browser, alice, name):
    data = filled(a_client(alice))
    del data[name]
    assert browser.post("/bills/new/", data).status_code == 422
    assert Bill.objects.count() == 0


def test_too_many_lines_are_told(browser, alice):
    response = browser.post("/bills/new/", filled(a_client(alice), *[FITTING] * 201))
    assert response.status_code == 422
    assert "200 lines at most" in text_of(response)
    assert Bill.objects.count() == 0


def test_as_many_lines_as_allowed_go_through_the_form(browser, alice):
    full = {**FITTING, "line_id": "", "discount_rate": ""}
    response = browser.post("/bills/new/", filled(a_client(alice), *[full] * 200))
    assert response.status_code == 302
    assert Bill.objects.get().total == 24000


def test_thousands_of_fields_are_refused(browser, alice):
    response = browser.post("/bills/new/", filled(a_client(alice), *[FITTING] * 3000))
    assert response.status_code == 400
    assert Bill.objects.count() == 0


def test_a_client_of_another_business_cannot_be_billed(browser, charlie):
    response = browser.post("/bills/new/", filled(a_client(charlie)))
    assert response.status_code == 422
    assert Bill.objects.count() == 0


def test_with_very_many_clients_the_client_is_chosen_first(browser, business):
    make_large(business, a_connection(business), bills=1, clients=501, now=timezone.now())
    response = browser.get("/bills/new/")
    assert response.headers["Location"] == "/clients/?for=bill"
    assert "Who is the bill for?" in text_of(browser.get("/clients/?for=bill"))
    one = Client.objects.order_by("pk")[7]
    assert (
        f'<option value="{one.pk}" selected>'
        in browser.get(f"/bills/new/?client={one.pk}").content.decode()
    )


# --- payments and voids ------------------------------------------------------------------------


def paying(**values):
    return {"amount": "20", "on": "2026-11-20", "reference": "Cheque", "token": "pay-1", **values}


def test_a_payment_comes_off_once_and_can_be_taken_back(browser, alice):
    bill = a_bill(alice)
    for _ in range(2):
        browser.post(f"/bills/{bill.pk}/payments/new/", paying())
    bill.refresh_from_db()
    assert bill.outstanding == 100
    payment = bill.payments.get()
    remove = f"/bills/{bill.pk}/payments/{payment.pk}/remove/"
    assert "Remove this payment?" in text_of(browser.get(remove))
    browser.post(remove, {"token": "back-1"})
    bill.refresh_from_db()
    assert (bill.outstanding, bill.payments.count()) == (120, 0)


BAD_PAYMENTS = [
    *(("amount", value) for value in ["", *BAD_NUMBERS, "0", "-1", "120.01", "1.005"]),
    *(("on", value) for value in [*BAD_DAYS, "1066-10-14"]),
    *(("reference", value) for value in ["x" * 256, "a\x00b"]),
]


@pytest.mark.parametrize(("name", "value"), BAD_PAYMENTS)
def test_a_bad_payment_is_told_and_nothing_is_stored(browser, alice, name, value):
    bill = a_bill(alice)
    response = browser.post(f"/bills/{bill.pk}/payments/new/", paying(**{name: value}))
    assert response.status_code == 422
    assert "another look" in text_of(response)
    assert Payment.objects.count() == 0


def test_a_draft_takes_no_payment_and_says_why(browser, alice):
    bill = a_bill(alice, approve=False)
    response = browser.post(f"/bills/{bill.pk}/payments/new/", paying())
    assert response.status_code == 422
    assert "Make it active first" in text_of(response)


def test_a_bill_is_made_active_with_one_press(browser, alice):
    bill = a_bill(alice, approve=False)
    browser.post(f"/bills/{bill.pk}/approve/", {"token": "x"})
    bill.refresh_from_db()
    assert bill.status == Status.ACTIVE


def test_a_draft_without_a_number_says_what_is_missing(browser, alice):
    bill = a_bill(alice, approve=False, number="")
    response = browser.post(f"/bills/{bill.pk}/approve/", {"token": "x"})
    assert response.status_code == 422
    assert "Give the bill a number" in text_of(response)


def test_a_bill_with_payments_says_why_it_cannot_be_void(browser, alice):
    bill = a_bill(alice)
    assert "Void this bill" in text_of(browser.get(f"/bills/{bill.pk}/"))
    payment_record(act=act(alice), bill_id=bill.pk, entry=PaymentEntry(Decimal(20), TODAY))
    text = text_of(browser.get(f"/bills/{bill.pk}/"))
    assert "Void this bill" not in text
    assert "Remove its payments first" in text


def test_voiding_asks_first(browser, alice):
    bill = a_bill(alice, number="INV-1")
    assert "Void INV-1 ?" in text_of(browser.get(f"/bills/{bill.pk}/void/"))
    browser.post(f"/bills/{bill.pk}/void/", {"token": "x"})
    bill.refresh_from_db()
    assert bill.status == Status.VOID
    assert browser.get(f"/bills/{bill.pk}/edit/").status_code == 409


# --- who may ----------------------------------------------------------------------------------

GETS = ["", "edit/", "void/", "payments/new/", "payments/{payment}/remove/"]
POSTS = ["edit/", "approve/", "void/", "payments/new/", "payments/{payment}/remove/"]


@pytest.fixture
def paid_bill(alice):
    bill = a_bill(alice)
    payment_record(act=act(alice), bill_id=bill.pk, entry=PaymentEntry(Decimal(20), TODAY))
    bill.refresh_from_db()
    return bill


def address(bill, tail):
    return f"/bills/{bill.pk}/" + tail.format(payment=bill.payments.get().pk)


def before_and_after(bill, press):
    before = (Bill.objects.values().get(pk=bill.pk), bill.history.count())
    response = press()
    assert (Bill.objects.values().get(pk=bill.pk), bill.history.count()) == before
    return response


@pytest.mark.parametrize("tail", GETS)
def test_charlie_finds_no_page(client, charlie, paid_bill, tail):
    assert page_of(client, charlie).get(address(paid_bill, tail)).status_code == 404


@pytest.mark.parametrize("tail", POSTS)
def test_charlie_presses_in_vain(client, charlie, paid_bill, tail):
    browser = page_of(client, charlie)
    data = {**filled(paid_bill.client), **paying()}
    response = before_and_after(paid_bill, lambda: browser.post(address(paid_bill, tail), data))
    assert response.status_code == 404


@pytest.mark.parametrize("tail", POSTS)
def test_vera_looks_but_changes_nothing(client, vera, paid_bill, tail):
    browser = page_of(client, vera)
    assert browser.get(f"/bills/{paid_bill.pk}/").status_code == 200
    assert browser.get("/bills/new/").status_code == 403
    response = before_and_after(paid_bill, lambda: browser.post(address(paid_bill, tail), paying()))
    assert response.status_code == 403


def test_vera_is_offered_nothing_she_may_not_do(client, vera, paid_bill):
    text = text_of(page_of(client, vera).get(f"/bills/{paid_bill.pk}/"))
    for words in ("Record payment", "Edit", "Remove", "Void this bill"):
        assert words not in text


def test_bob_changes_bills(client, bob, paid_bill):
    browser = page_of(client, bob)
    assert browser.post(address(paid_bill, "payments/new/"), paying()).status_code == 302


@pytest.mark.parametrize("tail", POSTS)
def test_a_bill_that_xero_owns_is_not_changed_by_any_door(browser, business, paid_bill, tail):
    linked(paid_bill, a_connection(business))
    data = {**edit_form(paid_bill), **paying()}
    response = before_and_after(paid_bill, lambda: browser.post(address(paid_bill, tail), data))
    assert response.status_code == 409
    assert "owns this bill" in text_of(response)


def test_visitors_are_asked_to_sign_in(client, paid_bill):
    for place in ("/", "/bills/", f"/bills/{paid_bill.pk}/", "/bills/new/", "/clients/"):
        response = client.get(place)
        assert response.status_code == 302
        assert "next=" in response.headers["Location"]


@pytest.mark.parametrize("pk", [0, 10**30, "x", "-1", "%00"])
def test_an_id_that_cannot_be_is_not_found(browser, pk):
    assert browser.get(f"/bills/{pk}/").status_code == 404
