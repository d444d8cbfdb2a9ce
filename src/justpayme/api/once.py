"""Who acts, and with which key, so that a call repeated after a lost answer does its work once.

Two rows stand for a key (`bills.models.Submission`): one that the verb writes, which lets
one call of several through, and one for the body that came with it, written in the same
transaction. So a repeat finds the second row exactly when its body is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja import Schema

from justpayme.api.auth import caller
from justpayme.api.errors import Refusal
from justpayme.bills.actions import Act, AlreadyDone
from justpayme.bills.models import Submission

KEY_LENGTH = 200
KEY_HELP = (
    "Any text of your own, such as a UUID. Sending it again within two days, with the same body, "
    "does nothing more and answers 200 with what came of the first call; with another body 422."
)
ANOTHER_BODY = (
    "This key came with another body before, and that call was carried out. "
    "Send the same body again, or choose a new key."
)


def acting(request: HttpRequest) -> Act:
    """The act of a call without a key."""
    return Act(caller(request).membership, timezone.now())


@contextmanager
def once(request: HttpRequest, key: str | None, body: Schema) -> Iterator[Act]:
    """The act of a call with a key. Raises AlreadyDone for a repeat, Refusal 422 for a key that
    came with another body. Keys of other tokens and of other addresses never meet."""
    if not key:
        yield acting(request)
        return
    who = caller(request)
    identity = f"{who.token.pk} {request.method} {request.path} {key}"
    act = Act(who.membership, timezone.now(), _token(identity))
    same = _token(f"{act.token} {body.model_dump_json()}")
    try:
        with transaction.atomic():
            yield act
            Submission.objects.create(business=who.business, token=same, at=act.now)
    except AlreadyDone as done:
        if not Submission.objects.filter(business=who.business, token=same).exists():
            raise Refusal(422, fields={"Idempotency-Key": ANOTHER_BODY}) from done
        raise


def _token(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
