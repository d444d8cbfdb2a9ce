"""What accounts do by themselves, at night."""

from __future__ import annotations

import structlog
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt, encrypt
from django.conf import settings
from django.db import connections as databases
from django.db import transaction
from procrastinate.contrib.django import app

from justpayme.accounts import sealing

log = structlog.get_logger(__name__)

SEALED = ("secret", "seed")
"""What of a second step is sealed: an app's secret, the seed of recovery codes."""


@app.periodic(cron="27 3 * * *", periodic_id="seal_second_steps")
@app.task(queueing_lock="seal_second_steps")
def seal_second_steps(timestamp: int) -> None:
    """So that an older key can be dropped without locking anybody out."""
    try:
        seal_again()
    finally:
        databases.close_all()


def seal_again() -> int:
    """Seal with the first key every second step that an older one sealed; how many.

    One that no key opens is left as it is, and told in the log.
    """
    ids = Authenticator.objects.order_by("pk").values_list("pk", flat=True)
    return sum(_seal_again(pk) for pk in list(ids))


@transaction.atomic
def _seal_again(pk: int) -> bool:
    row = Authenticator.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return False
    current = sealing.current_key_id()
    older = {
        name: row.data[name]
        for name in SEALED
        if name in row.data and row.data[name].partition(":")[0] != current
    }
    if any(sealed.partition(":")[0] not in settings.TOKEN_KEYS for sealed in older.values()):
        log.warning("second_step_not_sealed_again", authenticator=pk)
        return False
    if older:
        row.data |= {name: encrypt(decrypt(sealed)) for name, sealed in older.items()}
        row.save(update_fields=["data"])
    return bool(older)
