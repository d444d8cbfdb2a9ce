"""What is held up on its way to Xero, as `retry` and `resolve` mean it; for API and commands."""

from __future__ import annotations

from collections.abc import Iterable

from justpayme.accounts.access import check_may_change
from justpayme.accounts.models import Membership
from justpayme.bills.acting import Refused
from justpayme.bills.models import Bill
from justpayme.sync.models import RESTING, Conflict, Connection, OutboxItem

_State = OutboxItem.State


def retriable(by: Membership, about: Bill | Connection) -> list[int]:
    """The items of a bill or an organisation that can be tried again. Raises Refused for none.

    A contact to decide about is not one: it needs an answer, not another try.
    """
    check_may_change(by)
    items = OutboxItem.objects.filter(business=by.business_id, state__in=RESTING).exclude(
        kind=OutboxItem.Kind.CONTACT, state=_State.PARKED
    )
    mine = items.filter(bill=about) if isinstance(about, Bill) else items.filter(connection=about)
    found = list(mine.order_by("id").values_list("pk", flat=True))
    if not found:
        name = about.name if isinstance(about, Connection) else "this bill"
        raise Refused({"": f"Nothing of {name} was refused or waits for another try."})
    return found


def undecided(by: Membership, bill: Bill, units: Iterable[str]) -> list[int]:
    """The open conflicts of a bill, or those of these units. Raises Refused for none, and for a
    unit without one."""
    check_may_change(by)
    rows = dict(
        Conflict.objects.filter(bill=bill, state=Conflict.State.OPEN).values_list("unit", "pk")
    )
    wanted = list(dict.fromkeys(units))
    there = ", ".join(sorted(rows)) or "none"
    if missing := [unit for unit in wanted if unit not in rows]:
        raise Refused({"units": f"Nothing of {missing[0]} is undecided. Undecided: {there}."})
    if not rows:
        raise Refused({"": "Xero has overridden nothing of this bill that is undecided."})
    return [rows[unit] for unit in wanted] or list(rows.values())
