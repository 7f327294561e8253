"""Funding: which side has paid over the last four hours, and when each venue settles next.

A positive rate is paid by longs, so the crowd is long. Rates hold for one settlement interval, which differs
by venue and symbol, so they are compared as rates of eight hours.
"""

import math
from collections.abc import Sequence

import numpy as np

from liqheat.domain.price_grid import FloatArray
from liqheat.domain.windows import HOUR_MS
from processors.signals.history import FUNDING_RATE, count_until

FUNDING_WINDOW_MS = 4 * HOUR_MS
COMPARED_MS = 8 * HOUR_MS


def learned_interval(interval: int, settlement_before: int, settlement: int) -> int:
    """Return the settlement interval (ms) after a venue named its next settlement: the step between two of them."""
    step = settlement - settlement_before
    return step if settlement_before > 0 and HOUR_MS <= step <= 24 * HOUR_MS else interval


def mean_rate(history: FloatArray, window: int, interval: int) -> float:
    """Return the mean funding rate, as a rate of eight hours, over the four hours that end with minute `window`."""
    own = slice(count_until(history, window - FUNDING_WINDOW_MS), count_until(history, window))
    rates = history[own, FUNDING_RATE]
    rates = rates[~np.isnan(rates)]
    return float(rates.mean()) * COMPARED_MS / interval if len(rates) else float("nan")


def direction(rate: float) -> int:
    """Return +1 where longs pay, -1 where shorts pay, 0 at no or unknown funding."""
    return 0 if math.isnan(rate) or rate == 0 else int(math.copysign(1, rate))


def seconds_to_settlement(settlement: int, now: int) -> float:
    """Return the countdown (s) from `now` (ms); NaN where no coming settlement is known."""
    return (settlement - now) / 1_000 if settlement >= now else float("nan")


def weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """Return the mean of the values that are known, by weight; equally if no weight is known; NaN if no value is."""
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if not math.isnan(value)]
    if not known:
        return float("nan")
    total = sum(weight for _, weight in known if weight > 0)
    if total == 0:
        return sum(value for value, _ in known) / len(known)
    return sum(value * weight for value, weight in known if weight > 0) / total
