"""Sends what waits in the outbox to Xero. Read top to bottom, this is what a sending does.

    what is under way     repeated under its key, or looked for (sync/search.py), as
                          core/outbox.py says
    what waits            organisation ─▶ read first ─▶ claim ─▶ send ─▶ record ─▶ read again

Xero is read right before it is written (I-30) and right after: the answer to a write is a
short form, so the base moves only from what Xero shows. Both readings go through `apply`, like
any other. What leaves is committed before its first byte (I-17), in the transaction that reads
the direction (I-36). No transaction is open while we ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from justpayme.core import outbox as rules
from justpayme.core.errors import Problem
from justpayme.core.outbox import Decision, Outcome, Step, Verdict
from justpayme.sync import bulk, calls, outbox, parcels, plain, restored, revert, search
from justpayme.sync.apply import fence
from justpayme.sync.models import (
    IN_FLIGHT,
    NOT_ALLOWED,
    OPEN,
    RESTING,
    Connection,
    Link,
    OutboxItem,
    Run,
    Shipment,
)
from justpayme.sync.outbox import Kind, State
from justpayme.sync.under_way import WATCH, Sending, confirm, lock, next_step, unsure
from justpayme.xero.answer import Answer, Element
from justpayme.xero.outgoing import MOST, Request

ROUNDS = 50
"""A sending always ends (I-56): this often it looks whether more may leave."""

CALLS = 3
"""Calls of one sending that follow closely: read first, send, read again."""

ORDER = (Kind.CONTACT, Kind.CREATE, Kind.UPDATE, Kind.UNPAY, Kind.PAY)


class Push(Sending):
    """One run's sending for one organisation."""

    def everything_waiting(self) -> None:
        """Raises Problem; what was recorded until then stays recorded."""
        if not _is_anything_open(self.run.connection):
            return
        self._what_is_under_way()
        if self.run.kind != Run.Kind.PUSH and self.run.connection.is_two_way:
            self._reconsider()
        for _ in range(ROUNDS):
            connection = self.run.connection
            connection.refresh_from_db(fields=("state", "direction"))
            items = outbox.due(connection, self.clock.now()) if connection.is_two_way else []
            if not items:
                return
            self.pull.check_organisation()
            for kind in ORDER:
                for batch in _batches(kind, [item for item in items if item.kind == kind]):
                    self._send(kind, batch)

    def _reconsider(self) -> None:
        """What we ourselves held back may go once its cause is gone, by itself."""
        mine = OutboxItem.objects.filter(connection=self.run.connection, state__in=RESTING)
        audit = self.run.kind == Run.Kind.AUDIT
        items = [item for item in mine if parcels.may_change_its_mind(item, audit=audit)]
        if not items:
            return
        if any(item.error_code == "lock_date" for item in items):
            self.pull.check_organisation()
        with transaction.atomic():
            connection = _as_set(fence(self.run))
            for item in lock(items, states=RESTING):
                parcels.reconsider(connection, item, self.clock.now())

    def _send(self, kind: str, items: Sequence[OutboxItem]) -> None:
        if kind == Kind.PAY and restored.notice(self.clock.now()):
            return  # any of them may have left already
        self.client.make_room(CALLS)
        self._read_first(kind, items)
        shipment = self._claim(kind, items)
        if shipment is not None:
            self._deliver(shipment, kind)

    def _read_first(self, kind: str, items: Sequence[OutboxItem]) -> None:
        """See what Xero says now, as shortly before the write as can be (I-30)."""
        if kind == Kind.CREATE:
            search.numbers_in_use(self, items)
        elif kind == Kind.CONTACT:
            self.pull.contacts()  # somebody may just have entered the same client there
        else:
            self.pull.read_again(search.invoice_ids(self.run.connection_id, items))

    def _claim(self, kind: str, items: Sequence[OutboxItem]) -> Shipment | None:
        """Commit what is about to leave (I-17); None if nothing is left to send."""
        now = self.clock.now()
        with transaction.atomic():
            connection = fence(self.run)
            if not connection.is_two_way:
                return None  # it was switched meanwhile (I-36)
            _as_set(connection)
            waiting = lock(items, states=(State.WAITING,))
            packed = parcels.pack(kind, connection, waiting, now)
            if not packed:
                return None
            request = parcels.request_of(kind, packed)
            shipment = Shipment.objects.create(
                connection=connection,
                method=request.method,
                path=request.path,
                params=[list(pair) for pair in request.params],
                body=request.body,
                first_sent_at=now,
                last_sent_at=now,
            )
            for position, parcel in enumerate(packed):
                _leaves(parcel, shipment, position)
        WATCH.sending(shipment.pk, shipment.attempts, self.clock.monotonic())
        return shipment

    def _deliver(self, shipment: Shipment, kind: str) -> None:
        """Send a committed shipment once, and record what came of it."""
        key = rules.key_of(self.client.tenant_id, shipment.pk)
        try:
            answer = self.client.send(_request(shipment), key=key)
        except Problem as problem:
            self._take_back(shipment)
            if problem.code == "read_only":
                return  # it was switched meanwhile, and nothing left (I-36)
            raise
        if answer.outcome is Outcome.LIMITED:
            self._limited(shipment, answer.problem or Problem("concurrent_limit"))
            return
        self._record(shipment, kind, answer)
        if answer.outcome is Outcome.UNCLEAR and answer.problem is not None:
            raise answer.problem
        self._read_after(kind, shipment)

    def _limited(self, shipment: Shipment, told: Problem) -> None:
        """Xero did nothing. Where only the permission to write is missing, these changes rest
        until it is there again, and all else goes on: what Xero says can still be read."""
        connection = self.run.connection
        problem = calls.look_closer(connection, told, self.clock, lacks=NOT_ALLOWED)
        rest = problem.code == NOT_ALLOWED
        self._take_back(shipment, park=problem.code if rest else "")
        if not rest:
            raise problem

    def _take_back(self, shipment: Shipment, *, park: str = "") -> None:
        """Nothing was done by this try: unless an earlier one may have, the items wait again (or
        rest, for the reason `park`); or they are given up, if nothing may be sent any more."""
        if shipment.unclear:
            return
        now = self.clock.now()
        with transaction.atomic():
            connections = Connection.objects.select_for_update(no_key=True)
            connection = connections.get(pk=self.run.connection_id)
            for item in lock(shipment.items.all(), states=(State.SENDING,)):
                outbox.send_anew(item, now)
                if connection.direction == Connection.Direction.ONE:
                    revert.give_up(item, now)
                elif park and item.state == State.WAITING:
                    outbox.end(item, State.PARKED, park, now)
        WATCH.forget(shipment.pk)

    def _record(self, shipment: Shipment, kind: str, answer: Answer) -> None:
        verdict = rules.after(answer.outcome, shipment.unclear)
        now = self.clock.now()
        with transaction.atomic():
            fence(self.run)
            items = lock(shipment.items.all(), states=IN_FLIGHT)
            if verdict is Verdict.KEEP and not answer.elements:
                self._keep(shipment, items, now)
                return
            WATCH.forget(shipment.pk)
            if not answer.elements:
                _refuse_all(items, answer.problem, now)
            for item in items if answer.elements else ():
                self._record_one(kind, shipment, item, answer.elements[item.position], now)
            refused = sum(item.state == State.REFUSED for item in items)
            Run.objects.filter(pk=self.run.pk).update(refused=F("refused") + refused)

    def _record_one(
        self, kind: str, shipment: Shipment, item: OutboxItem, element: Element, now: datetime
    ) -> None:
        if element.ok:
            confirm(self.run, kind, item, element.id, now)
        elif shipment.unclear:  # our own first try may be why: look before believing it
            unsure(item)
        else:
            code = element.code(payment=kind in (Kind.PAY, Kind.UNPAY))
            _refuse(item, code, now, "\n".join(element.messages))

    def _keep(self, shipment: Shipment, items: Sequence[OutboxItem], now: datetime) -> None:
        """We don't know. The items stay with their shipment until we do."""
        shipment.unclear = True
        shipment.save(update_fields=["unclear"])
        again = next_step(shipment, self.clock).at
        for item in items:
            item.not_before = again
            unsure(item)

    def _read_after(self, kind: str, shipment: Shipment) -> None:
        """Let Xero show what came of it."""
        items = OutboxItem.objects.filter(shipment=shipment, state__in=IN_FLIGHT)
        items = items.only("kind", "bill_id", "remote_id")
        if kind != Kind.CONTACT and (ids := search.invoice_ids(self.run.connection_id, items)):
            self.pull.read_again(ids)

    def _what_is_under_way(self) -> None:
        """Shipments without an answer, and those whose end Xero has not shown yet."""
        under_way = Shipment.objects.filter(
            connection=self.run.connection, items__state__in=IN_FLIGHT
        )
        for shipment in under_way.distinct().order_by("first_sent_at"):
            flying = shipment.items.filter(state__in=IN_FLIGHT)
            first = flying.first()
            if first is None:
                continue  # what was read for another has settled it
            kind = first.kind
            self._read_after(kind, shipment)
            if not flying.exists():
                continue
            decision = next_step(shipment, self.clock)
            if decision.step is Step.SEARCH:
                search.look_for(self, kind, shipment)
            elif decision.step is Step.RESEND and self._claim_again(shipment):
                self._deliver(shipment, kind)
            else:
                self._look_later(shipment, decision)

    def _look_later(self, shipment: Shipment, decision: Decision) -> None:
        """Nothing can be done about it now. One that may not be sent again is searched for."""
        if decision.step is Step.RESEND:
            WATCH.forget(shipment.pk)
            decision = next_step(shipment, self.clock)
        shipment.items.filter(state__in=IN_FLIGHT).update(not_before=decision.at)

    def _claim_again(self, shipment: Shipment) -> bool:
        """Commit that the same bytes leave once more; False if they may not, or no more."""
        now = self.clock.now()
        with transaction.atomic():
            connection = fence(self.run)
            items = lock(shipment.items.all(), states=IN_FLIGHT)
            answered = any(item.detail.get("confirmed") for item in items)
            if not connection.is_two_way or answered or not items or _is_overtaken(items):
                return False
            shipment.unclear = True
            shipment.attempts = F("attempts") + 1
            shipment.last_sent_at = now
            shipment.save()
        shipment.refresh_from_db()
        WATCH.sending(shipment.pk, shipment.attempts, self.clock.monotonic())
        return True


def _is_anything_open(connection: Connection) -> bool:
    """Every sync asks, and most often there is nothing."""
    return plain.one(_OPEN, connection.pk, list(OPEN)) is not None


_OPEN = "SELECT 1 FROM sync_outboxitem WHERE connection_id = %s AND state = ANY(%s) LIMIT 1"


def _as_set(connection: Connection) -> Connection:
    """The organisation with what a person has chosen in its settings, as it is now."""
    connection.refresh_from_db()
    return connection


def _batches(kind: str, items: Sequence[OutboxItem]) -> list[list[OutboxItem]]:
    """Items that travel together; one that was refused with its whole request travels alone."""
    size = 1 if kind in parcels.ONE_BY_ONE else MOST
    alone = [[item] for item in items if item.detail.get("alone")]
    others = [item for item in items if not item.detail.get("alone")]
    return [others[i : i + size] for i in range(0, len(others), size)] + alone


def _leaves(parcel: parcels.Parcel, shipment: Shipment, position: int) -> None:
    item = parcel.item
    item.state, item.shipment, item.position = State.SENDING, shipment, position
    item.sent = None if parcel.sent is None else bulk.plain_of(parcel.sent)
    item.sent_units = list(parcel.units)
    if parcel.over:
        item.detail = item.detail | {"over": parcel.over}
    item.save()


def _is_overtaken(items: Sequence[OutboxItem]) -> bool:
    """Does Xero say something else by now of what these edits changed when they left? The same
    bytes once more would undo that, and delete lines that they don't name (xero-facts 3.4)."""
    over = {i.bill_id: i.detail["over"] for i in items if i.bill_id and "over" in i.detail}
    held = Link.objects.filter(bill_id__in=over).values_list("bill_id", "base")
    return any({name: base.get(name) for name in over[bill]} != over[bill] for bill, base in held)


def _request(shipment: Shipment) -> Request:
    params = tuple((name, value) for name, value in shipment.params)
    method: Any = shipment.method
    return Request(method, shipment.path, params, bytes(shipment.body))


def _refuse_all(items: Sequence[OutboxItem], problem: Problem | None, now: datetime) -> None:
    """The whole request was refused. Of several, each goes alone next time: one is to blame."""
    for item in items:
        if len(items) > 1:
            item.detail = item.detail | {"alone": True}
            outbox.send_anew(item, now)
        else:
            found = problem or Problem("refused_by_xero")
            _refuse(item, found.code, now, found.detail)


def _refuse(item: OutboxItem, code: str, now: datetime, text: str) -> None:
    if outbox.is_overtaken(item, now):
        outbox.end(item, State.SUPERSEDED, "", now)
    else:
        outbox.end(item, State.REFUSED, code, now, text)
