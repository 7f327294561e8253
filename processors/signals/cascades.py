"""What happens if price gets there: the map against the order book, for many symbols and both directions at once.

Pure arithmetic between two curves over distance from the mark: `depth`, the USD that rest in the books of all
venues up to that distance, and `forced`, the USD that the map expects to be liquidated up to that distance.
`processors.signals.cascade_rows` makes both from a symbol's minute and writes the answer as rows.

A move to distance m takes depth(m) out of the book. It forces orders worth forced(x) on the way to where price
comes to rest, x. The book between m and x absorbs them, and gives a share `refill` again while it happens:

    (1 + refill) * (depth(x) - depth(m)) = forced(x),    x >= m

The smallest such x is the fixed point of x <- depth^-1(depth(m) + forced(x) / (1 + refill)) from x = m.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

STEP_PERCENT = 0.1
GRID_PERCENT: FloatArray = np.round(np.arange(1, 301) * STEP_PERCENT, 1)
"""Distances from the mark, in percent of it, at which the curves are read: 0.1 to 30, shape (G,)."""

TRIGGER_FACTOR = 1.5
"""A chain that carries price at least half as far again is a cascade; the nearest such move is the trigger."""

_ROWS_AT_ONCE = 64
"""Curves solved together: G x G comparisons each, so this bounds the memory to some 6 MB."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Where moves to every distance of the grid come to rest; all arrays have shape (n, G).

    `rest_percent` is the distance of rest, the last of the grid where the book known does not hold the chain
    (`is_beyond`). `liquidated_usd` is what is forced up to there.
    """

    rest_percent: FloatArray
    liquidated_usd: FloatArray
    is_beyond: BoolArray

    @property
    def amplification(self) -> FloatArray:
        """How many times as far as the move itself price goes, 1 where nothing is forced; shape (n, G)."""
        return self.rest_percent / GRID_PERCENT

    def trigger(self) -> IntArray:
        """Return the place in the grid of each curve's nearest move that is a cascade, -1 where none is; (n,).

        Only moves are looked at whose half as far again is still on the grid.
        """
        looked = GRID_PERCENT[-1] / TRIGGER_FACTOR >= GRID_PERCENT
        carried = (self.is_beyond | (self.rest_percent >= TRIGGER_FACTOR * GRID_PERCENT)) & looked
        return np.where(carried.any(axis=1), carried.argmax(axis=1), -1)


def depth_curve(bands_percent: FloatArray, depth_usd: FloatArray, reach_percent: FloatArray) -> FloatArray:
    """Return the resting USD of several books up to each distance of the grid, shape (n, G).

    Between the distances that a book was read at, depth is taken to lie evenly. Beyond what the book reaches it
    goes on with the density of the outer half of what is known: an assumption, since venues show so much only.

    Args:
        bands_percent: ascending distances at which depth was read, shape (b,).
        depth_usd: cumulative USD within each of them, shape (n, b); within a band beyond the reach it is what the
            book shows at all.
        reach_percent: how far each book reaches, shape (n,); 0 for a book that shows nothing.
    """
    curves = np.zeros((len(depth_usd), GRID_PERCENT.size))
    for row, (amounts, reach) in enumerate(zip(depth_usd, reach_percent, strict=True)):
        if not reach > 0:
            continue
        known = bands_percent < reach
        places = np.concatenate(([0.0], bands_percent[known], [reach]))
        inside = np.concatenate(([0.0], amounts[known], [_shown(bands_percent, amounts, reach)]))
        density = (inside[-1] - np.interp(reach / 2, places, inside)) / (reach / 2)
        beyond = np.maximum(GRID_PERCENT - reach, 0.0)
        curves[row] = np.interp(GRID_PERCENT, places, inside) + density * beyond
    return curves


def _shown(bands_percent: FloatArray, amounts: FloatArray, reach: float) -> float:
    """Return what the book holds up to its reach: the first band that is not inside it holds all of that.

    A reach between two bands is the end of the book; a reach past the last band is read at that band.
    """
    place = min(int(np.searchsorted(bands_percent, reach)), bands_percent.size - 1)
    return float(amounts[place])


def forced_curve(distance_percent: FloatArray, expected_usd: FloatArray) -> FloatArray:
    """Return the USD expected to be liquidated up to each distance of the grid, shape (G,).

    Args:
        distance_percent: distance of each level from the mark, >= 0, shape (m,), any order.
        expected_usd: what each level is expected to execute when price gets there, shape (m,).
    """
    # A level inside a step counts from the end of the step on, so that nothing is forced before price is there.
    places = np.ceil(np.maximum(distance_percent, STEP_PERCENT) / STEP_PERCENT - 1e-9).astype(np.int64) - 1
    within = places < GRID_PERCENT.size
    steps = np.bincount(places[within], weights=expected_usd[within], minlength=GRID_PERCENT.size)
    return np.asarray(np.cumsum(steps), dtype=np.float64)


def chains(depth_usd: FloatArray, forced_usd: FloatArray, refill: float) -> Chain:
    """Return where a move to each distance of the grid comes to rest.

    Args:
        depth_usd: cumulative resting USD by distance, not falling, shape (n, G).
        forced_usd: cumulative USD forced by distance, not falling, shape (n, G).
        refill: share of the absorbed depth that is offered again while it happens, >= 0.

    Raises:
        ValueError: the shapes differ from (n, G), a curve falls, or `refill` is negative.
    """
    if depth_usd.shape != forced_usd.shape or depth_usd.shape[1:] != GRID_PERCENT.shape:
        raise ValueError(f"Expected two curves over {GRID_PERCENT.size} distances, was {depth_usd.shape}")
    if refill < 0:
        raise ValueError(f"Expected a refill share of at least 0, was {refill}")
    if (np.diff(depth_usd, axis=1) < 0).any() or (np.diff(forced_usd, axis=1) < 0).any():
        raise ValueError("Expected curves that do not fall with distance")
    parts = [
        _solve(depth_usd[start : start + _ROWS_AT_ONCE], forced_usd[start : start + _ROWS_AT_ONCE], refill)
        for start in range(0, len(depth_usd), _ROWS_AT_ONCE)
    ]
    if not parts:
        empty = np.zeros((0, GRID_PERCENT.size))
        return Chain(empty, empty, empty.astype(np.bool_))
    return Chain(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _solve(depth: FloatArray, forced: FloatArray, refill: float) -> tuple[FloatArray, FloatArray, BoolArray]:
    left = depth - forced / (1 + refill)
    # Of the places from m on, the first at which the book that is left holds what the move itself took.
    holds = (left[:, None, :] >= depth[:, :, None]) & np.triu(np.ones((GRID_PERCENT.size,) * 2, dtype=np.bool_))
    is_beyond: BoolArray = np.asarray(~holds.any(axis=2), dtype=np.bool_)
    place = np.where(is_beyond, GRID_PERCENT.size - 1, holds.argmax(axis=2))
    before = np.maximum(place - 1, 0)
    wanted, high, low = depth, np.take_along_axis(left, place, 1), np.take_along_axis(left, before, 1)
    itself = place == np.arange(GRID_PERCENT.size)
    # Between two places both curves are straight, so the crossing is too; a move that forces nothing rests itself.
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(itself | is_beyond | (high <= low), 1.0, (wanted - low) / (high - low))
    part = np.clip(part, 0.0, 1.0)
    rest = GRID_PERCENT[before] + part * (GRID_PERCENT[place] - GRID_PERCENT[before])
    rest = np.where(itself, GRID_PERCENT, np.maximum(rest, GRID_PERCENT))
    done_low, done_high = np.take_along_axis(forced, before, 1), np.take_along_axis(forced, place, 1)
    liquidated = np.where(itself, forced, done_low + part * (done_high - done_low))
    return rest, liquidated, is_beyond
