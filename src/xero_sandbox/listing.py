"""Reading lists and single objects: paging, order, filters (3.1 to 3.3, 4.1, 4.4)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import msgspec

from xero_sandbox import shapes
from xero_sandbox.model import sql_guid_key
from xero_sandbox.open_questions import Open
from xero_sandbox.store import Business, Entry, Ledger, Table
from xero_sandbox.where import Getter, QueryError, compile_where

HIGH_VOLUME = 100_000
MAX_PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 100
ABOUT_PAGES = {"page", "pagesize", "unitdp", "summaryonly"}
"""Parameters that say which part of what was found is shown, and how."""

LISTS = {
    "Invoices": {
        "ids": "invoiceid",
        "statuses": "status",
        "invoicenumbers": "invoicenumber",
        "contactids": "contact.contactid",
    },
    "Contacts": {"ids": "contactid"},
    "Overpayments": {"references": "reference"},
    "Prepayments": {"invoicenumbers": "reference"},
}
"""Comma-separated parameters by endpoint; an unknown one is ignored, as Xero does (3.1, 8)."""


class NoSuchPage(Exception):
    """A page after the last one, when the open question is answered with 404 (11.2)."""


class NotModified(Exception):
    """Nothing changed since, when the open question is answered with 304 (3.2)."""


class TooMany(Exception):
    """More rows match than Xero is willing to list (3.1)."""


class BadHeader(Exception):
    """A precondition header that is no date; becomes a 412 (2.2)."""


class Question(msgspec.Struct, frozen=True):
    """A list request, understood. ``since`` is whole seconds; names are lower case."""

    args: Mapping[str, str]
    since: datetime | None

    def text(self, name: str) -> str:
        """A parameter, empty when not given."""
        return self.args.get(name, "").strip()

    def items(self, name: str) -> set[str]:
        """A comma-separated parameter in lower case."""
        return {part.strip().casefold() for part in self.text(name).split(",") if part.strip()}

    def flag(self, name: str) -> bool:
        """A boolean in any letter case (3.1)."""
        return self.text(name).lower() == "true"

    def what(self) -> dict[str, str]:
        """The parameters that decide which rows match, and their order."""
        return {name: value for name, value in self.args.items() if name not in ABOUT_PAGES}

    @property
    def paged(self) -> bool:
        """``Statuses`` and ``summaryOnly`` force paging (3.1)."""
        named = any(self.text(name) for name in ("page", "pagesize", "statuses"))
        return named or self.flag("summaryonly")

    @property
    def page(self) -> int:
        """Page number from 1."""
        return max(self._number("page", 1), 1)

    @property
    def page_size(self) -> int:
        """Rows a page, clamped to 1..1,000 (3.1)."""
        return min(max(self._number("pagesize", DEFAULT_PAGE_SIZE), 1), MAX_PAGE_SIZE)

    @property
    def places(self) -> int:
        """Decimal places of unit amounts: 2, or 4 with ``unitdp=4`` (3.11)."""
        return 4 if self.text("unitdp") == "4" else 2

    def _number(self, name: str, default: int) -> int:
        text = self.text(name)
        if not text:
            return default
        try:
            return int(text[:12])
        except ValueError as error:
            raise QueryError(f"'{text[:40]}' is not a number") from error


class Answer(msgspec.Struct, frozen=True):
    """The rendered rows of a page and its pagination object (None when unpaged)."""

    rows: list[bytes]
    pagination: dict[str, int] | None


class Listing(msgspec.Struct, frozen=True):
    """How one kind of object is listed."""

    plural: str
    scope: str
    table: Callable[[Ledger], Table[Any]]
    fields: Callable[[Ledger], dict[str, Getter]]
    orders: dict[str, Getter]
    render: Callable[[Ledger, Any, str, int], dict[str, Any]]
    id_name: str
    number: Callable[[Any], str]


def parse_question(args: Mapping[str, str], modified_since: str | None) -> Question:
    """Understand query parameters (any letter case) and If-Modified-Since (3.1, 3.2)."""
    lowered = {name.lower(): value for name, value in args.items()}
    return Question(lowered, parse_since(modified_since) if modified_since else None)


def parse_since(text: str) -> datetime:
    """If-Modified-Since as ISO or RFC 1123, cut to the second, UTC unless it says (3.2)."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError) as error:
            raise BadHeader(text) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError as error:  # before the first year or after the last one
        raise BadHeader(text) from error


def answer(listing: Listing, ledger: Ledger, question: Question) -> Answer:
    """Find, order and render the rows of a list request."""
    found = select(listing, ledger, question)
    if len(found) > HIGH_VOLUME:
        raise TooMany
    if not found and question.since and ledger.open.unmodified == "not_modified":
        raise NotModified
    render = partial(_rendered, listing, ledger, question.places)
    if not question.paged:
        return Answer(render("unpaged", found), None)
    size = question.page_size
    count = -(-len(found) // size)
    number = _page(question.page, count, ledger.open.page_past_end)
    start = (number - 1) * size
    variant = "summary" if question.flag("summaryonly") else "list"
    pagination = {"page": number, "pageSize": size, "pageCount": count, "itemCount": len(found)}
    return Answer(render(variant, found[start : start + size]), pagination)


def _page(wanted: int, count: int, past_end: str) -> int:
    """The page to show; what is after the last one is an open question (11.2)."""
    if wanted <= max(count, 1) or past_end == "empty":
        return wanted
    if past_end == "not_found":
        raise NoSuchPage
    return max(count, 1)


def select(listing: Listing, ledger: Ledger, question: Question) -> Sequence[Entry]:
    """The matching records in order, as entries that end with the id.

    What was found for one question is kept until something in the books changes, so that each
    further page of it costs no more than the page.
    """
    key = (listing.plural, question.since, *sorted(question.what().items()))
    found = ledger.selections.get(key)
    if found is None:
        found = _select(listing, ledger, question)
        ledger.keep_selection(key, found)
    return found


def _select(listing: Listing, ledger: Ledger, question: Question) -> Sequence[Entry]:
    table, order = listing.table(ledger), question.text("order")
    tests, rows = _tests(listing, ledger, question), table.rows
    by_id = order.lower() in (listing.id_name.lower(), f"{listing.id_name.lower()} asc")
    ready = by_id and not question.since
    found = table.by_id if ready else table.since(_from(question.since, ledger.open))
    for test in tests:
        found = [entry for entry in found if test(rows[entry[-1]])]
    as_text = ledger.open.tie_order == "text"
    if not as_text and (ready or not order):
        return found
    return _ordered(listing, table, found, order or "UpdatedDateUTC", as_text)


def _from(since: datetime | None, answers: Open) -> datetime | None:
    """The first stamp to list; whether one equal to the header counts is open (11.6)."""
    if since is None or answers.since == "at":
        return since
    return since + timedelta(milliseconds=1)


def _tests(listing: Listing, ledger: Ledger, question: Question) -> list[Callable[[Any], bool]]:
    tests: list[Callable[[Any], bool]] = []
    fields = listing.fields(ledger)
    for parameter, field in LISTS.get(listing.plural, {}).items():
        if parameter not in question.args:
            continue
        wanted = question.items(parameter)
        if parameter == "ids" and ledger.open.most_ids != "any":
            _check_ids(len(wanted), int(ledger.open.most_ids))
        if wanted:
            tests.append(_one_of(fields[field], field.endswith("id"), wanted))
    if question.text("where"):
        where = question.text("where")
        tests.append(compile_where(where, fields, ledger.open.where_quote))
    if question.text("searchterm") and listing.plural in ("Invoices", "Contacts"):
        tests.append(_search(question.text("searchterm").casefold()))
    if listing.plural == "Contacts" and not question.flag("includearchived"):
        tests.append(lambda contact: contact.status != "ARCHIVED")
    return tests


def _check_ids(asked: int, most: int) -> None:
    if asked > most:
        raise QueryError(f"At most {most} IDs can be asked for at once")


def _one_of(getter: Getter, ids: bool, wanted: set[str]) -> Callable[[Any], bool]:
    """Ids count with and without their hyphens: pyxero sends them without."""
    if ids:
        bare = {text.replace("-", "") for text in wanted}
        return lambda row: str(getter(row)).replace("-", "") in bare
    return lambda row: str(getter(row)).casefold() in wanted


def _search(wanted: str) -> Callable[[Any], bool]:
    """``searchTerm`` looks in number and reference, contacts' names and numbers (3.1)."""

    def test(row: Any) -> bool:
        texts = (getattr(row, name, None) or "" for name in ("number", "reference", "name"))
        return any(wanted in text.casefold() for text in texts)

    return test


def _ordered(
    listing: Listing, table: Table[Any], found: Sequence[Entry], order: str, as_text: bool
) -> list[Entry]:
    """Sort by ``Field [ASC|DESC]``; the id breaks ties, in SQL Server's order or as text (3.1)."""
    words = order.split()
    field = listing.orders.get(words[0].lower())
    if field is None or len(words) > 2 or words[-1].lower() not in (
        words[0].lower(), "asc", "desc",
    ):  # fmt: skip
        raise QueryError(f"Syntax error in order '{order}'")
    down, rows = words[-1].lower() == "desc", table.rows
    found = sorted(found, key=lambda entry: entry[-1 if as_text else -2])
    by_id = as_text and words[0].lower() == listing.id_name.lower()
    values = {entry[-1]: entry[-1] if by_id else field(rows[entry[-1]]) for entry in found}
    return sorted(found, key=lambda entry: values[entry[-1]], reverse=down)


def find_one(listing: Listing, ledger: Ledger, key: str) -> Business | None:
    """One object by id, or by number in any letter case (3.3)."""
    record: Business | None = listing.table(ledger).get(key)
    if record is not None:
        return record
    if listing.plural == "Invoices":
        ids = ledger.numbers.get(key.casefold(), set())
        return max((ledger.invoices.rows[i] for i in ids), key=lambda row: row.type, default=None)
    rows = listing.table(ledger).rows.values()
    return next((r for r in rows if listing.number(r).casefold() == key.casefold()), None)


def render_one(listing: Listing, ledger: Ledger, record: Business, places: int) -> bytes:
    """The single shape of one object (3.8)."""
    return shapes.to_json(listing.render(ledger, record, "single", places))


def _rendered(
    listing: Listing, ledger: Ledger, places: int, variant: str, found: Sequence[Entry]
) -> list[bytes]:
    """The rows of some entries; each is made once and kept until something in it changes."""
    rows, kept, key = listing.table(ledger).rows, ledger.rendered, f"{variant}{places}"
    bodies = []
    for *_, record_id in found:
        body = kept[record_id].get(key) if record_id in kept else None
        if body is None:
            body = shapes.to_json(listing.render(ledger, rows[record_id], variant, places))
            ledger.keep_rendered(record_id, key, body)
        bodies.append(body)
    return bodies


def _contact_of(ledger: Ledger, attribute: str) -> Getter:
    def get(row: Any) -> Any:
        contact = ledger.contacts.get(row.contact_id)
        return getattr(contact, attribute) if contact else None

    return get


def _invoice_fields(ledger: Ledger) -> dict[str, Getter]:
    return {
        "type": lambda r: r.type,
        "status": lambda r: r.status,
        "invoiceid": lambda r: r.id,
        "invoicenumber": lambda r: r.number,
        "reference": lambda r: r.reference or None,
        "contact.contactid": lambda r: r.contact_id,
        "contact.name": _contact_of(ledger, "name"),
        "contact.contactnumber": _contact_of(ledger, "number"),
        "amountpaid": lambda r: r.amount_paid,
        "amountdue": lambda r: r.amount_due,
        "date": lambda r: r.date,
        "duedate": lambda r: r.due_date,
    }


def _payment_fields(ledger: Ledger) -> dict[str, Getter]:
    return {
        "paymenttype": lambda r: r.type,
        "status": lambda r: r.status,
        "date": lambda r: r.date,
        "invoice.invoiceid": lambda r: r.invoice_id,
        "paymentid": lambda r: r.id,
        "reference": lambda r: r.reference or None,
    }


def _contact_fields(ledger: Ledger) -> dict[str, Getter]:
    return {
        "contactid": lambda r: r.id,
        "name": lambda r: r.name,
        "contactnumber": lambda r: r.number,
        "contactstatus": lambda r: r.status,
        "emailaddress": lambda r: r.email or None,
    }


def _credit_note_fields(ledger: Ledger) -> dict[str, Getter]:
    return {"creditnotenumber": lambda r: r.number, **_credit_fields("creditnoteid", ledger)}


def _credit_fields(id_name: str, ledger: Ledger) -> dict[str, Getter]:
    return {
        "type": lambda r: r.type,
        "status": lambda r: r.status,
        id_name: lambda r: r.id,
        "reference": lambda r: r.reference or None,
        "contact.contactid": lambda r: r.contact_id,
        "contact.name": _contact_of(ledger, "name"),
        "date": lambda r: r.date,
    }


def _orders(id_name: str, **more: Getter) -> dict[str, Getter]:
    return {
        "updateddateutc": lambda r: r.updated,
        id_name.lower(): lambda r: sql_guid_key(r.id),
        **more,
    }


LISTINGS = {
    listing.plural.lower(): listing
    for listing in (
        Listing(
            plural="Invoices",
            scope="accounting.invoices",
            table=lambda ledger: ledger.invoices,
            fields=_invoice_fields,
            orders=_orders(
                "InvoiceID",
                date=lambda r: r.date,
                duedate=lambda r: str(r.due_date or ""),
                invoicenumber=lambda r: r.number,
            ),
            render=shapes.invoice_json,
            id_name="InvoiceID",
            number=lambda r: r.number,
        ),
        Listing(
            plural="Contacts",
            scope="accounting.contacts",
            table=lambda ledger: ledger.contacts,
            fields=_contact_fields,
            orders=_orders("ContactID", name=lambda r: r.name.casefold()),
            render=lambda ledger, row, variant, _: shapes.contact_json(ledger, row, variant),
            id_name="ContactID",
            number=lambda r: r.number or "",
        ),
        Listing(
            plural="Payments",
            scope="accounting.payments",
            table=lambda ledger: ledger.payments,
            fields=_payment_fields,
            orders=_orders("PaymentID", date=lambda r: r.date),
            render=lambda ledger, row, *_: shapes.payment_json(ledger, row),
            id_name="PaymentID",
            number=lambda r: "",
        ),
        Listing(
            plural="CreditNotes",
            scope="accounting.invoices",
            table=lambda ledger: ledger.credit_notes,
            fields=_credit_note_fields,
            orders=_orders("CreditNoteID", date=lambda r: r.date),
            render=shapes.credit_note_json,
            id_name="CreditNoteID",
            number=lambda r: r.number,
        ),
        Listing(
            plural="Overpayments",
            scope="accounting.payments",
            table=lambda ledger: ledger.overpayments,
            fields=partial(_credit_fields, "overpaymentid"),
            orders=_orders("OverpaymentID", date=lambda r: r.date),
            render=shapes.prepaid_json,
            id_name="OverpaymentID",
            number=lambda r: "",
        ),
        Listing(
            plural="Prepayments",
            scope="accounting.payments",
            table=lambda ledger: ledger.prepayments,
            fields=partial(_credit_fields, "prepaymentid"),
            orders=_orders("PrepaymentID", date=lambda r: r.date),
            render=shapes.prepaid_json,
            id_name="PrepaymentID",
            number=lambda r: "",
        ),
    )
}
