"""Connections and runs as the pages show them: words, numbers and times, ready to print."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from babel import Locale
from django.urls import reverse

from justpayme.core import schedule
from justpayme.core.errors import CATALOGUE, Entry
from justpayme.core.zones import zone
from justpayme.integrations.queries import Held, Used
from justpayme.sync.models import Connection, Run, is_fresh
from justpayme.web.format import LOCALE, Moment, moment
from justpayme.xero.limits import PER_DAY

MONTH_LIMIT = 10 * 1000**3
"""Bytes a month on Xero's Core plan."""

State = Connection.State


@dataclass(frozen=True, slots=True)
class Card:
    """One organisation: its state, when it was checked and when it will be."""

    connection: Connection
    stamp: str
    place: str
    bills: str
    checked: Moment | None
    fresh: bool
    next: Moment | None
    due: bool
    blocked: Moment | None
    syncing: bool
    way: str
    held: tuple[HeldUp, ...]


def card(
    connection: Connection,
    bills: int,
    now: datetime,
    *,
    under_way: bool,
    held: Held | None = None,
) -> Card:
    """The card of an organisation as of `now`; a run may be `under_way`, changes `held` up."""
    tz = zone(connection.time_zone)
    syncing = connection.is_live and under_way
    next_at = connection.next_due_at if connection.is_live else None
    due = next_at is not None and next_at <= now
    blocked = connection.blocked_until
    return Card(
        connection=connection,
        stamp=_stamp(connection, syncing),
        place=place(connection),
        bills=counted(bills, "bill"),
        checked=moment(connection.checked_at, now, tz) if connection.checked_at else None,
        fresh=is_fresh(connection, now),
        next=moment(next_at, now, tz) if next_at and not due else None,
        due=due,
        blocked=moment(blocked, now, tz) if blocked and schedule.waits(blocked, now) else None,
        syncing=syncing,
        way=way(connection),
        held=held_up(connection, held or Held()),
    )


def told(connection: Connection, now: datetime) -> Moment | None:
    """When Xero last told us of a change in this organisation; None if it never did."""
    at = connection.told_at
    return moment(at, now, zone(connection.time_zone)) if at else None


def way(connection: Connection) -> str:
    """Which way changes go: "Bidirectional · payments go to Xero"."""
    if not connection.is_in_use:
        return ""
    words = str(connection.get_direction_display())
    if connection.direction == Connection.Direction.ONE:
        return words
    return f"{words} · payments {'go to Xero too' if connection.write_back else 'stay here'}"


@dataclass(frozen=True, slots=True)
class HeldUp:
    """So many changes of one organisation that have not reached Xero, and the list of them."""

    words: str
    icon: str
    tone: str
    url: str


def held_up(connection: Connection, held: Held) -> tuple[HeldUp, ...]:
    """What has not reached Xero, worst first; nothing when nothing is held up."""
    outbox, conflicts = reverse("integrations:outbox"), reverse("integrations:conflicts")
    of = f"organisation={connection.pk}"
    need = "needs" if held.parked == 1 else "need"
    found = (
        (held.refused, "refused by Xero", "stop", "bad", f"{outbox}?state=refused&{of}"),
        (held.parked, f"{need} your decision", "warn", "warn", f"{outbox}?state=parked&{of}"),
        (held.conflicts, "overridden by Xero", "notequal", "clash", f"{conflicts}?{of}"),
        (held.waiting, "waiting to send", "clock", "go", f"{outbox}?state=waiting&{of}"),
    )
    return tuple(HeldUp(f"{n:,} {words}", *rest) for n, words, *rest in found if n)


def counted(count: int, thing: str) -> str:
    """1 bill, 1,872 bills."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _stamp(connection: Connection, syncing: bool) -> str:
    if connection.state in (State.LOST, State.HALTED):
        return "attention"
    if not connection.is_live:
        return "disconnected"
    return "syncing" if syncing or connection.wants_import else "connected"


def place(connection: Connection) -> str:
    """Country and currency: "United Kingdom · GBP"."""
    name = Locale.parse(LOCALE).territories.get(connection.country, connection.country)
    return " · ".join(part for part in (name, connection.currency) if part)


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of an allowance is used. `width` is of 100."""

    text: str
    width: float


def meters(used: Used) -> tuple[Meter, Meter]:
    """Calls today and data this month, against Xero's allowances."""
    calls = Meter(
        f"{used.calls_today:,} of {PER_DAY:,}", min(100 * used.calls_today / PER_DAY, 100)
    )
    data = Meter(
        f"{size(used.bytes_this_month)} of {size(MONTH_LIMIT)}",
        min(100 * used.bytes_this_month / MONTH_LIMIT, 100),
    )
    return calls, data


def size(count: int) -> str:
    """A number of bytes for a person: 6 kB, 4.1 MB."""
    if count < 1000:
        return f"{count} bytes"
    if count < 1000_000:
        return f"{count / 1000:.0f} kB"
    if count < 1000_000_000:
        return f"{count / 1000_000:.1f} MB"
    return f"{count / 1000_000_000:.1f} GB".replace(".0", "")


@dataclass(frozen=True, slots=True)
class ShownRun:
    """One sync run: when, why, what it did and how it ended."""

    run: Run
    started: Moment
    ended: Moment | None
    why: str
    kind: str
    used: str
    result: str
    icon: str
    tone: str
    quiet: bool
    problem: Entry | None
    took: str

    @property
    def read(self) -> str:
        """Invoices read."""
        return f"{self.run.read:,}"

    @property
    def touched(self) -> str:
        """Bills made or changed."""
        return f"{self.run.created + self.run.changed:,}"

    @property
    def sent(self) -> str:
        """Changes sent to Xero, and those it refused: "3, 1 refused"."""
        refused = f", {self.run.refused:,} refused" if self.run.refused else ""
        return f"{self.run.sent:,}{refused}"

    @property
    def counts(self) -> list[tuple[str, str]]:
        """What the run did, as label and number."""
        run = self.run
        of = "" if run.expected is None else f" of {run.expected:,}"
        return [
            ("Invoices read", f"{run.read:,}{of}"),
            ("New bills", f"{run.created:,}"),
            ("Bills changed", f"{run.changed:,}"),
            ("Unchanged", f"{run.unchanged:,}"),
            ("Left out", f"{run.skipped:,}"),
            ("Differences found by the audit", f"{run.drift:,}"),
            ("Sent to Xero", f"{run.sent:,}"),
            ("Refused by Xero", f"{run.refused:,}"),
        ]


def shown_run(run: Run, now: datetime, tz_name: str, *, you: int | None) -> ShownRun:
    """A run as a row. `you` is the id of the person who looks."""
    tz = zone(tz_name)
    problem = CATALOGUE.get(run.error_code)
    result, icon, tone, quiet = _result(run)
    ended = run.ended_at
    return ShownRun(
        run=run,
        started=moment(run.started_at, now, tz),
        ended=moment(ended, now, tz) if ended else None,
        why=_why(run, you),
        kind=run.get_kind_display(),
        used=f"{counted(run.calls, 'call')}, {size(run.bytes)}",
        result=result,
        icon=icon,
        tone=tone,
        quiet=quiet,
        problem=problem,
        took=_duration(ended - run.started_at) if ended else "",
    )


def _why(run: Run, you: int | None) -> str:
    if run.kind == Run.Kind.AUDIT and run.cause == Run.Cause.SCHEDULE:
        return "Full audit"
    why = run.get_cause_display()
    if run.by is None:
        return why
    return f"{why}, you" if run.by_id == you else f"{why}, {run.by.shown_name}"


def _result(run: Run) -> tuple[str, str, str, bool]:
    """Words, icon, tone, and whether it is quiet in a list."""
    state = Run.State(run.state)
    if state is Run.State.DONE and run.refused:
        return f"{run.refused:,} refused", "stop", "bad", False
    if state is Run.State.DONE and run.drift:
        return f"{run.drift:,} corrected", "check", "ok", True
    if state is Run.State.DONE and run.kind == Run.Kind.PUSH:
        return "Sent", "up", "ok", True
    return {
        Run.State.RUNNING: ("Syncing", "refresh", "go", False),
        Run.State.DONE: ("All equal", "equal", "ok", True),
        Run.State.FAILED: ("Did not finish", "warn", "warn", False),
        Run.State.STOPPED: ("Stopped", "stop", "calm", False),
        Run.State.ABANDONED: ("Cut short", "clock", "calm", False),
    }[state]


def _duration(span: timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return counted(seconds, "second")
    return counted(round(seconds / 60), "minute")


_ABOUT_TO = {
    "mass_void": "{} would have become Void.",
    "organisation_changed": "What Xero gave belongs to another organisation: {}.",
}


def about_to_change(run: Run | None) -> str:
    """What a safety stop kept from happening, as far as the run noted it."""
    entry = CATALOGUE.get(run.error_code) if run else None
    if run is None or entry is None:
        return ""
    noted = run.error_text.removeprefix(entry.sentence).strip()
    return _ABOUT_TO.get(entry.code, "{}").format(noted) if noted else ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a first import is. `done` and `stopped` end the watching."""

    told: str
    percent: int | None
    left: str
    calls: str
    done: bool
    stopped: bool


def progress(connection: Connection, run: Run | None, bills: int, now: datetime) -> Progress:
    """The progress of the newest run, or of the wait for it; `bills` are here already."""
    done = connection.imported_at is not None
    read, expected = (run.read, run.expected) if run else (0, None)
    share = min(read / expected, 1.0) if expected else 0.0
    return Progress(
        told=f"{counted(bills, 'bill')} from Xero" if done else _told(run),
        percent=100 if done else int(100 * share) if expected is not None else None,
        left=_left(run, share, now) if run and not done else "",
        calls=f"{counted(run.calls, 'call')} to Xero so far" if run and run.calls else "",
        done=done,
        stopped=not connection.is_live,
    )


def _told(run: Run | None) -> str:
    if run is None:
        return "Starting"
    if run.expected is None and run.read:
        return f"{counted(run.read, 'invoice')} read"
    if run.expected is None:
        return "Asking Xero how many there are"
    return f"{run.read:,} of {counted(run.expected, 'invoice')}"


def _left(run: Run, share: float, now: datetime) -> str:
    """How long it will still take at this pace; empty until that can be said."""
    elapsed = (now - run.started_at).total_seconds()
    if share < 0.02 or run.state != Run.State.RUNNING:
        return ""
    left = elapsed * (1 - share) / share
    if left < 10:
        return "A few seconds to go."
    if left < 90:
        return f"About {10 * round(left / 10)} seconds to go."
    return f"About {round(left / 60)} minutes to go."
