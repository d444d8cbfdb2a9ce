"""pyxero, which writes XML and reads JSON, against the sandbox's books."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from kit import CLIENT_ID, CLIENT_SECRET, REDIRECT, SCOPES, Compare, Json, Suite, moment
from xero.auth import OAuth2Credentials
from xero.exceptions import (
    XeroBadRequest,
    XeroForbidden,
    XeroInternalError,
    XeroNotAvailable,
    XeroNotFound,
    XeroRateLimitExceeded,
    XeroUnauthorized,
)

from xero import Xero, auth

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # oauthlib's own word for plain http in tests
suite = Suite("pyxero")
sandbox = suite.sandbox
auth.XERO_BASE_URL = sandbox.address
auth.XERO_OAUTH2_AUTHORIZE_URL = f"{sandbox.address}/identity/connect/authorize"
auth.XERO_OAUTH2_TOKEN_URL = f"{sandbox.address}/connect/token"
credentials = OAuth2Credentials(
    CLIENT_ID, CLIENT_SECRET, callback_uri=REDIRECT, scope=SCOPES.split()
)
HOSTILE = 'O\'Brien & Söhne "<b>x</b>" 株式会社 🎉'
TENANTS = {row["name"]: row["tenant"] for row in sandbox.organisations()}
UK = TENANTS["Demo Company (UK)"]
BIG = next(tenant for name, tenant in TENANTS.items() if name.startswith("Big"))
made: dict[str, str] = {}
"""Ids of what earlier checks made."""


def of(tenant: str) -> Xero:
    """The client, for one organisation."""
    credentials.tenant_id = tenant
    return Xero(credentials)


def told(value: Any) -> Any:
    """The books as pyxero gives them: floats, and dates where it knows how they look."""
    if isinstance(value, dict):
        return {name: told(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [told(inner) for inner in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, str) and value.startswith("/Date("):
        return moment(value)
    return value


def plain(row: Json) -> Json:
    """A row of pyxero's without the strings of dates, which it turns into dates as well."""
    return {name: value for name, value in row.items() if not name.endswith("String")}


def same_rows(compare: Compare, what: str, got: list[Json], books: list[Json], key: str) -> None:
    """Every field of every row, whatever the client understood of it."""
    compare.rows(what, [deep(row) for row in got], [deep(told(row)) for row in books], key)
    for ours, theirs in zip(got, books, strict=True):
        compare.same(f"{what}: fields", sorted(ours), sorted(theirs))


def deep(value: Any) -> Any:
    """`plain`, inside as well."""
    if isinstance(value, dict):
        return {name: deep(inner) for name, inner in plain(value).items()}
    return [deep(inner) for inner in value] if isinstance(value, list) else value


def in_books(compare: Compare, invoice_id: str, **wanted: object) -> Json:
    """What the books say of one invoice."""
    row = sandbox.one(UK, f"Invoices/{invoice_id}")
    for name, value in wanted.items():
        compare.same(f"books: {name}", value, row.get(name))
    return row


@suite.check
def _(compare: Compare) -> None:
    """Consent: an address to send people to, and tokens for the code that comes back"""
    url = credentials.generate_url()
    credentials.verify(sandbox.allow(url))
    compare.same("scopes", sorted(credentials.token["scope"]), sorted(SCOPES.split()))
    compare.same("not expired", credentials.expired(), False)
    compare.same("expired in an hour", credentials.expired(seconds=3600), True)


@suite.check
def _(compare: Compare) -> None:
    """A token is refreshed, and the old refresh token is replaced"""
    before = dict(credentials.token)
    credentials.refresh()
    for name in ("access_token", "refresh_token"):
        compare.same(f"{name} is new", credentials.token[name] != before[name], True)
    compare.same("a call with it", of(UK).organisations.all()[0]["Name"], "Demo Company (UK)")


@suite.check
def _(compare: Compare) -> None:
    """Tenants: every organisation, and those of one consent"""
    rows = credentials.get_tenants()
    got = {row["tenantId"]: row["tenantName"] for row in rows}
    compare.same("tenants", got, {tenant: name for name, tenant in TENANTS.items()})
    event = rows[0]["authEventId"]
    compare.same("of this consent", len(credentials.get_tenants(event)), len(TENANTS))
    nobody = "00000000-0000-4000-8000-000000000000"
    compare.same("of another", credentials.get_tenants(nobody), [])
    credentials.set_default_tenant()
    compare.same("the first", credentials.tenant_id, rows[0]["tenantId"])


@suite.check
def _(compare: Compare) -> None:
    """The organisation and its actions"""
    rows = of(UK).organisations.all()
    same_rows(compare, "organisation", rows, sandbox.books(UK, "Organisation"), "OrganisationID")


@suite.check
def _(compare: Compare) -> None:
    """Accounts: all, filtered, one, and those changed since"""
    xero = of(UK)
    rows = sandbox.books(UK, "Accounts")
    same_rows(compare, "accounts", xero.accounts.all(), rows, "AccountID")
    banks = [row for row in rows if row["Type"] == "BANK"]
    same_rows(compare, "banks", xero.accounts.filter(Type="BANK"), banks, "AccountID")
    sale = xero.accounts.filter(Name__contains="Sales", order="Code DESC")
    compare.same("sales", [row["Code"] for row in sale], ["820", "200"])
    one = xero.accounts.get(rows[1]["AccountID"])
    same_rows(compare, "one", one, [rows[1]], "AccountID")
    later = datetime.now(UTC) + timedelta(days=1)
    compare.same("nothing new", xero.accounts.filter(since=later), [])


@suite.check
def _(compare: Compare) -> None:
    """Tax rates, branding themes and currencies"""
    xero = of(UK)
    same_rows(compare, "rates", xero.taxrates.all(), sandbox.books(UK, "TaxRates"), "TaxType")
    themes = sandbox.books(UK, "BrandingThemes")
    same_rows(compare, "themes", xero.brandingthemes.all(), themes, "BrandingThemeID")
    same_rows(compare, "currencies", xero.currencies.all(), sandbox.books(UK, "Currencies"), "Code")


@suite.check
def _(compare: Compare) -> None:
    """Contacts: all, by name, by beginning, archived, by ids"""
    xero = of(UK)
    rows = sandbox.books(UK, "Contacts")
    same_rows(compare, "all", xero.contacts.all(), rows, "ContactID")
    name = "O'Brien & Söhne GmbH"
    wanted = [row for row in rows if row["Name"] == name]
    same_rows(compare, "by name", xero.contacts.filter(Name=name), wanted, "ContactID")
    begins = [row for row in rows if row["Name"].lower().startswith("ci")]
    found = xero.contacts.filter(Name__startswith="Ci")
    same_rows(compare, "by beginning", found, begins, "ContactID")
    every = sandbox.every(UK, "Contacts", includeArchived="true")
    found = xero.contacts.filter(includeArchived=True, page=1, pageSize=1000)
    same_rows(compare, "archived too", found, every, "ContactID")
    compare.same("some are archived", len(every) > len(rows), True)
    ids = [row["ContactID"] for row in rows[2:5]]
    compare.same("by ids", [r["ContactID"] for r in xero.contacts.filter(IDs=ids)], ids)
    one = sandbox.books(UK, f"Contacts/{ids[0]}")
    same_rows(compare, "one", xero.contacts.get(ids[0]), one, "ContactID")


@suite.check
def _(compare: Compare) -> None:
    """A contact is created and changed"""
    xero = of(UK)
    address = {"AddressType": "STREET", "AddressLine1": "1 Hat Lane", "City": "Zürich"}
    phone = {"PhoneType": "DEFAULT", "PhoneNumber": "+44 20 7946 0000"}
    (done,) = xero.contacts.put(
        {"Name": "Łódź & Co 🎩", "EmailAddress": "hats@example.com", "Addresses": [address],
         "Phones": [phone]}
    )  # fmt: skip
    made["contact"] = done["ContactID"]
    row = sandbox.one(UK, f"Contacts/{done['ContactID']}")
    compare.same("name", row["Name"], "Łódź & Co 🎩")
    compare.same("city", row["Addresses"][1]["City"], "Zürich")
    compare.same("phone", row["Phones"][1]["PhoneNumber"], "+44 20 7946 0000")
    got = xero.contacts.get(done["ContactID"])[0]
    got["FirstName"] = "Ada"
    xero.contacts.save(got)
    row = sandbox.one(UK, f"Contacts/{done['ContactID']}")
    compare.same("first name", row["FirstName"], "Ada")
    compare.same("the rest", row["EmailAddress"], "hats@example.com")


@suite.check
def _(compare: Compare) -> None:
    """Invoices, page by page, every field of every row"""
    xero = of(BIG)
    got: list[Json] = []
    while page := xero.invoices.filter(page=len(got) // 100 + 1, order="InvoiceID ASC"):
        got += page
        if len(page) < 100:
            break
    rows = sandbox.every(BIG, "Invoices", order="InvoiceID ASC")
    compare.same("as many", len(got), 230)
    same_rows(compare, "invoices", got, rows, "InvoiceID")


@suite.check
def _(compare: Compare) -> None:
    """One invoice, and prices of four places when asked for"""
    xero = Xero(credentials, unit_price_4dps=True)
    small = next(
        row["InvoiceID"]
        for row in sandbox.every(BIG, "Invoices", unitdp="4")
        if any(line.get("UnitAmount") == Decimal("0.3333") for line in row["LineItems"])
    )
    rows = sandbox.books(BIG, f"Invoices/{small}", unitdp="4")
    same_rows(compare, "four places", xero.invoices.get(small), rows, "InvoiceID")
    rows = sandbox.books(BIG, f"Invoices/{small}")
    same_rows(compare, "two places", of(BIG).invoices.get(small), rows, "InvoiceID")


@suite.check
def _(compare: Compare) -> None:
    """Filters: status, amounts, dates, raw, numbers, contacts, since"""
    xero = of(BIG)
    rows = sandbox.every(BIG, "Invoices")

    def ids(**asked: Any) -> list[str]:
        found = xero.invoices.filter(page=1, pageSize=1000, **asked)
        return sorted(row["InvoiceID"] for row in found)

    def wanted(keep: Any) -> list[str]:
        return sorted(row["InvoiceID"] for row in rows if keep(row))

    paid = wanted(lambda r: r["Status"] == "PAID")
    compare.same("status", ids(Status="PAID"), paid)
    two = ["DRAFT", "VOIDED"]
    compare.same("statuses", ids(Statuses=two), wanted(lambda r: r["Status"] in two))
    day = date.today() - timedelta(days=300)
    later = wanted(lambda r: moment(r["Date"]).date() >= day)
    compare.same("dates", ids(Date__gte=day), later)
    due = wanted(lambda r: r["AmountDue"] > 100)
    compare.same("raw", ids(raw="AmountDue > 100.00"), due)
    numbers = [row["InvoiceNumber"] for row in rows[4:8]]
    some = sorted(row["InvoiceID"] for row in rows[4:8])
    compare.same("numbers", ids(InvoiceNumbers=numbers), some)
    buyer = rows[0]["Contact"]["ContactID"]
    theirs = wanted(lambda r: r["Contact"]["ContactID"] == buyer)
    compare.same("a contact's", ids(Contact_ContactID=buyer), theirs)
    stamps = sorted(moment(row["UpdatedDateUTC"]) for row in rows)
    middle = stamps[len(stamps) // 2].replace(microsecond=0)
    newer = wanted(lambda r: moment(r["UpdatedDateUTC"]) >= middle)
    compare.same("since", ids(since=middle), newer)
    compare.same("nothing new", ids(since=sandbox.now() + timedelta(days=1)), [])


@suite.check
def _(compare: Compare) -> None:
    """Ids without hyphens, as it sends them, find contacts and invoices"""
    rows = sandbox.every(BIG, "Invoices")[:3]
    ids = [row["InvoiceID"] for row in rows]
    found = of(BIG).invoices.filter(IDs=ids)
    compare.same("ids", sorted(row["InvoiceID"] for row in found), sorted(ids))
    buyer = rows[0]["Contact"]["ContactID"]
    found = of(BIG).invoices.filter(ContactIDs=[buyer], page=1)
    compare.same("a contact's", {row["Contact"]["ContactID"] for row in found}, {buyer})


@suite.check
def _(compare: Compare) -> None:
    """Only what a person changed since comes again"""
    sandbox.asked("POST", "/sandbox/clock", {"advance": 60})
    since = sandbox.now()
    row = sandbox.every(UK, "Invoices", where='Status=="DRAFT" AND Type=="ACCREC"')[0]
    sandbox.act("edit-invoice", UK, invoice=row["InvoiceNumber"], reference=HOSTILE)
    got = of(UK).invoices.filter(since=since, page=1)
    found = [(row["InvoiceID"], row["Reference"]) for row in got]
    compare.same("one", found, [(row["InvoiceID"], HOSTILE)])


@suite.check
def _(compare: Compare) -> None:
    """An invoice is created in XML as written"""
    new = {
        "Type": "ACCREC",
        "Contact": {"ContactID": made["contact"]},
        "Date": date(2026, 3, 29),
        "DueDate": date(2026, 4, 30),
        "Reference": HOSTILE,
        "LineAmountTypes": "Exclusive",
        "LineItems": [
            {"Description": f"Hats {HOSTILE}", "Quantity": "3", "UnitAmount": "19.99",
             "AccountCode": "200", "TaxType": "OUTPUT2"},
            {"Description": "Ribbon", "Quantity": 1, "UnitAmount": 0.01, "AccountCode": "200",
             "TaxType": "NONE"},
        ],
    }  # fmt: skip
    (done,) = of(UK).invoices.put(new)
    made["invoice"] = done["InvoiceID"]
    row = in_books(compare, done["InvoiceID"], Status="DRAFT", Reference=HOSTILE)
    compare.same("contact", row["Contact"]["ContactID"], made["contact"])
    compare.same("date", moment(row["Date"]).date(), date(2026, 3, 29))
    compare.same("due", moment(row["DueDate"]).date(), date(2026, 4, 30))
    compare.same("words", row["LineItems"][0]["Description"], f"Hats {HOSTILE}")
    amounts = [line["LineAmount"] for line in row["LineItems"]]
    compare.same("lines", amounts, [Decimal("59.97"), Decimal("0.01")])
    compare.same("total", row["Total"], Decimal("71.97"))
    compare.same("answer", done["Total"], float(row["Total"]))


@suite.check
def _(compare: Compare) -> None:
    """Several in one call: each is saved, or says why not"""
    good = {
        "Type": "ACCREC",
        "Contact": {"ContactID": made["contact"]},
        "LineItems": [{"Description": "Good", "Quantity": 1, "UnitAmount": 9}],
    }
    bad = {"Type": "ACCREC", "Contact": {"ContactID": made["contact"]}, "Status": "AUTHORISED"}
    before = len(sandbox.every(UK, "Invoices"))
    error = compare.refused("together", XeroBadRequest, lambda: of(UK).invoices.put([good, bad]))
    assert isinstance(error, XeroBadRequest)
    compare.same("a reason", bool(error.problem), True)
    compare.same("none made", len(sandbox.every(UK, "Invoices")), before)
    first, second = of(UK).invoices.put([good, bad], summarize_errors=False)
    said = [first["StatusAttributeString"], second["StatusAttributeString"]]
    compare.same("each says", said, ["OK", "ERROR"])
    compare.same("reason", second["ValidationErrors"][0]["Message"], error.problem)
    compare.same("one made", len(sandbox.every(UK, "Invoices")), before + 1)
    made["once"] = first["InvoiceID"]


@suite.check
def _(compare: Compare) -> None:
    """What was read is changed and sent back whole, then approved"""
    xero = of(UK)
    got = xero.invoices.get(made["invoice"])[0]
    first = got["LineItems"][0]
    first["UnitAmount"] = 20
    del first["LineAmount"], first["TaxAmount"]
    got["LineItems"] = [
        first,
        {"Description": "Bow", "Quantity": 2, "UnitAmount": 5, "AccountCode": "200",
         "TaxType": "OUTPUT2"},
    ]  # fmt: skip
    got["DueDate"] = date(2026, 5, 31)
    (done,) = xero.invoices.save(got)
    row = in_books(compare, made["invoice"], Status="DRAFT", Reference=HOSTILE)
    compare.same("due", moment(row["DueDate"]).date(), date(2026, 5, 31))
    lines = [(line["Description"], line["LineAmount"]) for line in row["LineItems"]]
    hats = (f"Hats {HOSTILE}", Decimal("60.00"))
    compare.same("lines", lines, [hats, ("Bow", Decimal("10.00"))])
    compare.same("kept its id", row["LineItems"][0]["LineItemID"], first["LineItemID"])
    compare.same("answer", done["Total"], float(row["Total"]))
    xero.invoices.save({"InvoiceID": made["invoice"], "Status": "AUTHORISED"})
    in_books(compare, made["invoice"], Status="AUTHORISED", AmountDue=Decimal("84.00"))


@suite.check
def _(compare: Compare) -> None:
    """A payment is recorded, listed, and deleted"""
    xero = of(UK)
    pay = {
        "Invoice": {"InvoiceID": made["invoice"]},
        "Account": {"Code": "090"},
        "Date": date(2026, 6, 1),
        "Amount": "50.00",
        "Reference": HOSTILE,
    }
    (done,) = xero.payments.put(pay)
    made["payment"] = done["PaymentID"]
    row = sandbox.one(UK, f"Payments/{done['PaymentID']}")
    compare.same("amount", row["Amount"], Decimal("50.00"))
    compare.same("reference", row["Reference"], HOSTILE)
    compare.same("day", moment(row["Date"]).date(), date(2026, 6, 1))
    in_books(compare, made["invoice"], AmountDue=Decimal("34.00"))
    rows = sandbox.books(UK, "Payments")
    same_rows(compare, "all", xero.payments.all(), rows, "PaymentID")
    mine = xero.payments.filter(Invoice_InvoiceID=made["invoice"])
    compare.same("of one invoice", [p["PaymentID"] for p in mine], [made["payment"]])
    (gone,) = xero.payments.delete(made["payment"])
    compare.same("gone", gone["Status"], "DELETED")
    status = sandbox.one(UK, f"Payments/{made['payment']}")["Status"]
    compare.same("gone in the books", status, "DELETED")
    in_books(compare, made["invoice"], Status="AUTHORISED", AmountDue=Decimal("84.00"))


@suite.check
def _(compare: Compare) -> None:
    """A payment too large is refused in Xero's words"""
    pay = {
        "Invoice": {"InvoiceID": made["invoice"]},
        "Account": {"Code": "090"},
        "Date": date(2026, 6, 1),
        "Amount": "9999.00",
    }
    error = compare.refused("too much", XeroBadRequest, lambda: of(UK).payments.put(pay))
    assert isinstance(error, XeroBadRequest)
    words = "Payment amount exceeds the amount outstanding on this document"
    compare.same("words", error.problem, words)
    in_books(compare, made["invoice"], AmountDue=Decimal("84.00"))


@suite.check
def _(compare: Compare) -> None:
    """Credit notes, overpayments and prepayments are read"""
    xero = of(UK)
    who = made["contact"]
    sandbox.act("give-credit", UK, contact=who, amount="20.00", tax_type="NONE")
    sandbox.act("receive-overpayment", UK, contact=who, amount="11.00")
    sandbox.act("receive-prepayment", UK, contact=who, amount="12.00")
    notes = sandbox.every(UK, "CreditNotes")
    got = xero.creditnotes.filter(page=1)
    same_rows(compare, "credit notes", got, notes, "CreditNoteID")
    mine = [note for note in got if note["Contact"]["ContactID"] == who]
    compare.same("mine", [note["RemainingCredit"] for note in mine], [20.0])
    one = sandbox.books(UK, f"CreditNotes/{mine[0]['CreditNoteID']}")
    same_rows(compare, "one", xero.creditnotes.get(mine[0]["CreditNoteID"]), one, "CreditNoteID")
    over = sandbox.books(UK, "Overpayments", page="1")
    same_rows(compare, "over", xero.overpayments.filter(page=1), over, "OverpaymentID")
    pre = sandbox.books(UK, "Prepayments", page="1")
    same_rows(compare, "pre", xero.prepayments.filter(page=1), pre, "PrepaymentID")
    made["note"] = mine[0]["CreditNoteID"]


@suite.check
def _(compare: Compare) -> None:
    """A credit note is set against an invoice and taken back"""
    xero = of(UK)
    part = {"Amount": "12.50", "Invoice": {"InvoiceID": made["invoice"]}, "Date": date(2026, 6, 4)}
    xero.creditnotes.put_allocation(made["note"], part)
    in_books(compare, made["invoice"], AmountCredited=Decimal("12.50"), AmountDue=Decimal("71.50"))
    note = sandbox.one(UK, f"CreditNotes/{made['note']}")
    compare.same("left", note["RemainingCredit"], Decimal("7.50"))
    xero.creditnotes.delete_allocation(made["note"], note["Allocations"][0]["AllocationID"])
    in_books(compare, made["invoice"], AmountCredited=Decimal("0.00"), AmountDue=Decimal("84.00"))


@suite.check
def _(compare: Compare) -> None:
    """History, online address and email of an invoice"""
    xero = of(UK)
    xero.invoices.put_history(made["invoice"], f"Rang them. {HOSTILE}")
    got = xero.invoices.get_history(made["invoice"])["HistoryRecords"]
    rows = sandbox.books(UK, f"Invoices/{made['invoice']}/History")
    compare.same("notes", [n["Details"] for n in got], [n["Details"] for n in rows])
    compare.same("the note", got[0]["Details"], f"Rang them. {HOSTILE}")
    online = xero.invoices.online_invoice(made["invoice"])["OnlineInvoices"]
    compare.same("address", online, sandbox.books(UK, f"Invoices/{made['invoice']}/OnlineInvoice"))
    sandbox.asked("POST", "/sandbox/act/switch", {"tenant": UK, "emails_allowed": True})
    compare.same("sent", xero.invoices.email(made["invoice"]), b"")
    in_books(compare, made["invoice"], SentToContact=True)


@suite.check
def _(compare: Compare) -> None:
    """An approved invoice is voided, a draft deleted"""
    xero = of(UK)
    xero.invoices.save({"InvoiceID": made["invoice"], "Status": "VOIDED"})
    in_books(compare, made["invoice"], Status="VOIDED", AmountDue=Decimal("0.00"))
    xero.invoices.save({"InvoiceID": made["once"], "Status": "DELETED"})
    in_books(compare, made["once"], Status="DELETED")
    again = {"InvoiceID": made["invoice"], "Status": "AUTHORISED"}
    compare.refused("back from the dead", XeroBadRequest, lambda: xero.invoices.save(again))
    in_books(compare, made["invoice"], Status="VOIDED")


@suite.check
def _(compare: Compare) -> None:
    """What is not there, not allowed, too fast or broken has its own error"""
    xero = of(UK)
    compare.refused("unknown", XeroNotFound, lambda: xero.invoices.get(BIG))
    nonsense = "Nonsense ==== 1"
    compare.refused("no filter", XeroBadRequest, lambda: xero.invoices.filter(raw=nonsense))
    for kind, error in (
        ("limit_minute", XeroRateLimitExceeded),
        ("error_500", XeroInternalError),
        ("offline", XeroNotAvailable),
        ("forbidden", XeroForbidden),
    ):
        sandbox.fault(kind, path="/invoices", count=1)
        compare.refused(kind, error, xero.invoices.all)
    nobody = of("00000000-0000-4000-8000-000000000000")
    compare.refused("not mine", XeroForbidden, nobody.invoices.all)
    sandbox.fault("expire_tokens")
    error = compare.refused("expired", XeroUnauthorized, of(UK).invoices.all)
    assert isinstance(error, XeroUnauthorized)
    compare.same("its word", error.problem, "TokenExpired")
    credentials.refresh()
    compare.same("well again", len(of(UK).organisations.all()), 1)


if __name__ == "__main__":
    suite.run()
