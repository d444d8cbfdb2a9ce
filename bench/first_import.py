"""How fast a first import is: `python bench/first_import.py [--invoices 100000]`.

Starts a throw-away PostgreSQL and a local Xero with one organisation of that size, imports it
through the real client, then syncs once more with nothing changed. Prints one JSON line.
Waiting for Xero's limit of calls a minute is skipped by the clock: it is not our speed.
Wall time includes the local Xero's own work, CPU time is that of this process alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "src"))
BASE_URL = "http://localhost:8000"
READY_WITHIN_SECONDS = 600


class SkippingClock:
    """Real time, except that sleeping only sets the clock forward."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.skipped)

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += max(seconds, 0)

    def jitter(self) -> float:
        return 0.0


def lay_environment(home: Path, xero: str) -> Any:
    """Settings of a throw-away installation; its database server, started."""
    os.environ.update(
        JUSTPAYME_HOME=str(home),
        JUSTPAYME_SECRET_KEY="only-for-benchmarks-" + "x" * 40,
        JUSTPAYME_BASE_URL=BASE_URL,
        XERO_CLIENT_ID="bench",
        XERO_CLIENT_SECRET="bench-secret",  # noqa: S106
        XERO_WEBHOOK_KEY="bench-key",
        XERO_LOGIN_URL=f"{xero}/identity",
        XERO_IDENTITY_URL=xero,
        XERO_API_URL=xero,
        DJANGO_SETTINGS_MODULE="justpayme.settings",
    )
    from justpayme.runtime.config import read
    from justpayme.runtime.postgres import Server, find_binaries

    home.chmod(0o755)  # the server's own user must get in where root may make no namespace
    server = Server(home, find_binaries(read(dict(os.environ)).config))
    server.start()
    os.environ["JUSTPAYME_DATABASE_URL"] = server.url
    return server


def start_xero(folder: Path, invoices: int) -> tuple[subprocess.Popen[bytes], str]:
    """The local Xero in a process of its own, so that our memory is ours."""
    ready = folder / "ready"
    process = subprocess.Popen(  # noqa: S603
        [
            sys.executable,
            "-m",
            "xero_sandbox",
            f"--invoices={invoices}",
            f"--ready-file={ready}",
            "--client-id=bench",
            "--client-secret=bench-secret",
            f"--redirect-uri={BASE_URL}/settings/integrations/xero/callback/",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the local Xero did not start")
        time.sleep(0.2)
    return process, ready.read_text()


def connect(xero: str, clock: SkippingClock) -> Any:
    """A live connection to the big organisation, through the real token exchange."""
    import httpx2

    from justpayme.accounts.models import Business
    from justpayme.sync import tokens
    from justpayme.sync.models import Connection
    from justpayme.xero import oauth

    with httpx2.Client(base_url=xero, trust_env=False) as http:
        http.post("/sandbox/limits", json={"minute": None, "day": None})
        rows = http.get("/sandbox/organisations").json()
        tenant = next(r["tenant"] for r in rows if r["name"].startswith("Big"))
        form = {
            "response_type": "code",
            "client_id": "bench",
            "redirect_uri": tokens.app().redirect_uri,
            "scope": oauth.READ_SCOPES,
            "state": "s",
            "tenant": tenant,
            "decision": "allow",
        }
        answer = http.post("/identity/connect/authorize", data=form)
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
    with tokens.open_client() as http:
        pair = oauth.exchange(http, tokens.app(), code=code, verifier="", now=clock.now())
    business = Business.objects.create(name="Bench", currency="GBP")
    token_set = tokens.store(
        business=business,
        xero_user_id=oauth.claims(pair.access).xero_user_id,
        tokens=pair,
        now=clock.now(),
    )
    return Connection.objects.create(
        business=business, tenant_id=tenant, tokens=token_set, name="Big", state="live"
    )


def peak_megabytes() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(connection: Any, clock: SkippingClock) -> tuple[Any, float, float]:
    """One sync: its run, wall seconds and our CPU seconds."""
    from justpayme.sync import runs
    from justpayme.sync.models import Run

    wall, cpu = time.perf_counter(), time.process_time()
    run = runs.run_sync(connection.pk, cause=Run.Cause.COMMAND, clock=clock)
    if run is None or run.state != Run.State.DONE:
        raise SystemExit(f"the sync failed: {run and run.error_text}")
    return run, time.perf_counter() - wall, time.process_time() - cpu


def formula() -> int:
    """K = ceil(N/P) + ceil(C/P) + ceil(Q/P) + 4, from what came in."""
    from justpayme.sync.models import Record, Run

    invoices = Run.objects.earliest("pk").read
    kinds = (Record.Kind.CONTACT, Record.Kind.PAYMENT)
    counts = [invoices, *(Record.objects.filter(kind=kind).count() for kind in kinds)]
    return sum(-(-count // 1000) for count in counts) + 4


def measure(xero: str) -> dict[str, Any]:
    """Import and sync again; the figures."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    clock = SkippingClock()
    connection = connect(xero, clock)
    before = peak_megabytes()
    first, wall, cpu = timed(connection, clock)
    again, idle_wall, _ = timed(connection, clock)
    return {
        "invoices": first.read,
        "bills": first.created,
        "seconds": round(wall, 1),
        "invoices_per_second": round(first.read / wall),
        "invoices_per_cpu_second": round(first.read / cpu),
        "calls": first.calls,
        "formula": formula(),
        "megabytes_read": round(first.bytes / 1e6, 1),
        "peak_rss_mb": round(peak_megabytes()),
        "rss_before_mb": round(before),
        "idle_calls": again.calls,
        "idle_seconds": round(idle_wall, 2),
    }


def main() -> int:
    """Run; 0 if the import succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="justpayme-bench-") as folder:
        process, xero = start_xero(Path(folder), options.invoices)
        server = None
        try:
            server = lay_environment(Path(folder), xero)
            sys.stdout.write(json.dumps(measure(xero)) + "\n")
        finally:
            process.terminate()
            process.wait()
            if server is not None:
                server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
