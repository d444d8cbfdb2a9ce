"""The pages on the way to bidirectional and back: accessible, in both themes and widths."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.e2e.conftest import Product, sign_in
from tests.e2e.test_every_page import look
from tests.e2e.test_story import allow_and_pick, press_connect, wait_for_import

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_the_way_to_bidirectional_and_back_is_accessible(
    product: Product, browser: Browser
) -> None:
    product.person("ways@example.com", "Both Ways")
    page = browser.new_page()
    sign_in(page, product, "ways@example.com")
    press_connect(page, product)
    allow_and_pick(page, "Demo Company (UK)")
    wait_for_import(page)
    organisation = re.sub(r"progress/$", "", page.url.removeprefix(product.url))
    wrong = look(page, product, f"{organisation}stayed/other_user/")
    allow_changes(page, product, organisation)
    wrong += look(page, product, f"{organisation}defaults/", "first-")
    choose_defaults(page, product, organisation)
    wrong += look(page, product, f"{organisation}preview/")
    page.goto(f"{product.url}{organisation}preview/")
    page.get_by_role("button", name="Go bidirectional").click()
    expect(page.get_by_text("is bidirectional.")).to_be_visible()
    for part in ("", "defaults/", "preview/", "one-way/", "disconnect/"):
        wrong += look(page, product, organisation + part, "two-")
    for part in ("", "conflicts/", "outbox/"):
        wrong += look(page, product, f"/settings/integrations/{part}", "two-")
    page.goto(f"{product.url}{organisation}one-way/")
    page.get_by_role("button", name="Only read from now on").click()
    expect(page.get_by_text("Nothing is sent to Xero.")).to_be_visible()
    page.close()
    assert not wrong, "\n".join(wrong)


def allow_changes(page: Page, product: Product, organisation: str) -> None:
    """Choose Bidirectional, and allow it at Xero."""
    page.goto(product.url + organisation)
    page.get_by_role("radio", name=re.compile("Bidirectional")).check()
    page.get_by_role("button", name="Change direction").click()
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Allow access").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Defaults for Xero")


def choose_defaults(page: Page, product: Product, organisation: str) -> None:
    """The first account, rate and receiving account of the lists."""
    page.goto(f"{product.url}{organisation}defaults/")
    for label in ("Account for sales", "Tax rate", "GBP payments"):
        page.get_by_label(label).select_option(index=1)
    page.get_by_role("switch").check()
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Before you go bidirectional")
