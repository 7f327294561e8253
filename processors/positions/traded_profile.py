"""What was traded at which price since the last open-interest reading, by taker side.

Trades fill it; when open interest changes, `inference` takes it as the entry prices of what was opened.
"""

import numpy as np
import numpy.typing as npt

from liqheat.domain.price_grid import bucket_of, lower_edge

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_GROWTH = 64

BUY, SELL = range(2)
"""Rows of `TradedProfile.amounts`."""


class TradedProfile:
    """Taker-buy and taker-sell notional by fine bucket: `amounts` has shape (2, n), micro-USD, from bucket `base`.

    The prices of its bucket edges are kept, since a search among them is several times faster than computing
    buckets from scratch, and gives the same ones.
    """

    __slots__ = ("amounts", "base", "edges")

    def __init__(self) -> None:
        self.base = 0
        self.amounts: IntArray = np.zeros((2, 0), dtype=np.int64)
        self.edges: FloatArray = np.zeros(0)

    def add(self, prices: FloatArray, taker_sides: npt.NDArray[np.int8], amounts: IntArray) -> None:
        """Add trades: `prices` in USD, `taker_sides` +1 or -1, `amounts` in micro-USD, all of shape (n,)."""
        width = self.amounts.shape[1]
        columns = np.searchsorted(self.edges, prices, side="right") - 1
        if not width or columns.min() < 0 or columns.max() >= width:
            self._cover(prices)
            width = self.amounts.shape[1]
            columns = np.searchsorted(self.edges, prices, side="right") - 1
        np.add.at(self.amounts.reshape(-1), columns + (taker_sides < 0) * width, amounts)

    def traded(self) -> tuple[IntArray, IntArray]:
        """Return the fine buckets with trades in rising order, shape (n,), and their amounts, shape (2, n)."""
        columns = np.flatnonzero(self.amounts.any(axis=0))
        return columns + self.base, self.amounts[:, columns]

    def clear(self) -> None:
        """Start the next interval."""
        self.amounts[:] = 0

    def restore(self, buckets: IntArray, amounts: IntArray) -> None:
        """Put back what `traded` returned."""
        if buckets.size:
            self._cover(lower_edge(buckets))
            self.amounts[:, buckets - self.base] = amounts

    def _cover(self, prices: FloatArray) -> None:
        buckets = bucket_of(np.array([prices.min(), prices.max()]))
        low, high = int(buckets[0]), int(buckets[1])
        width = self.amounts.shape[1]
        first, last = (min(low, self.base), max(high, self.base + width - 1)) if width else (low, high)
        base = first // _GROWTH * _GROWTH
        end = (last // _GROWTH + 1) * _GROWTH
        before = self.base - base if width else 0
        self.amounts = np.pad(self.amounts, ((0, 0), (before, end - base - width - before)))
        self.base = base
        self.edges = lower_edge(np.arange(base, end + 1))
