"""What a person can do to bills, clients and payments. One transaction each.

Every verb takes the caller's membership and refuses a viewer (I-49), finds its row within the
caller's business only (a foreign id raises `DoesNotExist`, a page's 404), writes history, and
does nothing twice for the same form `token` (I-50).

A bill linked to a connected organisation belongs to Xero while the sync is one-directional:
every verb refuses it with `Locked`. After a disconnect it is an ordinary bill again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from justpayme.accounts.access import check_may_change
from justpayme.accounts.models import Business, Membership
from justpayme.bills import currencies
from justpayme.bills.models import (
    Bill,
    Client,
    ClientHistory,
    HistoryEntry,
    Line,
    Payment,
    Submission,
)
from justpayme.core.bill import ZERO, BillFields, MoneyKind, Status, TaxMode, to_plain
from justpayme.core.entry import (
    TOTAL_BELOW,
    BillEntry,
    ClientEntry,
    LineEntry,
    PaymentEntry,
    Problems,
    bill_problems,
    client_problems,
    payment_problems,
)
from justpayme.core.totals import PricedLine, Totals, add_up, rate_of, rate_text
from justpayme.core.zones import zone
from justpayme.sync.models import ClientLink, Connection, Link

FORMS_KEPT_FOR = timedelta(days=2)
"""How long a sent form is remembered; a person who sends it again does so within minutes."""

CLIENT_COLUMNS = ("name", "email", "phone", "address", "tax_number")


class ActionError(Exception):
    """A verb was refused. The text is a sentence for the person."""


class Locked(ActionError):
    """Xero owns this row."""


class Changed(ActionError):
    """The row is no longer as it was when the form was opened."""


class Refused(ActionError):
    """The values can't be stored. `problems` maps fields to sentences; "" is the whole form."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


class AlreadyDone(ActionError):
    """This form was carried out before; `target_id` is what came of it."""

    def __init__(self, target_id: int | None) -> None:
        super().__init__("This was already saved. Nothing was done twice.")
        self.target_id = target_id


@dataclass(frozen=True, slots=True)
class Act:
    """Who acts, in which business, when, and with which form."""

    membership: Membership
    now: datetime
    token: str = ""

    @property
    def business_id(self) -> int:
        return self.membership.business_id

    @property
    def today(self) -> date:
        """The calendar day where the business is."""
        return self.now.astimezone(zone(self.membership.business.time_zone)).date()


# --- clients -----------------------------------------------------------------------------------


def client_create(*, act: Act, entry: ClientEntry) -> Client:
    """Add a client."""
    with _once(act) as form:
        _refuse(client_problems(entry))
        plain = {name: getattr(entry, name).strip() for name in CLIENT_COLUMNS}
        client = Client.objects.create(
            business_id=act.business_id, created_at=act.now, updated_at=act.now, **plain
        )
        _remember_client(client, act, "created", [])
        form.done(client.pk)
    return client


def client_edit(
    *, act: Act, client_id: int, entry: ClientEntry, seen: datetime | None = None
) -> Client:
    """Change a client that no connected organisation owns."""
    with _once(act) as form:
        client = _client_for_change(act, client_id, seen)
        _refuse(client_problems(entry))
        changes = []
        for name in CLIENT_COLUMNS:
            old, new = getattr(client, name), getattr(entry, name).strip()
            if old != new:
                changes.append({"field": name, "old": old, "new": new})
                setattr(client, name, new)
        if changes:
            client.updated_at = act.now
            client.save(update_fields=[*CLIENT_COLUMNS, "updated_at"])
            _remember_client(client, act, "edited", changes)
        form.done(client.pk)
    return client


# --- bills -------------------------------------------------------------------------------------


def bill_create(*, act: Act, entry: BillEntry, approve: bool = False) -> Bill:
    """Add a draft, or with `approve` a bill that is owed from the start."""
    with _once(act) as form:
        bill = Bill(business_id=act.business_id, created_at=act.now, updated_at=act.now)
        totals = _checked(bill, entry, act, before=None)
        _take(bill, entry)
        _take_totals(bill, totals)
        bill.save()
        _replace_lines(bill, entry, totals, {})
        _remember(bill, act, "created", [])
        if approve:
            _approve(bill, act)
        form.done(bill.pk)
    return bill


def bill_edit(*, act: Act, bill_id: int, entry: BillEntry, seen: datetime | None = None) -> Bill:
    """Change a bill. `seen` is its `updated_at` when the form was opened.

    Stored totals stay as they are unless lines, tax or currency change: those that came from
    Xero are not recomputed behind anyone's back (I-12).
    """
    with _once(act) as form:
        bill = _bill_for_change(act, bill_id, seen)
        if bill.status == Status.VOID:
            raise Refused({"": "A void bill can't be changed. Make a new bill instead."})
        before = bill.told()
        stored = entry_of(bill)
        totals = _checked(bill, entry, act, before=stored)
        _take(bill, entry)
        if _priced(stored) != _priced(entry):
            _take_totals(bill, totals)
            _replace_lines(bill, entry, totals, {line.pk: line for line in bill.lines.all()})
        _settle(bill, act)
        _save_change(bill, act, "edited", before)
        form.done(bill.pk)
    return bill


def bill_approve(*, act: Act, bill_id: int) -> Bill:
    """Make a draft active: it is owed from now on."""
    with _once(act) as form:
        bill = _bill_for_change(act, bill_id)
        if bill.status != Status.DRAFT:
            raise Refused({"": "Only a draft can be made active."})
        _approve(bill, act)
        form.done(bill.pk)
    return bill


def bill_void(*, act: Act, bill_id: int) -> Bill:
    """Take a bill out of every total. It is kept and shown as void."""
    with _once(act) as form:
        bill = _bill_for_change(act, bill_id)
        if bill.status == Status.VOID:
            raise Refused({"": "This bill is void already."})
        if bill.paid or bill.credited:
            raise Refused({"": "Money has come off this bill. Remove its payments first."})
        before = bill.told()
        bill.status, bill.outstanding = Status.VOID, ZERO
        _save_change(bill, act, "voided", before)
        form.done(bill.pk)
    return bill


# --- payments ----------------------------------------------------------------------------------


def payment_record(*, act: Act, bill_id: int, entry: PaymentEntry) -> Payment:
    """Record money that came in. The bill is Paid when nothing is left."""
    with _once(act) as form:
        bill = _bill_for_change(act, bill_id)
        if bill.status != Status.ACTIVE:
            raise Refused({"": _UNPAYABLE[Status(bill.status)]})
        _refuse(
            payment_problems(
                entry,
                outstanding=bill.outstanding,
                digits=currencies.digits(bill.currency),
                show=lambda amount: currencies.text(amount, bill.currency),
            )
        )
        before = bill.told()
        payment = Payment.objects.create(
            bill=bill,
            kind=MoneyKind.PAYMENT,
            amount=entry.amount,
            on=entry.on,
            reference=entry.reference.strip(),
            position=bill.payments.count(),
        )
        _count_payments(bill, entry.amount, act)
        _save_change(bill, act, "paid", before)
        form.done(bill.pk)
    return payment


def payment_remove(*, act: Act, bill_id: int, payment_id: int) -> Bill:
    """Take back a payment, not a credit; the bill is owed again."""
    with _once(act) as form:
        bill = _bill_for_change(act, bill_id)
        payment = bill.payments.get(pk=payment_id)
        if payment.kind != MoneyKind.PAYMENT:
            raise Refused({"": "Only payments can be removed here; this is a credit from Xero."})
        before = bill.told()
        payment.delete()
        _count_payments(bill, -payment.amount, act)
        _save_change(bill, act, "unpaid", before)
        form.done(bill.pk)
    return bill


_UNPAYABLE = {
    Status.DRAFT: "This bill is a draft. Make it active first, then record the payment.",
    Status.PAID: "This bill is paid already; nothing is outstanding.",
    Status.VOID: "This bill is void; nothing is owed on it.",
}


# --- who owns what -----------------------------------------------------------------------------


def owner_of_bill(bill: Bill) -> Connection | None:
    """The organisation that owns this bill, if it is linked to a connected one."""
    link = Link.objects.select_related("connection").filter(bill=bill).first()
    return link.connection if link and link.connection.is_in_use else None


def owner_of_client(client: Client) -> Connection | None:
    """The organisation that owns this client, if its contact is in a connected one."""
    link = ClientLink.objects.select_related("connection").filter(client=client).first()
    return link.connection if link and link.connection.is_in_use else None


def entry_of(bill: Bill) -> BillEntry:
    """A stored bill as a person would have entered it; what an edit form starts from."""
    mode, digits = TaxMode(bill.tax_mode), currencies.digits(bill.currency)
    return BillEntry(
        client_id=bill.client_id,
        currency=bill.currency,
        number=bill.number,
        reference=bill.reference,
        issued_on=bill.issued_on,
        due_on=bill.due_on,
        tax_mode=mode,
        lines=tuple(_line_entry(line, mode, digits) for line in bill.lines.all()),
    )


def _line_entry(line: Line, mode: TaxMode, digits: int) -> LineEntry:
    return LineEntry(
        description=line.description,
        quantity=Decimal(1) if line.quantity is None else line.quantity,
        unit_amount=line.unit_amount or ZERO,
        discount_rate=line.discount_rate or ZERO,
        tax_rate=rate_of(line.tax_type, line.line_amount, line.tax_amount, mode, digits),
        line_id=line.pk,
    )


def _bill_for_change(act: Act, bill_id: int, seen: datetime | None = None) -> Bill:
    """The bill, locked for this transaction. Raises DoesNotExist, Locked or Changed."""
    bill = (
        Bill.objects.select_for_update(of=("self",))
        .select_related("client")
        .get(business_id=act.business_id, pk=bill_id)
    )
    if owner := owner_of_bill(bill):
        raise Locked(
            f"Xero owns this bill while {owner.name} is connected. "
            "Change it in Xero; the change comes here with the next sync."
        )
    _refuse_stale(bill.updated_at, seen, "bill")
    return bill


def _client_for_change(act: Act, client_id: int, seen: datetime | None) -> Client:
    client = Client.objects.select_for_update().get(business_id=act.business_id, pk=client_id)
    if owner := owner_of_client(client):
        raise Locked(
            f"Xero owns this client while {owner.name} is connected. "
            "Change the contact in Xero; the change comes here with the next sync."
        )
    _refuse_stale(client.updated_at, seen, "client")
    return client


def _refuse_stale(current: datetime, seen: datetime | None, what: str) -> None:
    if seen is not None and seen != current:
        raise Changed(
            f"This {what} was changed while you had it open. Your values are still below. "
            "Compare them with the page as it is now, then save again to use yours."
        )


# --- once, and with rights ---------------------------------------------------------------------


class _Form:
    """The form being carried out; `done` remembers what came of it."""

    def __init__(self, submission: Submission | None) -> None:
        self.submission = submission

    def done(self, target_id: int) -> None:
        if self.submission is not None:
            self.submission.target_id = target_id
            self.submission.save(update_fields=["target_id"])


@contextmanager
def _once(act: Act) -> Iterator[_Form]:
    """One transaction for one form. A second use of its token waits, then raises AlreadyDone."""
    check_may_change(act.membership)
    with transaction.atomic():
        if not act.token:
            yield _Form(None)
            return
        sent = Submission.objects.filter(business_id=act.business_id)
        sent.filter(at__lt=act.now - FORMS_KEPT_FOR).delete()
        submission, is_new = Submission.objects.get_or_create(
            business_id=act.business_id, token=act.token[:64], defaults={"at": act.now}
        )
        if not is_new:
            raise AlreadyDone(submission.target_id)
        yield _Form(submission)


def _refuse(problems: Problems) -> None:
    if problems:
        raise Refused(problems)


# --- how a bill is filled ----------------------------------------------------------------------


def _checked(bill: Bill, entry: BillEntry, act: Act, *, before: BillEntry | None) -> Totals:
    """Judge an entry against the rules and the books; answers what it adds up to."""
    known = dict(currencies.digits_by_code())
    if before is not None:
        known.setdefault(before.currency, currencies.digits(before.currency))
    _refuse(bill_problems(entry, known))
    _refuse(_client_problem(act, entry, bill) | _number_problem(act, entry, bill))
    old = {line.pk: line for line in bill.lines.all()} if bill.pk else {}
    totals = add_up(_pricing(entry, old), entry.tax_mode, known[entry.currency])
    if before is None or _priced(before) != _priced(entry):
        _refuse(_total_problem(totals, bill.paid + bill.credited, entry.currency))
    return totals


def _total_problem(totals: Totals, already: Decimal, currency: str) -> Problems:
    amounts = [totals.total, totals.sub_total, totals.tax_total, totals.discount_total]
    amounts += [part for line in totals.lines for part in (line.amount, line.tax, line.discount)]
    if totals.total < ZERO or max(map(abs, amounts)) >= TOTAL_BELOW:
        return {"lines": "The total must be zero or more, and below 100,000,000,000,000."}
    if totals.total < already:
        came = currencies.text(already, currency)
        return {"lines": f"The total can't be below the {came} that came off this bill already."}
    return {}


def _client_problem(act: Act, entry: BillEntry, bill: Bill) -> Problems:
    clients = Client.objects.filter(business_id=act.business_id, pk=entry.client_id)
    client = clients.first()
    if client is None or (client.archived and client.pk != bill.client_id):
        return {"client": "Choose a client from the list."}
    return {}


def _number_problem(act: Act, entry: BillEntry, bill: Bill) -> Problems:
    """Two bills never share a number. The business's row is held, so two at once can't either."""
    number = entry.number.strip()
    if not number or number == bill.number:
        return {}
    Business.objects.select_for_update(no_key=True).get(pk=act.business_id)
    same = Bill.objects.filter(business_id=act.business_id, number__iexact=number)
    if same.exclude(pk=bill.pk).exclude(status=Status.VOID).exists():
        return {"number": f"Another bill has the number {number}. Choose a different one."}
    return {}


def _take(bill: Bill, entry: BillEntry) -> None:
    bill.client_id, bill.currency, bill.tax_mode = entry.client_id, entry.currency, entry.tax_mode
    bill.number, bill.reference = entry.number.strip(), entry.reference.strip()
    bill.issued_on, bill.due_on = entry.issued_on, entry.due_on


def _take_totals(bill: Bill, totals: Totals) -> None:
    bill.sub_total, bill.tax_total = totals.sub_total, totals.tax_total
    bill.total, bill.discount_total = totals.total, totals.discount_total
    bill.outstanding = bill.total - bill.paid - bill.credited


def _priced(entry: BillEntry) -> tuple[object, ...]:
    return entry.lines, entry.tax_mode, entry.currency


def _pricing(entry: BillEntry, old: dict[int, Line]) -> list[PricedLine]:
    return [
        PricedLine(
            quantity=line.quantity,
            unit_amount=line.unit_amount,
            discount_rate=line.discount_rate,
            discount_amount=_kept_discount(line, old) or ZERO,
            tax_rate=line.tax_rate,
        )
        for line in entry.lines
    ]


def _kept_discount(line: LineEntry, old: dict[int, Line]) -> Decimal | None:
    """A flat discount that Xero gave stays, unless a percentage takes its place."""
    kept = old.get(line.line_id or 0)
    return kept.discount_amount if kept and not line.discount_rate else None


def _replace_lines(bill: Bill, entry: BillEntry, totals: Totals, old: dict[int, Line]) -> None:
    """Write all lines anew; what only Xero knows about a line stays with it."""
    rows = []
    for position, (line, worked) in enumerate(zip(entry.lines, totals.lines, strict=True)):
        kept = old.get(line.line_id or 0) or Line()
        rows.append(
            Line(
                bill=bill,
                position=position,
                description=line.description.strip(),
                quantity=line.quantity,
                unit_amount=line.unit_amount,
                discount_rate=line.discount_rate or None,
                discount_amount=_kept_discount(line, old),
                line_amount=worked.amount,
                tax_type=_tax_type(line, kept, bill),
                tax_amount=worked.tax,
                remote_id=kept.remote_id,
                account_code=kept.account_code,
                item_code=kept.item_code,
                tracking=kept.tracking,
            )
        )
    bill.lines.all().delete()
    Line.objects.bulk_create(rows)


def _tax_type(line: LineEntry, kept: Line, bill: Bill) -> str:
    """Xero's own tax code stays on a line whose rate did not change."""
    if kept.tax_type and kept.pk:
        mode, digits = TaxMode(bill.tax_mode), currencies.digits(bill.currency)
        before = rate_of(kept.tax_type, kept.line_amount, kept.tax_amount, mode, digits)
        if before == line.tax_rate:
            return kept.tax_type
    return rate_text(line.tax_rate)


def _approve(bill: Bill, act: Act) -> None:
    missing = {
        "number": "" if bill.number else "Give the bill a number before you make it active.",
        "issued_on": "" if bill.issued_on else "Enter the day the bill is issued.",
        "due_on": "" if bill.due_on else "Enter the day the bill is due.",
        "lines": "" if bill.lines.exists() else "Add at least one line.",
    }
    _refuse({name: text for name, text in missing.items() if text})
    before = bill.told()
    bill.status = Status.ACTIVE
    _settle(bill, act)
    _save_change(bill, act, "approved", before)


def _count_payments(bill: Bill, amount: Decimal, act: Act) -> None:
    bill.paid += amount
    bill.outstanding -= amount
    _settle(bill, act)


def _settle(bill: Bill, act: Act) -> None:
    """A bill that is owed is Paid exactly when nothing is outstanding."""
    if bill.status not in (Status.ACTIVE, Status.PAID):
        return
    bill.status = Status.ACTIVE if bill.outstanding else Status.PAID
    bill.fully_paid_on = _last_paid(bill, act) if bill.status == Status.PAID else None


def _last_paid(bill: Bill, act: Act) -> date:
    days = [payment.on for payment in bill.payments.all() if payment.on]
    return max(days, default=act.today)


# --- history -----------------------------------------------------------------------------------


def _save_change(bill: Bill, act: Act, action: str, before: BillFields) -> None:
    """Store the bill and one history entry, or nothing at all when nothing changed."""
    after = bill.told()
    names = before.differing(after)
    if not names:
        return
    bill.updated_at = act.now
    bill.save()
    Link.objects.filter(bill=bill).update(edited=True)
    changes = [
        {
            "field": name,
            "old": _plain(name, before),
            "new": _plain(name, after),
        }
        for name in names
    ]
    _remember(bill, act, action, changes)


def _plain(name: str, version: BillFields) -> Any:
    if name == "client":
        return Client.objects.get(pk=int(version.client)).mark()
    return to_plain(getattr(version, name))


def _remember(bill: Bill, act: Act, action: str, changes: list[dict[str, Any]]) -> None:
    HistoryEntry.objects.create(
        business_id=act.business_id,
        bill=bill,
        at=act.now,
        source=HistoryEntry.Source.PERSON,
        action=action,
        by=act.membership.user,
        changes=changes,
    )


def _remember_client(client: Client, act: Act, action: str, changes: list[dict[str, Any]]) -> None:
    ClientHistory.objects.create(
        business_id=act.business_id,
        client=client,
        at=act.now,
        by=act.membership.user,
        action=action,
        changes=changes,
    )
