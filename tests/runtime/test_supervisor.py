"""The supervisor keeps processes running, and none outlives it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from justpayme.runtime.command import CommandError
from justpayme.runtime.process import is_alive, wait_until
from justpayme.runtime.supervisor import (
    LONGEST_PAUSE,
    Child,
    Supervisor,
    free_port,
    pause_before_restart,
    port_is_free,
)

SOURCE = Path(__file__).parents[2] / "src"

# A child that has a child: the grandchild must go as well.
FAMILY = (
    "import subprocess, sys, time\n"
    "inner = subprocess.Popen(['sleep', '60'])\n"
    "open(sys.argv[1], 'w').write(str(inner.pid))\n"
    "time.sleep(60)\n"
)
STUBBORN = (
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('deaf', flush=True)\n"
    "time.sleep(60)\n"
)


def sleeper(name: str = "sleeper") -> Child:
    return Child(name, ["sleep", "60"], dict(os.environ))


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, "http://x")
    with supervisor.running():
        child = sleeper()
        supervisor.add(child)
        first = pid_of(child)
        os.kill(first, signal.SIGKILL)
        assert supervisor.wait_for(lambda: child.running and pid_of(child) != first, 5)


def test_pauses_grow_and_end_growing() -> None:
    pauses = [pause_before_restart(failures) for failures in range(1, 12)]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(pauses) == LONGEST_PAUSE


def test_what_a_dead_process_started_goes_with_it(tmp_path: Path) -> None:
    note = tmp_path / "inner"
    supervisor = Supervisor(tmp_path / "home", "http://x")
    with supervisor.running():
        child = Child("family", [sys.executable, "-c", FAMILY, str(note)], dict(os.environ))
        supervisor.add(child)
        assert wait_until(lambda: note.exists() and note.read_text() != "", 5)
        inner = int(note.read_text())
        os.kill(pid_of(child), signal.SIGKILL)
        assert supervisor.wait_for(lambda: not is_alive(inner), 5)


def test_the_end_of_the_with_leaves_no_process(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, "http://x")
    with supervisor.running():
        children = [sleeper("one"), sleeper("two")]
        for child in children:
            supervisor.add(child)
        pids = [pid_of(child) for child in children]
    assert not any(map(is_alive, pids))


def test_a_process_that_is_deaf_to_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("justpayme.runtime.supervisor.STOP_SECONDS", 0.3)
    output = tmp_path / "out"
    supervisor = Supervisor(tmp_path / "home", "http://x")
    with supervisor.running():
        child = Child("deaf", [sys.executable, "-c", STUBBORN], dict(os.environ), output)
        supervisor.add(child)
        assert wait_until(lambda: "deaf" in output.read_text(), 5)
        pid = pid_of(child)
    assert not is_alive(pid)


def test_a_second_start_names_the_first(tmp_path: Path) -> None:
    with (
        Supervisor(tmp_path, "http://127.0.0.1:8123").running(),
        pytest.raises(CommandError, match=rf"process {os.getpid()} at http://127.0.0.1:8123"),
        Supervisor(tmp_path, "http://127.0.0.1:9").running(),
    ):
        pytest.fail("a second one runs")


def test_a_home_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    home = tmp_path / "file" / "home"
    with (
        pytest.raises(
            CommandError, match=r"JUSTPAYME_HOME can't be used: .*file.* Not a directory"
        ),
        Supervisor(home, "http://x").running(),
    ):
        pytest.fail("must not start")


def test_the_home_is_free_again_after_the_end(tmp_path: Path) -> None:
    with Supervisor(tmp_path, "http://x").running():
        pass
    with Supervisor(tmp_path, "http://x").running() as again:
        assert again.stopping is False


OWNER = """
import os, sys
from pathlib import Path
from justpayme.runtime.logs import set_up
from justpayme.runtime.supervisor import Child, Supervisor
set_up("INFO")
supervisor = Supervisor(Path(sys.argv[1]), "http://x")
with supervisor.running():
    child = Child("sleeper", ["sleep", "60"], dict(os.environ))
    supervisor.add(child)
    print(child.process.pid, flush=True)
    supervisor.watch()
"""


@pytest.mark.parametrize(
    ("order", "code"),
    [(signal.SIGKILL, -9), (signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGHUP, 0)],
)
def test_no_child_outlives_the_supervisor(tmp_path: Path, order: int, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path],
        env=dict(os.environ, PYTHONPATH=str(SOURCE)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        os.killpg(owner.pid, order)  # as a terminal does
        if order != signal.SIGKILL:
            os.killpg(owner.pid, order)  # an impatient second Ctrl-C
        assert owner.wait(10) == code
    assert wait_until(lambda: not is_alive(child), 3)


def test_a_taken_port_is_noticed_and_another_found() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
        other = free_port("127.0.0.1", port)
    assert other != port
    assert port_is_free("127.0.0.1", other)


def test_waiting_ends_when_the_time_is_up(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, "http://x")
    started = time.monotonic()
    assert supervisor.wait_for(lambda: False, 0.2) is False
    assert time.monotonic() - started < 2
