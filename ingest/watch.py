"""Which streams of a connection have fallen silent while the connection goes on: a subscription lost alone.

A stream is one kind of event of one instrument. Marks come every few seconds, but trades come when people trade: on
a venue with hundreds of markets the quietest see one in minutes. So how long a stream may be silent follows from how
often it spoke, and from its longest pause. Pure: the runner gives the time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from liqheat.domain.events import Kind

EXPECTED_KINDS = (Kind.TRADES, Kind.MARKS)
"""What every venue sends of every instrument; other kinds are watched once they have been heard."""
WATCHED_KINDS = (*EXPECTED_KINDS, Kind.OPEN_INTEREST)
"""Liquidations and turnover are left out: the first come in bursts, the second travels with other kinds."""

_PAUSE_FACTOR = 3.0
# The past counts for less with time, so that a quiet night does not hide a loss on the next day.
_HALF_LIFE_SECONDS = 3_600.0
# A stream that was silent for this share of the limit goes with an overdue one that may share its subscription.
_TOGETHER = 0.5
# If trades come by chance, a silence of this length in mean pauses happens once in 160,000 pauses.
_MEAN_PAUSES = 12.0
# Before a trade stream is known, it is taken for one that speaks 1.5 times within the limit.
_PRIOR_PAUSE_SHARE = 8.0 / _MEAN_PAUSES
# What comes within this share of the limit is one burst, and says no more of how often the stream speaks.
_BURST_SHARE = 1.0 / 48.0


class Stream(NamedTuple):
    """One kind of event of one instrument, by the venue's name for it."""

    instrument: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.kind.value} of {self.instrument}"


@dataclass(slots=True)
class _Pace:
    """When a stream spoke, and how often: `bursts` in `seconds`, both fading; all times are seconds of one clock."""

    spoke_at: float = 0.0
    burst_at: float = 0.0
    bursts: float = 0.0
    seconds: float = 0.0
    longest: float = 0.0
    longest_ended_at: float = 0.0
    reported: float = 0.0
    """How long it had been silent when it was last reported; 0 while it is not."""

    def restart(self, now: float) -> None:
        self.spoke_at = self.burst_at = now

    def longest_by(self, now: float) -> float:
        return self.longest * _faded(now - self.longest_ended_at)

    def note_burst(self, now: float) -> None:
        pause = now - self.burst_at
        kept = _faded(pause)
        self.bursts = self.bursts * kept + 1.0
        self.seconds = self.seconds * kept + pause
        self.burst_at = now


class StreamWatch:
    """Notes when each stream spoke and reports those that are overdue; all times are seconds of one clock."""

    def __init__(self, instruments: Iterable[str], limit: float) -> None:
        """Expect trades and marks of each of `instruments`; none is overdue before `limit` seconds."""
        self._limit = limit
        self._burst = limit * _BURST_SHARE
        self._prior_pause = limit * _PRIOR_PAUSE_SHARE
        self._paces = {Stream(name, kind): _Pace() for name in instruments for kind in EXPECTED_KINDS}

    def restart(self, now: float) -> None:
        """Start counting again, because nothing was read until `now`; what is already reported stays reported."""
        for pace in self._paces.values():
            if not pace.reported:
                pace.restart(now)

    def drop(self, instrument: str) -> None:
        """Expect nothing more of `instrument`."""
        for stream in [stream for stream in self._paces if stream.instrument == instrument]:
            del self._paces[stream]

    def heard(self, streams: Iterable[Stream], now: float) -> None:
        """Note that `streams` spoke."""
        for stream in streams:
            pace = self._paces.get(stream)
            if pace is None:
                if stream.kind not in WATCHED_KINDS:
                    continue
                pace = self._paces[stream] = _Pace(now, now)
            pause = now - pace.spoke_at
            pace.spoke_at = now
            pace.reported = 0.0
            if now - pace.burst_at < self._burst:
                continue
            pace.note_burst(now)
            # Shorter pauses change no limit.
            if pause * _PAUSE_FACTOR > self._limit and pause > pace.longest_by(now):
                pace.longest, pace.longest_ended_at = pause, now

    def overdue(self, now: float) -> list[Stream]:
        """Return the streams that are overdue, with those that may share their subscription and are silent too.

        One subscription may carry several kinds of an instrument, or one kind of all instruments; they are lost
        together and overdue one after the other, and the cure of the first ends the silence of all. What stays
        silent is reported again after twice the time: so a delisted instrument costs little, and a loss that
        outlives its first cure is not forgotten.
        """
        overdue = [
            stream
            for stream, pace in self._paces.items()
            if now - pace.spoke_at >= self._limit and now - pace.spoke_at >= self._patience(stream, pace, now)
        ]
        if not overdue:
            return []
        instruments = {stream.instrument for stream in overdue}
        silent = [
            stream for stream, pace in self._paces.items() if now - pace.spoke_at >= _TOGETHER * self._together(pace)
        ]
        # Trades of other instruments may be silent by chance, all else comes every few seconds.
        shared = any(stream.kind is not Kind.TRADES for stream in silent if stream.instrument in instruments)
        found = [
            stream
            for stream in silent
            if stream.instrument in instruments or (shared and stream.kind is not Kind.TRADES)
        ]
        for stream in found:
            self._paces[stream].reported = now - self._paces[stream].spoke_at
        return sorted(found)

    def _patience(self, stream: Stream, pace: _Pace, now: float) -> float:
        if pace.reported:
            return 2.0 * pace.reported
        patience = max(self._limit, _PAUSE_FACTOR * pace.longest_by(now))
        if stream.kind is Kind.TRADES:
            mean = (pace.seconds + self._prior_pause) / (pace.bursts + 1.0)
            patience = max(patience, _MEAN_PAUSES * mean)
        return patience

    def _together(self, pace: _Pace) -> float:
        """Return what `_TOGETHER` is a share of."""
        return 2.0 * pace.reported if pace.reported else self._limit


def _faded(seconds: float) -> float:
    return float(0.5 ** (seconds / _HALF_LIFE_SECONDS))
