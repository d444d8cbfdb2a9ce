"""Tables that go back to a kept state within a few milliseconds, with their sequences.

Real commits can't be rolled back, and making a database for each of thousands of stories would
cost more than the stories. So a state is kept as a schema of copied tables with a function that
puts them back; foreign keys are not checked meanwhile, and histories may be erased.
"""

from __future__ import annotations

from django.apps import apps
from django.db import connection as database
from django.db import transaction

APPS = ("accounts", "bills", "sync", "integrations", "api")
EMPTY = "kept_empty"
OFTEN = 100
"""So many returns leave few enough dead rows behind."""

_FREE = (
    "PERFORM set_config('session_replication_role', 'replica', true);"
    "PERFORM set_config('justpayme.erase_business', 'on', true);"
)


class Ground:
    """The tables of our rooms in one database."""

    def __init__(self) -> None:
        models = [
            m
            for app in APPS
            if apps.is_installed(f"justpayme.{app}")
            for m in apps.get_app_config(app).get_models()
        ]
        self.tables = sorted({m._meta.db_table for m in models if m._meta.managed})
        self.kept: set[str] = set()
        self.returns = 0
        self.keep(EMPTY, filled=False)

    def keep(self, name: str, *, filled: bool = True) -> None:
        """Remember the tables as they are now, or as empty ones."""
        with database.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")
            steps = [f"DELETE FROM public.{table};" for table in self.tables]  # noqa: S608
            for table in self.tables if filled else ():
                cursor.execute(f"CREATE TABLE {name}.{table} AS SELECT * FROM public.{table}")  # noqa: S608
                cursor.execute(f"SELECT count(*) FROM {name}.{table}")  # noqa: S608
                if (row := cursor.fetchone()) and row[0]:
                    steps.append(f"INSERT INTO public.{table} SELECT * FROM {name}.{table};")  # noqa: S608
            steps += [self._sequence(table, filled) for table in self.tables]
            cursor.execute(
                f"CREATE FUNCTION {name}.back() RETURNS void LANGUAGE plpgsql AS "
                f"$body$ BEGIN {_FREE} {''.join(steps)} END $body$"
            )
        self.kept.add(name)

    def _sequence(self, table: str, filled: bool) -> str:
        """Set the table's sequence to where it is now (or to its start), if it has one."""
        with database.cursor() as cursor:
            cursor.execute(
                "SELECT pg_get_serial_sequence(%s, 'id') FROM pg_attribute WHERE attrelid ="
                " %s::regclass AND attname = 'id'",
                [f"public.{table}", f"public.{table}"],
            )
            found = cursor.fetchone()
            if not found or not found[0]:
                return ""
            cursor.execute(f"SELECT last_value, is_called FROM {found[0]}")  # noqa: S608
            last, called = cursor.fetchone() or (1, False)
        if not filled:
            last, called = 1, False
        return f"PERFORM setval('{found[0]}', {last}, {str(called).lower()});"

    def back(self, name: str) -> None:
        """Everything is as it was when this was kept."""
        self.returns += 1
        if self.returns % OFTEN == 0:
            with database.cursor() as cursor:
                cursor.execute("VACUUM " + ", ".join(self.tables))
        with transaction.atomic(), database.cursor() as cursor:
            cursor.execute(f"SELECT {name}.back()")

    def clear(self) -> None:
        """Leave nothing behind."""
        self.back(EMPTY)
        with database.cursor() as cursor:
            for name in sorted(self.kept):
                cursor.execute(f"DROP SCHEMA {name} CASCADE")
        self.kept.clear()
