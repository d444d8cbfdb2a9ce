"""Health checks and metrics: the right answer whatever is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client as Browser
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from tests.api.given import Caller, make_connection, make_run

from justpayme.accounts.models import Business
from justpayme.api import ops
from justpayme.bills.models import Bill
from justpayme.sync.models import OPEN, Conflict, Connection, Meter, OutboxItem


@contextmanager
def no_database() -> Iterator[None]:
    """Every query fails, as with a server that is down."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(refuse):
        yield


@pytest.fixture
def worker(db: None) -> None:
    """A worker that was heard just now."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")


def checks(answer: Any) -> dict[str, bool]:
    return {name: check["ok"] for name, check in json.loads(answer.content)["checks"].items()}


def test_livez_never_touches_the_database_even_with_a_session() -> None:
    browser = Browser()
    browser.cookies["session"] = "x" * 32
    answer = browser.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_answer_to_any_host_and_are_never_stored(worker: None, path: str) -> None:
    answer = Browser().get(path, headers={"Host": "10.1.2.3"})
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_are_only_read(db: None, path: str) -> None:
    assert Browser(enforce_csrf_checks=True).post(path).status_code == 405


def test_readyz_is_200_when_everything_is_there(worker: None) -> None:
    answer = Browser().get("/readyz")
    assert answer.status_code == 200
    assert checks(answer) == {"database": True, "migrations": True, "worker": True, "disk": True}


def test_readyz_is_503_without_a_database(worker: None) -> None:
    with no_database():
        answer = Browser().get("/readyz")
    assert answer.status_code == 503
    assert checks(answer) == {"database": False, "migrations": False, "worker": False, "disk": True}


def test_readyz_is_503_with_a_database_that_is_only_read(worker: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
    answer = Browser().get("/readyz")
    assert answer.status_code == 503
    assert "read-only" in answer.json()["checks"]["database"]["detail"]


def test_readyz_is_503_when_no_worker_was_heard(worker: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '2 min'")
    answer = Browser().get("/readyz")
    assert answer.status_code == 503
    assert "120 s" in answer.json()["checks"]["worker"]["detail"]


def test_readyz_is_503_before_any_worker_started(db: None) -> None:
    assert checks(Browser().get("/readyz"))["worker"] is False


def test_readyz_is_503_while_a_migration_is_missing(worker: None) -> None:
    MigrationRecorder(connection).record_unapplied("bills", "0001_initial")
    answer = Browser().get("/readyz")
    assert answer.status_code == 503
    assert "justpayme migrate" in answer.json()["checks"]["migrations"]["detail"]


def test_readyz_is_503_when_the_disk_is_full(worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "DISK_BYTES", 2**62)
    assert checks(Browser().get("/readyz"))["disk"] is False


@pytest.mark.parametrize(
    ("headers", "address", "status"),
    [
        ({}, "127.0.0.1", 200),
        ({}, "::1", 200),
        ({}, "203.0.113.9", 403),
        ({}, "not an address", 403),
        ({"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1", 403),
        ({"Forwarded": "for=127.0.0.1"}, "127.0.0.1", 403),
        ({"X-Real-IP": "203.0.113.9"}, "127.0.0.1", 403),
        ({"Via": "1.1 proxy"}, "127.0.0.1", 403),
        ({"X-Forwarded-Proto": "https"}, "127.0.0.1", 403),
        ({"Authorization": "Bearer let me in"}, "203.0.113.9", 200),
        ({"Authorization": "Bearer let me"}, "203.0.113.9", 403),
        ({"Authorization": "Bearer \xff"}, "203.0.113.9", 403),
    ],
)
def test_metrics_are_for_this_machine_or_the_token(
    db: None, settings: Any, headers: dict[str, str], address: str, status: int
) -> None:
    settings.JUSTPAYME_METRICS_TOKEN = "let me in"
    answer = Browser(REMOTE_ADDR=address).get("/metrics", headers=headers)
    assert answer.status_code == status


def test_without_a_metrics_token_an_empty_one_opens_nothing(db: None, settings: Any) -> None:
    settings.JUSTPAYME_METRICS_TOKEN = ""
    browser = Browser(REMOTE_ADDR="203.0.113.9")
    assert browser.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 403


def samples() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of a scrape: (name, labels) -> value."""
    text = Browser().get("/metrics").content.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_never_by_address(as_alice: Caller, bill: Bill) -> None:
    key = (
        "justpayme_requests_total",
        (("method", "GET"), ("route", "api/v1/bills/<int:bill_id>"), ("status", "200")),
    )
    before = samples().get(key, 0)
    as_alice.get(f"/bills/{bill.pk}")
    after = samples()
    assert after[key] == before + 1
    assert not [labels for _, labels in after if f"/{bill.pk}" in str(labels)]


def test_figures_agree_with_the_tables(business: Business, connection: Connection) -> None:
    now = timezone.now()
    Connection.objects.update(checked_at=now - timedelta(minutes=20))
    make_connection(business, checked_at=now, state="disconnected")
    make_run(connection)
    make_run(connection, state="failed", drift=3)
    Meter.objects.create(tenant_id=connection.tenant_id, minute=now, calls=40)
    old = now - timedelta(days=2)
    Meter.objects.create(tenant_id=connection.tenant_id, minute=old, calls=9)
    found = samples()
    assert found["justpayme_sync_runs", (("state", "done"),)] == 1
    assert found["justpayme_sync_runs", (("state", "failed"),)] == 1
    assert found["justpayme_sync_runs", (("state", "running"),)] == 0
    assert found["justpayme_drift", ()] == 3
    assert found["justpayme_xero_calls_day", ()] == 40
    assert found["justpayme_day_allowance_left_min", ()] == 960
    assert found["justpayme_bill_age_seconds_bucket", (("le", "900"),)] == 0
    assert found["justpayme_bill_age_seconds_bucket", (("le", "1800"),)] == 1
    assert found["justpayme_bill_age_seconds_gcount", ()] == 1
    assert found["justpayme_connections", (("state", "live"),)] == 1
    assert found["justpayme_jobs", (("status", "todo"),)] == 0
    assert found["justpayme_database_up", ()] == 1


def put_in_outbox(
    bill: Bill, connection: Connection, state: str, minutes: int, kind: str = "update"
) -> None:
    """A change that a person made so many minutes ago."""
    OutboxItem.objects.create(
        business=bill.business,
        connection=connection,
        bill=bill,
        kind=kind,
        state=state,
        created_at=timezone.now() - timedelta(minutes=minutes),
    )


def test_what_has_not_reached_xero_is_counted_by_state_with_the_age_of_the_oldest(
    bill: Bill, connection: Connection
) -> None:
    put_in_outbox(bill, connection, "waiting", 10)
    put_in_outbox(bill, connection, "waiting", 300, kind="pay")  # after its bill is an invoice
    put_in_outbox(bill, connection, "unsure", 30)
    put_in_outbox(bill, connection, "refused", 90)
    put_in_outbox(bill, connection, "done", 1000)
    found = samples()
    counts = {state: found["justpayme_outbox_items", (("state", state),)] for state in OPEN}
    assert counts == {"waiting": 2, "parked": 0, "sending": 0, "unsure": 1, "refused": 1}
    ages = {s: found["justpayme_outbox_oldest_seconds", (("state", s),)] // 60 for s in OPEN}
    assert ages == {"waiting": 10, "parked": 0, "sending": 0, "unsure": 30, "refused": 90}
    assert ("justpayme_outbox_items", (("state", "done"),)) not in found


def test_what_waits_for_a_lost_connection_is_counted_and_has_no_age(
    bill: Bill, connection: Connection
) -> None:
    put_in_outbox(bill, connection, "waiting", 10)
    Connection.objects.update(state="lost")
    found = samples()
    assert found["justpayme_outbox_items", (("state", "waiting"),)] == 1
    assert found["justpayme_outbox_oldest_seconds", (("state", "waiting"),)] == 0


def test_overridden_values_that_nobody_decided_about_are_counted(
    bill: Bill, connection: Connection
) -> None:
    for unit, state in (("number", "open"), ("due_on", "open"), ("lines", "kept")):
        Conflict.objects.create(
            business=bill.business,
            connection=connection,
            bill=bill,
            unit=unit,
            ours={},
            theirs={},
            at=timezone.now(),
            state=state,
        )
    assert samples()["justpayme_conflicts_open", ()] == 2


def test_metrics_name_no_person_business_or_organisation(
    as_alice: Caller, business: Business, connection: Connection
) -> None:
    as_alice.get("/clients")
    text = Browser().get("/metrics").content.decode()
    for secret in ("Alice", "alice", "Hara", "Demo", str(connection.tenant_id)):
        assert secret not in text


def test_metrics_without_a_database_still_answer(db: None) -> None:
    with no_database():
        found = samples()
    assert found["justpayme_database_up", ()] == 0
    assert ("justpayme_jobs", (("status", "todo"),)) not in found
