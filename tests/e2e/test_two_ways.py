"""Both ways on a phone: preview, edits, new bills, payments, voids, conflicts, a refusal, and back.

After each step Xero's books are read through the sandbox's own door and compared with ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect
from tests.e2e import hands
from tests.e2e.conftest import ARTEFACTS, Product, sign_in
from tests.e2e.hands import Books, assert_equal_books
from tests.e2e.test_story import allow_and_pick, press_connect, wait_for_import

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
EMAIL, BUSINESS = "both@example.com", "Both Ways"
ORGANISATION = "Big Company (40 invoices)"
LOOKALIKE = "Harbour Café <Østerbro>"


def shot(page: Page, name: str) -> None:
    """Keep a picture of this moment."""
    page.screenshot(path=ARTEFACTS / f"two-ways-{name}.png", full_page=True)


@pytest.fixture
def books(product: Product) -> Books:
    product.person(EMAIL, BUSINESS)
    return Books(product, EMAIL, BUSINESS, ORGANISATION)


def open_numbers(books: Books) -> Iterator[str]:
    """Numbers of invoices in the own currency on which no money has come off."""
    for row in books.bills(status="active"):
        if row["currency"] == "GBP" and Decimal(row["outstanding"]) == Decimal(row["total"]):
            if row["sync"]["organisation"]:
                yield row["number"]


def test_both_ways_on_a_phone(books: Books, phone: Page) -> None:
    product = books.product
    sign_in(phone, product, EMAIL)
    local = hands.new_bill(phone, books, hands.new_client(phone, books, "Nina New"), "L-1", "50")
    press_connect(phone, product)
    allow_and_pick(phone, ORGANISATION)
    wait_for_import(phone)
    page = go_bidirectional(phone, books, local)
    assert page.startswith(product.url)
    assert books.drift() == 0


def go_bidirectional(phone: Page, books: Books, local: int) -> str:
    """Permission, defaults, preview with one bill ticked, confirmation; the organisation's page."""
    phone.goto(f"{books.product.url}/settings/integrations/")
    phone.get_by_role("link", name=re.compile(re.escape(ORGANISATION))).first.click()
    page = phone.url
    hands.go_two_way(phone, page)
    shot(phone, "01-defaults")
    hands.choose_defaults(phone)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Before you go bidirectional")
    assert books.count("mutating") == 0
    phone.get_by_role("checkbox", name="Nina New").check()
    hands.press(phone, "Update the figures")
    shot(phone, "02-preview")
    hands.press(phone, "Go bidirectional, send 2 changes")
    expect(phone.get_by_text(f"{ORGANISATION} is bidirectional")).to_be_visible()
    shot(phone, "03-bidirectional")
    assert_equal_books(books, local)
    return page
