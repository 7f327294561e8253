"""Decides from offsets whether a consumer group keeps up. Pure; `broker_watch` measures.

A group that works through a backlog is well. It is not when it makes no progress with work before it, or when it has
fallen further behind at each look for a minute. Progress is what has been read and dealt with, where the service says
it; commits may come minutes apart, for what they cover must be safe.
"""

from collections.abc import Mapping

STANDING_SECONDS = 8.0
"""Work waits and nothing of it was done for so long: the partition is at a halt."""
COMMIT_SECONDS = 900.0
"""The same of what is committed, for a service that says what it has reached: a sink of 1,700 markets commits after
each round of rollups, minutes apart. Partitions of other members are theirs to answer for until then."""
GROWING_SECONDS = 60.0
LEAST_LAG = 500
"""Messages; a shorter backlog may grow for a minute without meaning anything."""


class _Progress:
    """Since when each partition has had work before it without a move."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._now = 0.0

    def note(self, now: float, offsets: Mapping[str, tuple[int, int]]) -> None:
        """Take a look at `now`: for each partition how far it is, and where the log ends."""
        for place, (at, end) in offsets.items():
            if at >= end:
                self._since.pop(place, None)
            elif at != self._at.get(place) or place not in self._since:
                self._since[place] = now
            self._at[place] = at
        for gone in self._at.keys() - offsets.keys():
            del self._at[gone]
            self._since.pop(gone, None)
        self._now = now

    def standing(self) -> dict[str, float]:
        """Return the seconds without a move of each partition that has work before it."""
        return {place: self._now - since for place, since in list(self._since.items())}


class LagJudge:
    """Remembers what it needs of earlier looks."""

    def __init__(self) -> None:
        self._reached = _Progress()
        self._committed = _Progress()
        self._ends: dict[str, int] = {}
        self._now = 0.0
        self._lag = 0
        self._lowest = 0
        self._growing_since: float | None = None

    def note(
        self, now: float, offsets: Mapping[str, tuple[int, int]], reached: Mapping[str, int] | None = None
    ) -> None:
        """Take a look: for each partition the committed offset and the log's end, at `now` (monotonic s).

        `reached` has the offset before which this service has dealt with everything, of each partition that is its own;
        None where the service does not say, and commits are its progress.
        """
        self._ends = {place: end for place, (_, end) in offsets.items()}
        own = offsets if reached is None else {place: offsets[place] for place in offsets.keys() & reached.keys()}
        done = {place: (max(committed, (reached or {}).get(place, 0)), end) for place, (committed, end) in own.items()}
        self._reached.note(now, done)
        self._committed.note(now, {} if reached is None else offsets)
        lag = sum(max(0, end - at) for at, end in {**offsets, **done}.values())
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
        """Return for how many seconds nothing was done of each partition with messages to read."""
        return self._reached.standing()

    def problem(self) -> str | None:
        """Say what is wrong, None while the group keeps up."""
        halted = _longer_than(STANDING_SECONDS, self._reached.standing())
        if halted:
            return f"{halted} ({self._lag:,} messages behind in all)"
        halted = _longer_than(COMMIT_SECONDS, self._committed.standing())
        if halted:
            return f"Nothing is committed: {halted}"
        if self._growing_since is not None and self._now - self._growing_since > GROWING_SECONDS:
            return (
                f"Falling behind for {self._now - self._growing_since:.0f} s: "
                f"from {self._lowest:,} to {self._lag:,} messages"
            )
        return None


def _longer_than(limit: float, standing: Mapping[str, float]) -> str | None:
    halted = {place: seconds for place, seconds in standing.items() if seconds > limit}
    if not halted:
        return None
    worst = max(halted, key=lambda place: halted[place])
    return f"{len(halted)} partitions make no progress with messages to read, {worst} for {halted[worst]:.0f} s"
