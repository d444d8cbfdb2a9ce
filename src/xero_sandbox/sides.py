"""What hangs on one object: history, online address, email, allocations (3.12, 4.2)."""

from collections.abc import Callable
from uuid import NAMESPACE_OID, uuid5

import msgspec
from werkzeug.wrappers import Response

from xero_sandbox import bodies, calls, credits, listing, money, rules, shapes
from xero_sandbox.answers import error_answer, json_answer, not_built, not_found
from xero_sandbox.bodies import Fields
from xero_sandbox.calls import Call, Json, Kind
from xero_sandbox.checks import Refused
from xero_sandbox.listing import LISTINGS
from xero_sandbox.model import Credit, Invoice
from xero_sandbox.store import Business

NAMES = ("history", "onlineinvoice", "email", "allocations")


class Side(msgspec.Struct, frozen=True):
    """A path below one object: the object's key, what of it, and which one."""

    parent: str
    name: str
    item: str = ""


def split(key: str | None) -> Side | None:
    """The side that a path names; numbers with slashes in them stay numbers."""
    parts = (key or "").split("/")
    if not parts[0]:
        return None
    if len(parts) > 1 and parts[-1] in NAMES:
        return Side("/".join(parts[:-1]), parts[-1])
    if len(parts) > 2 and parts[-2] == "allocations":
        return Side("/".join(parts[:-2]), "allocations", parts[-1])
    return None


def read(call: Call, endpoint: str, side: Side) -> Response:
    """GET of a side."""
    record = listing.find_one(LISTINGS[endpoint], call.ledger, side.parent)
    if record is None:
        return not_found()
    if side.name == "history":
        notes = [call.ledger.notes.rows[i] for i in call.ledger.notes_of.get(record.id, ())]
        notes.sort(key=lambda note: (note.updated, note.id), reverse=True)
        return call.enveloped("HistoryRecords", [shapes.note_json(note) for note in notes])
    if side.name == "onlineinvoice" and isinstance(record, Invoice):
        return _online(call, record)
    return not_found()


def _online(call: Call, invoice: Invoice) -> Response:
    """The address at which a customer sees an invoice; drafts have none (3.12)."""
    if invoice.type != "ACCREC" or invoice.status == "DRAFT":
        return refused("There is no online invoice for this document.")
    address = f"https://in.xero.com/{uuid5(NAMESPACE_OID, invoice.id).hex}"
    return call.enveloped("OnlineInvoices", [{"OnlineInvoiceUrl": address}])


def write(call: Call, endpoint: str, side: Side) -> Response:
    """PUT, POST or DELETE of a side."""
    writer = WRITERS.get((call.method, side.name, bool(side.item)))
    if writer is None or endpoint not in LISTINGS:
        return not_built()
    record = listing.find_one(LISTINGS[endpoint], call.ledger, side.parent)
    if record is None:
        return not_found()
    try:
        return writer(call, record, side)
    except Refused as error:
        return refused(*error.messages)


def _add_notes(call: Call, record: Business, side: Side) -> Response:
    """PUT …/History: notes of up to 2,500 characters (3.12)."""
    texts = [row.text("Details") for row in bodies.read(call.body, "HistoryRecords")]
    with call.store.together(call.tenant):
        notes = [
            rules.add_note(call.store, call.ledger, record.id, text, call.now) for text in texts
        ]
    return call.enveloped("HistoryRecords", [shapes.note_json(note) for note in notes])


def _email(call: Call, record: Business, side: Side) -> Response:
    """POST …/Email: nothing in it (3.12)."""
    if not isinstance(record, Invoice):
        return not_found()
    rules.email_invoice(call.store, call.ledger, record.id, call.now)
    return Response(b"", int(call.ledger.open.empty_answers))


def _allocate(call: Call, record: Business, side: Side) -> Response:
    """PUT …/Allocations of a credit note, overpayment or prepayment (4.2)."""
    if not isinstance(record, Credit):
        return not_found()

    def save(call: Call, given: Fields) -> Json:
        return money.allocate(call, given, record.id)

    kind = Kind("Allocations", "AllocationID", "", save, lambda *_: None)
    return calls.answer(call, kind, bodies.read(call.body, "Allocations"))


def _take_back(call: Call, record: Business, side: Side) -> Response:
    """DELETE …/Allocations/{id}: what is gone, without its amount (4.2).

    Xero's files say that it comes as it is. The SDK finds no invoice in a real answer though
    (XeroAPI/xero-python #159), and pyxero needs the envelope that all other answers have.
    """
    if not isinstance(record, Credit):
        return not_found()
    if side.item not in {part.id for part in record.allocations}:
        return not_found()
    part = credits.remove_allocation(call.store, call.ledger, record.id, side.item, call.now)
    row = {
        "AllocationID": part.id,
        "Date": shapes.day(part.date),
        "Invoice": {"InvoiceID": part.invoice_id},
        "IsDeleted": True,
    }
    if call.ledger.open.deleted_allocation == "bare":
        return json_answer(row)
    return call.enveloped("Allocations", [row])


WRITERS: dict[tuple[str, str, bool], Callable[[Call, Business, Side], Response]] = {
    ("PUT", "history", False): _add_notes,
    ("POST", "email", False): _email,
    ("PUT", "allocations", False): _allocate,
    ("DELETE", "allocations", True): _take_back,
}
"""By method, side, and whether the path goes on to one item."""


def refused(*messages: str) -> Response:
    """A refusal without an element to echo."""
    elements: list[Json] = [{"ValidationErrors": [{"Message": text} for text in messages]}]
    return error_answer(10, "ValidationException", "A validation exception occurred", elements)
