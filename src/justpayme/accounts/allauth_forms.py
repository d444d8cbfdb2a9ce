"""allauth's forms with our labels and hints, and without placeholders that repeat the label."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as account
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.mfa.base import forms as mfa
from allauth.mfa.totp import forms as totp
from django import forms
from django.core.validators import MaxLengthValidator
from django.db import transaction
from django.http import HttpRequest

from justpayme.accounts import security_log
from justpayme.accounts.fields import REQUIRED
from justpayme.accounts.models import User

PASSWORD_HINT = "At least 10 characters. A few unrelated words are good."  # noqa: S105
CODE_HINT = "Six digits from your authenticator app, or one of your recovery codes."
LABELS = {
    "code": "Code",
    "email": "E-mail address",
    "login": "E-mail address",
    "oldpassword": "Current password",
    "password": "Password",
    "password1": "Password",
    "password2": "Password, once more",
}
HINTS = {"password1": PASSWORD_HINT}
MAX_EMAIL = 254


class OurWords:
    """Renames the fields of the form it is mixed into."""

    labels: dict[str, str] = {}
    hints: dict[str, str] = {}
    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label = (LABELS | self.labels).get(name, field.label)
            if name in LABELS:
                field.help_text = (HINTS | self.hints).get(name, "")
            field.widget.attrs.pop("placeholder", None)
            field.error_messages |= REQUIRED
            if isinstance(field, forms.EmailField):
                field.validators.append(MaxLengthValidator(MAX_EMAIL))
                field.widget.attrs["maxlength"] = MAX_EMAIL


class LoginForm(OurWords, account.LoginForm):  # type: ignore[misc]
    """Sign in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].widget.attrs["autocomplete"] = "username"
        self.fields["remember"].label = "Keep me signed in on this device for 14 days"


class SignupForm(OurWords, account.SignupForm):  # type: ignore[misc]
    """Start an account."""


class ChangeEmailForm(OurWords, account.AddEmailForm):  # type: ignore[misc]
    """A new address; it takes the place of the old one once it is confirmed."""

    labels = {"email": "New e-mail address"}

    def save(self, request: HttpRequest) -> EmailAddress:
        """Remember the address and send the link to it.

        allauth's own way drops the current address when it was never confirmed, and with
        it the way to sign in; here it stays until the new one is confirmed.
        """
        with transaction.atomic():
            waiting = EmailAddress.objects.filter(user=self.user, verified=False)
            waiting.exclude(email=self.user.email).delete()
            added = EmailAddress.objects.create(user=self.user, email=self.cleaned_data["email"])
        send_verification_email_to_address(request, added)
        return added


class ChangePasswordForm(OurWords, account.ChangePasswordForm):  # type: ignore[misc]
    """A new password, knowing the old one."""

    labels = {"password1": "New password", "password2": "New password, once more"}


class ResetPasswordForm(OurWords, account.ResetPasswordForm):  # type: ignore[misc]
    """Ask for the link to set a new password."""


class ResetPasswordKeyForm(OurWords, account.ResetPasswordKeyForm):  # type: ignore[misc]
    """Set a new password with the link."""

    labels = {"password1": "New password", "password2": "New password, once more"}


class ReauthenticateForm(OurWords, account.ReauthenticateForm):  # type: ignore[misc]
    """Show again that it is you, before something that matters."""


class LoggedCode:
    """Writes down a wrong code."""

    user: User

    def clean_code(self) -> str:
        """The code, if it is right."""
        try:
            return str(super().clean_code())  # type: ignore[misc]
        except forms.ValidationError:
            security_log.record(
                action="code_refused",
                business=None,
                user=self.user,
                address=security_log.address_of(context.request),
                result="refused",
            )
            raise


class CodeForm(LoggedCode, OurWords, mfa.AuthenticateForm):  # type: ignore[misc]
    """The second step of signing in."""

    hints = {"code": CODE_HINT}


class CodeAgainForm(LoggedCode, OurWords, mfa.ReauthenticateForm):  # type: ignore[misc]
    """Show again that it is you, with a code."""

    hints = {"code": CODE_HINT}


class ActivateTOTPForm(OurWords, totp.ActivateTOTPForm):  # type: ignore[misc]
    """Prove that the app gives the right codes."""

    labels = {"code": "Code that the app shows now"}
