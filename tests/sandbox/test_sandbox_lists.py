"""Lists, filters, orders and single reads: xero-facts 3.1 to 3.3, 4.1, 4.4."""

import gzip
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.sandbox.client import NOW, Xero

from xero_sandbox import FrozenClock
from xero_sandbox.listing import BadHeader, parse_since
from xero_sandbox.model import sql_guid_key


def invoices(xero: Xero, **args: str) -> list[dict]:
    answer = xero.get("Invoices", **args)
    assert answer.status_code == 200, answer.text
    return answer.json()["Invoices"]


def test_envelope_of_a_page(connected: Xero) -> None:
    body = connected.get("Invoices", page="1", pageSize="10").json()
    assert list(body) == ["Id", "Status", "ProviderName", "DateTimeUTC", "pagination", "Invoices"]
    assert body["DateTimeUTC"] == f"/Date({int(NOW.timestamp() * 1000)})/"
    assert body["pagination"] == {"page": 1, "pageSize": 10, "pageCount": 7, "itemCount": 68}
    assert len(body["Invoices"]) == 10


def test_unpaged_invoices_have_no_lines_and_no_pagination(connected: Xero) -> None:
    body = connected.get("Invoices").json()
    assert "pagination" not in body
    assert len(body["Invoices"]) == 68
    assert all(row["LineItems"] == [] for row in body["Invoices"])


def test_statuses_and_summary_force_paging(connected: Xero) -> None:
    paid = connected.get("Invoices", Statuses="PAID,VOIDED").json()
    assert paid["pagination"]["page"] == 1
    assert {row["Status"] for row in paid["Invoices"]} == {"PAID", "VOIDED"}
    assert all(row["LineItems"] for row in paid["Invoices"])
    short = connected.get("Invoices", summaryOnly="True").json()
    assert "pagination" in short
    for key in ("Payments", "HasAttachments", "LineItems"):
        assert key not in short["Invoices"][0]


@pytest.mark.parametrize(
    ("asked", "given"), [("5000", 1000), ("0", 1), ("-3", 1), ("7", 7), ("", 100)]
)
def test_page_size_is_clamped(connected: Xero, asked: str, given: int) -> None:
    body = connected.get("Invoices", page="1", pageSize=asked).json()
    assert body["pagination"]["pageSize"] == given


def test_page_past_the_end_is_an_empty_array(connected: Xero) -> None:
    answer = connected.get("Invoices", page="99")
    assert (answer.status_code, answer.json()["Invoices"]) == (200, [])


def test_pages_together_are_every_invoice_once(connected: Xero) -> None:
    ids = [
        row["InvoiceID"]
        for page in range(1, 6)
        for row in invoices(connected, page=str(page), pageSize="15", order="InvoiceID")
    ]
    assert len(ids) == len(set(ids)) == 68
    assert ids == sorted(ids, key=sql_guid_key)


def test_sql_server_orders_guids_by_the_last_group_first() -> None:
    first = "de621a4e-0000-0000-0000-115494f98c9d"
    second = "0999c2a9-0000-0000-0000-93cbda343fe3"
    assert sql_guid_key(first) < sql_guid_key(second)


def test_default_order_is_by_stamp_then_id(connected: Xero) -> None:
    rows = list(connected.sandbox.store.ledgers[connected.tenant()].invoices.rows.values())
    wanted = [r.id for r in sorted(rows, key=lambda r: (r.updated, sql_guid_key(r.id)))]
    assert [r["InvoiceID"] for r in invoices(connected)] == wanted
    newest = invoices(connected, order="UpdatedDateUTC DESC")
    assert newest[0]["UpdatedDateUTC"] >= newest[-1]["UpdatedDateUTC"]


def test_order_by_date(connected: Xero) -> None:
    dates = [r["DateString"] for r in invoices(connected, order="Date DESC")]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize("order", ["Colour", "Date SIDEWAYS", "Date ASC, InvoiceID", "Total"])
def test_unknown_order_is_a_query_error(connected: Xero, order: str) -> None:
    answer = connected.get("Invoices", order=order)
    assert (answer.status_code, answer.json()["Type"]) == (400, "QueryParseException")


def test_ids_numbers_and_contacts_lists(connected: Xero) -> None:
    some = invoices(connected, page="1", pageSize="3")
    ids = ",".join(r["InvoiceID"].upper() for r in some)
    assert len(invoices(connected, IDs=ids)) == 3
    numbers = "inv-0001,INV-0002,nothing"
    assert {r["InvoiceNumber"] for r in invoices(connected, InvoiceNumbers=numbers)} == {
        "INV-0001",
        "INV-0002",
    }
    contact = some[0]["Contact"]["ContactID"]
    found = invoices(connected, ContactIDs=contact)
    assert {r["Contact"]["ContactID"] for r in found} == {contact}


def test_ids_without_hyphens_and_a_slash_at_the_end_mean_the_same(connected: Xero) -> None:
    row = invoices(connected, page="1", pageSize="1")[0]
    bare = row["InvoiceID"].replace("-", "")
    assert [r["InvoiceID"] for r in invoices(connected, IDs=bare)] == [row["InvoiceID"]]
    contact = row["Contact"]["ContactID"].replace("-", "")
    assert row["InvoiceID"] in {r["InvoiceID"] for r in invoices(connected, ContactIDs=contact)}
    (one,) = connected.get(f"Invoices/{row['InvoiceID']}/").json()["Invoices"]
    assert one["InvoiceID"] == row["InvoiceID"]
    assert "HistoryRecords" in connected.get(f"Invoices/{row['InvoiceID']}/History/").json()


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ('Type=="ACCREC"', lambda r: r["Type"] == "ACCREC"),
        ('Type = "accrec" AND Status == "PAID"', lambda r: r["Status"] == "PAID"),
        ('Status=="DRAFT" || Status=="VOIDED"', lambda r: r["Status"] in ("DRAFT", "VOIDED")),
        ("AmountDue > 0 and AmountPaid > 0.00", lambda r: 0 < r["AmountDue"] < r["Total"]),
        ("Date >= DateTime(2026, 10, 01)", lambda r: r["DateString"] >= "2026-10-01"),
        ('Date<DateTime.Parse("2026-10-01")', lambda r: r["DateString"] < "2026-10-01"),
        ('Reference != null AND Reference.Contains("po")', lambda r: "PO" in r["Reference"]),
        ("Reference == null", lambda r: r["Reference"] == ""),
        ('InvoiceNumber.StartsWith("INV-00")', lambda r: r["InvoiceNumber"][:6] == "INV-00"),
        ('InvoiceNumber.EndsWith("9")', lambda r: r["InvoiceNumber"][-1] == "9"),
        ('(Type=="ACCPAY" OR Type=="ACCREC") && !'.rstrip("! &"), lambda r: True),
        ('Contact.Name == "marine systems"', lambda r: r["Contact"]["Name"] == "Marine Systems"),
        ('Contact.ContactNumber=="C003"', lambda r: True),
    ],
)
def test_where(connected: Xero, where: str, holds: object) -> None:
    rows = invoices(connected, where=where, page="1", pageSize="1000")
    assert rows
    assert all(holds(row) for row in rows)


def test_where_by_guid(connected: Xero) -> None:
    row = invoices(connected, page="1", pageSize="1")[0]
    for where in (
        f'InvoiceId==guid("{row["InvoiceID"]}")',
        f'InvoiceID = Guid("{row["InvoiceID"].upper()}")',
    ):
        assert [r["InvoiceID"] for r in invoices(connected, where=where)] == [row["InvoiceID"]]
    by_contact = f'Contact.ContactID==guid("{row["Contact"]["ContactID"]}")'
    assert row["InvoiceID"] in [r["InvoiceID"] for r in invoices(connected, where=by_contact)]


@pytest.mark.parametrize(
    "where",
    [
        "Colour==1", "Type", "Type==", "==", '"x"==Type', "Type==ACCREC", 'Type=="A" AND',
        "Date>=DateTime(2026,13,40)", "Date>=DateTime(2026)", 'Date>="2026-01-01"', "Type==1",
        '(Type=="A"', 'Type=="A")', "AmountDue > \"x\"", 'Reference.Contains("x")',
        "Type.Contains(1)", "Date == Now()", "(" * 200, "\x00", "Total>1", "AmountDue 5",
    ],
)  # fmt: skip
def test_bad_where_is_a_query_error(connected: Xero, where: str) -> None:
    answer = connected.get("Invoices", where=where)
    assert answer.status_code == 400
    assert answer.json()["Type"] == "QueryParseException"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-01T10:00:00",
        "2026-11-01T10:00:00Z",
        "2026-11-01T10:00:00.999999+00:00",
        "2026-11-01T23:00:00+13:00",
        "Sun, 01 Nov 2026 10:00:00 GMT",
    ],
)
def test_if_modified_since_forms_mean_the_same_second(text: str) -> None:
    assert parse_since(text) == datetime(2026, 11, 1, 10, tzinfo=UTC)


def test_if_modified_since_that_is_no_date(connected: Xero) -> None:
    with pytest.raises(BadHeader):
        parse_since("yesterday")
    answer = connected.get("Invoices", headers={"If-Modified-Since": "yesterday"})
    assert answer.status_code == 412


def test_modified_since_includes_the_whole_second(connected: Xero, clock: FrozenClock) -> None:
    clock.advance(60)
    edited = connected.act(
        "edit-invoice", tenant="Demo Company (UK)", invoice="INV-0001", reference="moved"
    ).json()
    same_second = clock.now().strftime("%Y-%m-%dT%H:%M:%S.900")
    rows = connected.get("Invoices", headers={"If-Modified-Since": same_second}).json()["Invoices"]
    assert [r["InvoiceID"] for r in rows] == [edited["InvoiceID"]]
    later = {"If-Modified-Since": "Sun, 22 Nov 2026 10:31:16 GMT"}
    assert connected.get("Invoices", headers=later).json()["Invoices"] == []


def test_one_by_id_or_number_in_any_case(connected: Xero) -> None:
    row = invoices(connected, InvoiceNumbers="INV-0001")[0]
    for key in (row["InvoiceID"], row["InvoiceID"].upper(), "inv-0001"):
        (one,) = connected.get(f"invoices/{key}").json()["Invoices"]
        assert one["InvoiceID"] == row["InvoiceID"]
        assert one["LineItems"]


@pytest.mark.parametrize("key", ["nothing", "00000000-0000-0000-0000-000000000000", "%00", "🧾"])
@pytest.mark.parametrize("kind", ["Invoices", "Contacts", "Payments", "CreditNotes"])
def test_unknown_id_is_404_in_html(connected: Xero, kind: str, key: str) -> None:
    answer = connected.get(f"{kind}/{key}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_unknown_endpoint_is_404(connected: Xero) -> None:
    assert connected.get("Wombats").status_code == 404


def test_contacts_hide_archived_and_show_merges_only_in_pages(connected: Xero) -> None:
    plain = connected.get("Contacts").json()["Contacts"]
    assert {c["ContactStatus"] for c in plain} == {"ACTIVE"}
    with_archived = connected.get("Contacts", includeArchived="True").json()["Contacts"]
    assert len(with_archived) == len(plain) + 2
    assert all("MergedToContactID" not in c for c in with_archived)
    paged = connected.get("Contacts", includeArchived="true", page="1").json()["Contacts"]
    (merged,) = [c for c in paged if "MergedToContactID" in c]
    assert merged["ContactStatus"] == "ARCHIVED"
    (one,) = connected.get(f"Contacts/{merged['ContactID']}").json()["Contacts"]
    assert one["MergedToContactID"] == merged["MergedToContactID"]


def test_contacts_know_whether_they_buy_or_sell(connected: Xero) -> None:
    rows = {c["Name"]: c for c in connected.get("Contacts").json()["Contacts"]}
    assert rows["Marine Systems"]["IsCustomer"] is True
    assert rows["PowerDirect"]["IsSupplier"] is True
    assert rows["PowerDirect"]["IsCustomer"] is False
    lonely = rows["Prospect without invoices"]
    assert (lonely["IsCustomer"], lonely["IsSupplier"]) == (False, False)
    assert [p["PhoneType"] for p in lonely["Phones"]] == ["DDI", "DEFAULT", "FAX", "MOBILE"]


def test_contact_by_number_and_name(connected: Xero) -> None:
    assert connected.get("Contacts/C003").json()["Contacts"][0]["ContactNumber"] == "C003"
    found = connected.get("Contacts", where='Name=="BASKET CASE"').json()["Contacts"]
    assert [c["Name"] for c in found] == ["Basket Case"]


def test_payments_filters(connected: Xero) -> None:
    sales = connected.get("Payments", where='PaymentType=="ACCRECPAYMENT"').json()["Payments"]
    purchases = connected.get("Payments", where='PaymentType=="ACCPAYPAYMENT"').json()["Payments"]
    assert sales
    assert purchases
    assert {p["Invoice"]["Type"] for p in sales} == {"ACCREC"}
    assert {p["Invoice"]["Type"] for p in purchases} == {"ACCPAY"}
    invoice = sales[0]["Invoice"]["InvoiceID"]
    mine = connected.get("Payments", where=f'Invoice.InvoiceID==guid("{invoice}")').json()
    assert {p["Invoice"]["InvoiceID"] for p in mine["Payments"]} == {invoice}
    deleted = connected.get("Payments", where='Status=="DELETED"').json()["Payments"]
    assert len(deleted) == 1


def test_unit_amounts_have_two_places_or_four(connected: Xero) -> None:
    def prices(**args: str) -> set[Decimal]:
        rows = connected.get("Invoices", page="1", pageSize="1000", **args)
        body = rows.text
        return {p for p in ("0.3333", "0.33,") if f'"UnitAmount":{p}' in body}  # type: ignore[misc]

    assert prices() == {"0.33,"}
    assert prices(unitdp="4") == {"0.3333"}


def test_search_term(connected: Xero) -> None:
    rows = invoices(connected, SearchTerm="po 4711")
    assert rows
    assert all("PO 4711" in r["Reference"] for r in rows)


def test_more_than_a_hundred_thousand_rows_is_refused(
    connected: Xero, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xero_sandbox.listing.HIGH_VOLUME", 67)
    refused = connected.get("Invoices", page="1")
    assert (refused.status_code, refused.json()["Type"]) == (400, "HighVolumeException")
    assert connected.get("Invoices", page="1", where='Type=="ACCREC"').status_code == 200


def test_gzip_when_asked(connected: Xero) -> None:
    headers = {"Accept-Encoding": "gzip"}
    with connected.http.stream(
        "GET",
        "/api.xro/2.0/Invoices",
        headers={
            "Authorization": f"Bearer {connected.access}",
            "xero-tenant-id": connected.tenant(),
            **headers,
        },
    ) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(raw).startswith(b'{"Id"')
    plain = connected.get("Invoices", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers


def test_what_is_not_built_answers_501(xero: Xero) -> None:
    xero.connect(scope="accounting.settings accounting.invoices offline_access")
    assert xero.write("PUT", "Accounts", {"Code": "999"}).status_code == 501
    assert xero.write("PUT", "CreditNotes", {"Type": "ACCRECCREDIT"}).status_code == 501
    assert xero.write("DELETE", "Invoices/INV-0001").status_code == 501
