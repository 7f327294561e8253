"""The map of one who knows every entry, size and side, but not the margin behind a position: a bound for all maps.

He also knows the habits of the world: how far from entry positions of each size are liquidated, as a smooth
distribution, and how far price has come against each position without closing it. What is left to guess is whose
margin is how large. Inferred maps are measured against what he reaches.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_SIZE_QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.97)
"""Bounds of the size classes, in the number of positions: habits differ most among the largest."""
_NARROWEST, _WIDEST, _CELLS = 1e-3, 8.0, 90
"""Distances from entry, in the log of the price, and into how many cells their log is cut."""
_SMOOTHINGS = 6
"""Rounds of (1, 2, 1) / 4: a spread of 0.17 in the log of the distance, so that no position betrays its own margin."""
_STEP = 0.001
"""Width of the prices that notional is spread over, in the log."""


@dataclass(frozen=True, slots=True)
class KnownPositions:
    """What the oracle knows of the open positions of one side; arrays of one length."""

    venue: IntArray
    entry: FloatArray
    """USD per coin."""
    notional: FloatArray
    """USD."""
    worst: FloatArray
    """How far price has come against the position since its entry, USD per coin."""


def distance_tables(
    sign: int, positions: KnownPositions, liquidation_price: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the habits of a side: bounds of the size classes, and by class the share liquidated up to each distance.

    Open positions have not been reached yet, so the near ones among those whom price came close to are missing. Each
    distance's share is therefore taken among those only whom price had left there to see: the product-limit
    estimate for left-truncated data (Lynden-Bell 1971).

    Args:
        sign: +1 longs, -1 shorts.
        positions: the open positions of the side.
        liquidation_price: theirs, USD per coin; NaN where there is none. Only the smooth distribution is kept.

    Returns:
        Bounds of notional (USD, shape (classes - 1,)), and cumulated shares of shape (classes, cells + 1) over the
        edges of `_edges`; what is missing to 1 is never liquidated.
    """
    bounds = np.quantile(positions.notional, _SIZE_QUANTILES)
    classes = np.searchsorted(bounds, positions.notional, side="right")
    has_one = ~np.isnan(liquidation_price)
    distance = sign * np.log(positions.entry / np.where(has_one, liquidation_price, positions.entry))
    ends, starts = _cells(distance), _cells(_adverse(sign, positions))
    shape = (len(bounds) + 1, _CELLS)
    ended, begun = np.zeros(shape), np.zeros(shape)
    np.add.at(ended, (classes[has_one], ends[has_one]), 1.0)
    np.add.at(begun, (classes, starts), 1.0)
    seen = begun.cumsum(axis=1) - ended.cumsum(axis=1) + ended
    for _ in range(_SMOOTHINGS):
        ended, seen = _smoothed(ended), _smoothed(seen)
    hazard = np.clip(ended / np.maximum(seen, 1.0), 0.0, 1.0)
    cumulated = 1 - np.cumprod(1 - hazard, axis=1)
    return bounds, np.concatenate([np.zeros((len(cumulated), 1)), cumulated], axis=1)


def spread(
    sign: int,
    positions: KnownPositions,
    tables: tuple[FloatArray, FloatArray],
    mark: float,
    reach: float,
) -> tuple[FloatArray, FloatArray]:
    """Return prices (USD per coin) within `reach` of `mark` and the notional (USD) that the oracle expects at each.

    Each position's notional is spread over the distances from its entry that price has not come to yet.
    """
    bounds, cumulated = tables
    steps = np.arange(round(-np.log(1 - reach) / _STEP))
    near = np.log(mark) - sign * steps * _STEP
    prices = np.exp(near - sign * _STEP / 2)
    usd = np.zeros(len(steps))
    classes = np.searchsorted(bounds, positions.notional, side="right")
    adverse = _adverse(sign, positions)
    log_edges = np.log(_edges())
    for number, shares in enumerate(cumulated):
        here = np.flatnonzero(classes == number)
        if not len(here):
            continue
        from_entry = sign * (np.log(positions.entry[here])[:, None] - near)
        inner = np.maximum(from_entry, adverse[here][:, None])
        outer = np.maximum(from_entry + _STEP, inner)
        up_to = np.interp(_log(inner), log_edges, shares), np.interp(_log(outer), log_edges, shares)
        left = 1 - np.interp(_log(adverse[here]), log_edges, shares)
        weight = positions.notional[here] / np.maximum(left, 1e-9)
        usd += ((up_to[1] - up_to[0]) * weight[:, None]).sum(axis=0)
    return prices, usd


def _edges() -> FloatArray:
    return np.geomspace(_NARROWEST, _WIDEST, _CELLS + 1)


def _adverse(sign: int, positions: KnownPositions) -> FloatArray:
    """Return how far price has come against each position, in its log; 0 where it never did."""
    return np.asarray(np.maximum(sign * np.log(positions.entry / positions.worst), 0.0))


def _cells(distance: FloatArray) -> IntArray:
    inside = np.clip(distance, _NARROWEST, _WIDEST * (1 - 1e-9))
    return np.asarray(np.minimum(np.searchsorted(_edges(), inside, side="right") - 1, _CELLS - 1))


def _smoothed(table: FloatArray) -> FloatArray:
    wide = np.pad(table, ((0, 0), (1, 1)), mode="edge")
    return np.asarray((wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4)


def _log(distance: FloatArray) -> FloatArray:
    return np.log(np.maximum(distance, 1e-9))
