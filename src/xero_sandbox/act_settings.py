"""Contacts and settings by a person's hand (4.3 to 4.6)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import asdict, replace

from xero_sandbox import rules, settings, shapes
from xero_sandbox.given import BadInput, Given, contact_of, text
from xero_sandbox.model import Contact, Switches
from xero_sandbox.store import Ledger

if TYPE_CHECKING:
    from xero_sandbox.app import Sandbox

Row = dict[str, Any]
WORDS = {"yes": True, "no": False}
"""What a form says instead of true and false."""
DETAILS = ("first_name", "last_name", "email", "phone", "address", "city", "postcode", "country")


def create_contact(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Contact:
    """Make a contact. ContactNumber is the API's alone, but a test may want one."""
    return rules.create_contact(
        sandbox.store,
        ledger,
        sandbox.clock.now(),
        name=text(given, "name", ""),
        **_details(given),
    )


def edit_contact(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Contact:
    """Change a contact's name or details."""
    changes = _details(given)
    if "name" in given:
        changes["name"] = text(given, "name", "")
    return rules.change_contact(
        sandbox.store, ledger, contact_of(ledger, given).id, sandbox.clock.now(), **changes
    )


def _details(given: Given) -> dict[str, Any]:
    found: dict[str, Any] = {name: text(given, name, "") for name in DETAILS if name in given}
    if "number" in given:
        found["number"] = text(given, "number", "") or None
    return found


def archive_contact(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Contact:
    """Archive a contact; open invoices do not hinder it (4.4)."""
    return rules.change_contact(
        sandbox.store,
        ledger,
        contact_of(ledger, given).id,
        sandbox.clock.now(),
        status="ARCHIVED",
    )


def merge_contact(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Contact:
    """Merge a contact into another one, which ``into`` names by id, number or name."""
    into = contact_of(ledger, {"contact": text(given, "into")})
    gone = contact_of(ledger, given)
    return rules.merge_contacts(sandbox.store, ledger, gone.id, into.id, sandbox.clock.now())


def restore_contact(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Contact:
    """Take a contact out of the archive, which only a person can (4.4)."""
    return rules.restore_contact(
        sandbox.store, ledger, contact_of(ledger, given).id, sandbox.clock.now()
    )


def switch(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Row:
    """Set lock dates and other switches of an organisation; null lifts a lock date."""
    wanted = {k: WORDS.get(v, v) for k, v in given.items() if k not in ("tenant", "back")}
    old = ledger.organisation
    try:
        new = msgspec.convert({**msgspec.to_builtins(old.switches), **wanted}, KnownSwitches)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise BadInput(f"switch: {error}") from error
    switches = Switches(**asdict(new))
    sandbox.store.save(old.id, replace(old, switches=switches))
    shown: Row = msgspec.to_builtins(switches)
    return shown


class KnownSwitches(Switches, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches as a caller gives them: an unknown name is an error."""


def lock(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Row:
    """Set the lock dates from a form, where an empty date lifts one."""
    names = ("period_lock_date", "end_of_year_lock_date")
    return switch(sandbox, ledger, {n: text(given, n, "") or None for n in names if n in given})


def change_account(**changes: object) -> Callable[["Sandbox", Ledger, Given], Row]:
    """Change the account named by its code or id."""

    def act(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Row:
        now = sandbox.clock.now()
        account = settings.change_account(
            sandbox.store, ledger, text(given, "account"), now, **changes
        )
        return shapes.account_json(account, now)

    return act


def add_currency(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Row:
    """Subscribe to a currency."""
    code = text(given, "currency")
    return dict(settings.add_currency(sandbox.store, ledger, code, sandbox.clock.now()))


def remove_currency(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Row:
    """Give a currency up."""
    code = text(given, "currency")
    return dict(settings.remove_currency(sandbox.store, ledger, code, sandbox.clock.now()))


def change_tax_rate(status: str) -> Callable[["Sandbox", Ledger, Given], Row]:
    """Delete a tax rate or bring it back."""

    def act(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Row:
        return shapes.tax_rate_json(
            settings.change_tax_rate(
                sandbox.store, ledger, text(given, "tax_type"), status, sandbox.clock.now()
            )
        )

    return act


ACTIONS: dict[str, Callable[["Sandbox", Ledger, Given], Contact | Row]] = {
    "create-contact": create_contact,
    "edit-contact": edit_contact,
    "rename-contact": edit_contact,
    "archive-contact": archive_contact,
    "merge-contact": merge_contact,
    "restore-contact": restore_contact,
    "switch": switch,
    "lock": lock,
    "archive-account": change_account(status="ARCHIVED"),
    "restore-account": change_account(status="ACTIVE"),
    "allow-payments": change_account(payments=True),
    "refuse-payments": change_account(payments=False),
    "add-currency": add_currency,
    "remove-currency": remove_currency,
    "delete-tax-rate": change_tax_rate("DELETED"),
    "restore-tax-rate": change_tax_rate("ACTIVE"),
}
