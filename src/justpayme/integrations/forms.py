"""What a person may enter about a connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from justpayme.core.schedule import INTERVALS
from justpayme.integrations.defaults import NEEDED, Choices, Defaults, Option, receiver_field
from justpayme.sync.models import Connection

NAMES = {60: "Hour", 1440: "24 hours"}
INTERVAL_CHOICES = [
    (m, NAMES.get(m) or (f"{m} minutes" if m < 60 else f"{m // 60} hours")) for m in INTERVALS
]

CREATE_AS = [
    ("AUTHORISED", "Authorised: owed at once, like a bill here"),
    ("DRAFT", "Draft: somebody approves each of them in Xero"),
]


class SettingsForm(forms.Form):
    """Schedule and drafts of one organisation."""

    interval_minutes = forms.TypedChoiceField(
        label="Sync every",
        choices=INTERVAL_CHOICES,
        coerce=int,
        help_text="A full audit runs once a day, because Xero does not tell of every change.",
        error_messages={
            "required": "Choose how often to sync.",
            "invalid_choice": "Choose one of the times in the list.",
        },
    )
    import_drafts = forms.BooleanField(label="Also bring in drafts from Xero", required=False)


class DirectionForm(forms.Form):
    """Which way changes go."""

    direction = forms.ChoiceField(
        choices=Connection.Direction.choices,
        error_messages={
            "required": "Choose a direction.",
            "invalid_choice": "Choose One-directional or Bidirectional.",
        },
    )


class DefaultsForm(forms.Form):
    """What new invoices need, and the accounts that receive payments.

    Which values may be stored is decided by `defaults.problems_of` alone.
    """

    revenue_account = forms.CharField(
        label="Account for sales", error_messages={"required": NEEDED["revenue_account"]}
    )
    tax_type = forms.CharField(label="Tax rate", error_messages={"required": NEEDED["tax_type"]})
    branding_theme = forms.CharField(label="Branding theme", required=False)
    create_as = forms.CharField(label="New invoices are", required=False)
    write_back = forms.BooleanField(label="Send payments to Xero", required=False)

    def __init__(self, *args: Any, choices: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("revenue_account", choices.accounts, "Choose an account")
        self._offer("tax_type", choices.tax_types, "Choose a tax rate")
        self._offer("branding_theme", choices.themes, "Xero’s own default")
        self.fields["create_as"].widget = forms.RadioSelect(choices=CREATE_AS)
        for currency, accounts in choices.receivers.items():
            name = receiver_field(currency)
            self.fields[name] = forms.CharField(label=f"{currency} payments", required=False)
            self._offer(name, accounts, "None")
        self.currencies = tuple(choices.receivers)

    def _offer(self, name: str, options: Iterable[Option], empty: str) -> None:
        """A list to choose from; a stored choice that Xero no longer offers stays visible."""
        pairs = [("", empty), *((option.value, option.label) for option in options)]
        now = self.data.get(name) if self.is_bound else self.initial.get(name)
        if now and now not in dict(pairs):
            pairs.append((str(now), f"{str(now)[:100]} (not offered any more)"))
        self.fields[name].widget = forms.Select(choices=pairs)

    def receivers(self) -> list[Any]:
        """The bound fields of the accounts that receive payments."""
        return [self[receiver_field(currency)] for currency in self.currencies]

    def chosen(self) -> Defaults:
        """What was entered; whatever is wrong with it is said by `add_problems`."""
        said = self.cleaned_data
        return Defaults(
            revenue_account=said.get("revenue_account", ""),
            tax_type=said.get("tax_type", ""),
            branding_theme=said["branding_theme"],
            create_as=said["create_as"],
            write_back=said["write_back"],
            receivers={c: said[receiver_field(c)] for c in self.currencies},
        )

    def add_problems(self, problems: Mapping[str, str]) -> None:
        """Show each sentence at its field, once."""
        for name, sentence in problems.items():
            if name in self.errors:
                continue
            self.add_error(name if name in self.fields else None, sentence)


class ChooseForm(forms.Form):
    """The organisation picked after a consent."""

    organisation = forms.ModelChoiceField(
        queryset=Connection.objects.none(),
        empty_label=None,
        widget=forms.RadioSelect,
        error_messages={
            "required": "Choose one of the organisations.",
            "invalid_choice": "That organisation is not in the list. Choose one that is.",
        },
    )
    import_drafts = forms.BooleanField(label="Also bring in drafts from Xero", required=False)

    def __init__(self, *args: Any, choosable: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["organisation"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - narrows for the checker
        field.queryset = choosable
