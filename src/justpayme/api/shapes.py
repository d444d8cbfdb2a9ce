"""What travels: the bodies a call may send and the objects it gets back.

Money and other decimals travel as text ("1234.50"), days as YYYY-MM-DD, times in UTC with a Z.
A field that is not listed here is refused by its name, so nobody can set a tenant, a total or
a link by guessing.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from justpayme.bills.currencies import digits
from justpayme.core.entry import LENGTHS, LINES_AT_MOST, is_storable
from justpayme.core.schedule import INTERVALS

BIGGEST_ID = 2**63 - 1
_DECIMAL = re.compile(r"-?[0-9]{1,14}(\.[0-9]{1,6})?", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z", re.ASCII
)


def _decimal_of(value: Any) -> Decimal:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ValueError('Send a decimal number as text, such as "120.00".')
    return Decimal(value)


def _day_of(value: Any) -> date:
    sentence = "Send a day as YYYY-MM-DD, such as 2026-11-22."
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError(sentence)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(sentence) from None


def _time_of(value: Any) -> datetime:
    sentence = "Send a time in UTC, such as 2026-11-22T09:30:00Z."
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError(sentence)
    try:
        return datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(sentence) from None


def _plain_text(value: Any) -> Any:
    if isinstance(value, str) and not is_storable(value):
        raise ValueError("This text has a character that cannot be stored.")
    return value


DecimalIn = Annotated[
    Decimal,
    BeforeValidator(_decimal_of),
    WithJsonSchema({"type": "string", "pattern": f"^{_DECIMAL.pattern}$", "examples": ["120.00"]}),
]
DayIn = Annotated[
    date,
    BeforeValidator(_day_of),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-11-22"]}),
]
TimeIn = Annotated[
    datetime,
    BeforeValidator(_time_of),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T09:30:00Z"]}),
]
IdIn = Annotated[int, Field(strict=True, ge=1, le=BIGGEST_ID)]
IdQuery = Annotated[int, Field(ge=1, le=BIGGEST_ID)]
TextQuery = Annotated[str, BeforeValidator(_plain_text), StringConstraints(max_length=100)]

Money = Annotated[
    str,
    Field(
        description="An amount in the object's currency, with that currency's decimals or more.",
        examples=["120.00"],
    ),
]
DecimalOut = Annotated[str, Field(examples=["1.25"])]
Day = Annotated[
    str, WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-11-22"]})
]
Time = Annotated[
    str,
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T09:30:00Z"]}),
]


def money(amount: Decimal, currency: str) -> str:
    """An amount as text, with at least the currency's decimals and never cut."""
    text = format(amount, "f")
    whole, _, part = text.partition(".")
    part = part.rstrip("0").ljust(digits(currency), "0")
    return f"{whole}.{part}" if part else whole


def decimal(number: Decimal) -> str:
    """A number that is not an amount, without zeros that say nothing."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimal_or_none(number: Decimal | None) -> str | None:
    """The same for a number that may be unknown."""
    return None if number is None else decimal(number)


def day(value: date | None) -> str | None:
    """YYYY-MM-DD."""
    return value.isoformat() if value else None


def time(value: datetime) -> str:
    """UTC with a Z, to the microsecond when there is one."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def time_or_none(value: datetime | None) -> str | None:
    """The same for a time that may be unknown."""
    return time(value) if value else None


def _interval(minutes: int) -> int:
    if minutes not in INTERVALS:
        raise ValueError(f"Send one of {', '.join(map(str, INTERVALS))}.")
    return minutes


class Sent(Schema):
    """A body: unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid")


def _text(name: str) -> Any:
    return StringConstraints(strict=True, max_length=LENGTHS[name])


class LineIn(Sent):
    """A line to store. Its amounts are worked out from these."""

    id: IdIn | None = Field(
        None, description="The stored line to keep, as the bill tells it; leave out for a new one."
    )
    description: Annotated[str, _text("description")]
    quantity: DecimalIn = Decimal(1)
    unit_amount: DecimalIn
    discount_rate: DecimalIn = Field(Decimal(0), description="Per cent off this line.")
    tax_rate: DecimalIn = Field(Decimal(0), description="Per cent of tax on this line.")
    tax_type: Annotated[str, _text("tax_type")] = Field(
        "", description="Xero's own tax type; it then says the rate. Empty: by `tax_rate`."
    )
    account_code: Annotated[str, _text("account_code")] = Field(
        "", description="Xero's account; empty: the line's own, else the organisation's usual one."
    )


TaxModeIn = Literal["exclusive", "inclusive", "none"]
CurrencyIn = Annotated[str, StringConstraints(strict=True, pattern="^[A-Z]{3}$")]
IntervalIn = Annotated[
    int,
    Field(
        strict=True,
        description="Minutes between two scheduled checks.",
        json_schema_extra={"enum": list(INTERVALS)},
    ),
    AfterValidator(_interval),
]
LinesIn = Annotated[list[LineIn], Field(max_length=LINES_AT_MOST, min_length=1)]


Truth = Annotated[bool, Field(strict=True)]


class NewBill(Sent):
    """A bill to store. Totals are worked out, never sent."""

    client_id: IdIn
    currency: CurrencyIn
    number: Annotated[str, _text("number")] = ""
    reference: Annotated[str, _text("reference")] = ""
    issued_on: DayIn
    due_on: DayIn | None = None
    expected_on: DayIn | None = None
    tax_mode: TaxModeIn = "exclusive"
    branding_theme: Annotated[str, _text("branding_theme")] = ""
    url: Annotated[str, _text("url")] = ""
    sent: Truth = False
    lines: LinesIn
    status: Literal["draft", "active"] = "draft"
    also_in_xero: IdIn | None = Field(
        None, description="A bidirectional organisation's id: the bill becomes an invoice there."
    )


SEEN = "The `updated_at` that you read; 409 if there was a change since."


def _without_defaults(schema: dict[str, Any]) -> None:
    for described in schema["properties"].values():
        described.pop("default", None)


class Partial(Sent):
    """A change: fields left out stay as they are.

    The defaults below only make the fields optional. They are never used, nor shown.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)

    seen: TimeIn | None = Field(None, description=SEEN)

    def given(self) -> dict[str, Any]:
        """The fields that were sent, without `seen`."""
        every = self.model_dump()
        return {name: every[name] for name in self.model_fields_set - {"seen"}}


class BillChange(Partial):
    """What to change on a bill."""

    client_id: IdIn = 0
    currency: CurrencyIn = ""
    number: Annotated[str, _text("number")] = ""
    reference: Annotated[str, _text("reference")] = ""
    issued_on: DayIn = date.min
    due_on: DayIn | None = None
    expected_on: DayIn | None = None
    tax_mode: TaxModeIn = "exclusive"
    branding_theme: Annotated[str, _text("branding_theme")] = ""
    url: Annotated[str, _text("url")] = ""
    sent: Truth = False
    lines: LinesIn = Field(default_factory=list)


class NewPayment(Sent):
    """Money that came in."""

    amount: DecimalIn
    on: DayIn
    reference: Annotated[str, _text("reference")] = ""
    seen: TimeIn | None = Field(None, description=SEEN)


class Organisation(Sent):
    """Which organisation."""

    organisation_id: IdIn


Choice = Literal["mine", "xero"]
IdsIn = Annotated[list[IdIn], Field(min_length=1, max_length=200)]


class Resolution(Sent):
    """Which value counts: `mine` is sent to Xero after all, `xero` stays."""

    choice: Choice
    units: Annotated[
        list[Annotated[str, StringConstraints(max_length=20)]], Field(max_length=20)
    ] = Field(default_factory=list, description="Only these; left out: all of the bill.")


class Resolutions(Sent):
    """Which values count, of several bills at once."""

    ids: IdsIn
    choice: Choice


class Items(Sent):
    """Some of what has not reached Xero."""

    ids: IdsIn


class ContactChoice(Sent):
    """Which contact in Xero a client is; null: it becomes a new one, called `name`."""

    contact_id: Annotated[str, StringConstraints(strict=True, max_length=36)] | None
    name: Annotated[str, StringConstraints(strict=True, max_length=255)] = ""


class Ticks(Sent):
    """What is ticked in a preview: keys of its items, or everything that can be."""

    chosen: Annotated[
        list[Annotated[str, StringConstraints(max_length=30)]], Field(max_length=100_000)
    ] = Field(default_factory=list)
    everything: Truth = False


class DirectionChange(Ticks):
    """Which way, and for `two` the very plan that was shown."""

    direction: Literal["one", "two"]
    digest: Annotated[str, StringConstraints(strict=True, max_length=64)] = Field(
        "", description="The `digest` of the preview; needed for `two`."
    )


class DefaultsIn(Sent):
    """What a new invoice needs and a bill doesn't say."""

    revenue_account: Annotated[str, StringConstraints(strict=True, max_length=10)]
    tax_type: Annotated[str, StringConstraints(strict=True, max_length=50)]
    branding_theme: Annotated[str, StringConstraints(strict=True, max_length=36)] = ""
    create_as: Literal["AUTHORISED", "DRAFT"] = "AUTHORISED"
    write_back: Truth = Field(False, description="Payments recorded here are recorded in Xero.")
    receivers: Annotated[
        dict[CurrencyIn, Annotated[str, StringConstraints(strict=True, max_length=36)]],
        Field(max_length=200, description="Currency -> id of the account that receives it."),
    ] = Field(default_factory=dict)


class NewClient(Sent):
    """A client to store."""

    name: Annotated[str, _text("name")]
    email: Annotated[str, _text("email")] = ""
    phone: Annotated[str, _text("phone")] = ""
    address: Annotated[str, _text("address")] = ""
    tax_number: Annotated[str, _text("tax_number")] = ""


class ClientChange(Partial):
    """What to change on a client."""

    name: Annotated[str, _text("name")] = ""
    email: Annotated[str, _text("email")] = ""
    phone: Annotated[str, _text("phone")] = ""
    address: Annotated[str, _text("address")] = ""
    tax_number: Annotated[str, _text("tax_number")] = ""


class SettingsChange(Sent):
    """An organisation's settings; those left out stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)

    interval_minutes: IntervalIn = 15
    import_drafts: Annotated[bool, Field(strict=True)] = False


class SeenQuery(Schema):
    """Which version of the object is meant."""

    seen: TimeIn | None = Field(None, description=SEEN)


class PageQuery(Schema):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(max_length=40)] | None = Field(
        None, description="`next_cursor` of the answer before."
    )


class BillQuery(PageQuery):
    """Which bills."""

    status: Literal["draft", "active", "overdue", "paid", "void"] | None = None
    client: IdQuery | None = Field(None, description="A client's id.")
    organisation: IdQuery | None = Field(None, description="An organisation's id.")
    updated_since: TimeIn | None = None
    search: TextQuery | None = Field(
        None, description="Part of a number, a reference or a client's name."
    )


class ClientQuery(PageQuery):
    """Which clients."""

    search: TextQuery | None = Field(None, description="Part of a name or an e-mail address.")
    archived: bool | None = None


class PaymentQuery(PageQuery):
    """Which payments."""

    bill: IdQuery | None = Field(None, description="A bill's id.")


class OutboxQuery(PageQuery):
    """Which of what has not reached Xero."""

    state: Literal["all", "waiting", "parked", "refused"] = "all"
    organisation: IdQuery | None = Field(None, description="An organisation's id.")
    bill: IdQuery | None = Field(None, description="A bill's id.")


class ConflictQuery(PageQuery):
    """Which values that Xero overrode."""

    organisation: IdQuery | None = Field(None, description="An organisation's id.")
    bill: IdQuery | None = Field(None, description="A bill's id.")


class RunQuery(PageQuery):
    """Which sync runs."""

    organisation: IdQuery | None = Field(None, description="An organisation's id.")
    state: Literal["running", "done", "failed", "stopped", "abandoned"] | None = None


class Named(Schema):
    """A pointer to another object, with its name."""

    id: int
    name: str


class Sync(Schema):
    """How a bill stands to Xero: the badge that people see, and its facts."""

    badge: str = Field(description="Stable key of the badge, such as `readonly` or `absent`.")
    label: str
    sentence: str
    organisation: Named | None
    invoice_id: str | None = Field(description="The Xero invoice's id.")
    remote_status: str | None = Field(description="The Xero invoice's own status.")
    checked_at: Time | None = Field(description="When it was last known to be equal to Xero.")


class ContactOut(Schema):
    """A contact in Xero that may be a client."""

    id: str
    name: str
    email: str
    archived: bool


class ItemOut(Schema):
    """One change that shall reach Xero, and what keeps it if something does."""

    id: int
    kind: str = Field(description="update, create, pay, unpay or contact.")
    state: str = Field(description="waiting, sending, unsure, parked or refused.")
    label: str = Field(description="The state as people see it.")
    bill_id: int | None
    client: Named | None
    organisation: Named
    amount: Money | None = Field(description="Of a payment.")
    currency: str | None
    created_at: Time
    by: str | None
    not_before: Time | None = Field(description="It rests until then.")
    error_code: str | None = Field(description="See errors.md; null if nothing is wrong.")
    error: str | None
    xero_text: str | None = Field(description="Xero's own words.")
    remedy: str | None = Field(description="What to do.")
    fix: str | None = Field(
        description="The way out: retry, edit_bill, edit_payment, edit_client, defaults, "
        "reconnect, reload_lists or open_xero."
    )
    contacts: list[ContactOut] = Field(description="To choose from, for a contact that is parked.")


class ConflictOut(Schema):
    """A value of ours that Xero overrode, kept until somebody decides."""

    id: int
    bill_id: int
    number: str
    organisation: Named
    unit: str = Field(description="The group of fields: see sync-rules.md.")
    ours: dict[str, Any] = Field(description="Field -> our value.")
    xero: dict[str, Any] = Field(description="Field -> the value that is in use.")
    typed_by: str | None
    typed_at: Time | None
    at: Time = Field(description="When Xero's value took its place.")


class BillSync(Sync):
    """The same, with what has not reached Xero and what nobody has decided about."""

    items: list[ItemOut]
    conflicts: list[ConflictOut]
    locked: dict[str, str] = Field(
        description="Field -> why it can't be changed now; the others can."
    )


class BillRow(Schema):
    """A bill as lists show it."""

    id: int
    number: str
    reference: str
    client: Named
    status: str = Field(description="draft, active, paid or void, as stored.")
    shown_status: str = Field(description="As people see it: `overdue` too.")
    issued_on: Day | None
    due_on: Day | None
    expected_on: Day | None
    fully_paid_on: Day | None
    currency: str
    total: Money
    paid: Money
    credited: Money
    outstanding: Money
    sync: Sync
    created_at: Time
    updated_at: Time


class LineOut(Schema):
    """A line of a bill."""

    id: int
    description: str
    quantity: DecimalOut | None
    unit_amount: Money | None
    discount_rate: DecimalOut | None
    discount_amount: Money | None
    tax_rate: DecimalOut = Field(
        description="Per cent; the nearest with four decimals when none gives Xero's tax exactly."
    )
    line_amount: Money
    tax_type: str
    tax_amount: Money
    account_code: str
    item_code: str


class PaymentOut(Schema):
    """Money that came off a bill."""

    id: int
    bill_id: int
    kind: str = Field(description="payment, credit, prepayment or overpayment.")
    on: Day | None
    amount: Money
    currency: str
    reference: str
    number: str
    remote_id: str | None = Field(description="Xero's id of it, if it came from there.")


class BillOut(BillRow):
    """A bill with its lines, its payments and how far its changes have come."""

    sync: BillSync
    branding_theme: str
    rate: DecimalOut | None
    tax_mode: str
    sent: bool
    url: str
    sub_total: Money
    tax_total: Money
    discount_total: Money
    lines: list[LineOut]
    payments: list[PaymentOut]


class ClientOut(Schema):
    """A client."""

    id: int
    name: str
    email: str
    phone: str
    address: str
    tax_number: str
    archived: bool
    organisation: Named | None = Field(description="The organisation whose contact it is.")
    contact_id: str | None
    created_at: Time
    updated_at: Time


class Change(Schema):
    """One field that changed; values as text, lists of such, or a client's id and name."""

    field: str
    old: Any
    new: Any


class HistoryOut(Schema):
    """One entry of a bill's history."""

    id: int
    at: Time
    source: str
    action: str
    by: str | None = Field(description="The person's name, if a person did it.")
    run: int | None = Field(description="The sync run that brought it, if one did.")
    note: str
    changes: list[Change]


class OrganisationOut(Schema):
    """A Xero organisation of this business."""

    id: int
    name: str
    tenant_id: str
    country: str
    currency: str
    time_zone: str
    state: str
    direction: str
    write_back: bool = Field(description="Payments recorded here are recorded in Xero.")
    may_write: bool = Field(description="Xero has allowed us to change things.")
    defaults_set_at: Time | None
    locked_until: Day | None = Field(description="The last day that is locked in Xero.")
    waiting: int = Field(description="Changes on their way to Xero.")
    parked: int = Field(description="Changes that wait for somebody's decision.")
    refused: int = Field(description="Changes that Xero refused.")
    conflicts: int = Field(description="Values that Xero overrode, undecided.")
    interval_minutes: int
    import_drafts: bool
    syncing: bool
    connected_at: Time | None
    disconnected_at: Time | None
    imported_at: Time | None
    checked_at: Time | None
    told_at: Time | None = Field(description="When Xero last told us of a change by itself.")
    next_due_at: Time | None
    error_code: str | None
    error: str | None


class SyncOut(Schema):
    """What came of asking for a sync."""

    outcome: str = Field(description="asked, running, soon or blocked.")
    sentence: str


class RunOut(Schema):
    """One sync run."""

    id: int
    organisation: Named
    kind: str
    cause: str
    state: str
    started_at: Time
    ended_at: Time | None
    expected: int | None
    read: int
    created: int
    changed: int
    unchanged: int
    skipped: int
    calls: int
    bytes: int
    drift: int
    error_code: str | None
    error: str | None


class _Page(Schema):
    """Part of a list."""

    next_cursor: str | None = Field(
        description="Send it as `cursor` for what follows; null at the end."
    )


class Bills(_Page):
    """A page of bills, oldest first."""

    items: list[BillRow]


class Clients(_Page):
    """A page of clients, oldest first."""

    items: list[ClientOut]


class Outbox(_Page):
    """A page of what has not reached Xero, newest first."""

    items: list[ItemOut]


class Conflicts(_Page):
    """A page of values that Xero overrode, newest first."""

    items: list[ConflictOut]


class Payments(_Page):
    """A page of payments, oldest first."""

    items: list[PaymentOut]


class Runs(_Page):
    """A page of runs, newest first."""

    items: list[RunOut]


class History(Schema):
    """A bill's history, newest first."""

    items: list[HistoryOut]


class Organisations(Schema):
    """Every organisation of the business, by name."""

    items: list[OrganisationOut]


class Count(Schema):
    """How many were changed."""

    count: int


class ObstacleOut(Schema):
    """What stands in the way; one that does not block makes the change wait for somebody."""

    code: str
    sentence: str
    blocks: bool


class PlanItem(Schema):
    """One thing that would happen in Xero, or could."""

    key: str = Field(description="Send it in `chosen`.")
    kind: str = Field(description="create, update, pay or contact.")
    bill_id: int
    number: str
    client: str
    amount: Money
    currency: str
    on: Day | None
    chosen: bool
    note: str
    unit: str | None = Field(description="Of an update: the group of fields.")
    ours: dict[str, Any] | None
    xero: dict[str, Any] | None
    obstacles: list[ObstacleOut]


class PlanOut(Schema):
    """What going bidirectional would do in Xero, with what is ticked."""

    digest: str = Field(description="Stands for every word of this plan; send it to confirm.")
    organisation: str
    create_as: str
    write_back: bool
    creations: int
    updates: int
    payments: int
    contacts: int
    created_money: dict[str, Money] = Field(description="Currency -> sum of the new invoices.")
    paid_money: dict[str, Money] = Field(description="Currency -> sum of the payments.")
    items: list[PlanItem]


class DirectionOut(Schema):
    """What came of a change of direction."""

    direction: str
    sent: int = Field(description="Changes that are on their way to Xero now.")
    set_aside: int = Field(description="Changes that waited and are kept as conflicts, or ended.")
    under_way: int = Field(description="Requests that had left; they may still arrive.")


class OptionOut(Schema):
    """One thing to choose."""

    value: str
    label: str


class DefaultsOut(Schema):
    """What is chosen, and what there is to choose from."""

    revenue_account: str
    tax_type: str
    branding_theme: str
    create_as: str
    write_back: bool
    receivers: dict[str, str]
    set_at: Time | None
    trouble: dict[str, str] = Field(description="Choice -> why Xero no longer takes it.")
    accounts: list[OptionOut]
    tax_types: list[OptionOut]
    branding_themes: list[OptionOut]
    receiving_accounts: dict[str, list[OptionOut]]
