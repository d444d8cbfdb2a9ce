"""Where the records live: in memory, written through to one SQLite file.

Every save is one SQLite transaction in WAL mode, so a killed process loses nothing that was
answered. Reads never touch SQLite. Rows of an organisation are kept sorted by stamp and by id,
so that a page of a large organisation is a slice and not a sort.
"""

import sqlite3
import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from xero_sandbox.model import (
    Code,
    Connection,
    Contact,
    Credit,
    CreditNote,
    Invoice,
    KeptAnswer,
    Note,
    Organisation,
    Overpayment,
    Payment,
    Prepayment,
    Record,
    RefreshToken,
    Setting,
    sql_guid_key,
)
from xero_sandbox.open_questions import Open

Stamped = TypeVar("Stamped", Contact, Invoice, Payment, CreditNote, Overpayment, Prepayment, Note)
Kept = TypeVar("Kept", bound=Record)
Business = Contact | Invoice | Payment | CreditNote | Overpayment | Prepayment | Note
BUSINESS: tuple[type[Business], ...] = (
    Contact, Invoice, Payment, CreditNote, Overpayment, Prepayment, Note,
)  # fmt: skip
Saved = Business | Organisation
Entry = tuple[Any, ...]
"""A row of an order: what is sorted by, the id as SQL Server compares it, the id."""
SELECTIONS_AT_MOST = 16
"""Found lists kept per organisation: a reader goes through one question page by page."""
RENDERED_AT_MOST = 150_000
"""Rendered rows kept per organisation before the cache starts over (about 2 kB each)."""


class Table(Generic[Stamped]):
    """The records of one kind in one organisation, with two orders kept ready."""

    def __init__(self) -> None:
        self.rows: dict[str, Stamped] = {}
        self.by_updated: list[tuple[datetime, bytes, str]] = []
        self.by_id: list[tuple[bytes, str]] = []

    def load(self, records: Iterable[Stamped]) -> None:
        """Add many records at once; sorts once."""
        for record in records:
            self.rows[record.id] = record
        keys = {record_id: sql_guid_key(record_id) for record_id in self.rows}
        self.by_id = sorted((key, record_id) for record_id, key in keys.items())
        self.by_updated = sorted((r.updated, keys[r.id], r.id) for r in self.rows.values())

    def put(self, record: Stamped) -> None:
        """Add or replace one record and keep both orders."""
        key, old = sql_guid_key(record.id), self.rows.get(record.id)
        if old is None:
            insort(self.by_id, (key, record.id))
        else:
            entry = (old.updated, key, record.id)
            del self.by_updated[bisect_left(self.by_updated, entry)]
        insort(self.by_updated, (record.updated, key, record.id))
        self.rows[record.id] = record

    def remove(self, record_id: str) -> None:
        """Take one record out of everything."""
        record = self.rows.pop(record_id)
        key = sql_guid_key(record_id)
        del self.by_id[bisect_left(self.by_id, (key, record_id))]
        del self.by_updated[bisect_left(self.by_updated, (record.updated, key, record_id))]

    def since(self, moment: datetime | None) -> Sequence[Entry]:
        """Entries of records stamped at or after a moment, in Xero's default order (3.1)."""
        if moment is None:
            return self.by_updated
        return self.by_updated[bisect_left(self.by_updated, (moment, b"", "")) :]

    def get(self, record_id: str) -> Stamped | None:
        """One record by its id in any letter case."""
        return self.rows.get(record_id.lower())


class Ledger:
    """Everything inside one organisation."""

    def __init__(self, organisation: Organisation, open_questions: Open | None = None) -> None:
        self.organisation = organisation
        self.open = open_questions or Open()
        self.unseen: list[tuple[datetime, Saved | None, Saved]] = []
        self.contacts: Table[Contact] = Table()
        self.invoices: Table[Invoice] = Table()
        self.payments: Table[Payment] = Table()
        self.credit_notes: Table[CreditNote] = Table()
        self.overpayments: Table[Overpayment] = Table()
        self.prepayments: Table[Prepayment] = Table()
        self.notes: Table[Note] = Table()
        self.notes_of: dict[str, set[str]] = defaultdict(set)
        self.numbers: dict[str, set[str]] = defaultdict(set)
        self.invoices_of: dict[str, set[str]] = defaultdict(set)
        self.payments_of: dict[str, set[str]] = defaultdict(set)
        self.credits_of: dict[str, set[str]] = defaultdict(set)
        self.rendered: dict[str, dict[str, bytes]] = {}
        self.selections: dict[object, Sequence[Entry]] = {}

    def load(self, records: Iterable[Business]) -> None:
        """Fill an empty ledger."""
        kinds: dict[type, list[Business]] = defaultdict(list)
        for record in records:
            kinds[type(record)].append(record)
            self._link(record)
        for kind, rows in kinds.items():
            self._table(kind).load(rows)

    def records(self) -> list[Business]:
        """Everything in it, in no particular order."""
        return [record for kind in BUSINESS for record in self._table(kind).rows.values()]

    def credits(self) -> list[CreditNote | Overpayment | Prepayment]:
        """Credit notes, overpayments and prepayments."""
        tables: tuple[Table[Any], ...] = (self.credit_notes, self.overpayments, self.prepayments)
        return [record for table in tables for record in table.rows.values()]

    def credit(self, credit_id: str) -> CreditNote | Overpayment | Prepayment | None:
        """A credit note, overpayment or prepayment by its id."""
        tables: tuple[Table[Any], ...] = (self.credit_notes, self.overpayments, self.prepayments)
        found = (table.get(credit_id) for table in tables)
        return next((record for record in found if record is not None), None)

    def put(self, record: Business) -> None:
        """Add or replace one record; forget what was rendered from it."""
        old = self._table(type(record)).get(record.id)
        if old is not None:
            self._unlink(old)
        self._link(record)
        self._table(type(record)).put(record)
        self._forget_rendered(record)
        self.selections.clear()

    def remove(self, record: Business) -> None:
        """Take back a record that was just added."""
        self._unlink(record)
        self._table(type(record)).remove(record.id)
        self._forget_rendered(record)
        self.selections.clear()

    def old(self, record: Saved) -> Saved | None:
        """What ``record`` is about to replace."""
        if isinstance(record, Organisation):
            return self.organisation
        found: Business | None = self._table(type(record)).get(record.id)
        return found

    def keep_selection(self, key: object, found: Sequence[Entry]) -> None:
        """Remember what a question has found until anything in the books changes."""
        if len(self.selections) >= SELECTIONS_AT_MOST:
            self.selections.clear()
        self.selections[key] = found

    def seen(self, now: datetime) -> "Ledger":
        """The books as they are readable: without what was changed by hand just now (11.9)."""
        self.unseen = [row for row in self.unseen if row[0] > now]
        if not self.unseen:
            return self
        rows = {record.id: record for record in self.records()}
        for _, old, new in reversed(self.unseen):
            if rows.get(new.id) is new:
                del rows[new.id]
                if old is not None and not isinstance(old, Organisation):
                    rows[old.id] = old
        view = Ledger(self.organisation, self.open)
        view.load(rows.values())
        return view

    def keep_rendered(self, record_id: str, variant: str, body: bytes) -> None:
        """Remember a rendered row until it, or something shown in it, changes."""
        if len(self.rendered) >= RENDERED_AT_MOST:
            self.rendered.clear()
        self.rendered.setdefault(record_id, {})[variant] = body

    def _forget_rendered(self, record: Business) -> None:
        if isinstance(record, Contact):
            self.rendered.clear()
            return
        self.rendered.pop(record.id, None)
        if isinstance(record, Payment):
            self.rendered.pop(record.invoice_id, None)
        elif isinstance(record, Credit):
            for allocation in record.allocations:
                self.rendered.pop(allocation.invoice_id, None)

    def _link(self, record: Business) -> None:
        if isinstance(record, Invoice):
            self.numbers[record.number.casefold()].add(record.id)
            self.invoices_of[record.contact_id].add(record.id)
        elif isinstance(record, Payment):
            self.payments_of[record.invoice_id].add(record.id)
        elif isinstance(record, Credit):
            for allocation in record.allocations:
                self.credits_of[allocation.invoice_id].add(record.id)
        elif isinstance(record, Note):
            self.notes_of[record.parent_id].add(record.id)

    def _unlink(self, record: Business) -> None:
        if isinstance(record, Invoice):
            self.numbers[record.number.casefold()].discard(record.id)
            self.invoices_of[record.contact_id].discard(record.id)
        elif isinstance(record, Payment):
            self.payments_of[record.invoice_id].discard(record.id)
        elif isinstance(record, Credit):
            for allocation in record.allocations:
                self.credits_of[allocation.invoice_id].discard(record.id)
                self.rendered.pop(allocation.invoice_id, None)
        elif isinstance(record, Note):
            self.notes_of[record.parent_id].discard(record.id)

    def _table(self, kind: type) -> Table[Any]:
        tables: dict[type, Table[Any]] = {
            Contact: self.contacts,
            Invoice: self.invoices,
            Payment: self.payments,
            CreditNote: self.credit_notes,
            Overpayment: self.overpayments,
            Prepayment: self.prepayments,
            Note: self.notes,
        }
        return tables[kind]


class Store:
    """All organisations, and who may reach them."""

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.open = Open()
        self.ledgers: dict[str, Ledger] = {}
        self.connections: dict[str, Connection] = {}
        self.codes: dict[str, Code] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.settings: dict[str, Setting] = {}
        self.answers: dict[str, KeptAnswer] = {}
        self.on_saved: list[Callable[[str, Sequence[tuple[Saved | None, Saved]]], None]] = []
        self._journal: list[tuple[Saved | None, Saved]] | None = None
        self._file = _open(path) if path else None
        if self._file:
            self._read()

    def add_organisation(self, organisation: Organisation, records: Iterable[Business]) -> Ledger:
        """Add an organisation with everything in it, in one transaction."""
        ledger, rows = Ledger(organisation, self.open), list(records)
        ledger.load(rows)
        with self.lock:
            self.ledgers[organisation.id] = ledger
            self._write(organisation.id, [organisation, *rows])
        return ledger

    def start_over(self, fill: Callable[[], None], keep_access: bool) -> None:
        """Empty it, all but the sandbox's own settings, and fill it anew.

        ``keep_access`` keeps connections, codes and tokens; those of organisations that are not
        there afterwards lead nowhere.
        """
        access: list[Connection | Code | RefreshToken] = []
        with self.lock:
            if keep_access:
                shelves = (self.connections, self.codes, self.refresh_tokens)
                access = [record for shelf in shelves for record in shelf.values()]
            if self._file:
                with self._file:
                    self._file.execute("DELETE FROM record WHERE kind != 'Setting'")
            for shelf in (
                self.ledgers, self.connections, self.codes, self.refresh_tokens, self.answers,
            ):  # fmt: skip
                shelf.clear()
            fill()
            self.keep(*access)

    def assume(self, answers: Open) -> None:
        """Answer the open questions from now on, in every organisation."""
        with self.lock:
            self.open = answers
            for ledger in self.ledgers.values():
                ledger.open = answers
                ledger.rendered.clear()
                ledger.selections.clear()

    def save(self, tenant_id: str, *records: Saved) -> None:
        """Add or replace records of one organisation: all of them or none."""
        with self.lock:
            ledger = self.ledgers[tenant_id]
            changes = [(ledger.old(record), record) for record in records]
            if self._journal is None:
                self._write(tenant_id, records)
            else:
                self._journal += changes
            for record in records:
                _put(ledger, record)
            if self._journal is None:
                self._tell(tenant_id, changes)

    @contextmanager
    def together(self, tenant_id: str) -> Iterator[None]:
        """Save everything that follows in one organisation, or nothing of it on an exception.

        Blocks may be nested: an inner one that fails leaves what the outer one has saved.
        """
        with self.lock:
            ledger, outer = self.ledgers[tenant_id], self._journal
            journal: list[tuple[Saved | None, Saved]] = []
            self._journal = journal
            try:
                yield
                if outer is None:
                    self._write(tenant_id, [new for _, new in journal])
                    self._tell(tenant_id, journal)
                else:
                    outer += journal
            except BaseException:
                for old, new in reversed(journal):
                    _put_back(ledger, old, new)
                raise
            finally:
                self._journal = outer

    def _tell(self, tenant_id: str, changes: Sequence[tuple[Saved | None, Saved]]) -> None:
        for told in self.on_saved:
            told(tenant_id, changes)

    def move_organisation(self, tenant_id: str, new: Organisation) -> None:
        """Give an organisation another tenant id: what a reset of a demo company does (6.19)."""
        with self.lock:
            ledger = self.ledgers.pop(tenant_id)
            ledger.organisation = new
            self.ledgers[new.id] = ledger
            if self._file:
                with self._file:
                    self._file.execute(
                        "UPDATE record SET tenant = ? WHERE tenant = ?", (new.id, tenant_id)
                    )
                    self._file.execute(
                        "DELETE FROM record WHERE kind = 'Organisation' AND id = ?", (tenant_id,)
                    )
            self._write(new.id, [new])

    def keep(self, *records: Connection | Code | RefreshToken | Setting | KeptAnswer) -> None:
        """Add or replace what belongs to no single organisation."""
        with self.lock:
            self._write("", records)
            for record in records:
                self._shelf(type(record))[record.id] = record

    def drop(self, *records: Connection | Code | RefreshToken | KeptAnswer) -> None:
        """Remove connections, codes, tokens or kept answers for good."""
        with self.lock:
            if self._file:
                with self._file:
                    self._file.executemany(
                        "DELETE FROM record WHERE tenant = '' AND kind = ? AND id = ?",
                        [(type(record).__name__, record.id) for record in records],
                    )
            for record in records:
                self._shelf(type(record)).pop(record.id, None)

    def close(self) -> None:
        """Close the file; the store stays readable in memory."""
        if self._file:
            self._file.close()
            self._file = None

    def _shelf(self, kind: type) -> dict[str, Any]:
        shelves: dict[type, dict[str, Any]] = {
            Connection: self.connections,
            Code: self.codes,
            RefreshToken: self.refresh_tokens,
            Setting: self.settings,
            KeptAnswer: self.answers,
        }
        return shelves[kind]

    def _write(self, tenant_id: str, records: Iterable[Record]) -> None:
        if not self._file:
            return
        rows = [
            (tenant_id, type(record).__name__, record.id, msgspec.json.encode(record))
            for record in records
        ]
        with self._file:
            self._file.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", rows)

    def _read(self) -> None:
        for kind in (Connection, Code, RefreshToken, Setting, KeptAnswer):
            self._shelf(kind).update((r.id, r) for _, r in self._stored(kind))
        for tenant_id, organisation in self._stored(Organisation):
            self.ledgers[tenant_id] = Ledger(organisation)
        contents: dict[str, list[Business]] = defaultdict(list)
        for business in BUSINESS:
            for tenant_id, record in self._stored(business):
                contents[tenant_id].append(record)
        for tenant_id, rows in contents.items():
            self.ledgers[tenant_id].load(rows)

    def _stored(self, kind: type[Kept]) -> Iterator[tuple[str, Kept]]:
        if self._file is None:
            return
        decode = msgspec.json.Decoder(kind).decode
        rows = self._file.execute(
            "SELECT tenant, body FROM record WHERE kind = ? ORDER BY rowid", (kind.__name__,)
        )
        for tenant_id, body in rows:
            yield tenant_id, decode(body)


def _put(ledger: Ledger, record: Saved) -> None:
    if isinstance(record, Organisation):
        ledger.organisation = record
    else:
        ledger.put(record)


def _put_back(ledger: Ledger, old: Saved | None, new: Saved) -> None:
    if old is not None:
        _put(ledger, old)
    elif not isinstance(new, Organisation):
        ledger.remove(new)


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = sqlite3.connect(path, check_same_thread=False, timeout=10)
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = NORMAL")
    file.execute(
        "CREATE TABLE IF NOT EXISTS record (tenant TEXT, kind TEXT, id TEXT, body BLOB,"
        " PRIMARY KEY (tenant, kind, id))"
    )
    file.commit()
    return file
