"""`justpayme simulate`: many stories, in several processes, each with a database of its own.

    process ─▶ its server, thrown away in the end ─▶ seeds, a few at a time
                                                  ◀─ stories that failed

A failure prints its seed and its end, is made shorter, and is told again by `--replay`.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from multiprocessing import get_context
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connections
from tests import conftest as house
from tests.breaker import record
from tests.breaker.shrink import shorten
from tests.breaker.simulation import Theatre

from justpayme.runtime.process import die_with_parent_now

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
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.replay is not None:
            return _replay(options)
        todo = record.missing(options.record, options.first_seed, options.seeds)
        if not todo:
            _hint(f"All {options.seeds:,} are in {options.record} already, and held.\n")
        kept = record.Run(options.record, datetime.now(UTC)) if options.record else None

        def keep(tally: Tally, done: list[int], seconds: float) -> None:
            if kept:
                record.add(kept, done, tally, seconds)

        if todo:
            keep(Tally(), [], 0)  # so that a record that can't be written is told now
        tally, seconds, stopped = _play_all(options, todo, keep)
        _show(options, tally, seconds)
        return 130 if stopped else int(bool(tally.failures))
    except BrokenProcessPool:
        _hint("\na process that played is gone; what the others played counts\n")
        return 1
    except KeyboardInterrupt:
        _hint("\nstopped\n")
        return 130
    finally:
        shutil.rmtree(os.environ["JUSTPAYME_HOME"], ignore_errors=True)


@contextmanager
def _theatre() -> Iterator[Theatre]:
    """A theatre on a new database of its own."""
    home = Path(tempfile.mkdtemp(dir=os.environ["JUSTPAYME_HOME"]))
    home.chmod(0o755)
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


def _play_all(options: Namespace, todo: list[int], keep: Keep) -> tuple[Tally, float, bool]:
    """Play these seeds, over processes; what was tried, the seconds it took, and whether somebody
    stopped it."""
    stopped = False
    started = kept = time.monotonic()
    end = started + 60 * options.minutes if options.minutes else math.inf
    tally, done = Tally(), list[int]()
    batches = (todo[at : at + BATCH] for at in range(0, len(todo), BATCH))
    pool = ProcessPoolExecutor(options.processes, get_context("fork"), _begin)
    try:
        waiting = {pool.submit(_play, some): some for some in islice(batches, options.processes)}
        while waiting:
            for ended in wait(waiting, return_when=FIRST_COMPLETED).done:
                told = ended.result()
                for failure in told["failures"]:
                    _hint(f"\nseed {failure['seed']} failed: {failure['findings'][0][:200]}\n")
                tally.add(told)
                done += waiting.pop(ended)
                if time.monotonic() < end:
                    waiting |= {pool.submit(_play, some): some for some in islice(batches, 1)}
            now = time.monotonic()
            _progress(options, tally, len(todo), now - started)
            if now > kept + EVERY:
                keep(tally, done, now - started)
                kept = now
    except KeyboardInterrupt:
        stopped = True
        _hint("\nstopped\n")
    finally:
        pool.shutdown(cancel_futures=True)
        seconds = time.monotonic() - started
        if todo:
            keep(tally, done, seconds)
    return tally, seconds, stopped


_playing: Theatre
"""That of this process."""


def _begin() -> None:
    """A process that plays: it ends with whoever started it, who alone hears of Ctrl-C."""
    global _playing
    die_with_parent_now(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stack = ExitStack()
    Finalize(None, stack.close, exitpriority=1)
    _playing = stack.enter_context(_theatre())


def _play(seeds: list[int]) -> dict[str, Any]:
    return play(_playing, seeds)


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
    if not tally.seeds:
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
    with _theatre() as theatre:
        story = theatre.play(options.replay)
        if story.findings and not options.whole:
            _hint("made shorter …\n")
            story = shorten(theatre, story, tell=_shorter)
    if options.json:
        _say(json.dumps(story.as_json(), default=str))
        return 1 if story.findings else 0
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
