"""Curves, imbalance, funding, open interest, round numbers and conviction, on numbers that can be checked by hand."""

import math
from typing import Any

import numpy as np
import pytest

from liqheat.domain.events import Kind, schema_of
from liqheat.domain.market import Side, Venue
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.settings import Signals
from processors.signals import curves, funding, history, open_interest
from processors.signals.conviction import ClusterReading, conviction, exposure_reduction, is_coiled
from processors.signals.round_numbers import distance_percent, nearest_round_number
from tests.support.signal_cases import START, Story, book, heatmap_frame, liquidated_by, market

SETTINGS = Signals()
LONGS = {0.90: 2e6, 0.91: 1e6, 0.85: 4e6}
SHORTS = {0.96: 1e6, 0.99: 3e6}


def usd(micro_usd: int) -> float:
    return micro_usd / MICRO_USD_PER_USD


def test_a_move_liquidates_what_it_crosses_and_part_of_the_bucket_it_ends_in() -> None:
    longs, shorts = book(Side.LONG, LONGS), book(Side.SHORT, SHORTS)
    assert usd(liquidated_by(longs, 0.92)) == 0
    assert usd(liquidated_by(longs, 0.91)) == 1e6
    assert usd(liquidated_by(longs, 0.905)) == pytest.approx(2e6)
    assert usd(liquidated_by(longs, 0.80)) == 7e6
    assert usd(liquidated_by(shorts, 0.965)) == pytest.approx(0.5e6)
    assert usd(liquidated_by(shorts, 1.02)) == 4e6


def test_the_cumulative_curve_only_rises_outwards() -> None:
    down = curves.cumulative(book(Side.LONG, LONGS))
    at = dict(zip(np.round(down.prices, 6).tolist(), down.usd.tolist(), strict=True))
    assert (usd(at[0.92]), usd(at[0.91]), usd(at[0.90]), usd(at[0.85])) == (0, 1e6, 3e6, 7e6)
    assert (np.diff(down.prices) < 0).all()
    up = curves.cumulative(book(Side.SHORT, SHORTS))
    assert (np.diff(up.prices) > 0).all()
    assert (np.diff(up.usd) >= 0).all()
    assert usd(int(up.usd[-1])) == 4e6


def test_imbalance_is_of_what_lies_within_five_percent() -> None:
    story = Story()
    # 5 % of $0.95 is $0.9025 to $0.9975: of the longs 1M and three quarters of 2M, of the shorts 1M and 3/4 of 3M.
    story.minute(0.95, longs=LONGS, shorts=SHORTS)
    reading = story.readings[-1]
    assert usd(reading.near_long_usd) == pytest.approx(2.5e6)
    assert usd(reading.near_short_usd) == pytest.approx(3.25e6)
    assert reading.imbalance == pytest.approx(100 * (2.5 - 3.25) / 5.75)
    assert usd(reading.down_5_usd) == pytest.approx(2.5e6)
    # 10 % down is $0.855: half of the bucket from $0.85.
    assert usd(reading.down_10_usd) == pytest.approx(3e6 + 2e6)
    assert math.isnan(curves.imbalance_percent(0, 0))


def test_max_pain_is_the_heaviest_bucket_of_a_side() -> None:
    story = Story()
    story.minute(0.95, longs=LONGS, shorts=SHORTS)
    reading = story.readings[-1]
    assert (reading.max_pain_long_price, reading.max_pain_short_price) == pytest.approx((0.855, 0.995))
    assert (usd(reading.max_pain_long_usd), usd(reading.max_pain_short_usd)) == (4e6, 3e6)


@pytest.mark.parametrize(
    ("price", "nearest"),
    [(0.0842, 0.085), (0.87, 0.85), (1.04, 1.05), (1.98, 2.0), (3.44, 3.4), (9.9, 10.0), (43_210, 43_000)],
)
def test_nearest_round_number(price: float, nearest: float) -> None:
    assert nearest_round_number(price) == nearest


def test_round_number_distance_is_zero_inside_and_to_the_nearer_edge_outside() -> None:
    assert distance_percent(0.85, 0.84, 0.86) == 0
    assert distance_percent(0.80, 0.84, 0.86) == pytest.approx(100 * 0.04 / 0.84)
    assert distance_percent(0.90, 0.84, 0.86) == pytest.approx(100 * 0.04 / 0.86)


def hours(*values: tuple[float, float, float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a history from (minutes after START, funding rate, open interest)."""
    rows = history.EMPTY
    for minute, rate, coins in values:
        rows = history.appended(rows, START + int(minute) * MINUTE_MS, 1.0, rate, coins)
    return rows


def test_funding_is_the_mean_of_the_last_four_hours_as_a_rate_of_eight() -> None:
    # The first is 241 minutes old and does not count; an hourly venue's rate counts as an eighth of eight hours.
    rows = hours((0, 0.01, 1), (60, 0.0001, 1), (120, math.nan, 1), (241, 0.0003, 1))
    now = START + 241 * MINUTE_MS
    assert funding.mean_rate(rows, now, 8 * HOUR_MS) == pytest.approx(0.0002)
    assert funding.mean_rate(rows, now, HOUR_MS) == pytest.approx(0.0016)
    assert [funding.direction(rate) for rate in (0.0002, -0.0002, 0.0, math.nan)] == [1, -1, 0, 0]


def test_the_settlement_interval_is_learned_from_two_settlements() -> None:
    assert funding.learned_interval(8 * HOUR_MS, START, START + 4 * HOUR_MS) == 4 * HOUR_MS
    assert funding.learned_interval(8 * HOUR_MS, START, START) == 8 * HOUR_MS
    assert funding.learned_interval(8 * HOUR_MS, 0, START) == 8 * HOUR_MS


def test_funding_over_venues_is_weighted_by_open_interest_and_counts_down_to_the_first_settlement() -> None:
    story = Story()
    empty = heatmap_frame(START, {0.85: 1e6}, {})
    for _ in range(2):
        for venue, rate, settles, value in (
            (Venue.BINANCE, 0.0001, 3 * HOUR_MS, 30e6),
            (Venue.BYBIT, 0.0005, HOUR_MS, 10e6),
        ):
            story.hear(
                market(
                    story.window,
                    0.95,
                    empty,
                    venue=venue,
                    funding_rate=rate,
                    next_funding_time=START + settles,
                    open_interest_usd=value,
                )
            )
        story.window += MINUTE_MS
    reading = story.readings[-1]
    assert reading.funding_rate_4h == pytest.approx((0.0001 * 30 + 0.0005 * 10) / 40)
    assert reading.funding_direction == 1
    # The second minute ends two minutes after START.
    assert reading.settlement_seconds == 3_600 - 120
    name, signal = story.market_readings[-1]
    assert (name, signal.settlement_seconds, signal.funding_direction) == ("bybit", 3_480, 1)


def test_open_interest_change_is_in_coins_against_one_and_four_hours_ago() -> None:
    rows = hours((0, 0, 100), (180, 0, 110), (240, 0, 121))
    now = START + 240 * MINUTE_MS
    assert open_interest.change_percent(rows, now, HOUR_MS) == pytest.approx(10.0)
    assert open_interest.change_percent(rows, now, 4 * HOUR_MS) == pytest.approx(21.0)
    assert math.isnan(open_interest.change_percent(rows, now, 2 * HOUR_MS))
    other = hours((0, 0, 300), (180, 0, 290), (240, 0, 279))
    both = {Venue.BINANCE: rows, Venue.OKX: other}
    assert open_interest.total_change_percent(both, now, 4 * HOUR_MS) == 0.0
    assert open_interest.total_change_percent(both, now, HOUR_MS) == 0.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((1.5, 2.0, 1.0), 3),
        ((1.5, 2.0, 0.5), 2),
        ((-1.5, -2.0, -1.0), -3),
        ((1.5, 2.0, -1.0), 0),
        ((0.5, -0.5, 0.2), 0),
        ((math.nan, 2.0, 1.0), 2),
    ],
)
def test_three_venues_agree_or_not(changes: tuple[float, float, float], expected: int) -> None:
    by_venue = dict(zip((Venue.BINANCE, Venue.BYBIT, Venue.OKX), changes, strict=True))
    assert open_interest.agreement(by_venue | {Venue.HYPERLIQUID: -50.0}, 1.0) == expected


def test_conviction_is_the_sum_of_parts_that_can_be_reckoned() -> None:
    # Half of 15 % ADV, at half of 5 % distance, half of 1 % from a round number: 40/4 and 10/2.
    cluster = ClusterReading(Side.LONG, percent_of_adv=7.5, distance=2.5, round_number_distance=0.5)
    down = conviction([cluster], imbalance=40.0, funding_rate=0.0001, agreement=3, settings=SETTINGS)
    assert down.direction == -1
    parts = (down.cluster, down.imbalance, down.funding, down.open_interest, down.round_number)
    assert parts == pytest.approx((10, 8, 5, 15, 5))
    assert down.score == pytest.approx(43)


def test_conviction_is_a_mirror_and_full_at_a_hundred() -> None:
    def full(side: Side) -> ClusterReading:
        return ClusterReading(side, percent_of_adv=30.0, distance=0.0, round_number_distance=0.0)

    assert conviction([full(Side.LONG)], 100.0, 0.001, 3, SETTINGS).score == 100
    up = conviction([full(Side.SHORT)], -100.0, -0.001, 3, SETTINGS)
    assert (up.direction, up.score) == (1, 100)
    # Shorts above the price are drawn at while it is shorts who pay: funding of the other side adds nothing.
    assert conviction([full(Side.SHORT)], -100.0, 0.0001, 3, SETTINGS).score == 85
    both = conviction([full(Side.LONG), full(Side.SHORT)], 0.0, 0.0, 0, SETTINGS)
    assert (both.direction, both.score) == (0, 50)


def test_conviction_knows_nothing_where_nothing_is_known() -> None:
    unknown = ClusterReading(Side.LONG, percent_of_adv=math.nan, distance=1.0, round_number_distance=0.0)
    nothing = conviction([unknown], math.nan, math.nan, 0, SETTINGS)
    assert (nothing.direction, nothing.score) == (0, 0)


def test_the_rule_of_thumb_reduces_by_thirty_to_fifty_percent() -> None:
    assert [exposure_reduction(share, 15.0) for share in (0.0, 7.5, 15.0, 60.0, math.nan)] == [0.3, 0.4, 0.5, 0.5, 0.3]


def test_a_spring_is_coiled_by_rising_open_interest_at_a_flat_price_beside_a_heavy_cluster() -> None:
    assert is_coiled(3.0, 1.5, 5.0, SETTINGS)
    assert not is_coiled(2.9, 1.5, 5.0, SETTINGS)
    assert not is_coiled(3.0, 1.6, 5.0, SETTINGS)
    assert not is_coiled(3.0, 1.5, 4.9, SETTINGS)
    assert not is_coiled(math.nan, 1.5, 5.0, SETTINGS)


def test_a_symbol_shows_when_the_spring_is_coiled() -> None:
    story = Story()
    for minute in range(242):
        # 4 % in 240 minutes, and 6M of 100M ADV 2.1 % below the price.
        story.minute(0.95, longs={0.92: 6e6}, open_interest=100 * (1 + 0.04 * minute / 240))
    assert not story.readings[100].coiled_spring
    assert story.readings[-1].coiled_spring
    assert story.readings[-1].open_interest_change_4h == pytest.approx(4.0, abs=0.02)


def test_inside_a_cluster_the_reduction_is_given_and_outside_none() -> None:
    story = Story()
    story.minute(0.95, longs={0.85: 5e6, 0.86: 5e6})
    assert story.readings[-1].exposure_reduction == 0
    story.minute(0.868, longs={0.85: 5e6, 0.86: 5e6}, low=0.865)
    # 10M of 100M ADV is two thirds of 15 %.
    assert story.readings[-1].exposure_reduction == pytest.approx(0.3 + 0.2 * 10 / 15)
    story.minute(0.90, longs={0.85: 5e6, 0.86: 5e6})
    story.minute(0.90, longs={0.85: 5e6, 0.86: 5e6})
    assert story.readings[-1].exposure_reduction == 0


@pytest.mark.parametrize("side", ["minimum", "maximum"])
def test_the_most_that_a_mark_may_say_of_funding_fits_into_what_is_made_of_it(side: str) -> None:
    """A rate of one hour counts eight times in a reading; one outside its unit took all signals of the symbol along."""
    rate = getattr(schema_of(Kind.MARKS).units["funding_rate"], side)
    history = np.array([[START + minute * MINUTE_MS, 1.0, rate, 1.0] for minute in range(240)])
    mean = funding.mean_rate(history, START + 239 * MINUTE_MS, HOUR_MS)
    assert mean == pytest.approx(8 * rate)
    for kind in (Kind.MARKET_SIGNALS, Kind.SYMBOL_SIGNALS):
        assert abs(mean) <= (schema_of(kind).units["funding_rate_4h"].maximum or 0.0)
