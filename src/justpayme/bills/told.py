"""What one entry of a history changed, in words: each value before and after.

Values in history are plain data (`core.bill.to_plain`), perhaps written by an older version of
the program; whatever can't be read is shown as it is, never refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from justpayme.bills.asof import is_contact_id
from justpayme.web.format import MISSING, long_day, money, quantity

SHOWN_AT_MOST = 14
"""Changes listed in one entry; a long bill rewritten in Xero can have hundreds."""

LABELS = {
    "number": "Number",
    "reference": "Reference",
    "client": "Client",
    "issued_on": "Issued",
    "due_on": "Due date",
    "expected_on": "Expected payment",
    "status": "Status",
    "sent": "Sent",
    "branding_theme": "Branding theme",
    "url": "Link",
    "currency": "Currency",
    "rate": "Exchange rate",
    "tax_mode": "Prices",
    "sub_total": "Net",
    "tax_total": "Tax",
    "total": "Total",
    "discount_total": "Discount",
    "outstanding": "Outstanding",
    "paid": "Paid",
    "credited": "Credited",
    "fully_paid_on": "Paid in full",
    "name": "Name",
    "email": "E-mail",
    "phone": "Phone",
    "address": "Address",
    "tax_number": "VAT number",
}
MONEY = {"sub_total", "tax_total", "total", "discount_total", "outstanding", "paid", "credited"}
DAYS = {"issued_on", "due_on", "expected_on", "fully_paid_on"}
TAX_MODES = {"exclusive": "without tax", "inclusive": "with tax", "none": "no tax"}
LINE_PARTS = {
    "description": "description",
    "quantity": "quantity",
    "unit_amount": "price",
    "discount_rate": "discount %",
    "discount_amount": "discount",
    "tax_type": "tax rate",
    "tax_amount": "tax",
    "line_amount": "amount",
    "account_code": "account",
    "item_code": "item",
    "tracking": "tracking",
}
LINE_MONEY = {"unit_amount", "discount_amount", "tax_amount", "line_amount"}
PAYMENTS = {
    "payment": "Payment",
    "credit": "Credit note",
    "prepayment": "Prepayment",
    "overpayment": "Overpayment",
}
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Change:
    """One value, before and after, ready to print."""

    label: str
    old: str
    new: str


def told_changes(
    changes: Iterable[Mapping[str, Any]], currency: str, names: Mapping[str, str]
) -> tuple[list[Change], int]:
    """The changes of one entry in words, and how many more there are than are listed.

    `names` maps ContactIDs to client names.
    """
    found = [told for change in changes for told in _told(change, currency, names)]
    return found[:SHOWN_AT_MOST], max(0, len(found) - SHOWN_AT_MOST)


def contact_ids(changes: Iterable[Mapping[str, Any]]) -> set[str]:
    """The ContactIDs that these changes name."""
    values = {
        str(change.get(side))
        for change in changes
        if change.get("field") == "client"
        for side in ("old", "new")
    }
    return {value for value in values if is_contact_id(value)}


def _told(change: Mapping[str, Any], currency: str, names: Mapping[str, str]) -> Iterator[Change]:
    name, old, new = str(change.get("field", "")), change.get("old"), change.get("new")
    if name == "lines":
        yield from _items(_list(old), _list(new), lambda a, b: _line_changes(a, b, currency))
    elif name == "payments":
        yield from _items(_list(old), _list(new), lambda a, b: _payment_changes(a, b, currency))
    elif name == "client":
        yield Change("Client", _client(old, names), _client(new, names))
    elif name == "rate" and not old and _number(new) == 1:
        return  # Xero spells out the rate of its own currency
    else:
        label = LABELS.get(name, name.replace("_", " ").capitalize())
        yield Change(label, _value(name, old, currency), _value(name, new, currency))


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _client(value: Any, names: Mapping[str, str]) -> str:
    if isinstance(value, dict):  # as it was called then
        return str(value.get("name") or MISSING)
    text = str(value or MISSING)
    return names.get(text.lower(), "another client") if is_contact_id(text) else text


def _value(name: str, value: Any, currency: str) -> str:
    if value is None or value == "":
        return MISSING
    if name in MONEY:
        return _money(value, currency)
    if name in DAYS:
        return _day(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "branding_theme" and is_contact_id(str(value)):
        return "a theme of Xero’s"
    if name == "tax_mode":
        return TAX_MODES.get(str(value), str(value))
    return str(value).capitalize() if name == "status" else str(value)


def _money(value: Any, currency: str) -> str:
    number = _number(value)
    return str(value) if number is None else money(number, currency).text


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _day(value: Any) -> str:
    try:
        return long_day(date.fromisoformat(str(value)))
    except ValueError:
        return str(value)


Item = Mapping[str, Any] | None


Differ = Callable[[Item, Item], Iterator[Change]]


def _items(
    old: list[dict[str, Any]], new: list[dict[str, Any]], differ: Differ
) -> Iterator[Change]:
    """Pair the items of two lists by Xero's id, and tell what differs.

    What we send has no id until Xero's answer names it: such an item is the one that says the
    same afterwards, or else the one that stands in its place.
    """
    named = {str(item["remote_id"]): item for item in old if item.get("remote_id")}
    nameless = {place: item for place, item in enumerate(old) if not item.get("remote_id")}
    before: list[Item] = [named.pop(str(item.get("remote_id") or ""), None) for item in new]
    for place, item in enumerate(new):
        same = (was for was, other in nameless.items() if not any(differ(other, item)))
        if before[place] is None and (found := next(same, None)) is not None:
            before[place] = nameless.pop(found)
    for place, item in enumerate(new):
        yield from differ(before[place] or nameless.pop(place, None), item)
    for item in (*named.values(), *nameless.values()):
        yield from differ(item, None)


def _line_changes(old: Item, new: Item, currency: str) -> Iterator[Change]:
    whole = new or old or {}
    title = _short(str(whole.get("description") or "Line"))
    if old is None or new is None:
        worth = f"{title}, {_money(whole.get('line_amount', '0'), currency)}"
        yield Change("Line", NOTHING if old is None else worth, worth if old is None else NOTHING)
        return
    for name, label in LINE_PARTS.items():
        if not _same(old.get(name), new.get(name)):
            parts = (_line_value(name, side.get(name), currency) for side in (old, new))
            yield Change(f"{title}, {label}", *parts)


def _same(old: Any, new: Any) -> bool:
    first, second = _number(old), _number(new)
    both = first is not None and second is not None
    return first == second if both else (old or "") == (new or "")


def _line_value(name: str, value: Any, currency: str) -> str:
    if value in (None, "", []):
        return MISSING
    if name in LINE_MONEY:
        return _money(value, currency)
    if name == "tracking":
        return ", ".join(str(entry.get("option", "")) for entry in _list(value))
    number = _number(value) if name in ("quantity", "discount_rate") else None
    return str(value) if number is None else quantity(number)


def _payment_changes(old: Item, new: Item, currency: str) -> Iterator[Change]:
    before, after = _payment(old, currency), _payment(new, currency)
    if before != after:
        kind = str((new or old or {}).get("kind", ""))
        yield Change(PAYMENTS.get(kind, "Payment"), before, after)


def _payment(item: Item, currency: str) -> str:
    if item is None:
        return NOTHING
    amount = _money(item.get("amount", "0"), currency)
    return f"{amount} on {_day(item['on'])}" if item.get("on") else amount


def _short(text: str, most: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
