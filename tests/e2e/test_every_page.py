"""Every page that can be reached: no axe violation, no sideways scroll, nothing blocked by the
content policy; at 390 and 1280 px, light and dark. Screenshots stay in artifacts/pages/."""

from __future__ import annotations

import re
from collections import deque
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page
from tests.e2e.conftest import ARTEFACTS, Product, sign_in, violations
from tests.e2e.test_story import (
    allow_and_pick,
    expect_after_reloads,
    press_connect,
    tenant_of,
    wait_for_import,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

WIDTHS = {390: 844, 1280: 900}
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
    wrong: list[str] = []
    blocked: list[str] = []
    page.on("console", lambda m: blocked.append(m.text) if "Content Security" in m.text else None)
    page.goto(product.url + path)
    name = prefix + (re.sub(r"\W+", "-", route(path)).strip("-") or "home")
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            wrong += [f"{path} {width} {theme}: {v}" for v in violations(page)]
            shot = ARTEFACTS / "pages" / f"{name}-{width}-{theme}.png"
            page.screenshot(path=shot, full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            wrong.append(f"{path}: {wide} px wide at {width}")
    return wrong + [f"{path}: {text}" for text in blocked]


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


def lose(page: Page, product: Product, organisation: str) -> None:
    """Somebody disconnects the app inside Xero, and the next sync notices."""
    product.act("disconnect", tenant=tenant_of(product, "Demo Company (UK)"))
    page.goto(product.url + organisation)
    page.get_by_role("button", name="Sync now").click()
    expect_after_reloads(page, product.url + organisation, "Reconnect Xero")
