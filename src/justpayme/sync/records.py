"""What Xero last said about objects that are not bills, kept as it was said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from justpayme.sync.models import Connection, Record


@dataclass(frozen=True, slots=True)
class Said:
    """One object: its id (lower case), its stamp, and the fields of it that we keep."""

    remote_id: str
    updated_at: datetime | None
    data: dict[str, Any]


def remember(connection: Connection, kind: Record.Kind, objects: Iterable[Said]) -> None:
    """Store what Xero said; what was stored of the same object before is replaced."""
    rows = {
        said.remote_id: Record(
            connection=connection,
            kind=kind,
            remote_id=said.remote_id,
            updated_at=said.updated_at,
            data=said.data,
        )
        for said in objects
    }
    Record.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["connection", "kind", "remote_id"],
        update_fields=["updated_at", "data"],
        batch_size=1000,
    )


def replace_all(connection: Connection, kind: Record.Kind, objects: Iterable[Said]) -> None:
    """Store a complete list (accounts, tax rates, currencies); what is no longer in it goes."""
    objects = list(objects)
    remember(connection, kind, objects)
    gone = Record.objects.filter(connection=connection, kind=kind)
    gone.exclude(remote_id__in=[said.remote_id for said in objects]).delete()
