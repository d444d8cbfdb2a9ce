"""The facts that a plan for going bidirectional is made of, read from our tables alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Lower

from justpayme.bills.acting import Refused
from justpayme.bills.codes import Codes, codes_of
from justpayme.bills.filling import entry_of, resolved
from justpayme.bills.held import locks
from justpayme.bills.models import Bill, Client
from justpayme.core.bill import MoneyKind, Status
from justpayme.core.names import plain
from justpayme.integrations.plan import Contact, LocalBill, Overridden, Received, Terms
from justpayme.sync.models import OPEN, ClientLink, Conflict, Connection, OutboxItem, Record

Kind = OutboxItem.Kind


def terms_of(connection: Connection) -> Terms:
    """What the organisation's settings and lists say now."""
    codes = Record.objects.filter(connection=connection, kind=Record.Kind.CURRENCY)
    known = set(codes.values_list("remote_id", flat=True))
    receivers = list(connection.receiving_accounts.order_by("currency"))
    usual = (connection.revenue_account, connection.tax_type, connection.branding_theme)
    return Terms(
        organisation=connection.name,
        chosen=(*usual, *(f"{one.currency} {one.account_id}" for one in receivers)),
        create_as=connection.create_as,
        write_back=connection.write_back,
        receivers={one.currency: one.name for one in receivers},
        currencies=frozenset(known | {connection.currency}) if known else frozenset(),
        lock_date=connection.lock_date,
    )


def only_here(connection: Connection) -> QuerySet[Bill]:
    """Bills of the business that no organisation has and that are not on their way to one."""
    under_way = OutboxItem.objects.filter(kind=Kind.CREATE, state__in=OPEN).values("bill_id")
    bills = Bill.objects.filter(business_id=connection.business_id, link=None)
    return bills.exclude(status=Status.VOID).exclude(pk__in=under_way)


def local_bills(connection: Connection) -> list[LocalBill]:
    """The candidates for new invoices, oldest first; a handful of queries, however many."""
    rows = only_here(connection).select_related("client").prefetch_related("payments", "lines")
    bills, codes = list(rows.order_by("issued_on", "id")), codes_of(connection)
    clients = {bill.client_id: bill.client for bill in bills}
    contacts = _contacts(connection, list(clients.values()))
    used = _numbers_used(connection, {bill.number for bill in bills})
    seen: set[str] = set()
    return [_local(bill, contacts[bill.client_id], codes, used, seen) for bill in bills]


def _local(
    bill: Bill,
    contact: tuple[Contact, tuple[str, ...]],
    codes: Codes,
    used: set[str],
    seen: set[str],
) -> LocalBill:
    key = bill.number.casefold()
    twice = bool(key) and key in seen
    seen.add(key)
    paid = [p for p in bill.payments.all() if p.kind == MoneyKind.PAYMENT]
    return LocalBill(
        id=bill.pk,
        number=bill.number,
        client_id=bill.client_id,
        client=bill.client.name,
        currency=bill.currency,
        total=bill.total,
        status=Status(bill.status),
        issued_on=bill.issued_on,
        due_on=bill.due_on,
        stamp=bill.updated_at.isoformat(),
        lines=len(bill.lines.all()),
        unfit=_unfit_lines(bill, codes),
        credited=bill.credited,
        payments=tuple(Received(p.pk, p.amount, p.on) for p in paid),
        contact=contact[0],
        alike=contact[1],
        number_used=key in used,
        number_twice=twice,
    )


def _unfit_lines(bill: Bill, codes: Codes) -> str:
    """Why the organisation can't book one of its lines: no tax rate like this, say."""
    stored = entry_of(bill)
    try:
        resolved(stored, stored, codes, goes_out=True)
    except Refused as why:
        return next(iter(why.problems.values()))
    return ""


def _numbers_used(connection: Connection, numbers: Iterable[str]) -> set[str]:
    """Those of the numbers that an invoice of this organisation has, void ones too."""
    wanted = {number.casefold() for number in numbers if number}
    linked = Bill.objects.filter(link__connection=connection).annotate(low=Lower("number"))
    found = linked.filter(low__in=wanted).values_list("low", flat=True)
    return {number.casefold() for number in found}


# --- clients -----------------------------------------------------------------------------------


def _contacts(
    connection: Connection, clients: Sequence[Client]
) -> dict[int, tuple[Contact, tuple[str, ...]]]:
    """Client id -> what Xero has of her, with the names of contacts that look like her."""
    linked = {
        one.client_id: one for one in ClientLink.objects.filter(client__in=[c.pk for c in clients])
    }
    archived = _archived(connection)
    alike = _alike(connection, [c for c in clients if c.pk not in linked])
    found: dict[int, tuple[Contact, tuple[str, ...]]] = {}
    for client in clients:
        link = linked.get(client.pk)
        if link is None:
            names = alike.get(client.pk, ())
            found[client.pk] = (Contact.LIKE if names else Contact.NEW, names)
        elif link.connection_id != connection.pk:
            found[client.pk] = (Contact.ELSEWHERE, ())
        else:
            gone = str(link.contact_id) in archived
            found[client.pk] = (Contact.ARCHIVED if gone else Contact.LINKED, ())
    return found


def _archived(connection: Connection) -> set[str]:
    records = Record.objects.filter(connection=connection, kind=Record.Kind.CONTACT)
    return set(records.filter(data__archived=True).values_list("remote_id", flat=True))


def _alike(connection: Connection, clients: Sequence[Client]) -> dict[int, tuple[str, ...]]:
    """Client id -> names of contacts that nobody is linked to, with her name or e-mail address."""
    names, mails = {plain(c.name) for c in clients}, {c.email.lower() for c in clients if c.email}
    taken = ClientLink.objects.filter(connection=connection).values_list("contact_id", flat=True)
    records = Record.objects.filter(connection=connection, kind=Record.Kind.CONTACT)
    rows = records.annotate(mail=Lower(KT("data__email"))).filter(
        Q(data__plain_name__in=names) | Q(mail__in=mails)
    )
    by_name, by_mail = defaultdict(list), defaultdict(list)
    linked = {str(contact) for contact in taken}
    for remote_id, data, mail in rows.order_by("pk").values_list("remote_id", "data", "mail"):
        if remote_id not in linked:
            by_name[data.get("plain_name")].append(data["name"])
            by_mail[mail or None].append(data["name"])
    return {
        c.pk: tuple(dict.fromkeys(by_name[plain(c.name)] + by_mail[c.email.lower() or ""]))[:3]
        for c in clients
    }


# --- conflicts ---------------------------------------------------------------------------------


def overridden(connection: Connection) -> list[Overridden]:
    """The open conflicts of this organisation, oldest first."""
    rows = Conflict.objects.filter(connection=connection, state=Conflict.State.OPEN)
    found = rows.select_related("bill__client").prefetch_related("bill__payments").order_by("id")
    as_two_way = copy(connection)
    as_two_way.direction = Connection.Direction.TWO
    return [_overridden(row, locks(row.bill, as_two_way)) for row in found]


def _overridden(row: Conflict, locked: Mapping[str, str]) -> Overridden:
    """`locked`: field of the bill -> why Xero would refuse a change of it."""
    bill = row.bill
    return Overridden(
        id=row.pk,
        bill_id=bill.pk,
        number=bill.number,
        client=bill.client.name,
        currency=bill.currency,
        total=bill.total,
        unit=row.unit,
        ours=row.ours,
        theirs=row.theirs,
        locked=locked.get("currency" if row.unit == "money" else row.unit, ""),
    )
