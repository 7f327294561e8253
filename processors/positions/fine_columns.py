"""Fine buckets around each market's mark as columns of one array: places, ragged ranges and sums per published level.

Used by `inferred` alone: a row is a market, column 0 is the fine bucket `base`.
"""

import numpy as np
import numpy.typing as npt

from liqheat.domain.price_grid import FloatArray, IntArray

BELOW, ABOVE = 900, 700
"""Fine buckets kept on each side of the mark at least: 45% below, 60% above at 6.6 bp each."""

MAXIMUM_BUCKET_MICRO_USD = 1e15
"""Most that one fine bucket may hold, a billion USD, so that sums over buckets and venues stay within 64 bits."""


def whole_levels(buckets: int, factor: int) -> int:
    """Return `buckets`, rounded up to whole published buckets of `factor` fine ones."""
    return -(-buckets // factor) * factor


def ragged(starts: IntArray, lengths: IntArray) -> tuple[IntArray, IntArray]:
    """Return row and column of every cell of one range per row, in order; `lengths` of 0 or less give none."""
    lengths = np.maximum(lengths, 0)
    rows = np.repeat(np.arange(len(starts)), lengths)
    ends = np.cumsum(lengths)
    columns = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths - starts, lengths)
    return rows, columns


def per_level(fine: IntArray, factor: int) -> IntArray:
    """Sum the last axis in groups of `factor`; shape (..., columns) to (..., columns / factor)."""
    total = fine[..., 0::factor].copy()
    for column in range(1, factor):
        total += fine[..., column::factor]
    return total


def scaled(amounts: IntArray, factors: FloatArray | float) -> IntArray:
    """Return `amounts * factors` (float64) rounded down, each held at `MAXIMUM_BUCKET_MICRO_USD`."""
    products = np.multiply(amounts, factors)
    np.minimum(products, MAXIMUM_BUCKET_MICRO_USD, out=products)
    whole: IntArray = np.floor(products, out=products).astype(np.int64)
    return whole


def shifted(rows: IntArray, by: int) -> IntArray:
    """Move the last axis so that old column `by` becomes column 0; what comes in is 0."""
    moved = np.zeros_like(rows)
    width = rows.shape[-1]
    if abs(by) < width:
        if by >= 0:
            moved[..., : width - by] = rows[..., by:]
        else:
            moved[..., -by:] = rows[..., : width + by]
    return moved


def own_level(column: IntArray, factor: int, levels: int) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
    """Return where marks in the fine columns `column` (n,) part a published level; only there are both sides.

    Returns:
        Rows whose mark lies in a level, shape (r,), that level's fine columns, (r, factor), and which are of longs.
    """
    own = column // factor
    row = np.flatnonzero((own >= 0) & (own < levels))
    fine = own[row, None] * factor + np.arange(factor)
    return row, fine, fine < column[row, None]


def by_side(amounts: IntArray, own: IntArray, row: IntArray, own_longs: IntArray) -> IntArray:
    """Return `amounts` (n, ..., L) by side, (n, 2, ..., L), longs first.

    Levels below `own` (n,) are of longs, above it of shorts. At it, `own_longs` (r, ...) are of longs in each `row`.
    """
    levels = amounts.shape[-1]
    sides = np.empty((len(amounts), 2, *amounts.shape[1:]), np.int64)
    is_long = np.arange(levels) < own[:, None]
    longs = np.multiply(amounts, is_long if amounts.ndim == 2 else is_long[:, None], out=sides[:, 0])
    longs[row, ..., own[row]] = own_longs
    np.subtract(amounts, longs, out=sides[:, 1])
    return sides
