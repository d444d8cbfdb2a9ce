"""The worker process: takes jobs from its queues until it is told to stop."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NoReturn

import psycopg
import structlog
from django.db import connections
from procrastinate import App
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.worker import Worker

log = structlog.get_logger(__name__)

PLACES = {"default": 8, "upkeep": 4}
"""How many jobs of each queue run at once. What starts, mends and tells has places of its own:
organisations whose Xero is slow may hold all others for minutes (I-41)."""
GRACE_SECONDS = 10.0
"""How long running jobs may take to end after SIGTERM; they are safe to run again."""
PROBE_SECONDS = 5.0
GONE_SECONDS = 30.0
"""A worker without a database this long ends, and whoever watches it starts a fresh one."""
BACK_SECONDS = 4.0
"""A clock that is set back by less delays the next tick by no more than that."""


def run(url: str) -> bool:
    """Work until SIGTERM or Ctrl-C; False if it ended without one. Django must be set up. `url`
    is the database to watch."""
    from procrastinate.contrib.django import app

    from justpayme.sync import restored

    os.umask(0o077)  # e-mails kept as files are private, as in the web
    restored.notice(datetime.now(UTC))
    connections.close_all()
    threading.Thread(target=_watch, args=(url,), daemon=True).start()
    # Running jobs may end, but not for ever: one may be stuck in a thread.
    last_resort = threading.Timer(GRACE_SECONDS + 5, os._exit, args=(1,))
    last_resort.daemon = True
    connector = app.connector
    assert isinstance(connector, DjangoConnector)  # noqa: S101
    with app.replace_connector(connector.get_worker_connector()) as worker_app:
        told = asyncio.run(_work(worker_app, last_resort.start))
    if not told:
        log.error("the worker stopped by itself; the lines before this one say why")
    return told


async def _work(app: App, ends: Callable[[], object]) -> bool:
    """Take jobs until a signal comes, or until the job engine gives up by itself, as it does when
    its database restarts; was it a signal? `ends` is called before running jobs are waited for."""
    loop = asyncio.get_running_loop()
    signalled, ending = asyncio.Event(), asyncio.Event()

    def told() -> None:
        signalled.set()
        ending.set()

    for order in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(order, told)
    # A thread for each place, and some for what the engine itself does in threads.
    loop.set_default_executor(ThreadPoolExecutor(sum(PLACES.values()) + 4))
    app.perform_import_paths()  # type: ignore[no-untyped-call]
    async with app.open_async():
        work = [asyncio.ensure_future(_Worker(app, q, ending.set).run()) for q in PLACES]  # type: ignore[no-untyped-call]
        for one in work:
            one.add_done_callback(lambda _: ending.set())
        await ending.wait()
        ends()
        for one in work:
            one.cancel()
        for how in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(how, Exception):
                raise how
    return signalled.is_set()


class _Worker(Worker):
    """The engine's worker on one queue; it says when it stops, also when that is its own idea."""

    def __init__(self, app: App, queue: str, stopping: Callable[[], object]) -> None:
        super().__init__(
            app,
            queues=[queue],
            concurrency=PLACES[queue],
            install_signal_handlers=False,
            shutdown_graceful_timeout=GRACE_SECONDS,
            delete_jobs="successful",
        )
        self.stopping = stopping

    def stop(self) -> None:
        """Take no more jobs, and end when those under way have."""
        super().stop()  # type: ignore[no-untyped-call]
        self.stopping()


def _watch(url: str, clock: Any = time, end: Callable[[int], NoReturn] = os._exit) -> None:
    """End the process when the database stays away, which a worker does not notice by itself,
    and when the clock was set back: the job engine remembers when it last deferred each periodic
    task, and defers none before that time comes again (I-43). The steady clock does not jump."""
    last_answer = clock.monotonic()
    lead = clock.time() - last_answer
    while True:
        clock.sleep(PROBE_SECONDS)
        before, lead = lead, clock.time() - clock.monotonic()
        if lead < before - BACK_SECONDS:
            log.error("the clock was set back; ending", seconds=round(before - lead))
            end(1)
        try:
            with psycopg.connect(url, connect_timeout=5):
                last_answer = clock.monotonic()
        except psycopg.Error:
            if clock.monotonic() - last_answer > GONE_SECONDS:
                log.error("the database is gone; ending", seconds=GONE_SECONDS)
                end(1)
