"""Xero's refusals in its own words, and the checks that need nothing but the books (3.10 to 4.6).

Texts that are not documented are marked in ``README.md``.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache

from xero_sandbox.model import Account, Contact, Invoice, Line, Organisation, TaxRate
from xero_sandbox.store import Ledger

NOT_MODIFIABLE = "Invoice not of valid status for modification"
HAS_MONEY = "This document cannot be edited as it has a payment or credit note allocated to it."
NEEDS_LINE_ID = "To update fields on a paid invoice line item, you must supply a LineItemID"
VOID_WITH_MONEY = (
    "The status VOIDED cannot be applied to the invoice because it has payments or credit notes"
    " allocated to it."
)
TOO_MUCH = "Payment amount exceeds the amount outstanding on this document"
NOT_AUTHORISED = "Payments can only be made against Authorised documents"
WRONG_BANK = "The payment cannot be made to a bank account in {}."
"""Our words: the account's currency is neither the document's nor the organisation's."""
NOT_VALID = "Account code '{}' is not a valid code for this document."
UNPAYABLE = {
    "not_valid": NOT_VALID,
    "not_enabled": "Payments are not enabled for the account with code '{}'.",
    "unheard": "The selected account {} is not applicable here.",
}
"""The refusal of an account that takes no payments, by answer to the question (11.4)."""
NO_ACCOUNT = "You must specify an Account code or Account ID for the payment"
NOT_FOUND = "The document with the supplied id was not found for this endpoint."
NO_DOCUMENT = "Document could not be found"
NEGATIVE_TOTAL = "The Total for this document must be greater than or equal to zero."
NOT_UNIQUE = "Invoice # must be unique."
NO_LINES = "One or more line items must be specified"
NO_CONTACT = "A Contact must be specified for this type of transaction"
ARCHIVED = (
    "The contact with the specified contact details has been archived. The contact must"
    " be un-archived before creating new invoices or credit notes."
)
ARCHIVED_EDIT = (
    "The specified contact details matched an archived contact. Archived contacts"
    " cannot currently be edited via the API."
)
NUMBER_CLASH = "Another contact has this contact number. Please enter a different contact number."
APPROVAL_LIMIT = "You have reached the limit of invoices you can approve"
MOST = Decimal("9999999999.99")
"""The largest amount of a line (3.7)."""
OPEN_SYSTEM_ACCOUNTS = ("", "ROUNDING")
"""System accounts that a line may use; all others belong to Xero itself (4.3)."""


class Refused(Exception):
    """Xero says no; ``messages`` are the texts of its ValidationErrors."""

    def __init__(self, *messages: str) -> None:
        super().__init__(" ".join(messages))
        self.messages = list(messages)


@lru_cache(maxsize=200_000)
def folded(name: str) -> str:
    """A name for comparing: no letter case, no accents (4.4)."""
    parts = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(ch for ch in parts if not unicodedata.combining(ch))


def check_name(ledger: Ledger, name: str, contact_id: str = "") -> None:
    """A contact's name: given, not too long, unique among active ones (4.4)."""
    if not name.strip():
        raise Refused("The contact name must be specified.")
    if len(name) > 255:
        raise Refused("The contact name must be no more than 255 characters.")
    other = named(ledger, name)
    if other and other.id != contact_id and other.status == "ACTIVE":
        raise Refused(
            f"The contact name {name} is already assigned to another contact."
            " The contact name must be unique across all active contacts."
        )


def named(ledger: Ledger, name: str) -> Contact | None:
    """The contact of this name, an active one first (4.4)."""
    wanted = folded(name)
    found = [c for c in ledger.contacts.rows.values() if folded(c.name) == wanted]
    return min(found, key=lambda c: c.status != "ACTIVE", default=None)


def numbered(ledger: Ledger, number: str) -> Contact | None:
    """The contact of this ContactNumber, archived ones included (4.4)."""
    return next((c for c in ledger.contacts.rows.values() if c.number == number), None)


def check_contact_number(ledger: Ledger, number: str | None, contact_id: str = "") -> None:
    """A ContactNumber belongs to one contact, even to an archived one (4.4)."""
    other = numbered(ledger, number) if number else None
    if other and other.id != contact_id:
        raise Refused(NUMBER_CLASH)
    if number and len(number) > 50:
        raise Refused("The contact number must be no more than 50 characters.")


def sale_numbered(ledger: Ledger, number: str) -> Invoice | None:
    """The sales invoice of a number; supplier bills have numbers of their own (3.4).

    Whether a void or deleted invoice still holds its number is an open question.
    """
    ids = ledger.numbers.get(number.casefold(), ())
    found = [ledger.invoices.rows[i] for i in ids]
    free = ledger.open.dead_numbers == "free"
    live = [
        one
        for one in found
        if one.type == "ACCREC" and not (free and one.status in ("VOIDED", "DELETED"))
    ]
    return min(live, key=lambda one: one.status in ("VOIDED", "DELETED"), default=None)


def check_number(ledger: Ledger, number: str) -> None:
    """An invoice number: printable ASCII, at most 255, unique among sales (3.7)."""
    if len(number) > 255 or not number.isascii() or not number.isprintable():
        raise Refused("Invoice # must be at most 255 printable ASCII characters.")
    if sale_numbered(ledger, number):
        raise Refused(NOT_UNIQUE)


def check_lock(ledger: Ledger, *days: date) -> None:
    """No document may be dated, moved from or changed in a locked period (4.6)."""
    switches = ledger.organisation.switches
    itself = ledger.open.lock_day == "locked"
    locks = (
        ("period", switches.period_lock_date),
        ("end of year", switches.end_of_year_lock_date),
    )
    for name, lock in locks:
        if lock and any(d < lock or (d == lock and itself) for d in days):
            raise Refused(
                f"The document date cannot be before the {name} lock date, currently set at"
                f" {lock:%d-%b-%Y}"
            )


def check_approval(organisation: Organisation, invoice: Invoice) -> None:
    """What an approved invoice needs: lines, an account on each, and room in the plan."""
    if not invoice.lines:
        raise Refused(NO_LINES)
    if any(line.quantity is not None and not line.account_code for line in invoice.lines):
        raise Refused("Account code or ID must be specified")
    if organisation.switches.approval_limit_reached:
        raise Refused(APPROVAL_LIMIT)


def check_header(organisation: Organisation, invoice: Invoice, old: Invoice | None = None) -> None:
    """Currency, theme and texts of the header (3.7, 4.5).

    A currency that was switched off since the invoice was made does not hinder other changes.
    """
    kept = old.currency if old else None
    if invoice.currency not in (kept, *organisation.currencies):
        raise Refused(f"Organisation is not subscribed to currency {invoice.currency}")
    if invoice.theme_id and invoice.theme_id not in {t.id for t in organisation.themes}:
        raise Refused("BrandingThemeID could not be found")
    if len(invoice.reference) > 255:
        raise Refused("The Reference must be no more than 255 characters.")
    if invoice.url and "xero" in invoice.url.lower():
        raise Refused("The Url must not contain the word Xero.")


def check_lines(organisation: Organisation, lines: Sequence[Line], known: Iterable[Line]) -> None:
    """Accounts and tax types of the lines that are new or whose pair has changed (4.3, 4.5)."""
    pairs = {(line.account_code, line.tax_type) for line in known}
    for line in lines:
        if len(line.description) > 4_000:
            raise Refused("The line description must be no more than 4000 characters.")
        if (line.account_code, line.tax_type) not in pairs:
            _check_pair(organisation, line)


def _check_pair(organisation: Organisation, line: Line) -> None:
    account = None
    if line.account_code:
        account = organisation.account(line.account_code)
        _check_account(account, line.account_code)
    if not line.tax_type:
        return
    rate = next((t for t in organisation.tax_rates if t.tax_type == line.tax_type), None)
    if rate is None or rate.status != "ACTIVE":
        raise Refused(
            f"The TaxType code '{line.tax_type}' does not exist or cannot be used for this type"
            " of transaction."
        )
    if account and not fits(rate, account):
        raise Refused(
            f"The TaxType code '{line.tax_type}' cannot be used with account code"
            f" '{line.account_code}'."
        )


def _check_account(account: Account | None, code: str) -> None:
    if account is None:
        raise Refused(NOT_VALID.format(code))
    if account.status != "ACTIVE":
        raise Refused(
            f"Account code '{code}' has been archived, or has been deleted. Each line item must"
            " reference a valid account."
        )
    if account.type == "BANK" or account.system_account not in OPEN_SYSTEM_ACCOUNTS:
        raise Refused(NOT_VALID.format(code))


def payable(ledger: Ledger, account: Account, currency: str) -> list[str]:
    """Why a payment in a currency cannot go to an account: nothing when it can (4.1)."""
    if account.status != "ACTIVE" or (account.type != "BANK" and not account.payments):
        return [UNPAYABLE[ledger.open.account_text].format(account.code)]
    if account.currency not in (None, currency, ledger.organisation.currency):
        return [WRONG_BANK.format(account.currency)]
    return []


def fits(rate: TaxRate, account: Account) -> bool:
    """Whether a tax rate may be used with an account; "no tax" goes with every one (4.5)."""
    return rate.report_type == "NONE" or rate.revenue == (account.account_class == "REVENUE")
