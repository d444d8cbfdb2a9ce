"""Where to read from next, so that no invoice is missed however Xero changes while we page.

Two shapes (docs/decisions/0003-reading-without-missing.md):

*First import*: pages 1, 2, 3 … ordered by InvoiceID, which never changes, so rows can only
move to later pages. It ends with a position for the increments: Xero's own time when the
import started, less an overlap. Where Xero refuses a question because too many rows match
(xero-facts 3.1), `split` cuts it into slices of dates, read one after the other in the same
way. A row whose date is edited meanwhile may leave a slice before it was read: its stamp moves
too, and the first increment starts before the first slice did. But it may also pull a row that
nobody touched across a page boundary. So pages within a slice overlap: each is one row shorter
than the one before, begins before that one's end, and must show its last row again; else the
slice is read again.

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
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

OVERLAP = timedelta(seconds=5)
"""Read again this much: a row may become readable a little after its stamp, when its second has
been read already."""

YEARS = 10
"""So many years have a slice each at first. A slice costs a call even when it is empty."""

EARLIEST, LATEST = date(1900, 1, 1), date(2100, 1, 1)
"""Where an open side is taken to lie when its slice is halved. The open side stays open."""


class Slice(NamedTuple):
    """Business dates from `start` to before `end`; None is open."""

    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Ask:
    """What to request: `since` None means no If-Modified-Since; `by_id` the stable order;
    `dates` None means every date; pages are `shorter` than usual by so many rows."""

    page: int
    since: datetime | None
    by_id: bool
    dates: Slice | None = None

    @property
    def shorter(self) -> int:
        """Page n of a slice begins at row (n - 1)(P - n + 1), n - 1 before the end of the last."""
        return self.page - 1 if self.dates else 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, reduced to what moves a cursor.

    `rows`: (UpdatedDateUTC, a number that identifies row and version) in Xero's order.
    `pages`: how many pages the question has. `said_at`: Xero's own time on the envelope.
    `ids`: of the rows, in the same order.
    """

    rows: tuple[tuple[datetime, int], ...]
    pages: int
    said_at: datetime
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """How far an endpoint has been read.

    `importing`: the first import is under way and `page` is next. Otherwise `since` is the
    increments' position and `page` > 1 only inside a crowded second, whose readings are
    compared in `reading` and `last_reading`. While a reading is under way, `started_at` is
    Xero's time at its first page, `floor` where it started from, and `newest` the latest
    stamp that it saw. `slices`: what is left of an import that Xero does not give in one
    question, the one being read first, and `last` the last row of its page before.
    """

    importing: bool = True
    page: int = 1
    started_at: datetime | None = None
    since: datetime | None = None
    newest: datetime | None = None
    reading: int = 0
    last_reading: int | None = None
    floor: datetime | None = None
    slices: tuple[Slice, ...] = ()
    last: str | None = None


def request(position: Position) -> Ask:
    """What to ask Xero next."""
    if position.importing:
        return Ask(position.page, None, True, position.slices[0] if position.slices else None)
    return Ask(position.page, position.since, False)


def split(position: Position, today: date) -> Position | None:
    """The position after Xero refused its question because too many rows match.

    None if it can't be cut: an increment, or a single day. `today` only chooses the first cuts;
    as both ends are open, a wrong one costs calls and loses nothing.
    """
    if not position.importing:
        return None
    parts = _halves(position.slices[0]) if position.slices else _years(today)
    if not parts:
        return None
    return replace(position, page=1, last=None, slices=parts + position.slices[1:])


def _years(today: date) -> tuple[Slice, ...]:
    """Everything before, each of the last years, everything later."""
    cuts = [date(year, 1, 1) for year in range(today.year - YEARS + 1, today.year + 2)]
    return tuple(map(Slice, (None, *cuts), (*cuts, None)))


def _halves(dates: Slice) -> tuple[Slice, ...]:
    """Two slices that are this one; none if it is no longer than a day."""
    start, end = dates.start or EARLIEST, dates.end or LATEST
    days = (end - start).days // 2
    if days < 1:
        return ()
    middle = start + timedelta(days=days)
    return Slice(dates.start, middle), Slice(middle, dates.end)


def advance(position: Position, answer: Answer) -> tuple[Position, bool]:
    """The position after this answer was applied, and whether this sync is complete."""
    if position.importing:
        return _advance_import(position, answer)
    return _advance_increment(position, answer)


def _advance_import(position: Position, answer: Answer) -> tuple[Position, bool]:
    started = position.started_at or answer.said_at
    position = replace(position, started_at=started)
    if position.last and position.last not in answer.ids:
        return replace(position, page=1, last=None), False
    if position.page < answer.pages:
        last = answer.ids[-1] if position.slices else None
        return replace(position, page=position.page + 1, last=last), False
    if len(position.slices) > 1:
        return replace(position, page=1, last=None, slices=position.slices[1:]), False
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
    plain: dict[str, object] = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in ((n, getattr(position, n)) for n in Position.__dataclass_fields__)
    }
    plain["slices"] = [[day and day.isoformat() for day in dates] for dates in position.slices]
    return plain


def from_plain(data: dict[str, Any]) -> Position:
    """The inverse of `to_plain`."""
    stamps = ("started_at", "since", "newest", "floor")
    found: dict[str, Any] = {
        n: datetime.fromisoformat(v) if n in stamps and v else v for n, v in data.items()
    }
    slices = (
        Slice(*(day and date.fromisoformat(day) for day in dates))
        for dates in data.get("slices", ())
    )
    return Position(**{**found, "slices": tuple(slices)})
