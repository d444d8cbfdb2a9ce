"""Where to read from next, so that no invoice is missed however Xero changes while we page.

Two shapes (docs/decisions/0003-reading-without-missing.md):

*First import*: pages 1, 2, 3 … ordered by InvoiceID, which never changes, so rows can only
move to later pages. It ends with a position for the increments: Xero's own time when the
import started, less an overlap.

*Increment*: always page 1 of "modified since the position". A full page moves the position
to the second of its last row and asks again. Only when one second holds more than a page do
we page on inside it, and then that second is read again until two readings agree, because a
row edited meanwhile leaves it and pulls another across the page boundary.

States are frozen values. `request` says what to ask; `advance` takes what came back and
gives the next state. Stamps are Xero's (UTC); our clock is never used (I-7).
If-Modified-Since is accurate to the second (xero-facts 3.2), so positions are whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

OVERLAP = timedelta(seconds=5)
"""Read again this much: a row may become readable a little after its stamp, when its second has
been read already."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What to request: `since` None means no If-Modified-Since; `by_id` the stable order."""

    page: int
    since: datetime | None
    by_id: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, reduced to what moves a cursor.

    `rows`: (UpdatedDateUTC, a number that identifies row and version) in Xero's order.
    `pages`: how many pages the question has. `said_at`: Xero's own time on the envelope.
    """

    rows: tuple[tuple[datetime, int], ...]
    pages: int
    said_at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """How far an endpoint has been read.

    `importing`: the first import is under way and `page` is next. Otherwise `since` is the
    increments' position and `page` > 1 only inside a crowded second, whose readings are
    compared in `reading` and `last_reading`. While a reading is under way, `started_at` is
    Xero's time at its first page, `floor` where it started from, and `newest` the latest
    stamp that it saw.
    """

    importing: bool = True
    page: int = 1
    started_at: datetime | None = None
    since: datetime | None = None
    newest: datetime | None = None
    reading: int = 0
    last_reading: int | None = None
    floor: datetime | None = None


def request(position: Position) -> Ask:
    """What to ask Xero next."""
    if position.importing:
        return Ask(position.page, None, True)
    return Ask(position.page, position.since, False)


def advance(position: Position, answer: Answer) -> tuple[Position, bool]:
    """The position after this answer was applied, and whether this sync is complete."""
    if position.importing:
        return _advance_import(position, answer)
    return _advance_increment(position, answer)


def _advance_import(position: Position, answer: Answer) -> tuple[Position, bool]:
    started = position.started_at or answer.said_at
    if position.page < answer.pages:
        return replace(position, page=position.page + 1, started_at=started), False
    return Position(importing=False, since=whole_second(started - OVERLAP)), True


def _advance_increment(position: Position, answer: Answer) -> tuple[Position, bool]:
    newest = max(filter(None, (position.newest, *(s for s, _ in answer.rows))), default=None)
    position = replace(
        position,
        newest=newest,
        floor=position.floor or position.since,
        started_at=position.started_at or answer.said_at,
    )
    if position.page > 1 or _crowded(position, answer):
        return _advance_crowded(position, answer)
    if answer.pages <= 1:
        return _finish(position), True
    return replace(position, since=whole_second(answer.rows[-1][0])), False


def _crowded(position: Position, answer: Answer) -> bool:
    """Does a full page lie within the one second that we ask from? Then asking again
    from its last row would return the same page for ever."""
    return answer.pages > 1 and whole_second(answer.rows[-1][0]) == position.since


def _advance_crowded(position: Position, answer: Answer) -> tuple[Position, bool]:
    inside = [key for stamp, key in answer.rows if whole_second(stamp) == position.since]
    beyond = [stamp for stamp, _ in answer.rows if whole_second(stamp) != position.since]
    reading = hash((position.reading, *inside))
    if not beyond and position.page < answer.pages:
        return replace(position, page=position.page + 1, reading=reading), False
    if reading != position.last_reading:
        return replace(position, page=1, reading=0, last_reading=reading), False
    settled = replace(position, page=1, reading=0, last_reading=None)
    if not beyond:
        return _finish(settled), True
    return replace(settled, since=whole_second(beyond[0])), False


def _finish(position: Position) -> Position:
    """Ready for the next increment: an overlap before this one started, or before the newest
    row seen if that is earlier. Not before its last row: what was stamped just before a page
    was read may have become readable just after, on a page that we had passed. Never earlier
    than before (a position moves back only by an explicit full resync)."""
    if position.newest is None or position.started_at is None:
        return Position(importing=False, since=position.floor)
    behind = whole_second(min(position.newest, position.started_at) - OVERLAP)
    return Position(importing=False, since=max(position.floor or behind, behind))


def whole_second(stamp: datetime) -> datetime:
    """The stamp floored to Xero's granularity."""
    return stamp.replace(microsecond=0)


def to_plain(position: Position) -> dict[str, object]:
    """JSON-ready form."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in ((n, getattr(position, n)) for n in Position.__dataclass_fields__)
    }


def from_plain(data: dict[str, object]) -> Position:
    """The inverse of `to_plain`."""
    stamps = ("started_at", "since", "newest", "floor")
    return Position(
        **{
            name: datetime.fromisoformat(value)
            if name in stamps and isinstance(value, str)
            else value
            for name, value in data.items()
        }  # type: ignore[arg-type]
    )
