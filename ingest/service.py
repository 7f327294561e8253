"""One venue's ingest service put together: what is listed, its history, then sockets and polls for ever.

Contracts and margin tiers are published first (stamped with the start of the history, so that a replay knows
them from its first row on) and again each reference interval, when new listings are taken up and delisted
instruments let go. Everything runs in one task group: a fatal error of any part ends the service.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import structlog

from ingest.backfill import Backfill, Progress
from ingest.backfill_state import Progressed
from ingest.batching import BatchPolicy
from ingest.connection import ConnectionPolicy
from ingest.feed_health import Pulse
from ingest.intake import Intake
from ingest.outbound import outbound_session
from ingest.publisher import Publisher
from ingest.readers import Readers
from ingest.rest import RestClient
from ingest.sanity import check
from ingest.universe import Universe, choose, with_absent
from ingest.venues.interface import Listings, Mapper, Rest, VenueFeed
from ingest.venues.registry import feed_for
from ingest.venues.wire import Refusal, refusal_of
from liqheat.domain.events import Contract, Event
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.clock_watch import OffsetWatch
from liqheat.platform.errors import FatalError, LiqheatError, PoisonMessage
from liqheat.platform.kafka import producer
from liqheat.platform.retry import BackOff
from liqheat.platform.settings import Ingest, Settings

log = structlog.get_logger(__name__)

_REPORT_SECONDS = 1.0
# What is left is delivered within this at the end; with the sockets' goodbyes it fits into the 30 s of a container.
_DELIVERY_SECONDS = 12.0
DELISTED = "delisted"


@dataclass(frozen=True, slots=True)
class _Context:
    """What a venue's own tasks may use; see `ingest.venues.interface.Context`."""

    service: "VenueService"
    rest: Rest
    clock: Clock
    mapper: Mapper
    intake: Intake

    @property
    def instruments(self) -> Sequence[Instrument]:
        return self.service.instruments

    async def handle(self, frame: bytes, stream: str) -> None:
        await self.intake.handle(frame, stream)

    async def publish(self, events: Sequence[Event]) -> None:
        await self.service.publish(events)

    def refuse(self, refusals: Iterable[Refusal], stream: str) -> None:
        self.service.refuse(refusals, stream)


class VenueService:
    """Reads one venue; `run` ends by cancellation or a fatal error."""

    def __init__(
        self,
        feed: VenueFeed,
        settings: Ingest,
        publisher: Publisher,
        rest: Rest,
        session: aiohttp.ClientSession,
        clock: Clock,
        offset: OffsetWatch | None = None,
    ) -> None:
        """Put the parts together; `offset` is what the REST client measures of the venue's clock."""
        self.offset = offset or OffsetWatch()
        self._feed = feed
        self._settings = settings
        self._publisher = publisher
        self._rest = rest
        self._clock = clock
        self._readers = Readers(feed, ConnectionPolicy.of(settings), publisher, rest, session, clock)
        self._universe: Universe | None = None
        self._absent: Counter[str] = Counter()
        self._has_tasks = False
        self._waiting_for = "the venue's listing"

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The instruments in use now."""
        return self._universe.instruments if self._universe else ()

    @property
    def venue(self) -> Venue:
        """The venue."""
        return self._feed.venue

    @property
    def pulses(self) -> list[Pulse]:
        """What each intake hears; empty until the live feed begins."""
        return self._readers.pulses

    def now(self) -> float:
        """Return the monotonic time (s) that the pulses are counted in."""
        return self._clock.monotonic()

    @property
    def stalled(self) -> float:
        """Seconds for which Kafka has taken nothing of what is due."""
        return self._publisher.stalled

    def silence(self) -> float:
        """Return the seconds since the latest event of any stream, 0 before the live feed begins."""
        return self.now() - max((intake.last_event_at for intake in self._readers.intakes), default=self.now())

    def problem(self) -> str | None:
        """Return None while events come in, else what is wrong, for the health endpoint."""
        if self._waiting_for:
            return f"{self._feed.venue.value}: waiting for {self._waiting_for}"
        if not self.instruments:
            return f"{self._feed.venue.value}: lists none of the symbols asked for"
        if not (intakes := self._readers.intakes):
            # Still at the history; there is nothing to hear yet.
            return None
        newest = max(intake.last_event_at for intake in intakes)
        silence = self._clock.monotonic() - newest
        limit = 2 * self._settings.silence_limit
        return f"{self._feed.venue.value}: no event for {silence:.0f} s" if silence > limit else None

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish events as they are."""
        await self._publisher.publish(events)

    def refuse(self, refusals: Iterable[Refusal], stream: str) -> None:
        """Count rows that the venue's own tasks left out of `stream`."""
        names = {instrument.name for instrument in self.instruments}
        self._readers.refusals.take(refusals, names, stream, self._publisher)

    async def run(self, history_ms: int = 0) -> None:
        """Publish `history_ms` of history, then live events until cancelled."""
        resume_from = await self.backfill(history_ms)
        try:
            async with asyncio.TaskGroup() as group:
                self._start(group, self.instruments, resume_from)
                group.create_task(self._report(), name="report")
                group.create_task(self._follow_listings(group), name="listings")
        finally:
            await self._readers.close()

    async def backfill(
        self, history_ms: int, progressed: Progressed | None = None, progress: Progress | None = None
    ) -> int | None:
        """Publish contracts, margin tiers and `history_ms` of history; return where it ends (ms), None without."""
        start = self._clock.now_ms() - history_ms
        universe, _ = await self._listed(start)
        self._waiting_for = ""
        self._universe = universe
        self._report_universe(universe)
        await self._publish_reference(universe.contracts, start)
        if not history_ms or not universe.instruments:
            return None
        reader = Backfill(self._feed, self._rest, self._publisher, self._clock, progressed, progress)
        return await reader.run(universe.instruments, start)

    def _start(self, group: asyncio.TaskGroup, instruments: Sequence[Instrument], resume_from: int | None) -> None:
        """Start sockets, polls and, the first time, the venue's own tasks for instruments that have none yet."""
        self._readers.start(group, instruments, resume_from)
        if not instruments or self._has_tasks:
            return
        self._has_tasks = True

        def tasks_of(mapper: Mapper, intake: Intake) -> Sequence[Awaitable[None]]:
            return self._feed.tasks(_Context(self, self._rest, self._clock, mapper, intake))

        self._readers.start_tasks(group, self.instruments, tasks_of)

    async def _listed(self, event_time: int) -> tuple[Universe, Listings]:
        """Read what the venue lists, for as long as it takes to reach it."""
        backoff = BackOff(1.0, 60.0)
        in_use = {item.name: each for item, each in self._universe.contracts.items()} if self._universe else {}
        while True:
            try:
                listings = await self._feed.listings(self._rest, event_time)
                listings = with_absent(listings, in_use, self._absent)
            except FatalError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever an answer does to its reader ends no service
                seconds = backoff.next()
                reason = _reason_of(error)
                self._waiting_for = f"the venue's listing: {reason}" if self._universe is None else ""
                venue = self._feed.venue.value
                log.warning("Cannot read what the venue lists", venue=venue, error=reason, retry_seconds=seconds)
                await self._clock.sleep(seconds)
            else:
                self._readers.refusals.take(listings.refused, in_use, "listing", self._publisher)
                return choose(self._feed.venue, listings, self._settings.symbols, in_use), listings

    def _report_universe(self, universe: Universe) -> None:
        venue = self._feed.venue.value
        for symbol, reason in universe.reasons.items():
            log.warning(f"{symbol} {reason}; it is left out there", venue=venue, symbol=symbol)
        for reason, count in universe.ignored.items():
            metrics.INSTRUMENTS_IGNORED.labels(venue, reason).inc(count)
        names = [instrument.name for instrument in universe.instruments]
        metrics.SYMBOLS_ACTIVE.labels(f"ingest {venue}").set(len(names))
        log.info("Instruments in use", venue=venue, count=len(names), first=names[:20])

    async def _publish_reference(self, contracts: dict[Instrument, Contract], event_time: int) -> None:
        if not contracts:
            return
        try:
            tables = await self._feed.margin_tiers(tuple(contracts), self._rest)
        except FatalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an answer does to its reader ends no service
            # What the venue lists is true without its tiers, which come with the next refresh.
            log.warning("Margin tiers cannot be read", venue=self._feed.venue.value, error=_reason_of(error))
            tables = {}
        for instrument, contract in contracts.items():
            events = self._sane([contract], "listing")
            if table := tables.get(instrument.name):
                tiers = table.to_events(self._feed.venue, instrument.symbol, instrument.name, event_time)
                events += self._sane(tiers, "margin tiers")
            else:
                log.warning("No margin tiers are known", venue=self._feed.venue.value, instrument=instrument.name)
            await self._publisher.publish(events)

    def _sane(self, events: Iterable[Event], stream: str) -> list[Event]:
        """Return events that belong together; none where one of them is insane, which is said of its instrument."""
        found = list(events)
        try:
            for event in found:
                check(event)
        except PoisonMessage as poison:
            self.refuse([refusal_of(event.instrument, poison.reason, event)], stream)
            return []
        return found

    async def _follow_listings(self, group: asyncio.TaskGroup) -> None:
        """Publish contracts and tiers again, take up new listings, let delisted instruments go."""
        while True:
            await self._clock.sleep(self._settings.reference_interval)
            now = self._clock.now_ms()
            universe, listings = await self._listed(now)
            changes = self._readers.changes(universe.instruments)
            await self._readers.apply(changes)
            self._universe = universe
            self._readers.follow(universe.instruments)
            for instrument in changes.gone:
                await self._publish_end(instrument, listings, now)
            await self._publish_reference(universe.contracts, now)
            venue = self._feed.venue.value
            if changes.changed:
                log.warning("Contracts changed", venue=venue, names=[item.name for item in changes.changed])
            if changes.added:
                log.info("New instruments", venue=venue, names=[item.name for item in changes.added])
                self._start(group, changes.added, None)

    async def _publish_end(self, instrument: Instrument, listings: Listings, now: int) -> None:
        """Publish what the listing says of an instrument that is let go; one that left it is delisted."""
        venue = self._feed.venue
        listed = next((each for each in listings.contracts if each.instrument == instrument.name), None)
        log.warning("An instrument was let go", venue=venue.value, name=instrument.name)
        gone = Contract(venue, instrument.symbol, instrument.name, now, status=DELISTED)
        await self._publisher.publish((self._sane([listed], "listing") if listed else []) or [gone])

    async def _report(self) -> None:
        while True:
            await self._clock.sleep(_REPORT_SECONDS)
            for intake in self._readers.intakes:
                intake.report()


def _reason_of(error: Exception) -> str:
    """Return what to say of an error: the sentence of one that is foreseen, with its type that of any other."""
    return str(error) if isinstance(error, LiqheatError) else f"{type(error).__name__}: {error}"


@asynccontextmanager
async def open_service(settings: Settings, venue: Venue, clock: Clock) -> AsyncIterator[VenueService]:
    """Give the service of `venue` with everything it needs, and deliver all it has published on the way out.

    Raises:
        TransientError: no broker answers.
    """
    feed = feed_for(venue, settings)
    connected = await asyncio.to_thread(producer, settings.kafka)
    offset = OffsetWatch()
    policy = BatchPolicy.of(settings.ingest)
    async with (
        Publisher(connected, policy, kafka=settings.kafka, close_seconds=_DELIVERY_SECONDS) as publisher,
        RestClient(venue, clock, offset=offset) as rest,
        outbound_session() as session,
    ):
        yield VenueService(feed, settings.ingest, publisher, rest, session, clock, offset)
