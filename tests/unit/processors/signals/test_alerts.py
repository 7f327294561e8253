"""Alerts: what all rules about clusters share; each rule has its tests in `rules/`."""

from liqheat.domain.market import Side
from liqheat.domain.windows import MINUTE_MS
from tests.support.signal_cases import CLUSTER, START, Story, alerts_of


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


def test_an_alert_names_rule_cluster_and_minute() -> None:
    story = Story()
    (alert,) = story.minute(0.90, longs=CLUSTER)
    minute = START // MINUTE_MS
    assert alert.alert_id == f"approaching-VIRTUAL-long-0.865-{minute}-{minute}"
    assert alert.event_time == START + MINUTE_MS
    assert alert.side == Side.LONG


def test_sizes_read_in_thousands_millions_and_billions() -> None:
    for usd, text in ((900e3, "$900.0k"), (7e6, "$7.00M"), (1_009e6, "$1.01B")):
        (alert,) = Story(cluster_usd=5e5, caution_percent=2_000).minute(0.90, longs={0.86: usd})
        assert f"cluster 0.86-0.87, {text} (" in alert.message
