"""Plain statements for what every sync asks again and again.

Where hardly a row is read, building and compiling a query takes five to ten times as long as the
statement itself, and a fleet asks these some thirty times a sync. Everything else goes through
the ORM.
"""

from __future__ import annotations

from typing import Any

from django.db import connection as database


def rows(statement: str, *given: Any) -> list[tuple[Any, ...]]:
    """What a statement answers. `statement` is a constant of the code, never input."""
    with database.cursor() as cursor:
        cursor.execute(statement, given)
        return list(cursor.fetchall())


def one(statement: str, *given: Any) -> tuple[Any, ...] | None:
    """Its first row, or None if there is none."""
    with database.cursor() as cursor:
        cursor.execute(statement, given)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def do(statement: str, *given: Any) -> int:
    """Carry it out; how many rows it wrote."""
    with database.cursor() as cursor:
        cursor.execute(statement, given)
        return int(cursor.rowcount)
