"""Forms of the settings pages."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib.auth.password_validation import validate_password

from justpayme.accounts.fields import REQUIRED, NameField, time_zones
from justpayme.accounts.models import Membership, User
from justpayme.bills import currencies

ROLE_HINT = (
    "Owners do everything. Members change bills and clients. Viewers look at everything "
    "and change nothing."
)


class PersonForm(forms.Form):
    """Your account."""

    name = NameField(label="Your name", max_length=150, autocomplete="name")


class BusinessForm(forms.Form):
    """Name, home currency and time zone of a business."""

    name = NameField(label="Name of the business", max_length=200, autocomplete="organization")
    currency = forms.ChoiceField(
        label="Home currency", help_text="New bills start in it. Bills already made keep theirs."
    )
    time_zone = forms.ChoiceField(
        label="Time zone", help_text="Decides which day a bill becomes overdue."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = time_zones()
        own = self.initial.get("time_zone", "")
        if own and own not in dict(zones):  # stored under an older name: it stays a choice
            zones = [(own, own.replace("_", " ")), *zones]
        for name, choices in (("currency", currencies.choices()), ("time_zone", zones)):
            cast(forms.ChoiceField, self.fields[name]).choices = choices


class RoleForm(forms.Form):
    """The role of a member."""

    role = forms.ChoiceField(label="Role", choices=Membership.Role.choices, help_text=ROLE_HINT)


class InvitationForm(RoleForm):
    """Whom to invite, and as what."""

    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        error_messages=REQUIRED,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    field_order = ("email", "role")


class TokenForm(forms.Form):
    """A new token."""

    name = NameField(
        label="What is it for?",
        max_length=100,
        help_text="Only for you, to know it again: “Till in the shop”, “Monthly report”.",
    )


class JoinForm(forms.Form):
    """Name and password of an invited person who has no account yet."""

    name = NameField(label="Your name", max_length=150, autocomplete="name")
    password = forms.CharField(
        label="Choose a password",
        strip=False,
        max_length=4096,
        error_messages=REQUIRED,
        help_text="At least 10 characters. A few unrelated words are good.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        who = User(email=self.email, name=self.cleaned_data.get("name", ""))
        validate_password(password, who)
        return password
