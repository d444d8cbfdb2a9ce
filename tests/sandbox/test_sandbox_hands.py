"""What a person does in Xero while a sync is watching: facts 3.2, 3.10, 4.1 to 4.6, 6.25."""

import pytest
from tests.sandbox.client import Xero
from tests.sandbox.test_sandbox_write_invoices import (
    UK,
    body,
    contact,
    pay,
    put,
    read,
    refusal,
    refused,
)

from xero_sandbox import FrozenClock
from xero_sandbox.checks import ARCHIVED, HAS_MONEY, NOT_FOUND, TOO_MUCH
from xero_sandbox.credits import OTHER_CURRENCY

HOSTILE = "Zoë <b>&\"'</b> \u202e=1+1"


def act(xero: Xero, action: str, **given: object) -> dict:
    answer = xero.act(action, tenant=UK, **given)
    assert answer.status_code == 200, answer.text
    return answer.json()


def denied(xero: Xero, action: str, **given: object) -> str:
    answer = xero.act(action, tenant=UK, **given)
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


def test_every_field_of_the_header_can_be_edited(writer: Xero, clock: FrozenClock) -> None:
    made = put(writer)
    themes = writer.get("BrandingThemes").json()["BrandingThemes"]
    clock.advance(60)
    other = writer.get("Contacts/C004").json()["Contacts"][0]["ContactID"]
    changed = act(
        writer, "edit-invoice", invoice=made["InvoiceID"], reference=HOSTILE, number="HAND-1",
        date="2026-11-21", due_date="2026-12-31", expected_date="2027-01-02", contact=other,
        theme=themes[1]["BrandingThemeID"], url="https://bills.example/7", sent="yes",
        currency="EUR", line_amount_types="Inclusive",
    )  # fmt: skip
    assert (changed["Reference"], changed["InvoiceNumber"]) == (HOSTILE, "HAND-1")
    assert changed["DateString"] == "2026-11-21T00:00:00"
    assert changed["DueDateString"] == "2026-12-31T00:00:00"
    assert changed["ExpectedPaymentDate"] == "/Date(1798848000000+0000)/"
    assert (changed["CurrencyCode"], changed["Total"]) == ("EUR", 100)
    assert (changed["SentToContact"], changed["Url"]) == (True, "https://bills.example/7")
    assert changed["BrandingThemeID"] == themes[1]["BrandingThemeID"]
    assert changed["Contact"]["ContactID"] == other != made["Contact"]["ContactID"]
    assert changed["UpdatedDateUTC"] != made["UpdatedDateUTC"]
    bare = act(writer, "edit-invoice", invoice="HAND-1", expected_date="", url="", reference="")
    assert {"ExpectedPaymentDate", "Url"}.isdisjoint(bare)
    assert (bare["Reference"], bare["InvoiceNumber"]) == ("", "HAND-1")


def test_a_due_date_on_a_part_paid_invoice_moves_without_a_stamp(
    writer: Xero, clock: FrozenClock
) -> None:
    """3.2, 6.1: a sync that asks what has changed never hears of it."""
    made = put(writer)
    pay(writer, made, "5")
    before = read(writer, made)
    clock.advance(60)
    act(writer, "edit-invoice", invoice=made["InvoiceID"], due_date="2027-03-01", sent=True)
    after = read(writer, made)
    assert after["DueDateString"] == "2027-03-01T00:00:00"
    assert after["UpdatedDateUTC"] == before["UpdatedDateUTC"]


def test_lines_are_added_changed_and_removed(writer: Xero) -> None:
    made = put(writer, LineItems=[*body(writer)["LineItems"], {"Description": "Words only"}])
    which = {"invoice": made["InvoiceID"]}
    changed = act(
        writer, "edit-line", **which, line=0, unit_amount="12.3456", quantity="3",
        discount_rate="10", account="260", tax_type="ZERORATEDOUTPUT", description=HOSTILE,
    )  # fmt: skip
    line = changed["LineItems"][0]
    assert (line["Description"], line["AccountCode"]) == (HOSTILE, "260")
    assert (line["TaxType"], line["UnitAmount"]) == ("ZERORATEDOUTPUT", 12.3456)
    assert (line["LineAmount"], line["TaxAmount"], line["DiscountRate"]) == (33.33, 0, 10)
    longer = act(writer, "add-line", **which, description="More", unit_amount="10")
    assert [x["Description"] for x in longer["LineItems"]] == [HOSTILE, "Words only", "More"]
    words = longer["LineItems"][1]["LineItemID"]
    shorter = act(writer, "remove-line", **which, line=words)
    assert [x["Description"] for x in shorter["LineItems"]] == [HOSTILE, "More"]
    full = act(writer, "edit-line", **which, line=0, discount_rate="", unit_amount=0)
    assert "DiscountRate" not in full["LineItems"][0]
    assert full["LineItems"][0]["LineAmount"] == 0


def test_a_tax_amount_of_its_own_goes_with_the_amount(writer: Xero) -> None:
    line = {**body(writer)["LineItems"][0], "TaxAmount": "19.99"}
    made = put(writer, LineItems=[line])
    which = {"invoice": made["InvoiceID"], "line": 0}
    kept = act(writer, "edit-line", **which, description="Same money")
    assert kept["TotalTax"] == 19.99
    assert act(writer, "edit-line", **which, quantity="4")["TotalTax"] == 40


def test_hands_are_bound_by_the_same_rules(writer: Xero) -> None:
    made = put(writer)
    pay(writer, made, "5")
    which = {"invoice": made["InvoiceID"]}
    assert denied(writer, "edit-invoice", **which, currency="EUR") == HAS_MONEY
    assert denied(writer, "edit-line", **which, unit_amount="1") == HAS_MONEY
    assert "line_amount_types" in denied(writer, "edit-invoice", **which, line_amount_types="Odd")
    assert "sent" in denied(writer, "edit-invoice", **which, sent="perhaps")
    assert "line" in denied(writer, "edit-line", **which, line=7, description="x")


@pytest.mark.parametrize("action", ["submit-invoice", "approve-invoice", "delete-invoice"])
def test_drafts_move_on(writer: Xero, action: str) -> None:
    made = put(writer, Status="DRAFT")
    status = act(writer, action, invoice=made["InvoiceID"])["Status"]
    assert status == {"s": "SUBMITTED", "a": "AUTHORISED", "d": "DELETED"}[action[0]]


def test_submitted_ones_go_back_and_emails_mark_as_sent(writer: Xero) -> None:
    made = put(writer, Status="SUBMITTED")
    assert act(writer, "reopen-invoice", invoice=made["InvoiceID"])["Status"] == "DRAFT"
    act(writer, "approve-invoice", invoice=made["InvoiceID"])
    assert act(writer, "email-invoice", invoice=made["InvoiceID"])["SentToContact"] is True
    act(writer, "add-note", invoice=made["InvoiceID"], details=HOSTILE)
    notes = writer.get(f"Invoices/{made['InvoiceID']}/History").json()["HistoryRecords"]
    assert [note["Details"] for note in notes] == [HOSTILE]


def test_remove_and_redo_makes_a_new_payment(writer: Xero, clock: FrozenClock) -> None:
    """6.25: the PaymentID changes; the old one stays as DELETED."""
    made = put(writer)
    old = pay(writer, made, "120")
    clock.advance(60)
    new = act(writer, "redo-payment", payment=old["PaymentID"])
    assert new["PaymentID"] != old["PaymentID"]
    assert (new["Amount"], new["Date"]) == (old["Amount"], old["Date"])
    assert new["Account"] == old["Account"]
    gone = writer.get(f"Payments/{old['PaymentID']}").json()["Payments"][0]
    assert gone["Status"] == "DELETED"
    after = read(writer, made)
    assert [p["PaymentID"] for p in after["Payments"]] == [new["PaymentID"]]
    assert after["Status"] == "PAID"
    less = act(writer, "redo-payment", payment=new["PaymentID"], amount="20", account="881",
               date="2026-11-20", reference=HOSTILE)  # fmt: skip
    assert (less["Amount"], less["Account"]["Code"]) == (20, "881")
    assert less["Reference"] == HOSTILE
    assert read(writer, made)["AmountDue"] == 100
    assert denied(writer, "redo-payment", payment=less["PaymentID"], amount="999") == TOO_MUCH
    assert read(writer, made)["AmountDue"] == 100


@pytest.mark.parametrize(
    ("action", "plural", "type_", "tax"),
    [
        ("receive-overpayment", "Overpayments", "RECEIVE-OVERPAYMENT", 0),
        ("receive-prepayment", "Prepayments", "RECEIVE-PREPAYMENT", 25),
    ],
)
def test_money_ahead_is_received_allocated_and_taken_back(
    writer: Xero, clock: FrozenClock, action: str, plural: str, type_: str, tax: int
) -> None:
    """4.2: the invoice shows it beside credit notes; the status says PAID with nothing paid."""
    made = put(writer)
    before = read(writer, made)["UpdatedDateUTC"]
    clock.advance(60)
    row = act(writer, action, contact=contact(writer).id, amount="150", reference=HOSTILE)
    id_name = f"{plural[:-1]}ID"
    assert (row["Type"], row["Status"], row["RemainingCredit"]) == (type_, "AUTHORISED", 150)
    assert (row["Total"], row["TotalTax"], row["Reference"]) == (150, tax, HOSTILE)
    act(writer, "allocate-credit", credit=row[id_name], invoice=made["InvoiceID"], amount="120")
    after = read(writer, made)
    assert (after["Status"], after["AmountPaid"], after["AmountCredited"]) == ("PAID", 0, 120)
    assert [(c[id_name], c["AppliedAmount"]) for c in after[plural]] == [(row[id_name], 120)]
    assert after["UpdatedDateUTC"] != before
    assert "CreditNotes" not in after
    listed = writer.get(plural, page="1", where=f'{id_name} == guid("{row[id_name]}")').json()
    assert [c["RemainingCredit"] for c in listed[plural]] == [30]
    assert listed["pagination"]["itemCount"] == 1
    one = writer.get(f"{plural}/{row[id_name]}").json()[plural][0]
    assert one["Allocations"][0]["Invoice"]["InvoiceID"] == made["InvoiceID"]
    owed = act(writer, "remove-allocation", credit=row[id_name], invoice=made["InvoiceID"])
    assert (owed["Status"], owed["AmountDue"], owed[plural]) == ("AUTHORISED", 120, [])
    gone = denied(writer, "remove-allocation", credit=row[id_name], invoice=made["InvoiceID"])
    assert "allocation" in gone


@pytest.mark.parametrize("plural", ["Overpayments", "Prepayments"])
def test_money_ahead_is_allocated_through_the_api(writer: Xero, plural: str) -> None:
    """4.2: PUT and DELETE of allocations, as for credit notes; scope as for payments (1.5)."""
    made = put(writer)
    action = f"receive-{plural[:-1].lower()}"
    row = act(writer, action, invoice=made["InvoiceID"], amount="50", allocate="20")
    path = f"{plural}/{row[f'{plural[:-1]}ID']}/Allocations"
    given = {"Amount": 30, "Invoice": {"InvoiceID": made["InvoiceID"]}}
    part = writer.write("PUT", path, given).json()["Allocations"][0]
    assert read(writer, made)["AmountCredited"] == 50
    assert refusal(writer.write("PUT", path, given)) == [NOT_FOUND]
    (gone,) = writer.write("DELETE", f"{path}/{part['AllocationID']}").json()["Allocations"]
    assert gone["IsDeleted"] is True
    assert "Amount" not in gone
    assert read(writer, made)["AmountCredited"] == 20
    assert writer.write("PUT", plural, {}).status_code == 501


@pytest.mark.parametrize("moves", [True, False])
def test_whether_an_allocation_moves_the_stamp_is_a_switch(
    writer: Xero, clock: FrozenClock, moves: bool
) -> None:
    """11.7: not established."""
    made = put(writer)
    writer.assume(allocation_stamp="moves" if moves else "stays")
    for action in ("allocate", "take back"):
        before = read(writer, made)["UpdatedDateUTC"]
        clock.advance(60)
        if action == "allocate":
            row = act(writer, "receive-overpayment", invoice=made["InvoiceID"], amount="5")
        else:
            given = {"credit": row["OverpaymentID"], "invoice": made["InvoiceID"]}
            act(writer, "remove-allocation", **given)
        assert (read(writer, made)["UpdatedDateUTC"] != before) == moves


def test_money_ahead_is_refused_where_xero_would(writer: Xero) -> None:
    made, euro = put(writer), put(writer, CurrencyCode="EUR")
    who = {"contact": contact(writer).id}
    assert "greater" in denied(writer, "receive-overpayment", **who, amount="0")
    assert "200" in denied(writer, "receive-overpayment", **who, amount="1", account="200")
    assert "USD" in denied(writer, "receive-prepayment", **who, amount="1", currency="USD")
    assert "no such contact" in denied(
        writer, "receive-prepayment", contact="Nobody at all", amount="1"
    )
    row = act(writer, "receive-overpayment", **who, amount="10")
    which = {"credit": row["OverpaymentID"], "amount": "1"}
    assert denied(writer, "allocate-credit", **which, invoice=euro["InvoiceID"]) == OTHER_CURRENCY
    more = {"credit": row["OverpaymentID"], "amount": "11"}
    assert denied(writer, "allocate-credit", **more, invoice=made["InvoiceID"]) == TOO_MUCH
    act(writer, "switch", period_lock_date="2026-12-31")
    assert "lock date" in denied(writer, "receive-overpayment", **who, amount="1")


def test_credit_notes_are_given_and_allocated(writer: Xero) -> None:
    made = put(writer)
    note = act(writer, "give-credit", contact=contact(writer).id, amount="100", reference=HOSTILE)
    assert (note["Type"], note["Total"], note["Reference"]) == ("ACCRECCREDIT", 120, HOSTILE)
    given = {"credit": note["CreditNoteNumber"], "invoice": made["InvoiceID"]}
    act(writer, "allocate-credit", **given, amount="120")
    assert read(writer, made)["Status"] == "PAID"
    act(writer, "remove-allocation", **given)
    assert read(writer, made)["AmountDue"] == 120
    other = act(writer, "give-credit", contact=contact(writer).id, amount="1")
    assert other["CreditNoteNumber"] != note["CreditNoteNumber"]


def test_contacts_go_to_the_archive_and_back(writer: Xero) -> None:
    """4.4: only a person takes one out of it, and not under a name that is in use by then."""
    row = act(writer, "create-contact", name="In & Out", email="a@example.com", number="N-1")
    act(writer, "archive-contact", contact=row["ContactID"])
    target = {"ContactID": row["ContactID"]}
    text = refusal(writer.write("PUT", "Invoices", body(writer, Contact=target)))
    assert text == [ARCHIVED]
    act(writer, "restore-contact", contact=row["ContactID"])
    assert put(writer, Contact=target)["Contact"]["ContactStatus"] == "ACTIVE"
    act(writer, "archive-contact", contact="N-1")
    act(writer, "create-contact", name="in & out")
    assert "already assigned" in denied(writer, "restore-contact", contact="N-1")
    changed = act(writer, "edit-contact", contact="in & out", email="b@example.com", phone="1")
    assert changed["EmailAddress"] == "b@example.com"
    assert changed["Name"] == "in & out"


def test_lock_dates_are_shown_and_enforced(writer: Xero) -> None:
    """4.6: both, each in its own words; an empty field lifts one."""
    made = put(writer)
    act(writer, "lock", period_lock_date="2026-11-22", end_of_year_lock_date="2026-03-31")
    row = writer.get("Organisation").json()["Organisations"][0]
    assert row["PeriodLockDate"] == "/Date(1795305600000+0000)/"
    assert row["EndOfYearLockDate"] == "/Date(1774915200000+0000)/"
    (text,) = refused(writer, made, Reference="x")
    assert text.endswith("period lock date, currently set at 22-Nov-2026")
    act(writer, "lock", period_lock_date="")
    assert "PeriodLockDate" not in writer.get("Organisation").json()["Organisations"][0]
    act(writer, "lock", end_of_year_lock_date="2026-11-30")
    (text,) = refused(writer, made, Reference="x")
    assert text.endswith("end of year lock date, currently set at 30-Nov-2026")
    assert "lock date" in denied(writer, "edit-invoice", invoice=made["InvoiceID"], reference="x")


def test_accounts_are_archived_and_closed_to_payments(writer: Xero) -> None:
    made = put(writer)
    accounts = {a["Code"]: a for a in writer.get("Accounts").json()["Accounts"]}
    target = {"InvoiceID": made["InvoiceID"]}
    given = {"Invoice": target, "Amount": 1, "Account": {"Code": "881"}}
    assert act(writer, "refuse-payments", account="881")["EnablePaymentsToAccount"] is False
    assert "881" in refusal(writer.write("PUT", "Payments", given))[0]
    act(writer, "allow-payments", account=accounts["881"]["AccountID"])
    assert writer.write("PUT", "Payments", given).status_code == 200
    assert act(writer, "archive-account", account="881")["Status"] == "ARCHIVED"
    assert "881" in refusal(writer.write("PUT", "Payments", given))[0]
    act(writer, "archive-account", account="200")
    assert "archived" in refusal(writer.write("PUT", "Invoices", body(writer)))[0]
    assert read(writer, made)["LineItems"][0]["AccountCode"] == "200"
    act(writer, "restore-account", account="200")
    assert put(writer)["Status"] == "AUTHORISED"
    assert "System accounts" in denied(writer, "archive-account", account="610")
    assert denied(writer, "archive-account", account="nothing") == NOT_FOUND


def test_currencies_and_tax_rates_are_switched_off(writer: Xero) -> None:
    euro = put(writer, CurrencyCode="EUR")
    assert act(writer, "remove-currency", currency="eur") == {"GBP": "British Pound"}
    codes = [c["Code"] for c in writer.get("Currencies").json()["Currencies"]]
    assert codes == ["GBP"]
    text = refusal(writer.write("PUT", "Invoices", body(writer, CurrencyCode="EUR")))
    assert text == ["Organisation is not subscribed to currency EUR"]
    path = f"Invoices/{euro['InvoiceID']}"
    assert writer.write("POST", path, {"Reference": "still"}).status_code == 200
    assert act(writer, "add-currency", currency="eur")["EUR"] == "Euro"
    put(writer, CurrencyCode="EUR")
    assert "base currency" in denied(writer, "remove-currency", currency="GBP")
    assert denied(writer, "remove-currency", currency="USD") == NOT_FOUND
    assert "three letters" in denied(writer, "add-currency", currency="€€€")
    assert act(writer, "delete-tax-rate", tax_type="OUTPUT2")["Status"] == "DELETED"
    assert "OUTPUT2" in refusal(writer.write("PUT", "Invoices", body(writer)))[0]
    act(writer, "restore-tax-rate", tax_type="OUTPUT2")
    assert put(writer)["Total"] == 120
    assert denied(writer, "delete-tax-rate", tax_type="NOPE") == NOT_FOUND
