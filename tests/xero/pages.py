"""Answers as Xero gives them (xero-facts 3.8), to bend and break."""

from __future__ import annotations

import json
from typing import Any

INVOICE_ID = "243216c5-369e-4056-ac67-05388f86dc81"
CONTACT_ID = "025867f1-d741-4d6b-b1af-9ac774b59ba7"
LINE_ID = "52208ff9-528a-4985-a9ad-b2b1d4210e38"
PAYMENT_ID = "0d666415-cf77-43fa-80c7-56775591d426"
STAMP = "/Date(1763807415987+0000)/"


def invoice(**changed: Any) -> dict[str, Any]:
    """One sales invoice in the shape of a paged list; None takes a key away."""
    said: dict[str, Any] = {
        "Type": "ACCREC",
        "InvoiceID": INVOICE_ID,
        "InvoiceNumber": "INV-0042",
        "Reference": "PO 7 <b>",
        "Payments": [{"PaymentID": PAYMENT_ID, "Date": "/Date(1763769600000+0000)/", "Amount": 50}],
        "CreditNotes": [],
        "Prepayments": [],
        "Overpayments": [],
        "AmountDue": 250.00,
        "AmountPaid": 50.00,
        "AmountCredited": 0.00,
        "CurrencyRate": 1.0,
        "Contact": {"ContactID": CONTACT_ID, "Name": "Łódź & Sons", "Addresses": []},
        "DateString": "2025-11-22T00:00:00",
        "Date": "/Date(1763769600000+0000)/",
        "DueDate": "/Date(1764547200000+0000)/",
        "Status": "AUTHORISED",
        "LineAmountTypes": "Exclusive",
        "LineItems": [
            {
                "LineItemID": LINE_ID,
                "Description": "Hull paint",
                "Quantity": 1.0,
                "UnitAmount": 250.0,
                "LineAmount": 250.0,
                "TaxAmount": 50.0,
                "TaxType": "OUTPUT2",
                "AccountCode": "200",
                "Tracking": [{"Name": "Region", "Option": "North", "Options": []}],
            }
        ],
        "SubTotal": 250.00,
        "TotalTax": 50.00,
        "Total": 300.00,
        "UpdatedDateUTC": STAMP,
        "CurrencyCode": "GBP",
        "SentToContact": True,
        "InvoicePaymentServices": [],
    }
    said.update(changed)
    return {key: value for key, value in said.items() if value is not None}


def page(rows: list[Any], name: str = "Invoices", **changed: Any) -> dict[str, Any]:
    """A page with consistent figures."""
    said = {
        "Id": "b1b2c3d4-0000-4000-8000-000000000000",
        "Status": "OK",
        "ProviderName": "JustPayMe",
        "DateTimeUTC": "/Date(1763807415987)/",
        "pagination": {"page": 1, "pageSize": 1000, "pageCount": 1, "itemCount": len(rows)},
        name: rows,
    }
    said.update(changed)
    return {key: value for key, value in said.items() if value is not None}


def encoded(said: object) -> bytes:
    """As bytes on the wire."""
    return json.dumps(said).encode()
