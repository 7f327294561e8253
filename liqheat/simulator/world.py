"""Worlds: markets whose every habit is drawn at random, so that a map can be judged where nobody tuned it.

`world_of(seed)` draws people, price, book and feeds from the wide ranges of `data/worlds.json`, which also names
the seeds for development and those kept apart. `open_world` opens the market; nothing of a `World` is published.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from math import exp, log
from typing import Any

import numpy as np

from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import ConfigurationError
from liqheat.simulator.account_market import AccountMarket
from liqheat.simulator.holding import Holding
from liqheat.simulator.listings import COINS, Coin, coin_of, listings_of
from liqheat.simulator.order_book import DepthShape
from liqheat.simulator.people import People
from liqheat.simulator.price_paths import PricePath, make_path
from liqheat.simulator.regimes import REAL_BTC, REGIME_NAMES
from liqheat.simulator.swings import SwingPath, Swings, past_prices
from liqheat.simulator.traders import LEVERAGE_MIXES

START_MS = 1_767_225_600_000
_WANDERING = "wandering"
"""Name of the price path that is no regime."""
_REAL_BTC_VOLATILITY = 0.006
_SETTLING_STEPS = 12 * 60
"""Minutes before the log in which a stock that its own book could not bear unwinds."""


@dataclass(frozen=True, slots=True)
class World:
    """One drawn world; none of it is known to who reads its feeds."""

    seed: int
    coin: Coin
    people: People
    depth: DepthShape
    swings: Swings
    regime: str
    """A name of `regimes.REGIME_NAMES`, or "wandering"."""
    is_sampled: bool
    """Whether Binance and OKX publish a sample of their liquidations, and Hyperliquid none; else all publish all."""


@cache
def plan() -> dict[str, Any]:
    """Return the committed ranges and seeds."""
    return dict(json.loads(resources.files("liqheat.simulator").joinpath("data", "worlds.json").read_text()))


def seeds_of(part: str, count: int) -> tuple[int, ...]:
    """Return the first `count` committed seeds of `part`, "development" or "held_out".

    Raises:
        ConfigurationError: fewer are committed.
    """
    seeds = plan()["seeds"][part]
    if count > len(seeds):
        raise ConfigurationError(f"Expected at most {len(seeds)} worlds, as many seeds are committed; was {count}")
    return tuple(seeds[:count])


def world_of(seed: int) -> World:
    """Draw the world of `seed`."""
    generator = np.random.default_rng([seed, 0])
    chosen = plan()
    drawn = {name: _drawn(kind, low, high, generator) for name, (kind, low, high) in chosen["ranges"].items()}
    names = sorted(COINS)
    symbol = names[int(generator.integers(len(names)))]
    mix = sorted(LEVERAGE_MIXES)[int(generator.integers(len(LEVERAGE_MIXES)))]
    has_regime = bool(generator.random() < chosen["regime_share"])
    regime = REGIME_NAMES[int(generator.integers(len(REGIME_NAMES)))] if has_regime else _WANDERING
    is_sampled = bool(generator.random() < chosen["sampled_feed_share"])
    volatility = _REAL_BTC_VOLATILITY if regime == REAL_BTC else drawn["volatility"]
    interest = drawn["open_interest_usd"]
    depth_usd = drawn["depth_share"] * interest
    return World(
        seed=seed,
        coin=replace(coin_of(symbol), open_interest_usd=interest, depth_usd=depth_usd, volatility=volatility),
        people=_people(drawn, mix),
        depth=DepthShape(depth_usd, drawn["depth_exponent"], drawn["refill_half_life_hours"], drawn["permanent_share"]),
        swings=Swings(
            volatility,
            drawn["clustering"],
            drawn["memory_hours"],
            drawn["trend"],
            drawn["jumps_per_day"],
            drawn["jump_size"],
        ),
        regime=regime,
        is_sampled=is_sampled,
    )


def open_world(world: World, venues: tuple[Venue, ...] = tuple(Venue)) -> AccountMarket:
    """Return the market of `world` at `START_MS`, with its stock; the same world always gives the same market.

    Path, past and people draw from generators of their own, so that runs which differ in what traders do still
    see the same price without forced orders.
    """
    path_chance, past_chance, people_chance = (np.random.default_rng([world.seed, part]) for part in (1, 2, 3))
    coin = world.coin
    past = past_prices(world.swings, coin.price, round(world.people.large_holding.longest_hours), past_chance)
    path: PricePath
    if world.regime == _WANDERING:
        path = SwingPath(world.swings, coin.price, path_chance)
    else:
        path = make_path(world.regime, coin.price, coin.volatility, path_chance)
    start = START_MS - _SETTLING_STEPS * MINUTE_MS
    market = AccountMarket(coin, listings_of(coin, venues), world.people, world.depth, path, past, people_chance, start)
    for _ in range(_SETTLING_STEPS):
        market.step(MINUTE_MS)
    return market


def _people(drawn: dict[str, float], mix: str) -> People:
    same = (
        "small_share small_count_share isolated_share large_isolated_share small_size_spread large_size_spread "
        "largest_share small_margin small_margin_spread large_margin large_margin_spread other_exposure "
        "other_correlation stop_share profit_share defended_share cut_share margin_additions_per_hour "
        "partial_closes_per_hour trend_followers passive_share slice_usd maker_turnover"
    )
    small, large = (
        Holding(
            drawn[f"{part}_holding_exponent"],
            drawn[f"{part}_holding_scale_hours"],
            24 * drawn[f"{part}_longest_days"],
        )
        for part in ("small", "large")
    )
    return People(
        traders=round(drawn["traders"]),
        makers=round(drawn["makers"]),
        leverage_mix=mix,
        small_holding=small,
        large_holding=large,
        **{name: drawn[name] for name in same.split()},
    )


def _drawn(kind: str, low: float, high: float, generator: np.random.Generator) -> float:
    chance = float(generator.random())
    if kind == "log":
        return exp(log(low) + chance * (log(high) - log(low)))
    return low + chance * (high - low)
