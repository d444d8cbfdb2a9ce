"""What we send to Xero: ours into Xero's words, as one request of exact bytes. Pure.

Every builder makes one `Request` for up to `MOST` things of a kind. It names only what is to
change, and things of Xero's only by their ids (I-21): a contact inside an invoice is its
ContactID, because any other field would change the contact and drop its persons; lines keep
their LineItemID, because a line without one is made anew (xero-facts 3.4). Amounts that Xero
works out (LineAmount, TaxAmount, totals) are never sent; numbers are exact decimal literals.

A `what_hinders` says beforehand why Xero could not take a thing, as a code of the catalogue; a
builder given such a thing raises that Problem. So one bad bill need not spoil a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import msgspec

from justpayme.core.bill import BillFields, LineFields, Status, TaxMode
from justpayme.core.errors import Problem

MOST = 40
"""Things in one request; Xero advises about 50 at most (xero-facts 2.1)."""

LONGEST_NAME = 255
LONGEST_NUMBER = 50
"""Characters of a contact's name, and of a ContactNumber (xero-facts 4.4)."""

EACH = (("summarizeErrors", "false"),)
"""Judge every element by itself; by default one bad one refuses the call (xero-facts 3.5)."""

FOUR_PLACES = (*EACH, ("unitdp", "4"))
"""Without it unit prices are cut to two decimals (xero-facts 3.11)."""

_TAX_MODE = {
    TaxMode.EXCLUSIVE: "Exclusive",
    TaxMode.INCLUSIVE: "Inclusive",
    TaxMode.NONE: "NoTax",
}

_HEADER = {
    "number": ("number", "InvoiceNumber"),
    "reference": ("reference", "Reference"),
    "issued_on": ("issued_on", "Date"),
    "due_on": ("due_on", "DueDate"),
    "expected_on": ("expected_on", "ExpectedPaymentDate"),
    "sent": ("sent", "SentToContact"),
    "branding_theme": ("branding_theme", "BrandingThemeID"),
    "url": ("url", "Url"),
}
"""Unit -> field of a bill and Xero's name for it, where one is simply the other."""

NEVER_EMPTY = {"number", "issued_on", "due_on", "expected_on", "branding_theme"}
"""Units that Xero has no way to make empty by a request, once there is a value."""

_CREATE_STATUS = ("AUTHORISED", "DRAFT")

Json = dict[str, Any]
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Request:
    """One mutating request as it leaves: `path` is below /api.xro/2.0/."""

    method: Literal["PUT", "POST"]
    path: str
    params: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """A bill whose `units` go out to the invoice. `was`: the invoice's status in our words.

    `base`: the invoice as Xero has it, by which we know what of a line was changed or taken
    away. Without one, lines are sent whole.
    """

    invoice_id: str
    bill: BillFields
    units: tuple[str, ...]
    was: Status
    base: BillFields | None = None


@dataclass(frozen=True, slots=True)
class New:
    """A bill that Xero does not have. Its lines carry Xero's account codes and tax types."""

    bill: BillFields
    status: str = "AUTHORISED"
    branding_theme: str = ""


@dataclass(frozen=True, slots=True)
class NewPayment:
    """Money received for an invoice; `amount` in the invoice's currency, above zero."""

    invoice_id: str
    account_id: str
    on: date
    amount: Decimal
    reference: str


@dataclass(frozen=True, slots=True)
class NewContact:
    """A client that Xero does not have; `number` is our key for it, unique for ever."""

    number: str
    name: str
    email: str = ""
    phone: str = ""
    address: str = ""
    tax_number: str = ""


def what_hinders(thing: Change | New | NewPayment | NewContact) -> str:
    """Why Xero can't take this, as a code of the catalogue; empty if we know no reason."""
    if isinstance(thing, Change):
        return _hinders_change(thing)
    if isinstance(thing, New):
        return _hinders_new(thing.bill)
    if isinstance(thing, NewPayment):
        return "" if thing.amount > 0 else "payment_amount"
    fits = _tidy(thing.name) and len(_tidy(thing.name)) <= LONGEST_NAME
    return "" if fits and not {"<", ">"} & set(thing.name) else "contact_name_unfit"


def _hinders_change(change: Change) -> str:
    bill, units = change.bill, set(change.units)
    if "status" in units:
        if bill.status is Status.PAID or (bill.status, change.was) not in _STATUS:
            return "status_not_valid"
        if bill.status is Status.VOID:
            return ""  # nothing else is sent
    if "client" in units and not bill.client:
        return "contact_missing"
    if any(not getattr(bill, name) for name in units & NEVER_EMPTY):
        return "cannot_be_empty"
    if "lines" not in units:
        return ""
    return _hinders_lines(bill) or _hinders_taken(bill, change.base)


def _hinders_new(bill: BillFields) -> str:
    """A number of its own is also how we find it again, if the answer gets lost."""
    if not bill.client:
        return "contact_missing"
    return _hinders_lines(bill) if bill.number else "number_missing"


def _hinders_lines(bill: BillFields) -> str:
    """Only a percentage typed here ("20%") is no tax type of Xero's (`core.totals.rate_text`)."""
    if bill.tax_mode is TaxMode.NONE:
        return ""
    return "tax_rate_unknown" if any(x.tax_type.endswith("%") for x in bill.lines) else ""


def _hinders_taken(bill: BillFields, base: BillFields | None) -> str:
    """An account or a tax type can be exchanged, but not taken away from a line."""
    before = {x.remote_id: x for x in base.lines} if base else {}
    for line in bill.lines:
        had = before.get(line.remote_id) if line.remote_id and not _bare(line) else None
        if had and had.account_code and not line.account_code:
            return "account_missing"
        if had and had.tax_type and not line.tax_type and bill.tax_mode is not TaxMode.NONE:
            return "tax_rate_unknown"
    return ""


# https://developer.xero.com/documentation/api/accounting/invoices#post-invoices
def update_invoices(changes: Sequence[Change]) -> Request:
    """Change invoices by their ids, which are all different."""
    if len({change.invoice_id.lower() for change in changes}) != len(changes):
        raise ValueError("The same invoice twice in one request.")
    return _request("POST", "Invoices", changes, _changed, FOUR_PLACES)


# https://developer.xero.com/documentation/api/accounting/invoices#put-invoices
def create_invoices(new: Sequence[New]) -> Request:
    """Make invoices. PUT never touches one that is there: a number in use is refused."""
    return _request("PUT", "Invoices", new, _created, FOUR_PLACES)


# https://developer.xero.com/documentation/api/accounting/payments#put-payments
def create_payments(new: Sequence[NewPayment]) -> Request:
    """Record payments."""
    return _request("PUT", "Payments", new, _payment, EACH)


# https://developer.xero.com/documentation/api/accounting/payments#post-payments
def delete_payment(payment_id: str) -> Request:
    """Remove a payment. Any other field would be refused (xero-facts 4.1)."""
    return Request("POST", f"Payments/{payment_id}", (), _encode({"Status": "DELETED"}))


# https://developer.xero.com/documentation/api/accounting/contacts#put-contacts
def create_contacts(new: Sequence[NewContact]) -> Request:
    """Make contacts. PUT refuses a name or number that is taken, and changes nobody."""
    return _request("PUT", "Contacts", new, _contact, EACH)


def _request(
    method: Literal["PUT", "POST"],
    plural: str,
    things: Sequence[Any],
    written: Any,
    params: tuple[tuple[str, str], ...],
) -> Request:
    if not 0 < len(things) <= MOST:
        raise ValueError(f"{len(things)} things in one request.")
    for thing in things:
        if code := what_hinders(thing):
            raise Problem(code)
    return Request(method, plural, params, _encode({plural: [written(t) for t in things]}))


_STATUS = {
    (Status.ACTIVE, Status.DRAFT): "AUTHORISED",
    (Status.VOID, Status.ACTIVE): "VOIDED",
    (Status.VOID, Status.PAID): "VOIDED",
    (Status.VOID, Status.DRAFT): "DELETED",
}
"""(wanted, present) -> the Status to write; no other step is open to an app (xero-facts 3.10).
A paid one is refused with the reason, unless its payment was removed meanwhile."""


def _changed(change: Change) -> Json:
    bill, units = change.bill, change.units
    row: Json = {"InvoiceID": change.invoice_id}
    if "status" in units:
        row["Status"] = _STATUS[bill.status, change.was]
        if bill.status is Status.VOID:
            return row
    for unit in units:
        if unit in _HEADER:
            field, name = _HEADER[unit]
            row[name] = _plain(getattr(bill, field))
    if "client" in units:
        row["Contact"] = {"ContactID": bill.client}
    if "money" in units:
        row |= _money(bill)
    if "lines" in units:
        row |= _lines(bill, change.base)
    return row


def _created(new: New) -> Json:
    """A new invoice without what is empty: Xero then fills in what it needs, such as the day."""
    bill = replace(new.bill, branding_theme=new.branding_theme or new.bill.branding_theme)
    if new.status not in _CREATE_STATUS:
        raise ValueError(f"An invoice can't begin as {new.status}.")
    row: Json = {"Type": "ACCREC", "Status": new.status, "Contact": {"ContactID": bill.client}}
    for field, name in _HEADER.values():
        if value := getattr(bill, field):
            row[name] = _plain(value)
    if new.status == "DRAFT":
        row.pop("SentToContact", None)  # only what is approved can have been sent
    return row | _money(bill) | _lines(bill, None, new=True)


def _money(bill: BillFields) -> Json:
    row: Json = {"CurrencyCode": bill.currency} if bill.currency else {}
    return row if bill.rate is None else row | {"CurrencyRate": _exact(bill.rate)}


def _lines(bill: BillFields, base: BillFields | None, *, new: bool = False) -> Json:
    """The whole unit: lines that are not named would be deleted (xero-facts 3.4)."""
    before = {x.remote_id: x for x in base.lines} if base else {}
    # A line without tax that names no tax type may get another one.
    retaxed = bill.tax_mode is TaxMode.NONE or (base and base.tax_mode is not bill.tax_mode)
    always = ("TaxType",) if retaxed else ()
    return {
        "LineAmountTypes": _TAX_MODE[bill.tax_mode],
        "LineItems": [
            _whole(x) if new else _line(x, before.get(x.remote_id), always) for x in bill.lines
        ],
    }


def _line(line: LineFields, before: LineFields | None, always: tuple[str, ...]) -> Json:
    """One line of an invoice that is there. `before`: the same line in Xero, of which only what
    changed is named (and `always`): the rest stays, also what we know nothing of, such as a tax
    amount typed there (xero-facts 3.4). A line that loses its numbers is made anew, because a
    number can't be taken away."""
    row = _whole(line)
    if not line.remote_id or (before and before.quantity is not None and _bare(line)):
        return row
    if before:
        had = _whole(before)
        row = {k: v for k, v in row.items() if k in always or had.get(k) != v}
        row |= _taken_away(line, before)
    return {"LineItemID": line.remote_id, **row}


def _bare(line: LineFields) -> bool:
    """Words only: Xero shows no account or tax for such a line."""
    return line.quantity is None and line.unit_amount is None


def _whole(line: LineFields) -> Json:
    """All that a line says and Xero does not work out."""
    row: Json = {"Description": line.description}
    if _bare(line):
        return row
    for name, number in (
        ("Quantity", line.quantity),
        ("UnitAmount", line.unit_amount),
        ("DiscountRate", line.discount_rate),
        ("DiscountAmount", line.discount_amount),
    ):
        if number is not None:
            row[name] = _exact(number)
    for name, text in (
        ("AccountCode", line.account_code),
        ("TaxType", "" if line.tax_type.endswith("%") else line.tax_type),
        ("ItemCode", line.item_code),
    ):
        if text:
            row[name] = text
    if line.tracking:
        row["Tracking"] = [{"Name": t.name, "Option": t.option} for t in line.tracking]
    return row


def _taken_away(line: LineFields, before: LineFields) -> Json:
    """What the line in Xero has and ours has not. A discount goes by one of nothing."""
    row: Json = {}
    if line.discount_rate is None and line.discount_amount is None:
        if before.discount_rate is not None:
            row["DiscountRate"] = 0
        elif before.discount_amount is not None:
            row["DiscountAmount"] = 0
    if before.item_code and not line.item_code:
        row["ItemCode"] = ""
    if before.tracking and not line.tracking:
        row["Tracking"] = []
    return row


def _payment(new: NewPayment) -> Json:
    row: Json = {
        "Invoice": {"InvoiceID": new.invoice_id},
        "Account": {"AccountID": new.account_id},
        "Date": _plain(new.on),
        "Amount": _exact(new.amount),
    }
    return row | ({"Reference": new.reference} if new.reference else {})


def _contact(new: NewContact) -> Json:
    row: Json = {"Name": _tidy(new.name)}
    for name, text in (
        ("ContactNumber", new.number[:LONGEST_NUMBER]),
        ("EmailAddress", new.email),
        ("TaxNumber", new.tax_number),
    ):
        if text:
            row[name] = text
    if new.phone:
        row["Phones"] = [{"PhoneType": "DEFAULT", "PhoneNumber": new.phone}]
    if new.address:
        row["Addresses"] = [{"AddressType": "POBOX", **_address(new.address)}]
    return row


def _address(address: str) -> Json:
    """Our lines as Xero's four; what is beyond them shares the last."""
    lines = [line.strip() for line in address.splitlines() if line.strip()]
    lines = [*lines[:3], ", ".join(lines[3:])]
    return {f"AddressLine{n}": line for n, line in enumerate(lines, 1) if line}


def _tidy(name: str) -> str:
    """Xero takes no spaces at the ends of a name nor two in a row (xero-facts 4.4)."""
    return " ".join(name.split())


def _plain(value: object) -> object:
    """Days are written as days: a time with an offset might move them (xero-facts 3.9)."""
    return value.isoformat() if isinstance(value, date) else value


def _exact(number: Decimal) -> Decimal:
    """The same number without an exponent, which not every reader of JSON keeps exact."""
    return Decimal(format(number, "f"))
