"""One invoice, and everything that a person can do to it."""

from typing import TYPE_CHECKING

from markupsafe import Markup
from werkzeug.wrappers import Response

from xero_sandbox.credits import AnyCredit
from xero_sandbox.drafts import AMOUNT_TYPES
from xero_sandbox.html import (
    amount,
    field,
    fields,
    hidden,
    items,
    join,
    more,
    notice,
    page,
    plain,
    select,
)
from xero_sandbox.model import Invoice, Line, Payment
from xero_sandbox.page_parts import (
    act_form,
    contact_name,
    currency_choice,
    payable_accounts,
    sales_accounts,
    ways,
)
from xero_sandbox.rules import has_money
from xero_sandbox.shapes import kind_of
from xero_sandbox.store import Ledger

if TYPE_CHECKING:
    from xero_sandbox.app import Sandbox


def invoice(sandbox: "Sandbox", ledger: Ledger, it: Invoice, done: str) -> Response:
    """The page of one invoice."""
    back = f"/org/{ledger.organisation.id}/invoice/{it.id}"
    body = INVOICE.format(
        done=notice(done),
        ways=ways(ledger),
        number=it.number or "without a number",
        contact=contact_name(ledger, it.contact_id),
        status=it.status,
        date=it.date,
        due=it.due_date or "",
        currency=it.currency,
        total=amount(it.total),
        tax=amount(it.total_tax),
        owed=amount(it.amount_due),
        updated=f"{it.updated:%Y-%m-%d %H:%M:%S} UTC",
        header=header_form(ledger, it, back),
        lines=line_section(ledger, it, back),
        payments=payment_section(sandbox, ledger, it, back),
        credits=credit_section(ledger, it, back),
        states=state_forms(ledger, it, back),
        notes=note_section(ledger, it, back),
    )
    return page(it.number, body)


def header_form(ledger: Ledger, it: Invoice, back: str) -> Markup:
    """Every field of the header."""
    organisation = ledger.organisation
    live = [c for c in ledger.contacts.rows.values() if c.status == "ACTIVE"]
    named = {c.id: c.name for c in sorted(live, key=lambda c: c.name.casefold())[:500]}
    named.setdefault(it.contact_id, contact_name(ledger, it.contact_id))
    asked = fields(
        field("Number", "number", it.number),
        field("Reference", "reference", it.reference),
        select("Contact", "contact", named.items(), it.contact_id),
        field("Date", "date", it.date.isoformat(), kind="date"),
        field("Due date", "due_date", it.due_date.isoformat() if it.due_date else "", kind="date"),
        field(
            "Expected payment date",
            "expected_date",
            it.expected_on.isoformat() if it.expected_on else "",
            kind="date",
        ),
        currency_choice(ledger, it.currency),
        select("Amounts are", "line_amount_types", ((t, t) for t in AMOUNT_TYPES),
               it.line_amount_types),
        select("Branding theme", "theme",
               (("", "none"), *((t.id, t.name) for t in organisation.themes)), it.theme_id or ""),
        field("Link (Url)", "url", it.url or ""),
        *sent_choice(it),
    )  # fmt: skip
    return act_form(ledger, "edit-invoice", back, hidden("invoice", it.id) + asked, "Save details")


def sent_choice(it: Invoice) -> tuple[Markup, ...]:
    """Whether it was sent: asked of approved invoices only (3.7)."""
    if it.status not in ("AUTHORISED", "PAID"):
        return ()
    return (select("Sent to the contact", "sent", (("no", "no"), ("yes", "yes")),
                   "yes" if it.sent else "no"),)  # fmt: skip


def line_section(ledger: Ledger, it: Invoice, back: str) -> Markup:
    """Each line with a form, and one for a new line."""
    forms = join(line_form(ledger, it, line, i, back) for i, line in enumerate(it.lines))
    asked = fields(
        field("Description", "description", "", required=True),
        field("Quantity", "quantity", "1"),
        field("Unit amount", "unit_amount", "", required=True),
        account_choice(ledger, "200"),
        tax_choice(ledger, ledger.organisation.default_tax),
    )
    new = act_form(ledger, "add-line", back, hidden("invoice", it.id) + asked, "Add line", "quiet")
    return forms + more("One more line", new)


def line_form(ledger: Ledger, it: Invoice, line: Line, index: int, back: str) -> Markup:
    """One line; a line of words only has just its text."""
    which = hidden("invoice", it.id) + hidden("line", line.id)
    parts = [field("Description", "description", line.description)]
    if line.quantity is not None and line.unit_amount is not None:
        parts += [
            field("Quantity", "quantity", plain(line.quantity)),
            field("Unit amount", "unit_amount", plain(line.unit_amount)),
            field(
                "Discount in %",
                "discount_rate",
                plain(line.discount_rate) if line.discount_rate else "",
            ),
            account_choice(ledger, line.account_code or ""),
            tax_choice(ledger, line.tax_type or ""),
        ]
    body = Markup("{}<fieldset><legend>Line {}, {} {}</legend>{}</fieldset>").format(
        which, index + 1, it.currency, amount(line.line_amount), fields(*parts)
    )
    save = act_form(ledger, "edit-line", back, body, f"Save line {index + 1}")
    gone = act_form(ledger, "remove-line", back, which, f"Remove line {index + 1}", "danger")
    return save + gone


def account_choice(ledger: Ledger, chosen: str) -> Markup:
    """The accounts of a line, and the chosen one though it may be archived."""
    known = {a.code: a.name for a in sales_accounts(ledger)}
    known.setdefault(chosen, chosen or "none")
    return select("Account", "account", known.items(), chosen)


def tax_choice(ledger: Ledger, chosen: str) -> Markup:
    """The tax rates in use, and the chosen one though it may be deleted."""
    rates = ledger.organisation.tax_rates
    known = {r.tax_type: r.name for r in rates if r.status == "ACTIVE"}
    known.setdefault(chosen, chosen or "none")
    return select("Tax rate", "tax_type", known.items(), chosen)


def payment_section(sandbox: "Sandbox", ledger: Ledger, it: Invoice, back: str) -> Markup:
    """Payments with the way to remove or redo them, and a form for a new one."""
    payments = [ledger.payments.rows[i] for i in sorted(ledger.payments_of.get(it.id, ()))]
    listed = items(
        (payment_item(ledger, p, it, back) for p in payments if p.status != "DELETED"),
        "No payments.",
    )
    if it.status != "AUTHORISED":
        return listed
    today = sandbox.clock.now().date().isoformat()
    asked = hidden("invoice", it.id) + fields(
        field("Amount", "amount", plain(it.amount_due)),
        field("Paid on", "date", today, kind="date"),
        select("Account", "account", payable_accounts(ledger)),
        field("Reference", "reference", ""),
        select("Reconciled", "reconciled", (("no", "no"), ("yes", "yes"))),
    )
    return listed + act_form(ledger, "record-payment", back, asked, "Record payment")


def payment_item(ledger: Ledger, payment: Payment, it: Invoice, back: str) -> Markup:
    """One payment."""
    what = f"{it.currency} {amount(payment.amount)} on {payment.date}"
    which = hidden("payment", payment.id)
    remove = act_form(ledger, "remove-payment", back, which, f"Remove {what}", "danger")
    asked = which + fields(
        field("Amount", "amount", plain(payment.amount)),
        field("Paid on", "date", payment.date.isoformat(), kind="date"),
        select("Account", "account", payable_accounts(ledger), payment.account_code),
        field("Reference", "reference", payment.reference),
    )
    redo = act_form(ledger, "redo-payment", back, asked, f"Remove and redo {what}", "quiet")
    said = f"{what}, {payment.reference}" if payment.reference else what
    reconciled = ", reconciled" if payment.reconciled else ""
    return Markup("{}{}{}{}").format(said, reconciled, remove, more("Remove and redo", redo))


def credit_section(ledger: Ledger, it: Invoice, back: str) -> Markup:
    """Credits applied, a form for what is left of the contact's credits, and for new ones."""
    mine = [c for c in ledger.credits() if c.contact_id == it.contact_id]
    applied = items(
        (
            applied_item(ledger, credit, part.id, f"{it.currency} {amount(part.amount)}", it, back)
            for credit in mine
            for part in credit.allocations
            if part.invoice_id == it.id
        ),
        "No credits.",
    )
    if it.status != "AUTHORISED":
        return applied
    free = [c for c in mine if c.status == "AUTHORISED" and c.remaining > 0]
    return applied + allocation_form(ledger, it, free, back) + advance_form(ledger, it, back)


def title_of(credit: AnyCredit) -> str:
    """A credit in words."""
    return credit.number or f"{kind_of(credit)} of {credit.date}"


def applied_item(
    ledger: Ledger, credit: AnyCredit, part: str, money: str, it: Invoice, back: str
) -> Markup:
    """One credit that is applied, with the way to take it back."""
    what = f"{title_of(credit)}: {money}"
    which = hidden("invoice", it.id) + hidden("credit", credit.id) + hidden("allocation", part)
    undo = act_form(ledger, "remove-allocation", back, which, f"Take back {what}", "danger")
    return Markup("{}{}").format(what, undo)


def allocation_form(ledger: Ledger, it: Invoice, free: list[AnyCredit], back: str) -> Markup:
    """What is left of the contact's credits."""
    if not free:
        return Markup("")
    options = [(c.id, f"{title_of(c)}, {amount(c.remaining)} left") for c in free]
    most = min(it.amount_due, free[0].remaining)
    asked = hidden("invoice", it.id) + fields(
        select("Credit", "credit", options), field("Amount", "amount", plain(most))
    )
    return act_form(ledger, "allocate-credit", back, asked, "Allocate credit")


def advance_form(ledger: Ledger, it: Invoice, back: str) -> Markup:
    """Money that was received as an overpayment or prepayment, set against this invoice."""
    asked = hidden("invoice", it.id) + fields(
        field("Amount received", "amount", plain(it.amount_due)),
        field("Of it for this invoice", "allocate", plain(it.amount_due)),
        select("Account", "account", payable_accounts(ledger)),
    )
    return more(
        "An overpayment or prepayment",
        act_form(ledger, "receive-overpayment", back, asked, "Allocate an overpayment", "quiet")
        + act_form(ledger, "receive-prepayment", back, asked, "Allocate a prepayment", "quiet"),
    )


MOVES = {
    "DRAFT": (("submit-invoice", "Submit"), ("approve-invoice", "Approve"),
              ("delete-invoice", "Delete")),
    "SUBMITTED": (("reopen-invoice", "Back to draft"), ("approve-invoice", "Approve"),
                  ("delete-invoice", "Delete")),
    "AUTHORISED": (("email-invoice", "Email"), ("void-invoice", "Void")),
    "PAID": (("email-invoice", "Email"),),
}  # fmt: skip
"""What a person may do from each status (3.10, 3.12)."""
LOOKS = {"Approve": "", "Delete": "danger", "Void": "danger"}


def state_forms(ledger: Ledger, it: Invoice, back: str) -> Markup:
    """The changes of status that Xero allows from here (3.10)."""
    which = hidden("invoice", it.id)
    forms = join(
        act_form(ledger, action, back, which, f"{word} {it.number}", LOOKS.get(word, "quiet"))
        for action, word in MOVES.get(it.status, ())
    )
    if it.status in ("PAID", "VOIDED", "DELETED"):
        forms += Markup("<p>{} cannot be changed to another status.</p>").format(it.status)
    elif has_money(it):
        forms += Markup("<p>Remove payments first: Xero voids no invoice with money on it.</p>")
    return forms


def note_section(ledger: Ledger, it: Invoice, back: str) -> Markup:
    """Notes, newest first, and a form for another."""
    notes = [ledger.notes.rows[i] for i in ledger.notes_of.get(it.id, ())]
    notes.sort(key=lambda note: note.updated, reverse=True)
    listed = items(
        (Markup("{}: {}").format(f"{n.updated:%Y-%m-%d %H:%M}", n.details) for n in notes),
        "No notes.",
    )
    asked = hidden("invoice", it.id) + field("Note", "details", "", required=True)
    return listed + act_form(ledger, "add-note", back, asked, "Add note", "quiet")


INVOICE = Markup("""
{done}
{ways}
<h1>Invoice {number}</h1>
<section><h2>{contact}</h2><dl><dt>Status</dt><dd>{status}</dd><dt>Date</dt><dd>{date}</dd>
<dt>Due</dt><dd>{due}</dd><dt>Tax</dt><dd>{currency} {tax}</dd>
<dt>Total</dt><dd>{currency} {total}</dd><dt>Owed</dt><dd>{currency} {owed}</dd>
<dt>Updated</dt><dd>{updated}</dd></dl></section>
<section><h2>Details</h2>{header}</section>
<section><h2>Lines</h2>{lines}</section>
<section><h2>Payments</h2>{payments}</section>
<section><h2>Credits</h2>{credits}</section>
<section><h2>Status</h2>{states}</section>
<section><h2>History</h2>{notes}</section>
""")
