"""Simulated accounts look like real ones: each statistic lies within stated bounds of what was measured.

The measured values are those of 236 Hyperliquid accounts of at least 25,000 USD on 13 July 2026 and of the whales
among them, and of BTC's liquidations on Binance, Bybit and OKX from 4 December 2025 to 21 February 2026 (Binance's
are a sample, so the totals are lower bounds). Bounds allow for what one moment and one half year can say.
"""

from functools import cache

import numpy as np
import pytest

from liqheat.simulator.people import People
from liqheat.simulator.statistics import DISTANCES, MOVES, Statistics, measure
from tests.support.account_markets import populated


@cache
def calm() -> Statistics:
    """Three markets with BTC's volatility, as large as one venue's."""
    result = Statistics.empty()
    for seed in (1, 2, 3):
        measure(populated(seed), 32, 60_000, result)
    return result


@cache
def deep() -> Statistics:
    """Markets like all of BTC's: no position is as large a part of them as the largest of one venue."""
    result = Statistics.empty()
    for seed in (1, 2, 3, 4):
        measure(populated(seed, People(largest_share=0.003)), 48, 60_000, result)
    return result


@cache
def wild() -> Statistics:
    """Markets that move three times as much, so that price reaches some large accounts' liquidation within a day."""
    result = Statistics.empty()
    for seed in (11, 12, 13, 14):
        measure(populated(seed, volatility=0.013), 32, 60_000, result)
    return result


# Distance of the mark; measured of active accounts and of whales; bounds.
_WITHIN = [
    (0.01, (0.000, 0.000), (0.000, 0.005)),
    (0.02, (0.000, 0.001), (0.000, 0.010)),
    (0.05, (0.011, 0.017), (0.003, 0.030)),
    (0.10, (0.025, 0.062), (0.015, 0.080)),
    (0.25, (0.088, 0.180), (0.080, 0.250)),
    (0.50, (0.190, 0.460), (0.180, 0.500)),
    (1.00, (0.500, 0.650), (0.450, 0.720)),
]


@pytest.mark.parametrize(("distance", "measured", "bounds"), _WITHIN)
def test_the_share_of_notional_that_is_liquidated_within_a_distance_is_like_the_real_one(
    distance: float, measured: tuple[float, float], bounds: tuple[float, float]
) -> None:
    least, most = bounds
    assert least <= measured[0] <= measured[1] <= most
    assert least <= calm().within[DISTANCES.index(distance)] <= most


def test_some_large_notional_is_never_liquidated() -> None:
    # Measured 9%, in a moment when 88% of notional was short; of the longs alone it was 77%.
    assert 0.05 <= calm().without <= 0.30


def test_sizes_have_a_tail_as_heavy_as_the_real_ones() -> None:
    # Measured: median 2,000 USD, 95th percentile 305,000, the largest 1% hold 66%.
    assert 1_000 <= calm().median_size <= 10_000
    assert 100_000 <= calm().high_size <= 600_000
    assert 0.45 <= calm().largest_share <= 0.75


def test_few_positions_hold_most_of_what_is_near() -> None:
    # Measured: three to five hold most of what lies within 10% on a side of BTC.
    assert 0.25 <= float(np.mean(calm().near_largest)) <= 0.9


def test_liquidations_per_move_grow_with_the_move_as_the_real_ones_do() -> None:
    # Measured: 1.5 bp of open interest per 1% of an hour's move of 0.25-0.5%, 8.4 bp of 2-4%.
    small = deep().executed_per_move[MOVES.index((0.0025, 0.005))]
    large = deep().executed_per_move[MOVES.index((0.02, 0.04))]
    assert 0.5 <= small <= 4.5
    assert 2.8 <= large <= 25
    assert large > 1.5 * small


def test_as_much_is_liquidated_in_a_day_as_in_reality() -> None:
    # Measured: 0.5% of open interest on the centralised venues (a lower bound), 1.4% on Hyperliquid's BTC.
    assert 0.003 <= deep().executed_per_day <= 0.022


def test_large_notional_stays_as_long_as_the_real_one() -> None:
    # Measured: 93% is open after 7 h, 88 to 96% after 24 h.
    seven, day = calm().retention.tolist()
    assert 0.90 <= seven <= 0.97
    assert 0.86 <= day <= 0.96


def test_of_what_price_reaches_some_is_gone_and_some_was_defended() -> None:
    # Measured of whale notional whose liquidation price of a day ago was reached: 38% gone, 47% there almost whole.
    assert wild().reached_usd > 0
    assert 0.15 <= wild().reached_gone <= 0.65
    assert 0.20 <= wild().reached_whole <= 0.75
