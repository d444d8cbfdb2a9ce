"""The endpoints of an organisation's settings: lists that come whole (4.3, 4.5, 4.6).

None of them is paged. `where`, `order` and single reads are as Xero's published schema has them.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from xero_sandbox import shapes
from xero_sandbox.listing import NotModified, Question
from xero_sandbox.store import Ledger
from xero_sandbox.where import Getter, QueryError, compile_where

Row = dict[str, Any]


class WholeList(msgspec.Struct, frozen=True):
    """One list; ``key`` is the field that a single read names, empty where there is none."""

    plural: str
    rows: Callable[[Ledger], list[Row]]
    key: str = ""
    asks: bool = False
    """Whether it takes ``where`` and ``order``; elsewhere they are ignored."""
    changed: Callable[[Ledger], datetime] | None = None
    """When the rows last changed, for those that heed If-Modified-Since."""


WHOLE_LISTS = {
    "organisation": WholeList(
        "Organisations", lambda ledger: [shapes.organisation_json(ledger.organisation)]
    ),
    "accounts": WholeList(
        "Accounts",
        lambda ledger: [
            shapes.account_json(account, ledger.organisation.updated)
            for account in ledger.organisation.accounts
        ],
        key="AccountID",
        asks=True,
        changed=lambda ledger: ledger.organisation.updated,
    ),
    "taxrates": WholeList(
        "TaxRates",
        lambda ledger: [shapes.tax_rate_json(rate) for rate in ledger.organisation.tax_rates],
        key="TaxType",
        asks=True,
    ),
    "brandingthemes": WholeList(
        "BrandingThemes",
        lambda ledger: [
            shapes.theme_json(theme, ledger.organisation.created)
            for theme in ledger.organisation.themes
        ],
        key="BrandingThemeID",
    ),
    "currencies": WholeList(
        "Currencies",
        lambda ledger: [
            {"Code": code, "Description": name}
            for code, name in ledger.organisation.currencies.items()
        ],
        asks=True,
    ),
}
"""By path."""


def answer(what: WholeList, ledger: Ledger, question: Question) -> list[Row]:
    """The rows of a list that match, in the order asked for."""
    if what.changed and question.since and what.changed(ledger) < question.since:
        if ledger.open.unmodified == "not_modified":
            raise NotModified
        return []
    rows = what.rows(ledger)
    if not what.asks:
        return rows
    fields = _fields(rows)
    if question.text("where"):
        test = compile_where(question.text("where"), fields)
        rows = [row for row in rows if test(row)]
    return _ordered(rows, fields, question.text("order"))


def find_one(what: WholeList, ledger: Ledger, key: str) -> Row | None:
    """The row that a path names, in any letter case."""
    rows = what.rows(ledger) if what.key else []
    return next((row for row in rows if str(row[what.key]).lower() == key.lower()), None)


def _fields(rows: list[Row]) -> dict[str, Getter]:
    """What a filter may name: every field that some row has."""
    names = {name for row in rows for name in row}
    return {name.lower(): _getter(name) for name in names}


def _getter(name: str) -> Getter:
    return lambda row: row.get(name)


def _ordered(rows: list[Row], fields: Mapping[str, Getter], order: str) -> list[Row]:
    """Sort by ``Field [ASC|DESC]`` without letter case; rows without the field come first."""
    if not order:
        return rows
    name, *way = order.split()
    if name.lower() not in fields or [word.lower() for word in way] not in ([], ["asc"], ["desc"]):
        raise QueryError(f"Syntax error in order '{order}'")
    get = fields[name.lower()]
    found = sorted(rows, key=lambda row: _sortable(get(row)))
    return found[::-1] if way and way[0].lower() == "desc" else found


def _sortable(value: Any) -> tuple[bool, Any]:
    return value is not None, value.casefold() if isinstance(value, str) else value
