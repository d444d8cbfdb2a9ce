"""What the sandbox answers is what Xero's published API files say, but for what real Xero does."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pytest
from tests.conformance.deviations import DEVIATIONS, GUESSES, page, unexpected, unused
from tests.conformance.published import known
from tests.conformance.shape import Finding, Shapes
from tests.conformance.watch import Watcher
from tests.extent import FULL
from tests.generated import check_current
from tests.sandbox.client import NOW, REDIRECT, WRITE_SCOPES, Xero

from xero_sandbox import FrozenClock, Store, create_app
from xero_sandbox.countries import COUNTRIES
from xero_sandbox.limits import DAILY_CALLS, Allowance, Limits
from xero_sandbox.oauth import App
from xero_sandbox.open_questions import Open
from xero_sandbox.seed import demo_company, seed
from xero_sandbox.webhooks import signature

pytestmark = pytest.mark.layer("schema")
Cases = Callable[[int], None]
LISTS = ("Invoices", "Contacts", "Payments", "CreditNotes", "Overpayments", "Prepayments")
SETTINGS = (
    "Organisation", "Organisation/Actions", "Accounts", "TaxRates", "BrandingThemes", "Currencies",
)  # fmt: skip
SHAPES = Shapes()
OTHERWISE = [
    (name, value) for name, kind in get_type_hints(Open).items() for value in get_args(kind)[1:]
]
"""Every other answer than ours to a question that nobody has settled."""
HOSTILE = (
    "<script>alert(1)</script>", "'; DROP TABLE invoices; --", "=1+1", "\u202eesrever", "🧾" * 60,
    "\\\" \t \u2028", "שלום", "x" * 255,
)  # fmt: skip
ROWS_READ_ALONE = 10
READABLE = 3
"""Seconds after which everything that was done can be read, whatever is true of Xero."""


class Walk:
    """Goes over every address of one country's organisation, reading, writing and being refused."""

    def __init__(self, country: str, number: int, answers: Open | None = None) -> None:
        store = Store()
        seed(store, number, NOW)
        if country not in ("GB", "NZ"):
            demo_company(store, number, NOW, country)
        app = App(client_id="cid", client_secret="secret", redirect_uris=(REDIRECT,))
        self.clock = FrozenClock(NOW)
        day = DAILY_CALLS["starter" if number % 2 else "core"]
        limits = Limits(Allowance(minute=None, day=day, app_minute=None, concurrent=None))
        sandbox = create_app(
            store,
            clock=self.clock,
            app=app,
            limits=limits,
            post=self.posted,
            open_questions=answers,
        )
        self.told: set[str] = set()
        self.watcher = Watcher(sandbox, SHAPES)
        self.xero = Xero(sandbox)
        self.xero.connect(country, scope=WRITE_SCOPES)
        self.country = country
        self.random = Random(f"{country} {number}")
        self.tenant = self.xero.tenant(country)
        self.ledger = store.ledgers[self.tenant]

    def posted(self, url: str, body: bytes, signed: str) -> int:
        """Stand for the app's address: look at what is sent there."""
        said = json.loads(body)
        for events in [[event] for event in said["events"]] or [[]]:
            kind = events[0]["eventCategory"] if events else ""
            word = "CreditNoteWebhookEvent" if kind == "CREDITNOTE" else "WebhookEvent"
            self.watcher.note(*SHAPES.value(word, {**said, "events": events}, word))
            self.told.add(kind)
        return 200 if signed == signature("k", body) else 401

    def tell(self) -> None:
        """Send what waits, one kind of event at a time."""
        self.clock.advance(READABLE)
        self.xero.http.post("/sandbox/webhooks/deliver")

    def get(self, path: str, headers: dict[str, str] | None = None, **args: str) -> Any:
        answer = self.xero.get(path, self.country, headers, **args)
        return answer.json() if answer.status_code == 200 else None

    def write(self, method: str, path: str, body: Any = None, **args: str) -> Any:
        answer = self.xero.write(method, path, body, self.country, **args)
        self.clock.advance(READABLE)
        return answer.json() if answer.status_code == 200 and answer.content else None

    def act(self, action: str, **given: object) -> Any:
        answer = self.xero.act(action, tenant=self.tenant, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def read(self) -> None:
        """Every list in every form, and some of its rows alone."""
        since = {"If-Modified-Since": (NOW - timedelta(days=20)).isoformat()}
        for path in LISTS:
            self.get(path)
            self.get(path, since)
            self.get(path, page="2", pageSize="3", order="UpdatedDateUTC DESC")
            self.get(path, page="1", summaryOnly="true", includeArchived="true")
            rows = self.get(path, page="1", pageSize="1000", unitdp="4", includeArchived="true")
            for row in islice(rows[path], ROWS_READ_ALONE):
                self.alone(path, row[f"{path[:-1]}ID"])
        for path in SETTINGS:
            self.get(path)
        self.get("Invoices", {"If-Modified-Since": (NOW + timedelta(days=9)).isoformat()})
        self.get("Invoices/INV-0001")

    def alone(self, path: str, key: str) -> None:
        """One row, and what hangs on it."""
        self.get(f"{path}/{key}")
        self.get(f"{path}/{key}/History")
        if path == "Invoices":
            self.get(f"{path}/{key}/OnlineInvoice")

    def contacts(self) -> str:
        """Made, changed and refused; the id of one with everything."""
        full = {
            "Name": f"Everything {self.random.random()}", "FirstName": HOSTILE[0],
            "EmailAddress": "a@example.com", "ContactNumber": f"N{self.random.random()}",
            "TaxNumber": "42", "DefaultCurrency": self.ledger.organisation.currency,
            "ContactPersons": [{"FirstName": "Ann", "LastName": HOSTILE[1][:50],
                                "EmailAddress": "b@example.com", "IncludeInEmails": True}],
            "Addresses": [{"AddressType": "POBOX", "AddressLine1": HOSTILE[4], "City": "X"}],
            "Phones": [{"PhoneType": "MOBILE", "PhoneNumber": "07"}],
        }  # fmt: skip
        made = self.write("PUT", "Contacts", full)["Contacts"][0]
        self.write("POST", f"Contacts/{made['ContactID']}", {"FirstName": HOSTILE[6]})
        self.write("PUT", "Contacts", {"Name": full["Name"]})
        both = {"Contacts": [{"Name": full["Name"]}, {"Name": "Another"}]}
        self.write("POST", "Contacts", both, summarizeErrors="false")
        self.write("PUT", "Contacts", {"Name": "<>"})
        self.write("PUT", f"Contacts/{made['ContactID']}/History", history())
        return str(made["ContactID"])

    def invoices(self, contact: str) -> str:
        """Made, changed, sent, void, deleted and refused; the id of an approved one."""
        draft = self.write("PUT", "Invoices", self.invoice(contact, "DRAFT"))["Invoices"][0]
        for text in HOSTILE:
            self.write("POST", f"Invoices/{draft['InvoiceID']}", {"Reference": text})
        self.write("POST", "Invoices", {"InvoiceID": draft["InvoiceID"], "Status": "DELETED"})
        self.write("POST", "Invoices", {"InvoiceID": draft["InvoiceID"], "Status": "DRAFT"})
        self.write("PUT", "Invoices", self.invoice(contact, "NOPE"))
        good, bad = self.invoice(contact, "AUTHORISED"), {"Type": "ACCREC", "Status": "AUTHORISED"}
        whole = {"Invoices": [good, bad]}
        self.write("PUT", "Invoices", whole)
        rows = self.write("PUT", "Invoices", whole, summarizeErrors="false")["Invoices"]
        made = str(rows[0]["InvoiceID"])
        self.write("POST", f"Invoices/{made}/Email")
        self.write("PUT", f"Invoices/{made}/History", history())
        self.write("PUT", f"Invoices/{made}/History", {"HistoryRecords": [{"Details": "x" * 9999}]})
        gone = self.write("PUT", "Invoices", self.invoice(contact, "AUTHORISED"))["Invoices"][0]
        self.write("POST", f"Invoices/{gone['InvoiceID']}", {"Status": "VOIDED"})
        self.write("POST", "Invoices", "{")
        return made

    def invoice(self, contact: str, status: str) -> dict[str, Any]:
        tax = self.ledger.organisation.default_tax
        line = {"AccountCode": "200", "TaxType": tax, "Quantity": "2.5", "UnitAmount": 100}
        return {
            "Type": "ACCREC", "Contact": {"ContactID": contact}, "Status": status,
            "Reference": self.random.choice(HOSTILE), "Url": "https://example.com/a",
            "Date": "2026-11-01", "DueDate": "2026-12-01", "ExpectedPaymentDate": "2026-12-24",
            "LineAmountTypes": self.random.choice(("Exclusive", "Inclusive")),
            "LineItems": [
                {**line, "Description": text, "DiscountRate": 5} for text in HOSTILE[:3]
            ] + [{**line, "Description": "-", "DiscountAmount": 1}, {"Description": "words"}],
        }  # fmt: skip

    def money(self, contact: str, invoice: str) -> None:
        """Payments and credits: made, refused, taken back."""
        payment = {"Invoice": {"InvoiceID": invoice}, "Account": {"Code": "090"}, "Amount": 10}
        made = self.write("PUT", "Payments", payment)["Payments"][0]["PaymentID"]
        self.write("PUT", "Payments", {**payment, "Amount": 10**7})
        self.write("PUT", "Payments", {"Payments": [payment, {}]}, summarizeErrors="false")
        self.write("POST", f"Payments/{made}", {"Status": "DELETED"})
        self.write("POST", f"Payments/{made}", {"Status": "DELETED"})
        self.write("PUT", f"Payments/{made}/History", history())
        self.act("receive-overpayment", contact=contact, amount="50")
        self.act("receive-prepayment", contact=contact, amount="50", reference=HOSTILE[4][:9])
        self.tell()
        self.act("give-credit", contact=contact, amount="30")
        self.tell()
        for path in ("Overpayments", "Prepayments", "CreditNotes"):
            rows = self.get(path, page="1", pageSize="1000")[path]
            free = next(r for r in rows if r["Contact"]["ContactID"] == contact)
            self.allocate(f"{path}/{free[f'{path[:-1]}ID']}", invoice)

    def allocate(self, credit: str, invoice: str) -> None:
        """Set a credit against an invoice, too much of it too; take it back."""
        given = {"Invoice": {"InvoiceID": invoice}, "Amount": 5}
        self.write("PUT", f"{credit}/Allocations", {**given, "Amount": 10**6})
        self.write("PUT", f"{credit}/Allocations", given)
        self.get(credit)
        self.get(f"Invoices/{invoice}")
        self.get("Invoices", page="1", IDs=invoice)
        part = self.get(credit)[credit.partition("/")[0]][0]["Allocations"][0]["AllocationID"]
        self.write("DELETE", f"{credit}/Allocations/{part}")
        self.write("PUT", f"{credit}/Allocations", given)
        self.write("PUT", f"{credit}/History", history())

    def hands(self) -> None:
        """What only a person does in Xero, and how it shows."""
        self.act("lock", period_lock_date="2020-01-31", end_of_year_lock_date="2019-12-31")
        self.act("archive-account", account="260")
        self.act("delete-tax-rate", tax_type="NONE")
        self.act("restore-tax-rate", tax_type="NONE")

    def refusals(self) -> None:
        """Every way of being turned away."""
        self.get("Invoices/nobody-has-this")
        self.get("Quotations")
        self.write("PUT", "Contacts", {"Name": "x" * 300})
        self.get("Invoices", where="nonsense")
        self.get("Invoices", {"If-Modified-Since": "yesterday"})
        self.write("DELETE", "Invoices/INV-0001")
        self.write("PUT", "TaxRates", {})
        self.get("Invoices", {"xero-tenant-id": ""})
        self.get("Invoices", {"Authorization": "Bearer x"})
        self.xero.http.post("/sandbox/faults", json={"kind": "write_500"})
        self.write("PUT", "Contacts", {"Name": "broken"})
        self.xero.http.post("/sandbox/limits", json={"minute": 0})
        self.get("Invoices")
        self.xero.http.post("/sandbox/limits", json={"minute": None})

    def identity(self) -> None:
        """Tokens and connections, to the end."""
        self.xero.keep(self.xero.refreshed().json())
        headers = {"Authorization": f"Bearer {self.xero.access}"}
        rows = self.xero.http.get("/connections", headers=headers).json()
        for key in (rows[0]["tenantId"], "nobody", rows[0]["id"]):
            self.xero.http.delete(f"/connections/{key}", headers=headers)
        self.xero.http.get("/connections")

    def all(self) -> Walk:
        """Everything, once."""
        hook = {"url": "http://127.0.0.1:9/hook", "key": "k"}
        assert self.xero.http.post("/sandbox/webhooks", json=hook).json()["state"] == "ok"
        self.hands()
        contact = self.contacts()
        invoice = self.invoices(contact)
        self.money(contact, invoice)
        self.tell()
        self.read()
        self.refusals()
        return self


def history() -> dict[str, Any]:
    return {"HistoryRecords": [{"Details": HOSTILE[0]}]}


def shown(findings: list[Finding]) -> str:
    return "\n".join(f"{f.place}: {f.what}: {f.shown}" for f in findings)


@pytest.mark.parametrize("number", range(1, 21 if FULL else 4))
@pytest.mark.parametrize("country", sorted(COUNTRIES))
def test_every_answer_is_as_published_but_for_what_real_xero_does(
    country: str, number: int, cases: Cases
) -> None:
    walk = Walk(country, number).all()
    walk.identity()
    cases(walk.watcher.answers)
    strange = unexpected(walk.watcher.found())
    assert not strange, shown(strange)


def test_every_listed_deviation_occurs(cases: Cases) -> None:
    walk = Walk("GB", 1).all()
    walk.identity()
    cases(len(DEVIATIONS))
    assert unused(DEVIATIONS, walk.watcher.found()) == []
    assert walk.told == {"", "CONTACT", "INVOICE", "CREDITNOTE", "OVERPAYMENT", "PREPAYMENT"}


@pytest.mark.parametrize("part", range(4))
def test_answers_are_as_published_whatever_is_true_of_what_nobody_knows(
    part: int, cases: Cases
) -> None:
    for name, value in OTHERWISE[part::4]:
        walk = Walk("GB", 1, Open(**{name: value})).all()
        walk.identity()
        cases(walk.watcher.answers)
        strange = unexpected(walk.watcher.found(), GUESSES)
        assert not strange, f"{name}={value}\n{shown(strange)}"


def test_every_guessed_deviation_occurs(cases: Cases) -> None:
    walk = Walk("GB", 1, Open(unmodified="not_modified", empty_answers="200")).all()
    walk.identity()
    cases(len(GUESSES))
    assert unused(GUESSES, walk.watcher.found()) == []


def test_the_page_of_deviations_is_current(cases: Cases) -> None:
    cases(len(DEVIATIONS) + len(GUESSES))
    check_current("schema-deviations.md", page(known()["from"]))


WRONG: dict[str, tuple[str, Any]] = {
    "a number as text": ("Invoice", {"Total": "4.00"}),
    "a boolean as text": ("Invoice", {"SentToContact": "true"}),
    "a boolean as a number": ("Pagination", {"page": True}),
    "no whole number": ("Pagination", {"page": Decimal("1.5")}),
    "null": ("Invoice", {"Reference": None}),
    "a field of nobody's": ("Invoice", {"Colour": "red"}),
    "a field far within": ("Invoice", {"LineItems": [{"Tracking": [{"Nmae": "x"}]}]}),
    "a status of nobody's": ("Invoice", {"Status": "SENT"}),
    "a currency of nobody's": ("Invoice", {"CurrencyCode": "GBp"}),
    "a date in ISO": ("Invoice", {"Date": "2026-11-22"}),
    "a day at noon": ("Invoice", {"Date": "/Date(1795348800000+0000)/"}),
    "an instant without slashes": ("Invoice", {"UpdatedDateUTC": "Date(0)"}),
    "an id that is none": ("Invoice", {"InvoiceID": "1"}),
    "an id without dashes": ("Invoice", {"InvoiceID": "0" * 32}),
    "a name too long": ("Contact", {"Name": "x" * 256}),
    "an object for a list": ("Invoice", {"LineItems": {}}),
    "a list for an object": ("Invoice", {"Contact": []}),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_as_published_is_found(what: str, cases: Cases) -> None:
    cases(1)
    word, value = WRONG[what]
    found = list(SHAPES.value(word, value, word))
    assert len(found) == 1
    assert unexpected(set(found)) == found


def test_nothing_is_found_in_what_is_as_published(cases: Cases) -> None:
    cases(1)
    good = {
        "Status": "PAID", "Total": 4, "Date": "/Date(-86400000)/", "Reference": HOSTILE[3],
        "UpdatedDateUTC": "/Date(1795343415250+0000)/", "InvoiceID": str(UUID(int=1)),
        "LineItems": [{"UnitAmount": Decimal("1.5")}], "CurrencyCode": "NZD",
    }  # fmt: skip
    assert list(SHAPES.value("Invoice", good, "Invoice")) == []


def test_an_address_or_a_status_of_nobodys_is_found(cases: Cases) -> None:
    cases(3)
    for method, path, status in (
        ("GET", "/api.xro/2.0/Quotations", 200),
        ("GET", "/api.xro/2.0/Invoices", 418),
        ("POST", "/api.xro/2.0/Invoices/x/Email", 200),
    ):
        assert unexpected(set(SHAPES.answer(method, path, status, {})))
