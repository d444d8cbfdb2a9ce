"""A Xero reduced to what a cursor sees: rows with stamps, small pages, changes at any moment."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from justpayme.core.cursor import Answer, Ask

START = datetime(2026, 11, 22, 10, 30, 15, 987000, tzinfo=UTC)
PAGE_SIZE = 4

Row = tuple[datetime, int]
"""(stamp, version)"""


@dataclass
class SimulatedXero:
    """Rows by id. `lateness`: seconds until a changed row shows its new stamp, at most."""

    chance: random.Random
    lateness: float = 0.0
    now: datetime = START
    rows: dict[str, Row] = field(default_factory=dict)
    unseen: list[tuple[datetime, str, Row]] = field(default_factory=list)
    versions: int = 0
    writes_left: int = 0
    calls: int = 0

    def put(self, key: str) -> None:
        """Insert or update: a stamp of now, readable at once or a little later."""
        self.versions += 1
        row = (self.now, self.versions)
        if self.lateness:
            shown = self.now + timedelta(seconds=self.chance.random() * self.lateness)
            self.unseen.append((shown, key, row))
        else:
            self.rows[key] = row

    def wait(self, seconds: float) -> None:
        """Time passes and what was written becomes readable, in the order of its stamps."""
        self.now += timedelta(seconds=seconds)
        due = [u for u in self.unseen if u[0] <= self.now]
        self.unseen = [u for u in self.unseen if u[0] > self.now]
        for _, key, row in sorted(due, key=lambda u: u[2]):
            self.rows[key] = max(row, self.rows.get(key, row))

    def new_key(self) -> str:
        """An id: random, so that its order says nothing about age."""
        return f"{self.chance.getrandbits(64):016x}"

    def churn(self) -> None:
        """What other people do between two of our calls, while they have writes left.

        In the long run they can't write faster than we read: Xero allows them 60 calls too.
        """
        self.wait(self.chance.choice((0, 0.001, 0.2, 1.5, 30)))
        for _ in range(min(self.chance.choice((0, 0, 1, 3, 3 * PAGE_SIZE)), self.writes_left)):
            self.writes_left -= 1
            known = list(self.rows)
            insert = not known or self.chance.random() < 0.3
            self.put(self.new_key() if insert else self.chance.choice(known))
            self.wait(self.chance.choice((0, 0, 0.001, 0.7)))

    def found(self, ask: Ask) -> list[tuple[str, Row]]:
        """Every row that the question means, in order: `since` is accurate to the second."""
        since = ask.since
        rows = [(k, r) for k, r in self.rows.items() if since is None or r[0] >= since]
        return sorted(rows, key=lambda row: row[0] if ask.by_id else (row[1][0], row[0]))

    def answer(self, ask: Ask) -> tuple[dict[str, Row], Answer]:
        """One page, and what of it moves a cursor."""
        self.calls += 1
        everything = self.found(ask)
        page = everything[(ask.page - 1) * PAGE_SIZE : ask.page * PAGE_SIZE]
        pages = -(-len(everything) // PAGE_SIZE)
        return dict(page), Answer(tuple(row for _, row in page), pages, self.now)
