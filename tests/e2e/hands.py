"""Hands of people in both books, and eyes that compare them, for the stories of both ways.

`Books` reads ours by the API and Xero's by the sandbox's own door, which costs no call.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx2
from playwright.sync_api import Locator, Page, expect
from tests.e2e.conftest import Product

Row = dict[str, Any]
UNDER_WAY = {"waiting", "sending", "unsure"}


@dataclass
class Books:
    """One business's bills and one organisation's invoices, side by side."""

    product: Product
    email: str
    business: str
    organisation: str
    tenant: str = field(init=False)
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        rows = httpx2.get(f"{self.product.xero}/sandbox/organisations", trust_env=False).json()
        self.tenant = next(row["tenant"] for row in rows if row["name"] == self.organisation)
        words = ("token", "create", "--user", self.email, "--business", self.business)
        told = json.loads(self.product.command(*words, "--name", "hands", "--json"))
        self.headers = {"authorization": f"Bearer {told['token']}"}

    # --- ours ----------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Row | None = None) -> httpx2.Response:
        """One call of our API."""
        return httpx2.request(
            method,
            f"{self.product.url}/api/v1{path}",
            json=body,
            headers=self.headers,
            trust_env=False,
            timeout=30,
        )

    def get(self, path: str) -> Row:
        """What our API tells."""
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def bills(self, **wanted: str) -> list[Row]:
        """Our bills, at most 200."""
        query = "&".join(f"{name}={value}" for name, value in wanted.items())
        return list(self.get(f"/bills?limit=200&{query}")["items"])

    def bill(self, pk: int) -> Row:
        """One bill, whole."""
        return self.get(f"/bills/{pk}")

    def by_number(self, number: str) -> Row:
        """One bill, whole, by its number."""
        return self.bill(next(row["id"] for row in self.bills(search=number)))

    def items(self, pk: int) -> list[Row]:
        """What of a bill has not reached Xero."""
        return list(self.bill(pk)["sync"]["items"])

    def until(self, met: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """Wait for something that the worker does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = met()
            if found:
                return found
            time.sleep(0.25)
        raise AssertionError(f"It took too long: {what}")

    def settled(self, pk: int) -> Row:
        """The bill once nothing of it is on its way any more."""
        self.until(
            lambda: not {item["state"] for item in self.items(pk)} & UNDER_WAY,
            f"bill {pk} reaches Xero: {self.items(pk)}",
        )
        return self.bill(pk)

    def drift(self) -> int:
        """How many fields of all bills differ from Xero, as the product's own check counts."""
        told = self.product.command("verify", "--organisation", self.organisation, "--json")
        return int(json.loads(told)["drift"])

    # --- Xero's --------------------------------------------------------------------------------

    def xero(self, path: str) -> list[Row]:
        """What is in Xero: `xero("Invoices/INV-0001")`."""
        url = f"{self.product.xero}/sandbox/books/{self.tenant}/{path}"
        answer = httpx2.get(url, trust_env=False, timeout=30)
        if answer.status_code == 404:
            return []
        whole = json.loads(answer.content, parse_float=Decimal)
        return next(rows for rows in whole.values() if isinstance(rows, list))

    def invoice(self, number: str) -> Row:
        """The one invoice of this number."""
        (found,) = self.xero(f"Invoices/{number}")
        return dict(found)

    def act(self, action: str, **body: object) -> Row:
        """Do something as the Xero user."""
        return self.product.act(action, tenant=self.tenant, **body)

    def fault(self, **rule: object) -> str:
        """Make the local Xero misbehave for this organisation; the rule's id."""
        url = f"{self.product.xero}/sandbox/faults"
        answer = httpx2.post(url, json={"tenant": self.tenant, **rule}, trust_env=False)
        assert answer.status_code < 300, answer.text
        return str(answer.json()["id"])

    def heal(self, rule: str) -> None:
        """Switch that rule off."""
        httpx2.delete(f"{self.product.xero}/sandbox/faults/{rule}", trust_env=False)

    def count(self, name: str) -> int:
        """How many calls this organisation saw: "total" or "mutating"."""
        counts = httpx2.get(f"{self.product.xero}/sandbox/counts", trust_env=False).json()
        return int(counts.get(self.tenant, {}).get(name, 0))

    def writes(self) -> list[Row]:
        """The writes that this organisation saw, oldest first."""
        log = httpx2.get(f"{self.product.xero}/sandbox/log", trust_env=False).json()
        return [e for e in reversed(log) if e["mutating"] and e["tenant"] == self.tenant]


# --- the same in both books --------------------------------------------------------------------


def ours(bill: Row) -> Row:
    """A bill in plain words, for comparing."""
    return {
        "number": bill["number"],
        "reference": bill["reference"],
        "issued": bill["issued_on"],
        "due": bill["due_on"],
        "currency": bill["currency"],
        "status": bill["status"],
        "total": Decimal(bill["total"]),
        "tax": Decimal(bill["tax_total"]),
        "paid": Decimal(bill["paid"]),
        "outstanding": Decimal(bill["outstanding"]),
        "payments": sorted(
            (Decimal(p["amount"]), p["on"]) for p in bill["payments"] if p["kind"] == "payment"
        ),
        "lines": [
            (
                line["description"],
                Decimal(line["quantity"] or 0),
                Decimal(line["unit_amount"] or 0),
                Decimal(line["line_amount"]),
                Decimal(line["tax_amount"]),
                line["tax_type"],
                line["account_code"],
            )
            for line in bill["lines"]
        ],
    }


STATUS = {"DRAFT": "draft", "AUTHORISED": "active", "PAID": "paid", "VOIDED": "void"}


def theirs(invoice: Row) -> Row:
    """An invoice in the same words."""
    return {
        "number": invoice["InvoiceNumber"],
        "reference": invoice["Reference"],
        "issued": invoice["DateString"][:10],
        "due": invoice["DueDateString"][:10],
        "currency": invoice["CurrencyCode"],
        "status": STATUS[invoice["Status"]],
        "total": Decimal(invoice["Total"]),
        "tax": Decimal(invoice["TotalTax"]),
        "paid": Decimal(invoice["AmountPaid"]),
        "outstanding": Decimal(invoice["AmountDue"]),
        "payments": sorted(
            (Decimal(p["Amount"]), day_of(p["Date"])) for p in invoice.get("Payments", ())
        ),
        "lines": [
            (
                line["Description"],
                Decimal(line.get("Quantity", 0)),
                Decimal(line.get("UnitAmount", 0)),
                Decimal(line["LineAmount"]),
                Decimal(line.get("TaxAmount", 0)),
                line.get("TaxType", ""),
                line.get("AccountCode", ""),
            )
            for line in invoice["LineItems"]
        ],
    }


def day_of(stamp: str) -> str:
    """/Date(1763769600000+0000)/ as a day."""
    milliseconds = int(re.findall(r"-?\d+", stamp)[0])
    return time.strftime("%Y-%m-%d", time.gmtime(milliseconds / 1000))


def assert_equal_books(books: Books, pk: int) -> tuple[Row, Row]:
    """Bill and invoice say the same, to the cent and in every field; both, for looking closer."""
    bill = books.settled(pk)
    assert bill["sync"]["items"] == []
    invoice = books.invoice(bill["number"])
    assert ours(bill) == theirs(invoice)
    client = books.get(f"/clients/{bill['client']['id']}")
    assert client["contact_id"] == invoice["Contact"]["ContactID"]
    return bill, invoice


# --- in the browser ----------------------------------------------------------------------------


def entry(page: Page, label: str) -> Locator:
    """The first field of this label, optional or not."""
    return page.get_by_label(re.compile(f"^{re.escape(label)}( \\(optional\\))?$")).first


def press(page: Page, name: str) -> None:
    """Press the first button of this name."""
    page.get_by_role("button", name=name).first.click()


def change_bill(page: Page, books: Books, pk: int, **fields: str) -> None:
    """Edit a bill: labels with underscores -> what is typed. `Price` is that of line 1."""
    page.goto(f"{books.product.url}/bills/{pk}/edit/")
    for label, text in fields.items():
        entry(page, label.replace("_", " ")).fill(text)
    press(page, "Save changes")
    page.wait_for_url(f"**/bills/{pk}/")


def new_client(page: Page, books: Books, name: str, email: str = "") -> int:
    """Enter a client; its id."""
    page.goto(f"{books.product.url}/clients/new/")
    entry(page, "Name").fill(name)
    entry(page, "E-mail").fill(email)
    press(page, "Save client")
    page.wait_for_url(re.compile(r"/clients/\d+/$"))
    return int(page.url.rstrip("/").rsplit("/", 1)[1])


def new_bill(
    page: Page, books: Books, client: int, number: str, price: str, *, also: bool = False
) -> int:
    """Enter a bill of one line and make it active; its id. `also`: create it in Xero, too."""
    page.goto(f"{books.product.url}/bills/new/?client={client}")
    entry(page, "Bill number").fill(number)
    entry(page, "Description").fill("Guitar lessons")
    entry(page, "Price").fill(price)
    percent = page.get_by_label("Tax %", exact=True)
    if percent.count():  # else the organisation's own tax rate is chosen already
        percent.first.fill("20")
    if also:
        page.get_by_label(f"Yes, in {books.organisation}").check()
    press(page, "Save and make active")
    page.wait_for_url(re.compile(r"/bills/\d+/$"))
    return int(page.url.rstrip("/").rsplit("/", 1)[1])


def pay(page: Page, books: Books, pk: int, amount: str = "") -> None:
    """Record a payment, of all that is outstanding unless told."""
    page.goto(f"{books.product.url}/bills/{pk}/payments/new/")
    if amount:
        entry(page, "Amount received").fill(amount)
    press(page, "Record payment")
    page.wait_for_url(f"**/bills/{pk}/")


def go_two_way(page: Page, organisation_page: str) -> None:
    """Ask for both ways, and let Xero allow it."""
    page.goto(organisation_page)
    page.get_by_role("radio", name=re.compile("Bidirectional")).check()
    press(page, "Change direction")
    allow(page)


def allow(page: Page) -> None:
    """At Xero: every organisation, and yes."""
    expect(page.get_by_role("button", name="Allow access")).to_be_visible()
    for box in page.get_by_role("checkbox").all():
        box.check()
    press(page, "Allow access")


def choose_defaults(page: Page) -> None:
    """The first account and tax rate that fit, and payments sent to Xero."""
    entry(page, "Account for sales").select_option("200")
    entry(page, "Tax rate").select_option("OUTPUT2")
    page.get_by_role("switch", name=re.compile("Send payments")).check()
    page.get_by_label(re.compile("^GBP payments")).select_option(index=1)
    press(page, "Save and go on")
