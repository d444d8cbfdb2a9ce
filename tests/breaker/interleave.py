"""Two workers (or a worker and a person) and one baton: who goes on is decided at every step.

    first  ── step ── step ─┐ switch                 ┌─ step ── end
    second                  └─ step ── blocked on a ─┘               ── step ── end
                                       lock of the first

Each has a thread, a database session and a memory of its own, like two processes. A step is a
statement, a commit or a call to Xero; a switch comes before it. So a play is wholly decided by
who begins and at which steps it switches: `Switches`. Whoever waits for a lock of the other
(pg_blocking_pids says so) or sleeps hands the baton over by itself; that is no switch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from queue import SimpleQueue
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import httpx2
import psycopg
from django.db import connection as database
from django.db import connections as databases
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from tests.breaker.stage import Observed
from tests.breaker.world import new_process
from tests.fixtures.emptying import ALLOW

from justpayme.sync import ending, runs
from justpayme.sync.under_way import WATCH

BLOCKED_AFTER = 0.004
"""Seconds without progress after which PostgreSQL is asked whether somebody waits for a lock."""
PATIENCE = 60.0
"""Seconds after which a play that does not end is a finding."""

Work = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Switches:
    """A schedule: who begins (0 or 1), and before which steps of the play the other goes on."""

    first: int = 0
    at: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it was about to be taken. `free`: the other could have gone on instead.
    `session`: the database session of a statement; `atomic`: inside a transaction."""

    actor: int
    what: str
    free: bool
    session: int = 0
    atomic: bool = False


class Beside(StrEnum):
    """What somebody does that is no step, and that the other may notice."""

    TIME = "the clock moved"
    CUT = "sessions of the other were cut off"
    ROLLBACK = "a transaction was rolled back"
    UNLOCK = "locks of a session were freed"
    XERO = "Xero's books were changed"
    SLEPT = "the other went on meanwhile"


@dataclass
class Played:
    """How a play went: what each returned or raised, every step, and when it was really taken:
    one before which the other went on came later.

    `ended`: how many steps had been taken when a statement was answered; `waited`: those that had
    to wait for a lock of the other; `begun`: when each began. `beside`: what each did beside its
    steps, by actor and number of steps that it had taken. `refused`: PostgreSQL ended a deadlock.
    """

    results: list[Any]
    errors: list[BaseException | None]
    steps: list[Step]
    taken: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    begun: list[int] = field(default_factory=lambda: [0, 0])
    beside: dict[tuple[int, int], list[Beside]] = field(default_factory=dict)
    waited: set[int] = field(default_factory=set)
    refused: bool = False

    def told(self) -> str:
        """The steps, for a message: one a line, a blank one at each change of hands."""
        lines, last = [], -1
        for number, step in enumerate(self.steps):
            if step.actor != last:
                lines.append("")
            last = step.actor
            lines.append(f"{number:4} {'AB'[step.actor]} {' '.join(step.what.split())[:110]}")
        return "\n".join(lines)


class _State(StrEnum):
    READY = "ready"
    RUNNING = "running"
    BLOCKED = "blocked"
    DONE = "done"


@dataclass
class _Actor:
    index: int
    state: _State = _State.READY
    go: threading.Event = field(default_factory=threading.Event)
    freed: threading.Event = field(default_factory=threading.Event)
    there: threading.Event = field(default_factory=threading.Event)
    work: SimpleQueue[Work | None] = field(default_factory=SimpleQueue)
    pids: set[int] = field(default_factory=set)
    pid: int = 0
    home: int = 0
    asking: bool = False
    serial: int = 0
    count: int = 0
    number: int = 0
    time: float = 0.0
    result: Any = None
    error: BaseException | None = None


class _OfThread(MutableMapping[Any, Any]):
    """A dict (or, with None as values, a set) of which every thread has its own."""

    def __init__(self) -> None:
        self._own = threading.local()

    @property
    def _mine(self) -> dict[Any, Any]:
        if not hasattr(self._own, "rows"):
            self._own.rows = {}
        rows: dict[Any, Any] = self._own.rows
        return rows

    def __getitem__(self, key: Any) -> Any:
        return self._mine[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._mine[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._mine[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._mine)

    def __len__(self) -> int:
        return len(self._mine)

    def add(self, key: Any) -> None:
        """As of a set."""
        self._mine[key] = None

    def discard(self, key: Any) -> None:
        """As of a set."""
        self._mine.pop(key, None)


class _Shared(Observed):
    """Lock sessions that both threads may use, one after the other."""

    def __init__(self, told: Callable[[Beside], None]) -> None:
        super().__init__()
        self.told = told

    def give_back(self, own: BaseDatabaseWrapper) -> None:
        """Whoever waits for a lock of it may notice."""
        self.told(Beside.UNLOCK)
        super().give_back(own)


class Duet:
    """The two threads. `sleep` and `monotonic` are a fake clock's."""

    def __init__(self, sleep: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        self.sleep_alone = sleep
        self.monotonic = monotonic
        self.sessions = _Shared(self.beside)
        self._lock = threading.RLock()
        self._local = threading.local()
        self._end = threading.Event()
        self._plan: Switches | None = None
        self._current: _Actor | None = None
        self._steps: list[Step] = []
        self._taken: dict[int, int] = {}
        self._played = Played([], [], [])
        self._actors = (_Actor(0), _Actor(1))
        self._threads = [threading.Thread(target=self._live, args=(a,)) for a in self._actors]
        self._eye = psycopg.connect(_address(), autocommit=True)

    # --- a play ----------------------------------------------------------------------------------

    def play(self, works: tuple[Work, Work], plan: Switches) -> Played:
        """Let both work until both have ended. AssertionError if they never do."""
        self._steps, self._taken, self._plan = [], {}, plan
        played = self._played = Played([], [], self._steps, self._taken)
        self._end.clear()
        for actor, work in zip(self._actors, works, strict=True):
            actor.state, actor.error, actor.result = _State.READY, None, None
            actor.asking, actor.count = False, 0
            actor.pids.clear()
            actor.go.clear()
            actor.work.put(work)
        self._give(self._actors[plan.first])
        self._watch()
        self._plan = None
        a, b = self._actors
        played.results, played.errors = [a.result, b.result], [a.error, b.error]
        return played

    def _live(self, me: _Actor) -> None:
        self._local.actor = me
        _connect()
        me.there.set()
        while (work := me.work.get()) is not None:
            self._wait(me)
            new_process()
            self._played.begun[me.index] = len(self._taken)
            me.home = database.connection.info.backend_pid
            try:
                me.result = work()
            except BaseException as error:
                me.error = error
            self._look_at_clock(me)
            database.close_if_unusable_or_obsolete()
            _connect()
            with self._lock:
                me.state = _State.DONE
            self._pass_on(me)
        databases.close_all()

    def _watch(self) -> None:
        """See who waits for a lock of the other, until both have ended."""
        seen: tuple[int, int] | None = None
        waited = 0.0
        while not self._end.wait(BLOCKED_AFTER):
            waited += BLOCKED_AFTER
            if waited > PATIENCE:
                raise AssertionError(f"the two do not end:\n{Played([], [], self._steps).told()}")
            actor = self._current
            if actor is None or not actor.asking:
                seen = None
                continue
            now = (actor.index, actor.serial)
            if now == seen and self._waits(actor):
                self._blocked(actor, actor.serial)
            seen = now

    def _waits(self, actor: _Actor) -> bool:
        """Does its statement wait for something that the other holds?"""
        with self._lock:
            found = self._eye.execute("SELECT pg_blocking_pids(%s)", [actor.pid]).fetchone()
        other = self._actors[1 - actor.index]
        return bool(found and other.pids & set(found[0]))

    def _blocked(self, actor: _Actor, serial: int) -> None:
        other = self._actors[1 - actor.index]
        with self._lock:
            if actor.serial != serial or not actor.asking:
                return
            actor.freed.clear()
            actor.state = _State.BLOCKED
            self._played.waited.add(actor.number)
            if other.state is _State.READY:
                self._give(other)
            else:
                self._current = None  # a deadlock: PostgreSQL will refuse one of them
                self._played.refused = True

    def _settle(self, other: _Actor) -> None:
        """One that was blocked is ready again as soon as nothing blocks it: wait for that."""
        if other.state is not _State.BLOCKED or self._waits(other):
            return
        if not other.freed.wait(PATIENCE):
            raise AssertionError("nothing blocks it and it does not go on")

    # --- the baton -------------------------------------------------------------------------------

    def _give(self, actor: _Actor) -> None:
        with self._lock:
            self._current = actor
            actor.state = _State.RUNNING
            actor.go.set()

    def _wait(self, me: _Actor) -> None:
        if not me.go.wait(2 * PATIENCE):
            raise AssertionError("never called again")
        me.go.clear()
        me.time = self.monotonic()

    def _pass_on(self, me: _Actor) -> None:
        """The end of `me`: the other goes on, or the play is over."""
        other = self._actors[1 - me.index]
        if other.state is _State.DONE:
            self._end.set()
            return
        while other.state is _State.BLOCKED:
            self._settle(other)
        self._give(other)

    def beside(self, what: Beside) -> None:
        """Whoever is working does this beside its steps."""
        me = getattr(self._local, "actor", None)
        if me is not None and self._plan is not None:
            self._played.beside.setdefault((me.index, me.count), []).append(what)

    def _look_at_clock(self, me: _Actor) -> None:
        """Has it moved since this one had its last look, or was given the baton?"""
        if me.time != (now := self.monotonic()):
            self.beside(Beside.TIME)
            me.time = now

    def point(self, what: str, own: BaseDatabaseWrapper | None = None) -> int:
        """A step is about to be taken: by this one, or by the other first. Its number."""
        me = getattr(self._local, "actor", None)
        if me is None or self._plan is None:
            return -1
        self._look_at_clock(me)
        session = own.connection.info.backend_pid if own else 0
        atomic = bool(own and own.in_atomic_block)
        other = self._actors[1 - me.index]
        self._settle(other)
        free = other.state is _State.READY
        number = len(self._steps)
        self._steps.append(Step(me.index, what, free, session, atomic))
        if free and number in self._plan.at:
            self._hand_over(me, other)
        self._taken[number] = len(self._taken)
        me.count, me.number = me.count + 1, number
        return number

    def _hand_over(self, me: _Actor, other: _Actor) -> None:
        with self._lock:
            me.state = _State.READY
            self._give(other)
        self._wait(me)

    def sleep(self, seconds: float) -> None:
        """Whoever sleeps lets the other work; alone, time passes."""
        me = getattr(self._local, "actor", None)
        other = self._actors[1 - me.index] if me else None
        if me is None or other is None or other.state is not _State.READY:
            self.sleep_alone(seconds)
            return
        self._look_at_clock(me)
        self.beside(Beside.SLEPT)
        self._hand_over(me, other)

    # --- statements ------------------------------------------------------------------------------

    def asked(self, own: BaseDatabaseWrapper, what: str, ask: Callable[[], Any]) -> Any:
        """A statement as a step, during which its session may have to wait for the other's."""
        me = getattr(self._local, "actor", None)
        if me is None or self._plan is None:
            return ask()
        number = self.point(what, own)
        with self._lock:
            me.pid = own.connection.info.backend_pid
            me.pids.add(me.pid)
            me.serial += 1
            me.asking = True
        try:
            return ask()
        finally:
            self._answered(me, number)

    def _answered(self, me: _Actor, number: int) -> None:
        with self._lock:
            self._played.ended[number] = len(self._taken)
            me.asking = False
            me.serial += 1
            if me.state is not _State.BLOCKED:
                return
            if self._current is None:
                self._current, me.state = me, _State.RUNNING
                return
            me.state = _State.READY
            me.freed.set()
        self._wait(me)

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Both have a database session of their own from here on."""
        for thread in self._threads:
            thread.start()
        for actor in self._actors:
            assert actor.there.wait(PATIENCE)

    def stop(self) -> None:
        """End both threads and every session."""
        for actor in self._actors:
            actor.work.put(None)
        for thread in self._threads:
            thread.join(PATIENCE)
        self.sessions.close()
        self._eye.close()

    def new_processes(self) -> None:
        """What the sessions held is free again."""
        self.sessions.process_died()

    def lose_lock(self, actor: int) -> None:
        """The sessions in which this one holds locks are cut off, as when its host was away."""
        self.beside(Beside.CUT)
        for own in list(self.sessions.lent):
            pid = own.connection.info.backend_pid
            if pid in self._actors[actor].pids:
                own.connection.execute("SELECT pg_advisory_unlock_all()")

    def cut_off(self, actor: int) -> None:
        """End every session of this one at the server."""
        self.beside(Beside.CUT)
        cut = self._actors[actor]
        lent = {own.connection.info.backend_pid for own in self.sessions.lent}
        pids = [cut.home, *(lent & cut.pids)]
        self._eye.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [pids])
        gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_get_activity(NULL) WHERE pid = ANY(%s))"
        until = monotonic() + PATIENCE
        while self._eye.execute(gone, [pids]).fetchone() != (True,):
            assert monotonic() < until, "a session outlives its end"
            sleep(0.001)  # PostgreSQL itself would look every tenth of a second only


class Tapped(httpx2.BaseTransport):
    """The way to Xero, with a step before each call."""

    def __init__(self, duet: Duet, inner: httpx2.BaseTransport) -> None:
        self.duet, self.inner = duet, inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.duet.point(f"{request.method} {request.url.path}")
        return self.inner.handle_request(request)


def _address() -> str:
    given = database.get_connection_params()
    known = ("dbname", "user", "password", "host", "port")
    return psycopg.conninfo.make_conninfo(**{k: given[k] for k in known if given.get(k)})


def _connect() -> None:
    if database.connection is None:
        with database.cursor() as cursor:
            cursor.execute("SET deadlock_timeout = '20ms'")


@contextmanager
def duet(
    sleep: Callable[[float], None], monotonic: Callable[[], float] = lambda: 0.0
) -> Iterator[Duet]:
    """Two threads that take turns. `sleep` and `monotonic` are the fake clock's."""
    both = Duet(sleep, monotonic)
    cursors, sessions = cast(Any, CursorWrapper), cast(Any, BaseDatabaseWrapper)
    execute, many, commit = cursors._execute, cursors._executemany, sessions._commit
    rollback = sessions._rollback

    def stepped(cursor: Any, sql: Any, *rest: Any) -> Any:
        return both.asked(cursor.db, str(sql), lambda: execute(cursor, sql, *rest))

    def stepped_many(cursor: Any, sql: Any, *rest: Any) -> Any:
        return both.asked(cursor.db, str(sql), lambda: many(cursor, sql, *rest))

    def stepped_commit(own: Any) -> Any:
        return both.asked(own, "COMMIT", lambda: commit(own))

    def told_rollback(own: Any) -> Any:
        both.beside(Beside.ROLLBACK)
        return rollback(own)

    time = SimpleNamespace(sleep=both.sleep, monotonic=monotonic)
    both.start()
    with (
        mock.patch.object(CursorWrapper, "_execute", stepped),
        mock.patch.object(CursorWrapper, "_executemany", stepped_many),
        mock.patch.object(BaseDatabaseWrapper, "_commit", stepped_commit),
        mock.patch.object(BaseDatabaseWrapper, "_rollback", told_rollback),
        mock.patch.object(databases, "create_connection", both.sessions.create),
        mock.patch.object(runs, "_mine", _OfThread()),
        mock.patch.object(WATCH, "_seen", _OfThread()),
        mock.patch.object(ending, "time", time),
    ):
        try:
            yield both
        finally:
            both.stop()


# --- going back --------------------------------------------------------------------------------

KEPT = ("django_migrations", "django_content_type", "auth_permission", "django_site")
"""Tables that nobody writes to."""


class Snapshot:
    """Every row of our books as it is now, kept inside the database under a name. `again`: it
    will be taken anew, and may hold rows where there are none now."""

    def __init__(self, name: str, *, again: bool = False) -> None:
        self.name = f"snapshot_{name}"
        back, take = ["SET LOCAL session_replication_role = replica;", ALLOW], []
        with database.cursor() as cursor:
            tables = [t for t in database.introspection.table_names(cursor) if t not in KEPT]
            cursor.execute(f"DROP SCHEMA IF EXISTS {self.name} CASCADE")
            cursor.execute(f"CREATE SCHEMA {self.name}")
            for table in tables:
                kept = f"{self.name}.{table}"
                cursor.execute(f"CREATE UNLOGGED TABLE {kept} AS TABLE {table}")
                back.append(f"DELETE FROM {table};")  # noqa: S608
                if cursor.rowcount or again:
                    into = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE"
                    back.append(f"{into} SELECT * FROM {kept};")  # noqa: S608
                take.append(f"DELETE FROM {kept}; INSERT INTO {kept} SELECT * FROM {table};")  # noqa: S608
            for verb, body in (("back", back), ("take", take)):
                cursor.execute(
                    f"CREATE FUNCTION {self.name}.{verb}() RETURNS void LANGUAGE plpgsql "
                    f"AS $$ BEGIN {' '.join(body)} END $$"
                )

    def take(self) -> None:
        """From now on it holds the rows as they are now."""
        self._call("take")

    def back(self) -> None:
        """All rows are as they were. Histories let themselves be changed only here."""
        self._call("back")

    def _call(self, verb: str) -> None:
        with database.cursor() as cursor:
            cursor.execute(f"SELECT {self.name}.{verb}()")

    def drop(self) -> None:
        """Forget it."""
        with database.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {self.name} CASCADE")
