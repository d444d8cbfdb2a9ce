"""The examples in Xero's published API file, each read as an answer would be.

The file is Xero's and not part of this repository: it is looked for beside it, or where
JUSTPAYME_XERO_SPECS points. Request bodies are not answers and are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import yaml
from tests.conformance.published import FOLDER

from justpayme.core.errors import Problem
from justpayme.xero import translate, wire
from justpayme.xero.answer import Answer, read
from justpayme.xero.errors import TokenExpired
from justpayme.xero.outgoing import Request

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FILE = FOLDER / "xero_accounting.yaml"


def _invoice(said: wire.Invoice) -> object:
    if not translate.in_scope(said, drafts=True, linked=False):
        return None
    return translate.to_bill(said)


READERS: dict[str, tuple[Any, Any, Callable[[Any], object]]] = {
    "Invoices": (wire.Invoice, wire.Invoices, _invoice),
    "Contacts": (wire.Contact, wire.Contacts, translate.to_client),
    "Payments": (wire.Payment, wire.Payments, translate.to_payment),
    "CreditNotes": (wire.CreditNote, wire.CreditNotes, translate.to_credits),
    "Accounts": (wire.Account, wire.Accounts, msgspec.to_builtins),
    "BrandingThemes": (wire.BrandingTheme, wire.BrandingThemes, msgspec.to_builtins),
    "TaxRates": (wire.TaxRate, wire.TaxRates, msgspec.to_builtins),
    "Organisations": (wire.Organisation, wire.Organisations, translate.to_organisation),
}
"""Envelope key -> one object, the whole answer, and what makes it ours."""


@dataclass(frozen=True)
class Example:
    """One object in one answer. `place` is unique: method, path, status, key and number."""

    place: str
    kind: str
    said: dict[str, Any]

    def trouble(self) -> str:
        """Why it can't be read; empty if it can."""
        single, _, ours = READERS[self.kind]
        try:
            ours(wire.decode(single, json.dumps(self.said).encode()))
        except Problem as problem:
            return problem.detail
        return ""


class _Loader(yaml.CSafeLoader):
    """Dates stay text, as they are in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith(":timestamp")]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    """(method, path and status; the example) of every answer in the file."""
    with FILE.open(encoding="utf-8") as file:
        api = yaml.load(file, Loader=_Loader)  # noqa: S506 — a safe loader
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            if method in {"get", "put", "post", "delete"}:
                for status, answer in operation["responses"].items():
                    said = answer.get("content", {}).get("application/json", {}).get("example")
                    if isinstance(said, dict):
                        yield f"{method.upper()} {path} {status}", said


WRITES = re.compile(r"(PUT|POST) /(Invoices|Payments|Contacts)(/\{\w+ID\})? (200|400)")


def judged() -> dict[str, str]:
    """Place -> what the answer to a write comes to, and what each element of it does."""
    found = {}
    for place, said in answers():
        if match := WRITES.fullmatch(place):
            method, plural, _, status = match.groups()
            count = len(said.get(plural) or said["Elements"])
            body = json.dumps({plural: [{}] * count}).encode()
            request = Request("PUT" if method == "PUT" else "POST", plural, (), body)
            headers = {"content-type": "application/json"}
            answer = read(request, int(status), headers, json.dumps(said).encode(), NOW)
            found[place] = _told(answer)
    return found


def _told(answer: Answer | TokenExpired) -> str:
    assert isinstance(answer, Answer)
    elements = ["taken" if e.ok else e.code() for e in answer.elements]
    return " ".join([answer.outcome, *elements])


def examples() -> list[Example]:
    """Every object of the kinds that we read."""
    return [
        Example(f"{where} {kind}[{number}]", kind, said)
        for where, answer in answers()
        for kind in READERS.keys() & answer.keys()
        for number, said in enumerate(answer[kind])
    ]


def envelopes() -> list[tuple[str, str, str]]:
    """(place, kind, trouble or nothing) of every whole answer."""
    found = []
    for where, answer in answers():
        for kind in READERS.keys() & answer.keys():
            try:
                wire.decode(READERS[kind][1], json.dumps(answer).encode())
            except Problem as problem:
                found.append((where, kind, problem.detail))
            else:
                found.append((where, kind, ""))
    return found
