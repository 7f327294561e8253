"""The 1-2-5 "nice number" price grid that all venues of a symbol share.

Each decade of price is cut into 3,500 fine buckets: steps of 0.001, 0.002 and 0.005 of the decade over
[1, 2), [2, 5) and [5, 10), so a fine bucket is 5-10 bp wide and its edges are short decimals. Coarser
levels join `factor` fine buckets; every divisor of 500 nests exactly, so $0.85-$0.86 is a bucket
(factor 20) and no price depends on which venue or day it came from.
"""

import numpy as np
import numpy.typing as npt

BUCKETS_PER_DECADE = 3_500
FACTORS = (1, 2, 4, 5, 10, 20, 25, 50, 100, 125, 250, 500)
"""Coarser levels that nest exactly: the divisors of 500, the common divisor of the three segments."""
DEFAULT_FACTOR = 5

MINIMUM_PRICE = 1e-12
MAXIMUM_PRICE = 1e9

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def _edges() -> FloatArray:
    """Return the lower edge of every fine bucket, and of one decade more at both ends, for books reach beyond."""
    steps = np.arange(BUCKETS_PER_DECADE)
    mantissas = np.where(steps < 1_000, 1_000 + steps, np.where(steps < 2_500, 2 * steps, 5 * steps - 7_500))
    # Dividing or multiplying an integer mantissa by an exact power of ten rounds once, so an edge is the float
    # nearest to its decimal text.
    return np.concatenate([mantissas * 10.0 ** max(d - 3, 0) / 10.0 ** max(3 - d, 0) for d in _DECADES])


_DECADES = range(-13, 12)
_FIRST = _DECADES[0] * BUCKETS_PER_DECADE
_EDGES = _edges()


def check_factor(factor: int) -> int:
    """Return `factor` if it nests in the grid; raise ValueError otherwise."""
    if factor not in FACTORS:
        raise ValueError(f"Expected a grid factor out of {FACTORS}, was {factor}")
    return factor


def lower_edge(buckets: npt.ArrayLike, factor: int = 1) -> FloatArray:
    """Return the lower price edge of each bucket at the level `factor`; the upper edge is that of `bucket + 1`."""
    return np.asarray(_EDGES[np.asarray(buckets, dtype=np.int64) * factor - _FIRST])


def upper_edge(buckets: npt.ArrayLike, factor: int = 1) -> FloatArray:
    """Return the upper price edge of each bucket at the level `factor`."""
    return lower_edge(np.asarray(buckets, dtype=np.int64) + 1, factor)


def bucket_of(prices: npt.ArrayLike, factor: int = 1) -> IntArray:
    """Return the bucket index of each price at the level `factor`, such that `lower <= price < upper`.

    Raises:
        ValueError: a price is not a number in [1e-12, 1e9].
    """
    values = np.asarray(prices, dtype=np.float64)
    if values.size and not ((values >= MINIMUM_PRICE) & (values <= MAXIMUM_PRICE)).all():
        raise ValueError(f"Expected prices from {MINIMUM_PRICE} to {MAXIMUM_PRICE}")
    fine = np.searchsorted(_EDGES, values, side="right") - 1 + _FIRST
    return np.asarray(fine // factor, dtype=np.int64)


def middle(buckets: npt.ArrayLike, factor: int = 1) -> FloatArray:
    """Return the middle price of each bucket at the level `factor`."""
    return (lower_edge(buckets, factor) + upper_edge(buckets, factor)) / 2
