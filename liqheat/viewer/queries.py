"""What the page asks ClickHouse: parameterised SQL on the views `heatmap`, `market_minutes`, `liquidations` and `gaps`.

The map is a level, so a column that is wider than a minute shows the last minute of each venue in it, never a sum
over minutes; executed liquidations are flows and are summed. All sums are made in SQL, and no answer holds more
cells than the picture. Every question has an end in time, so that a row of a far time hides nothing.
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


# One row per market and hour: the last minute of it, so that all markets cost little.
_MARKETS = """
SELECT symbol, venue,
       toInt64(toUnixTimestamp(max(window_start))) * 1000 AS latest,
       argMax(mark_close, window_start) AS mark_price,
       argMin(mark_close, window_start) AS mark_price_before,
       argMax(turnover_24h_usd, window_start) AS turnover
FROM market_hours
WHERE hour >= fromUnixTimestamp64Milli({end:Int64}, 'UTC') - INTERVAL 25 HOUR
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
GROUP BY symbol, venue
ORDER BY symbol, venue
"""

_LATEST = """
SELECT toInt64(toUnixTimestamp(max(window_start))) * 1000 AS latest, count() AS minutes
FROM market_minutes
WHERE symbol = {symbol:String} AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
"""

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
  AND window_start >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
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
       argMax(expected_scale_long, window_start) AS scale_long,
       argMax(expected_scale_short, window_start) AS scale_short,
       argMax(warming_up, window_start) AS warming_up,
       argMax(taker_buy_usd + taker_sell_usd, window_start) AS taken, sum(late_rows) AS late_rows
FROM market_minutes
WHERE symbol = {symbol:String} AND window_start >= fromUnixTimestamp64Milli({end:Int64}, 'UTC') - INTERVAL 1 DAY
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
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

# A minute that may still be open has levels only once its marks have reached some, so there the levels are asked which
# minute is the last; later, a minute without levels had none.
_CELLS = """
SELECT toUInt16(intDiv(toInt64(toUnixTimestamp(window_start)) * 1000 - {start:Int64}, {step:Int64})) AS column,
       %(row)s AS edge,
       sumIf(ifNull(%(measure)s, 0), side = 'long') AS long_usd,
       sumIf(ifNull(%(measure)s, 0), side = 'short') AS short_usd
FROM heatmap
WHERE window_start >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
  AND %(filter)s
  AND (venue, window_start) IN (
      SELECT venue, max(window_start) FROM (
          SELECT venue, window_start FROM market_minutes
          WHERE symbol = {symbol:String}
            AND window_start >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
            AND window_start < fromUnixTimestamp64Milli(greatest({since:Int64}, {open:Int64}), 'UTC')
          UNION ALL
          SELECT venue, window_start FROM heatmap
          WHERE symbol = {symbol:String}
            AND window_start >= fromUnixTimestamp64Milli(greatest({since:Int64}, {open:Int64}), 'UTC')
            AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC'))
      GROUP BY venue, intDiv(toInt64(toUnixTimestamp(window_start)) * 1000 - {start:Int64}, {step:Int64}))
GROUP BY column, edge
HAVING long_usd > 0 OR short_usd > 0
ORDER BY column, edge
"""

# A venue that has been silent for longer than `stale` is not part of the map at the end.
_CURRENT = """
SELECT %(row)s AS edge, venue, basis,
       sumIf(ifNull(%(measure)s, 0), side = 'long') AS long_usd,
       sumIf(ifNull(%(measure)s, 0), side = 'short') AS short_usd
FROM heatmap
WHERE window_start >= fromUnixTimestamp64Milli({end:Int64} - {stale:Int64}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
  AND %(filter)s
  AND (venue, window_start) IN (
      SELECT venue, max(window_start) FROM heatmap
      WHERE symbol = {symbol:String}
        AND window_start >= fromUnixTimestamp64Milli({end:Int64} - {stale:Int64}, 'UTC')
        AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
      GROUP BY venue)
GROUP BY edge, venue, basis
HAVING long_usd > 0 OR short_usd > 0
ORDER BY edge, venue, basis
"""

_MEASURES = {"at_risk": "at_risk_usd", "expected": "expected_usd"}


def _of_measure(query: str, request: MapRequest) -> str:
    """Return `query` for the measure of the request: one of two column names, never text of a reader."""
    return query % {"row": _ROW, "filter": _FILTER, "measure": _MEASURES[request.measure]}


_EXECUTED = """
SELECT toUnixTimestamp64Milli(event_time) AS time, venue,
       side, price, notional_usd
FROM liquidations
WHERE symbol = {symbol:String} AND venue IN {venues:Array(String)}
  AND event_time >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND event_time < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
ORDER BY notional_usd DESC, time
LIMIT 400
"""

_GAPS = """
SELECT toUnixTimestamp64Milli(event_time) AS start,
       toUnixTimestamp64Milli(end_time) AS end,
       venue, stream, missing, reason, filled
FROM gaps
WHERE symbol = {symbol:String} AND venue IN {venues:Array(String)}
  AND end_time >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND event_time < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
ORDER BY end DESC
LIMIT 100
"""


def records(result: Any) -> list[dict[str, Any]]:
    """Return a query's rows by column name."""
    names = result.column_names
    return [dict(zip(names, row, strict=True)) for row in result.result_rows]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Notional by column and row of the picture, parallel arrays, only where there is some."""

    column: npt.NDArray[np.uint16]
    row: npt.NDArray[np.uint16]
    long_usd: npt.NDArray[np.float32]
    short_usd: npt.NDArray[np.float32]


def markets(client: Client, end: int) -> list[dict[str, Any]]:
    """Return symbol, venue, latest minute (ms), mark price now and a day before, and turnover, per market."""
    return records(client.query(_MARKETS, parameters={"end": end}))


def latest(client: Client, symbol: str, end: int) -> tuple[int, int]:
    """Return the start (ms) of the symbol's latest minute before `end`, and how many market minutes it has.

    Both are 0 where there is none.
    """
    row = client.query(_LATEST, parameters={"symbol": symbol, "end": end}).result_rows[0]
    return (int(row[0]), int(row[1])) if row[1] else (0, 0)


def columns(client: Client, request: MapRequest, start: int, end: int) -> list[dict[str, Any]]:
    """Return mark prices, open interest and executed liquidations by column and venue, over all venues."""
    return records(client.query(_COLUMNS, parameters=_times(request, start, end)))


def quality(client: Client, request: MapRequest, end: int) -> list[dict[str, Any]]:
    """Return the state of each venue's market at `end` (ms), and how well the estimate fits it."""
    return records(client.query(_QUALITY, parameters={"symbol": request.symbol, "end": end}))


def cells(client: Client, request: MapRequest, grid: DisplayGrid, columns: range, since: int, latest: int) -> Cells:
    """Return the cells of the columns from `since` (ms) on.

    `columns` are the times (ms) at which columns begin. `latest` is the symbol's latest minute; from the one before it
    on minutes may still be open.
    """
    times = _times(request, columns.start, columns.stop) | {"since": since, "open": latest - MINUTE_MS}
    parameters = times | _filters(request, grid)
    result = client.query_np(_of_measure(_CELLS, request), parameters=parameters)
    if not len(result):
        empty = np.empty(0, dtype=np.uint16)
        return Cells(empty, empty, empty.astype(np.float32), empty.astype(np.float32))
    return Cells(
        result["column"].astype(np.uint16),
        _rows(grid, result["edge"]),
        result["long_usd"].astype(np.float32),
        result["short_usd"].astype(np.float32),
    )


def current(client: Client, request: MapRequest, grid: DisplayGrid, end: int, stale: int) -> list[list[Any]]:
    """Return row, venue, basis, long USD and short USD of the map at `end`: the latest minute of each venue.

    A venue whose latest minute is older than `stale` (ms) is left out.
    """
    parameters = {"symbol": request.symbol, "end": end, "stale": stale} | _filters(request, grid)
    found = client.query(_of_measure(_CURRENT, request), parameters=parameters).result_rows
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
