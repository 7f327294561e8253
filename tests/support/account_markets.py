"""Markets of accounts for the simulator's tests: one of a population, and one into which a test puts each position."""

from dataclasses import replace

import numpy as np

from liqheat.domain.market import Venue
from liqheat.simulator.account_market import AccountMarket
from liqheat.simulator.holding import Holding
from liqheat.simulator.listings import coin_of, listings_of
from liqheat.simulator.order_book import DepthShape
from liqheat.simulator.people import People
from liqheat.simulator.simulation import SCORED_VENUES
from liqheat.simulator.swings import SwingPath, Swings, past_prices
from liqheat.simulator.traders import TraderKind
from liqheat.simulator.twin import Shock, ShockPath

START_MS = 1_767_225_600_000


def populated(
    seed: int,
    people: People | None = None,
    *,
    volatility: float = 0.0042,
    open_interest_usd: float = 240e6,
    depth_share: float = 0.04,
) -> AccountMarket:
    """Return a market of BTC's tiers and ticks with `people` (the defaults if None)."""
    crowd = people or People()
    coin = replace(
        coin_of("BTC"),
        volatility=volatility,
        open_interest_usd=open_interest_usd,
        depth_usd=depth_share * open_interest_usd,
    )
    path_chance, past_chance, chance = (np.random.default_rng([seed, part]) for part in (1, 2, 3))
    swings = Swings(volatility)
    past = past_prices(swings, coin.price, round(crowd.large_holding.longest_hours), past_chance)
    path = SwingPath(swings, coin.price, path_chance)
    depth = DepthShape(coin.depth_usd, 1.25, 0.05, 0.3)
    return AccountMarket(coin, listings_of(coin, SCORED_VENUES), crowd, depth, path, past, chance, START_MS)


def empty(depth: DepthShape, price: float = 46_000.0) -> AccountMarket:
    """Return a market of one venue with nobody in it and nobody who comes, whose price does not move."""
    coin = replace(coin_of("BTC"), price=price, depth_usd=depth.depth_usd)
    people = People(
        traders=1,
        small_count_share=0.0,
        # One arrival in a few months: nobody comes.
        large_holding=Holding(0.5, 1e9, 2_880.0),
        partial_closes_per_hour=0.0,
        margin_additions_per_hour=0.0,
    )
    path = ShockPath(price, Shock(0.0))
    market = AccountMarket(
        coin, listings_of(coin, (Venue.BINANCE,)), people, depth, path, np.full(10, price), np.random.default_rng(1), 0
    )
    standing = market.positions.open_rows
    market._reduce(standing, market.positions.lots[standing], np.zeros(len(standing), bool))
    market.positions.release(standing)
    return market


def put(
    market: AccountMarket,
    side: int,
    usd: float,
    liquidated_at: float,
    *,
    is_defended: bool = False,
    is_cross: bool = True,
    other_usd: float = 0.0,
) -> int:
    """Open a position of `usd` at the present mark that is liquidated at the price given, and return its row."""
    table = market.positions
    rows = table.take(1)
    mark = float(market.mark_prices[0])
    table.venue[rows], table.side[rows] = 0, side
    table.kind[rows] = TraderKind.CROSS if is_cross else TraderKind.RETAIL
    table.lots[rows] = max(round(usd / mark / market.listings[0].quantity_step), 1)
    table.entry_price[rows] = table.worst_price[rows] = mark
    table.leverage[rows], table.account[rows], table.opened[rows] = 20.0, rows, market.now
    table.expires[rows] = np.iinfo(np.int64).max
    table.stop_price[rows] = table.profit_price[rows] = np.nan
    table.is_cross[rows], table.is_defended[rows], table.other_usd[rows] = is_cross, is_defended, other_usd
    low, high = 0.0, 2 * usd
    for _ in range(60):
        # The venue's rule has tiers: look for the margin that puts liquidation where it is wanted.
        table.margin[rows] = (low + high) / 2
        table.reprice(rows)
        found = table.liquidation_price[rows][0]
        is_too_far = np.isnan(found) or side * (liquidated_at - found) > 0
        low, high = (low, float(table.margin[rows][0])) if is_too_far else (float(table.margin[rows][0]), high)
    table.look(rows, np.array([mark]))
    market._count_opened(rows, np.zeros(1, bool))
    return int(rows[0])
