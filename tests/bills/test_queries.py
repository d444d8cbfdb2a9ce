"""Lists, counts and sums: right for every filter, equal with each other, scoped, and bounded."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from tests.bills.given import NOW, TODAY, a_bill, a_client, a_connection, act, line, linked
from tests.bills.large import make_large

from justpayme.accounts.models import Business
from justpayme.bills import queries
from justpayme.bills.actions import bill_void, payment_record
from justpayme.bills.models import Bill, Client
from justpayme.bills.paging import BadCursor
from justpayme.bills.queries import SORTS, TABS, Wanted
from justpayme.core.bill import Status
from justpayme.core.entry import PaymentEntry
from justpayme.sync.models import Connection


@pytest.fixture
def books(business):
    return queries.open_books(business, NOW)


@pytest.fixture
def one_of_each(alice):
    """A bill of every status, by status."""
    client = a_client(alice)
    late = {"issued_on": date(2026, 10, 1), "due_on": TODAY - timedelta(days=1)}
    made = {
        "draft": a_bill(alice, client, approve=False),
        "active": a_bill(alice, client),
        "overdue": a_bill(alice, client, **late),
        "paid": a_bill(alice, client),
        "void": a_bill(alice, client),
    }
    paid = PaymentEntry(Decimal(120), TODAY)
    payment_record(act=act(alice), bill_id=made["paid"].pk, entry=paid)
    bill_void(act=act(alice), bill_id=made["void"].pk)
    return made


def ids(page):
    return [row.pk for row in page.rows]


def test_every_tab_holds_its_own_bills_and_counts_them(books, one_of_each):
    counts = queries.summarise(books, Wanted()).counts
    for tab, bill in one_of_each.items():
        assert ids(queries.list_bills(books, Wanted(status=tab))) == [bill.pk]
        assert counts[tab] == 1
    assert counts["all"] == sum(counts[tab] for tab in TABS if tab != "all")


def test_only_owed_bills_are_in_the_sum(books, one_of_each):
    (sums,) = queries.summarise(books, Wanted()).sums
    assert (sums.owed, sums.owed_bills) == (240, 2)
    assert (sums.late, sums.late_bills) == (120, 1)
    assert (sums.paid, sums.paid_bills) == (120, 1)


def test_currencies_are_never_added_up_and_the_home_one_comes_first(books, alice):
    a_bill(alice, currency="AED")
    a_bill(alice, currency="GBP")
    sums = queries.summarise(books, Wanted()).sums
    assert [(s.currency, s.owed) for s in sums] == [("GBP", 120), ("AED", 120)]


def test_overdue_begins_the_day_after_the_due_date(books, alice):
    today = a_bill(alice, due_on=TODAY)
    assert queries.bill_detail(books, today.pk).shown == "active"
    tomorrow = queries.open_books(books.business, NOW + timedelta(days=1))
    assert queries.bill_detail(tomorrow, today.pk).shown == "overdue"
    assert queries.summarise(tomorrow, Wanted()).counts["overdue"] == 1


def test_overdue_follows_the_organisations_own_day(business, alice):
    """At 23:30 in London it is tomorrow in Auckland: a bill due today is overdue there only."""
    late_evening = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    ours, theirs = a_bill(alice, due_on=TODAY), a_bill(alice, due_on=TODAY)
    linked(theirs, a_connection(business, time_zone="Pacific/Auckland"))
    books = queries.open_books(business, late_evening)
    assert ids(queries.list_bills(books, Wanted(status="overdue"))) == [theirs.pk]
    assert ids(queries.list_bills(books, Wanted(status="active"))) == [ours.pk]
    counts = queries.summarise(books, Wanted()).counts
    assert (counts["overdue"], counts["active"]) == (1, 1)
    late = queries.ageing(books)["GBP"][1]
    assert (late.bills, late.owed) == (1, 120)


def test_a_parted_bill_is_due_in_the_business_s_own_day_again(business, alice):
    late_evening = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    bill = a_bill(alice, due_on=TODAY)
    gone = a_connection(business, time_zone="Pacific/Auckland", state=Connection.State.DISCONNECTED)
    linked(bill, gone)
    books = queries.open_books(business, late_evening)
    assert queries.bill_detail(books, bill.pk).shown == "active"


def many(alice, business):
    """Thirty bills with many equal values, so that ties have to be broken."""
    clients = [a_client(alice, name) for name in ("Zoë", "álvaro", "Bakker")]
    for number in range(30):
        a_bill(
            alice,
            clients[number % 3],
            number=f"N-{number:03d}",
            issued_on=date(2026, 11, 1 + number % 4),
            due_on=None if number % 7 == 0 else date(2026, 12, 1 + number % 3),
            approve=False,
            lines=(line(unit_amount=Decimal(10 * (number % 5))),),
        )
    Bill.objects.filter(number__endswith="9").update(issued_on=None)


@pytest.mark.parametrize("sort", SORTS)
def test_pages_cover_every_bill_once_forwards_and_backwards(alice, business, books, sort):
    many(alice, business)
    wanted = Wanted(sort=sort)
    whole = ids(queries.list_bills(books, wanted, size=100))
    pages, after = [], ""
    while True:
        page = queries.list_bills(books, wanted, after=after, size=7)
        pages.append(page)
        if not (after := page.after):
            break
    assert [pk for page in pages for pk in ids(page)] == whole
    assert len(set(whole)) == 30
    back, before = ids(pages[-1]), pages[-1].before
    while before:
        page = queries.list_bills(books, wanted, before=before, size=7)
        back, before = ids(page) + back, page.before
    assert back == whole


def test_a_row_that_appears_meanwhile_neither_repeats_nor_hides_another(alice, books):
    first = [a_bill(alice, issued_on=date(2026, 11, 1)) for _ in range(4)]
    page = queries.list_bills(books, Wanted(), size=2)
    a_bill(alice, issued_on=date(2026, 11, 20))
    rest = queries.list_bills(books, Wanted(), after=page.after, size=10)
    assert ids(page) + ids(rest) == [bill.pk for bill in reversed(first)]


BAD_CURSORS = [
    "x",
    "=",
    "é",
    "WyJhIl0",
    "W10",
    "bnVsbA",
    "WzEsMl0",
    "WyIyMDI2LTAxLTAxIiwiLTEiXQ",
    "WyJuYW4iLCJuYW4iXQ",
    "A" * 4000,
    "'; DROP TABLE bills_bill; --",
]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("cursor", BAD_CURSORS)
def test_a_cursor_that_we_did_not_make_is_refused(books, sort, cursor):
    with pytest.raises(BadCursor):
        queries.list_bills(books, Wanted(sort=sort), after=cursor)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("castle", True),
        ("CASTLE", True),
        ("inv-77", True),
        ("fire door", True),
        ("castle 1,440", True),
        ("£1,440.00", True),
        ("1440", True),
        ("castle brewing", False),
        ("%", False),
        ("_", False),
        ("\\", False),
        ("' OR 1=1 --", False),
        ("1e999999", False),
        ("NaN", False),
        ("9" * 200, False),
        ("٣", False),
    ],
)
def test_search_finds_what_has_every_word(books, alice, q, found):
    client = a_client(alice, "Castlefield Lettings")
    lines = (line(unit_amount=Decimal(1200)),)
    bill = a_bill(alice, client, number="INV-77", reference="Fire door", lines=lines)
    expected = [bill.pk] if found else []
    assert ids(queries.list_bills(books, Wanted(q=q))) == expected
    assert queries.summarise(books, Wanted(q=q)).counts["all"] == len(expected)


def test_filters_tell_how_a_bill_stands_to_xero(business, alice):
    live, lost = a_connection(business), a_connection(business, state=Connection.State.LOST)
    gone = a_connection(business, state=Connection.State.DISCONNECTED)
    made = {name: a_bill(alice) for name in ("live", "lost", "gone", "own")}
    for name, connection in (("live", live), ("lost", lost), ("gone", gone)):
        linked(made[name], connection)
    books = queries.open_books(business, NOW)

    def found(state):
        return set(ids(queries.list_bills(books, Wanted(xero=state))))

    assert found("xero") == {made["live"].pk, made["lost"].pk}
    assert found("attention") == {made["lost"].pk}
    assert found("parted") == {made["gone"].pk}
    assert found("absent") == {made["own"].pk}
    wanted = Wanted(connection=lost.pk)
    assert ids(queries.list_bills(books, wanted)) == [made["lost"].pk]
    tally = queries.tally(books)
    assert (tally.bills, tally.absent) == (4, 1)
    assert tally.by_connection == {live.pk: 1, lost.pk: 1, gone.pk: 1}


def test_the_due_window_takes_in_both_its_ends(books, alice):
    inside = [a_bill(alice, due_on=TODAY), a_bill(alice, due_on=TODAY + timedelta(days=7))]
    a_bill(alice, due_on=TODAY + timedelta(days=8))
    rows = queries.list_bills(books, Wanted(due="week")).rows
    assert {row.pk for row in rows} == {bill.pk for bill in inside}


@pytest.mark.parametrize(
    ("days", "group"),
    [(0, 0), (1, 1), (30, 1), (31, 2), (60, 2), (61, 3), (90, 3), (91, 4), (4000, 4)],
)
def test_a_bill_is_in_the_right_age_group(books, alice, days, group):
    due = TODAY - timedelta(days=days)
    a_bill(alice, due_on=due, issued_on=due)
    ages = queries.ageing(books)["GBP"]
    assert [age.group for age in ages if age.bills] == [group]


def test_sums_tabs_and_ageing_agree(books, one_of_each):
    summary = queries.summarise(books, Wanted())
    ages = queries.ageing(books)["GBP"]
    assert sum(age.owed for age in ages) == summary.sums[0].owed
    assert sum(age.bills for age in ages[1:]) == summary.counts["overdue"]
    assert queries.tally(books).bills == summary.counts["all"]
    assert queries.tally(books).drafts == summary.counts["draft"]


def test_clients_are_listed_by_name_with_what_each_owes(books, alice):
    zoe, anna = a_client(alice, "Zoë"), a_client(alice, "anna")
    a_bill(alice, zoe)
    a_bill(alice, zoe, currency="EUR")
    rows = queries.list_clients(books).rows
    assert [row.pk for row in rows] == [anna.pk, zoe.pk]
    assert [(b.currency, b.owed) for b in rows[1].balances] == [("GBP", 120), ("EUR", 120)]


@pytest.mark.parametrize(
    ("numbers", "following"),
    [
        ([], "B-0001"),
        (["B-0042"], "B-0043"),
        (["INV-099", "INV-9"], "INV-10"),
        (["9" * 30], "9" * 12 + "1" + "0" * 18),
        (["no digits"], ""),
    ],
)
def test_the_next_number_follows_the_newest_bill_made_here(books, alice, numbers, following):
    for number in numbers:
        a_bill(alice, number=number)
    assert queries.next_number(books) == following


def test_charlie_reads_nothing_of_another_business(other_business, alice, charlie, business):
    bill = a_bill(alice)
    linked(bill, a_connection(business))
    books = queries.open_books(other_business, NOW)
    assert queries.list_bills(books, Wanted()).rows == []
    assert queries.list_bills(books, Wanted(client=bill.client_id)).rows == []
    assert queries.summarise(books, Wanted()).counts["all"] == 0
    assert queries.list_clients(books).rows == []
    assert queries.tally(books).bills == 0
    assert (queries.ageing(books), queries.recently_paid(books)) == ({}, [])
    assert (queries.oldest_overdue(books), queries.choosable_clients(books, 10)) == ([], [])
    assert queries.next_number(books) == "B-0001"
    with pytest.raises(Bill.DoesNotExist):
        queries.bill_detail(books, bill.pk)
    with pytest.raises(Client.DoesNotExist):
        queries.client_detail(books, bill.client_id)
    assert queries.bill_history(books, bill).rows == []


@pytest.fixture
def large(business):
    """Enough bills that a page with one statement a row would show it."""
    now = timezone.now()
    connection = a_connection(business, checked_at=now, imported_at=now)
    make_large(business, connection, bills=600, clients=40, now=now)
    return queries.open_books(business, now)


@pytest.mark.parametrize("sort", SORTS)
def test_a_page_of_bills_is_two_statements(large, django_assert_num_queries, sort):
    with django_assert_num_queries(2):
        page = queries.list_bills(large, Wanted(sort=sort))
    assert len(page.rows) == queries.PAGE


def test_each_read_of_a_page_costs_what_it_says(large, django_assert_num_queries):
    with django_assert_num_queries(1):
        queries.open_books(large.business, NOW)
    with django_assert_num_queries(1):
        queries.summarise(large, Wanted(q="castlefield 5"))
    with django_assert_num_queries(2):
        queries.list_clients(large)
    with django_assert_num_queries(4):
        queries.ageing(large), queries.tally(large)
        queries.oldest_overdue(large), queries.recently_paid(large)
    bill = Bill.objects.filter(status=Status.PAID)[0]
    with django_assert_num_queries(5):
        queries.bill_detail(large, bill.pk)


def test_two_businesses_count_apart(large, alice):
    other = Business.objects.create(name="Other", currency="GBP")
    everything = queries.summarise(large, Wanted()).counts["all"]
    assert everything == 600
    assert queries.summarise(queries.open_books(other, NOW), Wanted()).counts["all"] == 0
