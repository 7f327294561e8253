"""Which streams of a connection have fallen silent while the connection goes on: a subscription lost alone.

A stream is one kind of event of one instrument. Marks come every few seconds, but trades come when people
trade, so each stream may pause a few times as long as it lately did. Pure: the runner gives the time.
"""

from collections.abc import Iterable
from typing import NamedTuple

from liqheat.domain.events import Kind

EXPECTED_KINDS = (Kind.TRADES, Kind.MARKS)
"""What every venue sends of every instrument; other kinds are watched once they have been heard."""
WATCHED_KINDS = (*EXPECTED_KINDS, Kind.OPEN_INTEREST)
"""Liquidations and turnover are left out: the first come in bursts, the second travels with other kinds."""

_PAUSE_FACTOR = 3.0
# A long pause counts for less with time, so that a quiet night does not hide a loss on the next day.
_HALF_LIFE_SECONDS = 3_600.0
# A stream that has used up this share of its patience goes with one that has used up all.
_TOGETHER = 0.5


class Stream(NamedTuple):
    """One kind of event of one instrument, by the venue's name for it."""

    instrument: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.kind.value} of {self.instrument}"


class StreamWatch:
    """Notes when each stream spoke and tells those that are overdue; all times are seconds of one clock."""

    def __init__(self, instruments: Iterable[str], limit: float) -> None:
        """Expect trades and marks of each of `instruments`; none is overdue before `limit` seconds."""
        self._limit = limit
        self._spoke_at = {Stream(name, kind): 0.0 for name in instruments for kind in EXPECTED_KINDS}
        self._longest: dict[Stream, tuple[float, float]] = {}  # stream -> longest pause, when it ended
        self._told: dict[Stream, float] = {}  # stream -> how long it had been silent when it was last told

    def restart(self, now: float) -> None:
        """Start counting anew, because nothing was read until `now`; what is already told stays told."""
        for stream in self._spoke_at.keys() - self._told.keys():
            self._spoke_at[stream] = now

    def drop(self, instrument: str) -> None:
        """Expect nothing more of `instrument`."""
        for stream in [stream for stream in self._spoke_at if stream.instrument == instrument]:
            del self._spoke_at[stream]
            self._longest.pop(stream, None)
            self._told.pop(stream, None)

    def heard(self, streams: Iterable[Stream], now: float) -> None:
        """Note that `streams` spoke."""
        for stream in streams:
            if stream.kind not in WATCHED_KINDS:
                continue
            pause = now - self._spoke_at.get(stream, now)
            # Shorter pauses change no limit.
            if pause * _PAUSE_FACTOR > self._limit and pause > self._usual_pause(stream, now):
                self._longest[stream] = pause, now
            self._spoke_at[stream] = now
            self._told.pop(stream, None)

    def overdue(self, now: float) -> list[Stream]:
        """Return the streams that are overdue, with those of the same instrument that soon would be.

        One subscription may carry several kinds, which are lost together and overdue one after the other. What
        stays silent is told again after twice the time: so a delisted instrument costs little, and a loss that
        outlives its first cure is not forgotten.
        """
        share = {stream: (now - at) / self._patience(stream, now) for stream, at in self._spoke_at.items()}
        instruments = {stream.instrument for stream, spent in share.items() if spent >= 1.0}
        found = [stream for stream, spent in share.items() if stream.instrument in instruments and spent >= _TOGETHER]
        for stream in found:
            self._told[stream] = now - self._spoke_at[stream]
        return sorted(found)

    def _patience(self, stream: Stream, now: float) -> float:
        if told := self._told.get(stream):
            return 2.0 * told
        return max(self._limit, _PAUSE_FACTOR * self._usual_pause(stream, now))

    def _usual_pause(self, stream: Stream, now: float) -> float:
        pause, ended_at = self._longest.get(stream, (0.0, now))
        return float(pause * 0.5 ** ((now - ended_at) / _HALF_LIFE_SECONDS))
