"""Which organisation a bill made here can go to."""

from __future__ import annotations

from justpayme.bills.acting import Act, Refused
from justpayme.sync.models import IN_USE, Connection


def open_organisations(business_id: int) -> list[Connection]:
    """Bidirectional organisations whose defaults are chosen, by name."""
    found = Connection.objects.filter(
        business_id=business_id,
        state__in=IN_USE,
        direction=Connection.Direction.TWO,
        defaults_set_at__isnull=False,
    )
    return list(found)


def home_organisation(business_id: int) -> Connection | None:
    """The one that new bills go to, where there is no choice."""
    found = open_organisations(business_id)
    return found[0] if len(found) == 1 else None


def organisation_for_new(act: Act, connection_id: int) -> Connection:
    """The organisation that a bill shall go to, held until the commit. Raises Refused for one that
    takes nothing now, and in the same way for one of another business as for none."""
    rows = Connection.objects.select_for_update(no_key=True)
    connection = rows.filter(business_id=act.business_id, pk=connection_id).first()
    if connection is None:
        raise Refused({"also_in_xero": "Choose an organisation from the list."})
    name = connection.name
    if not connection.is_in_use:
        raise Refused({"also_in_xero": f"{name} is not connected any more."})
    if connection.direction != Connection.Direction.TWO:
        why = f"{name} is one-directional, so nothing is sent to it. Make it bidirectional first."
        raise Refused({"also_in_xero": why}, settings_of=connection.pk)
    if connection.defaults_set_at is None:
        why = f"Choose the account and tax rate for new invoices of {name} in its settings first."
        raise Refused({"also_in_xero": why}, settings_of=connection.pk)
    return connection
