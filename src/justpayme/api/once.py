"""Who acts, and with which key, so that a call repeated after a lost answer does its work once."""

from __future__ import annotations

import hashlib

from django.http import HttpRequest
from django.utils import timezone

from justpayme.api.auth import caller
from justpayme.bills.actions import Act

KEY_LENGTH = 200
KEY_HELP = (
    "Any text of your own, such as a UUID. Sending it again within two days creates nothing and "
    "answers 200 with what came of the first call."
)


def acting(request: HttpRequest, key: str | None = None) -> Act:
    """The act of this call. Keys of other tokens and of other addresses never meet."""
    who = caller(request)
    return Act(
        membership=who.membership,
        now=timezone.now(),
        token=_form_token(f"{who.token.pk} {request.method} {request.path} {key}") if key else "",
    )


def _form_token(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
