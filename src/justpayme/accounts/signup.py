"""What the sign-up form asks besides address and password.

A file of its own: allauth's forms inherit from this class, so it must not import them.
"""

from __future__ import annotations

from typing import cast

from django import forms
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from justpayme.accounts import actions
from justpayme.accounts.fields import NameField
from justpayme.accounts.models import User


class SignupDetails(forms.Form):
    """The person's name and the name of her first business."""

    name = NameField(label="Your name", max_length=150, autocomplete="name")
    business = NameField(
        label="Name of your business",
        max_length=200,
        autocomplete="organization",
        help_text="As on your bills. You can change it later.",
    )
    field_order = ("name", "business", "email", "password1")

    def signup(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Called by allauth in the request that made the account."""
        person = actions.update_person(user=cast(User, user), name=self.cleaned_data["name"])
        actions.create_business(user=person, name=self.cleaned_data["business"])
