"""PUT and POST of invoices, contacts and payments (3.4, 3.5, 4.1, 4.4)."""

from werkzeug.wrappers import Response

from xero_sandbox import bodies, calls, drafts, listing, money, people
from xero_sandbox.answers import not_built, not_found
from xero_sandbox.bodies import BadBody, Fields
from xero_sandbox.calls import Call, Kind

__all__ = ["Call", "answer"]

KINDS = {
    "invoices": Kind("Invoices", "InvoiceID", "HasErrors", drafts.save, drafts.shown),
    "contacts": Kind("Contacts", "ContactID", "HasValidationErrors", people.save, people.shown),
    "payments": Kind("Payments", "PaymentID", "HasValidationErrors", money.save, money.shown),
}
"""What can be written, by endpoint."""


def answer(call: Call, endpoint: str, key: str | None) -> Response:
    """Write the elements of a body; with a key in the path, exactly that one object."""
    kind = KINDS.get(endpoint)
    if kind is None or call.method not in ("PUT", "POST") or (key and call.create_only):
        return not_built()
    elements = bodies.read(call.body, kind.plural)
    if key is not None:
        record = listing.find_one(listing.LISTINGS[endpoint], call.ledger, key)
        if record is None:
            return not_found()
        elements = [_with_id(kind, elements, record.id)]
    return calls.answer(call, kind, elements)


def _with_id(kind: Kind, elements: list[Fields], record_id: str) -> Fields:
    """The one element of an update, with the id that the path names."""
    if len(elements) != 1:
        raise BadBody(f"The request body must hold exactly one of {kind.plural}")
    rest = {k: v for k, v in elements[0].raw.items() if k.lower() != kind.id_name.lower()}
    return Fields({kind.id_name: record_id, **rest})
