"""The embedded PostgreSQL starts, recovers from kill -9, and keeps to its own folder."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from justpayme.runtime.config import read
from justpayme.runtime.postgres import (
    SOCKET_NAME,
    SOCKET_PATH_BYTES,
    AlreadyRunning,
    Identity,
    PostgresError,
    Server,
    answers,
    find_binaries,
    places,
)
from justpayme.runtime.process import is_alive, processes_working_in, wait_until

BINARIES = find_binaries(read({}, uid=1).config)
SOURCE = Path(__file__).parents[2] / "src"


def open_folder(path: Path) -> Path:
    """A folder that uid 65534 can reach too, which the server is where root has no namespace."""
    path.mkdir()
    path.chmod(0o755)
    return path


@contextmanager
def hostile_home() -> Iterator[Path]:
    """An empty home with a hostile name; pytest's own folders are closed to uid 65534."""
    with tempfile.TemporaryDirectory(prefix="jpm") as base:
        Path(base).chmod(0o755)
        yield open_folder(Path(base) / "ho'me \u0141 %s")


@pytest.fixture
def home() -> Iterator[Path]:
    with hostile_home() as home:
        yield home


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A home that a server was in, made once: making one costs more than most of these tests."""
    with tempfile.TemporaryDirectory(prefix="jpm") as base:
        Path(base).chmod(0o755)
        home = open_folder(Path(base) / "made")
        server = Server(home, BINARIES, durable=False)
        server.start()
        server.stop()
        yield home


@pytest.fixture
def lived_in(home: Path, made: Path) -> Path:
    """A home with the data of an earlier start."""
    return move_in(made, home)


def move_in(made: Path, home: Path) -> Path:
    """Copy a home; owners and rights are as the start that made it left them."""
    subprocess.run(["/bin/cp", "-a", f"{made}/.", home], check=True)
    return home


@pytest.fixture(scope="module")
def shared(made: Path) -> Iterator[Server]:
    """One server for the tests that leave it as it is."""
    with hostile_home() as home:
        server = Server(move_in(made, home), BINARIES, durable=False)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def server(lived_in: Path) -> Iterator[Server]:
    server = Server(lived_in, BINARIES, durable=False)
    server.start()
    yield server
    server.stop()


def one(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def test_it_listens_only_on_a_socket_in_a_private_folder(shared: Server) -> None:
    assert one(shared.url, "SHOW listen_addresses") == ""
    assert stat.S_IMODE(shared.places.socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(shared.places.data.stat().st_mode) == 0o700


def test_text_is_sorted_and_lowered_as_unicode(shared: Server) -> None:
    assert one(shared.url, "SELECT lower('ŁÓDŹ ÄÉ')") == "łódź äé"


def test_data_survive_kill_9_of_the_server(lived_in: Path) -> None:
    server = Server(lived_in, BINARIES)
    server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (41)")
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    assert not server.running
    server.launch()
    server.wait_ready()
    try:
        assert one(server.url, "SELECT n FROM kept") == 41
    finally:
        server.stop()


OWNER = """
import sys, time
from pathlib import Path
from justpayme.runtime.postgres import Server
server = Server(Path(sys.argv[1]), Path(sys.argv[2]), durable=False)
server.start()
print(server.process.pid, flush=True)
time.sleep(60)
"""


def test_kill_9_of_the_owner_takes_the_server_along_and_a_new_start_recovers(
    lived_in: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, lived_in, BINARIES],
        env=dict(os.environ, PYTHONPATH=str(SOURCE)),
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.send_signal(signal.SIGKILL)
    server = Server(lived_in, BINARIES, durable=False)
    server.start()
    try:
        assert not is_alive(pid)
        assert answers(server.url)
    finally:
        server.stop()
    assert processes_working_in(server.places.data) == []


def test_lock_files_of_a_server_that_is_gone_do_not_stop_the_next(server: Server) -> None:
    server.stop()
    server.places.socket.mkdir(mode=0o700, exist_ok=True)
    (server.places.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.places.data}\n")
    (server.places.socket / f"{SOCKET_NAME}.lock").write_text(f"{os.getpid()}\n")
    server.start()
    assert answers(server.url)


def test_two_homes_run_side_by_side(shared: Server, lived_in: Path) -> None:
    second = Server(lived_in, BINARIES, durable=False)
    second.start()
    try:
        assert one(shared.url, "SHOW data_directory") != one(second.url, "SHOW data_directory")
    finally:
        second.stop()


def test_a_second_owner_of_one_home_is_refused(shared: Server) -> None:
    second = Server(shared.home, BINARIES, durable=False, patience=0.1)
    with pytest.raises(AlreadyRunning, match="in use"):
        second.start()
    assert answers(shared.url)


def test_stopping_leaves_no_process_and_no_socket(server: Server) -> None:
    data = server.places.data
    server.stop()
    assert wait_until(lambda: not processes_working_in(data), 5)
    assert not (server.places.socket / SOCKET_NAME).exists()


def test_a_half_made_data_folder_is_made_again(home: Path) -> None:
    half = home / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "rubbish").write_text("from a start that was killed")
    server = Server(home, BINARIES, durable=False)
    server.start()
    server.stop()
    assert not half.exists()


def test_data_of_another_major_version_are_refused_with_a_sentence(home: Path) -> None:
    data = home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresError, match="JUSTPAYME_POSTGRES_BIN to PostgreSQL 12"):
        Server(home, BINARIES).start()


def test_a_socket_path_always_fits(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 40)
    found = places(deep, BINARIES, Identity())
    assert len(os.fsencode(found.socket / SOCKET_NAME)) <= SOCKET_PATH_BYTES
    assert found.data == deep / "postgres" / "data"


def test_a_long_home_works_and_leaves_nothing_in_the_temporary_folder(home: Path) -> None:
    server = Server(open_folder(home / ("long" * 20)), BINARIES, durable=False)
    server.start()
    assert answers(server.url)
    server.stop()
    assert not server.places.socket.exists()


def test_wiping_removes_the_data(server: Server) -> None:
    server.stop()
    server.wipe()
    assert not server.places.data.exists()
    server.start()
    assert answers(server.url)
