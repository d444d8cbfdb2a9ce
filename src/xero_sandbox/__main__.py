"""``python -m xero_sandbox``: serve a local Xero on the loopback interface."""

import argparse
import gc
import ipaddress
import signal
import sys
import threading
import time
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


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="xero_sandbox", description="A local Xero for tests and demos; loopback only."
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes a free one")
    parser.add_argument("--data", type=Path, help="SQLite file to keep everything in")
    parser.add_argument("--seed", type=int, default=1, help="number that the demo data come from")
    parser.add_argument("--client-id", default=App().client_id)
    parser.add_argument("--client-secret", default=App().client_secret)
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
        type=int,
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
    parser.add_argument("--tier", choices=sorted(DAILY_CALLS), default="starter")
    parser.add_argument("--webhook-url", help="address on this machine to send webhooks to")
    parser.add_argument("--webhook-key", default="sandbox-webhook-key", help="their signing key")
    parser.add_argument(
        "--open",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="answer an open question about Xero; GET /sandbox/open-questions lists them",
    )
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--ready-file", type=Path, help="file to write the address into")
    return parser


def open_store(options: argparse.Namespace, clock: Clock) -> Store:
    """Open the file and seed it if it is empty."""
    store = Store(options.data)
    if not store.ledgers:
        seed(store, options.seed, clock.now())
        for country in options.country:
            demo_company(store, options.seed, clock.now(), country)
        for count in options.invoices:
            big_organisation(store, options.seed, clock.now(), count)
    gc.collect()
    gc.freeze()  # the books stay; looking through them for garbage again and again takes long
    return store


def serve(server: BaseWSGIServer, store: Store, address: str, ready_file: Path | None) -> None:
    """Say where, then serve until SIGTERM or Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    if ready_file:
        ready_file.write_text(address)
    sys.stdout.write(f"xero_sandbox ready on {address}\n")
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
    )
    if options.webhook_url:
        threading.Thread(target=subscribe, args=(sandbox, options), daemon=True).start()
    threading.Thread(target=deliver_for_ever, args=(sandbox,), daemon=True).start()
    server = make_server(host, options.port, sandbox, threaded=True, request_handler=QuietHandler)
    shown = f"[{host}]" if ":" in host else host
    serve(server, store, f"http://{shown}:{server.server_port}", options.ready_file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
