"""The inferred map as flat cells, as the engine publishes it: at risk and expected, by side, band and bucket.

Reads `InferredState`, changes nothing. `leverage_band` of what is at risk is a view of its distance from entry; what is
expected has no leverage and is put in the bands in proportion to what is at risk in the same bucket.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import LEVERAGE_BANDS
from liqheat.domain.price_grid import FloatArray, IntArray, bucket_of
from processors.positions.distances import BAND_SHARES, BANDS, LAYERS
from processors.positions.evidence import BAND_WEIGHT, KAPPA_WEIGHT, UNKNOWN_INTEREST
from processors.positions.fine_columns import by_side, own_level, per_level, scaled
from processors.positions.inferred_state import LONG, SHORT, SWEPT, InferredState
from processors.positions.sweeping import Sweep

_CHUNK = 64
_FAR_FIRST = slice(None, None, -1)
"""Own bands, nearest first, in the order of `LEVERAGE_BANDS`: the lowest leverage is liquidated furthest away."""

HOUR_DEVIATION = 0.75
"""Deviation of the log of executed over expected in an hour and side, once kappa is learned.

Real BTC, January and February 2026, hours and sides with more than 100,000 USD expected: 0.74."""
KAPPA_DEVIATION = 0.7
"""The same of kappa itself over markets before anything is learned: assumed; BTC, SOL and DOGE lay within 1.4."""
EIGHT_IN_TEN = 1.2816
"""Standard deviations within which 80% of a normal variable lies."""

BUCKET_VARIANCE, UNLEARNED_VARIANCE = 0.5, 1.5
"""Of the log of what is at risk in a bucket: what stays, and what evidence takes away. Assumed, not measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells that hold anything, sorted by place, side (longs first), band and bucket; arrays of shape (cells,).

    `place` counts the markets asked for, `band` is an index into `LEVERAGE_BANDS`, `bucket` a published one.
    Amounts are micro-USD.
    """

    place: IntArray
    side: npt.NDArray[np.int8]
    band: npt.NDArray[np.int8]
    bucket: npt.NDArray[np.int32]
    at_risk_usd: IntArray
    expected_usd: IntArray
    opened_usd: IntArray
    closed_usd: IntArray
    swept_usd: IntArray
    confidence: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Sums by side, micro-USD, each (n, 2), longs first."""

    at_risk: IntArray
    expected: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class MarketFacts:
    """What was learned of n markets.

    `kappa`, `learned_usd` (executed USD remembered), `low` and `high` (bounds of executed over expected) have shape
    (n,); `multipliers` and `confidence`, by `LEVERAGE_BANDS`, (n, BANDS).
    """

    kappa: FloatArray
    learned_usd: FloatArray
    low: FloatArray
    high: FloatArray
    multipliers: FloatArray
    confidence: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class FineMap:
    """One market's map in fine buckets from `first_bucket` on: micro-USD of shape (W,), and the mark, USD.

    Longs are below the mark, shorts above.
    """

    first_bucket: int
    mark: float
    expected: IntArray
    at_risk: IntArray


def fine_map(state: InferredState, market: int) -> FineMap:
    """Return the map of `market` in fine buckets."""
    expected = scaled(state.layers[market].sum(axis=0), state.kappa[market])
    at_risk = scaled(state.bands[market], state.multipliers[market][:, None]).sum(axis=0)
    return FineMap(int(state.base[market]), float(state.close[market]), expected, at_risk)


def facts_of(state: InferredState, markets: IntArray) -> MarketFacts:
    """Return what was learned of `markets`."""
    usd = state.interest[markets] * state.close[markets]
    usd = np.where(usd > 0, usd, UNKNOWN_INTEREST)
    weight = KAPPA_WEIGHT * usd
    unlearned = weight / (weight + state.swept[markets])
    spread = EIGHT_IN_TEN * np.sqrt(HOUR_DEVIATION**2 + KAPPA_DEVIATION**2 * unlearned)
    weights = BAND_WEIGHT * usd[:, None] * np.asarray(BAND_SHARES)
    missing = weights / (weights + state.band_swept[markets])
    deviation = np.sqrt(BUCKET_VARIANCE + UNLEARNED_VARIANCE * missing)
    return MarketFacts(
        state.kappa[markets],
        state.executed[markets],
        np.exp(-spread),
        np.exp(spread),
        state.multipliers[markets][:, _FAR_FIRST],
        _found(deviation)[:, _FAR_FIRST],
    )


def totals_of(state: InferredState, markets: IntArray) -> Totals:
    """Return the exact sums of `cells_of`."""
    at_risk, expected = np.zeros((2, len(markets), 2), dtype=np.int64)
    known = np.flatnonzero(np.isfinite(state.close[markets]))
    for first in range(0, len(known), _CHUNK):
        part = known[first : first + _CHUNK]
        standing, hoped = _levels(state, markets[part])
        at_risk[part] = standing.sum(axis=(2, 3))
        expected[part] = hoped.sum(axis=2)
    return Totals(at_risk, expected)


def cells_of(state: InferredState, markets: IntArray, sweep: Sweep | None = None) -> Cells:
    """Return the cells of `markets`; with a `sweep` of theirs, as after it, and with it as the only flow.

    Markets without a price have none; then `sweep` leaves them out too.
    """
    known = np.flatnonzero(np.isfinite(state.close[markets]))
    confidence = facts_of(state, markets[known]).confidence
    pieces = []
    for first in range(0, len(known), _CHUNK):
        rows = known[first : first + _CHUNK]
        part = None if sweep is None else _part(sweep, first, first + len(rows))
        pieces.append(_cells(state, markets[rows], rows, confidence[first : first + len(rows)], part))
    if not pieces:
        nothing = np.zeros(0, dtype=np.int64)
        pieces = [(nothing,) * 9 + (np.zeros(0),)]
    columns = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    place, side, band, bucket, at_risk, expected, opened, closed, swept, sure = columns
    return Cells(
        place,
        side.astype(np.int8),
        band.astype(np.int8),
        bucket.astype(np.int32),
        at_risk,
        expected,
        opened,
        closed,
        swept,
        sure.astype(np.float32),
    )


def _cells(
    state: InferredState, markets: IntArray, places: IntArray, confidence: FloatArray, sweep: Sweep | None
) -> tuple[npt.NDArray[np.generic], ...]:
    at_risk, expected = _levels(state, markets, sweep)
    opened, closed, swept = _flows(state, markets, sweep)
    by_band = _split(expected, at_risk)
    held = at_risk | by_band
    for flow in (opened, closed, swept):
        held |= flow
    row, side, band, level = np.nonzero(held)
    bucket = level + (state.base[markets] // state.factor)[row]
    amounts = (array[row, side, band, level] for array in (at_risk, by_band, opened, closed, swept))
    return (places[row], 1 - 2 * side, band, bucket, *amounts, confidence[row, band])


def _levels(state: InferredState, markets: IntArray, sweep: Sweep | None = None) -> tuple[IntArray, IntArray]:
    """Return at risk (n, 2, BANDS, L) by `LEVERAGE_BANDS` and expected (n, 2, L), micro-USD."""
    factor = state.factor
    layers = state.layers[markets, 0]
    for layer in range(1, LAYERS):
        layers += state.layers[markets, layer]
    standing = state.standing[markets]
    if sweep is not None:
        layers[sweep.row, sweep.column] -= sweep.layers.sum(axis=1)
        level = sweep.column // factor
        for band in range(BANDS):
            np.subtract.at(standing[:, band], (sweep.row, level), sweep.published[:, band])
    hoped = scaled(layers, state.kappa[markets, None])
    column = bucket_of(state.close[markets]) - state.base[markets]
    own = column // factor
    row, fine, is_long = own_level(column, factor, state.levels)
    at_risk = _own_bands(state, markets, row, fine, sweep)
    longs = np.where(is_long[:, :, None], at_risk, 0).sum(axis=1)
    return (
        by_side(standing[:, _FAR_FIRST], own, row, longs[:, _FAR_FIRST]),
        by_side(per_level(hoped, factor), own, row, np.where(is_long, hoped[row[:, None], fine], 0).sum(axis=1)),
    )


def _own_bands(state: InferredState, markets: IntArray, row: IntArray, fine: IntArray, sweep: Sweep | None) -> IntArray:
    """Return what is at risk in the fine columns (r, factor) of `row` (r,), their marks' levels; (r, factor, BANDS)."""
    bands = state.bands[markets[row, None], :, fine]
    if sweep is not None:
        # Places of the rows in `row`, and which cells of theirs are in those levels.
        place = np.full(len(markets), -1)
        place[row] = np.arange(len(row))
        at = place[sweep.row]
        near = np.flatnonzero(at >= 0)
        near = near[sweep.column[near] // state.factor == fine[at[near], 0] // state.factor]
        bands[at[near], sweep.column[near] % state.factor] -= sweep.bands[near]
    return scaled(bands, state.multipliers[markets[row]][:, None])


def _flows(state: InferredState, markets: IntArray, sweep: Sweep | None) -> tuple[IntArray, IntArray, IntArray]:
    """Return opened, closed and swept, each (n, 2, BANDS, L) by `LEVERAGE_BANDS`, micro-USD."""
    shape = (len(markets), 2, BANDS, state.levels)
    if sweep is not None:
        swept = np.zeros(shape, dtype=np.int64)
        side = np.where(sweep.is_long, LONG, SHORT)
        for band in range(BANDS):
            cells = sweep.row, side, sweep.column // state.factor
            np.add.at(swept[:, :, _FAR_FIRST][:, :, band], cells, sweep.published[:, band])
        nothing = np.zeros_like(swept)
        return nothing, nothing, swept
    parts = []
    for kind in range(3):
        part = np.zeros(shape, dtype=np.int64)
        # Most markets open and close something in one minute of five.
        some = np.flatnonzero(state.flows[markets, kind].any(axis=(1, 2)))
        own_markets = markets[some]
        before = (state.close_before if kind == SWEPT else state.close)[own_markets]
        own = (bucket_of(before) - state.base[own_markets]) // state.factor
        inside = np.flatnonzero((own >= 0) & (own < state.levels))
        longs = state.flows_long[own_markets[inside], kind]
        flows = state.flows[own_markets, kind]
        part[some] = by_side(flows[:, _FAR_FIRST], own, inside, longs[:, _FAR_FIRST])
        parts.append(part)
    return parts[0], parts[1], parts[2]


def _split(expected: IntArray, at_risk: IntArray) -> IntArray:
    """Part `expected` (n, 2, L) among the bands as `at_risk` (n, 2, BANDS, L) is; sums stay exact."""
    whole = at_risk.sum(axis=2)
    parts, before = np.empty_like(at_risk), np.zeros_like(expected)
    running = np.zeros_like(expected)
    for band in range(len(LEVERAGE_BANDS)):
        running = running + at_risk[:, :, band]
        share = np.divide(running, whole, out=np.ones(whole.shape), where=whole > 0)
        upto = np.minimum(np.floor(expected * share).astype(np.int64), expected)
        if band == len(LEVERAGE_BANDS) - 1:
            upto = expected
        parts[:, :, band] = upto - before
        before = upto
    return parts


def _part(sweep: Sweep, first: int, end: int) -> Sweep:
    inside = (sweep.row >= first) & (sweep.row < end)
    return Sweep(
        sweep.row[inside] - first,
        sweep.column[inside],
        sweep.is_long[inside],
        sweep.layers[inside],
        sweep.bands[inside],
        sweep.published[inside],
        sweep.expected[first:end],
        sweep.bands_by_side[first:end],
    )


def _found(deviation: FloatArray) -> FloatArray:
    """Return the expected part of a level that is there, `2 * Phi(-s / 2)` for a lognormal error of deviation s."""
    # Abramowitz and Stegun 7.1.26: the error function to 1.5e-7, elementwise and alike on every machine.
    z = deviation / (2 * np.sqrt(2.0))
    t = 1 / (1 + 0.3275911 * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(series * np.exp(-z * z))
