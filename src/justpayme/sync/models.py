"""What the sync remembers: connections, tokens, links, the outbox, conflicts, cursors, runs.

The tables are the truth: a job only says "look now" (`Connection.next_due_at`), so if every
job were lost the next tick would find the same work.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime

from django.db import models
from django.db.models import Q

from justpayme.accounts.models import Business, User
from justpayme.bills.models import Bill, Client


class OAuthState(models.Model):
    """One sign-in at Xero under way: the one-use `state`, bound to a session and a business."""

    digest = models.CharField(max_length=64, unique=True)
    session_digest = models.CharField(max_length=64)
    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sign-in at Xero of {self.user}"


class TokenSet(models.Model):
    """The token pair of one Xero user for one business, shared by the organisations she gave.

    `sealed` is AES-GCM ciphertext (`sync.tokens`); the key stays outside the database.
    `asked_at`: a new pair was asked for then, and none is stored yet.
    """

    class State(models.TextChoices):
        LIVE = "live", "Live"
        LOST = "lost", "Xero no longer accepts it"

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="token_sets")
    xero_user_id = models.CharField(max_length=36)
    sealed = models.BinaryField()
    key_id = models.CharField(max_length=16)
    scopes = models.TextField(default="")
    expires_at = models.DateTimeField()
    refreshed_at = models.DateTimeField()
    asked_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=4, choices=State.choices, default=State.LIVE)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["business", "xero_user_id"], name="token_set_once"),
        ]

    def __str__(self) -> str:
        return f"tokens of Xero user {self.xero_user_id}"


class Connection(models.Model):
    """One Xero organisation of one business, with its settings; it outlives a disconnect.

    `state`: *offered* (consent given, not chosen yet) → *live* ⇄ *lost* / *halted* →
    *disconnected* → *live* again on reconnect. `lost`: Xero stopped letting us in.
    `halted`: a safety stop waits for a person. `checked_at` is when the last complete
    sync ended: every linked bill was equal to Xero then.

    `direction` *two* lets changes go out; `write_back` lets payments go out too. What a new
    invoice needs and a bill doesn't say stands in `revenue_account` (an account's code),
    `tax_type`, `branding_theme` (an id, empty: Xero's default) and `create_as`.
    Nothing dated on or before a lock date can be changed in Xero (xero-facts 4.6).
    """

    class State(models.TextChoices):
        OFFERED = "offered", "Not chosen"
        LIVE = "live", "Connected"
        LOST = "lost", "Connection lost"
        HALTED = "halted", "Stopped for safety"
        DISCONNECTED = "disconnected", "Disconnected"

    class Direction(models.TextChoices):
        ONE = "one", "One-directional"
        TWO = "two", "Bidirectional"

    class CreateAs(models.TextChoices):
        AUTHORISED = "AUTHORISED", "Authorised"
        DRAFT = "DRAFT", "Draft"

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="connections")
    tokens = models.ForeignKey(
        TokenSet, null=True, on_delete=models.SET_NULL, related_name="connections"
    )
    tenant_id = models.UUIDField()
    connection_id = models.CharField(max_length=36, blank=True)
    organisation_id = models.CharField(max_length=36, blank=True)
    name = models.CharField(max_length=255)
    short_code = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")

    state = models.CharField(max_length=12, choices=State.choices, default=State.OFFERED)
    direction = models.CharField(max_length=3, choices=Direction.choices, default=Direction.ONE)
    interval_minutes = models.PositiveIntegerField(default=15)
    import_drafts = models.BooleanField(default=False)
    write_back = models.BooleanField(default=False)
    revenue_account = models.CharField(max_length=10, blank=True)
    tax_type = models.CharField(max_length=50, blank=True)
    branding_theme = models.CharField(max_length=36, blank=True)
    create_as = models.CharField(
        max_length=10, choices=CreateAs.choices, default=CreateAs.AUTHORISED
    )
    defaults_set_at = models.DateTimeField(null=True)
    period_lock_date = models.DateField(null=True)
    year_lock_date = models.DateField(null=True)

    connected_at = models.DateTimeField(null=True)
    disconnected_at = models.DateTimeField(null=True)
    imported_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    audited_at = models.DateTimeField(null=True)
    next_due_at = models.DateTimeField(null=True, db_index=True)
    blocked_until = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)
    error_at = models.DateTimeField(null=True)
    accepted_risk = models.BooleanField(default=False)
    telling_since = models.DateTimeField(null=True)
    notified_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["business", "tenant_id"], name="organisation_once"),
            models.CheckConstraint(
                condition=Q(interval_minutes__gte=5, interval_minutes__lte=1440),
                name="interval_5_minutes_to_24_hours",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_in_use(self) -> bool:
        """Does this organisation own its bills and clients?"""
        return self.state in IN_USE

    @property
    def is_live(self) -> bool:
        """May calls be made for this organisation?"""
        return self.state == self.State.LIVE

    @property
    def is_two_way(self) -> bool:
        """May changes be sent for this organisation?"""
        return self.is_live and self.direction == self.Direction.TWO

    @property
    def told_at(self) -> datetime | None:
        """When Xero last told us of a change by webhook; None if it never did."""
        heard: Heard | None = getattr(self, "heard", None)
        return heard.last_at if heard else None

    @property
    def lock_date(self) -> date | None:
        """The last day that is locked in Xero, in the organisation's calendar."""
        return max(filter(None, (self.period_lock_date, self.year_lock_date)), default=None)

    @property
    def wants_import(self) -> bool:
        """The first import has not been completed yet."""
        return self.imported_at is None


IN_USE = (Connection.State.LIVE, Connection.State.LOST, Connection.State.HALTED)
"""States in which an organisation owns its bills, and needs its tokens now or later."""


class Link(models.Model):
    """Ties one bill to one Xero invoice. `base` is the last version both books agreed on.

    `edited`: the row may differ from `base` (a person changed the bill while it was not synced).
    `raw` is Xero's JSON of that version, deflated: what exactly did Xero say.
    """

    bill = models.OneToOneField(Bill, on_delete=models.CASCADE, related_name="link")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="links")
    invoice_id = models.UUIDField()
    base = models.JSONField()
    raw = models.BinaryField()
    digest = models.BinaryField(max_length=16)
    remote_status = models.CharField(max_length=20)
    remote_updated_at = models.DateTimeField(null=True)
    edited = models.BooleanField(default=False)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "invoice_id"], name="invoice_once"),
        ]

    def __str__(self) -> str:
        return f"Xero invoice {self.invoice_id}"


class ClientLink(models.Model):
    """Ties one client to one Xero contact."""

    client = models.OneToOneField(Client, on_delete=models.CASCADE, related_name="link")
    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, related_name="client_links"
    )
    contact_id = models.UUIDField()
    merged_to = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "contact_id"], name="contact_once"),
        ]

    def __str__(self) -> str:
        return f"Xero contact {self.contact_id}"


class Record(models.Model):
    """What Xero last said about an object that is not a bill: contact, payment, account, …

    Kept so that a payment read before its invoice, or a contact before its first bill,
    is complete when the bill arrives.
    """

    class Kind(models.TextChoices):
        CONTACT = "contact"
        PAYMENT = "payment"
        ACCOUNT = "account"
        TAX_RATE = "tax_rate"
        CURRENCY = "currency"
        THEME = "theme"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="records")
    kind = models.CharField(max_length=11, choices=Kind.choices)
    remote_id = models.CharField(max_length=50)
    updated_at = models.DateTimeField(null=True)
    data = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "kind", "remote_id"], name="record_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.remote_id}"


class Cursor(models.Model):
    """How far one endpoint of one organisation has been read. Moves only with its rows (I-7).

    `state` is `core.cursor`'s own, as plain data.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="cursors")
    endpoint = models.CharField(max_length=20)
    state = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "endpoint"], name="cursor_once"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} cursor"


class Heard(models.Model):
    """What Xero told us of one organisation by webhook (`sync.webhooks`). One row, never more.

    `waiting_since`: when the first word came that no run has read yet; None if nothing waits.
    `invoices` are the ids that were named, unless there were too `many` to read by id;
    `contacts`: some contact was named. `words` counts deliveries, and `taken` is that count when
    the last run looked, at `taken_at`: if they are equal when it ends, nothing new has come.
    """

    connection = models.OneToOneField(
        Connection, primary_key=True, on_delete=models.CASCADE, related_name="heard"
    )
    last_at = models.DateTimeField()
    waiting_since = models.DateTimeField(null=True)
    invoices = models.JSONField(default=list)
    many = models.BooleanField(default=False)
    contacts = models.BooleanField(default=False)
    words = models.PositiveBigIntegerField(default=0)
    taken = models.PositiveBigIntegerField(default=0)
    taken_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"told {self.words} times"


class Run(models.Model):
    """One sync run of one organisation: why it ran, what it did and used, how it ended.

    `expected` is the number of invoices of a first import, once Xero has told it;
    unknown while invoices are read in slices of dates (core/cursor.py).
    A run writes only while its own row says *running*: a worker that was paused and
    replaced finds its row *abandoned* and stops (I-42).
    """

    class Kind(models.TextChoices):
        IMPORT = "import", "First import"
        INCREMENT = "increment", "Changes"
        AUDIT = "audit", "Full audit"
        NAMED = "named", "Changes by name"
        PUSH = "push", "Sending"

    class Cause(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        PERSON = "person", "Sync now"
        COMMAND = "command", "Command"
        CONNECT = "connect", "Connected"
        EDIT = "edit", "A change here"
        WEBHOOK = "webhook", "Told by Xero"

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        STOPPED = "stopped", "Stopped"
        ABANDONED = "abandoned", "Abandoned"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    cause = models.CharField(max_length=8, choices=Cause.choices)
    by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=9, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    expected = models.PositiveBigIntegerField(null=True)
    read = models.PositiveBigIntegerField(default=0)
    created = models.PositiveBigIntegerField(default=0)
    changed = models.PositiveBigIntegerField(default=0)
    unchanged = models.PositiveBigIntegerField(default=0)
    skipped = models.PositiveBigIntegerField(default=0)
    sent = models.PositiveBigIntegerField(default=0)
    refused = models.PositiveBigIntegerField(default=0)
    calls = models.PositiveBigIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)
    drift = models.PositiveBigIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)

    took_words = False
    """Whether it reads something that Xero told us of; only the process that runs it knows."""

    class Meta:
        indexes = [models.Index(fields=["connection", "-started_at"])]

    def __str__(self) -> str:
        return f"{self.kind} run {self.pk}"


class ReceivingAccount(models.Model):
    """The account in Xero that payments in one currency are recorded against."""

    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, related_name="receiving_accounts"
    )
    currency = models.CharField(max_length=3)
    account_id = models.CharField(max_length=36)
    name = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "currency"], name="receiver_once"),
        ]

    def __str__(self) -> str:
        return f"{self.currency} to {self.name}"


class Shipment(models.Model):
    """One request that changes Xero, exactly as it leaves. Stored before its first byte (I-17).

    Its id is part of its idempotency key, so a repeat is byte-identical under the same key and
    another request never has that key (I-18). `unclear`: a try may have taken effect.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="shipments")
    method = models.CharField(max_length=4)
    path = models.CharField(max_length=200)
    params = models.JSONField(default=list)
    body = models.BinaryField()
    first_sent_at = models.DateTimeField()
    last_sent_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=1)
    unclear = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class OutboxItem(models.Model):
    """One intention of a person that Xero shall hear of, written with the change itself (I-17).

        waiting ─▶ sending ─┬─▶ done
           ▲          │     ├─▶ refused   Xero said no; a person may try again
           │          ▼     │
           └─────── unsure ─┘             no clear answer: repeated under its key, then looked for
        waiting ─▶ parked                 a person must decide something first
        waiting ─▶ superseded, cancelled  Xero's version stands, or the sending ended

    `sent`: the bill as it was when it left (`BillFields`), for the units in `sent_units`; so that
    our own write is known for what it is (merge, row 13). `paid`: the payment (`PaidFields`) of
    a *pay* or *unpay*. `marker` is how a payment or contact is found again in Xero.
    `remote_id`: the object in Xero that it made or is about. `error_text` is Xero's own text.
    """

    class Kind(models.TextChoices):
        CONTACT = "contact", "New contact"
        CREATE = "create", "New invoice"
        UPDATE = "update", "Changes"
        PAY = "pay", "Payment"
        UNPAY = "unpay", "Payment taken back"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting to send"
        PARKED = "parked", "Needs a decision"
        SENDING = "sending", "Sending"
        UNSURE = "unsure", "Sent, being checked"
        REFUSED = "refused", "Refused by Xero"
        DONE = "done", "Done"
        SUPERSEDED = "superseded", "Superseded"
        CANCELLED = "cancelled", "Cancelled"

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="+")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="outbox")
    bill = models.ForeignKey(Bill, null=True, on_delete=models.CASCADE, related_name="outbox")
    client = models.ForeignKey(Client, null=True, on_delete=models.CASCADE, related_name="outbox")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True)
    shipment = models.ForeignKey(
        Shipment, null=True, on_delete=models.SET_NULL, related_name="items"
    )
    position = models.PositiveIntegerField(default=0)
    sent = models.JSONField(null=True)
    sent_units = models.JSONField(default=list)
    paid = models.JSONField(null=True)
    marker = models.CharField(max_length=20, blank=True)
    remote_id = models.CharField(max_length=36, blank=True)
    detail = models.JSONField(default=dict)
    error_code = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)
    error_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["connection", "state", "id"],
                condition=Q(state__in=["waiting", "sending", "unsure", "parked", "refused"]),
                name="outbox_open",
            ),
            models.Index(fields=["bill", "id"], name="outbox_of_bill"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["bill"],
                condition=Q(kind__in=["update", "create"], state__in=["waiting", "parked"]),
                name="one_waiting_change_of_a_bill",
            ),
            models.UniqueConstraint(
                fields=["connection", "client"],
                condition=Q(kind="contact", state__in=["waiting", "parked", "sending", "unsure"]),
                name="one_contact_under_way",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}: {self.state}"


IN_FLIGHT = (OutboxItem.State.SENDING, OutboxItem.State.UNSURE)
"""States of an item that may have taken effect in Xero."""

OPEN = (
    OutboxItem.State.WAITING,
    OutboxItem.State.PARKED,
    OutboxItem.State.SENDING,
    OutboxItem.State.UNSURE,
    OutboxItem.State.REFUSED,
)
"""States of an item that is neither done nor given up."""

NOT_LEFT = (OutboxItem.State.WAITING, OutboxItem.State.PARKED, OutboxItem.State.REFUSED)
"""States of an item that is open and can't have had an effect in Xero."""

RESTING = (OutboxItem.State.PARKED, OutboxItem.State.REFUSED)
"""States of an item that waits for a person."""

NOT_ALLOWED = "write_permission_missing"
"""Why an item rests that Xero did not let us send. A consent, or a role in Xero, lets it go."""


class Conflict(models.Model):
    """A value of ours that Xero's overrode, kept until a person decides (I-27).

    `ours` and `theirs` hold the fields of one unit as `core.bill.to_plain` writes them; unit
    *payments* holds payments recorded here that Xero never heard of.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        SENT = "sent", "Ours was sent"
        KEPT = "kept", "Xero's was kept"
        REPLACED = "replaced", "Replaced by a later one"

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="+")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="conflicts")
    bill = models.ForeignKey(Bill, on_delete=models.CASCADE, related_name="conflicts")
    unit = models.CharField(max_length=20)
    ours = models.JSONField()
    theirs = models.JSONField()
    typed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    typed_at = models.DateTimeField(null=True)
    at = models.DateTimeField()
    run = models.BigIntegerField(null=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    resolved_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["business", "state", "-id"], name="conflicts_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["bill", "unit"], condition=Q(state="open"), name="one_open_conflict"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.unit} of bill {self.bill_id}: {self.state}"


class Meter(models.Model):
    """Calls and bytes per organisation and minute: budgets across processes and restarts (I-39).

    Keyed by Xero's tenant, not by our connection: limits belong to app and organisation.
    """

    tenant_id = models.UUIDField()
    minute = models.DateTimeField()
    calls = models.PositiveIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "minute"], name="meter_once"),
        ]

    def __str__(self) -> str:
        return f"{self.calls} calls in {self.minute:%H:%M}"


def running(connection: Connection) -> Run | None:
    """The run under way for this organisation, if any."""
    return connection.runs.filter(state=Run.State.RUNNING).order_by("-started_at").first()


def checked_at(link: Link, connection: Connection) -> datetime | None:
    """When a bill was last known to say what Xero says: by the last complete check, or by a
    reading of its own since. None during the first import."""
    whole = connection.checked_at
    return max(whole, link.read_at) if whole else None


def is_fresh(connection: Connection, now: datetime) -> bool:
    """Was the last complete check within twice the schedule? Pages then draw the double rule."""
    if connection.checked_at is None or not connection.is_live:
        return False
    age = now - connection.checked_at
    return age.total_seconds() <= 2 * 60 * connection.interval_minutes
