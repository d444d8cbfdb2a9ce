"""Looking for what may be there already: by number, reference, id and marker, in any state.

Hostile text never breaks Xero's filter language, however that may want a quote to be written.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generated import ROOT
from tests.xero.books import Books
from tests.xero.pages import INVOICE_ID, invoice, page
from tests.xero.test_client import Xero, ok

from justpayme.core.errors import Problem
from justpayme.xero import client as client_module
from justpayme.xero import outgoing, translate, wire
from justpayme.xero.client import IDS_PER_CALL, LONGEST_LIST, guid, like
from justpayme.xero.outgoing import NewContact
from xero_sandbox.open_questions import Open
from xero_sandbox.where import QUOTES, compile_where

QUOTINGS = st.sampled_from(sorted(QUOTES))

HOSTILE = [
    'say "cheese"',
    "back\\slash\\",
    '\\" OR Type=="ACCPAY',
    "two\nlines\r\n",
    "Łódź “9” 😀 <script>",
    "&& || (JPM-0123456789)",
    "%22 %5C &page=7#x",
    "' OR 1=1 --",
]


def ids(rows: Iterable[msgspec.Raw]) -> set[str]:
    return {wire.decode(wire.Invoice, row).invoice_id for row in rows}


@pytest.fixture
def books() -> Books:
    return Books()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), QUOTINGS)
def test_a_filter_for_any_text_at_all_takes_it(text: str, quoting: str) -> None:
    """It ends where it should, however a quote is written: none is sent (xero-facts 3.1)."""
    where = compile_where(f'{like("Reference", text)} AND Type=="A"', FIELDS, quoting)
    assert where(SimpleNamespace(reference=text, type="A"))
    assert not where(SimpleNamespace(reference=text, type="B"))
    if '"' not in text and "\\" not in text:
        assert not where(SimpleNamespace(reference=text + "\\", type="A"))


FIELDS = {"reference": lambda row: row.reference, "type": lambda row: row.type}


@pytest.mark.parametrize("quoting", QUOTES)
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_number_finds_its_contact_and_no_other(
    books: Books, text: str, quoting: str
) -> None:
    """Archived ones too."""
    books.xero.app.assume(Open(where_quote=quoting))  # type: ignore[arg-type]
    text = text.strip()
    new = [NewContact(text, "Vera"), NewContact(text + "!", "Bob"), NewContact("plain", "Alice")]
    made = [e.id for e in books.send(outgoing.create_contacts(new)).elements]
    books.act("archive-contact", contact=made[0])
    (found,) = books.client.contacts_by_number([text, "nobody's", ""])
    assert (found.contact_id, found.contact_number) == (made[0], text)
    assert translate.to_client(found).archived


@pytest.mark.parametrize(
    "number", ["JPM-1", "a,b", ' "q",\\ ', "x&page=2#y", "INV 7 %2C", '\\" OR Type=="ACCPAY", \'']
)
@pytest.mark.parametrize("quoting", QUOTES)
def test_invoices_are_found_by_number_in_any_state(books: Books, number: str, quoting: str) -> None:
    """Also with a comma in it, which would be two in a list; and then with a quote."""
    books.xero.app.assume(Open(where_quote=quoting))  # type: ignore[arg-type]
    one = books.made(number=number.strip())
    books.made(number="JPM-11")
    books.made(number=f"{number.strip()}!")
    wanted = [number.strip().lower(), "a", "nobody's", ""]
    assert ids(books.client.invoices_by_number(wanted)) == {one}
    books.act("void-invoice", invoice=one)
    (row,) = books.client.invoices_by_number(wanted)
    assert wire.decode(wire.Invoice, row).status == "VOIDED"


def test_a_deleted_draft_is_found_by_its_number(books: Books) -> None:
    one = books.made("DRAFT", number="JPM-D")
    books.act("delete-invoice", invoice=one)
    (row,) = books.client.invoices_by_number(["JPM-D"])
    assert wire.decode(wire.Invoice, row).status == "DELETED"


def test_found_invoices_have_their_lines_and_four_decimals(books: Books) -> None:
    one = books.made(number="JPM-4")
    (row,) = books.client.invoices_by_number(["JPM-4"])
    assert translate.to_bill(wire.decode(wire.Invoice, row)) == books.bill(one)
    assert str(books.bill(one).lines[0].unit_amount) == "99.9999"


def test_a_suppliers_bill_of_the_same_number_is_not_found(books: Books) -> None:
    supplier = next(x for x in books.ledger.invoices.rows.values() if x.type == "ACCPAY")
    assert books.client.invoices_by_number([supplier.number]) == ()


def test_every_question_for_invoices_is_for_sales_only() -> None:
    xero = Xero(ok(page([])))
    client = xero.client()
    client.invoices_by_number(["a,b", "c"])
    assert len(xero.asked) == 2
    assert all(a.url.params["where"].startswith('Type=="ACCREC"') for a in xero.asked)


def test_payments_of_an_invoice_are_found_deleted_ones_too(books: Books) -> None:
    one, other = books.made(), books.made()
    kept, gone = books.pay(one, "1.00", "a"), books.pay(one, "2.00", '"\\')
    books.pay(other, "3.00")
    books.send(outgoing.delete_payment(gone))
    found = {p.payment_id: p for p in books.client.payments_by_invoice([one.upper()])}
    assert found.keys() == {kept, gone}
    assert [translate.to_payment(found[p]).live for p in (kept, gone)] == [True, False]
    assert translate.to_payment(found[gone]).reference == '"\\'


def test_an_id_that_is_none_never_reaches_a_filter(books: Books) -> None:
    with pytest.raises(ValueError, match="badly formed"):
        books.client.payments_by_invoice(['") OR 1==1'])
    assert books.xero.counts().get("total", 0) == 0
    assert guid(INVOICE_ID.upper()) == f'guid("{INVOICE_ID}")'


def test_many_numbers_are_asked_for_in_addresses_that_fit() -> None:
    xero = Xero(ok(page([])))
    numbers = [f"JPM-{n:04d}" for n in range(2 * IDS_PER_CALL)] + ["x" * 255] * 2 + ["y" * 1_700]
    xero.client().invoices_by_number(numbers)
    lists = [asked.url.params["InvoiceNumbers"] for asked in xero.asked]
    assert sorted(n for some in lists for n in some.split(",")) == sorted(set(numbers))
    assert all(len(some) <= LONGEST_LIST for some in lists)
    assert len(lists) == 4


def test_a_question_that_finds_far_too_much_is_no_answer() -> None:
    many = {"page": 1, "pageSize": 1, "pageCount": 11, "itemCount": 11}

    def numbered(n: int) -> dict[str, object]:
        return page([invoice()], pagination={**many, "page": n})

    xero = Xero(*(ok(numbered(n)) for n in range(1, client_module.MOST_PAGES + 1)))
    with pytest.raises(Problem) as caught:
        xero.client().invoices_by_number(["x"])
    assert caught.value.code == "too_many_records"
    assert len(xero.asked) == client_module.MOST_PAGES


def test_lists_for_the_defaults_are_read_whole(books: Books) -> None:
    themes = books.client.branding_themes()
    assert [t.branding_theme_id for t in themes] == [t.id for t in books.ledger.organisation.themes]
    assert all(theme.name for theme in themes)
    accounts = {a.code: a for a in books.client.accounts()}
    assert (accounts["200"].kind, accounts["610"].system_account) == ("REVENUE", "DEBTORS")
    assert {c.code for c in books.client.currencies()} == {"GBP", "EUR"}
    rates = {r.tax_type: r for r in books.client.tax_rates()}
    assert (rates["OUTPUT2"].can_apply_to_revenue, rates["OUTPUT2"].can_apply_to_assets) == (
        True,
        False,
    )


def test_lock_dates_are_read_where_they_are_set(books: Books) -> None:
    def found() -> tuple[date | None, date | None]:
        said = translate.to_organisation(books.client.organisation())
        return said.period_lock_date, said.end_of_year_lock_date

    assert found() == (None, None)
    books.act("switch", period_lock_date="2026-03-31", end_of_year_lock_date="2025-12-31")
    assert found() == (date(2026, 3, 31), date(2025, 12, 31))


def test_every_read_of_the_client_is_tried_here() -> None:
    """No way to look goes untested against the local Xero or its own exact words."""
    source = (ROOT / "src/justpayme/xero/client.py").read_text()
    tests = "".join(f.read_text() for f in (ROOT / "tests/xero").glob("test_*.py"))
    client = client_module.XeroClient
    public = [n for n, f in vars(client).items() if callable(f) and not n.startswith("_")]
    reads = [n for n in public if f"def {n}(" in source]
    assert len(reads) > 12
    assert [n for n in reads if f".{n}(" not in tests] == []
