"""Simulated minutes with clusters whose effect on price is known: for tests of `liqheat.scoring.study`."""

import math

import numpy as np

from liqheat.scoring.study_moments import Clusters, History

STEP = 0.0006
"""Standard deviation of a minute's log return: 2.3% per day."""


def series(
    seed: int,
    days: int = 30,
    pull: float = 0.0,
    near: float = 1.0,
    swept_volatility: float = 1.0,
    liquidated_usd: float = 0.0,
    symbol: str = "TAO",
) -> History:
    """Return a random walk that meets a cluster every few hours.

    A cluster of 10% of ADV is born 1.5 to 3% from the price on either side, and lives 5 hours or until the price is
    through it. While it is within `near` %, a minute's mean return is `pull` standard deviations towards it. For an
    hour after a sweep returns are `swept_volatility` times as large; a sweep liquidates `liquidated_usd` of its side
    over the ten minutes after it.
    """
    generator = np.random.default_rng(seed)
    count = days * 1_440
    shocks = generator.standard_normal(count)
    wicks = np.abs(generator.standard_normal((count, 2))) * STEP / 4
    log = 0.0
    closes, highs, lows = np.zeros(count), np.zeros(count), np.zeros(count)
    executed = np.zeros((count, 2))
    rows: list[tuple[int, int, int, float, float, float, bool]] = []
    number, born, side, low, high, alive, swept_at = 0, -10_000, 1, 0.0, 0.0, False, -10_000
    for minute in range(count):
        drift = 0.0
        edge = high if side > 0 else low
        if alive and abs(math.exp(log) / edge - 1) * 100 <= near:
            drift = -side * pull * STEP
        loud = swept_volatility if minute - swept_at <= 60 else 1.0
        before = log
        log += drift + shocks[minute] * STEP * loud
        closes[minute] = math.exp(log)
        highs[minute] = math.exp(max(before, log) + wicks[minute, 0])
        lows[minute] = math.exp(min(before, log) - wicks[minute, 1])
        if alive:
            through = lows[minute] <= low if side > 0 else highs[minute] >= high
            ends = through or minute - born > 300
            rows.append((number, minute, side, low, high, 0.0 if ends else 10.0, through))
            if through:
                swept_at = minute
                executed[minute + 1 : minute + 11, 0 if side > 0 else 1] += liquidated_usd / 10
            alive = not ends
        elif minute - born > 480 + 120 * (number % 3):
            number, born, alive = number + 1, minute, True
            side = 1 if generator.random() < 0.5 else -1
            middle = math.exp(log) * (1 - side * generator.uniform(0.015, 0.03))
            low, high = middle * 0.999, middle * 1.001
            rows.append((number, minute, side, low, high, 10.0, False))
    clusters = Clusters(*(np.array(column) for column in zip(*rows, strict=True)))
    return History(symbol, 0, closes, highs, lows, executed, np.ones(count, dtype=np.bool_), clusters)
