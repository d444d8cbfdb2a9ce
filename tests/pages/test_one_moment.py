"""A page shows one moment: a sync that commits between two of its questions is not half seen."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import InternalError, connection, connections, transaction
from django.test import Client as Browser
from django.utils import timezone

from justpayme.accounts.models import Business, User
from justpayme.api.export import export_bills
from justpayme.bills.models import Bill, Client, HistoryEntry, Payment
from justpayme.web.snapshot import snapshot

pytestmark = pytest.mark.django_db(transaction=True)


def elsewhere(work: Callable[[], object]) -> None:
    """Do it on another connection, and commit, before going on."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.fixture
def bill(business: Business) -> Bill:
    now = timezone.now()
    client = Client.objects.create(
        business=business, name="<i>Cut & Dry</i>", created_at=now, updated_at=now
    )
    return Bill.objects.create(
        business=business,
        client=client,
        number="INV-1",
        currency="GBP",
        status="active",
        total=100,
        outstanding=100,
        created_at=now,
        updated_at=now,
    )


def change(bill: Bill) -> None:
    """What a sync writes: another amount, and the entry that tells of it, in one commit."""
    Bill.objects.filter(pk=bill.pk).update(total=777, outstanding=777)
    HistoryEntry.objects.create(
        business=bill.business,
        bill=bill,
        at=timezone.now(),
        source="xero",
        action="changed",
        changes=[{"field": "total", "old": "100", "new": "777"}],
    )


@pytest.mark.parametrize("address", ["/bills/{}/", "/bills/"])
def test_a_change_between_two_questions_is_seen_wholly_or_not_at_all(
    bill: Bill, alice: User, address: str
) -> None:
    browser = Browser()
    browser.force_login(alice)
    with once_a_bill_was_read(lambda: change(bill)):
        page = browser.get(address.format(bill.pk)).content.decode()
    assert "777" not in page
    assert "777" in browser.get(address.format(bill.pk)).content.decode()


@contextmanager
def once_a_bill_was_read(work: Callable[[], object]) -> Iterator[None]:
    """Somebody else does this, and commits, right after we have read bills for the first time."""
    done: list[bool] = []

    def between(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if 'FROM "bills_bill"' in sql and not done:
            done.append(True)
            elsewhere(work)
        return answer

    with connection.execute_wrapper(between):
        yield
    assert done


def test_an_export_shows_one_moment_too(bill: Bill) -> None:
    """A bill and its payments, which are read after it, are of the same commit."""

    def paid() -> None:
        with transaction.atomic():
            Bill.objects.update(status="paid", paid=100, outstanding=0)
            Payment.objects.create(bill=bill, kind="payment", amount=100, position=0)

    def exported() -> tuple[str, list[str]]:
        out = io.StringIO()
        export_bills(bill.business, "json", out, now=timezone.now())
        (told,) = json.loads(out.getvalue())
        return told["status"], [payment["amount"] for payment in told["payments"]]

    with once_a_bill_was_read(paid):
        assert exported() == ("active", [])
    assert exported() == ("paid", ["100.00"])


def test_reads_inside_agree_and_writes_are_refused(bill: Bill) -> None:
    with snapshot():
        assert Bill.objects.get().total == 100
        elsewhere(lambda: Bill.objects.update(total=5))
        assert Bill.objects.get().total == 100
    assert Bill.objects.get().total == 5
    with pytest.raises(InternalError), snapshot():
        Bill.objects.update(total=6)
