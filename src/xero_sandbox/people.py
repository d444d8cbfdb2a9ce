"""Contacts as an app writes them, alone or inside a document (3.4, 4.4)."""

from xero_sandbox import checks, rules, shapes
from xero_sandbox.bodies import Fields
from xero_sandbox.calls import Call, Json
from xero_sandbox.checks import Refused
from xero_sandbox.model import Contact, Person

TEXTS = {
    "Name": "name",
    "ContactNumber": "number",
    "FirstName": "first_name",
    "LastName": "last_name",
    "EmailAddress": "email",
    "DefaultCurrency": "default_currency",
    "TaxNumber": "tax_number",
}
ADDRESS = {
    "AddressLine1": "address",
    "City": "city",
    "PostalCode": "postcode",
    "Country": "country",
}
MORE_ADDRESS = ("AddressLine2", "AddressLine3", "AddressLine4", "Region", "AttentionTo")
MOST_PERSONS = 5
BAD_SPACES = "The contact name cannot begin or end with a space, or have two in a row."
"""The rule is Xero's, the words are ours (4.4)."""


def save(call: Call, given: Fields) -> Json:
    """Create or update one contact; returns it in full (3.8)."""
    old = None if call.create_only else target(call, given)
    fields = details(given)
    if old:
        new = rules.change_contact(call.store, call.ledger, old.id, call.now, **fields)
    else:
        if given.guid("ContactID"):
            raise Refused(checks.NOT_FOUND)
        new = _create(call, fields)
    return shapes.contact_json(call.ledger, new, "single")


def shown(call: Call, given: Fields) -> Json | None:
    """The contact that an element means, as it is now; a refused creation has none (4.4)."""
    old = None if call.create_only else target(call, given)
    return shapes.contact_json(call.ledger, old, "single") if old else None


def target(call: Call, given: Fields) -> Contact | None:
    """The contact meant: by ContactID, else by ContactNumber, else by name (4.4)."""
    contact_id = given.guid("ContactID")
    if contact_id:
        return call.ledger.contacts.get(contact_id)
    number, name = given.text("ContactNumber"), given.text("Name")
    found = checks.numbered(call.ledger, number) if number else None
    return found or (checks.named(call.ledger, name) if name else None)


def of_document(call: Call, given: Fields | None, present: str = "") -> str:
    """The id of a document's contact, which other fields than ContactID change as well (3.4).

    ``present`` is the document's contact until now: staying with an archived one is no error.
    """
    if given is None or not given.names():
        raise Refused(checks.NO_CONTACT)
    old, key = target(call, given), _key(given)
    if old is None:
        if given.guid("ContactID"):
            raise Refused("The contact with the specified ContactID could not be found.")
        return _create(call, details(given)).id
    only_key = given.names() == {key}
    if old.status == "ARCHIVED" and not (only_key and old.id == present):
        raise Refused(checks.ARCHIVED)
    if not only_key:
        fields = {"persons": [], **details(given)}
        rules.change_contact(call.store, call.ledger, old.id, call.now, **fields)
    return old.id


def _key(given: Fields) -> str:
    """What the contact was found by."""
    names = ("ContactID", "ContactNumber", "Name")
    return next((n.lower() for n in names if n in given), "")


def _create(call: Call, fields: dict[str, object]) -> Contact:
    name = str(fields.pop("name", ""))
    return rules.create_contact(call.store, call.ledger, call.now, name=name, **fields)


def details(given: Fields) -> dict[str, object]:
    """The fields of a contact that are given; all others stay as they are."""
    found: dict[str, object] = {
        field: given.text(name).strip() for name, field in TEXTS.items() if name in given
    }
    if {"<", ">"} & set(str(found.get("name", ""))):  # the API's rule; a page takes them
        raise Refused("The contact name cannot contain the characters < or >.")
    for field in ("number", "default_currency"):
        if field in found:
            found[field] = found[field] or None
    name = given.text("Name")
    if name != name.strip() or "  " in name:
        raise Refused(BAD_SPACES)
    if "ContactStatus" in given:
        found["status"] = given.choice("ContactStatus", ("ACTIVE", "ARCHIVED"))
    if "ContactPersons" in given:
        found["persons"] = _persons(given)
    return found | _phones(given) | _addresses(given)


def _phones(given: Fields) -> dict[str, object]:
    """Numbers by kind; given ones replace all but a DEFAULT that is not among them."""
    rows = given.rows("Phones")
    numbers = {one.text("PhoneType", "DEFAULT").upper(): one.text("PhoneNumber") for one in rows}
    found: dict[str, object] = {"phones": numbers} if rows else {}
    if "DEFAULT" in numbers:
        found["phone"] = numbers.pop("DEFAULT")
    return found


def _addresses(given: Fields) -> dict[str, object]:
    """The two addresses; one that is given replaces what was there."""
    found: dict[str, object] = {}
    for address in given.rows("Addresses"):
        if address.text("AddressType", "STREET").upper() == "STREET":
            found |= {f: address.text(n) for n, f in ADDRESS.items() if n in address}
            found["street"] = {n: address.text(n) for n in MORE_ADDRESS if n in address}
        else:
            names = (*ADDRESS, *MORE_ADDRESS)
            found["postal"] = {n: address.text(n) for n in names if n in address}
    return found


def _persons(given: Fields) -> list[Person]:
    persons = [
        Person(
            first_name=one.text("FirstName"),
            last_name=one.text("LastName"),
            email=one.text("EmailAddress"),
            included=one.flag("IncludeInEmails"),
        )
        for one in given.rows("ContactPersons")
    ]
    if len(persons) > MOST_PERSONS:
        raise Refused("A contact can have at most five contact persons.")
    return persons
