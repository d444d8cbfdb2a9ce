"""Contacts and settings of an organisation, with what a person can do to them."""

from typing import TYPE_CHECKING

from markupsafe import Markup
from werkzeug.wrappers import Response

from xero_sandbox.html import field, fields, hidden, items, join, more, notice, page, select
from xero_sandbox.model import Account, Contact, TaxRate
from xero_sandbox.page_parts import act_form, ways
from xero_sandbox.store import Ledger

if TYPE_CHECKING:
    from xero_sandbox.app import Sandbox


def contacts(sandbox: "Sandbox", ledger: Ledger, done: str) -> Response:
    """Contacts with what can be done to each, and a form for a new one."""
    rows = sorted(ledger.contacts.rows.values(), key=lambda c: c.name.casefold())[:200]
    back = f"/org/{ledger.organisation.id}/contacts"
    asked = fields(
        field("Name", "name", "", required=True), field("Email", "email", "", kind="email")
    )
    body = CONTACTS.format(
        done=notice(done),
        ways=ways(ledger),
        forms=join(contact_form(ledger, contact, back) for contact in rows),
        new=act_form(ledger, "create-contact", back, asked, "Create contact"),
    )
    return page("Contacts", body)


def contact_form(ledger: Ledger, contact: Contact, back: str) -> Markup:
    """One contact."""
    name, which = contact.name[:60], hidden("contact", contact.id)
    if contact.status != "ACTIVE":
        restore = act_form(ledger, "restore-contact", back, which, f"Restore {name}", "quiet")
        return Markup("<section><h2>{}</h2><p>{}</p>{}</section>").format(
            contact.name, contact.status, restore
        )
    asked = which + fields(
        field(f"Name of {name}", "name", contact.name),
        field(f"Email of {name}", "email", contact.email, kind="email"),
    )
    save = act_form(ledger, "edit-contact", back, asked, f"Save {name}", "quiet")
    archive = act_form(ledger, "archive-contact", back, which, f"Archive {name}", "danger")
    into = which + fields(field(f"Merge {name} into", "into", "", required=True))
    merge = more(
        f"Merge {name}", act_form(ledger, "merge-contact", back, into, f"Merge {name}", "danger")
    )
    return Markup("<section>{}{}{}</section>").format(save, archive, merge)


def settings(sandbox: "Sandbox", ledger: Ledger, done: str) -> Response:
    """Lock dates, currencies, accounts and tax rates."""
    back = f"/org/{ledger.organisation.id}/settings"
    body = SETTINGS.format(
        done=notice(done),
        ways=ways(ledger),
        name=ledger.organisation.name,
        locks=lock_form(ledger, back),
        switches=switch_form(ledger, back),
        currencies=currency_section(ledger, back),
        accounts=items(
            (account_item(ledger, a, back) for a in ledger.organisation.accounts), "No accounts."
        ),
        rates=items(
            (rate_item(ledger, r, back) for r in ledger.organisation.tax_rates), "No tax rates."
        ),
    )
    return page("Settings", body)


def lock_form(ledger: Ledger, back: str) -> Markup:
    """Both lock dates; an empty one is none (4.6)."""
    switches = ledger.organisation.switches
    period, year = switches.period_lock_date, switches.end_of_year_lock_date
    asked = fields(
        field("Period lock date", "period_lock_date", str(period or ""), kind="date"),
        field("End of year lock date", "end_of_year_lock_date", str(year or ""), kind="date"),
    )
    return act_form(ledger, "lock", back, asked, "Save lock dates")


def switch_form(ledger: Ledger, back: str) -> Markup:
    """What the organisation's plan decides."""
    switches = ledger.organisation.switches
    asked = fields(
        *(
            select(
                label,
                name,
                (("no", "no"), ("yes", "yes")),
                "yes" if getattr(switches, name) else "no",
            )
            for name, label in SWITCHES.items()
        )
    )
    return act_form(ledger, "switch", back, asked, "Save switches", "quiet")


def currency_section(ledger: Ledger, back: str) -> Markup:
    """The currencies subscribed to, each with the way out, and a form for another."""
    organisation = ledger.organisation
    listed = items(
        (
            Markup("{} {}{}").format(
                code,
                name,
                Markup(" (base currency)")
                if code == organisation.currency
                else act_form(
                    ledger,
                    "remove-currency",
                    back,
                    hidden("currency", code),
                    f"Remove {code}",
                    "danger",
                ),
            )
            for code, name in organisation.currencies.items()
        ),
        "No currencies.",
    )
    asked = field("Three letters", "currency", "", required=True)
    return listed + act_form(ledger, "add-currency", back, asked, "Add currency", "quiet")


def account_item(ledger: Ledger, account: Account, back: str) -> Markup:
    """One account; those that belong to Xero itself stay."""
    title = f"{account.code} {account.name}"
    said = f"{title}, {account.type}, {account.status}"
    if account.type != "BANK":
        said += ", takes payments" if account.payments else ", takes no payments"
    if account.system_account:
        return Markup("{}, {}").format(said, account.system_account)
    return Markup("{}{}").format(
        said, more(f"Change {title}", account_forms(ledger, account, back))
    )


def account_forms(ledger: Ledger, account: Account, back: str) -> Markup:
    """Archive or restore an account; take payments or not (4.3)."""
    which = hidden("account", account.id)
    live = account.status == "ACTIVE"
    moves = [("archive-account", "Archive") if live else ("restore-account", "Restore")]
    if account.type != "BANK":
        taken = account.payments
        moves.append(
            ("refuse-payments", "No payments to")
            if taken
            else ("allow-payments", "Allow payments to")
        )
    return join(
        act_form(ledger, action, back, which, f"{word} {account.code}", "quiet")
        for action, word in moves
    )


def rate_item(ledger: Ledger, rate: TaxRate, back: str) -> Markup:
    """One tax rate."""
    live = rate.status == "ACTIVE"
    action, word = ("delete-tax-rate", "Delete") if live else ("restore-tax-rate", "Restore")
    change = act_form(
        ledger, action, back, hidden("tax_type", rate.tax_type), f"{word} {rate.tax_type}", "quiet"
    )
    said = f"{rate.name} ({rate.tax_type}), {rate.status}"
    return Markup("{}{}").format(said, more(f"Change {rate.tax_type}", change))


SWITCHES = {
    "approval_limit_reached": "Limit of approved invoices reached",
    "emails_allowed": "Emails may be sent",
}
"""Every switch that is yes or no, as the page asks for it."""
CONTACTS = Markup("""
{done}
{ways}
<h1>Contacts</h1>
<section><h2>New contact</h2>{new}</section>
{forms}
""")
SETTINGS = Markup("""
{done}
{ways}
<h1>Settings of {name}</h1>
<section><h2>Lock dates</h2>{locks}</section>
<section><h2>What the plan decides</h2>{switches}</section>
<section><h2>Currencies</h2>{currencies}</section>
<section><h2>Accounts</h2>{accounts}</section>
<section><h2>Tax rates</h2>{rates}</section>
""")
