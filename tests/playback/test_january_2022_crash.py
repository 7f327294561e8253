"""The whole engine over a recorded crash: the alerts that a trader would have got, each with its reason.

`crash_log` says what in the log is recorded and what is modelled. The golden file holds the alerts in order; after a
change that was meant, `.venv/bin/python -m tests.support.crash_alerts` writes it again. So that a new file cannot
lie, each alert is also judged by the recorded bars alone, and the list by what any sensible model must say of a
fall of 12 %.
"""

import json
from itertools import pairwise

from liqheat.domain.market import Side
from liqheat.domain.signals import Alert
from tests.support.crash_alerts import GOLDEN, SETTINGS, crash_alerts, entries, line, recorded
from tests.support.crash_log import FIRST, LAST, SYMBOL, Bar

THRESHOLDS = SETTINGS.of(SYMBOL)


def test_the_crash_gives_what_the_golden_file_says() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert entries() == golden, "if this was meant: python -m tests.support.crash_alerts"
    assert all(entry["reason"] for entry in golden)


def test_every_alert_of_the_crash_is_borne_out_by_the_recorded_bars() -> None:
    market = recorded()
    for alert in crash_alerts():
        bar = market.of(alert)
        assert alert.mark_price == bar.close
        if alert.kind == "entered":
            assert reached(alert, bar), line(alert)
        elif alert.kind == "swept":
            assert any(reached(alert, each) for each in market.between(entry_of(alert), alert)), line(alert)
        elif alert.kind == "approaching":
            away = alert.side * (bar.close - alert.edge_price) / bar.close
            assert 0 <= away <= 0.05, line(alert)
        elif alert.kind == "cascade":
            assert abs(bar.close / bar.open - 1) > 0.005, line(alert)
            assert (bar.close < bar.open) == (alert.side == Side.LONG), line(alert)
        if alert.kind in ("entered", "approaching"):
            assert alert.notional_usd >= THRESHOLDS.cluster_usd * 1e6, line(alert)


def reached(alert: Alert, bar: Bar) -> bool:
    return bar.low <= alert.edge_price if alert.side == Side.LONG else bar.high >= alert.edge_price


def entry_of(swept: Alert) -> Alert:
    """Return the last entry before the cluster was swept; every sweep has one."""
    said = [
        each
        for each in crash_alerts()
        if each.cluster_id == swept.cluster_id and each.kind == "entered" and each.event_time <= swept.event_time
    ]
    assert said, line(swept)
    return said[-1]


def test_price_fell_through_a_cluster_of_longs_that_was_approached_then_entered_then_swept() -> None:
    stories: dict[str, list[str]] = {}
    for alert in crash_alerts():
        if alert.side == Side.LONG and alert.cluster_id:
            stories.setdefault(alert.cluster_id, []).append(alert.kind)
    whole = [rules for rules in stories.values() if {"approaching", "entered", "swept"} <= set(rules)]
    assert whole, stories
    for rules in whole:
        assert rules.index("approaching") < rules.index("entered") < rules.index("swept"), rules


def test_no_alert_of_the_crash_is_sent_twice_and_none_of_a_cluster_within_the_cool_down() -> None:
    alerts = crash_alerts()
    assert len({alert.alert_id for alert in alerts}) == len(alerts)
    for rule in ("approaching", "entered", "swept", "caution", "cascade"):
        for subject in {(alert.cluster_id, alert.side) for alert in alerts}:
            times = [each.event_time for each in alerts if (each.kind, each.cluster_id, each.side) == (rule, *subject)]
            assert all(later - sooner >= THRESHOLDS.cooldown_minutes * 60_000 for sooner, later in pairwise(times))


def test_a_trader_can_still_read_them_all() -> None:
    """A day with a crash may send more alerts than a quiet one, but not more than two per hour."""
    hours = (LAST - FIRST).total_seconds() / 3_600
    assert 5 <= len(crash_alerts()) <= 2 * hours
