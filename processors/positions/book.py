"""The book of one side of one market's observed positions, by leverage band and price bucket, in int64 micro-USD.

`ObservedPositions` puts positions in; marks sweep it; each closed minute reads its levels and flows.
Every micro-USD that was opened is held, closed or swept, exactly: nothing is rounded away.
"""

import numpy as np

from liqheat.domain.market import LEVERAGE_BANDS, Side
from liqheat.domain.price_grid import IntArray, lower_edge

BANDS = len(LEVERAGE_BANDS)
OPENED, CLOSED, SWEPT = range(3)
"""Rows of `SideBook.flows`."""

_GROWTH = 64
"""Fine buckets by which a window grows at least, so that growing is rare."""


class SideBook:
    """Levels of one side on the fine grid, and the open minute's flows on the published grid.

    Both are dense runs that grow over the buckets in use and start at fine bucket `base`: `standing` has shape
    (BANDS, n), `flows` has (3, BANDS, n / factor). `nearest` is a price beyond
    which, seen from the mark, there is nothing: marks that stay on its far side skip the sweep. How far the runs
    reach never shows in a result.
    """

    __slots__ = ("base", "factor", "flows", "nearest", "side", "standing")

    def __init__(self, side: Side, factor: int) -> None:
        """Make an empty book of positions on `side`; a published bucket is `factor` fine ones."""
        self.side = side
        self.factor = factor
        self.base = 0
        self.standing: IntArray = np.zeros((BANDS, 0), dtype=np.int64)
        self.flows: IntArray = np.zeros((3, BANDS, 0), dtype=np.int64)
        self.nearest = -np.inf if side is Side.LONG else np.inf

    def open(self, bands: IntArray, buckets: IntArray, amounts: IntArray) -> None:
        """Add `amounts` (micro-USD) at fine `buckets` of leverage `bands`; arrays of one shape (n,)."""
        if not buckets.size:
            return
        low, high = int(buckets.min()), int(buckets.max())
        self._cover(low, high)
        columns = buckets - self.base
        width = self.standing.shape[1]
        np.add.at(self.standing.reshape(-1), bands * width + columns, amounts)
        places = bands * (width // self.factor) + columns // self.factor
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

    def remove(self, band: int, bucket: int, amount: int) -> None:
        """Close `amount` micro-USD of one level, which must hold as much."""
        column = bucket - self.base
        self.standing[band, column] -= amount
        self.flows[CLOSED, band, column // self.factor] += amount

    def total(self) -> int:
        """Return the notional held, micro-USD."""
        return int(self.standing.sum())

    def published(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Return bands and published buckets that hold a level or had a flow, their levels and flows.

        Shapes (n,), (n,), (n,) and (3, n), by rising band and bucket; micro-USD.
        """
        if not self.standing.size:
            nothing = np.zeros(0, dtype=np.int64)
            return nothing, nothing, nothing, np.zeros((3, 0), dtype=np.int64)
        standing = self._published(self.standing)
        bands, columns = np.nonzero(standing | self.flows[OPENED] | self.flows[CLOSED] | self.flows[SWEPT])
        return bands, columns + self.base // self.factor, standing[bands, columns], self.flows[:, bands, columns]

    def flow_cells(self) -> list[tuple[int, int, int, int]]:
        """Return the minute's flows as (kind, band, published bucket, micro-USD)."""
        kinds, bands, columns = np.nonzero(self.flows)
        buckets = columns + self.base // self.factor
        amounts = self.flows[kinds, bands, columns]
        return list(zip(kinds.tolist(), bands.tolist(), buckets.tolist(), amounts.tolist(), strict=True))

    def copy(self) -> "SideBook":
        """Return an equal book that shares nothing with this one."""
        other = SideBook(self.side, self.factor)
        other.base, other.nearest = self.base, self.nearest
        other.standing, other.flows = self.standing.copy(), self.flows.copy()
        return other

    def clear_flows(self) -> None:
        """Start a minute."""
        self.flows[:] = 0

    def restore(self, bands: IntArray, buckets: IntArray, amounts: IntArray, flows: IntArray) -> None:
        """Fill an empty book: levels at fine `buckets`, and `flows`, rows of (kind, band, published bucket, amount)."""
        touched = np.concatenate([buckets, flows[:, 2] * self.factor])
        if touched.size:
            self._cover(int(touched.min()), int(touched.max()))
            self.open(bands, buckets, amounts)
            self.flows[:] = 0
            self.flows[flows[:, 0], flows[:, 1], flows[:, 2] - self.base // self.factor] = flows[:, 3]

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
        return np.asarray(fine.reshape(BANDS, -1, self.factor).sum(axis=2))

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
