"""The pages that a person sees: plain HTML without scripts, phone first, light and dark."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from markupsafe import Markup
from werkzeug.wrappers import Response

from xero_sandbox.faults import KINDS
from xero_sandbox.html import Cells, amount, field, form, hidden, join, notice, page, plain, table
from xero_sandbox.log import Entry
from xero_sandbox.model import Contact, Invoice, Line, Payment
from xero_sandbox.oauth import USER_EMAIL, USER_NAME, AuthorizeRequest
from xero_sandbox.rules import has_money
from xero_sandbox.store import Ledger

if TYPE_CHECKING:
    from xero_sandbox.app import Sandbox


def authorize_error(error: str) -> Response:
    """A wrong authorize URL: shown here, never redirected (1.4)."""
    body = Markup(
        "<h1>Sorry, something went wrong</h1><p>The app asked in a way that Xero does not accept."
        "</p><dl><dt>Error</dt><dd><code>{}</code></dd></dl>"
    ).format(error)
    return page("Something went wrong", body, 400)


def consent(
    sandbox: "Sandbox",
    asked: AuthorizeRequest,
    parameters: Mapping[str, str],
    nothing_chosen: bool = False,
) -> Response:
    """Choose organisations, allow or cancel."""
    kind = "radio" if asked.one_only else "checkbox"
    connected = {c.tenant_id for c in sandbox.identity.visible()}
    choices = Markup("").join(
        Markup(
            '<label class="choice"><input type="{}" name="tenant" value="{}"{}>'
            "<span><strong>{}</strong><small>{} · {}{}</small></span></label>"
        ).format(
            kind,
            ledger.organisation.id,
            Markup(" checked") if len(sandbox.store.ledgers) == 1 else "",
            ledger.organisation.name,
            ledger.organisation.country,
            ledger.organisation.currency,
            " · already connected" if tenant_id in connected else "",
        )
        for tenant_id, ledger in sandbox.store.ledgers.items()
    )
    asked_again = join(
        hidden(name, value)
        for name, value in parameters.items()
        if name not in ("tenant", "decision")
    )
    scopes = Markup("").join(Markup("<li><code>{}</code></li>").format(s) for s in asked.scopes)
    problem = "Choose one organisation." if asked.one_only else "Choose at least one organisation."
    body = CONSENT.format(
        app=sandbox.identity.app.name,
        choices=choices,
        hidden=asked_again,
        scopes=scopes,
        problem=Markup('<p class="problem" role="alert">{}</p>').format(problem)
        if nothing_chosen
        else "",
        user=f"{USER_NAME} ({USER_EMAIL})",
    )
    return page("Allow access", body, 400 if nothing_chosen else 200)


PAGE_ROWS = 25


def home(sandbox: "Sandbox", done: str) -> Response:
    """Organisations, faults and the last requests."""
    connected = {c.tenant_id for c in sandbox.identity.visible()}
    cards = join(
        organisation_card(ledger, tenant in connected)
        for tenant, ledger in sandbox.store.ledgers.items()
    )
    app = sandbox.identity.app.name
    body = HOME.format(
        done=notice(done),
        app=app,
        cards=cards,
        revoke=form("revoke", "/", Markup(""), f"Take all access away from {app}", "danger"),
        faults=fault_section(sandbox),
        requests=request_table(sandbox.log.last(20)),
    )
    return page("Home", body)


def organisation_card(ledger: Ledger, connected: bool) -> Markup:
    """One organisation with its state and the way to disconnect the app."""
    it = ledger.organisation
    sales = sum(one.type == "ACCREC" for one in ledger.invoices.rows.values())
    button = Markup("")
    if connected:
        button = form("disconnect", "/", hidden("tenant", it.id), f"Disconnect {it.name}", "danger")
    return Markup(
        '<section><h2><a href="/org/{}">{}</a></h2>'
        "<p>{} · {} · {} sales invoices, {} supplier bills · {}</p>{}</section>"
    ).format(
        it.id,
        it.name,
        it.country,
        it.currency,
        sales,
        len(ledger.invoices.rows) - sales,
        "connected" if connected else "not connected",
        button,
    )


def fault_section(sandbox: "Sandbox") -> Markup:
    """Active faults, and a form to switch one on."""
    active = join(
        Markup("<li><strong>{}</strong> {} {}{}</li>").format(
            rule.kind,
            rule.path or "everywhere",
            f"fired {rule.fired} times",
            form("remove-faults", "/", hidden("rule", rule.id), f"Switch off {rule.kind}", "quiet"),
        )
        for rule in sandbox.faults.rules()
    )
    options = join(Markup("<option>{}</option>").format(kind) for kind in KINDS)
    fields = Markup(
        '<div class="fields"><label>Fault<select name="kind">{}</select></label>{}{}</div>'
    ).format(
        options,
        field("Only addresses with (part of a path)", "path", ""),
        field("How many times (empty: until switched off)", "count", "1"),
    )
    listed = Markup("<ul>{}</ul>").format(active) if active else Markup("<p>None is on.</p>")
    return listed + form("add-fault", "/", fields, "Switch on", "quiet")


def fault_from_form(given: Mapping[str, str]) -> dict[str, Any]:
    """The rule that the form asks for."""
    count = given.get("count", "").strip()
    return {
        "kind": given.get("kind", ""),
        "path": given.get("path", "").strip(),
        "count": int(count) if count.isdecimal() else None,
    }


def request_table(entries: Iterable[Entry]) -> Markup:
    """The last requests."""
    rows = [
        (
            f"{entry.time:%H:%M:%S}",
            f"{entry.method} {entry.path}{'?' if entry.query else ''}{entry.query}",
            entry.status,
            entry.bytes,
            entry.fault,
        )
        for entry in entries
    ]
    if not rows:
        return Markup("<p>No requests yet.</p>")
    return table("Last requests", ("Time", "Request", "Status", "Bytes", "Fault"), rows, {2, 3})


def invoices(sandbox: "Sandbox", ledger: Ledger, args: Mapping[str, str]) -> Response:
    """Search and list an organisation's sales invoices, newest first; make a new one."""
    wanted, number = args.get("q", "").strip(), args.get("page", "1")
    found = sorted(
        (i for i in ledger.invoices.rows.values() if matches(ledger, i, wanted)),
        key=lambda i: (i.date, i.number),
        reverse=True,
    )
    start = (int(number) - 1) * PAGE_ROWS if number.isdecimal() and 0 < int(number) < 10**6 else 0
    rows = [invoice_row(ledger, i) for i in found[start : start + PAGE_ROWS]]
    it = ledger.organisation
    body = INVOICES.format(
        done=notice(args.get("done", "")),
        name=it.name,
        tenant=it.id,
        search=field("Number, reference or contact", "q", wanted, kind="search"),
        count=len(found),
        table=table(
            "Invoices", ("Number", "Contact", "Date", "Due", "Status", "Total", "Owed"), rows,
            {5, 6},
        ),
        more=pager(it.id, wanted, start, len(found)),
        new=new_invoice_form(sandbox, ledger),
    )  # fmt: skip
    return page(it.name, body)


def matches(ledger: Ledger, invoice: Invoice, wanted: str) -> bool:
    """Whether a sales invoice answers a search."""
    if invoice.type != "ACCREC":
        return False
    texts = (invoice.number, invoice.reference, contact_name(ledger, invoice.contact_id))
    return any(wanted.casefold() in text.casefold() for text in texts)


def invoice_row(ledger: Ledger, invoice: Invoice) -> Cells:
    """One row of the list."""
    link = Markup('<a href="/org/{}/invoice/{}">{}</a>').format(
        ledger.organisation.id, invoice.id, invoice.number
    )
    return (
        link,
        contact_name(ledger, invoice.contact_id),
        invoice.date,
        invoice.due_date or "",
        invoice.status,
        f"{invoice.currency} {amount(invoice.total)}",
        amount(invoice.amount_due),
    )


def pager(tenant: str, wanted: str, start: int, count: int) -> Markup:
    """Links to the pages around this one."""
    number = start // PAGE_ROWS + 1
    links = []
    if start:
        links.append(("Newer invoices", number - 1))
    if start + PAGE_ROWS < count:
        links.append(("Older invoices", number + 1))
    items = join(
        Markup('<li><a href="/org/{}?{}">{}</a></li>').format(
            tenant, urlencode({"q": wanted, "page": to}), label
        )
        for label, to in links
    )
    return Markup('<nav aria-label="Pages"><ul>{}</ul></nav>').format(items) if items else items


def new_invoice_form(sandbox: "Sandbox", ledger: Ledger) -> Markup:
    """A form for a new invoice with one line."""
    active = [c for c in ledger.contacts.rows.values() if c.status == "ACTIVE"]
    options = join(
        Markup('<option value="{}">{}</option>').format(contact.id, contact.name)
        for contact in sorted(active, key=lambda c: c.name.casefold())[:500]
    )
    today = sandbox.clock.now().date()
    fields = Markup(
        '<div class="fields"><label>Contact<select name="contact">{}</select></label>'
        '{}{}{}{}{}<label>Status<select name="status"><option>AUTHORISED</option>'
        "<option>DRAFT</option><option>SUBMITTED</option></select></label></div>"
    ).format(
        options,
        field("Description", "description", "", required=True),
        field("Quantity", "quantity", "1"),
        field("Unit amount", "unit_amount", "", required=True),
        field("Due date", "due_date", today.isoformat(), kind="date"),
        field("Reference", "reference", ""),
    )
    back = f"/org/{ledger.organisation.id}"
    return act_form(ledger, "create-invoice", back, fields, "Create invoice")


def invoice(sandbox: "Sandbox", ledger: Ledger, it: Invoice, done: str) -> Response:
    """One invoice, and everything a person can do to it."""
    back = f"/org/{ledger.organisation.id}/invoice/{it.id}"
    body = INVOICE.format(
        done=notice(done),
        tenant=ledger.organisation.id,
        organisation=ledger.organisation.name,
        number=it.number,
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
        lines=join(line_form(ledger, it, line, i, back) for i, line in enumerate(it.lines)),
        payments=payment_section(sandbox, ledger, it, back),
        credits=credit_section(ledger, it, back),
        states=state_forms(ledger, it, back),
    )
    return page(it.number, body)


def header_form(ledger: Ledger, it: Invoice, back: str) -> Markup:
    """Reference and dates."""
    fields = Markup('{}<div class="fields">{}{}{}</div>').format(
        hidden("invoice", it.id),
        field("Reference", "reference", it.reference),
        field("Date", "date", it.date.isoformat(), kind="date"),
        field("Due date", "due_date", (it.due_date or it.date).isoformat(), kind="date"),
    )
    return act_form(ledger, "edit-invoice", back, fields, "Save details")


def line_form(ledger: Ledger, it: Invoice, line: Line, index: int, back: str) -> Markup:
    """One line with its numbers; a line of words only has just its text."""
    numbers = Markup("")
    if line.quantity is not None and line.unit_amount is not None:
        numbers = field("Quantity", "quantity", plain(line.quantity)) + field(
            "Unit amount", "unit_amount", plain(line.unit_amount)
        )
    fields = Markup(
        '{}{}<fieldset><legend>Line {}, {} {}</legend><div class="fields">{}{}</div></fieldset>'
    ).format(
        hidden("invoice", it.id),
        hidden("line", line.id),
        index + 1,
        it.currency,
        amount(line.line_amount),
        field("Description", "description", line.description),
        numbers,
    )
    return act_form(ledger, "edit-line", back, fields, f"Save line {index + 1}")


def payment_section(sandbox: "Sandbox", ledger: Ledger, it: Invoice, back: str) -> Markup:
    """Payments with the way to remove them, and a form for a new one."""
    payments = [ledger.payments.rows[i] for i in sorted(ledger.payments_of.get(it.id, ()))]
    shown = join(payment_item(ledger, p, it, back) for p in payments if p.status != "DELETED")
    listed = Markup("<ul>{}</ul>").format(shown) if shown else Markup("<p>No payments.</p>")
    if it.status != "AUTHORISED":
        return listed
    options = join(
        Markup('<option value="{}">{}</option>').format(a.code, a.name)
        for a in ledger.organisation.accounts
        if a.type == "BANK" or a.payments
    )
    fields = Markup(
        '{}<div class="fields">{}{}<label>Account<select name="account">{}</select></label></div>'
    ).format(
        hidden("invoice", it.id),
        field("Amount", "amount", amount(it.amount_due).replace(",", "")),
        field("Paid on", "date", sandbox.clock.now().date().isoformat(), kind="date"),
        options,
    )
    return listed + act_form(ledger, "record-payment", back, fields, "Record payment")


def payment_item(ledger: Ledger, payment: Payment, it: Invoice, back: str) -> Markup:
    """One payment."""
    what = f"{it.currency} {amount(payment.amount)} on {payment.date}"
    remove = act_form(
        ledger, "remove-payment", back, hidden("payment", payment.id), f"Remove {what}", "danger"
    )
    return Markup("<li>{}{}</li>").format(what, remove)


def credit_section(ledger: Ledger, it: Invoice, back: str) -> Markup:
    """Credits applied, and a form for what is left of the contact's credit notes."""
    notes = [n for n in ledger.credit_notes.rows.values() if n.contact_id == it.contact_id]
    applied = join(
        Markup("<li>{}: {} {}</li>").format(note.number, it.currency, amount(part.amount))
        for note in notes
        for part in note.allocations
        if part.invoice_id == it.id
    )
    listed = Markup("<ul>{}</ul>").format(applied) if applied else Markup("<p>No credits.</p>")
    free = [n for n in notes if n.status == "AUTHORISED" and n.remaining > 0]
    if it.status != "AUTHORISED" or not free:
        return listed
    options = join(
        Markup('<option value="{}">{}, {} left</option>').format(
            n.id, n.number, amount(n.remaining)
        )
        for n in free
    )
    most = min(it.amount_due, free[0].remaining)
    fields = Markup(
        '{}<div class="fields"><label>Credit note<select name="credit">{}</select></label>{}</div>'
    ).format(hidden("invoice", it.id), options, field("Amount", "amount", plain(most)))
    return listed + act_form(ledger, "allocate-credit", back, fields, "Allocate credit")


def state_forms(ledger: Ledger, it: Invoice, back: str) -> Markup:
    """The changes of status that Xero allows from here (3.10)."""
    moves = {
        "DRAFT": (("approve-invoice", "Approve"), ("delete-invoice", "Delete")),
        "SUBMITTED": (("approve-invoice", "Approve"), ("delete-invoice", "Delete")),
        "AUTHORISED": (("void-invoice", "Void"),),
    }.get(it.status, ())
    forms = join(
        act_form(ledger, action, back, hidden("invoice", it.id), f"{word} {it.number}", "danger")
        for action, word in moves
    )
    if not forms:
        return Markup("<p>{} cannot be changed to another status.</p>").format(it.status)
    if has_money(it):
        forms += Markup("<p>Remove payments first: Xero voids no invoice with money on it.</p>")
    return forms


def contacts(sandbox: "Sandbox", ledger: Ledger, done: str) -> Response:
    """Contacts with a form each to rename them."""
    rows = sorted(ledger.contacts.rows.values(), key=lambda c: c.name.casefold())[:200]
    body = CONTACTS.format(
        done=notice(done),
        tenant=ledger.organisation.id,
        name=ledger.organisation.name,
        forms=join(contact_form(ledger, contact) for contact in rows),
    )
    return page("Contacts", body)


def contact_form(ledger: Ledger, contact: Contact) -> Markup:
    """One contact."""
    if contact.status != "ACTIVE":
        return Markup("<section><h2>{}</h2><p>{}</p></section>").format(
            contact.name, contact.status
        )
    back = f"/org/{ledger.organisation.id}/contacts"
    fields = hidden("contact", contact.id) + field(
        f"Name of {contact.name[:60]}", "name", contact.name
    )
    rename = act_form(
        ledger, "rename-contact", back, fields, f"Rename {contact.name[:60]}", "quiet"
    )
    return Markup("<section>{}</section>").format(rename)


def refused(message: str, back: str) -> Response:
    """Why something was not done."""
    body = Markup(
        '<h1>That was not done</h1><p class="problem" role="alert">{}</p>'
        '<p><a href="{}">Go back</a></p>'
    ).format(message, back)
    return page("Not done", body, 400)


def way_back(given: Mapping[str, str], done: bool = False) -> str:
    """Where a form returns to: always a page of this sandbox."""
    path = urlsplit(given.get("back", "/")).path
    if not path.startswith("/") or path.startswith("//"):
        path = "/"
    return f"{path}?done=1" if done else path


def act_form(
    ledger: Ledger, action: str, back: str, fields: Markup, label: str, look: str = ""
) -> Markup:
    """A form that does something in one organisation."""
    return form(action, back, hidden("tenant", ledger.organisation.id) + fields, label, look)


def contact_name(ledger: Ledger, contact_id: str) -> str:
    """A contact's name, empty if unknown."""
    contact = ledger.contacts.get(contact_id)
    return contact.name if contact else ""


CONSENT = Markup("""
<h1>{app} wants access to your organisation data</h1>
<p>Signed in as {user}.</p>
{problem}
<form method="post">
{hidden}
<fieldset><legend>Organisations to connect</legend>{choices}</fieldset>
<details><summary>What {app} asks for</summary><ul>{scopes}</ul></details>
<div class="actions">
<button type="submit" name="decision" value="allow">Allow access</button>
<button type="submit" name="decision" value="cancel" class="quiet">Cancel</button>
</div>
</form>
""")
HOME = Markup("""
{done}
<h1>Be the Xero user</h1>
<p>Change something here and watch {app} follow.</p>
{cards}
<section><h2>All access</h2>{revoke}</section>
<section><h2>Faults</h2>{faults}</section>
<section><h2>Last requests</h2>{requests}</section>
""")
INVOICES = Markup("""
{done}
<nav aria-label="Organisation"><ul><li><a href="/">All organisations</a></li>
<li><a href="/org/{tenant}/contacts">Contacts</a></li></ul></nav>
<h1>{name}</h1>
<form class="card" method="get" action="/org/{tenant}"><div class="fields">{search}
<button type="submit" class="quiet">Search</button></div></form>
<section><h2>{count} sales invoices</h2>{table}{more}</section>
<section><h2>New invoice</h2>{new}</section>
""")
INVOICE = Markup("""
{done}
<nav aria-label="Organisation"><ul><li><a href="/org/{tenant}">{organisation}</a></li></ul></nav>
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
""")
CONTACTS = Markup("""
{done}
<nav aria-label="Organisation"><ul><li><a href="/org/{tenant}">{name}</a></li></ul></nav>
<h1>Contacts</h1>
{forms}
""")
