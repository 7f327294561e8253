"""The alerts that a trader would have got in the crash of `crash_log`, each with its reason, as a golden file.

`python -m tests.support.crash_alerts` writes the file again, after a change of the inference or signals was meant;
then read what changed. The reasons are made of the recorded bars and of the alerts before, not of what the
engine thinks, so they say for every alert whether the market bore it out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from liqheat.domain.events import Kind, schema_of
from liqheat.domain.market import Side
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.signals import Alert
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform import codec
from liqheat.platform.codec_blocks import blocks_of
from liqheat.platform.settings import Engine, Signals
from processors.pipeline import Pipeline
from tests.support.crash_log import SYMBOL, Bar, bars, crash_log

GOLDEN = Path(__file__).parents[1] / "data" / "january_2022_alerts.json"
# Bitcoin is no thin token: sizes as somebody who trades it would set them for one venue.
SETTINGS = Signals(overrides={SYMBOL: {"cluster_usd": 8e6, "cascade_usd": 1e6}})


@cache
def crash_alerts() -> tuple[Alert, ...]:
    """Return the alerts of the crash in the order in which they were sent."""
    pipeline = Pipeline(SETTINGS)
    state = pipeline.new_state(Engine())
    return tuple(
        Alert(*row)
        for batch in crash_log()
        for output in pipeline.apply(state, blocks_of([codec.rows_of(batch)]))
        if output.kind is Kind.ALERTS
        for row in output.frame.select(list(schema_of(Kind.ALERTS).polars)).iter_rows()
    )


@dataclass(frozen=True, slots=True)
class Market:
    """What was recorded: bars by the start of their minute (ms)."""

    by_start: Mapping[int, Bar]

    def of(self, alert: Alert) -> Bar:
        """Return the bar of the minute that `alert` judged."""
        return self.by_start[alert.event_time - MINUTE_MS]

    def between(self, first: Alert, last: Alert) -> list[Bar]:
        """Return the bars from the minute of `first` to that of `last`, both included."""
        return [self.by_start[start] for start in range(self.of(first).start, last.event_time, MINUTE_MS)]


def recorded() -> Market:
    """Return the recorded bars."""
    return Market({bar.start: bar for bar in bars()})


def line(alert: Alert) -> str:
    """Return time, mark and message, as a reader wants them."""
    return f"{_clock(alert.event_time)} at {alert.mark_price:.0f}: {alert.message}"


def reason(alert: Alert, earlier: Sequence[Alert], market: Market) -> str:
    """Return why `alert` was sent when it was, out of the bars and the alerts sent before it."""
    bar = market.of(alert)
    same = [each for each in earlier if each.cluster_id == alert.cluster_id and each.side == alert.side]
    before = {each.kind: each for each in same}
    if alert.kind == "cascade":
        last = (
            f"the last one of this side was sent at {_clock(before['cascade'].event_time)}" if before else "the first"
        )
        return (
            f"The minute went from {bar.open:.0f} to {bar.close:.0f}, {bar.close / bar.open - 1:+.2%}, with "
            f"{bar.volume / 1e6:.0f}M traded, of which the log has a twentieth liquidated; {last}."
        )
    edge, least = alert.edge_price, SETTINGS.of(SYMBOL).cluster_usd / 1e6
    amount = f"{alert.notional_usd / MICRO_USD_PER_USD / 1e6:.1f}M of {Side(alert.side).label}s"
    if alert.kind == "approaching":
        hour = market.by_start[bar.start - HOUR_MS].close
        text = f"Price went from {hour:.0f} an hour before to {bar.close:.0f}, within 5 % of {edge:.0f}, where {amount}"
        text += f" begin, above the {least:.0f}M asked for"
        if "approaching" not in before:
            return f"{text}; the first alert about this cluster."
        away = max(alert.side * (each.close - edge) / each.close for each in market.between(same[-1], alert))
        return f"{text}; alerted before at {_clock(before['approaching'].event_time)}, and {away:.1%} away since."
    came = f"approached at {_clock(before['approaching'].event_time)}" if "approaching" in before else "no alert before"
    if alert.kind == "entered":
        reach = f"low of {bar.low:.0f}" if alert.side == Side.LONG else f"high of {bar.high:.0f}"
        return f"The minute's {reach} reached the edge {edge:.0f}, behind which stood {amount}; {came}."
    if alert.kind == "swept":
        visit = market.between(before["entered"], alert)
        end = min(each.low for each in visit) if alert.side == Side.LONG else max(each.high for each in visit)
        return f"From {_clock(before['entered'].event_time)} price went through {edge:.0f} to {end:.0f}, over {amount}."
    return f"{amount} are {alert.percent_of_adv:.1f} % of what was traded in a day."


def entries() -> list[dict[str, str]]:
    """Return what the golden file holds: each alert as a line, with its reason."""
    alerts, market = crash_alerts(), recorded()
    return [
        {"alert": line(alert), "reason": reason(alert, alerts[:place], market)} for place, alert in enumerate(alerts)
    ]


def _clock(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1_000, UTC):%Y-%m-%d %H:%M}"


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(entries(), indent=1) + "\n", encoding="utf-8")
