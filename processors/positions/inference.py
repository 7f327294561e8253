"""From a change of open interest and what was traded to positions: what was opened where, and what closed.

Positions are not public, so this is a model: a rise of open interest is that notional of longs *and* of
shorts, and so is a share of turnover, for as much closes as opens unseen between two readings. They are
entered where the interval traded, in positions as large as its trades, and spread over the learned mix; a fall
of open interest is first what the price swept, and the rest closes everywhere alike.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import Side
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.price_grid import MAXIMUM_PRICE, MINIMUM_PRICE, bucket_of
from processors.positions.leverage_mix import LeverageMix
from processors.positions.traded_profile import BUY, SELL, TradedProfile

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

AGGRESSOR_WEIGHT, PASSIVE_WEIGHT = 3.0, 2.0
"""Longs are entered by taker buys and by makers whom taker sells hit; aggressors open somewhat more often."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one open-interest reading means for one side: USD to open, and the share of standing to keep."""

    opened_usd: float
    kept_share: float


def change_of(previous_coins: float, coins: float, price: float, swept_usd: float) -> Change:
    """Split a change of one side's open interest into what opened and what closed.

    The side's stock changes by opened less closed less swept, so opened less closed is the change plus what
    was swept since the last reading: a fall is explained by the sweep first, and where open interest fell by
    less than the sweep took, somebody opened anew.

    Args:
        previous_coins: open interest at the reading before, coins.
        coins: open interest now.
        price: USD per coin.
        swept_usd: notional of this side swept in between.
    """
    net = (coins - previous_coins) * price + swept_usd
    if net >= 0:
        return Change(net, 1.0)
    stock = previous_coins * price - swept_usd
    return Change(0.0, max(1.0 + net / stock, 0.0) if stock > 0 else 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Where an interval's positions were entered: size classes, prices (USD) and weights that sum to 1, shape (n,)."""

    classes: IntArray
    prices: FloatArray
    weights: FloatArray


def entries_of(profile: TradedProfile, side: Side, price: float, mix: LeverageMix) -> Entries:
    """Return where one side was entered; at `price` (USD), in the usual class, if the interval had no trades.

    Trades that were put into classes before the tiers changed stay in them, as far as there still are so many.
    """
    classes, prices, amounts = profile.traded()
    if not prices.size:
        return Entries(np.array([mix.usual]), np.array([price]), np.ones(1))
    aggressive, passive = (BUY, SELL) if side is Side.LONG else (SELL, BUY)
    weights = AGGRESSOR_WEIGHT * amounts[aggressive] + PASSIVE_WEIGHT * amounts[passive]
    return Entries(np.minimum(classes, len(mix.allowed) - 1), prices, weights / weights.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Notional to put into a book: row (leverage), fine bucket and micro-USD of each level, shape (n,)."""

    rows: IntArray
    buckets: IntArray
    amounts: IntArray


def levels_of(side: Side, usd: float, entries: Entries, mix: LeverageMix, weights: FloatArray) -> Levels:
    """Spread `usd` of newly opened positions over entries and leverages, and price their liquidation.

    `weights` is the share of `usd` that each column of `mix` gets in each size class, (classes, columns). What has
    no liquidation price, or one off the price grid, becomes no level.
    """
    classes = entries.classes
    prices = entries.prices[:, None] * mix.factors[classes, 0 if side is Side.LONG else 1]
    amounts = np.rint(usd * MICRO_USD_PER_USD * entries.weights[:, None] * weights[classes]).astype(np.int64)
    rows = mix.rows[classes]
    on_grid = (prices >= MINIMUM_PRICE) & (prices < MAXIMUM_PRICE) & (amounts > 0)
    return Levels(rows[on_grid], bucket_of(prices[on_grid]), amounts[on_grid])
