"""What the engine hands the model when minutes close: one row per market that closes, as columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.money import MAXIMUM_NOTIONAL_USD, MICRO_USD_PER_USD
from liqheat.domain.price_grid import FloatArray, IntArray

_MAXIMUM_TURNOVER = int(MAXIMUM_NOTIONAL_USD * MICRO_USD_PER_USD)
"""Most of one minute's turnover, micro-USD, that opens anything."""


@dataclass(frozen=True, slots=True, eq=False)
class MinuteColumns:
    """One minute of each of n markets, as the model reads it; arrays of shape (n,).

    Times in ms, prices in USD per coin (NaN where there was none), flows in micro-USD, open interest in coins without
    what is observed per account. `elapsed_minutes` counts since the market's last closing (1 when none was skipped).
    Trades replace marks where no mark ever came. `liquidations_known` says that the feed of liquidations was
    recorded in this minute, `is_sampled` that the venue publishes only a part of them.
    A bar of k minutes is the minute that ends with it, with `elapsed_minutes` k.
    """

    window_start: IntArray
    elapsed_minutes: IntArray
    mark_low: FloatArray
    mark_high: FloatArray
    mark_close: FloatArray
    buy_usd: IntArray
    sell_usd: IntArray
    buy_price: FloatArray
    sell_price: FloatArray
    trade_low: FloatArray
    trade_high: FloatArray
    open_interest: FloatArray
    open_interest_before: FloatArray
    executed_long: IntArray
    executed_short: IntArray
    executed_count: IntArray
    liquidations_known: npt.NDArray[np.bool_]
    is_sampled: npt.NDArray[np.bool_]


def rows_of(minute: MinuteColumns, rows: IntArray | slice) -> MinuteColumns:
    """Return the chosen rows of every column."""
    return MinuteColumns(*(getattr(minute, name)[rows] for name in MinuteColumns.__slots__))


def turnover_of(minute: MinuteColumns) -> IntArray:
    """Return what of the turnover opens anything, micro-USD, (n,)."""
    return np.asarray(np.minimum(minute.buy_usd + minute.sell_usd, _MAXIMUM_TURNOVER))


def mean_price(minute: MinuteColumns) -> FloatArray:
    """Return the mean traded price, USD, (n,); the mark's where nothing was traded."""
    buys, sells = minute.buy_usd.astype(np.float64), minute.sell_usd.astype(np.float64)
    value = np.where(buys > 0, buys * minute.buy_price, 0.0) + np.where(sells > 0, sells * minute.sell_price, 0.0)
    usd = buys + sells
    return np.where(usd > 0, value / np.maximum(usd, 1), minute.mark_close)
