"""Simulated markets straight to normalised batches and truth, without sockets or wire formats.

`simulate` feeds a score run: it yields, in log order, the batches an ingest would have published of these
markets, and every hour what is really there. `make_market` is also where the server gets its markets.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from liqheat.domain.events import Batch, Kind, MarginTier, schema_of, to_batch
from liqheat.domain.events import Contract as ContractEvent
from liqheat.domain.instruments import DEFAULT_WATCH_LIST
from liqheat.domain.market import Venue
from liqheat.domain.venues import SAMPLED_VENUES, SILENT_VENUES
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.errors import ConfigurationError
from liqheat.simulator.account_market import AccountMarket
from liqheat.simulator.crowd_market import CrowdMarket
from liqheat.simulator.listings import Coin, Listing, coin_of, listings_of
from liqheat.simulator.market import Market
from liqheat.simulator.order_book import DepthShape
from liqheat.simulator.people import People
from liqheat.simulator.price_paths import make_path
from liqheat.simulator.swings import Swings, past_prices
from liqheat.simulator.tape import IntArray, Liquidations, Step, Trades, latest_each_second
from liqheat.simulator.traders import Population
from liqheat.simulator.truth import Truth, truth_of

WARM_UP_STEP_MS = 5 * MINUTE_MS
SCORED_VENUES = (Venue.BINANCE, Venue.BYBIT, Venue.OKX, Venue.HYPERLIQUID)
"""The venues that every figure on accuracy speaks of; the demo simulates all that there are."""
_DEPTH_EXPONENT, _REFILL_HALF_LIFE_HOURS, _PERMANENT_SHARE = 1.25, 0.03, 0.2
"""The books of accounts' markets: thicker further away, refilled in minutes, mostly where they were."""


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """What is simulated; the same configuration always gives the same events."""

    seed: int = 1
    symbols: tuple[str, ...] = DEFAULT_WATCH_LIST
    venues: tuple[Venue, ...] = SCORED_VENUES
    regime: str = "mixed"
    hours: float = 6.0
    step_ms: int = 5_000
    start_ms: int = 1_767_225_600_000
    warm_up_hours: float = 24.0
    """Hours before `start_ms` in coarse steps, so that positions exist that nobody saw open."""
    population: Population | People = field(default_factory=Population)
    """A crowd as in the score's regimes, or accounts as they are seen on real venues."""
    open_interest_ms: int = 15_000
    """How often open interest is published; a multiple of `step_ms`."""
    truth_ms: int = HOUR_MS
    throttled: bool = True
    """Whether liquidations are sampled or hidden as the venues' records say."""

    def __post_init__(self) -> None:
        if self.step_ms <= 0 or self.open_interest_ms % self.step_ms or self.truth_ms % self.open_interest_ms:
            raise ConfigurationError("Expected open_interest_ms as a multiple of step_ms, and truth_ms of it")


def make_market(config: SimulationConfig, symbol: str) -> Market:
    """Return the warmed-up market of `symbol` at `config.start_ms`; it depends on seed and symbol alone.

    Raises:
        ConfigurationError: the simulator lists no such symbol, or has no such regime.
    """
    coin = coin_of(symbol)
    steps = round(config.warm_up_hours * HOUR_MS / WARM_UP_STEP_MS)
    start = config.start_ms - steps * WARM_UP_STEP_MS
    market: Market
    if isinstance(config.population, People):
        market = _account_market(config, config.population, coin, start)
    else:
        generator = np.random.default_rng([config.seed, *symbol.encode()])
        path = make_path(config.regime, coin.price, coin.volatility, generator)
        market = CrowdMarket(coin, listings_of(coin, config.venues), config.population, path, generator, start)
    for _ in range(steps):
        market.step(WARM_UP_STEP_MS)
    return market


def _account_market(config: SimulationConfig, people: People, coin: Coin, start_ms: int) -> AccountMarket:
    path_chance, past_chance, chance = (
        np.random.default_rng([config.seed, *coin.symbol.encode(), part]) for part in (1, 2, 3)
    )
    past = past_prices(Swings(coin.volatility), coin.price, round(people.large_holding.longest_hours), past_chance)
    path = make_path(config.regime, coin.price, coin.volatility, path_chance)
    depth = DepthShape(coin.depth_usd, _DEPTH_EXPONENT, _REFILL_HALF_LIFE_HOURS, _PERMANENT_SHARE)
    return AccountMarket(coin, listings_of(coin, config.venues), people, depth, path, past, chance, start_ms)


def simulate(config: SimulationConfig) -> Iterator[list[Batch] | Truth]:
    """Yield the log of the simulated markets: lists of batches in log order, and `Truth` every `truth_ms`.

    First contracts and margin tiers, then, coin after coin, what happened between two open interests, that
    open interest, and once per minute the turnover. Truth comes after the batches up to its time, also at the
    start (which no log shows) and at the end.
    """
    markets = [make_market(config, symbol) for symbol in config.symbols]
    yield [batch for market in markets for batch in reference_batches(market)]
    for market in markets:
        yield truth_of(market)
    blocks = max(round(config.hours * HOUR_MS / config.open_interest_ms), 1)
    for number in range(1, blocks + 1):
        time = config.start_ms + number * config.open_interest_ms
        is_last = number == blocks
        for market in markets:
            steps = [market.step(config.step_ms) for _ in range(config.open_interest_ms // config.step_ms)]
            yield batches_of(market, steps, throttled=config.throttled)
            if is_last or (time - config.start_ms) % config.truth_ms == 0:
                yield truth_of(market)


def reference_batches(market: Market) -> list[Batch]:
    """Return the contracts and margin tiers of `market`, stamped with its present time."""
    batches = []
    for listing in market.listings:
        contract = ContractEvent(
            listing.venue,
            listing.symbol,
            listing.instrument,
            market.now,
            "trading",
            tick_size=listing.tick_size,
            quantity_step=listing.quantity_step,
            contract_value=listing.contract_value,
            funding_interval=listing.funding_interval,
        )
        tiers: list[MarginTier] = listing.tiers.to_events(listing.venue, listing.symbol, listing.instrument, market.now)
        batches += [to_batch([contract]), to_batch(tiers)]
    return batches


def batches_of(market: Market, steps: list[Step], *, throttled: bool = True) -> list[Batch]:
    """Return what each venue published in `steps`: trades, marks and liquidations, then open interest and turnover."""
    batches = []
    last = steps[-1]
    for number, listing in enumerate(market.listings):
        times = np.array([step.time for step in steps])
        batches += _trades(listing, number, [step.trades for step in steps])
        batches.append(
            _batch(
                Kind.MARKS,
                listing,
                event_time=times,
                mark_price=np.array([step.mark_prices[number] for step in steps]),
                index_price=np.array([step.index_price for step in steps]),
                funding_rate=np.array([step.funding_rates[number] for step in steps]),
                next_funding_time=np.array([step.next_funding_times[number] for step in steps]),
            )
        )
        batches += _liquidations(listing, number, [step.liquidations for step in steps], throttled=throttled)
        quantity = last.open_interest[number] * listing.quantity_step
        batches.append(_batch(Kind.OPEN_INTEREST, listing, event_time=times[-1:], quantity=np.array([quantity])))
        if last.time // MINUTE_MS > (steps[0].time - 1) // MINUTE_MS:
            turnover = np.array([last.turnover[number]])
            batches.append(_batch(Kind.TURNOVER, listing, event_time=times[-1:], quote_volume=turnover))
    return batches


def _trades(listing: Listing, number: int, parts: list[Trades]) -> list[Batch]:
    rows = [np.flatnonzero(part.venue == number) for part in parts]
    if not sum(map(len, rows)):
        return []

    def joined(name: str) -> IntArray:
        return np.concatenate([getattr(part, name)[here] for part, here in zip(parts, rows, strict=True)])

    return [
        _batch(
            Kind.TRADES,
            listing,
            event_time=joined("time"),
            price=joined("price"),
            quantity=np.round(joined("lots") * listing.quantity_step, 8),
            taker_side=joined("taker_side"),
            trade_id=joined("identifier"),
        )
    ]


def _liquidations(listing: Listing, number: int, parts: list[Liquidations], *, throttled: bool) -> list[Batch]:
    if throttled and listing.venue in SILENT_VENUES:
        return []
    batches = []
    for part in parts:
        here = part.at(part.venue == number)
        if throttled and listing.venue in SAMPLED_VENUES:
            here = here.at(latest_each_second(here.time))
        if len(here):
            batches.append(
                _batch(
                    Kind.LIQUIDATIONS,
                    listing,
                    event_time=here.time,
                    side=here.side,
                    price=here.price,
                    quantity=np.round(here.lots * listing.quantity_step, 8),
                    bankruptcy_price=here.bankruptcy_price,
                )
            )
    return batches


def _batch(kind: Kind, listing: Listing, **columns: np.ndarray) -> Batch:
    frame = pl.DataFrame(columns, schema=schema_of(kind).polars)
    return Batch.of_market(kind, listing.venue.value, listing.symbol, listing.instrument, frame)
