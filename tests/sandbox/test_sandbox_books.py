"""Shapes, seeded books and the money in them: xero-facts 3.8, 3.11, 4.1 to 4.6."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.sandbox.client import NOW, Xero

from xero_sandbox import Store
from xero_sandbox.countries import COUNTRIES
from xero_sandbox.model import CreditNote, Invoice
from xero_sandbox.rules import cents
from xero_sandbox.seed import big_organisation, demo_company, seed
from xero_sandbox.shapes import day, stamp
from xero_sandbox.store import Ledger


@pytest.fixture
def ledgers(xero: Xero) -> list[Ledger]:
    return list(xero.sandbox.store.ledgers.values())


@pytest.fixture
def abroad() -> dict[str, Ledger]:
    """The demo companies of the other countries."""
    store = Store()
    codes = COUNTRIES.keys() - {"GB", "NZ"}
    return {code: store.ledgers[demo_company(store, 1, NOW, code)] for code in codes}


def documents(ledger: Ledger) -> list[Invoice | CreditNote]:
    return [*ledger.invoices.rows.values(), *ledger.credit_notes.rows.values()]


def test_uk_and_nz_companies_have_what_a_sync_must_cope_with(ledgers: list[Ledger]) -> None:
    uk, nz = ledgers
    assert (uk.organisation.currency, uk.organisation.timezone) == ("GBP", "GMTSTANDARDTIME")
    assert (nz.organisation.currency, nz.organisation.timezone) == (
        "NZD",
        "NEWZEALANDSTANDARDTIME",
    )
    kinds = [Counter(i.type for i in x.invoices.rows.values()) for x in ledgers]
    assert kinds == [{"ACCREC": 60, "ACCPAY": 8}, {"ACCREC": 25, "ACCPAY": 4}]
    for ledger in ledgers:
        statuses = {i.status for i in ledger.invoices.rows.values() if i.type == "ACCREC"}
        assert statuses == {"DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "VOIDED", "DELETED"}
        assert {i.currency for i in ledger.invoices.rows.values()} > {"EUR"}
        assert any(p.type == "ACCPAYPAYMENT" for p in ledger.payments.rows.values())
        assert any(i.updated.year == 2010 for i in ledger.invoices.rows.values())


def test_special_stories_are_there(ledgers: list[Ledger]) -> None:
    uk = ledgers[0]
    sales = [i for i in uk.invoices.rows.values() if i.type == "ACCREC"]
    by_credit = [i for i in sales if i.status == "PAID" and i.amount_paid == 0]
    assert len(by_credit) == 1
    assert by_credit[0].amount_credited == by_credit[0].total
    assert {i.line_amount_types for i in sales} == {"Exclusive", "Inclusive", "NoTax"}
    assert any(i.total_discount > 0 for i in sales)
    assert any(line.quantity is None for i in sales for line in i.lines)
    assert any(line.tracking for i in sales for line in i.lines)
    assert max(len(uk.payments_of[i.id]) for i in sales) == 3
    assert any(i.due_date and i.due_date < NOW.date() and i.amount_due > 0 for i in sales)
    archived = {c.id for c in uk.contacts.rows.values() if c.status == "ARCHIVED"}
    assert any(i.contact_id in archived and i.amount_due > 0 for i in sales)
    stamps = Counter(i.updated for i in sales)
    assert max(stamps.values()) > 1
    names = "".join(c.name for c in uk.contacts.rows.values())
    assert all(sign in names for sign in ("'", "ש", "🎉", "=SUM", "株"))
    assert max(len(c.name) for c in uk.contacts.rows.values()) > 200


def test_every_country_uses_tax_rates_and_accounts_that_it_has(abroad: dict[str, Ledger]) -> None:
    assert len(abroad) == 4
    for code, ledger in abroad.items():
        company = ledger.organisation
        rates = {rate.tax_type: rate.rate for rate in company.tax_rates}
        lines = [line for d in documents(ledger) for line in d.lines if line.tax_type]
        assert {line.tax_type for line in lines} <= rates.keys(), code
        assert rates[company.default_tax] == COUNTRIES[code].rate
        assert all(company.account(line.account_code or "") for line in lines)
        assert {d.currency for d in documents(ledger)} == set(company.currencies)
        assert len(company.currencies) == 2


def test_every_document_adds_up(ledgers: list[Ledger], abroad: dict[str, Ledger]) -> None:
    for document in (d for ledger in [*ledgers, *abroad.values()] for d in documents(ledger)):
        lines = sum((line.line_amount for line in document.lines), Decimal(0))
        tax = sum((line.tax_amount for line in document.lines), Decimal(0))
        assert document.total_tax == tax
        assert document.total == document.sub_total + tax
        inclusive = document.line_amount_types == "Inclusive"
        assert lines == (document.total if inclusive else document.sub_total)


def test_every_invoice_is_paid_as_far_as_its_payments_say(ledgers: list[Ledger]) -> None:
    for ledger in ledgers:
        for invoice in ledger.invoices.rows.values():
            payments = [ledger.payments.rows[p] for p in ledger.payments_of[invoice.id]]
            paid = sum((p.amount for p in payments if p.status != "DELETED"), Decimal(0))
            credited = sum(
                (
                    part.amount
                    for note in ledger.credit_notes.rows.values()
                    for part in note.allocations
                    if part.invoice_id == invoice.id
                ),
                Decimal(0),
            )
            assert (invoice.amount_paid, invoice.amount_credited) == (paid, credited)
            if invoice.status in ("AUTHORISED", "PAID"):
                assert invoice.total == invoice.amount_due + paid + credited
                assert (invoice.status == "PAID") == (invoice.amount_due == 0)
            assert (invoice.fully_paid_on is not None) == (invoice.status == "PAID")


def test_nothing_is_stamped_in_the_future(ledgers: list[Ledger]) -> None:
    for ledger in ledgers:
        records = [*documents(ledger), *ledger.payments.rows.values()]
        assert max(r.updated for r in records) < NOW
        assert max(c.updated for c in ledger.contacts.rows.values()) < NOW


def test_the_same_seed_gives_the_same_books() -> None:
    first, second, other = Store(), Store(), Store()
    seed(first, 7, NOW)
    seed(second, 7, NOW)
    seed(other, 8, NOW)
    assert [x.invoices.rows for x in first.ledgers.values()] == [
        x.invoices.rows for x in second.ledgers.values()
    ]
    assert set(first.ledgers) != set(other.ledgers)


def test_a_big_organisation_has_as_many_invoices_as_asked() -> None:
    store = Store()
    tenant = big_organisation(store, 1, NOW, 500)
    rows = store.ledgers[tenant].invoices.rows.values()
    assert len(rows) == 500
    assert len({i.number for i in rows}) == 500


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [("1.045", "1.05"), ("3.759", "3.76"), ("-1.045", "-1.05"), ("2.5", "2.50")],
)
def test_halves_round_away_from_zero(amount: str, rounded: str) -> None:
    assert str(cents(Decimal(amount))) == rounded


def test_dates_on_the_wire() -> None:
    assert day(datetime(2026, 9, 14, tzinfo=UTC).date()) == "/Date(1789344000000+0000)/"
    moment = datetime(2010, 3, 14, 9, 26, 53, 590_000, tzinfo=UTC)
    assert stamp(moment) == "/Date(1268558813590+0000)/"
    assert stamp(datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)) == "/Date(-1+0000)/"


def test_shape_of_a_list_row(connected: Xero) -> None:
    rows = connected.get("Invoices", page="1", pageSize="1000").json()["Invoices"]
    row = next(r for r in rows if r["InvoiceNumber"] == "INV-0001")
    assert {
        "Type", "InvoiceID", "InvoiceNumber", "Reference", "Payments", "CreditNotes",
        "Prepayments", "Overpayments", "AmountDue", "AmountPaid", "AmountCredited",
        "SentToContact", "CurrencyRate", "IsDiscounted", "HasAttachments", "HasErrors",
        "InvoicePaymentServices", "Contact", "DateString", "Date", "DueDateString", "DueDate",
        "BrandingThemeID", "Status", "LineAmountTypes", "LineItems", "SubTotal", "TotalTax",
        "Total", "UpdatedDateUTC", "UpdatedDateUTCString", "CurrencyCode", "InvoiceAddresses",
    } <= set(row)  # fmt: skip
    assert row["DateString"].endswith("T00:00:00")
    assert row["UpdatedDateUTCString"].endswith("Z")
    assert set(row["Contact"]) == {
        "ContactID", "Name", "Addresses", "Phones", "ContactGroups", "ContactPersons",
        "HasValidationErrors",
    }  # fmt: skip


def test_shape_of_one_invoice(connected: Xero) -> None:
    rows = connected.get("Invoices", Statuses="DRAFT").json()["Invoices"]
    (one,) = connected.get(f"Invoices/{rows[0]['InvoiceID']}").json()["Invoices"]
    assert "Payments" not in one
    assert "CreditNotes" not in one
    assert one["Prepayments"] == one["Attachments"] == []
    assert len(one["Contact"]["Phones"]) == 4
    assert all(line["ValidationErrors"] == [] for line in one["LineItems"])


def test_payments_inside_an_invoice_have_no_status_and_no_account(connected: Xero) -> None:
    rows = connected.get("Invoices", Statuses="PAID", pageSize="1000").json()["Invoices"]
    payments = [p for r in rows for p in r["Payments"]]
    assert payments
    for payment in payments:
        assert payment["HasAccount"] is False
        assert "Status" not in payment
        assert "Account" not in payment


def test_deleted_payments_are_absent_from_the_invoice_but_listed(connected: Xero) -> None:
    (payment,) = connected.get("Payments", where='Status=="DELETED"').json()["Payments"]
    (invoice,) = connected.get(f"Invoices/{payment['Invoice']['InvoiceID']}").json()["Invoices"]
    assert "Payments" not in invoice


def test_numbers_keep_their_zeros(connected: Xero) -> None:
    text = connected.get("Invoices", page="1").text
    assert '"CurrencyRate":1.0000000000' in text
    assert '"Quantity":0.5000' in text
    body = json.loads(text, parse_float=str)
    assert all(len(r["Total"].split(".")[1]) == 2 for r in body["Invoices"])


def test_credit_notes_show_allocations_and_invoices_show_credits(connected: Xero) -> None:
    notes = connected.get("CreditNotes", page="1").json()["CreditNotes"]
    assert len(notes) == 4
    part = next(n for n in notes if n["Allocations"])["Allocations"][0]
    (invoice,) = connected.get(f"Invoices/{part['Invoice']['InvoiceID']}").json()["Invoices"]
    assert invoice["CreditNotes"][0]["AppliedAmount"] == part["Amount"]
    for note in notes:
        assert note["ID"] == note["CreditNoteID"]
        allocated = sum(Decimal(str(a["Amount"])) for a in note["Allocations"])
        assert Decimal(str(note["Total"])) - allocated == Decimal(str(note["RemainingCredit"]))


def test_settings_endpoints(connected: Xero) -> None:
    (organisation,) = connected.get("Organisation").json()["Organisations"]
    assert organisation["BaseCurrency"] == "GBP"
    assert organisation["IsDemoCompany"] is True
    assert "PeriodLockDate" not in organisation
    accounts = connected.get("Accounts").json()["Accounts"]
    banks = [a for a in accounts if a["Type"] == "BANK"]
    assert all(a["EnablePaymentsToAccount"] is False for a in banks)
    assert any(a["EnablePaymentsToAccount"] for a in accounts)
    rates = connected.get("TaxRates").json()["TaxRates"]
    sales = [r for r in rates if r["Status"] == "ACTIVE" and r["CanApplyToRevenue"]]
    assert {r["TaxType"] for r in sales} == {
        "OUTPUT2", "ZERORATEDOUTPUT", "EXEMPTOUTPUT", "NONE",
    }  # fmt: skip
    assert connected.get("BrandingThemes").json()["BrandingThemes"][0]["Name"] == "Standard"
    codes = [c["Code"] for c in connected.get("Currencies", "NZ").json()["Currencies"]]
    assert codes == ["NZD", "EUR"]


def test_stamps_are_spread_over_the_last_months(ledgers: list[Ledger]) -> None:
    recent = {i.updated for i in ledgers[0].invoices.rows.values() if i.updated.year > 2010}
    assert max(recent) - min(recent) > timedelta(days=60)
