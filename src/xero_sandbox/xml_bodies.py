"""A body in XML as the same dicts and lists that JSON would give; every value stays text (3.4).

Xero's API was made of XML and still reads it: pyxero sends nothing else. An element is an object,
`<LineItems><LineItem>…` a list, `<Name>…` a value; namespaces and attributes mean nothing.
"""

from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

LISTS = {
    "Addresses": "Address",
    "Allocations": "Allocation",
    "ContactPersons": "ContactPerson",
    "Contacts": "Contact",
    "CreditNotes": "CreditNote",
    "HistoryRecords": "HistoryRecord",
    "Invoices": "Invoice",
    "LineItems": "LineItem",
    "Overpayments": "Overpayment",
    "Payments": "Payment",
    "Phones": "Phone",
    "Prepayments": "Prepayment",
    "Tracking": "TrackingCategory",
}
"""Elements that hold a list, and what each of its elements is called."""
OTHER_NAMES = {("Allocation", "AppliedAmount"): "Amount"}
"""What JSON calls otherwise, by element: XeroAPI/xero-node #239."""
DEEPEST = 50


class BadXml(Exception):
    """Not XML, or XML with declarations of its own, which no client sends."""


def read(body: bytes, plural: str) -> dict[str, Any]:
    """The root element: one object, or the list of them under its plural."""
    if b"<!" in body:
        raise BadXml("declarations are not read")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - without declarations it can't expand
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadXml(str(error)) from error
    value = _value(root, DEEPEST)
    if _name(root) == plural:
        return {plural: value}
    return value if isinstance(value, dict) else {}


def _value(element: Element, deeper: int) -> Any:
    """A list, an object or text; an empty element is empty text, or a list of nothing."""
    if not deeper:
        raise BadXml("too deep")
    singular = LISTS.get(_name(element))
    if singular and all(_name(child) == singular for child in element):
        return [_value(child, deeper - 1) or {} for child in element]
    if len(element):
        return {_key(element, child): _value(child, deeper - 1) for child in element}
    return element.text or ""


def _key(element: Element, child: Element) -> str:
    """What JSON calls a child of this element."""
    name = _name(child)
    return OTHER_NAMES.get((_name(element), name), name)


def _name(element: Element) -> str:
    """The tag without its namespace."""
    return str(element.tag).rpartition("}")[2]
