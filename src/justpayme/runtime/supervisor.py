"""One process that starts the others, keeps them running, and leaves none behind.

It runs PostgreSQL, the web, the worker and (in the demo) the sandbox. Each gets a session of
its own, so Ctrl-C reaches only the supervisor, which stops them in order. Each dies with the
supervisor even by kill -9. Whichever dies by itself is started again, soon at first and more
slowly when it keeps dying.

Everything happens in the main thread: Linux ties "dies with its parent" to the thread.
"""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from justpayme.runtime.command import CommandError
from justpayme.runtime.postgres import PostgresError, Server
from justpayme.runtime.process import die_with_parent

log = structlog.get_logger(__name__)

STOP_SECONDS = 12.0
"""How long web and worker may take to finish what they are doing."""
STEADY_SECONDS = 30.0
"""A process that ran this long starts with a clean record."""
LONGEST_PAUSE = 30.0


def pause_before_restart(failures: int) -> float:
    """Seconds to wait before starting a process again that died `failures` times in a row."""
    return min(LONGEST_PAUSE, 0.5 * 2.0 ** (failures - 1))


@dataclass
class Child:
    """One process we keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    output: Path | None = None
    """A file for its output; without one it writes where the supervisor does."""
    process: "subprocess.Popen[bytes] | None" = None
    failures: int = 0
    started_at: float = 0.0
    start_at: float = 0.0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it in its own session; SIGKILL if we die, so nothing of it can linger."""
        with contextlib.ExitStack() as stack:
            out: IO[bytes] | None = None
            if self.output:
                self.output.parent.mkdir(parents=True, exist_ok=True)
                out = stack.enter_context(self.output.open("ab"))
            self.process = subprocess.Popen(
                list(self.command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=out or sys.stderr,
                stderr=out or sys.stderr,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        self.started_at = time.monotonic()

    def signal_group(self, order: int) -> None:
        """Signal it and everything it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, order)

    def note_death(self) -> float:
        """Clear what it left behind, and answer how many seconds to wait before a new start."""
        self.signal_group(signal.SIGKILL)
        if time.monotonic() - self.started_at > STEADY_SECONDS:
            self.failures = 0
        self.failures += 1
        pause = pause_before_restart(self.failures)
        self.start_at = time.monotonic() + pause
        return pause


class StoppedEarly(Exception):
    """Ctrl-C or SIGTERM came while something was being started."""


@dataclass
class Supervisor:
    """Holds one home: its lock, its database, its processes."""

    home: Path
    address: str
    server: Server | None = None
    children: list[Child] = field(default_factory=list)
    stopping: bool = False
    _lock: IO[str] | None = None
    _server_failures: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Supervisor"]:
        """Own the home for the length of a `with`; everything is stopped at its end."""
        self._take_lock()
        previous = {
            order: signal.signal(order, self._on_signal)
            for order in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            if self.server:
                self.server.patience = 15.0
                self.server.start()
            yield self
        finally:
            self.stop()
            for order, handler in previous.items():
                signal.signal(order, handler)
            self._release_lock()

    def add(self, child: Child) -> None:
        """Start a process and keep it running."""
        self.children.append(child)
        child.start()
        log.info("started", process=child.name, pid=child.process and child.process.pid)

    def watch(self, *, every: float = 0.2, meanwhile: Callable[[], None] | None = None) -> None:
        """Keep everything running until Ctrl-C or SIGTERM."""
        while not self.stopping:
            self.tend()
            if meanwhile:
                meanwhile()
            self.sleep(every)

    def sleep(self, seconds: float) -> None:
        """Sleep, but wake up at once when asked to stop."""
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            time.sleep(min(0.1, max(0.0, end - time.monotonic())))

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Tend the processes until a condition holds. Raises StoppedEarly when asked to stop."""
        end = time.monotonic() + seconds
        while not condition():
            if self.stopping:
                raise StoppedEarly
            if time.monotonic() > end:
                return False
            self.tend()
            self.sleep(0.1)
        return True

    def tend(self) -> None:
        """Start again what has died, once its pause is over."""
        self._tend_server()
        for child in self.children:
            if child.running:
                continue
            if child.process is not None:
                code = child.process.returncode
                pause = child.note_death()
                child.process = None
                log.warning("died", process=child.name, code=code, restart_in=pause)
            elif time.monotonic() >= child.start_at:
                child.start()
                log.info("restarted", process=child.name, failures=child.failures)

    def _tend_server(self) -> None:
        if self.server is None or self.server.running:
            return
        self._server_failures += 1
        log.warning("died", process="postgresql", failures=self._server_failures)
        self.sleep(pause_before_restart(self._server_failures) - 0.5)
        try:
            self.server.launch()
            self.server.wait_ready()
        except PostgresError as error:
            if self._server_failures >= 5:
                raise
            log.error("postgresql did not start again", error=str(error))
        else:
            log.info("restarted", process="postgresql")
            self._server_failures = 0

    def stop(self) -> None:
        """Ask all to stop, wait, then insist; the database last."""
        self.stopping = True
        alive = [child for child in self.children if child.process is not None]
        for child in alive:
            if child.running and child.process:
                child.process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for child in alive:
            self._wait_or_kill(child, end)
        self.children.clear()
        if self.server:
            self.server.stop()

    @staticmethod
    def _wait_or_kill(child: Child, end: float) -> None:
        assert child.process is not None  # noqa: S101
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.1, end - time.monotonic()))
        if child.running:
            log.warning("did not stop in time, killed", process=child.name)
        child.signal_group(signal.SIGKILL)
        child.process.wait()
        child.process = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """The first signal starts an orderly stop; more of them change nothing."""
        self.stopping = True

    def _take_lock(self) -> None:
        lock = open_in_home(self.home, "run.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid, _, address = lock.read().strip().partition(" ")
            lock.close()
            raise CommandError(
                f"It runs already for {self.home}: process {pid or 'unknown'} at {address}. "
                "Stop that one, or set another JUSTPAYME_HOME."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()} {self.address}\n")
        lock.flush()
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None


def open_in_home(home: Path, name: str) -> IO[str]:
    """Open a file of the home, for reading and adding; CommandError where it cannot be had."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return (home / name).open("a+")
    except OSError as error:
        raise CommandError(
            f"JUSTPAYME_HOME can't be used: {error.filename}: {error.strerror}. "
            "Set it to a folder that you may write in."
        ) from error


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str, preferred: int = 0) -> int:
    """The preferred port if it is free, else one that the kernel picks."""
    if preferred and port_is_free(host, preferred):
        return preferred
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
