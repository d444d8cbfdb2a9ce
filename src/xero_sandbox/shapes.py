"""Xero's JSON, exactly as each endpoint shows it (3.8, 4.1 to 4.6).

Amounts keep trailing zeros as raw Xero text does (``4.00``); dates are ``/Date(ms+0000)/``.
"""

from calendar import timegm
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import msgspec

from xero_sandbox.countries import COUNTRIES
from xero_sandbox.model import (
    Account,
    Allocation,
    Contact,
    Credit,
    CreditNote,
    Document,
    Invoice,
    Line,
    Note,
    Organisation,
    Payment,
    Prepayment,
    TaxRate,
    Theme,
)
from xero_sandbox.store import Ledger

Json = dict[str, Any]
to_json = msgspec.json.Encoder(decimal_format="number").encode
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEPS = [Decimal(1).scaleb(-places) for places in range(11)]
"""The smallest amount with so many decimal places."""
MONEY_KEYS = ("Payments", "CreditNotes", "Prepayments", "Overpayments")
ODD = "13579bdf"
PHONES = ("DDI", "DEFAULT", "FAX", "MOBILE")


def stamp(moment: datetime) -> str:
    """An instant: ``/Date(ms+0000)/`` (3.9)."""
    return f"/Date({(moment - EPOCH) // timedelta(milliseconds=1)}+0000)/"


@lru_cache(maxsize=10_000)
def day(value: date) -> str:
    """A business date: midnight UTC of the calendar day (3.9)."""
    return f"/Date({timegm(value.timetuple()) * 1000}+0000)/"


@lru_cache(maxsize=10_000)
def day_string(value: date) -> str:
    """The readable twin of a business date: no zone (3.9)."""
    return f"{value.isoformat()}T00:00:00"


def stamp_string(moment: datetime) -> str:
    """``UpdatedDateUTCString``: ISO, seconds, ``Z`` (3.7)."""
    return f"{moment.isoformat()[:19]}Z"


def rounded(value: Decimal, places: int) -> Decimal:
    """Round half away from zero (3.11)."""
    return value.quantize(STEPS[places], ROUND_HALF_UP)


def invoice_json(ledger: Ledger, invoice: Invoice, variant: str, places: int) -> Json:
    """An invoice; ``variant`` is list, unpaged, summary, single or written (3.8)."""
    row: Json = {
        "Type": invoice.type,
        "InvoiceID": invoice.id,
        "InvoiceNumber": invoice.number,
        "Reference": invoice.reference,
        "Payments": payments_inside(ledger, invoice),
        **credits_inside(ledger, invoice),
        "AmountDue": invoice.amount_due,
        "AmountPaid": invoice.amount_paid,
        "AmountCredited": invoice.amount_credited,
        "SentToContact": invoice.sent,
        "CurrencyRate": rounded(invoice.rate, 10),
        "IsDiscounted": invoice.total_discount > 0,
        "HasAttachments": False,
        "HasErrors": False,
        "InvoicePaymentServices": [],
        **document_json(ledger, invoice, variant, places),
    }
    if invoice.total_discount:
        row["TotalDiscount"] = invoice.total_discount
    if invoice.url:
        row["Url"] = invoice.url
    if invoice.expected_on:
        row["ExpectedPaymentDate"] = day(invoice.expected_on)
    if invoice.cis:
        row["CISDeduction"] = invoice.cis
    if variant == "single":
        _as_single(row, ledger, invoice)
    elif variant == "written":
        _as_written(row, ledger, invoice)
    else:
        row["InvoiceAddresses"] = []
    if variant == "summary":
        for key in ("Payments", "HasAttachments", "LineItems", "CISDeduction"):
            row.pop(key, None)
    return _as_answered(row, ledger, invoice, variant)


def _as_answered(row: Json, ledger: Ledger, invoice: Invoice, variant: str) -> Json:
    """What the open questions change of an invoice's shape (3.8)."""
    answers = ledger.open
    if invoice.status == "VOIDED" and answers.void_amount_due == "total":
        row["AmountDue"] = invoice.total
    base = invoice.currency == ledger.organisation.currency
    listed = variant in ("list", "unpaged", "summary")
    if answers.currency_rate == "sometimes" and listed and base and invoice.id[0] in ODD:
        del row["CurrencyRate"]
    for key in () if answers.empty_arrays == "as_recorded" else MONEY_KEYS:
        if answers.empty_arrays == "omitted" and not row.get(key):
            row.pop(key, None)
        elif answers.empty_arrays == "empty" and variant != "summary":
            row.setdefault(key, [])
    return row


def _as_single(row: Json, ledger: Ledger, invoice: Invoice) -> None:
    """One by id leaves out empty Payments and CreditNotes and shows the whole contact (3.8)."""
    for key in ("Payments", "CreditNotes"):
        if not row[key]:
            del row[key]
    row["Attachments"] = []
    contact = ledger.contacts.get(invoice.contact_id)
    if contact:
        row["Contact"] = contact_json(ledger, contact, "single")


def _as_written(row: Json, ledger: Ledger, invoice: Invoice) -> None:
    """The answer to a write leaves out more, and a voided one still shows its debt (3.8)."""
    for key in ("Payments", "CreditNotes", "AmountCredited", "HasAttachments"):
        del row[key]
    contact = ledger.contacts.get(invoice.contact_id)
    if contact:
        row["Contact"] = contact_json(ledger, contact, "single")
    if invoice.status == "VOIDED":
        row["AmountDue"] = invoice.total


def document_json(ledger: Ledger, document: Document, variant: str, places: int) -> Json:
    """What invoices and credit notes share."""
    lines = [line_json(line, variant, places) for line in document.lines]
    row: Json = {
        "Contact": contact_inside(ledger, document.contact_id),
        "DateString": day_string(document.date),
        "Date": day(document.date),
        "Status": document.status,
        "LineAmountTypes": document.line_amount_types,
        "LineItems": [] if variant == "unpaged" else lines,
        "SubTotal": document.sub_total,
        "TotalTax": document.total_tax,
        "Total": document.total,
        "UpdatedDateUTC": stamp(document.updated),
        "UpdatedDateUTCString": stamp_string(document.updated),
        "CurrencyCode": document.currency,
    }
    if document.due_date:
        row["DueDateString"] = day_string(document.due_date)
        row["DueDate"] = day(document.due_date)
    if document.theme_id:
        row["BrandingThemeID"] = document.theme_id
    if document.fully_paid_on:
        row["FullyPaidOnDate"] = day(document.fully_paid_on)
    return row


def line_json(line: Line, variant: str, places: int) -> Json:
    """One line; a description-only line has no quantity, price, account or tax type."""
    row: Json = {"LineItemID": line.id, "Description": line.description}
    if line.quantity is not None and line.unit_amount is not None:
        row["Quantity"] = rounded(line.quantity, 4)
        row["UnitAmount"] = rounded(line.unit_amount, places)
        if line.account_code:
            row["AccountCode"] = line.account_code
        if line.tax_type:
            row["TaxType"] = line.tax_type
    if line.discount_rate is not None:
        row["DiscountRate"] = rounded(line.discount_rate, 2)
    if line.discount_amount is not None:
        row["DiscountAmount"] = rounded(line.discount_amount, 2)
    if line.item_code:
        row["ItemCode"] = line.item_code
    row["TaxAmount"] = line.tax_amount
    row["LineAmount"] = line.line_amount
    row["Tracking"] = [
        {
            "Name": name,
            "Option": option,
            "TrackingCategoryID": tracking_id(name),
            "Options": [],
        }
        for name, option in line.tracking
    ]
    if variant == "written":
        row["Tracking"] = []
    if variant in ("single", "written"):
        row["ValidationErrors"] = []
    return row


@cache
def tracking_id(name: str) -> str:
    """A tracking category's id, made from its name."""
    return str(uuid5(NAMESPACE_OID, name))


def payments_inside(ledger: Ledger, invoice: Invoice) -> list[Json]:
    """Payments shown on an invoice: no status, no account; deleted ones are absent (3.8)."""
    ids = ledger.payments_of.get(invoice.id)
    if not ids:
        return []
    payments = [ledger.payments.rows[i] for i in ids]
    return [
        {
            "PaymentID": payment.id,
            "Date": day(payment.date),
            "Amount": payment.amount,
            "Reference": payment.reference,
            "CurrencyRate": rounded(payment.rate, 10),
            "HasAccount": False,
            "HasValidationErrors": False,
        }
        for payment in sorted(payments, key=lambda p: (p.date, p.id))
        if payment.status != "DELETED"
    ]


def credits_inside(ledger: Ledger, invoice: Invoice) -> dict[str, list[Json]]:
    """Credits allocated to an invoice, by kind, with the amount applied (3.8)."""
    rows: dict[str, list[Json]] = {"CreditNotes": [], "Prepayments": [], "Overpayments": []}
    for credit_id in sorted(ledger.credits_of.get(invoice.id, ())):
        credit = ledger.credit(credit_id)
        if credit is None:
            continue
        applied = [a for a in credit.allocations if a.invoice_id == invoice.id]
        rows[f"{kind_of(credit)}s"] += [_credit_inside(credit, part) for part in applied]
    return rows


def kind_of(credit: Credit) -> str:
    """CreditNote, Overpayment or Prepayment."""
    return type(credit).__name__


def _credit_inside(note: Credit, allocation: Allocation) -> Json:
    named: Json = {}
    if isinstance(note, CreditNote):
        named = {"CreditNoteNumber": note.number, "HasErrors": False}
    return {
        f"{kind_of(note)}ID": note.id,
        **named,
        "ID": note.id,
        "AppliedAmount": allocation.amount,
        "DateString": day_string(allocation.date),
        "Date": day(allocation.date),
        "LineItems": [],
        "Total": note.total,
    }


def contact_inside(ledger: Ledger, contact_id: str) -> Json:
    """The summary of a contact inside a list row."""
    contact = ledger.contacts.get(contact_id)
    return {
        "ContactID": contact_id,
        "Name": contact.name if contact else "",
        "Addresses": [],
        "Phones": [],
        "ContactGroups": [],
        "ContactPersons": [],
        "HasValidationErrors": False,
    }


def contact_json(ledger: Ledger, contact: Contact, variant: str) -> Json:
    """A contact; merges show only in paged lists and single reads (4.4)."""
    types = {ledger.invoices.rows[i].type for i in ledger.invoices_of.get(contact.id, ())}
    row: Json = {
        "ContactID": contact.id,
        "ContactStatus": contact.status,
        "Name": contact.name,
        "FirstName": contact.first_name,
        "LastName": contact.last_name,
        "EmailAddress": contact.email,
        "BankAccountDetails": "",
        "Addresses": addresses_json(contact),
        "Phones": phones_json(contact),
        "UpdatedDateUTC": stamp(contact.updated),
        "ContactGroups": [],
        "ContactPersons": [
            {
                "FirstName": person.first_name,
                "LastName": person.last_name,
                "EmailAddress": person.email,
                "IncludeInEmails": person.included,
            }
            for person in contact.persons
        ],
        "IsSupplier": "ACCPAY" in types,
        "IsCustomer": "ACCREC" in types,
        "HasAttachments": False,
        "HasValidationErrors": False,
    }
    if contact.number:
        row["ContactNumber"] = contact.number
    if contact.tax_number:
        row["TaxNumber"] = contact.tax_number
    if contact.default_currency:
        row["DefaultCurrency"] = contact.default_currency
    if contact.merged_to and variant != "unpaged":
        row["MergedToContactID"] = contact.merged_to
    return row


def addresses_json(contact: Contact) -> list[Json]:
    """POBOX then STREET, as recorded (4.4)."""
    empty = {"City": "", "Region": "", "PostalCode": "", "Country": ""}
    street = {"AddressType": "STREET", "AddressLine1": contact.address, **empty}
    street |= {"City": contact.city, "PostalCode": contact.postcode, "Country": contact.country}
    return [{"AddressType": "POBOX", **empty, **contact.postal}, street | contact.street]


def phones_json(contact: Contact) -> list[Json]:
    """Always the four kinds of phone (4.4)."""
    return [
        {
            "PhoneType": kind,
            "PhoneNumber": contact.phone if kind == "DEFAULT" else contact.phones.get(kind, ""),
            "PhoneAreaCode": "",
            "PhoneCountryCode": "",
        }
        for kind in PHONES
    ]


def payment_json(ledger: Ledger, payment: Payment) -> Json:
    """A payment with its account and the invoice that it pays (4.1)."""
    invoice = ledger.invoices.rows[payment.invoice_id]
    account = ledger.organisation.account(payment.account_code)
    row: Json = {
        "PaymentID": payment.id,
        "Date": day(payment.date),
        "BankAmount": payment.bank_amount or rounded(payment.amount / payment.rate, 2),
        "Amount": payment.amount,
        "Reference": payment.reference,
        "CurrencyRate": rounded(payment.rate, 10),
        "PaymentType": payment.type,
        "Status": payment.status,
        "UpdatedDateUTC": stamp(payment.updated),
        "UpdatedDateUTCString": stamp_string(payment.updated),
        "HasAccount": account is not None,
        "IsReconciled": payment.reconciled,
        "Invoice": {
            "Type": invoice.type,
            "InvoiceID": invoice.id,
            "InvoiceNumber": invoice.number,
            "Payments": [],
            "CreditNotes": [],
            "Prepayments": [],
            "Overpayments": [],
            "IsDiscounted": False,
            "InvoiceAddresses": [],
            "HasErrors": False,
            "InvoicePaymentServices": [],
            "Contact": contact_inside(ledger, invoice.contact_id),
            "LineItems": [],
            "CurrencyCode": invoice.currency,
        },
        "HasValidationErrors": False,
    }
    if account:
        row["Account"] = {"AccountID": account.id, "Code": account.code}
    return row


def credit_note_json(ledger: Ledger, note: CreditNote, variant: str, places: int) -> Json:
    """A credit note with its allocations; ``ID`` repeats the id (4.2)."""
    return {
        "CreditNoteID": note.id,
        "CreditNoteNumber": note.number,
        "ID": note.id,
        "Payments": [],
        "HasErrors": False,
        "CurrencyRate": rounded(note.rate, 10),
        "Type": note.type,
        "Reference": note.reference,
        "SentToContact": note.sent,
        "RemainingCredit": note.remaining,
        "Allocations": [allocation_json(ledger, part) for part in note.allocations],
        "HasAttachments": False,
        **document_json(ledger, note, variant, places),
    }


def prepaid_json(ledger: Ledger, credit: Credit, variant: str, places: int) -> Json:
    """An overpayment or prepayment; a prepayment repeats its reference as a number (4.2)."""
    row: Json = {
        f"{kind_of(credit)}ID": credit.id,
        "ID": credit.id,
        "Type": credit.type,
        "Reference": credit.reference,
        "CurrencyRate": rounded(credit.rate, 10),
        "RemainingCredit": credit.remaining,
        "Allocations": [allocation_json(ledger, part) for part in credit.allocations],
        "Payments": [],
        "HasAttachments": False,
        **document_json(ledger, credit, variant, places),
    }
    if isinstance(credit, Prepayment):
        row["InvoiceNumber"] = credit.reference
    return row


def allocation_json(ledger: Ledger, part: Allocation) -> Json:
    """A part of a credit set against an invoice."""
    invoice = ledger.invoices.rows[part.invoice_id]
    return {
        "AllocationID": part.id,
        "Amount": part.amount,
        "Date": day(part.date),
        "Invoice": {"InvoiceID": invoice.id, "InvoiceNumber": invoice.number, "LineItems": []},
        "IsDeleted": False,
    }


def organisation_json(organisation: Organisation) -> Json:
    """The organisation (4.6)."""
    end_day, end_month = organisation.financial_year_end
    row: Json = {
        "OrganisationID": organisation.organisation_id,
        "Name": organisation.name,
        "LegalName": organisation.legal_name,
        "PaysTax": True,
        "Version": organisation.version,
        "OrganisationType": "COMPANY",
        "BaseCurrency": organisation.currency,
        "CountryCode": organisation.country,
        "IsDemoCompany": organisation.is_demo,
        "OrganisationStatus": "ACTIVE",
        "TaxNumber": organisation.tax_number,
        "FinancialYearEndDay": end_day,
        "FinancialYearEndMonth": end_month,
        "SalesTaxBasis": "PAYMENTS",
        "SalesTaxPeriod": COUNTRIES[organisation.country].tax_period,
        "DefaultSalesTax": "Remember previous",
        "DefaultPurchasesTax": "Remember previous",
        "CreatedDateUTC": stamp(organisation.created),
        "OrganisationEntityType": "COMPANY",
        "Timezone": organisation.timezone,
        "ShortCode": organisation.short_code,
        "Class": "DEMO" if organisation.is_demo else "GROW",
        "Edition": "BUSINESS",
        "Addresses": [],
        "Phones": [],
        "ExternalLinks": [],
        "PaymentTerms": {},
    }
    if organisation.switches.period_lock_date:
        row["PeriodLockDate"] = day(organisation.switches.period_lock_date)
    if organisation.switches.end_of_year_lock_date:
        row["EndOfYearLockDate"] = day(organisation.switches.end_of_year_lock_date)
    return row


def actions_json(ledger: Ledger) -> list[Json]:
    """What the organisation's plan and the user's role allow (4.6)."""
    switches = ledger.organisation.switches
    allowed = {
        "CreateApprovedInvoice": not switches.approval_limit_reached,
        "CreateDraftInvoice": True,
        "UseMulticurrency": len(ledger.organisation.currencies) > 1,
        "ApproveTransactionsBeforePeriodLockDate": False,
    }
    return [
        {"Name": name, "Status": "ALLOWED" if yes else "NOT-ALLOWED"}
        for name, yes in allowed.items()
    ]


def account_json(account: Account, updated: datetime) -> Json:
    """One account (4.3)."""
    row: Json = {
        "AccountID": account.id,
        "Code": account.code,
        "Name": account.name,
        "Status": account.status,
        "Type": account.type,
        "TaxType": account.tax_type,
        "Class": account.account_class,
        "EnablePaymentsToAccount": account.payments,
        "ShowInExpenseClaims": False,
        "ReportingCode": "",
        "HasAttachments": False,
        "UpdatedDateUTC": stamp(updated),
        "AddToWatchlist": False,
    }
    if account.system_account:
        row["SystemAccount"] = account.system_account
    if account.type == "BANK":
        row |= {"BankAccountNumber": "0908007654321", "BankAccountType": "BANK"}
        row["CurrencyCode"] = account.currency
    return row


def tax_rate_json(rate: TaxRate) -> Json:
    """One tax rate (4.5); "no tax" goes with every account."""
    other = not rate.revenue or rate.report_type == "NONE"
    return {
        "Name": rate.name,
        "TaxType": rate.tax_type,
        "ReportTaxType": rate.report_type,
        "CanApplyToAssets": other,
        "CanApplyToEquity": other,
        "CanApplyToExpenses": other,
        "CanApplyToLiabilities": other,
        "CanApplyToRevenue": rate.revenue,
        "DisplayTaxRate": rounded(rate.rate, 4),
        "EffectiveRate": rounded(rate.rate, 4),
        "Status": rate.status,
        "TaxComponents": [
            {
                "Name": rate.name,
                "Rate": rounded(rate.rate, 4),
                "IsCompound": False,
                "IsNonRecoverable": False,
            }
        ],
    }


def theme_json(theme: Theme, created: datetime) -> Json:
    """One branding theme (4.5)."""
    return {
        "BrandingThemeID": theme.id,
        "Name": theme.name,
        "LogoUrl": "",
        "Type": "INVOICE",
        "SortOrder": theme.sort_order,
        "CreatedDateUTC": stamp(created),
    }


def note_json(note: Note) -> Json:
    """A note in a document's history; its readable stamp has no zone (3.12)."""
    return {
        "Changes": "Note",
        "DateUTCString": note.updated.strftime("%Y-%m-%dT%H:%M:%S"),
        "DateUTC": stamp(note.updated),
        "User": "System Generated",
        "Details": note.details,
    }


def envelope(
    plural: str,
    rows: Iterable[bytes],
    now: datetime,
    request_id: str,
    provider: str,
    pagination: dict[str, int] | None,
) -> bytes:
    """Wrap rendered rows: Id, Status, ProviderName, DateTimeUTC, pagination, rows (3.8)."""
    head: Json = {
        "Id": request_id,
        "Status": "OK",
        "ProviderName": provider,
        "DateTimeUTC": stamp(now).replace("+0000", ""),
    }
    if pagination:
        head["pagination"] = pagination
    key = to_json(plural)
    return b"".join([to_json(head)[:-1], b",", key, b":[", b",".join(rows), b"]}"])
