"""Payments recorded or removed here that Xero does not show yet, laid over the bill.

What came off a bill is Xero's to say (`core.bill.OWNED_BY_XERO`). But a person who has just
recorded a payment wants to see the bill paid, and not to be told later. So what is on its way
to Xero lies *over* the bill as Xero says it, and is taken from *under* before a merge:

    Xero's settlement  --over(pending)-->  what people see
    what people see    --under(base)---->  Xero's settlement, for the merge

Laws (tests/core/test_settle.py): `under(over(b, p), b) == b`; laying the same over twice is
laying it once; nothing is ever owed below zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from justpayme.core.bill import UNITS, ZERO, BillFields, MoneyKind, PaidFields, Status

_OPEN = frozenset({Status.ACTIVE, Status.PAID})
"""Only these can have payments; between them the amount owed decides."""

_NOT_ENDED = _OPEN | {Status.DRAFT}


@dataclass(frozen=True, slots=True)
class Pending:
    """One payment on its way to Xero (`pay`), or its removal (`unpay`).

    A `pay` has no `remote_id` until Xero has answered; an `unpay` always names the payment.
    """

    kind: Literal["pay", "unpay"]
    paid: PaidFields


def over(bill: BillFields, pending: Sequence[Pending]) -> BillFields:
    """The bill as it will be once everything pending has reached Xero.

    What the bill shows already changes nothing, nor does a payment of more than is owed: it
    stays pending and is not counted. Two equal payments are two payments.
    """
    if bill.status not in _OPEN:
        return bill
    removed = {p.paid.remote_id for p in pending if p.kind == "unpay"}
    shown = _without(bill, removed)
    for paid in _new(bill, pending, removed):
        if paid.amount <= shown.outstanding:
            shown = _moved(shown, (*shown.payments, paid), paid.amount)
    return bill if shown is bill else _settled(shown)


def _without(bill: BillFields, removed: set[str]) -> BillFields:
    """The bill less these payments. Credits can't be removed here."""
    gone = [p for p in bill.payments if p.remote_id in removed and p.kind is MoneyKind.PAYMENT]
    if not gone:
        return bill
    kept = tuple(p for p in bill.payments if p not in gone)
    return _moved(bill, kept, -sum((p.amount for p in gone), ZERO))


def _new(bill: BillFields, pending: Sequence[Pending], removed: set[str]) -> list[PaidFields]:
    """The pending payments that the bill does not show. One without an id can only be there
    because it was laid over before; so many equal ones as it shows are not new."""
    ids = removed | {p.remote_id for p in bill.payments if p.remote_id}
    laid = Counter(p for p in bill.payments if not p.remote_id)
    found = []
    for paid in (p.paid for p in pending if p.kind == "pay" and p.paid.remote_id not in ids):
        if laid[paid]:
            laid[paid] -= 1
        else:
            found.append(paid)
            ids |= {paid.remote_id} - {""}
    return found


def _moved(bill: BillFields, payments: tuple[PaidFields, ...], by: Decimal) -> BillFields:
    return replace(bill, payments=payments, paid=bill.paid + by, outstanding=bill.outstanding - by)


def _settled(bill: BillFields) -> BillFields:
    """Paid when nothing is owed, on the day of the last payment; else active."""
    if bill.outstanding:
        return replace(bill, status=Status.ACTIVE, fully_paid_on=None)
    days = [p.on for p in bill.payments if p.on is not None]
    return replace(bill, status=Status.PAID, fully_paid_on=max(days, default=None))


def under(local: BillFields, base: BillFields) -> BillFields:
    """The bill with the overlay taken off: Xero's settlement as `base` has it. Whether an open
    bill is paid is Xero's word; a status of ours stays, and one that is open here only is active
    under what lies over it."""
    bare = local.take(base, UNITS["settlement"])
    if local.status not in _OPEN:
        return bare
    return replace(bare, status=base.status if base.status in _OPEN else Status.ACTIVE)


def beside(ours: BillFields, remote: BillFields) -> BillFields:
    """Ours as it is merged with Xero's version. Whether what is open on both sides is paid is
    Xero's word, and nobody's edit; nor can an approval be taken back that Xero has by now."""
    if ours.status in _NOT_ENDED and remote.status in _OPEN:
        return replace(ours, status=remote.status)
    return ours


def waiting(bill: BillFields, remote: BillFields) -> BillFields:
    """A merged bill as it will be once its own changes have reached Xero: a changed total
    changes what is owed, and a void bill owes nothing. `remote` is what Xero says now."""
    if bill.status is Status.VOID and remote.status is not Status.VOID:
        return replace(bill, outstanding=ZERO)
    if bill.total == remote.total:
        return bill
    priced = replace(bill, outstanding=bill.total - bill.paid - bill.credited)
    return _settled(priced) if bill.status in _OPEN else priced
