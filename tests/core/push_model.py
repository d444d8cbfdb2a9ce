"""The push as the engine runs it, on the product's own decisions and a model Xero.

One *history* is one seed: two organisations, a few bills, a few operations, and everything that
can go wrong: faults on the wire, crashes around every commit and every send, clocks that jump,
a machine that sleeps, people who delete payments in Xero. Then the faults stop, and the
*checker* looks at what each operation came to. `planted` has wrong versions of `Engine`.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.core.model_xero import FAULTS, ModelXero, Said, Wanted

from justpayme.core.outbox import (
    Decision,
    Found,
    Outcome,
    Sent,
    Step,
    Verdict,
    Watch,
    after,
    key_of,
    marker_of,
    searched,
    tagged,
)

START = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
TENANTS = ("3f2a9c1e-0000-4000-8000-000000000001", "3f2a9c1e-0000-4000-8000-000000000002")
MOST_ROUNDS = 200
OUTCOMES = {0: Outcome.UNCLEAR, 400: Outcome.UNCLEAR, 429: Outcome.LIMITED, 500: Outcome.UNCLEAR}
JUMPS = (-86_400, -300, -90, -20, -1, 1, 20, 90, 300, 86_400)


class Crash(BaseException):
    """Our process is gone; what was committed is there."""


class Wrong(AssertionError):
    """A promise was broken."""


class Op:
    """One intention, as stored."""

    __slots__ = ("marker", "shipment", "state", "wanted")

    def __init__(self, wanted: Wanted, marker: str) -> None:
        self.wanted, self.marker = wanted, marker
        self.state = "waiting"
        self.shipment: Shipment | None = None


class Shipment:
    """One request, as stored. `limited`: so many of its tries were answered 429."""

    __slots__ = ("body", "id", "key", "limited", "ops", "sent")

    def __init__(self, number: int, ops: list[Op], now: datetime) -> None:
        self.id = UUID(int=number)
        self.key = key_of(ops[0].wanted.bill[0], self.id)
        self.body = tuple([op.wanted for op in ops])
        self.ops = ops
        self.sent = Sent(now, now, 1)
        self.limited = 0


class World:
    """True time, our clocks, what goes wrong when, and what is stored."""

    def __init__(self, seed: int) -> None:
        chance = self.chance = random.Random(seed)
        bills = [(t, b) for t in TENANTS[: chance.choice((1, 2))] for b in range(2)]
        owed = {bill: chance.choice((10, 30, 1000)) for bill in bills}
        self.xero = ModelXero(chance, owed)
        self.bills = bills
        # Swarm: each history has few kinds of fault, so that each kind is often everywhere.
        usual = chance.choice(((), ("",)))
        self.faults = (*chance.sample(FAULTS, chance.choice((1, 2, 4))), *usual)
        self.crashes = chance.choice((0.0, 0.0, 0.05, 0.2))
        # Not both: a wall clock set back by as much as the machine slept would fool any process.
        self.jumpy, self.sleepy = chance.choice(((False, False), (True, False), (False, True)))
        self.pause = chance.choice((0.0, 5.0, 20.0))
        self.batch = chance.choice((1, 1, 2, 3))
        self.rounds_of_faults = chance.randrange(2, 14)
        self.calm = False
        self.wall = 0.0
        self.asleep = 0.0
        self.ops: list[Op] = []
        self.shipments: list[Shipment] = []
        self.number = 0
        for _ in range(chance.choice((1, 1, 2, 3))):
            self.record()

    def record(self) -> None:
        """A person pays or makes a bill. Equal payments are common, and real."""
        chance = self.chance
        bill = chance.choice(self.bills)
        marker = marker_of(chance.randbytes(7))
        kind = chance.choice(("pay", "pay", "create"))
        reference = tagged("Łódź 🧾", marker)
        wanted = Wanted(len(self.ops), kind, bill, chance.choice((10, 10, 20)), reference)
        self.ops.append(Op(wanted, marker))

    def now(self) -> datetime:
        """The wall clock."""
        return START + timedelta(seconds=self.xero.now + self.wall)

    def monotonic(self) -> float:
        """Seconds that the machine was awake."""
        return self.xero.now - self.asleep

    def point(self) -> None:
        """We may crash here."""
        if self.crashes and not self.calm and self.chance.random() < self.crashes:
            raise Crash

    def stall(self) -> None:
        """Between reading the clock and the first byte leaving."""
        if self.pause:
            self.xero.wait(self.chance.random() * self.pause)

    def fault(self) -> str:
        return "" if self.calm else self.chance.choice(self.faults)

    def disturb(self) -> None:
        """What happens between two rounds of ours."""
        chance = self.chance
        luck = chance.random()
        if luck < 0.1:
            self.xero.somebody_deletes()
        elif luck < 0.2 and len(self.ops) < 6:
            self.record()
        elif luck < 0.3 and self.jumpy:
            self.wall += chance.choice(JUMPS)
        elif luck < 0.3 and self.sleepy:
            nap = chance.choice((20.0, 300.0, 3600.0))
            self.xero.wait(nap)
            self.asleep += nap


class Engine:
    """One life of our process: a thin loop around `core.outbox`. Storing is atomic."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.watch = Watch()

    def round(self) -> datetime | None:
        """Do all that is due. When to come back, by the wall clock."""
        due = [self.go_on(shipment) for shipment in list(self.world.shipments)]
        for _ in self.world.ops:
            if batch := self.next_batch():
                self.ship(batch)
                due.append(self.world.now())
        return min(due, default=None)

    def next_batch(self) -> list[Op]:
        """Waiting operations of one kind and organisation, each the first open one of its bill."""
        found: list[Op] = []
        busy = set()
        for op in self.world.ops:
            bill = op.wanted.bill
            if op.state in ("done", "refused") or bill in busy:
                continue
            busy.add(bill)
            fits = not found or self.together(found[0].wanted, op.wanted)
            if op.state == "waiting" and fits and len(found) < self.world.batch:
                found.append(op)
        return found

    def together(self, one: Wanted, other: Wanted) -> bool:
        return one.kind == other.kind and one.bill[0] == other.bill[0]

    def ship(self, ops: list[Op]) -> None:
        """Commit the shipment, then send it."""
        self.world.point()
        shipment = self.commit(ops)
        self.world.point()
        self.send(shipment)

    def commit(self, ops: list[Op]) -> Shipment:
        world = self.world
        world.number += 1
        shipment = Shipment(world.number, ops, world.now())
        world.shipments.append(shipment)
        for op in ops:
            op.state, op.shipment = "sending", shipment
        return shipment

    def send(self, shipment: Shipment) -> None:
        """One try, and what it means for each operation in it."""
        self.watch.sending(shipment.id, shipment.sent.attempts, self.world.monotonic())
        self.world.stall()
        said = self.call(shipment)
        self.world.point()
        self.record(shipment, said)
        self.world.point()

    def call(self, shipment: Shipment) -> Said:
        return self.world.xero.call(shipment.key, shipment.body, self.world.fault())

    def record(self, shipment: Shipment, said: Said) -> None:
        unclear = shipment.sent.attempts - 1 > shipment.limited
        shipment.limited += said.status == 429
        for place, op in enumerate(shipment.body):
            outcome = OUTCOMES.get(said.status)
            if outcome is None:
                outcome = Outcome.DONE if said.elements[place] else Outcome.REFUSED
            verdict = self.after(outcome, unclear)
            if verdict is not Verdict.KEEP:
                self.end(op.op, shipment, "done" if verdict is Verdict.SETTLE else "refused")

    def after(self, outcome: Outcome, unclear: bool) -> Verdict:
        return after(outcome, unclear)

    def end(self, number: int, shipment: Shipment, state: str) -> None:
        """An operation leaves its shipment; the last one ends it."""
        op = self.world.ops[number]
        if op not in shipment.ops:
            return
        op.state, op.shipment = state, None
        shipment.ops = [o for o in shipment.ops if o is not op]
        if not shipment.ops:
            self.world.shipments.remove(shipment)
            self.watch.forget(shipment.id)

    def go_on(self, shipment: Shipment) -> datetime:
        """The next step of a shipment without a clear answer; when the one after is due."""
        decision = self.step(shipment)
        if decision.step is Step.WAIT:
            return decision.at
        if decision.step is Step.RESEND:
            self.resend(shipment)
        else:
            self.search(shipment)
        return self.world.now()

    def step(self, shipment: Shipment) -> Decision:
        world = self.world
        return self.watch.step(shipment.id, shipment.sent, world.now(), world.monotonic())

    def resend(self, shipment: Shipment) -> None:
        self.world.point()
        sent = shipment.sent
        shipment.sent = Sent(sent.first_at, self.world.now(), sent.attempts + 1)
        self.world.point()
        self.send(shipment)

    def search(self, shipment: Shipment) -> None:
        """Look for each operation by its marker; a search may fail, and is then due again."""
        self.world.xero.wait(0.3)
        if self.world.fault() not in ("", "slow"):
            return
        found = {op: self.find(op) for op in shipment.ops}
        self.world.point()
        for op, what in found.items():
            self.end(op.wanted.op, shipment, "done" if what is Found.ADOPT else "waiting")
        self.world.point()

    def find(self, op: Op) -> Found:
        there = self.world.xero.search(op.wanted.bill)
        return searched([made.wanted.reference for made in there], op.marker)


def live(seed: int, made: type[Engine] = Engine) -> World:
    """One history from its seed, to its quiet end. Raises `Wrong` for a broken promise."""
    world = World(seed)
    engine = made(world)
    for number in range(MOST_ROUNDS):
        world.calm = number >= world.rounds_of_faults
        if not world.calm:
            world.disturb()
        try:
            due = engine.round()
        except Crash:
            world.xero.wait(world.chance.choice((0.1, 3.0, 60.0, 250.0, 400.0)))
            engine = made(world)
            continue
        if world.calm and due is None:
            break
        _rest(world, due)
    world.xero.wait(1000)
    check(world)
    return world


def _rest(world: World, due: datetime | None) -> None:
    """Until something is due, often a little longer; new work may come sooner."""
    chance = world.chance
    seconds = 60.0 if due is None else max((due - world.now()).total_seconds(), 0.0)
    late = chance.choice((0.0, 0.0, 0.5, 7.0, 31.0, 60.0))
    world.xero.wait(seconds + late if world.calm or chance.random() < 0.8 else late)


def check(world: World) -> None:
    """I-13: at most once. I-14: at the end exactly once, or refused. I-23: in order. I-18."""
    made: dict[int, int] = {}
    for there in world.xero.made.values():
        order = [m.op for m in there]
        if order != sorted(order):
            raise Wrong(f"out of order: {order}")
        for done in order:
            made[done] = made.get(done, 0) + 1
    for number, op in enumerate(world.ops):
        times = made.get(number, 0)
        if times > 1:
            raise Wrong(f"operation {number} took effect {times} times")
        if op.state not in ("done", "refused"):
            raise Wrong(f"operation {number} never ended: {op.state}")
        if times != (op.state == "done"):
            raise Wrong(f"operation {number} is {op.state} and took effect {times} times")
    if world.xero.clashes:
        raise Wrong("a key was used for two requests")


def main(words: list[str]) -> None:
    """Tell one history."""
    from tests.core import planted_push

    made: type[Engine] = getattr(planted_push, words[1]) if len(words) > 1 else Engine

    class Telling(made):  # type: ignore[misc,valid-type]
        def call(self, shipment: Shipment) -> Said:
            said: Said = super().call(shipment)
            ops = [wanted.op for wanted in shipment.body]
            _tell(self.world, f"sent {ops}, try {shipment.sent.attempts}: {said}")
            return said

        def find(self, op: Op) -> Found:
            found: Found = super().find(op)
            _tell(self.world, f"searched {op.wanted.op}: {found}")
            return found

    live(int(words[0]), Telling)


def _tell(world: World, what: str) -> None:
    print(f"{world.xero.now:9.1f} s  {what}  {[op.state for op in world.ops]}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
