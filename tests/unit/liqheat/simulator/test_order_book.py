"""The resting book: what eats it moves price as a pencil says, it refills, and levels add up to what rests."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.simulator.exchange import Exchange
from liqheat.simulator.order_book import REACH, DepthShape, OrderBook, levels_of

FLAT = DepthShape(1e6)


def book(usd: float = 0.0, shape: DepthShape = FLAT) -> OrderBook:
    made = OrderBook(shape)
    made.take(usd)
    return made


def test_a_sale_of_half_the_depth_within_one_percent_moves_price_by_half_a_percent() -> None:
    assert book(-500_000).displacement == pytest.approx(-0.005)
    assert book(+500_000).displacement == pytest.approx(+0.005)


def test_a_book_that_is_thicker_further_away_gives_less_for_the_second_million() -> None:
    # Depth grows with the square of the distance: four times the money goes twice as far.
    thick = DepthShape(1e6, exponent=2.0)
    assert book(-1e6, thick).displacement == pytest.approx(-0.01)
    assert book(-4e6, thick).displacement == pytest.approx(-0.02)


def test_after_one_half_life_half_is_missing_and_a_share_of_the_way_back_is_kept() -> None:
    used = book(-1e6, DepthShape(1e6, refill_half_life_hours=0.1, permanent_share=0.4))
    used.refill(0.1)
    # Half a percent is refilled, of which 40% stays.
    assert used.pressure_usd == pytest.approx(-500_000)
    assert used.displacement == pytest.approx(-0.005 - 0.4 * 0.005)


def test_what_was_taken_below_rests_above_now() -> None:
    used = book(-500_000)
    distance = np.array([0.005, 0.01])
    assert used.resting_usd(1, distance) == pytest.approx([500_000, 1e6])
    assert used.resting_usd(-1, distance) == pytest.approx([500_000, 1e6])
    thick = book(-1e6, DepthShape(1e6, exponent=2.0))
    # Between 1% and 2% below the first middle there are 3 million, between it and 1% below 1 million.
    assert thick.resting_usd(1, np.array([0.01])) == pytest.approx([3e6])
    assert thick.resting_usd(-1, np.array([0.01])) == pytest.approx([1e6])


def test_nothing_rests_beyond_the_reach() -> None:
    far = book().resting_usd(1, np.array([REACH, 2 * REACH]))
    assert far[0] == far[1]


@given(
    pressure=st.floats(-5e6, 5e6),
    exponent=st.floats(0.7, 2.0),
    distances=st.lists(st.floats(0.0, 0.5), min_size=2, max_size=6),
    sale=st.floats(0, 5e6),
)
def test_depth_rises_with_distance_and_price_falls_with_what_is_sold(
    pressure: float, exponent: float, distances: list[float], sale: float
) -> None:
    one = book(pressure, DepthShape(1e6, exponent))
    for side in (1, -1):
        depths = one.resting_usd(side, np.array(sorted(distances)))
        assert (np.diff(depths) >= -1e-6).all()
        assert (depths >= 0).all()
    before = one.displacement
    one.take(-sale)
    assert one.displacement <= before + 1e-12


def test_levels_add_up_to_what_rests_between_the_middle_and_the_last() -> None:
    used = book(-300_000, DepthShape(2e6, exponent=1.3))
    for side in (1, -1):
        levels = levels_of(used, side, mark=100.003, share=0.25, step=0.01, quantity_step=0.001, limit=500)
        assert len(levels.prices) == 500
        reached = abs(log(levels.prices[-1] / 100.003))
        usd = float((levels.prices * levels.quantities).sum())
        assert usd == pytest.approx(0.25 * float(used.resting_usd(side, np.array([reached]))[0]), rel=1e-4)
        assert (side * np.diff(levels.prices) < 0).all()
        assert side * (100.003 - levels.prices[0]) > 0
        assert (levels.orders >= 1).all()


def test_a_coarser_step_joins_levels_and_reaches_further() -> None:
    whole = book()
    fine = levels_of(whole, 1, 100.0, 1.0, 0.01, 0.001, limit=1_000)
    coarse = levels_of(whole, 1, 100.0, 1.0, 0.10, 0.001, limit=100)
    # 99.90 gathers 99.99 to 99.90: bids are rounded down.
    assert coarse.prices[:2].tolist() == [99.9, 99.8]
    assert coarse.quantities[0] == pytest.approx(fine.quantities[:10].sum(), rel=1e-3)
    assert coarse.prices[-1] == pytest.approx(90.0)


def test_levels_that_round_to_nothing_are_left_out_but_not_lost() -> None:
    # A cent of the price holds 1 coin; lots are of 5 coins.
    levels = levels_of(book(0.0, DepthShape(1e4)), 1, 100.0, 1.0, 0.01, 5.0, limit=50)
    assert set(levels.quantities.tolist()) == {5.0}
    assert len(levels.prices) == 10


def test_a_venues_book_is_its_share_around_its_mark_and_asking_changes_nothing(exchange: Exchange) -> None:
    for views in exchange.views.values():
        for view in views.values():
            first, again = view.book(20), view.book(20)
            assert first.update_id == view.market.steps
            assert first.time == view.time
            for side, other in ((first.bids, again.bids), (first.asks, again.asks)):
                assert len(side.prices) == 20
                assert side.quantities.tolist() == other.quantities.tolist()
                ticks = side.prices / view.listing.tick_size
                assert np.abs(ticks - np.round(ticks)).max() < 1e-6
            assert first.bids.prices[0] < view.mark_price < first.asks.prices[0]
