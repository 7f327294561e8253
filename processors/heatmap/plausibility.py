"""Values that no market has: a price or an open interest that leaps is held until it is confirmed or superseded.

A value within `step` times the last accepted one, up or down, is accepted. One beyond is held: it changes nothing. If
the next one is near the held one, the leap is confirmed and accepted from there on (a coin was redenominated, trading
began again at another price); if it is near the last accepted one, the held one was wrong. A crash passes: with the
default step of 3 a mark may lose two thirds from one reading to the next, and the 60% wick that happened is less.

Each market and kind of value is judged by its own past in log order, so cuts of the log change nothing.
"""

import math

import numpy as np
import numpy.typing as npt

from liqheat.domain.price_grid import FloatArray, IntArray

CONFIRM_STEP = 1.25
"""How far, as a factor, a second value may be from a held one to confirm it."""


def is_near(value: float, other: float, step: float) -> bool:
    """Whether two values from 0 up are within a factor of `step`; 0 is near 0 alone."""
    return value <= other * step and other <= value * step


def judge_one(value: float, accepted: float, held: float, step: float) -> tuple[bool, float, float]:
    """Judge one value.

    Args:
        value: 0 or more.
        accepted: the last accepted value, NaN before the first.
        held: the value that waits for confirmation, NaN while none does.
        step: factor up to which a change is plausible, above 1.

    Returns:
        Whether it is accepted, and what is accepted and held then.
    """
    if math.isnan(accepted) or is_near(value, accepted, step):
        return True, value, math.nan
    if not math.isnan(held) and is_near(value, held, CONFIRM_STEP):
        return True, value, math.nan
    return False, accepted, value


def judge(
    values: FloatArray, first: IntArray, accepted: FloatArray, held: FloatArray, step: float
) -> tuple[npt.NDArray[np.bool_], FloatArray, FloatArray]:
    """Judge the values of many markets, each market's in log order.

    Args:
        values: shape (n,), each market's side by side.
        first: place of each market's first value, ascending from 0, shape (markets,).
        accepted: of each market, as in `judge_one`.
        held: likewise.
        step: as in `judge_one`.

    Returns:
        Which values are accepted, shape (n,), and what is accepted and held of each market then.
    """
    before = np.empty_like(values)
    before[1:] = values[:-1]
    before[first] = accepted
    leaps = ~(np.isnan(before) | ((values <= before * step) & (before <= values * step)))
    last = np.append(first[1:], len(values)) - 1
    good = np.ones(len(values), np.bool_)
    taken, waiting = values[last], np.full(len(first), np.nan)
    if not leaps.any():
        return good, taken, waiting
    # Where nothing leaps the value before is the last accepted one; only the others are gone through one by one.
    for market in np.unique(np.searchsorted(first, np.flatnonzero(leaps), side="right") - 1).tolist():
        places = range(int(first[market]), int(last[market]) + 1)
        taken[market], waiting[market] = _go_through(
            values, good, places, float(accepted[market]), float(held[market]), step
        )
    return good, taken, waiting


def _go_through(
    values: FloatArray, good: npt.NDArray[np.bool_], places: range, accepted: float, held: float, step: float
) -> tuple[float, float]:
    for place in places:
        good[place], accepted, held = judge_one(float(values[place]), accepted, held, step)
    return accepted, held
