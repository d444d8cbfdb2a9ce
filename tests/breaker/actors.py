"""Where the simulation plays: several processes of ours in one, taking turns as chance decides.

Each *actor* (a worker, a page that talks to Xero) is a greenlet with a database connection of its
own. Only one runs at a time. It may hand over where a real process may lose the processor without
holding a row: when a call leaves, when its answer comes, in its sleep, after a commit. A wait for
a lock of PostgreSQL becomes a try and a handing over. So everything that happens follows from the
choices alone, and happens again from the same choices.

An actor dies (`Crash`) at a statement, a commit, a send or an answer: what it had not committed
is rolled back, its locks are free, what it knew in memory is gone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

import structlog
from django.db import DatabaseError, OperationalError, connections, transaction
from django.db.utils import DEFAULT_DB_ALIAS, ConnectionHandler
from greenlet import getcurrent, greenlet
from tests.breaker.world import World

from justpayme.integrations import describe, views_webhook
from justpayme.runtime.logs import redact
from justpayme.sync import clock as clocks
from justpayme.sync import doorbell, ending, jobs, lost, runs
from justpayme.sync.models import Run
from justpayme.sync.under_way import WATCH

NOTED = 3
"""At this point after an answer it is written down how long Xero asked to wait: the answer itself,
the meter, the note. Who dies later must have passed it on."""
Wrapper = Any
"""A database connection of Django's."""


class Crash(BaseException):
    """The process dies here."""


class Deadlock(AssertionError):
    """Everybody waits for somebody."""


@dataclass(eq=False)
class Actor:
    """One process of ours. `wake`: it does nothing before this moment of Xero's clock.

    `fuse`: it dies after so many points; None: not at all. `cable`: after so many statements its
    database is gone. `since`: points that it passed since the last answer.
    """

    name: str
    database: Wrapper
    play: greenlet | None = None
    wake: datetime | None = None
    fuse: int | None = None
    cable: int | None = None
    began: int = 0
    since: int = 0
    connection: int | None = None
    after_commit: Callable[[], None] | None = None
    seen: dict[Any, Any] = field(default_factory=dict)
    mine: set[int] = field(default_factory=set)
    locks: list[Wrapper] = field(default_factory=list)

    @property
    def is_busy(self) -> bool:
        """Is it in the middle of something?"""
        return self.play is not None


class Stage:
    """The actors of one process, and the world that they play in."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.hub = getcurrent()
        self.house = connections[DEFAULT_DB_ALIAS]
        self.current: Actor | None = None
        self.idle: list[Any] = []
        self.own_locks: list[Wrapper] = []
        self.actors: list[Actor] = []
        self.asked: dict[int, Run.Cause] = {}
        self.hand_over: Callable[[], bool] = lambda: False
        self.tell: Callable[[str], None] = lambda text: None
        self.heard: list[str] = []
        self.problems: list[str] = []
        self.chance = random.Random(0)

    # --- actors --------------------------------------------------------------------------------

    def hire(self, *names: str) -> None:
        """Make actors; their database connections stay from seed to seed."""
        while len(self.actors) < len(names):
            self.actors.append(Actor("", self._connect()))
        for actor, name in zip(self.actors, names, strict=True):
            actor.name = name
            self.renew(actor)

    def renew(self, actor: Actor) -> None:
        """A new process in its place, which knows nothing."""
        self._leave(actor)
        actor.seen, actor.mine = {}, set()
        self.drop_locks(actor)

    def _leave(self, actor: Actor) -> None:
        """It is idle again."""
        actor.play, actor.wake, actor.fuse, actor.cable = None, None, None, None
        actor.connection, actor.after_commit = None, None

    def drop_locks(self, actor: Actor) -> None:
        """The sessions that held its locks have ended."""
        for lock in list(actor.locks):
            self._take_back(lock)

    def lose_locks(self, actor: Actor) -> None:
        """It lives and may have a call under way, but holds nobody off any more."""
        self.drop_locks(actor)
        for call in self._world.calls[actor.began :]:
            if call.by == actor.connection and call.answered is None:
                call.alone = False

    def start(self, actor: Actor, what: Callable[[], object], connection: int | None) -> None:
        """Give an idle actor something to do."""
        actor.connection, actor.began = connection, len(self._world.calls)
        actor.play = greenlet(lambda: self._act(actor, what), parent=self.hub)

    def _act(self, actor: Actor, what: Callable[[], object]) -> None:
        try:
            what()
        except Crash:
            self.tell(f"{actor.name} died")
            WATCH._seen, runs._mine = {}, set()
            self.drop_locks(actor)
        except DatabaseError as error:
            if actor.cable != 0:
                raise
            self.tell(f"{actor.name} failed: {error}")
        finally:
            actor.database.close_if_unusable_or_obsolete()  # as the worker does after each job
            self._leave(actor)

    def _forget(self, actor: Actor) -> None:
        """If Xero had just asked it to wait, nobody knows now: it could not write that down."""
        mine = [c for c in self._world.calls[actor.began :] if c.by == actor.connection]
        if mine and actor.since <= NOTED:
            mine[-1].retry_after = None

    def resume(self, actor: Actor) -> None:
        """Let an actor go on until it hands over."""
        if actor.play is None:
            return
        self.current, actor.wake = actor, None
        WATCH._seen, runs._mine = actor.seen, actor.mine
        connections[DEFAULT_DB_ALIAS] = actor.database
        try:
            actor.play.switch()
        finally:
            actor.seen, actor.mine = WATCH._seen, runs._mine
            WATCH._seen, runs._mine = {}, set()
            connections[DEFAULT_DB_ALIAS] = self.house
            self.current = None

    def ready(self) -> list[Actor]:
        """Actors that could go on now."""
        now = self._world.frozen.now()
        return [a for a in self.actors if a.is_busy and (a.wake is None or a.wake <= now)]

    # --- what an actor does --------------------------------------------------------------------

    def point(self) -> None:
        """A place where a process may die."""
        actor = self.current
        if actor is None:
            return
        actor.since += 1
        if actor.fuse is not None:
            actor.fuse -= 1
            if actor.fuse <= 0:
                actor.fuse = None
                self._forget(actor)
                raise Crash

    def pause(self) -> None:
        """A place where another may go on."""
        if self.current is not None and self.hand_over():
            self.hub.switch()

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long; others go on."""
        if self.current is None or seconds <= 0:
            self._world.frozen.advance(max(seconds, 0))
            return
        self.current.wake = self._world.frozen.now() + timedelta(seconds=seconds)
        self.hub.switch()

    @property
    def _world(self) -> World:
        if self.world is None:
            raise AssertionError("the stage is empty")
        return self.world

    # --- the database --------------------------------------------------------------------------

    def _connect(self) -> Wrapper:
        made: Wrapper = _create(connections, DEFAULT_DB_ALIAS)
        made.execute_wrappers.append(self._statement)
        return made

    def lend(self, handler: ConnectionHandler, alias: str) -> Wrapper:
        """A connection for a lock, over a session that lay idle; its closing gives that back."""
        lent = _create(handler, alias)
        if self.idle:
            lent.connection, lent.autocommit = self.idle.pop(), True
        else:
            lent.connect()
        lent.execute_wrappers.append(self._locking)
        lent.close = lambda: self._take_back(lent)
        self.holder.append(lent)
        return lent

    @property
    def holder(self) -> list[Wrapper]:
        """The locks of whoever acts now."""
        return self.own_locks if self.current is None else self.current.locks

    def _take_back(self, lent: Wrapper) -> None:
        """Its session, free of locks, serves the next; the wrapper has none any more."""
        if lent.connection is None:
            return
        holders = (self.own_locks, *(actor.locks for actor in self.actors))
        holder = next((found for found in holders if lent in found), None)
        if holder is None:  # it was taken back before: whoever used it since opened another
            lent.connection.close()
            lent.connection = None
            return
        holder.remove(lent)
        lent.execute_wrappers.clear()
        with lent.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        self.idle.append(lent.connection)
        lent.connection = None
        lent.execute_wrappers.append(_gone)

    def _statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.point()
        self._may_break(context["connection"])
        result = execute(sql, params, many, context)
        if not context["connection"].in_atomic_block and not sql.startswith("SELECT"):
            self.pause()
        return result

    def _may_break(self, database: Wrapper) -> None:
        """The session of an actor may end at a statement, as by a restart of the server."""
        if self.current is None or not self.current.cable:
            return
        self.current.cable -= 1
        if self.current.cable == 0:
            self._forget(self.current)
            database.connection.close()

    def _locking(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.point()
        if "pg_advisory_lock(" not in sql:
            return execute(sql, params, many, context)
        for _ in range(1000):
            cursor = context["cursor"]
            cursor.execute(sql.replace("pg_advisory_lock(", "pg_try_advisory_lock("), params)
            if cursor.fetchone()[0]:
                return None
            self.sleep(0.2)
        raise Deadlock(f"nobody frees {params}")

    def end_of_block(self, exit_: Any, atomic: Any, *why: Any) -> None:
        """The end of a transaction of an actor: it may die before, and hand over after."""
        database = transaction.get_connection(atomic.using)
        outermost = len(database.atomic_blocks) == 1
        if self.current is None or not outermost or why[0] is not None:
            exit_(atomic, *why)
            return
        try:
            self.point()
        except Crash as crash:
            exit_(atomic, Crash, crash, None)
            raise
        exit_(atomic, *why)
        if self.current.after_commit is not None:
            self.current.after_commit()
            self.current.after_commit = None
        self.point()
        self.pause()

    # --- the wire ------------------------------------------------------------------------------

    def called(self) -> None:
        """A call has left."""
        self.point()
        if connections[DEFAULT_DB_ALIAS].in_atomic_block:
            self.problems.append("a call was made inside a transaction")
        self.pause()

    def answered(self) -> None:
        """Its answer has come."""
        if self.current is not None:
            self.current.since = 0
        self.pause()
        self.point()

    # --- all of it -----------------------------------------------------------------------------

    def defer(self, connection_id: int, cause: Run.Cause, by: object) -> None:
        """The queue: at most one job waits for each organisation."""
        self.asked.setdefault(connection_id, cause)

    def hear(self, logger: object, method: str, event: dict[str, Any]) -> NoReturn:
        """What is logged: kept, so that it can be searched for secrets."""
        self.heard.append(repr(redact(logger, method, event)))
        raise structlog.DropEvent

    def deliver(self, message: object) -> bool:
        """The post."""
        return True

    @contextmanager
    def open(self) -> Iterator[None]:
        """Play in place of the network, the queue, the clocks and chance."""
        clock = SimpleNamespace(now=lambda tz=None: self._world.clock.now())
        passing = SimpleNamespace(monotonic=lambda: self._world.clock.monotonic(), sleep=self.sleep)
        exit_ = transaction.Atomic.__exit__

        def leave(atomic: Any, *why: Any) -> None:
            self.end_of_block(exit_, atomic, *why)

        with ExitStack() as stack:
            for owner, name, new in (
                (transaction.Atomic, "__exit__", leave),
                (ConnectionHandler, "create_connection", self.lend_to()),
                (doorbell, "defer", self.defer),
                (jobs, "defer", self.defer),
                (doorbell, "datetime", clock),
                (describe, "datetime", clock),
                (views_webhook, "timezone", clock),
                (clocks, "datetime", clock),
                (clocks, "time", passing),
                (ending, "time", passing),
                (lost, "deliver", self.deliver),
                (os, "urandom", self.bytes),
                (random, "_urandom", self.bytes),
            ):
                stack.enter_context(patch.object(owner, name, new))
            stack.enter_context(self._quietly())
            stack.callback(self.close)
            yield

    def close(self) -> None:
        """End every session."""
        for actor in self.actors:
            self.drop_locks(actor)
            actor.database.close()
        for lock in list(self.own_locks):
            self._take_back(lock)
        for session in self.idle:
            session.close()
        self.idle, self.actors = [], []

    def lend_to(self) -> Callable[[ConnectionHandler, str], Wrapper]:
        """`create_connection` for the time of the play."""
        return lambda handler, alias: self.lend(handler, alias)

    def bytes(self, count: int) -> bytes:
        """Bytes that the seed decides, where a process takes them from the system."""
        return self.chance.randbytes(count)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        processors = structlog.get_config()["processors"]
        before = list(processors)
        processors[:] = [self.hear]
        try:
            yield
        finally:
            processors[:] = before


def _gone(execute: Any, sql: str, params: Any, many: bool, context: Any) -> NoReturn:
    """What a statement meets on a session that has ended."""
    raise OperationalError("the session has ended")


_create = ConnectionHandler.create_connection
