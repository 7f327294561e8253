"""What turnover from before the log has left: put into the layers once, when a market's first hour has closed.

A market is not empty when its log begins. Without what is older, kappa takes the whole of what is executed for the work
of the few positions that were seen to open, and later, when the layers have filled, says too much (docs/accuracy.md).
`inferred` calls it after the opening of a minute.
"""

import numpy as np

from liqheat.domain.price_grid import FloatArray, IntArray, bucket_of
from processors.positions.distances import (
    LAYERS,
    OLDER_AGES,
    OLDER_MINUTES,
    UNIT,
    distances_of,
    price_units,
    table_places,
)
from processors.positions.inferred_state import InferredState
from processors.positions.minute_columns import MinuteColumns, mean_price, rows_of, turnover_of
from processors.positions.opening import expected_shares, whole_units

FIRST_MINUTES = 60
"""Minutes that are watched to see how much a market trades and moves, before what is older is put in."""

PRIOR_MINUTE_VARIANCE = 0.005**2 / 60
"""Variance of a minute's log return that weighs as much as an hour seen.

Real BTC, December 2025 to February 2026: 0.53% per hour."""

_KNOWN = -1
"""In `InferredState.first_minutes`: what is older is in the layers."""
_PARTS = 2.0**20
"""Parts in which the share never reached is counted, so that machines agree."""


def open_older(state: InferredState, markets: IntArray, minute: MinuteColumns) -> None:
    """Note the minute of markets in their first hour; open what is older where that hour ends and had turnover."""
    young = np.flatnonzero(state.first_minutes[markets] != _KNOWN)
    if not young.size:
        return
    _note(state, markets[young], rows_of(minute, young))
    is_due = (state.first_minutes[markets[young]] >= FIRST_MINUTES) & (state.first_usd[markets[young]] > 0)
    due = young[is_due]
    if not due.size:
        return
    markets, minute = markets[due], rows_of(minute, due)
    minutes = state.first_minutes[markets]
    turnover = state.first_usd[markets] / minutes
    seen = state.first_moves[markets] * UNIT**2
    variance = (seen + FIRST_MINUTES * PRIOR_MINUTE_VARIANCE) / (minutes + FIRST_MINUTES)
    bases, entries, units = state.base[markets], mean_price(minute), state.units(markets)
    shares = expected_shares(bases, state.width, entries, bucket_of(minute.mark_close) - bases, turnover)
    distances = distances_of(table_places(bases, state.width, entries))
    for layer in range(LAYERS):
        left = never_reached(distances, variance, OLDER_AGES[layer])
        state.layers[markets, layer] += whole_units(shares * left * OLDER_MINUTES[layer], units)
    state.first_minutes[markets] = _KNOWN
    state.first_usd[markets] = state.first_moves[markets] = 0


def never_reached(distances: FloatArray, variance: FloatArray, age: float) -> FloatArray:
    """Return the share of positions of mean age `age` whose liquidation price has not been reached.

    Of a random walk with `variance` per minute that ends after an exponential time of mean `age`, the chance to have
    gone as far as `d` is `exp(-d * sqrt(2 / (age * variance)))`.

    Args:
        distances: log distances from entry, shape (n, width).
        variance: of the log return of a minute, shape (n,).
        age: minutes.
    """
    rates = np.sqrt(2 / (age * variance))
    return np.asarray(np.rint(-np.expm1(-distances * rates[:, None]) * _PARTS) / _PARTS)


def _note(state: InferredState, markets: IntArray, minute: MinuteColumns) -> None:
    moves = price_units(state.close[markets]) - price_units(state.close_before[markets])
    state.first_minutes[markets] += minute.elapsed_minutes
    state.first_usd[markets] += turnover_of(minute)
    state.first_moves[markets] += moves**2
