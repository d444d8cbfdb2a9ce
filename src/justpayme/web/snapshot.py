"""Reads that agree with themselves: one page shows one moment of the database.

A page asks several questions. Without this a sync could commit between two of them, and a
bill would show its old amount above the history of the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import connection, transaction

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def snapshot() -> Iterator[None]:
    """All reads inside see the database as of the first one. Writing inside is refused.

    Inside an open transaction it adds nothing: that one's own isolation holds.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def one_moment(view: Callable[P, R]) -> Callable[P, R]:
    """A view that only reads, all of it as of one moment."""

    @wraps(view)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with snapshot():
            return view(*args, **kwargs)

    return inner
