"""I-5: `verify` finds every planted difference and invents none, tells why, and `--fix` heals it;
what Xero changed without a stamp (F8) the daily audit finds and heals alone."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random

import pytest
from tests.breaker.plants import OURS, THEIRS, Found, sow
from tests.extent import FULL
from tests.fixtures.xero import Xero
from tests.sync.hands import done

from justpayme.sync.mend import mend
from justpayme.sync.models import Connection, Run
from justpayme.sync.verify import Report, verify

pytestmark = [pytest.mark.django_db, pytest.mark.layer("audit")]

FIELDS = range(36 if FULL else 4)
"""So many lives of an organisation, each for ours and for Xero's."""
ROUNDS = 3
"""Rounds of about 57 differences in each, one on every bill."""
Tell = Callable[[int], None]


@pytest.fixture
def books(xero: Xero, connected: Connection) -> Connection:
    """The UK organisation with its drafts."""
    connected.import_drafts = True
    connected.save()
    done(xero.sync(connected))
    return connected


def found_by(report: Report) -> Found:
    return {(one.invoice_id, one.field, one.cause) for one in report.differences}


def explained(report: Report) -> bool:
    """Does each difference say both values, why, and what the fix does?"""
    told = report.plain()["differences"]
    return all(one["why"] and one["fix"] and one["ours"] != one["xero"] for one in told)


def plant(
    xero: Xero, connection: Connection, kinds: deque[str], random: Random
) -> tuple[Report, Counter[str]]:
    """A round: every difference is found with its cause, and nothing else is."""
    expected, planted = sow(xero, connection, kinds, random)
    report = verify(connection, xero.clock)
    found = found_by(report)
    assert found == expected, (sorted(expected - found), sorted(found - expected))
    assert explained(report)
    return report, Counter(planted)


@pytest.mark.parametrize("field", FIELDS)
def test_what_was_changed_here_is_found_explained_and_healed(
    xero: Xero, books: Connection, cases: Tell, field: int
) -> None:
    """I-5: the fix goes through the sync, and then nothing differs; every kind was there."""
    random, kinds, every = Random(f"ours {field}"), deque(OURS), Counter[str]()
    for _ in range(ROUNDS):
        report, planted = plant(xero, books, kinds, random)
        run, left = mend(books, report, xero.clock)
        assert run is not None
        assert (done(run).kind, left.differences) == (Run.Kind.INCREMENT, [])
        every += planted
        xero.later(2)
    assert set(every) == set(OURS), set(OURS) - set(every)
    cases(every.total())


@pytest.mark.parametrize("field", FIELDS)
def test_what_xero_changed_silently_is_found_and_the_audit_alone_heals_it(
    xero: Xero, books: Connection, cases: Tell, field: int
) -> None:
    """F8: the next audit takes every one of them, and counts it as drift; so does the fix."""
    random, kinds, every = Random(f"theirs {field}"), deque(THEIRS), Counter[str]()
    for number in range(ROUNDS):
        report, planted = plant(xero, books, kinds, random)
        if number:
            run = done(xero.sync(books, kind=Run.Kind.AUDIT))
            assert run.drift == planted.total() - planted["xero_invoice_appears"]
        else:
            run, _ = mend(books, report, xero.clock)
        assert run is not None
        assert run.created == planted["xero_invoice_appears"]
        assert verify(books, xero.clock).differences == []
        every += planted
        xero.later(2)
    assert set(every) == set(THEIRS), set(THEIRS) - set(every)
    cases(every.total())


def test_a_clean_copy_has_no_difference_however_often_it_is_read(
    xero: Xero, books: Connection, cases: Tell
) -> None:
    """I-5: none is invented, not after an audit either."""
    for _ in range(3):
        report = verify(books, xero.clock)
        assert (report.differences, report.compared) == ([], books.links.count())
        run = done(xero.sync(books, kind=Run.Kind.AUDIT))
        assert (run.changed, run.drift) == (0, 0)
        xero.later(2)
        cases(report.compared)
