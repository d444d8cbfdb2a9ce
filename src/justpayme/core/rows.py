"""Which stored line or payment goes on in a new one.

A page, an API client or a script may hold a row's key while a sync writes the row anew; what is
still the same line keeps its key, so that it keeps what only Xero knows about it as well (I-12).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """What tells rows of one bill apart: Xero's id, or before there is one, what they say."""

    remote_id: str
    says: tuple[Any, ...]


def keys_of(before: Sequence[tuple[int, Row]], after: Sequence[Row]) -> list[int | None]:
    """For each row the key of the one that it was, or None: it is new. No key comes twice.

    A row that was not in Xero yet goes on in the one that says the same, with or without an id.
    """
    known = {row.remote_id: key for key, row in before if row.remote_id}
    found = [known.pop(row.remote_id, None) if row.remote_id else None for row in after]
    alike: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for key, row in reversed(before):
        if not row.remote_id:
            alike[row.says].append(key)
    return [
        alike[row.says].pop() if key is None and alike.get(row.says) else key
        for key, row in zip(found, after, strict=True)
    ]
