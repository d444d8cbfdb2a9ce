"""The person's page: everything the Xero user can do, without scripts."""

import re

import pytest
from msgspec.structs import asdict
from tests.sandbox.client import Xero

from xero_sandbox import FrozenClock
from xero_sandbox.page_settings import SWITCHES


@pytest.fixture
def form(connected: Xero) -> dict[str, str]:
    return {"tenant": connected.tenant(), "back": f"/org/{connected.tenant()}"}


def do(xero: Xero, action: str, form: dict[str, str], **more: str) -> str:
    answer = xero.http.post(f"/do/{action}", data={**form, **more})
    assert answer.status_code == 303, answer.text
    page = xero.http.get(answer.headers["Location"])
    assert page.status_code == 200
    assert "Done." in page.text
    return page.text


def number_of(xero: Xero, invoice: str) -> str:
    return xero.get(f"Invoices/{invoice}").json()["Invoices"][0]["InvoiceID"]


def test_home_shows_organisations_faults_and_requests(connected: Xero) -> None:
    connected.get("Invoices", where='Reference != null AND Reference.Contains("<b>")')
    text = connected.http.get("/").text
    assert "Demo Company (UK)" in text
    assert "connected" in text
    assert "truncated_json" in text
    assert "/api.xro/2.0/Invoices" in text
    assert "demo@example.com" in text


def test_invoices_can_be_searched_and_paged(connected: Xero) -> None:
    tenant = connected.tenant()
    first = connected.http.get(f"/org/{tenant}").text
    assert "60 sales invoices" in first
    assert "Older invoices" in first
    second = connected.http.get(f"/org/{tenant}", params={"page": "3"}).text
    assert "Newer invoices" in second
    assert "Older invoices" not in second
    found = connected.http.get(f"/org/{tenant}", params={"q": "inv-0007"}).text
    assert "1 sales invoices" in found
    assert "SUP-" not in first


def test_hostile_text_is_shown_as_text(connected: Xero) -> None:
    tenant = connected.tenant()
    script = "<script>alert('not today')</script>"
    ledger = connected.sandbox.store.ledgers[tenant]
    invoice = next(
        i for i in ledger.invoices.rows.values() if any(x.description == script for x in i.lines)
    )
    connected.act("edit-invoice", tenant=tenant, invoice=invoice.id, reference='"><img src=x>')
    page = connected.http.get(f"/org/{tenant}/invoice/{invoice.id}").text
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<img" not in page
    search = connected.http.get(f"/org/{tenant}", params={"q": '"><img src=x>'}).text
    assert "<img" not in search


def test_a_person_creates_edits_pays_and_voids(connected: Xero, form: dict[str, str]) -> None:
    contact = connected.get("Contacts/C004").json()["Contacts"][0]["ContactID"]
    page = do(
        connected, "create-invoice", form, contact=contact, description="Lesson", unit_amount="80"
    )
    assert "INV-0061" in page
    invoice = number_of(connected, "INV-0061")
    form["back"] = f"/org/{connected.tenant()}/invoice/{invoice}"
    page = do(connected, "edit-line", form, invoice=invoice, line="0", unit_amount="90")
    assert "GBP 108.00" in page
    page = do(
        connected, "edit-invoice", form, invoice=invoice, reference="R", due_date="2027-01-01"
    )
    assert "2027-01-01" in page
    page = do(connected, "record-payment", form, invoice=invoice, amount="8", account="090")
    payment = re.search(r'name="payment" value="([^"]+)"', page)
    assert payment
    refused = connected.http.post("/do/void-invoice", data={**form, "invoice": invoice})
    assert refused.status_code == 400
    assert "payments or credit notes" in refused.text
    assert f'href="{form["back"]}"' in refused.text
    do(connected, "remove-payment", form, payment=payment.group(1))
    assert "VOIDED" in do(connected, "void-invoice", form, invoice=invoice)


def test_contacts_page_renames(connected: Xero, form: dict[str, str]) -> None:
    contact = connected.get("Contacts/C004").json()["Contacts"][0]["ContactID"]
    form["back"] = f"/org/{connected.tenant()}/contacts"
    page = do(connected, "rename-contact", form, contact=contact, name="Ünï & Co")
    assert "Ünï &amp; Co" in page
    assert "ARCHIVED" in page


def test_contacts_are_made_archived_and_restored(connected: Xero, form: dict[str, str]) -> None:
    form["back"] = f"/org/{connected.tenant()}/contacts"
    do(connected, "create-contact", form, name="<i>New</i>", email="n@example.com")
    contact = connected.get("Contacts", where='Name == "<i>New</i>"').json()["Contacts"][0]
    assert contact["EmailAddress"] == "n@example.com"
    which = {"contact": contact["ContactID"]}
    page = do(connected, "archive-contact", form, **which)
    assert "Restore &lt;i&gt;New" in page
    do(connected, "restore-contact", form, **which)
    page = do(connected, "edit-contact", form, **which, name="Newer", email="")
    assert "Archive Newer" in page


def test_settings_lock_and_switch_off(connected: Xero, form: dict[str, str]) -> None:
    form["back"] = f"/org/{connected.tenant()}/settings"
    page = do(
        connected, "lock", form, period_lock_date="2026-10-31", end_of_year_lock_date="2026-03-31"
    )
    assert 'value="2026-10-31"' in page
    assert 'value="2026-03-31"' in page
    page = do(connected, "lock", form, period_lock_date="", end_of_year_lock_date="")
    assert "2026-10-31" not in page
    assert "Add currency" in do(connected, "remove-currency", form, currency="EUR")
    assert "Remove USD" in do(connected, "add-currency", form, currency="usd")
    accounts = {a["Code"]: a["AccountID"] for a in connected.get("Accounts").json()["Accounts"]}
    page = do(connected, "refuse-payments", form, account=accounts["881"])
    assert "Allow payments to 881" in page
    page = do(connected, "archive-account", form, account=accounts["200"])
    assert "Restore 200" in page
    assert "Archive 610" not in page
    assert "Restore OUTPUT2" in do(connected, "delete-tax-rate", form, tax_type="OUTPUT2")


def test_switches_are_set_by_a_form(connected: Xero, form: dict[str, str]) -> None:
    form["back"] = f"/org/{connected.tenant()}/settings"
    switches = connected.sandbox.store.ledgers[connected.tenant()].organisation.switches
    yes_or_no = {k for k, v in asdict(switches).items() if isinstance(v, bool)}
    assert yes_or_no == set(SWITCHES)
    do(connected, "switch", form, approval_limit_reached="yes", emails_allowed="no")
    after = connected.sandbox.store.ledgers[connected.tenant()].organisation.switches
    assert (after.approval_limit_reached, after.emails_allowed) == (True, False)
    page = connected.http.get(form["back"]).text
    assert page.count('<option value="yes" selected>') == 1


def test_a_late_write_is_arranged_by_a_form(writer: Xero, clock: FrozenClock) -> None:
    fields = {"kind": "late", "method": "PUT", "path": "contacts", "body": "Larry", "nth": "2"}
    do(writer, "add-fault", {"back": "/"}, **fields, wait="90", count="1")
    (rule,) = writer.http.get("/sandbox/faults").json()["rules"]
    assert {k: rule[k] for k in ("method", "path", "body", "nth", "count")} == {
        "method": "PUT", "path": "contacts", "body": "Larry", "nth": 2, "count": 1,
    }  # fmt: skip
    assert writer.write("PUT", "Contacts", {"Name": "Larry"}).status_code == 200
    with pytest.raises(ConnectionResetError):
        writer.write("PUT", "Contacts", {"Name": "Larry Late"})
    clock.advance(90)
    where = 'Name == "Larry Late"'
    assert len(writer.get("Contacts", where=where).json()["Contacts"]) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"wait": "long"}, "parameters.seconds"),
        ({"kind": "error_500", "wait": "3"}, "parameters.delay"),
        ({"nth": "second"}, "nth"),
        ({"count": "0"}, "count"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_on_the_page(
    writer: Xero, wrong: dict[str, str], field: str
) -> None:
    fields = {"kind": "late", "nth": "1", "count": "", "wait": "", "back": "/"}
    answer = writer.http.post("/do/add-fault", data={**fields, **wrong})
    assert f"{field}: " in answer.text
    assert writer.http.get("/sandbox/faults").json()["rules"] == []


def test_the_page_offers_no_fault_that_it_cannot_fill_in(connected: Xero) -> None:
    page = connected.http.get("/").text
    assert '<option value="reset_demo"' in page
    assert '<option value="hide_tenant"' not in page
    form = {"kind": "reset_demo", "tenant": connected.tenant("NZ"), "back": "/"}
    assert connected.http.post("/do/add-fault", data=form).status_code == 303
    connected.get("Organisation", "NZ")
    assert connected.tenant("NZ") != form["tenant"]


def test_an_invoice_shows_all_that_can_be_done(connected: Xero, form: dict[str, str]) -> None:
    contact = connected.get("Contacts/C004").json()["Contacts"][0]["ContactID"]
    do(connected, "create-invoice", form, contact=contact, description="Lesson", unit_amount="80")
    invoice = number_of(connected, "INV-0061")
    form |= {"back": f"/org/{connected.tenant()}/invoice/{invoice}", "invoice": invoice}
    page = do(
        connected, "edit-invoice", form, number="P-1", reference='"><b>', contact=contact,
        date="2026-11-22", due_date="2026-12-22", expected_date="2027-01-05", currency="GBP",
        line_amount_types="Inclusive", theme="", url="https://bills.example/1", sent="yes",
    )  # fmt: skip
    assert "Invoice P-1" in page
    assert 'value="2027-01-05"' in page
    assert "<b>" not in page
    page = do(connected, "add-line", form, description="Two", unit_amount="20")
    assert "Line 2" in page
    assert "Line 2" not in do(connected, "remove-line", form, line="1")
    do(connected, "record-payment", form, amount="30", reference="BACS <1>", reconciled="no")
    page = connected.http.get(form["back"]).text
    assert "BACS &lt;1&gt;" in page
    payment = re.search(r'name="payment" value="([^"]+)"', page)
    assert payment
    page = do(connected, "redo-payment", form, payment=payment.group(1), amount="20", reference="")
    assert payment.group(1) not in page
    assert "Remove and redo GBP 20.00" in page
    page = do(connected, "receive-overpayment", form, amount="100", allocate="15")
    assert "Take back Overpayment of" in page
    assert "85.00 left" in page
    page = do(connected, "receive-prepayment", form, amount="45", allocate="45")
    assert "Take back Prepayment of" in page
    assert "PAID" in page
    assert "Note by hand" in do(connected, "add-note", form, details="Note by hand")
    read = connected.get(f"Invoices/{invoice}").json()["Invoices"][0]
    assert (read["AmountPaid"], read["AmountCredited"], read["AmountDue"]) == (20, 60, 0)


def test_disconnecting_and_revoking(connected: Xero, form: dict[str, str]) -> None:
    do(connected, "disconnect", {**form, "back": "/"})
    assert connected.get("Invoices").status_code == 403
    assert connected.get("Invoices", "NZ").status_code == 200
    do(connected, "revoke", {"back": "/"})
    assert connected.get("Invoices", "NZ").status_code == 403


def test_faults_are_switched_on_and_off(connected: Xero) -> None:
    page = do(connected, "add-fault", {"back": "/"}, kind="error_500", path="", count="")
    rule = re.search(r'name="rule" value="(\d+)"', page)
    assert rule
    assert connected.get("Organisation").status_code == 500
    do(connected, "remove-faults", {"back": "/"}, rule=rule.group(1))
    assert connected.get("Organisation").status_code == 200


def test_forms_of_other_sites_are_refused(connected: Xero) -> None:
    for origin in ("http://evil.example", "null", "http://xero.test:81"):
        for path in ("/do/revoke", "/sandbox/act/revoke", "/sandbox/faults"):
            answer = connected.http.post(path, headers={"Origin": origin}, data={})
            assert answer.status_code == 403
    assert connected.get("Organisation").status_code == 200
    same = {"Origin": "http://xero.test"}
    assert connected.http.post("/do/revoke", headers=same, data={}).status_code == 303


@pytest.mark.parametrize("back", ["//evil.example", "http://evil.example/x", "javascript:1", ""])
def test_a_form_never_leads_elsewhere(connected: Xero, back: str) -> None:
    answer = connected.http.post("/do/remove-faults", data={"back": back})
    assert answer.headers["Location"] in ("/?done=1", "/x?done=1")


@pytest.mark.parametrize(
    "path",
    ["/org/nobody", "/org/nobody/contacts", "/nothing", "/org/{}/invoice/none", "/do/revoke"],
)
def test_unknown_pages(connected: Xero, path: str) -> None:
    assert connected.http.get(path.format(connected.tenant())).status_code in (404, 405)


def test_odd_page_numbers_are_harmless(connected: Xero) -> None:
    for page in ("-1", "0", "x", "99999999999", "²"):
        answer = connected.http.get(f"/org/{connected.tenant()}", params={"page": page})
        assert answer.status_code == 200


@pytest.mark.parametrize("action", ["create-invoice", "edit-line", "record-payment", "dance"])
def test_empty_forms_say_what_is_missing(
    connected: Xero, form: dict[str, str], action: str
) -> None:
    answer = connected.http.post(f"/do/{action}", data=form)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
