"""The real clock and real chance, for everything that is handed them."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime


class RealClock:
    """Implements `xero.client.Clock`."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        if seconds > 0:
            time.sleep(seconds)

    def jitter(self) -> float:
        """A number in [0, 1); spreads retries, guards nothing."""
        return random.random()  # noqa: S311
