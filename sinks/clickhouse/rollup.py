"""Hours and days of the map, recomputed from their minutes whenever new rows touched them.

A materialised view would count a replayed or revised row twice. Instead the sink names the hours that its rows
touched, and each is computed anew from everything stored (`FINAL`), in ClickHouse. Its `version` is the sum of the
revisions read: it grows with every row and every newer revision, so that of several rollups of one hour the one
that saw the most wins, whatever their order. Levels are those of the market's last minute; flows are summed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from liqheat.domain.events import Batch
from liqheat.domain.windows import DAY_MS, HOUR_MS, window_start

_SYMBOLS_A_STATEMENT = 50
"""Bounds the memory of one recomputation; each statement reads whole hours of that many symbols."""


class MarketHour(NamedTuple):
    """One hour of a symbol; `start` in ms."""

    symbol: str
    start: int


def hours_of(batch: Batch) -> set[MarketHour]:
    """Return the hours that the rows of `batch` fall into."""
    hours = batch.frame.select("symbol", pl.col("window_start") // HOUR_MS * HOUR_MS).unique()
    return {MarketHour(symbol, start) for symbol, start in hours.iter_rows()}


def roll_up(client: Client, database: str, hours: Iterable[MarketHour]) -> None:
    """Recompute `hours` from minutes, then the days that hold them from hours.

    Raises the driver's exceptions; repeating it is harmless.
    """
    touched = set(hours)
    days = {MarketHour(hour.symbol, window_start(hour.start, DAY_MS)) for hour in touched}
    _recompute(client, _HOURS.format(database=database), touched)
    _recompute(client, _DAYS.format(database=database), days)


def _recompute(client: Client, statement: str, periods: set[MarketHour]) -> None:
    by_start: dict[int, list[str]] = {}
    for period in sorted(periods, key=lambda period: (period.start, period.symbol)):
        by_start.setdefault(period.start, []).append(period.symbol)
    for start, symbols in by_start.items():
        for first in range(0, len(symbols), _SYMBOLS_A_STATEMENT):
            client.command(
                statement,
                parameters={
                    "start": int(datetime.fromtimestamp(start / 1_000, UTC).timestamp()),
                    "symbols": symbols[first : first + _SYMBOLS_A_STATEMENT],
                },
            )


_STATEMENT = """
INSERT INTO {{database}}.{target}
    (symbol, venue, side, basis, leverage_band, window_start, price_low, price_high, at_risk_micro_usd,
     at_risk_peak_micro_usd, opened_micro_usd, closed_micro_usd, swept_micro_usd, liquidated_micro_usd, confidence,
     version)
SELECT
    symbol, venue, side, basis, leverage_band, period, price_low, high,
    if(last_seen = max(last_seen) OVER market, level, 0), peak, opened, closed, swept, liquidated, trust,
    sum(weight) OVER market
FROM
(
    SELECT
        symbol, venue, side, basis, leverage_band, price_low,
        {period}(window_start) AS period,
        max(window_start) AS last_seen,
        any(price_high) AS high,
        argMax(at_risk_micro_usd, window_start) AS level,
        max({peak}) AS peak,
        sum(opened_micro_usd) AS opened,
        sum(closed_micro_usd) AS closed,
        sum(swept_micro_usd) AS swept,
        sum(liquidated_micro_usd) AS liquidated,
        argMax(confidence, window_start) AS trust,
        sum(toUInt128({weight})) AS weight
    FROM {{database}}.{origin} FINAL
    WHERE symbol IN {{{{symbols:Array(String)}}}}
      AND window_start >= toDateTime({{{{start:UInt32}}}}, 'UTC')
      AND window_start < toDateTime({{{{start:UInt32}}}} + {seconds}, 'UTC')
    GROUP BY symbol, venue, side, basis, leverage_band, price_low, period
)
WINDOW market AS (PARTITION BY symbol, venue)
"""

_HOURS = _STATEMENT.format(
    target="heatmap_1h_raw",
    origin="heatmap_raw",
    period="toStartOfHour",
    peak="at_risk_micro_usd",
    weight="revision",
    seconds=HOUR_MS // 1_000,
)
_DAYS = _STATEMENT.format(
    target="heatmap_1d_raw",
    origin="heatmap_1h_raw",
    period="toStartOfDay",
    peak="at_risk_peak_micro_usd",
    weight="version",
    seconds=DAY_MS // 1_000,
)
