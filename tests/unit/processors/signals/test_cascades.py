"""Cascades against cases for a pencil, and against the fixed point iterated in plain Python."""

from bisect import bisect_left

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.signals.cascades import (
    GRID_PERCENT,
    TRIGGER_FACTOR,
    Chain,
    FloatArray,
    chains,
    depth_curve,
    forced_curve,
)

BANDS = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0])
PLACES = GRID_PERCENT.size


def at(percent: float) -> int:
    return round(percent * 10) - 1


def even_book(usd_per_percent: float) -> FloatArray:
    return (GRID_PERCENT * usd_per_percent)[None, :]


def one_level(percent: float, usd: float) -> FloatArray:
    return forced_curve(np.array([percent]), np.array([usd]))[None, :]


def test_a_level_of_half_a_percents_depth_carries_price_half_a_percent_on() -> None:
    # 1 M rests in each percent, 0.5 M is liquidated at 1.1%: a move to 1.1% takes 1.1 M of the book and forces 0.5 M,
    # which the next half percent absorbs. A move to 1% reaches nothing.
    chain = chains(even_book(1e6), one_level(1.1, 0.5e6), refill=0.0)

    assert chain.rest_percent[0, at(1.0)] == 1.0
    assert chain.rest_percent[0, at(1.1)] == pytest.approx(1.6)
    assert chain.liquidated_usd[0, at(1.1)] == pytest.approx(0.5e6)
    assert chain.amplification[0, at(1.1)] == pytest.approx(1.6 / 1.1)


def test_a_book_that_refills_wholly_absorbs_the_same_in_half_the_distance() -> None:
    chain = chains(even_book(1e6), one_level(1.1, 0.5e6), refill=1.0)

    assert chain.rest_percent[0, at(1.1)] == pytest.approx(1.35)


def test_one_cluster_sets_off_the_next() -> None:
    # The first 0.5 M carries price from 1.0 to 1.5%, where the second waits and carries it on by as much.
    forced = forced_curve(np.array([1.0, 1.4]), np.array([0.5e6, 0.5e6]))[None, :]
    chain = chains(even_book(1e6), forced, refill=0.0)

    assert chain.rest_percent[0, at(1.0)] == pytest.approx(2.0)
    assert chain.liquidated_usd[0, at(1.0)] == pytest.approx(1e6)
    assert GRID_PERCENT[chain.trigger()[0]] == 1.0


def test_a_chain_that_the_known_book_does_not_hold_is_said_to_go_beyond_it() -> None:
    chain = chains(even_book(1e4), one_level(2.0, 1e9), refill=0.5)

    assert chain.is_beyond[0, at(2.0)]
    assert chain.rest_percent[0, at(2.0)] == GRID_PERCENT[-1]
    assert not chain.is_beyond[0, at(1.9)]


def test_without_anything_at_risk_price_rests_where_it_moved_and_nothing_triggers() -> None:
    chain = chains(even_book(1e6), np.zeros((1, PLACES)), refill=0.3)

    assert (chain.rest_percent[0] == GRID_PERCENT).all()
    assert chain.trigger()[0] == -1


def test_an_empty_book_without_anything_at_risk_holds_and_with_it_does_not() -> None:
    empty = np.zeros((1, PLACES))

    assert not chains(empty, empty, refill=0.0).is_beyond.any()
    assert chains(empty, one_level(3.0, 1.0), refill=0.0).is_beyond[0, at(3.0)]


def test_a_curve_that_falls_and_a_negative_refill_are_refused() -> None:
    falling = even_book(1e6)[:, ::-1].copy()
    with pytest.raises(ValueError, match="do not fall"):
        chains(falling, np.zeros((1, PLACES)), refill=0.0)
    with pytest.raises(ValueError, match="at least 0"):
        chains(even_book(1.0), np.zeros((1, PLACES)), refill=-0.1)
    with pytest.raises(ValueError, match="two curves"):
        chains(even_book(1.0)[:, :5], np.zeros((1, 5)), refill=0.0)


def test_no_symbols_make_no_chains() -> None:
    assert chains(np.zeros((0, PLACES)), np.zeros((0, PLACES)), refill=0.0).trigger().shape == (0,)


def test_a_book_is_even_between_its_bands_and_goes_on_with_its_outer_density() -> None:
    # 100 within 0.1%, 1,000 within 1% and nothing shown beyond 1%: 600 of it lie in the outer half, 1,200 per percent.
    amounts = np.array([[100.0, 200.0, 400.0, 1000.0, 1000.0, 1000.0, 1000.0]])
    curve = depth_curve(BANDS, amounts, np.array([1.0]))[0]

    assert curve[at(0.1)] == pytest.approx(100)
    assert curve[at(0.5)] == pytest.approx(400)
    assert curve[at(1.0)] == pytest.approx(1000)
    assert curve[at(2.0)] == pytest.approx(2200)


def test_a_book_that_ends_between_two_bands_holds_there_all_that_it_shows() -> None:
    amounts = np.array([[10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0]])
    curve = depth_curve(BANDS, amounts, np.array([1.5]))[0]

    assert curve[at(1.0)] == pytest.approx(80)
    assert curve[at(1.5)] == pytest.approx(120)


def test_a_book_that_shows_nothing_gives_nothing() -> None:
    assert not depth_curve(BANDS, np.zeros((1, BANDS.size)), np.array([0.0])).any()


def test_levels_count_from_the_end_of_their_step_and_those_past_the_grid_not_at_all() -> None:
    curve = forced_curve(np.array([0.0, 0.31, 0.4, 99.0]), np.array([1.0, 2.0, 4.0, 8.0]))

    assert curve[at(0.1)] == 1
    assert curve[at(0.3)] == 1
    assert curve[at(0.4)] == 7
    assert curve[-1] == 7


SPARSE = st.lists(st.tuples(st.floats(0.05, 29.0), st.floats(0, 5e7)), max_size=8)


def iterated_rest(depth: list[float], forced: list[float], refill: float, move: int) -> float:
    """Return the rest of a move to place `move` by iterating the fixed point on straight lines, in plain Python."""
    grid: list[float] = GRID_PERCENT.tolist()

    def value(curve: list[float], x: float) -> float:
        place = min(bisect_left(grid, x - 1e-12), len(grid) - 1)
        if place == 0:
            return curve[0]
        part = (x - grid[place - 1]) / (grid[place] - grid[place - 1])
        return curve[place - 1] + part * (curve[place] - curve[place - 1])

    def inverse(amount: float) -> float:
        for place in range(1, len(grid)):
            if depth[place] >= amount:
                low, high = depth[place - 1], depth[place]
                part = 1.0 if high <= low else min(1.0, max(0.0, (amount - low) / (high - low)))
                return grid[place - 1] + part * (grid[place] - grid[place - 1])
        return grid[-1] + 1

    x = grid[move]
    for _ in range(20_000):
        following = max(x, inverse(depth[move] + value(forced, min(x, grid[-1])) / (1 + refill)))
        if following > grid[-1]:
            return grid[-1]
        if following - x < 1e-10:
            return following
        x = following
    return x


@settings(max_examples=40, deadline=None)
@given(density=st.floats(1e5, 1e8), levels=SPARSE, refill=st.floats(0, 2), move=st.integers(0, 120))
def test_the_rest_is_the_fixed_point_of_the_iteration(
    density: float, levels: list[tuple[float, float]], refill: float, move: int
) -> None:
    distances, amounts = np.array([d for d, _ in levels]), np.array([a for _, a in levels])
    depth, forced = even_book(density), forced_curve(distances, amounts)[None, :]
    chain = chains(depth, forced, refill)

    expected = iterated_rest(depth[0].tolist(), forced[0].tolist(), refill, move)

    assert chain.rest_percent[0, move] == pytest.approx(expected, abs=1e-3)


def solved(depth_steps: FloatArray, forced_steps: FloatArray, refill: float) -> Chain:
    return chains(np.cumsum(depth_steps)[None, :], np.cumsum(forced_steps)[None, :], refill)


def steps_of(generator: np.random.Generator, empty_share: float) -> FloatArray:
    return generator.lognormal(13, 2, PLACES) * (generator.random(PLACES) >= empty_share)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    thin=st.floats(0, 0.9),
    quiet=st.floats(0.3, 1),
    refill=st.floats(0, 2),
    more=st.floats(1, 3),
)
def test_the_rest_is_never_nearer_than_the_move_further_with_more_at_risk_and_nearer_with_more_depth(
    seed: int, thin: float, quiet: float, refill: float, more: float
) -> None:
    generator = np.random.default_rng(seed)
    depth, forced = steps_of(generator, thin), steps_of(generator, quiet)
    chain = solved(depth, forced, refill)

    assert (chain.rest_percent >= GRID_PERCENT).all()
    assert (solved(depth, more * forced, refill).rest_percent >= chain.rest_percent - 1e-9).all()
    assert (solved(more * depth, forced, refill).rest_percent <= chain.rest_percent + 1e-9).all()
    assert (solved(depth, forced, refill * more).rest_percent <= chain.rest_percent + 1e-9).all()
    assert (np.diff(chain.rest_percent[0]) >= -1e-9).all()


def test_the_trigger_is_the_nearest_move_that_carries_half_as_far_again() -> None:
    chain = chains(even_book(1e6), one_level(1.1, 0.6e6), refill=0.0)

    place = chain.trigger()[0]
    assert GRID_PERCENT[place] == 1.1
    assert chain.rest_percent[0, place] >= TRIGGER_FACTOR * 1.1
    assert (chain.rest_percent[0, :place] < TRIGGER_FACTOR * GRID_PERCENT[:place]).all()
