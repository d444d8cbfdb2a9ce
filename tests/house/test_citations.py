"""What a comment or a docstring cites can be looked up: facts, promises, faults, checks, pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.generated import ROOT

_NUMBER = r"\d+(?:\.\d+)?"
_ITEM = rf"{_NUMBER}(?: \([^)]*\))?"
_FACTS = re.compile(rf"xero-facts {_ITEM}(?:(?:, and |, | and | to ){_ITEM})*")
_IN_BRACKETS = re.compile(r"\((\d{1,2}\.\d{1,2}(?:, \d{1,2}\.\d{1,2})*)\)")
_NUMBERED = re.compile(r"\b(I-|F|S)(\d{1,2})\b(?: to (?:I-|F|S)(\d{1,2})\b)?")
_PAGE = re.compile(r"[\w./-]+\.md\b")


def _source() -> list[Path]:
    return [f for top in ("src", "tests", "bench") for f in sorted((ROOT / top).rglob("*.py"))]


def _pages() -> list[Path]:
    tops = (ROOT / name for name in ("docs", "src", "tests"))
    return [*ROOT.glob("*.md"), *(f for top in tops for f in top.rglob("*.md"))]


@cache
def _words(file: Path) -> str:
    """The comments and docstrings of a file, each on one line."""
    code = file.read_text(encoding="utf-8")
    found = [
        node.value.value
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    comments = [
        t.string.lstrip("#: ").rstrip()
        for t in tokenize.generate_tokens(io.StringIO(code).readline)
        if t.type == tokenize.COMMENT
    ]
    return "\n".join(" ".join(text.split()) for text in [*found, " ".join(comments)])


def _numbered(text: str) -> Iterator[str]:
    """I-33 to I-35 -> I-33, I-34, I-35."""
    for kind, first, last in _NUMBERED.findall(text):
        yield from (f"{kind}{n}" for n in range(int(first), int(last or first) + 1))


def _facts() -> set[str]:
    text = (ROOT / "docs/xero-facts.md").read_text(encoding="utf-8")
    return set(re.findall(rf"^(?:##+ |- \*\*)({_NUMBER})\b", text, re.MULTILINE))


def _targets() -> set[str]:
    """The numbers in the first column of the tables of the promises."""
    text = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
    return {
        n for cell in re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE) for n in _numbered(cell)
    }


def _cited_facts(text: str) -> set[str]:
    found = " ".join(m.group() for m in _FACTS.finditer(text))
    return set(re.findall(_NUMBER, re.sub(r"\([^)]*\)", "", found)))


def test_every_fact_of_xeros_that_is_cited_is_on_its_page() -> None:
    cited = {(f.name, n) for f in _source() for n in _cited_facts(_words(f))}
    assert len(cited) > 30
    known = _facts()
    assert sorted(c for c in cited if c[1] not in known) == []


def test_the_local_xeros_numbers_are_on_the_same_page() -> None:
    files = [f for f in _source() if "xero_sandbox" in f.parts]
    cited = {
        (f.name, n)
        for f in files
        for found in _IN_BRACKETS.findall(_words(f))
        for n in found.split(", ")
    }
    assert len(cited) > 20
    known = _facts()
    assert sorted(c for c in cited if c[1] not in known) == []


def test_every_promise_fault_and_check_that_is_cited_has_its_number() -> None:
    cited = {(f.name, n) for f in _source() for n in _numbered(_words(f))}
    assert len(cited) > 60
    known = _targets()
    assert sorted(c for c in cited if c[1] not in known) == []


def test_every_page_that_is_named_exists() -> None:
    pages = _pages()
    texts = {f: _words(f) for f in _source()} | {f: f.read_text(encoding="utf-8") for f in pages}
    existing = [f.as_posix() for f in pages]
    missing = [
        f"{f.name}: {name}"
        for f, text in texts.items()
        for name in _PAGE.findall(text)
        if not name.startswith("//")
        and not any(page.endswith("/" + name.lstrip("./")) for page in existing)
    ]
    assert len(existing) > 15
    assert missing == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("xero-facts 3.2, I-5", {"3.2"}),
        ("every row of xero-facts 1.7, 2.1, 2.2 and 3.", {"1.7", "2.1", "2.2", "3"}),
        ("xero-facts 4.1 to 4.6", {"4.1", "4.6"}),
        ("xero-facts 1.7 (authorisation), 2.1", {"1.7", "2.1"}),
    ],
)
def test_facts_are_found_in_a_sentence(text: str, numbers: set[str]) -> None:
    assert _cited_facts(text) == numbers
