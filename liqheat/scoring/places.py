"""Where: executed liquidations over the prices that the mark newly reached, against what a map said of them.

A case is an hour, a side and a horizon. What an interval executed is spread evenly over the ground that it newly
reached, so even an oracle can't be sure; the map is judged by its density over that ground alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.windows import HOUR_MS
from liqheat.scoring.amounts import block_length
from liqheat.scoring.bars import Bars, Executed

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

HORIZONS = (6, 24, 72)
"""Hours ahead."""
CELL = 0.001
"""Width of a cell, log price."""
CELLS = 300
"""Cells to each side of the price at the hour's start: 35%."""
UNIFORM_SHARE = 0.1
"""Part of a uniform density mixed into every map, so that a hole costs something finite."""
KERNEL_SCALE = 0.01
"""Distance, log price, of the kernel `1 - exp(-d / 1%)`."""
MOST_UNKNOWN = 0.05
"""Share of a horizon whose liquidations may be unknown; more would move what is counted as reached."""
EXPECTED_POWER, KERNEL_POWER = 0.2, 0.5
"""Place is judged on `expected_usd ** 0.2 * (1 - exp(-d / 1%)) ** 0.5` per unit of log price (study of real BTC)."""


def distances() -> FloatArray:
    """Return the distance of each cell's middle from the price, log price, shape (CELLS,)."""
    return np.asarray((np.arange(CELLS) + 0.5) * CELL, dtype=np.float64)


def kernel() -> FloatArray:
    """Return the density that knows of distance alone, shape (CELLS,)."""
    return np.asarray(1 - np.exp(-distances() / KERNEL_SCALE))


def place_density(expected: FloatArray) -> FloatArray:
    """Return the density by which a map is judged, from USD per cell, both of shape (..., CELLS)."""
    return np.asarray(np.maximum(expected, 0.0) ** EXPECTED_POWER * kernel() ** KERNEL_POWER)


@dataclass(frozen=True, slots=True, eq=False)
class PlaceCases:
    """What came of each case, c in all: the cells reached, and executed USD in each.

    `hour` is the place of the case's hour among those asked for, `side` 0 for longs; `executed` has shape (c, CELLS),
    `reached` is how many cells of it were, the last one in part, `block` the hour's block of time.
    """

    hour: IntArray
    side: IntArray
    reached: FloatArray
    executed: FloatArray
    block: IntArray


def place_cases(bars: Bars, executed: Executed, first_bars: IntArray, horizon_hours: int) -> PlaceCases:
    """Return the cases of one horizon; those in which nothing was executed on new ground are left out.

    Args:
        bars: the history.
        executed: its liquidations.
        first_bars: first bar of each hour asked for.
        horizon_hours: how far is looked ahead; hours without as much history ahead are left out, and those with more
            than a twentieth of it missing or unknown.
    """
    _, is_known = executed.by_bar(bars)
    upto, wanted = np.r_[0, np.cumsum(is_known)], horizon_hours * HOUR_MS / bars.step_ms
    executed = executed.within(bars)
    begin = np.searchsorted(bars.start, executed.start)
    end = np.maximum(np.searchsorted(bars.start, executed.end), begin + 1)
    highs, lows = np.log(bars.high), np.log(bars.low)
    length = block_length(bars.start[first_bars])
    found: list[tuple[int, int, float, FloatArray, int]] = []
    for place, bar in enumerate(first_bars.tolist()):
        until = int(bars.start[bar]) + horizon_hours * HOUR_MS
        if until > bars.start[-1] + bars.step_ms:
            continue
        known = upto[np.searchsorted(bars.start, until)] - upto[bar]
        if known < (1 - MOST_UNKNOWN) * wanted:
            continue
        price = float(np.log(bars.open[bar]))
        rows = slice(
            int(np.searchsorted(executed.start, bars.start[bar])), int(np.searchsorted(executed.end, until, "right"))
        )
        for side in range(2):
            cells, reached = _spread(
                (price - lows) if side == 0 else (highs - price), begin[rows], end[rows], executed.usd[rows, side]
            )
            if cells.sum() > 0:
                found.append((place, side, reached, cells, int(bars.start[bar]) // length))
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return PlaceCases(nothing, nothing, np.zeros(0), np.zeros((0, CELLS)), nothing)
    hour, sides, reached_cells, amounts, block = zip(*found, strict=True)
    return PlaceCases(np.array(hour), np.array(sides), np.array(reached_cells), np.stack(amounts), np.array(block))


def _spread(away: FloatArray, begin: IntArray, end: IntArray, usd: FloatArray) -> tuple[FloatArray, float]:
    """Spread each interval's USD over the cells that it reached first; return them and how many were reached."""
    cells, furthest = np.zeros(CELLS), 0.0
    limit = CELLS * CELL
    for first, after, amount in zip(begin.tolist(), end.tolist(), usd.tolist(), strict=True):
        now = min(float(away[first:after].max(initial=0.0)), limit)
        if now <= furthest:
            continue
        if amount > 0:
            low, high = furthest / CELL, now / CELL
            inside = np.arange(int(low), min(int(np.ceil(high)), CELLS))
            parts = np.minimum(inside + 1, high) - np.maximum(inside, low)
            cells[inside] += amount * parts / (high - low)
        furthest = now
    return cells, furthest / CELL


def place_scores(cases: PlaceCases, density: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Score a map: nats over uniform and AUC of each case, and the case's weight, each of shape (c,).

    Args:
        cases: what happened.
        density: the map's density at each hour, (hours, 2, CELLS), longs first.
    """
    nats, areas = np.zeros(len(cases.hour)), np.zeros(len(cases.hour))
    for place, (hour, side, reached) in enumerate(
        zip(cases.hour.tolist(), cases.side.tolist(), cases.reached.tolist(), strict=True)
    ):
        count = min(int(np.ceil(reached)), CELLS)
        held, died = density[hour, side, :count], cases.executed[place, :count]
        width = np.minimum(reached - np.arange(count), 1.0)
        whole = float(held @ width)
        relative = held / whole * reached if whole > 0 else np.ones(count)
        mixed = (1 - UNIFORM_SHARE) * relative + UNIFORM_SHARE
        share = died / died.sum()
        nats[place] = float(share @ np.log(mixed))
        areas[place] = _area(held, share, width)
    return nats, areas, np.sqrt(cases.executed.sum(axis=1))


def _area(held: FloatArray, share: FloatArray, width: FloatArray) -> float:
    """Return the chance that the map is denser where one died than at a random reached price; ties count half."""
    order = np.argsort(held, kind="stable")
    ordered, died, wide = held[order], share[order], width[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    group = np.cumsum(np.r_[False, ordered[1:] != ordered[:-1]])
    sizes = np.add.reduceat(wide, first)
    below = np.cumsum(sizes) - sizes / 2
    return float(died @ below[group]) / float(wide.sum())


def weighted(values: FloatArray, weights: FloatArray) -> float:
    """Return the weighted mean; NaN without weight."""
    return float(values @ weights / weights.sum()) if weights.sum() > 0 else float("nan")
