"""The pages in a real browser: nothing for axe to find, no sideways scrolling on a phone."""

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tests.sandbox.client import SCOPES, SERVED_REDIRECT, Start

pytestmark = pytest.mark.browser


def addresses(base: str) -> dict[str, str]:
    """One address of every page."""
    tenant = httpx2.get(f"{base}/sandbox/organisations").json()[0]["tenant"]
    ask = httpx2.QueryParams(
        response_type="code",
        client_id="SANDBOXCLIENT",
        redirect_uri=SERVED_REDIRECT,
        scope=SCOPES,
        state="x",
    )
    made = httpx2.post(
        f"{base}/sandbox/act/record-payment",
        json={"tenant": tenant, "invoice": open_number(base, tenant), "amount": "0.01"},
    ).json()
    invoice = made["Invoice"]["InvoiceID"]
    for action, allocate in (("receive-overpayment", "0.02"), ("receive-prepayment", "0.01")):
        given = {"tenant": tenant, "invoice": invoice, "amount": "9", "allocate": allocate}
        assert httpx2.post(f"{base}/sandbox/act/{action}", json=given).status_code == 200
    httpx2.post(f"{base}/sandbox/faults", json={"kind": "error_500", "path": "/nowhere"})
    return {
        "home": base,
        "invoices": f"{base}/org/{tenant}",
        "invoice": f"{base}/org/{tenant}/invoice/{invoice}",
        "contacts": f"{base}/org/{tenant}/contacts",
        "settings": f"{base}/org/{tenant}/settings",
        "consent": f"{base}/identity/connect/authorize?{ask}",
        "error": f"{base}/identity/connect/authorize",
    }


def open_number(base: str, tenant: str) -> str:
    """The number of an invoice that can be paid, read from the page."""
    text = httpx2.get(f"{base}/org/{tenant}").text
    row = next(r for r in text.split("<tr") if ">AUTHORISED<" in r)
    return row.split("</a>")[0].rpartition(">")[2]


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {n['html']}" for v in found for n in v["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_is_accessible_and_fits(
    start: Start, browser: Browser, scheme: str, width: int
) -> None:
    _, base = start()
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        java_script_enabled=True,
        bypass_csp=True,
    )
    page = context.new_page()
    for name, address in addresses(base).items():
        page.goto(address)
        for folded in page.locator("summary").all():
            folded.click()
        assert violations(page) == [], name
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} wide"


def test_a_person_allows_access_without_scripts(start: Start, browser: Browser) -> None:
    _, base = start()
    page = browser.new_context(java_script_enabled=False).new_page()
    landed: list[str] = []
    page.route(
        f"{SERVED_REDIRECT}*",
        lambda route: (landed.append(route.request.url), route.fulfill(body="back")),
    )
    page.goto(addresses(base)["consent"])
    page.get_by_label("Demo Company (NZ)").check()
    page.get_by_role("button", name="Allow access").click()
    page.get_by_text("back").wait_for()
    assert httpx2.URL(landed[0]).params["state"] == "x"
    assert httpx2.URL(landed[0]).params["code"]
