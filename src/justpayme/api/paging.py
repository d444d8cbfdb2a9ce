"""Lists in parts, by key: a page costs the same at the start and at the end of 100,000 rows."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from justpayme.api.errors import Refusal
from justpayme.api.shapes import BIGGEST_ID, PageQuery

Row = TypeVar("Row", bound=Model)


def page(rows: QuerySet[Row], query: PageQuery, *, newest_first: bool = False) -> Any:
    """The part that `query` asks for, in order of id, and the cursor of the next part or None."""
    after = _position(query.cursor)
    if after is not None:
        rows = rows.filter(pk__lt=after) if newest_first else rows.filter(pk__gt=after)
    ordered = rows.order_by("-pk" if newest_first else "pk")
    found = list(ordered[: query.limit + 1])
    following = str(found[query.limit - 1].pk) if len(found) > query.limit else None
    return found[: query.limit], following


def _position(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor) > BIGGEST_ID:
        raise Refusal(422, fields={"cursor": "Send the `next_cursor` of the answer before."})
    return int(cursor)
