"""What was written reads back, and books add up after any legal writes: 3.4, 3.11, 4.1, 4.2."""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sandbox.client import NOW, REDIRECT, WRITE_SCOPES, Xero
from tests.sandbox.test_sandbox_random import owed
from tests.sandbox.test_sandbox_write_invoices import contact

from xero_sandbox import FrozenClock, Store, create_app
from xero_sandbox.oauth import App

CENT = Decimal("0.01")
TEXT = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40
)
AMOUNT = st.decimals(min_value=0, max_value=50_000, places=4)
LINES = st.lists(
    st.fixed_dictionaries(
        {
            "Description": TEXT,
            "Quantity": st.decimals(min_value=0, max_value=99, places=4),
            "UnitAmount": AMOUNT,
            "AccountCode": st.sampled_from(("200", "260")),
            "TaxType": st.sampled_from(("OUTPUT2", "ZERORATEDOUTPUT", "NONE")),
        },
        optional={"DiscountRate": st.decimals(min_value=0, max_value=100, places=2)},
    ),
    min_size=1,
    max_size=5,
)
TYPES = st.sampled_from(("Exclusive", "Inclusive", "NoTax"))
STEP = st.tuples(
    st.sampled_from(("pay", "unpay", "lines", "void", "delete", "approve", "due", "number")),
    AMOUNT,
    LINES,
)
CALM = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def one(books_of: Store) -> Iterator[Xero]:
    app = App(client_id="cid", client_secret="secret", redirect_uris=(REDIRECT,))
    xero = Xero(create_app(books_of, clock=FrozenClock(NOW), app=app))
    xero.connect(scope=WRITE_SCOPES)
    xero.http.post("/sandbox/limits", json={"minute": None, "day": None, "app_minute": None})
    yield xero
    xero.http.close()


@pytest.fixture(scope="module")
def books_of(books: Store) -> Store:
    store = Store()
    for ledger in books.ledgers.values():
        store.add_organisation(ledger.organisation, ledger.records())
    return store


def plain(lines: list[dict]) -> list[dict]:
    """Decimals as text, which an API takes as well as numbers."""
    return [{k: str(v) if isinstance(v, Decimal) else v for k, v in line.items()} for line in lines]


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def expected(lines: list[dict], types: str) -> tuple[Decimal, Decimal]:
    """Net and tax, worked out apart from the sandbox."""
    net = tax = Decimal(0)
    for line in lines:
        kept = 1 - line.get("DiscountRate", Decimal(0)) / 100
        amount = cents(line["Quantity"] * line["UnitAmount"] * kept)
        rate = Decimal("0.2") if line["TaxType"] == "OUTPUT2" and types != "NoTax" else Decimal(0)
        part = cents(amount * rate / (1 + rate) if types == "Inclusive" else amount * rate)
        net += amount - part if types == "Inclusive" else amount
        tax += part
    return net, tax


@CALM
@given(lines=LINES, types=TYPES, reference=TEXT)
def test_what_was_written_reads_back(
    one: Xero, lines: list[dict], types: str, reference: str
) -> None:
    given_body = {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact(one).id},
        "Reference": reference,
        "LineAmountTypes": types,
        "LineItems": plain(lines),
    }
    answer = one.write("PUT", "Invoices", given_body, unitdp="4")
    assert answer.status_code == 200, answer.text
    made = answer.json(parse_float=Decimal)["Invoices"][0]
    read = one.get(f"Invoices/{made['InvoiceID']}", unitdp="4").json(parse_float=Decimal)
    row = read["Invoices"][0]
    assert (row["SubTotal"], row["TotalTax"]) == expected(lines, types)
    assert row["Total"] == row["SubTotal"] + row["TotalTax"] == row["AmountDue"]
    assert row["Reference"] == reference.strip()
    for wanted, got in zip(lines, row["LineItems"], strict=True):
        for key in ("Description", "Quantity", "UnitAmount", "AccountCode", "TaxType"):
            assert got[key] == wanted[key]


def write_step(xero: Xero, invoice: str, payments: list[str], step: tuple) -> int:
    """One write of a sequence; 200 or a refusal."""
    what, amount, lines = step
    path, body = f"Invoices/{invoice}", {}
    if what == "pay":
        target = {"Invoice": {"InvoiceID": invoice}, "Account": {"Code": "090"}}
        answer = xero.write("PUT", "Payments", {**target, "Amount": str(cents(amount))})
        if answer.status_code == 200:
            payments.append(answer.json()["Payments"][0]["PaymentID"])
        return answer.status_code
    if what == "unpay":
        if not payments:
            return 400
        path, body = f"Payments/{payments.pop()}", {"Status": "DELETED"}
    elif what == "lines":
        body = {"LineItems": plain(lines)}
    elif what in ("void", "delete", "approve"):
        status = {"void": "VOIDED", "delete": "DELETED", "approve": "AUTHORISED"}[what]
        body = {"Status": status}
    elif what == "due":
        body = {"DueDate": "2027-01-31"}
    else:
        body = {"InvoiceNumber": f"N-{amount}-{invoice[:8]}"}
    return xero.write("POST", path, body, unitdp="4").status_code


@CALM
@given(
    start=st.sampled_from(("DRAFT", "AUTHORISED")), lines=LINES, steps=st.lists(STEP, max_size=9)
)
def test_money_agrees_after_any_writes(
    one: Xero, start: str, lines: list[dict], steps: list[tuple]
) -> None:
    given_body = {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact(one).id},
        "Status": start,
        "LineItems": plain(lines),
    }
    made = one.write("PUT", "Invoices", given_body, unitdp="4").json()["Invoices"][0]
    payments: list[str] = []
    for step in steps:
        assert write_step(one, made["InvoiceID"], payments, step) in (200, 400)
    ledger = one.sandbox.store.ledgers[one.tenant()]
    stored = ledger.invoices.rows[made["InvoiceID"]]
    if stored.status not in ("VOIDED", "DELETED"):
        owed(ledger, stored)
    read = one.get(f"Invoices/{stored.id}").json(parse_float=Decimal)["Invoices"][0]
    due = read["Total"] - read["AmountPaid"] - read["AmountCredited"]
    assert read["AmountDue"] == (0 if stored.status in ("VOIDED", "DELETED") else due)


NAMES = (
    "Type", "Contact", "ContactID", "Name", "LineItems", "LineItemID", "Quantity", "UnitAmount",
    "TaxAmount", "Date", "Status", "InvoiceNumber", "CurrencyRate", "Invoice", "Account", "Code",
    "Amount", "BankAmount", "Phones", "ContactPersons", "Details", "Tracking", "Other",
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(("ACCREC", "PAID", "AUTHORISED", "2026-11-22", "/Date(0)/", "1e400")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=12,
)
ADDRESSES = st.sampled_from(
    ("Invoices", "Contacts", "Payments", "Invoices/INV-0001", "Invoices/INV-0001/History")
)


@CALM
@given(
    method=st.sampled_from(("PUT", "POST")),
    path=ADDRESSES,
    sent=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6),
    summarise=st.sampled_from(("true", "false")),
)
def test_no_body_breaks_the_program(
    one: Xero, method: str, path: str, sent: dict, summarise: str
) -> None:
    answer = one.write(method, path, sent, summarizeErrors=summarise)
    assert answer.status_code in (200, 400, 501), answer.text
    if answer.status_code != 501:
        assert answer.json()
