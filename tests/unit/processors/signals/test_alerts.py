"""Alerts: each rule on a hand-made path, once per entry, and again only when it should be."""

from typing import Any

import pytest

from liqheat.domain.market import Side, Venue
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.windows import MINUTE_MS
from tests.support.signal_cases import START, Story, heatmap_frame, market, rules

# $0.85-$0.87 holds 6M, below 15 % of the 100M ADV; its outer edge is $0.87.
CLUSTER = {0.85: 3e6, 0.86: 3e6}


def alerts_of(story: Story, marks: list[float], **minute: Any) -> list[list[str]]:
    return [rules(story.minute(mark, longs=CLUSTER, **minute)) for mark in marks]


def test_approaching_is_sent_once_within_five_percent_of_the_outer_edge() -> None:
    # 5 % before $0.87 is 0.87 / 0.95 = $0.9158.
    assert alerts_of(Story(), [0.95, 0.92, 0.915, 0.91, 0.92, 0.915]) == [[], [], ["approaching"], [], [], []]


def test_approaching_is_sent_again_after_price_went_a_percent_further_and_the_cool_down_passed() -> None:
    story = Story(cooldown_minutes=4)
    # Six percent away is 0.87 / 0.94 = $0.9255; the second approach comes five minutes after the first.
    assert alerts_of(story, [0.915, 0.92, 0.926, 0.926, 0.926, 0.915]) == [
        ["approaching"],
        [],
        [],
        [],
        [],
        ["approaching"],
    ]
    trembling = Story(cooldown_minutes=0)
    assert alerts_of(trembling, [0.915, 0.92, 0.915]) == [["approaching"], [], []]
    hasty = Story(cooldown_minutes=30)
    assert alerts_of(hasty, [0.915, 0.926, 0.915])[-1] == []


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


def test_a_cluster_below_the_notional_alerts_nobody() -> None:
    story = Story()
    small = {0.85: 2.4e6, 0.86: 2.5e6}
    for mark, low in ((0.90, 0.90), (0.88, 0.865), (0.84, 0.84)):
        story.minute(mark, longs=small if mark > 0.85 else {}, swept_longs={} if mark > 0.85 else small, low=low)
    assert story.alerts == []


def test_the_notional_is_a_setting_of_the_symbol() -> None:
    story = Story(overrides={"VIRTUAL": {"cluster_usd": 7e6}})
    story.settings = story.settings.of("VIRTUAL")
    assert alerts_of(story, [0.90]) == [[]]


def test_caution_above_fifteen_percent_of_volume_and_again_after_it_fell_below_nine_tenths() -> None:
    story = Story(cooldown_minutes=0)
    sequence = (14.9e6, 15.1e6, 16e6, 14e6, 15.1e6, 13.4e6, 15.1e6)
    assert [rules(story.minute(0.95, longs={0.80: amount})) for amount in sequence] == [
        [],
        ["caution"],
        [],
        [],
        [],
        [],
        ["caution"],
    ]


def test_caution_holds_for_thin_tokens_of_any_size() -> None:
    story = Story()
    assert rules(story.minute(0.95, longs={0.80: 0.4e6}, turnover_24h_usd=2e6)) == ["caution"]


def test_swept_is_sent_when_price_went_through() -> None:
    story = Story()
    alerts_of(story, [0.90])
    alerts = story.minute(0.84, swept_longs=CLUSTER, low=0.84)
    assert rules(alerts) == ["entered", "swept"]
    assert alerts[-1].message == ("VIRTUAL swept: price took $6.00M of the long cluster 0.85-0.87, which held $6.00M")
    assert (alerts[-1].edge_price, alerts[-1].notional_usd) == (0.87, 6_000_000 * MICRO_USD_PER_USD)


# Four buckets of 2M from $0.83 to $0.87.
WALL = {0.83: 2e6, 0.84: 2e6, 0.85: 2e6, 0.86: 2e6}


def swept_at(*prices: float) -> dict[str, dict[float, float]]:
    """Return what is left of the wall above `prices`, which the minute swept."""
    swept = {price: WALL[price] for price in prices}
    return {"longs": {price: usd for price, usd in WALL.items() if price < min(prices)}, "swept_longs": swept}


def test_entering_is_judged_by_the_cluster_as_it_stood_a_minute_before() -> None:
    """By the end of the minute price took half of it: the edge is deeper and what is left is below the 5M."""
    story = Story()
    story.minute(0.90, longs=WALL)
    (alert,) = [each for each in story.minute(0.852, low=0.851, **swept_at(0.85, 0.86)) if each.kind == "entered"]
    assert (alert.edge_price, alert.notional_usd) == (0.87, 8_000_000 * MICRO_USD_PER_USD)
    cluster = story.latest_clusters()[0]
    assert (cluster.price_high, cluster.at_risk_usd) == (0.85, 4_000_000 * MICRO_USD_PER_USD)


def test_swept_over_several_minutes_is_sent_once_when_half_of_it_is_taken() -> None:
    story = Story(cooldown_minutes=0)
    assert rules(story.minute(0.90, longs=WALL)) == ["approaching"]
    assert rules(story.minute(0.865, **swept_at(0.86))) == ["entered"]
    (alert,) = story.minute(0.855, longs={0.83: 2e6, 0.84: 2e6}, swept_longs={0.85: 2e6})
    assert alert.kind == "swept"
    assert alert.message == (
        "VIRTUAL swept: price took $4.00M of the long cluster 0.83-0.87, which held $8.00M; $4.00M left"
    )
    assert story.minute(0.845, longs={0.83: 2e6}, swept_longs={0.84: 2e6}) == []
    assert story.minute(0.82, swept_longs={0.83: 2e6}) == []
    last = story.clusters[-1]
    assert (last.state, last.swept_usd) == ("swept", 8_000_000 * MICRO_USD_PER_USD)
    assert len({alert.cluster_id for alert in story.alerts}) == 1


def test_swept_is_measured_against_what_the_cluster_held_when_price_came() -> None:
    """It held 40M once, but its holders closed 32M before price came and took most of the rest."""
    story = Story()
    story.minute(0.95, longs={price: 5 * usd for price, usd in WALL.items()})
    story.minute(0.95, longs=WALL)
    story.minute(0.88, longs=WALL)
    assert rules(story.minute(0.835, **swept_at(0.84, 0.85, 0.86))) == ["entered", "swept"]


def test_a_cluster_whose_holders_closed_while_price_was_in_it_is_not_swept() -> None:
    story = Story(patience_minutes=0)
    story.minute(0.88, longs=WALL)
    assert rules(story.minute(0.865, **swept_at(0.86))) == ["entered"]
    # Price stays; of the 6M left, 5.5M are closed: 7.5M of 8M are lost and price took 2M of that.
    assert story.minute(0.865, longs={0.83: 0.5e6}) == []
    assert story.minute(0.865) == []
    assert story.clusters[-1].state == "gone"


def test_a_cluster_that_is_nibbled_at_and_fills_up_again_is_not_swept() -> None:
    story = Story()
    story.minute(0.88, longs=WALL)
    for _ in range(8):
        story.minute(0.868, longs=WALL, swept_longs={0.86: 1e6})
    assert rules(story.alerts) == ["approaching", "entered"]
    assert story.clusters[-1].swept_usd == 8_000_000 * MICRO_USD_PER_USD


def test_price_that_left_and_came_back_may_sweep_the_rest() -> None:
    story = Story(cooldown_minutes=0, cluster_usd=1e6)
    story.minute(0.88, longs=WALL)
    assert rules(story.minute(0.852, **swept_at(0.85, 0.86))) == ["entered", "swept"]
    rest = {0.83: 2e6, 0.84: 2e6}
    # A percent outside $0.87 is $0.8787; the first minute of each still holds the close of the one before.
    for mark in (0.90, 0.90):
        assert story.minute(mark, longs=rest) == []
    assert rules(story.minute(0.82, swept_longs=rest)) == ["entered", "swept"]


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


def test_a_cascade_is_ten_times_the_usual() -> None:
    story = Story(cascade_warmup_minutes=30)
    for _ in range(30):
        assert story.minute(0.95, longs=CLUSTER, liquidated_long_usd=20_000 * MICRO_USD_PER_USD) == []
    assert story.minute(0.95, longs=CLUSTER, liquidated_long_usd=199_000 * MICRO_USD_PER_USD) == []
    (alert,) = story.minute(0.95, longs=CLUSTER, liquidated_long_usd=600_000 * MICRO_USD_PER_USD)
    assert (alert.kind, alert.side, alert.cluster_id) == ("cascade", 1, "")
    assert alert.message == "VIRTUAL cascade: $600.0k of longs liquidated in a minute, 23 times the usual or more"


def test_a_cascade_is_sent_once_while_it_lasts_and_not_before_the_usual_is_known() -> None:
    story = Story(cooldown_minutes=0, cascade_warmup_minutes=30)

    def minute(thousands: int) -> int:
        executed = thousands * 1_000 * MICRO_USD_PER_USD
        return len(story.minute(0.95, longs=CLUSTER, liquidated_short_usd=executed))

    assert [minute(500), *(minute(20) for _ in range(300))] == [0] * 301
    # Usually 20k, so 200k is a cascade; it ends after five minutes in a row below 100k.
    assert [minute(amount) for amount in (500, 20, 500, 20, 20, 20, 20, 500)] == [1, 0, 0, 0, 0, 0, 0, 0]
    assert [minute(amount) for amount in (20, 20, 20, 20, 20, 500)] == [0, 0, 0, 0, 0, 1]


def test_a_small_burst_after_silence_is_no_cascade() -> None:
    story = Story()
    for _ in range(40):
        story.minute(0.95, longs=CLUSTER)
    assert story.minute(0.95, longs=CLUSTER, liquidated_long_usd=99_000 * MICRO_USD_PER_USD) == []
    assert rules(story.minute(0.95, longs=CLUSTER, liquidated_long_usd=100_000 * MICRO_USD_PER_USD)) == ["cascade"]


def test_a_large_burst_after_silence_is_no_silly_number() -> None:
    story = Story()
    for _ in range(40):
        story.minute(0.95, longs=CLUSTER)
    (alert,) = story.minute(0.95, longs=CLUSTER, liquidated_long_usd=20_000_000 * MICRO_USD_PER_USD)
    assert alert.message.endswith("$20.00M of longs liquidated in a minute, more than 1,000 times the usual")


def test_an_alert_names_rule_cluster_and_minute() -> None:
    story = Story()
    (alert,) = story.minute(0.90, longs=CLUSTER)
    minute = START // MINUTE_MS
    assert alert.alert_id == f"approaching-VIRTUAL-long-0.865-{minute}-{minute}"
    assert alert.event_time == START + MINUTE_MS
    assert alert.side == Side.LONG


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


def test_sizes_read_in_thousands_millions_and_billions() -> None:
    for usd, text in ((900e3, "$900.0k"), (7e6, "$7.00M"), (1_009e6, "$1.01B")):
        (alert,) = Story(cluster_usd=5e5, caution_percent=2_000).minute(0.90, longs={0.86: usd})
        assert f"cluster 0.86-0.87, {text} (" in alert.message
