"""A venue's whole ingest service against the simulated exchange over real sockets, on the exchange's own time.

The exchange moves in steps of a second as fast as the machine allows, and the service's clock is the exchange's,
so limits of half a minute pass in a moment. What was published is held against what the exchange did.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from ingest.batching import BatchPolicy
from ingest.publisher import Publisher
from ingest.rest import RestClient
from ingest.service import VenueService
from ingest.venues.interface import VenueFeed
from ingest.venues.registry import feed_for
from liqheat.domain.events import Kind
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Ingest
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.faults import Fault, Trigger
from liqheat.simulator.running import wires_for
from liqheat.simulator.server import LIVE_STEP_MS, SimulatorServer, serving
from liqheat.simulator.simulation import SimulationConfig
from tests.support.kept_messages import KeptMessages
from tests.support.venue_addresses import settings_at

SYMBOLS = ("AIXBT", "WLD")
_STEP_SECONDS = 0.004
"""Real time left to sockets in each simulated second."""


class TapeTrade(NamedTuple):
    """A trade as both sides know it; not every venue's trades are numbered."""

    symbol: str
    time: int
    taker_side: int
    price: str
    quantity: str

    @classmethod
    def of(cls, symbol: str, time: int, taker_side: int, price: float, quantity: float) -> "TapeTrade":
        """Return the trade with its numbers as far as JSON keeps them."""
        return cls(symbol, time, taker_side, f"{price:.9g}", f"{quantity:.9g}")


class ExchangeClock:
    """The clock of an ingest whose time is the exchange's, but for `skew_ms`."""

    def __init__(self, exchange: Exchange, skew_ms: int = 0) -> None:
        self._exchange = exchange
        self._skew_ms = skew_ms

    def now_ms(self) -> int:
        """Return our wall time: the exchange's, skewed."""
        return self._exchange.now + self._skew_ms

    def monotonic(self) -> float:
        """Return the exchange's time in seconds."""
        return self._exchange.now / 1_000

    async def sleep(self, seconds: float) -> None:
        """Wait until the exchange has moved on."""
        due = self.monotonic() + seconds
        while self.monotonic() < due:  # noqa: ASYNC110 - time moves by itself only in steps
            await asyncio.sleep(_STEP_SECONDS / 2)


class SimulatedVenue:
    """A running exchange, the service that reads it, and the comparison of both."""

    def __init__(self, venue: Venue, server: SimulatorServer, kept: KeptMessages, service: VenueService) -> None:
        self.venue, self.server, self.kept, self.service = venue, server, kept, service
        self.since = 0
        """From when on everything counts: the service listened to every stream by then."""
        self._tape: Counter[TapeTrade] = Counter()
        self._task = asyncio.create_task(service.run())

    async def step(self, times: int = 1) -> None:
        """Move the exchange on by simulated seconds."""
        for _ in range(times):
            assert not self._task.done(), self._task
            self.server.step()
            for view in self.server.exchange.views[self.venue].values():
                for row in view.trades_of(view.step):
                    symbol = view.listing.symbol
                    self._tape[TapeTrade.of(symbol, row.time, row.taker_side, row.price, row.quantity)] += 1
            await asyncio.sleep(_STEP_SECONDS)

    async def step_until(self, condition: Callable[[], object], at_most: int = 600) -> None:
        """Move on until `condition`.

        Raises:
            TimeoutError: it did not hold within `at_most` simulated seconds.
        """
        for _ in range(at_most):
            if condition():
                return
            await self.step()
        raise TimeoutError(f"It did not happen within {at_most} simulated seconds")

    async def listen(self) -> None:
        """Move on until every stream has been heard; what happens from then on counts."""

        def all_heard() -> bool:
            return all(
                {row["symbol"] for row in self.kept.rows(kind)} == set(SYMBOLS) for kind in (Kind.TRADES, Kind.MARKS)
            )

        await self.step_until(all_heard)
        self.since = self.server.exchange.now

    def fail(self, fault: Fault, count: int = 1, match: str = "") -> None:
        """Let a fault happen to the next `count` frames or requests."""
        self.server.faults.trigger(Trigger(fault, count, self.venue.value, match))

    @property
    def gaps(self) -> list[dict[str, Any]]:
        """The recorded holes, but those of an answer that came late.

        A simulated second takes some milliseconds here, so that a busy machine answers late by itself.
        """
        return [row for row in self.kept.rows(Kind.GAPS) if row["reason"] != "the answer came late"]

    def published(self) -> Counter[TapeTrade]:
        """Return the published trades that count."""
        return Counter(
            TapeTrade.of(row["symbol"], row["event_time"], row["taker_side"], row["price"], row["quantity"])
            for row in self.kept.rows(Kind.TRADES)
            if row["event_time"] > self.since
        )

    def tape(self, start: int, end: int, symbol: str) -> Counter[TapeTrade]:
        """Return the exchange's trades of `symbol` after `start` up to `end` (ms)."""
        return Counter(
            {trade: n for trade, n in self._tape.items() if trade.symbol == symbol and start < trade.time <= end}
        )

    def missing(self, until: int) -> Counter[TapeTrade]:
        """Return trades of the exchange up to `until` (ms) that were not published."""
        tape = Counter({trade: n for trade, n in self._tape.items() if self.since < trade.time <= until})
        return tape - self.published()

    def unexplained(self, until: int) -> list[TapeTrade]:
        """Return missing trades that lie in no hole recorded as open."""
        holes = [gap for gap in self.gaps if not gap["filled"]]
        return [
            trade
            for trade in self.missing(until)
            if not any(
                gap["symbol"] == trade.symbol and gap["event_time"] <= trade.time <= gap["end_time"] for gap in holes
            )
        ]

    async def compare(self) -> int:
        """Hold what was published against the tape; return how many trades of the exchange are missing.

        Every trade has to be published exactly once, or lie in a hole that is recorded as open.
        """
        await self.step(5)
        end = self.server.exchange.now
        for _ in range(400):
            if not self.unexplained(end):
                break
            await self.step()
        assert self.unexplained(end) == []
        invented = self.published() - self._tape
        assert not invented, "published twice, or never happened"
        assert sum(self.published().values()) > 0
        assert self.kept.letters == 0
        return self.missing(end).total()

    async def close(self) -> None:
        """Stop the service."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def simulated(
    venue: Venue,
    *,
    skew_ms: int = 0,
    reconnect_after: float = 82_800.0,
    queue_rows: int = 50_000,
    reference_interval: float = 3_600.0,
    feed_of: Callable[[VenueFeed], VenueFeed] = lambda feed: feed,
) -> AsyncIterator[SimulatedVenue]:
    """Run an exchange with one venue and the service that reads it; listens already when it is given.

    `feed_of` may wrap the venue's feed, to let its listing change.
    """
    config = SimulationConfig(
        symbols=SYMBOLS, venues=(venue,), hours=0.05, step_ms=15_000, open_interest_ms=MINUTE_MS, warm_up_hours=6.0
    )
    exchange = Exchange(config)
    for _ in exchange.run_history():
        pass
    # Recent trades are remembered by the step.
    exchange.advance(LIVE_STEP_MS)
    clock = ExchangeClock(exchange, skew_ms)
    server = SimulatorServer(exchange, wires_for(exchange), clock)
    kept = KeptMessages()
    async with serving(server, "127.0.0.1", 0) as url:
        ingest = Ingest(
            symbols=SYMBOLS,
            # A book's late answer is a hole of its own; these tests are about the streams.
            depth=False,
            reconnect_after=reconnect_after,
            queue_rows=queue_rows,
            batch_age=0.04,
            batch_quiet_age=0.04,
            reference_interval=reference_interval,
        )
        settings = settings_at(url, ingest=ingest)
        async with (
            Publisher(kept, BatchPolicy.of(settings.ingest)) as publisher,
            RestClient(venue, clock) as rest,
            aiohttp.ClientSession() as session,
        ):
            service = VenueService(feed_of(feed_for(venue, settings)), settings.ingest, publisher, rest, session, clock)
            simulated_venue = SimulatedVenue(venue, server, kept, service)
            try:
                await simulated_venue.listen()
                yield simulated_venue
            finally:
                kept.is_down = False
                await simulated_venue.close()
