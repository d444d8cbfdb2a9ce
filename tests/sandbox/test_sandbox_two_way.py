"""What a two-way sync asks: searches for what may have been done, and partial changes in batches.

Facts 3.1, 3.4, 3.5, 3.7, 3.10, 4.1, 4.4, 4.5.
"""

import json

import pytest
from tests.sandbox.client import NOW, Xero
from tests.sandbox.test_sandbox_write_invoices import (
    UK,
    contact,
    pay,
    post,
    put,
    read,
    refusal,
    refused,
)

from xero_sandbox import FrozenClock
from xero_sandbox.checks import HAS_MONEY, WRONG_BANK
from xero_sandbox.people import BAD_SPACES
from xero_sandbox.shapes import day

HOSTILE = r"""Say "hi" \ AND (1==1) || <b> JPM-0A1B2C3D4E"""


def quoted(text: str) -> str:
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def payments(xero: Xero, where: str) -> list[dict]:
    answer = xero.get("Payments", where=where, page="1")
    assert answer.status_code == 200, answer.text
    return answer.json()["Payments"]


def paid(xero: Xero, invoice: dict, reference: str, amount: str = "5") -> dict:
    given = {
        "Invoice": {"InvoiceID": invoice["InvoiceID"]},
        "Account": {"Code": "090"},
        "Amount": amount,
        "Reference": reference,
    }
    return xero.write("PUT", "Payments", given).json()["Payments"][0]


def test_payments_are_found_by_reference_invoice_and_id(writer: Xero) -> None:
    made = put(writer)
    row, other = paid(writer, made, HOSTILE), paid(writer, made, "Other")
    found = payments(writer, f"Reference == {quoted(HOSTILE)}")
    assert [p["PaymentID"] for p in found] == [row["PaymentID"]]
    both = payments(writer, f'Invoice.InvoiceID == guid("{made["InvoiceID"]}")')
    assert {p["PaymentID"] for p in both} == {row["PaymentID"], other["PaymentID"]}
    one = payments(writer, f'PaymentID == guid("{other["PaymentID"].upper()}")')
    assert [p["Reference"] for p in one] == ["Other"]
    either = f'Reference == "Other" OR Reference == {quoted(HOSTILE)}'
    assert len(payments(writer, either)) == 2


def test_a_deleted_payment_is_still_found(writer: Xero) -> None:
    made = put(writer)
    row = paid(writer, made, "JPM-0A1B2C3D4E")
    writer.write("POST", f"Payments/{row['PaymentID']}", {"Status": "DELETED"})
    found = payments(writer, 'Reference == "JPM-0A1B2C3D4E"')
    assert [(p["PaymentID"], p["Status"]) for p in found] == [(row["PaymentID"], "DELETED")]


def test_payments_know_no_list_of_ids(writer: Xero) -> None:
    """The published API has `IDs` for invoices and contacts only; elsewhere it is ignored."""
    row = paid(writer, put(writer), "One of many")
    every = writer.get("Payments", page="1").json()["pagination"]["itemCount"]
    asked = writer.get("Payments", page="1", IDs=row["PaymentID"]).json()["pagination"]
    assert asked["itemCount"] == every > 1


def test_invoices_are_found_by_number_in_any_status(writer: Xero) -> None:
    void, live = put(writer, InvoiceNumber="TWO-1"), put(writer, InvoiceNumber="TWO-2")
    post(writer, void, Status="VOIDED")
    rows = writer.get("Invoices", InvoiceNumbers="two-1,TWO-2,TWO-3", page="1").json()["Invoices"]
    assert {(i["InvoiceNumber"], i["Status"]) for i in rows} == {
        ("TWO-1", "VOIDED"),
        ("TWO-2", live["Status"]),
    }


def test_contacts_are_found_by_number_archived_ones_too(writer: Xero) -> None:
    given = {"Name": "Numbered", "ContactNumber": 'JPM "7"'}
    made = writer.write("PUT", "Contacts", given).json()["Contacts"][0]
    path = f"Contacts/{made['ContactID']}"
    writer.write("POST", path, {"ContactStatus": "ARCHIVED"})
    where = f"ContactNumber == {quoted(given['ContactNumber'])}"
    assert writer.get("Contacts", where=where).json()["Contacts"] == []
    found = writer.get("Contacts", where=where, includeArchived="true").json()["Contacts"]
    assert [c["ContactStatus"] for c in found] == ["ARCHIVED"]
    ids = writer.get("Contacts", IDs=made["ContactID"], includeArchived="true")
    assert [c["ContactID"] for c in ids.json()["Contacts"]] == [made["ContactID"]]


def test_branding_themes_can_be_chosen(writer: Xero) -> None:
    themes = writer.get("BrandingThemes").json()["BrandingThemes"]
    orange = next(t for t in themes if t["SortOrder"] == 1)["BrandingThemeID"]
    assert post(writer, put(writer), BrandingThemeID=orange)["BrandingThemeID"] == orange


def test_forty_partial_changes_answer_in_their_order(writer: Xero) -> None:
    """3.4, 3.5: only the id and what changes; each element says for itself what came of it."""
    made = [put(writer, Reference=f"R{n}") for n in range(40)]
    rows = [
        {"InvoiceID": i["InvoiceID"], "DueDate": f"2027-01-{n % 28 + 1:02}"}
        for n, i in enumerate(made)
    ]
    rows[7]["CurrencyCode"] = "USD"
    answer = writer.write("POST", "Invoices", {"Invoices": rows}, summarizeErrors="false")
    shown = answer.json()["Invoices"]
    assert [i["InvoiceID"] for i in shown] == [i["InvoiceID"] for i in made]
    assert [n for n, i in enumerate(shown) if i["StatusAttributeString"] != "OK"] == [7]
    assert shown[7]["HasErrors"] is True
    assert shown[7]["ValidationErrors"] == [
        {"Message": "Organisation is not subscribed to currency USD"}
    ]
    after = read(writer, made[8])
    assert after["DueDateString"] == "2027-01-09T00:00:00"
    same = ("Reference", "Total", "LineItems", "Contact", "Date", "InvoiceNumber")
    assert {k: after[k] for k in same} == {k: read(writer, made[8])[k] for k in same}
    assert after["LineItems"][0]["LineItemID"] == made[8]["LineItems"][0]["LineItemID"]
    assert read(writer, made[7])["DueDateString"] == "2026-12-06T00:00:00"


def test_the_rest_of_the_header_is_writable(writer: Xero) -> None:
    made = put(writer)
    changed = post(
        writer,
        made,
        SentToContact=True,
        ExpectedPaymentDate="2026-12-24",
        Url="https://bills.example/1",
        CurrencyCode="EUR",
        LineAmountTypes="Inclusive",
    )
    assert changed["SentToContact"] is True
    assert changed["ExpectedPaymentDate"] == day(NOW.date().replace(month=12, day=24))
    assert (changed["Url"], changed["CurrencyCode"]) == ("https://bills.example/1", "EUR")
    assert (changed["LineAmountTypes"], changed["Total"]) == ("Inclusive", 100)
    assert changed["TotalTax"] == 16.67
    kept = post(writer, made, Reference="Later")
    assert kept["ExpectedPaymentDate"] == changed["ExpectedPaymentDate"]


def test_the_expected_date_under_a_payment_is_a_switch(writer: Xero) -> None:
    """3.10 lists the fields that stay editable, and this is not among them."""
    made = put(writer)
    pay(writer, made, "5")
    assert refused(writer, made, ExpectedPaymentDate="2026-12-24") == [HAS_MONEY]
    writer.assume(expected_date_with_money="free")
    post(writer, made, ExpectedPaymentDate="2026-12-24")
    assert "ExpectedPaymentDate" in read(writer, made)


def test_payments_go_to_accounts_that_can_take_them(writer: Xero) -> None:
    """4.1: the account is alive, and of the document's or the organisation's currency."""
    made = put(writer)
    given = {"Invoice": {"InvoiceID": made["InvoiceID"]}, "Amount": 5, "Account": {"Code": "091"}}
    assert refusal(writer.write("PUT", "Payments", given)) == [WRONG_BANK.format("EUR")]
    euro = put(writer, CurrencyCode="EUR")
    for code in ("090", "091"):
        given |= {"Invoice": {"InvoiceID": euro["InvoiceID"]}, "Account": {"Code": code}}
        assert writer.write("PUT", "Payments", given).status_code == 200


def test_a_batch_of_payments_keeps_its_order(writer: Xero) -> None:
    made = [put(writer) for _ in range(5)]
    rows = [
        {
            "Invoice": {"InvoiceID": i["InvoiceID"]},
            "Account": {"Code": "090"},
            "Amount": 1 + n,
            "Reference": f"JPM-{n}",
        }
        for n, i in enumerate(made)
    ]
    rows[2]["Amount"] = 999
    answer = writer.write("PUT", "Payments", {"Payments": rows}, summarizeErrors="false")
    shown = answer.json()["Payments"]
    assert [p["Reference"] for p in shown] == [f"JPM-{n}" for n in range(5)]
    assert [p["HasValidationErrors"] for p in shown] == [False, False, True, False, False]
    assert [read(writer, i)["AmountPaid"] for i in made] == [1, 2, 0, 4, 5]


def test_what_the_plan_allows(writer: Xero) -> None:
    """4.6: GET Organisation/Actions."""

    def allowed() -> dict[str, str]:
        rows = writer.get("Organisation/Actions").json()["Actions"]
        return {row["Name"]: row["Status"] for row in rows}

    assert allowed()["CreateApprovedInvoice"] == "ALLOWED"
    assert allowed()["UseMulticurrency"] == "ALLOWED"
    writer.act("switch", tenant=UK, approval_limit_reached=True)
    writer.act("remove-currency", tenant=UK, currency="EUR")
    assert allowed()["CreateApprovedInvoice"] == "NOT-ALLOWED"
    assert allowed()["UseMulticurrency"] == "NOT-ALLOWED"


@pytest.mark.parametrize("name", [" Before", "After ", "Two  spaces"])
def test_names_with_odd_spaces_are_refused(writer: Xero, name: str) -> None:
    """4.4."""
    assert refusal(writer.write("PUT", "Contacts", {"Name": name})) == [BAD_SPACES]
    assert writer.write("PUT", "Contacts", {"Name": "One space"}).status_code == 200


def test_the_books_can_be_read_without_a_call(writer: Xero) -> None:
    """For checking a result: no token, nothing logged or counted, no fault."""
    made = put(writer)
    writer.http.post("/sandbox/reset-log")
    writer.http.post("/sandbox/faults", json={"kind": "error_500", "count": None})
    base = f"/sandbox/books/{writer.tenant()}"
    one = writer.http.get(f"{base}/Invoices/{made['InvoiceNumber']}").json()["Invoices"][0]
    assert one["InvoiceID"] == made["InvoiceID"]
    where = {"where": f'InvoiceID == guid("{made["InvoiceID"]}")', "page": "1"}
    rows = writer.http.get(f"{base}/invoices", params=where).json()["Invoices"]
    assert [i["Total"] for i in rows] == [120]
    assert writer.http.get(f"{base}/Nonsense").status_code == 404
    assert writer.http.get("/sandbox/books/nobody/Invoices").status_code == 404
    assert writer.http.post(f"{base}/Invoices", json={}).status_code == 405
    assert writer.http.get("/sandbox/log").json() == []


def test_time_can_be_moved_forward(writer: Xero, clock: FrozenClock) -> None:
    before = writer.http.get("/sandbox/clock").json()["now"]
    assert before == clock.now().isoformat()
    moved = writer.http.post("/sandbox/clock", json={"advance": 1801}).json()["now"]
    assert (clock.now() - NOW).total_seconds() == 1801
    assert moved == clock.now().isoformat()
    assert writer.get("Organisation").status_code == 401
    for wrong in ({"advance": -1}, {"advance": "soon"}, {}):
        answer = writer.http.post("/sandbox/clock", json=wrong)
        assert (answer.status_code, "advance" in answer.json()["error"]) == (400, True)


def test_the_log_keeps_the_bodies_of_writes(writer: Xero, clock: FrozenClock) -> None:
    writer.http.post("/sandbox/reset-log")
    headers = {"Idempotency-Key": "k-1"}
    given = {"Name": "Logged " + "x" * 70_000}
    writer.write("PUT", "Contacts", given, headers=headers, summarizeErrors="false")
    writer.get("Organisation")
    writer.refreshed()
    token, read_, put_ = writer.http.get("/sandbox/log").json()
    assert (put_["method"], put_["path"]) == ("PUT", "/api.xro/2.0/Contacts")
    assert (put_["query"], put_["status"]) == ("summarizeErrors=false", 200)
    assert (put_["tenant"], put_["idempotency_key"]) == (writer.tenant(), "k-1")
    assert put_["mutating"] is True
    assert put_["body"] == json.dumps(given)[: 64 * 1024]
    assert put_["body_size"] == len(json.dumps(given))
    for entry in (token, read_):
        assert (entry["mutating"], entry["body"]) == (False, "")
    counts = writer.http.get("/sandbox/counts").json()
    assert counts[writer.tenant()]["mutating"] == 1
    assert counts[""]["mutating"] == 0
    assert (counts["all"]["mutating"], counts["all"]["total"]) == (1, 3)


def test_refused_writes_are_logged_as_mutating_too(connected: Xero) -> None:
    """A call that Xero refuses has still been made: read-only must mean none at all."""
    connected.http.post("/sandbox/reset-log")
    assert connected.http.get("/sandbox/counts").json()["all"]["mutating"] == 0
    assert connected.write("POST", "Invoices", {"Reference": "x"}).status_code == 401
    entry = connected.http.get("/sandbox/log").json()[0]
    assert (entry["mutating"], entry["body"]) == (True, '{"Reference": "x"}')
    assert connected.http.get("/sandbox/counts").json()["all"]["mutating"] == 1


@pytest.mark.parametrize("kind", ["write_500", "keys_down"])
def test_faults_of_writes_wait_for_a_write(writer: Xero, kind: str) -> None:
    writer.http.post("/sandbox/faults", json={"kind": kind, "count": 1})
    assert writer.get("Organisation").status_code == 200
    answer = writer.write("PUT", "Contacts", {"Name": "X"}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 500


@pytest.mark.parametrize("kind", ["timeout_after", "write_500", "keys_down", "error_503"])
def test_a_fault_is_aimed_at_one_call(writer: Xero, kind: str) -> None:
    """By method, path, a piece of the body, and which of the matching calls."""
    rule = {"kind": kind, "method": "PUT", "path": "/payments", "body": "AIM", "nth": 2, "count": 1}
    writer.http.post("/sandbox/faults", json=rule)
    made = put(writer)
    target = {"Invoice": {"InvoiceID": made["InvoiceID"]}, "Account": {"Code": "090"}, "Amount": 1}
    statuses = [
        writer.write(
            "PUT", "Payments", {**target, "Reference": word}, headers={"Idempotency-Key": str(n)}
        ).status_code
        for n, word in enumerate(("AIM", "miss", "AIM", "AIM"))
    ]
    assert [s >= 500 for s in statuses] == [False, False, True, False]
    assert contact(writer).status == "ACTIVE"
