"""What was traded at which price since the last open-interest reading, by size of trade and taker side.

Trades fill it; when open interest changes, `inference` takes it as the entry prices of what was opened, and the
size of a trade as the size of the position that it opened.
"""

import math

import numpy as np
import numpy.typing as npt

from processors.positions.leverage_mix import SIZE_CLASSES

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

BUY, SELL = range(2)
"""Places of the taker sides in `TradedProfile.amounts`."""

COLUMNS = 256
"""Steps of 0.1% of the reference price around it; what lies beyond, 12.8% away, joins the ends."""
STEP = 0.001


class TradedProfile:
    """Taker-buy and taker-sell notional: `amounts` has shape (SIZE_CLASSES, 2, COLUMNS), micro-USD.

    The columns are even steps around a `reference` price (USD; NaN before the first trade), so that a trade's
    place is two operations: this is what the engine does with every row of the busiest kind.
    """

    __slots__ = ("amounts", "reference")

    def __init__(self) -> None:
        self.reference = math.nan
        self.amounts: IntArray = np.zeros((SIZE_CLASSES, 2, COLUMNS), dtype=np.int64)

    def add(
        self, prices: FloatArray, sold: npt.NDArray[np.bool_], amounts: IntArray, large: IntArray, classes: IntArray
    ) -> None:
        """Add trades, all of shape (n,): `prices` in USD, whether a taker `sold`, micro-USD.

        Most are small: only the `large` ones (places among the n) have `classes`, the others are of the first.
        """
        if math.isnan(self.reference):
            self.reference = float(prices[0])
        step = self.reference * STEP
        places = prices - (self.reference - COLUMNS / 2 * step)
        places /= step
        np.maximum(places, 0, out=places)
        np.minimum(places, COLUMNS - 1, out=places)
        cells = places.astype(np.int64)
        cells += sold * COLUMNS
        if large.size:
            cells[large] += classes * (2 * COLUMNS)
        np.add.at(self.amounts.reshape(-1), cells, amounts)

    def traded(self) -> tuple[IntArray, FloatArray, IntArray]:
        """Return size class, middle price (USD) and amounts (buys, sells) of every cell with trades.

        Shapes (n,), (n,) and (2, n), by rising class and price.
        """
        classes, columns = np.nonzero(self.amounts.any(axis=1))
        step = self.reference * STEP
        prices = (self.reference - COLUMNS / 2 * step) + (columns + 0.5) * step
        return classes, np.asarray(prices, dtype=np.float64), self.amounts[classes, :, columns].T

    def clear(self, reference: float) -> None:
        """Start the next interval around `reference` (USD; NaN: around its first trade)."""
        self.amounts[:] = 0
        self.reference = reference
