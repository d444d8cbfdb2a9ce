"""People do things while a change is on its way to Xero: nothing is lost, nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from tests.fixtures.xero import NOW, Xero
from tests.sync.given import (
    bill_of,
    edit,
    invoice_of,
    open_bill,
    open_bills,
    pay,
    push,
    sent_calls,
    unpay,
)
from tests.sync.hands import Wire, tap
from tests.sync.moments import judge, new_process, quiet, sync

from justpayme.accounts.models import Business, Membership, User
from justpayme.bills.models import Bill, Payment
from justpayme.core.bill import Status
from justpayme.integrations import actions, direction
from justpayme.sync import jobs, outbox, revert
from justpayme.sync.models import ClientLink, Conflict, Connection, Link, OutboxItem, Run
from justpayme.xero import outgoing
from justpayme.xero.answer import Answer
from justpayme.xero.client import XeroClient
from justpayme.xero.outgoing import Request

pytestmark = pytest.mark.django_db
State, Kind = OutboxItem.State, OutboxItem.Kind


@pytest.fixture
def wire(xero: Xero, settings: Any) -> Wire:
    return tap(xero, settings)


@pytest.fixture
def owner(alice: User, business: Business) -> Membership:
    return Membership.objects.get(user=alice, business=business)


def writes(request: httpx2.Request) -> bool:
    return request.method != "GET" and "api.xro" in request.url.path


def once(wire: Wire, act: Callable[[], None], *, after: bool = False, read: bool = False) -> None:
    """Act when the next write is about to leave (or has been done); or the next read."""
    left = [act]

    def seen(request: httpx2.Request) -> None:
        if writes(request) != read and left:
            left.pop()()

    if after:
        wire.after = seen
    else:
        wire.before = seen


def item_of(bill: Bill, kind: str = Kind.UPDATE) -> OutboxItem:
    return OutboxItem.objects.filter(bill=bill, kind=kind).order_by("-id")[0]


# --- edits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
def test_an_edit_during_a_push_goes_out_after_it_and_is_no_conflict(
    xero: Xero, two_way: Connection, wire: Wire, after: bool
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="first")
    once(wire, lambda: edit(bill, reference="second"), after=after)
    xero.reset_log()
    push(xero, two_way)
    assert invoice_of(xero, bill).reference == "second"
    assert len(sent_calls(xero)) == 2
    assert not Conflict.objects.exists()
    quiet(xero, two_way)
    judge(xero, two_way)


def test_an_edit_between_reading_and_claiming_is_part_of_what_leaves(
    xero: Xero, two_way: Connection, wire: Wire
) -> None:
    bill = open_bill(two_way)
    edit(bill, reference="first")
    once(wire, lambda: edit(bill, reference="second"), after=True, read=True)
    xero.reset_log()
    push(xero, two_way)
    assert len(sent_calls(xero)) == 1
    assert invoice_of(xero, bill).reference == "second"
    judge(xero, two_way)


def test_an_edit_taken_back_while_the_first_comes_late_still_wins(
    xero: Xero, two_way: Connection
) -> None:
    """What a person said last stands, even if the request before it lands after it."""
    bill = open_bill(two_way)
    was = bill.reference
    edit(bill, reference="first")
    xero.fault("late", method="POST", path="/invoices", count=1, parameters={"seconds": 80})
    push(xero, two_way)
    edit(bill, reference=was)
    xero.later(0.2)
    sync(xero, two_way)
    quiet(xero, two_way)
    assert invoice_of(xero, bill).reference == was
    bill.refresh_from_db()
    assert bill.reference == was
    judge(xero, two_way)


def test_both_changed_in_the_instant_between_reading_and_writing(
    xero: Xero, two_way: Connection, wire: Wire
) -> None:
    """Other fields that Xero changed meanwhile are taken, ours arrives."""
    bill = open_bill(two_way)
    edit(bill, reference="ours")
    once(wire, lambda: xero.act("edit-invoice", invoice=bill.number, url="https://x.test/1"))
    push(xero, two_way)
    bill.refresh_from_db()
    assert (bill.reference, bill.url) == ("ours", "https://x.test/1")
    judge(xero, two_way)


def test_an_edit_without_an_answer_is_not_repeated_over_what_xero_says_since(
    xero: Xero, two_way: Connection
) -> None:
    """I-28, I-30: a line that its request does not name would be deleted by it."""
    bill = open_bill(two_way)
    bill.lines.filter(position=0).update(description="Ours Ω <b>'")
    edit(bill)
    xero.fault("error_503", method="POST", path="/invoices", count=1)
    push(xero, two_way)
    xero.act("add-line", invoice=bill.number, description="Theirs", unit_amount="7", account="200")
    quiet(xero, two_way)
    assert [line.description for line in invoice_of(xero, bill).lines][-1] == "Theirs"
    kept = Conflict.objects.get(bill=bill, state="open")
    assert (kept.unit, kept.ours["lines"][0]["description"]) == ("lines", "Ours Ω <b>'")
    judge(xero, two_way)


def test_an_edit_taken_back_is_not_repeated_over_what_xero_says_since(
    xero: Xero, two_way: Connection
) -> None:
    """Nor is it sent anew: nobody here wants it any more, so there is no conflict either."""
    bill = open_bill(two_way)
    was = bill.reference
    edit(bill, reference="ours")
    xero.fault("error_503", method="POST", path="/invoices", count=1)
    push(xero, two_way)
    edit(bill, reference=was)
    xero.act("edit-invoice", invoice=bill.number, reference="theirs")
    xero.reset_log()
    quiet(xero, two_way)
    assert sent_calls(xero) == []
    bill.refresh_from_db()
    assert (invoice_of(xero, bill).reference, bill.reference) == ("theirs", "theirs")
    assert not Conflict.objects.exists()
    judge(xero, two_way)


@pytest.mark.parametrize("late", [False, True])
def test_an_edit_of_a_new_bill_that_is_under_way_reaches_its_invoice(
    xero: Xero, two_way: Connection, late: bool
) -> None:
    """Whether the lost request made the invoice or not, there is one, as last edited."""
    bill = bill_of(two_way, number="NEW-7", client="Fresh Ltd")
    outbox.enqueue_create(bill, two_way, None, NOW)
    fault = "lose_answer" if late else "timeout_before"
    xero.fault(fault, method="PUT", path="/invoices", count=1)
    push(xero, two_way)
    new_process()
    Bill.objects.filter(pk=bill.pk).update(reference="edited since")
    outbox.enqueue_update(bill, two_way, None, NOW)
    quiet(xero, two_way)
    assert invoice_of(xero, bill).reference == "edited since"
    assert Bill.objects.filter(number="NEW-7").count() == 1
    judge(xero, two_way)


def test_an_edit_of_a_new_bill_that_waits_for_its_client_goes_with_it(
    xero: Xero, two_way: Connection
) -> None:
    """The client is chosen anew: the bill waits no longer for the first one."""
    bill = bill_of(two_way, number="NEW-8", client="Aardvark")
    known = open_bill(two_way).client
    name = next(c.name for c in xero.ledger().contacts.rows.values() if c.name != known.name)
    bill.client.name = name
    bill.client.save()
    ClientLink.objects.filter(client__name=name).exclude(client=bill.client).delete()
    outbox.enqueue_create(bill, two_way, None, NOW)
    push(xero, two_way)
    assert item_of(bill, Kind.CREATE).error_code == "contact_needed"
    Bill.objects.filter(pk=bill.pk).update(client=known)
    bill.refresh_from_db()
    outbox.enqueue_create(bill, two_way, None, NOW)
    push(xero, two_way)
    assert item_of(bill, Kind.CREATE).state == State.DONE
    assert invoice_of(xero, bill).contact_id == str(known.link.contact_id)


# --- payments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lose_answer", "timeout_before", "late"])
def test_a_payment_taken_back_while_it_is_under_way_is_gone_in_both_books(
    xero: Xero, two_way: Connection, fault: str
) -> None:
    """And another payment of the same bill is not touched by it."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.fault(fault, method="PUT", path="/payments", count=1)
    push(xero, two_way)
    pay(bill, two_way, Decimal("7"))
    unpay(bill, two_way, Payment.objects.get(bill=bill, amount=10))
    xero.later(0.2)
    sync(xero, two_way)
    bill.refresh_from_db()
    assert bill.paid == 7
    quiet(xero, two_way)
    bill.refresh_from_db()
    live = [p.amount for p in xero.ledger().payments.rows.values() if p.status == "AUTHORISED"]
    assert (bill.paid, live.count(Decimal("10"))) == (7, 0)
    assert not Conflict.objects.exists()
    judge(xero, two_way)


def test_a_payment_that_is_refused_after_it_was_taken_back_leaves_no_message(
    xero: Xero, two_way: Connection, wire: Wire
) -> None:
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))

    def meanwhile() -> None:
        unpay(bill, two_way, Payment.objects.get(bill=bill, amount=10))
        xero.act("void-invoice", invoice=bill.number)

    once(wire, meanwhile)
    push(xero, two_way)
    quiet(xero, two_way)
    assert not OutboxItem.objects.filter(state=State.REFUSED).exists()
    bill.refresh_from_db()
    assert (bill.status, bill.paid) == (Status.VOID, 0)
    assert not Conflict.objects.exists()
    judge(xero, two_way)


def test_a_payment_deleted_in_xero_between_sending_and_searching_is_not_sent_again(
    xero: Xero, two_way: Connection
) -> None:
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.fault("lose_answer", method="PUT", path="/payments", count=1)
    push(xero, two_way)
    ledger = xero.ledger()
    made = next(p for p in ledger.payments.rows.values() if "JPM-" in p.reference)
    xero.act("remove-payment", payment=made.id)
    new_process()
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert bill.paid == 0
    assert [p.status for p in ledger.payments.rows.values() if "JPM-" in p.reference] == ["DELETED"]
    judge(xero, two_way)


def test_a_payment_removed_and_redone_in_xero_is_still_one(xero: Xero, two_way: Connection) -> None:
    """xero-facts 6.25: the new one carries the reference, and with it the marker."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    push(xero, two_way)
    made = Payment.objects.get(bill=bill, amount=10)
    xero.act("redo-payment", payment=made.remote_id, amount="12")
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert bill.paid == 12
    judge_books = [p.amount for p in Payment.objects.filter(bill=bill)]
    assert judge_books == [12]


@pytest.mark.parametrize("when", ["before", "between"])
def test_somebody_else_has_paid_so_much_that_ours_does_not_fit(
    xero: Xero, two_way: Connection, wire: Wire, when: str
) -> None:
    """I-24: ours is set aside once, with its reason, and nothing sends it later by itself."""
    bill = open_bill(two_way)
    pay(bill, two_way, bill.outstanding)

    def theirs() -> None:
        xero.act("record-payment", invoice=bill.number, amount="50")

    theirs() if when == "before" else once(wire, theirs)
    push(xero, two_way)
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert bill.paid == 50
    if when == "before":
        assert xero.writes() == []  # it does not even leave
    assert [c.unit for c in Conflict.objects.filter(bill=bill, state="open")] == ["payments"]
    assert item_of(bill, Kind.PAY).state == State.SUPERSEDED
    judge(xero, two_way)


def test_an_invoice_voided_between_reading_and_paying(
    xero: Xero, two_way: Connection, wire: Wire
) -> None:
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    once(wire, lambda: void(xero, bill))
    push(xero, two_way)
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert bill.status == Status.VOID
    assert [c.unit for c in Conflict.objects.filter(bill=bill)] == ["payments"]
    assert not OutboxItem.objects.filter(state=State.REFUSED).exists()
    judge(xero, two_way)


@pytest.mark.parametrize("how", ["paid", "voided"])
def test_a_payment_without_an_answer_that_somebody_overtook_is_set_aside_not_sent_later(
    xero: Xero, two_way: Connection, how: str
) -> None:
    """I-24: it may be in Xero, so it is excused while that is unknown, and no longer; nothing
    sends it by itself once there is room for it again."""
    bill = open_bill(two_way)
    owed = bill.outstanding
    pay(bill, two_way, owed)
    xero.fault("timeout_before", method="PUT", path="/payments", count=1)
    push(xero, two_way)
    if how == "paid":
        xero.act("record-payment", invoice=bill.number, amount=str(owed))
    else:
        void(xero, bill)
    quiet(xero, two_way)
    kept = Conflict.objects.get(bill=bill, state="open")
    amounts = [Decimal(p["amount"]) for p in kept.ours["payments"]]
    assert (kept.unit, amounts) == ("payments", [owed])
    assert item_of(bill, Kind.PAY).state == State.SUPERSEDED
    if how == "paid":
        theirs = Payment.objects.get(bill=bill)
        xero.act("remove-payment", payment=theirs.remote_id)
        quiet(xero, two_way)
        bill.refresh_from_db()
        assert (bill.status, bill.paid) == (Status.ACTIVE, 0)
    assert not [p for p in xero.ledger().payments.rows.values() if "JPM-" in p.reference]
    judge(xero, two_way)


def test_a_payment_does_not_leave_in_a_currency_that_xero_gave_its_bill_since(
    xero: Xero, two_way: Connection
) -> None:
    """It was recorded in pounds; in euros nobody has received it. A person looks at it."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.act("edit-invoice", invoice=bill.number, currency="EUR")
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert (bill.currency, bill.paid) == ("EUR", 0)
    kept = Conflict.objects.get(bill=bill, state="open")
    assert [Decimal(p["amount"]) for p in kept.ours["payments"]] == [10]
    assert item_of(bill, Kind.PAY).state == State.SUPERSEDED
    assert not invoice_of(xero, bill).amount_paid
    judge(xero, two_way)


def void(xero: Xero, bill: Bill) -> None:
    xero.act("void-invoice", invoice=bill.number)


def test_an_approval_that_is_discarded_while_it_leaves_has_reached_xero_all_the_same(
    xero: Xero, two_way: Connection, wire: Wire
) -> None:
    """I-14: Xero takes no approval back, so nothing is left that could be sent."""
    Connection.objects.filter(pk=two_way.pk).update(create_as="DRAFT")
    bill = bill_of(two_way, number="NEW-1", client="Bellweather Bakery")
    Bill.objects.filter(pk=bill.pk).update(status=Status.DRAFT)
    outbox.enqueue_create(bill, two_way, None, NOW)
    quiet(xero, two_way)
    edit(Bill.objects.get(pk=bill.pk), status=Status.ACTIVE)
    link = Link.objects.get(bill=bill)
    once(wire, lambda: revert.to_base(link, None, xero.clock.now(), keep=False))
    push(xero, two_way)
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert (bill.status, invoice_of(xero, bill).status) == (Status.ACTIVE, "AUTHORISED")
    assert not OutboxItem.objects.filter(state=State.REFUSED).exists()
    judge(xero, two_way)


def test_the_same_money_recorded_on_both_sides_is_two_payments_until_a_person_says(
    xero: Xero, two_way: Connection
) -> None:
    """I-15: equal is not the same; only a marker says that."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.act("record-payment", invoice=bill.number, amount="10")
    push(xero, two_way)
    bill.refresh_from_db()
    assert bill.paid == 20
    judge(xero, two_way)


# --- direction and disconnect ------------------------------------------------------------------


def one_way(xero: Xero, connection: Connection, owner: Membership) -> None:
    direction.go_one_way(by=owner, connection=connection, address="127.0.0.1", now=xero.clock.now())


def test_one_directional_before_a_send_sends_nothing_and_is_no_failure(
    xero: Xero, two_way: Connection, wire: Wire, owner: Membership
) -> None:
    """I-36: at the last moment before the bytes leave."""
    first, second = open_bills(two_way)[:2]
    edit(first, reference="one")
    pay(second, two_way, Decimal("10"))
    xero.reset_log()
    once(wire, lambda: one_way(xero, two_way, owner), after=True, read=True)
    run = push(xero, two_way)
    assert (run.state, run.error_code) == (Run.State.DONE, "")
    assert sent_calls(xero) == []
    quiet(xero, two_way)
    assert sent_calls(xero) == []
    assert {i.state for i in OutboxItem.objects.all()} == {State.CANCELLED}
    kept = Conflict.objects.filter(state="open").values_list("unit", flat=True)
    assert sorted(kept) == ["payments", "reference"]
    judge(xero, two_way)


def test_one_directional_between_the_claim_and_the_first_byte(
    xero: Xero, two_way: Connection, owner: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-36: it was committed that it leaves, and it does not; nor does it wait for ever."""
    bill = open_bill(two_way)
    edit(bill, reference="one")
    real = XeroClient.send

    def late(client: XeroClient, request: Request, *, key: str) -> Answer:
        one_way(xero, two_way, owner)
        return real(client, request, key=key)

    monkeypatch.setattr(XeroClient, "send", late)
    xero.reset_log()
    run = push(xero, two_way)
    assert (run.state, run.error_code) == (Run.State.DONE, "")
    assert sent_calls(xero) == []
    assert item_of(bill).state == State.CANCELLED
    assert [c.ours for c in Conflict.objects.all()] == [{"reference": "one"}]
    quiet(xero, two_way)
    judge(xero, two_way)


def test_one_directional_while_a_request_is_under_way_lets_that_one_finish(
    xero: Xero, two_way: Connection, wire: Wire, owner: Membership
) -> None:
    """I-36: it arrives and is known; no other leaves."""
    first, second = open_bills(two_way)[:2]
    edit(first, reference="one")
    pay(second, two_way, Decimal("10"))
    xero.reset_log()
    once(wire, lambda: one_way(xero, two_way, owner), after=True)
    push(xero, two_way)
    quiet(xero, two_way)
    assert len(sent_calls(xero)) == 1
    assert invoice_of(xero, first).reference == "one"
    first.refresh_from_db()
    assert first.reference == "one"
    kept = Conflict.objects.filter(state="open").values_list("unit", flat=True)
    assert list(kept) == ["payments"]
    judge(xero, two_way)


@pytest.mark.parametrize(
    ("since", "kept", "open_"),
    [(None, "one", False), ("<i>two</i>", "<i>two</i>", True), ("", "", True)],
    ids=["nothing", "another edit", "the edit taken back"],
)
def test_what_was_typed_is_what_is_kept_when_the_request_under_way_arrives_one_directional(
    xero: Xero,
    two_way: Connection,
    owner: Membership,
    since: str | None,
    kept: str,
    open_: bool,
) -> None:
    """I-27: the value that the bill was put back to is nobody's edit; what has reached Xero after
    all is no conflict any more, and sending everything that is kept sends nothing back."""
    bill = open_bill(two_way)
    edit(bill, reference="")
    push(xero, two_way)
    edit(bill, reference="one")
    xero.fault("lose_answer", method="POST", path="/invoices", count=1)
    push(xero, two_way)
    if since is not None:
        edit(bill, reference=since)
    one_way(xero, two_way, owner)
    quiet(xero, two_way)
    bill.refresh_from_db()
    assert (bill.reference, invoice_of(xero, bill).reference) == ("one", "one")
    rows = Conflict.objects.filter(bill=bill).exclude(state="replaced")
    assert [(row.ours, row.state == "open") for row in rows] == [({"reference": kept}, open_)]
    judge(xero, two_way)


def test_one_directional_after_a_lost_answer_only_looks(
    xero: Xero, two_way: Connection, owner: Membership
) -> None:
    """I-36: not even a repetition leaves, and nobody looks every five seconds."""
    bill = open_bill(two_way)
    pay(bill, two_way, Decimal("10"))
    xero.fault("timeout_before", method="PUT", path="/payments", count=1)
    push(xero, two_way)
    one_way(xero, two_way, owner)
    xero.reset_log()
    Connection.objects.update(failures=0)
    for _ in range(36):
        xero.clock.advance(5)
        if jobs.start_due(xero.clock.now()):
            sync(xero, two_way)
    assert xero.counts()["total"] < 25
    quiet(xero, two_way)
    assert sent_calls(xero) == []
    assert item_of(bill, Kind.PAY).state == State.CANCELLED
    judge(xero, two_way)


@pytest.mark.parametrize("after", [False, True])
def test_a_disconnect_during_a_push_is_the_last_call_and_doubles_nothing_on_return(
    xero: Xero,
    two_way: Connection,
    wire: Wire,
    owner: Membership,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    """I-37, I-38: what left may have arrived; on return it is known by its marker or number."""
    monkeypatch.setattr("justpayme.integrations.actions.RUN_ENDS_WITHIN", 0)
    paid, new = open_bill(two_way), bill_of(two_way, number="NEW-9", client="Bright Ltd")
    outbox.enqueue_create(new, two_way, None, NOW)
    push(xero, two_way)
    fresh = bill_of(two_way, number="NEW-10", client="Bright Two Ltd")
    outbox.enqueue_contact(fresh.client, two_way, None, NOW)
    push(xero, two_way)
    outbox.enqueue_create(fresh, two_way, None, NOW)
    pay(paid, two_way, Decimal("10"))

    def leave() -> None:
        actions.disconnect(by=owner, connection=two_way, address="127.0.0.1", now=xero.clock.now())

    left = [leave]

    def seen(request: httpx2.Request) -> None:
        if writes(request) and "Payments" in request.url.path and left:
            left.pop()()

    setattr(wire, "after" if after else "before", seen)
    push(xero, two_way)
    assert not OutboxItem.objects.exclude(state__in=(State.CANCELLED, State.DONE)).exists()
    count = xero.counts()["total"]
    for _ in range(3):
        xero.later(10)
        assert sync(xero, two_way) is None
        assert jobs.start_due(xero.clock.now()) == 0
    assert xero.counts()["total"] == count
    again = xero.connect(business)
    Connection.objects.filter(pk=again.pk).update(direction="one", imported_at=None)
    quiet(xero, again)
    assert Bill.objects.filter(number__in=("NEW-9", "NEW-10")).count() == 2
    paid.refresh_from_db()
    assert paid.paid == 10
    judge(xero, again)


def test_a_new_bill_whose_request_was_under_way_at_the_disconnect_is_one_on_return(
    xero: Xero,
    two_way: Connection,
    wire: Wire,
    owner: Membership,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("justpayme.integrations.actions.RUN_ENDS_WITHIN", 0)
    bill = bill_of(two_way, number="NEW-11", client="Bright Ltd")
    outbox.enqueue_contact(bill.client, two_way, None, NOW)
    push(xero, two_way)
    outbox.enqueue_create(bill, two_way, None, NOW)
    once(
        wire,
        lambda: (
            actions.disconnect(
                by=owner, connection=two_way, address="127.0.0.1", now=xero.clock.now()
            )
            and None
        ),
        after=True,
    )
    push(xero, two_way)
    assert not Link.objects.filter(bill=bill).exists()
    again = xero.connect(business)
    Connection.objects.filter(pk=again.pk).update(direction="one", imported_at=None)
    quiet(xero, again)
    assert Bill.objects.filter(number="NEW-11").count() == 1
    assert Link.objects.filter(bill=bill).exists()
    judge(xero, again)


@pytest.mark.parametrize("fault", ["limit_minute", "limit_day", "refused", "unreadable"])
def test_an_edit_while_the_one_before_is_sent_back_overtakes_it(
    xero: Xero, two_way: Connection, wire: Wire, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One change waits of a bill, whatever became of the request before it."""
    bill, other = open_bills(two_way)[:2]
    was = bill.number
    edit(bill, number=other.number if fault == "refused" else "N-1")
    edit(other, reference="with it")
    once(wire, lambda: edit(Bill.objects.get(pk=bill.pk), number=was, reference="later"))
    if fault == "unreadable":
        real = outgoing._plain
        monkeypatch.setattr(outgoing, "_plain", lambda v: {} if v == "N-1" else real(v))
    elif fault != "refused":
        rule = {"parameters": {"retry_after": "60"}}
        xero.fault(fault, method="POST", path="/invoices", count=1, **rule)
    push(xero, two_way)
    quiet(xero, two_way)
    assert not Run.objects.filter(error_code="internal").exists()
    assert (invoice_of(xero, bill).number, invoice_of(xero, bill).reference) == (was, "later")
    assert not OutboxItem.objects.filter(state=State.REFUSED).exists()
    judge(xero, two_way)
