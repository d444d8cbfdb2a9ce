"""The next page of an endpoint, in slices of dates where Xero does not give it in one question.

More than 100,000 records in one question are refused (xero-facts 3.1). Nobody can know that
beforehand without a call, so we ask, and cut only after a refusal: an organisation that is not
that large pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import TypeVar

from justpayme.core import cursor as cursors
from justpayme.core.errors import Problem
from justpayme.xero.client import Page

T = TypeVar("T")
Fetch = Callable[[int, datetime | None, bool, cursors.Slice | None, int], Page[T]]
"""Asks for (page, since, by_id, dates, shorter); a method of `XeroClient`."""


def next_page(
    fetch: Fetch[T], position: cursors.Position, today: date | None
) -> tuple[Page[T], cursors.Position]:
    """The next page, and the position that it answers: smaller slices, if Xero refused.

    `today` chooses the first cuts; None if this endpoint has no dates to cut by. Raises
    Problem: "too_many_records" if even a single day is too much.
    """
    while True:
        ask = cursors.request(position)
        try:
            return fetch(ask.page, ask.since, ask.by_id, ask.dates, ask.shorter), position
        except Problem as problem:
            if problem.code != "too_many_records" or today is None:
                raise
            smaller = cursors.split(position, today)
            if smaller is None:
                raise
            position = smaller
