"""`justpayme test`: every test, from a checkout."""

import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from justpayme.runtime.command import FAILED, USAGE, Command, CommandError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HINT = "apt-get install chromium fonts-dejavu"
WORKERS = 2
ABOUT = (
    "Run every test that needs neither a browser nor the package index: some ten minutes on two "
    "cores. In a checkout only."
)
FULL = {
    "JUSTPAYME_FULL": "1",
    "JUSTPAYME_EXAMPLES": "1000000",
    "JUSTPAYME_HISTORIES": "1000000",
    "JUSTPAYME_OWN_WRITES": "200000",
    "JUSTPAYME_LIVES": "200000",
    "JUSTPAYME_MERGES": "10000000",
}
"""What a full run has more of: every point instead of some, and so many random cases of each
kind."""
PYTEST_USAGE = 4
"""What pytest ends with where its arguments are wrong."""
FULL_TIMEOUT = 3600
"""Seconds for one test of a full run."""


def add_arguments(parser: ArgumentParser) -> None:
    """Ours; all others go to pytest."""
    parser.add_argument("--browser", action="store_true", help="also the tests in a real browser")
    parser.add_argument(
        "--full", action="store_true", help="everything, as before a release: takes hours"
    )
    parser.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="NAME",
        help="only this line of the table (may be given again)",
    )
    parser.add_argument(
        "--record",
        metavar="FILE",
        help="write down what passed, and go on from there: a full run in several sittings",
    )
    parser.description = ABOUT
    parser.usage = (
        "justpayme test [--browser] [--full] [--layer NAME] [--record FILE] [pytest arguments]"
    )


def run(arguments: Namespace) -> int:
    """Run pytest; its exit code 0 is 0, any other is 1."""
    root = checkout()
    if arguments.browser and not any(map(shutil.which, BROWSERS)):
        raise CommandError(f"No Chromium was found for the browser tests. Install it: {HINT}")
    command = [sys.executable, "-m", "pytest", *selection(arguments.browser, arguments.rest)]
    command += [f"--layer={name}" for name in arguments.layer]
    if arguments.record:
        command.append(f"--record={Path(arguments.record).absolute()}")
    environment = dict(os.environ)
    if arguments.full:
        command.append(f"--timeout={FULL_TIMEOUT}")
        environment |= FULL
    if not arguments.browser:
        print("justpayme: without the browser tests; `test --browser` runs them", file=sys.stderr)
    try:
        done = subprocess.run(command, cwd=root, env=environment, check=False)
    except KeyboardInterrupt:
        return 130
    return {0: 0, PYTEST_USAGE: USAGE}.get(done.returncode, FAILED)


def selection(browser: bool, rest: list[str]) -> list[str]:
    """pytest's arguments: no browser unless asked; a run of everything uses two processes, of which
    the one that is done first takes over tests of the other."""
    marked = [] if browser or "-m" in rest else ["-m", "not browser"]
    chosen = any(not word.startswith("-") for word in rest) or "-n" in rest
    return [*marked, *([] if chosen else ["-n", str(WORKERS), "--dist", "worksteal"]), *rest]


def checkout() -> Path:
    """The folder of the checkout. Raises CommandError for an installed program without tests."""
    root = Path(os.environ.get("JUSTPAYME_ROOT") or Path(__file__).parents[4])
    if not (root / "tests").is_dir():
        raise CommandError("The tests are in the source code: run ./justpayme test in a checkout.")
    return root


COMMAND = Command("test", "run the tests (from a checkout)", add_arguments, run)
