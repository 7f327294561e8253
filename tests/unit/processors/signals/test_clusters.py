"""Clusters: what is dense, where a range ends, and when it is still the same one."""

import numpy as np
import pytest

from liqheat.domain.market import Side, Venue
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from processors.signals.clusters import find
from processors.signals.terrain import terrains
from tests.support.signal_cases import START, Story, book, book_of, heatmap_frame, market, read_rows

SETTINGS = Signals()
# Reach of 25 % below $0.95 is $0.71-$0.95: 24 buckets of $0.01, one more for the one that holds the mark.
FLAT = {price / 100: 1e6 for price in range(71, 96)}


def ranges(
    levels: dict[float, float], side: Side = Side.LONG, settings: Signals = SETTINGS
) -> list[tuple[float, float, float]]:
    """Return lower edge, upper edge and million USD of each cluster."""
    map_ = book(side, levels)
    (terrain,) = terrains([map_], [settings.local_percent])
    return [
        (
            round(float(map_.edges[item.low - map_.base]), 6),
            round(float(map_.edges[item.high + 1 - map_.base]), 6),
            item.at_risk / MICRO_USD_PER_USD / 1e6,
        )
        for item in find(map_, [], settings, terrain)
    ]


def test_a_flat_map_has_no_cluster() -> None:
    assert ranges(FLAT) == []


def test_a_range_well_above_the_mean_density_is_one_cluster_with_its_edges() -> None:
    # Mean: 22 x 1M + 3 x 6M = 40M over 25 buckets = 1.6M; dense from 2.4M.
    assert ranges({**FLAT, 0.84: 6e6, 0.85: 6e6, 0.86: 6e6}) == [(0.84, 0.87, 18.0)]


def test_density_is_judged_not_notional() -> None:
    # From $1.00 a bucket is $0.02, twice as wide: twice the notional there is the same density.
    levels = {price / 100: 1e6 for price in range(96, 100)} | {price / 100: 2.04e6 for price in range(100, 120, 2)}
    assert ranges(levels, Side.SHORT) == []


def test_one_thin_bucket_does_not_part_a_cluster_and_two_do() -> None:
    assert ranges({0.80: 5e6, 0.82: 5e6}) == [(0.80, 0.83, 10.0)]
    assert ranges({0.80: 5e6, 0.83: 5e6}) == [(0.80, 0.81, 5.0), (0.83, 0.84, 5.0)]


def test_a_deep_valley_parts_a_dense_range_and_a_shallow_one_does_not() -> None:
    # All six are dense. Smoothed: 7.5 at $0.81, then ((10 + 2*2 + 2) / 4) = 4, 4, 7.5: just above half, one cluster.
    deep = {0.80: 10e6, 0.81: 10e6, 0.82: 1.8e6, 0.83: 1.8e6, 0.84: 1.8e6, 0.85: 10e6, 0.86: 10e6}
    shallow = deep | {0.82: 6e6, 0.83: 6e6, 0.84: 6e6}
    assert [(low, high) for low, high, _ in ranges(shallow)] == [(0.80, 0.87)]
    found = ranges(deep)
    assert len(found) == 2
    assert found[0][0] == 0.80
    assert found[1][1] == 0.87


def test_a_range_too_small_for_its_side_is_dropped() -> None:
    settings = Signals(floor_share=0.1, cluster_usd=20e6)
    assert len(ranges({0.90: 90e6, 0.75: 9e6}, settings=settings)) == 1
    assert len(ranges({0.90: 90e6, 0.75: 11e6}, settings=settings)) == 2


def test_a_range_that_may_alert_is_never_too_small() -> None:
    # 6M is 6 % of its side, below the 10 % asked for, but above the 5M from which a trader is alerted.
    settings = Signals(floor_share=0.1, cluster_usd=5e6)
    assert ranges({0.90: 94e6, 0.75: 6e6}, settings=settings) == [(0.75, 0.76, 6.0), (0.90, 0.91, 94.0)]


def test_a_deep_pool_far_below_does_not_hide_what_lies_near_the_price() -> None:
    # The side's mean is (5 x 100M + 2 x 6M) / 25 = 20M a bucket; within 5 % of $0.88, about nine buckets, it is 1.3M.
    pool = {price / 100: 100e6 for price in range(72, 77)}
    assert ranges({**pool, 0.87: 6e6, 0.88: 6e6}) == [(0.72, 0.77, 500.0), (0.87, 0.89, 12.0)]
    everywhere = Signals(local_percent=90)
    assert ranges({**pool, 0.87: 6e6, 0.88: 6e6}, settings=everywhere) == [(0.72, 0.77, 500.0)]


def test_a_cluster_keeps_its_width_while_its_surroundings_fill_up() -> None:
    """Positions in a wall are still there when others have built as high a wall behind it."""
    story = Story()
    wall = {0.86: 6e6, 0.87: 6e6}
    story.minute(0.95, longs={**FLAT, **wall, 0.88: 6e6})
    before = story.latest_clusters()[0]
    behind = {price / 100: 4e6 for price in range(71, 86)}
    story.minute(0.95, longs={**FLAT, **behind, **wall, 0.88: 3.1e6})
    (cluster,) = story.latest_clusters()
    # The mean is 3.3M now, so unknown it would need 4.9M, known 3.2M (a bucket of 1.13 % of price, where the mean
    # is 1.21 %); but it has half of the cluster's densest bucket.
    assert (cluster.cluster_id, cluster.price_low, cluster.price_high) == (before.cluster_id, 0.86, 0.89)
    assert ranges({**FLAT, **behind, **wall, 0.88: 3.1e6}) == [(0.86, 0.88, 12.0)]


def test_a_cluster_that_sinks_into_a_flat_map_is_gone_whatever_it_holds() -> None:
    story = Story(patience_minutes=0)
    for amount in (6e6, 3e6, 1e6):
        story.minute(0.95, longs={**FLAT, 0.76: amount, 0.77: amount, 0.78: amount})
    assert [cluster.state for cluster in story.latest_clusters()] == ["gone"]


def test_out_of_reach_nothing_is_seen() -> None:
    assert ranges({0.90: 5e6, 0.60: 50e6}) == [(0.90, 0.91, 5.0)]


def test_a_long_cluster_lies_below_the_price_and_a_short_one_above() -> None:
    story = Story()
    story.minute(0.95, longs={0.85: 6e6}, shorts={1.04: 6e6})
    long, short = story.latest_clusters()
    assert (long.side, long.price_low, long.price_high, long.nearer_edge) == (1, 0.85, 0.86, 0.86)
    assert (short.side, short.price_low, short.price_high, short.nearer_edge) == (-1, 1.04, 1.06, 1.04)
    assert long.price_high < 0.95 < short.price_low
    # Nine cents of 95, both ways.
    assert long.distance == pytest.approx(9.4737, abs=1e-4)
    assert short.distance == pytest.approx(9.4737, abs=1e-4)


def test_a_cluster_shows_its_size_shares_and_round_number() -> None:
    story = Story()
    binance = heatmap_frame(START, {0.84: 2e6, 0.85: 4e6}, {}, band="10-25x")
    observed = heatmap_frame(START, {0.85: 2e6}, {}, band="50x+", basis="observed", confidence=1.0)
    story.hear(market(START, 0.95, binance, turnover_24h_usd=60e6))
    story.hear(market(START, 0.95, observed, venue=Venue.HYPERLIQUID, turnover_24h_usd=20e6))
    # Binance was alone at the first minute; with both, in the second, the cluster holds 8M of 80M ADV.
    second = START + MINUTE_MS
    binance = heatmap_frame(second, {0.84: 2e6, 0.85: 4e6}, {}, band="10-25x")
    observed = heatmap_frame(second, {0.85: 2e6}, {}, band="50x+", basis="observed", confidence=1.0)
    story.hear(market(second, 0.95, binance, turnover_24h_usd=60e6))
    story.hear(market(second, 0.95, observed, venue=Venue.HYPERLIQUID, turnover_24h_usd=20e6))
    (cluster,) = story.latest_clusters()
    assert cluster.at_risk_usd == 8_000_000 * MICRO_USD_PER_USD
    assert cluster.peak_usd == 6_000_000 * MICRO_USD_PER_USD
    shares = {venue: row for venue, row in story.cluster_shares if row.window_start == second}
    assert {venue: row.share for venue, row in shares.items()} == {"binance": 0.75, "hyperliquid": 0.25}
    assert sum(row.at_risk_usd for row in shares.values()) == cluster.at_risk_usd
    assert {row.cluster_id for row in shares.values()} == {cluster.cluster_id}
    assert cluster.peak_price == pytest.approx(0.855)
    assert cluster.percent_of_adv == pytest.approx(10.0)
    assert (cluster.share_10_25x, cluster.share_50x_up, cluster.share_1_5x) == (0.75, 0.25, 0.0)
    assert cluster.observed_share == 0.25
    assert cluster.confidence == pytest.approx((6 * 0.5 + 2 * 1.0) / 8)
    assert (cluster.round_number, cluster.round_number_distance) == (0.85, 0.0)
    assert cluster.age_minutes == 1


def test_life_of_a_cluster_born_grown_shrunk_steady_gone() -> None:
    story = Story(patience_minutes=2)
    states = []
    # Grown from 1.25 times the last report, shrunk below 0.8 times: 8 x 1.25 = 10, 10 x 0.8 = 8.
    for amount in (8e6, 9.9e6, 10e6, 8.1e6, 8e6, 8e6):
        story.minute(0.95, longs={0.85: amount})
        (cluster,) = story.latest_clusters()
        states.append(cluster.state)
    assert states == ["born", "steady", "grown", "steady", "shrunk", "steady"]
    rows = len(story.clusters)
    for _ in range(2):
        story.minute(0.95)
    assert len(story.clusters) == rows
    story.minute(0.95)
    last = story.clusters[-1]
    assert (last.state, last.at_risk_usd, last.age_minutes) == ("gone", 0, 8)
    assert len({cluster.cluster_id for cluster in story.clusters}) == 1


def test_a_cluster_that_price_went_through_is_swept() -> None:
    story = Story()
    story.minute(0.95, longs={0.85: 8e6})
    story.minute(0.84, swept_longs={0.85: 8e6}, low=0.83)
    last = story.clusters[-1]
    assert (last.state, last.swept_usd) == ("swept", 8_000_000 * MICRO_USD_PER_USD)


def test_what_a_jump_between_two_minutes_swept_is_counted() -> None:
    up, down = Story(), Story()
    up.minute(0.90, shorts={0.96: 8e6})
    up.minute(0.99, swept_shorts={0.96: 8e6}, low=0.99)
    down.minute(0.99, longs={0.96: 8e6})
    down.minute(0.90, swept_longs={0.96: 8e6}, high=0.90)
    for story in (up, down):
        last = story.clusters[-1]
        assert (last.state, last.swept_usd) == ("swept", 8_000_000 * MICRO_USD_PER_USD)


def test_a_cluster_that_was_mostly_closed_before_price_came_is_gone_not_swept() -> None:
    story = Story(patience_minutes=0)
    story.minute(0.95, longs={0.80: 8e6, 0.90: 8e6})
    # Price reached into its upper half and swept 1M of 8M; the rest was closed by its holders.
    story.minute(0.905, longs={0.80: 8e6}, swept_longs={0.90: 1e6}, low=0.905)
    assert [cluster.state for cluster in story.latest_clusters()] == ["steady", "gone"]


def test_a_missing_cluster_that_comes_back_in_time_is_the_same() -> None:
    story = Story(patience_minutes=3)
    for longs in ({0.85: 8e6}, {}, {}, {}, {0.84: 5e6, 0.85: 8e6}):
        story.minute(0.95, longs=longs)
    assert len({cluster.cluster_id for cluster in story.clusters}) == 1


def test_a_cluster_that_moves_by_a_bucket_is_the_same() -> None:
    story = Story()
    for first in (84, 83, 82, 81):
        story.minute(0.95, longs={(first + step) / 100: 5e6 for step in range(3)})
    assert len({cluster.cluster_id for cluster in story.clusters}) == 1


def test_of_a_parted_cluster_the_heavier_piece_keeps_the_identity() -> None:
    story = Story()
    story.minute(0.95, longs={0.80: 5e6, 0.81: 5e6, 0.82: 5e6, 0.83: 5e6, 0.84: 5e6, 0.85: 5e6})
    before = story.latest_clusters()[0].cluster_id
    story.minute(0.95, longs={0.80: 6e6, 0.81: 5e6, 0.84: 4e6, 0.85: 4e6})
    low, high = story.latest_clusters()
    assert (low.cluster_id, low.state) == (before, "shrunk")
    assert (high.state, high.age_minutes) == ("born", 0)


def test_edges_do_not_flicker_at_the_threshold() -> None:
    # The neighbour is dense at 2.4M (mean 1.6M x 1.5); once in, it stays down to 70 % of that.
    story = Story(reach_percent=25.0)
    highs = []
    for neighbour in (2.6e6, 2.0e6, 2.6e6, 2.0e6, 1.2e6):
        story.minute(0.95, longs={**FLAT, 0.84: 8e6, 0.85: 8e6, 0.86: neighbour})
        highs.append(story.latest_clusters()[0].price_high)
    assert highs == [0.87, 0.87, 0.87, 0.87, 0.86]


def test_the_same_map_over_many_rows_or_one_is_the_same_book() -> None:
    whole = heatmap_frame(START, {0.85: 8e6}, {})
    halves = [heatmap_frame(START, {0.85: 4e6}, {}), heatmap_frame(START, {0.85: 4e6}, {}, band="1-5x")]
    rows = [read_rows(frame)[0] for frame in halves]
    one = book_of(Side.LONG, 0.95, [read_rows(whole)[0]])
    two = book_of(Side.LONG, 0.95, rows)
    assert np.array_equal(one.at_risk, two.at_risk)
