"""Which seeds were played by which code: a file that many runs add to."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from justpayme.runtime.command import CommandError

ROOT = Path(__file__).parents[2]


ROOMS = ("core", "xero", "sync", "bills", "accounts", "integrations")
"""Rooms of the product that stories go through; they show no pages and answer no API call."""
SHOWN = ("views", "shown", "forms", "urls", "commands", "bill_commands")
"""Files of these rooms, by how their names begin, that only show and take what they are given."""


TELLERS = ("actors", "checkers", "choices", "ground", "people", "simulation", "weather", "world")
"""Modules beside this one that tell a story and judge it."""


ENTRY = {"code", "began", "process", "ranges", "failures"}
"""What is read of an entry of the record."""


def code() -> str:
    """Names the code that a story runs by its content: ours, the local Xero's, and what tells and
    judges the story. A better page makes no story another."""
    source = ROOT / "src"
    paths = [
        path
        for room in ROOMS
        for path in (source / "justpayme" / room).rglob("*.py")
        if path.stem == "views_webhook" or not path.stem.startswith(SHOWN)
    ]
    paths += (source / "xero_sandbox").rglob("*.py")
    paths += (Path(__file__).with_name(f"{name}.py") for name in TELLERS)
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def machine() -> str:
    """Processors, system and Python of this machine."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    of = f"{os.cpu_count()} x {names[0] if names else platform.machine()}"
    return f"{of}, {platform.system()}, Python {platform.python_version()}"


def commit() -> str:
    """The commit that is checked out, in short."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def missing(path: str | None, first: int, count: int) -> list[int]:
    """Seeds of this range that this code has not played yet, or that failed."""
    now = code()
    played = {
        seed
        for entry in _read(path)
        if entry["code"] == now
        for start, end in entry["ranges"]
        for seed in range(start, end + 1)
        if seed not in entry["failures"]
    }
    return [seed for seed in range(first, first + count) if seed not in played]


@dataclass(frozen=True)
class Run:
    """One run that writes into a record: when it began (UTC), and with what."""

    path: str
    began: datetime
    code: str = field(default_factory=code)
    commit: str = field(default_factory=commit)


def add(run: Run, seeds: list[int], tally: Any, seconds: float) -> None:
    """Write down what this run played, in place of what it wrote before. Raises CommandError."""
    start = run.began.strftime("%Y-%m-%dT%H:%M:%SZ")
    entry = {
        "code": run.code,
        "commit": run.commit,
        "began": start,
        "process": os.getpid(),
        "machine": machine(),
        "ranges": ranges(sorted(seeds)),
        "seeds": len(seeds),
        "steps": tally.steps,
        "calls": tally.calls,
        "told_twice": tally.again,
        "failures": sorted(failure["seed"] for failure in tally.failures),
        "seconds": round(seconds),
    }
    mine = (start, os.getpid())
    try:
        with _alone(Path(run.path).absolute().parent):
            others = [e for e in _read(run.path) if (e["began"], e["process"]) != mine]
            new = Path(f"{run.path}.new")
            new.write_text(json.dumps([*others, entry], indent=1) + "\n")
            new.replace(run.path)
    except OSError as error:
        raise CommandError(f"{run.path} cannot be written: {error.strerror}.") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else writes a record there meanwhile."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def ranges(seeds: list[int]) -> list[tuple[int, int]]:
    """Sorted numbers as first and last of each run of neighbours."""
    if not seeds:
        return []
    gaps = [(a, b) for a, b in pairwise(seeds) if b != a + 1]
    firsts = [seeds[0], *(b for _, b in gaps)]
    lasts = [*(a for a, _ in gaps), seeds[-1]]
    return list(zip(firsts, lasts, strict=True))


def _read(path: str | None) -> list[dict[str, Any]]:
    if not path or not Path(path).exists():
        return []
    try:
        found = json.loads(Path(path).read_text())
        if all(entry.keys() >= ENTRY for entry in found):
            return list(found)
    except (OSError, ValueError, AttributeError, TypeError):
        pass
    raise CommandError(f"{path} is no record of stories. Name another file.")
