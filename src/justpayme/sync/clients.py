"""Xero's contacts and our clients: linked by ContactID, never guessed by name.

A contact becomes a client when it owes or may owe us something: Xero calls it a customer, or
an imported invoice names it. All other contacts (suppliers) are only remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from justpayme.bills.models import Bill, Client, HistoryEntry
from justpayme.core.names import plain
from justpayme.sync import bulk
from justpayme.sync.models import ClientLink, Connection, Record
from justpayme.xero.translate import ClientFields

_COLUMNS = [f.name for f in fields(ClientFields)]


def record_of(values: ClientFields) -> dict[str, Any]:
    """What we remember of a contact; `plain_name` is for finding one by its name."""
    return asdict(values) | {"plain_name": plain(values.name)}


def contact_id_of(client: Client) -> str:
    """The ContactID that this client is linked to; empty if none."""
    link = getattr(client, "link", None)
    return str(link.contact_id) if link else ""


def survivors(connection: Connection) -> dict[str, str]:
    """ContactID → the contact that it was merged into, for those that were (I-4)."""
    merged = ClientLink.objects.filter(connection=connection, merged_to__isnull=False)
    return {str(a): str(b) for a, b in merged.values_list("contact_id", "merged_to")}


def ensure(connection: Connection, contacts: Mapping[UUID, str], now: datetime) -> dict[UUID, int]:
    """Client ids for these contacts (id → name on the invoice), made where there are none.

    A contact that was merged into another leads to the survivor's client (I-4).
    """
    found = _linked(connection, contacts)
    missing = [contact for contact in contacts if contact not in found]
    remembered = _remembered(connection, missing)
    made = {
        contact: remembered.get(contact) or ClientFields(name=contacts[contact] or "Unnamed")
        for contact in missing
    }
    return found | _create(connection, made, now)


def marks(bill_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Whose each of these bills is now, as a history names it."""
    if not bill_ids:
        return {}
    rows = Bill.objects.filter(pk__in=bill_ids).values_list("pk", "client_id", "client__name")
    return {bill: Client(pk=client, name=name).mark() for bill, client, name in rows}


def _linked(connection: Connection, contacts: Iterable[UUID]) -> dict[UUID, int]:
    rows = ClientLink.objects.filter(connection=connection, contact_id__in=list(contacts))
    links = {row.contact_id: row for row in rows}
    survivors = {row.merged_to for row in links.values() if row.merged_to}
    others = ClientLink.objects.filter(connection=connection, contact_id__in=survivors)
    by_survivor = dict(others.values_list("contact_id", "client_id"))
    return {
        contact: by_survivor.get(link.merged_to, link.client_id)
        if link.merged_to
        else link.client_id
        for contact, link in links.items()
    }


def _remembered(connection: Connection, contacts: Sequence[UUID]) -> dict[UUID, ClientFields]:
    rows = Record.objects.filter(
        connection=connection,
        kind=Record.Kind.CONTACT,
        remote_id__in=[str(contact) for contact in contacts],
    )
    return {
        UUID(row.remote_id): ClientFields(**{name: row.data[name] for name in _COLUMNS})
        for row in rows
    }


def _create(
    connection: Connection, made: Mapping[UUID, ClientFields], now: datetime
) -> dict[UUID, int]:
    rows = Client.objects.bulk_create(
        Client(business_id=connection.business_id, created_at=now, updated_at=now, **asdict(values))
        for values in made.values()
    )
    ClientLink.objects.bulk_create(
        ClientLink(client=client, connection=connection, contact_id=contact)
        for contact, client in zip(made, rows, strict=True)
    )
    return {contact: client.pk for contact, client in zip(made, rows, strict=True)}


def update(
    connection: Connection,
    contacts: Mapping[UUID, ClientFields],
    customers: set[UUID],
    merged: Mapping[UUID, UUID],
    run_id: int,
    now: datetime,
) -> None:
    """Bring linked clients up to date with their contacts; make clients of new customers."""
    _create(
        connection,
        {c: contacts[c] for c in customers - _linked(connection, contacts).keys()},
        now,
    )
    links = ClientLink.objects.filter(
        connection=connection, contact_id__in=list(contacts)
    ).select_related("client")
    changed = []
    for link in links:
        values = asdict(contacts[link.contact_id])
        if any(getattr(link.client, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(link.client, name, value)
            link.client.updated_at = now
            changed.append(link.client)
    Client.objects.bulk_update(changed, [*_COLUMNS, "updated_at"], batch_size=500)
    for loser, survivor in merged.items():
        _merge(connection, loser, survivor, run_id, now)


def _merge(connection: Connection, loser: UUID, survivor: UUID, run_id: int, now: datetime) -> None:
    """Xero merged a contact into another: its bills move to the survivor's client (I-4)."""
    links = ClientLink.objects.filter(connection=connection)
    link = links.filter(contact_id=loser).first()
    next_one = links.filter(contact_id=survivor, merged_to__isnull=False).first()
    survivor = (next_one and next_one.merged_to) or survivor
    if link is None or survivor in (link.merged_to, loser):
        return
    target = ensure(connection, {survivor: ""}, now)[survivor]
    after = Client.objects.get(pk=target).mark()
    theirs = Bill.objects.select_for_update().filter(client_id=link.client_id).order_by("pk")
    bills = list(theirs.values_list("pk", flat=True))
    bulk.insert_history(
        connection.business_id,
        run_id,
        [
            bulk.HistoryRow(
                bill,
                HistoryEntry.Source.XERO,
                "changed",
                [("client", before, after)],
                "Two contacts were merged in Xero.",
            )
            for bill, before in marks(bills).items()
        ],
        now,
    )
    Bill.objects.filter(pk__in=bills).update(client_id=target, updated_at=now)
    # A chain of merges always leads to its last survivor.
    chain = Q(contact_id=loser) | Q(merged_to=loser)
    links.filter(chain).update(merged_to=survivor)
