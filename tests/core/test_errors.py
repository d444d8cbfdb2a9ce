"""The catalogue: every error has a code, a sentence, a meaning and a way forward."""

from __future__ import annotations

import ast
import re

import pytest
from tests.generated import ROOT, check_current

from justpayme.core.errors import CATALOGUE, FIXES, Entry, Next, Problem, told
from justpayme.docs import errors_page

JARGON = re.compile(
    r"\b(oauth|token|api|http|json|tenant|cursor|exception|null|payload|endpoint|timeout|retry"
    r"|accrec|accpay|invalid_grant|webhook|rate limit|\d{3})\b",
    re.IGNORECASE,
)

entries = pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.code)


def strings_in_source() -> set[str]:
    """Every string constant of our code outside the catalogue itself."""
    files = (ROOT / "src" / "justpayme").rglob("*.py")
    trees = [ast.parse(f.read_text()) for f in files if f.parts[-2:] != ("core", "errors.py")]
    return {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@entries
def test_an_error_says_what_happened_what_is_safe_and_what_to_do(entry: Entry) -> None:
    for text in (entry.sentence, entry.means, entry.remedy):
        assert text.endswith(".")
        assert text[0].isupper()
        assert len(text) <= 120


@entries
def test_an_error_speaks_plainly(entry: Entry) -> None:
    for text in (entry.sentence, entry.means, entry.remedy):
        assert not JARGON.search(text), text


@entries
def test_an_error_says_who_can_fix_it_and_how(entry: Entry) -> None:
    assert entry.fixer in {"nobody", "you", "owner", "books", "operator", "us"}
    assert entry.fix in FIXES
    assert entry.next is not Next.PERSON or entry.fixer != "nobody"


@entries
def test_what_waits_for_a_person_says_that_nothing_is_lost(entry: Entry) -> None:
    if entry.next is Next.PERSON:
        assert re.search(r"\b(kept|waits|entered twice)\b", entry.means), entry.means


@entries
def test_an_error_carries_its_own_code(entry: Entry) -> None:
    assert CATALOGUE[entry.code] is entry
    assert re.fullmatch(r"[a-z_]{3,40}", entry.code)


def test_every_error_is_raised_somewhere() -> None:
    assert CATALOGUE.keys() - strings_in_source() == set()


def test_every_problem_raised_is_in_the_catalogue() -> None:
    named = set()
    for file in (ROOT / "src" / "justpayme").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
                named |= {a.value for a in node.args[:1] if isinstance(a, ast.Constant)}
    assert len(named) > 10
    assert named <= CATALOGUE.keys()


def test_a_problem_shows_its_sentence_and_logs_its_detail() -> None:
    problem = Problem("wrong_shape", "Invoices[3].Total", retry_after=2.0)
    assert problem.code == "wrong_shape"
    assert problem.sentence == CATALOGUE["wrong_shape"].sentence
    assert str(problem) == "wrong_shape: Invoices[3].Total"
    assert problem.retry_after == 2.0
    assert str(Problem("stopped")) == "stopped"


def test_an_unknown_refusal_is_told_in_xeros_own_words() -> None:
    hostile = "<b>Nope</b> “'; DROP TABLE bill; --"
    assert told("refused_by_xero", hostile) == f"Xero refused this: “{hostile}”"
    assert told("refused_by_xero") == CATALOGUE["refused_by_xero"].sentence
    assert told("lock_date", "anything") == CATALOGUE["lock_date"].sentence


def test_a_code_outside_the_catalogue_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        Problem("oops")


def test_the_errors_page_is_current() -> None:
    check_current("errors.md", errors_page())
