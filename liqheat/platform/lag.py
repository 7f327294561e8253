"""Decides from committed and last offsets whether a consumer group keeps up. Pure; `broker_watch` measures.

A group that works through a backlog is well. It is not when it makes no progress with work before it, or when it has
fallen further behind at each look for a minute.
"""

from collections.abc import Mapping

STANDING_SECONDS = 8.0
"""Work waits and nothing of it was committed for so long: the group is at a halt."""
GROWING_SECONDS = 60.0
LEAST_LAG = 500
"""Messages; a shorter backlog may grow for a minute without meaning anything."""


class LagJudge:
    """Remembers what it needs of earlier looks."""

    def __init__(self) -> None:
        self._committed: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._waiting_since: dict[str, float] = {}
        self._now = 0.0
        self._lag = 0
        self._lowest = 0
        self._growing_since: float | None = None

    def note(self, now: float, offsets: Mapping[str, tuple[int, int]]) -> None:
        """Take a look: for each partition the committed offset and the log's end, at `now` (monotonic s)."""
        for place, (committed, end) in offsets.items():
            if committed >= end:
                self._waiting_since.pop(place, None)
            elif committed != self._committed.get(place) or place not in self._waiting_since:
                self._waiting_since[place] = now
            self._committed[place] = committed
        for gone in self._committed.keys() - offsets.keys():
            del self._committed[gone]
            self._waiting_since.pop(gone, None)
        self._ends = {place: end for place, (_, end) in offsets.items()}
        lag = sum(max(0, end - committed) for committed, end in offsets.values())
        # Nothing is growing that has shrunk once, or that is short.
        if lag <= max(self._lag - 1, 0) or lag < LEAST_LAG:
            self._growing_since = None
        elif lag > self._lag and self._growing_since is None:
            self._growing_since, self._lowest = now, lag
        self._now, self._lag = now, lag

    @property
    def messages(self) -> int:
        """Messages behind at the last look."""
        return self._lag

    @property
    def ends(self) -> Mapping[str, int]:
        """The offset that the next message of each partition will get, at the last look."""
        return self._ends

    def standing(self) -> dict[str, float]:
        """Return for how many seconds nothing was committed of each partition with messages to read."""
        return {place: self._now - since for place, since in list(self._waiting_since.items())}

    def problem(self) -> str | None:
        """Say what is wrong, None while the group keeps up."""
        standing = {place: seconds for place, seconds in self.standing().items() if seconds > STANDING_SECONDS}
        if standing:
            worst = max(standing, key=lambda place: standing[place])
            return (
                f"{len(standing)} partitions make no progress with messages to read, "
                f"{worst} for {standing[worst]:.0f} s ({self._lag:,} messages behind in all)"
            )
        if self._growing_since is not None and self._now - self._growing_since > GROWING_SECONDS:
            return (
                f"Falling behind for {self._now - self._growing_since:.0f} s: "
                f"from {self._lowest:,} to {self._lag:,} messages"
            )
        return None
