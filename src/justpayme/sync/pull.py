"""Reads one organisation: ask, parse, translate, apply; page by page until nothing is left.

Read top to bottom, this is what a sync does. No transaction is open while we ask; each page
and its cursor are written together (`apply`), so a crash anywhere repeats at most one page.

    first import   organisation, accounts, tax rates, currencies, then every page of
                   contacts, invoices, payments
    increment      what changed of contacts, invoices, payments: three calls when nothing did
    named          the invoices that Xero told us of, by their ids: one call
    audit          an increment, the reference data, and every invoice, credit note and
                   payment again, because Xero does not stamp every change (xero-facts 3.2)
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from msgspec import to_builtins

from justpayme.accounts.defaults import follow_first_books
from justpayme.accounts.models import Business
from justpayme.core import cursor as cursors
from justpayme.core.errors import Problem
from justpayme.sync import apply, plain
from justpayme.sync.apply import Incoming
from justpayme.sync.bulk import LinkRow
from justpayme.sync.models import Connection, Heard, Record, Run
from justpayme.sync.records import Said, replace_all
from justpayme.sync.slicing import Fetch, next_page
from justpayme.xero import wire
from justpayme.xero.client import IDS_PER_CALL, Clock, Page, XeroClient
from justpayme.xero.translate import (
    OrganisationFields,
    check_sums,
    currency,
    in_scope,
    text,
    to_bill,
    to_organisation,
)

MOST_PAGES = 5000
"""A run always ends (I-56): this many pages of one endpoint are five million rows."""


class Head(wire.Struct, frozen=True, kw_only=True):
    """The little of an invoice that moves a cursor; decoded without the rest."""

    invoice_id: wire.Id = msgspec.field(name="InvoiceID")
    updated: wire.Stamp = msgspec.field(name="UpdatedDateUTC")


@dataclass
class Pull:
    """One run's reading of one organisation."""

    run: Run
    client: XeroClient
    clock: Clock
    organisation_checked: bool = False
    voided: int = 0
    seen_again: int = 0
    """Invoices in answers that said nothing new; most increments bring the last one once more."""
    positions: dict[str, cursors.Position] = field(init=False)
    """How far each endpoint has been read; nobody else moves them while this run lives."""

    def __post_init__(self) -> None:
        self.positions = load(self.run.connection)

    def everything_due(self) -> None:
        """Do what this run's kind asks for. Raises Problem; what was applied stays applied."""
        if self.run.kind == Run.Kind.PUSH:
            return
        if self.run.kind == Run.Kind.NAMED:
            self._named()
            return
        if self.run.kind != Run.Kind.INCREMENT:
            self._reference_data()
        self.contacts()
        self._invoices("invoices")
        self._payments("payments")
        if self.run.kind == Run.Kind.AUDIT:
            self._invoices("audit-invoices")
            self._payments("audit-payments")
            self._credits()

    def _named(self) -> None:
        """What Xero told us of (`sync.webhooks`), and nothing else."""
        heard = Heard.objects.get(connection=self.run.connection)
        if heard.contacts:
            self.contacts()
        if heard.many:
            self._invoices("invoices")
        self.read_again(heard.invoices)

    def _reference_data(self) -> None:
        self.check_organisation()
        accounts, rates = self.client.accounts(), self.client.tax_rates()
        lists = _lists(accounts, rates, self.client.currencies())
        if self.run.kind == Run.Kind.AUDIT:  # an import needs none, and every call counts
            lists |= _themes(self.client.branding_themes())
        apply.apply_reference(self.run, lists)

    def check_organisation(self) -> None:
        """Is this still the organisation that was chosen? Before a run's first write (I-11)."""
        if self.organisation_checked:
            return
        found = to_organisation(self.client.organisation())
        connection = self.run.connection
        if connection.organisation_id and found.organisation_id != connection.organisation_id:
            raise Problem("organisation_changed", f"it is now {found.organisation_id}")
        keep_organisation(connection, found)
        self.organisation_checked = True

    def contacts(self) -> None:
        """Contacts that changed since they were last read."""

        def write(page: Page[wire.Contact], position: cursors.Position | None) -> None:
            fresh: Sequence[wire.Contact] = page.rows
            if self.run.kind != Run.Kind.IMPORT:  # clients may have been edited while parted
                fresh = self._fresh(Record.Kind.CONTACT, page.rows, _contact_key)
            if fresh:
                self.check_organisation()
            self._keep(
                "contacts",
                position,
                fresh,
                lambda: apply.apply_contacts(
                    self.run,
                    fresh,
                    now=self.clock.now(),
                    endpoint="contacts",
                    position=position,
                ),
            )

        self._pages("contacts", self._contacts_page, write, _contact_key, today=None)

    def _contacts_page(
        self, page: int, since: datetime | None, by_id: bool, *slices: object
    ) -> Page[wire.Contact]:
        """Contacts have no date, so there are never `slices`."""
        return self.client.contacts(page, since, by_id)

    def _payments(self, endpoint: str) -> None:
        """Payments, and again the invoices of bills that disagree with them: before the cursor
        moves past what says so, or a crash in between would leave the bill wrong (I-7)."""

        def write(page: Page[wire.Payment], position: cursors.Position | None) -> None:
            fresh: Sequence[wire.Payment] = page.rows
            if endpoint == "payments":
                fresh = self._fresh(Record.Kind.PAYMENT, page.rows, payment_key)
            if fresh:
                self.check_organisation()
            self.read_again(apply.disagreeing(self.run.connection, fresh))
            self._keep(
                endpoint,
                position,
                fresh,
                lambda: apply.apply_payments(self.run, fresh, endpoint=endpoint, position=position),
            )

        self._pages(endpoint, self.client.payments, write, payment_key, today=self._today())

    def _invoices(self, endpoint: str) -> None:
        def write(page: Page[msgspec.Raw], position: cursors.Position | None) -> None:
            self._apply_invoices(page, endpoint, position)

        self._pages(endpoint, self.client.invoices, write, invoice_key, today=self._today())

    def _credits(self) -> None:
        """Again the invoices of bills that lack a credit which a credit note says they got."""

        def write(page: Page[wire.CreditNote], position: cursors.Position | None) -> None:
            self.read_again(apply.missing_credits(self.run.connection, page.rows))
            if position is not None:
                apply.move_only(self.run, "audit-credits", position)

        fetch = self.client.credit_notes
        self._pages("audit-credits", fetch, write, credit_key, today=self._today())

    def _today(self) -> date:
        return self.clock.now().date()

    def read_again(self, invoice_ids: Iterable[str], *, anew: bool = False) -> None:
        """Read these invoices by id: another answer of Xero's says that they changed. `anew`:
        our rows themselves are in doubt, so they are compared even where Xero changed nothing."""
        ids = sorted(set(invoice_ids))
        for start in range(0, len(ids), IDS_PER_CALL):
            page = self.client.invoices_by_id(ids[start : start + IDS_PER_CALL])
            self._apply_invoices(page, "invoices", None, anew=anew)

    def apply_found(self, rows: Sequence[msgspec.Raw]) -> None:
        """Apply invoices that were found by something else than their id."""
        said_at = self.clock.now()
        self._apply_invoices(Page(tuple(rows), 1, 1, len(rows), said_at), "invoices", None)

    def _apply_invoices(
        self,
        page: Page[msgspec.Raw],
        endpoint: str,
        position: cursors.Position | None,
        *,
        anew: bool = False,
    ) -> None:
        connection = self.run.connection
        rows = {UUID(key.id): (raw, _digest(raw)) for raw, key in _keyed(page.rows)}
        held = apply.known_versions(connection, list(rows))
        fresh = [
            (raw, digest, invoice in held)
            for invoice, (raw, digest) in rows.items()
            if anew or held.get(invoice) != (digest, False)
        ]
        incoming = [_incoming(connection, raw, digest, known) for raw, digest, known in fresh]
        if any(i.wanted for i in incoming):
            self.check_organisation()
        importing = self.run.kind == Run.Kind.IMPORT and endpoint == "invoices"
        tally = apply.apply_invoices(
            self.run,
            incoming,
            unchanged=len(rows) - len(incoming),
            now=self.clock.now(),
            endpoint=endpoint,
            position=position,
            expected=page.items if importing and page.dates is None else None,
            voided=self.voided,
            anew=anew,
        )
        self.voided += tally.voided
        self.seen_again += len(rows) - tally.read

    def _pages(
        self,
        endpoint: str,
        fetch: Fetch[Any],
        write: Callable[[Page[Any], cursors.Position | None], None],
        key: Callable[[Any], Key],
        *,
        today: date | None,
    ) -> None:
        """Ask and write until the cursor says that this endpoint is read. `write` is given the
        new position, or None if the answer does not move it, as most answers do not."""
        held = self.positions.get(endpoint, cursors.Position())
        for _ in range(MOST_PAGES):
            page, position = next_page(fetch, held, today)
            position, complete = cursors.advance(position, _answer(page, key))
            if complete and endpoint.startswith("audit-"):
                position = cursors.Position()  # the next audit starts at its first page again
            write(page, None if position == held else position)
            held = self.positions[endpoint] = position
            if complete:
                break
        else:
            raise Problem("stopped", f"{endpoint} had no end")

    def _fresh(
        self, kind: Record.Kind, rows: Sequence[Any], key: Callable[[Any], Key]
    ) -> list[Any]:
        """The rows that are newer than what we hold (I-10)."""
        keys = {key(row): row for row in rows}
        if not keys:
            return []
        held = plain.rows(_HELD, self.run.connection_id, kind, [k.id for k in keys])
        known: dict[str, datetime | None] = dict(held)
        return [row for found, row in keys.items() if _is_newer(found, known.get(found.id))]

    def _keep(
        self,
        endpoint: str,
        position: cursors.Position | None,
        fresh: Sequence[Any],
        store: Callable[[], object],
    ) -> None:
        """Write the page if it says anything new; otherwise only move the cursor."""
        if fresh:
            store()
        elif position is not None:
            apply.move_only(self.run, endpoint, position)


_HELD = """SELECT remote_id, updated_at FROM sync_record
WHERE connection_id = %s AND kind = %s AND remote_id = ANY(%s)"""


def reload_lists(connection: Connection, client: XeroClient) -> None:
    """Read accounts, tax rates, currencies and themes anew, outside a run: somebody who chooses
    among them has just added one in Xero. Raises Problem."""
    lists = _lists(client.accounts(), client.tax_rates(), client.currencies())
    lists |= _themes(client.branding_themes())
    with transaction.atomic():
        for kind, objects in lists.items():
            replace_all(connection, kind, objects)


def _lists(
    accounts: Sequence[wire.Account],
    rates: Sequence[wire.TaxRate],
    currencies: Sequence[wire.Currency],
) -> dict[Record.Kind, list[Said]]:
    return {
        Record.Kind.ACCOUNT: [_account(a) for a in accounts],
        Record.Kind.TAX_RATE: [
            Said(text(r.tax_type or r.name, 50), None, _storable(r)) for r in rates
        ],
        Record.Kind.CURRENCY: [Said(currency(c.code), None, _storable(c)) for c in currencies],
    }


def _themes(themes: Sequence[wire.BrandingTheme]) -> dict[Record.Kind, list[Said]]:
    said = [Said(t.branding_theme_id.lower(), None, _storable(t)) for t in themes]
    return {Record.Kind.THEME: said}


class Key(msgspec.Struct, frozen=True):
    """Which object, in which version."""

    id: str
    updated: datetime | None


def _is_newer(found: Key, held: datetime | None) -> bool:
    return held is None or (found.updated is not None and found.updated > held)


def load(connection: Connection) -> dict[str, cursors.Position]:
    """How far each endpoint of an organisation has been read."""
    rows = plain.rows(_CURSORS, connection.pk)
    return {endpoint: cursors.from_plain(msgspec.json.decode(state)) for endpoint, state in rows}


_CURSORS = "SELECT endpoint, state FROM sync_cursor WHERE connection_id = %s"


def keep_organisation(connection: Connection, found: OrganisationFields) -> None:
    """Store what the organisation is called and where it is; names change. The first books of a
    business that has no bills yet say what it counts in, and where its days begin."""
    is_first = not connection.organisation_id and _is_first(connection.business)
    connection.organisation_id = found.organisation_id
    connection.name = found.name
    connection.short_code = found.short_code
    connection.country = found.country
    connection.currency = found.currency
    connection.time_zone = found.time_zone
    connection.period_lock_date = found.period_lock_date
    connection.year_lock_date = found.end_of_year_lock_date
    names = ["organisation_id", "name", "short_code", "country", "currency", "time_zone"]
    names += ["period_lock_date", "year_lock_date"]
    with transaction.atomic():
        connection.save(update_fields=names)
        if is_first and found.currency:
            follow_first_books(
                business=connection.business, currency=found.currency, time_zone=found.time_zone
            )


def _is_first(business: Business) -> bool:
    others = Connection.objects.filter(business=business).exclude(organisation_id="")
    return not others.exists() and not business.bills.exists()


def _contact_key(row: wire.Contact) -> Key:
    return Key(row.contact_id.lower(), row.updated)


def payment_key(row: wire.Payment) -> Key:
    return Key(row.payment_id.lower(), row.updated)


def credit_key(row: wire.CreditNote) -> Key:
    return Key(row.credit_note_id.lower(), row.updated)


def invoice_key(raw: msgspec.Raw) -> Key:
    head = wire.decode(Head, raw)
    return Key(head.invoice_id.lower(), head.updated)


def _keyed(rows: Sequence[msgspec.Raw]) -> list[tuple[msgspec.Raw, Key]]:
    return [(raw, invoice_key(raw)) for raw in rows]


def _answer(page: Page[Any], key: Callable[[Any], Key]) -> cursors.Answer:
    """What moves a cursor. The same object twice on one page can't be (I-9)."""
    keys = [key(row) for row in page.rows]
    if len({k.id for k in keys}) != len(keys):
        raise Problem("wrong_shape", "the same object twice on one page")
    if any(k.updated is None for k in keys):
        raise Problem("wrong_shape", "an object without UpdatedDateUTC")
    rows = tuple((k.updated, zlib.crc32(f"{k.id} {k.updated}".encode())) for k in keys if k.updated)
    return cursors.Answer(rows, page.pages, page.said_at, tuple(k.id for k in keys))


def _incoming(connection: Connection, raw: msgspec.Raw, digest: bytes, known: bool) -> Incoming:
    invoice = wire.decode(wire.Invoice, raw)
    if invoice.line_items is None:
        raise Problem("wrong_shape", "an invoice of a paged answer without LineItems")
    check_sums(invoice)
    row = LinkRow(
        invoice_id=UUID(invoice.invoice_id),
        fields=to_bill(invoice),
        raw=bytes(raw),
        digest=digest,
        remote_status=invoice.status,
        remote_updated_at=invoice.updated,
    )
    wanted = in_scope(invoice, drafts=connection.import_drafts, linked=known)
    return Incoming(row, invoice.contact.name, wanted)


def _digest(raw: msgspec.Raw) -> bytes:
    """Identifies the exact words of an answer; equal words need no further look."""
    return hashlib.blake2b(memoryview(raw), digest_size=16).digest()


def _storable(row: msgspec.Struct) -> dict[str, Any]:
    """The row as plain data, its texts checked."""
    plain = to_builtins(row)
    return {k: text(v, 500) if isinstance(v, str) else v for k, v in plain.items()}


def _account(account: wire.Account) -> Said:
    return Said(
        account.account_id.lower(),
        None,
        {
            "code": text(account.code, 50),
            "name": text(account.name, 500),
            "type": text(account.type, 50),
            "status": text(account.status, 50),
            "tax_type": text(account.tax_type, 50),
            "class": text(account.kind, 50),
            "system": text(account.system_account, 50),
            "takes_payments": account.type == "BANK" or bool(account.enable_payments_to_account),
            "currency": text(account.currency_code, 3),
        },
    )
