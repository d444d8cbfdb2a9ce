"""The examples in Xero's published API file, each read as an answer would be.

The file is Xero's and not part of this repository: it is looked for beside it, or where
JUSTPAYME_XERO_SPECS points. Request bodies are not answers and are left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml
from tests.generated import ROOT

from justpayme.core.errors import Problem
from justpayme.xero import translate, wire

FOLDER = Path(os.environ.get("JUSTPAYME_XERO_SPECS") or ROOT.parent / "shared/xero/specs")
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
