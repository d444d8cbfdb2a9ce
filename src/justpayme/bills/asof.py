"""A bill as of any moment: today's row with its newer history undone (I-31).

Everything is read in one statement for the bill's history beside those for the bill itself.
What is rebuilt is given as rows that were never stored, so that pages and API show a past bill
with the same words as today's. The client is shown as it is called today.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

from justpayme.bills.models import Bill, Client, HistoryEntry, Line, Payment
from justpayme.bills.queries import ENTRY, Books
from justpayme.core.bill import FIELD_NAMES, BillFields
from justpayme.core.timeline import Entry, Past, as_of, gaps, read_entry
from justpayme.sync.models import ClientLink

_COLUMNS = [name for name in FIELD_NAMES if name not in ("client", "lines", "payments")]
TODAY = datetime.max.replace(tzinfo=UTC)
"""A moment for the bill as it stands, whatever our clock says."""


class NotYet(Exception):
    """The bill did not exist at that moment. `first`: when its history begins, if it has any."""

    def __init__(self, first: datetime | None) -> None:
        super().__init__("This bill did not exist then.")
        self.first = first


@dataclass(frozen=True, slots=True)
class AsOf:
    """A bill as it stood from `entry` until `following` (None: it still stands).

    `bill`, `lines` and `payments` are not stored. `doubtful`: fields whose value the history
    can't vouch for. `earlier` is the entry before `entry`.
    """

    fields: BillFields
    bill: Bill
    lines: list[Line]
    payments: list[Payment]
    doubtful: tuple[str, ...]
    entry: Mapping[str, Any]
    following: Mapping[str, Any] | None
    earlier: Mapping[str, Any] | None


def bill_at(books: Books, pk: int, moment: datetime) -> AsOf:
    """The bill at a moment. Raises Bill.DoesNotExist, also for a foreign bill, and NotYet."""
    bill, rows = _read(books, pk)
    for index, row in enumerate(rows):
        if row["at"] <= moment:
            return _rebuild(books, bill, rows, index)
    raise NotYet(rows[-1]["at"] if rows else None)


def bill_after(books: Books, pk: int, entry_pk: int) -> AsOf:
    """The bill right after one entry of its history.

    Raises Bill.DoesNotExist or HistoryEntry.DoesNotExist, also for those of somebody else.
    """
    bill, rows = _read(books, pk)
    for index, row in enumerate(rows):
        if row["id"] == entry_pk:
            return _rebuild(books, bill, rows, index)
    raise HistoryEntry.DoesNotExist


def gaps_of(books: Books, pk: int) -> list[tuple[int, str]]:
    """(entry number, field) wherever this bill's history is not whole. Raises as `bill_at`."""
    bill, rows = _read(books, pk)
    return gaps(bill.told(), _entries(rows, _client_reader(books, rows)))


def gaps_among(books: Books, pks: Collection[int]) -> list[tuple[int, int, str]]:
    """(bill, entry number, field) wherever the history of one of these bills is not whole. All
    of them are read in five statements at most; somebody else's bills have no gaps."""
    bills = books.bills().filter(pk__in=pks).order_by("pk").prefetch_related("lines", "payments")
    entries = HistoryEntry.objects.filter(business=books.business, bill__in=pks)
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in entries.order_by("-id").values("bill_id", *ENTRY):
        rows[row["bill_id"]].append(row)
    client = _client_reader(books, [row for some in rows.values() for row in some])
    return [
        (bill.pk, entry, name)
        for bill in bills
        for entry, name in gaps(bill.told(), _entries(rows[bill.pk], client))
    ]


def read_moment(text: str, tz: tzinfo) -> datetime:
    """A day and time as a person gives it, in `tz` unless it names its own zone.

    Raises ValueError with a sentence.
    """
    try:
        given = datetime.fromisoformat(text)
        return (given if given.tzinfo else given.replace(tzinfo=tz)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("Enter a day and a time, such as 2026-11-22T14:30.") from error


def _read(books: Books, pk: int) -> tuple[Bill, list[dict[str, Any]]]:
    """Today's bill and its whole history, newest first: by number, see `core.timeline`."""
    rows = books.bills().select_related("client").prefetch_related("lines", "payments")
    bill = rows.get(pk=pk)
    entries = HistoryEntry.objects.filter(business=books.business, bill=bill)
    return bill, list(entries.order_by("-id").values(*ENTRY))


def _rebuild(books: Books, bill: Bill, rows: Sequence[Mapping[str, Any]], index: int) -> AsOf:
    entry = rows[index]
    past = as_of(bill.told(), _entries(rows, _client_reader(books, rows)), entry["id"])
    return AsOf(
        fields=past.bill,
        bill=_bill(books, bill, past),
        lines=[Line(position=at, **asdict(line)) for at, line in enumerate(past.bill.lines)],
        payments=[Payment(**asdict(paid)) for paid in past.bill.payments],
        doubtful=tuple(name for name in FIELD_NAMES if name in past.doubtful),
        entry=entry,
        following=rows[index - 1] if index else None,
        earlier=rows[index + 1] if index + 1 < len(rows) else None,
    )


def _bill(books: Books, today: Bill, past: Past) -> Bill:
    return Bill(
        pk=today.pk,
        business=books.business,
        client=_client(books, today, past.bill.client),
        created_at=today.created_at,
        updated_at=today.updated_at,
        **{name: getattr(past.bill, name) for name in _COLUMNS},
    )


def _client(books: Books, today: Bill, key: str) -> Client:
    """Whose the bill was; an unstored client of that name where nothing tells which it was."""
    if key == str(today.client_id):
        return today.client
    known = books.clients().filter(pk=int(key)).first() if key.isdecimal() else None
    return known or Client(name=key.removeprefix(_NAMED))


# --- reading entries -----------------------------------------------------------------------------

_NAMED = "named "
"""Before the name of a client that can't be told from others: no number ever looks like it."""


def _entries(rows: Iterable[Mapping[str, Any]], client: Callable[[Any], str]) -> list[Entry]:
    """Entries as `core.timeline` knows them. What was sent to Xero did not change our row."""
    return [
        read_entry(row["id"], () if row["action"] == HistoryEntry.SENT else row["changes"], client)
        for row in rows
    ]


def _client_reader(books: Books, rows: Iterable[Mapping[str, Any]]) -> Callable[[Any], str]:
    """Turns what stands for a client into its number: its mark, a ContactID, or a name.

    At most two statements, none for a history that only has marks.
    """
    texts = set(_client_texts(rows))
    ids = {text.lower() for text in texts if is_contact_id(text)}
    known = _by_contact(books, ids) | _by_name(books, texts - ids)

    def read(value: Any) -> str:
        if isinstance(value, dict):
            return str(int(value["id"]))
        text = str(value or "")
        return known.get(text.lower() if is_contact_id(text) else text, _NAMED + text)

    return read


def _client_texts(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for row in rows:
        for change in row["changes"]:
            if change.get("field") == "client":
                values = (change.get("old"), change.get("new"))
                yield from (value for value in values if isinstance(value, str))


def is_contact_id(text: str) -> bool:
    """Does this text look like one of Xero's ids?"""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _by_contact(books: Books, ids: set[str]) -> dict[str, str]:
    if not ids:
        return {}
    links = ClientLink.objects.filter(client__business=books.business, contact_id__in=ids)
    return {str(contact): str(pk) for contact, pk in links.values_list("contact_id", "client_id")}


def _by_name(books: Books, names: set[str]) -> dict[str, str]:
    """Only names that exactly one client has."""
    if not names:
        return {}
    found: dict[str, list[str]] = {}
    for pk, name in books.clients().filter(name__in=names).values_list("pk", "name"):
        found.setdefault(name, []).append(str(pk))
    return {name: pks[0] for name, pks in found.items() if len(pks) == 1}
