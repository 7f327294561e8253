"""Hours and days of the map, recomputed from their minutes whenever new rows touched them.

A materialised view would count a replayed or revised row twice. Instead the sink names the hours that its rows touched,
and each is computed again from everything stored (`FINAL`), in ClickHouse. Its `version` is the sum of the revisions
read: it grows with every row and every newer revision, so that of several rollups of one hour the one that saw the most
wins, whatever their order. Levels are those of the market's last minute; flows are summed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from liqheat.domain.events import Batch
from liqheat.domain.steps import FLOW_RATIO
from liqheat.domain.windows import DAY_MS, HOUR_MS, window_start
from sinks.clickhouse.steps import usd_of_steps
from sinks.clickhouse.tables import LEVELS, LEVELS_DAYS, LEVELS_HOURS

SYMBOLS_AT_ONCE = 50
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
    _recompute(client, _HOURS.replace("DATABASE", database), touched)
    _recompute(client, _DAYS.replace("DATABASE", database), days)


def _recompute(client: Client, statement: str, periods: set[MarketHour]) -> None:
    by_start: dict[int, list[str]] = {}
    for period in sorted(periods, key=lambda period: (period.start, period.symbol)):
        by_start.setdefault(period.start, []).append(period.symbol)
    for start, symbols in by_start.items():
        for first in range(0, len(symbols), SYMBOLS_AT_ONCE):
            client.command(
                statement,
                parameters={
                    "start": int(datetime.fromtimestamp(start / 1_000, UTC).timestamp()),
                    "symbols": symbols[first : first + SYMBOLS_AT_ONCE],
                },
            )


def _statement(
    target: str, origin: str, *, period: str, seconds: int, peak: str, flows: tuple[str, str], weight: str
) -> str:
    """Return the INSERT that makes one period of `target` out of `origin`.

    A row whose lists are empty takes part with `has` 0: it carries its revision and the market's last minute, and where
    all of a series are empty, an empty row replaces what an earlier rollup wrote.
    """
    opened, closed = flows
    return f"""
INSERT INTO DATABASE.{target}
    (symbol, venue, window_start, side, basis, leverage_band, bucket, at_risk_steps, at_risk_peak_steps, expected_steps,
     opened_usd, closed_usd, swept_micro_usd, liquidated_micro_usd, confidence, grid_factor, model_version, version)
SELECT
    symbol, venue, period, side, basis, leverage_band,
    groupArrayIf(place, has), groupArrayIf(if(seen = market.newest, at_risk, 0), has), groupArrayIf(peak, has),
    groupArrayIf(if(seen = market.newest, expected, 0), has), groupArrayIf(toFloat32(opened), has),
    groupArrayIf(toFloat32(closed), has), groupArrayIf(swept, has), groupArrayIf(liquidated, has),
    groupArrayIf(trust, has), factor, max(model), any(market.weight)
FROM
(
    SELECT
        symbol, venue, side, basis, leverage_band, grid_factor AS factor, place, {period}(window_start) AS period,
        notEmpty(bucket) AS has,
        max(window_start) AS seen,
        argMax(at_risk_each, window_start) AS at_risk,
        max(peak_each) AS peak,
        argMax(expected_each, window_start) AS expected,
        sum({opened}) AS opened,
        sum({closed}) AS closed,
        sum(swept_each) AS swept,
        sum(liquidated_each) AS liquidated,
        argMax(trust_each, window_start) AS trust,
        max(model_version) AS model
    FROM DATABASE.{origin} FINAL
    LEFT ARRAY JOIN
        bucket AS place, at_risk_steps AS at_risk_each, {peak} AS peak_each, expected_steps AS expected_each,
        {"opened_steps" if flows[0] != "opened_each" else "opened_usd"} AS opened_each,
        {"closed_steps" if flows[1] != "closed_each" else "closed_usd"} AS closed_each,
        swept_micro_usd AS swept_each, liquidated_micro_usd AS liquidated_each, confidence AS trust_each
    WHERE symbol IN {{symbols:Array(String)}}
      AND window_start >= toDateTime({{start:UInt32}}, 'UTC')
      AND window_start < toDateTime({{start:UInt32}} + {seconds}, 'UTC')
    GROUP BY symbol, venue, side, basis, leverage_band, factor, place, period, has
    ORDER BY place
) AS level
INNER JOIN
(
    SELECT symbol, venue, max(window_start) AS newest, sum(toUInt128({weight})) AS weight
    FROM DATABASE.{origin} FINAL
    WHERE symbol IN {{symbols:Array(String)}}
      AND window_start >= toDateTime({{start:UInt32}}, 'UTC')
      AND window_start < toDateTime({{start:UInt32}} + {seconds}, 'UTC')
    GROUP BY symbol, venue
) AS market ON market.symbol = level.symbol AND market.venue = level.venue
GROUP BY symbol, venue, side, basis, leverage_band, factor, period
"""  # noqa: S608 - made of constants; what to recompute is bound as parameters


_HOURS = _statement(
    LEVELS_HOURS.name,
    LEVELS.name,
    period="toStartOfHour",
    seconds=HOUR_MS // 1_000,
    peak="at_risk_steps",
    flows=(usd_of_steps("opened_each", FLOW_RATIO), usd_of_steps("closed_each", FLOW_RATIO)),
    weight="revision",
)
_DAYS = _statement(
    LEVELS_DAYS.name,
    LEVELS_HOURS.name,
    period="toStartOfDay",
    seconds=DAY_MS // 1_000,
    peak="at_risk_peak_steps",
    flows=("opened_each", "closed_each"),
    weight="version",
)
