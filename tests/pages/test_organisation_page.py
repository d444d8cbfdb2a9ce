"""The page of an organisation: what it says of Xero's allowances and of its webhooks."""

import re

import pytest
from django.urls import reverse
from tests.bills.given import a_connection
from tests.pages.test_bills_pages import page_of, text_of


@pytest.fixture
def text(client, alice, business):
    """The words of the page, as Alice reads them."""
    connection = a_connection(business)
    page = page_of(client, alice).get(reverse("integrations:organisation", args=[connection.pk]))
    return text_of(page)


def test_both_allowances_are_told_of_the_same_tiers(text):
    hints = re.findall(r"Xero’s (?:(?!The count).)*", text[text.index("Calls to Xero today") :])
    assert [set(re.findall(r"Starter|Core|plan", hint)) for hint in hints[:2]] == [
        {"Starter", "Core"},
        {"Starter", "Core"},
    ]


def test_silence_of_xero_is_not_told_as_a_fault(text):
    assert "Xero can tell us of changes at once, and has not yet." in text
    assert "Perhaps nothing has changed there." in text
