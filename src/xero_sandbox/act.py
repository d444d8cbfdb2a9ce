"""What the Xero user does by hand: the same actions for the page's forms and for tests.

Each action takes the fields of a form or of a JSON object as text, and goes through ``rules``.
``README.md`` lists them.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from msgspec.structs import asdict, replace

from xero_sandbox import listing, rules, shapes
from xero_sandbox.checks import MOST
from xero_sandbox.model import Contact, CreditNote, Invoice, Line, Payment, Switches
from xero_sandbox.store import Ledger

if TYPE_CHECKING:
    from xero_sandbox.app import Sandbox

Given = Mapping[str, Any]
Shown = Contact | Invoice | Payment | CreditNote


class BadInput(Exception):
    """A field is missing or wrong; the sentence names it."""


def act(sandbox: "Sandbox", action: str, given: Given) -> dict[str, Any]:
    """Do one action; returns the changed object as the API shows it."""
    if action == "revoke":
        sandbox.identity.revoke_all()
        return {"revoked": True}
    ledger = ledger_of(sandbox, given)
    if action == "disconnect":
        return {"disconnected": _disconnect(sandbox, ledger)}
    if action == "switch":
        return switch(sandbox, ledger, given)
    if action not in ACTIONS:
        raise BadInput(f"There is no action '{action[:60]}'. There are: {', '.join(ACTIONS)}")
    with sandbox.store.lock:
        return shown(ledger, ACTIONS[action](sandbox, ledger, given))


def switch(sandbox: "Sandbox", ledger: Ledger, given: Given) -> dict[str, Any]:
    """Set lock dates and other switches of an organisation; null lifts a lock date."""
    wanted = {k: v for k, v in given.items() if k not in ("tenant", "back")}
    old = ledger.organisation
    try:
        new = msgspec.convert({**msgspec.to_builtins(old.switches), **wanted}, KnownSwitches)
    except msgspec.ValidationError as error:
        raise BadInput(f"switch: {error}") from error
    switches = Switches(**asdict(new))
    sandbox.store.save(old.id, replace(old, switches=switches))
    shown: dict[str, Any] = msgspec.to_builtins(switches)
    return shown


class KnownSwitches(Switches, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches as a caller gives them: an unknown name is an error."""


def ledger_of(sandbox: "Sandbox", given: Given) -> Ledger:
    """The organisation named by ``tenant``: its tenant id or its name."""
    wanted = text(given, "tenant").lower()
    for ledger in sandbox.store.ledgers.values():
        if wanted in (ledger.organisation.id, ledger.organisation.name.lower()):
            return ledger
    raise BadInput("tenant: there is no such organisation")


def shown(ledger: Ledger, record: Shown) -> dict[str, Any]:
    """The single JSON shape of a record."""
    if isinstance(record, Invoice):
        return shapes.invoice_json(ledger, record, "single", 4)
    if isinstance(record, CreditNote):
        return shapes.credit_note_json(ledger, record, "single", 4)
    if isinstance(record, Contact):
        return shapes.contact_json(ledger, record, "single")
    return shapes.payment_json(ledger, record)


def edit_invoice(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Change reference, number, dates or contact."""
    changes = _header(given)
    return rules.edit_invoice(
        sandbox.store, ledger, invoice_of(ledger, given).id, sandbox.clock.now(), **changes
    )


def edit_line(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Change unit amount, quantity or description of one line (its id or 0, 1, 2…)."""
    invoice = invoice_of(ledger, given)
    return rules.edit_line(
        sandbox.store,
        ledger,
        invoice.id,
        _line_of(invoice, text(given, "line", "0")),
        sandbox.clock.now(),
        **_line_changes(given),
    )


def edit_silently(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Change header fields or the unit amount of a line without moving UpdatedDateUTC."""
    invoice = invoice_of(ledger, given)
    changes = _header(given)
    line_changes = _line_changes(given)
    if line_changes:
        line_id = _line_of(invoice, text(given, "line", "0"))
        changes["lines"] = rules.with_line(invoice, line_id, **line_changes)
    return rules.edit_silently(sandbox.store, ledger, invoice.id, **changes)


def record_payment(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Payment:
    """Record money received for an invoice."""
    return rules.record_payment(
        sandbox.store,
        ledger,
        invoice_of(ledger, given).id,
        sandbox.clock.now(),
        amount=money(given, "amount"),
        account=text(given, "account", "090"),
        date=day(given, "date", sandbox.clock.now().date()),
        reference=text(given, "reference", ""),
    )


def remove_payment(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Payment:
    """Delete a payment."""
    return rules.remove_payment(sandbox.store, ledger, text(given, "payment"), sandbox.clock.now())


def _to_status(status: str) -> Callable[["Sandbox", Ledger, Given], Invoice]:
    def change(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
        return rules.change_status(
            sandbox.store, ledger, invoice_of(ledger, given).id, status, sandbox.clock.now()
        )

    return change


def create_invoice(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Make a sales invoice with one line."""
    today = sandbox.clock.now().date()
    tax_type = text(given, "tax_type", ledger.organisation.default_tax)
    line = Line(
        id=str(uuid4()),
        description=text(given, "description"),
        quantity=money(given, "quantity", Decimal(1)),
        unit_amount=money(given, "unit_amount"),
        account_code=text(given, "account", "200"),
        tax_type=tax_type,
    )
    return rules.create_invoice(
        sandbox.store,
        ledger,
        sandbox.clock.now(),
        contact_id=text(given, "contact"),
        lines=[line],
        date=day(given, "date", today),
        due_date=day(given, "due_date", today),
        status=text(given, "status", "AUTHORISED"),
        number=text(given, "number", ""),
        reference=text(given, "reference", ""),
        currency=text(given, "currency", ""),
    )


def allocate_credit(sandbox: "Sandbox", ledger: Ledger, given: Given) -> CreditNote:
    """Set a credit note (its id or number) against an invoice of the same contact."""
    wanted = text(given, "credit")
    note = listing.find_one(listing.LISTINGS["creditnotes"], ledger, wanted)
    return rules.allocate_credit(
        sandbox.store,
        ledger,
        note.id if note else wanted,
        invoice_of(ledger, given).id,
        money(given, "amount"),
        sandbox.clock.now(),
    )


def rename_contact(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Contact:
    """Give a contact another name."""
    return rules.change_contact(
        sandbox.store,
        ledger,
        text(given, "contact"),
        sandbox.clock.now(),
        name=text(given, "name", ""),
    )


def archive_contact(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Contact:
    """Archive a contact; open invoices do not hinder it (4.4)."""
    return rules.change_contact(
        sandbox.store, ledger, text(given, "contact"), sandbox.clock.now(), status="ARCHIVED"
    )


ACTIONS: dict[str, Callable[["Sandbox", Ledger, Given], Shown]] = {
    "edit-invoice": edit_invoice,
    "edit-line": edit_line,
    "edit-silently": edit_silently,
    "record-payment": record_payment,
    "remove-payment": remove_payment,
    "approve-invoice": _to_status("AUTHORISED"),
    "void-invoice": _to_status("VOIDED"),
    "delete-invoice": _to_status("DELETED"),
    "create-invoice": create_invoice,
    "allocate-credit": allocate_credit,
    "rename-contact": rename_contact,
    "archive-contact": archive_contact,
}


def text(given: Given, name: str, default: str | None = None) -> str:
    """A field as text; missing without a default is an error that names it."""
    value = given.get(name)
    if value is None or value == "":
        if default is None:
            raise BadInput(f"{name}: this is needed")
        return default
    if not isinstance(value, str | int | float | Decimal) or isinstance(value, bool):
        raise BadInput(f"{name}: this must be text or a number")
    cleaned = str(value).strip()
    if len(cleaned) > 4_000:
        raise BadInput(f"{name}: at most 4,000 characters")
    if any(ch == "\0" or "\ud800" <= ch <= "\udfff" for ch in cleaned):
        raise BadInput(f"{name}: a character in it cannot be stored")
    return cleaned


def money(given: Given, name: str, default: Decimal | None = None) -> Decimal:
    """A decimal number of up to four places."""
    value = text(given, name, None if default is None else str(default))
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise BadInput(f"{name}: write a number such as 120.50") from error
    if not amount.is_finite() or abs(amount) > MOST:
        raise BadInput(f"{name}: write a number up to {MOST}")
    return amount.quantize(Decimal("0.0001"))


def day(given: Given, name: str, default: date | None = None) -> date:
    """A calendar day."""
    value = text(given, name, default.isoformat() if default else None)
    try:
        return date.fromisoformat(value[:10])
    except ValueError as error:
        raise BadInput(f"{name}: write a date such as 2026-11-30") from error


def invoice_of(ledger: Ledger, given: Given) -> Invoice:
    """The invoice named by its id or number; sales first."""
    record = listing.find_one(listing.LISTINGS["invoices"], ledger, text(given, "invoice"))
    if not isinstance(record, Invoice):
        raise BadInput("invoice: there is no such invoice")
    return record


def _header(given: Given) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, key in (("reference", "reference"), ("number", "number"), ("contact", "contact_id")):
        if name in given:
            changes[key] = text(given, name, "")
    for name in ("date", "due_date"):
        if name in given:
            changes[name] = day(given, name)
    return changes


def _line_changes(given: Given) -> dict[str, Any]:
    changes: dict[str, Any] = {
        name: money(given, name) for name in ("unit_amount", "quantity") if given.get(name)
    }
    if given.get("description"):
        changes["description"] = text(given, "description")
    return changes


def _line_of(invoice: Invoice, wanted: str) -> str:
    if wanted.isdecimal() and int(wanted) < len(invoice.lines):
        return invoice.lines[int(wanted)].id
    return wanted


def _disconnect(sandbox: "Sandbox", ledger: Ledger) -> bool:
    """The user disconnects the app from one organisation, in Xero."""
    ours = [c for c in sandbox.identity.visible() if c.tenant_id == ledger.organisation.id]
    for connection in ours:
        sandbox.identity.disconnect(connection.id)
    return bool(ours)
