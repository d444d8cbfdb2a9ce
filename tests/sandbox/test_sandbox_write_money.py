"""Writing payments, allocations and contacts: facts 3.5, 3.12, 4.1, 4.2, 4.4."""

import pytest
from tests.sandbox.client import Xero
from tests.sandbox.test_sandbox_write_invoices import (
    UK,
    ZERO,
    contact,
    pay,
    put,
    read,
    refusal,
    refused,
)

from xero_sandbox import FrozenClock
from xero_sandbox.checks import (
    ARCHIVED_EDIT,
    NO_ACCOUNT,
    NO_DOCUMENT,
    NOT_AUTHORISED,
    NOT_FOUND,
    NUMBER_CLASH,
    TOO_MUCH,
)
from xero_sandbox.model import CreditNote

NOBODY = "11111111-2222-4333-8444-555555555555"


def payment(invoice: dict, **more: object) -> dict:
    target = {"InvoiceID": invoice["InvoiceID"]}
    return {"Invoice": target, "Account": {"Code": "090"}, "Amount": 20, **more}


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_payment_moves_the_invoice(writer: Xero, clock: FrozenClock, method: str) -> None:
    """4.1, 3.2: amounts, status and stamp."""
    made = put(writer)
    clock.advance(9)
    answer = writer.write(method, "Payments", payment(made, Date="2026-11-20", Reference="BACS"))
    row = answer.json()["Payments"][0]
    assert (row["PaymentType"], row["Status"]) == ("ACCRECPAYMENT", "AUTHORISED")
    assert (row["Amount"], row["Reference"]) == (20, "BACS")
    after = read(writer, made)
    assert (after["AmountPaid"], after["AmountDue"]) == (20, 100)
    assert after["UpdatedDateUTC"] == row["UpdatedDateUTC"] != made["UpdatedDateUTC"]
    pay(writer, made, "100")
    paid = read(writer, made)
    assert (paid["Status"], paid["AmountDue"]) == ("PAID", 0)
    assert paid["FullyPaidOnDate"] == "/Date(1795305600000+0000)/"


def test_a_deleted_payment_opens_the_invoice_again(writer: Xero) -> None:
    """4.1."""
    made = put(writer)
    path = f"Payments/{pay(writer, made, '120')['PaymentID']}"
    gone = writer.write("POST", path, {"Status": "DELETED"}).json()["Payments"][0]
    assert gone["Status"] == "DELETED"
    after = read(writer, made)
    assert (after["Status"], after["AmountDue"]) == ("AUTHORISED", 120)
    assert "Payments" not in after
    assert "FullyPaidOnDate" not in after
    assert refusal(writer.write("POST", path, {"Status": "DELETED"})) == [NOT_FOUND]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"Status": "DELETED", "Amount": 1}, "Only Status accepted for updates."),
        ({"Reference": "x"}, "Only Status accepted for updates."),
        ({"Status": "AUTHORISED"}, "The payment status can only be changed to DELETED."),
    ],
)
def test_payments_are_never_updated(writer: Xero, body: dict, text: str) -> None:
    made = pay(writer, put(writer), "5")
    assert refusal(writer.write("POST", f"Payments/{made['PaymentID']}", body)) == [text]
    assert writer.write("POST", f"Payments/{NOBODY}", {"Status": "DELETED"}).status_code == 404


@pytest.mark.parametrize(
    ("more", "texts"),
    [
        ({"Amount": "120.01"}, [TOO_MUCH]),
        ({"Amount": 0}, ["The payment amount must be greater than zero"]),
        ({"Amount": None}, ["The payment amount must be greater than zero"]),
        ({"Account": None}, [NO_ACCOUNT]),
        ({"Account": {}}, [NO_ACCOUNT]),
        ({"Account": {"Code": "200"}}, ["Account code '200' is not a valid code"]),
        ({"Invoice": {"InvoiceID": NOBODY}}, [NOT_FOUND]),
        ({"Invoice": {"InvoiceNumber": "INV-9999"}}, [NO_DOCUMENT]),
        ({"Invoice": None}, [NO_DOCUMENT]),
        ({"CreditNote": {"CreditNoteID": NOBODY}}, ["A payment can be made against one"]),
        ({"BankAmount": -1}, ["The BankAmount must be greater"]),
    ],
)
def test_payments_are_refused_in_xeros_words(writer: Xero, more: dict, texts: list) -> None:
    """4.1."""
    made = put(writer)
    answer = writer.write("PUT", "Payments", payment(made, **more))
    shown = refusal(answer)
    assert len(shown) == len(texts)
    assert all(given.startswith(text) for given, text in zip(shown, texts, strict=True))
    echo = answer.json()["Elements"][0]
    assert (echo["PaymentID"], echo["HasValidationErrors"]) == (ZERO, True)
    assert read(writer, made)["AmountDue"] == 120


def test_a_payment_of_a_paid_invoice_gives_both_texts(writer: Xero) -> None:
    """4.1."""
    made = put(writer)
    pay(writer, made, "120")
    assert refusal(writer.write("PUT", "Payments", payment(made))) == [TOO_MUCH, NOT_AUTHORISED]


def test_many_payments_each_say_for_themselves(writer: Xero) -> None:
    made = put(writer)
    rows = [payment(made, Amount=100), payment(made, Amount=100)]
    answer = writer.write("PUT", "Payments", {"Payments": rows}, summarizeErrors="false")
    good, bad = answer.json()["Payments"]
    assert (good["StatusAttributeString"], bad["StatusAttributeString"]) == ("OK", "ERROR")
    assert read(writer, made)["AmountPaid"] == 100


def test_payments_by_account_id_number_and_bank_amount(writer: Xero) -> None:
    made = put(writer, CurrencyCode="EUR")
    accounts = writer.get("Accounts").json()["Accounts"]
    owner = next(a for a in accounts if a["Code"] == "881")
    given = {
        "Invoice": {"InvoiceNumber": made["InvoiceNumber"]},
        "Account": {"AccountID": owner["AccountID"]},
        "Amount": 60,
        "BankAmount": "51.17",
        "IsReconciled": True,
    }
    row = writer.write("PUT", "Payments", given).json()["Payments"][0]
    assert (row["BankAmount"], row["CurrencyRate"], row["IsReconciled"]) == (51.17, 1.172562, True)
    assert row["Account"]["Code"] == "881"
    path = f"Payments/{row['PaymentID']}"
    writer.assume(reconciled="refused")
    assert "reconciled" in refusal(writer.write("POST", path, {"Status": "DELETED"}))[0]
    writer.assume(reconciled="removable")
    assert writer.write("POST", path, {"Status": "DELETED"}).status_code == 200


def test_no_payment_in_a_locked_period(writer: Xero) -> None:
    """4.6."""
    made = put(writer)
    row = pay(writer, made, "5")
    writer.act("switch", tenant=UK, period_lock_date="2026-11-30")
    assert "period lock date" in refusal(writer.write("PUT", "Payments", payment(made)))[0]
    answer = writer.write("POST", f"Payments/{row['PaymentID']}", {"Status": "DELETED"})
    assert "period lock date" in refusal(answer)[0]


def free_credit(xero: Xero) -> CreditNote:
    rows = xero.sandbox.store.ledgers[xero.tenant()].credit_notes.rows.values()
    return next(note for note in rows if not note.allocations)


def test_a_credit_note_is_allocated_and_taken_back(writer: Xero) -> None:
    """4.2."""
    note = free_credit(writer)
    made = put(writer, Contact={"ContactID": note.contact_id})
    path = f"CreditNotes/{note.id}/Allocations"
    body = {"Amount": "60", "Invoice": {"InvoiceID": made["InvoiceID"]}}
    part = writer.write("PUT", path, body).json()["Allocations"][0]
    after = read(writer, made)
    assert (after["AmountCredited"], after["AmountDue"], after["AmountPaid"]) == (60, 60, 0)
    assert refused(writer, made, Contact={"ContactID": contact(writer).id})
    shown = writer.get(f"CreditNotes/{note.id}").json()["CreditNotes"][0]
    assert [p["AllocationID"] for p in shown["Allocations"]] == [part["AllocationID"]]
    assert writer.get(path).status_code == 404
    (gone,) = writer.write("DELETE", f"{path}/{part['AllocationID']}").json()["Allocations"]
    assert (gone["IsDeleted"], "Amount" in gone) == (True, False)
    after = read(writer, made)
    assert (after["AmountCredited"], after["AmountDue"], after["Status"]) == (0, 120, "AUTHORISED")
    assert "CreditNotes" not in after
    assert writer.write("DELETE", f"{path}/{part['AllocationID']}").status_code == 404
    assert free_credit(writer).status == "AUTHORISED"


def test_an_invoice_paid_by_credit_was_paid_nothing(writer: Xero) -> None:
    """4.2: PAID with AmountPaid 0."""
    note = free_credit(writer)
    line = {"UnitAmount": str(note.remaining), "AccountCode": "200", "TaxType": "NONE"}
    made = put(writer, Contact={"ContactID": note.contact_id}, LineItems=[line])
    body = {"Amount": str(note.remaining), "Invoice": {"InvoiceID": made["InvoiceID"]}}
    writer.write("PUT", f"CreditNotes/{note.id}/Allocations", body)
    after = read(writer, made)
    assert (after["Status"], after["AmountPaid"], after["AmountDue"]) == ("PAID", 0, 0)


@pytest.mark.parametrize(
    ("amount", "invoice"), [("999", None), ("0", None), ("1", NOBODY), ("1", "other")]
)
def test_wrong_allocations_change_nothing(writer: Xero, amount: str, invoice: str | None) -> None:
    note = free_credit(writer)
    made = put(writer, Contact={"ContactID": note.contact_id})
    target = put(writer)["InvoiceID"] if invoice == "other" else invoice or made["InvoiceID"]
    body = {"Amount": amount, "Invoice": {"InvoiceID": target}}
    assert refusal(writer.write("PUT", f"CreditNotes/{note.id}/Allocations", body))
    assert free_credit(writer) == note


def test_addresses_phones_and_tax_number_come_back(writer: Xero) -> None:
    """4.4: both addresses and every kind of phone."""
    postal = {"AddressLine1": "PO Box 1", "AddressLine2": "Søndre gate", "City": "Hull"}
    street = {"AddressLine1": "1 Way", "AddressLine3": "Back door", "Region": "East"}
    given = {
        "Name": "Everywhere",
        "TaxNumber": "GB 123",
        "Phones": [{"PhoneType": k, "PhoneNumber": k.lower()} for k in ("MOBILE", "DEFAULT")],
        "Addresses": [
            {"AddressType": "POBOX", **postal},
            {"AddressType": "STREET", **street},
        ],
    }
    made = writer.write("PUT", "Contacts", given).json()["Contacts"][0]
    path = f"Contacts/{made['ContactID']}"
    row = writer.get(path).json()["Contacts"][0]
    assert row["TaxNumber"] == "GB 123"
    phones = {p["PhoneType"]: p["PhoneNumber"] for p in row["Phones"]}
    assert phones == {"DDI": "", "DEFAULT": "default", "FAX": "", "MOBILE": "mobile"}
    addresses = {a["AddressType"]: a for a in row["Addresses"]}
    assert addresses["POBOX"] | postal == addresses["POBOX"]
    assert addresses["STREET"] | street == addresses["STREET"]
    writer.write("POST", path, {"Addresses": [{"AddressType": "POBOX", "City": "York"}]})
    row = writer.get(path).json()["Contacts"][0]
    addresses = {a["AddressType"]: a for a in row["Addresses"]}
    assert (addresses["POBOX"]["City"], "AddressLine2" in addresses["POBOX"]) == ("York", False)
    assert addresses["STREET"]["Region"] == "East"


def test_a_new_contact(writer: Xero) -> None:
    """4.4, 3.8: the answer is the whole contact."""
    given = {
        "Name": "Døner & Söhne",
        "ContactNumber": "JPM-1",
        "EmailAddress": "a@example.com",
        "Phones": [{"PhoneType": "DEFAULT", "PhoneNumber": "123"}],
        "Addresses": [{"AddressType": "STREET", "AddressLine1": "1 Way", "City": "Hull"}],
        "ContactPersons": [{"FirstName": "Bob", "IncludeInEmails": True}],
    }
    made = writer.write("PUT", "Contacts", given).json()["Contacts"][0]
    assert (made["Name"], made["ContactNumber"]) == ("Døner & Söhne", "JPM-1")
    assert (len(made["Phones"]), made["Addresses"][1]["City"]) == (4, "Hull")
    again = writer.get("Contacts/JPM-1").json()["Contacts"][0]
    assert again["ContactPersons"] == made["ContactPersons"] != []
    later = writer.write("POST", "Contacts", {"ContactNumber": "JPM-1", "FirstName": "Ann"})
    row = later.json()["Contacts"][0]
    assert (row["ContactID"], row["ContactPersons"]) == (made["ContactID"], made["ContactPersons"])


def test_a_name_in_use_is_refused_by_put_and_matched_by_post(writer: Xero) -> None:
    """4.4: letter case and accents do not count."""
    name = "CAFE ZOË – nandu S.L."
    answer = writer.write("PUT", "Contacts", {"Name": name})
    assert refusal(answer) == [
        f"The contact name {name} is already assigned to another contact."
        " The contact name must be unique across all active contacts."
    ]
    echo = answer.json()["Elements"][0]
    assert (echo["ContactID"], echo["HasValidationErrors"]) == (ZERO, True)
    answer = writer.write("POST", "Contacts", {"Name": name})
    assert answer.json()["Contacts"][0]["ContactID"] == contact(writer, name).id


def test_a_contact_number_stays_reserved(writer: Xero) -> None:
    """4.4: also by an archived contact."""
    archived = contact(writer, "Closed Shop (archived)")
    ledger = writer.sandbox.store.ledgers[writer.tenant()]
    old = writer.write("PUT", "Contacts", {"Name": "Old", "ContactNumber": "N1"})
    old_id = old.json()["Contacts"][0]["ContactID"]
    writer.write("POST", f"Contacts/{old_id}", {"ContactStatus": "ARCHIVED"})
    assert ledger.contacts.rows[old_id].status == archived.status == "ARCHIVED"
    answer = writer.write("PUT", "Contacts", {"Name": "New", "ContactNumber": "N1"})
    assert refusal(answer) == [NUMBER_CLASH]
    other = contact(writer).id
    answer = writer.write("POST", f"Contacts/{other}", {"ContactNumber": "N1"})
    assert refusal(answer) == [NUMBER_CLASH]
    answer = writer.write("POST", f"Contacts/{old_id}", {"ContactStatus": "ACTIVE"})
    assert refusal(answer) == [ARCHIVED_EDIT]


@pytest.mark.parametrize(
    "body",
    [
        {"Name": ""},
        {"FirstName": "only"},
        {"Name": "x" * 256},
        {"Name": "a <b>"},
        {"Name": "fine", "ContactNumber": "9" * 51},
        {"Name": "fine", "ContactPersons": [{"FirstName": str(n)} for n in range(6)]},
        {"ContactID": NOBODY, "Name": "fine"},
    ],
)
def test_wrong_contacts_are_refused(writer: Xero, body: dict) -> None:
    ledger = writer.sandbox.store.ledgers[writer.tenant()]
    before = len(ledger.contacts.rows)
    assert refusal(writer.write("POST", "Contacts", body))
    assert len(ledger.contacts.rows) == before


def test_history_notes_stay(writer: Xero, clock: FrozenClock) -> None:
    """3.12."""
    made = put(writer)
    path = f"Invoices/{made['InvoiceID']}/History"
    assert writer.get(path).json()["HistoryRecords"] == []
    clock.advance(1)
    for text in ("first שלום", "second"):
        answer = writer.write("PUT", path, {"HistoryRecords": [{"Details": text}]})
        assert answer.json()["HistoryRecords"][0]["Details"] == text
        clock.advance(1)
    rows = writer.get(path).json()["HistoryRecords"]
    assert [row["Details"] for row in rows] == ["second", "first שלום"]
    assert rows[1]["DateUTCString"] == "2026-11-22T10:30:16"
    assert rows[0]["User"] == "System Generated"
    assert "2500" in refusal(writer.write("PUT", path, {"Details": "x" * 2_501}))[0]
    assert refusal(writer.write("PUT", path, {"Details": " "}))
    assert writer.get(f"Invoices/{NOBODY}/History").status_code == 404


def test_the_online_address_is_not_for_drafts(writer: Xero) -> None:
    """3.12."""
    made, draft = put(writer), put(writer, Status="DRAFT")
    answer = writer.get(f"Invoices/{made['InvoiceID']}/OnlineInvoice")
    address = answer.json()["OnlineInvoices"][0]["OnlineInvoiceUrl"]
    assert address.startswith("https://in.xero.com/")
    assert refusal(writer.get(f"Invoices/{draft['InvoiceID']}/OnlineInvoice"))


def test_an_invoice_is_emailed(writer: Xero) -> None:
    """3.12: 204, and the invoice is marked as sent."""
    made, draft = put(writer), put(writer, Status="DRAFT")
    path = f"Invoices/{made['InvoiceID']}/Email"
    writer.act("switch", tenant=UK, emails_allowed=False)
    assert "limit" in refusal(writer.write("POST", path))[0]
    writer.act("switch", tenant=UK, emails_allowed=True)
    answer = writer.write("POST", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert read(writer, made)["SentToContact"] is True
    assert refusal(writer.write("POST", f"Invoices/{draft['InvoiceID']}/Email"))
