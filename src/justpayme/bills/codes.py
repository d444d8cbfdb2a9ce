"""What an organisation lets the lines of a sales bill say: accounts, tax rates, themes, currencies.

As Xero last told them. Only what Xero would take is offered: active accounts of revenue, and
active tax rates that apply to revenue, so every pair of the two fits (xero-facts 4.3, 4.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from justpayme.sync.models import Connection, Record

_REVENUE_TYPES = ("REVENUE", "SALES", "OTHERINCOME")
"""Types of accounts whose class is REVENUE, for accounts whose class is not told."""

Kind = Record.Kind


@dataclass(frozen=True, slots=True)
class Rate:
    """One tax rate: Xero's type ("OUTPUT2"), what it is called, and its percentage."""

    tax_type: str
    name: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Codes:
    """What one organisation offers. `accounts`: code -> label; `themes`: id -> name.

    `account` and `tax_type` are the organisation's defaults, empty while none are chosen.
    `currencies`: empty while they are not known.
    """

    accounts: Mapping[str, str]
    rates: Mapping[str, Rate]
    themes: Mapping[str, str]
    currencies: frozenset[str]
    account: str = ""
    tax_type: str = ""

    def type_for(self, percent: Decimal) -> str:
        """The tax type of this percentage: the default if it has it, else the only one; "" if
        there is none, or if only a person can say which of several is meant."""
        usual = self.rates.get(self.tax_type)
        if usual is not None and usual.percent == percent:
            return usual.tax_type
        fits = [rate.tax_type for rate in self.rates.values() if rate.percent == percent]
        return fits[0] if len(fits) == 1 else ""


def codes_of(connection: Connection) -> Codes:
    """One statement."""
    kinds = (Kind.ACCOUNT, Kind.TAX_RATE, Kind.THEME, Kind.CURRENCY)
    rows = Record.objects.filter(connection=connection, kind__in=kinds).order_by("pk")
    found: dict[str, list[tuple[str, Any]]] = {kind: [] for kind in kinds}
    for kind, remote_id, data in rows.values_list("kind", "remote_id", "data"):
        found[kind].append((remote_id, data))
    return Codes(
        accounts=_accounts(data for _, data in found[Kind.ACCOUNT]),
        rates=_rates(data for _, data in found[Kind.TAX_RATE]),
        themes={pk: str(data.get("Name") or "Unnamed") for pk, data in found[Kind.THEME]},
        currencies=frozenset(code for code, _ in found[Kind.CURRENCY]),
        account=connection.revenue_account,
        tax_type=connection.tax_type,
    )


def _accounts(accounts: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Code -> "200 Sales", of those that sales may be booked to, by code."""
    usable = [a for a in accounts if a.get("status") == "ACTIVE" and a.get("code") and _earns(a)]
    return {a["code"]: f"{a['code']} {a['name']}" for a in sorted(usable, key=lambda a: a["code"])}


def _earns(account: Mapping[str, Any]) -> bool:
    is_revenue = account.get("class") == "REVENUE" or account.get("type") in _REVENUE_TYPES
    return is_revenue and not account.get("system")


def _rates(rates: Iterable[Mapping[str, Any]]) -> dict[str, Rate]:
    """Tax type -> rate, of those that sales may have, by name."""
    usable = [
        Rate(r["TaxType"], str(r.get("Name") or r["TaxType"]), Decimal(str(r["EffectiveRate"])))
        for r in rates
        if r.get("Status") == "ACTIVE" and r.get("CanApplyToRevenue") and r.get("TaxType")
        if r.get("EffectiveRate") is not None
    ]
    return {rate.tax_type: rate for rate in sorted(usable, key=lambda rate: rate.name.casefold())}
