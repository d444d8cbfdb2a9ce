"""The process dies at the n-th point of a scenario, for every n (F1): SQLite's method.

    for n in 1, 2, 3 …:  scenario, death at its n-th point ─▶ new process ─▶ until quiet ─▶ judge
                         until a run ends without reaching the n-th point

Two deaths between which nothing was committed and no call left leave the same state behind. The
everyday run judges the recovery from each such state once, the full run each time.

A point is: a statement of the database about to be executed (savepoints and their releases,
which are our commits, among them), a call about to leave, an answer that has just come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from unittest import mock

from django.db import OperationalError, transaction
from django.db import connection as database
from procrastinate.exceptions import ConnectorException
from tests.breaker.checkers import judge
from tests.breaker.likeness import likeness
from tests.breaker.people import note_typed
from tests.breaker.scenarios import Scenario
from tests.breaker.stage import Points, Refusal, Stage, stage_of
from tests.sync.hands import Crash

from justpayme.accounts.models import Membership
from justpayme.sync.models import Connection, Run

Back = Callable[[], None]
REFUSAL = (ConnectorException, transaction.TransactionManagementError)
"""What else a refused statement ends in: of the queue's, and in a transaction that is broken."""
REFUSED = "OperationalError"
"""What a run says in the end of which a statement was refused."""


def arranged(alice: Membership, scenario: Scenario) -> Iterator[tuple[Stage, Back]]:
    """The stage as the scenario begins, and the way back there."""
    with stage_of(alice, scenario.invoices) as stage:
        scenario.arrange(stage)
        with stage.marked() as back:
            yield stage, back


def through(stage: Stage, points: Points, work: Callable[[], None]) -> bool:
    """Work, and die where the points say; whether that came about."""
    stage.line.before, stage.line.after = points.send, points.answer
    trouble = (Crash, OperationalError, *(REFUSAL if isinstance(points, Refusal) else ()))
    with suppress(*trouble), database.execute_wrapper(points.statement):
        work()
    stage.line.silence()
    return points.dead


def settles(stage: Stage, scenario: Scenario, expected: str = "") -> None:
    """The person looks what became of her form, and the tick works: all is as it must be.
    `expected`: an error that a run may have ended with."""
    scenario.press(stage)
    stage.recover()
    broken = Run.objects.filter(error_code="internal")
    if expected:
        broken = broken.exclude(error_text__contains=expected)
    assert not broken.exists(), "an error nobody had thought of"
    note_typed(stage.xero)
    found = judge(stage.xero, list(Connection.objects.all()))
    assert not found, [str(finding) for finding in found]
    scenario.check(stage)


def restart(stage: Stage) -> None:
    """The process was replaced; that takes a second."""
    stage.process_died()
    stage.notice()
    stage.xero.clock.advance(1)


@contextmanager
def after_press(stage: Stage, back: Back, scenario: Scenario) -> Iterator[tuple[Back, Points]]:
    """The way back to where the person has pressed and nothing has worked yet, and the points
    until there. What she does leaves nothing in the process, so it need not be done each time."""
    back()
    points = Points()
    if not scenario.press_talks:
        through(stage, points, lambda: scenario.press(stage))
    with stage.marked() as pressed:
        yield pressed, points


def dies(
    stage: Stage,
    back: Back,
    scenario: Scenario,
    at: int,
    later: tuple[Back, Points] | None = None,
) -> None:
    """One try with a death at this point. `later`: where to begin for a point that comes
    `after_press`; until its end only such points."""
    points = _die(stage, back, scenario, at, later)
    _settles(stage, scenario, f"point {at} ({points.seen[-1][:200]})")


def dies_alike(
    stage: Stage,
    back: Back,
    scenario: Scenario,
    at: int,
    points: Points,
    later: tuple[Back, Points],
) -> None:
    """A death at this point leaves the same behind as at the last point in the same state."""
    last = max(n for n, state in enumerate(points.states, 1) if state == points.states[at - 1])
    left = []
    for point in (at, last):
        _die(stage, back, scenario, point, later)
        left.append(likeness(stage))
    differ = [what for what in left[0] if left[0][what] != left[1][what]]
    assert not differ, f"{scenario.name}: points {at} and {last} are not alike: {differ}"


def _die(
    stage: Stage,
    back: Back,
    scenario: Scenario,
    at: int,
    later: tuple[Back, Points] | None = None,
) -> Points:
    points, act = Points(at), scenario.attack
    if later:
        back, done = later
        points.goes_on(done)
        act = scenario.attack if scenario.press_talks else scenario.work
    back()
    assert through(stage, points, lambda: act(stage)), f"{scenario.name} has no point {at}"
    restart(stage)
    return points


def dies_twice(stage: Stage, back: Back, scenario: Scenario, first: int, second: int) -> bool:
    """Death at one point, and again at one of the recovery; False if it has no such point."""
    back()
    assert through(stage, Points(first), lambda: scenario.attack(stage))
    restart(stage)
    died = through(stage, Points(second), lambda: recovers(stage, scenario))
    restart(stage)
    _settles(stage, scenario, f"points {first} and {second}")
    return died


def loses_database(stage: Stage, back: Back, scenario: Scenario, at: int) -> None:
    """The database hangs up at this point, and the process gets a new connection."""
    back()
    points = Points(at, hangs_up=True)
    through(stage, points, lambda: scenario.attack(stage))
    assert points.dead
    _lives_on(stage)
    _settles(stage, scenario, f"hung up at {at}")


def is_refused(stage: Stage, back: Back, scenario: Scenario, at: int) -> None:
    """The database refuses the statement at this point; the process goes on."""
    back()
    points = Refusal(at)
    marks = transaction.mark_for_rollback_on_error

    def marked(using: str | None = None) -> AbstractContextManager[None]:
        """The transaction around a whole test is nobody's that would be broken."""
        return marks(using) if points.within else nullcontext()

    with mock.patch.object(transaction, "mark_for_rollback_on_error", marked):
        through(stage, points, lambda: scenario.attack(stage))
    assert points.refused
    _lives_on(stage)
    _settles(stage, scenario, f"{points.error} at {at} ({points.seen[-1][:200]})", REFUSED)


def _lives_on(stage: Stage) -> None:
    """The process is the same as before; a second has passed."""
    database.needs_rollback = False
    stage.notice()
    stage.xero.clock.advance(1)


def _settles(stage: Stage, scenario: Scenario, where: str, expected: str = "") -> None:
    try:
        settles(stage, scenario, expected)
    except Exception as error:
        raise AssertionError(f"{scenario.name}, {where}: {error}") from error


def recovers(stage: Stage, scenario: Scenario) -> None:
    """What the next process and its person do."""
    scenario.press(stage)
    stage.recover()


def count_points(stage: Stage, back: Back, scenario: Scenario, *, hangs_up: bool = False) -> Points:
    """The points of a scenario that nothing disturbs."""
    for _ in range(2):  # the first time, a process learns some things that it then keeps
        back()
        points = Points(hangs_up=hangs_up)
        through(stage, points, lambda: scenario.attack(stage))
    return points
