"""What a range of marks empties: every fine bucket between the mark before and the range's ends, both included.

Below the mark stand longs, above it shorts, since whatever lay between has been emptied on the way.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.price_grid import bucket_of
from processors.positions.distances import BANDS, LAYERS
from processors.positions.fine_columns import ragged, scaled
from processors.positions.inferred_state import LONG, SHORT, InferredState

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """The cells that ranges of n markets reach, T in all, and what they hold.

    `row`, `column` and `is_long` have shape (T,). `expected` (n, 2) is of the layers at a kappa of 1; `bands`
    (n, 2, BANDS) at multipliers of 1; `published` (T, BANDS) is at risk at the multipliers believed. Micro-USD.
    """

    row: IntArray
    column: IntArray
    is_long: BoolArray
    expected: IntArray
    bands: IntArray
    published: IntArray


def sweep_of(state: InferredState, markets: IntArray, low: FloatArray, high: FloatArray) -> Sweep:
    """Return what marks from `low` to `high` (USD, shape (n,)) would empty; changes nothing.

    Every market has had a closing; a NaN end is the mark of the last one.
    """
    before, base = state.close[markets], state.base[markets]
    middle = bucket_of(before) - base
    first = np.clip(bucket_of(np.fmin(low, before)) - base, 0, state.width)
    last = np.clip(bucket_of(np.fmax(high, before)) - base, -1, state.width - 1)
    row, column = ragged(first, last - first + 1)
    is_long = column < middle[row]
    market = markets[row]
    # Where each row's cells begin, where its shorts do, and where they end.
    ends = np.cumsum(np.maximum(last - first + 1, 0))
    starts = ends - np.maximum(last - first + 1, 0)
    parting = np.clip(starts + middle - first, starts, ends)
    expected = np.zeros((len(markets), 2), dtype=np.int64)
    for layer in range(LAYERS):
        expected += _by_side(state.layers[market, layer, column], starts, parting, ends)
    bands = np.zeros((len(markets), 2, BANDS), dtype=np.int64)
    published = np.zeros((len(row), BANDS), dtype=np.int64)
    for band in range(BANDS):
        held = state.bands[market, band, column]
        bands[:, :, band] = _by_side(held, starts, parting, ends)
        published[:, band] = scaled(held, state.multipliers[market, band])
    return Sweep(row, column, is_long, expected, bands, published)


def published_by_side(sweep: Sweep, markets: int) -> IntArray:
    """Return at-risk notional that the sweep takes, micro-USD, shape (markets, 2)."""
    taken = np.zeros((markets, 2), dtype=np.int64)
    np.add.at(taken, (sweep.row, np.where(sweep.is_long, LONG, SHORT)), sweep.published.sum(axis=1))
    return taken


def _by_side(held: IntArray, starts: IntArray, parting: IntArray, ends: IntArray) -> IntArray:
    sums = np.concatenate([[0], np.cumsum(held)])
    return np.stack([sums[parting] - sums[starts], sums[ends] - sums[parting]], axis=1)
