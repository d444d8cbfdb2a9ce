"""Bills, their lines and payments, the clients who owe them, and every bill's history.

The model keeps the single mapping between rows and `core.bill.BillFields`
(`Bill.fields`); rules live in core, verbs in actions.py.
Amounts are Decimal in the bill's currency; days are calendar days.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from typing import Any

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Lower

from justpayme.accounts.models import Business, User
from justpayme.core.bill import (
    FIELD_NAMES,
    BillFields,
    LineFields,
    MoneyKind,
    PaidFields,
    Status,
    TaxMode,
    TrackingFields,
)

_BILL_COLUMNS = [
    n for n in FIELD_NAMES if n not in ("client", "status", "tax_mode", "lines", "payments")
]
FAR = Value(date(9999, 12, 31))
"""Where a bill without a date stands in an order of dates."""
_LINE_COLUMNS = [f.name for f in fields(LineFields) if f.name != "tracking"]


def money(**extra: Any) -> models.DecimalField[Any, Any]:
    """A column for an amount: 14 digits before the point, four after it."""
    return models.DecimalField(max_digits=18, decimal_places=4, **extra)


def exact(**extra: Any) -> models.DecimalField[Any, Any]:
    """A column for a number that is not rounded to money: ten decimals."""
    return models.DecimalField(max_digits=24, decimal_places=10, **extra)


def choices(kind: Any) -> list[tuple[str, str]]:
    """Django choices of a core enumeration."""
    return [(item.value, item.value.title()) for item in kind]


class Client(models.Model):
    """Someone who owes this business money."""

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="clients")
    name = models.CharField(max_length=500)
    email = models.CharField(max_length=255, blank=True)
    phone = models.CharField(max_length=100, blank=True)
    address = models.TextField(blank=True)
    tax_number = models.CharField(max_length=100, blank=True)
    archived = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["business", "name", "id"]),
            models.Index(F("business"), Lower("name"), F("id"), name="client_by_name"),
        ]

    def __str__(self) -> str:
        return self.name

    def mark(self) -> dict[str, Any]:
        """How a bill's history names this client: by its number, and as it was called then."""
        return {"id": self.pk, "name": self.name}


class Bill(models.Model):
    """A sales bill that a client owes. `paid`, `credited` and `outstanding` are always shown."""

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="bills")
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="bills")
    number = models.CharField(max_length=255, blank=True)
    reference = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=6, choices=choices(Status), default=Status.DRAFT)
    issued_on = models.DateField(null=True, blank=True)
    due_on = models.DateField(null=True, blank=True)
    expected_on = models.DateField(null=True, blank=True)
    sent = models.BooleanField(default=False)
    branding_theme = models.CharField(max_length=36, blank=True)
    url = models.TextField(blank=True)
    currency = models.CharField(max_length=3)
    rate = exact(null=True, blank=True)
    tax_mode = models.CharField(max_length=9, choices=choices(TaxMode), default=TaxMode.EXCLUSIVE)
    sub_total = money(default=0)
    tax_total = money(default=0)
    total = money(default=0)
    discount_total = money(default=0)
    outstanding = money(default=0)
    paid = money(default=0)
    credited = money(default=0)
    fully_paid_on = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            # A bill without a date sorts as if it were the last day there is, so that an
            # index can serve the order (queries.FAR).
            models.Index(
                F("business"), Coalesce("issued_on", FAR).desc(), F("id").desc(), name="bill_newest"
            ),
            models.Index(F("business"), Coalesce("due_on", FAR), F("id"), name="bill_by_due"),
            models.Index(fields=["business", "-outstanding", "-id"], name="bill_by_amount"),
            models.Index(
                fields=["business", "-fully_paid_on", "-id"],
                condition=Q(status="paid"),
                name="bill_paid_last",
            ),
            models.Index(fields=["business", "status", "due_on", "id"], name="bill_status_due"),
            models.Index(fields=["client", "-issued_on", "-id"], name="bill_of_client"),
            models.Index(fields=["business", "number"], name="bill_number"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=[s.value for s in Status]), name="bill_status_known"
            ),
        ]

    def __str__(self) -> str:
        return self.number or f"Draft {self.pk}"

    def fields(self, *, contact_id: str = "") -> BillFields:
        """This row, its lines and payments as a value. `contact_id`: the client's, if linked."""
        plain = {name: getattr(self, name) for name in _BILL_COLUMNS}
        return BillFields(
            client=contact_id,
            status=Status(self.status),
            tax_mode=TaxMode(self.tax_mode),
            lines=tuple(line.fields() for line in self.lines.all()),
            payments=tuple(payment.fields() for payment in self.payments.all()),
            **plain,
        )

    def told(self) -> BillFields:
        """The same for the history: the client by its number here, linked or not."""
        return self.fields(contact_id=str(self.client_id))


class Line(models.Model):
    """One line of a bill, in the bill's order."""

    bill = models.ForeignKey(Bill, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()
    remote_id = models.CharField(max_length=36, blank=True)
    description = models.TextField(blank=True)
    quantity = exact(null=True, blank=True)
    unit_amount = exact(null=True, blank=True)
    discount_rate = exact(null=True, blank=True)
    discount_amount = money(null=True, blank=True)
    line_amount = money(default=0)
    tax_type = models.CharField(max_length=50, blank=True)
    tax_amount = money(default=0)
    account_code = models.CharField(max_length=10, blank=True)
    item_code = models.CharField(max_length=50, blank=True)
    tracking = models.JSONField(default=list)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["bill", "position"], name="line_position_once"),
        ]

    def __str__(self) -> str:
        return self.description[:60]

    def fields(self) -> LineFields:
        """This line as a value."""
        tracking = tuple(TrackingFields(**entry) for entry in self.tracking)
        plain = {name: getattr(self, name) for name in _LINE_COLUMNS}
        return LineFields(tracking=tracking, **plain)


class Payment(models.Model):
    """Money that came off a bill; `amount` is positive and in the bill's currency.

    `account` names the account that received it. Xero's invoices don't tell it, so it is filled
    from Xero's payments and is not one of the mirrored fields.
    """

    bill = models.ForeignKey(Bill, on_delete=models.CASCADE, related_name="payments")
    kind = models.CharField(max_length=11, choices=choices(MoneyKind))
    remote_id = models.CharField(max_length=36, blank=True)
    amount = money()
    on = models.DateField(null=True, blank=True)
    reference = models.CharField(max_length=255, blank=True)
    number = models.CharField(max_length=255, blank=True)
    account = models.CharField(max_length=150, blank=True)
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"

    def fields(self) -> PaidFields:
        """This payment as a value."""
        return PaidFields(
            kind=MoneyKind(self.kind),
            remote_id=self.remote_id,
            amount=self.amount,
            on=self.on,
            reference=self.reference,
            number=self.number,
        )


class HistoryEntry(models.Model):
    """What changed on a bill, when, by whom and why. Append-only: the database refuses changes.

    `changes` is a list of {"field", "old", "new"}: exactly what changed in our row, so that the
    bill can be rebuilt as of any moment (`core.timeline`); values as `core.bill.to_plain` writes
    them, a client as `Client.mark` (older entries: a name, or Xero's ContactID). Only the changes
    of a `SENT` entry are about Xero: what was sent there, before and after.
    `run` is the number of the sync run that brought the change, if one did.
    """

    SENT = "sent"
    """The `action` of an entry whose changes were made in Xero, by us, and not in our row."""

    class Source(models.TextChoices):
        PERSON = "person", "Person"
        XERO = "xero", "Xero"
        IMPORT = "import", "First import"
        CONNECTION = "connection", "Connection"
        WRITE_BACK = "write-back", "Sent to Xero"

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="+")
    bill = models.ForeignKey(Bill, on_delete=models.CASCADE, related_name="history")
    at = models.DateTimeField()
    source = models.CharField(max_length=10, choices=Source.choices)
    action = models.CharField(max_length=30)
    by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    run = models.BigIntegerField(null=True)
    changes = models.JSONField(default=list)
    note = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["bill", "-at", "-id"])]
        verbose_name_plural = "history entries"

    def __str__(self) -> str:
        return f"{self.action} at {self.at:%Y-%m-%d %H:%M}"


class ClientHistory(models.Model):
    """What a person changed on a client, and when. Append-only, like a bill's history."""

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="+")
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="history")
    at = models.DateTimeField()
    by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    action = models.CharField(max_length=30)
    changes = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["client", "-at", "-id"], name="client_history_newest")]
        verbose_name_plural = "client history"

    def __str__(self) -> str:
        return f"{self.action} at {self.at:%Y-%m-%d %H:%M}"


class Submission(models.Model):
    """One form that was carried out, so that sending it twice does its work once (I-50).

    `token` was made with the form; `target_id` is the bill or client that came of it.
    """

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="+")
    token = models.CharField(max_length=64)
    at = models.DateTimeField()
    target_id = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["business", "token"], name="submission_once"),
        ]
        indexes = [models.Index(fields=["business", "at"], name="submission_by_age")]

    def __str__(self) -> str:
        return f"form sent at {self.at:%Y-%m-%d %H:%M}"
