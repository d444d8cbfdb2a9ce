"""Wrong versions of the push, each a small change, each of which somebody has shipped somewhere.

The checker of `push_model` must catch every one: only then does its silence mean something.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from tests.core.model_xero import Said
from tests.core.push_model import Engine, Op, Shipment

from justpayme.core import outbox
from justpayme.core.outbox import Decision, Found, Outcome, Verdict, key_of


class NewKeyPerTry(Engine):
    """Each try has a key of its own."""

    def call(self, shipment: Shipment) -> Said:
        tries = shipment.sent.attempts
        shipment.key = key_of(shipment.body[0].bill[0], UUID(int=shipment.id.int << 32 | tries))
        return super().call(shipment)


class NoSearchAfterTheKey(Engine):
    """Once the key is forgotten, the shipment is simply made again."""

    def find(self, op: Op) -> Found:
        return Found.AGAIN


class CommittedAfterTheSend(Engine):
    """What was sent is written down once the answer is there."""

    def ship(self, ops: list[Op]) -> None:
        self.world.point()
        shipment = self.peek(ops)
        self.watch.sending(shipment.id, 1, self.world.monotonic())
        said = self.call(shipment)
        self.world.point()
        self.commit(ops)
        self.record(self.world.shipments[-1], said)

    def peek(self, ops: list[Op]) -> Shipment:
        """The shipment as it will be stored."""
        return Shipment(self.world.number + 1, ops, self.world.now())


class SearchByAmount(Engine):
    """A payment of the same amount on the same bill is taken for ours."""

    def find(self, op: Op) -> Found:
        there = self.world.xero.search(op.wanted.bill)
        like = [m for m in there if m.wanted[1:4] == op.wanted[1:4]]
        return Found.ADOPT if like else Found.AGAIN


class AnErrorMeansNotDone(Engine):
    """After a 500 the change goes out afresh."""

    def record(self, shipment: Shipment, said: Said) -> None:
        super().record(shipment, said)
        if said.status == 500:
            for op in list(shipment.ops):
                self.end(op.wanted.op, shipment, "waiting")


class OtherWindows(Engine):
    """The product's decisions with other numbers."""

    window, quarantine = outbox.RETRY_WINDOW, outbox.QUARANTINE

    def step(self, shipment: Shipment) -> Decision:
        usual = outbox.RETRY_WINDOW, outbox.QUARANTINE
        outbox.RETRY_WINDOW, outbox.QUARANTINE = self.window, self.quarantine
        try:
            return super().step(shipment)
        finally:
            outbox.RETRY_WINDOW, outbox.QUARANTINE = usual


class FiveMinutes(OtherWindows):
    """The same key is sent for five minutes: it lives for six."""

    window = timedelta(minutes=5)


class NothingForGivingUp(OtherWindows):
    """Windows that reckon late effects from the send, not from when we gave up."""

    window, quarantine = timedelta(seconds=250), timedelta(seconds=120)


class NoQuarantine(OtherWindows):
    """Whatever can't be sent again is searched at once."""

    quarantine = timedelta(0)


class WallClockAlone(Engine):
    """Stored times are compared with the wall clock, whoever sent and whatever it does."""

    def step(self, shipment: Shipment) -> Decision:
        return outbox.next_step(shipment.sent, self.world.now())


class RefusalBelieved(Engine):
    """A refusal counts even if an earlier try may be the reason for it."""

    def after(self, outcome: Outcome, unclear: bool) -> Verdict:
        return super().after(outcome, False)


class DeletedOverlooked(Engine):
    """The search sees only what is there still."""

    def find(self, op: Op) -> Found:
        there = self.world.xero.search(op.wanted.bill)
        seen = [made.wanted.reference for made in there if not made.deleted]
        return outbox.searched(seen, op.marker)


class OutOfTurn(Engine):
    """The next operation on a bill does not wait for the one before."""

    def next_batch(self) -> list[Op]:
        return [op for op in self.world.ops if op.state == "waiting"][:1]


class GivesUp(Engine):
    """After three tries an operation is left where it is."""

    def go_on(self, shipment: Shipment) -> datetime:
        if shipment.sent.attempts < 3:
            return super().go_on(shipment)
        return self.world.now() + timedelta(hours=1)


#: Each wrong version, and the number of histories in which it must be caught. About a tenth of
#: that is usual; the two that are nearly right need the most.
PLANTED: dict[type[Engine], int] = {
    NewKeyPerTry: 500,
    NoSearchAfterTheKey: 500,
    CommittedAfterTheSend: 2_000,
    SearchByAmount: 1_000,
    AnErrorMeansNotDone: 500,
    FiveMinutes: 20_000,
    NothingForGivingUp: 20_000,
    NoQuarantine: 2_000,
    WallClockAlone: 2_000,
    RefusalBelieved: 1_000,
    DeletedOverlooked: 500,
    OutOfTurn: 500,
    GivesUp: 500,
}
