"""The pages that promise something name tests that exist, and words in order."""

from __future__ import annotations

import re

from tests.generated import ROOT

DOCS = ROOT / "docs"


def test_every_test_named_by_the_promises_exists() -> None:
    pages = [(DOCS / name).read_text("utf-8") for name in ("promises.md", "performance.md")]
    named = {name for text in pages for name in re.findall(r"`(test_\w+)`", text)}
    files = [f.read_text(encoding="utf-8") for f in (ROOT / "tests").rglob("test_*.py")]
    existing = {name for text in files for name in re.findall(r"def (test_\w+)\(", text)}
    assert len(named) > 40
    assert named - existing == set()


def test_every_promise_has_its_proof() -> None:
    text = (DOCS / "promises.md").read_text(encoding="utf-8")
    kept, _, _ = text.partition("## What we do not promise")
    promises = re.findall(r"^\*\*.*?(?=^\*\*|^## |\Z)", kept, re.MULTILINE | re.DOTALL)
    assert len(promises) > 15
    assert [p[:60] for p in promises if "Proof: `test_" not in p] == []


def test_the_glossary_is_in_order_and_names_each_word_once() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    words = [w.casefold() for w in re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE)][2:]
    assert len(words) > 30
    assert len(set(words)) == len(words)
    assert words == sorted(words)


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*DOCS.glob("*.md"), *ROOT.glob("*.md")]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:", link) and not (page.parent / link).exists()
    ]
    assert len(pages) > 5
    assert broken == []
