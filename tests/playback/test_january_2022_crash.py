"""The whole engine over a recorded crash: the alerts that a trader would have got, each with its reason.

The golden file holds them in order; `crash_log` says what in the log is recorded and what is modelled. Beside the
comparison, each alert is judged by the bars alone, so that a golden file that was written anew cannot lie. Whoever
tunes the inference on purpose writes the file anew and gives each alert its reason again.
"""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from liqheat.domain.events import Kind
from liqheat.domain.signals import Alert
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Engine, Signals
from processors.pipeline import Pipeline
from tests.crash_log import SYMBOL, Bar, bars, crash_log

GOLDEN = Path(__file__).parents[1] / "data" / "january_2022_alerts.json"
# Bitcoin is no thin token: sizes as somebody who trades it would set them for one venue.
SETTINGS = Signals(overrides={SYMBOL: {"cluster_usd": 8e6, "cascade_usd": 1e6}})


@cache
def crash_alerts() -> tuple[Alert, ...]:
    pipeline = Pipeline(SETTINGS)
    state = pipeline.new_state(SYMBOL, Engine())
    return tuple(
        Alert(*row)
        for batch in crash_log()
        for output in pipeline.apply(state, batch)
        if output.kind is Kind.ALERTS
        for row in output.frame.iter_rows()
    )


def line(alert: Alert) -> str:
    """Return time, mark and message, as a reader wants them."""
    moment = datetime.fromtimestamp(alert.event_time / 1_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M} at {alert.mark_price:.0f}: {alert.message}"


def test_the_crash_tells_what_the_golden_file_says() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert [line(alert) for alert in crash_alerts()] == [entry["alert"] for entry in golden]
    assert all(entry["reason"] for entry in golden)


def test_every_alert_of_the_crash_is_borne_out_by_the_recorded_bars() -> None:
    by_start = {bar.start: bar for bar in bars()}
    for alert in crash_alerts():
        start = alert.event_time - MINUTE_MS
        bar, before = by_start[start], by_start[start - MINUTE_MS]
        assert alert.mark_price == bar.close
        if alert.rule == "entered":
            assert reached(alert, bar), line(alert)
        elif alert.rule == "swept":
            assert reached(alert, bar) or reached(alert, before), line(alert)
        elif alert.rule == "approaching":
            away = alert.side * (bar.close - alert.edge_price) / bar.close
            assert 0 <= away <= 0.05, line(alert)
        elif alert.rule == "cascade":
            assert abs(bar.close / bar.open - 1) > 0.005, line(alert)
            assert (bar.close < bar.open) == (alert.side == 1), line(alert)


def reached(alert: Alert, bar: Bar) -> bool:
    return bar.low <= alert.edge_price if alert.side == 1 else bar.high >= alert.edge_price


def test_no_alert_of_the_crash_is_told_twice() -> None:
    names = [alert.alert_id for alert in crash_alerts()]
    assert len(names) == len(set(names))
