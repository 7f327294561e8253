"""How the model's mass ages and grows: layers by turnover every minute, bands by open interest every five.

All functions take some markets' rows and return their new ones; `inferred` writes them back. Amounts come in whole
units of a market, rounded down, so that opened = held + closed + swept holds in integers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.price_grid import FloatArray, IntArray, bucket_of
from processors.positions.distances import (
    AT_RISK_HALF_LIFE,
    BAND_SHARES,
    BAND_TABLE,
    BANDS,
    EXPECTED_TABLE,
    LAYER_HALF_LIVES,
    LAYER_ONWARD,
    LAYERS,
    PRIOR_EXECUTED_SHARE,
    table_places,
)
from processors.positions.fine_columns import ragged
from processors.positions.inferred_state import LONG, SHORT

LAYER_PERIODS = (1, 8, 64, 512)
"""Minutes between two steps of each layer: slow ones need few."""
BAND_PERIOD = 5
"""Minutes between two looks at open interest, which venues publish no finer."""


def steps_between(end_minute: IntArray, elapsed: IntArray, period: int) -> IntArray:
    """Return how many multiples of `period` minutes lie after the closing before and up to this one, shape (n,)."""
    return np.asarray(end_minute // period - (end_minute - elapsed) // period)


def age_layers(layers: IntArray, end_minute: IntArray, elapsed: IntArray, units: FloatArray) -> IntArray:
    """Return `layers`, shape (n, LAYERS, W), older by the minutes elapsed.

    Slow layers go first, so that what enters one stays for a step.
    """
    for layer in range(LAYERS - 1, -1, -1):
        period = LAYER_PERIODS[layer]
        steps = steps_between(end_minute, elapsed, period)
        rows = np.flatnonzero(steps)
        if not rows.size:
            continue
        keep = np.exp2(-steps[rows] * period / LAYER_HALF_LIVES[layer])
        held = layers[rows, layer]
        kept = whole_units(held * keep[:, None], units[rows])
        np.minimum(kept, held, out=kept)
        if layer + 1 < LAYERS:
            moved = whole_units((held - kept) * LAYER_ONWARD[layer], units[rows])
            layers[rows, layer + 1] += moved
        layers[rows, layer] = kept
    return layers


def expected_shares(
    bases: IntArray, width: int, entries: FloatArray, closes: IntArray, turnover: IntArray | FloatArray
) -> FloatArray:
    """Return what turnover opens, micro-USD not yet in whole units, shape (n, width).

    Args:
        bases: first fine bucket, shape (n,).
        width: fine columns.
        entries: mean traded price, USD.
        closes: column of the mark at the closing; nothing opens between it and the entry, nor in their own columns.
        turnover: micro-USD.
    """
    shares = np.diff(EXPECTED_TABLE[table_places(bases, width, entries)], axis=1)
    shares *= (turnover * PRIOR_EXECUTED_SHARE)[:, None]
    _clear_reached(shares, bases, width, entries, closes)
    return shares


@dataclass(frozen=True, slots=True, eq=False)
class BandStep:
    """What happens to the bands of n markets: `keep` and `opened_usd` by side and band, both (n, 2, BANDS)."""

    keep: FloatArray
    opened_usd: FloatArray


def band_step(
    interest: FloatArray, anchor: FloatArray, prices: FloatArray, minutes: IntArray, swept: IntArray
) -> BandStep:
    """Return what brings the bands to open interest.

    Of what is open a part is replaced as it ages, and what was swept is replaced by what opened instead, for open
    interest says what is there. What it lacks beyond that closes everywhere alike.

    Args:
        interest: open interest now, coins, shape (n,).
        anchor: at the step before, NaN at the first: then all of it opens.
        prices: USD.
        minutes: since the step before.
        swept: micro-USD since then at multipliers of 1, (n, 2, BANDS).
    """
    shares = np.asarray(BAND_SHARES)
    keep = np.exp2(-minutes / AT_RISK_HALF_LIFE)
    is_first = np.isnan(anchor)
    whole = (interest * prices)[:, None, None] * shares
    grown = np.where(is_first, interest, interest - anchor) * prices
    replaced = np.where(is_first, 0.0, (1 - keep) * interest * prices)
    change = (grown + replaced)[:, None, None] * shares + swept / MICRO_USD_PER_USD
    room = np.divide(np.minimum(change, 0.0), whole, out=np.zeros_like(change), where=whole > 0)
    kept = np.where(whole > 0, keep[:, None, None] * np.clip(1 + room, 0.0, 1.0), 0.0)
    return BandStep(kept, np.maximum(change, 0.0))


def bands_opened(
    bases: IntArray,
    width: int,
    entries: FloatArray,
    closes: IntArray,
    bands: IntArray,
    step: BandStep,
    units: FloatArray,
) -> tuple[IntArray, IntArray]:
    """Return the bands after `step`, and what of them opened in it, both (n, BANDS, width); `bands` is left alone."""
    places = table_places(bases, width, entries)
    within = BAND_TABLE[places]
    is_long = np.arange(width) < closes[:, None]
    kept, opened = np.empty_like(bands), np.empty_like(bands)
    for band in range(BANDS):
        keep = np.where(is_long, step.keep[:, LONG, band, None], step.keep[:, SHORT, band, None])
        kept[:, band] = np.minimum(whole_units(bands[:, band] * keep, units), bands[:, band])
        usd = np.where(is_long, step.opened_usd[:, LONG, band, None], step.opened_usd[:, SHORT, band, None])
        # Longs lie at falling, shorts at rising places; a column's part of the band is the same difference.
        parts = np.diff(np.clip(within, band, band + 1), axis=1) + np.diff(np.clip(within, -band - 1, -band), axis=1)
        parts *= usd * MICRO_USD_PER_USD
        opened[:, band] = whole_units(parts, units)
        _clear_reached(opened[:, band], bases, width, entries, closes)
    return kept + opened, opened


def _clear_reached(
    opened: npt.NDArray[Any], bases: IntArray, width: int, entries: FloatArray, closes: IntArray
) -> None:
    """Take out the columns from the entry's to the mark's: a position there would be gone already."""
    entry = bucket_of(entries) - bases
    first = np.clip(np.minimum(entry, closes), 0, width)
    last = np.clip(np.maximum(entry, closes), -1, width - 1)
    row, column = ragged(first, last - first + 1)
    opened[row, column] = 0


def whole_units(amounts: npt.NDArray[Any], units: FloatArray) -> IntArray:
    """Return `amounts` (micro-USD, at least 0, shape (n, W)) as whole units of their row, rounded down, micro-USD."""
    amounts /= units[:, None]
    np.floor(amounts, out=amounts)
    amounts *= units[:, None]
    return amounts.astype(np.int64)
