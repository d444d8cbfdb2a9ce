"""Limits, outages, lists and single reads: one test for each statement of xero-facts 2, 3.1-3."""

from datetime import UTC, datetime

import pytest
from tests.sandbox.client import Xero
from tests.sandbox.test_sandbox_write_invoices import UK, body, contact, pay, put, read

from xero_sandbox import FrozenClock

pytestmark = [pytest.mark.layer("conformance"), pytest.mark.usefixtures("stated")]
HEADERS = ("X-DayLimit-Remaining", "X-MinLimit-Remaining", "X-AppMinLimit-Remaining")


def rows(xero: Xero, path: str = "Invoices", headers: dict | None = None, **args: str) -> list:
    answer = xero.get(path, headers=headers, **args)
    assert answer.status_code == 200, answer.text
    return answer.json()[path]


def since(moment: datetime) -> dict[str, str]:
    return {"If-Modified-Since": moment.strftime("%Y-%m-%dT%H:%M:%S")}


# --- 2.1, 2.2 ----------------------------------------------------------------------------------


def test_every_call_tells_what_is_left(connected: Xero) -> None:
    """2.1: three headers on a call for an organisation, the app's alone on `/connections`."""
    assert all(name in connected.get("Organisation").headers for name in HEADERS)
    bearer = {"Authorization": f"Bearer {connected.access}"}
    told = connected.http.get("/connections", headers=bearer).headers
    assert [name for name in HEADERS if name in told] == ["X-AppMinLimit-Remaining"]


def test_every_answer_has_a_trace(connected: Xero) -> None:
    """2.1: `Xero-Correlation-Id`, another one each time, also on refusals."""
    answers = [connected.get("Organisation"), connected.get("Nowhere")]
    assert len({answer.headers["Xero-Correlation-Id"] for answer in answers}) == 2


@pytest.mark.parametrize(("limit", "said"), [("minute", "minute"), ("day", "day")])
def test_a_429_has_no_body(connected: Xero, limit: str, said: str) -> None:
    """2.1: empty, without a type, with the limit's name and Retry-After."""
    connected.sandbox.limits.reset()
    connected.http.post("/sandbox/limits", json={limit: 1})
    assert connected.get("Organisation").status_code == 200
    refused = connected.get("Organisation")
    assert (refused.status_code, refused.content) == (429, b"")
    assert "Content-Type" not in refused.headers
    assert refused.headers["X-Rate-Limit-Problem"] == said
    assert int(refused.headers["Retry-After"]) >= 1


def test_limits_are_an_organisations_own(connected: Xero) -> None:
    """2.1: what one has used up is there for the other."""
    connected.http.post("/sandbox/limits", json={"minute": 1})
    assert [connected.get("Organisation", c).status_code for c in ("GB", "GB", "NZ")] == [
        200, 429, 200,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["The Organisation is offline", "The Xero API is offline"])
def test_an_outage_is_plain_text(connected: Xero, text: str) -> None:
    """2.2: 503 with a sentence, no JSON."""
    connected.http.post(
        "/sandbox/faults", json={"kind": "offline", "parameters": {"text": text}}
    ).raise_for_status()
    answer = connected.get("Organisation")
    assert (answer.status_code, answer.text) == (503, text)
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_what_is_not_built_is_a_501(writer: Xero) -> None:
    """2.2: a method that an endpoint does not have."""
    assert writer.write("PUT", "Accounts", {}).status_code in (401, 501)
    assert writer.write("DELETE", "Invoices").status_code == 501


def test_a_precondition_that_is_no_date_is_a_412(connected: Xero) -> None:
    """2.2: If-Modified-Since must be a date."""
    assert connected.get("Invoices", headers={"If-Modified-Since": "soon"}).status_code == 412


# --- 3.1 ---------------------------------------------------------------------------------------


def test_without_a_page_there_are_no_lines(connected: Xero) -> None:
    """3.1: nor a pagination object; `page`, `Statuses` and a single read bring lines (6.5)."""
    whole = connected.get("Invoices").json()
    assert "pagination" not in whole
    assert not any(row["LineItems"] for row in whole["Invoices"])
    for more in ({"page": "1"}, {"Statuses": "PAID"}):
        assert all(row["LineItems"] for row in rows(connected, **more))


@pytest.mark.parametrize(("asked", "size"), [("5000", 1000), ("0", 1), ("", 100)])
def test_the_size_of_a_page(connected: Xero, asked: str, size: int) -> None:
    """3.1: 1 to 1,000, 100 by default; what is out of range is clamped."""
    told = connected.get("Invoices", page="1", pageSize=asked).json()["pagination"]
    assert told["pageSize"] == size


def test_the_pagination_comes_before_the_rows(connected: Xero) -> None:
    """3.1: page, pageSize, pageCount and itemCount."""
    whole = connected.get("Invoices", page="2", pageSize="30").json()
    assert list(whole)[-2:] == ["pagination", "Invoices"]
    assert whole["pagination"] == {"page": 2, "pageSize": 30, "pageCount": 3, "itemCount": 68}


def test_the_order_is_by_stamp_unless_asked(connected: Xero) -> None:
    """3.1: UpdatedDateUTC ascending; `order` takes a field and ASC or DESC."""
    stamps = [row["UpdatedDateUTC"] for row in rows(connected, page="1")]
    moments = [int(stamp[6:-7]) for stamp in stamps]
    assert moments == sorted(moments)
    days = [row["DateString"] for row in rows(connected, page="1", order="Date DESC")]
    assert days == sorted(days, reverse=True)


@pytest.mark.parametrize(
    "where",
    [
        'Status=="PAID"',
        'status = "paid" AND Type=="ACCREC"',
        '(Status=="PAID" OR Status=="VOIDED") && AmountPaid > 0',
        'Date >= DateTime(2026, 01, 31) AND DueDate < DateTime(2027, 1, 1) AND Status!="DRAFT"',
        'Reference!=null AND Reference.Contains("po")',
        'Contact.Name.StartsWith("ridge")',
    ],
)
def test_filters(connected: Xero, where: str) -> None:
    """3.1: comparisons, dates, brackets and text, without letter case."""
    found = rows(connected, page="1", where=where)
    assert 0 < len(found) < 68


@pytest.mark.parametrize(
    "where", ["Status==", 'Nothing=="x"', 'Status=="a', "1; DROP TABLE x", 'Date >= "soon"']
)
def test_a_filter_that_cannot_be_read(connected: Xero, where: str) -> None:
    """3.1: a 400 of the type QueryParseException."""
    answer = connected.get("Invoices", page="1", where=where)
    assert (answer.status_code, answer.json()["Type"]) == (400, "QueryParseException")


def test_text_of_an_empty_field_breaks_a_filter(writer: Xero) -> None:
    """3.1: `.Contains` wants `Field!=null AND` before it."""
    put(writer)
    answer = writer.get("Invoices", page="1", where='Reference.Contains("x")')
    assert answer.status_code == 400


def test_lists_of_ids_and_numbers(writer: Xero) -> None:
    """3.1: `IDs`, `InvoiceNumbers`, `ContactIDs` and `Statuses` take commas."""
    first, second = put(writer), put(writer)
    ids = f"{first['InvoiceID']},{second['InvoiceID'].upper()}"
    numbers = f"{first['InvoiceNumber']},{second['InvoiceNumber']},nobody's"
    for args in ({"IDs": ids}, {"InvoiceNumbers": numbers}):
        assert len(rows(writer, page="1", **args)) == 2
    mine = rows(writer, page="1", ContactIDs=first["Contact"]["ContactID"])
    assert {row["Contact"]["ContactID"] for row in mine} == {first["Contact"]["ContactID"]}


def test_a_search_looks_in_number_and_reference(writer: Xero) -> None:
    """3.1: `searchTerm` has no letter case."""
    made = put(writer, Reference="Wedding <Ω>")
    found = rows(writer, page="1", searchTerm="wedding <ω")
    assert [row["InvoiceID"] for row in found] == [made["InvoiceID"]]


def test_a_summary_leaves_out_lines_and_payments(connected: Xero) -> None:
    """3.1: `summaryOnly`, in any letter case, forces paging."""
    whole = connected.get("Invoices", summaryOnly="True").json()
    assert "pagination" in whole
    row = whole["Invoices"][0]
    assert not {"LineItems", "Payments", "HasAttachments"} & set(row)


def test_what_is_gone_stays_readable(writer: Xero) -> None:
    """3.1: void and deleted invoices are in lists and single reads; the status is the sign."""
    made = put(writer, Status="DRAFT")
    writer.act("delete-invoice", tenant=UK, invoice=made["InvoiceNumber"])
    assert read(writer, made)["Status"] == "DELETED"
    assert len(rows(writer, page="1", IDs=made["InvoiceID"])) == 1


# --- 3.2 ---------------------------------------------------------------------------------------


def test_modified_since_is_accurate_to_the_second(writer: Xero, clock: FrozenClock) -> None:
    """3.2, 6.2: a stamp floored to the second brings its own row again."""
    clock.advance(60)
    made = put(writer)
    found = rows(writer, headers=since(clock.now()))
    assert [row["InvoiceID"] for row in found] == [made["InvoiceID"]]
    clock.advance(1)
    assert rows(writer, headers=since(clock.now())) == []


@pytest.mark.parametrize(
    "form", ["2026-11-22T10:00:00", "2026-11-22T10:00:00.123456+00:00", "Sun, 22 Nov 2026 10:00:00"]
)
def test_forms_of_modified_since(connected: Xero, form: str) -> None:
    """3.2: ISO as documented, as xero-python sends it, and RFC 1123."""
    headers = {"If-Modified-Since": f"{form} GMT" if "," in form else form}
    assert rows(connected, headers=headers) == rows(
        connected, headers=since(datetime(2026, 11, 22, 10, tzinfo=UTC))
    )


@pytest.mark.parametrize("field", ["DueDate", "SentToContact"])
def test_some_changes_of_part_paid_invoices_move_no_stamp(
    writer: Xero, clock: FrozenClock, field: str
) -> None:
    """3.2: a new due date or "sent" of a part-paid invoice is not seen by its stamp (6.1)."""
    made = put(writer)
    pay(writer, made, "10")
    before = read(writer, made)["UpdatedDateUTC"]
    clock.advance(60)
    change = {"DueDate": "2027-03-01"} if field == "DueDate" else {"SentToContact": True}
    writer.write("POST", f"Invoices/{made['InvoiceID']}", change)
    after = read(writer, made)
    assert after[field] in (True, "/Date(1803859200000+0000)/")
    assert after["UpdatedDateUTC"] == before


def test_a_payment_moves_the_invoices_stamp(writer: Xero, clock: FrozenClock) -> None:
    """3.2: made or deleted, a payment shows in the invoice's stamp."""
    made = put(writer)
    stamps = [read(writer, made)["UpdatedDateUTC"]]
    clock.advance(5)
    paid = pay(writer, made, "10")
    stamps.append(read(writer, made)["UpdatedDateUTC"])
    clock.advance(5)
    writer.write("POST", f"Payments/{paid['PaymentID']}", {"Status": "DELETED"})
    stamps.append(read(writer, made)["UpdatedDateUTC"])
    assert len(set(stamps)) == 3


def test_demo_companies_have_stamps_of_2010(connected: Xero) -> None:
    """3.2: a first import has no floor."""
    assert any(row["UpdatedDateUTCString"] < "2011" for row in rows(connected, page="1"))


# --- 3.3 ---------------------------------------------------------------------------------------


def test_one_invoice_by_id_or_number(writer: Xero) -> None:
    """3.3: in any letter case; the contact comes whole."""
    made = put(writer)
    for key in (made["InvoiceID"].upper(), made["InvoiceNumber"].lower()):
        (found,) = rows(writer, "Invoices", page="1", IDs=made["InvoiceID"])
        (one,) = writer.get(f"Invoices/{key}").json()["Invoices"]
        assert one["InvoiceID"] == found["InvoiceID"]
        assert "Phones" in one["Contact"]
        assert "EmailAddress" not in found["Contact"]


def test_an_unknown_one_is_html(connected: Xero) -> None:
    """3.3: a 404 is no JSON (6.11)."""
    answer = connected.get("Invoices/11111111-2222-4333-8444-555555555555")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_number_of_two_directions_is_a_sale_first(writer: Xero) -> None:
    """3.3: supplier bills have numbers of their own."""
    supplier = next(
        row for row in rows(writer, page="1", where='Type=="ACCPAY"') if row["InvoiceNumber"]
    )
    made = writer.write(
        "PUT",
        "Invoices",
        body(
            writer, InvoiceNumber=supplier["InvoiceNumber"], Contact={"Name": contact(writer).name}
        ),
    )
    (one,) = writer.get(f"Invoices/{supplier['InvoiceNumber']}").json()["Invoices"]
    assert one["InvoiceID"] == made.json()["Invoices"][0]["InvoiceID"]
