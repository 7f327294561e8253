"""What was traded at which price since the last open-interest reading, by taker side.

Trades fill it; when open interest changes, `inference` takes it as the entry prices of what was opened.
"""

import math

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

BUY, SELL = range(2)
"""Rows of `TradedProfile.amounts`."""

COLUMNS = 1_000
"""Steps of 0.1% of the reference price, from half of it to one and a half; what lies beyond joins the ends."""


class TradedProfile:
    """Taker-buy and taker-sell notional by entry price: `amounts` has shape (2, COLUMNS), micro-USD.

    The columns are even steps around a `reference` price (USD; NaN before the first trade), so that a trade's
    place is two operations: this is what the engine does with every row of the busiest kind.
    """

    __slots__ = ("amounts", "reference")

    def __init__(self) -> None:
        self.reference = math.nan
        self.amounts: IntArray = np.zeros((2, COLUMNS), dtype=np.int64)

    def add(self, prices: FloatArray, sold: npt.NDArray[np.bool_], amounts: IntArray) -> None:
        """Add trades: `prices` in USD, whether a taker `sold`, `amounts` in micro-USD, all of shape (n,)."""
        if math.isnan(self.reference):
            self.reference = float(prices[0])
        places = prices - self.reference / 2
        places *= COLUMNS / self.reference
        np.maximum(places, 0, out=places)
        np.minimum(places, COLUMNS - 1, out=places)
        cells = places.astype(np.int64)
        cells += sold * COLUMNS
        np.add.at(self.amounts.reshape(-1), cells, amounts)

    def traded(self) -> tuple[FloatArray, IntArray]:
        """Return the middle prices (USD) of the steps with trades, rising, shape (n,), and their amounts, (2, n)."""
        columns = np.flatnonzero(self.amounts.any(axis=0))
        prices = self.reference / 2 + (columns + 0.5) * (self.reference / COLUMNS)
        return np.asarray(prices, dtype=np.float64), self.amounts[:, columns]

    def clear(self, reference: float) -> None:
        """Start the next interval around `reference` (USD; NaN: around its first trade)."""
        self.amounts[:] = 0
        self.reference = reference
