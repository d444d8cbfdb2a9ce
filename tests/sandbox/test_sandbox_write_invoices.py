"""Writing invoices through the API: facts 3.4, 3.5, 3.7 to 3.11, 4.3, 4.5, 4.6."""

from decimal import Decimal

import pytest
from tests.sandbox.client import Xero

from xero_sandbox import FrozenClock
from xero_sandbox.checks import (
    APPROVAL_LIMIT,
    ARCHIVED,
    HAS_MONEY,
    NEEDS_LINE_ID,
    NOT_MODIFIABLE,
    NOT_UNIQUE,
    VOID_WITH_MONEY,
)
from xero_sandbox.model import Contact

UK = "Demo Company (UK)"
ZERO = "00000000-0000-0000-0000-000000000000"
LINE = {"Description": "Lesson", "Quantity": 2, "UnitAmount": 50, "AccountCode": "200"}


def contact(xero: Xero, name: str = "Café Zoë – Ñandú S.L.") -> Contact:
    rows = xero.sandbox.store.ledgers[xero.tenant()].contacts.rows.values()
    return next(c for c in rows if c.name == name)


def body(xero: Xero, **more: object) -> dict:
    return {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact(xero).id},
        "Date": "2026-11-22",
        "DueDate": "2026-12-06",
        "Status": "AUTHORISED",
        "LineItems": [LINE],
        **more,
    }


def put(xero: Xero, **more: object) -> dict:
    answer = xero.write("PUT", "Invoices", body(xero, **more), unitdp="4")
    assert answer.status_code == 200, answer.text
    return answer.json()["Invoices"][0]


def post(xero: Xero, invoice: dict, **more: object) -> dict:
    answer = xero.write("POST", f"Invoices/{invoice['InvoiceID']}", more, unitdp="4")
    assert answer.status_code == 200, answer.text
    return answer.json()["Invoices"][0]


def read(xero: Xero, invoice: dict) -> dict:
    return xero.get(f"Invoices/{invoice['InvoiceID']}", unitdp="4").json()["Invoices"][0]


def refusal(answer: object) -> list[str]:
    assert answer.status_code == 400, answer.text  # type: ignore[attr-defined]
    errors = answer.json()["Elements"][0]["ValidationErrors"]  # type: ignore[attr-defined]
    return [error["Message"] for error in errors]


def refused(xero: Xero, invoice: dict, **more: object) -> list[str]:
    return refusal(xero.write("POST", f"Invoices/{invoice['InvoiceID']}", more))


def pay(xero: Xero, invoice: dict, amount: str) -> dict:
    payment = {
        "Invoice": {"InvoiceID": invoice["InvoiceID"]},
        "Account": {"Code": "090"},
        "Amount": amount,
    }
    answer = xero.write("PUT", "Payments", payment)
    assert answer.status_code == 200, answer.text
    return answer.json()["Payments"][0]


def test_read_scopes_do_not_write(connected: Xero) -> None:
    """1.5, 1.7: a token with only .read gets 401, and nothing is made."""
    ledger = connected.sandbox.store.ledgers[connected.tenant()]
    before = len(ledger.invoices.rows)
    answer = connected.write("PUT", "Invoices", body(connected))
    assert (answer.status_code, answer.json()["Detail"]) == (401, "AuthorizationUnsuccessful")
    assert connected.write("PUT", "Payments", {}).status_code == 401
    assert connected.write("PUT", "Contacts", {"Name": "x"}).status_code == 401
    assert len(ledger.invoices.rows) == before


def test_a_put_creates_and_the_answer_has_its_own_shape(writer: Xero) -> None:
    """3.4, 3.8: no Payments, CreditNotes, AmountCredited, HasAttachments; contact in full."""
    made = put(writer)
    assert made["InvoiceNumber"] == "INV-0061"
    assert (made["SubTotal"], made["TotalTax"], made["AmountDue"]) == (100, 20, 120)
    gone = {"Payments", "CreditNotes", "AmountCredited", "HasAttachments", "InvoiceAddresses"}
    assert not gone & set(made)
    assert "StatusAttributeString" not in made
    assert len(made["Contact"]["Phones"]) == 4
    assert made["LineItems"][0]["ValidationErrors"] == made["LineItems"][0]["Tracking"] == []
    assert made["Prepayments"] == made["Overpayments"] == []
    assert made["LineItems"][0]["TaxType"] == "OUTPUT2"
    again = read(writer, made)
    same = ("InvoiceNumber", "Total", "DueDate", "Status", "UpdatedDateUTC")
    assert [again[key] for key in same] == [made[key] for key in same]
    assert writer.http.get("/sandbox/counts").json()[writer.tenant()]["mutating"] == 1


def test_a_list_with_keys_in_any_case_is_as_good_as_one_object(writer: Xero) -> None:
    given = {k.lower(): v for k, v in body(writer).items()}
    answer = writer.write("PUT", "invoices", {"invoices": [given, given]})
    numbers = [row["InvoiceNumber"] for row in answer.json()["Invoices"]]
    assert numbers == ["INV-0061", "INV-0062"]


def test_a_put_with_a_used_number_is_refused_with_the_zero_guid(writer: Xero) -> None:
    """3.4, 3.5."""
    answer = writer.write("PUT", "Invoices", body(writer, InvoiceNumber="inv-0001"))
    assert refusal(answer) == [NOT_UNIQUE]
    whole, element = answer.json(), answer.json()["Elements"][0]
    assert (whole["ErrorNumber"], whole["Type"]) == (10, "ValidationException")
    assert whole["Message"] == "A validation exception occurred"
    assert (element["InvoiceID"], element["HasErrors"]) == (ZERO, True)
    assert element["InvoiceNumber"] == "inv-0001"
    assert element["Date"] == "/Date(1795305600000+0000)/"
    assert "StatusAttributeString" not in element


def test_a_put_with_an_id_of_the_apps_own_is_refused(writer: Xero) -> None:
    mine = "11111111-2222-4333-8444-555555555555"
    assert refusal(writer.write("PUT", "Invoices", body(writer, InvoiceID=mine)))
    assert refusal(writer.write("POST", "Invoices", body(writer, InvoiceID=mine)))


def test_a_post_with_somebody_elses_number_overwrites(writer: Xero) -> None:
    """3.4, 6.3: a trap; a paid target gives the pair of texts."""
    made = put(writer, Reference="mine")
    answer = writer.write("POST", "Invoices", {"InvoiceNumber": "INV-0061", "Reference": "theirs"})
    assert answer.json()["Invoices"][0]["InvoiceID"] == made["InvoiceID"]
    assert read(writer, made)["Reference"] == "theirs"
    pay(writer, made, "120")
    text = refusal(writer.write("POST", "Invoices", body(writer, InvoiceNumber="INV-0061")))
    assert text == [NOT_MODIFIABLE, HAS_MONEY]
    text = refusal(
        writer.write("POST", "Invoices", {"InvoiceNumber": "INV-0061", "Date": "2026-01-01"})
    )
    assert text == [NOT_MODIFIABLE, HAS_MONEY]


def test_a_post_without_a_known_number_creates(writer: Xero) -> None:
    answer = writer.write("POST", "Invoices", body(writer, InvoiceNumber="NEW-1"))
    assert answer.json()["Invoices"][0]["InvoiceNumber"] == "NEW-1"


def test_an_unknown_invoice_in_the_path_is_404(writer: Xero) -> None:
    answer = writer.write("POST", "Invoices/nobody", {"Reference": "x"})
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (404, "text/html")


def test_a_header_edit_leaves_the_lines_alone(writer: Xero, clock: FrozenClock) -> None:
    made = put(writer)
    clock.advance(3)
    changed = post(writer, made, Reference="PO 7", DueDate="2027-01-31")
    assert changed["LineItems"] == made["LineItems"]
    assert (changed["Reference"], changed["DueDateString"]) == ("PO 7", "2027-01-31T00:00:00")
    assert changed["UpdatedDateUTC"] != made["UpdatedDateUTC"]


def test_lines_change_by_id_and_go_when_not_mentioned(writer: Xero) -> None:
    """3.4: with an id updated, without one created, not mentioned deleted."""
    made = put(writer, LineItems=[LINE, {**LINE, "Description": "goes"}])
    kept = made["LineItems"][0]["LineItemID"]
    rows = [{"LineItemID": kept, "UnitAmount": 60}, {**LINE, "Description": "new"}]
    changed = post(writer, made, LineItems=rows)
    assert [line["Description"] for line in changed["LineItems"]] == ["Lesson", "new"]
    assert changed["LineItems"][0]["LineItemID"] == kept
    assert changed["LineItems"][0]["Quantity"] == 2
    assert changed["Total"] == 264
    stranger = [{"LineItemID": "11111111-2222-4333-8444-555555555555", "UnitAmount": 1}]
    assert "LineItemID" in refused(writer, made, LineItems=stranger)[0]
    twice = [{"LineItemID": kept}, {"LineItemID": kept}]
    assert "LineItemID" in refused(writer, made, LineItems=twice)[0]
    assert refused(writer, made, LineItems=[]) == ["One or more line items must be specified"]


def test_some_bad_elements_with_summarize_errors_false(writer: Xero) -> None:
    """3.5: 200, each element says for itself, and good ones are saved."""
    bad = body(writer, InvoiceNumber="INV-0001")
    answer = writer.write(
        "PUT", "Invoices", {"Invoices": [body(writer), bad]}, SummarizeErrors="False"
    )
    good, bad = answer.json()["Invoices"]
    assert (answer.status_code, good["StatusAttributeString"]) == (200, "OK")
    assert (bad["StatusAttributeString"], bad["HasErrors"]) == ("ERROR", True)
    assert (bad["InvoiceID"], bad["ValidationErrors"]) == (ZERO, [{"Message": NOT_UNIQUE}])
    assert read(writer, good)["Total"] == 120


@pytest.mark.parametrize("keep", [False, True])
def test_good_siblings_of_a_summarised_refusal_are_a_switch(writer: Xero, keep: bool) -> None:
    """3.5: not established."""
    writer.assume(good_siblings="saved" if keep else "refused")
    new = {"Name": "Söhne & Co"}
    rows = [body(writer, Contact=new, InvoiceNumber="SIB-1"), body(writer, InvoiceNumber="SIB-1")]
    assert refusal(writer.write("PUT", "Invoices", {"Invoices": rows})) == [NOT_UNIQUE]
    assert writer.get("Invoices/SIB-1").status_code == (200 if keep else 404)
    names = {c.name for c in writer.sandbox.store.ledgers[writer.tenant()].contacts.rows.values()}
    assert ("Söhne & Co" in names) == keep


def test_a_refused_status_is_echoed_as_it_was_asked(writer: Xero) -> None:
    """3.8: never persist an element that has errors."""
    made = put(writer)
    answer = writer.write(
        "POST", f"Invoices/{made['InvoiceID']}", {"Status": "DELETED"}, summarizeErrors="false"
    )
    echo = answer.json()["Invoices"][0]
    assert (answer.status_code, echo["Status"]) == (200, "DELETED")
    assert (echo["InvoiceID"], echo["StatusAttributeString"]) == (made["InvoiceID"], "ERROR")
    assert echo["ValidationErrors"] == [{"Message": NOT_MODIFIABLE}]
    assert read(writer, made)["Status"] == "AUTHORISED"


MOVES = {
    "DRAFT": ("SUBMITTED", "AUTHORISED", "DELETED"),
    "SUBMITTED": ("DRAFT", "AUTHORISED", "DELETED"),
    "AUTHORISED": ("VOIDED",),
}


@pytest.mark.parametrize("start", MOVES)
@pytest.mark.parametrize("end", ["DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "VOIDED", "DELETED"])
def test_the_status_machine(writer: Xero, start: str, end: str) -> None:
    """3.10."""
    made = put(writer, Status=start)
    answer = writer.write("POST", f"Invoices/{made['InvoiceID']}", {"Status": end})
    if end == start or end in MOVES[start]:
        assert answer.json()["Invoices"][0]["Status"] == end
    else:
        assert refusal(answer) == [NOT_MODIFIABLE]
    if end in ("VOIDED", "DELETED") and answer.status_code == 200:
        assert refused(writer, made, Reference="late") == [NOT_MODIFIABLE]


@pytest.mark.parametrize("status", ["PAID", "VOIDED", "DELETED"])
def test_no_invoice_is_born_paid_or_gone(writer: Xero, status: str) -> None:
    assert refusal(writer.write("PUT", "Invoices", body(writer, Status=status))) == [NOT_MODIFIABLE]


def test_a_voided_answer_still_shows_the_debt(writer: Xero) -> None:
    """3.8."""
    made = put(writer)
    assert post(writer, made, Status="VOIDED")["AmountDue"] == 120
    assert read(writer, made)["AmountDue"] == 0


def test_with_money_only_some_fields_change(writer: Xero, clock: FrozenClock) -> None:
    """3.10, 3.2."""
    made = put(writer)
    pay(writer, made, "20")
    line = made["LineItems"][0]["LineItemID"]
    clock.advance(60)
    assert refused(writer, made, Date="2026-11-01") == [HAS_MONEY]
    assert refused(writer, made, Status="VOIDED") == [VOID_WITH_MONEY]
    assert refused(writer, made, LineItems=[LINE]) == [NEEDS_LINE_ID]
    assert refused(writer, made, LineItems=[{"LineItemID": line, "UnitAmount": 1}]) == [HAS_MONEY]
    rows = [{"LineItemID": line, "Description": "other words", "AccountCode": "260"}]
    changed = post(writer, made, Reference="r", LineItems=rows)
    assert changed["LineItems"][0]["AccountCode"] == "260"
    assert (changed["Total"], changed["AmountDue"]) == (120, 100)
    clock.advance(60)
    later = post(writer, made, DueDate="2027-02-01")
    assert later["UpdatedDateUTC"] == changed["UpdatedDateUTC"]


def test_a_whole_read_can_be_echoed_on_a_paid_invoice(writer: Xero) -> None:
    made = put(writer)
    pay(writer, made, "120")
    whole = read(writer, made)
    echo = {k: whole[k] for k in ("InvoiceID", "LineItems", "Date", "DueDate", "Status")}
    assert post(writer, made, **{**echo, "Reference": "seen"})["Reference"] == "seen"


def test_tax_is_rounded_per_line_halves_up(writer: Xero) -> None:
    """3.11: the three amounts of Xero's own page, and a half."""
    lines = [{**LINE, "Quantity": 1, "UnitAmount": x} for x in ("25.06", "25.61", "25.63")]
    made = writer.write("PUT", "Invoices", nz_body(writer, lines), country="NZ")
    assert made.json()["Invoices"][0]["TotalTax"] == 11.44
    half = [{**LINE, "Quantity": 1, "UnitAmount": "10.45", "TaxAmount": "1.045"}]
    assert put(writer, LineItems=half)["TotalTax"] == 1.05
    inclusive = [{**LINE, "Quantity": 1, "UnitAmount": "541.25"}]
    made = writer.write(
        "PUT", "Invoices", {**nz_body(writer, inclusive), "LineAmountTypes": "inclusive"}, "NZ"
    )
    row = made.json()["Invoices"][0]
    assert (row["TotalTax"], row["Total"]) == (70.6, 541.25)


def nz_body(xero: Xero, lines: list) -> dict:
    return {
        "Type": "ACCREC",
        "Contact": {"Name": "Ngā Kete Books"},
        "Status": "AUTHORISED",
        "LineItems": lines,
    }


def test_unit_amounts_have_four_places_only_when_asked(writer: Xero) -> None:
    """3.11: unitdp matters for writing as well."""
    lines = [{**LINE, "Quantity": 1000, "UnitAmount": "0.33335"}]
    given = body(writer, LineItems=lines)
    rough = writer.write("PUT", "Invoices", given).json()["Invoices"][0]
    fine = writer.write("PUT", "Invoices", given, unitdp="4").json()["Invoices"][0]
    assert (rough["SubTotal"], fine["SubTotal"]) == (330, 333.4)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ({"LineAmount": 99}, "The line total 99.00 does not match the expected line total 100.00"),
        ({"Quantity": -1}, "The quantity value '-1.0000' is invalid. Quantity must not be less"),
        ({"UnitAmount": -1}, "The Total for this document must be greater than or equal to zero."),
        ({"AccountCode": "999"}, "Account code '999' is not a valid code for this document."),
        ({"AccountCode": "090"}, "Account code '090' is not a valid code for this document."),
        ({"AccountCode": "610"}, "Account code '610' is not a valid code for this document."),
        ({"AccountCode": "480"}, "Account code '480' has been archived, or has been deleted."),
        ({"AccountCode": None}, "Account code or ID must be specified"),
        (
            {"TaxType": "INPUT2"},
            "The TaxType code 'INPUT2' cannot be used with account code '200'.",
        ),
        ({"TaxType": "TAX001"}, "The TaxType code 'TAX001' does not exist"),
        ({"UnitAmount": "9999999999.99"}, "The line amount must be no more than"),
        ({"UnitAmount": "9e12", "Quantity": "9e12"}, "The line amount must be no more than"),
        ({"DiscountRate": 101}, "The DiscountRate must be between 0 and 100."),
        ({"DiscountRate": 5, "DiscountAmount": 1}, "Only one of"),
        ({"Description": "x" * 4_001}, "The line description"),
    ],
)
def test_lines_are_checked_in_xeros_words(writer: Xero, line: dict, text: str) -> None:
    """3.11, 4.3, 4.5."""
    answer = writer.write("PUT", "Invoices", body(writer, LineItems=[{**LINE, **line}]))
    assert refusal(answer)[0].startswith(text)


def test_a_draft_may_be_incomplete_until_it_is_approved(writer: Xero) -> None:
    made = put(writer, Status="DRAFT", LineItems=[{"Description": "later"}, {"UnitAmount": 5}])
    assert "Quantity" not in made["LineItems"][0]
    assert made["Total"] == 5
    assert refused(writer, made, Status="AUTHORISED") == ["Account code or ID must be specified"]


def test_discounts_come_as_rate_or_amount(writer: Xero) -> None:
    rows = [{**LINE, "DiscountRate": 10}, {**LINE, "DiscountAmount": "25.50"}]
    made = put(writer, LineItems=rows)
    assert [line["LineAmount"] for line in made["LineItems"]] == [90, 74.5]
    assert made["TotalDiscount"] == 35.5


@pytest.mark.parametrize(
    ("given", "day"),
    [
        ("2026-11-30", "2026-11-30"),
        ("2026-11-30T23:30:00-02:00", "2026-12-01"),
        ("2026-11-30T01:30:00+02:00", "2026-11-29"),
        ("2026-11-30T23:59:59", "2026-11-30"),
        ("/Date(1796083200000)/", "2026-12-01"),
        ("/Date(1796083200000+1300)/", "2026-12-01"),
        ("/Date(-86400000)/", "1969-12-31"),
    ],
)
def test_dates_are_read_in_three_forms(writer: Xero, given: str, day: str) -> None:
    """3.9: an offset shifts the day to UTC's."""
    assert put(writer, Date=given)["DateString"] == f"{day}T00:00:00"


def test_a_missing_date_is_today_where_the_organisation_is(
    writer: Xero, clock: FrozenClock
) -> None:
    """3.7, 3.9: at 10:30 UTC it is almost midnight in New Zealand."""
    clock.advance(1_795)
    made = writer.write("PUT", "Invoices", nz_body(writer, [LINE]), country="NZ")
    assert made.json()["Invoices"][0]["DateString"] == "2026-11-23T00:00:00"
    assert put(writer, Date=None)["DateString"] == "2026-11-22T00:00:00"


@pytest.mark.parametrize(
    "raw",
    [
        "", "[]", "nonsense", "{", '"x"', "{}", '{"Invoices": []}', '{"Invoices": [1]}',
        '{"Invoices": {}}', "[" * 100_000, '{"Type": "ACCREC", "LineItems": "x"}',
        '{"Type": "WRONG"}', '{"Type": "ACCREC", "LineAmountTypes": "NO_TAX"}',
        '{"Type": "ACCREC", "Date": "soon"}', '{"Type": "ACCREC", "Date": 5e400}',
        '{"Type": "ACCREC", "CurrencyRate": NaN}', '{"Type": "ACCREC", "CurrencyRate": 1e99}',
        '{"Type": "ACCREC", "SentToContact": "yes"}', '{"Type": "ACCREC", "Status": true}',
        '{"Type": "ACCREC", "Reference": {"a": 1}}', '{"Type": "ACCREC", "Reference": "\\ud800"}',
        '{"Type": "ACCREC", "Date": "/Date(999999999999999)/"}',
        '{"Type": "ACCREC", "Foo": "\\ud800"}', '{"Foo": 1e99999999999999999999}',
        '{"Foo": ' + "[" * 3_000 + "]" * 3_000 + "}",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_error_14(writer: Xero, raw: str) -> None:
    """3.5."""
    answer = writer.write("PUT", "Invoices", raw)
    assert (answer.status_code, answer.json()["ErrorNumber"]) == (400, 14)
    assert answer.json()["Type"] == "PostDataInvalidException"


def test_supplier_bills_are_not_written(writer: Xero) -> None:
    assert "ACCREC" in refusal(writer.write("PUT", "Invoices", body(writer, Type="ACCPAY")))[0]
    rows = writer.sandbox.store.ledgers[writer.tenant()].invoices.rows.values()
    theirs = next(row for row in rows if row.type == "ACCPAY")
    answer = writer.write("POST", f"Invoices/{theirs.id}", {"Reference": "x"})
    assert "ACCREC" in refusal(answer)[0]


def test_currencies_must_be_subscribed(writer: Xero) -> None:
    """4.5."""
    answer = writer.write("PUT", "Invoices", body(writer, CurrencyCode="USD"))
    assert refusal(answer) == ["Organisation is not subscribed to currency USD"]
    made = put(writer, CurrencyCode="EUR", CurrencyRate="1.2345678")
    assert (made["CurrencyCode"], made["CurrencyRate"]) == ("EUR", 1.234568)
    assert post(writer, made, CurrencyCode="GBP")["CurrencyRate"] == 1
    assert post(writer, made, CurrencyCode="EUR", CurrencyRate=1)["CurrencyRate"] == 1


@pytest.mark.parametrize(
    "lock", [("period_lock_date", "period"), ("end_of_year_lock_date", "end of year")]
)
def test_lock_dates(writer: Xero, lock: tuple[str, str]) -> None:
    """4.6; whether the day itself is locked is a switch."""
    name, words = lock
    made = put(writer, Date="2026-09-30")
    writer.act("switch", tenant=UK, **{name: "2026-09-30"})
    text = f"The document date cannot be before the {words} lock date, currently set at 30-Sep-2026"
    assert refused(writer, made, Reference="x") == [text]
    assert refused(writer, made, Status="VOIDED") == [text]
    assert refusal(writer.write("PUT", "Invoices", body(writer, Date="2026-09-29"))) == [text]
    assert put(writer, Date="2026-09-29", Status="DRAFT")["Status"] == "DRAFT"
    assert put(writer, Date="2026-10-01")["Status"] == "AUTHORISED"
    writer.assume(lock_day="free")
    assert post(writer, made, Reference="x")["Reference"] == "x"
    shown = writer.get("Organisation").json()["Organisations"][0]
    assert "/Date(1790726400000+0000)/" in shown.values()
    assert writer.act("switch", tenant=UK, **{name: None}).json()[name] is None


def test_the_limit_of_a_small_plan(writer: Xero) -> None:
    """4.6."""
    draft = put(writer, Status="DRAFT")
    writer.act("switch", tenant=UK, approval_limit_reached=True)
    assert refused(writer, draft, Status="AUTHORISED") == [APPROVAL_LIMIT]
    assert refusal(writer.write("PUT", "Invoices", body(writer))) == [APPROVAL_LIMIT]


def test_wrong_switches_name_the_mistake(writer: Xero) -> None:
    for wrong, field in (
        ({"lock_dya": True}, "lock_dya:"),
        ({"period_lock_date": "soon"}, "switch:"),
    ):
        answer = writer.act("switch", tenant=UK, **wrong)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(field)


def test_the_number_of_a_dead_invoice_is_a_switch(writer: Xero) -> None:
    """6.4: not settled."""
    made = put(writer, InvoiceNumber="DEAD-1")
    post(writer, made, Status="VOIDED")
    again = body(writer, InvoiceNumber="DEAD-1")
    assert refusal(writer.write("PUT", "Invoices", again)) == [NOT_UNIQUE]
    writer.assume(dead_numbers="free")
    assert put(writer, InvoiceNumber="DEAD-1")["InvoiceID"] != made["InvoiceID"]


def test_a_supplier_bills_number_is_free_for_sales(writer: Xero) -> None:
    assert put(writer, InvoiceNumber="SUP-002")["InvoiceNumber"] == "SUP-002"


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"InvoiceNumber": "№ 7"}, "Invoice #"),
        ({"InvoiceNumber": "9" * 256}, "Invoice #"),
        ({"Reference": "x" * 256}, "Reference"),
        ({"Url": "https://go.XERO.com/x"}, "Url"),
        ({"BrandingThemeID": "11111111-2222-4333-8444-555555555555"}, "BrandingThemeID"),
        ({"Contact": None}, "Contact"),
        ({"Contact": {"ContactID": "11111111-2222-4333-8444-555555555555"}}, "Contact"),
        ({"Type": None}, "Type"),
        ({"CurrencyRate": 0}, "CurrencyRate"),
    ],
)
def test_headers_are_checked(writer: Xero, more: dict, word: str) -> None:
    assert word in refusal(writer.write("PUT", "Invoices", body(writer, **more)))[0]


def test_a_contact_in_an_invoice(writer: Xero) -> None:
    """3.4, 4.4: a bare name finds or makes a contact; other fields change it."""
    found = put(writer, Contact={"Name": "cafe zoe – nandu s.l."})
    assert found["Contact"]["ContactID"] == contact(writer).id
    assert found["Contact"]["Name"] == contact(writer).name
    made = put(writer, Contact={"Name": "Wholly New"})
    assert made["Contact"]["IsCustomer"] is True
    mine = contact(writer)
    people = [{"FirstName": "Bob", "EmailAddress": "bob@example.com"}]
    writer.write("POST", "Contacts", {"ContactID": mine.id, "ContactPersons": people})
    put(writer)
    assert contact(writer).persons
    put(writer, Contact={"ContactID": mine.id, "FirstName": "Zoë"})
    assert (contact(writer).first_name, contact(writer).persons) == ("Zoë", [])


def test_a_refused_invoice_does_not_change_its_contact(writer: Xero) -> None:
    mine = contact(writer)
    given = {"ContactID": mine.id, "FirstName": "Zoë"}
    refusal(writer.write("PUT", "Invoices", body(writer, Contact=given, InvoiceNumber="INV-0001")))
    assert contact(writer) == mine


def test_an_archived_contact_gets_nothing(writer: Xero) -> None:
    archived = contact(writer, "Closed Shop (archived)")
    for given in ({"ContactID": archived.id}, {"Name": archived.name}):
        assert refusal(writer.write("PUT", "Invoices", body(writer, Contact=given))) == [ARCHIVED]
    rows = writer.sandbox.store.ledgers[writer.tenant()].invoices.rows.values()
    theirs = next(i for i in rows if i.contact_id == archived.id and i.status == "AUTHORISED")
    row = {"InvoiceID": theirs.id, "Contact": {"ContactID": archived.id}, "Reference": "stay"}
    answer = writer.write("POST", "Invoices", row)
    assert answer.json()["Invoices"][0]["Reference"] == "stay"


def test_what_was_written_is_decimal_to_the_last_cent(writer: Xero) -> None:
    made = put(writer, LineItems=[{**LINE, "Quantity": "0.1", "UnitAmount": "0.3"}])
    stored = writer.sandbox.store.ledgers[writer.tenant()].invoices.rows[made["InvoiceID"]]
    assert (stored.sub_total, stored.total_tax) == (Decimal("0.03"), Decimal("0.01"))
