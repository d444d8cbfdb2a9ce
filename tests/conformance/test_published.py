"""Our digest of Xero's API files says what they say, and what changes in them is named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conformance.published import (
    FILES,
    FOLDER,
    LICENCE,
    Reader,
    differences,
    drift,
    heading,
    known,
    main,
    there,
)

pytestmark = pytest.mark.layer("schema")
Cases = Callable[[int], None]

ACCOUNTING = """
info: {version: 1.0.0}
paths:
  /Invoices:
    get:
      responses:
        "200":
          content: {application/json: {schema: {$ref: "#/components/schemas/Invoices"}}}
  /Invoices/{InvoiceID}/pdf:
    get: {responses: {"200": {description: beside}}}
  /Quotes:
    get: {responses: {"200": {description: not served}}}
components:
  schemas:
    Invoices:
      properties:
        Invoices: {type: array, items: {$ref: "#/components/schemas/Invoice"}}
    Invoice:
      properties:
        InvoiceID: {type: string, format: uuid}
        Total: {type: number}
        Date: {type: string, x-is-msdate: true}
        UpdatedDateUTC: {type: string, x-is-msdate-time: true}
        Reference: {type: string, maxLength: 255}
        Country: {$ref: "#/components/schemas/CountryCode"}
        Status: {type: string, enum: [DRAFT, PAID]}
        Contact: {properties: {Name: {type: string}}}
    CountryCode: {type: string, enum: [NO, NZ]}
"""
IDENTITY = """
info: {version: 1.0.0}
paths:
  /Connections/{id}:
    delete: {responses: {"204": {description: done}}}
components: {schemas: {AccessToken: {properties: {expires_in: {type: integer}}}}}
"""
HOOKS = """
info: {version: 1.0.0}
components:
  schemas:
    WebhookEvent:
      properties:
        events:
          type: array
          items:
            properties:
              eventType: {type: string, oneOf: [{const: CREATE}, {const: UPDATE}]}
    CreditNoteWebhookEvent:
      allOf:
        - $ref: "#/components/schemas/WebhookEvent"
        - properties:
            events:
              items:
                properties: {data: {properties: {Type: {type: string}}}}
"""
CHANGES = {
    "Total: {type: number}": ("Total: {type: string}", "Invoice.Total: was number, now text"),
    "[DRAFT, PAID]": ("[DRAFT, PAID, SENT]", "Invoice.Status: new word SENT"),
    "[NO, NZ]": ("[NZ]", "CountryCode: word gone: NO"),
    "Date: {type: string, x-is-msdate: true}": (
        "Date: {type: string}", "Invoice.Date: was day, now text"
    ),
    "maxLength: 255": ("maxLength: 50", "Invoice.Reference: was text <= 255, now text <= 50"),
    "        Total: {type: number}\n": ("", "Invoice.Total: gone, was number"),
    "{Name: {type: string}}": (
        "{Name: {type: string}, Born: {type: integer}}", "Invoice.Contact.Born: new: integer"
    ),
    'get:\n      responses:\n        "200"': (
        'get:\n      responses:\n        "201"', "GET /Invoices 201: new: Invoices"
    ),
}  # fmt: skip
"""What somebody at Xero may change in the file, and the line that names it."""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A small set of API files of our own."""
    for name, text in zip(FILES, (ACCOUNTING, IDENTITY, HOOKS), strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_kind_of_field_has_its_word(files: Path, cases: Cases) -> None:
    cases(1)
    digest = Reader(files).digest()
    assert digest["objects"]["Invoice"] == {
        "Contact": "Invoice.Contact",
        "Country": "CountryCode",
        "Date": "day",
        "InvoiceID": "uuid",
        "Reference": "text <= 255",
        "Status": "one of DRAFT | PAID",
        "Total": "number",
        "UpdatedDateUTC": "instant",
    }
    assert digest["objects"]["CountryCode"] == "one of NO | NZ"
    assert digest["objects"]["CreditNoteWebhookEvent.events"] == {
        "data": "CreditNoteWebhookEvent.events.data",
        "eventType": "one of CREATE | UPDATE",
    }
    assert digest["answers"] == {
        "DELETE /Connections/{id}": {"204": "nothing"},
        "GET /Invoices": {"200": "Invoices"},
    }


@pytest.mark.parametrize("old", CHANGES)
def test_a_change_of_the_file_is_named(files: Path, old: str, cases: Cases) -> None:
    cases(1)
    was = Reader(files).digest()
    assert differences(was, Reader(files).digest()) == []
    new, line = CHANGES[old]
    assert ACCOUNTING.count(old) == 1
    (files / FILES[0]).write_text(ACCOUNTING.replace(old, new), encoding="utf-8")
    named = differences(was, Reader(files).digest())
    assert line in named
    assert len([one for one in named if not one.startswith((FILES[0], "GET"))]) <= 1
    assert any(one.startswith(f"{FILES[0]}: is version 1.0.0, sha256 ") for one in named)


def test_the_digest_says_whose_it_is(cases: Cases) -> None:
    cases(1)
    origin = known()["from"]
    assert origin["licence"] == LICENCE
    assert re.fullmatch("[0-9a-f]{40}", origin["commit"])
    assert all(len(file["sha256"]) == 64 for file in origin["files"].values())


def test_the_digest_is_current_where_the_files_are(cases: Cases) -> None:
    """Without them the head of the run says loudly that nobody looked."""
    cases(1)
    assert ("NOT HERE" in heading()) is not there()
    assert not there() or drift() == []


def test_an_edited_copy_of_the_real_files_is_noticed(tmp_path: Path, cases: Cases) -> None:
    """Or of the digest's own words, where the real ones are not here."""
    cases(1)
    was = known()
    now = known()
    if there():
        for name in FILES:
            shutil.copy(FOLDER / name, tmp_path / name)
        file = tmp_path / FILES[0]
        file.chmod(0o600)
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("- AUTHORISED\n", "- APPROVED\n"), encoding="utf-8")
        now = Reader(tmp_path).digest()
    else:
        status = now["objects"]["Payment"]["Status"]
        now["objects"]["Payment"]["Status"] = status.replace("AUTHORISED", "APPROVED")
    named = differences(was, now)
    assert "Payment.Status: new word APPROVED" in named
    assert "Payment.Status: word gone: AUTHORISED" in named


def test_the_command_names_what_differs(
    files: Path, tmp_path: Path, cases: Cases, capsys: pytest.CaptureFixture[str]
) -> None:
    cases(2)
    assert main(["--files", str(files)]) == 1
    assert "Invoice.AmountPaid: gone, was number" in capsys.readouterr().out
    assert main(["--files", str(tmp_path / "nowhere")]) == 2
    assert "no xero_accounting.yaml" in capsys.readouterr().err
    assert "NOT HERE" in heading(tmp_path / "nowhere")
