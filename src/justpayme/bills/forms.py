"""Text from a person becomes the typed values of `core.entry`.

Forms only parse; what may be stored is decided by core and the verbs, whose sentences come back
to the fields with `place`. So a page and the API refuse the same things in the same words.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.forms import BaseFormSet, formset_factory

from justpayme.bills import currencies
from justpayme.bills.codes import Codes
from justpayme.bills.paging import whole
from justpayme.bills.queries import SORTS, TABS, Wanted
from justpayme.core.bill import ZERO, TaxMode
from justpayme.core.entry import (
    LINES_AT_MOST,
    BillEntry,
    ClientEntry,
    LineEntry,
    PaymentEntry,
    Problems,
)

NUMBER = re.compile(
    r"-?(?:[0-9]{1,3}(?:,[0-9]{3}){1,8}|[0-9]{1,30})(?:\.[0-9]{0,30})?|-?\.[0-9]{1,30}"
)
DAY_FORMATS = ["%Y-%m-%d", "%d/%m/%Y", "%d %b %Y", "%d %B %Y"]
ROWS_AT_FIRST, ROWS_MORE = 3, 5
TAX_MODES = [
    (TaxMode.EXCLUSIVE.value, "without tax; it is added"),
    (TaxMode.INCLUSIVE.value, "with tax included"),
    (TaxMode.NONE.value, "with no tax at all"),
]


class NumberField(forms.CharField):
    """A plain number as people type it: 1,234.50, £20, −5. Never NaN, never an exponent."""

    def __init__(self, *, blank: Decimal | None = None, **named: Any) -> None:
        named.setdefault("required", blank is None)
        super().__init__(**named)
        self.blank = blank
        self.widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        plain = text.replace("−", "-").replace(" ", "").replace("\u00a0", "").strip("£€$%")
        if not plain and not self.required:
            return self.blank
        if not NUMBER.fullmatch(plain):
            raise forms.ValidationError("Enter a number such as 1,234.50.")
        return Decimal(plain.replace(",", ""))


class DayField(forms.DateField):
    """A calendar day, chosen or typed."""

    def __init__(self, **named: Any) -> None:
        widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
        says = {"invalid": "Enter a day such as 30/11/2026."}
        super().__init__(input_formats=DAY_FORMATS, widget=widget, error_messages=says, **named)


def text(label: str, *, required: bool = False, says: str = "", **named: Any) -> forms.CharField:
    """A text field whose length is judged by core."""
    messages = {"required": says} if says else None
    return forms.CharField(label=label, required=required, error_messages=messages, **named)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a bill's form offers: the codes of its organisation, if it has one, and whether more
    than what every bill has can be entered (`is_invoice`); `locks`: field -> why it is closed;
    `organisations` (id, name): where a new bill can be created, too."""

    codes: Codes | None = None
    is_invoice: bool = False
    locks: Mapping[str, str] = field(default_factory=dict)
    organisations: tuple[tuple[int, str], ...] = ()

    @property
    def reasons(self) -> list[str]:
        """Each reason once, for whatever is closed."""
        return list(dict.fromkeys(self.locks.values()))


PLAIN = Shape()


def lock(form: forms.Form, name: str, reason: str) -> None:
    """Close a field: it is shown, can be read and selected, and travels as it is."""
    closed: Any = form.fields[name]
    bound = form[name]
    value = bound.value()
    choices = dict(getattr(closed.widget, "choices", ()))
    shown = choices.get(value, choices.get(str(value), value))
    if isinstance(closed, forms.BooleanField):
        shown = "Yes" if value else "No"
    if isinstance(value, date):
        shown, value = f"{value.day} {value:%b %Y}", value.isoformat()
    closed.widget, closed.required = forms.HiddenInput(), False
    closed.lock, closed.shown = reason, "None given" if shown in ("", None) else shown
    if isinstance(value, bool):
        form.initial[name] = "on" if value else ""


class Once(forms.Form):
    """A form that is carried out once, on the row as the person saw it."""

    token = forms.CharField(widget=forms.HiddenInput, max_length=64, required=False)
    seen = forms.CharField(widget=forms.HiddenInput, max_length=40, required=False)

    def clean_seen(self) -> datetime | None:
        """When the row had last changed as the form was opened."""
        try:
            given = self.cleaned_data["seen"]
            seen = datetime.fromisoformat(given) if given else None
        except ValueError:
            seen = None
        if seen is None and self.data.get("seen"):
            raise forms.ValidationError("This form is out of date. Open it again.")
        return seen

    def look_again(self, changed: datetime) -> None:
        """After a clash the next press is made knowingly: it counts from the row as it is now."""
        self.data = {**dict(self.data.items()), "seen": changed.isoformat(), "token": new_token()}

    def place(self, problems: Problems) -> None:
        """Put the sentences of a refusal at their fields."""
        for name, sentence in problems.items():
            self.add_error(name if name in self.fields else None, sentence)


def new_token() -> str:
    """Marks one opened form, so that sending it twice does its work once."""
    return secrets.token_urlsafe(18)


class ClientForm(Once):
    """A client."""

    name = text("Name", required=True, says="Enter the client's name.")
    email = text("E-mail", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    phone = text("Phone", widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}))
    address = text("Address", widget=forms.Textarea(attrs={"rows": 4}))
    tax_number = text("VAT number")

    def entry(self) -> ClientEntry:
        """What was entered; only after `is_valid`."""
        names = ("name", "email", "phone", "address", "tax_number")
        return ClientEntry(**{name: self.cleaned_data[name] for name in names})


class PaymentForm(Once):
    """A payment."""

    amount = NumberField(label="Amount received", required=True)
    on = DayField(label="Received on", required=True)
    reference = text("Reference", help_text="As on the bank statement, if there is one.")

    def entry(self) -> PaymentEntry:
        """What was entered; only after `is_valid`."""
        values = self.cleaned_data
        return PaymentEntry(values["amount"], values["on"], values["reference"])


HEAD = ("currency", "number", "reference", "issued_on", "due_on")
MORE = ("expected_on", "branding_theme", "url", "sent")
"""Fields that only matter once a bill is an invoice."""


def _currencies(shape: Shape, own: str) -> list[tuple[str, str]]:
    """All that are in use somewhere; of an invoice, those of its organisation."""
    known = shape.codes.currencies if shape.is_invoice and shape.codes else frozenset()
    return [pair for pair in currencies.choices() if not known or pair[0] in known | {own}]


class BillForm(Once):
    """The head of a bill; its lines are a `LineSet`."""

    client = forms.IntegerField(
        label="Client",
        min_value=1,
        max_value=2**63 - 1,
        widget=forms.Select,
        error_messages={
            "required": "Choose a client.",
            "invalid": "Choose a client from the list.",
            "min_value": "Choose a client from the list.",
            "max_value": "Choose a client from the list.",
        },
    )
    number = text("Bill number", help_text="Needed before the bill is made active.")
    reference = text("Reference", help_text="What the client calls the job.")
    issued_on = DayField(label="Issued", required=True)
    due_on = DayField(label="Due", required=False)
    currency = text("Currency", required=True, widget=forms.Select)
    tax_mode = forms.ChoiceField(label="Prices are", choices=TAX_MODES)
    expected_on = DayField(label="Payment expected", required=False)
    branding_theme = text("Branding theme", widget=forms.Select)
    url = text("Link", help_text="A web address that Xero shows with the invoice.")
    sent = forms.BooleanField(label="Sent to the client", required=False)
    also_in_xero = forms.TypedChoiceField(
        label="Also create in Xero",
        required=False,
        coerce=int,
        empty_value=None,
        widget=forms.RadioSelect,
    )

    def __init__(
        self,
        *args: Any,
        clients: Sequence[tuple[int, str]] = (),
        shape: Shape = PLAIN,
        **named: Any,
    ) -> None:
        super().__init__(*args, **named)
        self._offer("client", [("", "Choose a client"), *clients])
        self._offer("currency", _currencies(shape, str(self["currency"].value() or "")))
        self._offer_more(shape)
        for name, reason in shape.locks.items():
            if name in self.fields:
                lock(self, name, reason)

    def _offer(self, name: str, choices: Sequence[tuple[Any, str]]) -> None:
        widget = self.fields[name].widget
        assert isinstance(widget, forms.Select)  # noqa: S101 - tells the type checker
        widget.choices = list(choices)

    def _offer_more(self, shape: Shape) -> None:
        """What only an invoice has; and for a new bill, where it may become one."""
        if shape.is_invoice and shape.codes:
            theme = self.initial.get("branding_theme", "")
            usual = [] if theme else [("", "Xero’s usual one")]
            own = [] if theme in shape.codes.themes or not theme else [(theme, "As it is now")]
            self._offer("branding_theme", [*usual, *own, *shape.codes.themes.items()])
        else:
            for name in MORE:
                del self.fields[name]
        also: Any = self.fields["also_in_xero"]
        also.choices = [
            ("", "No, only here"),
            *((pk, f"Yes, in {n}") for pk, n in shape.organisations),
        ]
        if not shape.organisations:
            del self.fields["also_in_xero"]

    def entry(self, lines: tuple[LineEntry, ...], stored: BillEntry | None = None) -> BillEntry:
        """What was entered, over what is `stored`; only after `is_valid`."""
        values = self.cleaned_data
        base = stored or BillEntry(client_id=0, currency="")
        given = {name: values[name] for name in (*HEAD, *MORE) if name in values}
        return replace(
            base,
            client_id=values["client"],
            tax_mode=TaxMode(values["tax_mode"]),
            lines=lines,
            **given,
        )


PRESET = {"line_id", "tax_rate", "tax_type", "account_code"}
"""Fields of a line that may be filled in a row where nothing was typed."""

LOCKED_WITH = {
    "description": "line_description",
    "quantity": "lines",
    "unit_amount": "lines",
    "discount_rate": "lines",
    "tax_rate": "lines",
    "tax_type": "lines",
    "account_code": "line_account",
}
"""Field of a line -> the lock that closes it."""


class LineForm(forms.Form):
    """One line. A row in which nothing was typed is no line."""

    line_id = forms.CharField(widget=forms.HiddenInput, required=False, max_length=19)
    description = text(
        "Description",
        required=True,
        says="Say what this line is for.",
        widget=forms.Textarea(attrs={"rows": 1}),
    )
    quantity = NumberField(label="Quantity", blank=Decimal(1))
    unit_amount = NumberField(label="Price", blank=ZERO)
    discount_rate = NumberField(label="Discount %", blank=ZERO)
    tax_rate = NumberField(label="Tax %", blank=ZERO)
    tax_type = text("Tax rate", widget=forms.Select)
    account_code = text("Account", widget=forms.Select)

    def __init__(self, *args: Any, shape: Shape = PLAIN, **named: Any) -> None:
        super().__init__(*args, **named)
        if shape.codes is None:
            del self.fields["tax_type"], self.fields["account_code"]
        else:
            del self.fields["tax_rate"]
            self.fields["tax_type"].initial = shape.codes.tax_type
            self.fields["account_code"].initial = shape.codes.account
            self._offer("tax_type", {r.tax_type: r.name for r in shape.codes.rates.values()})
            self._offer("account_code", shape.codes.accounts)
        for name, why in LOCKED_WITH.items():
            if name in self.fields and why in shape.locks:
                lock(self, name, shape.locks[why])

    def _offer(self, name: str, choices: Mapping[str, str]) -> None:
        """What there is to choose, and what the line has already."""
        widget = self.fields[name].widget
        assert isinstance(widget, forms.Select)  # noqa: S101 - tells the type checker
        own = str(self[name].value() or "")
        kept = [(own, f"{own}, as it is now")] if own and own not in choices else []
        none = [] if own else [("", "Choose")]
        widget.choices = [*none, *kept, *choices.items()]

    def clean_line_id(self) -> int | None:
        """The stored line this row replaces; an id that makes no sense replaces none."""
        given = self.cleaned_data["line_id"]
        try:
            return whole(given) if given else None
        except ValueError:
            return None

    def has_changed(self) -> bool:
        """Was a line typed here? A tax rate alone comes with an empty row."""
        return bool(set(self.changed_data) - PRESET - {"DELETE"})

    def entry(self) -> LineEntry:
        """What was entered; only after `is_valid`."""
        names = [n for n in self.cleaned_data if n in LineEntry.__dataclass_fields__]
        return LineEntry(**{name: self.cleaned_data[name] for name in names})


if TYPE_CHECKING:
    Rows = BaseFormSet[LineForm]
else:
    Rows = BaseFormSet


class LineRows(Rows):
    """All the lines of a bill."""

    def initial_form_count(self) -> int:
        """Of a sent form no row counts as stored: a row that was emptied is no line any more."""
        return 0 if self.is_bound else super().initial_form_count()

    def kept(self) -> list[LineForm]:
        """The rows that are lines: filled in and not taken out."""
        out = set(self.deleted_forms)
        return [form for form in self.forms if form not in out and form.has_changed()]

    def entries(self) -> tuple[LineEntry, ...]:
        """What was entered; only after `is_valid`."""
        return tuple(form.entry() for form in self.kept())

    def place(self, problems: Problems) -> None:
        """Put the sentences of a refusal at their rows, or above all of them."""
        kept = self.kept()
        for key, sentence in problems.items():
            _, _, rest = key.partition("-")
            index, _, name = rest.partition("-")
            if name:
                row = kept[int(index)]
                own = name if name in row.fields else "tax_type"
                row.add_error(own if own in row.fields else None, sentence)
            elif key == "lines":
                self.non_form_errors().append(sentence)

    def look_again(self, known: Collection[int]) -> None:
        """After a clash a row whose line is gone is a new one: the next press is made knowingly."""
        names = [form.add_prefix("line_id") for form in self.forms]
        gone = {name: "" for name in names if self.data.get(name, "") not in map(str, known)}
        self.data = {**dict(self.data.items()), **gone}
        for form in self.forms:
            form.data = self.data

    def add_fields(self, form: LineForm, index: int | None) -> None:
        """Every row can be taken out without script."""
        super().add_fields(form, index)
        form.fields["DELETE"].label = "Take out"
        if hasattr(form.fields["quantity"], "lock"):
            del form.fields["DELETE"]


LineSet = formset_factory(
    LineForm,
    formset=LineRows,
    extra=0,
    can_delete=True,
    max_num=LINES_AT_MOST + 50,
    absolute_max=LINES_AT_MOST + 50,
)


def line_rows(
    data: Any = None,
    *,
    initial: Sequence[Mapping[str, Any]] = (),
    more: int = 0,
    shape: Shape = PLAIN,
) -> Any:
    """The rows as sent, or `initial` ones with `more` empty rows after them."""
    says = {
        "missing_management_form": "The lines did not arrive whole. Open the form again.",
        "too_many_forms": f"A bill can have {LINES_AT_MOST} lines at most.",
    }
    rows = LineSet(
        data,
        prefix="lines",
        initial=list(initial),
        error_messages=says,
        form_kwargs={"shape": shape},
    )
    rows.extra = min(more, LINES_AT_MOST - len(initial))
    return rows


def typed_rows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a form as they were typed, for showing it again with more rows."""
    names = list(LineForm.base_fields)
    try:
        count = min(int(data.get("lines-TOTAL_FORMS", 0)), LINES_AT_MOST)
    except ValueError:
        count = 0
    kept = [i for i in range(count) if f"lines-{i}-DELETE" not in data]
    rows = [{n: data.get(f"lines-{i}-{n}", "") for n in names} for i in kept]
    return [row for row in rows if any(row[n].strip() for n in names if n not in PRESET)]


class WantedForm(forms.Form):
    """The filters of the list, from its address."""

    status = forms.ChoiceField(choices=[(tab, tab.title()) for tab in TABS], required=False)
    q = forms.CharField(label="Find a bill", max_length=200, required=False)
    xero = forms.ChoiceField(
        label="Xero state",
        required=False,
        choices=[
            ("", "Any Xero state"),
            ("xero", "In Xero"),
            ("attention", "Needs attention"),
            ("waiting", "Waiting to send"),
            ("conflict", "Overridden by Xero"),
            ("parted", "No longer synced"),
            ("absent", "Not in Xero"),
        ],
    )
    due = forms.ChoiceField(
        label="Due date",
        required=False,
        choices=[("", "Due any time"), ("week", "Next 7 days"), ("month", "This month")],
    )
    sort = forms.ChoiceField(
        label="Order",
        required=False,
        choices=[
            ("newest", "Issued, newest first"),
            ("due", "Due first"),
            ("amount", "Largest first"),
            ("client", "By client"),
        ],
    )
    connection = forms.TypedChoiceField(
        label="Organisation", required=False, coerce=int, empty_value=None
    )
    client = forms.IntegerField(min_value=1, max_value=2**63 - 1, required=False)
    after = forms.CharField(max_length=3000, required=False)
    before = forms.CharField(max_length=3000, required=False)

    def __init__(self, *args: Any, organisations: Sequence[tuple[int, str]], **named: Any) -> None:
        super().__init__(*args, **named)
        connection = self.fields["connection"]
        assert isinstance(connection, forms.ChoiceField)  # noqa: S101 - tells the type checker
        connection.choices = [("", "Any organisation"), *organisations]

    def wanted(self) -> Wanted:
        """The filters; one that makes no sense is left out, and its error is shown."""
        values = self.cleaned_data
        sort = values.get("sort") or "newest"
        return Wanted(
            status=values.get("status") or "all",
            q=(values.get("q") or "").strip(),
            connection=values.get("connection"),
            client=values.get("client"),
            xero=values.get("xero") or "",
            due=values.get("due") or "",
            sort=sort if sort in SORTS else "newest",
        )


def suggested_due(issued: date) -> date:
    """Thirty days is what most small businesses ask for."""
    return date.fromordinal(issued.toordinal() + 30)
