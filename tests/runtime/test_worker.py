"""The worker process: what ends it, and that whoever watches it learns why."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from argparse import Namespace
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from procrastinate import App
from procrastinate.contrib.django import app as engine
from procrastinate.testing import InMemoryConnector

from justpayme.runtime import worker
from justpayme.runtime.commands import worker as command
from justpayme.sync import jobs


class Ended(Exception):
    """The process ended with a status."""


def ends(status: int) -> NoReturn:
    raise Ended(status)


def passing(*walls: float) -> Any:
    """A time module on which 5 seconds pass between two looks; the calendar's clock shows
    `walls`."""
    steps: Iterator[tuple[int, float]] = enumerate(walls)
    at = SimpleNamespace(steady=0.0, wall=0.0)

    def sleep(seconds: float = 0.0) -> None:
        step = next(steps, None)
        if step is None:
            raise InterruptedError
        at.steady, at.wall = 5.0 * step[0], step[1]

    sleep()
    return SimpleNamespace(sleep=sleep, monotonic=lambda: at.steady, time=lambda: at.wall)


@pytest.mark.parametrize("back", [10, 3600, 86_400 * 365])
def test_a_clock_that_is_set_back_starts_the_worker_anew(back: float) -> None:
    """I-43. The job engine starts nothing until the old time has come again."""
    clock = passing(1e9, 1e9 + 5, 1e9 + 10 - back)
    with pytest.raises(Ended, match="1"):
        worker._watch(os.environ["JUSTPAYME_DATABASE_URL"], clock, ends)


def test_a_clock_that_is_corrected_a_little_or_set_forward_ends_nothing() -> None:
    """A machine that slept, too: its steady clock stood still meanwhile."""
    clock = passing(1e9, 1e9 + 5, 1e9 + 9, 1e9 + 3600, 1e9 + 90_000)
    with pytest.raises(InterruptedError):
        worker._watch(os.environ["JUSTPAYME_DATABASE_URL"], clock, ends)


def test_a_worker_whose_database_stays_away_ends() -> None:
    clock = passing(*(1e9 + 5 * step for step in range(9)))
    with pytest.raises(Ended, match="1"):
        worker._watch("postgresql://nobody@127.0.0.1:1/none", clock, ends)


class Broken(InMemoryConnector):
    """A database that ends the connection on which the engine listens, and takes no other."""

    async def listen_notify(self, on_notification: Any, channels: Any) -> None:
        raise OSError("the connection was refused")


def test_a_worker_whose_engine_gives_up_did_not_end_well() -> None:
    """The engine stops for good when its database restarts. A signal is another matter."""
    ended: list[str] = []
    broken = App(connector=Broken())
    assert not asyncio.run(worker._work(broken, lambda: ended.append("by itself")))
    whole = App(connector=InMemoryConnector())
    threading.Timer(0.1, os.kill, args=(os.getpid(), signal.SIGTERM)).start()
    assert asyncio.run(worker._work(whole, lambda: ended.append("by a signal")))
    assert ended == ["by itself", "by a signal"]


def test_as_many_slow_organisations_as_there_is_room_for_hold_up_no_tick() -> None:
    """I-41. The tick may wait neither for a place nor for a thread."""
    app = App(connector=InMemoryConnector())
    places = worker.PLACES["default"]
    all_at_once = threading.Barrier(places + 1)

    @app.task(queue="default")
    def slow() -> None:
        all_at_once.wait(1)

    @app.task(queue=jobs.tick.queue)
    def tick() -> None:
        try:
            all_at_once.wait(1)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    async def play() -> None:
        for _ in range(places):
            await slow.defer_async()
        await tick.defer_async()
        await worker._work(app, lambda: None)

    asyncio.run(play())
    assert not all_at_once.broken


def test_every_job_of_ours_has_a_queue_that_is_worked_at() -> None:
    ours = {name: task for name, task in engine.tasks.items() if "procrastinate" not in name}
    assert {task.queue for task in ours.values()} == set(worker.PLACES)
    assert {jobs.tick.queue, jobs.tell.queue, jobs.reap.queue} == {"upkeep"}


@pytest.mark.parametrize(("told", "status"), [(True, 0), (False, 1)])
def test_the_command_says_whether_it_was_told_to_end(
    told: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service manager starts again what failed."""
    monkeypatch.setattr(worker, "run", lambda url: told)
    monkeypatch.setattr(command, "serving_config", lambda: None)
    monkeypatch.setattr(command, "part_database_url", lambda config: "")
    monkeypatch.setattr("justpayme.runtime.ground.start_django", lambda url: None)
    assert command.run(Namespace()) == status
