"""One story after another in which everything goes wrong that can, each judged at its end.

    seed ─▶ options (what can go wrong, how often) ─▶ up to 200 steps ─▶ weather clears
         ─▶ everybody ends what she is at ─▶ quiet ─▶ all checkers

The real sync, outbox, token code and verbs run against the local Xero. A story is told by its
seed alone, or by its options and its choices (`Script`), which is how it is made shorter.
"""

from __future__ import annotations

import gc
import hashlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.db import connection as database
from django.test import RequestFactory
from django.test.utils import override_settings
from django.utils import timezone
from tests.breaker.actors import Actor, Crash, Stage
from tests.breaker.checkers import ALWAYS, QUIET, Finding, judge, none_forgotten
from tests.breaker.choices import Choices, Script
from tests.breaker.ground import EMPTY, Ground
from tests.breaker.people import AT_HOME, HERE, IN_XERO, Here, There
from tests.breaker.weather import FAULTS, Weather
from tests.breaker.world import COUNTRIES, Call, Kept, World, new_process, people_of, quiet

from justpayme.accounts.models import Membership
from justpayme.core.errors import Problem
from justpayme.integrations import actions as organisations
from justpayme.integrations.actions import NotPossible, Purpose, WrongConsent
from justpayme.integrations.views_webhook import webhook
from justpayme.sync import ending, jobs, lost, restored, runs
from justpayme.sync.models import Connection, Run
from xero_sandbox.webhooks import Hook

KEY = "a key for webhooks"
FACTORY = RequestFactory()
WORKERS = ("worker 1", "worker 2")
VARIANTS = 3
"""So many different small books start a story."""
CUT = "OperationalError"
"""What a run says in the end whose database went (`Options.cuts`); any other error that nobody
had thought of is a finding."""
LONGEST_END = 400
"""Turns in which everybody must have ended what she was at."""


@dataclass(frozen=True)
class Options:
    """What a story is made of: at most so many steps and `runs` of the sync. `preempt`: how often
    somebody hands over where she may."""

    steps: int
    runs: int
    organisations: int
    shared: bool
    variant: int
    imported: bool
    one_way: bool
    faults: tuple[str, ...]
    rate: float
    preempt: float
    crashes: float
    cuts: float
    skew: float
    clock: bool
    words: bool
    home: tuple[str, ...]
    hushed: tuple[str, ...]

    @staticmethod
    def of(seed: int) -> Options:
        """The options of a seed: each has another part of what can go wrong switched on."""
        random = Random(f"options {seed}")
        count = random.choice((1, 1, 1, 2, 3))
        return Options(
            steps=random.randrange(60, 201),
            runs=random.randrange(2, 7),
            organisations=count,
            shared=random.random() < 0.15,
            variant=random.randrange(VARIANTS),
            imported=random.random() < 0.95,
            one_way=random.random() < 0.15,
            faults=tuple(kind for kind in FAULTS if random.random() < 0.35),
            rate=random.choice((0.02, 0.05, 0.1, 0.2)),
            preempt=random.choice((0.0, 0.02, 0.1, 0.3)),
            crashes=random.choice((0.0, 0.0, 0.15, 0.4)),
            cuts=random.choice((0.0, 0.0, 0.0, 0.1)),
            skew=random.choice((0.0, 0.0, 1.5, -1.5, 300.0, -300.0)),
            clock=random.random() < 0.3,
            words=random.random() < 0.5,
            home=tuple(h.__name__ for h, _ in AT_HOME if random.random() < 0.7),
            hushed=tuple(name for name in RARE if random.random() < 0.4),
        )

    @property
    def start(self) -> str:
        """The name of the state that such a story starts from."""
        return f"kept_{self.organisations}_{int(self.shared)}_{self.variant}_{int(self.imported)}"


@dataclass
class Story:
    """What happened, and what did not hold."""

    seed: int
    options: Options
    findings: list[Finding] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    script: Script = field(default_factory=list)
    calls: int = 0
    end: str = ""

    @property
    def digest(self) -> str:
        """Two stories with the same digest went the same way."""
        return hashlib.sha256("\n".join([*self.trace, self.end]).encode()).hexdigest()

    @property
    def what(self) -> frozenset[str]:
        """The promises that did not hold."""
        return frozenset(finding.promise for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "seed": self.seed,
            "options": asdict(self.options),
            "findings": [str(f) for f in self.findings],
            "trace": self.trace,
        }


@dataclass
class _Start:
    """A state that stories start from."""

    world: World
    kept: Kept
    members: list[int]


class Theatre:
    """Plays stories in one process, one after the other, in one database."""

    def __init__(self) -> None:
        self.ground = Ground()
        restored.notice(timezone.now())  # once in a database's life: no story is the first
        self.stage = Stage()
        self.starts: dict[str, _Start] = {}
        self.played = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Stand in for network, queue and clocks; leave the tables empty at the end."""
        with (
            self.stage.open(),
            override_settings(
                XERO_LOGIN_URL="http://xero.test",
                XERO_IDENTITY_URL="http://xero.test",
                XERO_API_URL="http://xero.test",
                XERO_CLIENT_ID="test-client",
                XERO_CLIENT_SECRET="test-client-secret",
                XERO_TRANSPORT=None,
                XERO_WEBHOOK_KEYS=(KEY,),
            ),
        ):
            gc.disable()
            try:
                yield
            finally:
                gc.enable()
                self.ground.clear()

    def play(
        self, seed: int, options: Options | None = None, script: Script | None = None
    ) -> Story:
        """Tell the story of a seed, or of options and choices."""
        options = options or Options.of(seed)
        start = self._start(options)
        self.ground.back(options.start)
        start.world.rewind(start.kept)
        self.played += 1
        if self.played % 25 == 0:
            gc.collect()
        return Telling(self.stage, start, seed, options, script).tell()

    def _start(self, options: Options) -> _Start:
        if options.start not in self.starts:
            self.ground.back(EMPTY)
            self.stage.chance = Random(options.start)
            self.starts[options.start] = _prepare(self.stage, options)
            self.ground.keep(options.start)
        found = self.starts[options.start]
        override_transport(found.world)
        return found


def override_transport(world: World) -> None:
    """From now on this world's Xero is the network."""
    from django.conf import settings

    settings.XERO_TRANSPORT = world.transport


def _prepare(stage: Stage, options: Options) -> _Start:
    countries = COUNTRIES[: options.organisations]
    world = World(options.variant, countries, sales=4 + options.variant)
    stage.world = world
    override_transport(world)
    first, second = people_of("O'Hara & <b>Sons</b>"), people_of("Charlie's Angling")
    pairs = [(first, c) for c in countries[:2]] + [(second, c) for c in countries[2:]]
    if options.shared:
        pairs.append((second, "GB"))
    for member, country in pairs:
        if options.imported:
            world.connect_two_way(member.business, country, drafts=options.variant > 0)
        else:
            connection = world.connect(
                member.business, country, scopes=organisations.oauth.WRITE_SCOPES
            )
            world.mark(connection, "live")
            world.mark(connection, "one")
    world.clock.advance(120)
    return _Start(world, world.keep(), [first.pk, second.pk])


# --- one story -----------------------------------------------------------------------------------


class Telling:
    """One story while it happens."""

    def __init__(
        self, stage: Stage, start: _Start, seed: int, options: Options, script: Script | None
    ) -> None:
        self.stage = stage
        self.world = start.world
        self.options = options
        self.story = Story(seed, options)
        self.choices = Choices(Random(f"story {seed}"), script)
        self.members = list(
            Membership.objects.select_related("business", "user").filter(pk__in=start.members)
        )
        self.weather = Weather(self.world, self.choices, options.faults, options.rate)
        self.weather.tell = self.note
        self.clear = False
        self.inbox: list[tuple[bytes, str]] = []
        self.begun = 0
        self._set_the_stage(seed)

    def _set_the_stage(self, seed: int) -> None:
        stage = self.stage
        stage.world, stage.chance = self.world, Random(f"bytes {seed}")
        stage.asked, stage.heard, stage.problems = {}, [], []
        stage.tell, stage.hand_over = self.note, self._hands_over
        stage.hire(*WORKERS, "page")
        self.world.tap.before, self.world.tap.after = self._call_leaves, self._call_is_over
        if self.options.words:
            self.world.app.webhooks.hook = Hook(url="http://127.0.0.1/", key=KEY, state="ok")
            self.world.app.webhooks.post = self._post
        self.world.working_for = lambda: stage.current.connection if stage.current else None
        new_process()

    def note(self, text: str) -> None:
        """One line of the trace."""
        since = (self.world.frozen.now() - self.start).total_seconds()
        self.story.trace.append(f"{since:9.1f} {text}")

    def tell(self) -> Story:
        """All of it, and the judgement."""
        self.start = self.world.frozen.now()
        self.world.clock.ahead = self.options.skew
        if self.options.one_way:
            self._all_one_way()
        try:
            for _ in range(self.options.steps):
                if self.begun > self.options.runs:
                    break
                self.choices.step()
                self._step()
            self._end_well()
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._failed("crash", f"{type(error).__name__} in {where.name}: {error}")
        finally:
            self._send_home()
        self.story.script = self.choices.drawn
        self.story.calls = len(self.world.calls)
        return self.story

    def _failed(self, promise: str, text: str) -> None:
        self.story.findings.append(Finding(promise, text[:2000]))

    def _all_one_way(self) -> None:
        Connection.objects.update(direction=Connection.Direction.ONE)
        for pk in Connection.objects.values_list("pk", flat=True):
            self.world.mark(pk, "one")

    # --- steps ---------------------------------------------------------------------------------

    def _step(self) -> None:
        what = self.choices.weighted(
            [(w, n) for w, n in STEPS if w.__name__ not in self.options.hushed]
        )
        said = what(self)
        if said:
            self.note(said)

    def go_on(self) -> str:
        """Somebody goes on; else what is asked for is begun; else time passes."""
        ready = self.stage.ready()
        if ready:
            self._resume(self.choices.pick(ready))
            return ""
        if self.stage.asked and any(not a.is_busy for a in self.stage.actors[:2]):
            return self.work()
        return self.pass_time()

    def _resume(self, actor: Actor) -> None:
        try:
            self.stage.resume(actor)
        except Crash:
            self.note(f"{actor.name} died")

    def work(self) -> str:
        """An idle worker takes a job."""
        idle = [a for a in self.stage.actors[:2] if not a.is_busy]
        if not idle or not self.stage.asked:
            return ""
        pk = self.choices.pick(sorted(self.stage.asked))
        cause = self.stage.asked.pop(pk)
        return self._begin(idle[0], pk, cause)

    def _begin(self, actor: Actor, pk: int, cause: Run.Cause) -> str:
        def job() -> None:
            run = runs.run_sync(pk, cause=cause, clock=self.world.clock)
            self.note(f"{actor.name} ends {_told(run)}")

        self.begun += 1
        self.note(f"{actor.name} begins with {pk} because of {cause}")
        self.stage.start(actor, job, pk)
        if self.choices.chance(self.options.crashes):
            actor.fuse = 1 + self.choices.below(120)
        elif self.choices.chance(self.options.cuts):
            actor.cable = 1 + self.choices.below(60)
        self._resume(actor)
        return ""

    def twice(self) -> str:
        """The queue gives a job to a second worker, though the first is at it."""
        idle = [a for a in self.stage.actors[:2] if not a.is_busy]
        busy = [a.connection for a in self.stage.actors[:2] if a.is_busy and a.connection]
        if not idle or not busy:
            return ""
        return self._begin(idle[0], busy[0], Run.Cause.SCHEDULE)

    def pass_time(self) -> str:
        """Time passes, to the next moment at which something is due, or a little."""
        how = self.choices.below(4)
        self.world.frozen.advance((0, 5, 30, 130)[how] if how else self._until_due())
        self.world.app.late.land(self.world.frozen.now())
        if not how:
            jobs.start_due(self.world.clock.now())
        return ""

    def _until_due(self) -> float:
        now, ahead = self.world.frozen.now(), timedelta(seconds=self.world.clock.ahead)
        due = Connection.objects.filter(state=Connection.State.LIVE, next_due_at__isnull=False)
        moments = [d - ahead for d in due.values_list("next_due_at", flat=True)]
        moments += [a.wake for a in self.stage.actors if a.wake is not None]
        later = [(m - now).total_seconds() for m in moments if m > now]
        return min(min(later, default=10.0) + 0.1, 3600.0)

    def tick(self) -> str:
        """The schedule looks whose time has come, and what was left behind."""
        now = self.world.clock.now()
        jobs.recover_dead_runs(now)
        jobs.start_due(now)
        return ""

    def here(self) -> str:
        """A person does something here."""
        member = self.choices.pick(self.members)
        hands = [(h, n) for h, n in AT_HOME if h.__name__ in self.options.home] or AT_HOME[:1]
        hand = self.choices.weighted(hands)
        return Here(self.world, member, self.choices).carry_out(hand)

    def there(self) -> str:
        """A person does something in Xero."""
        country = self.choices.pick(self.world.countries)
        hand = self.choices.weighted(IN_XERO)
        self.world.frozen.advance(0.2)
        return hand(There(self.world, country, self.choices))

    # --- webhooks ------------------------------------------------------------------------------

    def _post(self, address: str, body: bytes, signature: str) -> int:
        """Xero has posted something, and it is on its way."""
        self.inbox.append((body, signature))
        return 200

    def word(self) -> str:
        """Something that Xero posted reaches our door: in any order, twice, or spoilt."""
        self.world.app.webhooks.deliver()
        if not self.inbox:
            return ""
        at = self.choices.below(len(self.inbox))
        how = self.choices.weighted((("a word", 6), ("a word, again", 2), ("a forged word", 1)))
        body, signature = self.inbox[at] if "again" in how else self.inbox.pop(at)
        forged = "forged" in how
        status = knock(body + b" " if forged else body, signature)
        if status != (401 if forged else 200):
            self._failed("I-44", f"{how} was answered with {status}")
        return how

    # --- rare steps ----------------------------------------------------------------------------

    def stop_a_while(self) -> str:
        """A worker is paused for minutes, and may lose the sessions that held its locks."""
        busy = [a for a in self.stage.actors[:2] if a.is_busy]
        if not busy:
            return ""
        actor = self.choices.pick(busy)
        actor.wake = self.world.frozen.now() + timedelta(seconds=150)
        if self.choices.below(2):
            self.stage.lose_locks(actor)
        return f"{actor.name} is paused"

    def kill(self) -> str:
        """A worker dies where it is."""
        busy = [a for a in self.stage.actors if a.play]
        if not busy:
            return ""
        actor = self.choices.pick(busy)
        self._kill(actor)
        return f"{actor.name} is killed"

    def _kill(self, actor: Actor) -> None:
        actor.fuse = 0
        for _ in range(20):  # what it does on its way out may hand over
            if actor.is_busy:
                self._resume(actor)

    def clock_jumps(self) -> str:
        """Our clock is set."""
        if not self.options.clock:
            return ""
        jump = self.choices.pick((1, -1, 300, -300, 3600, -3600, 86_400, -86_400))
        self.world.clock.ahead += jump
        self.world.clock.jumps += 1
        return f"our clock jumps by {jump} s"

    def part(self) -> str:
        """Somebody disconnects an organisation, or brings one back."""
        page = self.stage.actors[2]
        rows = list(Connection.objects.order_by("pk").select_related("business"))
        if page.is_busy or not rows:
            return ""
        connection = self.choices.pick(rows)
        member = next(m for m in self.members if m.business_id == connection.business_id)
        if connection.state == Connection.State.LIVE:
            verb, what = self._disconnect, "disconnects"
        else:
            verb, what = self._reconnect, "reconnects"
        self.stage.start(page, lambda: verb(connection, member, page), None)
        self._resume(page)
        return f"somebody {what} {connection.pk}"

    def _disconnect(self, connection: Connection, member: Membership, page: Actor) -> None:
        page.after_commit = lambda: self.world.mark(connection, "disconnected")
        try:
            organisations.disconnect(
                by=member, connection=connection, address=HERE, now=self.world.clock.now()
            )
        except NotPossible:
            page.after_commit = None

    def _reconnect(self, connection: Connection, member: Membership, page: Actor) -> None:
        try:
            consent = self._consent(connection, member)
            for row in consent.healed:
                self.world.mark(row, "live")
            for row in consent.choosable:
                if row.pk == connection.pk:
                    self.world.mark(row, "live")
                    organisations.choose(
                        by=member, connection=row, address=HERE, now=self.world.clock.now()
                    )
                    self.world.mark(row, "one")
        except (Problem, NotPossible, WrongConsent, organisations.StateRefused) as error:
            self.note(f"no connection: {error}")

    def _consent(self, connection: Connection, member: Membership) -> organisations.Consent:
        """The whole way through Xero's sign-in."""
        now = self.world.clock.now
        errand = organisations.errand_of(connection, Purpose.RECONNECT)
        url = organisations.begin_connect(
            by=member, session_key="session", address=HERE, now=now(), errand=errand
        )
        asked = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
        form = asked | {"tenant": str(connection.tenant_id), "decision": "allow"}
        answer = self.world.http.post("/identity/connect/authorize", data=form)
        back = {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
        self.world.mark(connection, "live")  # what heals it calls at once
        return organisations.complete_connect(
            by=member,
            session_key="session",
            state=back["state"],
            code=back.get("code", ""),
            error="",
            address=HERE,
            now=now(),
        )

    def tell_all(self) -> str:
        """Xero hears of disconnects, owners of what was lost."""
        page = self.stage.actors[2]
        if page.is_busy:
            return ""

        def job() -> None:
            ending.finish_all(self.world.clock.now())
            lost.send_notices(self.world.clock.now())

        self.stage.start(page, job, None)
        self._resume(page)
        return ""

    # --- calls ---------------------------------------------------------------------------------

    def _hands_over(self) -> bool:
        return not self.clear and self.choices.chance(self.options.preempt)

    def _call_leaves(self, call: Call) -> None:
        self.world.frozen.advance(0.1)
        self.stage.called()
        if not self.clear and self.stage.current is not None:
            self.weather.strike(call)

    def _call_is_over(self, call: Call) -> None:
        who = self.stage.current.name if self.stage.current else "all"
        self.note(f"{who}: {call.method} {call.path} {call.status or 'no answer'}")
        self.weather.pass_by(call)
        self.stage.answered()

    # --- the end -------------------------------------------------------------------------------

    def _end_well(self) -> None:
        """The weather clears, everybody ends what she is at, then the judgement."""
        self.clear = True
        self.world.heal()
        for _ in range(LONGEST_END):
            busy = [a for a in self.stage.actors if a.is_busy]
            if not busy:
                break
            self._go_to_an_end(busy)
        else:
            raise AssertionError("somebody never ends")
        new_process()
        connections = list(Connection.objects.order_by("pk").select_related("business"))
        jobs.recover_dead_runs(self.world.clock.now())
        # Before syncs are asked for, which give everybody a time again.
        self.story.findings += judge(self.world, connections, [none_forgotten])
        # Only an audit finds what has no stamp (I-5); an increment must find all else.
        silent = self.world.silent
        quiet(self.world, *connections, audit=silent)
        if self.world.silent and not silent:  # by what one business sent to an organisation of two
            quiet(self.world, *connections, audit=True)
        self.story.findings += judge(self.world, connections, (*ALWAYS, *QUIET))
        self.story.findings += [Finding("rule", text) for text in self.stage.problems]
        broken = Run.objects.filter(error_code="internal").exclude(error_text__contains=CUT)
        self.story.findings += [Finding("rule", run.error_text) for run in broken]
        if any(secret in line for secret in self.world.secrets for line in self.stage.heard):
            self._failed("I-54", "a log line holds a token")
        self.story.end = _prints()

    def _go_to_an_end(self, busy: Sequence[Actor]) -> None:
        ready = self.stage.ready()
        if ready:
            self._resume(ready[0])
            return
        wakes = [a.wake for a in busy if a.wake is not None]
        self.world.frozen.advance(
            max((min(wakes) - self.world.frozen.now()).total_seconds(), 0) + 0.001
        )

    def _send_home(self) -> None:
        self.clear = True
        for actor in self.stage.actors:
            if actor.is_busy:
                self._kill(actor)
        new_process()


def _prints() -> str:
    """A fingerprint of every bill with all that hangs on it. History numbers are left out: one
    statement may write the entries of many bills, in the order in which they lie on the disk."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT md5(string_agg(t, '|' ORDER BY t)) FROM ("
            "SELECT b::text AS t FROM bills_bill b UNION ALL SELECT l::text FROM bills_line l"
            " UNION ALL SELECT p::text FROM bills_payment p UNION ALL"
            " SELECT (h.bill_id, row_number() OVER (PARTITION BY bill_id ORDER BY id), h.at,"
            " h.source, h.action, h.changes, h.note)::text FROM bills_historyentry h) every"
        )
        return str(cursor.fetchone()[0])


def knock(body: bytes, signature: str) -> int:
    """Bring a word to our door; the status of its answer."""
    headers = {"x-xero-signature": signature}
    request = FACTORY.post("/", data=body, content_type="application/json", headers=headers)
    return int(webhook(request).status_code)


def _told(run: Run | None) -> str:
    return f"{run.kind} of {run.connection_id}: {run.state} {run.error_code}" if run else "nothing"


Step = Callable[[Telling], str]
RARE = ("clock_jumps", "part", "kill", "stop_a_while", "twice")
STEPS: tuple[tuple[Step, int], ...] = (
    (Telling.go_on, 50),
    (Telling.work, 10),
    (Telling.here, 20),
    (Telling.there, 14),
    (Telling.tick, 4),
    (Telling.word, 6),
    (Telling.tell_all, 2),
    (Telling.clock_jumps, 1),
    (Telling.part, 1),
    (Telling.kill, 1),
    (Telling.stop_a_while, 1),
    (Telling.twice, 2),
)
