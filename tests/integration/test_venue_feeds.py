"""Feeds against the simulated exchange, over real sockets and REST on loopback; Binance's has tests of its own."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import aiohttp
import pytest

from ingest.connection import ConnectionPolicy, ConnectionRunner
from ingest.rest import RestClient
from ingest.sanity import check
from ingest.universe import choose
from ingest.venues.depth import DEPTH
from ingest.venues.hyperliquid.wallet_poller import WalletPoller
from ingest.venues.hyperliquid.wallets import WalletBook
from ingest.venues.interface import Connection, Mapper, VenueFeed, wrap
from ingest.venues.registry import feed_for
from ingest.venues.wire import Refusal
from ingest.watch import Stream
from liqheat.cli.liquidation_price import liquidation_price
from liqheat.domain.events import KIND_OF, Depth, Event, Kind, Mark, OpenInterest, Position, Trade
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform import metrics
from liqheat.platform.clock import SystemClock
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import Settings
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.running import wires_for
from liqheat.simulator.server import SimulatorServer, serving
from liqheat.simulator.simulation import SimulationConfig
from tests.support.reading import sane_events
from tests.support.venue_addresses import settings_at

VENUES = tuple(venue for venue in Venue if venue is not Venue.BINANCE)
SYMBOLS = ("AIXBT", "WLD")


@dataclass
class Simulated:
    """A running simulator and the settings that lead to it."""

    server: SimulatorServer
    settings: Settings
    rest: RestClient

    async def instruments(self, feed: VenueFeed) -> tuple[Instrument, ...]:
        listings = await feed.listings(self.rest, self.server.exchange.now)
        return choose(feed.venue, listings, SYMBOLS).instruments


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    config = SimulationConfig(
        symbols=SYMBOLS, venues=VENUES, hours=0.5, step_ms=15_000, open_interest_ms=MINUTE_MS, warm_up_hours=6.0
    )
    exchange = Exchange(config)
    for _ in exchange.run_history():
        pass
    return exchange


@pytest.fixture(params=VENUES, ids=str)
async def simulated(exchange: Exchange, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Simulated, VenueFeed]]:
    server = SimulatorServer(exchange, wires_for(exchange), SystemClock())
    async with serving(server, "127.0.0.1", 0) as url, RestClient(request.param, SystemClock()) as rest:
        settings = settings_at(url)
        yield Simulated(server, settings, rest), feed_for(request.param, settings)


@dataclass
class Collected:
    """A frame handler that keeps what a mapper makes of the frames."""

    mapper: Mapper
    by_kind: dict[Kind, list[Event]] = field(default_factory=dict)

    async def handle(self, frame: bytes, stream: str) -> Collection[Stream] | None:
        for event in sane_events(self.mapper, frame, SystemClock().now_ms()):
            self.by_kind.setdefault(KIND_OF[type(event)], []).append(event)
        return ()

    async def recover(
        self, connection: Connection, start: int, end: int, reason: str, lost: Collection[Stream] = ()
    ) -> None:
        raise AssertionError("Nothing was lost")

    def missed(self, stream: str, start: int, end: int, count: int, reason: str) -> None:
        raise AssertionError("Nothing was missed")


async def test_listings_tiers_and_history_are_read(simulated: tuple[Simulated, VenueFeed]) -> None:
    venue, feed = simulated
    instruments = await venue.instruments(feed)
    assert {instrument.symbol for instrument in instruments} == set(SYMBOLS)
    tables = await feed.margin_tiers(instruments, venue.rest)
    assert set(tables) == {instrument.name for instrument in instruments}

    end = venue.server.exchange.now // MINUTE_MS * MINUTE_MS
    start = end - HOUR_MS // 4
    for instrument in instruments:
        mapper = feed.mapper([instrument])
        events: list[Event] = []
        for request in feed.history(instrument, start, end):
            body = await venue.rest.fetch(request)
            events += mapper.map(wrap(request.stream, body), end)
        for event in events:
            check(event)
        marks = [event for event in events if isinstance(event, Mark)]
        trades = [event for event in events if isinstance(event, Trade)]
        bars = [mark for mark in marks if math.isnan(mark.funding_rate)]
        assert len(bars) == 4 * 15
        assert all(start <= event.event_time < end for event in [*marks, *trades])
        bought = sum(trade.quantity for trade in trades if trade.taker_side > 0)
        assert bought == pytest.approx(sum(trade.quantity for trade in trades) / 2)
        truth = venue.server.exchange.views[feed.venue][instrument.name]
        assert sum(trade.quantity for trade in trades) == pytest.approx(
            sum(
                bar.volume * instrument.coins_per_unit
                for bar in truth.bars(MINUTE_MS, of_marks=False)
                if start <= bar.time < end
            ),
            rel=1e-6,
        )
        points = [event for event in events if isinstance(event, OpenInterest)]
        if feed.venue is Venue.HYPERLIQUID:
            assert not points
        else:
            assert points
            assert points[-1].quantity == pytest.approx(truth.open_interest_points()[-1][1], rel=0.5)


async def test_sockets_carry_trades_marks_open_interest_and_turnover(simulated: tuple[Simulated, VenueFeed]) -> None:
    venue, feed = simulated
    instruments = await venue.instruments(feed)
    (connection,) = feed.connections(instruments)
    collected = Collected(feed.mapper(instruments))
    wanted = {Kind.TRADES, Kind.MARKS, Kind.OPEN_INTEREST}
    async with aiohttp.ClientSession() as session:
        runner = ConnectionRunner(feed.venue, connection, collected, ConnectionPolicy(), SystemClock(), session)
        task = asyncio.create_task(runner.run())
        try:
            async with asyncio.timeout(20):
                while not wanted <= set(collected.by_kind) or len(collected.by_kind[Kind.MARKS]) < 10:
                    assert not task.done(), task
                    venue.server.step()
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    for instrument in instruments:
        truth = venue.server.exchange.views[feed.venue][instrument.name]
        last = [event for event in collected.by_kind[Kind.OPEN_INTEREST] if event.symbol == instrument.symbol][-1]
        assert isinstance(last, OpenInterest)
        assert last.quantity == pytest.approx(truth.open_interest, rel=0.05)
        mark = [event for event in collected.by_kind[Kind.MARKS] if event.symbol == instrument.symbol][-1]
        assert isinstance(mark, Mark)
        assert mark.mark_price == pytest.approx(truth.mark_price, rel=0.02)
        assert mark.next_funding_time > 0
    if feed.venue is Venue.OKX:
        (request,) = next(poll for poll in feed.polls(instruments) if poll.name == "turnover").requests
        await collected.handle(wrap(request.stream, await venue.rest.fetch(request)), request.stream)
    assert {event.symbol for event in collected.by_kind[Kind.TURNOVER]} == set(SYMBOLS)


async def test_what_a_lost_connection_missed_is_read_and_not_twice(simulated: tuple[Simulated, VenueFeed]) -> None:
    venue, feed = simulated
    (instrument, *_) = await venue.instruments(feed)
    mapper = feed.mapper([instrument])
    now = venue.server.exchange.now
    recovery = await feed.recover(instrument, now - 3_000, now, venue.rest)
    trades = [event for frame in recovery.frames for event in mapper.map(frame, now) if isinstance(event, Trade)]
    again = [event for frame in recovery.frames for event in mapper.map(frame, now) if isinstance(event, Trade)]
    assert trades
    assert not again
    assert mapper.duplicates >= len(trades)


async def test_order_books_become_depth(simulated: tuple[Simulated, VenueFeed]) -> None:
    venue, feed = simulated
    instruments = await venue.instruments(feed)
    poll = next(poll for poll in feed.polls(instruments) if poll.name == DEPTH)
    mapper = feed.mapper(instruments)
    events: list[Event] = []
    for request in poll.requests:
        events += mapper.map(wrap(request.stream, await venue.rest.fetch(request)), venue.server.exchange.now)
    depths = [event for event in events if isinstance(event, Depth)]
    assert [depth.instrument for depth in depths] == [instrument.name for instrument in instruments]
    for depth in depths:
        check(depth)
        truth = venue.server.exchange.views[feed.venue][depth.instrument]
        assert depth.mid_price == pytest.approx(truth.mark_price, rel=0.001)
        assert depth.best_bid < truth.mark_price < depth.best_ask
        bids = [depth.bid_0_1_usd, depth.bid_0_25_usd, depth.bid_0_5_usd, depth.bid_1_usd, depth.bid_2_usd]
        assert bids == sorted(bids)
        whole = truth.book(100_000)
        near = whole.bids.prices >= depth.mid_price * (1 - min(depth.bid_reach, 0.5) / 100)
        resting = float((whole.bids.prices * whole.bids.quantities)[near].sum())
        assert depth.bid_0_5_usd == pytest.approx(resting, rel=0.3), "levels are joined on some venues"


async def test_a_liquidation_price_takes_the_venues_own_tiers(
    simulated: tuple[Simulated, VenueFeed], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    venue, feed = simulated
    instrument = (await venue.instruments(feed))[0]
    monkeypatch.setattr("liqheat.platform.settings.load", lambda: venue.settings)
    table = (await feed.margin_tiers([instrument], venue.rest))[instrument.name]

    def ask(symbol: str) -> None:
        liquidation_price(
            venue=feed.venue, symbol=symbol, side="long", entry=1.0, leverage=2, notional=1_000.0, quantity=None,
            margin=None, extra_margin=0.0, taker_fee_rate=0.0, maintenance_margin_rate=None, maintenance_amount=0.0,
            model=None, as_json=True, jsonl=False,
        )  # fmt: skip

    await asyncio.to_thread(ask, instrument.name)
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["tier"]["number"] == 1
    assert answer["liquidation_price"] == pytest.approx(0.5 / (1 - table.maintenance_margin_rate[0]))
    for name in (instrument.symbol.lower(), f"{instrument.symbol}/USDT:USDT"):
        await asyncio.to_thread(ask, name)
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["liquidation_price"] == answer["liquidation_price"]
    with pytest.raises(ConfigurationError, match="lists no linear perpetual 'NOPE'"):
        await asyncio.to_thread(ask, "NOPE")


@dataclass
class Service:
    """What the wallet poller needs of a service."""

    rest: RestClient
    mapper: Mapper
    instruments: Sequence[Instrument]
    clock: SystemClock = field(default_factory=SystemClock)
    events: list[Event] = field(default_factory=list)

    async def handle(self, frame: bytes, stream: str) -> None:
        self.events += sane_events(self.mapper, frame, self.clock.now_ms())

    async def publish(self, events: Sequence[Event]) -> None:
        self.events += events

    def refuse(self, refusals: Iterable[Refusal], stream: str) -> None:
        assert not list(refusals)


def differences(at_most: str) -> float:
    """How many liquidation prices of ours were at most this far from the venue's."""
    name, labels = "liqheat_liquidation_price_difference_bucket", {"venue": "hyperliquid", "le": at_most}
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("simulated", [Venue.HYPERLIQUID], ids=str, indirect=True)
async def test_wallets_of_the_leaderboard_are_read(simulated: tuple[Simulated, VenueFeed]) -> None:
    venue, feed = simulated
    instruments = await venue.instruments(feed)
    service = Service(venue.rest, feed.mapper(instruments), instruments)
    settings = venue.settings.hyperliquid
    poller = WalletPoller(f"{settings.rest_url}/info", settings.leaderboard_url, {}, service, WalletBook())
    await poller.read_leaderboard()
    await poller.read_markets()
    before = differences("+Inf")
    close_before = differences("0.0001")
    for _ in range(4):
        await poller.read_wallets()
    await poller.read_markets()
    held = [event for event in service.events if isinstance(event, Position) and event.quantity > 0]
    assert held
    assert {event.symbol for event in held} <= set(SYMBOLS)
    coverage = metrics.REGISTRY.get_sample_value("liqheat_coverage", {"venue": "hyperliquid", "symbol": held[0].symbol})
    assert coverage is not None
    assert 0 < coverage <= 1.5
    priced = [event for event in held if event.liquidation_price > 0]
    assert differences("+Inf") - before == len(priced) > 0
    assert differences("0.0001") - close_before == len(priced)
