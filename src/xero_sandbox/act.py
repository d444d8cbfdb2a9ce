"""What the Xero user does by hand: the same actions for the page's forms and for tests.

Each action takes the fields of a form or of a JSON object as text, and goes through ``rules``
and its neighbours. ``README.md`` lists them.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec.structs import replace

from xero_sandbox import act_money, act_settings, rules, shapes
from xero_sandbox.credits import AnyCredit
from xero_sandbox.drafts import AMOUNT_TYPES
from xero_sandbox.given import BadInput, Given, day, flag, has, invoice_of, money, text
from xero_sandbox.model import Contact, CreditNote, Invoice, Line, Payment
from xero_sandbox.store import Ledger

if TYPE_CHECKING:
    from xero_sandbox.app import Sandbox

Row = dict[str, Any]
Shown = Contact | Invoice | Payment | AnyCredit | Row
KEPT = ("number", "contact", "currency", "line_amount_types")
"""Fields of the header that are never empty: an empty one stays as it is."""
OPTIONAL = {"theme": "theme_id", "url": "url"}
DAYS = {"date": "date", "due_date": "due_date", "expected_date": "expected_on"}


def act(sandbox: "Sandbox", action: str, given: Given) -> Row:
    """Do one action; returns the changed object as the API shows it."""
    if action == "revoke":
        sandbox.identity.revoke_all()
        return {"revoked": True}
    ledger = ledger_of(sandbox, given)
    if action not in ACTIONS:
        raise BadInput(f"There is no action '{action[:60]}'. There are: {', '.join(ACTIONS)}")
    with sandbox.store.lock, sandbox.by_hand():
        return shown(ledger, ACTIONS[action](sandbox, ledger, given))


def ledger_of(sandbox: "Sandbox", given: Given) -> Ledger:
    """The organisation named by ``tenant``: its tenant id or its name."""
    wanted = text(given, "tenant").lower()
    for ledger in sandbox.store.ledgers.values():
        if wanted in (ledger.organisation.id, ledger.organisation.name.lower()):
            return ledger
    raise BadInput("tenant: there is no such organisation")


def shown(ledger: Ledger, record: Shown) -> Row:
    """The single JSON shape of a record."""
    if isinstance(record, dict):
        return record
    if isinstance(record, Invoice):
        return shapes.invoice_json(ledger, record, "single", 4)
    if isinstance(record, CreditNote):
        return shapes.credit_note_json(ledger, record, "single", 4)
    if isinstance(record, Contact):
        return shapes.contact_json(ledger, record, "single")
    if isinstance(record, Payment):
        return shapes.payment_json(ledger, record)
    return shapes.prepaid_json(ledger, record, "single", 4)


def edit_invoice(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Change any field of the header."""
    invoice = invoice_of(ledger, given)
    return rules.edit_invoice(
        sandbox.store, ledger, invoice.id, sandbox.clock.now(), **_header(given)
    )


def edit_line(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Change one line (its id or 0, 1, 2…)."""
    invoice = invoice_of(ledger, given)
    line = _line_of(invoice, given)
    return rules.edit_line(
        sandbox.store,
        ledger,
        invoice.id,
        line.id,
        sandbox.clock.now(),
        **_line_changes(given, line),
    )


def add_line(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Put one more line at the end."""
    invoice = invoice_of(ledger, given)
    lines = [*invoice.lines, _new_line(ledger, given)]
    return rules.edit_invoice(sandbox.store, ledger, invoice.id, sandbox.clock.now(), lines=lines)


def remove_line(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Take a line off."""
    invoice = invoice_of(ledger, given)
    gone = _line_of(invoice, given)
    lines = [line for line in invoice.lines if line.id != gone.id]
    return rules.edit_invoice(sandbox.store, ledger, invoice.id, sandbox.clock.now(), lines=lines)


def edit_silently(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Change header fields or one line without moving UpdatedDateUTC."""
    invoice = invoice_of(ledger, given)
    changes = _header(given)
    line = _line_of(invoice, given) if has(given, "line") or len(invoice.lines) else None
    line_changes = _line_changes(given, line) if line else {}
    if line and line_changes:
        changes["lines"] = rules.with_line(invoice, line.id, **line_changes)
    return rules.edit_silently(sandbox.store, ledger, invoice.id, **changes)


def _to_status(status: str) -> Callable[["Sandbox", Ledger, Given], Invoice]:
    def change(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
        return rules.change_status(
            sandbox.store, ledger, invoice_of(ledger, given).id, status, sandbox.clock.now()
        )

    return change


def create_invoice(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Make a sales invoice with one line."""
    today = sandbox.clock.now().date()
    more = {
        key: value
        for key, value in _header(given).items()
        if key in ("expected_on", "theme_id", "url", "line_amount_types")
    }
    return rules.create_invoice(
        sandbox.store,
        ledger,
        sandbox.clock.now(),
        contact_id=text(given, "contact"),
        lines=[_new_line(ledger, given)],
        date=day(given, "date", today),
        due_date=day(given, "due_date", today),
        status=text(given, "status", "AUTHORISED"),
        number=text(given, "number", ""),
        reference=text(given, "reference", ""),
        currency=text(given, "currency", ""),
        **more,
    )


def email_invoice(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Send an invoice to its contact, which goes nowhere but marks it as sent."""
    invoice = invoice_of(ledger, given)
    return rules.email_invoice(sandbox.store, ledger, invoice.id, sandbox.clock.now())


def add_note(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Row:
    """Write a note into an invoice's history."""
    invoice, details = invoice_of(ledger, given), text(given, "details", "")
    note = rules.add_note(sandbox.store, ledger, invoice.id, details, sandbox.clock.now())
    return shapes.note_json(note)


def deduct(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Invoice:
    """Deduct for the construction industry scheme; whether AmountDue falls is open (4.2)."""
    invoice, cis = invoice_of(ledger, given), money(given, "amount").quantize(Decimal("0.01"))
    if not 0 <= cis <= invoice.amount_due + invoice.cis_off:
        raise BadInput("amount: no more than what is due")
    off = cis if ledger.open.cis_in_due == "deducted" else Decimal("0.00")
    new = replace(invoice, cis=cis, cis_off=off, updated=sandbox.clock.now())
    sandbox.store.save(ledger.organisation.id, new)
    return new


def disconnect(sandbox: "Sandbox", ledger: Ledger, given: Given) -> Row:
    """Disconnect the app from one organisation, in Xero."""
    ours = [c for c in sandbox.identity.visible() if c.tenant_id == ledger.organisation.id]
    for connection in ours:
        sandbox.identity.disconnect(connection.id)
    return {"disconnected": bool(ours)}


ACTIONS: dict[str, Callable[["Sandbox", Ledger, Given], Shown]] = {
    "edit-invoice": edit_invoice,
    "edit-line": edit_line,
    "add-line": add_line,
    "remove-line": remove_line,
    "edit-silently": edit_silently,
    "submit-invoice": _to_status("SUBMITTED"),
    "reopen-invoice": _to_status("DRAFT"),
    "approve-invoice": _to_status("AUTHORISED"),
    "void-invoice": _to_status("VOIDED"),
    "delete-invoice": _to_status("DELETED"),
    "create-invoice": create_invoice,
    "email-invoice": email_invoice,
    "add-note": add_note,
    "deduct-cis": deduct,
    "disconnect": disconnect,
    **act_money.ACTIONS,
    **act_settings.ACTIONS,
}


def _header(given: Given) -> Row:
    """The fields of a header; an empty theme, address or expected date takes it away."""
    changes: Row = {name: text(given, name) for name in KEPT if has(given, name)}
    if "contact" in changes:
        changes["contact_id"] = changes.pop("contact")
    if changes.get("line_amount_types", "NoTax") not in AMOUNT_TYPES:
        raise BadInput(f"line_amount_types: one of {', '.join(AMOUNT_TYPES)}")
    if "reference" in given:
        changes["reference"] = text(given, "reference", "")
    changes |= {
        key: text(given, name, "") or None for name, key in OPTIONAL.items() if name in given
    }
    changes |= {key: day(given, name) for name, key in DAYS.items() if has(given, name)}
    if "expected_date" in given and not has(given, "expected_date"):
        changes["expected_on"] = None
    if has(given, "sent"):
        changes["sent"] = flag(given, "sent")
    return changes


def _new_line(ledger: Ledger, given: Given) -> Line:
    return Line(
        id=str(uuid4()),
        description=text(given, "description"),
        quantity=money(given, "quantity", Decimal(1)),
        unit_amount=money(given, "unit_amount"),
        account_code=text(given, "account", "200"),
        tax_type=text(given, "tax_type", ledger.organisation.default_tax),
    )


def _line_changes(given: Given, line: Line) -> Row:
    """What of a line really changes; a tax amount of its own goes with the amount (3.11)."""
    changes: Row = {}
    for name in ("quantity", "unit_amount"):
        if has(given, name):
            changes[name] = money(given, name)
    for name in ("discount_rate", "discount_amount"):
        if name in given:
            changes[name] = money(given, name) if has(given, name) else None
    if changes.get("discount_rate"):
        changes["discount_amount"] = None
    if "description" in given:
        changes["description"] = text(given, "description", "")
    for name, key in (("account", "account_code"), ("tax_type", "tax_type")):
        if has(given, name):
            changes[key] = text(given, name)
    changes = {key: value for key, value in changes.items() if getattr(line, key) != value}
    if line.own_tax is not None and rules.line_total(replace(line, **changes)) != line.line_amount:
        changes["own_tax"] = None
    return changes


def _line_of(invoice: Invoice, given: Given) -> Line:
    wanted = text(given, "line", "0")
    if wanted.isdecimal() and int(wanted) < len(invoice.lines):
        return invoice.lines[int(wanted)]
    found = next((line for line in invoice.lines if line.id == wanted), None)
    if found is None:
        raise BadInput("line: there is no such line")
    return found
