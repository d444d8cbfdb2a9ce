"""Run public Xero clients, as published, against a sandbox: `python -m tests.clients.run`.

Each client lives in a virtual environment of its own, made from its hash-pinned lock when that
changed, in `.clients/` at the root of the checkout or in $JUSTPAYME_CLIENTS_HOME. Making one
needs the package index; running needs the loopback interface only. Exit status 1 when a check
failed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLIENTS = ("xero-python", "pyxero", "tap-xero")
SUITE_SECONDS = 300
UNLIMITED = {"minute": None, "day": None, "app_minute": None}
"""A suite asks faster than 60 times a minute; limits have tests of their own."""


@dataclass(frozen=True)
class Result:
    """One check: `compared` values, of the client and of the books."""

    client: str
    version: str
    name: str
    ok: bool
    compared: int
    detail: str


class Broken(Exception):
    """A suite did not run to its end."""


def home() -> Path:
    """Where the environments are kept."""
    return Path(os.environ.get("JUSTPAYME_CLIENTS_HOME") or ROOT / ".clients")


def locks(client: str) -> tuple[Path, Path]:
    """What builds the client, and the client with all that it needs."""
    return HERE / "build.txt", HERE / client / "requirements.txt"


def python_of(client: str) -> Path:
    """The client's interpreter; its environment is made first where its locks are new."""
    place = home() / client
    home().mkdir(parents=True, exist_ok=True)
    with (home() / f"{client}.lock").open("w") as only_one:
        fcntl.flock(only_one, fcntl.LOCK_EX)
        marker, wanted = place / "locks.sha256", fingerprint(client)
        if not marker.exists() or marker.read_text() != wanted:
            shutil.rmtree(place, ignore_errors=True)
            make(place, client)
            marker.write_text(wanted)
    return place / "bin" / "python"


def fingerprint(client: str) -> str:
    """The hash of the locks and of the interpreter's version."""
    text = b"".join(path.read_bytes() for path in locks(client))
    return hashlib.sha256(text + sys.version.encode()).hexdigest()


def make(place: Path, client: str) -> None:
    """A new environment. Sources are built without isolation: what builds them is pinned too."""
    install = ("-m", "pip", "install", "--quiet", "--require-hashes", "--no-build-isolation")
    commands = [[sys.executable, "-m", "venv", place]]
    commands += [[place / "bin" / "python", *install, "-r", lock] for lock in locks(client)]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Broken(f"The environment of {client} could not be made:\n{done.stderr[-4_000:]}")


@contextmanager
def sandbox() -> Iterator[str]:
    """A fresh sandbox with three organisations, one of them with more than one page."""
    program = [
        *(sys.executable, "-m", "xero_sandbox", "--seed", "4", "--invoices", "230"),
        *("--redirect-uri", "http://127.0.0.1:9/callback", "--tier", "core"),
    ]
    place = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=place) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if "ready on " not in line:
                raise Broken(f"The sandbox did not start: {line!r}")
            address = line.split()[-1]
            post(address, "/sandbox/limits", UNLIMITED)
            yield address
        finally:
            process.terminate()


def post(address: str, path: str, body: object) -> None:
    """One control call."""
    kind = {"Content-Type": "application/json"}
    with urlopen(Request(address + path, json.dumps(body).encode(), kind)):  # noqa: S310
        pass


def run_suite(client: str, address: str) -> list[Result]:
    """Run one client's suite against a sandbox; its checks in order."""
    done = subprocess.run(
        [python_of(client), HERE / client / "suite.py"],
        env={"PATH": os.defpath, "PYTHONPATH": str(HERE), "XERO_SANDBOX": address},
        capture_output=True,
        text=True,
        timeout=SUITE_SECONDS,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    results = [Result(**json.loads(line)) for line in lines]
    if done.returncode or not results:
        raise Broken(f"The suite of {client} broke off:\n{done.stderr[-4_000:]}")
    return results


def run(client: str) -> list[Result]:
    """Run one client's suite against a fresh sandbox."""
    with sandbox() as address:
        return run_suite(client, address)


def table(results: Sequence[Result]) -> str:
    """A line for each client: version, checks, passed, values compared."""
    head = f"{'client':<14}{'version':<10}{'checks':>8}{'passed':>8}{'compared':>10}"
    lines = [head]
    for client in dict.fromkeys(result.client for result in results):
        mine = [result for result in results if result.client == client]
        passed, compared = sum(r.ok for r in mine), sum(r.compared for r in mine)
        lines.append(f"{client:<14}{mine[0].version:<10}{len(mine):>8}{passed:>8}{compared:>10,}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 when a check failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.run", description=__doc__)
    parser.add_argument("client", nargs="*", help=f"some of {', '.join(CLIENTS)}; otherwise all")
    parser.add_argument("--json", action="store_true", help="print every check as a line of JSON")
    options = parser.parse_args(argv)
    if unknown := set(options.client) - set(CLIENTS):
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    results = [result for client in options.client or CLIENTS for result in run(client)]
    for result in results:
        if options.json:
            print(json.dumps(asdict(result)))  # noqa: T201
        elif not result.ok:
            print(f"FAILED {result.client}: {result.name}\n{result.detail}")  # noqa: T201
    if not options.json:
        print(table(results))  # noqa: T201
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
