"""What every page keeps to: no change by reading, no forged form, escaped text, headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client as Browser
from tests.security.calls import path_of, send
from tests.security.routes import ROWS
from tests.security.world import EVIL, World, fingerprint, fresh, linked_bill

PAGES = [route for route in ROWS if not route.startswith("api/v1/") or route == "api/v1/docs"]
READABLE = [route for route, row in ROWS.items() if "GET" in row.methods]
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
PROBES = {"livez", "readyz", "metrics"}


class Seen(HTMLParser):
    """Whatever in a page could act: foreign elements, handlers, scripts, javascript: addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.dangers: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag in ("x-evil", "iframe", "object", "embed", "base"):
            self.dangers.append(f"<{tag}>")
        if tag in ("script", "img") and not named.get("src", "").startswith("/static/"):
            self.dangers.append(f"<{tag} src={named.get('src')!r}>")
        for name, value in named.items():
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.dangers.append(f"{tag} {name}={value[:40]!r}")
            scheme = "".join(value.split()).lower()
            if name in ("href", "src", "action", "formaction", "hx-get", "hx-post") and (
                scheme.startswith(("javascript:", "data:", "vbscript:"))
            ):
                self.dangers.append(f"{tag} {name}={value[:40]!r}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def seen_in(answer: Any) -> Seen:
    seen = Seen()
    seen.feed(answer.content.decode())
    return seen


@dataclass(frozen=True)
class Reading:
    """An answer, and every row after it was given."""

    answer: Any
    rows: dict[str, str]


Read = Callable[[str, str], Reading]


@pytest.fixture(scope="module")
def readings() -> dict[tuple[str, str], Reading]:
    """What was read so far: several tests judge the same answers."""
    return {}


@pytest.fixture
def read(world: World, readings: dict[tuple[str, str], Reading]) -> Read:
    """`read(route, who)`: read once in this file, in a browser of its own, and taken back."""

    def reading(route: str, who: str) -> Reading:
        if (route, who) not in readings:
            alone = replace(world, browsers={who: fresh(world.browsers[who])})
            with transaction.atomic():
                answer = send(alone, who, "GET", route, path_of(route, world, "own"))
                readings[route, who] = Reading(answer, fingerprint())
                transaction.set_rollback(True)
        return readings[route, who]

    return reading


def test_reading_every_address_changes_nothing(world: World, read: Read) -> None:
    before = fingerprint()
    for route in READABLE:
        for who in ("alice", "vera", "anonymous"):
            seen = read(route, who)
            assert seen.answer.status_code < 500, (route, who)
            assert seen.rows == before, (route, who)


@pytest.mark.parametrize("route", [r for r in READABLE if r in PAGES and r not in PROBES])
def test_hostile_text_stays_text_on_every_page(read: Read, route: str) -> None:
    answer = read(route, "alice").answer
    if answer.status_code == 200 and "html" in answer["Content-Type"]:
        assert seen_in(answer).dangers == []


def test_the_hostile_text_really_is_on_the_pages(world: World) -> None:
    """Without this the test above could pass on pages that show nothing."""
    for path in ("/bills/", "/clients/", f"/bills/{linked_bill(world.own).pk}/", "/settings/"):
        text = "".join(seen_in(world.browsers["alice"].get(path)).text)
        assert "<x-evil onevil=evil()>" in text, path


def test_hostile_text_typed_into_a_form_comes_back_as_text(world: World) -> None:
    alice = world.browsers["alice"]
    typed = dict.fromkeys(("name", "email", "phone", "address", "tax_number", "number"), EVIL)
    for path in ("/clients/new/", "/bills/new/", f"/clients/{world.own.ids['client']}/edit/"):
        answer = alice.post(path, typed | {"client": EVIL, "lines-0-description": EVIL})
        assert answer.status_code < 500
        assert seen_in(answer).dangers == []


@pytest.mark.parametrize("path", ["/bills/", "/clients/"])
def test_hostile_text_in_a_search_comes_back_as_text(world: World, path: str) -> None:
    for name in ("q", "search", "sort", "status", "client", "organisation", "before", "after"):
        answer = world.browsers["alice"].get(path, {name: EVIL})
        assert answer.status_code < 500, name
        assert seen_in(answer).dangers == []


@pytest.mark.parametrize("route", READABLE)
def test_every_answer_carries_the_headers(read: Read, route: str) -> None:
    for who in ("alice", "anonymous"):
        answer = read(route, who).answer
        check_headers(answer, route)
        if route not in PROBES and route != "api/v1/openapi.json":
            assert "no-store" in answer["Cache-Control"], route


def check_headers(answer: Any, route: str) -> None:
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy, route
    for name, value in HEADERS.items():
        if name != "X-Frame-Options" or route not in PROBES:
            assert answer[name] == value, (route, name)
    assert answer["Referrer-Policy"] in ("same-origin", "no-referrer"), route
    assert "Server" not in answer


@pytest.mark.parametrize("path", ["/nothing/here", "/bills/999999999999/", "/api/v1/nothing"])
def test_an_error_page_carries_the_headers_too(world: World, path: str) -> None:
    answer = world.browsers["alice"].get(path)
    assert answer.status_code in (401, 404)
    check_headers(answer, path)


UNSAFE = [route for route, row in ROWS.items() if "POST" in row.methods and route in PAGES]


@pytest.mark.parametrize("route", UNSAFE)
def test_a_form_from_elsewhere_is_refused(world: World, route: str) -> None:
    before = fingerprint()
    for who in ("alice", "anonymous"):
        browser = Browser(enforce_csrf_checks=True, raise_request_exception=False)
        if who == "alice":
            browser.force_login(world.people["alice"])
        path = path_of(route, world, "own")
        answers = [
            browser.post(path, {}),
            browser.post(path, {"csrfmiddlewaretoken": "x" * 64}),
            browser.post(path, {}, headers={"Origin": "https://evil.example"}),
        ]
        assert {answer.status_code for answer in answers} == {ROWS[route].forged}
    assert {n: d for n, d in fingerprint().items() if n != "accounts_user"} == {
        n: d for n, d in before.items() if n != "accounts_user"
    }


def test_a_session_cookie_never_opens_the_api(world: World) -> None:
    before = fingerprint()
    for method in ("get", "post"):
        answer = getattr(world.browsers["alice"], method)("/api/v1/bills")
        assert answer.status_code == 401
    assert fingerprint() == before


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(world: World) -> None:
    assert settings.SESSION_COOKIE_HTTPONLY
    assert settings.CSRF_COOKIE_HTTPONLY
    answer = world.browsers["anonymous"].get("/account/login/")
    for cookie in answer.cookies.values():
        assert cookie["samesite"] == "Lax"
        assert cookie["httponly"]


NEXT = [
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "javascript:alert(1)",
    "https:evil.example",
    "/%09/evil.example",
    "\t//evil.example",
    "http://localhost@evil.example/",
]


@pytest.mark.parametrize("target", NEXT)
def test_no_form_leads_to_another_site(world: World, target: str) -> None:
    for path in ("/theme/", "/account/login/", "/account/logout/"):
        answer = world.browsers["alice"].post(path, {"next": target, "theme": "dark"})
        if answer.status_code in (301, 302):
            where = answer["Location"]
            assert where.startswith("/"), (path, where)
            assert not where.startswith(("//", "/\\", "/\t")), (path, where)
