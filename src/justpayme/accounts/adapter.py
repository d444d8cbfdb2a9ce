"""Where allauth meets our rules: the security log, sealed TOTP secrets, our words."""

from __future__ import annotations

import base64
from typing import Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse

from justpayme.accounts import sealing, security_log
from justpayme.accounts.mail import deliver
from justpayme.accounts.models import User

KEY_GONE = (
    "Your second step was sealed with a key that is gone. Ask whoever runs JustPayMe to put the "
    "old key back."
)
NOT_SENT = "We could not send you an e-mail just now. What you did is saved; try again later."


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Writes down every sign-in, sign-out and change of credentials."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": (
            "That e-mail address and password don’t belong together. Check both, or set a new "
            "password."
        ),
        "email_taken": (
            "There is an account with this address already. Sign in, or set a new password."
        ),
        "enter_current_password": "That is not your current password. Try again.",
        "incorrect_password": "That is not your password. Try again.",
        "too_many_login_attempts": (
            "There were too many attempts to sign in. Wait five minutes, then try again."
        ),
    }

    def post_login(
        self, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any
    ) -> HttpResponse:
        """Write down a sign-in that passed every step."""
        _record("signed_in", request, cast(User, user))
        response: HttpResponse = super().post_login(request, user, **kwargs)
        return response

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Write down a wrong password, with the address that was tried."""
        email = str(credentials.get("email", ""))
        user = User.objects.filter(email=email.strip().lower()).first()
        _record("signed_in", request, user, result="refused", email=email)

    def logout(self, request: HttpRequest) -> None:
        """Write down a sign-out."""
        if isinstance(request.user, User):
            _record("signed_out", request, request.user)
        super().logout(request)

    def send_notification_mail(
        self,
        template_prefix: str,
        user: AbstractBaseUser,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        """allauth calls this once for every change of credentials: write it down, then tell."""
        person = cast(User, user)
        _record(template_prefix.rpartition("/")[2], self.request, person)
        super().send_notification_mail(template_prefix, user, context, email or person.email)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send one of allauth's e-mails; say so when it can't leave."""
        values = {"request": self.request, "email": email} | context
        if not deliver(self.render_mail(template_prefix, email, values)) and self.request:
            messages.warning(self.request, NOT_SENT)

    def reauthenticate(self, user: AbstractBaseUser, password: str) -> bool:
        """Check the password of the person who is signed in, under the limits of signing in."""
        email = cast(User, user).email
        found = self.authenticate(context.request, email=email, password=password)
        return found is not None and found.pk == user.pk

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Start using a confirmed address; not if somebody has got an account with it since."""
        try:
            with transaction.atomic():
                return bool(super().confirm_email(request, email_address))
        except IntegrityError:
            template = "account/messages/email_confirmation_failed.txt"
            self.add_message(request, messages.ERROR, template, {"email": email_address.email})
            return False

    def can_delete_email(self, email_address: EmailAddress) -> bool:
        """The address that she signs in with stays until another one is confirmed."""
        return bool(email_address.email != email_address.user.email)

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Signing in and out speak for themselves; everything else is told."""
        if message_template not in (
            "account/messages/logged_in.txt",
            "account/messages/logged_out.txt",
        ):
            super().add_message(request, level, message_template, *args, **kwargs)


def _record(action: str, request: HttpRequest, user: User | None, **more: Any) -> None:
    security_log.record(
        action=action,
        business=getattr(request, "business", None),
        user=user,
        address=security_log.address_of(request),
        **more,
    )


class TotpAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps the secrets of authenticator apps sealed; the key stays outside the database."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "That code is not right. Wait for the next one and try again.",
    }

    def encrypt(self, text: str) -> str:
        """`key id:base64(nonce + ciphertext)`, sealed with the first key."""
        key_id, sealed = sealing.seal(text.encode(), bound_to=b"totp")
        return f"{key_id}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, encrypted_text: str) -> str:
        """Open with the key it was sealed with, which may be an older one. PermissionDenied when
        that key is gone, or is another one under the same id."""
        key_id, _, sealed = encrypted_text.partition(":")
        try:
            plain = sealing.unseal(base64.b64decode(sealed), key_id=key_id, bound_to=b"totp")
        except (sealing.KeyGone, sealing.Tampered):
            raise PermissionDenied(KEY_GONE) from None
        return plain.decode()
