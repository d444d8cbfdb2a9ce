"""What a person switches on and off in an organisation's settings (4.3, 4.5).

As in ``rules``, each function saves everything it changes or raises ``Refused``.
"""

from datetime import datetime

from msgspec.structs import replace

from xero_sandbox.checks import NOT_FOUND, Refused
from xero_sandbox.model import Account, Organisation, TaxRate
from xero_sandbox.store import Ledger, Store

CURRENCY_NAMES = {
    "AUD": "Australian Dollar", "CAD": "Canadian Dollar", "CHF": "Swiss Franc", "EUR": "Euro",
    "GBP": "British Pound", "JPY": "Japanese Yen", "NZD": "New Zealand Dollar",
    "USD": "United States Dollar",
}  # fmt: skip


def change_account(
    store: Store, ledger: Ledger, code: str, now: datetime, **changes: object
) -> Account:
    """Archive or restore an account, or say whether payments may go to it.

    The accounts that belong to Xero itself cannot be archived, in our words.
    """
    with store.lock:
        old = ledger.organisation.account(code)
        if old is None:
            raise Refused(NOT_FOUND)
        if old.system_account and changes.get("status") == "ARCHIVED":
            raise Refused("System accounts cannot be archived.")
        new = replace(old, **changes)
        accounts = [new if a.id == old.id else a for a in ledger.organisation.accounts]
        _save(store, ledger.organisation, now, accounts=accounts)
        return new


def add_currency(store: Store, ledger: Ledger, code: str, now: datetime) -> dict[str, str]:
    """Subscribe to a currency; returns all."""
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise Refused("A currency has three letters.")
    code = code.upper()
    with store.lock:
        kept = {**ledger.organisation.currencies, code: CURRENCY_NAMES.get(code, code)}
        _save(store, ledger.organisation, now, currencies=kept)
        return kept


def remove_currency(store: Store, ledger: Ledger, code: str, now: datetime) -> dict[str, str]:
    """Give a currency up, though documents in it exist; returns those that are left."""
    code = code.upper()
    with store.lock:
        organisation = ledger.organisation
        if code == organisation.currency:
            raise Refused("The base currency cannot be removed.")
        if code not in organisation.currencies:
            raise Refused(NOT_FOUND)
        kept = {k: v for k, v in organisation.currencies.items() if k != code}
        _save(store, organisation, now, currencies=kept)
        return kept


def change_tax_rate(
    store: Store, ledger: Ledger, tax_type: str, status: str, now: datetime
) -> TaxRate:
    """Delete a tax rate, which documents may still show, or bring it back."""
    with store.lock:
        rates = ledger.organisation.tax_rates
        old = next((r for r in rates if r.tax_type == tax_type), None)
        if old is None:
            raise Refused(NOT_FOUND)
        new = replace(old, status=status)
        changed = [new if r is old else r for r in rates]
        _save(store, ledger.organisation, now, tax_rates=changed)
        return new


def _save(store: Store, old: Organisation, now: datetime, **changes: object) -> None:
    store.save(old.id, replace(old, updated=now, **changes))
