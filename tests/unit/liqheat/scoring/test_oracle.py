"""The oracle spreads what it knows over where it may die, and has learned habits from what price left to see."""

import numpy as np
import pytest

from liqheat.scoring.oracle import KnownPositions, distance_tables, spread


def known(entry: float, notional: float, worst: float, count: int = 1) -> KnownPositions:
    return KnownPositions(
        np.zeros(count, np.int64), np.full(count, entry), np.full(count, notional), np.full(count, worst)
    )


def crowd(seed: int, count: int = 40_000) -> tuple[KnownPositions, np.ndarray]:
    """Return longs at 100 that die at lognormal distances (median 5%), and their liquidation prices."""
    generator = np.random.default_rng(seed)
    distance = np.exp(np.log(0.05) + 0.6 * generator.standard_normal(count))
    came = 0.08 * generator.random(count)
    is_open = distance > came
    worst = 100 * np.exp(-came[is_open])
    entry = np.full(is_open.sum(), 100.0)
    notional = np.exp(generator.standard_normal(is_open.sum()))
    return KnownPositions(np.zeros(is_open.sum(), np.int64), entry, notional, worst), 100 * np.exp(-distance[is_open])


def test_the_habits_are_those_of_all_who_came_not_of_who_is_left() -> None:
    positions, prices = crowd(1)
    _, cumulated = distance_tables(1, positions, prices)
    edges = np.geomspace(1e-3, 8.0, 91)
    for share in cumulated[:4]:
        # Half of all die within 5%; of those that are left it is a third.
        assert float(np.interp(np.log(0.05), np.log(edges), share)) == pytest.approx(0.5, abs=0.04)
        assert share[-1] == pytest.approx(1.0, abs=0.01)
    assert float((prices > 95).mean()) < 0.4


def test_the_total_within_reach_is_that_of_the_true_positions() -> None:
    positions, prices = crowd(2)
    tables = distance_tables(1, positions, prices)
    at, usd = spread(1, positions, tables, mark=92.0, reach=0.1)
    inside = (prices < 92.0) & (prices > 92.0 * 0.9)
    assert usd.sum() == pytest.approx(positions.notional[inside].sum(), rel=0.06)
    assert (at < 92.0).all()
    assert (at > 82.0).all()


def test_nothing_is_expected_where_price_has_been_already() -> None:
    positions, prices = crowd(3)
    tables = distance_tables(1, positions, prices)
    at, usd = spread(1, known(100.0, 1.0, worst=95.0), tables, mark=99.0, reach=0.1)
    assert usd[at > 95.01].sum() == 0.0
    assert 0.5 < usd.sum() <= 1.0


def test_shorts_mirror_longs() -> None:
    positions, prices = crowd(4)
    mirrored = KnownPositions(positions.venue, positions.entry, positions.notional, 1e4 / positions.worst)
    at, usd = spread(1, positions, distance_tables(1, positions, prices), 98.0, 0.05)
    other_at, other = spread(-1, mirrored, distance_tables(-1, mirrored, 1e4 / prices), 1e4 / 98.0, 0.05)
    assert other_at == pytest.approx(1e4 / at)
    assert other == pytest.approx(usd, rel=1e-6)


def test_who_has_no_liquidation_price_stays_out_of_the_map() -> None:
    positions = known(100.0, 1.0, 100.0, count=1_000)
    prices = np.where(np.arange(1_000) % 2 == 0, 95.0, np.nan)
    tables = distance_tables(1, positions, prices)
    _, usd = spread(1, positions, tables, mark=100.0, reach=0.2)
    assert usd.sum() == pytest.approx(500.0, rel=0.02)
