"""Which price buckets a picture shows: a stretch of the shared nice-number grid at a level that fits the screen.

Because coarser levels nest exactly, every stored bucket falls into one row of the picture and sums stay true.
"""

from dataclasses import dataclass

import numpy as np

from liqheat.domain.price_grid import FACTORS, MAXIMUM_PRICE, MINIMUM_PRICE, FloatArray, bucket_of, lower_edge

MAXIMUM_ROWS = 300
_ROUND_ROWS = 10
"""The stretch begins and ends on a multiple of this many rows, so that it seldom moves while price does."""


@dataclass(frozen=True, slots=True)
class DisplayGrid:
    """Rows `first` to `first + rows - 1` of the grid at the level `factor`."""

    factor: int
    first: int
    rows: int

    @property
    def name(self) -> str:
        """A name that distinguishes two stretches; the page sends it back to say which one it holds."""
        return f"{self.factor}.{self.first}.{self.rows}"

    def edges(self) -> FloatArray:
        """Return the edges between rows, shape (rows + 1,), USD, rising."""
        return lower_edge(np.arange(self.first, self.first + self.rows + 1), self.factor)


def display_grid(lowest: float, highest: float, stored_factor: int) -> DisplayGrid:
    """Return the finest stretch over the prices `lowest` to `highest` (USD) that has at most `MAXIMUM_ROWS` rows.

    Only levels that the stored level nests in are taken; past the coarsest, the stretch is cut at the top.
    """
    prices = np.clip([lowest, highest], MINIMUM_PRICE, MAXIMUM_PRICE)
    grid = DisplayGrid(FACTORS[-1], 0, 1)
    for factor in FACTORS:
        if factor % stored_factor:
            continue
        low, high = (int(bucket) for bucket in bucket_of(prices, factor))
        first = low - low % _ROUND_ROWS
        rows = (high // _ROUND_ROWS + 1) * _ROUND_ROWS - first
        grid = DisplayGrid(factor, first, min(rows, MAXIMUM_ROWS))
        if rows <= MAXIMUM_ROWS:
            break
    return grid
