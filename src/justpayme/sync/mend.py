"""Heals what a comparison found, inside a sync run: under its lock, its fence and its history.

    a bill that differs      its invoice is read again and merged as ever (`apply`), only that
                             a row which nobody edited counts as what it should have been: what
                             strayed is put back, what a person typed is treated by the merge
    an invoice without bill  the bill that was it is tied to it again; else one is made
    a bill without invoice   asked for by its id once more; if Xero does not have it, the bill is
                             untied and kept, as one that is only here

Nothing is removed, and every bill that changes says so in its history. A run that would untie
unusually many bills stops before the first, as one that voids as many does (I-11), unless a
person has accepted just that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from justpayme.bills.models import Bill, HistoryEntry
from justpayme.core.bill import BillFields, Status
from justpayme.core.drift import Cause
from justpayme.core.errors import Problem
from justpayme.core.schedule import voids_are_unusual
from justpayme.sync import bulk, clients, intentions, runs
from justpayme.sync.apply import fence
from justpayme.sync.bulk import HistoryRow
from justpayme.sync.models import ClientLink, Connection, Link, Record, Run
from justpayme.sync.pull import Pull
from justpayme.sync.verify import Report, verify
from justpayme.xero import wire
from justpayme.xero.client import IDS_PER_CALL, Clock, XeroClient
from justpayme.xero.translate import to_bill

UNTIED = "Xero has no such invoice. The bill is kept, and is only here now."
TIED = "The bill had lost its invoice and is tied to it again."

_SOURCES = HistoryEntry.Source
_OF_XERO = (_SOURCES.IMPORT, _SOURCES.XERO, _SOURCES.WRITE_BACK)


def mend(
    connection: Connection, report: Report, clock: Clock, *, accepted: bool = False
) -> tuple[Run | None, Report]:
    """Heal what `report` names; the run that did it, and what a new comparison finds.
    `accepted`: a person says that unusually many bills are to be untied.

    The run is None if another sync is under way or Xero told us to wait. What went wrong is in
    its row. Raises Problem if Xero can't be read for the comparison.
    """
    first = partial(_heal, report=report, accepted=accepted)
    run = runs.run_sync(connection.pk, cause=Run.Cause.COMMAND, clock=clock, first=first)
    connection.refresh_from_db()
    return run, verify(connection, clock) if run and connection.is_live else report


def unusually_many(connection: Connection, report: Report) -> int:
    """How many open bills healing would untie if that is unusually many, which a person must
    accept; else 0."""
    gone = Q(link__invoice_id__in=_ids(report, Cause.NOT_IN_XERO))
    open_ = _open_bills(connection)
    going = open_.filter(gone).count()
    return going if voids_are_unusual(going, open_.count()) else 0


def _open_bills(connection: Connection) -> QuerySet[Bill]:
    return Bill.objects.filter(link__connection=connection, status=Status.ACTIVE)


def _heal(pull: Pull, *, report: Report, accepted: bool) -> None:
    pull.check_organisation()
    _tie_again(pull, report, accepted=accepted)
    _tie_clients(pull.run, report)
    there = (one for one in report.differences if one.cause is not Cause.NOT_IN_XERO)
    pull.read_again((one.invoice_id for one in there), anew=True)


def _tie_clients(run: Run, report: Report) -> None:
    """Clients whose contact was lost: where all their bills name one contact that nobody is."""
    meant = _contacts_meant(report)
    with transaction.atomic():
        connection = fence(run)
        taken = ClientLink.objects.filter(connection=connection)
        known = Record.objects.filter(connection=connection, kind=Record.Kind.CONTACT)
        for client, contacts in meant.items():
            (contact, *others) = contacts
            link = taken.filter(client_id=client).first()
            stray = link is None or not known.filter(remote_id=str(link.contact_id)).exists()
            if others or not stray or taken.filter(contact_id=contact).exists():
                continue
            ClientLink.objects.update_or_create(
                client_id=client, defaults={"connection": connection, "contact_id": contact}
            )


def _contacts_meant(report: Report) -> dict[int, set[str]]:
    """Client -> the contacts that Xero names on those of its bills that differ in this."""
    told = [one for one in report.differences if one.field == "client"]
    bills = {one.bill: str(one.xero) for one in told if one.bill is not None}
    meant: dict[int, set[str]] = defaultdict(set)
    for bill, client in Bill.objects.filter(pk__in=bills).values_list("pk", "client_id"):
        meant[client].add(bills[bill])
    return meant


def _tie_again(pull: Pull, report: Report, *, accepted: bool) -> None:
    """Put links right: nothing is asked of Xero inside the transaction."""
    lost = _asked(pull.client, _ids(report, Cause.MISSING_HERE))
    gone = _ids(report, Cause.NOT_IN_XERO)
    dead = set(gone) - {UUID(invoice.invoice_id) for invoice in _asked(pull.client, gone)}
    if not lost and not dead:
        return
    now = pull.clock.now()
    with transaction.atomic():
        connection = fence(pull.run)
        links = Link.objects.select_for_update().filter(connection=connection, invoice_id__in=dead)
        left = {link.pk: link for link in links.select_related("bill").order_by("id")}
        rows = [_tie(pull.run, connection, left, invoice, now) for invoice in lost]
        rows += _untie(connection, list(left.values()), accepted=accepted)
        bulk.insert_history(connection.business_id, pull.run.pk, [r for r in rows if r], now)


def _ids(report: Report, cause: Cause) -> list[UUID]:
    return [UUID(one.invoice_id) for one in report.differences if one.cause is cause]


def _asked(client: XeroClient, ids: Sequence[UUID]) -> list[wire.Invoice]:
    """These invoices as Xero has them; those that it does not have are left out."""
    found: list[wire.Invoice] = []
    for start in range(0, len(ids), IDS_PER_CALL):
        page = client.invoices_by_id([str(one) for one in ids[start : start + IDS_PER_CALL]])
        found += [wire.decode(wire.Invoice, raw) for raw in page.rows]
    return found


def _tie(
    run: Run, connection: Connection, dead: dict[int, Link], invoice: wire.Invoice, now: datetime
) -> HistoryRow | None:
    """Tie an invoice to the bill that was it, if exactly one can have been; `dead`: links to
    invoices that don't exist, less the one that is used."""
    xero = to_bill(invoice)
    for link in dead.values():
        if _is_same(link.bill, xero):
            link.invoice_id, link.digest = UUID(invoice.invoice_id), b""
            link.save(update_fields=["invoice_id", "digest"])
            del dead[link.pk]
            return HistoryRow(link.bill_id, _SOURCES.XERO, "tied", note=TIED)
    found = [bill for bill in _untied(connection, xero) if _was_read(run, bill)]
    if len(found) != 1:
        return None
    bill = found[0]
    Link.objects.create(
        bill=bill,
        connection=connection,
        invoice_id=UUID(invoice.invoice_id),
        base=bulk.plain_of(bill.fields(contact_id=clients.contact_id_of(bill.client))),
        raw=b"",
        digest=b"",
        remote_status=invoice.status,
        read_at=now,
    )
    return HistoryRow(bill.pk, _SOURCES.XERO, "tied", note=TIED)


def _is_same(bill: Bill, xero: BillFields) -> bool:
    return bool(xero.number) and (bill.number, bill.currency) == (xero.number, xero.currency)


def _untied(connection: Connection, xero: BillFields) -> list[Bill]:
    """Bills of the business that are no invoices and look like this one; not those on their way
    to become invoices, which `intentions` recognises by themselves."""
    if not xero.number:
        return []
    bills = Bill.objects.filter(
        business_id=connection.business_id,
        link__isnull=True,
        number=xero.number,
        currency=xero.currency,
    )
    rows = list(bills.select_related("client__link").prefetch_related("lines", "payments"))
    open_items = intentions.of_bills(connection, [bill.pk for bill in rows])
    return [bill for bill in rows if bill.pk not in open_items]


def _was_read(run: Run, bill: Bill) -> bool:
    """Does its history prove that this bill was an invoice of this organisation?"""
    told = HistoryEntry.objects.filter(bill=bill, source__in=_OF_XERO, run__isnull=False)
    runs_of_it = Run.objects.filter(connection_id=run.connection_id)
    return told.filter(run__in=runs_of_it.values("pk")).exists()


def _untie(connection: Connection, links: Sequence[Link], *, accepted: bool) -> list[HistoryRow]:
    """Let go of bills that are no invoices; those with something under way stay as they are."""
    waiting = intentions.of_bills(connection, [link.bill_id for link in links])
    free = [link for link in links if link.bill_id not in waiting]
    if not accepted:
        _stop_if_unusual(connection, [link.bill for link in free])
    Link.objects.filter(pk__in=[link.pk for link in free]).delete()
    return [HistoryRow(link.bill_id, _SOURCES.XERO, "untied", note=UNTIED) for link in free]


def _stop_if_unusual(connection: Connection, bills: Iterable[Bill]) -> None:
    still_open = _open_bills(connection).count()
    going = sum(bill.status == Status.ACTIVE for bill in bills)
    if voids_are_unusual(going, still_open):
        raise Problem("mass_void", f"{going} of {still_open} open bills")
