"""The web process: granian with one process and a few threads, for a small machine."""

import os
import signal

from justpayme.runtime.process import die_with_parent_now

THREADS = 4
"""Requests mostly wait for the database; two cores are kept busy by fewer than this."""


def run(host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    # E-mails kept as files hold password-reset links: nobody else on this machine reads them.
    os.umask(0o077)
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    # Granian's own child, which does the work, must not outlive its parent: see wsgi.py.
    os.environ["JUSTPAYME_WEB_PARENT"] = str(os.getpid())
    Server(
        "justpayme.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        blocking_threads_idle_timeout=300,
        backpressure=128,
        websockets=False,
        log_level=LogLevels.warning,
        workers_kill_timeout=10,
    ).serve()


def tie_to_parent() -> None:
    """Called in granian's child: kill -9 of granian must not leave it holding the port."""
    parent = os.environ.get("JUSTPAYME_WEB_PARENT", "")
    if parent and int(parent) == os.getppid():
        die_with_parent_now(signal.SIGKILL)
