"""What an ingest says of its venue: silent, a market frozen, a clock that is off; and that Kafka takes nothing of it.

`Pulse` belongs to an intake and notes what it hears; `conditions_of` judges all intakes of a service for the health
endpoint. What a judgement is made of is counted in our own monotonic time, so that no clock can fake a heartbeat.
"""

from collections.abc import Collection, Container, Mapping
from typing import TYPE_CHECKING

from ingest.watch import Stream
from liqheat.domain.events import Kind
from liqheat.platform import metrics
from liqheat.platform.health import Condition, Level

if TYPE_CHECKING:
    from ingest.service import VenueService

SILENT_SECONDS = 7.0
"""A venue that sends nothing at all for so long is silent, unless its few markets usually pause half as long."""
FROZEN_SECONDS = 30.0
_PAUSE_FACTOR = 4.0
_WEIGHT = 0.05
_USUAL_SECONDS = 15.0
"""A longer pause of everything is an outage and not how the venue usually is."""
LEAD_MS = 2_000
LATE_MS = 15_000
_RECENT_SECONDS = 10.0
STALLED_SECONDS = 7.0
"""Kafka that takes nothing for so long is reported, even while the broker answers others."""


class Pulse:
    """When each stream was last heard, its longest usual pause, and how old its events were."""

    def __init__(self) -> None:
        self._heard_at: dict[Stream, float] = {}
        self._longest: dict[Stream, float] = {}
        self._lag: dict[str, tuple[float, int]] = {}
        self._spoke_at: float | None = None
        self.usual_pause = 0.0
        """The mean of the latest pauses that were no outage (s)."""

    def note(self, streams: Collection[Stream], now: float, name: str, lag_ms: int) -> None:
        """Note a frame of the connection or poll `name`: what it said, when (monotonic s), how old that was."""
        self._lag[name] = now, lag_ms
        if self._spoke_at is not None and (pause := now - self._spoke_at) < _USUAL_SECONDS:
            self.usual_pause += (pause - self.usual_pause) * (_WEIGHT if self.usual_pause else 1.0)
        self._spoke_at = now
        for stream in streams:
            if stream.kind is Kind.MARKS:
                before = self._heard_at.get(stream)
                # A longer pause was reported as one that should not be, so it is not how the market usually is.
                if before is not None and self._longest.get(stream, 0.0) < now - before < FROZEN_SECONDS:
                    self._longest[stream] = now - before
                self._heard_at[stream] = now

    def keep(self, instruments: Container[str]) -> None:
        """Expect nothing more of instruments that are not among these."""
        self._heard_at = {stream: at for stream, at in self._heard_at.items() if stream.instrument in instruments}
        self._longest = {stream: pause for stream, pause in self._longest.items() if stream.instrument in instruments}

    def frozen(self, now: float) -> Mapping[str, float]:
        """Return the markets whose mark has paused much longer than it ever did, with the seconds."""
        return {
            stream.instrument: now - at
            for stream, at in self._heard_at.items()
            if now - at > max(FROZEN_SECONDS, _PAUSE_FACTOR * self._longest.get(stream, 0.0))
        }

    def lags(self, now: float) -> list[int]:
        """Return the age (ms) of the latest event of each connection that spoke lately; negative is the future."""
        return [lag for at, lag in self._lag.values() if now - at < _RECENT_SECONDS]


def conditions_of(service: "VenueService") -> list[Condition]:
    """Return the conditions beside the service's own sentence."""
    return [
        Condition("venue", lambda: _silent(service), Level.READY),
        Condition("market", lambda: _frozen(service)),
        Condition("venue clock", lambda: _clock_off(service)),
        Condition("publisher", lambda: _stalled(service)),
    ]


def _stalled(service: "VenueService") -> str | None:
    seconds = service.stalled
    if seconds <= STALLED_SECONDS:
        return None
    return f"{service.venue.value}: Kafka has taken nothing for {seconds:.0f} s though rows wait for it"


def _silent(service: "VenueService") -> str | None:
    if not service.pulses:
        return None
    silence = service.silence()
    return f"{service.venue.value}: no event for {silence:.0f} s" if silence > _patience(service) else None


def _patience(service: "VenueService") -> float:
    """Return how long the venue may say nothing: its liveliest intake decides."""
    return max(SILENT_SECONDS, 2 * min((pulse.usual_pause for pulse in service.pulses), default=0.0))


def _frozen(service: "VenueService") -> str | None:
    if not service.pulses or service.silence() > _patience(service):
        # Then the venue itself is silent, which is said already.
        return None
    now = service.now()
    found: dict[str, float] = {}
    for pulse in service.pulses:
        found.update(pulse.frozen(now))
    if not found:
        return None
    worst = sorted(found, key=lambda name: -found[name])
    named = ", ".join(f"{name} for {found[name]:.0f} s" for name in worst[:3])
    more = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
    return f"{service.venue.value}: no new mark price of {named}{more}"


def _clock_off(service: "VenueService") -> str | None:
    venue = service.venue.value
    offset = service.offset.offset_ms
    if offset is not None:
        metrics.CLOCK_OFFSET_SECONDS.labels(venue).set(offset / 1_000)
    if (sentence := service.offset.problem()) is not None:
        return f"{venue}: {sentence}"
    lags = [lag for pulse in service.pulses for lag in pulse.lags(service.now())]
    if not lags:
        return None
    # A single slow or early stream is not the clock; all of them together are.
    if max(lags) < -LEAD_MS:
        return f"{venue}: events are {-max(lags) / 1_000:.0f} s ahead of this machine's clock; check its time service"
    if min(lags) > LATE_MS:
        return f"{venue}: events are {min(lags) / 1_000:.0f} s old when they come: a slow feed, or this clock is ahead"
    return None
