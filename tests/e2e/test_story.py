"""The whole story on a phone: connect, import, a change in Xero, disconnect, come back."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import httpx2
import pytest
from playwright.sync_api import Page, expect
from tests.e2e.conftest import ARTEFACTS, Product, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
NZ = "Demo Company (NZ)"
EMAIL = "story@example.com"


def press_connect(page: Page, product: Product) -> None:
    """From anywhere to Xero's consent page."""
    page.goto(f"{product.url}/settings/integrations/xero/")
    page.get_by_role("button", name="Connect Xero").click()


def allow_and_pick(page: Page, name: str) -> None:
    """Allow both organisations at Xero, and start the first import of `name`."""
    expect(page.get_by_role("button", name="Allow access")).to_be_visible()
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Allow access").click()
    page.get_by_role("radio", name=re.compile(re.escape(name))).check()
    page.get_by_role("button", name="Import from this organisation").click()


def wait_for_import(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Your invoices are here", timeout=30_000
    )


def bills_told(product: Product) -> dict[int, dict[str, object]]:
    """All bills of her business by id, as the API tells them."""
    words = ("token", "create", "--user", EMAIL, "--business", "Story", "--name", "t", "--json")
    headers = {"authorization": f"Bearer {json.loads(product.command(*words))['token']}"}
    rows: dict[int, dict[str, object]] = {}
    params: dict[str, str] = {"limit": "100"}
    while True:
        answer = httpx2.get(
            f"{product.url}/api/v1/bills", params=params, headers=headers, trust_env=False
        ).json()
        rows |= {row["id"]: row for row in answer["items"]}
        if not answer["next_cursor"]:
            return rows
        params["cursor"] = answer["next_cursor"]


def tenant_of(product: Product, name: str) -> str:
    """Xero's id of an organisation."""
    rows = httpx2.get(f"{product.xero}/sandbox/organisations", trust_env=False).json()
    return str(next(row["tenant"] for row in rows if row["name"] == name))


def shot(page: Page, name: str) -> None:
    """Keep a picture of this moment of the story."""
    page.screenshot(path=ARTEFACTS / f"story-{name}.png", full_page=True)


def change_in_xero(page: Page, product: Product, number: str, unit_amount: str) -> None:
    """As the Xero user, in her own browser tab: another price on an invoice's first line."""
    page.goto(f"{product.xero}/")
    page.get_by_role("link", name=re.compile(re.escape(NZ))).first.click()
    page.locator("input[name=q]").fill(number)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=number).first.click()
    page.locator("input[name=unit_amount]").first.fill(unit_amount)
    page.get_by_role("button", name="Save line 1").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(number)


def an_open_bill(bills: dict[int, dict[str, object]]) -> dict[str, object]:
    """One in the organisation's own currency with nothing paid or credited yet."""
    return next(
        bill
        for bill in bills.values()
        if bill["status"] in ("active", "overdue")
        and bill["currency"] == "NZD"
        and Decimal(str(bill["outstanding"])) == Decimal(str(bill["total"]))
    )


def test_the_whole_story_on_a_phone(product: Product, phone: Page) -> None:
    product.person(EMAIL, "Story")
    sign_in(phone, product, EMAIL)
    press_connect(phone, product)
    allow_and_pick(phone, NZ)
    wait_for_import(phone)
    shot(phone, "1-imported")
    imported = bills_told(product)
    assert len(imported) > 15
    bill = an_open_bill(imported)

    bill_page = f"{product.url}/bills/{bill['id']}/"
    phone.goto(bill_page)
    expect(phone.get_by_text("Read-only from Xero").first).to_be_visible()
    shot(phone, "2-bill")
    change_in_xero(phone, product, str(bill["number"]), "123.45")
    shot(phone, "3-xero")
    phone.goto(bill_page)
    phone.get_by_role("button", name="Sync now").click()
    expect_after_reloads(phone, bill_page, "123.45")
    changed = bills_told(product)[int(str(bill["id"]))]
    assert changed["total"] != bill["total"]
    amount = f"{Decimal(str(changed['outstanding'])):,.2f}"
    expect(phone.locator(".final").first).to_contain_text(amount)
    expect(phone.locator("section", has_text="History").last).to_contain_text("123.45")
    shot(phone, "4-changed")

    organisation = f"{product.url}/settings/integrations/"
    phone.goto(organisation)
    phone.get_by_role("link", name=re.compile(re.escape(NZ))).first.click()
    phone.get_by_role("link", name=re.compile("Disconnect")).click()
    shot(phone, "5-disconnect")
    phone.get_by_role("button", name="Disconnect, keep my bills").click()
    phone.goto(bill_page)
    expect(phone.get_by_text("No longer synced").first).to_be_visible()
    shot(phone, "6-parted")
    assert same_money(bills_told(product)) == same_money(imported | {int(str(bill["id"])): changed})

    press_connect(phone, product)
    allow_and_pick(phone, NZ)
    wait_for_import(phone)
    phone.goto(bill_page)
    expect(phone.get_by_text("Read-only from Xero").first).to_be_visible()
    shot(phone, "7-again")
    again = bills_told(product)
    assert again.keys() == imported.keys()
    assert product.command("verify", "--organisation", NZ, "--json").count('"drift": 0') == 1


def expect_after_reloads(page: Page, url: str, text: str) -> None:
    """The words appear once the sync has run; without script a person reloads."""
    for _ in range(120):
        if page.get_by_text(text).count():
            return
        page.wait_for_timeout(250)
        page.goto(url)
    expect(page.get_by_text(text).first).to_be_visible()


def same_money(bills: dict[int, dict[str, object]]) -> dict[int, list[object]]:
    """What must not change by a disconnect."""
    names = ("number", "status", "total", "outstanding", "paid", "credited", "currency")
    return {pk: [bill[name] for name in names] for pk, bill in bills.items()}
