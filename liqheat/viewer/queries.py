"""What the page asks ClickHouse: parameterised SQL on the views `heatmap`, `market_minutes`, `liquidations` and `gaps`.

At-risk notional is a level, so a column that is wider than a minute shows the last minute of each venue in
it, never a sum over minutes; executed liquidations are flows and are summed. All sums are made in SQL, and
no answer holds more cells than the picture.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from liqheat.domain.windows import MINUTE_MS
from liqheat.viewer.grid import DisplayGrid
from liqheat.viewer.request import MapRequest

Parameters = dict[str, Any]


class Client(Protocol):
    """The part of a clickhouse-connect client that the page uses."""

    def query(self, query: str, parameters: Parameters | None = None) -> Any:
        """Return a result with `column_names` and `result_rows`."""

    def query_np(self, query: str, parameters: Parameters | None = None) -> Any:
        """Return a result as a structured numpy array."""


LEAD_MINUTES = 2
"""Minutes that a window may be ahead of the database's clock; one further ahead is a mistake and never the latest."""

# What is current is judged market by market; the newest minute of any says only how old the data are.
_NEWEST = f"""
SELECT toInt64(toUnixTimestamp(max(window_start))) * 1000 AS newest, count() AS hours
FROM market_hours
WHERE window_start <= now() + INTERVAL {LEAD_MINUTES} MINUTE
"""  # noqa: S608 - joined of constants only

_MARKETS = """
SELECT symbol, venue,
       toInt64(toUnixTimestamp(max(window_start))) * 1000 AS latest,
       argMax(mark_close, window_start) AS mark_price,
       argMin(mark_close, window_start) AS mark_price_before,
       argMax(turnover_24h_usd, window_start) AS turnover,
       argMax(warming_up, window_start) AS warming_up,
       latest < {newest:Int64} - {silent:Int64} AS silent
FROM market_hours
WHERE hour > toDateTime(intDiv({newest:Int64}, 1000), 'UTC') - INTERVAL 25 HOUR
  AND window_start <= toDateTime(intDiv({newest:Int64}, 1000), 'UTC')
GROUP BY symbol, venue
ORDER BY symbol, venue
"""

_LATEST = f"""
SELECT toInt64(toUnixTimestamp(max(window_start))) * 1000 AS latest, count() AS minutes
FROM market_minutes
WHERE symbol = {{symbol:String}} AND window_start <= now() + INTERVAL {LEAD_MINUTES} MINUTE
"""  # noqa: S608 - joined of constants only

# A minute in which no mark came has only its close, which is the price of the minute before.
_COLUMNS = """
SELECT intDiv(toInt64(toUnixTimestamp(window_start)) * 1000 - {start:Int64}, {step:Int64}) AS column, venue,
       argMin(ifNull(mark_open, mark_close), window_start) AS open,
       max(ifNull(mark_high, mark_close)) AS high,
       min(ifNull(mark_low, mark_close)) AS low,
       argMax(mark_close, window_start) AS close,
       argMax(open_interest_usd, window_start) AS open_interest,
       sum(liquidated_long_usd) AS liquidated_long, sum(liquidated_short_usd) AS liquidated_short,
       count() AS minutes
FROM market_minutes
WHERE symbol = {symbol:String}
  AND window_start >= toDateTime(intDiv({start:Int64}, 1000), 'UTC')
  AND window_start < toDateTime(intDiv({end:Int64}, 1000), 'UTC')
GROUP BY column, venue
ORDER BY column, venue
"""

_QUALITY = """
SELECT venue,
       toInt64(toUnixTimestamp(max(window_start))) * 1000 AS latest,
       argMax(mark_close, window_start) AS mark_price,
       argMax(open_interest_usd, window_start) AS open_interest,
       argMax(turnover_24h_usd, window_start) AS turnover,
       argMax(funding_rate, window_start) AS funding_rate,
       toUnixTimestamp64Milli(argMax(next_funding_time, window_start)) AS next_funding_time,
       argMax(coverage, window_start) AS coverage,
       argMax(at_risk_scale_long, window_start) AS scale_long,
       argMax(at_risk_scale_short, window_start) AS scale_short,
       argMax(warming_up, window_start) AS warming_up,
       latest < {end:Int64} - {step:Int64} - {silent:Int64} AS silent,
       argMax(taker_buy_usd + taker_sell_usd, window_start) AS taken, sum(late_rows) AS late_rows
FROM market_minutes
WHERE symbol = {symbol:String} AND window_start >= toDateTime(intDiv({end:Int64}, 1000), 'UTC') - INTERVAL 1 DAY
  AND window_start < toDateTime(intDiv({end:Int64}, 1000), 'UTC')
GROUP BY venue
ORDER BY venue
"""

_FILTER = """
      symbol = {symbol:String} AND venue IN {venues:Array(String)} AND basis IN {bases:Array(String)}
  AND leverage_band IN {bands:Array(String)}
  AND price_low < {edges:Array(Float64)}[-1] AND price_low >= {edges:Array(Float64)}[1]
"""
# The middle of a bucket lies clear of every edge, so a stored price that is off by a last digit changes no row.
_ROW = "roundDown((price_low + price_high) / 2, {edges:Array(Float64)})"

_CELLS = f"""
SELECT toUInt16(intDiv(toInt64(toUnixTimestamp(window_start)) * 1000 - {{start:Int64}}, {{step:Int64}})) AS column,
       {_ROW} AS edge,
       sumIf(at_risk_usd, side = 'long') AS long_usd,
       sumIf(at_risk_usd, side = 'short') AS short_usd
FROM heatmap
WHERE window_start >= toDateTime(intDiv({{since:Int64}}, 1000), 'UTC')
  AND window_start < toDateTime(intDiv({{end:Int64}}, 1000), 'UTC')
  AND {_FILTER}
  AND (venue, window_start) IN (
      SELECT venue, max(window_start) FROM market_minutes
      WHERE symbol = {{symbol:String}}
        AND window_start >= toDateTime(intDiv({{since:Int64}}, 1000), 'UTC')
        AND window_start < toDateTime(intDiv({{end:Int64}}, 1000), 'UTC')
      GROUP BY venue, intDiv(toInt64(toUnixTimestamp(window_start)) * 1000 - {{start:Int64}}, {{step:Int64}}))
GROUP BY column, edge
HAVING long_usd > 0 OR short_usd > 0
ORDER BY column, edge
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

# Each venue at its own latest minute; one that has been silent for longer is not current and is left out.
_CURRENT = f"""
SELECT {_ROW} AS edge, venue, basis,
       sumIf(at_risk_usd, side = 'long') AS long_usd,
       sumIf(at_risk_usd, side = 'short') AS short_usd
FROM heatmap
WHERE window_start >= toDateTime(intDiv({{end:Int64}} - {{step:Int64}} - {{silent:Int64}}, 1000), 'UTC')
  AND window_start < toDateTime(intDiv({{end:Int64}}, 1000), 'UTC')
  AND {_FILTER}
  AND (venue, window_start) IN (
      SELECT venue, max(window_start) FROM market_minutes
      WHERE symbol = {{symbol:String}}
        AND window_start >= toDateTime(intDiv({{end:Int64}} - {{step:Int64}} - {{silent:Int64}}, 1000), 'UTC')
        AND window_start < toDateTime(intDiv({{end:Int64}}, 1000), 'UTC')
      GROUP BY venue)
GROUP BY edge, venue, basis
HAVING long_usd > 0 OR short_usd > 0
ORDER BY edge, venue, basis
"""  # noqa: S608 - as above

_EXECUTED = """
SELECT toUnixTimestamp64Milli(event_time) AS time, venue,
       side, price, notional_usd
FROM liquidations
WHERE symbol = {symbol:String} AND venue IN {venues:Array(String)}
  AND event_time >= toDateTime(intDiv({start:Int64}, 1000), 'UTC')
  AND event_time < toDateTime(intDiv({end:Int64}, 1000), 'UTC')
ORDER BY notional_usd DESC, time
LIMIT 400
"""

_GAPS = """
SELECT toUnixTimestamp64Milli(event_time) AS start,
       toUnixTimestamp64Milli(end_time) AS end,
       venue, stream, missing, reason, filled
FROM gaps
WHERE symbol = {symbol:String} AND venue IN {venues:Array(String)}
  AND end_time >= toDateTime(intDiv({start:Int64}, 1000), 'UTC')
  AND event_time < toDateTime(intDiv({end:Int64}, 1000), 'UTC')
ORDER BY end DESC
LIMIT 100
"""


def records(result: Any) -> list[dict[str, Any]]:
    """Return a query's rows by column name."""
    names = result.column_names
    return [dict(zip(names, row, strict=True)) for row in result.result_rows]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """At-risk notional by column and row of the picture, parallel arrays, only where some stands."""

    column: npt.NDArray[np.uint16]
    row: npt.NDArray[np.uint16]
    long_usd: npt.NDArray[np.float32]
    short_usd: npt.NDArray[np.float32]


SILENT_MS = 10 * MINUTE_MS
"""A market whose last minute is older than this is not current; `picture` says so, and the map of now leaves it out."""


def newest(client: Client) -> int:
    """Return the start (ms) of the newest minute of any market, 0 without any; minutes far ahead do not count."""
    row = client.query(_NEWEST).result_rows[0]
    return int(row[0]) if row[1] else 0


def markets(client: Client) -> list[dict[str, Any]]:
    """Return one row per market that had a minute in the last day of the data.

    Keys: symbol, venue, latest minute (ms), mark price then and up to a day before, turnover, whether it is warming
    up, and whether it is silent: its latest minute is older than `SILENT_MS`.
    """
    return records(client.query(_MARKETS, parameters={"newest": newest(client), "silent": SILENT_MS}))


def latest(client: Client, symbol: str) -> tuple[int, int]:
    """Return the start (ms) of the symbol's latest minute and how many market minutes it has; (0, 0) without any."""
    row = client.query(_LATEST, parameters={"symbol": symbol}).result_rows[0]
    return (int(row[0]), int(row[1])) if row[1] else (0, 0)


def columns(client: Client, request: MapRequest, start: int, end: int) -> list[dict[str, Any]]:
    """Return mark prices, open interest and executed liquidations by column and venue, over all venues."""
    return records(client.query(_COLUMNS, parameters=_times(request, start, end)))


def quality(client: Client, request: MapRequest, end: int) -> list[dict[str, Any]]:
    """Return how each venue's market stands at `end` (ms), and how well the estimate fits it."""
    parameters = {"symbol": request.symbol, "end": end, "step": request.step, "silent": SILENT_MS}
    return records(client.query(_QUALITY, parameters=parameters))


def cells(client: Client, request: MapRequest, grid: DisplayGrid, start: int, end: int, since: int) -> Cells:
    """Return the cells of the columns from `since` (ms) on; columns count from `start`."""
    parameters = _times(request, start, end) | _filters(request, grid) | {"since": since}
    result = client.query_np(_CELLS, parameters=parameters)
    if not len(result):
        empty = np.empty(0, dtype=np.uint16)
        return Cells(empty, empty, empty.astype(np.float32), empty.astype(np.float32))
    return Cells(
        result["column"].astype(np.uint16),
        _rows(grid, result["edge"]),
        result["long_usd"].astype(np.float32),
        result["short_usd"].astype(np.float32),
    )


def current(client: Client, request: MapRequest, grid: DisplayGrid, end: int) -> list[list[Any]]:
    """Return row, venue, basis, long USD and short USD of the map as it stands: the latest minute of each venue."""
    parameters = _filters(request, grid) | {
        "symbol": request.symbol,
        "end": end,
        "step": request.step,
        "silent": SILENT_MS,
    }
    found = client.query(_CURRENT, parameters=parameters).result_rows
    rows = _rows(grid, np.array([row[0] for row in found], dtype=np.float64))
    return [[int(row), *rest] for row, (_, *rest) in zip(rows, found, strict=True)]


def executed(client: Client, request: MapRequest, start: int, end: int) -> list[dict[str, Any]]:
    """Return the largest executed liquidations: time (ms), venue, side of the position, price, USD."""
    parameters = _times(request, start, end) | {"venues": list(request.venues)}
    return records(client.query(_EXECUTED, parameters=parameters))


def gaps(client: Client, request: MapRequest, start: int, end: int) -> list[dict[str, Any]]:
    """Return the holes in the feeds that touch the range, latest first."""
    parameters = _times(request, start, end) | {"venues": list(request.venues)}
    return records(client.query(_GAPS, parameters=parameters))


def _times(request: MapRequest, start: int, end: int) -> Parameters:
    return {"symbol": request.symbol, "start": start, "end": end, "step": request.step}


def _filters(request: MapRequest, grid: DisplayGrid) -> Parameters:
    return {
        "venues": list(request.venues),
        "bases": list(request.bases),
        "bands": list(request.bands),
        "edges": grid.edges().tolist(),
    }


def _rows(grid: DisplayGrid, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    return np.searchsorted(grid.edges(), edges).astype(np.uint16)
