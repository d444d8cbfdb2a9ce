"""docs/errors.md, made from the catalogue of errors."""

from __future__ import annotations

from justpayme.core.errors import CATALOGUE, Entry, Next

_NEXT = {
    Next.RETRY: "The next scheduled sync tries again.",
    Next.WAIT: "The sync goes on at the time that Xero gave.",
    Next.RECONNECT: "No further call is made until somebody reconnects.",
    Next.HALT: "A safety stop: nothing was written, and a person decides.",
    Next.PERSON: "This change waits for a person; everything else goes on.",
}
_FIXERS = {
    "nobody": "nobody needs to",
    "you": "whoever may edit the bill",
    "books": "whoever keeps the books in Xero",
    "owner": "an owner of the business",
    "operator": "whoever runs this installation",
    "us": "the makers of JustPayMe",
}
_HEAD = """# What can go wrong with a sync

Generated from `src/justpayme/core/errors.py` (CONTRIBUTING.md, “Generated pages”): do not edit.
Pages, e-mails, commands and the API show these codes and sentences and no others.
"""


def errors_page() -> str:
    """docs/errors.md: each code with its sentence, what it means and the way forward."""
    return _HEAD + "".join(_section(entry) for entry in CATALOGUE.values())


def _section(entry: Entry) -> str:
    return (
        f"\n## {entry.code}\n\n"
        f"**{entry.sentence}**\n\n"
        f"- What it means: {entry.means}\n"
        f"- What to do: {entry.remedy}\n"
        f"- What the sync does: {_NEXT[entry.next]}\n"
        f"- Who can fix it: {_FIXERS[entry.fixer]}.\n"
    )
