"""Where raw frames become events: every socket, poll and task of a service hands its frames to an intake.

An intake maps with one mapper, checks, publishes, sends poison to the dead letters, fills the holes that the
mapper notices and records each as a `Gap`. The feed runner and the poller know it as a `FrameHandler`, which
`liqheat record` implements too.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

import structlog

from ingest.feed_health import Pulse
from ingest.publisher import Publisher
from ingest.refusals import RefusalLog
from ingest.sanity import read_frame
from ingest.venues.interface import NOTHING_RECOVERED, Connection, Mapper, Recovery, Rest, VenueFeed
from ingest.watch import EXPECTED_KINDS, Stream
from liqheat.domain.events import KIND_OF, Event, Gap, Kind, Mark, schema_of
from liqheat.domain.instruments import Instrument
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.errors import Origin, PoisonMessage, SequenceGap, TransientError

log = structlog.get_logger(__name__)

# Holes filled at the same time; more wait, so that a storm of gaps leaves budget for the polls.
_FILLS_AT_ONCE = 4
# How long a new connection may wait unread while what its predecessor missed is read by REST.
RECOVERY_SECONDS = 30.0
_MOST_MISSING = schema_of(Kind.GAPS).units["missing"].largest_whole
"""As many as a row can say; a stray number may leave a larger hole."""
CLOCK_MARGIN_MS = 3_000
"""The venue's clock is not ours: a hole is taken this much longer on both sides."""


class FrameHandler(Protocol):
    """What sockets and polls hand their frames to."""

    async def handle(self, frame: bytes, stream: str) -> Collection[Stream] | None:
        """Take one raw frame of `stream`; return what it held, None for control frames.

        A frame that held only what was known already, as on the second of two connections, returns nothing.

        Waits while the publisher's queue is full, and so holds the socket up.
        """

    async def recover(
        self, connection: Connection, start: int, end: int, reason: str, lost: Collection[Stream] = ()
    ) -> None:
        """Close the hole from `start` to `end` (ms) that `connection` left, and record it.

        `lost` names the streams that fell silent while the rest went on; without it all were lost. The hole of
        a stream starts earlier where its last event is older.
        """

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
        refusals: RefusalLog | None = None,
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
        self._heard: dict[Stream, int] = {}  # venue's time of the latest event
        self._listening_since = clock.now_ms()
        self._duplicates_reported = 0
        self._refusals = refusals or RefusalLog(feed.venue)
        self._notices_reported: Counter[str] = Counter()
        self.last_event_at = clock.monotonic()
        self.pulse = Pulse()

    async def handle(self, frame: bytes, stream: str) -> Collection[Stream] | None:
        """Map and publish one frame; see `FrameHandler`."""
        received_at = self._clock.now_ms()
        self._frames[stream] = self._frames.get(stream, 0) + 1
        duplicates = self._mapper.duplicates
        reading = read_frame(self._mapper, frame, received_at)
        spoken: dict[tuple[str, type], int] = {}
        event: Event | None = None
        for event in reading.events:
            self._publisher.add(event)
            spoken[event.instrument, type(event)] = event.event_time
        if reading.refused:
            self._refusals.take(reading.refused, self._instruments, stream, self._publisher)
        if reading.poison:
            self._publisher.dead_letter(frame, reading.poison, self._origin(stream))
        for gap in reading.gaps:
            self._notice(gap, received_at)
        streams = {Stream(name, KIND_OF[struct]): time for (name, struct), time in spoken.items()}
        self._heard.update(streams)
        if event is not None:
            self._lags[stream] = received_at - event.event_time
            self.last_event_at = self._clock.monotonic()
            self.pulse.note(streams.keys(), self.last_event_at, stream, self._lags[stream])
        await self._publisher.room()
        return streams.keys() if streams or self._mapper.duplicates > duplicates else None

    def want(self, instruments: Sequence[Instrument]) -> None:
        """Read exactly these instruments from now on, one that changed at its new contract value."""
        self._instruments = {instrument.name: instrument for instrument in instruments}
        self._mapper.want(instruments)
        self._heard = {stream: at for stream, at in self._heard.items() if stream.instrument in self._instruments}
        self.pulse.keep(self._instruments)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments that are read now."""
        return tuple(self._instruments.values())

    async def recover(
        self, connection: Connection, start: int, end: int, reason: str, lost: Collection[Stream] = ()
    ) -> None:
        """Read by REST what the connection missed, with its own mapper, then record the hole of each instrument."""
        holes: dict[Instrument, tuple[int, asyncio.Task[bool]]] = {}
        for name in [instrument.name for instrument in connection.instruments]:
            instrument = self._instruments.get(name)
            if instrument is None:
                # It was let go while the connection went on.
                continue
            kinds = [item.kind for item in lost if item.instrument == instrument.name] if lost else EXPECTED_KINDS
            if kinds:
                since = min(start, *(self._last_heard(Stream(instrument.name, kind)) for kind in kinds))
                task = asyncio.create_task(self._recover_one(connection, instrument, since, end))
                holes[instrument] = since, task
        if not holes:
            return
        tasks = [task for _, task in holes.values()]
        try:
            await asyncio.wait(tasks, timeout=RECOVERY_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
        for instrument, (since, task) in holes.items():
            complete = False
            if task.done() and not task.cancelled():
                complete = task.result()
            own = [item for item in lost if item.instrument == instrument.name]
            for item in own or [Stream(instrument.name, kind) for kind in EXPECTED_KINDS]:
                # What came before is now reported, so the next hole does not start there again.
                self._heard[item] = max(self._heard.get(item, 0), end)
            for item in own:
                # Only for trades does the feed show whether it has them all.
                filled = complete and item.kind is Kind.TRADES
                self._record(instrument, since, end + CLOCK_MARGIN_MS, item.kind.value, 0, reason, filled)
            if not own:
                self._record(instrument, since, end + CLOCK_MARGIN_MS, connection.name, 0, reason, complete)

    def _last_heard(self, stream: Stream) -> int:
        """Return from when on the stream may have missed something."""
        heard = self._heard.get(stream)
        return self._listening_since if heard is None else heard - CLOCK_MARGIN_MS

    async def _recover_one(self, connection: Connection, instrument: Instrument, start: int, end: int) -> bool:
        recovery = await self._attempt(self._feed.recover(instrument, start, end, self._rest), instrument)
        now = self._clock.now_ms()
        events, is_whole = self._map_all(self._mapper, recovery, connection.name, lambda gap: self._notice(gap, now))
        # The bars of marks reach back to the last trade; marks that came by themselves are better.
        known = self._heard.get(Stream(instrument.name, Kind.MARKS), 0)
        # A page may reach back further than the hole, to trades that the mapper has forgotten since it gave them on.
        await self._publisher.publish(
            [
                event
                for event in events
                if event.event_time >= start and not (isinstance(event, Mark) and event.event_time <= known)
            ]
        )
        return recovery.complete and is_whole

    def missed(self, stream: str, start: int, end: int, count: int, reason: str) -> None:
        """Record failed polls as a hole of their instrument, or of all when the poll is for all."""
        name, _, rest_name = stream.partition("@")
        known = self._instruments.get(name)
        for instrument in [known] if known else self._instruments.values():
            self._record(instrument, start, end, rest_name or stream, count, reason, filled=False)

    def report(self) -> None:
        """Bring the metrics up to date; called about once per second, so that frames stay cheap."""
        venue = self._feed.venue.value
        for stream, count in self._frames.items():
            metrics.FRAMES_RECEIVED.labels(venue, stream).inc(count)
        self._frames.clear()
        for stream, lag in self._lags.items():
            metrics.FEED_LAG_SECONDS.labels(venue, stream).set(lag / 1_000)
        if new := self._mapper.duplicates - self._duplicates_reported:
            metrics.DUPLICATES_DROPPED.labels(venue, "all").inc(new)
            self._duplicates_reported += new
        self._refusals.notice(self._mapper.report.notices, self._notices_reported)

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
        start = min(self._last_heard(Stream(name, Kind.TRADES)), received_at)
        filling = self._fill(gap, instrument, stream, start, received_at)
        task = asyncio.create_task(filling, name=f"fill {gap.stream}")
        self._fills.add(task)
        task.add_done_callback(self._fills.discard)

    async def _fill(self, gap: SequenceGap, instrument: Instrument, stream: str, start: int, noticed_at: int) -> None:
        end, filled = noticed_at + CLOCK_MARGIN_MS, False
        try:
            async with self._fill_slots:
                recovery = await self._attempt(self._feed.fill(gap, instrument, self._rest), instrument)
            # The connection's mapper is past these numbers and would drop them; a fresh one has no memory.
            events, is_whole = self._map_all(self._feed.mapper([instrument]), recovery, gap.stream, _log_hole)
            filled = recovery.complete and is_whole
            if filled and events:
                start, end = events[0].event_time, events[-1].event_time
            if not filled:
                # Where an odd number showed a hole that is none, what follows it comes by the connection itself.
                events = [event for event in events if event.event_time <= noticed_at]
            await self._publisher.publish(events)
        finally:
            reason = f"numbers jumped from {gap.after} to {gap.before}"
            self._record(instrument, start, end, stream, gap.missing, reason, filled)

    async def _attempt(self, recovering: Awaitable[Recovery], instrument: Instrument) -> Recovery:
        try:
            return await recovering
        except (TransientError, PoisonMessage) as error:
            log.warning("A hole could not be read by REST", instrument=instrument.name, error=str(error))
            return NOTHING_RECOVERED

    def _map_all(
        self, mapper: Mapper, recovery: Recovery, stream: str, on_gap: Callable[[SequenceGap], None]
    ) -> tuple[list[Event], bool]:
        """Map recovered frames in event-time order, and say whether all of them could be read."""
        events: list[Event] = []
        is_whole = True
        received_at = self._clock.now_ms()
        for frame in recovery.frames:
            reading = read_frame(mapper, frame, received_at)
            events += reading.events
            self._refusals.take(reading.refused, self._instruments, stream, self._publisher)
            if reading.poison:
                self._publisher.dead_letter(frame, reading.poison, self._origin(stream))
            for gap in reading.gaps:
                on_gap(gap)
            is_whole = is_whole and not (reading.poison or reading.refused or reading.gaps)
        return sorted(events, key=lambda event: event.event_time), is_whole

    def _record(
        self, instrument: Instrument, start: int, end: int, stream: str, missing: int, reason: str, filled: bool
    ) -> None:
        venue = self._feed.venue
        metrics.GAPS_SEEN.labels(venue.value, stream).inc()
        if filled:
            metrics.GAPS_FILLED.labels(venue.value, stream).inc()
        missing = min(missing, _MOST_MISSING)
        write = log.info if filled else log.warning
        write(
            "A hole in a feed", instrument=instrument.name, stream=stream, missing=missing, reason=reason, filled=filled
        )
        self._publisher.add(Gap(venue, instrument.symbol, instrument.name, start, end, stream, missing, reason, filled))

    def _origin(self, stream: str) -> Origin:
        return Origin(f"{self._feed.venue.value}:{stream}")


def _log_hole(gap: SequenceGap) -> None:
    """Asking again would give the same pages, so a hole in the history itself is only logged."""
    log.warning("The history has a hole of its own", stream=gap.stream, missing=gap.missing)
