"""The pages of clients."""

import pytest
from django.utils import timezone
from tests.bills.given import HOSTILE, a_bill, a_client, a_connection, client_linked, linked
from tests.bills.large import make_large
from tests.pages.test_bills_pages import page_of, text_of

from justpayme.bills.models import Client


@pytest.fixture
def browser(client, alice):
    """Alice's browser."""
    return page_of(client, alice)


def values(**more):
    return {"name": "Castlefield", "email": "rent@example.com", "token": "form-1", **more}


def test_an_empty_business_is_told_how_clients_get_here(browser):
    assert "No clients yet" in text_of(browser.get("/clients/"))


def test_a_client_is_listed_with_what_they_owe_per_currency(browser, alice):
    row = a_client(alice, "Bakker Interieur B.V.")
    a_bill(alice, row)
    a_bill(alice, row, currency="EUR")
    text = text_of(browser.get("/clients/"))
    for words in ("Bakker Interieur B.V.", "£120.00", "€120.00 EUR", "2 bills"):
        assert words in text


def test_search_by_name_or_address(browser, alice):
    a_client(alice, "Bakker")
    a_client(alice, "Okafor")
    text = text_of(browser.get("/clients/?q=okaf"))
    assert "Okafor" in text
    assert "Bakker" not in text
    assert "No client matches" in text_of(browser.get("/clients/?q=nobody"))


@pytest.mark.parametrize("name", ["q", "after", "before", "for"])
@pytest.mark.parametrize("word", ["\x00", "' OR 1=1", "%", "9" * 5000, "{{7*7}}", "‮"])
def test_a_damaged_address_gives_a_page_never_an_error(browser, alice, name, word):
    a_client(alice)
    assert browser.get("/clients/", {name: word}).status_code in (200, 400)


def test_a_page_of_clients_costs_the_same_however_many_there_are(
    browser, business, django_assert_num_queries
):
    make_large(business, a_connection(business), bills=200, clients=60, now=timezone.now())
    browser.get("/clients/")
    with django_assert_num_queries(8):
        browser.get("/clients/")


def test_a_client_s_page_shows_bills_balance_and_contact(browser, alice):
    row = a_client(alice, "Mrs J. Okafor")
    a_bill(alice, row, number="INV-9")
    text = text_of(browser.get(f"/clients/{row.pk}/"))
    for words in ("They owe you £120.00", "INV-9", "None given", "Added here", "Not in Xero"):
        assert words in text


def test_a_client_is_added_once_and_edited(browser):
    for _ in range(2):
        response = browser.post("/clients/new/", values(address=HOSTILE))
    row = Client.objects.get()
    assert response.headers["Location"] == f"/clients/{row.pk}/"
    seen = {"seen": row.updated_at.isoformat(), "token": "form-2"}
    browser.post(f"/clients/{row.pk}/edit/", values(phone="01632 960 417", **seen))
    row.refresh_from_db()
    assert (row.phone, row.address) == ("01632 960 417", "")
    assert "01632 960 417" in text_of(browser.get(f"/clients/{row.pk}/"))


def test_an_edit_of_a_client_that_changed_meanwhile_is_shown_again(browser, alice):
    row = a_client(alice)
    seen = row.updated_at.isoformat()
    Client.objects.filter(pk=row.pk).update(updated_at=timezone.now(), phone="theirs")
    response = browser.post(f"/clients/{row.pk}/edit/", values(seen=seen))
    row.refresh_from_db()
    assert response.status_code == 409
    assert "changed while you had it open" in text_of(response)
    assert row.email == ""


BAD_VALUES = [
    *(("name", value) for value in ["", "  ", "x" * 501, "a\x00b"]),
    *(("email", value) for value in ["nobody", "a b@example.com", "x" * 300 + "@a.b", "\x00"]),
    *(("phone", value) for value in ["9" * 101, "\x00"]),
    *(("address", value) for value in ["x" * 2001, "a\x00"]),
    *(("tax_number", value) for value in ["x" * 101, "\x00"]),
    ("seen", "yesterday"),
    ("token", "x" * 65),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_bad_value_is_told_at_its_field_and_nothing_is_stored(browser, name, value):
    response = browser.post("/clients/new/", values(**{name: value}))
    assert response.status_code == 422
    assert "another look" in text_of(response)
    assert Client.objects.count() == 0


def test_a_client_that_xero_owns_is_locked_with_the_reason(browser, alice, business):
    row = a_client(alice)
    client_linked(row, a_connection(business))
    text = text_of(browser.get(f"/clients/{row.pk}/"))
    assert "owns these details" in text
    assert "Edit" not in text
    assert browser.get(f"/clients/{row.pk}/edit/").status_code == 409
    assert browser.post(f"/clients/{row.pk}/edit/", values()).status_code == 409
    row.refresh_from_db()
    assert row.email == ""


def test_charlie_and_vera_keep_out(client, alice, charlie, vera, business):
    row = a_client(alice)
    linked(a_bill(alice, row), a_connection(business))
    browser = page_of(client, charlie)
    assert browser.get(f"/clients/{row.pk}/").status_code == 404
    assert browser.get(f"/clients/{row.pk}/edit/").status_code == 404
    assert browser.post(f"/clients/{row.pk}/edit/", values()).status_code == 404
    assert row.name not in text_of(browser.get("/clients/"))
    browser = page_of(client, vera)
    assert browser.get(f"/clients/{row.pk}/").status_code == 200
    assert browser.get("/clients/new/").status_code == 403
    assert browser.post("/clients/new/", values()).status_code == 403
    assert browser.post(f"/clients/{row.pk}/edit/", values()).status_code == 403
    assert Client.objects.count() == 1
