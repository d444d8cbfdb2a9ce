"""For whoever keeps the service running: is it alive, is it ready, how is it doing.

`/livez` speaks of this process only and never touches the database: restarting us does not
mend PostgreSQL. `/readyz` says whether to send requests here. `/metrics` is for Prometheus,
from this machine or with JUSTPAYME_METRICS_TOKEN; it names no person, business or organisation.
"""

from __future__ import annotations

import hmac
import ipaddress
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from justpayme.api import metrics as figures

HEARTBEAT_SECONDS = 60
"""A worker beats every 10 s; one that was silent this long is taken for dead."""
DISK_BYTES = 256 * 1024 * 1024
"""Least free space in JUSTPAYME_HOME: a full disk stops PostgreSQL in the middle of its work."""
PATIENCE = "SET LOCAL statement_timeout = '1500ms'"
"""A health check that waits is no answer."""


PROXY_HEADERS = (
    *("Forwarded", "Via", "X-Real-IP"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"),
)


class NotReady(Exception):
    """One thing that requests need is missing; the text is a sentence."""


@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return _unstored(JsonResponse({"status": "alive"}))


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Each check with its sentence: 200 when all hold, else 503."""
    found = _outcomes()
    ready = all(one["ok"] for one in found.values())
    body = {"status": "ready" if ready else "not ready", "checks": found}
    return _unstored(JsonResponse(body, status=200 if ready else 503))


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures in Prometheus' text form."""
    if not _may_measure(request):
        return _unstored(
            HttpResponse(
                "Metrics are for this machine, or for who sends JUSTPAYME_METRICS_TOKEN "
                "as a bearer token.\n",
                content_type="text/plain; charset=utf-8",
                status=403,
            )
        )
    return _unstored(HttpResponse(figures.text(), content_type=CONTENT_TYPE_LATEST))


def _unstored(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response


def _may_measure(request: HttpRequest) -> bool:
    expected: str = settings.JUSTPAYME_METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if expected and hmac.compare_digest(given.encode(), expected.encode()):
        return True
    return _is_here(request)


def _is_here(request: HttpRequest) -> bool:
    """From this machine itself. A proxy on it is not: it adds a header for whom it speaks."""
    if any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _outcomes() -> dict[str, dict[str, str | bool]]:
    """Every check. Without a database the others that need it are not tried: each would wait."""
    found = {"database": _outcome(_database)}
    for name, check in CHECKS.items():
        needs = check in NEED_DATABASE and not found["database"]["ok"]
        found[name] = _outcome(_unknown if needs else check)
    return found


def _unknown() -> str:
    raise NotReady("Not known without a database that can be written to.")


def _outcome(check: Callable[[], str]) -> dict[str, str | bool]:
    try:
        return {"ok": True, "detail": check()}
    except NotReady as missing:
        return {"ok": False, "detail": str(missing)}
    except Error:
        return {"ok": False, "detail": "The database does not answer."}


def _database() -> str:
    if _one("SELECT (current_setting('transaction_read_only') = 'on')::int"):
        raise NotReady("The database is read-only: a standby, or closed to writing by somebody.")
    return "The database answers, and can be written to."


def _migrations() -> str:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PATIENCE)
        applied = set(MigrationRecorder(connection).applied_migrations())
    missing = _known_migrations() - applied
    if missing:
        raise NotReady(f"{len(missing)} migrations are missing. Run `justpayme migrate`.")
    return "All migrations are applied."


@cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    """Migrations in the code of this process; they cannot change while it runs."""
    loader = MigrationLoader(None)
    return frozenset(loader.disk_migrations or {})


def _worker() -> str:
    age = _one("SELECT extract(epoch FROM now() - max(last_heartbeat)) FROM procrastinate_workers")
    if age is None:
        raise NotReady("No worker has started. Run `justpayme worker`.")
    if age > HEARTBEAT_SECONDS:
        raise NotReady(f"No worker has been heard for {int(age)} s. Run `justpayme worker`.")
    return "A worker is at work."


def _disk() -> str:
    folder = Path(settings.JUSTPAYME_HOME)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < DISK_BYTES:
        raise NotReady(f"Only {free // 2**20} MiB are free in JUSTPAYME_HOME; make room.")
    return f"{free // 2**20} MiB are free."


def _one(query: str) -> float | None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PATIENCE)
        cursor.execute(query)
        value: float | None = cursor.fetchone()[0]
    return value


CHECKS: dict[str, Callable[[], str]] = {
    "migrations": _migrations,
    "worker": _worker,
    "disk": _disk,
}
NEED_DATABASE = (_migrations, _worker)
