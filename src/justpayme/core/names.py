"""Are two names the same to a person? Xero takes no notice of case (xero-facts 4.4)."""

from __future__ import annotations

import unicodedata


def plain(name: str) -> str:
    """The name without case, accents and spare spaces; for comparing, never for showing."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return " ".join("".join(c for c in decomposed if not unicodedata.combining(c)).split())
