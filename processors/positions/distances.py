"""The constants of the inferred model with their sources, and its distances from entry as tables over the price grid.

`study` is the study of real BTC (half a year, three venues, 5-minute bars); `accounts` are real Hyperliquid
accounts (`docs/accuracy.md` has both). Nothing here was chosen on simulated markets.
"""

from math import erf, sqrt

import numpy as np

from liqheat.domain.price_grid import BUCKETS_PER_DECADE, FloatArray, IntArray, lower_edge

PRIOR_EXECUTED_SHARE = 0.03
"""USD executed per USD of turnover whose liquidation price is reached, before anything is learned (study)."""

MEDIAN_DISTANCE, DISTANCE_DEVIATION = 0.10, 1.5
"""Of the log distance from entry to liquidation, lognormal, by turnover (study: any median of 5 to 30% serves)."""

LAYER_HALF_LIVES = (6.0, 90.0, 960.0, 42_000.0)
"""Minutes. With `LAYER_WEIGHTS` they follow `(1 + age / 6 min) ** -0.5` (study) from a minute to a month."""
LAYER_WEIGHTS = (0.589, 0.287, 0.096, 0.028)

OLDEST = 43_200.0
"""Minutes before a market's first one in which turnover is taken to have been as in its first hour: `LAYER_WEIGHTS`
follow the study to a month and say nothing of older positions."""

BAND_EDGES = (0.004, 0.02, 0.04, 0.10, 0.20, 0.60)
"""Log distances from entry that part the bands; but for the ends, 1 / leverage at the bands' floors. Nearest first."""
BAND_SHARES = (0.003, 0.008, 0.055, 0.07, 0.42)
"""Share of open interest whose liquidation price lies in each band, before anything is learned; nearest first.

Fed BTC's marks, turnover and open interest they give 1.9, 6.1, 20 and 44% within 5, 10, 25 and 50% of the mark; of real
whales' notional (accounts) it is 1.7, 6.2, 18 and 46%. Active accounts, market makers among them, have less (1.1, 2.5,
8.8 and 19%), the small accounts that both lack more."""
AT_RISK_HALF_LIFE = 6_000.0
"""Minutes until half of what is open has been replaced (accounts: 93% of notional is still open after 7 h)."""

UNIT = 2e-5
"""Step of the tables: log price."""
_REACH = 75_000
"""Steps of a table to each side: a factor of 4.5 in price."""
_FIRST_BUCKET = -13 * BUCKETS_PER_DECADE
_LAST_BUCKET = 12 * BUCKETS_PER_DECADE


def _normal(values: FloatArray) -> FloatArray:
    return np.array([0.5 * (1 + erf(value / sqrt(2))) for value in values.tolist()])


def _expected_table() -> FloatArray:
    """Return the share of turnover within each distance; negative to the left, so that differences are densities."""
    distance = np.arange(1, _REACH + 1) * UNIT
    share = _normal(np.log(distance / MEDIAN_DISTANCE) / DISTANCE_DEVIATION)
    return np.concatenate([-share[::-1], [0.0], share])


def _band_table() -> FloatArray:
    """Return the summed band number (0 nearest) plus the part of the band within each distance, odd like the other.

    Inside a band notional is even over distance. A table of whole bands: the share of band `b` between two
    distances is how much of `[b, b + 1]` lies between their entries.
    """
    within = np.interp(np.arange(_REACH + 1) * UNIT, BAND_EDGES, np.arange(len(BAND_EDGES), dtype=np.float64))
    return np.concatenate([-within[:0:-1], within])


def _coxian(half_lives: tuple[float, ...], weights: tuple[float, ...]) -> FloatArray:
    """Return the part of what leaves each layer that goes on into the next, shape (layers,); the last one's is 0.

    A sum of exponentials `sum w_k exp(-r_k t)` with falling rates is the survival of what passes through the
    layers one after the other (a Coxian distribution), so only the first layer has to be opened into.
    """
    rates = np.log(2) / np.asarray(half_lives)
    rest = np.asarray(weights, dtype=np.float64) / sum(weights)
    onward = np.zeros(len(rates))
    # With the first stage's rate r, survival is exp(-rt) + p * (r exp(-rt) convolved with the rest's survival);
    # convolving exp(-r_k t) gives r / (r - r_k) * (exp(-r_k t) - exp(-rt)), so the rest weighs w_k (r - r_k) / r.
    for layer in range(len(rates) - 1):
        rest = rest[1:] * (rates[layer] - rates[layer + 1 :]) / rates[layer]
        onward[layer] = rest.sum()
        rest = rest / rest.sum()
    return onward


EDGE_UNITS: IntArray = np.rint(np.log(lower_edge(np.arange(_FIRST_BUCKET, _LAST_BUCKET))) / UNIT).astype(np.int64)
"""Log of the lower edge of every fine bucket in steps of `UNIT`, rounded, so that machines agree; see `edge_units`."""
EXPECTED_TABLE = _expected_table()
BAND_TABLE = _band_table()
LAYER_ONWARD = _coxian(LAYER_HALF_LIVES, LAYER_WEIGHTS)
BANDS = len(BAND_SHARES)
LAYERS = len(LAYER_HALF_LIVES)


def _older() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return, by layer, minutes of turnover that it holds of what was opened before the log, and their mean age."""
    lives = np.asarray(LAYER_HALF_LIVES) / np.log(2)
    ages = lives * -np.expm1(-OLDEST / lives)
    reached = np.concatenate([[1.0], np.cumprod(LAYER_ONWARD[:-1])])
    minutes = reached * ages
    # The first layer has filled itself by the end of the first hour.
    minutes[0] = 0.0
    return tuple(minutes.tolist()), tuple(ages.tolist())


OLDER_MINUTES, OLDER_AGES = _older()


def price_units(prices: FloatArray) -> IntArray:
    """Return the log of `prices` (USD, above 0) in steps of `UNIT`."""
    return np.rint(np.log(prices) / UNIT).astype(np.int64)


def table_places(first_buckets: IntArray, buckets: int, entries: FloatArray) -> IntArray:
    """Return where the edges of consecutive fine buckets fall in the tables, seen from an entry price.

    Args:
        first_buckets: first fine bucket of each row, shape (n,).
        buckets: how many there are in a row.
        entries: USD, shape (n,).

    Returns:
        Places in `EXPECTED_TABLE` and `BAND_TABLE`, shape (n, buckets + 1).
    """
    places: IntArray = EDGE_UNITS[(first_buckets - _FIRST_BUCKET)[:, None] + np.arange(buckets + 1)]
    places -= (price_units(entries) - _REACH)[:, None]
    np.maximum(places, 0, out=places)
    np.minimum(places, 2 * _REACH, out=places)
    return places


def distances_of(places: IntArray) -> FloatArray:
    """Return the log distance from entry of the middle of each bucket, from `table_places`, shape (n, buckets)."""
    return np.asarray(np.abs((places[:, 1:] + places[:, :-1]) * (UNIT / 2) - _REACH * UNIT))
