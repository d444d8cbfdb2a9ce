"""`./justpayme` makes its environment once, from any folder, and explains what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
First = tuple[Path, "subprocess.CompletedProcess[str]"]
PROGRAM = "import os, sys\nprint(os.getcwd(), *sys.argv[1:], sys.prefix)\n"


def laid_out(root: Path) -> Path:
    """A checkout in small: the real bootstrap, locks without packages, a program that prints."""
    (root / "src" / "justpayme").mkdir(parents=True)
    (root / "src" / "justpayme" / "__init__.py").touch()
    (root / "src" / "justpayme" / "cli.py").write_text(PROGRAM)
    shutil.copy(ROOT / "justpayme", root / "justpayme")
    for name in ("requirements.txt", "requirements-dev.txt"):
        (root / name).write_text("# nothing\n")
    return root


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing has been run."""
    return laid_out(tmp_path / "a folder, ünusual")


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory,
) -> First:
    """A checkout after its first run, which made the environment, and how that went. Once for
    all tests: making one takes seconds."""
    root = laid_out(tmp_path_factory.mktemp("first") / "a folder, ünusual")
    return root, run(root, "serve", "--port", "1")


@pytest.fixture(scope="module")
def bare(
    tmp_path_factory: pytest.TempPathFactory,
    first: First,
) -> Path:
    """That environment with pip and nothing else, as if nothing had been installed into it."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    stamps = shutil.ignore_patterns("justpayme-*")
    shutil.copytree(first[0] / ".venv", folder, symlinks=True, ignore=stamps)
    return folder


@pytest.fixture
def made(checkout: Path, bare: Path) -> Path:
    """A checkout whose environment was made but nothing was installed into it yet."""
    shutil.copytree(bare, checkout / ".venv", symlinks=True)
    return checkout


@pytest.fixture
def ready(checkout: Path, first: First) -> Path:
    """A checkout whose environment was made by an earlier run."""
    shutil.copytree(first[0] / ".venv", checkout / ".venv", symlinks=True)
    return checkout


def run(
    checkout: Path, *words: str, python: str = sys.executable, **extra: str
) -> "subprocess.CompletedProcess[str]":
    """Start it as a shell would, without uv on the path."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(checkout), **extra}
    return subprocess.run(
        [python, checkout / "justpayme", *words],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_makes_the_environment_once_and_becomes_the_program(
    first: First,
) -> None:
    root, done = first
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"/ serve --port 1 {root}/.venv\n"
    assert "making the environment" in done.stderr
    again = run(root, "serve")
    assert again.stderr == ""


def test_it_renews_the_environment_when_the_lock_changes(ready: Path) -> None:
    assert run(ready).stderr == ""
    (ready / "requirements.txt").write_text("# something else\n")
    assert "installing requirements.txt" in run(ready).stderr
    assert run(ready).stderr == ""


def test_the_tests_add_their_own_lock(made: Path) -> None:
    assert "requirements-dev.txt (2 of 2)" in run(made, "test").stderr
    assert run(made, "serve").stderr == ""
    (made / "requirements.txt").write_text("# something else\n")
    assert "requirements-dev.txt (2 of 2)" in run(made, "serve").stderr


def test_the_environment_may_live_elsewhere(checkout: Path, bare: Path, tmp_path: Path) -> None:
    shutil.copytree(bare, tmp_path / "elsewhere", symlinks=True)
    done = run(checkout, JUSTPAYME_VENV=str(tmp_path / "elsewhere"))
    assert done.stdout.endswith(f"{tmp_path}/elsewhere\n")
    assert not (checkout / ".venv").exists()


def test_two_at_once_make_one_environment(made: Path) -> None:
    command = [sys.executable, made / "justpayme"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [(process.communicate(timeout=60), process.returncode) for process in both]
    assert [code for _, code in ends] == [0, 0]
    assert sum("installing" in words[1] for words, _ in ends) == 1


def test_an_environment_whose_python_is_gone_is_made_again(ready: Path) -> None:
    assert run(ready).stderr == ""
    (ready / ".venv" / "bin" / "python").unlink()
    assert run(ready).returncode == 0


def test_a_package_without_its_hash_is_refused(made: Path) -> None:
    (made / "requirements.txt").write_text("./nowhere\n")
    done = run(made)
    assert done.returncode == 2
    assert "pip failed" in done.stderr


def test_an_old_python_is_named_with_the_way_out(checkout: Path) -> None:
    pretend = "import runpy, sys; sys.version_info = (3, 9, 2); sys.argv = sys.argv[1:]; "
    script = str(checkout / "justpayme")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{pretend} runpy.run_path(sys.argv[0], run_name='__main__')",
            script,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed and this is 3.9" in done.stderr


def test_a_python_without_venv_is_told_which_package_to_install(checkout: Path) -> None:
    hidden = checkout / "hide"
    hidden.mkdir()
    (hidden / "ensurepip.py").write_text("raise ImportError('not here')\n")
    done = run(checkout, PYTHONPATH=str(hidden))
    assert done.returncode == 2
    assert "apt-get install python3-venv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_a_sentence(checkout: Path) -> None:
    (checkout / "file").touch()
    done = run(checkout, JUSTPAYME_VENV=str(checkout / "file" / "venv"))
    assert done.returncode == 2
    assert "Set JUSTPAYME_VENV" in done.stderr
    assert os.listdir(checkout / "src") == ["justpayme"]
