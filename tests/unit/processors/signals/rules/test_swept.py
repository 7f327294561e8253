"""Swept: when price took a large part of what a cluster held, whether at once or over minutes."""

from liqheat.domain.money import MICRO_USD_PER_USD
from tests.support.signal_cases import CLUSTER, WALL, Story, alerts_of, rules, swept_at


def test_swept_is_sent_when_price_went_through() -> None:
    story = Story()
    alerts_of(story, [0.90])
    alerts = story.minute(0.84, swept_longs=CLUSTER, low=0.84)
    assert rules(alerts) == ["entered", "swept"]
    assert alerts[-1].message == ("VIRTUAL swept: price took $6.00M of the long cluster 0.85-0.87, which held $6.00M")
    assert (alerts[-1].edge_price, alerts[-1].notional_usd) == (0.87, 6_000_000 * MICRO_USD_PER_USD)


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
