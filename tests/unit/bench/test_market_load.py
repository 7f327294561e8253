"""The market bench's load: the real mappers read its frames as what the tape holds, and it is as busy as it says."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ingest.sanity import check
from ingest.universe import choose
from ingest.venues.interface import VenueFeed
from ingest.venues.registry import feed_for
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Position, Trade, Turnover
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.market import Venue
from liqheat.platform.settings import Ingest, Settings
from tests.bench.market import activity
from tests.bench.market.activity import LISTED, PROBE, Market, markets_of, trades_per_second
from tests.bench.market.generator import wires_of
from tests.bench.market.tape import SECOND_MS, STEP_MS, Step, Storm, Tape
from tests.bench.market.venues.base import VenueWire

START = 1_790_000_000_000
MARKETS = markets_of(60)


class AnsweringRest:
    """A REST client as feeds see it, answered by a wire without a socket."""

    def __init__(self, wire: VenueWire) -> None:
        self._wire = wire

    async def fetch(self, request: Any, attempts: int = 5) -> bytes:
        path = "/" + request.url.split("/", 3)[3]
        query = dict(request.parameters) | (json.loads(request.body) if request.body else {})
        body = self._wire.answer(path, query, START)
        assert body is not None, path
        return body


def steps_of(tape: Tape, seconds: float) -> Iterator[Step]:
    for number in range(1, round(seconds * SECOND_MS / STEP_MS) + 1):
        yield tape.step(START + number * STEP_MS, number * STEP_MS / SECOND_MS)


def wire_of(venue: Venue) -> VenueWire:
    return next(wire for wire in wires_of(MARKETS, 1) if wire.venue is venue)


async def listed(feed: VenueFeed, wire: VenueWire) -> tuple[Instrument, ...]:
    listings = await feed.listings(AnsweringRest(wire), START)
    return choose(feed.venue, listings, ("all",)).instruments


def feed_of(venue: Venue) -> VenueFeed:
    return feed_for(venue, Settings(ingest=Ingest(symbols=("all",), connections=4, depth=False)))


def payload_of(data: bytes) -> bytes:
    """Return a server's frame without its header (RFC 6455, section 5.2)."""
    assert data[0] == 0x81
    if data[1] < 126:
        return data[2:]
    size = {126: 2, 127: 8}[data[1]]
    assert int.from_bytes(data[2 : 2 + size], "big") == len(data) - 2 - size
    return data[2 + size :]


def written(market: Market, price: float, size: float) -> tuple[float, float]:
    """Return price per coin and coins as they come out of the text on the wire."""
    coins = market.contract_value
    if market.venue is not Venue.OKX:
        instrument = parse_instrument(market.venue, market.name)
        assert instrument is not None
        coins = instrument.coins_per_unit
    units = 1.0 if market.venue is Venue.OKX else coins
    shown = float(f"{max(size, 10.0**-market.size_decimals):.{market.size_decimals}f}")
    return float(f"{price:.{market.price_decimals}f}") / units, shown * coins


def expected_of(venue: Venue, steps: Sequence[Step]) -> dict[type, list[tuple[Any, ...]]]:
    """Return what the tape holds for `venue`, by kind of event, as the wire's digits let it be read."""
    found: dict[type, list[tuple[Any, ...]]] = {Trade: [], Mark: [], Liquidation: []}
    published_at: dict[int, int] = {}
    for step in steps:
        for row, number in enumerate(step.trade_market.tolist()):
            market = MARKETS[number]
            if market.venue is venue:
                price, coins = written(market, step.trade_price[row], step.trade_size[row])
                side = 1 if step.trade_buys[row] else -1
                found[Trade].append((market.name, int(step.trade_time[row]), price, coins, side))
        for number in step.marks.tolist():
            if MARKETS[number].venue is venue:
                price = written(MARKETS[number], step.prices[number], 1.0)[0]
                found[Mark].append((MARKETS[number].name, step.now, price))
        for row, number in enumerate(step.death_market.tolist()):
            market = MARKETS[number]
            is_sampled = venue in (Venue.BINANCE, Venue.OKX) and step.now - published_at.get(number, 0) < SECOND_MS
            # Hyperliquid publishes no liquidations of others.
            if market.venue is venue and not is_sampled and venue is not Venue.HYPERLIQUID:
                published_at[number] = step.now
                price, coins = written(market, step.death_price[row], step.death_size[row])
                found[Liquidation].append((market.name, step.now, 1 if step.death_longs[row] else -1, price, coins))
    return found


def read_of(event: Event) -> tuple[Any, ...]:
    match event:
        case Trade():
            return event.instrument, event.event_time, event.price, event.quantity, event.taker_side
        case Mark():
            return event.instrument, event.event_time, event.mark_price
        case Liquidation():
            return event.instrument, event.event_time, event.side, event.price, event.quantity
        case _:
            raise AssertionError(event)


def closely(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(tuple(f"{item:.9g}" if isinstance(item, float) else item for item in row) for row in rows)


@pytest.mark.parametrize("venue", LISTED)
async def test_the_real_mapper_reads_every_frame_as_what_the_tape_holds(venue: Venue) -> None:
    wire, feed = wire_of(venue), feed_of(venue)
    mapper = feed.mapper(await listed(feed, wire))
    tape = Tape(MARKETS, 3)
    tape.add_storm(Storm(0.0, factor=300.0, share=0.5))
    steps = list(steps_of(tape, 20))
    events: dict[type, list[Event]] = {}
    for step in steps:
        for frame in wire.frames(step):
            # What one subscription carries alone; the arrays of all hold the same once more.
            if not frame.topic.startswith(("!", "allDexs")):
                received_at = step.now if venue is Venue.HYPERLIQUID else step.now + 50
                for event in mapper.map(payload_of(frame.data), received_at):
                    events.setdefault(type(event), []).append(event)
    assert mapper.duplicates == 0
    expected = expected_of(venue, steps)
    for kind, rows in expected.items():
        assert closely([read_of(event) for event in events.get(kind, [])]) == closely(rows), kind
    assert min(len(rows) for kind, rows in expected.items() if kind is not Liquidation) > 100
    assert expected[Liquidation] or venue is Venue.HYPERLIQUID


async def test_a_bybit_ticker_says_open_interest_and_turnover_only_where_trades_changed_them() -> None:
    wire, feed = wire_of(Venue.BYBIT), feed_of(Venue.BYBIT)
    mapper = feed.mapper(await listed(feed, wire))
    expected: list[tuple[str, int, float, float]] = []
    read: dict[type, list[tuple[str, int, float]]] = {OpenInterest: [], Turnover: []}
    traded: set[int] = set()
    tickers = 0
    for step in steps_of(Tape(MARKETS, 3), 30):
        traded.update(step.trade_market.tolist())
        for number in step.marks.tolist():
            market = MARKETS[number]
            if market.venue is Venue.BYBIT:
                tickers += 1
                if number in traded:
                    coins = written(market, 1.0, step.open_interest[number])[1]
                    expected.append((market.name, step.now, coins, round(step.turnover[number], 4)))
                    traded.discard(number)
        for frame in wire.frames(step):
            for event in mapper.map(payload_of(frame.data), step.now):
                if isinstance(event, OpenInterest):
                    read[OpenInterest].append((event.instrument, event.event_time, event.quantity))
                elif isinstance(event, Turnover):
                    read[Turnover].append((event.instrument, event.event_time, event.quote_volume))
    assert closely(read[OpenInterest]) == closely([(name, at, coins) for name, at, coins, _ in expected])
    assert closely(read[Turnover]) == closely([(name, at, usd) for name, at, _, usd in expected])
    assert 0.05 * tickers < len(expected) < 0.5 * tickers


@pytest.mark.parametrize("venue", [Venue.BINANCE, Venue.HYPERLIQUID])
async def test_the_array_of_all_holds_the_same_marks(venue: Venue) -> None:
    wire, feed = wire_of(venue), feed_of(venue)
    instruments = await listed(feed, wire)
    alone, together = feed.mapper(instruments), feed.mapper(instruments)
    if venue is Venue.HYPERLIQUID:
        list(together.map(wire.answer("/info", {"type": "meta"}, START) or b"", START))
    one: set[tuple[str, float]] = set()
    all_at_once: set[tuple[str, float]] = set()
    for step in steps_of(Tape(MARKETS, 3), 1):
        for frame in wire.frames(step):
            is_array = frame.topic.startswith(("!mark", "allDexs"))
            target, mapper = (all_at_once, together) if is_array else (one, alone)
            target.update(
                (event.instrument, event.event_time if venue is Venue.BINANCE else 0)
                for event in mapper.map(payload_of(frame.data), step.now)
                if isinstance(event, Mark)
            )
    assert one == all_at_once
    assert len({name for name, _ in one}) == len(instruments)


@pytest.mark.parametrize("venue", LISTED)
async def test_all_that_a_feed_reads_by_rest_is_answered(venue: Venue) -> None:
    wire, feed = wire_of(venue), feed_of(venue)
    next(iter(wire.frames(next(steps_of(Tape(MARKETS, 1), 1)))), None)
    rest = AnsweringRest(wire)
    instruments = await listed(feed, wire)
    own = {market.name: market for market in MARKETS if market.venue is venue}
    assert {item.name: item.symbol for item in instruments} == {name: market.symbol for name, market in own.items()}
    tables = await feed.margin_tiers(instruments, rest)
    assert set(tables) == {name for name, market in own.items() if market.symbol != PROBE}
    kinds: Counter[type] = Counter()
    mapper = feed.mapper(instruments)
    for poll in feed.polls(instruments):
        for request in poll.requests:
            kinds.update(type(event) for event in mapper.map(await rest.fetch(request), START))
    if venue is Venue.BINANCE:
        assert kinds == {OpenInterest: len(own), Turnover: len(own)}
    elif venue is Venue.OKX:
        assert kinds == {Turnover: len(own)}
    # After a cut the load has nothing to read back, and says so in the venue's own shape.
    for frame in (await feed.recover(instruments[0], START - 60_000, START, rest)).frames:
        assert list(mapper.map(frame, START)) == []


async def test_wallets_hold_positions_that_the_mapper_reads() -> None:
    wire, feed = wire_of(Venue.HYPERLIQUID), feed_of(Venue.HYPERLIQUID)
    mapper = feed.mapper(await listed(feed, wire))
    leaders = json.loads(wire.answer("/Mainnet/leaderboard", {}, START) or b"")["leaderboardRows"]
    held: Counter[str] = Counter()
    for row in leaders[:200]:
        state = wire.answer("/info", {"type": "clearinghouseState", "user": row["ethAddress"]}, START)
        assert state is not None
        frame = b'{"channel":"clearinghouseState","user":"%b","data":%b}' % (row["ethAddress"].encode(), state)
        for event in mapper.map(frame, START):
            assert isinstance(event, Position)
            if event.quantity:
                held[row["ethAddress"]] += 1
                assert event.liquidation_price > 0
                assert event.side * (event.liquidation_price - event.entry_price) < 0
    assert len(held) == 200
    assert max(held.values()) > 1


def test_turnover_by_rank_is_the_recorded_venues() -> None:
    ranking, _ = activity.recorded_ranking()
    assert len(ranking) == 183
    np.testing.assert_allclose(activity.by_quantile(ranking, 183), ranking)
    assert np.median(ranking) == pytest.approx(380_390.44)
    assert ranking[0] / np.median(ranking) == pytest.approx(3_987, rel=0.001)


@pytest.mark.parametrize(("count", "listed_at_venue"), [(1_700, [570, 600, 300, 230]), (36, [12, 13, 6, 5])])
def test_markets_are_spread_over_the_venues_as_they_list_them(count: int, listed_at_venue: list[int]) -> None:
    markets = [market for market in markets_of(count) if market.symbol != PROBE]
    assert [sum(market.venue is venue for market in markets) for venue in LISTED] == listed_at_venue
    assert len({(market.venue, market.name) for market in markets}) == count
    assert all(parse_instrument(market.venue, market.name) is not None for market in markets)


def test_trades_follow_turnover_and_come_at_thirty_per_minute_and_market() -> None:
    markets = markets_of(1_700)[:-1]
    rate = trades_per_second(markets)
    assert rate.mean() == pytest.approx(0.5)
    assert rate.max() == pytest.approx(21.2, rel=0.01)
    assert np.median(rate) == pytest.approx(0.085, rel=0.01)
    okx = [market for market in markets if market.venue is Venue.OKX]
    for busier, quieter in pairwise(okx):
        ratio = (busier.turnover_usd / quieter.turnover_usd) ** (2 / 3)
        assert busier.trades_per_second / quieter.trades_per_second == pytest.approx(ratio)


def test_the_tape_is_as_busy_as_the_markets_say_and_each_has_one_mark_per_second() -> None:
    markets = markets_of(400)
    steps = list(steps_of(Tape(markets, 7), 120))
    trades = sum(len(step.trade_market) for step in steps)
    usd = sum((step.trade_price * step.trade_size * values(markets, step)).sum() for step in steps)
    assert trades == pytest.approx(400 * 0.5 * 120, rel=0.08)
    assert usd == pytest.approx(sum(market.turnover_usd for market in markets) * 120 / 86_400, rel=0.25)
    marks = Counter(number for step in steps for number in step.marks.tolist())
    assert set(marks.values()) == {120, 480}
    assert [markets[number].symbol for number, count in marks.items() if count == 480] == [PROBE]


def values(markets: Sequence[Market], step: Step) -> np.ndarray:
    return np.array([markets[number].contract_value for number in step.trade_market.tolist()])


def test_a_storm_has_thirty_times_the_trades_on_a_fifth_of_the_markets_for_a_minute() -> None:
    markets = markets_of(400)
    tape = Tape(markets, 7)
    tape.add_storm(Storm(10.0))
    for elapsed, is_on in ((9.9, False), (10.0, True), (69.9, True), (70.0, False)):
        factor = tape.factors(elapsed)
        assert set(factor.tolist()) == ({1.0, 30.0} if is_on else {1.0})
        if is_on:
            assert (factor == 30.0).mean() == pytest.approx(0.2, abs=0.01)
    in_storm = tape.factors(20.0) == 30.0
    before, during = (np.zeros(len(markets)) for _ in range(2))
    first = last = NAN
    for step in steps_of(tape, 70):
        elapsed = (step.now - START) / SECOND_MS
        np.add.at(during if elapsed >= 10 else before, step.trade_market, 1)
        if elapsed == 10.0:
            first = step.prices[in_storm].copy()
        last = step.prices[in_storm]
    rate = trades_per_second(markets)
    assert during[in_storm].sum() == pytest.approx(30 * 60 * rate[in_storm].sum(), rel=0.1)
    assert during[~in_storm].sum() == pytest.approx(60 * rate[~in_storm].sum(), rel=0.1)
    assert np.median(last / first) == pytest.approx(0.96, abs=0.01)


def test_the_same_seed_gives_the_same_frames() -> None:
    def frames() -> list[bytes]:
        wires = wires_of(MARKETS, 1)
        return [frame.data for step in steps_of(Tape(MARKETS, 5), 2) for wire in wires for frame in wire.frames(step)]

    assert frames() == frames()


async def test_every_event_of_the_load_is_within_the_units_that_readers_check() -> None:
    """Among them the tick of a coin that is quoted by the million."""
    markets = markets_of(1_700)
    assert any(market.name.startswith("1000000") for market in markets)
    for wire in wires_of(markets, 1):
        rest, feed = AnsweringRest(wire), feed_of(wire.venue)
        contracts = (await feed.listings(rest, START)).contracts
        assert len(contracts) >= 230
        for contract in contracts:
            check(contract)


def test_a_contract_of_the_listing_has_the_steps_that_the_frames_are_written_in() -> None:
    wire = wire_of(Venue.BINANCE)
    body = json.loads(wire.answer("/fapi/v1/exchangeInfo", {}, START) or b"")
    market = next(market for market in MARKETS if market.name == body["symbols"][0]["symbol"])
    steps = {rule["filterType"]: rule for rule in body["symbols"][0]["filters"]}
    assert float(steps["PRICE_FILTER"]["tickSize"]) == pytest.approx(10.0**-market.price_decimals)
    assert float(steps["LOT_SIZE"]["stepSize"]) == pytest.approx(10.0**-market.size_decimals)
