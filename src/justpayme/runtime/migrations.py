"""Bring the tables up to date: one host at a time, and never waiting long for a lock."""

from django.core.management import call_command
from django.db import connection

ADVISORY_LOCK = 0x4A_50_4D_65
"""Any number that is ours: "JPMe"."""


def migrate(*, verbosity: int = 1) -> None:
    """Run every migration that is missing.

    A second host waits for the first. A lock that cannot be had in 10 s fails the migration
    instead of holding up everybody who waits behind it; run it again.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET lock_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        cursor.execute("SET lock_timeout = '10s'")
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
    try:
        call_command("migrate", verbosity=verbosity, interactive=False)
    finally:
        connection.close()  # also lets go of the advisory lock and of the settings above


def missing() -> list[str]:
    """The migrations that this database has not had yet, by app and name."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
