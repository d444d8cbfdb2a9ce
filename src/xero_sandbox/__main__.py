"""``python -m xero_sandbox``: serve a local Xero on the loopback interface."""

import argparse
import gc
import ipaddress
import math
import signal
import sys
import threading
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from xero_sandbox.app import Sandbox, create_app
from xero_sandbox.clock import Clock
from xero_sandbox.countries import COUNTRIES
from xero_sandbox.given import BadInput
from xero_sandbox.limits import DAILY_CALLS, Allowance, Limits
from xero_sandbox.oauth import App
from xero_sandbox.open_questions import parse
from xero_sandbox.seed import big_organisation, demo_company, seed
from xero_sandbox.store import Store
from xero_sandbox.webhooks import check_address

MOST_INVOICES = 1_000_000
LONGEST_LATENCY = 60.0


class QuietHandler(WSGIRequestHandler):
    """Keeps connections open and does not write an access log."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def connection_dropped(
        self, error: BaseException, environ: dict[str, Any] | None = None
    ) -> None:
        """Do not wait for more on a connection that a fault has broken."""
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The sandbox has its own request log."""


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text} is not a port. Use 0 to 65535.")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_INVOICES):
        raise argparse.ArgumentTypeError(f"{text}: a whole number up to {MOST_INVOICES:,}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_LATENCY:
        raise argparse.ArgumentTypeError(f"{text}: seconds, 0 to {LONGEST_LATENCY:g}")
    return seconds


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="xero_sandbox", description="A local Xero for tests and demos; loopback only."
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=_port, default=0, help="port; 0 takes a free one")
    parser.add_argument("--data", type=Path, help="SQLite file to keep everything in")
    parser.add_argument("--seed", type=int, default=1, help="number that the demo data come from")
    parser.add_argument("--client-id", default=App().client_id, help="the app's id at Xero")
    parser.add_argument("--client-secret", default=App().client_secret, help="and its secret")
    parser.add_argument("--app-name", default=App().name, help="the app's name at Xero")
    parser.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        help="registered redirect address, exact; may be given several times. Plain"
        " http://127.0.0.1 is allowed here although real Xero refuses it",
    )
    parser.add_argument(
        "--invoices",
        type=_count,
        action="append",
        default=[],
        help="add an organisation of so many invoices; may be given again for another",
    )
    parser.add_argument(
        "--country",
        choices=sorted(COUNTRIES.keys() - {"GB", "NZ"}),
        action="append",
        default=[],
        help="add that country's demo company to those of GB and NZ; may be given several times",
    )
    parser.add_argument(
        "--tier",
        choices=sorted(DAILY_CALLS),
        default="starter",
        help="the app's, which decides how many calls a day an organisation may get",
    )
    parser.add_argument("--webhook-url", help="address on this machine to send webhooks to")
    parser.add_argument("--webhook-key", default="sandbox-webhook-key", help="their signing key")
    parser.add_argument(
        "--open",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="answer an open question about Xero; GET /sandbox/open-questions lists them",
    )
    parser.add_argument("--latency", type=_seconds, default=0.0, help="seconds before each answer")
    parser.add_argument("--ready-file", type=Path, help="file to write the address into")
    return parser


def fill(options: argparse.Namespace, store: Store, now: datetime) -> None:
    """Seed an empty store as the command line says."""
    seed(store, options.seed, now)
    for country in options.country:
        demo_company(store, options.seed, now, country)
    for count in options.invoices:
        big_organisation(store, options.seed, now, count)


def open_store(options: argparse.Namespace, clock: Clock) -> Store:
    """Open the file and seed it if it is empty."""
    store = Store(options.data)
    if not store.ledgers:
        fill(options, store, clock.now())
    gc.collect()
    gc.freeze()  # the books stay; looking through them for garbage again and again takes long
    return store


def summary(sandbox: Sandbox, address: str) -> str:
    """What one needs to point an app here."""
    app, day = sandbox.identity.app, sandbox.limits.allowance.day
    told = {
        "page": f"{address}/",
        "authorize": f"{address}/identity/connect/authorize",
        "token": f"{address}/connect/token",
        "accounting API": f"{address}/api.xro/2.0",
        "client id": app.client_id,
        "client secret": app.client_secret,
        "redirect to": ", ".join(app.redirect_uris) or "nowhere yet: give --redirect-uri",
        "calls a day": str(day),
    }
    lines = [f"  {name:<14}  {value}\n" for name, value in told.items()]
    for tenant, ledger in sandbox.store.ledgers.items():
        name, count = ledger.organisation.name, len(ledger.invoices.rows)
        lines.append(f"  {'organisation':<14}  {tenant}  {name}: {count} invoices\n")
    return "".join(lines)


def serve(
    server: BaseWSGIServer, store: Store, address: str, ready_file: Path | None, told: str
) -> None:
    """Say where and what, then serve until SIGTERM or Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    if ready_file:
        ready_file.write_text(address)
    sys.stdout.write(f"xero_sandbox ready on {address}\n{told}")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    store.close()


def subscribe(sandbox: Sandbox, options: argparse.Namespace) -> None:
    """Send intent to receive to the address of the command line until it is answered rightly:
    who listens there may start later than we do."""
    wanted = {"url": options.webhook_url, "key": options.webhook_key}
    while True:
        time.sleep(1)
        if sandbox.webhooks.subscribe(wanted).state == "ok":
            return


def deliver_for_ever(sandbox: Sandbox) -> None:
    """Send webhooks as they come due."""
    while True:
        time.sleep(1)
        sandbox.webhooks.deliver()


def main(argv: list[str] | None = None) -> int:
    """Run; 0 after a clean stop, 2 for a wrong command line."""
    parser = arguments()
    options = parser.parse_args(argv)
    host = "127.0.0.1" if options.host == "localhost" else options.host
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        parser.error("--host must be a loopback address such as 127.0.0.1")
    try:
        check_address(options.webhook_url or "http://127.0.0.1")
        open_questions = parse(options.open)
    except (BadInput, ValueError) as error:
        parser.error(str(error))
    clock = Clock()
    store = open_store(options, clock)
    sandbox = create_app(
        store,
        clock=clock,
        app=App(
            client_id=options.client_id,
            client_secret=options.client_secret,
            redirect_uris=tuple(options.redirect_uri),
            name=options.app_name,
        ),
        limits=Limits(Allowance(day=DAILY_CALLS[options.tier])),
        latency=options.latency,
        open_questions=open_questions,
        beginning=partial(fill, options),
    )
    if options.webhook_url:
        threading.Thread(target=subscribe, args=(sandbox, options), daemon=True).start()
    threading.Thread(target=deliver_for_ever, args=(sandbox,), daemon=True).start()
    server = make_server(host, options.port, sandbox, threaded=True, request_handler=QuietHandler)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{server.server_port}"
    serve(server, store, address, options.ready_file, summary(sandbox, address))
    return 0


if __name__ == "__main__":
    sys.exit(main())
