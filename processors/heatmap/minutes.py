"""What the engine hands the model when minutes close: one row per market that closes, as columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class MinuteColumns:
    """One closing minute of n markets; every array has shape (n,).

    Prices are USD per coin, NaN where there was none; notionals are int64 micro-USD; open interest is one-sided, coins.
    A bar of k minutes is the minute that ends with it, with `elapsed_minutes` k.
    """

    window_start: IntArray
    """Start of the minute, ms."""
    elapsed_minutes: IntArray
    """Minutes since this market's last closing; 1 where none was skipped."""
    mark_low: FloatArray
    """Of the marks seen in the minute; of its trades where the venue has shown no mark yet."""
    mark_high: FloatArray
    mark_close: FloatArray
    buy_usd: IntArray
    """Taker buys."""
    sell_usd: IntArray
    buy_price: FloatArray
    """Mean price of the taker buys, weighted by volume."""
    sell_price: FloatArray
    trade_low: FloatArray
    trade_high: FloatArray
    open_interest: FloatArray
    """At the close; NaN where none came since the last closing."""
    open_interest_before: FloatArray
    """As last known before this minute; NaN where it never was."""
    executed_long: IntArray
    """Liquidated longs."""
    executed_short: IntArray
    executed_count: IntArray
    liquidations_known: BoolArray
    """Whether liquidations of this minute would have been recorded: none seen is then none."""
    is_sampled: BoolArray
    """Whether the venue publishes a sample of its liquidations only."""
