"""Many pages, a Xero that changes while it is read, and crashes: nothing missing, nothing twice.

The everyday run lets a process die at the same points as the full run. Many deaths within a page
leave the same behind: there the everyday run takes each situation up once, the full run each time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from unittest import mock

import httpx2
import pytest
from django.apps import apps
from django.db import connection as database
from msgspec.structs import replace
from tests.extent import FULL
from tests.fixtures.xero import Xero
from tests.sync.hands import (
    Crash,
    Wire,
    bill_prints,
    crash_at,
    done,
    drift,
    plain_open,
    put_silently,
    sales,
    stamp_of,
    tap,
    undone,
)

from justpayme.accounts.models import Business
from justpayme.bills.models import Bill, HistoryEntry
from justpayme.sync.models import Connection, Link, Meter, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch, xero: Xero) -> None:
    """Seven rows a page, and no limit on calls: these tests are about order, not speed."""
    monkeypatch.setattr("justpayme.xero.client.PAGE_SIZE", 7)
    xero.http.post("/sandbox/limits", json={"minute": None, "day": None})


@pytest.fixture
def wire(xero: Xero, settings: object) -> Wire:
    return tap(xero, settings)


class Churn:
    """Somebody works in Xero while we read it: edits, new invoices, voids, payments."""

    def __init__(self, xero: Xero, seed: int) -> None:
        self.xero = xero
        self.random = Random(seed)

    def __call__(self, request: httpx2.Request) -> None:
        for _ in range(self.random.randrange(3)):
            act = self.random.choice([self.edit, self.edit, self.make, self.void, self.pay])
            act()

    def edit(self) -> None:
        invoice = self.random.choice(plain_open(self.xero))
        reference = f"churn {self.random.random()}"
        self.xero.act("edit-invoice", invoice=invoice.id, reference=reference)

    def make(self) -> None:
        contact = self.random.choice(plain_open(self.xero)).contact_id
        if self.xero.ledger().contacts.get(contact).status == "ACTIVE":
            self.xero.act("create-invoice", contact=contact, description="x", unit_amount="9.99")

    def void(self) -> None:
        self.xero.act("void-invoice", invoice=self.random.choice(plain_open(self.xero)).id)

    def pay(self) -> None:
        invoice = self.random.choice(plain_open(self.xero))
        self.xero.act("record-payment", invoice=invoice.id, amount="0.01")


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_missed_however_xero_changes_during_the_import(
    xero: Xero, connected: Connection, small_pages: None, wire: Wire, seed: int
) -> None:
    """I-6, I-3: after the next quiet sync every bill is there, once, and equal."""
    wire.after = Churn(xero, seed)
    done(xero.sync(connected))
    wire.after = lambda request: None
    done(xero.sync(connected))
    assert drift(xero, connected) == []


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_missed_however_xero_changes_during_an_increment(
    xero: Xero, imported: Connection, small_pages: None, wire: Wire, seed: int
) -> None:
    """I-6 for the keyset form: many changed rows, several pages, edits between them."""
    churn = Churn(xero, seed)
    for _ in range(15):
        churn.edit()
    wire.after = churn
    done(xero.sync(imported))
    wire.after = lambda request: None
    done(xero.sync(imported))
    assert drift(xero, imported) == []


def same_second(xero: Xero, count: int) -> None:
    """Change so many invoices within one second."""
    xero.clock.advance(10)
    moment = stamp_of(xero).replace(microsecond=0)
    for number, invoice in enumerate(sales(xero, "AUTHORISED", "PAID", "VOIDED")[:count]):
        at = moment + timedelta(milliseconds=number)
        put_silently(xero, invoice, reference=f"same second {number}", updated=at)


@pytest.mark.parametrize("count", [6, 7, 8, 14, 21, 25])
def test_more_than_a_page_within_one_second_is_read_whole(
    xero: Xero, imported: Connection, small_pages: None, count: int
) -> None:
    """F7: a crowded second, and a last page that is exactly full."""
    same_second(xero, count)
    xero.later(15)
    assert done(xero.sync(imported)).changed == count
    assert drift(xero, imported) == []
    assert done(xero.sync(imported)).changed == 0


def test_a_crowded_second_that_is_edited_while_it_is_read_loses_nothing(
    xero: Xero, imported: Connection, small_pages: None, wire: Wire
) -> None:
    """I-6: a row that leaves the second pulls another across the page boundary."""
    same_second(xero, 22)
    first = sales(xero, "AUTHORISED", "PAID", "VOIDED")[:3]

    def leave(request: httpx2.Request) -> None:
        if request.url.path.endswith("Invoices") and first:
            row = first.pop()
            xero.clock.advance(10)  # beyond the overlap, which would hide what was lost
            put_silently(xero, row, reference="left the second", updated=stamp_of(xero))

    wire.after = leave
    done(xero.sync(imported))
    done(xero.sync(imported))
    assert not first
    assert drift(xero, imported) == []


def test_many_pages_make_exactly_the_calls_of_the_formula(
    xero: Xero, business: Business, small_pages: None
) -> None:
    """K = ceil(N/P) + ceil(C/P) + ceil(Q/P) + 4 (performance.md), each invoice read once."""
    connection = xero.connect(business, "NZ")
    run = done(xero.sync(connection))
    ledger = xero.ledger("NZ")
    invoices = [i for i in ledger.invoices.rows.values() if i.type == "ACCREC"]
    payments = [p for p in ledger.payments.rows.values() if p.type == "ACCRECPAYMENT"]
    pages = sum(-(-len(rows) // 7) for rows in (invoices, payments, ledger.contacts.rows))
    assert (run.calls, run.read) == (pages + 4, len(invoices))
    assert run.expected == len(invoices)


@pytest.mark.layer("checkpoints")
def test_a_crash_after_any_page_is_resumed_from_that_page(
    xero: Xero, business: Business, small_pages: None, wire: Wire, cases: Callable[[int], None]
) -> None:
    """I-7: a new process goes on where the old one died; at most one page is read again."""
    connection = xero.connect(business, "NZ")
    with undone():
        whole = done(xero.sync(connection)).calls
    for number in range(1, whole + 1):
        with undone():
            die_after_call(xero, connection, wire, number)
            done(xero.sync(connection))
            # Again: the page that died, the reference data, and one look at each endpoint done.
            assert len(wire.asked) <= whole + 1 + 4 + 2
            assert_imported_once(xero, connection)
        cases(1)


def die_after_call(xero: Xero, connection: Connection, wire: Wire, number: int) -> None:
    wire.asked.clear()
    connection.refresh_from_db()

    def die(request: httpx2.Request) -> None:
        if len(wire.asked) == number:
            raise Crash

    wire.after = die
    with pytest.raises(Crash):
        xero.sync(connection)
    wire.after = lambda request: None


def assert_imported_once(xero: Xero, connection: Connection) -> None:
    with mock.patch("justpayme.xero.client.PAGE_SIZE", 100):  # the comparison may read as it likes
        assert drift(xero, connection) == []
    bills = Bill.objects.count()
    assert bills == Link.objects.count() == HistoryEntry.objects.count()


@pytest.mark.layer("checkpoints")
def test_a_crash_before_any_statement_leaves_whole_pages_only(
    xero: Xero, business: Business, small_pages: None, cases: Callable[[int], None]
) -> None:
    """I-1, I-7, F1: every bill has its lines and its link, and the cursor covers only rows that
    are there; then the next run completes. Every seventh statement of an import."""
    connection = xero.connect(business, "NZ")
    with undone(), crash_at(0) as count:
        done(xero.sync(connection))
    for number in range(1, count[0], 7):
        with undone():
            connection.refresh_from_db()
            with crash_at(number), pytest.raises(Crash):
                xero.sync(connection)
            done(xero.sync(connection))
            assert_imported_once(xero, connection)
        cases(1)


def left_behind() -> str:
    """A digest of every row that a dead process left, but for numbers that are drawn anew."""
    models = [m for app in ("bills", "sync") for m in apps.get_app_config(app).get_models()]
    columns = {m: "to_jsonb(t) - ARRAY['id', 'run']" for m in models if m is not Meter}
    columns[Run] = "kind || state || error_code"
    parts = [
        f"(SELECT md5(string_agg(({what})::text, '|' ORDER BY ({what})::text))"  # noqa: S608
        f" FROM {model._meta.db_table} t)"
        for model, what in columns.items()
    ]
    with database.cursor() as cursor:
        cursor.execute(f"SELECT concat_ws(' ', {', '.join(parts)})")
        return str(cursor.fetchone()[0])


def is_known(known: set[str]) -> bool:
    """Was this situation taken up before? The full run takes it up again."""
    found = left_behind()
    seen = found in known and not FULL
    known.add(found)
    return seen


@pytest.mark.layer("checkpoints")
def test_a_crash_before_any_statement_of_a_page_with_changes(
    xero: Xero, imported: Connection, cases: Callable[[int], None]
) -> None:
    """I-1: old version or new version of every bill, never a mix; every single statement."""
    paid, edited, voided = plain_open(xero)[:3]
    xero.act("record-payment", invoice=paid.id, amount="1.00")
    xero.act("edit-line", invoice=edited.id, line="0", unit_amount="5.55")
    xero.act("void-invoice", invoice=voided.id)
    old = bill_prints()
    with undone(), crash_at(0) as count:
        done(xero.sync(imported))
    known: set[str] = set()
    for number in range(1, count[0] + 1):
        with undone():
            crash_and_look(xero, imported, number, set(old.values()), known)
        cases(1)
    assert len(known) > 3


def crash_and_look(
    xero: Xero, connection: Connection, number: int, old: set[str], known: set[str]
) -> None:
    connection.refresh_from_db()
    with crash_at(number), pytest.raises(Crash):
        xero.sync(connection)
    changed = set(bill_prints().values()) - old
    assert len(changed) in (0, 3)
    if is_known(known):
        return
    assert done(xero.sync(connection)).changed == 3 - len(changed)
    assert drift(xero, connection) == []


def test_a_crash_between_a_payment_and_its_invoice_is_made_good(
    xero: Xero, imported: Connection, wire: Wire
) -> None:
    """I-7, I-16: the payments' cursor does not pass a payment that its bill does not show yet."""
    ledger = xero.ledger()
    invoice = next(i for i in sales(xero, "AUTHORISED") if ledger.payments_of[i.id])
    payment = ledger.payments.get(next(iter(ledger.payments_of[invoice.id])))
    xero.clock.advance(1)
    gone = replace(payment, status="DELETED", updated=stamp_of(xero))
    xero.app.store.save(xero.tenant(), gone)
    put_silently(xero, invoice, amount_paid=invoice.amount_paid - payment.amount)

    def die(request: httpx2.Request) -> None:
        if "IDs" in request.url.params:
            raise Crash

    wire.before = die
    with pytest.raises(Crash):
        xero.sync(imported)
    wire.before = lambda request: None
    assert done(xero.sync(imported)).changed == 1
    assert drift(xero, imported) == []


def test_an_audit_that_died_after_its_last_page_does_not_blind_the_next(
    xero: Xero, imported: Connection, wire: Wire
) -> None:
    """I-5: the next audit reads everything again, whatever was left of the last one."""

    def die(request: httpx2.Request) -> None:
        if request.url.path.endswith("CreditNotes"):
            raise Crash

    wire.before = die
    with pytest.raises(Crash):
        xero.sync(imported, kind=Run.Kind.AUDIT)
    wire.before = lambda request: None
    invoice = plain_open(xero)[0]
    xero.act("edit-silently", invoice=invoice.id, reference="silent")
    run = done(xero.sync(imported, kind=Run.Kind.AUDIT))
    assert run.drift == 1
    assert drift(xero, imported) == []
