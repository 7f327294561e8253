"""The current map of one symbol as arrays: a venue's levels in, one side over all venues out.

First step of the signals: `rows_of` turns the levels of closed minutes into a compact array that a
checkpoint can hold, `side_book` lays the venues' rows on a common run of price buckets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import LEVERAGE_BANDS, Side, Venue
from liqheat.domain.price_grid import MAXIMUM_PRICE, MINIMUM_PRICE, FloatArray, IntArray, bucket_of, lower_edge
from processors.heatmap.rows import OBSERVED, Levels

ROW = np.dtype(
    [
        ("bucket", np.int64),
        ("at_risk", np.int64),
        ("expected", np.int64),
        ("swept", np.int64),
        ("confidence", np.float32),
        ("side", np.int8),
        ("band", np.int8),
        ("observed", np.bool_),
    ]
)
"""One published bucket: index on the grid, levels at risk and expected and the swept flow in micro-USD, confidence
0-1, side +1/-1, index into `LEVERAGE_BANDS` (-1 unknown), whether observed."""

Rows = npt.NDArray[np.void]

VENUES = tuple(Venue)


def rows_of(levels: Levels) -> Rows:
    """Return the levels of closed minutes as rows, in their order."""
    rows = np.zeros(len(levels.place), dtype=ROW)
    rows["bucket"] = levels.bucket
    rows["at_risk"] = levels.amounts["at_risk_usd"]
    rows["expected"] = levels.amounts["expected_usd"]
    rows["swept"] = levels.amounts["swept_usd"]
    rows["confidence"] = np.nan_to_num(levels.confidence)
    rows["side"] = levels.side
    rows["band"] = np.where(levels.band < len(LEVERAGE_BANDS), levels.band, -1)
    rows["observed"] = levels.basis == OBSERVED
    return rows


@dataclass(frozen=True, slots=True)
class SideBook:
    """One side of the map over all venues, on the buckets `base`, `base + 1`, ... in price order.

    `edges` has one price (USD) more than there are buckets; amounts are micro-USD. `by_venue` is
    (bucket, venue), `by_band` (bucket, band), both at risk; `confidence` is weighted by what is at risk, not divided.
    """

    side: Side
    base: int
    edges: FloatArray
    at_risk: IntArray
    expected: IntArray
    swept: IntArray
    observed: IntArray
    by_venue: IntArray
    by_band: IntArray
    confidence: FloatArray

    @property
    def widths(self) -> FloatArray:
        """Width of each bucket in % of price (logarithmic)."""
        return np.asarray(100.0 * np.diff(np.log(self.edges)), dtype=np.float64)

    def middle(self, position: int) -> float:
        """Return the middle price (USD) of the bucket at `position`, as the short decimal that it is."""
        return float(f"{(self.edges[position] + self.edges[position + 1]) / 2:.12g}")


def side_book(
    side: Side,
    low_mark: float,
    high_mark: float,
    reach_percent: float,
    factor: int,
    rows: Mapping[Venue, Sequence[Rows]],
) -> SideBook:
    """Lay the rows of all venues on one run of buckets.

    A long book begins `reach_percent` below the lowest mark price of the minute and ends with the bucket that
    holds the highest, so that what was swept in the minute is in it; a short book is its mirror image.
    """
    if side == Side.LONG:
        ends = [low_mark * (1 - reach_percent / 100), high_mark]
    else:
        ends = [low_mark, high_mark * (1 + reach_percent / 100)]
    first, last = (int(bucket) for bucket in bucket_of(np.clip(ends, MINIMUM_PRICE, MAXIMUM_PRICE), factor))
    size = last - first + 1
    at_risk, expected, swept, observed = (np.zeros(size, dtype=np.int64) for _ in range(4))
    by_venue = np.zeros((size, len(VENUES)), dtype=np.int64)
    by_band = np.zeros((size, len(LEVERAGE_BANDS)), dtype=np.int64)
    confidence = np.zeros(size)
    pieces = [(column, piece) for column, venue in enumerate(VENUES) for piece in rows.get(venue, ())]
    if pieces:
        everything = np.concatenate([piece for _, piece in pieces])
        columns = np.repeat([column for column, _ in pieces], [len(piece) for _, piece in pieces])
        position = everything["bucket"] - first
        inside = np.flatnonzero((everything["side"] == side) & (position >= 0) & (position < size))
        position, columns, taken = position[inside], columns[inside], everything[inside]
        # On flat contiguous arrays numpy adds many times faster than on pairs of indices or fields of records.
        levels = np.ascontiguousarray(taken["at_risk"])
        np.add.at(by_venue.reshape(-1), position * len(VENUES) + columns, levels)
        np.add.at(expected, position, np.ascontiguousarray(taken["expected"]))
        np.add.at(swept, position, np.ascontiguousarray(taken["swept"]))
        np.add.at(observed, position, levels * taken["observed"])
        np.add.at(confidence, position, levels * taken["confidence"].astype(np.float64))
        banded = np.flatnonzero(taken["band"] >= 0)
        bands = position[banded] * len(LEVERAGE_BANDS) + taken["band"][banded]
        np.add.at(by_band.reshape(-1), bands, levels[banded])
    at_risk += by_venue.sum(axis=1)
    edges = lower_edge(np.arange(first, last + 2), factor)
    return SideBook(side, first, edges, at_risk, expected, swept, observed, by_venue, by_band, confidence)
