"""Twin runs: amplification is the way with liquidations over the way without, from the same moment."""

from math import log

import numpy as np
import pytest

from liqheat.simulator.order_book import DepthShape
from liqheat.simulator.twin import Outcome, Shock, resting_depths, shocked
from liqheat.simulator.world import open_world, world_of
from tests.support.account_markets import empty, put

STILL = DepthShape(1e6, refill_half_life_hours=1e9)


def test_amplification_is_one_way_over_the_other_in_the_log() -> None:
    assert Outcome(100.0, 90.0, 81.0, 1.0).amplification == pytest.approx(2.0)
    assert Outcome(100.0, 110.0, 110.0, 0.0).amplification == 1.0


def test_a_cluster_within_the_move_carries_price_as_far_as_a_pencil_says() -> None:
    # Down by 2%; 1 million is liquidated on the way and eats 1% of the book.
    market = empty(STILL)
    put(market, 1, 1e6, 46_000 * 0.985)
    outcome = shocked(market, Shock(-0.02))
    assert outcome.quiet_rest == pytest.approx(46_000 * 0.98)
    assert log(outcome.rest / 46_000) == pytest.approx(log(0.98) - 0.01, abs=3e-4)
    assert outcome.amplification == pytest.approx((0.0202 + 0.01) / 0.0202, rel=0.02)
    assert outcome.liquidated_usd == pytest.approx(1e6, rel=0.03)


def test_the_same_cluster_beyond_the_move_does_nothing_and_shorts_answer_to_a_rise() -> None:
    market = empty(STILL)
    put(market, 1, 1e6, 46_000 * 0.95)
    put(market, -1, 1e6, 46_000 * 1.015)
    assert shocked(market, Shock(-0.02)).amplification == pytest.approx(1.0)
    assert shocked(market, Shock(0.02)).amplification == pytest.approx(1 + 0.01 / log(1.02), rel=0.02)


def test_a_thinner_book_amplifies_more() -> None:
    ways = []
    for depth in (5e5, 1e6, 4e6):
        market = empty(DepthShape(depth, refill_half_life_hours=1e9))
        put(market, 1, 5e5, 46_000 * 0.985)
        ways.append(shocked(market, Shock(-0.02)).amplification)
    assert ways[0] > ways[1] > ways[2] > 1


def test_a_twin_run_leaves_the_market_as_it_was_and_says_the_same_again() -> None:
    market = open_world(world_of(31))
    before = (market.now, market.index_price, market.positions.lots.copy())
    first, again = shocked(market, Shock(-0.03)), shocked(market, Shock(-0.03))
    assert first == again
    assert (market.now, market.index_price) == before[:2]
    assert np.array_equal(market.positions.lots, before[2])
    assert first.rest <= first.quiet_rest < first.start_price


def test_resting_depths_are_what_the_book_gives_for_a_fall_and_a_rise() -> None:
    market = empty(STILL)
    bids, asks = resting_depths(market, np.array([0.01, 0.02, 0.9]))
    assert bids[:2] == pytest.approx([-1e8 * log(0.99), -1e8 * log(0.98)])
    assert asks[:2] == pytest.approx([1e8 * log(1.01), 1e8 * log(1.02)])
    assert bids[2] == pytest.approx(3e7)
