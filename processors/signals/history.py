"""What one market did over the last hours: a compact record of its minutes that a checkpoint can hold.

Funding and open-interest signals read it; only the engine adds to it.
"""

import math

import numpy as np

from liqheat.domain.price_grid import FloatArray
from liqheat.domain.windows import HOUR_MS

KEPT_MS = 4 * HOUR_MS + HOUR_MS // 4
"""Four hours and a margin, so that a value "4 h ago" exists when a minute is missing."""

WINDOW, MARK_PRICE, FUNDING_RATE, OPEN_INTEREST = range(4)
"""Columns of a history: start of the minute (ms), close of the mark (USD), funding rate, open interest (coins)."""

EMPTY = np.empty((0, 4), dtype=np.float64)


def appended(history: FloatArray, window: int, mark_price: float, funding_rate: float, coins: float) -> FloatArray:
    """Return `history` (minutes in rows, ascending) with one minute more and without those too old."""
    row = np.array([[window, mark_price, funding_rate, coins]], dtype=np.float64)
    return np.concatenate((history[count_until(history, window - KEPT_MS) :], row))


def count_until(history: FloatArray, window: int) -> int:
    """Return how many minutes of `history` are not after the minute `window` (ms)."""
    return int(history[:, WINDOW].searchsorted(window, side="right"))


def value_at(history: FloatArray, column: int, window: int, tolerance_ms: int = HOUR_MS // 4) -> float:
    """Return the latest known value at the minute `window` (ms) or at most `tolerance_ms` before; NaN if none is."""
    place = count_until(history, window)
    while place and history[place - 1, WINDOW] >= window - tolerance_ms:
        place -= 1
        value = float(history[place, column])
        if not math.isnan(value):
            return value
    return float("nan")
