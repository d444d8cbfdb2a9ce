"""Rows become the objects of `shapes`: the API and the export say the same about a bill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db.models import Model, Prefetch, QuerySet

from justpayme.api import shapes
from justpayme.bills.currencies import digits
from justpayme.bills.held import locks
from justpayme.bills.models import Bill, Client, HistoryEntry, Line, Payment
from justpayme.bills.queries import NOTHING, Books, OnTheWay, on_the_way
from justpayme.bills.shown import sync_line
from justpayme.core.bill import Status, TaxMode, shown_status
from justpayme.core.errors import CATALOGUE, told
from justpayme.core.outbox import without_marker
from justpayme.core.totals import rate_of
from justpayme.integrations.actions import may_write
from justpayme.integrations.queries import Held
from justpayme.sync.models import OPEN, Conflict, Connection, Link, OutboxItem, Run, checked_at

ITEM_RELATED = ("connection", "by", "bill__client", "client")
CONFLICT_RELATED = ("connection", "bill", "typed_by")
_State = OutboxItem.State


def with_related(rows: QuerySet[Bill]) -> QuerySet[Bill]:
    """Bills with what `bill_rows` follows."""
    related = rows.select_related("client", "link__connection")
    return related.defer("link__raw", "link__base")


def with_everything(rows: QuerySet[Bill]) -> QuerySet[Bill]:
    """Bills with what `bill_outs` follows: lines, payments, and all that is on its way."""
    items = OutboxItem.objects.filter(state__in=OPEN).select_related(*ITEM_RELATED).order_by("id")
    contacts = items.filter(kind=OutboxItem.Kind.CONTACT)
    open_ones = Conflict.objects.filter(state=Conflict.State.OPEN).order_by("id")
    conflicts = open_ones.select_related(*CONFLICT_RELATED)
    return with_related(rows).prefetch_related(
        "lines",
        "payments",
        Prefetch("outbox", items, to_attr="open_items"),
        Prefetch("client__outbox", contacts, to_attr="open_contacts"),
        Prefetch("conflicts", conflicts, to_attr="open_conflicts"),
    )


def bill_rows(bills: Sequence[Bill], books: Books) -> list[shapes.BillRow]:
    """Bills as lists show them; from `with_related`. One more statement."""
    ways = on_the_way(books, [bill.pk for bill in bills])
    return [
        shapes.BillRow(**_row(bill, books), sync=shapes.Sync(**_sync(bill, books, ways)))
        for bill in bills
    ]


def bill_outs(bills: Sequence[Bill], books: Books) -> list[shapes.BillOut]:
    """Whole bills; from `with_everything`. One more statement."""
    ways = on_the_way(books, [bill.pk for bill in bills])
    return [_bill_out(bill, books, ways) for bill in bills]


def bill_out(books: Books, bill_id: int) -> shapes.BillOut:
    """One whole bill. Raises Bill.DoesNotExist."""
    (found,) = bill_outs([with_everything(books.bills()).get(pk=bill_id)], books)
    return found


def _bill_out(bill: Bill, books: Books, ways: Mapping[int, OnTheWay]) -> shapes.BillOut:
    currency = bill.currency
    return shapes.BillOut(
        **_row(bill, books),
        sync=_bill_sync(bill, books, ways),
        branding_theme=bill.branding_theme,
        rate=shapes.decimal_or_none(bill.rate),
        tax_mode=bill.tax_mode,
        sent=bill.sent,
        url=bill.url,
        sub_total=shapes.money(bill.sub_total, currency),
        tax_total=shapes.money(bill.tax_total, currency),
        discount_total=shapes.money(bill.discount_total, currency),
        lines=[_line(line, bill) for line in bill.lines.all()],
        payments=[payment(row, bill) for row in bill.payments.all()],
    )


def _row(bill: Bill, books: Books) -> dict[str, Any]:
    link = link_of(bill)
    today = books.today_for(link.connection_id if link else None)
    amounts = ("total", "paid", "credited", "outstanding")
    days = ("issued_on", "due_on", "expected_on", "fully_paid_on")
    return {
        "id": bill.pk,
        "number": bill.number,
        "reference": bill.reference,
        "client": shapes.Named(id=bill.client_id, name=bill.client.name),
        "status": bill.status,
        "shown_status": shown_status(Status(bill.status), bill.due_on, today),
        "currency": bill.currency,
        "created_at": shapes.time(bill.created_at),
        "updated_at": shapes.time(bill.updated_at),
        **{name: shapes.money(getattr(bill, name), bill.currency) for name in amounts},
        **{name: shapes.day(getattr(bill, name)) for name in days},
    }


def link_of(bill: Bill) -> Link | None:
    """The bill's link to its Xero invoice, if it has one."""
    return getattr(bill, "link", None)


def _sync(bill: Bill, books: Books, ways: Mapping[int, OnTheWay]) -> dict[str, Any]:
    link, way = link_of(bill), ways.get(bill.pk, NOTHING)
    where = link.connection if link else books.connections.get(way.connection_id or 0)
    badge = sync_line(link.connection if link else None, books.now, way).badge
    return {
        "badge": badge.key,
        "label": badge.label,
        "sentence": badge.sentence,
        "organisation": shapes.Named(id=where.pk, name=where.name) if where else None,
        "invoice_id": str(link.invoice_id) if link else None,
        "remote_status": link.remote_status if link else None,
        "checked_at": shapes.time_or_none(checked_at(link, link.connection)) if link else None,
    }


def _bill_sync(bill: Bill, books: Books, ways: Mapping[int, OnTheWay]) -> shapes.BillSync:
    link = link_of(bill)
    owner = link.connection if link and link.connection.is_in_use else None
    return shapes.BillSync(
        **_sync(bill, books, ways),
        items=[item_out(item) for item in _items(bill)],
        conflicts=[conflict_out(row) for row in _conflicts(bill)],
        locked=_locked(bill, owner),
    )


def _items(bill: Bill) -> list[OutboxItem]:
    """What of the bill is on its way, with the contact of its client that it may wait for."""
    own: list[OutboxItem] = bill.open_items  # type: ignore[attr-defined]
    contacts: list[OutboxItem] = bill.client.open_contacts  # type: ignore[attr-defined]
    return [*contacts, *own] if own else []


def _conflicts(bill: Bill) -> list[Conflict]:
    return bill.open_conflicts  # type: ignore[attr-defined,no-any-return]


def _locked(bill: Bill, owner: Connection | None) -> dict[str, str]:
    found = locks(bill, owner) if owner else {}
    return {_API_NAMES.get(name, name): why for name, why in found.items()}


_API_NAMES = {"client": "client_id"}


def item_out(item: OutboxItem) -> shapes.ItemOut:
    """One change on its way; needs `ITEM_RELATED` selected."""
    entry = CATALOGUE.get(item.error_code)
    client = item.bill.client if item.bill else item.client
    currency = item.bill.currency if item.bill else None
    amount = Decimal(str(item.paid["amount"])) if item.paid and currency else None
    contacts = item.detail.get("contacts", ()) if item.state == _State.PARKED else ()
    return shapes.ItemOut(
        id=item.pk,
        kind=item.kind,
        state=item.state,
        label=item.get_state_display(),
        bill_id=item.bill_id,
        client=shapes.Named(id=client.pk, name=client.name) if client else None,
        organisation=shapes.Named(id=item.connection_id, name=item.connection.name),
        amount=None if amount is None or currency is None else shapes.money(amount, currency),
        currency=currency,
        created_at=shapes.time(item.created_at),
        by=item.by.shown_name if item.by else None,
        not_before=shapes.time_or_none(item.not_before),
        error_code=item.error_code or None,
        error=told(entry.code, item.error_text) if entry else None,
        xero_text=item.error_text or None,
        remedy=entry.remedy if entry else None,
        fix=(entry.fix or None) if entry else None,
        contacts=[shapes.ContactOut(**contact) for contact in contacts],
    )


def conflict_out(row: Conflict) -> shapes.ConflictOut:
    """One value that Xero overrode; needs `CONFLICT_RELATED` selected."""
    return shapes.ConflictOut(
        id=row.pk,
        bill_id=row.bill_id,
        number=row.bill.number,
        organisation=shapes.Named(id=row.connection_id, name=row.connection.name),
        unit=row.unit,
        ours=unmarked(row.ours),
        xero=unmarked(row.theirs),
        typed_by=row.typed_by.shown_name if row.typed_by else None,
        typed_at=shapes.time_or_none(row.typed_at),
        at=shapes.time(row.at),
    )


def unmarked(value: Any) -> Any:
    """Plain values without the markers by which we find payments again in Xero."""
    if isinstance(value, dict):
        return {name: unmarked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [unmarked(inner) for inner in value]
    return without_marker(value) if isinstance(value, str) else value


def _line(line: Line, bill: Bill) -> shapes.LineOut:
    texts = ("description", "tax_type", "account_code", "item_code")
    currency = bill.currency
    return shapes.LineOut(
        id=line.pk,
        quantity=shapes.decimal_or_none(line.quantity),
        discount_rate=shapes.decimal_or_none(line.discount_rate),
        tax_rate=shapes.decimal(_tax_rate(line, bill)),
        line_amount=shapes.money(line.line_amount, currency),
        tax_amount=shapes.money(line.tax_amount, currency),
        unit_amount=_optional_money(line.unit_amount, currency),
        discount_amount=_optional_money(line.discount_amount, currency),
        **_same(line, texts),
    )


def _same(row: Model, names: tuple[str, ...]) -> dict[str, Any]:
    """Columns that travel as they are."""
    return {name: getattr(row, name) for name in names}


def _tax_rate(line: Line, bill: Bill) -> Decimal:
    mode, places = TaxMode(bill.tax_mode), digits(bill.currency)
    return rate_of(line.tax_type, line.line_amount, line.tax_amount, mode, places)


def _optional_money(amount: Decimal | None, currency: str) -> str | None:
    return None if amount is None else shapes.money(amount, currency)


def payment(row: Payment, bill: Bill) -> shapes.PaymentOut:
    """A payment, credit, prepayment or overpayment of this bill."""
    return shapes.PaymentOut(
        id=row.pk,
        bill_id=bill.pk,
        kind=row.kind,
        on=shapes.day(row.on),
        amount=shapes.money(row.amount, bill.currency),
        currency=bill.currency,
        reference=without_marker(row.reference),
        number=row.number,
        remote_id=row.remote_id or None,
    )


def client_out(client: Client) -> shapes.ClientOut:
    """A client; needs `link__connection` selected."""
    link = getattr(client, "link", None)
    texts = ("name", "email", "phone", "address", "tax_number")
    where = link.connection if link else None
    return shapes.ClientOut(
        id=client.pk,
        archived=client.archived,
        organisation=shapes.Named(id=where.pk, name=where.name) if where else None,
        contact_id=str(link.contact_id) if link else None,
        created_at=shapes.time(client.created_at),
        updated_at=shapes.time(client.updated_at),
        **_same(client, texts),
    )


def history(entry: HistoryEntry) -> shapes.HistoryOut:
    """One entry of a bill's history; needs `by` selected."""
    return shapes.HistoryOut(
        id=entry.pk,
        at=shapes.time(entry.at),
        source=entry.source,
        action=entry.action,
        by=entry.by.shown_name if entry.by else None,
        run=entry.run,
        note=entry.note,
        changes=[
            shapes.Change(
                field=one["field"], old=unmarked(one.get("old")), new=unmarked(one.get("new"))
            )
            for one in entry.changes
        ],
    )


def organisation(connection: Connection, held: Held, *, syncing: bool) -> shapes.OrganisationOut:
    """An organisation with its settings and state; never its tokens. `held`: what is held up."""
    same = ("name", "country", "currency", "time_zone", "state", "direction", "write_back")
    counts = ("waiting", "parked", "refused", "conflicts")
    moments: dict[str, Any] = {
        name: shapes.time_or_none(getattr(connection, name)) for name in _MOMENTS
    }
    return shapes.OrganisationOut(
        id=connection.pk,
        tenant_id=str(connection.tenant_id),
        may_write=may_write(connection),
        locked_until=shapes.day(connection.lock_date),
        syncing=syncing,
        error_code=connection.error_code or None,
        error=connection.error_text or None,
        **_same(connection, (*same, "interval_minutes", "import_drafts")),
        **{name: getattr(held, name) for name in counts},
        **moments,
    )


_MOMENTS = (
    "connected_at",
    "disconnected_at",
    "imported_at",
    "checked_at",
    "told_at",
    "next_due_at",
    "defaults_set_at",
)


def run_out(run: Run) -> shapes.RunOut:
    """A sync run; needs `connection` selected."""
    words = ("kind", "cause", "state")
    counts = (
        "expected",
        "read",
        "created",
        "changed",
        "unchanged",
        "skipped",
        "calls",
        "bytes",
        "drift",
    )
    return shapes.RunOut(
        id=run.pk,
        organisation=shapes.Named(id=run.connection_id, name=run.connection.name),
        started_at=shapes.time(run.started_at),
        ended_at=shapes.time_or_none(run.ended_at),
        error_code=run.error_code or None,
        error=run.error_text or None,
        **_same(run, (*words, *counts)),
    )
