"""What a range of marks empties: the range between the previous mark and the range's ends.

Below the mark are longs, above it shorts, since whatever lay between has been emptied on the way. Of the buckets at
the range's ends the part that was covered is taken, as if what they hold lay evenly: a fine bucket is as wide as a
minute's move, and taking it whole at a touch makes small moves sweep too much (docs/accuracy.md). The bucket that the
mark ends in is cleared of the rest (`inferred`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.price_grid import FloatArray, IntArray, bucket_of, lower_edge
from processors.positions.distances import BANDS, LAYERS
from processors.positions.fine_columns import ragged, scaled
from processors.positions.inferred_state import LONG, SHORT, InferredState

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """The cells that ranges of n markets reach, T in all, and what is taken of them, micro-USD.

    `row`, `column` and `is_long` have shape (T,). Of each cell: `layers` (T, LAYERS) and `bands` (T, BANDS) as they are
    held, `published` (T, BANDS) at risk at the multipliers believed. Sums by side: `expected` (n, 2) of the layers
    at a kappa of 1, `bands_by_side` (n, 2, BANDS).
    """

    row: IntArray
    column: IntArray
    is_long: BoolArray
    layers: IntArray
    bands: IntArray
    published: IntArray
    expected: IntArray
    bands_by_side: IntArray


def sweep_of(state: InferredState, markets: IntArray, low: FloatArray, high: FloatArray) -> Sweep:
    """Return what marks from `low` to `high` (USD, shape (n,)) would empty; changes nothing.

    Every market has had a closing; a NaN end is the mark of the last one.
    """
    before, base = state.close[markets], state.base[markets]
    low, high = np.fmin(low, before), np.fmax(high, before)
    middle = bucket_of(before) - base
    first = np.clip(bucket_of(low) - base, 0, state.width)
    last = np.clip(bucket_of(high) - base, -1, state.width - 1)
    lengths = np.maximum(last - first + 1, 0)
    row, column = ragged(first, lengths)
    market, is_long = markets[row], column < middle[row]
    covered = _covered(base[row] + column, low[row], high[row])
    units = state.units(markets)[row]
    layers = np.empty((len(row), LAYERS), dtype=np.int64)
    bands = np.empty((len(row), BANDS), dtype=np.int64)
    published = np.empty_like(bands)
    for layer in range(LAYERS):
        layers[:, layer] = _taken(state.layers[market, layer, column], covered, units)
    for band in range(BANDS):
        held, factor = state.bands[market, band, column], state.multipliers[market, band]
        bands[:, band] = _taken(held, covered, units)
        published[:, band] = scaled(held, factor) - scaled(held - bands[:, band], factor)
    # Where each row's cells begin, where its shorts do, and where they end.
    ends = np.cumsum(lengths)
    starts = ends - lengths
    parting = np.clip(starts + middle - first, starts, ends)
    by_side = [_by_side(bands[:, band], starts, parting, ends) for band in range(BANDS)]
    expected = _by_side(layers.sum(axis=1), starts, parting, ends)
    return Sweep(row, column, is_long, layers, bands, published, expected, np.stack(by_side, axis=2))


def published_by_side(sweep: Sweep, markets: int) -> IntArray:
    """Return at-risk notional that the sweep takes, micro-USD, shape (markets, 2)."""
    taken = np.zeros((markets, 2), dtype=np.int64)
    np.add.at(taken, (sweep.row, np.where(sweep.is_long, LONG, SHORT)), sweep.published.sum(axis=1))
    return taken


def _covered(buckets: IntArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the part of each fine bucket that lies between `low` and `high` (USD), shape (T,)."""
    lower, upper = lower_edge(buckets), lower_edge(buckets + 1)
    return np.asarray((np.minimum(high, upper) - np.maximum(low, lower)) / (upper - lower))


def _taken(held: IntArray, covered: FloatArray, units: FloatArray) -> IntArray:
    """Return `covered` of `held` in whole units, all of it where all is covered."""
    part = (np.floor(held * covered / units) * units).astype(np.int64)
    return np.where(covered >= 1, held, np.minimum(part, held))


def _by_side(taken: IntArray, starts: IntArray, parting: IntArray, ends: IntArray) -> IntArray:
    sums = np.concatenate([[0], np.cumsum(taken)])
    return np.stack([sums[parting] - sums[starts], sums[ends] - sums[parting]], axis=1)
