"""`justpayme simulate`: many stories, in several processes, each with a database of its own.

    process ─▶ its server, thrown away in the end ─▶ seeds, a few at a time
                                                  ◀─ stories that failed

A failure prints its seed and its end, is made shorter, and is told again by `--replay`.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connections
from tests import conftest as house
from tests.breaker import record
from tests.breaker.shrink import shorten
from tests.breaker.simulation import Theatre

TAIL = 25
"""Lines of a failed story that are printed."""
BATCH = 5
AGAIN = 100
"""Every so manyth seed is told twice, and must go the same way."""
EVERY = 60
"""Seconds after which what was played so far is written down."""


@dataclass
class Tally:
    """What was tried. `failures`: stories that did not hold, as JSON."""

    seeds: int = 0
    calls: int = 0
    steps: int = 0
    again: int = 0
    busy: float = 0.0
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: dict[str, Any]) -> None:
        """Add what a process tried."""
        self.seeds += other["seeds"]
        self.calls += other["calls"]
        self.steps += other["steps"]
        self.again += other["again"]
        self.busy += other["busy"]
        self.failures += other["failures"]


def run(options: Namespace) -> int:
    """Play what was asked for; 1 if anything did not hold."""
    try:
        if options.replay is not None:
            return _replay(options)
        todo = record.missing(options.record, options.first_seed, options.seeds)
        kept = record.Run(options.record, datetime.now(UTC)) if options.record else None

        def keep(tally: Tally, done: list[int], seconds: float) -> None:
            if kept:
                record.add(kept, done, tally, seconds)

        tally, seconds = _play_all(options, todo, keep)
        _show(options, tally, seconds)
        return 1 if tally.failures else 0
    finally:
        shutil.rmtree(os.environ["JUSTPAYME_HOME"], ignore_errors=True)


@contextmanager
def _theatre(number: int) -> Iterator[Theatre]:
    """A theatre on a new database of its own."""
    home = Path(os.environ["JUSTPAYME_HOME"]) / str(number)
    home.mkdir(mode=0o755)
    server = house.throw_away(home)
    server.start()
    try:
        connections["default"].settings_dict["HOST"] = str(server.places.socket)
        call_command("migrate", verbosity=0)
        theatre = Theatre()
        with theatre.open():
            yield theatre
        connections.close_all()
    finally:
        server.stop()


# --- processes -----------------------------------------------------------------------------------


Keep = Callable[[Tally, list[int], float], None]
"""Is told now and then, and in the end, what was tried, with which seeds, in how many seconds."""


def _play_all(options: Namespace, todo: list[int], keep: Keep) -> tuple[Tally, float]:
    """Play these seeds, over processes; what was tried, and the seconds it took."""
    context = multiprocessing.get_context("fork")
    started, tally, done = time.monotonic(), Tally(), list[int]()
    kept = started
    pipes: list[Pipe] = []
    players = []
    for number in range(options.processes):
        ours, theirs = context.Pipe()
        player = context.Process(target=_player, args=(number, theirs), daemon=True)
        player.start()
        pipes.append(ours)
        players.append(player)
    end = started + 60 * options.minutes if options.minutes else None
    batches = [todo[i : i + BATCH] for i in range(0, len(todo), BATCH)][::-1]
    waiting: dict[Any, list[int]] = {}
    for pipe in pipes:
        _give(pipe, batches, waiting)
    while waiting:
        for pipe in multiprocessing.connection.wait(list(waiting)):
            told = pipe.recv()  # type: ignore[union-attr]
            for failure in told["failures"]:
                _hint(f"\nseed {failure['seed']} failed: {failure['findings'][0][:200]}\n")
            tally.add(told)
            done += waiting.pop(pipe)
            if end is None or time.monotonic() < end:
                _give(pipe, batches, waiting)
        now = time.monotonic()
        _progress(options, tally, len(todo), now - started)
        if now > kept + EVERY:
            keep(tally, done, now - started)
            kept = now
    for pipe in pipes:
        pipe.send(None)
    for player in players:
        player.join()
    seconds = time.monotonic() - started
    keep(tally, done, seconds)
    return tally, seconds


def _give(pipe: Any, batches: list[list[int]], waiting: dict[Any, list[int]]) -> None:
    if batches:
        waiting[pipe] = batches.pop()
        pipe.send(waiting[pipe])


def _player(number: int, pipe: Pipe) -> None:
    """A process that plays what it is given, until it is given nothing."""
    with _theatre(number) as theatre:
        while (seeds := pipe.recv()) is not None:
            pipe.send(play(theatre, seeds))


def play(theatre: Theatre, seeds: list[int]) -> dict[str, Any]:
    """Play these seeds, some of them twice; what was tried, and what did not hold."""
    told: dict[str, Any] = vars(Tally())
    started = time.process_time()
    for seed in seeds:
        story = theatre.play(seed)
        told["seeds"] += 1
        told["calls"] += story.calls
        told["steps"] += len(story.script)
        if seed % AGAIN == 0 and not story.findings:
            told["again"] += 1
            second = theatre.play(seed)
            if second.digest != story.digest:
                told["failures"].append(
                    story.as_json() | {"findings": ["told twice, it went two ways"]}
                )
        if story.findings:
            told["failures"].append(story.as_json())
    told["busy"] = time.process_time() - started
    return told


# --- what a person sees --------------------------------------------------------------------------


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _hint(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _progress(options: Namespace, tally: Tally, total: int, seconds: float) -> None:
    if options.json or not tally.seeds:
        return
    pace = tally.seeds / seconds
    left = (total - tally.seeds) / pace
    line = f"{tally.seeds}/{total} seeds, {pace:.1f}/s, {left / 60:.0f} min left"
    _hint(f"\r{line}, {len(tally.failures)} failed  ")


def _show(options: Namespace, tally: Tally, seconds: float) -> None:
    if options.json:
        _say(json.dumps({"seconds": round(seconds, 1), **vars(tally)}, default=str))
        return
    _hint("\n")
    rows = {
        "seeds": tally.seeds,
        "steps": tally.steps,
        "calls": tally.calls,
        "told twice": tally.again,
        "seconds": round(seconds),
        "ms of a processor a seed": round(1000 * tally.busy / max(tally.seeds, 1)),
        "failures": len(tally.failures),
    }
    for name, value in rows.items():
        _say(f"{name:<28}{value:>12,}")
    for failure in tally.failures[:20]:
        _tell(failure)


def _tell(failure: dict[str, Any]) -> None:
    _say(
        f"\nseed {failure['seed']} failed; tell it again: "
        f"./justpayme simulate --replay {failure['seed']}"
    )
    for line in failure["findings"][:5]:
        _say(f"  {line}")
    for line in failure["trace"][-TAIL:]:
        _say(f"    {line}")


def _replay(options: Namespace) -> int:
    """Tell one seed again, and, if it fails, as short as it can be made."""
    with _theatre(0) as theatre:
        story = theatre.play(options.replay)
        if story.findings and not options.whole:
            _hint("made shorter …\n")
            story = shorten(theatre, story, tell=_shorter)
    _say(f"seed {story.seed}: {story.options}")
    for line in story.trace:
        _say(f"  {line}")
    for finding in story.findings:
        _say(str(finding))
    if not story.findings:
        _say("everything held")
    return 1 if story.findings else 0


def _shorter(steps: int) -> None:
    with suppress(BrokenPipeError):
        _hint(f"\r{steps} steps  ")
