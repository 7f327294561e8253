"""The book of one side of one market: notional at risk by row and price bucket, in int64 micro-USD.

A row is a leverage (inferred) or a leverage band (observed); flows and what is published are by band.
Positions are put in by `processors.positions`; marks sweep it; each closed minute reads its levels and flows.
Every micro-USD that was opened is standing, closed or swept, exactly: nothing is rounded away.
"""

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import LEVERAGE_BANDS, Side
from liqheat.domain.price_grid import lower_edge

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

BANDS = len(LEVERAGE_BANDS)
OPENED, CLOSED, SWEPT = range(3)
"""Rows of `SideBook.flows`."""

_GROWTH = 64
"""Fine buckets by which a window grows at least, so that growing is rare."""


class SideBook:
    """Levels of one side on the fine grid, and the open minute's flows on the published grid.

    Both are dense runs that grow over the buckets in use and start at fine bucket `base`: `standing` has shape
    (rows, n), `bands` names each row's band, `flows` has (3, BANDS, n / factor). `nearest` is a price beyond
    which, seen from the mark, nothing stands: marks that stay on its far side skip the sweep. How far the runs
    reach never shows in a result.
    """

    __slots__ = ("bands", "base", "factor", "flows", "nearest", "side", "standing")

    def __init__(self, side: Side, factor: int, bands: IntArray | None = None) -> None:
        """Make an empty book.

        Args:
            side: side of the positions in it.
            factor: fine buckets in one published bucket.
            bands: leverage band of each row; one row a band by default.
        """
        self.bands = np.arange(BANDS) if bands is None else bands
        self.side = side
        self.factor = factor
        self.base = 0
        self.standing: IntArray = np.zeros((len(self.bands), 0), dtype=np.int64)
        self.flows: IntArray = np.zeros((3, BANDS, 0), dtype=np.int64)
        self.nearest = -np.inf if side is Side.LONG else np.inf

    def open(self, rows: IntArray, buckets: IntArray, amounts: IntArray) -> None:
        """Add `amounts` (micro-USD) at fine `buckets` in `rows`; arrays of one shape (n,)."""
        if not buckets.size:
            return
        low, high = int(buckets.min()), int(buckets.max())
        self._cover(low, high)
        columns = buckets - self.base
        width = self.standing.shape[1]
        np.add.at(self.standing.reshape(-1), rows * width + columns, amounts)
        places = self.bands[rows] * (width // self.factor) + columns // self.factor
        np.add.at(self.flows[OPENED].reshape(-1), places, amounts)
        if self.side is Side.LONG:
            self.nearest = max(self.nearest, float(lower_edge(high + 1)))
        else:
            self.nearest = min(self.nearest, float(lower_edge(low)))

    def is_reached(self, price: float) -> bool:
        """Whether a mark at `price` may sweep something."""
        return price < self.nearest if self.side is Side.LONG else price >= self.nearest

    def sweep(self, bucket: int) -> IntArray:
        """Take out every level that a mark in fine `bucket` liquidates: that bucket and all on its far side.

        Returns:
            What was swept of each row, micro-USD, shape (rows,).
        """
        column = bucket - self.base
        if self.side is Side.LONG:
            taken = slice(max(column, 0), None)
            self.nearest = min(self.nearest, float(lower_edge(bucket)))
        else:
            taken = slice(None, max(column + 1, 0))
            self.nearest = max(self.nearest, float(lower_edge(bucket + 1)))
        return self._take(taken, SWEPT)

    def keep(self, share: FloatArray | float) -> None:
        """Close all but `share` (0 to 1) of every level, rounding what stays down so that dust ends.

        `share` is one number, or one a row in shape (rows,).
        """
        shares = np.broadcast_to(np.asarray(share, dtype=np.float64), (len(self.bands),))
        # Above 2^53 the float may exceed the integer it came from; nothing may grow by being closed.
        kept = np.minimum(np.floor(self.standing * shares[:, None]).astype(np.int64), self.standing)
        self.flows[CLOSED] += self._published(self.standing - kept)
        self.standing = kept

    def rescale(self, factors: FloatArray) -> None:
        """Multiply every level by its row's factor, shape (rows,): what grows is opened, what shrinks is closed."""
        scaled = np.rint(self.standing * factors[:, None]).astype(np.int64)
        change = scaled - self.standing
        self.flows[OPENED] += self._published(np.maximum(change, 0))
        self.flows[CLOSED] += self._published(np.maximum(-change, 0))
        self.standing = scaled

    def hold_to(self, limit: int) -> float:
        """Close proportionally until the side's total is at most `limit` micro-USD; return the factor, 1 if it fits."""
        total = self.total()
        if total <= limit:
            return 1.0
        scale = limit / total
        # The tiny margin outweighs the rounding of the product, so that the total never ends above the limit.
        self.keep(max(scale * (1 - 1e-12), 0.0))
        return scale

    def remove(self, row: int, bucket: int, amount: int) -> None:
        """Close `amount` micro-USD of one level, which must hold as much."""
        column = bucket - self.base
        self.standing[row, column] -= amount
        self.flows[CLOSED, self.bands[row], column // self.factor] += amount

    def total(self) -> int:
        """Return the notional standing, micro-USD."""
        return int(self.standing.sum())

    def published_levels(self) -> IntArray:
        """Return what stands on the published grid, shape (BANDS, n / factor); column 0 is `base / factor`."""
        return self._published(self.standing)

    def clear_flows(self) -> None:
        """Start a minute."""
        self.flows[:] = 0

    def restore(
        self,
        rows: IntArray,
        buckets: IntArray,
        amounts: IntArray,
        flows: IntArray,
        flow_bands: IntArray,
        flow_buckets: IntArray,
        flow_amounts: IntArray,
    ) -> None:
        """Fill an empty book: levels at fine `buckets`, then `flows` (rows) at published `flow_buckets`."""
        touched = np.concatenate([buckets, flow_buckets * self.factor])
        if touched.size:
            self._cover(int(touched.min()), int(touched.max()))
            self.open(rows, buckets, amounts)
            self.flows[:] = 0
            self.flows[flows, flow_bands, flow_buckets - self.base // self.factor] = flow_amounts

    def _take(self, columns: slice, flow: int) -> IntArray:
        taken = self.standing[:, columns]
        by_row: IntArray = taken.sum(axis=1)
        if by_row.any():
            removed = np.zeros_like(self.standing)
            removed[:, columns] = taken
            self.flows[flow] += self._published(removed)
            self.standing[:, columns] = 0
        return by_row

    def _published(self, fine: IntArray) -> IntArray:
        coarse: IntArray = fine.reshape(len(self.bands), -1, self.factor).sum(axis=2)
        if len(self.bands) == BANDS:
            return coarse
        by_band = np.zeros((BANDS, coarse.shape[1]), dtype=np.int64)
        np.add.at(by_band, self.bands, coarse)
        return by_band

    def _cover(self, low: int, high: int) -> None:
        """Grow both runs so that they hold the fine buckets `low` to `high`."""
        width = self.standing.shape[1]
        if width and self.base <= low and high < self.base + width:
            return
        step = self.factor * -(-_GROWTH // self.factor)
        first, last = (min(low, self.base), max(high, self.base + width - 1)) if width else (low, high)
        base = first // step * step
        end = (last // step + 1) * step
        before = self.base - base if width else 0
        after = end - base - width - before
        self.standing = np.pad(self.standing, ((0, 0), (before, after)))
        coarse = self.factor
        self.flows = np.pad(self.flows, ((0, 0), (0, 0), (before // coarse, after // coarse)))
        self.base = base
