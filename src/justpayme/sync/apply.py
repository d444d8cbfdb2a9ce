"""The one door through which Xero changes anything here.

Each `apply_*` takes one page that is already parsed and translated, and the cursor's next
position, and writes both in one short transaction (I-1, I-7): read the rows as they are now,
decide with core, write set-based. Nothing here talks to the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from msgspec import to_builtins

from justpayme.bills.models import Bill, HistoryEntry, Payment
from justpayme.core import cursor as cursors
from justpayme.core.bill import UNITS, BillFields, PaidFields, Status
from justpayme.core.errors import Problem
from justpayme.core.merge import Merge, changes, merge
from justpayme.core.schedule import voids_are_unusual
from justpayme.core.settle import beside, over, under, waiting
from justpayme.sync import arrivals, bulk, clients, conflicts, intentions, outbox, plain
from justpayme.sync.bulk import HistoryRow, LinkRow
from justpayme.sync.models import OPEN, Connection, Cursor, Link, OutboxItem, Record, Run
from justpayme.sync.records import Said, remember, replace_all
from justpayme.xero import wire
from justpayme.xero.translate import PaymentFacts, to_client, to_credits, to_payment


@dataclass(frozen=True, slots=True)
class Incoming:
    """One invoice as it came: translated, with the words it came in. `wanted`: becomes a bill
    if it is not one yet."""

    row: LinkRow
    contact_name: str
    wanted: bool


@dataclass
class Tally:
    """What a page did."""

    read: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: int = 0
    drift: int = 0
    voided: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """The decision for one invoice that is a bill here. `before` and `after`: the whole row,
    with what lies over it; `known`: what the row should have been before, which it was not if
    somebody changed it behind the sync's back; `items`: what waits to be sent for the bill;
    `lost`: payments recorded here that Xero would not take any more."""

    link: Link
    incoming: Incoming
    merge: Merge
    known: BillFields
    before: BillFields
    after: BillFields
    client_id: int | None
    items: list[OutboxItem]
    landed: list[tuple[OutboxItem, str]]
    lost: tuple[PaidFields, ...]

    @property
    def edited(self) -> bool:
        """Does the row still say something that Xero does not?"""
        return self.after != self.merge.base


@dataclass
class _Plan:
    """Decisions for one page, gathered before anything is written."""

    new: list[Incoming] = field(default_factory=list)
    known: list[_Known] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    @property
    def changed(self) -> list[_Known]:
        """Those whose row changes."""
        return [k for k in self.known if k.before != k.after]


def known_versions(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, tuple[bytes, bool]]:
    """For invoices that are bills here: (digest of the version held, whether something of ours
    is open: edited here since, or not done in the outbox). What is open may end by the same words
    of Xero's that left it open when they came first."""
    held = plain.rows(_VERSIONS, list(OPEN), connection.pk, list(ids)) if ids else []
    return {invoice_id: (bytes(digest), ours) for invoice_id, digest, ours in held}


_VERSIONS = """SELECT invoice_id, digest, edited OR EXISTS (
    SELECT FROM sync_outboxitem AS item WHERE item.bill_id = link.bill_id AND state = ANY(%s))
FROM sync_link AS link WHERE connection_id = %s AND invoice_id = ANY(%s)"""


def apply_invoices(
    run: Run,
    page: Sequence[Incoming],
    *,
    unchanged: int,
    now: datetime,
    endpoint: str,
    position: cursors.Position | None,
    expected: int | None = None,
    voided: int = 0,
    anew: bool = False,
) -> Tally:
    """Write one page of invoices and move the cursor, or do neither.

    `unchanged`: invoices of the page that are byte for byte what we hold, already left out.
    `expected`: how many invoices there are, None if nobody knows; a page read again by id
    (`position` None) does not change it.
    `voided`: bills that earlier pages of this run voided.
    `anew`: rows that nobody edited are compared too, and brought back if they strayed.
    Without a page and a position there is nothing to write: the caller counts what it saw.
    Raises Problem: "stopped" if this run may not write any more, "mass_void" before the first
    write of a page that voids too much.
    """
    if not page and position is None:
        return Tally()
    with transaction.atomic():
        connection = fence(run)
        plan = _plan(connection, page, run, anew=anew) if page else _Plan()
        if page:
            _stop_at_mass_void(connection, plan, voided)
            _carry_out(run, connection, plan, now)
        plan.tally.read += len(page) + unchanged
        plan.tally.unchanged += unchanged
        move(connection, endpoint, position)
        _count(run, plan.tally, {"expected": expected} if position else {})
    return plan.tally


def apply_contacts(
    run: Run,
    contacts: Sequence[wire.Contact],
    *,
    now: datetime,
    endpoint: str,
    position: cursors.Position | None,
) -> None:
    """Write one page of contacts and move the cursor, or do neither."""
    values = {UUID(c.contact_id): to_client(c) for c in contacts}
    customers = {UUID(c.contact_id) for c in contacts if c.is_customer}
    merged = {
        UUID(c.contact_id): UUID(c.merged_to_contact_id) for c in contacts if c.merged_to_contact_id
    }
    with transaction.atomic():
        connection = fence(run)
        said = [
            Said(c.contact_id.lower(), c.updated, clients.record_of(values[UUID(c.contact_id)]))
            for c in contacts
        ]
        remember(connection, Record.Kind.CONTACT, said)
        numbers = {c.contact_number or "": c.contact_id.lower() for c in contacts}
        if sent := intentions.adopt_contacts(connection, numbers, now):
            Run.objects.filter(pk=run.pk).update(sent=F("sent") + sent)
        clients.update(connection, values, customers, merged, run.pk, now)
        move(connection, endpoint, position)


def apply_payments(
    run: Run,
    payments: Sequence[wire.Payment],
    *,
    endpoint: str,
    position: cursors.Position | None,
) -> None:
    """Remember one page of payments and move the cursor, or do neither.

    What a bill's payments are is told by its invoice; this adds the account.
    """
    facts = {p.payment_id.lower(): to_payment(p) for p in payments}
    with transaction.atomic():
        connection = fence(run)
        remember(
            connection,
            Record.Kind.PAYMENT,
            [
                Said(p.payment_id.lower(), p.updated, to_builtins(facts[p.payment_id.lower()]))
                for p in payments
            ],
        )
        name_accounts(connection, list(_bills_of(connection, facts).values()))
        move(connection, endpoint, position)


def disagreeing(connection: Connection, payments: Sequence[wire.Payment]) -> list[str]:
    """InvoiceIDs of bills that lack one of these payments, or still hold one taken back."""
    facts = {p.payment_id.lower(): to_payment(p) for p in payments}
    bills = _bills_of(connection, facts)
    held = set(
        Payment.objects.filter(bill_id__in=bills.values()).values_list("bill_id", "remote_id")
    )
    return [
        fact.invoice_id
        for payment_id, fact in facts.items()
        if fact.invoice_id in bills and fact.live != ((bills[fact.invoice_id], payment_id) in held)
    ]


def apply_reference(run: Run, lists: Mapping[Record.Kind, Sequence[Said]]) -> None:
    """Write complete lists (accounts, tax rates, currencies) in place of the ones before."""
    with transaction.atomic():
        connection = fence(run)
        for kind, objects in lists.items():
            replace_all(connection, kind, objects)


def missing_credits(connection: Connection, notes: Sequence[wire.CreditNote]) -> list[str]:
    """InvoiceIDs of bills that lack a credit which these credit notes say was applied."""
    credits = [credit for note in notes for credit in to_credits(note)]
    links = Link.objects.filter(
        connection=connection, invoice_id__in={invoice for invoice, _ in credits}
    )
    bills = {str(i): bill for i, bill in links.values_list("invoice_id", "bill_id")}
    held = set(
        Payment.objects.filter(bill_id__in=bills.values()).values_list("bill_id", "remote_id")
    )
    return [
        invoice
        for invoice, credit in credits
        if invoice in bills and (bills[invoice], credit.remote_id) not in held
    ]


def _bills_of(connection: Connection, facts: Mapping[str, PaymentFacts]) -> dict[str, int]:
    ids = {fact.invoice_id for fact in facts.values() if fact.invoice_id}
    found = plain.rows(_BILLS, connection.pk, list(ids)) if ids else []
    return {str(invoice): bill for invoice, bill in found}


_BILLS = """SELECT invoice_id, bill_id FROM sync_link
WHERE connection_id = %s AND invoice_id = ANY(%s::uuid[])"""


def fence(run: Run) -> Connection:
    """The connection, if this run may still write: its row says *running*, and the
    organisation is live. Locks both rows, so that neither changes before the commit (I-42); not
    so hard that nobody could add a row that names them, or a person's edit would deadlock.

    Of the connection only state and direction are as they are now; the rest is from the run's
    beginning."""
    connection = run.connection
    found = plain.one(_FENCE, run.pk)
    if found is None:
        raise Problem("stopped", "the run is not there any more")
    connection.state, connection.direction, state = found
    if state != Run.State.RUNNING or not connection.is_live:
        raise Problem("stopped", f"run is {state}, connection is {connection.state}")
    return connection


_FENCE = """SELECT organisation.state, organisation.direction, run.state
FROM sync_connection AS organisation JOIN sync_run AS run ON run.connection_id = organisation.id
WHERE run.id = %s FOR NO KEY UPDATE
"""


def move(connection: Connection, endpoint: str, position: cursors.Position | None) -> None:
    """Store how far an endpoint has been read; part of the transaction that wrote its rows."""
    if position is None:
        return
    Cursor.objects.bulk_create(
        [Cursor(connection=connection, endpoint=endpoint, state=cursors.to_plain(position))],
        update_conflicts=True,
        unique_fields=["connection", "endpoint"],
        update_fields=["state"],
    )


def move_only(run: Run, endpoint: str, position: cursors.Position) -> None:
    """Move a cursor over a page that said nothing new."""
    with transaction.atomic():
        move(fence(run), endpoint, position)


def _plan(connection: Connection, page: Sequence[Incoming], run: Run, *, anew: bool) -> _Plan:
    plan = _Plan()
    links = _links(connection, [incoming.row for incoming in page])
    strange = [i.row for i in page if i.row.invoice_id not in links]
    if strange and intentions.adopt_creations(connection, strange, run.started_at):
        links |= _links(connection, strange)
    items = intentions.of_bills(connection, [link.bill_id for link in links.values()])
    rows = _rows([i.bill_id for i in links.values() if anew or i.edited or i.bill_id in items])
    survivors = clients.survivors(connection)
    for incoming in page:
        link = links.get(incoming.row.invoice_id)
        if link is None:
            _plan_new(plan, incoming)
        else:
            row = rows.get(link.bill_id)
            waiting = items.get(link.bill_id, [])
            _plan_known(plan, link, incoming, row, waiting, survivors, connection, run)
    return plan


def _links(connection: Connection, rows: Sequence[LinkRow]) -> dict[UUID, Link]:
    """The links of those of these invoices that are bills here, locked."""
    found = Link.objects.select_for_update().filter(
        connection=connection, invoice_id__in=[row.invoice_id for row in rows]
    )
    return {link.invoice_id: link for link in found.order_by("id").defer("raw")}


def _plan_new(plan: _Plan, incoming: Incoming) -> None:
    if incoming.wanted:
        plan.new.append(incoming)
        plan.tally.created += 1
    else:
        plan.tally.skipped += 1


def _plan_known(
    plan: _Plan,
    link: Link,
    incoming: Incoming,
    row: Bill | None,
    items: list[OutboxItem],
    survivors: Mapping[str, str],
    connection: Connection,
    run: Run,
) -> None:
    """Decide for an invoice that is a bill here."""
    held_at, said_at = link.remote_updated_at, incoming.row.remote_updated_at
    if held_at is not None and said_at < held_at:
        plan.tally.unchanged += 1  # an older version never overwrites a newer one (I-10)
        return
    known = _decide(link, incoming, row, items, survivors, connection)
    plan.known.append(known)
    if known.before == known.after:
        plan.tally.unchanged += 1
        return
    plan.tally.changed += 1
    if run.kind == Run.Kind.AUDIT and said_at == held_at and not link.edited:
        plan.tally.drift += 1  # Xero changed it without a new stamp (xero-facts 3.2)


def _decide(
    link: Link,
    incoming: Incoming,
    row: Bill | None,
    items: list[OutboxItem],
    survivors: Mapping[str, str],
    connection: Connection,
) -> _Known:
    """Merge what Xero says into the row, with what is on its way to Xero taken off before and
    laid over it again after."""
    base = _of_survivor(bulk.base_of(link.base), survivors)
    before = base
    if row is not None:
        before = _of_survivor(row.fields(contact_id=clients.contact_id_of(row.client)), survivors)
    ours = before if link.edited or items else base  # else what differs was nobody's edit
    remote = _of_survivor(incoming.row.fields, survivors)
    intentions.name_payments(items, remote)
    sent, units, confirmed = intentions.last_sent(items)
    decision = merge(
        base,
        beside(under(ours, base), remote),
        remote,
        read_only=connection.direction == Connection.Direction.ONE,
        sent=sent,
        sent_units=units,
        confirmed=confirmed,
        aside=conflicts.aside(connection, link.bill_id) if sent is not None else frozenset(),
    )
    landed = intentions.landed(items, remote)
    done = {item.pk for item, _ in landed}
    left = [item for item in items if item.pk not in done]
    if intentions.turned(before, decision.bill):
        left = [item for item in left if not intentions.is_held(item)]
    pending = outbox.pending(left)
    after = over(waiting(decision.bill, remote), pending)
    lost = intentions.aside(items, landed, before, after)
    client_id = row.client_id if row is not None else None
    should = base if ours != before else before
    return _Known(link, incoming, decision, should, before, after, client_id, items, landed, lost)


def _of_survivor(bill: BillFields, survivors: Mapping[str, str]) -> BillFields:
    """The bill as of the contact that its own was merged into: that is no change any more."""
    survivor = survivors.get(bill.client)
    return bill if survivor is None else replace(bill, client=survivor)


def _rows(bill_ids: list[int]) -> dict[int, Bill]:
    """The bills that a person edited, or of which something is under way; all others equal their
    base and need not be read."""
    bills = (
        Bill.objects.filter(pk__in=bill_ids)
        .select_related("client__link")
        .prefetch_related("lines", "payments")
    )
    return {bill.pk: bill for bill in bills}


def _stop_at_mass_void(connection: Connection, plan: _Plan, voided: int) -> None:
    """Raise if this page and the run's pages before it void too much (I-11)."""
    plan.tally.voided = sum(
        k.after.status is Status.VOID and k.before.status is not Status.VOID for k in plan.changed
    )
    if not plan.tally.voided or connection.accepted_risk:
        return
    still_open = Bill.objects.filter(link__connection=connection, status=Status.ACTIVE).count()
    voids, open_before = voided + plan.tally.voided, still_open + voided
    if voids_are_unusual(voids, open_before):
        raise Problem("mass_void", f"{voids} of {open_before} open bills")


def _carry_out(run: Run, connection: Connection, plan: _Plan, now: datetime) -> None:
    business = connection.business_id
    client_ids = _clients(connection, plan, now)
    keys = bulk.allocate("bills_bill", len(plan.new))
    created = [
        (pk, client_ids[UUID(i.row.fields.client)], i.row.fields)
        for pk, i in zip(keys, plan.new, strict=True)
    ]
    bulk.insert_bills(business, created, now)
    bulk.insert_links(
        connection.pk, [(pk, i.row) for pk, i in zip(keys, plan.new, strict=True)], now
    )
    changed = plan.changed
    before = clients.marks([k.link.bill_id for k in changed])
    bulk.update_bills([(k.link.bill_id, _client_of(k, client_ids), k.after) for k in changed], now)
    bulk.replace_lines([(k.link.bill_id, k.after) for k in changed if _differ(k, "lines")])
    bulk.replace_payments([(k.link.bill_id, k.after) for k in changed if _differ(k, "payments")])
    bulk.update_links([(k.link.pk, k.incoming.row, k.edited) for k in plan.known], now)
    sent = _sent(plan)
    if sent:
        Run.objects.filter(pk=run.pk).update(sent=F("sent") + len(sent))
    bulk.insert_history(business, run.pk, [*sent, *_history(run, keys, plan, before)], now)
    for known in plan.known:
        if known.items:
            intentions.follow(known.items, known.landed, known.merge, known.lost, now)
        if known.merge.outgoing and connection.is_two_way:
            outbox.keep_going(connection, known.link.bill_id, now)
        if known.merge.conflicts or known.lost:
            conflicts.keep(connection, known.link.bill_id, known.merge, known.lost, run.pk, now)
    name_accounts(connection, [*keys, *(k.link.bill_id for k in changed)])


def _differ(known: _Known, name: str) -> bool:
    return bool(getattr(known.before, name) != getattr(known.after, name))


def _clients(connection: Connection, plan: _Plan, now: datetime) -> dict[UUID, int]:
    """Client ids for every contact that a new or changed bill names."""
    contacts = {
        UUID(k.after.client): k.incoming.contact_name for k in plan.changed if k.after.client
    }
    contacts |= {UUID(i.row.fields.client): i.contact_name for i in plan.new}
    return clients.ensure(connection, contacts, now)


def _client_of(known: _Known, client_ids: Mapping[UUID, int]) -> int:
    """The bill's client: by contact, or the one it has if that is no contact yet."""
    if known.client_id is not None and known.before.client == known.after.client:
        return known.client_id
    return client_ids[UUID(known.after.client)]


def _history(
    run: Run, keys: list[int], plan: _Plan, before: Mapping[int, dict[str, Any]]
) -> list[HistoryRow]:
    """One entry for each new bill, one or two for each changed one; `before`: its client."""
    after = clients.marks(list(before))
    source = HistoryEntry.Source
    first = run.kind == Run.Kind.IMPORT
    rows = [
        HistoryRow(
            pk,
            source.IMPORT if first else source.XERO,
            "imported",
            note=f"Imported from Xero invoice {incoming.row.fields.number}".strip(),
        )
        for pk, incoming in zip(keys, plan.new, strict=True)
    ]
    for known in plan.changed:
        client = ("client", before[known.link.bill_id], after[known.link.bill_id])
        rows += _changed_rows(known, client)
    return rows


def _sent(plan: _Plan) -> list[HistoryRow]:
    """Entries for what has just turned out to have reached Xero, its answer having been lost."""
    return [
        arrivals.row(known.link.bill_id, item, bulk.base_of(known.link.base))
        for known in plan.known
        for item, _ in known.landed
        if item.shipment_id is not None and not arrivals.is_told(item)
    ]


def _changed_rows(known: _Known, client: tuple[str, Any, Any]) -> list[HistoryRow]:
    """What Xero changed, and apart from it what it overrode of ours (nothing typed is lost)."""
    ours = {name for conflict in known.merge.conflicts for name in UNITS[conflict.unit]}
    if known.lost:
        ours |= set(UNITS["settlement"])
    every = [change for change in changes(known.before, known.after) if change[0] != "client"]
    every += [client] if client[1] != client[2] else []
    overridden = [change for change in every if change[0] in ours]
    plain = [change for change in every if change[0] not in ours]
    rows, bill_id = _strayed_rows(known, client), known.link.bill_id
    if overridden:
        note = "Changed here too; Xero’s version stands and yours is kept."
        xero = HistoryEntry.Source.XERO
        rows.append(HistoryRow(bill_id, xero, "overridden", overridden, note))
    if plain:
        rows.append(HistoryRow(bill_id, HistoryEntry.Source.XERO, "changed", plain))
    return rows


def _strayed_rows(known: _Known, client: tuple[str, Any, Any]) -> list[HistoryRow]:
    """What nobody's edit and no sync explains, so that the history stays whole (I-31)."""
    strayed = [change for change in changes(known.known, known.before) if change[0] != "client"]
    if known.before.client != known.known.client == known.after.client:
        strayed.append(("client", client[2], client[1]))
    if not strayed:
        return []
    note = "The bill was not as the sync had left it. Xero’s version stands again."
    return [HistoryRow(known.link.bill_id, HistoryEntry.Source.XERO, "strayed", strayed, note)]


def name_accounts(connection: Connection, bill_ids: Sequence[int]) -> None:
    """Fill in which account received each payment of these bills, from Xero's payments."""
    if not bill_ids:
        return
    plain.do(_NAME_ACCOUNTS, connection.pk, list(bill_ids))


_NAME_ACCOUNTS = """
UPDATE bills_payment p SET account = left(account.data->>'name', 150)
FROM sync_record payment, sync_record account
WHERE payment.connection_id = %s AND payment.kind = 'payment'
  AND payment.remote_id = p.remote_id
  AND account.connection_id = payment.connection_id AND account.kind = 'account'
  AND account.remote_id = payment.data->>'account_id'
  AND p.bill_id = ANY(%s) AND p.account <> left(account.data->>'name', 150)
"""


def _count(run: Run, tally: Tally, told: Mapping[str, int | None]) -> None:
    """Add a page's figures to the run's row, in the page's own transaction; `told` replaces."""
    added = [getattr(tally, name) for name in _COUNTED]
    plain.do(_COUNT, *added, run.pk)
    if told:
        Run.objects.filter(pk=run.pk).update(**told)


_COUNTED = ("read", "created", "changed", "unchanged", "skipped", "drift")
_COUNT = f"""UPDATE sync_run SET {", ".join(f'"{name}" = "{name}" + %s' for name in _COUNTED)}
WHERE id = %s
"""  # noqa: S608
