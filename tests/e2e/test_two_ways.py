"""Both ways on a phone: preview, edits, new bills, payments, voids, conflicts, a refusal, and back.

After each step Xero's books are read through the sandbox's own door and compared with ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect
from tests.e2e import hands
from tests.e2e.conftest import ARTEFACTS, Product, picture, sign_in
from tests.e2e.hands import Books, Row, assert_equal_books
from tests.e2e.test_story import allow_and_pick, press_connect, wait_for_import

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def shot(page: Page, name: str) -> None:
    """Keep a picture of this moment."""
    picture(page, ARTEFACTS / f"two-ways-{name}.png")


def begin(phone: Page, product: Product, business: str, invoices: int) -> Books:
    """Somebody of a new business, signed in on a phone; Xero has allowed nothing yet."""
    product.act("revoke")
    phone.set_default_timeout(20_000)
    email = f"{business.lower()}@example.com"
    product.person(email, business)
    sign_in(phone, product, email)
    return Books(product, email, business, f"Big Company ({invoices} invoices)")


def connect(phone: Page, books: Books) -> str:
    """Everything of the organisation arrives; the address of its page."""
    press_connect(phone, books.product)
    allow_and_pick(phone, books.organisation)
    wait_for_import(phone)
    phone.goto(f"{books.product.url}/settings/integrations/")
    phone.get_by_role("link", name=books.organisation).first.click()
    expect(phone.get_by_role("heading", level=1)).to_have_text(books.organisation)
    return phone.url


def agree(phone: Page, page: str) -> None:
    """Both ways, up to the preview: Xero's permission, and the defaults."""
    hands.go_two_way(phone, page)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Defaults for Xero")
    shot(phone, "01-defaults")
    hands.choose_defaults(phone)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Before you go bidirectional")


def go(phone: Page, books: Books, page: str) -> None:
    """Both ways, sending nothing now."""
    agree(phone, page)
    hands.press(phone, "Go bidirectional, send nothing now")
    expect(phone.get_by_text(f"{books.organisation} is bidirectional")).to_be_visible()


def unpaid(books: Books) -> Iterator[int]:
    """Bills from Xero in the own currency on which no money has come off."""
    for row in sorted(books.bills(status="active"), key=lambda row: str(row["number"])):
        whole = Decimal(row["outstanding"]) == Decimal(row["total"])
        if whole and row["currency"] == "GBP" and row["number"].startswith("INV"):
            yield int(row["id"])


def test_edits_payments_and_voids_reach_xero(product: Product, phone: Page) -> None:
    books = begin(phone, product, "Edits", 40)
    local = hands.new_bill(phone, books, hands.new_client(phone, books, "Nina New"), "L-1", "50")
    page = connect(phone, books)
    agree(phone, page)
    tick_and_confirm(phone, books, local)
    bills = unpaid(books)
    edit_and_pay(phone, books, next(bills))
    void(phone, books, next(bills))
    assert books.drift() == 0


def test_new_bills_and_conflicts_end_as_a_person_decides(product: Product, phone: Page) -> None:
    books = begin(phone, product, "Decides", 50)
    books.act("create-contact", name="Harbour Café", email="harbour@example.com")
    go(phone, books, connect(phone, books))
    bills = unpaid(books)
    create_in_xero(phone, books)
    send_mine(phone, books, next(bills))
    keep_xeros(phone, books, next(bills))
    assert books.drift() == 0


def test_a_refusal_is_tried_again_and_nothing_leaves_after_one_directional_or_disconnect(
    product: Product, phone: Page
) -> None:
    books = begin(phone, product, "Leaves", 30)
    page = connect(phone, books)
    go(phone, books, page)
    bills = unpaid(books)
    refused_then_retried(phone, books, next(bills))
    back_with_an_edit_waiting(phone, books, next(bills), page)
    bill = next(bills)
    nothing_leaves(phone, books, bill, page)
    assert books.drift() == 0
    nothing_is_asked_after_disconnect(phone, books, bill, page)


def tick_and_confirm(phone: Page, books: Books, local: int) -> None:
    """Of the preview, the bill that exists only here; nothing has been sent until then."""
    assert books.count("mutating") == 0
    phone.get_by_role("checkbox", name="Nina New").check()
    hands.press(phone, "Update the figures")
    expect(phone.get_by_role("button", name="Go bidirectional, send 2 changes")).to_be_visible()
    shot(phone, "02-preview")
    hands.press(phone, "Go bidirectional, send 2 changes")
    expect(phone.get_by_text(f"{books.organisation} is bidirectional")).to_be_visible()
    shot(phone, "03-bidirectional")
    _, invoice = assert_equal_books(books, local)
    assert invoice["Total"] == Decimal("60.00")
    sent = [(call["method"], call["path"].rsplit("/", 1)[1]) for call in books.writes()]
    assert sent == [("PUT", "Contacts"), ("PUT", "Invoices")]


def edit_and_pay(phone: Page, books: Books, bill: int) -> None:
    """A price, the due date and the reference; a part, the rest, and that taken back again."""
    before = books.invoice(books.bill(bill)["number"])
    hands.change_bill(
        phone, books, bill, Price="77.25", Due="2027-01-15", Reference="PO 99 / Ünï <b>"
    )
    _, invoice = assert_equal_books(books, bill)
    assert invoice["LineItems"][0]["UnitAmount"] == Decimal("77.25")
    assert invoice["Reference"] == "PO 99 / Ünï <b>"
    assert invoice["DueDateString"].startswith("2027-01-15")
    assert untouched(invoice) == untouched(before)
    phone.reload()
    shot(phone, "04-edited")
    hands.pay(phone, books, bill, "10.00")
    _, invoice = assert_equal_books(books, bill)
    assert (invoice["AmountPaid"], invoice["Status"]) == (Decimal("10.00"), "AUTHORISED")
    hands.pay(phone, books, bill)
    _, invoice = assert_equal_books(books, bill)
    assert (invoice["AmountDue"], invoice["Status"]) == (Decimal(0), "PAID")
    assert len(invoice["Payments"]) == 2
    phone.reload()
    shot(phone, "05-paid")
    phone.get_by_role("link", name="Remove").first.click()
    expect(phone.get_by_role("heading", name="Remove this payment?")).to_be_visible()
    shot(phone, "06-take-back")
    hands.press(phone, "Remove the payment")
    phone.wait_for_url(f"**/bills/{bill}/")
    _, invoice = assert_equal_books(books, bill)
    assert (len(invoice["Payments"]), invoice["Status"]) == (1, "AUTHORISED")


def untouched(invoice: Row) -> Row:
    """What an edit of a price, a date and a reference must leave as it was."""
    kept = ("Contact", "Date", "InvoiceNumber", "BrandingThemeID", "SentToContact", "CurrencyRate")
    lines = [(x["LineItemID"], x["Description"], x["Tracking"]) for x in invoice["LineItems"]]
    return {name: invoice.get(name) for name in kept} | {"lines": lines}


def void(phone: Page, books: Books, bill: int) -> None:
    """Here, and so in Xero."""
    phone.goto(f"{books.product.url}/bills/{bill}/")
    phone.get_by_role("link", name="Void this bill").click()
    hands.press(phone, "Void the bill")
    expect(phone.get_by_role("link", name="Void this bill")).to_have_count(0)
    _, invoice = assert_equal_books(books, bill)
    assert invoice["Status"] == "VOIDED"
    phone.goto(f"{books.product.url}/bills/{bill}/")
    shot(phone, "07-void")


def create_in_xero(phone: Page, books: Books) -> None:
    """A bill of a new client; and one whose client looks like a contact, which a person decides."""
    client = hands.new_client(phone, books, "Otto Öberg", "otto@example.com")
    bill = hands.new_bill(phone, books, client, "L-2", "19.99", also=True)
    _, invoice = assert_equal_books(books, bill)
    assert invoice["Contact"]["EmailAddress"] == "otto@example.com"
    client = hands.new_client(phone, books, "harbour café", "other@example.com")
    bill = hands.new_bill(phone, books, client, "L-3", "120", also=True)
    assert {item["state"] for item in books.settled(bill)["sync"]["items"]} == {"parked"}
    assert books.xero("Invoices/L-3") == []
    phone.reload()
    shot(phone, "08-lookalike")
    phone.get_by_role("radio", name="The same as Harbour Café").check()
    hands.press(phone, "Go on with this")
    expect(phone.get_by_text("Thank you.")).to_be_visible()
    _, invoice = assert_equal_books(books, bill)
    assert invoice["Contact"]["Name"] == "Harbour Café"
    contacts = [row["Name"] for row in books.xero("Contacts")]
    assert [name for name in contacts if "arbour" in name] == ["Harbour Café"]


def send_mine(phone: Page, books: Books, bill: int) -> None:
    """Both change the reference; the price that only we changed arrives; ours is sent after all."""
    number = books.bill(bill)["number"]
    books.act("edit-invoice", invoice=number, reference="Theirs", due_date="2026-12-24")
    hands.change_bill(phone, books, bill, Reference="Ours", Price="12.34")
    seen, invoice = assert_equal_books(books, bill)
    assert [row["unit"] for row in seen["sync"]["conflicts"]] == ["reference"]
    assert (seen["reference"], seen["due_on"]) == ("Theirs", "2026-12-24")
    assert invoice["LineItems"][0]["UnitAmount"] == Decimal("12.34")
    phone.reload()
    shot(phone, "09-overridden")
    hands.press(phone, "Send mine to Xero")
    expect(phone.get_by_text("Yours stands again")).to_be_visible()
    seen, invoice = assert_equal_books(books, bill)
    assert (invoice["Reference"], seen["sync"]["conflicts"]) == ("Ours", [])


def keep_xeros(phone: Page, books: Books, bill: int) -> None:
    """Both change a price; the reference that only we changed survives; Xero's price stays."""
    number = books.bill(bill)["number"]
    books.act("edit-line", invoice=number, line=0, unit_amount="500")
    hands.change_bill(phone, books, bill, Price="600", Reference="Survives")
    seen, _ = assert_equal_books(books, bill)
    assert [row["unit"] for row in seen["sync"]["conflicts"]] == ["lines"]
    phone.goto(f"{books.product.url}/settings/integrations/conflicts/")
    shot(phone, "10-list-of-overridden")
    hands.press(phone, "Keep Xero’s")
    expect(phone.get_by_text("Nothing is overridden")).to_be_visible()
    seen, invoice = assert_equal_books(books, bill)
    assert invoice["LineItems"][0]["UnitAmount"] == Decimal(500)
    assert (invoice["Reference"], seen["sync"]["conflicts"]) == ("Survives", [])


def refused_then_retried(phone: Page, books: Books, bill: int) -> None:
    """Xero takes no payment into an archived account, says so, and takes it once that is over."""
    books.act("archive-account", account="090")
    hands.pay(phone, books, bill, "5.00")
    (item,) = books.settled(bill)["sync"]["items"]
    assert (item["state"], item["error_code"]) == ("refused", "payment_account")
    phone.reload()
    expect(phone.get_by_text("Xero refused the payment of £5.00")).to_be_visible()
    expect(phone.get_by_text(item["xero_text"])).to_be_visible()
    shot(phone, "11-refused")
    phone.goto(f"{books.product.url}/settings/integrations/outbox/?state=refused")
    shot(phone, "12-list-of-refused")
    books.act("restore-account", account="090")
    phone.goto(f"{books.product.url}/bills/{bill}/")
    hands.press(phone, "Try again")
    _, invoice = assert_equal_books(books, bill)
    assert [payment["Amount"] for payment in invoice["Payments"]] == [Decimal("5.00")]
    phone.goto(f"{books.product.url}/bills/{bill}/")
    expect(phone.get_by_text("Xero refused")).to_have_count(0)


def back_with_an_edit_waiting(phone: Page, books: Books, bill: int, page: str) -> None:
    """Xero can't be reached; what waits is told, set aside and kept; Xero's values return."""
    number = books.bill(bill)["number"]
    before, calls = books.invoice(number), books.count("mutating")
    outage = books.fault(kind="offline", count=None)
    hands.change_bill(phone, books, bill, Reference="Waits here", Due="2027-02-02")
    assert [item["state"] for item in books.items(bill)] == ["waiting"]
    shot(phone, "13-waiting")
    phone.goto(f"{page}one-way/")
    expect(phone.get_by_text("1 change has not left yet")).to_be_visible()
    shot(phone, "14-one-way")
    hands.press(phone, "Only read from now on")
    expect(phone.get_by_text(f"{books.organisation} is one-directional now")).to_be_visible()
    books.heal(outage)
    seen, invoice = assert_equal_books(books, bill)
    assert (invoice, books.count("mutating")) == (before, calls)
    assert sorted(row["unit"] for row in seen["sync"]["conflicts"]) == ["due_on", "reference"]
    phone.goto(f"{books.product.url}/bills/{bill}/")
    expect(phone.get_by_text("Waits here").first).to_be_visible()
    shot(phone, "15-set-aside")


def try_everything(phone: Page, books: Books, bill: int, page: str) -> None:
    """By page, by API and at a terminal: what would change Xero, or ask it, if it could."""
    phone.goto(f"{books.product.url}/bills/{bill}/edit/")
    books.call("PATCH", f"/bills/{bill}", {"reference": "By the API"})
    books.call("POST", f"/bills/{bill}/payments", {"amount": "1.00", "on": "2026-11-22"})
    books.call("POST", f"/bills/{bill}/retry")
    books.call("POST", f"/bills/{bill}/void")
    identity = re.findall(r"\d+", page)[-1]
    books.call("POST", f"/organisations/{identity}/sync")
    books.product.attempt("sync", "--organisation", books.organisation)


def nothing_leaves(phone: Page, books: Books, bill: int, page: str) -> None:
    """One-directional: reading goes on, and not one call changes anything in Xero."""
    writes, calls = books.count("mutating"), books.count("total")
    number = books.bill(bill)["number"]
    invoice = books.invoice(number)
    try_everything(phone, books, bill, page)
    expect(phone.get_by_role("heading", level=1)).to_have_text("This bill is kept in Xero")
    shot(phone, "16-locked")
    assert books.count("total") > calls
    assert (books.count("mutating"), books.invoice(number)) == (writes, invoice)


def nothing_is_asked_after_disconnect(phone: Page, books: Books, bill: int, page: str) -> None:
    """The bills stay and may change; Xero hears nothing of it, and is not even asked."""
    phone.goto(f"{page}disconnect/")
    shot(phone, "17-disconnect")
    hands.press(phone, "Disconnect, keep my bills")
    expect(phone.get_by_role("button", name="Connect again")).to_be_visible()
    number = books.bill(bill)["number"]
    calls, invoice = books.count("total"), books.invoice(number)
    try_everything(phone, books, bill, page)
    hands.change_bill(phone, books, bill, Reference="Only here now")
    hands.pay(phone, books, bill, "1.00")
    shot(phone, "18-parted")
    phone.goto(f"{books.product.url}/settings/integrations/")
    assert (books.count("total"), books.invoice(number)) == (calls, invoice)
    assert books.bill(bill)["reference"] == "Only here now"
