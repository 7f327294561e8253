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

# Decade offsets -12..9 as exact powers: dividing or multiplying an integer mantissa by one of these
# rounds once, so an edge is the float nearest to its decimal text.
_DECADES = np.arange(-13, 12)
_DIVISOR = np.array([10.0 ** max(3 - int(d), 0) for d in _DECADES])
_MULTIPLIER = np.array([10.0 ** max(int(d) - 3, 0) for d in _DECADES])


def check_factor(factor: int) -> int:
    """Return `factor` if it nests in the grid; raise ValueError otherwise."""
    if factor not in FACTORS:
        raise ValueError(f"Expected a grid factor out of {FACTORS}, was {factor}")
    return factor


def lower_edge(buckets: npt.ArrayLike, factor: int = 1) -> FloatArray:
    """Return the lower price edge of each bucket at the level `factor`; the upper edge is that of `bucket + 1`."""
    fine = np.asarray(buckets, dtype=np.int64) * factor
    decade, offset = np.divmod(fine, BUCKETS_PER_DECADE)
    mantissa = np.where(
        offset < 1_000,
        1_000 + offset,
        np.where(offset < 2_500, 2 * offset, 5 * offset - 7_500),
    )
    row = decade + 13
    return np.asarray(mantissa * _MULTIPLIER[row] / _DIVISOR[row], dtype=np.float64)


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
    decade = np.floor(np.log10(values)).astype(np.int64)
    row = decade + 13
    scaled = values * _DIVISOR[row] / _MULTIPLIER[row]
    offset = np.where(
        scaled < 2_000,
        scaled - 1_000,
        np.where(scaled < 5_000, scaled / 2, (scaled + 7_500) / 5),
    )
    fine = decade * BUCKETS_PER_DECADE + np.floor(offset).astype(np.int64)
    # The logarithm and the division round, so the guess may be one bucket off next to an edge.
    fine = fine - (values < lower_edge(fine))
    fine = fine + (values >= lower_edge(fine + 1))
    return np.asarray(fine // factor, dtype=np.int64)


def middle(buckets: npt.ArrayLike, factor: int = 1) -> FloatArray:
    """Return the middle price of each bucket at the level `factor`."""
    return (lower_edge(buckets, factor) + upper_edge(buckets, factor)) / 2
