"""Where raw frames become events: every socket, poll and task of a service hands its frames to an intake.

An intake maps with one mapper, checks, publishes, sends poison to the dead letters, fills the holes that the
mapper notices and records each as a `Gap`. The feed runner and the poller know it as a `FrameHandler`, which
`liqheat record` implements too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from ingest.contract import NOTHING_RECOVERED, Connection, Mapper, Recovery, Rest, VenueFeed
from ingest.publisher import Publisher
from ingest.sanity import sane_events
from liqheat.domain.events import Event, Gap
from liqheat.domain.instruments import Instrument
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.errors import Origin, PoisonMessage, SequenceGap, TransientError

log = structlog.get_logger(__name__)

# Holes filled at the same time; more wait, so that a storm of gaps leaves budget for the polls.
_FILLS_AT_ONCE = 4
# How long a new connection may wait unread while what its predecessor missed is read by REST.
RECOVERY_SECONDS = 30.0


class FrameHandler(Protocol):
    """What sockets and polls hand their frames to."""

    async def handle(self, frame: bytes, stream: str) -> Sequence[Instrument]:
        """Take one raw frame of `stream`; return the instruments it spoke of, empty for control frames.

        Waits while the publisher's queue is full, and so holds the socket up.
        """

    async def recover(self, connection: Connection, start: int, end: int, reason: str) -> None:
        """Close the hole from `start` to `end` (ms) that `connection` left, and record it."""

    def missed(self, stream: str, start: int, end: int, count: int, reason: str) -> None:
        """Record that `count` polls of `stream` failed from `start` to `end` (ms)."""


class Intake:
    """The real handler: one mapper, one publisher."""

    def __init__(
        self,
        feed: VenueFeed,
        mapper: Mapper,
        instruments: Sequence[Instrument],
        publisher: Publisher,
        rest: Rest,
        clock: Clock,
    ) -> None:
        self._feed = feed
        self._mapper = mapper
        self._instruments = {instrument.name: instrument for instrument in instruments}
        self._publisher = publisher
        self._rest = rest
        self._clock = clock
        self._fills: set[asyncio.Task[None]] = set()
        self._fill_slots = asyncio.Semaphore(_FILLS_AT_ONCE)
        self._frames: dict[str, int] = {}
        self._lags: dict[str, int] = {}
        self._duplicates_reported = 0
        self.last_event_at = clock.monotonic()

    async def handle(self, frame: bytes, stream: str) -> Sequence[Instrument]:
        """Map and publish one frame; see `FrameHandler`."""
        received_at = self._clock.now_ms()
        self._frames[stream] = self._frames.get(stream, 0) + 1
        spoken_of: dict[str, None] = {}
        event: Event | None = None
        try:
            for event in sane_events(self._mapper, frame, received_at):
                self._publisher.add(event)
                spoken_of[event.instrument] = None
        except PoisonMessage as poison:
            self._publisher.dead_letter(frame, poison.reason, self._origin(stream))
        except SequenceGap as gap:
            self._notice(gap, received_at)
        if event is not None:
            self._lags[stream] = received_at - event.event_time
            self.last_event_at = self._clock.monotonic()
        await self._publisher.room()
        return [known for name in spoken_of if (known := self._instruments.get(name))]

    async def recover(self, connection: Connection, start: int, end: int, reason: str) -> None:
        """Read by REST what the connection missed, with its own mapper, then record the hole of each instrument."""

        async def recover_one(instrument: Instrument) -> bool:
            recovery = await self._attempt(self._feed.recover(instrument, start, end, self._rest), instrument)
            now = self._clock.now_ms()
            events = self._map_all(self._mapper, recovery, connection.name, lambda gap: self._notice(gap, now))
            await self._publisher.publish(events)
            return recovery.complete

        tasks = {asyncio.create_task(recover_one(instrument)): instrument for instrument in connection.instruments}
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=RECOVERY_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
        for task, instrument in tasks.items():
            filled = task.done() and not task.cancelled() and task.exception() is None and task.result()
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error
            self._record(instrument, start, end, connection.name, 0, reason, filled)

    def missed(self, stream: str, start: int, end: int, count: int, reason: str) -> None:
        """Record failed polls as a hole of their instrument, or of all when the poll is for all."""
        name, _, rest_name = stream.partition("@")
        known = self._instruments.get(name)
        for instrument in [known] if known else self._instruments.values():
            self._record(instrument, start, end, rest_name or stream, count, reason, filled=False)

    def report(self) -> None:
        """Bring the metrics up to date; called about once a second, so that frames stay cheap."""
        venue = self._feed.venue.value
        for stream, count in self._frames.items():
            metrics.FRAMES_RECEIVED.labels(venue, stream).inc(count)
        self._frames.clear()
        for stream, lag in self._lags.items():
            metrics.FEED_LAG_SECONDS.labels(venue, stream).set(lag / 1_000)
        if new := self._mapper.duplicates - self._duplicates_reported:
            metrics.DUPLICATES_DROPPED.labels(venue, "all").inc(new)
            self._duplicates_reported += new

    async def close(self) -> None:
        """Give up fills under way, recording them as unfilled."""
        for task in self._fills:
            task.cancel()
        await asyncio.gather(*self._fills, return_exceptions=True)

    def _notice(self, gap: SequenceGap, received_at: int) -> None:
        name, _, stream = gap.stream.partition("@")
        instrument = self._instruments.get(name)
        if instrument is None:
            log.warning("A gap in a stream of no instrument in use", stream=gap.stream, missing=gap.missing)
            return
        task = asyncio.create_task(self._fill(gap, instrument, stream, received_at), name=f"fill {gap.stream}")
        self._fills.add(task)
        task.add_done_callback(self._fills.discard)

    async def _fill(self, gap: SequenceGap, instrument: Instrument, stream: str, noticed_at: int) -> None:
        events: list[Event] = []
        filled = False
        try:
            async with self._fill_slots:
                recovery = await self._attempt(self._feed.fill(gap, instrument, self._rest), instrument)
            # The connection's mapper is past these numbers and would drop them; a fresh one has no memory.
            events = self._map_all(self._feed.mapper([instrument]), recovery, gap.stream, _log_hole)
            filled = recovery.complete
            await self._publisher.publish(events)
        finally:
            start = min((event.event_time for event in events), default=noticed_at)
            reason = f"numbers jumped from {gap.after} to {gap.before}"
            self._record(instrument, start, max(start, noticed_at), stream, gap.missing, reason, filled)

    async def _attempt(self, recovering: Awaitable[Recovery], instrument: Instrument) -> Recovery:
        try:
            return await recovering
        except (TransientError, PoisonMessage) as error:
            log.warning("A hole could not be read by REST", instrument=instrument.name, error=str(error))
            return NOTHING_RECOVERED

    def _map_all(
        self, mapper: Mapper, recovery: Recovery, stream: str, on_gap: Callable[[SequenceGap], None]
    ) -> list[Event]:
        """Map recovered frames in event-time order; poison among them becomes a dead letter."""
        events: list[Event] = []
        received_at = self._clock.now_ms()
        for frame in recovery.frames:
            try:
                events.extend(sane_events(mapper, frame, received_at))
            except PoisonMessage as poison:
                self._publisher.dead_letter(frame, poison.reason, self._origin(stream))
            except SequenceGap as gap:
                on_gap(gap)
        return sorted(events, key=lambda event: event.event_time)

    def _record(
        self, instrument: Instrument, start: int, end: int, stream: str, missing: int, reason: str, filled: bool
    ) -> None:
        venue = self._feed.venue
        metrics.GAPS_SEEN.labels(venue.value, stream).inc()
        if filled:
            metrics.GAPS_FILLED.labels(venue.value, stream).inc()
        tell = log.info if filled else log.warning
        tell(
            "A hole in a feed", instrument=instrument.name, stream=stream, missing=missing, reason=reason, filled=filled
        )
        self._publisher.add(Gap(venue, instrument.symbol, instrument.name, start, end, stream, missing, reason, filled))

    def _origin(self, stream: str) -> Origin:
        return Origin(f"{self._feed.venue.value}:{stream}")


def _log_hole(gap: SequenceGap) -> None:
    """Asking again would give the same pages, so a hole in the history itself is only told."""
    log.warning("The history has a hole of its own", stream=gap.stream, missing=gap.missing)
