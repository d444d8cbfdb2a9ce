"""Xero's words for a refusal, one code each: the table of docs/xero-facts.md drives these tests."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generated import ROOT

from justpayme.core.errors import CATALOGUE, Next
from justpayme.xero import refusals
from justpayme.xero.refusals import UNKNOWN, refusal
from xero_sandbox import checks

ROW = re.compile(r"^\| `(.+)` \| (\w+) \| (?:established|reported|assumed)", re.MULTILINE)
FACTS = (ROOT / "docs" / "xero-facts.md").read_text()
TABLE: list[tuple[str, str]] = ROW.findall(FACTS)


@pytest.mark.parametrize(("text", "code"), TABLE)
def test_a_refusal_has_its_code_however_it_is_spaced_or_written(text: str, code: str) -> None:
    for said in (text, text.upper(), f"  {text.replace(' ', '  ')}\n", f"Error: {text}"):
        assert refusal([said]) == code
    assert CATALOGUE[code].next is Next.PERSON


def test_the_table_has_every_text_that_we_know_and_no_text_is_there_in_vain() -> None:
    """Each pattern is the first to match some row; without it that row would be another."""
    assert len(TABLE) > 45
    for pattern, code in refusals._KNOWN:
        firsts = [next(p for p, _ in refusals._KNOWN if p.search(text)) for text, _ in TABLE]
        assert pattern in firsts, (pattern.pattern, code)


def test_every_refusal_of_the_local_xero_is_known() -> None:
    """All that are constants there; the others are met in tests/xero/test_writing.py."""
    texts = {v for n, v in vars(checks).items() if n.isupper() and isinstance(v, str) and " " in v}
    assert len(texts) > 12
    assert {text for text in texts if refusal([text]) == UNKNOWN} == set()


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [""],
        ["Something quite new about <b>invoices</b>"],
        ["' OR 1=1 --", "\x00\ud83d"],
        ["The payment"],
        ["contact"],
    ],
)
def test_an_unknown_refusal_is_shown_in_xeros_own_words(messages: list[str]) -> None:
    assert refusal(messages) == UNKNOWN


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (
            [
                "Invoice not of valid status for modification",
                "This document cannot be edited as it has a payment or credit note allocated"
                " to it.",
            ],
            "paid_invoice_edit",
        ),
        (
            [
                "Payment amount exceeds the amount outstanding on this document",
                "Payments can only be made against Authorised documents",
            ],
            "payment_not_allowed",
        ),
        (["Something new", "Invoice # must be unique"], "number_in_use"),
    ],
)
def test_of_several_texts_the_one_that_names_the_cause_counts(
    messages: list[str], code: str
) -> None:
    assert refusal(messages) == refusal(messages[::-1]) == code


def test_an_account_of_a_payment_is_the_one_that_receives_it() -> None:
    text = "Account code '200' is not a valid code for this document."
    assert refusal([text]) == "account_invalid"
    assert refusal([text], payment=True) == "payment_account"
    assert refusal(["Document could not be found"], payment=True) == "not_found_in_xero"


@given(st.lists(st.text(max_size=300), max_size=5))
def test_any_words_at_all_are_some_refusal(messages: list[str]) -> None:
    assert refusal(messages) in CATALOGUE
    assert refusal(messages, payment=True) in CATALOGUE


def test_endless_words_are_no_burden() -> None:
    """Nothing here takes more than one look at a text."""
    assert refusal(["payment contact lineitemid " * 200_000]) == UNKNOWN
