"""Every page that can be reached: no axe violation, no sideways scroll, nothing blocked by the
content policy; at 390 and 1280 px, light and dark. Screenshots stay in artifacts/pages/."""

from __future__ import annotations

import re
from collections import deque
from decimal import Decimal
from typing import Literal
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page
from tests.e2e import hands
from tests.e2e.conftest import ARTEFACTS, Product, sign_in, violations
from tests.e2e.hands import Books
from tests.e2e.test_story import (
    allow_and_pick,
    expect_after_reloads,
    press_connect,
    tenant_of,
    wait_for_import,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

Theme = Literal["light", "dark"]
WIDTHS = {390: 844, 1280: 900}
THEMES: dict[Theme, tuple[str, ...]] = {"light": (), "dark": ("color-contrast",)}
"""In light every rule is asked; what the dark theme can spoil is contrast."""

SIZE = "(page => [page.scrollWidth, page.scrollHeight])(document.documentElement)"
SIGNED_OUT = ["/account/login/", "/account/signup/", "/account/password/reset/"]
ODD = ["/bills/999999999/", "/no-such-page/", "/bills/?q=nothing+is+called+so"]
OUTCOMES = ["consent_refused", "sign_in_expired", "no_organisation", "permission_missing"]
NOT_PAGES = re.compile(r"^/(api/v1/openapi\.json|metrics|livez|readyz|static/|account/logout)")


def route(path: str) -> str:
    """Pages that differ by an id or a query are one page, but for their kinds of query."""
    parts = urlsplit(path)
    names = sorted({pair.split("=")[0] for pair in parts.query.split("&") if pair})
    return re.sub(r"\d+", "N", parts.path) + ("?" + "&".join(names) if names else "")


def links(page: Page, product: Product) -> list[str]:
    found = page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
    absolute = [urljoin(page.url, href) for href in found]
    ours = [url for url in absolute if url.startswith(product.url + "/")]
    return [url[len(product.url) :].split("#")[0] for url in ours]


def crawl(page: Page, product: Product, start: str) -> list[str]:
    """One path of each route that links lead to."""
    seen: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        path = waiting.popleft()
        if route(path) in seen or NOT_PAGES.match(path):
            continue
        answer = page.goto(product.url + path)
        assert answer is not None
        assert answer.status < 500, path
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        seen[route(path)] = path
        waiting.extend(links(page, product))
    return list(seen.values())


def look(page: Page, product: Product, path: str, prefix: str = "") -> list[str]:
    """Everything wrong with one page, in both widths and both themes."""
    blocked: list[str] = []
    page.on("console", lambda m: blocked.append(m.text) if "Content Security" in m.text else None)
    answer = page.goto(product.url + path)
    assert answer is not None
    assert answer.status < 500, path
    name = prefix + (re.sub(r"\W+", "-", route(path)).strip("-") or "home")
    return judge(page, path, name) + [f"{path}: {text}" for text in blocked]


def judge(page: Page, path: str, name: str) -> list[str]:
    """The same of the page as it is now; its pictures are kept under this name."""
    wrong: list[str] = []
    usual = page.viewport_size
    page.wait_for_load_state()
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        wide, tall = page.evaluate(SIZE)
        if wide > width:
            wrong.append(f"{path}: {wide} px wide at {width}")
        page.set_viewport_size({"width": width, "height": max(tall, height)})
        for theme, rules in THEMES.items():
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            wrong += [f"{path} {width} {theme}: {v}" for v in violations(page, rules)]
            shot = ARTEFACTS / "pages" / f"{name}-{width}-{theme}.jpg"
            page.screenshot(path=shot, type="jpeg", quality=80)
    if usual is not None:
        page.set_viewport_size(usual)
    return wrong


def test_every_page_is_accessible_in_both_themes_and_widths(
    product: Product, browser: Browser
) -> None:
    product.person("pages@example.com", "Every Page")
    page = browser.new_page()
    wrong = [w for path in SIGNED_OUT for w in look(page, product, path)]
    sign_in(page, product, "pages@example.com")
    wrong += [w for path in ("/", "/bills/", "/clients/") for w in look(page, product, path, "0-")]
    press_connect(page, product)
    allow_and_pick(page, "Demo Company (UK)")
    wait_for_import(page)
    paths = crawl(page, product, "/")
    assert len(paths) > 25, paths
    for path in [*paths, *ODD]:
        wrong += look(page, product, path)
    for code in OUTCOMES:
        wrong += look(page, product, f"/settings/integrations/xero/outcome/{code}/", f"{code}-")
    organisation = next(p for p in paths if re.fullmatch(r"/settings/integrations/xero/\d+/", p))
    bill = next(p for p in paths if re.fullmatch(r"/bills/\d+/", p))
    lose(page, product, organisation)
    for path in ("/", "/bills/", bill, organisation):
        wrong += look(page, product, path, "lost-")
    page.goto(f"{product.url}{organisation}disconnect/")
    page.get_by_role("button", name="Disconnect, keep my bills").click()
    for path in ("/", bill, organisation, "/settings/integrations/"):
        wrong += look(page, product, path, "parted-")
    page.close()
    assert not wrong, "\n".join(wrong)


def test_every_page_of_both_ways_is_accessible_in_both_themes_and_widths(
    product: Product, browser: Browser
) -> None:
    product.act("revoke")
    product.person("pages2@example.com", "Every Way")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    sign_in(page, product, "pages2@example.com")
    books = Books(product, "pages2@example.com", "Every Way", "Demo Company (UK)")
    here = bills_only_here(page, books)
    press_connect(page, product)
    allow_and_pick(page, books.organisation)
    wait_for_import(page)
    identity = books.get("/organisations")["items"][0]["id"]
    organisation = f"/settings/integrations/xero/{identity}/"
    lists = "/settings/integrations"
    wrong: list[str] = []

    def see(prefix: str, *paths: str) -> None:
        for path in paths:
            wrong.extend(look(page, product, path, f"two-{prefix}"))

    see("", f"{organisation}stayed/consent_refused/", f"{organisation}stayed/other_user/")
    hands.go_two_way(page, product.url + organisation)
    see("first-", f"{organisation}defaults/")
    hands.choose_defaults(page)
    see("", f"{organisation}preview/")
    hands.press(page, "Tick all")
    wrong += judge(page, "preview, all ticked", "two-ticked-preview")
    hands.press(page, "Untick all")
    hands.press(page, "Go bidirectional, send nothing now")
    see("empty-", f"{lists}/conflicts/", f"{lists}/outbox/")
    states = bills_in_every_state(page, books, here)
    for state, pk in states.items():
        see(f"{state}-", f"/bills/{pk}/", f"/bills/{pk}/edit/")
    linked, paid = states["conflict"], states["refused"]
    payment = next(p["id"] for p in books.bill(paid)["payments"])
    see("", f"/bills/{linked}/void/", f"/bills/{linked}/discard/", f"/bills/{paid}/payments/new/")
    see("", f"/bills/{paid}/payments/{payment}/remove/", f"/bills/new/?client={here}")
    see("", first_past(page, product, linked), "/", "/bills/", "/clients/", organisation)
    see("", f"{lists}/", f"{lists}/conflicts/", f"{lists}/outbox/", f"{organisation}defaults/")
    see("more-", f"{organisation}preview/")
    for state in ("waiting", "parked", "refused"):
        see(f"{state}-", f"{lists}/outbox/?state={state}")
    see("", f"{organisation}one-way/", f"{organisation}disconnect/")
    page.goto(f"{product.url}{organisation}one-way/")
    hands.press(page, "Only read from now on")
    see("aside-", f"/bills/{linked}/", f"/bills/{states['waiting']}/", f"{lists}/conflicts/")
    see("aside-", f"{lists}/outbox/", f"{organisation}preview/", organisation)
    page.close()
    assert not wrong, "\n".join(wrong)


def bills_only_here(page: Page, books: Books) -> int:
    """One that may go, one whose client looks like a contact, one whose number Xero has; the
    client of the first."""
    client = hands.new_client(page, books, "Nina <New> " + "Ünbreakable" * 8)
    hands.new_bill(page, books, client, "L-1", "50")
    hands.new_bill(page, books, client, "INV-0001", "70")
    alike = hands.new_client(page, books, "prospect without invoices")
    hands.new_bill(page, books, alike, "L-2", "1234567.89")
    return client


def bills_in_every_state(page: Page, books: Books, client: int) -> dict[str, int]:
    """State -> a bill in it: overridden, refused, parked, waiting, with locks, and as it was."""
    rows = [row for row in books.bills(status="active") if row["number"].startswith("INV-")]
    usual = [row for row in rows if row["currency"] == "GBP" and row["sync"]["organisation"]]
    fresh = iter(row["id"] for row in usual if Decimal(row["total"]) == Decimal(row["outstanding"]))
    states = {"conflict": next(fresh), "refused": next(fresh), "waiting": next(fresh)}
    states["locked"] = next(r["id"] for r in usual if Decimal(r["paid"]) > 0)
    states["parked"] = books.by_number("L-2")["id"]
    number = books.bill(states["conflict"])["number"]
    books.act("edit-invoice", invoice=number, reference="Theirs <i>", due_date="2026-12-24")
    books.act("edit-line", invoice=number, line=0, description="Theirs", unit_amount="1")
    hands.change_bill(
        page, books, states["conflict"], Reference="Ours " * 20, Due="2027-01-31", Price="2"
    )
    books.settled(states["conflict"])
    page.goto(f"{books.product.url}/bills/{states['parked']}/")
    page.get_by_role("button", name=re.compile("Also create in Xero")).click()
    books.act("archive-account", account="090")
    hands.pay(page, books, states["refused"], "5.00")
    books.settled(states["refused"])
    books.act("restore-account", account="090")
    books.fault(kind="offline", count=None)
    hands.change_bill(page, books, states["waiting"], Reference="Waits")
    states["leaving"] = hands.new_bill(page, books, client, "L-9", "9", also=True)
    return states


def first_past(page: Page, product: Product, bill: int) -> str:
    """The page of a bill as it once was."""
    page.goto(f"{product.url}/bills/{bill}/")
    found = page.get_by_role("link", name=re.compile("as it was then")).last.get_attribute("href")
    assert found is not None
    return found


def lose(page: Page, product: Product, organisation: str) -> None:
    """Somebody disconnects the app inside Xero, and the next sync notices."""
    product.act("disconnect", tenant=tenant_of(product, "Demo Company (UK)"))
    page.goto(product.url + organisation)
    page.get_by_role("button", name="Sync now").click()
    expect_after_reloads(page, product.url + organisation, "Reconnect Xero")
