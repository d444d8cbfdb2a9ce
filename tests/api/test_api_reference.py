"""The schema, the page that shows it, and the document made from it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client as Browser
from tests.api.given import Caller
from tests.generated import check_current

from justpayme.api.reference import markdown, operations
from justpayme.api.v1 import schema


def test_the_document_is_what_the_schema_says() -> None:
    check_current("api.md", markdown(schema()))


def test_the_schema_is_served_to_everybody(db: None) -> None:
    answer = Browser().get("/api/v1/openapi.json")
    assert answer.json() == schema()
    assert answer.json()["openapi"].startswith("3.")


class Links(HTMLParser):
    """Collects what a page would load, and text."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in ("script", "img", "link", "iframe"):
            self.loaded.append(named.get("src") or named.get("href") or "inline")
        self.inline += [name for name in named if name.startswith("on") or name == "style"]


def test_the_page_lists_every_operation_and_loads_nothing_from_elsewhere(db: None) -> None:
    answer = Browser().get("/api/v1/docs")
    text = answer.content.decode()
    for one in operations(schema()):
        assert one.summary in text.replace("&#x27;", "'")
        assert one.path in text
    found = Links()
    found.feed(text)
    assert found.loaded
    assert all(target.startswith("/static/") for target in found.loaded), found.loaded
    assert found.inline == []


@pytest.mark.parametrize("one", operations(schema()), ids=lambda one: str(one.name))
def test_every_operation_declares_its_refusals_and_says_what_it_does(one: Any) -> None:
    declared = {status for status, _ in one.answers}
    assert {"401", "405", "422", "429"} <= declared
    assert ("404" in declared) == ("{" in one.path)
    if one.body:
        assert {"400", "413", "415"} <= declared
    if one.method != "GET":
        assert {"403", "409"} <= declared
    assert one.summary
    assert one.about.endswith((".", ")"))
    assert any(status.startswith("2") for status in declared)


def test_every_error_in_the_schema_has_the_one_shape() -> None:
    for methods in schema()["paths"].values():
        for details in methods.values():
            for status, answer in details["responses"].items():
                reference = answer["content"]["application/json"]["schema"].get("$ref", "")
                assert (reference.endswith("/Error")) == (status >= "400")


def test_amounts_are_text_everywhere_in_the_schema() -> None:
    money = re.compile(r"total|paid$|credited|outstanding|amount$|rate$|quantity")
    for name, described in schema()["components"]["schemas"].items():
        for field, kind in described.get("properties", {}).items():
            if money.search(field):
                options = kind.get("anyOf", [kind])
                kinds = {option["type"] for option in options} - {"null"}
                assert kinds == {"string"}, (name, field)


def test_the_schema_says_bearer_token_for_every_operation() -> None:
    for methods in schema()["paths"].values():
        assert all(details["security"] == [{"BearerToken": []}] for details in methods.values())


def test_what_the_schema_promises_of_a_bill_is_what_comes(as_vera: Caller, bill: Any) -> None:
    promised = schema()["components"]["schemas"]["BillOut"]["properties"]
    assert set(as_vera.get(f"/bills/{bill.pk}").json()) == set(promised)
