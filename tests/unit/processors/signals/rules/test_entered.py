"""Entered: once per visit, by the cluster as it was a minute before."""

import pytest

from liqheat.domain.market import Venue
from liqheat.domain.money import MICRO_USD_PER_USD
from tests.support.signal_cases import CLUSTER, START, WALL, Story, alerts_of, heatmap_frame, market, rules, swept_at


def test_entered_is_sent_when_the_marks_range_reaches_the_outer_edge() -> None:
    story = Story()
    assert alerts_of(story, [0.90]) == [["approaching"]]
    assert rules(story.minute(0.88, longs=CLUSTER, low=0.8701)) == []
    alerts = story.minute(0.875, longs=CLUSTER, low=0.87)
    assert rules(alerts) == ["entered"]
    (alert,) = alerts
    assert (alert.edge_price, alert.notional_usd) == (0.87, 6_000_000 * MICRO_USD_PER_USD)
    assert alert.message == (
        "VIRTUAL entered: price reached the outer edge 0.87 of the long cluster 0.85-0.87, $6.00M (6.0% of ADV); "
        "rule of thumb: reduce exposure by 38%"
    )


def test_a_short_cluster_is_entered_from_below() -> None:
    story = Story()
    shorts = {0.98: 6e6}
    assert rules(story.minute(0.90, shorts=shorts)) == []
    assert rules(story.minute(0.96, shorts=shorts)) == ["approaching"]
    assert rules(story.minute(0.97, shorts=shorts, high=0.9799)) == []
    (alert,) = story.minute(0.97, shorts=shorts, high=0.98)
    assert (alert.kind, alert.side, alert.edge_price) == ("entered", -1, 0.98)


def test_a_jump_over_the_edge_between_two_minutes_is_an_entry() -> None:
    story = Story()
    alerts_of(story, [0.90])
    assert rules(story.minute(0.83, swept_longs=CLUSTER)) == ["entered", "swept"]


def test_one_entry_is_one_alert_however_price_trembles_at_the_edge() -> None:
    story = Story(cooldown_minutes=0)
    alerts_of(story, [0.90])
    # A percent above $0.87 is $0.8787: as long as price comes back below that, it has not left.
    trembling = [rules(story.minute(0.872, longs=CLUSTER, low=low)) for low in (0.869, 0.878, 0.869, 0.878, 0.869)]
    assert trembling == [["entered"], [], [], [], []]
    assert rules(story.minute(0.89, longs=CLUSTER)) == []
    assert rules(story.minute(0.89, longs=CLUSTER)) == []
    assert rules(story.minute(0.88, longs=CLUSTER, low=0.865)) == ["entered"]


def test_a_second_entry_within_the_cool_down_is_not_sent() -> None:
    story = Story(cooldown_minutes=30)
    alerts_of(story, [0.90])
    story.minute(0.88, longs=CLUSTER, low=0.865)
    alerts_of(story, [0.89, 0.89])
    assert rules(story.minute(0.88, longs=CLUSTER, low=0.865)) == []


def test_entering_is_judged_by_the_cluster_as_it_stood_a_minute_before() -> None:
    """By the end of the minute price took half of it: the edge is deeper and what is left is below the 5M."""
    story = Story()
    story.minute(0.90, longs=WALL)
    (alert,) = [each for each in story.minute(0.852, low=0.851, **swept_at(0.85, 0.86)) if each.kind == "entered"]
    assert (alert.edge_price, alert.notional_usd) == (0.87, 8_000_000 * MICRO_USD_PER_USD)
    cluster = story.latest_clusters()[0]
    assert (cluster.price_high, cluster.at_risk_usd) == (0.85, 4_000_000 * MICRO_USD_PER_USD)


def test_a_cluster_that_is_missing_for_a_minute_is_entered_all_the_same() -> None:
    """Others became as dense, so it is no cluster for the moment; what it held is still there."""
    story = Story()
    flat = {price / 100: 1e6 for price in range(66, 89)}
    assert rules(story.minute(0.885, longs={**flat, **CLUSTER})) == ["approaching"]
    level = {price / 100: 4e6 if price < 81 else 3e6 for price in range(66, 89)}
    story.minute(0.885, longs=level)
    assert story.latest_clusters()[0].window_start == START
    left = {price: usd for price, usd in level.items() if price < 0.87}
    (alert,) = story.minute(0.868, longs=left, swept_longs={0.87: 3e6, 0.88: 3e6})
    assert (alert.kind, alert.edge_price) == ("entered", 0.87)
    assert alert.notional_usd == 6_000_000 * MICRO_USD_PER_USD


def test_of_two_clusters_that_joined_one_is_entered() -> None:
    """The lighter one is missing, and what it held belongs to the heavier one now."""
    story = Story()
    story.minute(0.90, longs={0.82: 6e6, 0.83: 6e6, 0.86: 6e6})
    assert [cluster.price_low for cluster in story.latest_clusters()] == [0.82, 0.86]
    story.minute(0.90, longs={price / 100: 6e6 for price in range(82, 87)})
    (alert,) = story.minute(0.869, longs={price / 100: 6e6 for price in range(82, 87)})
    assert (alert.kind, alert.notional_usd) == ("entered", 30_000_000 * MICRO_USD_PER_USD)


def test_a_cluster_that_grows_where_price_stands_is_not_approached_but_entered() -> None:
    story = Story()
    small = {price: usd / 4 for price, usd in WALL.items()}
    assert story.minute(0.865, longs=small) == []
    assert story.minute(0.865, longs=WALL) == []
    (alert,) = story.minute(0.865, longs=WALL)
    assert alert.message.startswith("VIRTUAL entered: price is within the long cluster 0.83-0.87, $8.00M")


def test_price_of_one_broken_venue_enters_nothing() -> None:
    """The mark is the median over venues, so one feed far off neither moves it nor crosses an edge."""
    story = Story()
    alerts_of(story, [0.90])
    for venue, mark in ((Venue.BYBIT, 0.90), (Venue.OKX, 0.50), (Venue.BINANCE, 0.90)):
        story.hear(market(story.window, mark, heatmap_frame(story.window, CLUSTER, {}), venue=venue))
    assert rules(story.alerts) == ["approaching"]
    assert story.readings[-1].mark_price == pytest.approx(0.90)


def test_a_cluster_that_grows_after_price_touched_it_and_went_is_not_entered_until_price_is_back() -> None:
    story = Story()
    small = {price: usd / 4 for price, usd in WALL.items()}
    story.minute(0.88, longs=small)
    # A wick to the edge of 2M says nothing; then it holds 8M, and price is near, but outside.
    assert story.minute(0.875, longs=small, low=0.87) == []
    assert rules(story.minute(0.875, longs=WALL)) == ["approaching"]
    assert story.minute(0.875, longs=WALL) == []
    (alert,) = story.minute(0.869, longs=WALL)
    assert alert.message.startswith("VIRTUAL entered: price reached the outer edge 0.87 of the long cluster 0.83-0.87")
