"""Notices a clock that jumps or is off: each service by its own monotonic clock, an ingest by its venue's.

Pure judges of times that are handed in; `liqheat.platform.watching` and the ingests feed them. Event times are
judged elsewhere, against the broker's append time, so a wrong clock here harms nothing but what it stamps.
"""

from liqheat.platform.clock import Clock

JUMP_MS = 2_000
"""More than a clock is slewed by in the seconds between two looks."""
REMEMBERED_SECONDS = 300.0
"""After so long without another jump the new time is taken for right."""
OFFSET_LIMIT_MS = 5_000
_SAMPLES = 32


class JumpWatch:
    """Compares wall time with monotonic time since the last look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._difference = self._now()
        self._jumped_ms = 0
        self._jumped_at = clock.monotonic()

    def _now(self) -> float:
        return self._clock.now_ms() - self._clock.monotonic() * 1_000

    def look(self) -> None:
        """Take a look; called about once per second."""
        difference, now = self._now(), self._clock.monotonic()
        moved = difference - self._difference
        if abs(moved) > JUMP_MS:
            self._jumped_ms += round(moved)
            self._jumped_at = now
        elif now - self._jumped_at > REMEMBERED_SECONDS:
            self._jumped_ms = 0
        self._difference = difference

    def problem(self) -> str | None:
        """Say by how much the clock has jumped, None while it goes evenly or is back where it was."""
        self.look()
        if abs(self._jumped_ms) <= JUMP_MS:
            return None
        way = "forward" if self._jumped_ms > 0 else "back"
        return f"This machine's clock jumped {way} by {abs(self._jumped_ms) / 1_000:,.0f} s; check its time service"


class OffsetWatch:
    """How far a venue's clock is ahead of ours, from answers that carry the venue's time to the second.

    An answer of `Date: T`, asked for at `a` and here at `b` (ours, ms), was made between `a` and `b` and at a venue's
    time from `T` to `T + 1000`: the offset lies between `T - b` and `T + 1000 - a`. The latest answers narrow it down.
    """

    def __init__(self) -> None:
        self._bounds: list[tuple[float, float]] = []

    def note(self, asked_ms: int, answered_ms: int, venue_ms: int) -> None:
        """Take one answer: when it was asked for and came (our clock), and the second that it names (theirs)."""
        low, high = venue_ms - answered_ms, venue_ms + 1_000 - asked_ms
        if high < low:
            # Our own clock went back while we waited; this answer says nothing.
            return
        if self._bounds and not (self._low <= high and low <= self._high):
            # One of the clocks was set: what was measured before is no longer so.
            self._bounds.clear()
        self._bounds = [*self._bounds[1 - _SAMPLES :], (float(low), float(high))]

    @property
    def _low(self) -> float:
        return max(low for low, _ in self._bounds)

    @property
    def _high(self) -> float:
        return min(high for _, high in self._bounds)

    @property
    def offset_ms(self) -> float | None:
        """The middle of what is possible, None before the first answer."""
        return (self._low + self._high) / 2 if self._bounds else None

    def problem(self) -> str | None:
        """Say which way and how far this clock is off, None while it may be right within `OFFSET_LIMIT_MS`."""
        if not self._bounds:
            return None
        if self._low > OFFSET_LIMIT_MS:
            return f"This machine's clock is at least {self._low / 1_000:,.0f} s behind the venue's"
        if self._high < -OFFSET_LIMIT_MS:
            return f"This machine's clock is at least {-self._high / 1_000:,.0f} s ahead of the venue's"
        return None
