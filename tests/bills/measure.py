"""How long each page takes with 100,000 bills: prints p50 and p95 in milliseconds.

    JUSTPAYME_DATABASE_URL=... python -m tests.bills.measure [bills] [rounds]

Fills an empty, throw-away database (it must be migrated) and asks the pages through Django's
test client: everything but the network and the web server is in the figures.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from statistics import quantiles
from typing import Any

import django

PAGES = {
    "home": "/",
    "bills": "/bills/",
    "bills, overdue": "/bills/?status=overdue",
    "bills, due first": "/bills/?sort=due",
    "bills, by client": "/bills/?sort=client",
    "bills, not in Xero": "/bills/?xero=absent",
    "bills, waiting": "/bills/?xero=waiting",
    "bills, need attention": "/bills/?xero=attention",
    "bills, overridden": "/bills/?xero=conflict",
    "search, a number": "/bills/?q=8123",
    "search, a client": "/bills/?q=castlefield",
    "search, an amount": "/bills/?q=1,017.28",
    "search, nothing found": "/bills/?q=zzzz",
    "clients": "/clients/",
    "clients, search": "/clients/?q=lettings",
}


def main(bills: int, rounds: int) -> None:
    """Fill the database and print one line for each page."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "justpayme.settings")
    django.setup()
    from django.conf import settings
    from django.test import Client
    from django.utils import timezone
    from tests.bills.given import a_connection
    from tests.bills.large import make_large
    from tests.fixtures.cast import join

    from justpayme.accounts.models import Business, User
    from justpayme.bills.models import Bill

    settings.ALLOWED_HOSTS = ["testserver"]
    business = Business.objects.create(name="Large")
    name = f"large{business.pk}"
    person: User = join(business, name, "owner")
    now = timezone.now()
    connection = a_connection(
        business, checked_at=now, imported_at=now, direction="two", defaults_set_at=now
    )
    make_large(business, connection, bills=bills, clients=max(bills // 20, 1), now=now)
    _change(connection, now)
    browser = Client()
    browser.force_login(person)
    newest = Bill.objects.filter(business=business).order_by("-pk")[0]
    pages = {**PAGES, "bill": f"/bills/{newest.pk}/", "client": f"/clients/{newest.client_id}/"}
    for label, address in pages.items():
        taken = sorted(_time(browser, address) for _ in range(rounds + 1))[:-1]
        p95 = quantiles(taken, n=20)[-1]
        print(f"{label:24} p50 {taken[len(taken) // 2]:6.1f}  p95 {p95:6.1f}")  # noqa: T201


def _change(connection: Any, now: datetime) -> None:
    """One bill in a hundred is on its way to Xero, was refused, or was overridden by Xero."""
    from justpayme.sync.models import Conflict, Link, OutboxItem

    linked = Link.objects.filter(connection=connection).order_by("pk")
    bills = list(linked.values_list("bill_id", flat=True))[::100]
    same: dict[str, Any] = {"business_id": connection.business_id, "connection": connection}
    OutboxItem.objects.bulk_create(
        OutboxItem(**same, bill_id=pk, kind="update", created_at=now, state=state, error_code=code)
        for index, pk in enumerate(bills)
        for state, code in [("refused", "lock_date") if index % 10 == 0 else ("waiting", "")]
    )
    Conflict.objects.bulk_create(
        Conflict(**same, bill_id=pk, unit="reference", ours={}, theirs={}, at=now)
        for pk in bills[::5]
    )


def _time(browser: object, address: str) -> float:
    started = time.perf_counter()
    response = browser.get(address)  # type: ignore[attr-defined]
    if response.status_code != 200:
        raise SystemExit(f"{address} answered {response.status_code}")
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [100_000, 40][len(given) :]))
