"""Differences to plant between the two books: one kind for each mapped field and way to differ.

Ours are made behind the sync's back, straight in the tables. Xero's are made without a new
stamp (F8), straight in the local Xero's records, and consistently: an invoice's totals, its
payments and its credit notes agree with one another afterwards, as they would in Xero.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from django.db.models import F
from msgspec.structs import replace
from tests.fixtures.xero import Xero
from tests.sync.hands import HOSTILE

from justpayme.bills.models import Bill, Client, Line, Payment
from justpayme.core.drift import Cause
from justpayme.sync.models import Connection, Link
from xero_sandbox.model import Invoice
from xero_sandbox.model import Line as XeroLine
from xero_sandbox.model import Payment as XeroPayment
from xero_sandbox.rules import with_totals

CENT = Decimal("0.01")
Found = set[tuple[str, str, Cause]]
"""(InvoiceID, field, cause) of what `verify` must find."""


@dataclass(frozen=True)
class Spot:
    """One bill, the invoice that it is, and chance."""

    xero: Xero
    connection: Connection
    bill: Bill
    invoice: Invoice
    random: Random

    def ours(self, *fields: str) -> Found:
        """These fields of this bill differ because of us."""
        return {(self.invoice.id, name, Cause.CHANGED_HERE) for name in fields}

    def theirs(self, *fields: str) -> Found:
        """These fields of this bill differ because of Xero."""
        return {(self.invoice.id, name, Cause.SILENT_IN_XERO) for name in fields}

    def save(self, *records: Any) -> None:
        """Put records into the local Xero, stamps and all."""
        self.xero.app.store.save(self.xero.tenant(), *records)

    def new_id(self) -> str:
        """An id that nothing has yet."""
        return str(UUID(int=self.random.getrandbits(128), version=4))


Plant = Callable[[Spot], Found | None]
"""Makes one difference and says what must be found; None if this bill can't have it."""
OURS: dict[str, Plant] = {}
THEIRS: dict[str, Plant] = {}


def ours(plant: Plant) -> Plant:
    OURS[plant.__name__] = plant
    return plant


def theirs(plant: Plant) -> Plant:
    THEIRS[plant.__name__] = plant
    return plant


# --- ours: header fields -------------------------------------------------------------------------

COLUMNS: dict[str, object] = {
    "number": HOSTILE,
    "reference": HOSTILE,
    "issued_on": date(1999, 1, 1),
    "due_on": None,
    "expected_on": date(2030, 1, 1),
    "branding_theme": "x",
    "url": "https://example.invalid/",
    "currency": "XXX",
    "rate": Decimal("9.9"),
    "sub_total": Decimal("0.0001"),
    "tax_total": Decimal("-0.01"),
    "total": Decimal(-1),
    "discount_total": Decimal("0.5"),
    "outstanding": Decimal("0.03"),
    "fully_paid_on": date(1999, 1, 1),
}


def _column(name: str, value: object) -> Plant:
    def plant(spot: Spot) -> Found:
        Bill.objects.filter(pk=spot.bill.pk).update(**{name: value})
        return spot.ours(name)

    return plant


OURS |= {f"row_{name}": _column(name, value) for name, value in COLUMNS.items()}


@ours
def row_sent(spot: Spot) -> Found:
    Bill.objects.filter(pk=spot.bill.pk).update(sent=not spot.bill.sent)
    return spot.ours("sent")


@ours
def row_tax_mode(spot: Spot) -> Found:
    modes = ["exclusive", "inclusive", "none"]
    modes.remove(spot.bill.tax_mode)
    Bill.objects.filter(pk=spot.bill.pk).update(tax_mode=spot.random.choice(modes))
    return spot.ours("tax_mode")


@ours
def row_status(spot: Spot) -> Found | None:
    """From and to words without money: otherwise money is compared, or not, with the lists."""
    other = {"draft": "void", "void": "draft"}.get(spot.bill.status)
    if other is None:
        return None
    Bill.objects.filter(pk=spot.bill.pk).update(status=other)
    return spot.ours("status")


def _settled(name: str) -> Plant:
    """What came off is compared with the invoice, and with the payments' own list."""

    def plant(spot: Spot) -> Found:
        Bill.objects.filter(pk=spot.bill.pk).update(**{name: F(name) + CENT})
        return spot.ours(name, *(["settlement"] if spot.bill.status in ("active", "paid") else []))

    return plant


OURS |= {f"row_{name}": _settled(name) for name in ("paid", "credited")}


@ours
def row_client(spot: Spot) -> Found:
    others = Client.objects.filter(link__connection=spot.connection, link__merged_to=None)
    other = spot.random.choice(list(others.exclude(pk=spot.bill.client_id).order_by("pk")))
    Bill.objects.filter(pk=spot.bill.pk).update(client=other)
    return spot.ours("client")


# --- ours: lines ---------------------------------------------------------------------------------

LINE_COLUMNS: dict[str, object] = {
    "description": HOSTILE,
    "quantity": Decimal("0.0001"),
    "unit_amount": Decimal("1234.5678"),
    "line_amount": Decimal("0.07"),
    "tax_amount": Decimal("0.08"),
    "tax_type": "x",
    "account_code": "x",
    "item_code": "x",
    "discount_rate": Decimal("33.3333"),
    "discount_amount": Decimal("0.09"),
    "remote_id": "x",
    "tracking": [{"name": "Region", "option": HOSTILE}],
}


def _lines(bill: Bill) -> list[Line]:
    return list(Line.objects.filter(bill=bill).order_by("position"))


def _line(name: str, value: object) -> Plant:
    def plant(spot: Spot) -> Found:
        line = spot.random.choice(_lines(spot.bill))
        Line.objects.filter(pk=line.pk).update(**{name: value})
        return spot.ours("lines")

    return plant


OURS |= {f"line_{name}": _line(name, value) for name, value in LINE_COLUMNS.items()}


@ours
def line_order(spot: Spot) -> Found | None:
    if len(_lines(spot.bill)) < 2:
        return None
    first = _lines(spot.bill)[0]
    Line.objects.filter(pk=first.pk).update(position=99)
    return spot.ours("lines")


@ours
def line_added(spot: Spot) -> Found:
    Line.objects.create(bill=spot.bill, position=99, description="a line that nobody wrote")
    return spot.ours("lines")


@ours
def line_missing(spot: Spot) -> Found:
    spot.random.choice(_lines(spot.bill)).delete()
    return spot.ours("lines")


# --- ours: payments and credits ------------------------------------------------------------------

PAID_COLUMNS: dict[str, object] = {
    "amount": Decimal("0.01"),
    "on": date(1999, 1, 1),
    "reference": HOSTILE,
    "number": "x",
    "remote_id": "x",
}


def _paid(name: str, value: object, kinds: tuple[str, ...]) -> Plant:
    def plant(spot: Spot) -> Found | None:
        found = list(Payment.objects.filter(bill=spot.bill, kind__in=kinds))
        if not found:
            return None
        Payment.objects.filter(pk=spot.random.choice(found).pk).update(**{name: value})
        return spot.ours("payments")

    return plant


OURS |= {f"payment_{n}": _paid(n, value, ("payment",)) for n, value in PAID_COLUMNS.items()}
OURS |= {f"credit_{n}": _paid(n, value, ("credit",)) for n, value in PAID_COLUMNS.items()}
OURS["payment_kind"] = _paid("kind", "credit", ("payment",))
OURS["credit_kind"] = _paid("kind", "payment", ("credit",))


@ours
def payment_added(spot: Spot) -> Found:
    Payment.objects.create(bill=spot.bill, kind="payment", amount=CENT, remote_id=spot.new_id())
    return spot.ours("payments")


@ours
def payment_missing(spot: Spot) -> Found | None:
    found = Payment.objects.filter(bill=spot.bill).first()
    if found is None:
        return None
    found.delete()
    return spot.ours("payments")


# --- ours: links ---------------------------------------------------------------------------------


@ours
def link_gone(spot: Spot) -> Found:
    Link.objects.filter(bill=spot.bill).delete()
    return {(spot.invoice.id, "bill", Cause.MISSING_HERE)}


@ours
def link_to_another(spot: Spot) -> Found:
    wrong = spot.new_id()
    Link.objects.filter(bill=spot.bill).update(invoice_id=wrong)
    return {(spot.invoice.id, "bill", Cause.MISSING_HERE), (wrong, "bill", Cause.NOT_IN_XERO)}


@ours
def bill_too_many(spot: Spot) -> Found:
    """A bill that says to be an invoice which Xero does not have."""
    wrong, now = spot.new_id(), spot.xero.clock.now()
    bill = Bill.objects.create(
        business=spot.bill.business, client=spot.bill.client, number=f"TOO-{wrong[:8]}",
        currency="GBP", status="draft", created_at=now, updated_at=now,
    )  # fmt: skip
    Link.objects.create(
        bill=bill, connection=spot.connection, invoice_id=wrong, base={}, raw=b"", digest=b"",
        remote_status="DRAFT", read_at=now,
    )  # fmt: skip
    return {(wrong, "bill", Cause.NOT_IN_XERO)}


# --- Xero's: the invoice itself ------------------------------------------------------------------

STATUS = {"DRAFT": "draft", "SUBMITTED": "draft", "AUTHORISED": "active", "PAID": "paid"}
SAID: dict[str, Callable[[Invoice], object]] = {
    "number": lambda i: i.number,
    "reference": lambda i: i.reference,
    "client": lambda i: i.contact_id,
    "issued_on": lambda i: i.date,
    "due_on": lambda i: i.due_date,
    "expected_on": lambda i: i.expected_on,
    "status": lambda i: STATUS.get(i.status, "void"),
    "sent": lambda i: i.sent,
    "branding_theme": lambda i: i.theme_id,
    "url": lambda i: i.url,
    "currency": lambda i: i.currency,
    "rate": lambda i: i.rate,
    "tax_mode": lambda i: i.line_amount_types,
    "lines": lambda i: i.lines,
    "sub_total": lambda i: i.sub_total,
    "tax_total": lambda i: i.total_tax,
    "total": lambda i: i.total,
    "discount_total": lambda i: i.total_discount,
    "outstanding": lambda i: i.amount_due,
    "paid": lambda i: i.amount_paid,
    "credited": lambda i: i.amount_credited,
    "fully_paid_on": lambda i: i.fully_paid_on,
}
"""Our field -> what the local Xero's record says of it, without the translation under test."""


def _save(spot: Spot, new: Invoice, *more: Any, also: tuple[str, ...] = ()) -> Found | None:
    """Store a new version silently; each field that differs must be found."""
    differing = [name for name, said in SAID.items() if said(new) != said(spot.invoice)]
    if not differing:
        return None
    spot.save(new, *more)
    return spot.theirs(*differing, *also)


SILENT: dict[str, Callable[[Spot], object]] = {
    "number": lambda spot: f"S-{spot.new_id()[:8]}",
    "reference": lambda spot: HOSTILE + spot.new_id()[:4],
    "date": lambda spot: spot.invoice.date - timedelta(days=400),
    "due_date": lambda spot: date(2028, 2, 29) + timedelta(days=spot.random.randrange(300)),
    "expected_on": lambda spot: date(2027, 12, 31) + timedelta(days=spot.random.randrange(300)),
    "sent": lambda spot: not spot.invoice.sent,
    "theme_id": lambda spot: spot.new_id(),
    "url": lambda spot: f"https://example.com/{spot.new_id()}",
    "currency": lambda spot: "JPY" if spot.invoice.currency != "JPY" else "USD",
    "rate": lambda spot: Decimal(spot.random.randrange(10**9, 10**10)).scaleb(-10) + 1,
}


def _silent(name: str, value: Callable[[Spot], object]) -> Plant:
    def plant(spot: Spot) -> Found | None:
        return _save(spot, replace(spot.invoice, **{name: value(spot)}))

    return plant


THEIRS |= {f"xero_{name}": _silent(name, value) for name, value in SILENT.items()}


@theirs
def xero_contact(spot: Spot) -> Found | None:
    if spot.invoice.amount_credited:
        return None  # a credit note has the contact of its invoice
    links = spot.connection.client_links.filter(merged_to=None).order_by("pk")
    known = [str(link.contact_id) for link in links]
    known.remove(spot.invoice.contact_id)
    return _save(spot, replace(spot.invoice, contact_id=spot.random.choice(known)))


@theirs
def xero_voided(spot: Spot) -> Found | None:
    if spot.invoice.status != "AUTHORISED" or spot.invoice.amount_due != spot.invoice.total:
        return None
    return _save(spot, replace(spot.invoice, status="VOIDED"))


@theirs
def xero_approved(spot: Spot) -> Found | None:
    if spot.invoice.status not in ("DRAFT", "SUBMITTED"):
        return None
    return _save(spot, replace(spot.invoice, status="AUTHORISED"))


# --- Xero's: lines -------------------------------------------------------------------------------


def _priced(spot: Spot, lines: list[XeroLine]) -> Found | None:
    """Other lines, with the totals that follow; only where no money came off."""
    invoice = spot.invoice
    if invoice.amount_due != invoice.total or invoice.status == "PAID":
        return None
    organisation = spot.xero.ledger().organisation
    return _save(spot, with_totals(organisation, replace(invoice, lines=lines)))


LINE_CHANGES: dict[str, dict[str, object]] = {
    "text": {"description": HOSTILE},
    "quantity": {"quantity": Decimal("3.3333")},
    "price": {"unit_amount": Decimal("77.7777")},
    "account": {"account_code": "260"},
    "tax": {"tax_type": "ZERORATEDOUTPUT"},
    "tracking": {"tracking": [("Region", "South")]},
    "item": {"item_code": "ITEM-1"},
    "discount": {"discount_rate": Decimal("12.5")},
}


def _xero_line(changes: dict[str, object]) -> Plant:
    def plant(spot: Spot) -> Found | None:
        lines = spot.invoice.lines
        priced = [n for n, line in enumerate(lines) if line.quantity is not None]
        if not priced:
            return None
        at = spot.random.choice(priced)
        return _priced(spot, [*lines[:at], replace(lines[at], **changes), *lines[at + 1 :]])

    return plant


THEIRS |= {f"xero_line_{name}": _xero_line(change) for name, change in LINE_CHANGES.items()}


@theirs
def xero_line_order(spot: Spot) -> Found | None:
    return _priced(spot, spot.invoice.lines[::-1])


@theirs
def xero_line_added(spot: Spot) -> Found | None:
    return _priced(spot, [*spot.invoice.lines, replace(spot.invoice.lines[0], id=spot.new_id())])


@theirs
def xero_line_missing(spot: Spot) -> Found | None:
    return _priced(spot, spot.invoice.lines[1:]) if len(spot.invoice.lines) > 1 else None


# --- Xero's: money -------------------------------------------------------------------------------


def _payments(spot: Spot) -> list[XeroPayment]:
    ledger = spot.xero.ledger()
    found = [ledger.payments.rows[one] for one in ledger.payments_of[spot.invoice.id]]
    return sorted((p for p in found if p.status != "DELETED"), key=lambda p: p.id)


def _paying(spot: Spot, payment: XeroPayment, by: Decimal) -> Found | None:
    """The invoice and one payment of it, moved together."""
    if spot.invoice.status not in ("AUTHORISED", "PAID") or spot.invoice.amount_due < by:
        return None
    new = replace(spot.invoice, amount_paid=spot.invoice.amount_paid + by)
    status, on = ("PAID", payment.date) if new.amount_due == 0 else ("AUTHORISED", None)
    new = replace(new, status=status, fully_paid_on=on)
    return _save(spot, new, payment, also=("payments", "settlement"))


@theirs
def xero_payment_added(spot: Spot) -> Found | None:
    """Of all that is owed, or of a little."""
    amount = spot.random.choice([CENT, spot.invoice.amount_due])
    payment = XeroPayment(
        id=spot.new_id(), invoice_id=spot.invoice.id, account_code="090", amount=amount,
        date=spot.invoice.date, type="ACCRECPAYMENT", updated=spot.invoice.updated,
    )  # fmt: skip
    return _paying(spot, payment, amount) if amount else None


@theirs
def xero_payment_deleted(spot: Spot) -> Found | None:
    for payment in _payments(spot)[:1]:
        return _paying(spot, replace(payment, status="DELETED"), -payment.amount)
    return None


@theirs
def xero_payment_amount(spot: Spot) -> Found | None:
    for payment in (p for p in _payments(spot) if p.amount > CENT):
        return _paying(spot, replace(payment, amount=payment.amount - CENT), -CENT)
    return None


@theirs
def xero_payment_date(spot: Spot) -> Found | None:
    """On a bill that is not paid in full: there the date is told twice."""
    for payment in _payments(spot)[:1] if spot.invoice.status == "AUTHORISED" else ():
        spot.save(replace(payment, date=payment.date - timedelta(days=366)))
        return spot.theirs("payments")
    return None


@theirs
def xero_payment_reference(spot: Spot) -> Found | None:
    for payment in _payments(spot)[:1]:
        spot.save(replace(payment, reference=HOSTILE + spot.new_id()[:4]))
        return spot.theirs("payments")
    return None


@theirs
def xero_credit_amount(spot: Spot) -> Found | None:
    """A cent less of a credit note is set against the invoice."""
    ledger = spot.xero.ledger()
    for note in (
        ledger.credit_notes.get(one) for one in sorted(ledger.credits_of[spot.invoice.id])
    ):
        if note is None or spot.invoice.status not in ("AUTHORISED", "PAID"):
            return None
        first, *others = note.allocations
        less = replace(note, allocations=[replace(first, amount=first.amount - CENT), *others])
        credited = spot.invoice.amount_credited - CENT
        new = replace(spot.invoice, amount_credited=credited, status="AUTHORISED")
        new = replace(new, fully_paid_on=None)
        return _save(spot, new, less, also=("payments", "settlement"))
    return None


@theirs
def xero_invoice_appears(spot: Spot) -> Found:
    """A whole invoice with an old stamp, which no increment shows."""
    new = replace(
        spot.invoice, id=spot.new_id(), number=f"N-{spot.new_id()[:8]}", status="AUTHORISED",
        lines=[replace(line, id=spot.new_id()) for line in spot.invoice.lines],
        amount_paid=Decimal("0.00"), amount_credited=Decimal("0.00"), fully_paid_on=None,
    )  # fmt: skip
    spot.save(new)
    return {(new.id, "bill", Cause.MISSING_HERE)}


# --- planting ------------------------------------------------------------------------------------

AT_MOST: dict[str, int] = {
    "xero_voided": 2,
    "xero_invoice_appears": 2,
    "link_gone": 3,
    "link_to_another": 2,
    "bill_too_many": 2,
}
"""Kinds that change how many bills there are: so many of each in one round."""


def spots(xero: Xero, connection: Connection, random: Random) -> Iterator[Spot]:
    """Every bill that is an invoice, in a random order."""
    links = Link.objects.filter(connection=connection).select_related("bill__client")
    for link in random.sample(list(links.order_by("pk")), links.count()):
        invoice = xero.ledger().invoices.rows[str(link.invoice_id)]
        yield Spot(xero, connection, link.bill, invoice, random)


def sow(
    xero: Xero, connection: Connection, kinds: deque[str], random: Random
) -> tuple[Found, list[str]]:
    """One difference on each bill; what must be found, and the kinds that were planted.

    Kinds take turns over all rounds: a bill gets the first kind that it can have, which then
    goes to the end of `kinds`. So the rare ones are planted as soon as a bill can have them.
    """
    expected, planted = set[Any](), list[str]()
    for spot in spots(xero, connection, random):
        for name in list(kinds):
            may = planted.count(name) < AT_MOST.get(name, 99)
            found = (OURS | THEIRS)[name](spot) if may else None
            if found:
                expected |= found
                planted.append(name)
                kinds.remove(name)
                kinds.append(name)
                break
    return expected, planted
