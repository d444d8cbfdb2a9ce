"""The locks are what they claim: complete, hashed, and from nobody's private index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt")
PUBLIC = ("https://pypi.org/", "https://files.pythonhosted.org/")


def pinned(name: str) -> dict[str, str]:
    """Package -> version in one lock."""
    text = (ROOT / name).read_text()
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE)
    return {package.lower().replace("_", "-"): version for package, version in found}


def project() -> dict[str, object]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_holds_an_address_that_is_not_the_public_index(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    assert not [line for line in lines if re.match(r"\s*(-i|--\w*index|--find-links|-f)\b", line)]
    addresses = [word for line in lines for word in re.findall(r"\w+://\S+", line)]
    assert [word for word in addresses if not word.startswith(PUBLIC)] == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_hashes(name: str) -> None:
    text = re.sub(r"#.*", "", (ROOT / name).read_text()).replace("\\\n", " ")
    packages = [line for line in text.splitlines() if "==" in line]
    assert packages
    assert [line for line in packages if "--hash=sha256:" not in line] == []


def test_the_locks_hold_every_dependency_in_a_wanted_version() -> None:
    described = project()
    wanted = [
        (requirement, "requirements.txt")
        for requirement in described["project"]["dependencies"]  # type: ignore[index]
    ] + [
        (requirement, "requirements-dev.txt")
        for requirement in described["dependency-groups"]["dev"]  # type: ignore[index]
    ]
    for text, lock in wanted:
        requirement = Requirement(text)
        version = pinned(lock).get(requirement.name.lower())
        assert version, f"{requirement.name} is not in {lock}"
        assert requirement.specifier.contains(version), f"{text}, but {lock} has {version}"


def test_both_locks_agree() -> None:
    run, test = (pinned(name) for name in LOCKS)
    assert {name: test.get(name) for name in run if name in test} == {
        name: version for name, version in run.items() if name in test
    }
