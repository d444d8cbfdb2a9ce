"""What must hold of a world, each promise by itself, and judged from outside wherever it can be:
from Xero's own records, from the calls that really left, from what people typed.

    ALWAYS   at any moment: nothing twice, nothing forbidden, nothing lost, nothing told wrongly
    QUIET    once nothing moves any more: both books are equal, nothing is left under way

A checker answers findings; no finding means that it held. `judge` runs many.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import httpx2
from django.apps import apps
from django.db import connection as database
from django.db.models import Q
from msgspec.structs import replace
from tests.breaker.world import Call, TakenBack, Typed, World

from justpayme.bills import queries
from justpayme.bills.asof import gaps_among
from justpayme.bills.models import Bill, HistoryEntry
from justpayme.core.bill import BillFields, Status, to_plain
from justpayme.core.merge import changes
from justpayme.core.outbox import has_marker
from justpayme.sync import clients
from justpayme.sync.models import (
    IN_FLIGHT,
    OPEN,
    RESTING,
    Conflict,
    Connection,
    Link,
    OutboxItem,
    Run,
)
from justpayme.xero import wire
from justpayme.xero.translate import to_bill
from xero_sandbox.limits import DAY, MINUTE, window_of
from xero_sandbox.model import Contact, Invoice, Line

State, Kind = OutboxItem.State, OutboxItem.Kind
KEY_LIFE = timedelta(minutes=6)
LATEST_EFFECT = timedelta(seconds=90)
GONE = ("VOIDED", "DELETED")


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that did not hold, and where."""

    promise: str
    text: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.text}"


Connections = Sequence[Connection]
Checker = Callable[[World, Connections], Iterator[Finding]]


def judge(
    world: World, connections: Connections, checkers: Iterable[Checker] | None = None
) -> list[Finding]:
    """What does not hold. Without `checkers`: everything, of a world that is quiet."""
    chosen = (*ALWAYS, *QUIET) if checkers is None else tuple(checkers)
    return [finding for checker in chosen for finding in checker(world, connections)]


# --- both books are equal -----------------------------------------------------------------------


def equal_books(world: World, connections: Connections) -> Iterator[Finding]:
    """I-2, I-3, I-4, I-12: each bill is its invoice in every field, and there are no others.

    Bills of which something rests for a person may differ; a lost or ended connection is not
    compared.
    """
    for connection in connections:
        if not connection.is_live:
            continue
        invoices = _shown(world, connection)
        links = Link.objects.filter(connection=connection).defer("raw", "base")
        links = links.select_related("bill__client__link")
        held = {
            str(x.invoice_id): x for x in links.prefetch_related("bill__lines", "bill__payments")
        }
        yield from _same_set(world, connection, held)
        excused = _resting(connection)
        survivors = _survivors(world, connection)
        for invoice_id, link in held.items():
            if invoice_id in invoices and link.bill_id not in excused:
                record = world.ledger(world.country_of(connection)).invoices.rows[invoice_id]
                yield from _equal(link.bill, invoices[invoice_id], record, survivors)


def _shown(world: World, connection: Connection) -> dict[str, wire.Invoice]:
    """Every sales invoice as Xero's API shows it now."""
    with httpx2.Client(transport=world.tap.inner, base_url="http://xero.test") as http:
        answer = http.get(
            f"/sandbox/books/{connection.tenant_id}/Invoices",
            params={"page": "1", "pageSize": "1000", "unitdp": "4"},
        )
    raws = wire.decode(wire.Invoices, answer.content).items
    found = [wire.decode(wire.Invoice, raw) for raw in raws]
    return {i.invoice_id: i for i in found if i.type == "ACCREC"}


def _same_set(world: World, connection: Connection, held: Mapping[str, Link]) -> Iterator[Finding]:
    rows = world.sales(world.country_of(connection))
    there = {i.id: i for i in rows}
    for invoice in rows:
        drafts = connection.import_drafts
        wanted = invoice.status in ("AUTHORISED", "PAID", "VOIDED") or (
            drafts and invoice.status in ("DRAFT", "SUBMITTED")
        )
        if wanted and invoice.id not in held and not _was_draft(world, invoice, drafts):
            yield Finding("I-3", f"invoice {invoice.number} {invoice.status} is no bill here")
    for invoice_id in held.keys() - there.keys():
        yield Finding("I-3", f"bill {held[invoice_id].bill_id} has an invoice that is not in Xero")


def _was_draft(world: World, invoice: Invoice, drafts: bool) -> bool:
    """One that was void before anybody here saw more of it than a draft is nothing."""
    if invoice.status != "VOIDED" or drafts:
        return False
    return all(v.status in ("DRAFT", "SUBMITTED", "VOIDED") for v in world.versions[invoice.id])


def _resting(connection: Connection) -> set[int]:
    """Bills of which something waits for a person's decision."""
    items = OutboxItem.objects.filter(connection=connection, state__in=RESTING)
    mine = set(items.exclude(bill=None).values_list("bill_id", flat=True))
    contacts = items.filter(kind=Kind.CONTACT).values_list("client_id", flat=True)
    return mine | set(
        OutboxItem.objects.filter(
            connection=connection, bill__client__in=list(contacts), state__in=OPEN
        ).values_list("bill_id", flat=True)
    )


def _survivors(world: World, connection: Connection) -> dict[str, str]:
    """Contact -> the last one of the chain that it was merged into, by Xero's own records."""
    rows: dict[str, Contact] = world.ledger(world.country_of(connection)).contacts.rows
    found = {}
    for contact in rows.values():
        last = contact
        while last.merged_to in rows:
            last = rows[str(last.merged_to)]
        found[contact.id] = last.id
    return found


def _equal(
    bill: Bill, shown: wire.Invoice, record: Invoice, survivors: Mapping[str, str]
) -> Iterator[Finding]:
    ours = bill.fields(contact_id=clients.contact_id_of(bill.client))
    theirs = to_bill(shown)
    theirs = theirs.take(BillFields(client=survivors[theirs.client]), ("client",))
    for name, mine, other in changes(ours, theirs):
        yield Finding("I-2", f"{record.number} (bill {bill.pk}) {name}: {mine!r} / {other!r}")
    for name, mine, other in _plainly(bill, record):
        if mine != other:
            yield Finding("I-2", f"{record.number} {name} of the record: {mine!r} / {other!r}")


def _plainly(bill: Bill, record: Invoice) -> Iterator[tuple[str, Any, Any]]:
    """The same without any code of the product's between Xero's record and our row."""
    yield "number", bill.number, record.number
    yield "reference", bill.reference, record.reference
    yield "due_on", bill.due_on, record.due_date
    yield "issued_on", bill.issued_on, record.date
    yield "currency", bill.currency, record.currency
    yield "void", bill.status == Status.VOID, record.status in GONE
    yield "paid off", bill.status == Status.PAID, record.status == "PAID"
    yield "total", bill.total, record.total
    yield "lines", [_words(x) for x in bill.lines.all()], [_words(x) for x in record.lines]
    if record.status not in GONE:
        yield "outstanding", bill.outstanding, record.amount_due
        yield "paid", bill.paid, record.amount_paid


def _words(line: Any) -> tuple[Any, ...]:
    return line.description, line.quantity, line.unit_amount


def sums(world: World, connections: Connections) -> Iterator[Finding]:
    """I-16: what came off and what is owed make the total; payments add up to what is paid."""
    for connection in connections:
        bills = Bill.objects.filter(link__connection=connection).exclude(status=Status.VOID)
        for bill in bills.prefetch_related("payments"):
            if bill.total != bill.outstanding + bill.paid + bill.credited:
                yield Finding("I-16", f"bill {bill.pk}: {bill.total} is not what makes it up")
            came = sum((p.amount for p in bill.payments.all() if p.kind == "payment"), Decimal(0))
            if came != bill.paid:
                yield Finding("I-16", f"bill {bill.pk}: payments {came}, paid {bill.paid}")


def at_rest(world: World, connections: Connections) -> Iterator[Finding]:
    """I-14, I-38: nothing is under way or waits for ever."""
    for connection in connections:
        if connection.state == Connection.State.DISCONNECTED:
            left = connection.outbox.filter(state__in=OPEN)
            yield from (Finding("I-38", f"{i} of an ended connection is open") for i in left)
        if not connection.is_live:
            continue
        for item in connection.outbox.filter(state__in=(State.WAITING, *IN_FLIGHT)):
            if not _waits_for_another(item):
                yield Finding("I-14", f"{item} of bill {item.bill_id} is not at rest")
        refused = connection.outbox.filter(state=State.REFUSED, error_text="")
        for item in refused.filter(error_code="status_not_valid"):
            yield Finding("I-14", f"{item} of bill {item.bill_id} was taken, and cannot be sent")


def _waits_for_another(item: OutboxItem) -> bool:
    """Behind one that a person must decide, or one whose client she must."""
    return (
        OutboxItem.objects.filter(connection=item.connection, state__in=RESTING)
        .filter(bill=item.bill_id)
        .exists()
        or OutboxItem.objects.filter(
            connection=item.connection, state__in=RESTING, kind=Kind.CONTACT
        )
        .filter(client__bills=item.bill_id)
        .exists()
    )


# --- what reached Xero --------------------------------------------------------------------------


def at_most_once(world: World, connections: Connections) -> Iterator[Finding]:
    """I-3, I-13, I-15: each intention is in Xero once at most, deleted ones counted; each done
    one is there; names and numbers are nobody's twice."""
    for country in world.countries:
        ledger = world.ledger(country)
        ours = (p for p in ledger.payments.rows.values() if p.id not in world.by_hand)
        references = [p.reference for p in ours]  # "remove & redo" copies even a marker
        here = [c for c in connections if str(c.tenant_id) == world.tenant(country)]
        for item in OutboxItem.objects.filter(connection__in=here, kind=Kind.PAY):
            found = sum(has_marker(r, item.marker) for r in references)
            if found > 1:
                yield Finding("I-13", f"{item} was paid {found} times")
            if item.state == State.DONE and found != 1:
                yield Finding("I-14", f"{item} is done, but Xero has no such payment")
        for number, count in Counter(c.number for c in ledger.contacts.rows.values()).items():
            if number and count > 1:
                yield Finding("I-13", f"{count} contacts for one client ({number})")
        yield from _twice(world, country, here)


def _twice(world: World, country: str, here: Connections) -> Iterator[Finding]:
    """Invoices that carry the number of a bill which was created there from here."""
    made = OutboxItem.objects.filter(connection__in=here, kind=Kind.CREATE, bill__isnull=False)
    numbers = {n.casefold() for n in made.values_list("bill__number", flat=True) if n}
    live = [i.number.casefold() for i in world.sales(country) if i.status not in GONE]
    for number in numbers:
        if live.count(number) > 1:
            yield Finding("I-13", f"{live.count(number)} invoices are called {number}")


def keys(world: World, connections: Connections) -> Iterator[Finding]:
    """I-18, I-19: a key belongs to one request of one organisation, and is used within its life."""
    by_key: dict[str, list[Call]] = defaultdict(list)
    for call in world.calls:
        if call.changes_xero:
            if not call.key:
                yield Finding("I-18", f"{call.method} {call.path} has no key")
            by_key[call.key].append(call)
    for key, calls in by_key.items():
        if len({(c.method, c.path, c.params, c.body, c.tenant) for c in calls}) > 1:
            yield Finding("I-18", f"{key} was used for several requests")
        if calls[0].tenant not in key:
            yield Finding("I-18", f"{key} does not name its organisation")
        if calls[-1].at - calls[0].at > KEY_LIFE - LATEST_EFFECT:
            yield Finding("I-19", f"{key} was used again after {calls[-1].at - calls[0].at}")


def permitted(world: World, connections: Connections) -> Iterator[Finding]:
    """I-36, I-37: from the commit of a disconnect no call leaves for it, and from the switch to
    one-directional none that changes anything."""
    for call in world.calls:
        if call.by is None or "/api.xro/" not in call.path:
            continue
        said = [m.what for m in world.marks[: call.mark] if m.connection == call.by]
        state = [what for what in said if what in ("live", "disconnected")]
        way = [what for what in said if what in ("one", "two")]
        if state and state[-1] == "disconnected":
            yield Finding("I-37", f"{call.method} {call.path} after the disconnect")
        if call.changes_xero and not (way and way[-1] == "two"):
            yield Finding("I-36", f"{call.method} {call.path} while one-directional")


def limits_kept(world: World, connections: Connections) -> Iterator[Finding]:
    """I-39: at most 60 calls a minute and 1,000 a day, and never an honest 429."""
    counted: Counter[tuple[str, int, int]] = Counter()
    for call in world.calls:
        if "/api.xro/" in call.path and call.status != 429:
            counted[call.tenant, MINUTE, window_of(call.tenant, MINUTE, call.at)] += 1
            counted[call.tenant, DAY, window_of(call.tenant, DAY, call.at)] += 1
    for (_, length, _), count in counted.items():
        if count > {MINUTE: 60, DAY: 1000}[length]:
            yield Finding("I-39", f"{count} calls in {length} seconds")
    for entry in world.app.log.last():
        if entry.status == 429 and not entry.fault:
            yield Finding("I-39", f"{entry.method} {entry.path} was one call too many")


def patient(world: World, connections: Connections) -> Iterator[Finding]:
    """I-40: no call for an organisation before the time that it asked for has passed. We wait by
    our clock, so where that was set nothing is said (I-43: delays may change)."""
    if world.clock.jumps:
        return
    until: dict[tuple[str, int | None], Any] = {}
    for call in world.calls:
        whose = (call.tenant, call.by)
        if not call.tenant:
            continue
        if whose in until and call.at < until[whose]:
            yield Finding("I-40", f"{call.method} {call.path} {until[whose] - call.at} too early")
        if call.status == 429 and call.retry_after is not None and call.answered is not None:
            until[whose] = call.answered + timedelta(seconds=min(call.retry_after, 86_400))


def one_refresh(world: World, connections: Connections) -> Iterator[Finding]:
    """I-33: refreshes of one token set do not overlap. One whose asker stopped for minutes, so
    that the database gave its lock away, binds nobody: Xero takes the old token again meanwhile
    (xero-facts 1.3: thirty minutes' grace)."""
    last: dict[bytes, Call] = {}
    for call in world.calls:
        if call.path.endswith("/connect/token") and b"grant_type=refresh_token" in call.body:
            before = last.get(call.body)
            if before and before.alone and before.answered and call.at < before.answered:
                yield Finding("I-33", "two refreshes with one token at once")
            last[call.body] = call


def one_run(world: World, connections: Connections) -> Iterator[Finding]:
    """I-42: at most one run of a connection is under way."""
    for connection in connections:
        under_way = connection.runs.filter(state=Run.State.RUNNING).count()
        if under_way > 1:
            yield Finding("I-42", f"{under_way} runs of {connection} at once")


def none_forgotten(world: World, connections: Connections) -> Iterator[Finding]:
    """I-51: an organisation that is live has a sync under way or a time for the next one."""
    for connection in connections:
        connection.refresh_from_db()
        idle = not connection.runs.filter(state=Run.State.RUNNING).exists()
        if connection.is_live and connection.next_due_at is None and idle:
            yield Finding("I-51", f"{connection} will never be synced again")


def lost_for_a_reason(world: World, connections: Connections) -> Iterator[Finding]:
    """I-34, I-35: a connection is lost only if Xero refused a refresh token, or the access to this
    organisation or to all."""
    refused = set[str]()
    for e in world.app.log.last():
        if (e.status == 400 and e.path.endswith("/connect/token")) or e.status in (401, 403):
            refused.add(e.tenant)
    for connection in connections:
        named = {"", str(connection.tenant_id)} & refused
        if connection.state == Connection.State.LOST and not named:
            yield Finding("I-35", f"{connection} is lost, though Xero refused nothing")


# --- what people typed --------------------------------------------------------------------------


def histories(world: World, connections: Connections) -> Iterator[Finding]:
    """I-31: every bill's past, rebuilt from its history, is whole and ends in the bill of today."""
    for business in {c.business_id: c.business for c in connections}.values():
        books = queries.open_books(business, world.clock.now())
        changed = HistoryEntry.objects.filter(business=business).exclude(changes=[])
        for pk, entry, name in gaps_among(books, set(changed.values_list("bill_id", flat=True))):
            yield Finding("I-31", f"bill {pk}: {name} is doubtful at entry {entry}")


def nothing_lost(world: World, connections: Connections) -> Iterator[Finding]:
    """I-27: a value that a person typed stands until a person changes it, or it was in Xero
    before Xero changed it, or it is kept as a conflict."""
    typed: dict[int, list[Typed]] = defaultdict(list)
    for value in world.typed:
        typed[value.bill].append(value)
    for bill, values in typed.items():
        entries = list(HistoryEntry.objects.filter(bill=bill).order_by("id"))
        link = Link.objects.filter(bill=bill).first()
        versions = world.versions[str(link.invoice_id)] if link else []
        for value in values:
            yield from _fate(value, entries, versions)


def _fate(
    value: Typed, entries: Sequence[HistoryEntry], versions: Sequence[Invoice]
) -> Iterator[Finding]:
    told = next((e for e in entries if e.pk == value.entry), None)
    edit = next((c for c in told.changes if c["field"] == value.field), None) if told else None
    if edit is None or edit["new"] != value.value:
        yield Finding("I-27", f"bill {value.bill}: the history does not say {value}")
        return
    for entry in entries:
        changed = {c["field"]: c for c in entry.changes}
        if entry.pk <= value.entry or entry.action == HistoryEntry.SENT:
            continue
        if value.field not in changed or _says_still(value, changed[value.field]["new"]):
            continue
        if entry.source != HistoryEntry.Source.PERSON and not _kept(edit, entry, versions):
            yield Finding("I-27", f"bill {value.bill}: {value.field} {value.value!r} was lost")
        return


def _says_still(value: Typed, new: Any) -> bool:
    """Do these lines say what was typed, with no more than Xero's own of them?"""
    return value.field == "lines" and _lines_say(value.value) == _lines_say(new)


def _lines_say(lines: Any) -> list[tuple[Any, ...]]:
    numbers = ((line["quantity"], line["unit_amount"]) for line in lines)
    exact = [tuple(n and Decimal(n) for n in pair) for pair in numbers]
    return [(line["description"], *pair) for line, pair in zip(lines, exact, strict=True)]


def _kept(edit: Mapping[str, Any], entry: HistoryEntry, versions: Sequence[Invoice]) -> bool:
    """Is the value kept where a person finds it, or was it Xero's when Xero changed it?"""
    name, new = edit["field"], edit["new"]
    if entry.action == "overridden":
        rows = Conflict.objects.filter(bill=entry.bill_id).values_list("ours", flat=True)
        return any(name in ours and ours[name] == new for ours in rows)
    return any(
        reached(name, new, version)
        or (name == "lines" and _cells_reached(edit["old"], new, version))
        for version in versions
    )


def _cells_reached(old: Any, new: Any, version: Invoice) -> bool:
    """Did this version say what was changed of these lines? People in Xero may have changed the
    rest at the same moment."""
    if [line["remote_id"] for line in old] != [line["remote_id"] for line in new]:
        return False
    there = {line.id: line for line in version.lines}
    return all(
        line["remote_id"] in there
        and to_plain(getattr(there[line["remote_id"]], cell)) == line[cell]
        for was, line in zip(old, new, strict=True)
        for cell in CELLS
        if was[cell] != line[cell]
    )


CELLS = ("description", "quantity", "unit_amount")


def reached(name: str, value: Any, version: Invoice) -> bool:
    """Did this version of an invoice say what a history calls `value`?"""
    if name == "lines":
        said = [tuple(x[cell] for cell in CELLS) for x in value]
        return said == [_as_told(line) for line in version.lines]
    if name == "status":
        return (value == "void") == (version.status in GONE)
    if name not in IN_XERO:
        return True  # computed from the others
    there = getattr(version, IN_XERO[name])
    plain = there.isoformat() if isinstance(there, date) else there
    return (plain or None) == (value or None)


IN_XERO = {
    "number": "number",
    "reference": "reference",
    "issued_on": "date",
    "due_on": "due_date",
    "expected_on": "expected_on",
    "url": "url",
    "branding_theme": "theme_id",
}


def _as_told(line: Line) -> tuple[Any, ...]:
    return tuple(to_plain(getattr(line, cell)) for cell in CELLS)


def untouched(world: World, connections: Connections) -> Iterator[Finding]:
    """I-21: what nobody in a story changes is in Xero as it was first: an invoice's lines are
    those that it had, with all that no edit was about, and so are its contact's details."""
    for versions in world.versions.values():
        first, last = versions[0], versions[-1]
        if _pick(first, LEFT_ALONE) != _pick(last, LEFT_ALONE):
            yield Finding("I-21", f"{first.number}: {_pick(first, LEFT_ALONE)} changed")
        now = {line.id: line for line in last.lines}
        for line in first.lines:
            if line.id not in now:
                yield Finding("I-21", f"{first.number}: {line} is gone")
            elif _pick(line, OF_A_LINE) != _pick(now[line.id], OF_A_LINE):
                yield Finding("I-21", f"{first.number}: {line} became {now[line.id]}")
    for ledger in world.app.store.ledgers.values():
        for contact in ledger.contacts.rows.values():
            first = world.contacts[contact.id]
            if replace(first, **_pick(contact, OF_A_CONTACT)) != contact:
                yield Finding("I-21", f"{first} became {contact}")


LEFT_ALONE = ("type", "number", "date", "currency", "rate", "line_amount_types", "theme_id", "sent")
OF_A_LINE = (
    *("quantity", "account_code", "tax_type", "discount_rate", "discount_amount"),
    *("item_code", "tracking"),
)
OF_A_CONTACT = ("name", "updated", "status", "merged_to")
"""What people in Xero do change."""


def _pick(record: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def nothing_unpaid(world: World, connections: Connections) -> Iterator[Finding]:
    """I-14, I-27: money that a person recorded is in Xero, or visibly open, taken back or kept."""
    taken_back = {back.marker for back in world.taken_back}
    for received in world.received:
        item = OutboxItem.objects.filter(marker=received.marker, kind=Kind.PAY).first()
        if item is None:
            yield Finding("I-17", f"bill {received.bill}: a payment without its intention")
        elif item.state == State.SUPERSEDED and not (
            received.marker in taken_back or _kept_as_conflict(item, received.marker)
        ):
            yield Finding("I-27", f"bill {received.bill}: {received.amount} is nowhere")


def nothing_returned(world: World, connections: Connections) -> Iterator[Finding]:
    """I-14, I-27: a payment that a person took back is gone from Xero, or its removal is still
    to be seen: open, refused, or cancelled with the organisation's syncing or by a person."""
    sent = [back for back in world.taken_back if back.sent]
    links = Link.objects.filter(bill__in={back.bill for back in sent})
    held = {x.bill_id: x.connection for x in links.select_related("connection")}
    told = (*OPEN, State.REFUSED, State.CANCELLED)
    for back in sent:
        connection = held.get(back.bill)
        if connection and _is_live_in_xero(world, world.country_of(connection), back):
            removals = OutboxItem.objects.filter(bill=back.bill, kind=Kind.UNPAY, state__in=told)
            same = Q(remote_id=back.remote_id) if back.remote_id else Q(marker=back.marker)
            if not removals.filter(same).exists():
                yield Finding("I-27", f"bill {back.bill}: {back} is still paid")


def _is_live_in_xero(world: World, country: str, back: TakenBack) -> bool:
    """People in Xero may redo a payment; that is another one."""
    return any(
        payment.status == "AUTHORISED"
        and payment.id not in world.by_hand
        and (
            payment.id == back.remote_id
            if back.remote_id
            else has_marker(payment.reference, back.marker)
        )
        for payment in world.ledger(country).payments.rows.values()
    )


def _kept_as_conflict(item: OutboxItem, marker: str) -> bool:
    kept = Conflict.objects.filter(bill=item.bill_id, unit="payments")
    return any(marker in str(ours) for ours in kept.values_list("ours", flat=True))


# --- who may see what ---------------------------------------------------------------------------


def secret(world: World, connections: Connections) -> Iterator[Finding]:
    """I-54: no token in any row of any table; what is sealed does not show it either."""
    hidden = sorted(world.secrets)
    if not hidden:
        return
    told = " UNION ALL ".join(
        f"SELECT '{table}' FROM {table} t WHERE t::text LIKE ANY(%(hidden)s)"  # noqa: S608
        for table in _told()
    )
    with database.cursor() as cursor:
        cursor.execute(told, {"hidden": [f"%{text}%" for text in hidden]})
        for (table,) in cursor.fetchall():
            yield Finding("I-54", f"{table} holds a token")


@cache
def _told() -> list[str]:
    """Every table that we write, the queue's among them."""
    models = apps.get_models(include_auto_created=True)
    return sorted({model._meta.db_table for model in models})


def apart(world: World, connections: Connections) -> Iterator[Finding]:
    """I-48: whatever hangs on a connection is its business's."""
    query = " UNION ALL ".join(f"SELECT '{what}' {rows}" for what, rows in _FOREIGN.items())
    with database.cursor() as cursor:
        cursor.execute(query)
        for (what,) in cursor.fetchall():
            yield Finding("I-48", f"{what} of another business")


_FOREIGN = {
    "links": "FROM sync_link l JOIN bills_bill b ON b.id = l.bill_id"
    " JOIN sync_connection c ON c.id = l.connection_id WHERE c.business_id <> b.business_id",
    "clients": "FROM bills_bill b JOIN bills_client k ON k.id = b.client_id"
    " WHERE k.business_id <> b.business_id",
    "contacts": "FROM sync_clientlink l JOIN bills_client k ON k.id = l.client_id"
    " JOIN sync_connection c ON c.id = l.connection_id WHERE c.business_id <> k.business_id",
    "intentions": "FROM sync_outboxitem i JOIN sync_connection c"
    " ON c.id = i.connection_id WHERE c.business_id <> i.business_id",
    "histories": "FROM bills_historyentry h JOIN bills_bill b ON b.id = h.bill_id"
    " WHERE h.business_id <> b.business_id",
}


ALWAYS: tuple[Checker, ...] = (
    at_most_once,
    keys,
    permitted,
    limits_kept,
    patient,
    one_refresh,
    one_run,
    none_forgotten,
    lost_for_a_reason,
    histories,
    nothing_lost,
    untouched,
    nothing_unpaid,
    nothing_returned,
    secret,
    apart,
)
QUIET: tuple[Checker, ...] = (equal_books, sums, at_rest)
MEANWHILE: tuple[Checker, ...] = (
    at_most_once,
    keys,
    permitted,
    patient,
    one_refresh,
    one_run,
    none_forgotten,
)
"""Those that can be asked of a world that is not quiet, and cost little."""

__all__ = ["ALWAYS", "MEANWHILE", "QUIET", "Finding", "judge"]
