"""Small helpers about processes, for Linux: a child that dies with its parent, who is alive."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(death_signal: int = signal.SIGTERM) -> Callable[[], None]:
    """A `preexec_fn`: the child gets this signal when the thread that started it ends.

    Without it, kill -9 of the supervisor leaves its children behind. Start children from the
    main thread only: Linux watches the thread, not the process.
    """
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the line above
            os._exit(1)

    return prepare


def die_with_parent_now(death_signal: int) -> None:
    """The same for a process that runs already; its parent's main thread must have made it."""
    _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie does not: nothing of it is left but its number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def processes_working_in(folder: Path) -> list[int]:
    """Processes whose current folder is this one. PostgreSQL's always is its data folder."""
    wanted = os.path.realpath(folder)
    return [pid for pid in _pids() if is_alive(pid) and _current_folder(pid) == wanted]


def wait_until(condition: Callable[[], bool], seconds: float, *, step: float = 0.02) -> bool:
    """Wait until a condition holds. Returns False when the time is up."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(step)
    return True


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _current_folder(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""
