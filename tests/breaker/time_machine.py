"""Weeks of syncs in seconds: the real scheduler's decisions on a clock that jumps.

A `Machine` is a local Xero with organisations in several time zones. It jumps to the next tick
at which something is due, lets `jobs.start_due` decide, runs the jobs that it queued, and
writes down beside it, from what people did and from the formula of docs/performance.md, how
many calls each organisation should have cost on each day. A call takes a while, so that starts
are late and syncs are long.

    what people do ─▶ jump ─▶ start_due ─▶ the queue ─▶ run_sync
                                                           │
                       the formula, day by day  ═  what the local Xero counted
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import partial
from random import Random
from zoneinfo import ZoneInfo

from django.db import connections as databases
from django.db.models import Sum
from msgspec.structs import replace
from tests.breaker.world import World
from tests.fixtures.xero import go_two_way
from tests.sync.given import edit, pay
from tests.sync.hands import HOSTILE

from justpayme.accounts.models import Business
from justpayme.bills.models import Bill
from justpayme.sync import jobs, runs
from justpayme.sync.doorbell import TASK
from justpayme.sync.models import Connection, Meter, Run
from justpayme.sync.verify import verify
from justpayme.xero import oauth
from xero_sandbox import limits
from xero_sandbox.limits import window_of
from xero_sandbox.model import Invoice
from xero_sandbox.seed import Books, uk_organisation

TICK = 5
"""Seconds between two ticks of `jobs.tick`."""
LATE = timedelta(seconds=60)
"""How late a sync may start."""
CALL = 0.35
"""Seconds that a call takes."""
PICKED_UP = 2.0
"""Seconds at most until a worker takes a job up."""
DAY = timedelta(days=1)
SYDNEY = "AUSEASTERNSTANDARDTIME"
AUCKLAND = "NEWZEALANDSTANDARDTIME"
LONDON = "GMTSTANDARDTIME"
NEW_YORK = "EASTERNSTANDARDTIME"
ZONES = (SYDNEY, AUCKLAND, LONDON, NEW_YORK)
"""As Xero names them."""

# docs/performance.md, "Calls"; every list of these organisations fits on one page.
INCREMENT = 3
ORGANISATION = 1
AUDIT = INCREMENT + 5 + 3
SENDING = 3


@dataclass
class Watched:
    """One organisation, and what it should have cost.

    `news`: Xero has something that no sync has read. `edits`, `pays`: changes here that wait.
    `silent`: a change without a stamp waits for an audit; `drift`: how many audits had one.
    `expected`, `counted`: calls by the day (UTC) on which they were made.
    """

    connection: Connection
    tenant: str
    anchor: datetime
    news: bool = False
    edits: bool = False
    pays: bool = False
    silent: bool = False
    drift: int = 0
    expected: Counter[date] = field(default_factory=Counter)
    counted: Counter[date] = field(default_factory=Counter)
    so_far: int = 0

    @property
    def zone(self) -> ZoneInfo:
        """The organisation's own."""
        return ZoneInfo(self.connection.time_zone)

    @property
    def both_ways(self) -> bool:
        """Do changes of ours go to Xero?"""
        return self.connection.direction == Connection.Direction.TWO


class Machine(World):
    """A local Xero with as many organisations as there are `zones`, all of one business."""

    def __init__(self, seed: int, zones: Sequence[str], start: datetime, sales: int = 4) -> None:
        super().__init__(seed, countries=(), now=start)
        self.random = Random(f"time machine {seed}")
        self.zones = tuple(zones)
        self.sales_each = sales
        self.watched: list[Watched] = []
        self.events: list[tuple[datetime, Callable[[], None]]] = []
        self.restless = False
        self.schedulers = 1
        self.tap.before = lambda call: self.frozen.advance(CALL if call.tenant else 0)

    def tenant(self, country: str = "GB") -> str:
        """Organisations are named by their id here."""
        return country

    def settle(self, business: Business, *, two_way: int = 0) -> None:
        """Connect every organisation, within one tick; the first `two_way` both ways."""
        tenants = [self._organisation(*pair) for pair in enumerate(self.zones)]
        for number, tenant in enumerate(tenants):
            scopes = oauth.WRITE_SCOPES if number < two_way else oauth.READ_SCOPES
            connection = self.connect(business, tenant, scopes)
            anchor = connection.connected_at or self.frozen.now()
            self.watched.append(Watched(connection, tenant, anchor))
        for number, one in enumerate(self.watched):
            self.sync(one.connection)
            if number < two_way:
                go_two_way(one.connection)
        self.http.post("/sandbox/reset-log")
        self._each_midnight()

    def _organisation(self, number: int, zone: str) -> str:
        now = self.frozen.now()
        organisation = replace(
            uk_organisation(self.random, now), timezone=zone, name=f"Zone {number} <b>{zone}"
        )
        books = Books(organisation, self.random, now)
        buyer = books.contact(HOSTILE)
        for index in range(self.sales_each):
            books.sale(buyer, ("open", "part", "open", "paid")[index % 4], 1 + index)
        self.app.store.add_organisation(
            replace(organisation, next_number=books.count + 1), books.records()
        )
        return organisation.id

    # --- what people do ------------------------------------------------------------------------

    def at(self, moment: datetime, event: Callable[[], None]) -> None:
        """Let something happen at a moment of Xero's clock."""
        self.events.append((moment, event))
        self.events.sort(key=lambda pair: pair[0])

    def busy(self, first: datetime, days: int, each: int = 3) -> None:
        """So many changes a day in every organisation, in Xero and here, at random times that
        leave a sync's length to midnight."""
        for day in range(days):
            for one in self.watched:
                acts = [self.in_xero] * each + [self.silently]
                acts += [self.edited_here] * each + [self.paid_here] if one.both_ways else []
                for act in acts:
                    seconds = self.random.randrange(600, 86_400 - 600)
                    self.at(first + day * DAY + timedelta(seconds=seconds), partial(act, one))

    def in_xero(self, one: Watched) -> None:
        """Somebody works in Xero, on other invoices than people here."""
        theirs = [i for i in self.sales(one.tenant) if i.status == "AUTHORISED"]
        invoice = self.random.choice(theirs[1:])  # the first is for people here
        done = self.random.choice([self._edit, self._record, self._create])(one, invoice)
        one.news = one.news or done is not None

    def _edit(self, one: Watched, invoice: Invoice) -> object:
        text = f"{HOSTILE} {self.random.random()}"
        return self.try_act("edit-invoice", one.tenant, invoice=invoice.id, reference=text)

    def _record(self, one: Watched, invoice: Invoice) -> object:
        return self.try_act("record-payment", one.tenant, invoice=invoice.id, amount="0.01")

    def _create(self, one: Watched, invoice: Invoice) -> object:
        given = {"contact": invoice.contact_id, "description": HOSTILE, "unit_amount": "12.34"}
        return self.try_act("create-invoice", one.tenant, **given)

    def silently(self, one: Watched) -> None:
        """Something changes in Xero that moves no stamp (F8): only an audit can see it."""
        paid = next(i for i in self.sales(one.tenant) if i.status == "PAID")
        url = f"https://example.com/{self.random.random()}"
        self.app.store.save(one.tenant, replace(paid, url=url))
        one.silent = True

    def edited_here(self, one: Watched) -> None:
        """Somebody here changes a bill."""
        edit(self._bill(one), reference=f"{HOSTILE} {self.random.random()}")
        one.edits, self.restless = True, True

    def paid_here(self, one: Watched) -> None:
        """Somebody here records a payment."""
        pay(self._bill(one), one.connection, Decimal("0.01"), self.frozen.now().date())
        one.pays, self.restless = True, True

    def _bill(self, one: Watched) -> Bill:
        return Bill.objects.get(link__invoice_id=self.sales(one.tenant)[0].id)

    # --- the clock jumps -------------------------------------------------------------------------

    def live_until(self, end: datetime) -> None:
        """Jump from one thing that happens to the next, until `end` by Xero's clock."""
        while (moment := self._next()) < end:
            self._jump(moment)
            while self.events and self.events[0][0] <= self.frozen.now():
                self.events.pop(0)[1]()
            self.tick()
        self._jump(end)

    def _jump(self, moment: datetime) -> None:
        self.frozen.advance(max((moment - self.frozen.now()).total_seconds(), 0))

    def _next(self) -> datetime:
        """The next event, or the tick at which the scheduler would next find something."""
        ahead = timedelta(seconds=self.clock.ahead)
        now = self.clock.now()
        rows = Connection.objects.filter(state=Connection.State.LIVE, next_due_at__isnull=False)
        moments = [max(due, blocked or due) for due, blocked in rows.values_list(*_DUE)]
        moments += [now] if self.restless else []
        ticks = [tick_at(moment, now) - ahead for moment in moments]
        return min([*ticks, *(at for at, _ in self.events[:1])])

    def tick(self) -> None:
        """What the worker does now: the tick decides, then the jobs run one after the other."""
        for _ in range(self.schedulers):
            jobs.start_due(self.clock.now())
        queued = _queued()
        self.restless = Run.Cause.EDIT in [cause for _, cause in queued]
        for pk, cause in queued:
            one = next(w for w in self.watched if w.connection.pk == pk)
            self.frozen.advance(self.random.random() * PICKED_UP)
            day = self.frozen.now().date()
            run = runs.run_sync(pk, cause=Run.Cause(cause), clock=self.clock)
            if run is not None:
                one.expected[day] += self._cost(one, run)

    def _cost(self, one: Watched, run: Run) -> int:
        """What this run should have cost, by the formula."""
        sent = SENDING * (one.edits + one.pays)
        asked = ORGANISATION * (one.news or bool(sent))
        paid, one.edits, one.pays = one.pays, False, False
        if run.kind == Run.Kind.PUSH:
            one.news = one.news or paid
            return sent + ORGANISATION * bool(sent)
        one.news = paid  # our own payment has a record of its own, which is new here
        if run.kind == Run.Kind.INCREMENT:
            return INCREMENT + asked + sent
        one.drift += one.silent
        one.silent = False
        return AUDIT + sent

    # --- what is counted -----------------------------------------------------------------------

    def _each_midnight(self) -> None:
        now = self.frozen.now()
        midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + DAY
        self.at(midnight, self.count)

    def count(self) -> None:
        """Ask the local Xero how many calls it has seen since the last midnight."""
        day = (self.frozen.now() - timedelta(seconds=1)).date()
        counts = self.http.get("/sandbox/counts").json()
        for one in self.watched:
            total = int(counts.get(one.tenant, {}).get("total", 0))
            one.counted[day] += total - one.so_far
            one.so_far = total
        self._each_midnight()


_DUE = ("next_due_at", "blocked_until")


def tick_at(moment: datetime, now: datetime) -> datetime:
    """The first tick at or after a moment, and after now."""
    seconds = max(moment, now + timedelta(milliseconds=1)).timestamp()
    return datetime.fromtimestamp(-(-seconds // TICK) * TICK, UTC)


def _queued() -> list[tuple[int, str]]:
    """The jobs that wait, taken from the queue."""
    with databases["default"].cursor() as cursor:
        cursor.execute(
            "DELETE FROM procrastinate_jobs WHERE status = 'todo' AND task_name = %s "
            "RETURNING id, args->>'connection_id', args->>'cause'",
            [TASK],
        )
        return [(int(pk), cause) for _, pk, cause in sorted(cursor.fetchall())]


# --- what must hold ------------------------------------------------------------------------------


def cycles(one: Watched) -> list[datetime]:
    """When the scheduled syncs of an organisation started."""
    found = Run.objects.filter(connection=one.connection, cause=Run.Cause.SCHEDULE)
    return list(found.order_by("pk").values_list("started_at", flat=True))


def slots(one: Watched) -> list[int]:
    """Which cycle of the schedule each start belongs to; it raises if one is late or early.

    Cycle n is due n intervals after the connection was made, counted in seconds (F14).
    """
    interval = one.connection.interval_minutes * 60
    found = []
    for start in cycles(one):
        slot, late = divmod((start - one.anchor).total_seconds(), interval)
        if late > LATE.total_seconds():
            raise AssertionError(f"{one.connection}: started {late} s after it was due")
        found.append(int(slot))
    return found


def by_day(one: Watched, zone: tzinfo) -> Counter[date]:
    """How many scheduled syncs started on each day of a calendar."""
    return Counter(start.astimezone(zone).date() for start in cycles(one))


def most_in_a_minute(machine: Machine, one: Watched) -> int:
    """The most calls of an organisation within any 60 seconds."""
    times = [call.at for call in machine.calls if call.tenant == one.tenant]
    most = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= timedelta(seconds=60):
            first += 1
        most = max(most, last - first + 1)
    return most


def by_xeros_day(machine: Machine, one: Watched) -> Counter[int]:
    """Calls that Xero took, by its own days, which begin at each organisation's own second."""
    taken = (call for call in machine.calls if call.tenant == one.tenant and call.status != 429)
    return Counter(window_of(one.tenant, limits.DAY, call.at) for call in taken)


def metered(one: Watched) -> int:
    """Calls as our own meter has them."""
    rows = Meter.objects.filter(tenant_id=one.tenant)
    return int(rows.aggregate(all=Sum("calls"))["all"] or 0)


def differences(machine: Machine) -> list[str]:
    """What `verify` finds in every organisation."""
    found = [(one, verify(one.connection, machine.clock)) for one in machine.watched]
    return [f"{one.connection}: {d}" for one, report in found for d in report.differences]
