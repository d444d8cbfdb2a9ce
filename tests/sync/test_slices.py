"""More invoices and payments than Xero gives in one question: read in slices of dates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from unittest import mock

import httpx2
import pytest
from tests.extent import FULL
from tests.fixtures.xero import Xero
from tests.sync.hands import Crash, Wire, done, drift, failed, put_silently, sales, tap, undone

from justpayme.bills.models import Bill, HistoryEntry, Payment
from justpayme.integrations.shown import progress
from justpayme.sync.models import Connection, Link, Run
from justpayme.sync.verify import verify

pytestmark = pytest.mark.django_db

MOST = 30
"""What the local Xero gives in one question, instead of 100,000."""
ROWS = 12
"""A page."""
KINDS = ("Invoices", "Payments")
EVERY = ("DRAFT", "SUBMITTED", "DELETED", "AUTHORISED", "PAID", "VOIDED")
LOW, HIGH = date(1, 1, 1), date(9999, 12, 31)


@pytest.fixture
def large(
    monkeypatch: pytest.MonkeyPatch, xero: Xero, connected: Connection, settings: object
) -> Wire:
    """Twice the invoices that Xero gives in one question, over many years; and its wire."""
    monkeypatch.setattr("justpayme.xero.client.PAGE_SIZE", ROWS)
    monkeypatch.setattr("xero_sandbox.listing.HIGH_VOLUME", MOST)

    xero.http.post("/sandbox/limits", json={"minute": None, "day": None})
    for number, invoice in enumerate(sales(xero, *EVERY)):
        if number % 3 == 0:
            put_silently(xero, invoice, date=date(2009, 1, 1) + timedelta(days=97 * number))
    assert len(sales(xero, *EVERY)) >= 2 * MOST
    return tap(xero, settings)


@contextmanager
def as_in_real_life() -> Iterator[None]:
    """Large pages and no need for slices, where something else is tested."""
    with (
        mock.patch("justpayme.xero.client.PAGE_SIZE", 100),
        mock.patch("xero_sandbox.listing.HIGH_VOLUME", 100_000),
    ):
        yield


Questions = Counter[tuple[str, str]]


def listen(wire: Wire) -> Questions:
    """Which list was asked for how often, by its filter."""
    asked: Questions = Counter()

    def note(request: httpx2.Request) -> None:
        asked[request.url.path.rpartition("/")[2], request.url.params.get("where", "")] += 1

    wire.before = note
    return asked


def dates_of(where: str) -> tuple[date, date]:
    """The range that a filter means."""
    found = {
        sign: date(*map(int, day.split(",")))
        for sign, day in re.findall(r" AND Date (>=|<) DateTime\((\d{4}, \d\d, \d\d)\)", where)
    }
    return found.get(">=", LOW), found.get("<", HIGH)


def all_dates(xero: Xero, kind: str) -> list[date]:
    if kind == "Invoices":
        return [i.date for i in sales(xero, *EVERY)]
    rows = xero.ledger().payments.rows.values()
    return [p.date for p in rows if p.type == "ACCRECPAYMENT"]


def calls_of_a_slice(rows: int) -> int:
    """k, the least with k (P - k + 1) >= n; one for a refusal (performance.md)."""
    if rows > MOST:
        return 1
    return next(k for k in range(1, ROWS) if k * (ROWS - k + 1) >= rows)


def assert_asked_by_the_formula(xero: Xero, asked: Questions, kind: str) -> None:
    """Each slice so often, none twice, and together every date once."""
    wheres = [where for name, where in asked if name == kind]
    ranges = {where: dates_of(where) for where in wheres}
    dates = all_dates(xero, kind)
    rows = {w: sum(start <= day < end for day in dates) for w, (start, end) in ranges.items()}
    assert {w: asked[kind, w] for w in wheres} == {w: calls_of_a_slice(rows[w]) for w in wheres}
    given = sorted(ranges[w] for w in wheres if rows[w] <= MOST)
    ends = [LOW, *(end for _, end in given)]
    assert ends == [*(start for start, _ in given), HIGH]
    assert len(given) > 10


def test_a_large_organisation_is_imported_in_slices_with_the_calls_of_the_formula(
    xero: Xero, connected: Connection, large: Wire
) -> None:
    """I-3: every bill, equal, once; each slice of dates asked for as often as it must be."""
    asked = listen(large)
    run = done(xero.sync(connected))
    for kind in KINDS:
        assert_asked_by_the_formula(xero, asked, kind)
    contacts = -(-len(xero.ledger().contacts.rows) // ROWS)
    slices = sum(n for (name, _), n in asked.items() if name in KINDS)
    assert run.calls == slices + contacts + 4
    assert Bill.objects.count() == Link.objects.count() == HistoryEntry.objects.count() > MOST
    assert Payment.objects.exists()
    assert drift(xero, connected) == []


def test_verify_and_the_audit_of_a_large_organisation_use_the_same_slices(
    xero: Xero, connected: Connection, large: Wire
) -> None:
    """I-5, I-16: each payment counted once though pages overlap; a silent change is found."""
    done(xero.sync(connected))
    asked = listen(large)
    report = verify(connected, xero.clock)
    assert (report.differences, report.compared) == ([], Bill.objects.count())
    for kind in KINDS:
        assert_asked_by_the_formula(xero, asked, kind)
    put_silently(xero, sales(xero, "AUTHORISED")[0], reference="silent")
    assert len(drift(xero, connected)) == 1
    large.before = lambda request: None
    assert done(xero.sync(connected, kind=Run.Kind.AUDIT)).drift == 1
    assert drift(xero, connected) == []


@pytest.mark.layer("checkpoints")
def test_a_crash_in_a_slice_is_resumed_in_that_slice(
    xero: Xero, connected: Connection, large: Wire, cases: Callable[[int], None]
) -> None:
    """I-7: after any call. No slice that was read is asked for again, however it is cut."""
    with undone():
        whole = done(xero.sync(connected)).calls
    for number in range(1, whole + 1, 3 if FULL else 9):
        with undone():
            connected.refresh_from_db()
            large.asked.clear()
            die_after(large, number)
            with pytest.raises(Crash):
                xero.sync(connected)
            large.after = lambda request: None
            done(xero.sync(connected))
            # Again: the page that died with the refusals before it, the reference data, and
            # one look at each endpoint done.
            assert len(large.asked) <= whole + 1 + 4 + 4 + 2
            with as_in_real_life():
                assert drift(xero, connected) == []
            assert Bill.objects.count() == Link.objects.count() == HistoryEntry.objects.count()
        cases(1)


def die_after(wire: Wire, number: int) -> None:
    def die(request: httpx2.Request) -> None:
        if len(wire.asked) == number:
            raise Crash

    wire.after = die


def test_progress_of_an_import_in_slices_tells_what_is_known(
    xero: Xero, connected: Connection, large: Wire
) -> None:
    """Nobody knows how many invoices there are: no share, no time left, but what was read."""
    die_after(large, 25)
    with pytest.raises(Crash):
        xero.sync(connected)
    run = Run.objects.get()
    told = progress(connected, run, 0, xero.clock.now())
    assert run.expected is None
    assert (told.told, told.percent, told.left) == (f"{run.read} invoices read", None, "")
    assert run.read > 1


def test_too_many_invoices_of_one_day_stop_with_a_name_and_write_nothing(
    xero: Xero, connected: Connection, large: Wire
) -> None:
    for invoice in sales(xero, *EVERY):
        put_silently(xero, invoice, date=date(2026, 3, 2))
    failed(xero.sync(connected), "too_many_records")
    assert not Bill.objects.exists()


def test_too_many_contacts_stop_with_a_name(
    xero: Xero, connected: Connection, large: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no date to slice by."""
    monkeypatch.setattr("xero_sandbox.listing.HIGH_VOLUME", 5)
    run = failed(xero.sync(connected), "too_many_records")
    assert run.calls == 4 + 1
