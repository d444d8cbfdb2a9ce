"""The worker process: takes jobs from every queue until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

import psycopg
import structlog
from django.db import connections
from procrastinate import App
from procrastinate.contrib.django.django_connector import DjangoConnector

log = structlog.get_logger(__name__)

CONCURRENCY = 8
GRACE_SECONDS = 10.0
"""How long running jobs may take to end after SIGTERM; they are safe to run again."""
PROBE_SECONDS = 5.0
GONE_SECONDS = 30.0
"""A worker without a database this long ends, and whoever watches it starts a fresh one."""
BACK_SECONDS = 4.0
"""A clock that is set back by less delays the next tick by no more than that."""


def run(url: str) -> None:
    """Work until SIGTERM or Ctrl-C. Django must be set up. `url` is the database to watch."""
    from procrastinate.contrib.django import app

    from justpayme.sync import restored

    os.umask(0o077)  # e-mails kept as files are private, as in the web
    restored.notice(datetime.now(UTC))
    connections.close_all()
    threading.Thread(target=_watch, args=(url,), daemon=True).start()
    connector = app.connector
    assert isinstance(connector, DjangoConnector)  # noqa: S101
    with app.replace_connector(connector.get_worker_connector()) as worker_app:
        asyncio.run(_work(worker_app))


async def _work(app: App) -> None:
    async with app.open_async():
        worker = asyncio.ensure_future(
            app.run_worker_async(
                concurrency=CONCURRENCY,
                install_signal_handlers=False,
                shutdown_graceful_timeout=GRACE_SECONDS,
                delete_jobs="successful",
            )
        )
        loop = asyncio.get_running_loop()
        for order in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(order, _stop, worker)
        with contextlib.suppress(asyncio.CancelledError):
            await worker


def _stop(worker: "asyncio.Future[None]") -> None:
    """Let running jobs end, but not for ever: a job may be stuck in a thread."""
    worker.cancel()
    last_resort = threading.Timer(GRACE_SECONDS + 5, os._exit, args=(1,))
    last_resort.daemon = True
    last_resort.start()


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
