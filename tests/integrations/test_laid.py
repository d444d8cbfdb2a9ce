"""What the fixtures lay down is to the last row what an import makes."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from tests.fixtures.laid import MODELS, Laid
from tests.fixtures.xero import Xero
from tests.integrations.conftest import Still, sync
from tests.integrations.world import World
from tests.sync.hands import undone

from justpayme.accounts.models import Business
from justpayme.sync.models import Connection, Run
from xero_sandbox.app import Sandbox

pytestmark = pytest.mark.django_db


def picture(sandbox: Sandbox) -> dict[str, Any]:
    """Every row of ours, with its rank in its table for its id, and what Xero counted."""
    rank = {m: {pk: n for n, pk in enumerate(_pks(m))} for m in MODELS}
    told: dict[str, Any] = {m.__name__: [] for m in MODELS}
    for model in MODELS:
        for row in model.objects.order_by("pk").values():
            for field in model._meta.concrete_fields:
                of = field.related_model or (model if field.primary_key else None)
                if of in rank and row[field.attname] is not None:
                    row[field.attname] = rank[of][row[field.attname]]
            told[model.__name__].append(row)
    for entry in told["HistoryEntry"]:
        entry["run"] = rank[Run][entry["run"]]
    calls = [(entry.method, entry.path, entry.status) for entry in sandbox.log.last()]
    return told | {"calls": calls, "used": dict(sandbox.limits._used)}


def _pks(model: Any) -> list[Any]:
    return list(model.objects.order_by("pk").values_list("pk", flat=True))


def test_the_import_of_a_local_xero(
    xero: Xero, connected: Connection, import_of_xero: Laid
) -> None:
    with undone():
        xero.sync(connected)
        real = picture(xero.app)
    connected.refresh_from_db()
    import_of_xero.lay(connected, xero.app)
    laid = picture(xero.app)
    assert len(laid["Bill"]) > 40
    assert laid == real


def test_the_import_through_the_pages(
    business: Business, world: World, live: Connection, import_of_live: tuple[Laid, list[Any]]
) -> None:
    moment, before = timezone.now(), len(world.wire.sent)
    with undone():
        sync(live, Still(moment))
        real, sent = picture(world.sandbox), world.wire.sent[before:]
    laid, calls = import_of_live
    laid.lay(live, world.sandbox, moment)
    assert picture(world.sandbox) == real
    assert calls == sent
