"""Verbs that decide between what is here and what is in Xero.

    bill_send_to_xero   a bill that exists only here becomes an invoice
    bill_discard        Xero's version instead of what was changed here
    conflict_resolve    of values that Xero overrode: ours goes out after all, or Xero's stays
    item_retry          what was refused or waits for a decision is tried again
    contact_decide      which contact in Xero a client is

Each keeps the rules of `actions.py`: one transaction, rights, tenancy, once per form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from justpayme.bills import currencies
from justpayme.bills.acting import Act, Refused, once, refuse
from justpayme.bills.codes import codes_of
from justpayme.bills.filling import (
    currency_problem,
    entry_of,
    foreign_client,
    resolved,
    unfit_for_xero,
)
from justpayme.bills.held import (
    Held,
    count_payment,
    hold,
    record_in_xero,
    refuse_payments,
    remember,
    save_change,
    settle,
    tell_xero,
)
from justpayme.bills.models import Bill, Line, Payment
from justpayme.bills.receiving import organisation_for_new
from justpayme.core.bill import (
    UNITS,
    ZERO,
    BillFields,
    LineFields,
    MoneyKind,
    PaidFields,
    Status,
    from_plain,
    to_plain,
)
from justpayme.core.editable import in_locked_period
from justpayme.core.entry import Problems
from justpayme.core.outbox import without_marker
from justpayme.sync import outbox, revert
from justpayme.sync.conflicts import PAYMENTS
from justpayme.sync.models import NOT_LEFT, ClientLink, Conflict, Link, OutboxItem
from justpayme.xero.outgoing import LONGEST_NAME

Choice = Literal["mine", "xero"]


# --- one bill ----------------------------------------------------------------------------------


def bill_send_to_xero(*, act: Act, bill_id: int, connection_id: int) -> Bill:
    """A bill that exists only here becomes an invoice, with what was paid on it."""
    with once(act) as form:
        connection = organisation_for_new(act, connection_id)
        found = hold(act, bill_id)
        _refuse_unsendable(found)
        held = Held(found.bill, None, connection)
        bill = held.bill
        payments = list(bill.payments.all())
        codes = codes_of(connection)
        refuse(unfit_for_xero(bill, connection))
        refuse(currency_problem(bill.currency, connection, codes))
        refuse(foreign_client(bill.client, connection))
        refuse(_unfit_payments(held, payments))
        before, stored = bill.told(), entry_of(bill)
        entry = resolved(stored, stored, codes, goes_out=True)
        if entry.lines != stored.lines:
            _recode(bill, [(line.tax_type, line.account_code) for line in entry.lines])
        tell_xero(held, act)
        for payment in payments:
            record_in_xero(held, payment, act)
        if not save_change(held, act, "to_xero", before):
            remember(bill, act, "to_xero", [])
        form.done(bill.pk)
    return bill


def _refuse_unsendable(held: Held) -> None:
    why = ""
    if held.link is not None:
        why = "This bill has an invoice in Xero already."
    elif held.connection is not None:
        why = f"This bill is on its way to {held.connection.name} already."
    elif held.bill.status == Status.VOID:
        why = "A void bill can't be sent to Xero."
    if why:
        raise Refused({"": why})


def _unfit_payments(held: Held, payments: Sequence[Payment]) -> Problems:
    """Why what came off this bill can't be recorded in Xero, if it can't."""
    connection = held.connection
    if not payments or connection is None:
        return {}
    if any(payment.kind != MoneyKind.PAYMENT for payment in payments):
        return {"": "A credit was used on this bill, and credits can't be sent to Xero."}
    if connection.create_as != connection.CreateAs.AUTHORISED:
        return {"": "Money came in on this bill, and Xero takes no payments on a draft."}
    if any(in_locked_period(payment.on, connection.lock_date) for payment in payments):
        return {"": "A payment of this bill lies in a period that is locked in Xero."}
    refuse_payments(held)
    return {}


def _recode(bill: Bill, codes: Sequence[tuple[str, str]]) -> None:
    """Give the lines Xero's tax types and accounts; no number changes."""
    for line, (tax_type, account) in zip(bill.lines.all(), codes, strict=True):
        line.tax_type, line.account_code = tax_type, account
        line.save(update_fields=["tax_type", "account_code"])


def bill_discard(*, act: Act, bill_id: int) -> Bill:
    """Take Xero's version: what was changed here and has not reached Xero is undone.

    A bill that is no invoice yet stays as it is, and is not sent.
    """
    with once(act) as form:
        held = hold(act, bill_id)
        if held.connection is None:
            raise Refused({"": "This bill is not in Xero, so there is no other version of it."})
        if held.link is not None:
            revert.to_base(held.link, act.membership.user, act.now, keep=False)
        else:
            _stay_here(held, act)
        form.done(bill_id)
    return held.bill


def _stay_here(held: Held, act: Act) -> None:
    """Nothing of the bill is sent; its payments are only here again."""
    items = OutboxItem.objects.filter(bill=held.bill)
    if not items.filter(kind=OutboxItem.Kind.CREATE, state__in=NOT_LEFT).exists():
        raise Refused({"": "This bill is on its way to Xero right now. Wait a moment."})
    before = held.bill.told()
    items.filter(state__in=NOT_LEFT).update(state=OutboxItem.State.CANCELLED, settled_at=act.now)
    for payment in held.bill.payments.filter(remote_id=""):
        payment.reference = without_marker(payment.reference)
        payment.save(update_fields=["reference"])
    if not save_change(held, act, "kept_here", before):
        remember(held.bill, act, "kept_here", [])


# --- what Xero overrode ------------------------------------------------------------------------


def conflict_resolve(*, act: Act, conflict_ids: Sequence[int], choice: Choice) -> list[Bill]:
    """Decide about values that Xero overrode. All of them, or none if one can't be.

    "mine": ours stands again and goes out; "xero": Xero's stays. Raises Conflict.DoesNotExist
    for a foreign id. One that was decided already is left as it is.
    """
    with once(act):
        mine = Conflict.objects.filter(business_id=act.business_id, pk__in=set(conflict_ids))
        if mine.count() != len(set(conflict_ids)):
            raise Conflict.DoesNotExist
        links = Link.objects.filter(bill__conflicts__in=mine).order_by("connection_id", "pk")
        bill_ids = dict.fromkeys(links.values_list("bill_id", flat=True))
        return [_resolve(act, bill_id, mine, choice) for bill_id in bill_ids]


def _resolve(act: Act, bill_id: int, wanted: Any, choice: Choice) -> Bill:
    """Xero's stays changes nothing of the bill, so it can be said while Xero owns it, too."""
    held = hold(act, bill_id) if choice == "mine" else Held(_locked(act, bill_id))
    rows = wanted.select_for_update(of=("self",)).filter(bill_id=bill_id)
    rows = list(rows.filter(state=Conflict.State.OPEN).order_by("pk"))
    if choice == "mine":
        _send_mine(held, rows, act)
    state = Conflict.State.SENT if choice == "mine" else Conflict.State.KEPT
    for row in rows:
        row.state, row.resolved_by, row.resolved_at = state, act.membership.user, act.now
        row.save(update_fields=["state", "resolved_by", "resolved_at"])
    if rows and choice == "xero":
        remember(held.bill, act, "kept_xeros", [])
    return held.bill


def _locked(act: Act, bill_id: int) -> Bill:
    return Bill.objects.select_for_update().get(business_id=act.business_id, pk=bill_id)


def _send_mine(held: Held, rows: Sequence[Conflict], act: Act) -> None:
    """Write ours back onto the row, and let it go out."""
    bill = held.bill
    if held.connection is None or held.link is None:
        raise Refused({"": f"{bill} is no longer synced, so nothing of it can be sent."})
    locks = held.locks()
    before = bill.told()
    for row in rows:
        lock = _LOCK_OF.get(row.unit, row.unit)
        if lock in locks:
            raise Refused({"": f"{bill}: {locks[lock]}"})
        if row.unit == PAYMENTS:
            _receive_again(held, row.ours, act)
        else:
            _restore(held, row.unit, from_plain(row.ours))
    settle(held, act)
    if save_change(held, act, "restored", before) and any(r.unit != PAYMENTS for r in rows):
        tell_xero(held, act)


_LOCK_OF = {"money": "currency"}
"""Unit -> the field whose lock keeps it, where they are called differently."""


def _restore(held: Held, unit: str, ours: BillFields) -> None:
    bill = held.bill
    if unit == "client":
        bill.client_id = _client_of(held, ours.client)
    elif unit == "lines":
        _restore_lines(bill, ours)
    else:
        for name in UNITS[unit]:
            setattr(bill, name, getattr(ours, name))
        if unit == "status" and ours.status is Status.VOID:
            _refuse_money(bill)
            bill.outstanding = ZERO


def _refuse_money(bill: Bill) -> None:
    if bill.paid or bill.credited:
        raise Refused({"": f"{bill}: money has come off it, so it can't be made void."})


def _client_of(held: Held, contact_id: str) -> int:
    rows = ClientLink.objects.filter(connection=held.connection)
    found = rows.filter(contact_id=contact_id).first() if contact_id else None
    if found is None:
        raise Refused({"": f"{held.bill}: its client is no contact any more. Choose one again."})
    return found.client_id


def _restore_lines(bill: Bill, ours: BillFields) -> None:
    """Our lines and sums. A line whose counterpart is gone from Xero is a new one there."""
    there = set(bill.lines.exclude(remote_id="").values_list("remote_id", flat=True))
    bill.lines.all().delete()
    Line.objects.bulk_create(
        _line(bill, position, line if line.remote_id in there else replace(line, remote_id=""))
        for position, line in enumerate(ours.lines)
    )
    for name in ("tax_mode", "sub_total", "tax_total", "total", "discount_total"):
        setattr(bill, name, getattr(ours, name))
    bill.outstanding = bill.total - bill.paid - bill.credited


def _line(bill: Bill, position: int, line: LineFields) -> Line:
    plain = {name: getattr(line, name) for name in LineFields.__dataclass_fields__}
    plain["tracking"] = to_plain(line.tracking)
    return Line(bill=bill, position=position, **plain)


def _receive_again(held: Held, ours: Mapping[str, Any], act: Act) -> None:
    """Payments recorded here that Xero never heard of are recorded once more."""
    refuse_payments(held)
    for paid in from_plain({PAYMENTS: ours.get(PAYMENTS, [])}).payments:
        _refuse_payment(held, paid)
        payment = Payment.objects.create(
            bill=held.bill,
            kind=MoneyKind.PAYMENT,
            amount=paid.amount,
            on=paid.on,
            reference=without_marker(paid.reference),
            position=held.bill.payments.count(),
        )
        record_in_xero(held, payment, act)
        count_payment(held, payment.amount, act)


def _refuse_payment(held: Held, paid: PaidFields) -> None:
    bill, connection = held.bill, held.connection
    if bill.status != Status.ACTIVE or paid.amount > bill.outstanding:
        owed = currencies.text(bill.outstanding, bill.currency)
        came = currencies.text(paid.amount, bill.currency)
        raise Refused({"": f"{bill}: {owed} is outstanding, so {came} can't be recorded."})
    if connection and in_locked_period(paid.on, connection.lock_date):
        raise Refused({"": f"{bill}: the payment lies in a period that is locked in Xero."})


# --- what waits for a person -------------------------------------------------------------------


def item_retry(*, act: Act, item_ids: Sequence[int]) -> int:
    """Try refused and parked changes again; how many. Raises OutboxItem.DoesNotExist."""
    with once(act):
        mine = OutboxItem.objects.select_related("connection")
        items = list(mine.filter(business_id=act.business_id, pk__in=set(item_ids)).order_by("pk"))
        if len(items) != len(set(item_ids)):
            raise OutboxItem.DoesNotExist
        for item in items:
            if item.connection.direction != item.connection.Direction.TWO:
                raise Refused({"": f"{item.connection.name} is one-directional."})
        by = act.membership.user
        return sum(outbox.retry(item, by, act.now) for item in items)


def contact_decide(*, act: Act, item_id: int, contact_id: str | None, name: str = "") -> OutboxItem:
    """Say which of the proposed contacts a client is, or (None) that it is a new one.

    `name`: what a new contact is called in Xero, where the client's own name is taken.
    """
    with once(act) as form:
        rows = OutboxItem.objects.select_for_update(of=("self",)).select_related(
            "client", "connection"
        )
        item = rows.get(business_id=act.business_id, pk=item_id, kind=OutboxItem.Kind.CONTACT)
        if item.state not in (OutboxItem.State.PARKED, OutboxItem.State.REFUSED):
            raise Refused({"": "This was decided already."})
        refuse(_unfit_contact(item, contact_id, name.strip()))
        outbox.decide_contact(item, contact_id, act.membership.user, act.now, name=name.strip())
        form.done(item.pk)
    return item


def _unfit_contact(item: OutboxItem, contact_id: str | None, name: str) -> Problems:
    if contact_id is None:
        unfit = len(name) > LONGEST_NAME or {"<", ">"} & set(name)
        return {"name": "Use 255 characters or fewer, without < and >."} if unfit else {}
    proposed = {str(c["id"]): c for c in item.detail.get("contacts", ())}
    contact = proposed.get(contact_id)
    if contact is None:
        return {"contact": "Choose one of the contacts shown."}
    if contact.get("archived"):
        return {"contact": "This contact is archived. Restore it in Xero first, then try again."}
    taken = ClientLink.objects.filter(connection=item.connection, contact_id=contact_id)
    if taken.exists():
        return {"contact": "Another client is this contact already. Choose another."}
    return {}
