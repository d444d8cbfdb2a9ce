"""Which seeds were played by which code: a file that many runs add to."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def code() -> str:
    """Names the product's code by its content."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src" / "justpayme").rglob("*.py")):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def missing(path: str | None, first: int, count: int) -> list[int]:
    """Seeds of this range that this code has not played yet."""
    played = {
        seed
        for entry in _read(path)
        if entry["code"] == code()
        for start, end in entry["ranges"]
        for seed in range(start, end + 1)
    }
    return [seed for seed in range(first, first + count) if seed not in played]


def add(path: str, seeds: list[int], tally: Any, seconds: float) -> None:
    """Write down what was played."""
    entry = {
        "code": code(),
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
        "ranges": ranges(seeds),
        "seeds": len(seeds),
        "steps": tally.steps,
        "calls": tally.calls,
        "told_twice": tally.again,
        "failures": sorted(failure["seed"] for failure in tally.failures),
        "seconds": round(seconds),
    }
    Path(path).write_text(json.dumps([*_read(path), entry], indent=1) + "\n")


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
    found: list[dict[str, Any]] = json.loads(Path(path).read_text())
    return found


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
