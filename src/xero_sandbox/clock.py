"""Time, handed in, so that a test can move it."""

from datetime import UTC, datetime, timedelta


class Clock:
    """The real time, and so many seconds more as it was moved forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """Return the present as an aware UTC datetime with milliseconds, as Xero stamps."""
        return whole_milliseconds(datetime.now(UTC) + self._ahead)

    def advance(self, seconds: float) -> None:
        """Move forward (or back, when negative) by so many seconds."""
        self._ahead += timedelta(seconds=seconds)

    def start_over(self) -> None:
        """Take back every move."""
        self._ahead = timedelta()


class FrozenClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        super().__init__()
        self._now = self._start = whole_milliseconds(start)

    def now(self) -> datetime:
        """Return the time it was last set to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward (or back, when negative) by so many seconds."""
        self._now = whole_milliseconds(self._now + timedelta(seconds=seconds))

    def start_over(self) -> None:
        """Go back to where it first stood."""
        self._now = self._start


def whole_milliseconds(moment: datetime) -> datetime:
    """Cut microseconds: UpdatedDateUTC has milliseconds (3.2)."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
