"""A stage for scenarios: both books small, set once, and gone back to before each try.

    arrange ─▶ (mark) ─▶ try: crash or fault ─▶ new process ─▶ recover ─▶ check ─▶ back to the mark

What a process had committed before it died is there afterwards, and nothing else: inside a
test's transaction each transaction of ours is a savepoint, and a crash rolls it back. Xero's
books and clock go back with ours. Time jumps from one due moment to the next, as the tick
would find them.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit
from uuid import NAMESPACE_OID, UUID, uuid5

import httpx2
from django.db import OperationalError, transaction
from django.db import connection as database
from django.db import connections as databases
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings
from tests.breaker import world as small
from tests.breaker.world import World, new_process
from tests.fixtures.sessions import Sessions
from tests.sync.hands import Crash

from justpayme.accounts.models import Membership
from justpayme.integrations import actions as integrations
from justpayme.sync import ending, jobs, lost, runs, webhooks
from justpayme.sync.models import IN_FLIGHT, Connection, Heard, OutboxItem, Run
from xero_sandbox import Store, drafts, rules
from xero_sandbox.model import Invoice
from xero_sandbox.store import Ledger, Table

State = OutboxItem.State
SEED = 1
"""Of a world whose first invoices are all in pounds."""
STORIES = ("open", "open", "part", "open", "paid", "part-credit", "open")
"""One sales invoice each."""
WIRE = ("send ", "answer ")
ROUNDS = 60
"""Recovery ends: it looks at most so often."""
LONGEST_JUMP = timedelta(hours=25)


# --- Xero's books ------------------------------------------------------------------------------


def books(sales: int = 0) -> World:
    """A UK company with one sales invoice for each of the stories, in pounds; or with so many
    open ones, some in euros."""
    with mock.patch.object(small, "STORIES", ("open",) if sales else STORIES):
        return World(SEED, sales=sales or len(STORIES))


_SHELVES = ("connections", "codes", "refresh_tokens", "settings", "answers")
_NOTES = ("calls", "marks", "typed", "received", "taken_back", "secrets", "versions", "contacts")
_INDEXES = ("notes_of", "numbers", "invoices_of", "payments_of", "credits_of")


def copy_store(store: Store) -> dict[str, Any]:
    """The contents of a store. Records are frozen, so the shelves are copied and they are not."""
    kept: dict[str, Any] = {name: dict(getattr(store, name)) for name in _SHELVES}
    kept["ledgers"] = {tenant: copy_ledger(ledger) for tenant, ledger in store.ledgers.items()}
    return kept


def put_back(store: Store, kept: dict[str, Any]) -> None:
    """The store as it was when it was copied; the copy can be used again."""
    for name in _SHELVES:
        setattr(store, name, dict(kept[name]))
    store.ledgers = {tenant: copy_ledger(ledger) for tenant, ledger in kept["ledgers"].items()}


def copy_ledger(ledger: Ledger) -> Ledger:
    """An organisation that can change without the other."""
    new = Ledger(ledger.organisation)
    for name, value in vars(ledger).items():
        if isinstance(value, Table):
            table: Table[Any] = Table()
            table.rows = dict(value.rows)
            table.by_updated, table.by_id = list(value.by_updated), list(value.by_id)
            setattr(new, name, table)
        elif name in _INDEXES:
            sets = ((key, set(ids)) for key, ids in value.items())
            setattr(new, name, defaultdict(set, sets))
    new.rendered = {record: dict(bodies) for record, bodies in ledger.rendered.items()}
    return new


# --- the wire ----------------------------------------------------------------------------------

Hook = Callable[[httpx2.Request], None]


class Stream(httpx2.SyncByteStream):
    """An answer's bytes; a connection that breaks looks as it does through a socket."""

    def __init__(self, inner: Any, request: httpx2.Request) -> None:
        self.inner, self.request = inner, request

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.inner
        except ConnectionResetError as error:
            raise httpx2.ReadError(str(error), request=self.request) from error


class Socket(httpx2.BaseTransport):
    """The local Xero, with broken connections that look like broken connections."""

    def __init__(self, app: Any) -> None:
        self.inner = httpx2.WSGITransport(app=app)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            answer = self.inner.handle_request(request)
        except ConnectionResetError as error:
            raise httpx2.ReadError(str(error), request=request) from error
        answer.stream = Stream(answer.stream, request)
        return answer


class Line(httpx2.BaseTransport):
    """The way to the local Xero, with somebody listening `before` a call leaves and `after` its
    answer has come."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self.inner = inner
        self.silence()

    def silence(self) -> None:
        """Nobody listens."""
        self.before: Hook = lambda request: None
        self.after: Hook = lambda request: None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.before(request)
        answer = self.inner.handle_request(request)
        self.after(request)
        return answer


# --- points at which a process can die ---------------------------------------------------------


class Points:
    """Counts what a process does, and lets it die before its `at`-th step.

    A dead process does nothing more, but what it had not committed goes back. `seen` names the
    steps: statements, and each call as it is about to leave and as its answer has come. `state`
    counts what will outlive the process: commits of changes, and calls that have left. A scenario
    always goes the same way, so two deaths in one state leave the same behind.

    `hangs_up`: it is the database that goes. The process lives, but the connection on which it
    works answers nothing more (F13); what was open there goes back just the same.
    """

    def __init__(self, at: int = 0, *, hangs_up: bool = False) -> None:
        self.at = at
        self.hangs_up = hangs_up
        self.seen: list[str] = []
        self.states: list[int] = []
        self.dead = False
        self.state = 0
        self._depth = 0
        self._dirty = False

    def goes_on(self, other: Points) -> None:
        """Count on from where another ended, outside every savepoint."""
        self.seen, self.states, self.state = [*other.seen], [*other.states], other.state

    def step(self, what: str) -> None:
        """One more step is about to be taken."""
        self._note(what)
        if self.dead and not self.hangs_up:
            raise Crash
        if self.dead and not what.startswith(WIRE):
            raise OperationalError("terminating connection due to administrator command")

    def _note(self, what: str) -> None:
        if not self.dead:
            self.seen.append(what)
            self.states.append(self.state)
            self.dead = len(self.seen) == self.at

    def one_of_each(self) -> list[int]:
        """The last point in each state: the number of what would have ended it."""
        return sorted({state: at for at, state in enumerate(self.states, 1)}.values())

    def send(self, request: httpx2.Request) -> None:
        """A call is about to leave."""
        self.step(f"send {request.method} {request.url.path}")
        self.state += 1

    def answer(self, request: httpx2.Request) -> None:
        """Its answer has come."""
        self.step(f"answer {request.url.path}")

    def statement(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        """For `execute_wrapper`. A process that dies while it rolls back has rolled back."""
        text = str(sql)
        if self.hangs_up and context["connection"] is not databases["default"]:
            return execute(sql, params, many, context)  # the lock's own session lives
        if not text.startswith("ROLLBACK TO"):
            try:
                self.step(text)
            except Crash:
                if text.startswith("RELEASE"):  # a commit that was never sent
                    execute(text.replace("RELEASE", "ROLLBACK TO"), params, many, context)
                raise
        answer = execute(sql, params, many, context)
        if text.startswith("ROLLBACK TO") and not self.dead:
            self.step(text)
        self._count(text)
        return answer

    def _count(self, text: str) -> None:
        """A change outlives us once no savepoint is open around it."""
        if text.startswith("SAVEPOINT"):
            self._depth += 1
        elif text.startswith("RELEASE"):
            self._depth -= 1
        elif not text.startswith("SELECT") or "procrastinate" in text:
            self._dirty = True
        if self._dirty and not self._depth:
            self.state, self._dirty = self.state + 1, False

    @property
    def within(self) -> bool:
        """Is a transaction of ours open?"""
        return self._depth > 0


class Refusal(Points):
    """The database refuses its `at`-th statement, with an error of its own, and goes on (F13).

    A refused commit has taken its transaction back; any other statement in a transaction leaves
    it broken until that is taken back.
    """

    def __init__(self, at: int = 0) -> None:
        super().__init__(at)
        self.refused = False

    @property
    def error(self) -> str:
        """PostgreSQL's code: the disk is full, a lock was not given, deadlock, it took too long."""
        return ("53100", "55P03", "40P01", "57014")[self.at % 4]

    def step(self, what: str) -> None:
        """One more step is about to be taken."""
        self._note(what)

    def statement(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        """For `execute_wrapper`."""

        def refusing(sql: Any, params: Any, many: bool, context: Any) -> Any:
            if self.dead and not self.refused:
                self.refused = True
                self._refuse(execute, str(sql), many, context)
            return execute(sql, params, many, context)

        return super().statement(refusing, sql, params, many, context)

    def _refuse(self, execute: Any, text: str, many: bool, context: Any) -> None:
        plain = ([()], True, context) if many else (None, False, context)
        error = f"DO $$ BEGIN RAISE 'refused' USING ERRCODE = '{self.error}'; END $$"
        if text.startswith("RELEASE"):
            execute(text.replace("RELEASE", "ROLLBACK TO"), *plain)
        elif self.within or context["connection"] is not databases["default"]:
            execute(error, *plain)
        execute("SAVEPOINT refused", *plain)
        try:
            execute(error, *plain)
        finally:
            execute("ROLLBACK TO SAVEPOINT refused", *plain)


# --- what a process holds and is given -----------------------------------------------------------


class Observed(Sessions):
    """Sessions of which every statement is one of the process that holds the lock."""

    def _open(self, alias: str) -> BaseDatabaseWrapper:
        own = super()._open(alias)
        own.execute_wrappers = database.execute_wrappers
        return own


class Ids:
    """Ids that Xero gives to what is made in it: the same ones each time that we go back."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self) -> UUID:
        self.given += 1
        return uuid5(NAMESPACE_OID, f"made in Xero {self.given}")


# --- the stage ---------------------------------------------------------------------------------


@dataclass
class Stage:
    """Both books, the people, and the process that works between them."""

    xero: World
    line: Line
    alice: Membership
    sessions: Observed
    ids: Ids
    memory: dict[str, Any] = field(default_factory=dict)
    """What the people of a scenario remember; no crash of ours reaches it."""
    newest_run: int = 0
    needs_a_look: bool = False
    """Xero has news that no sending would see: a whole run must come by."""

    @property
    def now(self) -> datetime:
        """The moment, for both."""
        return self.xero.clock.now()

    @property
    def connection(self) -> Connection:
        """The one organisation, as its row is now."""
        return Connection.objects.get(business=self.alice.business)

    def run(self, cause: Run.Cause = Run.Cause.SCHEDULE) -> Run | None:
        """What the job does."""
        return self._job(self.connection.pk, cause)

    def _job(self, pk: int, cause: Run.Cause) -> Run | None:
        self.notice()
        with mock.patch.object(self.xero, "working_for", return_value=pk):
            return runs.run_sync(pk, cause=cause, clock=self.xero.clock)

    def notice(self) -> None:
        """Write down what has been committed that calls must respect from here on."""
        rows = Connection.objects.all()
        for pk, state, way in rows.values_list("pk", "state", "direction"):
            for what, of in ((state, ("live", "disconnected")), (way, ("one", "two"))):
                said = [m.what for m in self.xero.marks if m.connection == pk and m.what in of]
                if what in of and said[-1:] != [what]:
                    self.xero.mark(pk, what)

    def connect(self, errand: integrations.Errand) -> None:
        """Through Xero's consent and back, as the pages do it; what can be chosen is chosen."""
        address = integrations.begin_connect(
            by=self.alice, session_key="session", address="::1", now=self.now, errand=errand
        )
        told = self.consent(address)
        given = integrations.complete_connect(
            by=self.alice,
            session_key="session",
            state=told["state"],
            code=told["code"],
            error="",
            address="::1",
            now=self.now,
        )
        for row in given.choosable:
            integrations.choose(by=self.alice, connection=row, address="::1", now=self.now)

    def consent(self, address: str) -> dict[str, str]:
        """Say yes at Xero to the one organisation there; the query that the browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        form = asked | {"decision": "allow", "tenant": self.xero.tenant()}
        answer = self.xero.http.post("/identity/connect/authorize", data=form)
        assert answer.status_code == 302, answer.text
        back = urlsplit(answer.headers["Location"])
        return {name: values[0] for name, values in parse_qs(back.query).items()}

    def sale(self, story: str, nth: int = 0) -> Invoice:
        """The n-th sales invoice of a story, as Xero has it."""
        index = [i for i, name in enumerate(STORIES) if name == story][nth]
        return self.xero.sales()[index]

    # --- going back ----------------------------------------------------------------------------

    @contextmanager
    def marked(self) -> Iterator[Callable[[], None]]:
        """From here; the function that is given goes back here, as often as it is called."""
        store, identity, now = self.xero.app.store, self.xero.app.identity, self.now
        kept, memory, told = copy_store(store), dict(self.memory), self._remembered()
        expired, seen = set(identity._expired), set(identity._seen)
        given = self.ids.given
        mark = transaction.savepoint()
        self.newest_run = max(Run.objects.values_list("pk", flat=True), default=0)

        def back() -> None:
            self.process_died()
            self.line.silence()
            database.needs_rollback = False
            transaction.savepoint_rollback(mark)
            self._heal()
            self.xero.frozen.advance((now - self.now).total_seconds())
            put_back(store, kept)
            identity._expired, identity._seen = set(expired), set(seen)
            self.ids.given = given
            self.memory = dict(memory)
            vars(self.xero).update({name: copy(value) for name, value in told.items()})

        try:
            yield back
        finally:
            back()

    def _remembered(self) -> dict[str, Any]:
        """What the world noted until now."""
        return {name: copy(getattr(self.xero, name)) for name in _NOTES}

    def _heal(self) -> None:
        app = self.xero.app
        app.faults.remove()
        app.late.land(self.now + timedelta(days=1))
        app.late.forget()
        app.log.reset()
        app.limits.reset()

    def process_died(self) -> None:
        """What it knew and held is gone."""
        database.needs_rollback = False
        new_process()
        self.sessions.process_died()

    # --- recovery ------------------------------------------------------------------------------

    def recover(self, known: Callable[[], bool] = lambda: False) -> bool:
        """Let the tick work until nothing is under way, and a run since the mark ended well.
        False if it was left off because it was `known` what comes next."""
        for _ in range(ROUNDS):
            self.tick()
            if self._is_quiet():
                return True
            if known():
                return False
            self._jump()
        raise AssertionError(f"never quiet: {self.told()}")

    def audit(self) -> None:
        """The next day's audit, now."""
        yesterday = self.now - timedelta(hours=25)
        Connection.objects.update(audited_at=yesterday, next_due_at=self.now)
        self.recover()

    def tick(self) -> None:
        """What the periodic jobs do, and the jobs that they start."""
        jobs.recover_dead_runs(self.now)
        ending.finish_all(self.now)
        lost.send_notices(self.now)
        rung: list[tuple[int, Run.Cause]] = []
        with mock.patch.object(jobs, "defer", lambda pk, cause, by: rung.append((pk, cause))):
            jobs.start_due(self.now)
        for pk, cause in rung:
            self._job(pk, cause)

    def _is_quiet(self) -> bool:
        if any(landing.status == 0 for landing in self.xero.app.late.all()):
            return False
        live = OutboxItem.objects.filter(connection__state=Connection.State.LIVE)
        if live.filter(state__in=(State.WAITING, *IN_FLIGHT)).exists():
            return False
        if Heard.objects.filter(
            connection__state=Connection.State.LIVE, waiting_since__isnull=False
        ).exists():
            return False
        for row in Connection.objects.all():
            if row.state == Connection.State.DISCONNECTED and row.next_due_at is not None:
                return False
            if row.state == Connection.State.LIVE and not self._looked(row):
                return False
        return True

    def _looked(self, row: Connection) -> bool:
        """Did the newest run end well, after the mark?"""
        since = row.runs.filter(pk__gt=self.newest_run).order_by("-pk")
        newest = since.first()
        if newest is None or newest.state != Run.State.DONE or row.next_due_at is None:
            return False
        whole = since.filter(state=Run.State.DONE).exclude(kind=Run.Kind.PUSH)
        return not self.needs_a_look or whole.exists()

    def _jump(self) -> None:
        """On to the next moment at which something is due."""
        now, moments = self.now, [self.now + LONGEST_JUMP]
        for row in Connection.objects.all():
            moments += filter(None, (row.next_due_at, row.blocked_until))
        waiting = OutboxItem.objects.filter(state__in=(State.WAITING, *IN_FLIGHT))
        moments += [at for at in waiting.values_list("not_before", flat=True) if at]
        heard = Heard.objects.filter(waiting_since__isnull=False)
        for word in heard:
            since = word.waiting_since or now
            moments += [since + webhooks.SETTLE, (word.taken_at or since) + webhooks.REST]
        moments += [x.due for x in self.xero.app.late.all() if x.status == 0]
        ahead = min(at for at in moments if at > now)
        self.xero.frozen.advance((ahead - now).total_seconds() + 0.001)
        self.xero.app.late.land(self.now)

    def told(self) -> list[Any]:
        """How things stand, for a message."""
        rows = Connection.objects.values_list("state", "error_code", "error_text", "next_due_at")
        items = OutboxItem.objects.values_list("kind", "state", "error_code", "not_before")
        last = Run.objects.order_by("-pk").values_list("kind", "state", "error_text")[:3]
        return [self.now, list(rows), list(items), list(last)]


@contextmanager
def stage_of(alice: Membership, sales: int = 0) -> Iterator[Stage]:
    """A stage with the small books in Xero, or so many open invoices, and nothing connected."""
    xero = books(sales)
    xero.tap.inner = Socket(xero.app)
    xero.app.sleep = xero.clock.sleep
    line, sessions, ids = Line(xero.tap), Observed(), Ids()
    addresses = ("XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL")
    with (
        override_settings(XERO_TRANSPORT=line, **dict.fromkeys(addresses, "http://xero.test")),
        mock.patch.object(databases, "create_connection", sessions.create),
        mock.patch.object(rules, "uuid4", ids),
        mock.patch.object(drafts, "uuid4", ids),
    ):
        logging.disable()  # thousands of runs tell the same story
        try:
            yield Stage(xero, line, alice, sessions, ids)
        finally:
            logging.disable(logging.NOTSET)
            sessions.close()
