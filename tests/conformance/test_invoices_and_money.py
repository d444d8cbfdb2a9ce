"""Invoices, payments, credits and settings: one test for each statement of xero-facts 3.4 to 4.6
that the tests of the local Xero itself do not make, and the traps of section 6."""

import re
from decimal import Decimal
from typing import Any

import pytest
from tests.sandbox.client import Xero
from tests.sandbox.test_sandbox_write_invoices import (
    LINE,
    UK,
    ZERO,
    body,
    contact,
    pay,
    post,
    put,
    read,
    refusal,
)

from xero_sandbox import FrozenClock
from xero_sandbox.checks import HAS_MONEY, NOT_MODIFIABLE, NOT_UNIQUE, TOO_MUCH

pytestmark = [pytest.mark.layer("conformance"), pytest.mark.usefixtures("stated")]
NOBODY = "11111111-2222-4333-8444-555555555555"
DATE = re.compile(r"^/Date\(-?\d+\+0000\)/$")


def created(xero: Xero, given: object, key: str = "", **args: str) -> Any:
    headers = {"Idempotency-Key": key} if key else None
    return xero.write("PUT", "Invoices", given, headers=headers, **args)


def listed(xero: Xero, invoice: dict) -> dict:
    return xero.get("Invoices", page="1", IDs=invoice["InvoiceID"]).json()["Invoices"][0]


# --- 3.4, 3.5 ----------------------------------------------------------------------------------


def test_a_put_creates_and_never_updates(writer: Xero) -> None:
    """3.4: a number in use is refused, also in another letter case."""
    made = put(writer, InvoiceNumber="Abc-1")
    assert refusal(created(writer, body(writer, InvoiceNumber="aBC-1"))) == [NOT_UNIQUE]
    assert read(writer, made)["UpdatedDateUTC"] == made["UpdatedDateUTC"]


def test_an_id_of_the_callers_own_is_refused(writer: Xero) -> None:
    """3.4: by PUT and by POST."""
    for method in ("PUT", "POST"):
        answer = writer.write(method, "Invoices", body(writer, InvoiceID=NOBODY))
        assert answer.status_code == 400


def test_one_object_or_a_list_and_keys_in_any_case(writer: Xero) -> None:
    """3.4: the body is one invoice, or several under their plural."""
    lower = {key.lower(): value for key, value in body(writer).items()}
    assert created(writer, lower).status_code == 200
    two = created(writer, {"Invoices": [body(writer), body(writer)]}).json()["Invoices"]
    assert len({row["InvoiceID"] for row in two}) == 2


def test_a_line_keeps_what_is_not_sent_of_it(writer: Xero) -> None:
    """3.4: with its LineItemID, only what is named changes."""
    made = put(writer)
    line = made["LineItems"][0]
    change = {"LineItemID": line["LineItemID"], "Description": "Changed"}
    (after,) = post(writer, made, LineItems=[change])["LineItems"]
    kept = ("LineItemID", "Quantity", "UnitAmount", "AccountCode", "TaxType", "LineAmount")
    assert [after[key] for key in kept] == [line[key] for key in kept]
    assert after["Description"] == "Changed"


def test_the_last_write_wins(writer: Xero) -> None:
    """3.4: there is no ETag and no If-Match."""
    made = put(writer)
    path = f"Invoices/{made['InvoiceID']}"
    assert "ETag" not in writer.get(path).headers
    for text in ("one", "two"):
        headers = {"If-Match": '"old"', "If-Unmodified-Since": "Sun, 22 Nov 2020 10:00:00 GMT"}
        answer = writer.write("POST", path, {"Reference": text}, headers=headers)
        assert answer.status_code == 200
    assert read(writer, made)["Reference"] == "two"


def test_one_bad_element_refuses_the_call(writer: Xero) -> None:
    """3.5: by default a 400, whose elements echo what was asked with the zero id."""
    bad = body(writer, CurrencyCode="JPY", Reference="mine")
    answer = created(writer, {"Invoices": [bad]})
    told = answer.json()
    assert (answer.status_code, told["ErrorNumber"], told["Type"]) == (
        400, 10, "ValidationException",
    )  # fmt: skip
    assert (told["Elements"][0]["InvoiceID"], told["Elements"][0]["Reference"]) == (ZERO, "mine")


def test_a_200_does_not_mean_saved(writer: Xero) -> None:
    """3.5: with `summarizeErrors=false` each element says for itself (6.6)."""
    both = {"Invoices": [body(writer), body(writer, CurrencyCode="JPY")]}
    answer = created(writer, both, summarizeErrors="false")
    good, bad = answer.json()["Invoices"]
    assert answer.status_code == 200
    assert (good["StatusAttributeString"], good["HasErrors"]) == ("OK", False)
    assert (bad["StatusAttributeString"], bad["HasErrors"]) == ("ERROR", True)
    assert bad["ValidationErrors"][0]["Message"]
    assert writer.get(f"Invoices/{good['InvoiceID']}").status_code == 200


# --- 3.6 ---------------------------------------------------------------------------------------


def test_a_key_gives_the_first_answer_again(writer: Xero, clock: FrozenClock) -> None:
    """3.6: for six minutes from the first call; then the same call is done anew."""
    given = body(writer)
    first = created(writer, given, key="k").json()["Invoices"][0]["InvoiceID"]
    clock.advance(359)
    assert created(writer, given, key="k").json()["Invoices"][0]["InvoiceID"] == first
    clock.advance(1)
    assert created(writer, given, key="k").json()["Invoices"][0]["InvoiceID"] != first


def test_a_key_keeps_errors_too(writer: Xero) -> None:
    """3.6: what was refused is refused again, although it would be right by now (6.7)."""
    given = body(writer, CurrencyCode="JPY")
    assert refusal(created(writer, given, key="k"))
    writer.act("add-currency", tenant=UK, currency="JPY")
    assert refusal(created(writer, given, key="k"))
    assert created(writer, given, key="another").status_code == 200


def test_a_key_belongs_to_one_request(writer: Xero) -> None:
    """3.6: with another body or address it is a 400 that names the key's other use."""
    assert created(writer, body(writer), key="k").status_code == 200
    for answer in (
        created(writer, body(writer, Reference="other"), key="k"),
        created(writer, body(writer), key="k", unitdp="4"),
    ):
        assert answer.status_code == 400
        assert answer.json()["Message"].endswith("is used with a different request")


def test_a_key_has_at_most_128_characters(writer: Xero) -> None:
    """3.6: a longer one is refused."""
    assert created(writer, body(writer), key="k" * 128).status_code == 200
    assert created(writer, body(writer), key="k" * 129).status_code == 400


def test_a_repeated_call_counts_against_the_limits(writer: Xero) -> None:
    """3.6: the allowance falls each time."""
    writer.http.post("/sandbox/limits", json={"day": 1_000})
    given = body(writer)
    left = [int(created(writer, given, key="k").headers["X-DayLimit-Remaining"]) for _ in range(2)]
    assert left[0] - left[1] == 1


# --- 3.7 to 3.9 --------------------------------------------------------------------------------


def test_a_number_is_given_where_none_is_sent(writer: Xero) -> None:
    """3.7: and the answer has it (6.24)."""
    first, second = put(writer)["InvoiceNumber"], put(writer)["InvoiceNumber"]
    assert first.startswith("INV-")
    assert first != second


def test_totals_are_xeros_to_say(writer: Xero) -> None:
    """3.7: SubTotal, TotalTax, Total and AmountDue are not taken from a request."""
    made = put(writer, Total=1, SubTotal=1, TotalTax=0, AmountDue=0, AmountPaid=99)
    assert (made["SubTotal"], made["TotalTax"], made["Total"]) == (100, 20, 120)
    assert read(writer, made)["AmountDue"] == 120


def test_a_number_is_printable_ascii(writer: Xero) -> None:
    """3.7: at most 255 characters."""
    assert put(writer, InvoiceNumber="x" * 255)
    for wrong in ("x" * 256, "Ω-1", "a\tb"):
        assert refusal(created(writer, body(writer, InvoiceNumber=wrong)))


def test_a_list_shows_half_a_contact(writer: Xero) -> None:
    """3.8: ContactID and Name, and empty lists."""
    found = listed(writer, put(writer))["Contact"]
    assert {key for key, value in found.items() if value not in ([], False)} == {
        "ContactID", "Name",
    }  # fmt: skip


def test_payments_on_an_invoice_say_little(writer: Xero) -> None:
    """3.8: no status and no account; a deleted one is absent (6.14)."""
    made = put(writer)
    first, second = pay(writer, made, "10"), pay(writer, made, "5")
    writer.write("POST", f"Payments/{first['PaymentID']}", {"Status": "DELETED"})
    (left,) = read(writer, made)["Payments"]
    assert left["PaymentID"] == second["PaymentID"]
    assert not {"Status", "Account"} & set(left)


def test_numbers_keep_their_zeros(writer: Xero) -> None:
    """3.8: `4.00` comes as `4.00`, a JSON number."""
    made = put(writer, LineItems=[{**LINE, "UnitAmount": 2, "TaxType": "NONE"}])
    text = writer.get(f"Invoices/{made['InvoiceID']}", unitdp="4").text
    assert '"Total":4.00' in text
    assert '"UnitAmount":2.0000' in text


def test_dates_are_midnight_utc_of_a_day(writer: Xero) -> None:
    """3.9: `/Date(ms+0000)/` beside a readable twin without a zone."""
    made = listed(writer, put(writer, Date="2026-02-28"))
    assert (made["Date"], made["DateString"]) == (
        "/Date(1772236800000+0000)/", "2026-02-28T00:00:00",
    )  # fmt: skip
    assert DATE.match(made["UpdatedDateUTC"])
    assert made["UpdatedDateUTCString"].endswith("Z")


# --- 3.10, 3.11 --------------------------------------------------------------------------------

WITH_MONEY: list[tuple[dict, bool]] = [
    ({"Reference": "x"}, True),
    ({"DueDate": "2027-01-31"}, True),
    ({"InvoiceNumber": "New-1"}, True),
    ({"Url": "https://example.com/1"}, True),
    ({"Date": "2026-11-01"}, False),
    ({"CurrencyCode": "EUR"}, False),
    ({"LineAmountTypes": "Inclusive"}, False),
    ({"LineItems": [LINE]}, False),
]


@pytest.mark.parametrize(("change", "allowed"), WITH_MONEY)
def test_what_changes_with_money_on_it(writer: Xero, change: dict, allowed: bool) -> None:
    """3.10: reference, due date, number and address; no date, currency, tax basis or new lines."""
    made = put(writer)
    pay(writer, made, "10")
    answer = writer.write("POST", f"Invoices/{made['InvoiceID']}", change)
    assert answer.status_code == (200 if allowed else 400)


def test_an_approved_invoice_is_void_and_never_deleted(writer: Xero) -> None:
    """3.10: and both ends are final."""
    made = put(writer)
    path = f"Invoices/{made['InvoiceID']}"
    assert refusal(writer.write("POST", path, {"Status": "DELETED"})) == [NOT_MODIFIABLE]
    assert post(writer, made, Status="VOIDED")["Status"] == "VOIDED"
    assert refusal(writer.write("POST", path, {"Status": "AUTHORISED"})) == [NOT_MODIFIABLE]


def test_paid_again_authorised(writer: Xero) -> None:
    """3.10: PAID comes with the last payment and goes with it."""
    made = put(writer)
    paid = pay(writer, made, "120")
    assert "FullyPaidOnDate" in read(writer, made)
    assert read(writer, made)["Status"] == "PAID"
    writer.write("POST", f"Payments/{paid['PaymentID']}", {"Status": "DELETED"})
    after = read(writer, made)
    assert (after["Status"], "FullyPaidOnDate" in after) == ("AUTHORISED", False)


def test_tax_inside_a_price(writer: Xero) -> None:
    """3.11: line × r ÷ (1 + r): 541.25 at 20 % holds 90.21."""
    line = {**LINE, "Quantity": 1, "UnitAmount": "541.25"}
    made = put(writer, LineAmountTypes="Inclusive", LineItems=[line])
    assert (made["TotalTax"], made["SubTotal"], made["Total"]) == (90.21, 451.04, 541.25)


@pytest.mark.parametrize(
    ("change", "word"), [({"Quantity": -1}, "Quantity"), ({"UnitAmount": -1}, "Total")]
)
def test_nothing_negative(writer: Xero, change: dict, word: str) -> None:
    """3.11: no quantity and no total below zero."""
    given = body(writer, LineItems=[{**LINE, **change}])
    assert word in refusal(created(writer, given))[0]


# --- 4 -----------------------------------------------------------------------------------------


def payment(invoice: dict, **more: object) -> dict:
    target = {"InvoiceID": invoice["InvoiceID"]}
    return {"Invoice": target, "Account": {"Code": "090"}, "Amount": 20, **more}


def test_more_than_is_due_is_refused(writer: Xero) -> None:
    """4.1: an amount is in the invoice's currency and no more than AmountDue."""
    made = put(writer)
    answer = writer.write("PUT", "Payments", payment(made, Amount="120.01"))
    assert refusal(answer) == [TOO_MUCH]


def test_a_payment_changes_in_its_status_only(writer: Xero) -> None:
    """4.1: anything beside `Status` is refused."""
    paid = pay(writer, put(writer), "10")
    given = {"Status": "DELETED", "Amount": 5}
    answer = writer.write("POST", f"Payments/{paid['PaymentID']}", given)
    assert refusal(answer) == ["Only Status accepted for updates."]


def test_a_deleted_payment_is_listed_with_a_new_stamp(writer: Xero, clock: FrozenClock) -> None:
    """4.1: so a list of what changed shows it as DELETED."""
    paid = pay(writer, put(writer), "10")
    clock.advance(10)
    writer.write("POST", f"Payments/{paid['PaymentID']}", {"Status": "DELETED"})
    headers = {"If-Modified-Since": clock.now().strftime("%Y-%m-%dT%H:%M:%S")}
    (row,) = writer.get("Payments", headers=headers).json()["Payments"]
    assert (row["PaymentID"], row["Status"]) == (paid["PaymentID"], "DELETED")


def test_money_goes_to_banks_and_to_accounts_that_allow_it(writer: Xero) -> None:
    """4.1: a bank says `EnablePaymentsToAccount: false` and takes payments all the same."""
    accounts = {a["Code"]: a for a in writer.get("Accounts").json()["Accounts"]}
    assert (accounts["090"]["Type"], accounts["090"]["EnablePaymentsToAccount"]) == ("BANK", False)
    made = put(writer)
    for code, status in (("090", 200), ("881", 200), ("200", 400)):
        given = payment(made, Account={"AccountID": accounts[code]["AccountID"]}, Amount=1)
        assert writer.write("PUT", "Payments", given).status_code == status


def test_a_credit_wants_the_same_contact(writer: Xero) -> None:
    """4.2: an allocation to another contact's invoice is refused."""
    mine = contact(writer)
    note = writer.act("give-credit", tenant=UK, contact=mine.id, amount="10").json()
    path = f"CreditNotes/{note['CreditNoteID']}/Allocations"
    other = put(writer, Contact={"ContactID": contact(writer, "Ridgeway University").id})
    for invoice, status in ((other, 400), (put(writer), 200)):
        given = {"Amount": "5.00", "Invoice": {"InvoiceID": invoice["InvoiceID"]}}
        assert writer.write("PUT", path, given).status_code == status


def test_the_accounts(connected: Xero) -> None:
    """4.3: all at once, without pages; each with its class, and banks with their currency."""
    whole = connected.get("Accounts", page="2").json()
    assert "pagination" not in whole
    assert all(row["Class"] and row["Status"] for row in whole["Accounts"])
    assert {row["CurrencyCode"] for row in whole["Accounts"] if row["Type"] == "BANK"}


def test_archived_contacts_are_asked_for(connected: Xero) -> None:
    """4.4: without `includeArchived` they are not listed."""
    both = [
        {row["ContactStatus"] for row in connected.get("Contacts", **args).json()["Contacts"]}
        for args in ({"page": "1"}, {"page": "1", "includeArchived": "true"})
    ]
    assert both == [{"ACTIVE"}, {"ACTIVE", "ARCHIVED"}]


def test_a_merged_contact_names_the_survivor(connected: Xero) -> None:
    """4.4: `MergedToContactID` comes with paging or a single read, and not without."""
    args = {"includeArchived": "true"}
    paged = connected.get("Contacts", page="1", **args).json()["Contacts"]
    (merged,) = (row for row in paged if "MergedToContactID" in row)
    whole = connected.get("Contacts", **args).json()["Contacts"]
    assert not any("MergedToContactID" in row for row in whole)
    (one,) = connected.get(f"Contacts/{merged['ContactID']}").json()["Contacts"]
    assert one["MergedToContactID"] == merged["MergedToContactID"]


@pytest.mark.parametrize("name", ["a <b>", " Vera", "Vera  Viewer", "x" * 256])
def test_names_of_contacts(writer: Xero, name: str) -> None:
    """4.4: no angle brackets, no odd spaces, at most 255 characters."""
    assert refusal(writer.write("PUT", "Contacts", {"Name": name}))


def test_the_tax_rates(connected: Xero) -> None:
    """4.5: not paged; the key is TaxType, the rate a percentage, and classes say where it fits."""
    rows = connected.get("TaxRates").json()["TaxRates"]
    (standard,) = (row for row in rows if row["TaxType"] == "OUTPUT2")
    assert (standard["EffectiveRate"], standard["CanApplyToRevenue"]) == (20, True)
    for path in ("BrandingThemes", "Currencies"):
        assert connected.get(path).json()[path]


def test_the_organisation(connected: Xero) -> None:
    """4.6: lock dates are there only if set; the zone has Windows' name in capitals."""
    (row,) = connected.get("Organisation", "NZ").json()["Organisations"]
    assert row["Timezone"] == "NEWZEALANDSTANDARDTIME"
    assert "PeriodLockDate" not in row
    connected.act("lock", tenant=connected.tenant("NZ"), period_lock_date="2026-03-31")
    (row,) = connected.get("Organisation", "NZ").json()["Organisations"]
    assert row["PeriodLockDate"] == "/Date(1774915200000+0000)/"


# --- 6 -----------------------------------------------------------------------------------------


def test_a_reset_demo_company_is_another_one(connected: Xero) -> None:
    """6.19: same name, new tenant; the old connection is dead."""
    old = connected.tenant()
    connected.http.post(
        "/sandbox/faults", json={"kind": "reset_demo", "parameters": {"tenant": old}}
    )
    answer = connected.get("Organisation", headers={"xero-tenant-id": old})
    assert answer.status_code == 403
    assert connected.tenant() != old


def test_a_void_invoice_may_show_its_debt(writer: Xero) -> None:
    """6.16: the answer that makes it void still says what was due."""
    made = put(writer)
    assert post(writer, made, Status="VOIDED")["AmountDue"] == Decimal(120)


def test_a_paid_target_of_a_number_says_two_things(writer: Xero) -> None:
    """6.3: a POST by the number of a paid invoice, which means "number already used"."""
    made = put(writer, InvoiceNumber="Used-1")
    pay(writer, made, "120")
    given = body(writer, InvoiceNumber="Used-1", LineItems=[{**LINE, "UnitAmount": 7}])
    assert refusal(writer.write("POST", "Invoices", given)) == [NOT_MODIFIABLE, HAS_MONEY]
