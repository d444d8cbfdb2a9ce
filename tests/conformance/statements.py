"""Every statement about Xero that a test makes, and the sections that no test can state.

A test states something when its docstring begins with the numbers of sections of
docs/xero-facts.md: ``3.4, 6.3: a POST with somebody else's number overwrites``.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.generated import ROOT

from xero_sandbox.open_questions import questions

FOLDERS = ("tests/conformance", "tests/sandbox")
FACTS = ROOT / "docs/xero-facts.md"
NUMBERS = re.compile(r"^(\d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)*)(?:[.:;](?: |$))")
SECTION = re.compile(r"^(?:### |## |- \*\*)(\d+(?:\.\d+)?)(?:\*\*|\. | )", re.MULTILINE)
CHAPTERS = {"1", "2", "3", "4", "6", "11"}
"""Headings that only hold sections."""
NOT_STATED = {
    "3.13": "the table of our codes: `tests/xero/test_refusals.py` holds every row; the words are"
    " stated where they are refused",
    "6.28": "lists of words grow at Xero, not here: faults `unknown_status` and `unknown_enum`, and"
    " `tests/xero/test_translate.py`",
}
"""Sections without a test of their own, and why."""
HEAD = """# What the local Xero is held to

Each statement about Xero that an API client can see, with its section of
[xero-facts](xero-facts.md) and the test that holds the local Xero to it.
This page is made from those tests.

## Statements

| Section | Statement | Test |
| --- | --- | --- |
"""
OPEN = """
## Open questions

What nobody has established is a parameter of the local Xero, and the whole sync is tried with
every value (`tests/conformance/test_sync_with_either.py`).
The first value is what seems most likely, and what the local Xero does unless told otherwise.

| Section | Question | Parameter | Values |
| --- | --- | --- | --- |
"""
REST = """
## Sections without a statement

| Section | Why |
| --- | --- |
"""


@dataclass(frozen=True, order=True)
class Statement:
    """One test and what it says of some sections."""

    sections: tuple[str, ...]
    file: str
    test: str
    says: str


def statements() -> list[Statement]:
    """Every one, by its first section."""
    found = [one for folder in FOLDERS for one in _of_folder(ROOT / folder)]
    return sorted(found, key=lambda one: ([*map(_key, one.sections)], one.file, one.says))


def _of_folder(folder: Path) -> Iterator[Statement]:
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = " ".join((ast.get_docstring(node) or "").split())
                numbers = NUMBERS.match(text)
                if numbers:
                    says = _says(node.name, text[numbers.end() :])
                    sections = tuple(numbers[1].split(", "))
                    yield Statement(sections, str(path.relative_to(ROOT)), node.name, says)


def _says(name: str, text: str) -> str:
    """The statement in words: the docstring goes on after the test's name."""
    words = name.removeprefix("test_").replace("_", " ")
    return f"{words}: {text}" if text else words


def sections() -> list[str]:
    """Every numbered section of the facts."""
    found = set(SECTION.findall(FACTS.read_text(encoding="utf-8"))) - CHAPTERS
    return sorted(found, key=_key)


def by_section() -> dict[str, list[Statement]]:
    """The statements of each section, under each that they name."""
    found: dict[str, list[Statement]] = defaultdict(list)
    for one in statements():
        for section in one.sections:
            found[section].append(one)
    return found


def page() -> str:
    """docs/conformance.md."""
    rows = [
        f"| {', '.join(one.sections)} | {_cell(one.says)} | `{Path(one.file).name}`:"
        f" `{one.test}` |\n"
        for one in statements()
    ]
    asked = [
        f"| {', '.join(q.sections)} | {_cell(q.asks)} | `{q.name}` |"
        f" {', '.join(f'`{value}`' for value in q.values)} |\n"
        for q in questions()
    ]
    rest = [f"| {section} | {_cell(why)} |\n" for section, why in NOT_STATED.items()]
    return "".join([HEAD, *rows, OPEN, *asked, REST, *rest])


def _cell(text: str) -> str:
    return text.rstrip(".").replace("|", "\\|")


def _key(section: str) -> tuple[int, ...]:
    return tuple(int(part) for part in section.split("."))
