"""The current map of one symbol as arrays: a venue's levels in, one side over all venues out.

First step of the signals: `rows_of` turns the levels of closed minutes into a compact array that a
checkpoint can hold, `side_books` lays the venues' rows of many symbols on runs of price buckets, each symbol's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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

    def middle(self, position: int) -> float:
        """Return the middle price (USD) of the bucket at `position`, as the short decimal that it is."""
        return float(f"{(self.edges[position] + self.edges[position + 1]) / 2:.12g}")


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one venue: whether what they hold counts, and what was swept of them."""

    venue: Venue
    rows: Rows
    holds: bool = True
    flows: bool = True


@dataclass(frozen=True, slots=True)
class MapMinute:
    """What the two books of a symbol's minute are made of: marks (USD), their reach (%), and the venues' rows."""

    low_mark: float
    high_mark: float
    reach_percent: float
    pieces: Sequence[Piece]


def side_books(minutes: Sequence[MapMinute], factor: int) -> list[dict[Side, SideBook]]:
    """Lay the rows of each minute on two runs of buckets.

    A long book begins `reach_percent` below the lowest mark price of the minute and ends with the bucket that
    holds the highest, so that what was swept in the minute is in it; a short book is its mirror image.
    """
    if not minutes:
        return []
    low, high, reach = (
        np.array([getattr(minute, name) for minute in minutes]) for name in ("low_mark", "high_mark", "reach_percent")
    )
    ends = np.stack([low * (1 - reach / 100), high, low, high * (1 + reach / 100)], axis=1).reshape(-1, 2)
    first, last = bucket_of(np.clip(ends, MINIMUM_PRICE, MAXIMUM_PRICE), factor).T
    size = last - first + 1
    # One line per book, longs before shorts, as wide as the widest.
    width = int(size.max())
    amounts = _amounts(minutes, first, size, width)
    edges = lower_edge(np.minimum(first[:, None] + np.arange(width + 1), last[:, None] + 1), factor)
    books = [
        SideBook(
            side=side,
            base=int(first[number]),
            edges=edges[number, : end + 1],
            **{name: lines[number, :end] for name, lines in amounts.items()},
        )
        for number, (side, end) in enumerate(zip((*Side,) * len(minutes), size.tolist(), strict=True))
    ]
    return [{book.side: book for book in books[number : number + 2]} for number in range(0, len(books), 2)]


def _amounts(minutes: Sequence[MapMinute], first: IntArray, size: IntArray, width: int) -> dict[str, npt.NDArray[Any]]:
    """Return the amounts of the two books of each minute, by the names of `SideBook`, shape (books, width, ...).

    Books begin at the buckets `first` and have `size` of them; rows are added venue by venue.
    """
    shape = (len(size), width)
    expected, swept, observed = np.zeros((3, *shape), dtype=np.int64)
    by_venue = np.zeros((*shape, len(VENUES)), dtype=np.int64)
    by_band = np.zeros((*shape, len(LEVERAGE_BANDS)), dtype=np.int64)
    confidence = np.zeros(shape)
    given = [
        (number, VENUES.index(piece.venue), piece)
        for number, minute in enumerate(minutes)
        for piece in sorted(minute.pieces, key=lambda piece: VENUES.index(piece.venue))
        if len(piece.rows)
    ]
    if given:
        # As plain bytes: numpy would compare the types of records field by field.
        rows = np.concatenate([piece.rows.view(f"V{ROW.itemsize}") for _, _, piece in given]).view(ROW)
        marks = np.array([(number, venue, piece.holds, piece.flows) for number, venue, piece in given])
        minute, venue, holds, flows = np.repeat(marks, [len(piece.rows) for _, _, piece in given], axis=0).T
        book = 2 * minute + (rows["side"] != Side.LONG)
        position = rows["bucket"] - first[book]
        inside = np.flatnonzero((position >= 0) & (position < size[book]))
        rows, cell = rows[inside], book[inside] * width + position[inside]
        # On flat contiguous arrays numpy adds many times faster than on pairs of indices or fields of records.
        levels = rows["at_risk"] * holds[inside]
        np.add.at(by_venue.reshape(-1), cell * len(VENUES) + venue[inside], levels)
        np.add.at(expected.reshape(-1), cell, rows["expected"] * holds[inside])
        np.add.at(swept.reshape(-1), cell, rows["swept"] * flows[inside])
        np.add.at(observed.reshape(-1), cell, levels * rows["observed"])
        np.add.at(confidence.reshape(-1), cell, levels * rows["confidence"].astype(np.float64))
        banded = np.flatnonzero(rows["band"] >= 0)
        np.add.at(by_band.reshape(-1), cell[banded] * len(LEVERAGE_BANDS) + rows["band"][banded], levels[banded])
    return {
        "at_risk": by_venue.sum(axis=2),
        "expected": expected,
        "swept": swept,
        "observed": observed,
        "by_venue": by_venue,
        "by_band": by_band,
        "confidence": confidence,
    }
