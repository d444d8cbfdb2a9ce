"""What a person may enter about a connection."""

from __future__ import annotations

from typing import Any

from django import forms

from justpayme.core.schedule import INTERVALS
from justpayme.sync.models import Connection

NAMES = {60: "Hour", 1440: "24 hours"}
INTERVAL_CHOICES = [
    (m, NAMES.get(m) or (f"{m} minutes" if m < 60 else f"{m // 60} hours")) for m in INTERVALS
]


class SettingsForm(forms.Form):
    """Direction, schedule and drafts of one organisation."""

    direction = forms.ChoiceField(
        choices=Connection.Direction.choices,
        error_messages={
            "required": "Choose a direction.",
            "invalid_choice": "Only one-directional exists so far. Choose that one.",
        },
    )
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
