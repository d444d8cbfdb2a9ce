"""Pages of docs/ that are generated from a table: compared on every run, rewritten on request."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
REWRITE = "JUSTPAYME_WRITE_DOCS"


def check_current(name: str, text: str) -> None:
    """Fail unless docs/`name` says exactly this; with JUSTPAYME_WRITE_DOCS=1 write it first."""
    page = ROOT / "docs" / name
    if os.environ.get(REWRITE):
        page.write_text(text, encoding="utf-8")
    found = page.read_text(encoding="utf-8") if page.exists() else ""
    assert found == text, f"docs/{name} is not current: run these tests with {REWRITE}=1"
