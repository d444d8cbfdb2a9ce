"""docs/conformance.md says what the local Xero is held to, and nothing is forgotten."""

from collections.abc import Callable

import pytest
from tests.conformance import statements
from tests.conformance.statements import NOT_STATED, by_section, page, sections
from tests.generated import check_current

pytestmark = pytest.mark.layer("conformance")
Cases = Callable[[int], None]


def test_the_page_is_current(cases: Cases) -> None:
    check_current("conformance.md", page())
    cases(len(statements.statements()))


def test_every_section_is_stated_or_says_why_not(cases: Cases) -> None:
    stated = by_section()
    assert [s for s in sections() if s not in stated and s not in NOT_STATED] == []
    assert [s for s in NOT_STATED if s in stated] == [], "these are stated by now"
    cases(len(sections()))


def test_no_statement_is_about_a_section_that_is_not_there(cases: Cases) -> None:
    known = set(sections())
    assert len(known) > 45
    wrong = [(one.test, s) for one in statements.statements() for s in one.sections]
    assert [pair for pair in wrong if pair[1] not in known] == []
    cases(len(known))


def test_a_section_without_a_test_is_found(monkeypatch: pytest.MonkeyPatch, cases: Cases) -> None:
    """The check can fail: a new section of the facts is missing at once."""
    told = statements.FACTS.read_text(encoding="utf-8")
    new = told.replace("### 3.13 ", "### 3.99 Something new\n\n### 3.13 ")
    monkeypatch.setattr(type(statements.FACTS), "read_text", lambda *_, **__: new)
    assert "3.99" in sections()
    monkeypatch.undo()
    assert "3.99" not in by_section()
    cases(1)
