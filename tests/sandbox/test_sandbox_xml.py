"""Bodies in XML, as older clients send them, do what the same JSON does."""

from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.client import Xero

from xero_sandbox import xml_bodies

HOSTILE = "O'Brien &amp; Söhne &lt;b&gt; 🎉 ]]&gt;"
PLAIN = "O'Brien & Söhne <b> 🎉 ]]>"
LINES = (
    f"<LineItems><LineItem><Description>{HOSTILE}</Description><Quantity>2</Quantity>"
    "<UnitAmount>19.99</UnitAmount><AccountCode>200</AccountCode><TaxType>OUTPUT2</TaxType>"
    "</LineItem><LineItem><Description>Words</Description></LineItem></LineItems>"
)
XML = {"Content-Type": "application/xml"}


def send(writer: Xero, path: str, body: str, method: str = "PUT") -> Any:
    return writer.write(method, path, body, headers=XML)


def invoice(contact: str, more: str = "") -> str:
    who = f"<Contact><ContactID>{contact}</ContactID></Contact>"
    return f"<Invoice><Type>ACCREC</Type>{who}{LINES}{more}</Invoice>"


@pytest.fixture
def contact(writer: Xero) -> str:
    """A contact's id."""
    return str(writer.get("Contacts").json()["Contacts"][0]["ContactID"])


def test_an_invoice_in_xml_is_kept_as_written(writer: Xero, contact: str) -> None:
    more = "<SentToContact>true</SentToContact><Status>AUTHORISED</Status>"
    answer = send(writer, "Invoices", invoice(contact, f"{more}<DueDate>2026-12-24</DueDate>"))
    assert answer.status_code == 200, answer.text
    row = writer.get(f"Invoices/{answer.json()['Invoices'][0]['InvoiceID']}").json()["Invoices"][0]
    assert [line["Description"] for line in row["LineItems"]] == [PLAIN, "Words"]
    assert (row["Total"], row["SentToContact"]) == (47.98, True)
    assert row["DueDateString"] == "2026-12-24T00:00:00"


def test_a_list_in_xml_saves_each_of_its_elements(writer: Xero, contact: str) -> None:
    body = f"<Invoices>{invoice(contact)}{invoice(contact)}</Invoices>"
    assert len(send(writer, "Invoices", body).json()["Invoices"]) == 2


def test_xml_changes_only_what_it_names(writer: Xero, contact: str) -> None:
    made = send(writer, "Invoices", invoice(contact)).json()["Invoices"][0]
    change = f"<Invoice><InvoiceID>{made['InvoiceID']}</InvoiceID><Reference>{HOSTILE}</Reference>"
    answer = send(writer, "Invoices", f"{change}</Invoice>", "POST")
    row = answer.json()["Invoices"][0]
    assert (row["Reference"], row["Total"]) == (PLAIN, made["Total"])


def test_a_refusal_of_xml_echoes_it(writer: Xero, contact: str) -> None:
    answer = send(writer, "Invoices", invoice(contact, "<CurrencyCode>XXX</CurrencyCode>"))
    assert answer.status_code == 400
    assert answer.json()["Elements"][0]["LineItems"][0]["Description"] == PLAIN


@pytest.mark.parametrize(
    "body",
    [
        "<Invoice>",
        "<",
        "<Invoice/>",
        "<Invoices/>",
        "<Invoices></Invoices>",
        "<Invoices><Contact/></Invoices>",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><Invoice><Reference>&a;</Reference></Invoice>',
        "<?xml version='1.0' encoding='klingon'?><Invoice><Type>ACCREC</Type></Invoice>",
        "<a>" * 500 + "</a>" * 500,
        "<Invoice><LineItems>text</LineItems><LineItems><Line/></LineItems></Invoice>",
        "<Invoice><SentToContact>perhaps</SentToContact></Invoice>",
    ],
)
def test_what_is_no_xml_of_an_invoice_is_refused(writer: Xero, body: str) -> None:
    answer = send(writer, "Invoices", body)
    assert (answer.status_code, answer.json()["ErrorNumber"]) in ((400, 14), (400, 10))


def test_namespaces_and_attributes_mean_nothing() -> None:
    body = b"<?xml version='1.0'?><x:Contact xmlns:x='urn:a' b='c'><x:Name>Ada</x:Name></x:Contact>"
    assert xml_bodies.read(body, "Contacts") == {"Name": "Ada"}


def test_a_payment_in_xml_pays(writer: Xero, contact: str) -> None:
    done = "<Status>AUTHORISED</Status><DueDate>2026-12-24T00:00:00</DueDate>"
    made = send(writer, "Invoices", invoice(contact, done)).json()["Invoices"][0]
    what = f"<Invoice><InvoiceID>{made['InvoiceID']}</InvoiceID></Invoice>"
    account = "<Account><Code>090</Code></Account>"
    body = f"<Payment>{what}{account}<Amount>7.98</Amount><Date>2026-11-22</Date></Payment>"
    paid = send(writer, "Payments", body).json()["Payments"][0]
    row = writer.get(f"Invoices/{made['InvoiceID']}").json()["Invoices"][0]
    assert Decimal(str(row["AmountDue"])) == Decimal("40.00")
    gone = send(
        writer,
        f"Payments/{paid['PaymentID']}",
        "<Payment><Status>DELETED</Status></Payment>",
        "POST",
    )
    assert gone.json()["Payments"][0]["Status"] == "DELETED"


def test_an_allocation_in_xml_calls_its_amount_otherwise(writer: Xero, contact: str) -> None:
    done = "<Status>AUTHORISED</Status><DueDate>2026-12-24</DueDate>"
    made = send(writer, "Invoices", invoice(contact, done)).json()["Invoices"][0]
    given = {"contact": contact, "amount": "20.00", "tax_type": "NONE"}
    note = writer.act("give-credit", tenant=writer.tenant(), **given).json()
    what = f"<Invoice><InvoiceID>{made['InvoiceID']}</InvoiceID></Invoice>"
    body = f"<Allocation>{what}<AppliedAmount>12.50</AppliedAmount></Allocation>"
    answer = send(writer, f"CreditNotes/{note['CreditNoteID']}/Allocations", body)
    assert answer.json()["Allocations"][0]["Amount"] == 12.5
