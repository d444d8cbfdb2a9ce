"""Puts a small mistake into our own code, and sees whether the tests that we run every day notice.

    source of the function ─▶ one text replaced ─▶ compiled ─▶ its code swapped ─▶ the check runs
                                                                       └──▶ swapped back after it

`python -m tests.breaker.planting NAME …` tries some of `planted.PLANTED` (none named: all) in a
process of its own, which is how test_planted.py does it too: nothing wrong stays behind.

Caught is a mistake only by an assertion of the check. A plant that merely breaks our code (an
unknown name, a wrong type), or lets a test run out of time, proves nothing, and fails here.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from os import environ
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any
from unittest import mock

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).parents[2]
CLUMSY = (NameError, TypeError, AttributeError, ImportError, SyntaxError)
"""What a plant raises that is not a mistake anybody could have shipped."""
FOUND = (AssertionError, pytest.fail.Exception)


@dataclass(frozen=True)
class Planted:
    """One wrong variant of our code.

    `where`: module:function, module:Class.method, or module:CONSTANT (then `new` is its value).
    `old`: text that its source holds exactly once; `new`: what stands there instead. `mistake`
    and `harm`: for people. `check`: the test that notices, as pytest names it; without its
    parameters, any of them.
    """

    name: str
    where: str
    old: str
    new: str
    mistake: str
    harm: str
    promise: str
    check: str


@dataclass(frozen=True)
class Outcome:
    """What a check said with a plant, or without it (not `planted`). `seconds`: of our own
    computing. `error`: its words, or why they don't count."""

    name: str
    planted: bool
    failed: bool
    check: str
    seconds: float
    error: str


# --- planting ------------------------------------------------------------------------------------


@contextmanager
def planted(plant: Planted) -> Iterator[None]:
    """Our code is wrong inside. AssertionError if the plant does not fit our code any more."""
    module_name, _, path = plant.where.partition(":")
    module = importlib.import_module(module_name)
    target = functools.reduce(getattr, path.split("."), module)
    if isinstance(target, property):
        target = target.fget
    function = inspect.unwrap(target) if callable(target) else None
    if isinstance(function, FunctionType):
        right, wrong = function.__code__, _wrong_code(module, function, plant)
        function.__code__ = wrong
        try:
            yield
        finally:
            function.__code__ = right
    else:
        with _wrong_constant(module, path, eval(plant.new, vars(module))):  # noqa: S307
            yield


def _wrong_code(module: ModuleType, function: FunctionType, plant: Planted) -> CodeType:
    """The function's code with the one text replaced, in its place in the module."""
    text = inspect.getsource(module).splitlines(keepends=True)
    own, first = inspect.getsourcelines(function)
    source = "".join(own)
    assert source.count(plant.old) == 1, f"{plant.name}: not once in {plant.where}: {plant.old!r}"
    text[first - 1 : first - 1 + len(own)] = [source.replace(plant.old, plant.new)]
    whole = compile("".join(text), inspect.getfile(function), "exec", dont_inherit=True)
    (found,) = (code for code in _codes(whole) if code.co_qualname == function.__qualname__)
    assert found.co_freevars == function.__code__.co_freevars, f"{plant.name}: other closures"
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


@contextmanager
def _wrong_constant(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """Another value, in every module of ours that has imported the constant."""
    right = getattr(module, name)
    assert right != value, f"{name} is {value!r} already"
    ours = [m for key, m in sys.modules.items() if key.startswith("justpayme")]
    holding = [m for m in ours if getattr(m, name, None) is right]
    for one in holding:
        setattr(one, name, value)
    try:
        yield
    finally:
        for one in holding:
            setattr(one, name, right)


# --- trying --------------------------------------------------------------------------------------


@dataclass(eq=False)
class Trial:
    """A plugin of pytest that runs the checks of each plant while it is planted.

    `control`: before its first plant, each check once as it is; it must be green.
    """

    plants: Sequence[Planted]
    control: bool
    outcomes: list[Outcome] = field(default_factory=list)
    raised: list[BaseException] = field(default_factory=list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own."""
        green = set[str]()
        for plant in self.plants:
            items = [item for item in session.items if _belongs(item.nodeid, plant.check)]
            if self.control and plant.check not in green:
                green.add(plant.check)
                self._tell(self._try(plant.name, None, items), session)
            self._tell(self._try(plant.name, plant, items), session)
        return True

    def _tell(self, outcome: Outcome, session: pytest.Session) -> None:
        self.outcomes.append(outcome)
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(told(outcome))

    def _try(self, name: str, plant: Planted | None, items: Sequence[pytest.Item]) -> Outcome:
        """Run until one fails, which it must."""
        started, failed, error = time.process_time(), False, "no such check"
        for item in items:
            with planted(plant) if plant else nullcontext(), self._listening():
                failed, error = self._run(item)
            if failed:
                break
        clumsy = [repr(e) for e in self.raised if isinstance(e, CLUMSY)]
        if clumsy:
            failed, error = False, f"the plant itself is broken: {clumsy[0]}"
        took = round(time.process_time() - started, 1)
        check = items[-1].nodeid if items else "none"
        return Outcome(name, plant is not None, failed, check, took, error)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Hear of errors that a run of the sync swallows."""
        from justpayme.sync import runs

        self.raised = []
        log = mock.Mock(wraps=runs.log)
        log.exception.side_effect = lambda *a, **k: self._heard(sys.exc_info()[1])
        with mock.patch.object(runs, "log", log):
            yield

    def _heard(self, error: BaseException | None) -> None:
        self.raised += [error] if error else []

    def _run(self, item: pytest.Item) -> tuple[bool, str]:
        """One test: whether it failed by an assertion, and what it said."""
        item.user_properties[:] = [p for p in item.user_properties if p[0] == "layer"]
        reports = runtestprotocol(item, log=False, nextitem=item.session)  # type: ignore[arg-type]
        failed = [report for report in reports if report.failed]
        raised = [leaf for report in failed for leaf in _leaves(report)]
        self.raised += raised
        error = "; ".join(_said(report) for report in failed)
        in_the_test = any(report.when == "call" for report in failed)
        return in_the_test and any(is_assertion(e) for e in raised), error

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Any:
        """Keep the error itself: the report has only its text."""
        report = yield
        report.raised = call.excinfo.value if call.excinfo else None
        return report


def told(one: Outcome) -> str:
    """A line for people."""
    said = ("green", "RED") if not one.planted else ("NOT CAUGHT", "caught")
    return f"{said[one.failed]:10} {one.name:32} {one.seconds:6.1f} s  {one.error[:150]!r}"


def _belongs(nodeid: str, check: str) -> bool:
    return nodeid == check or nodeid.startswith((f"{check}[", f"{check}::"))


def is_assertion(error: BaseException) -> bool:
    """Did a test say that something is wrong? One that took too long says nothing."""
    return isinstance(error, FOUND) and not str(error).startswith("Timeout ")


def _leaves(report: Any) -> list[BaseException]:
    """The errors of a report; those inside a group one by one."""
    error = report.raised
    if isinstance(error, BaseExceptionGroup):
        return list(error.exceptions)
    return [error] if error is not None else []


def _said(report: Any) -> str:
    found = f"{report.when}: {type(report.raised).__name__}: {report.raised}"[:600]
    return found if report.when == "call" else f"{found} {report.capstderr[-600:]}"


def attempt(plants: Sequence[Planted], *, control: bool) -> list[Outcome]:
    """Try them all in this process, which has run no tests yet."""
    trial = Trial(plants, control)
    checks = list(dict.fromkeys(plant.check.partition("[")[0] for plant in plants))
    quiet = ["-qq", "--no-header", "-p", "no:layers-table", "--timeout=600", "--hypothesis-seed=0"]
    code = pytest.main([*quiet, "-p", "no:randomly", "-p", "no:cacheprovider", *checks], [trial])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise AssertionError(f"pytest could not run the checks: {code!r}")
    return trial.outcomes


KEPT = {"JUSTPAYME_POSTGRES_BIN", "JUSTPAYME_TEST_DATABASE_URL"}


def _calm() -> None:
    """The checks run as they do every day, whoever started us: with the figures of every day, and
    not on the database of a run that is under way."""
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
    for name in [n for n in environ if n.startswith(("PYTEST_", "JUSTPAYME_", "DJANGO_"))]:
        if name not in KEPT:
            del environ[name]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the plants that are named; 0 if each was caught."""
    from tests.breaker.planted import PLANTED

    parser = argparse.ArgumentParser(prog="python -m tests.breaker.planting")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--control", action="store_true", help="run each check unplanted first")
    parser.add_argument("--report", type=Path, help="write the outcomes there as JSON")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - {plant.name for plant in PLANTED}:
        parser.error(f"no plant is called {', '.join(map(repr, sorted(unknown)))}")
    chosen = [p for p in PLANTED if not given.names or p.name in given.names]
    _calm()
    with tempfile.TemporaryDirectory() as folder:
        environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        outcomes = attempt(chosen, control=given.control)
    if given.report:
        given.report.write_text(json.dumps([asdict(outcome) for outcome in outcomes]))
    return 0 if all(one.failed == one.planted for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
