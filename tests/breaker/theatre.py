"""Plays a pair under every schedule: sets the scene once, goes back to it, plays, judges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from django.apps import apps
from django.db import connection as database
from django.test import override_settings
from tests.breaker.interleave import Beside, Played, Snapshot, Switches, Tapped, duet
from tests.breaker.pairs import Pair, Scene
from tests.breaker.stage import copy_store, put_back
from tests.breaker.world import World, new_process, people_of

from justpayme.bills.models import Bill
from justpayme.core.bill import Status
from justpayme.sync.models import Run

VACUUM_EVERY = 200
"""Plays after which the rows that were thrown away are really gone."""
ROOMS = ("accounts", "bills", "integrations", "sync")
DRAWN = (
    "TokenSet.sealed",
    "SecurityEvent.at",
    "Conflict.run",
    "HistoryEntry.run",
    "Link.raw",
    "Link.digest",
)
"""Columns that are not the same in two plays of one schedule; ids and keys of rows aside."""
THOROUGH_EVERY = 8
"""Plays of which one is judged every day by comparing everything; the others by the two bills in
play. The full run compares everything each time."""


class Theatre:
    """One pair on its scene."""

    def __init__(self, pair: Pair, scene: Scene) -> None:
        self.pair, self.scene = pair, scene
        self.start = Snapshot("start")
        self.store = copy_store(scene.world.app.store)
        self.now = scene.world.frozen.now()
        self.played = 0
        self.remembers = False
        self.ends: dict[Switches, list[str]] = {}

    def play(self, plan: Switches) -> Played:
        """From the start, under this schedule."""
        self.back()
        return self.scene.duet.play(self.pair.works(self.scene), plan)

    def judge(self, plan: Switches, played: Played) -> None:
        """AssertionError with the whole play if anything is wrong."""
        self.scene.thorough = self.remembers or self.played % THOROUGH_EVERY == 0
        found = self.pair.judge(self.scene, played)
        assert not found, f"{self.pair.name} under {plan}:\n{found}\n{played.told()}"

    def try_out(self, plan: Switches) -> Played:
        """Play and judge."""
        played = self.play(plan)
        if self.remembers:
            self.ends[plan] = self.end(played)
        self.judge(plan, played)
        return played

    def end(self, played: Played) -> list[str]:
        """How it ended, but for ids that are drawn anew in each play: what the two returned or
        raised, every call in its order, every row of ours."""
        results = [result.state if isinstance(result, Run) else None for result in played.results]
        told = [repr(results), repr([type(error) for error in played.errors])]
        calls = (f"{c.method} {c.path} {c.status}" for c in self.scene.world.calls)
        told += [_UUID.sub("id", call) for call in calls]
        for model in (m for app in ROOMS for m in apps.get_app_config(app).get_models()):
            names = [f.name for f in model._meta.concrete_fields if not _is_drawn(f)]
            rows = model._base_manager.values_list(*names)
            told += sorted(_UUID.sub("id", f"{model.__name__} {row}") for row in rows)
        return told

    def back(self) -> None:
        """Both books, clocks and memories as they were."""
        world = self.scene.world
        self.scene.duet.new_processes()
        self.start.back()
        put_back(world.app.store, self.store)
        world.frozen.advance((self.now - world.frozen.now()).total_seconds())
        for used in (world.app.log, world.app.limits):
            used.reset()
        world.app.late.forget()
        world.calls.clear()
        new_process()
        self.played += 1
        if self.played % VACUUM_EVERY == 0:
            with database.cursor() as cursor:
                cursor.execute("VACUUM")

    # --- schedules -------------------------------------------------------------------------------

    def singles(self, part: int = 0, parts: int = 1) -> Iterator[tuple[Switches, Played]]:
        """Every schedule with at most one switch, tried out; or a part of them, and always those
        without, which say where one can switch."""
        for first in (0, 1) if self.pair.fair else (0,):
            played = self.try_out(Switches(first))
            yield Switches(first), played
            free = _free(played)
            for number in free[len(free) * part // parts : len(free) * (part + 1) // parts]:
                plan = Switches(first, frozenset({number}))
                yield plan, self.try_out(plan)

    @staticmethod
    def doubles(plan: Switches, played: Played) -> list[Switches]:
        """The schedules that switch once more, after the switch that this one has."""
        if not plan.at:
            return []
        (once,) = plan.at
        later = [number for number in _free(played) if number > once]
        return [Switches(plan.first, plan.at | {number}) for number in later]

    def random(self, dice: Random, length: int) -> Switches:
        """A schedule that switches at a few random steps: what random priorities come to for
        two (PCT)."""
        at = dice.sample(range(1, length), min(dice.randint(2, 6), length - 1))
        return Switches(dice.randint(0, 1) if self.pair.fair else 0, frozenset(at))


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _is_drawn(column: Any) -> bool:
    """Is it another one in each play?"""
    name = f"{column.model.__name__}.{column.name}"
    return column.primary_key or column.is_relation or name in DRAWN


def _free(played: Played) -> list[int]:
    """Steps before which the other could have gone on. Before the first it is no switch."""
    return [number for number, step in enumerate(played.steps) if step.free and number]


@contextmanager
def theatre(pair: Pair) -> Iterator[Theatre]:
    """The pair's scene, arranged. Needs a database in which commits are real."""
    world = World(seed=3, sales=4)
    addresses = dict.fromkeys(
        ("XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"), "http://xero.test"
    )
    with (
        duet(world.clock.advance, world.clock.monotonic) as both,
        override_settings(XERO_TRANSPORT=Tapped(both, world.transport), **addresses),
    ):
        world.app.store.on_saved.append(lambda *given: both.beside(Beside.XERO))
        scene = _scene(pair, world, both)
        stage = Theatre(pair, scene)
        try:
            yield stage
        finally:
            stage.start.drop()
            if "backup" in scene.memory:
                scene.memory["backup"].drop()


def _scene(pair: Pair, world: World, both: Any) -> Scene:
    owner = people_of("O'Hara & <b>Sons</b>")
    connection = world.connect_two_way(owner.business)
    open_ = Bill.objects.filter(status=Status.ACTIVE, currency="GBP", paid=0).order_by("pk")
    edited, paid = open_[:2]
    scene = Scene(world, owner, connection, both, edited, paid)
    pair.arrange(scene)
    scene.memory["bills"] = Bill.objects.count()
    if pair.name == "push and restore":
        scene.memory["backup"] = Snapshot("backup")
    return scene
