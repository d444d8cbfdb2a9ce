"""The demo: a home of its own, a local Xero, a person, a real connection, a first import.

It uses the pages as a browser does: it signs in, presses Connect Xero, allows access on the
consent page, chooses the organisation. So a demo that works shows that the pages work.
"""

import contextlib
import json
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import httpx2
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from justpayme.runtime.config import NAMES, Config, new_secret
from justpayme.runtime.logs import set_up
from justpayme.runtime.page import Form, forms
from justpayme.runtime.parts import (
    migrate,
    part_environment,
    program,
    sandbox_command,
    usable_config,
    web_answers,
)
from justpayme.runtime.postgres import Server, find_binaries
from justpayme.runtime.supervisor import (
    Child,
    Supervisor,
    free_port,
    open_in_home,
    port_is_free,
)

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from justpayme.sync.models import Connection, Run

HOST = "127.0.0.1"
ORGANISATION = "Demo Company (UK)"
BUSINESS = "Hollins & Daughter Joinery"
EMAIL = "maeve@example.com"
NAME = "Maeve Hollins"
CLIENT_ID = "JUSTPAYME-DEMO"
KEPT = ("JUSTPAYME_POSTGRES_BIN", "JUSTPAYME_LOG_LEVEL")
"""The settings of this environment that the demo takes over; all others are its own."""

SETTINGS = "settings.sh"
"""File in the demo's home: what a shell must export to use the other commands with the demo."""

IMPORT_SECONDS = 300
LAST_WORDS = 30
"""Lines of each part's log that a failed --check prints."""
SHOWN = 20
"""Differences that --check prints in words."""


class DemoError(Exception):
    """The demo cannot go on. The text is a sentence."""


@dataclass(frozen=True)
class Report:
    """What a first import brought, and how many bills differ from Xero. `kept`: it was imported
    by an earlier start."""

    organisation: str
    bills: int
    clients: int
    payments: int
    calls: int
    seconds: float
    drift: int = 0
    kept: bool = False

    def as_json(self) -> dict[str, object]:
        """The one line that --check prints."""
        names = ("organisation", "bills", "clients", "calls", "seconds", "drift")
        return {name: getattr(self, name) for name in names}


@dataclass
class Demo:
    """One demo in one home."""

    home: Path
    port: int | None
    throw_away: bool
    out: TextIO
    config: Config = field(init=False)
    environment: dict[str, str] = field(init=False)
    server: Server = field(init=False)

    def forget(self) -> None:
        """Remove everything an earlier demo left. Refuses while one runs here."""
        with Supervisor(self.home, "").running():
            _own_server(self.home).wipe()
        shutil.rmtree(self.home, ignore_errors=True)

    def check(self) -> Report:
        """Import once, compare every bill, remove everything."""
        try:
            with self._running() as supervisor:
                report = self._connected(supervisor)
                self.say("comparing every bill with its invoice")
                return self._verified(report)
        except DemoError:
            self._show_logs()
            raise
        finally:
            self.forget()

    def _show_logs(self) -> None:
        """The last words of the parts, before their files are removed."""
        for path in sorted((self.home / "logs").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-LAST_WORDS:]
            self.say("\n".join([f"--- {path.name}", *lines]))

    def stay(self) -> None:
        """Import if this is the first time, then keep in step until Ctrl-C."""
        with self._running() as supervisor:
            report = self._connected(supervisor)
            self._welcome(report)
            supervisor.watch(meanwhile=_RunLines(self.say))
        self.say("stopped; nothing was left running")

    def say(self, text: str, *, end: str = "\n") -> None:
        """Tell the person."""
        print(text, end=end, file=self.out, flush=True)

    @contextlib.contextmanager
    def _running(self) -> Iterator[Supervisor]:
        """Database, sandbox, web and worker, ready for use."""
        web_port, xero_port = self._ports()
        self._settle(web_port, xero_port)
        supervisor = Supervisor(self.home, self.config.base_url, self.server)
        with supervisor.running():
            self._write_settings()
            self.say("the database runs; preparing its tables")
            migrate(self.environment)
            self._start_parts(supervisor, web_port, xero_port)
            try:
                yield supervisor
            finally:
                connections.close_all()

    def _ports(self) -> tuple[int, int]:
        if self.port is not None and not port_is_free(HOST, self.port):
            raise DemoError(f"Port {self.port} is taken. Choose another with --port.")
        web = self.port or free_port(HOST, 0 if self.throw_away else 8000)
        return web, free_port(HOST, 0 if self.throw_away else 8100)

    def _settle(self, web_port: int, xero_port: int) -> None:
        """Make the demo's own settings the settings of this process and its children."""
        keys = self._keys()
        xero = f"http://{HOST}:{xero_port}"
        own = {name: os.environ[name] for name in KEPT if name in os.environ}
        own |= {
            "JUSTPAYME_HOME": str(self.home),
            "JUSTPAYME_BASE_URL": f"http://{HOST}:{web_port}",
            "JUSTPAYME_SECRET_KEY": keys["secret"],
            "XERO_CLIENT_ID": CLIENT_ID,
            "XERO_CLIENT_SECRET": keys["client_secret"],
            "XERO_WEBHOOK_KEY": keys["webhook_key"],
            **dict.fromkeys(("XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"), xero),
        }
        for name in NAMES:
            os.environ.pop(name, None)
        os.environ.update(own)
        self.config = usable_config()
        self.server = Server(self.home, find_binaries(self.config))
        self.environment = part_environment(self.config, self.server.url)
        os.environ["JUSTPAYME_LOG_LEVEL"] = "WARNING"  # here; the parts write into their files
        set_up("WARNING")

    def _write_settings(self) -> None:
        """Leave the demo's settings for a shell, so that other commands can use its data."""
        path = self.home / SETTINGS
        path.touch(mode=0o600)
        own = ((name, os.environ[name]) for name in sorted(NAMES) if name in os.environ)
        path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in own))

    def _keys(self) -> dict[str, str]:
        """The demo's secrets, kept in its home so that a second start can read its data."""
        path = self.home / "keys.json"
        if not path.exists():
            open_in_home(self.home, "run.lock").close()  # makes the folder, or says why not
            keys = {
                "secret": new_secret(),
                "client_secret": secrets.token_urlsafe(24),
                "webhook_key": secrets.token_urlsafe(24),
                "password": secrets.token_urlsafe(9),
            }
            path.touch(mode=0o600)
            path.write_text(json.dumps(keys))
        kept: dict[str, str] = json.loads(path.read_text())
        return kept

    def _start_parts(self, supervisor: Supervisor, web_port: int, xero_port: int) -> None:
        logs = self.home / "logs"
        ready = self.home / "sandbox.ready"
        ready.unlink(missing_ok=True)
        sandbox = sandbox_command(
            port=xero_port,
            data=self.home / "sandbox.sqlite",
            identity=(self.config.xero_client_id, self.config.xero_client_secret),
            redirect_uri=self.config.redirect_uri,
            webhook=(self.config.webhook_address, self._keys()["webhook_key"]),
            ready_file=ready,
        )
        web = program("web", "--host", HOST, "--port", str(web_port))
        for name, command in (
            ("sandbox", sandbox),
            ("web", web),
            ("worker", program("worker")),
        ):
            supervisor.add(Child(name, command, self.environment, logs / f"{name}.log"))
        self.say("the local Xero, the web and the worker are starting")
        if not supervisor.wait_for(lambda: ready.exists() and web_answers(HOST, web_port), 60):
            raise DemoError(f"They did not start in a minute. Their words are in {logs}")

    def _connected(self, supervisor: Supervisor) -> Report:
        """A person, a business, a connection, and everything imported."""
        from justpayme.runtime.ground import start_django

        start_django(self.server.url)
        password = self._keys()["password"]
        make_person(password)
        kept = _connections().filter(imported_at__isnull=False).exists()
        if not _connections().exists():
            self.say(f"connecting {ORGANISATION}: sign in, Connect Xero, allow, choose")
            with Visitor(self.config.base_url) as visitor:
                visitor.sign_in(EMAIL, password)
                visitor.connect(ORGANISATION)
        self._watch_import(supervisor)
        return replace(report_of(_connections().get()), kept=kept)

    def _watch_import(self, supervisor: Supervisor) -> None:
        bar = _Bar(self.out)
        done = supervisor.wait_for(lambda: _import_is_done(bar), IMPORT_SECONDS)
        bar.close()
        if not done:
            raise DemoError(
                f"The import took over {IMPORT_SECONDS} s. See {self.home / 'logs/worker.log'}"
            )

    def _verified(self, report: Report) -> Report:
        from justpayme.sync.clock import RealClock
        from justpayme.sync.verify import verify

        found = verify(_connections().get(), RealClock())
        for one in found.differences[:SHOWN]:
            self.say(f"  {one.number} {one.field}: {one.ours!r} here, {one.xero!r} in Xero")
        return replace(report, drift=found.drift)

    def _welcome(self, report: Report) -> None:
        self.say(
            f"\n{told_report(report)}\n"
            f"\n  JustPayMe    {self.config.base_url}"
            f"\n  sign in as   {EMAIL}"
            f"\n  password     {self._keys()['password']}"
            f"\n  local Xero   {self.config.xero_api_url}/  (change an invoice there: its "
            f"bill follows in seconds)"
            f"\n  mail         {self.home / 'mail'}"
            f"\n  commands     (. {shlex.quote(str(self.home / SETTINGS))}; ./justpayme verify)"
            f"\n\nKeeping in step; Ctrl-C stops everything."
        )


def _own_server(home: Path) -> Server:
    return Server(home, find_binaries(usable_config()))


def make_person(password: str) -> None:
    """The demo's person and her business, once."""
    from justpayme.accounts.actions import create_business
    from justpayme.accounts.models import User

    if User.objects.filter(email=EMAIL).exists():
        return
    with transaction.atomic():
        user = User.objects.create_user(EMAIL, password, name=NAME)
        create_business(user=user, name=BUSINESS)


def _connections() -> "QuerySet[Connection]":
    """The demo's connection, if it was made: never more than one."""
    from justpayme.sync.models import Connection

    return Connection.objects.filter(business__name=BUSINESS, name=ORGANISATION).exclude(
        state=Connection.State.OFFERED
    )


def report_of(connection: "Connection") -> Report:
    """Count what the first import brought."""
    from justpayme.bills.models import Payment
    from justpayme.sync.models import Run

    first = connection.runs.filter(kind=Run.Kind.IMPORT)
    begun, ended = first.earliest("started_at").started_at, first.latest("started_at").ended_at
    return Report(
        organisation=connection.name,
        bills=connection.links.count(),
        clients=connection.client_links.count(),
        payments=Payment.objects.filter(bill__link__connection=connection).count(),
        calls=sum(first.values_list("calls", flat=True)),
        seconds=round((ended - begun).total_seconds(), 2) if ended else 0.0,
    )


def told_report(report: Report) -> str:
    """What there is to look at, and what it took if that was just imported."""
    took = f"in {report.calls} calls and {report.seconds:.1f} s"
    return (
        f"{report.organisation}: {report.bills} bills, {report.clients} clients and "
        f"{report.payments} payments, "
        f"{'kept from the last time (demo --fresh starts afresh)' if report.kept else took}"
    )


def _import_is_done(bar: "_Bar") -> bool:
    """Look at the first import; DemoError when it cannot go on."""
    from justpayme.sync.models import Connection

    connection = _connections().first()
    if connection is None:
        return False
    if connection.imported_at is not None:
        return True
    if connection.state != Connection.State.LIVE:
        raise DemoError(f"The import stopped: {connection.error_text or connection.state}")
    run = connection.runs.order_by("-started_at").first()
    if run is not None:
        bar.show(run.read, run.expected or 0)
    return False


class _Bar:
    """A line that grows on a terminal; nothing elsewhere."""

    WIDTH = 30

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.shown = False

    def show(self, done: int, total: int) -> None:
        if not self.out.isatty() or not total:
            return
        full = min(self.WIDTH, self.WIDTH * done // total)
        bar = "█" * full + "░" * (self.WIDTH - full)
        print(f"\rimporting {bar} {done} of {total}", end="", file=self.out, flush=True)
        self.shown = True

    def close(self) -> None:
        if self.shown:
            print(file=self.out)


class _RunLines:
    """Prints a line for every sync run that ended since the last look."""

    def __init__(self, say: Callable[[str], None]) -> None:
        from justpayme.sync.models import Run

        self.say = say
        self.seen = max(Run.objects.values_list("pk", flat=True), default=0)
        self.next_look = 0.0

    def __call__(self) -> None:
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + 1
        try:
            self._look()
        except DatabaseError:  # it restarts; the next look will find it
            connections.close_all()

    def _look(self) -> None:
        from justpayme.sync.models import Run

        for run in Run.objects.filter(pk__gt=self.seen).select_related("connection").order_by("pk"):
            if run.state == Run.State.RUNNING:
                break
            self.seen = run.pk
            self.say(line_about(run))


def line_about(run: "Run") -> str:
    """One sync run in one line."""
    at = timezone.localtime(run.ended_at or run.started_at, None).strftime("%H:%M:%S")
    told = run.error_text or _counts(run)
    calls = f"{run.calls} call{'' if run.calls == 1 else 's'}"
    return f"{at}  {run.connection.name}, {run.get_kind_display().lower()}: {told} ({calls})"


def _counts(run: "Run") -> str:
    """What a run did: always what its kind is for, all else where there is any."""
    from justpayme.sync.models import Run

    sends = run.kind == Run.Kind.PUSH
    counts = (
        (run.created, "new", not sends),
        (run.changed, "changed", not sends),
        (run.sent, "sent", sends),
        (run.refused, "refused", False),
    )
    return ", ".join(f"{count} {word}" for count, word, always in counts if count or always)


class Visitor:
    """A person with a browser, by HTTP: follows links, presses buttons, keeps cookies."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.client = httpx2.Client(follow_redirects=True, timeout=30, trust_env=False)

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def sign_in(self, email: str, password: str) -> None:
        """Open Settings > Integrations, and fill in the sign-in form that comes instead."""
        page = self.client.get(f"{self.base_url}/settings/integrations/")
        form = self._form(page, lambda one: "password" in one.fields)
        form.fields.update(login=email, password=password)
        page = self._send(page, form)
        if page.url.path.startswith("/account/login"):
            raise DemoError(f"Signing in as {email} was refused.")

    def connect(self, organisation: str) -> None:
        """Connect Xero, allow access to one organisation, choose it."""
        page = self.client.get(f"{self.base_url}/settings/integrations/xero/")
        page = self._send(page, self._form(page, lambda one: "/xero/connect" in one.action))
        consent = self._form(page, lambda one: one.choose(organisation))
        page = self._send(page, consent, "Allow")
        for form in forms(page.text):
            if "/xero/choose" in form.action and (form.choose(organisation) or not form.choices):
                page = self._send(page, form)
                break

    def _form(self, page: httpx2.Response, wanted: Callable[[Form], bool]) -> Form:
        for form in forms(page.text):
            if wanted(form):
                return form
        raise DemoError(f"{page.url} ({page.status_code}) does not show the expected form.")

    def _send(self, page: httpx2.Response, form: Form, button: str = "") -> httpx2.Response:
        answer = self.client.request(
            form.method.upper(), page.url.join(form.action or str(page.url)), data=form.data(button)
        )
        if answer.status_code >= 400:
            raise DemoError(f"{answer.url} answered {answer.status_code}.")
        return answer
