"""The clock as an argument: edges take a `Clock`, so tests move time themselves.

The pure core has no clock at all; only feeds, drivers, sinks and the simulator's pacing use this.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and sleeping, as one replaceable thing."""

    def now_ms(self) -> int:
        """Return the wall time in ms since 1970-01-01 UTC."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the wall time in ms since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when asked to; `sleep` advances it at once and yields to other tasks."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = float(now_ms)
        self.slept: list[float] = []

    def now_ms(self) -> int:
        """Return the time it was set to."""
        return int(self._now_ms)

    def monotonic(self) -> float:
        """Return the time it was set to, in seconds."""
        return self._now_ms / 1_000

    def advance(self, seconds: float) -> None:
        """Move time forward."""
        self._now_ms += seconds * 1_000

    async def sleep(self, seconds: float) -> None:
        """Advance by `seconds` and note it in `slept`."""
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)
