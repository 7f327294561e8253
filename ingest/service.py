"""One venue's ingest service put together: what is listed, its history, then sockets and polls for ever.

Contracts and margin tiers are published first (stamped with the start of the history, so that a replay knows
them from its first row on) and again each reference interval, when new listings are taken up and delisted
instruments let go. Everything runs in one task group: a fatal error of any part ends the service.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import structlog

from ingest.backfill import Backfill, Progress, Progressed
from ingest.connection import BackOff, ConnectionPolicy, ConnectionRunner
from ingest.intake import Intake
from ingest.poller import Poller
from ingest.publisher import BatchPolicy, Publisher
from ingest.rest import RestClient
from ingest.universe import Universe, choose
from ingest.venues.interface import Mapper, Rest, VenueFeed
from ingest.venues.registry import feed_for
from liqheat.domain.events import Contract, Event
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.errors import PoisonMessage, TransientError
from liqheat.platform.kafka import producer
from liqheat.platform.settings import Ingest, Settings

log = structlog.get_logger(__name__)

_REPORT_SECONDS = 1.0
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
    ) -> None:
        self._feed = feed
        self._settings = settings
        self._publisher = publisher
        self._rest = rest
        self._session = session
        self._clock = clock
        self._policy = ConnectionPolicy.of(settings)
        self._universe: Universe | None = None
        self._intakes: list[Intake] = []
        self._pollers: list[Poller] = []
        self._connections_opened = 0
        self._waiting_for = "the venue's listing"

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The instruments in use now."""
        return self._universe.instruments if self._universe else ()

    def problem(self) -> str | None:
        """Return None while events come in, else what is wrong, for the health endpoint."""
        if self._waiting_for:
            return f"{self._feed.venue.value}: waiting for {self._waiting_for}"
        if not self.instruments:
            return f"{self._feed.venue.value}: lists none of the symbols asked for"
        if not self._intakes:
            # Still at the history; there is nothing to hear yet.
            return None
        newest = max(intake.last_event_at for intake in self._intakes)
        silence = self._clock.monotonic() - newest
        limit = 2 * self._settings.silence_limit
        return f"{self._feed.venue.value}: no event for {silence:.0f} s" if silence > limit else None

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish events as they are."""
        await self._publisher.publish(events)

    async def run(self, history_ms: int = 0) -> None:
        """Publish `history_ms` of history, then live events until cancelled."""
        resume_from = await self.backfill(history_ms)
        try:
            async with asyncio.TaskGroup() as group:
                self._start(group, self.instruments, resume_from)
                group.create_task(self._report(), name="report")
                group.create_task(self._follow_listings(group), name="listings")
        finally:
            for intake in self._intakes:
                await intake.close()

    async def backfill(
        self, history_ms: int, progressed: Progressed | None = None, progress: Progress | None = None
    ) -> int | None:
        """Publish contracts, margin tiers and `history_ms` of history; return where it ends (ms), None without."""
        start = self._clock.now_ms() - history_ms
        universe = await self._listed(start)
        self._waiting_for = ""
        self._universe = universe
        self._tell(universe)
        await self._publish_reference(universe.contracts, start)
        if not history_ms or not universe.instruments:
            return None
        reader = Backfill(self._feed, self._rest, self._publisher, self._clock, progressed, progress)
        return await reader.run(universe.instruments, start)

    def _start(self, group: asyncio.TaskGroup, instruments: Sequence[Instrument], resume_from: int | None) -> None:
        """Start sockets, polls and the venue's own tasks for instruments that have none yet."""
        if not instruments:
            return
        for connection in self._feed.connections(instruments):
            self._connections_opened += 1
            intake = self._intake(self._feed.mapper(connection.instruments), connection.instruments)
            runner = ConnectionRunner(
                self._feed.venue, connection, intake, self._policy, self._clock, self._session, resume_from
            )
            group.create_task(runner.run(), name=f"{connection.name} {self._connections_opened}")
        mapper = self._feed.mapper(instruments)
        intake = self._intake(mapper, instruments)
        poller = Poller(self._feed.polls(instruments), self._rest, intake, self._clock)
        self._pollers.append(poller)
        group.create_task(poller.run(), name="polls")
        if len(self._pollers) == 1:
            context = _Context(self, self._rest, self._clock, mapper, intake)
            for task in self._feed.tasks(context):
                group.create_task(_awaited(task), name="venue's own")

    def _intake(self, mapper: Mapper, instruments: Sequence[Instrument]) -> Intake:
        intake = Intake(self._feed, mapper, instruments, self._publisher, self._rest, self._clock)
        self._intakes.append(intake)
        return intake

    async def _listed(self, event_time: int) -> Universe:
        """Read what the venue lists, for as long as it takes to reach it."""
        backoff = BackOff(1.0, 60.0)
        while True:
            try:
                listings = await self._feed.listings(self._rest, event_time)
                return choose(self._feed.venue, listings, self._settings.symbols)
            except (TransientError, PoisonMessage) as error:
                seconds = backoff.next()
                self._waiting_for = f"the venue's listing: {error}"
                venue = self._feed.venue.value
                log.warning("Cannot read what the venue lists", venue=venue, error=str(error), retry_seconds=seconds)
                await self._clock.sleep(seconds)

    def _tell(self, universe: Universe) -> None:
        venue = self._feed.venue.value
        for symbol in universe.missing:
            log.warning(f"{symbol} is not listed on {venue}; it is left out there", venue=venue, symbol=symbol)
        for reason, count in universe.ignored.items():
            metrics.INSTRUMENTS_IGNORED.labels(venue, reason).inc(count)
        names = [instrument.name for instrument in universe.instruments]
        metrics.SYMBOLS_ACTIVE.labels(f"ingest {venue}").set(len(names))
        log.info("Instruments in use", venue=venue, count=len(names), first=names[:20])

    async def _publish_reference(self, contracts: dict[Instrument, Contract], event_time: int) -> None:
        if not contracts:
            return
        tables = await self._feed.margin_tiers(tuple(contracts), self._rest)
        for instrument, contract in contracts.items():
            events: list[Event] = [contract]
            if table := tables.get(instrument.name):
                events += table.to_events(self._feed.venue, instrument.symbol, instrument.name, event_time)
            else:
                log.warning("No margin tiers are known", venue=self._feed.venue.value, instrument=instrument.name)
            await self._publisher.publish(events)

    async def _follow_listings(self, group: asyncio.TaskGroup) -> None:
        """Publish contracts and tiers again, take up new listings, let delisted instruments go."""
        while True:
            await self._clock.sleep(self._settings.reference_interval)
            now = self._clock.now_ms()
            before = self._universe
            universe = await self._listed(now)
            self._universe = universe
            await self._publish_reference(universe.contracts, now)
            known = before.contracts if before else {}
            added = [instrument for instrument in universe.instruments if instrument not in known]
            gone = [instrument for instrument in known if instrument not in universe.contracts]
            if added:
                log.info("New instruments", venue=self._feed.venue.value, names=[item.name for item in added])
                self._start(group, added, None)
            for instrument in gone:
                log.warning("An instrument was delisted", venue=self._feed.venue.value, name=instrument.name)
                for poller in self._pollers:
                    poller.drop(instrument.name)
                await self._publisher.publish(
                    [Contract(self._feed.venue, instrument.symbol, instrument.name, now, status=DELISTED)]
                )

    async def _report(self) -> None:
        while True:
            await self._clock.sleep(_REPORT_SECONDS)
            for intake in self._intakes:
                intake.report()


async def _awaited(task: Awaitable[None]) -> None:
    await task


@asynccontextmanager
async def open_service(settings: Settings, venue: Venue, clock: Clock) -> AsyncIterator[VenueService]:
    """Give the service of `venue` with everything it needs, and deliver all it has published on the way out.

    Raises:
        TransientError: no broker answers.
    """
    feed = feed_for(venue, settings)
    connected = await asyncio.to_thread(producer, settings.kafka)
    async with (
        Publisher(connected, BatchPolicy.of(settings.ingest), name_of=settings.kafka.topic) as publisher,
        RestClient(venue, clock) as rest,
        aiohttp.ClientSession() as session,
    ):
        yield VenueService(feed, settings.ingest, publisher, rest, session, clock)
