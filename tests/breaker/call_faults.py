"""Each call of a scenario meets each kind of fault once (F2 to F6, F10, F11), and it recovers.

    (scenario, n-th call, fault) ─▶ scenario ─▶ until quiet, with what a person must do ─▶ judge

A fault strikes the call alone, or every call from there on for a while (*lasting*); and the
process that met it goes on, or is replaced before it could (*replaced*). Many faults lead to the
same situation; the everyday run judges each once, the full run each time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from tests.breaker import checkers
from tests.breaker.crash_points import Back, restart
from tests.breaker.likeness import Judged
from tests.breaker.people import note_typed
from tests.breaker.scenarios import Scenario
from tests.breaker.stage import Stage

from justpayme.bills import actions as bills
from justpayme.core.errors import Problem
from justpayme.integrations import actions as integrations
from justpayme.sync.models import RESTING, Connection, OutboxItem, Run

Strike = Callable[[Stage, httpx2.Request], None]
LONG = 8
"""Calls that a lasting fault strikes."""
TROUBLE = (Problem, integrations.WrongConsent, integrations.NotPossible)
"""What a verb may tell a person, who then tries again."""
PRESSES = 6
"""Times that a person tries before she gives up."""
CHECKERS = (*checkers.ALWAYS, *checkers.QUIET)


def calm(stage: Stage, request: httpx2.Request) -> None:
    """Nothing happens."""


@dataclass(frozen=True)
class Fault:
    """One way in which a call goes wrong. `kind` is the line of the table that it belongs to.

    `writes`, `books`, `token`: it is only about calls that change something, about those of the
    accounting API, about those of the token endpoint.
    Without `lasts` it strikes one call only: it is done then, or could not happen twice running.
    `lies`: what is read is wrong and looks right; the next audit finds it (I-5).
    """

    kind: str
    before: Strike = calm
    after: Strike = calm
    writes: bool = False
    books: bool = False
    lies: bool = False
    token: bool = False
    lasts: bool = True

    def fits(self, method: str, path: str) -> bool:
        """Can this call meet it?"""
        ours = "/api.xro/" in path
        if self.token:
            return path.endswith("/connect/token")
        return (ours or not self.books) and (not self.writes or (ours and method != "GET"))


def rule(name: str, **parameters: object) -> Strike:
    """The sandbox does it, to this call."""

    def strike(stage: Stage, request: httpx2.Request) -> None:
        body: dict[str, Any] = {"kind": name, "path": "/", "count": 1, "parameters": parameters}
        stage.xero.app.faults.add(body)

    return strike


def breaks(error: type[httpx2.TransportError], seconds: float = 0) -> Strike:
    """The call comes to nothing, after so many seconds."""

    def strike(stage: Stage, request: httpx2.Request) -> None:
        stage.xero.clock.advance(seconds)
        raise error("on purpose", request=request)

    return strike


def of_kind(kind: str, *names: str, **flags: Any) -> dict[str, Fault]:
    """Faults of one kind that the sandbox has by these names."""
    return {name: Fault(kind, rule(name), **flags) for name in names}


FAULTS: dict[str, Fault] = {
    "refused": Fault("connection refused", breaks(httpx2.ConnectError)),
    "no connection in time": Fault("connection refused", breaks(httpx2.ConnectTimeout, 10)),
    "reset_before": Fault("reset before", rule("reset_before")),
    "lose_answer": Fault("answer lost", rule("lose_answer")),
    "reset_mid_body": Fault("answer lost", rule("reset_mid_body")),
    "timeout before": Fault("timeout before the effect", breaks(httpx2.ReadTimeout, 30)),
    "timeout after": Fault("timeout after the effect", after=breaks(httpx2.ReadTimeout, 30)),
    "504 after": Fault("timeout after the effect", rule("timeout_after")),
    "60 s late": Fault("late effect", rule("late", seconds=60), writes=True),
    "90 s late": Fault("late effect", rule("late", seconds=90), writes=True),
    "drip": Fault("slow drip", rule("drip", bytes=40)),
    "limit_minute": Fault("429, minute", rule("limit_minute")),
    "retry after a date": Fault("429, minute", rule("limit_minute", retry_after="date")),
    "limit_day": Fault("429, day", rule("limit_day")),
    "limit_app": Fault("429, without a header", rule("limit_app")),
    "limit_concurrent": Fault("429, without a header", rule("limit_concurrent")),
    "retry after nothing": Fault("429, absurd header", rule("limit_minute", retry_after="0")),
    "retry after ages": Fault("429, absurd header", rule("limit_minute", retry_after="absurd")),
    **of_kind("500", "error_500"),
    **of_kind("502 to 504 with HTML", "error_502", "error_504"),
    **of_kind("503", "error_503", "offline"),
    **of_kind("500 under the key", "write_500", "keys_down", writes=True),
    **of_kind("broken body", "truncated_json", "truncated_gzip", "empty_body", "not_utf8"),
    **of_kind("another body", "html_page", "xml_body", "wrong_content_type"),
    **of_kind("wrong type", "top_level_array", "top_level_null", books=True),
    **of_kind("wrong type", "array_is_object", "numbers_as_strings", "null_row", books=True),
    **of_kind("rows missing", "array_missing", "array_null", "rows_missing", books=True),
    **of_kind("wrong figures", "item_count_wrong", "page_wrong", "duplicate_rows", books=True),
    **of_kind("hostile values", "number_huge", "number_nan", "nul_character", books=True),
    **of_kind("hostile values", "lone_surrogate", "date_far_future", "id_not_guid", books=True),
    **of_kind("plausible lies", "unknown_status", "rtl_marks", books=True, lies=True),
    **of_kind("plausible lies", "date_offset", "amount_negative", books=True, lies=True),
    **of_kind("element errors", "elements_missing", "elements_none", writes=True),
    **of_kind("element errors", "elements_extra", "elements_reversed", writes=True),
    **of_kind("element errors", "errors_though_saved", writes=True),
    **of_kind("401 expired", "expire_tokens", lasts=False),
    **of_kind("403", "forbidden", books=True),
    **of_kind("consent revoked", "revoke_consent", lasts=False),
    **of_kind("invalid grant", "invalid_grant", token=True),
}
"""Every fault by name; more than twenty kinds."""


@dataclass
class Struck:
    """Listens on the line: the `at`-th call meets a fault, and so many after it."""

    stage: Stage
    fault: Fault
    at: int
    calls: int = 1
    seen: list[tuple[str, str]] = field(default_factory=list)

    def is_now(self) -> bool:
        """Is this call struck?"""
        return self.at <= len(self.seen) < self.at + self.calls

    def before(self, request: httpx2.Request) -> None:
        """A call is about to leave."""
        method, path = request.method, request.url.path
        self.seen.append((method, path))
        self.stage.xero.app.faults.remove()
        if self.is_now() and self.fault.fits(method, path):
            self.fault.before(self.stage, request)

    def after(self, request: httpx2.Request) -> None:
        """Its answer has come."""
        if self.is_now() and self.fault.fits(request.method, request.url.path):
            self.fault.after(self.stage, request)


def begin(stage: Stage, scenario: Scenario) -> None:
    """Arrange it, and what the person does as far as Xero hears nothing of it."""
    scenario.arrange(stage)
    if not scenario.press_talks:
        scenario.press(stage)


def calls_of(stage: Stage, back: Back, scenario: Scenario) -> list[tuple[str, str]]:
    """The calls of a scenario that nothing disturbs."""
    back()
    return strike(stage, scenario, Fault("none"), 0, 1)


def strike(
    stage: Stage, scenario: Scenario, fault: Fault, at: int, calls: int
) -> list[tuple[str, str]]:
    """Go through it with the fault; the calls that set out."""
    struck = Struck(stage, fault, at, calls)
    stage.line.before, stage.line.after = struck.before, struck.after
    with suppress(*TROUBLE):
        if scenario.press_talks:
            scenario.press(stage)
        scenario.work(stage)
    stage.line.silence()
    stage.xero.app.faults.remove()
    return struck.seen


def survives(
    stage: Stage,
    back: Back,
    scenario: Scenario,
    at: int,
    name: str,
    flavour: str,
    judged: Judged | None = None,
) -> None:
    """One case. Raises AssertionError naming it if anything is not as it must be."""
    back()
    fault = FAULTS[name]
    try:
        strike(stage, scenario, fault, at, LONG if flavour == "lasting" and fault.lasts else 1)
        if flavour == "replaced":
            restart(stage)
        assert not _internal(), "an error nobody had thought of"
        if judged is None or not judged.ends(stage, fault.lies):
            settles(stage, scenario, fault, judged)
    except Exception as error:
        case = f"{scenario.name}, call {at}, {name} ({flavour})"
        raise AssertionError(f"{case}: {type(error).__name__}: {error}") from error


def _internal() -> bool:
    return Run.objects.filter(error_code="internal").exists()


def settles(stage: Stage, scenario: Scenario, fault: Fault, judged: Judged | None = None) -> None:
    """Until quiet, with everything that a person is asked to do; then all is as it must be."""

    def known() -> bool:
        return judged is not None and judged.ends(stage, fault.lies, "recovering")

    for _ in range(PRESSES):
        if pressed(stage, scenario):
            if not stage.recover(known):
                return
            if not helps(stage):
                break
    if fault.lies:
        stage.audit()
    assert not _internal(), "an error nobody had thought of"
    if not fault.lies:  # what was believed may have overruled a person
        note_typed(stage.xero)
    found = checkers.judge(stage.xero, list(Connection.objects.all()), CHECKERS)
    assert not found, [str(finding) for finding in found]
    if not fault.lies:
        scenario.check(stage)


def pressed(stage: Stage, scenario: Scenario) -> bool:
    """What the person wants, once more where it may have failed; whether it went well."""
    try:
        if scenario.press_talks:
            scenario.press(stage)
    except TROUBLE:
        return False
    return True


def helps(stage: Stage) -> bool:
    """What a person does where only she can: connect anew, try again. Was there anything?"""
    lost = Connection.objects.filter(state=Connection.State.LOST).first()
    if lost is not None:
        stage.connect(integrations.errand_of(lost, integrations.Purpose.RECONNECT))
        return True
    resting = OutboxItem.objects.filter(state__in=RESTING).values_list("pk", flat=True)
    if resting:
        bills.item_retry(act=bills.Act(stage.alice, stage.now), item_ids=list(resting))
    return bool(resting)
