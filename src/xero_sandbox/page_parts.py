"""What the pages of an organisation share."""

from collections.abc import Iterable

from markupsafe import Markup

from xero_sandbox.html import form, hidden, join, select
from xero_sandbox.model import Account
from xero_sandbox.store import Ledger


def act_form(
    ledger: Ledger, action: str, back: str, fields: Markup, label: str, look: str = ""
) -> Markup:
    """A form that does something in one organisation."""
    return form(action, back, hidden("tenant", ledger.organisation.id) + fields, label, look)


def contact_name(ledger: Ledger, contact_id: str) -> str:
    """A contact's name, empty if unknown."""
    contact = ledger.contacts.get(contact_id)
    return contact.name if contact else ""


def ways(ledger: Ledger) -> Markup:
    """Links to the other pages of an organisation."""
    tenant = ledger.organisation.id
    links = (
        ("/", "All organisations"),
        (f"/org/{tenant}", "Invoices"),
        (f"/org/{tenant}/contacts", "Contacts"),
        (f"/org/{tenant}/settings", "Settings"),
    )
    listed = join(Markup('<li><a href="{}">{}</a></li>').format(*link) for link in links)
    return Markup('<nav aria-label="Organisation"><ul>{}</ul></nav>').format(listed)


def currency_choice(ledger: Ledger, chosen: str) -> Markup:
    """The organisation's currencies, and the chosen one though it may be switched off."""
    known = dict.fromkeys((*ledger.organisation.currencies, chosen))
    return select("Currency", "currency", ((code, code) for code in known), chosen)


def payable_accounts(ledger: Ledger) -> Iterable[tuple[str, str]]:
    """Accounts that payments may go to (4.1)."""
    return [
        (account.code, account.name)
        for account in ledger.organisation.accounts
        if account.status == "ACTIVE" and (account.type == "BANK" or account.payments)
    ]


def sales_accounts(ledger: Ledger) -> list[Account]:
    """Accounts that a line may use (4.3)."""
    return [
        account
        for account in ledger.organisation.accounts
        if account.status == "ACTIVE" and account.type != "BANK" and not account.system_account
    ]
