"""How fast the local Xero serves: `python bench/sandbox_speed.py [--invoices 100000]`.

Starts it with one organisation of that size and reads all its invoices over HTTP in pages of
1,000: cold (nothing was ever asked before), warm (the same again), and warm without compression.
The floor is a bare program on the same server, in the same run, that sends the very same bytes
from memory. The reader parses nothing. Then one question that finds nothing, in process.
By its CPU says what the first reading took of the program itself, whatever else the machine did.
Prints one JSON line; exits 1 if any reading is slower than `--least` invoices a second.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from werkzeug.serving import make_server

ROOT = Path(__file__).parent.parent
SELF = Path(__file__).resolve()
REDIRECT = "http://127.0.0.1:9/callback"
CLIENT = ("bench", "bench-secret")
PAGE_SIZE = 1_000
READY_WITHIN_SECONDS = 300
ASKED = {"order": "InvoiceID ASC", "unitdp": "4", "where": 'Type=="ACCREC"'}
"""What a careful reader asks beside the page."""
CALLS = 3_000
"""Questions in process that find nothing."""


def serve_floor(folder: Path) -> None:
    """Serve the files of a folder from memory with the local Xero's own server."""
    from xero_sandbox.__main__ import QuietHandler

    pages = {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = pages[environ["PATH_INFO"]]
        start("200 OK", [*headers, ("Content-Length", str(len(body)))])
        return [body]

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    sys.stdout.write(f"ready on http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


@contextmanager
def running(*command: str) -> Iterator[tuple[str, float, int]]:
    """A program that says where it is once it is ready: its address, seconds to start, number."""
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 — our own commands
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline() if process.stdout else ""
        if not said:
            raise SystemExit("the program did not start")
        yield said.split()[-1], time.perf_counter() - began, process.pid
    finally:
        process.terminate()
        process.wait(timeout=READY_WITHIN_SECONDS)


def connect(http: httpx2.Client) -> dict[str, str]:
    """Let the app into the big organisation; the headers of its calls."""
    http.post("/sandbox/limits", json={"minute": None, "day": None}).raise_for_status()
    rows = http.get("/sandbox/organisations").json()
    tenant = next(row["tenant"] for row in rows if row["name"].startswith("Big"))
    form = {
        "response_type": "code",
        "client_id": CLIENT[0],
        "redirect_uri": REDIRECT,
        "scope": "accounting.invoices.read",
        "tenant": tenant,
        "decision": "allow",
    }
    answer = http.post("/identity/connect/authorize", data=form)
    code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    tokens = http.post("/connect/token", data=given, auth=CLIENT).json()
    return {"Authorization": f"Bearer {tokens['access_token']}", "xero-tenant-id": tenant}


def cpu_of(process: int) -> float:
    """CPU seconds that a process has used; where there is no /proc, none."""
    stat = Path(f"/proc/{process}/stat")
    if not stat.exists():
        return float("nan")
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_all(ask: Callable[[int], bytes], pages: int) -> tuple[float, list[bytes]]:
    """Every page, as it came over the wire; the seconds it took."""
    began = time.perf_counter()
    bodies = [ask(number) for number in range(1, pages + 1)]
    return time.perf_counter() - began, bodies


def raw(http: httpx2.Client, path: str, **more: Any) -> bytes:
    """The bytes of an answer as they were sent."""
    with http.stream("GET", path, **more) as answer:
        answer.raise_for_status()
        return b"".join(answer.iter_raw())


def over_http(address: str, invoices: int, folder: Path, process: int) -> dict[str, float]:
    """Seconds of each reading, and the server's own for the first; the pages stay in a folder."""
    pages = -(-invoices // PAGE_SIZE)
    with httpx2.Client(base_url=address, trust_env=False, timeout=60) as http:
        headers = connect(http)

        def ask(number: int, encoding: str) -> bytes:
            params = {**ASKED, "page": str(number), "pageSize": str(PAGE_SIZE)}
            wanted = {**headers, "Accept-Encoding": encoding}
            return raw(http, "/api.xro/2.0/Invoices", params=params, headers=wanted)

        before = cpu_of(process)
        cold, bodies = read_all(lambda number: ask(number, "gzip"), pages)
        own = cpu_of(process) - before
        warm, _ = read_all(lambda number: ask(number, "gzip"), pages)
        plain, texts = read_all(lambda number: ask(number, "identity"), pages)
    if sum(len(json.loads(text)["Invoices"]) for text in texts) != invoices:
        raise SystemExit("the pages do not hold every invoice")
    for number, body in enumerate(bodies, 1):
        (folder / str(number)).write_bytes(body)
    return {"cold": cold, "cold_by_its_cpu": own, "warm": warm, "uncompressed": plain}


def floor(folder: Path, invoices: int) -> float:
    """Seconds for the same bytes from a program that only sends them."""
    with (
        running(str(SELF), "--floor", str(folder)) as (address, *_),
        httpx2.Client(base_url=address, trust_env=False, timeout=60) as http,
    ):
        seconds, _ = read_all(lambda number: raw(http, f"/{number}"), -(-invoices // PAGE_SIZE))
    return seconds


def empty_question() -> dict[str, float]:
    """CPU microseconds of one question that finds nothing: of the program, and with a client."""
    from xero_sandbox import FrozenClock, Store, create_app
    from xero_sandbox.oauth import App
    from xero_sandbox.seed import big_organisation

    now, store = datetime(2026, 11, 22, tzinfo=UTC), Store()
    big_organisation(store, 1, now, 10)
    app = App(client_id=CLIENT[0], client_secret=CLIENT[1], redirect_uris=(REDIRECT,))
    sandbox = create_app(store, clock=FrozenClock(now), app=app)
    transport = httpx2.WSGITransport(app=sandbox)
    with httpx2.Client(transport=transport, base_url="http://xero.test") as http:
        headers = {**connect(http), "If-Modified-Since": now.isoformat()}
        http.post("/sandbox/limits", json={"app_minute": None})
        request = http.build_request("GET", "/api.xro/2.0/Invoices", params=ASKED, headers=headers)
        named = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in request.headers.items()}
        query = request.url.query.decode()
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/api.xro/2.0/Invoices",
            "QUERY_STRING": query,
            "SERVER_NAME": "xero.test",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            **named,
        }
        bare = cpu(lambda: list(sandbox({**environ, "wsgi.input": io.BytesIO()}, _ignore)))
        client = cpu(lambda: http.get("/api.xro/2.0/Invoices", params=ASKED, headers=headers))
    return {"program": bare, "with_client": client}


def _ignore(*_: object) -> None:
    """Where a server would begin its answer."""


def cpu(call: Callable[[], object]) -> float:
    """CPU microseconds of a call."""
    call()
    began = time.process_time()
    for _ in range(CALLS):
        call()
    return round((time.process_time() - began) / CALLS * 1e6, 1)


def measure(invoices: int) -> dict[str, Any]:
    """All figures: invoices a second of each reading, seconds to start."""
    command = ("-m", "xero_sandbox", f"--invoices={invoices}", f"--redirect-uri={REDIRECT}")
    app = (f"--client-id={CLIENT[0]}", f"--client-secret={CLIENT[1]}")
    with tempfile.TemporaryDirectory() as name:
        with running(*command, *app) as (address, start, process):
            seconds = over_http(address, invoices, Path(name), process)
        seconds["floor"] = floor(Path(name), invoices)
        wire = sum(path.stat().st_size for path in Path(name).iterdir())
    return {
        "invoices": invoices,
        "start_seconds": round(start, 1),
        "wire_megabytes": round(wire / 1e6, 1),
        "invoices_a_second": {k: round(invoices / v) for k, v in seconds.items()},
        "empty_question_microseconds": empty_question(),
    }


def main() -> int:
    """Run; 1 if anything was slower than it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--invoices", type=int, default=100_000)
    parser.add_argument("--least", type=int, default=20_000, help="invoices a second")
    parser.add_argument("--floor", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "src"))
    if options.floor:
        serve_floor(options.floor)
    figures = measure(options.invoices)
    sys.stdout.write(json.dumps(figures) + "\n")
    return int(min(figures["invoices_a_second"].values()) < options.least)


if __name__ == "__main__":
    sys.exit(main())
