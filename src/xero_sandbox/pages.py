"""The pages that a person sees: plain HTML without scripts, phone first, light and dark."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from markupsafe import Markup
from werkzeug.wrappers import Response

from xero_sandbox.faults import KINDS, NEEDED, PARAMETERS
from xero_sandbox.given import BadInput
from xero_sandbox.html import (
    Cells,
    amount,
    field,
    fields,
    form,
    hidden,
    join,
    notice,
    page,
    select,
    table,
)
from xero_sandbox.log import Entry
from xero_sandbox.model import Invoice
from xero_sandbox.oauth import USER_EMAIL, USER_NAME, AuthorizeRequest
from xero_sandbox.page_parts import act_form, contact_name, currency_choice, ways
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
METHODS = ("GET", "PUT", "POST", "DELETE")


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


def ask_reset(sandbox: "Sandbox") -> Response:
    """What a reset takes away, and the way to do it or not."""
    names = join(
        Markup("<li>{}</li>").format(ledger.organisation.name)
        for ledger in sandbox.store.ledgers.values()
    )
    choice = Markup(
        '<label class="choice"><input type="checkbox" name="keep" value="yes">'
        "<span>Leave {} connected</span></label>"
    ).format(sandbox.identity.app.name)
    fields = join((hidden("sure", "yes"), choice))
    return page(
        "Start over",
        RESET.format(names=names, form=form("reset", "/", fields, "Start over", "danger")),
    )


def sure(given: Mapping[str, str]) -> bool:
    """Whether a reset that somebody is sure of leaves the app connected."""
    if given.get("sure") != "yes":
        raise BadInput("Nothing was changed. Say on the page before that you are sure.")
    return given.get("keep") == "yes"


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
    names = [(key, it.organisation.name) for key, it in sandbox.store.ledgers.items()]
    asked = fields(
        select("Fault", "kind", ((kind, kind) for kind in KINDS if kind not in NEEDED)),
        select("Only", "method", (("", "any call"), *((m, m) for m in METHODS))),
        select("Organisation", "tenant", (("", "any"), *names)),
        field("Only addresses with (part of a path)", "path", ""),
        field("Only writes that hold", "body", ""),
        field("From which matching call on", "nth", "1"),
        field("How many times (empty: until switched off)", "count", "1"),
        field("Seconds (of a delay or until a late write)", "wait", ""),
    )
    listed = Markup("<ul>{}</ul>").format(active) if active else Markup("<p>None is on.</p>")
    return listed + form("add-fault", "/", asked, "Switch on", "quiet")


def fault_from_form(given: Mapping[str, str]) -> dict[str, Any]:
    """The rule that the form asks for."""
    kind = given.get("kind", "")
    asked = {name: given.get(name, "").strip() for name in ("path", "body", "tenant")}
    count, nth, wait = (given.get(name, "").strip() for name in ("count", "nth", "wait"))
    takes = "seconds" if "seconds" in PARAMETERS.get(kind, {}) else "delay"
    return {
        "kind": kind,
        "method": given.get("method", ""),
        **asked,
        "nth": int(nth) if nth.isdecimal() else nth or 1,
        "count": int(count) if count.isdecimal() else count or None,
        "parameters": {takes: wait} if wait else {},
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
        ways=ways(ledger),
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
    named = sorted(active, key=lambda c: c.name.casefold())[:500]
    today = sandbox.clock.now().date()
    states = ("AUTHORISED", "DRAFT", "SUBMITTED")
    asked = fields(
        select("Contact", "contact", ((c.id, c.name) for c in named)),
        field("Description", "description", "", required=True),
        field("Quantity", "quantity", "1"),
        field("Unit amount", "unit_amount", "", required=True),
        field("Due date", "due_date", today.isoformat(), kind="date"),
        field("Reference", "reference", ""),
        currency_choice(ledger, ledger.organisation.currency),
        select("Status", "status", ((s, s) for s in states)),
    )
    back = f"/org/{ledger.organisation.id}"
    return act_form(ledger, "create-invoice", back, asked, "Create invoice")


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
<section><h2>Start over</h2>
<p><a href="/reset">Bring everything back to the beginning</a></p></section>
""")
RESET = Markup("""
<h1>Start over?</h1>
<p>Everything that was done here and by the app is lost, in all organisations that are here now:</p>
<ul>{names}</ul>
<p>The books come back as they were at the beginning, the clock shows the real time again; faults,
limits and the list of requests are cleared. It cannot be undone.</p>
{form}
<p><a href="/">Leave it as it is</a></p>
""")
INVOICES = Markup("""
{done}
{ways}
<h1>{name}</h1>
<form class="card" method="get" action="/org/{tenant}"><div class="fields">{search}
<button type="submit" class="quiet">Search</button></div></form>
<section><h2>{count} sales invoices</h2>{table}{more}</section>
<section><h2>New invoice</h2>{new}</section>
""")
