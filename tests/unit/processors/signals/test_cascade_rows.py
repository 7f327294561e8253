"""Cascade rows of a small symbol around 100 USD, each number with a pencil."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.domain.events import Kind
from liqheat.domain.market import LEVERAGE_BANDS, Side
from liqheat.domain.price_grid import bucket_of, lower_edge
from liqheat.platform.codec import decode, encode
from processors.signals.book import VENUES, SideBook
from processors.signals.cascade_rows import MOVES_PERCENT, VenueDepth, cascades
from processors.signals.engine import to_batches

MICRO = 1_000_000
MARK = 100.0
FACTOR = 5


def side_of(side: Side, levels: dict[float, tuple[float, float]]) -> SideBook:
    """One side of the map: price -> (USD at risk, USD expected)."""
    ends = (70.0, MARK) if side == Side.LONG else (MARK, 130.0)
    first, last = (int(bucket) for bucket in bucket_of(ends, FACTOR))
    size = last - first + 1
    at_risk, expected = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for price, (risk, will) in levels.items():
        place = int(bucket_of([price], FACTOR)[0]) - first
        at_risk[place], expected[place] = round(risk * MICRO), round(will * MICRO)
    none = np.zeros(size, dtype=np.int64)
    by_venue, by_band = (
        np.zeros((size, len(VENUES)), dtype=np.int64),
        np.zeros((size, len(LEVERAGE_BANDS)), dtype=np.int64),
    )
    edges = lower_edge(np.arange(first, last + 2), FACTOR)
    return SideBook(side, first, edges, at_risk, expected, none, none, by_venue, by_band, np.zeros(size))


def even(usd_per_percent: float, reach: float = 10.0, open_interest: float = 30e6) -> VenueDepth:
    amounts = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0]) * usd_per_percent
    return VenueDepth(amounts, amounts, reach, reach, open_interest)


LONGS = side_of(Side.LONG, {98.01: (4e6, 0.5e6)})
SHORTS = side_of(Side.SHORT, {104.01: (1e6, 0.25e6)})


def test_both_directions_are_solved_against_the_books_of_all_venues() -> None:
    # Two books of 250,000 USD per percent give 500,000. The bucket of longs from 98.00 to 98.25 has its middle 1.875%
    # away and counts from 1.9% on: a fall by 2% takes 1 M and forces 0.5 M, which one percent more absorbs.
    falls, rises = cascades(60_000, MARK, [LONGS, SHORTS], [even(250_000), even(250_000)], 80e6, 0.0, 7)

    at = MOVES_PERCENT.tolist().index
    assert (falls.side, rises.side) == (1, -1)
    assert falls.rest_percent[at(1.5)] == 1.5
    assert falls.rest_percent[at(2.0)] == pytest.approx(3.0)
    assert falls.liquidated_usd[at(2.0)] == 500_000 * MICRO
    assert rises.rest_percent[at(3.5)] == 3.5
    assert rises.rest_percent[at(5.0)] == pytest.approx(5.5)
    assert (falls.depth_2_usd, falls.at_risk_2_usd, falls.expected_2_usd) == (10**12, 4 * 10**12, 5 * 10**11)
    assert falls.absorption_2 == pytest.approx(4.0)
    assert falls.absorption_1 == 0.0
    assert falls.book_coverage == pytest.approx(0.75)
    assert math.isnan(falls.beyond_percent)
    # 1.9% carried to 2.9% is half as far again.
    assert falls.trigger_percent == pytest.approx(1.9)
    assert falls.trigger_price == pytest.approx(98.1)
    assert math.isnan(rises.trigger_percent)
    assert falls.revision == 7


def test_without_a_book_nothing_is_claimed() -> None:
    assert cascades(60_000, MARK, [LONGS, SHORTS], [], 80e6, 0.3, 1) == []
    empty = VenueDepth(np.zeros(7), np.zeros(7), 0.0, 0.0, 30e6)
    assert cascades(60_000, MARK, [LONGS, SHORTS], [empty], 80e6, 0.3, 1) == []


def test_a_book_too_thin_for_the_cluster_is_said_to_be_passed_through() -> None:
    falls = cascades(60_000, MARK, [LONGS, SHORTS], [even(1_000.0)], 80e6, 0.3, 1)[0]

    assert falls.beyond_percent == pytest.approx(1.9)
    assert falls.trigger_percent == pytest.approx(1.9)
    assert math.isnan(falls.trigger_rest_percent)


def test_a_book_that_reaches_less_far_says_how_far() -> None:
    near = even(250_000, reach=2.0)
    falls = cascades(60_000, MARK, [LONGS, SHORTS], [even(250_000), near], 80e6, 0.0, 1)[0]

    assert falls.book_reach_percent == 2.0
    # Beyond its reach it goes on as densely as in its outer half.
    assert falls.depth_5_usd == pytest.approx(5 * 500_000 * MICRO)


@given(
    usd_per_percent=st.sampled_from([0.0, 1e-6, 1.0, 1e3, 250e3, 1e12]),
    reach=st.sampled_from([0.01, 0.1, 2.0, 10.0, 100.0]),
    at_risk=st.sampled_from([0.0, 1e-6, 1e3, 4e6, 1e12]),
    distance=st.floats(0.0, 29.0),
    open_interest=st.sampled_from([math.nan, 0.0, 80e6]),
    refill=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_whatever_map_and_books_say_a_reader_of_the_log_takes_the_rows(
    usd_per_percent: float, reach: float, at_risk: float, distance: float, open_interest: float, refill: float
) -> None:
    sides = [
        side_of(Side.LONG, {MARK - distance: (at_risk, at_risk)}),
        side_of(Side.SHORT, {MARK + distance: (at_risk, at_risk / 3)}),
    ]
    books = [even(usd_per_percent, reach, open_interest), even(250_000.0)]
    for depths in (books, books[:1]):
        rows = cascades(60_000, MARK, sides, depths, open_interest, refill, 7)
        for batch in to_batches([("TAO", (Kind.CASCADES, "", row)) for row in rows]):
            assert decode(*encode(batch)).frame.equals(batch.frame)
