"""The dangerous pairs: two that get in each other's way, and what must hold however they meet."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import DatabaseError
from tests.breaker.interleave import Duet, Played, Work
from tests.breaker.world import World, new_process, quiet

from justpayme.accounts.models import Membership
from justpayme.bills import actions as bills
from justpayme.bills.models import Bill
from justpayme.core.entry import PaymentEntry
from justpayme.core.outbox import has_marker
from justpayme.integrations import actions, direction
from justpayme.sync import jobs, runs, tokens, webhooks
from justpayme.sync.models import IN_FLIGHT, Conflict, Connection, Link, OutboxItem, Run, TokenSet
from justpayme.sync.verify import verify
from justpayme.xero.webhook import Event

HERE = "127.0.0.1"
State, Kind = OutboxItem.State, OutboxItem.Kind
TYPED = "typed <b>here</b> Ω"


@dataclass
class Scene:
    """Both books, two workers, and the two bills that they work on.

    `thorough`: judge with one more sync and the product's own comparison of everything, not only
    of the two bills.
    """

    world: World
    owner: Membership
    connection: Connection
    duet: Duet
    edited: Bill
    paid: Bill
    memory: dict[str, Any] = field(default_factory=dict)
    thorough: bool = True

    @property
    def act(self) -> bills.Act:
        """Alice, now."""
        return bills.Act(self.owner, self.world.clock.now())

    def type(self, bill: Bill, **values: Any) -> None:
        """Edit a bill as Alice does: told that it has changed meanwhile, she looks and edits it
        again."""
        self.memory["typed"] = True
        while True:
            row = Bill.objects.get(pk=bill.pk)
            entry = replace(bills.entry_of(row), **values)
            with suppress(bills.Changed):
                bills.bill_edit(act=self.act, bill_id=row.pk, entry=entry, seen=row.updated_at)
                return

    def pay(self, bill: Bill, amount: str) -> None:
        """Record a payment as Alice."""
        entry = PaymentEntry(Decimal(amount), date(2026, 11, 21), "thanks")
        bills.payment_record(act=self.act, bill_id=bill.pk, entry=entry)

    def run(self, cause: Run.Cause) -> Run | None:
        """What a worker's job does."""
        return runs.run_sync(self.connection.pk, cause=cause, clock=self.world.clock)

    def push(self) -> Run | None:
        """A worker sends what waits."""
        return self.run(Run.Cause.EDIT)

    def now(self) -> Connection:
        """The organisation, as its row is now."""
        return Connection.objects.get(pk=self.connection.pk)

    def sent(self) -> list[str]:
        """What changed Xero, by path."""
        return [call.path for call in self.world.calls if call.changes_xero]

    def quiet(self) -> None:
        """New processes; then until nothing moves any more."""
        self.duet.new_processes()
        new_process()
        jobs.recover_dead_runs(self.world.clock.now())
        quiet(self.world, self.now())


@dataclass(frozen=True)
class Pair:
    """`arrange` sets the scene once; `works` are the two; `judge` says what went wrong, as a list.
    `fair`: both may begin; else nothing new would come of it."""

    name: str
    arrange: Callable[[Scene], None]
    works: Callable[[Scene], tuple[Work, Work]]
    judge: Callable[[Scene, Played], list[str]]
    fair: bool = True


# --- judging -----------------------------------------------------------------------------------


def in_order(scene: Scene) -> list[str]:
    """After recovery: both books are equal, each thing happened once, nothing is under way."""
    if _moving() or _unequal(scene) or scene.thorough:
        scene.quiet()
    found = [f"still under way: {item}" for item in _moving()] + _unequal(scene)
    if scene.thorough:
        report = verify(scene.now(), scene.world.clock)
        found += [f"{d.number} {d.field}: {d.ours} / {d.xero}" for d in report.differences]
    return found + once(scene) + kept(scene)


def _moving() -> list[OutboxItem]:
    return list(OutboxItem.objects.filter(state__in=(State.WAITING, *IN_FLIGHT)))


def _unequal(scene: Scene) -> list[str]:
    """What of the two bills in play is not as in Xero."""
    links = Link.objects.filter(bill__in=(scene.edited, scene.paid)).select_related("bill")
    ledger, found = scene.world.ledger(), []
    for link in links.defer("raw", "base"):
        invoice, bill = ledger.invoices.rows[str(link.invoice_id)], link.bill
        ours = (bill.reference, bill.url, bill.total, bill.outstanding, bill.paid)
        theirs = (
            invoice.reference,
            invoice.url or "",
            invoice.total,
            invoice.amount_due,
            invoice.amount_paid,
        )
        if ours != theirs:
            found.append(f"{bill.number}: {ours} / {theirs}")
    return found


def once(scene: Scene) -> list[str]:
    """I-13: no payment is in Xero twice, and a done one is there."""
    references = [p.reference for p in scene.world.ledger().payments.rows.values()]
    found = []
    for item in OutboxItem.objects.filter(kind=Kind.PAY):
        count = sum(has_marker(r, item.marker) for r in references)
        if count > 1 or (item.state == State.DONE and not count):
            found.append(f"payment {item.pk} is {item.state} and {count} times in Xero")
    return found


def kept(scene: Scene) -> list[str]:
    """I-27: what was typed is in Xero, or kept as a conflict."""
    if not scene.memory.get("typed"):
        return []
    bill = Bill.objects.get(pk=scene.edited.pk)
    kept = Conflict.objects.filter(bill=bill, unit="reference").values_list("ours", flat=True)
    if bill.reference == TYPED or any(ours.get("reference") == TYPED for ours in kept):
        return []
    return ["what was typed is lost"]


def no_errors(played: Played, *known: type[BaseException]) -> list[str]:
    """Nobody was told of anything but what is `known`."""
    errors = (e for e in played.errors if e is not None)
    return [f"{type(e).__name__}: {e}" for e in errors if not isinstance(e, known)]


def one_at_a_time(played: Played) -> list[str]:
    """I-42: neither run failed, and the later one began after the earlier had ended."""
    done = [r for r in played.results if isinstance(r, Run)]
    found = [f"run {r.pk} failed: {r.error_text}" for r in done if r.state == Run.State.FAILED]
    begun = _taken(played, 'INSERT INTO "sync_run"')
    ended = _taken(played, "UPDATE sync_run SET state = %s, error_code")
    if len(begun) == 2:
        earlier = min(begun, key=begun.__getitem__)
        end, later = ended.get(earlier), begun[1 - earlier]
        if end is None or later < end:
            found.append(f"a run began as step {later} was taken, the other ended at {end}")
    return found


def _taken(played: Played, what: str) -> dict[int, int]:
    """When each actor took its first step of this kind, if it did."""
    steps = {actor: first(played, actor, what) for actor in (0, 1)}
    return {actor: played.taken[n] for actor, n in steps.items() if n is not None}


# --- refresh and refresh -----------------------------------------------------------------------


def _nearly_expired(scene: Scene) -> None:
    scene.world.clock.advance(29.5 * 60)


def _two_refreshes(scene: Scene) -> tuple[Work, Work]:
    held, now = TokenSet.objects.get(), scene.world.clock.now()

    def refresh() -> str:
        return tokens.access_token(held, now)

    return refresh, refresh


def _one_refresh(scene: Scene, played: Played) -> list[str]:
    """I-33, I-34."""
    asked = [call.path for call in scene.world.calls if call.path == "/connect/token"]
    stored = tokens.access_token(TokenSet.objects.get(), scene.world.clock.now())
    found = no_errors(played)
    if len(asked) != 1:
        found.append(f"{len(asked)} refreshes")
    if set(played.results) != {stored}:
        found.append("they do not have the stored token")
    return found


# --- push and push -----------------------------------------------------------------------------


def _a_payment_waits(scene: Scene) -> None:
    scene.pay(scene.paid, "10")


def _an_edit_waits(scene: Scene) -> None:
    scene.type(scene.edited, reference=TYPED)


def _two_pushes(scene: Scene) -> tuple[Work, Work]:
    return scene.push, scene.push


def _sent_once(scene: Scene, played: Played) -> list[str]:
    """I-13, I-23, I-42."""
    found = no_errors(played) + one_at_a_time(played)
    if len(scene.sent()) > 1:
        found.append(f"more left than was there: {scene.sent()}")
    return found + in_order(scene)


# --- push and disconnect, push and one-directional ---------------------------------------------


def _push_and_disconnect(scene: Scene) -> tuple[Work, Work]:
    def leave() -> Any:
        now = scene.world.clock.now()
        return actions.disconnect(
            by=scene.owner, connection=scene.connection, address=HERE, now=now
        )

    return scene.push, leave


def _push_and_one_way(scene: Scene) -> tuple[Work, Work]:
    def switch() -> Any:
        now = scene.world.clock.now()
        return direction.go_one_way(
            by=scene.owner, connection=scene.connection, address=HERE, now=now
        )

    return scene.push, switch


_MAY_CALL = re.compile("FROM sync_run AS run JOIN sync_connection")
_MAY_WRITE = re.compile("FROM sync_connection WHERE id = %s AND state = %s AND direction")
"""How a worker looks whether it may: among the last statements before each call."""


def late_calls(played: Played, end: int, look: re.Pattern[str], *, reads: bool) -> list[str]:
    """Calls of the first actor after step `end` of the other, but for one before which it had
    looked already whether it may: that one is under way."""
    taken, found, looked = played.taken, [], -1
    for number in sorted(taken, key=taken.__getitem__):
        step = played.steps[number]
        if step.actor == 0 and look.search(step.what):
            looked = taken[number]
        if step.actor == 0 and _is_call(step.what, reads):
            if taken[number] > taken[end] and not 0 <= looked < taken[end]:
                found.append(f"step {number} after the end at step {end}: {step.what}")
            looked = -1
    return found


def first(played: Played, actor: int, what: str) -> int | None:
    """The first step of this kind."""
    steps = enumerate(played.steps)
    return next((n for n, s in steps if s.actor == actor and s.what.startswith(what)), None)


def _is_call(what: str, reads: bool) -> bool:
    return "/api.xro/" in what and (reads or not what.startswith("GET"))


def _after_the_verb(played: Played, look: re.Pattern[str], *, reads: bool) -> list[str]:
    end = first(played, 1, "COMMIT")
    return [] if end is None else late_calls(played, end, look, reads=reads)


def _nothing_after_the_end(scene: Scene, played: Played) -> list[str]:
    """I-37, I-38: and on return nothing is doubled."""
    found = no_errors(played) + _after_the_verb(played, _MAY_CALL, reads=True)
    if OutboxItem.objects.exclude(state__in=(State.CANCELLED, State.DONE)).exists():
        found.append("something still waits to be sent")
    if Bill.objects.count() != scene.memory["bills"]:
        found.append("bills are gone")
    before = len(scene.world.calls)
    scene.world.clock.advance(3600)
    jobs.start_due(scene.world.clock.now())
    if scene.run(Run.Cause.SCHEDULE) is not None or len(scene.world.calls) != before:
        found.append("a run started after the end")
    return found + once(scene)


def _nothing_sent_after(scene: Scene, played: Played) -> list[str]:
    """I-36, I-27."""
    found = no_errors(played) + _after_the_verb(played, _MAY_WRITE, reads=False)
    return found + in_order(scene)


# --- pull and edit -----------------------------------------------------------------------------


def _changed_in_xero(scene: Scene) -> None:
    scene.world.act("edit-invoice", invoice=scene.edited.number, url="https://x.test/theirs")


def _pull_and_edit(scene: Scene) -> tuple[Work, Work]:
    def pull() -> Run | None:
        return scene.run(Run.Cause.PERSON)

    def edit() -> None:
        scene.type(scene.edited, reference=TYPED)

    return pull, edit


def _nothing_typed_is_lost(scene: Scene, played: Played) -> list[str]:
    """I-10, I-27, I-28: the two changed different things, so both stand."""
    found = no_errors(played) + one_at_a_time(played)
    bill = Bill.objects.get(pk=scene.edited.pk)
    if (bill.reference, bill.url) != (TYPED, "https://x.test/theirs"):
        scene.quiet()  # unless Xero's is still to be read
        bill.refresh_from_db()
    if (bill.reference, bill.url) != (TYPED, "https://x.test/theirs"):
        found.append(f"{bill.reference} and {bill.url}")
    if not OutboxItem.objects.filter(bill=bill, kind=Kind.UPDATE).exists():
        found.append("nobody would send what was typed")
    return found + (in_order(scene) if scene.thorough else [])


# --- a word of Xero's and the schedule ------------------------------------------------------------


def _word(scene: Scene, url: str) -> None:
    """The edited bill's invoice gets this address, and Xero tells us of it."""
    scene.world.act("edit-invoice", invoice=scene.edited.number, url=url)
    link = Link.objects.get(bill=scene.edited)
    event = Event(scene.connection.tenant_id, link.invoice_id, "INVOICE")
    webhooks.receive([event], scene.world.clock.now())


def _a_word_waits(scene: Scene) -> None:
    _word(scene, "https://x.test/first")


def _webhook_and_schedule(scene: Scene) -> tuple[Work, Work]:
    def hear() -> Run | None:
        _word(scene, "https://x.test/second")
        return scene.run(Run.Cause.WEBHOOK)

    def scheduled() -> Run | None:
        return scene.run(Run.Cause.SCHEDULE)

    return hear, scheduled


def _no_word_is_forgotten(scene: Scene, played: Played) -> list[str]:
    """I-42, I-45: what was named is read, or still waits to be."""
    found = no_errors(played) + one_at_a_time(played)
    if _unequal(scene) and not webhooks.waits(scene.now()):
        found.append("a word was forgotten before it was read")
    return found + in_order(scene)


# --- a paused worker and the one that takes its place ---------------------------------------------


def _zombie_and_replacement(scene: Scene) -> tuple[Work, Work]:
    def replace_it() -> Run | None:
        scene.duet.lose_lock(0)
        scene.world.clock.advance(120)
        jobs.recover_dead_runs(scene.world.clock.now())
        return scene.run(Run.Cause.SCHEDULE)

    return scene.push, replace_it


def _replaced_for_good(scene: Scene, played: Played) -> list[str]:
    """I-42: once its run is abandoned, the paused worker neither calls nor records anything."""
    found = no_errors(played)
    end = first(played, 1, "UPDATE sync_run SET state")
    if end is not None and _had_begun(played, end):
        found += late_calls(played, end, _MAY_CALL, reads=True)
    return found + in_order(scene)


def _had_begun(played: Played, end: int) -> bool:
    """Had the first actor's run been committed before?"""
    begun, taken = first(played, 0, 'INSERT INTO "sync_run"'), played.taken
    if begun is None:
        return False
    steps = [n for n, s in enumerate(played.steps) if s.actor == 0 and s.what == "COMMIT"]
    commit = next((n for n in steps if n > begun), None)
    return commit is not None and taken[commit] < taken[end]


# --- a push and a restore ----------------------------------------------------------------------


def _push_and_restore(scene: Scene) -> tuple[Work, Work]:
    def restore() -> None:
        scene.duet.cut_off(0)
        scene.memory["backup"].back()

    return scene.push, restore


def _posted_once(scene: Scene, played: Played) -> list[str]:
    """I-53. A worker that lost its sessions, and perhaps its own row, ends with a trace in the
    log."""
    return no_errors(played, Run.DoesNotExist, DatabaseError) + in_order(scene)


PAIRS = (
    Pair("refresh and refresh", _nearly_expired, _two_refreshes, _one_refresh, fair=False),
    Pair("push and push", _a_payment_waits, _two_pushes, _sent_once, fair=False),
    Pair("push and disconnect", _a_payment_waits, _push_and_disconnect, _nothing_after_the_end),
    Pair("push and one-directional", _an_edit_waits, _push_and_one_way, _nothing_sent_after),
    Pair("pull and edit", _changed_in_xero, _pull_and_edit, _nothing_typed_is_lost),
    Pair("webhook and schedule", _a_word_waits, _webhook_and_schedule, _no_word_is_forgotten),
    Pair(
        "zombie and replacement",
        _a_payment_waits,
        _zombie_and_replacement,
        _replaced_for_good,
        fair=False,
    ),
    Pair("push and restore", _a_payment_waits, _push_and_restore, _posted_once, fair=False),
)
