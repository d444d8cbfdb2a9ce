"""A small Xero and our books beside it, with a memory of everything that passed between them.

Everything that tries to break the sync works on a `World`: few invoices, up to three
organisations, our clock beside Xero's (they need not agree), every call written down, every
version that an invoice ever had in Xero, and what people here typed. `checkers` judge it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any

import httpx2
from msgspec.structs import replace
from tests.fixtures.xero import NOW, TestClock, Xero, go_two_way

from justpayme.accounts.models import Business, Membership, User
from justpayme.core import schedule
from justpayme.core.entry import BillEntry
from justpayme.sync import outbox, runs
from justpayme.sync.models import IN_FLIGHT, Connection, OutboxItem, Run
from justpayme.sync.under_way import WATCH
from justpayme.xero import oauth
from xero_sandbox import Store, act
from xero_sandbox.given import BadInput
from xero_sandbox.late import Late
from xero_sandbox.model import Contact, Invoice, Organisation
from xero_sandbox.rules import Refused
from xero_sandbox.seed import Books, nz_organisation, uk_organisation
from xero_sandbox.store import Ledger

COUNTRIES = ("GB", "NZ", "AU")
STORIES = ("open", "part", "open", "paid", "draft", "open", "voided", "part-credit", "twice")
"""What the invoices of a small organisation went through; the first ones are made first."""
CUSTOMERS = ("O'Brien & <b>Söhne</b>", "=SUM(A1) שלום", "株式会社🎉")


@dataclass(slots=True)
class Call:
    """One request as it left: `at` by Xero's clock, `mark` as `World.marks` counts.

    `by` is the connection that a job was working for, if one was. `alone`: whoever asked still
    held the locks that keep others from asking the same.
    """

    mark: int
    at: datetime
    method: str
    path: str
    tenant: str
    key: str
    params: str
    body: bytes
    request: httpx2.Request
    by: int | None = None
    status: int = 0
    answered: datetime | None = None
    retry_after: float | None = None
    problem: str = ""
    alone: bool = True

    @property
    def changes_xero(self) -> bool:
        """Would this call change the books of an organisation?"""
        return self.method != "GET" and "/api.xro/" in self.path


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that calls must respect from here on: a connection ended, its direction changed."""

    number: int
    connection: int
    what: str


@dataclass(frozen=True, slots=True)
class Typed:
    """A value that a person here gave a field of a bill, and the history entry that tells it."""

    bill: int
    field: str
    value: Any
    entry: int


@dataclass(frozen=True, slots=True)
class Received:
    """A payment that a person here recorded on a bill of an organisation."""

    bill: int
    amount: Decimal
    marker: str


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A payment that a person here took back: its marker and its id in Xero, as far as it had
    them by then, and whether Xero was to hear of it."""

    bill: int
    amount: Decimal
    marker: str
    remote_id: str
    sent: bool


class Body(httpx2.SyncByteStream):
    """An answer's body. What breaks in it looks as it does through a socket."""

    def __init__(self, inner: Any, request: httpx2.Request) -> None:
        self.inner = inner
        self.request = request

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.inner
        except ConnectionResetError as error:
            raise httpx2.ReadError(str(error), request=self.request) from error

    def close(self) -> None:
        self.inner.close()


class Tap(httpx2.BaseTransport):
    """The way to Xero. Writes down every call; `before` and `after` are for who listens."""

    def __init__(self, world: World, inner: httpx2.BaseTransport) -> None:
        self.world = world
        self.inner = inner
        self.before: Callable[[Call], None] = lambda call: None
        self.after: Callable[[Call], None] = lambda call: None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        call = self.world.note_call(request)
        self.before(call)
        try:
            answer = self.inner.handle_request(request)
        except httpx2.TransportError:
            self.after(call)
            raise
        call.status, call.answered = answer.status_code, self.world.frozen.now()
        call.problem = answer.headers.get("x-rate-limit-problem", "")
        wait = answer.headers.get("retry-after", "")
        call.retry_after = _seconds(wait, call.answered)
        answer.stream = Body(answer.stream, request)
        self.after(call)
        return answer


def _seconds(wait: str, now: datetime) -> float | None:
    """What a Retry-After asks for, in seconds or as a date; None if nothing that makes sense."""
    if wait.isdigit():
        return float(wait)
    try:
        return (parsedate_to_datetime(wait) - now).total_seconds()
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class Form:
    """A bill as somebody read it who will write it back later. `seen`: its moment, so that a
    change meanwhile is a clash; None for a program that does not ask."""

    member: int
    bill: int
    entry: BillEntry
    seen: datetime | None


@dataclass(frozen=True)
class Kept:
    """A moment of Xero's books."""

    books: dict[str, tuple[Organisation, list[Any]]]
    shelves: dict[str, dict[str, Any]]
    now: datetime
    marks: list[Mark]
    secrets: set[str]
    expired: set[str]
    seen: set[str]


_SHELVES = ("connections", "codes", "refresh_tokens", "settings", "answers")


class OurClock(TestClock):
    """Our clock: `ahead` of Xero's by so many seconds, while the monotonic one only goes on."""

    def __init__(self, world: World) -> None:
        super().__init__(world.frozen)
        self.ahead = 0.0
        self.jumps = 0

    def now(self) -> datetime:
        return self.sandbox.now() + timedelta(seconds=self.ahead)


class World(Xero):
    """A small local Xero with a memory. `seed` decides ids and amounts."""

    def __init__(
        self, seed: int = 1, countries: Sequence[str] = ("GB",), sales: int = 5, now: datetime = NOW
    ) -> None:
        store = Store()
        random = Random(f"world {seed}")
        self.countries = tuple(countries)
        for country in countries:
            small_organisation(store, random, now, country, sales)
        super().__init__(store)
        self.frozen.advance((now - NOW).total_seconds())
        self.clock: OurClock = OurClock(self)
        self.app.sleep = self.frozen.advance
        self.tap = Tap(self, self.transport)
        self.transport = self.tap
        self.calls: list[Call] = []
        self.marks: list[Mark] = []
        self.typed: list[Typed] = []
        self.received: list[Received] = []
        self.taken_back: list[TakenBack] = []
        self.by_hand: set[str] = set()
        self.silent = False
        self.secrets: set[str] = set()
        self.working_for: Callable[[], int | None] = lambda: None
        self.versions: dict[str, list[Invoice]] = defaultdict(list)
        self.contacts: dict[str, Contact] = {}
        self.forms: list[Form] = []
        for ledger in store.ledgers.values():
            for invoice in ledger.invoices.rows.values():
                self.versions[invoice.id].append(invoice)
            self.contacts |= ledger.contacts.rows
        self.app.store.on_saved.append(self._saved)
        self.app.identity.token = self._given_out(self.app.identity.token)

    # --- memory --------------------------------------------------------------------------------

    def _saved(self, tenant: str, changes: Sequence[tuple[Any, Any]]) -> None:
        for old, new in changes:
            if isinstance(new, Invoice):
                self.versions[new.id].append(new)
                self.silent |= isinstance(old, Invoice) and old.updated == new.updated
            elif isinstance(new, Contact):
                self.contacts.setdefault(new.id, new)

    def note_call(self, request: httpx2.Request) -> Call:
        """Write a call down as it leaves."""
        call = Call(
            mark=len(self.marks),
            at=self.frozen.now(),
            method=request.method,
            path=request.url.path,
            tenant=request.headers.get("xero-tenant-id", ""),
            key=request.headers.get("idempotency-key", ""),
            params=request.url.query.decode(),
            body=request.read() if request.method != "GET" else b"",
            request=request,
            by=self.working_for(),
        )
        if "/sandbox/" not in call.path and "/identity/" not in call.path:
            self.calls.append(call)
        return call

    def _given_out(self, give: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """Remember every token that is given out, so that none turns up anywhere else."""

        def token(form: Any, now: datetime) -> dict[str, Any]:
            given = give(form, now)
            self.secrets |= {given[n] for n in ("access_token", "refresh_token") if n in given}
            return given

        return token

    def mark(self, connection: Connection | int, what: str) -> None:
        """Say that from the next call on something else holds: `live`, `disconnected`, `one`,
        `two`."""
        pk = connection if isinstance(connection, int) else connection.pk
        self.marks.append(Mark(len(self.marks) + 1, pk, what))

    # --- going back ----------------------------------------------------------------------------

    def keep(self) -> Kept:
        """Both Xero's books and the memory as they are now."""
        store = self.app.store
        books = {t: (x.organisation, x.records()) for t, x in store.ledgers.items()}
        shelves = {name: dict(getattr(store, name)) for name in _SHELVES}
        identity = self.app.identity
        return Kept(
            books,
            shelves,
            self.frozen.now(),
            list(self.marks),
            set(self.secrets),
            set(identity._expired),
            set(identity._seen),
        )

    def rewind(self, kept: Kept) -> None:
        """Everything in Xero is as it was; nothing has been called or typed since."""
        store, app = self.app.store, self.app
        store.ledgers.clear()
        self.versions.clear()
        self.contacts.clear()
        self.forms.clear()
        for tenant, (organisation, records) in kept.books.items():
            store.ledgers[tenant] = Ledger(organisation)
            store.ledgers[tenant].load(records)
            for record in records:
                if isinstance(record, Invoice):
                    self.versions[record.id].append(record)
                elif isinstance(record, Contact):
                    self.contacts[record.id] = record
        for name, shelf in kept.shelves.items():
            getattr(store, name).clear()
            getattr(store, name).update(shelf)
        app.identity._expired, app.identity._seen = set(kept.expired), set(kept.seen)
        app.log.reset()
        app.limits.reset()
        app.faults.remove()
        app.late = Late()
        app.webhooks.drop()
        self.frozen.advance((kept.now - self.frozen.now()).total_seconds())
        self.clock.ahead, self.clock.jumps = 0.0, 0
        self.calls, self.typed, self.received, self.taken_back = [], [], [], []
        self.by_hand, self.silent = set(), False
        self.marks, self.secrets = list(kept.marks), set(kept.secrets)

    # --- Xero's side ---------------------------------------------------------------------------

    def try_act(self, action: str, country: str = "GB", **given: object) -> dict[str, Any] | None:
        """Do something as the Xero user, without a door between; None where Xero says no."""
        try:
            done = act.act(self.app, action, {"tenant": self.tenant(country), **given})
        except (BadInput, Refused):
            return None
        if action in ("record-payment", "redo-payment"):
            self.by_hand.add(str(done["PaymentID"]))
        return done

    def sales(self, country: str = "GB") -> list[Invoice]:
        """Sales invoices in a stable order."""
        rows = self.ledger(country).invoices.rows.values()
        return sorted((i for i in rows if i.type == "ACCREC"), key=lambda i: (i.number, i.id))

    def country_of(self, connection: Connection) -> str:
        """Which of the organisations this is."""
        return str(self.app.store.ledgers[str(connection.tenant_id)].organisation.country)

    # --- our side ------------------------------------------------------------------------------

    def connect_two_way(
        self, business: Business, country: str = "GB", *, drafts: bool = False
    ) -> Connection:
        """A bidirectional organisation, imported, with its drafts or without."""
        connection = self.connect(business, country, scopes=oauth.WRITE_SCOPES)
        Connection.objects.filter(pk=connection.pk).update(import_drafts=drafts)
        self.mark(connection, "live")
        run = self.sync(connection)
        if run.state != Run.State.DONE:
            raise AssertionError(run.error_text)
        go_two_way(connection)
        self.mark(connection, "two")
        return connection


def small_organisation(
    store: Store, random: Random, now: datetime, country: str, sales: int
) -> Organisation:
    """Add an organisation with a handful of invoices, one supplier's bill and three customers."""
    books = Books(_organisation(country, random, now), random, now)
    books.count = random.randrange(40)
    buyers = [books.contact(name) for name in CUSTOMERS]
    for index in range(sales):
        story = STORIES[index % len(STORIES)]
        books.sale(buyers[index % len(buyers)], story, random.randrange(1, 60))
    books.purchase(books.contact("A supplier"), 1)
    organisation = replace(books.organisation, next_number=books.count + 1)
    store.add_organisation(organisation, books.records())
    return organisation


def _organisation(country: str, random: Random, now: datetime) -> Organisation:
    if country == "NZ":
        return nz_organisation(random, now)
    british = uk_organisation(random, now)
    if country == "GB":
        return british
    return replace(
        british,
        name="Down <i>Under</i> Pty",
        country="AU",
        short_code="!aU1",
        timezone="AUSEASTERNSTANDARDTIME",
    )


def people_of(name: str, currency: str = "GBP") -> Membership:
    """A business with its owner."""
    business = Business.objects.create(name=name, currency=currency)
    user = User.objects.create(email=f"{business.pk}@example.com", name=name, password="!")
    return Membership.objects.create(user=user, business=business, role=Membership.Role.OWNER)


# --- until nothing moves any more ----------------------------------------------------------------


def new_process() -> None:
    """What a process knew by its own clock, and which syncs it was at, is gone."""
    WATCH._seen.clear()
    runs._mine.clear()


def next_moment(world: World, connection: Connection) -> datetime | None:
    """When something is due next for a live connection, by our clock; None if nothing waits."""
    connection.refresh_from_db()
    if not connection.is_live:
        return None
    flying = OutboxItem.objects.filter(connection=connection, state__in=IN_FLIGHT)
    moments = [m or world.clock.now() for m in flying.values_list("not_before", flat=True)]
    if outbox.has_work(connection, world.clock.now()):
        moments.append(world.clock.now())
    late = [
        x.due + timedelta(seconds=world.clock.ahead) for x in world.app.late.all() if not x.status
    ]
    if connection.failures or connection.next_due_at is None:
        moments.append(connection.next_due_at or world.clock.now())
    found = min([*moments, *late], default=None)
    return found and max(found, world.clock.now() + _held_up(world, connection))


def _held_up(world: World, connection: Connection) -> timedelta:
    """How long Xero still makes us wait."""
    until, now = connection.blocked_until, world.clock.now()
    return until - now if until is not None and schedule.waits(until, now) else timedelta()


def sync(world: World, connection: Connection, cause: Run.Cause = Run.Cause.SCHEDULE) -> Run | None:
    """One run as the schedule starts it, if one may start."""
    return runs.run_sync(connection.pk, cause=cause, clock=world.clock)


def quiet(world: World, *connections: Connection, audit: bool = False, rounds: int = 40) -> None:
    """Faults off; jump from one due moment to the next until nothing moves; then look once more
    at everything (`audit`: at every invoice, for what Xero changed without a stamp).

    Raises AssertionError if it does not end, or if the last look fails.
    """
    world.heal()
    for connection in connections:
        for _ in range(rounds):
            moment = next_moment(world, connection)
            if moment is None:
                break
            world.clock.advance(max((moment - world.clock.now()).total_seconds(), 0) + 1)
            world.app.late.land(world.frozen.now())
            sync(world, connection)
        else:
            raise AssertionError(f"{connection} is not quiet after {rounds} runs")
    for _ in range(rounds):
        before = len(world.calls)
        for connection in connections:
            if connection.is_live:
                _last_look(world, connection, audit)
        # What one business sends only now, another of the same organisation has not seen.
        shared = len({c.tenant_id for c in connections}) < len(connections)
        if not (shared and any(call.changes_xero for call in world.calls[before:])):
            return
    raise AssertionError(f"something still leaves after {rounds} looks")


def _last_look(world: World, connection: Connection, audit: bool) -> None:
    connection.refresh_from_db()
    world.clock.advance(61 + _held_up(world, connection).total_seconds())
    if audit:
        Connection.objects.filter(pk=connection.pk).update(audited_at=None)
    run = sync(world, connection)
    connection.refresh_from_db()
    if connection.state == Connection.State.LOST:
        return  # only now it heard that Xero lets it in no more
    if run is None or run.state != Run.State.DONE:
        raise AssertionError(f"the last look failed: {run and run.error_text}")
    if audit and run.kind == Run.Kind.IMPORT:
        _last_look(world, connection, audit)  # it went on from where it was: not every invoice
