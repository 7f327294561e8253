"""What the page asks ClickHouse: parameterised SQL on the views `heatmap`, `market_minutes`, `liquidations` and `gaps`.

The map is a level, so a column that is wider than a minute shows the last minute of each venue in it, never a sum
over minutes; executed liquidations are flows and are summed. Questions about the newest minutes are asked for several
symbols at once, as a question costs much more than a symbol in it. Columns are numbered from 1970 on, so that pictures
of any range share them, and amounts are whole micro-USD, so that sums are the same in any order. Every question has an
end in time, so that a row of a far time hides nothing.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.price_grid import MAXIMUM_PRICE
from liqheat.viewer.columns import Cells, Columns, Current, Executed, by_symbol
from liqheat.viewer.request import Shape

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
SELECT symbol, toInt64(toUnixTimestamp(max(window_start))) * 1000 AS latest, count() AS minutes
FROM market_minutes
WHERE symbol IN {symbols:Array(String)}
  AND window_start >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
GROUP BY symbol
"""

_COLUMN = "intDiv(toInt64(toUnixTimestamp(window_start)) * 1000, {step:Int64})"

# A minute in which no mark came has only its close, which is the price of the minute before.
_COLUMNS = f"""
SELECT symbol, {_COLUMN} AS column, venue,
       ifNull(argMin(ifNull(mark_open, mark_close), window_start), nan) AS open,
       ifNull(max(ifNull(mark_high, mark_close)), nan) AS high,
       ifNull(min(ifNull(mark_low, mark_close)), nan) AS low,
       ifNull(argMax(mark_close, window_start), nan) AS close,
       ifNull(argMax(open_interest_usd, window_start), nan) AS open_interest,
       sum(liquidated_long_usd) AS liquidated_long, sum(liquidated_short_usd) AS liquidated_short
FROM market_minutes
WHERE symbol IN {{symbols:Array(String)}}
  AND window_start >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
GROUP BY symbol, column, venue
ORDER BY symbol, column, venue
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_QUALITY = """
SELECT symbol, venue,
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
WHERE symbol IN {symbols:Array(String)}
  AND window_start >= fromUnixTimestamp64Milli({end:Int64}, 'UTC') - INTERVAL 1 DAY
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
GROUP BY symbol, venue
ORDER BY symbol, venue
"""

_FILTER = """
      symbol IN {symbols:Array(String)} AND venue IN {venues:Array(String)} AND basis IN {bases:Array(String)}
  AND leverage_band IN {bands:Array(String)}
  AND price_low >= {low:Float64} AND price_low < {high:Float64}
"""
# The middle of a bucket lies clear of every edge, so a stored price that is off by a last digit changes no row.
_AMOUNTS = f"""
       (price_low + price_high) / 2 AS price,
       sumIf(toInt64(round(ifNull(%(measure)s, 0) * {MICRO_USD_PER_USD})), side = 'long') AS long_micro_usd,
       sumIf(toInt64(round(ifNull(%(measure)s, 0) * {MICRO_USD_PER_USD})), side = 'short') AS short_micro_usd
"""

# A minute that may still be open has levels only once its marks have reached some, so there the levels are asked which
# minute is the last; later, a minute without levels had none.
_CLOSED = """
          SELECT symbol, venue, window_start FROM market_minutes
          WHERE symbol IN {symbols:Array(String)}
            AND window_start >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
            AND window_start < fromUnixTimestamp64Milli(least({open:Int64}, {end:Int64}), 'UTC')
"""
_OPEN = """
          UNION ALL
          SELECT symbol, venue, window_start FROM heatmap
          WHERE symbol IN {symbols:Array(String)}
            AND window_start >= fromUnixTimestamp64Milli(greatest({start:Int64}, {open:Int64}), 'UTC')
            AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
"""
_CELLS = f"""
SELECT symbol, {_COLUMN} AS column, %(amounts)s
FROM heatmap
WHERE window_start >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
  AND {_FILTER}
  AND (symbol, venue, window_start) IN (
      SELECT symbol, venue, max(window_start) FROM (%(minutes)s)
      GROUP BY symbol, venue, {_COLUMN})
GROUP BY symbol, column, price
HAVING long_micro_usd > 0 OR short_micro_usd > 0
ORDER BY symbol, column, price
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

# A venue that has been silent for longer than `stale` is not part of the map at the end.
_CURRENT = f"""
SELECT symbol, venue, basis, %(amounts)s
FROM heatmap
WHERE window_start >= fromUnixTimestamp64Milli({{end:Int64}} - {{stale:Int64}}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
  AND {_FILTER}
  AND (symbol, venue, window_start) IN (
      SELECT symbol, venue, max(window_start) FROM heatmap
      WHERE symbol IN {{symbols:Array(String)}}
        AND window_start >= fromUnixTimestamp64Milli({{end:Int64}} - {{stale:Int64}}, 'UTC')
        AND window_start < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
      GROUP BY symbol, venue)
GROUP BY symbol, venue, basis, price
HAVING long_micro_usd > 0 OR short_micro_usd > 0
ORDER BY symbol, price, venue, basis
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_MEASURES = {"at_risk": "at_risk_usd", "expected": "expected_usd"}
"""Measure of a request -> column: one of two names, never text of a reader."""

EXECUTED = 400
"""Executed liquidations of a picture: the largest."""
# The largest of each column and venue: whatever columns and venues a picture has, its largest are among them.
_EXECUTED = f"""
SELECT symbol, toUnixTimestamp64Milli(event_time) AS time, venue, side, price, notional_usd
FROM liquidations
WHERE symbol IN {{symbols:Array(String)}}
  AND event_time >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
  AND event_time < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
ORDER BY symbol, notional_usd DESC, time, venue, side, price
LIMIT {EXECUTED} BY symbol, venue, intDiv(toUnixTimestamp64Milli(event_time), {{step:Int64}})
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

GAPS = 100
"""Holes in the feeds of a picture: those that ended last."""
_GAPS = f"""
SELECT toUnixTimestamp64Milli(event_time) AS start,
       toUnixTimestamp64Milli(end_time) AS end,
       venue, stream, missing, reason, filled
FROM gaps
WHERE symbol = {{symbol:String}} AND event_time < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
ORDER BY end DESC, start, venue, stream
LIMIT {GAPS} BY venue
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters


def records(result: Any) -> list[dict[str, Any]]:
    """Return a query's rows by column name."""
    names = result.column_names
    return [dict(zip(names, row, strict=True)) for row in result.result_rows]


def markets(client: Client, end: int) -> list[dict[str, Any]]:
    """Return symbol, venue, latest minute (ms), mark price now and a day before, and turnover, per market."""
    return records(client.query(_MARKETS, parameters={"end": end}))


def latest(client: Client, symbols: Sequence[str], start: int, end: int) -> dict[str, tuple[int, int]]:
    """Return, per symbol that has any from `start` to before `end`: its latest minute (ms), and how many it has."""
    found = client.query(_LATEST, parameters=_stretch(symbols, start, end)).result_rows
    return {symbol: (int(newest), int(minutes)) for symbol, newest, minutes in found}


def columns(client: Client, symbols: Sequence[str], step: int, start: int, end: int) -> dict[str, Columns]:
    """Return mark prices, open interest and executed liquidations by column and venue, per symbol."""
    parameters = _stretch(symbols, start, end) | {"step": step}
    return by_symbol(Columns, symbols, client.query_np(_COLUMNS, parameters=parameters))


def quality(client: Client, symbols: Sequence[str], end: int) -> dict[str, list[dict[str, Any]]]:
    """Return the state of each venue's market at `end` (ms), and how well the estimate fits it, per symbol."""
    found: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in symbols}
    for row in records(client.query(_QUALITY, parameters=_stretch(symbols, 0, end))):
        found[row.pop("symbol")].append(row)
    return found


EVERYWHERE = (0.0, 2 * MAXIMUM_PRICE)
"""Prices that every bucket is within, USD."""


def cells(
    client: Client,
    symbols: Sequence[str],
    shape: Shape,
    start: int,
    end: int,
    opened: int,
    prices: tuple[float, float] = EVERYWHERE,
) -> dict[str, Cells]:
    """Return the map's columns from `start` to `end` (ms, edges of columns), per symbol.

    From `opened` (ms) on minutes may still be open. `prices` (USD) are edges of buckets: the lowest, and the first
    above.
    """
    minutes = _CLOSED + (_OPEN if opened < end else "")
    parameters = _stretch(symbols, start, end) | _filters(shape, prices) | {"step": shape.step, "open": opened}
    query = _CELLS % {"amounts": _AMOUNTS % {"measure": _MEASURES[shape.measure]}, "minutes": minutes}
    return by_symbol(Cells, symbols, client.query_np(query, parameters=parameters))


def current(client: Client, symbols: Sequence[str], shape: Shape, end: int, stale: int) -> dict[str, Current]:
    """Return the map at `end` by bucket, venue and basis, per symbol: the latest minute of each venue.

    A venue whose latest minute is older than `stale` (ms) is left out.
    """
    parameters = _stretch(symbols, 0, end) | _filters(shape) | {"stale": stale}
    query = _CURRENT % {"amounts": _AMOUNTS % {"measure": _MEASURES[shape.measure]}}
    return by_symbol(Current, symbols, client.query_np(query, parameters=parameters))


def executed(client: Client, symbols: Sequence[str], step: int, start: int, end: int) -> dict[str, Executed]:
    """Return the largest executed liquidations of each column and venue, per symbol."""
    parameters = _stretch(symbols, start, end) | {"step": step}
    return by_symbol(Executed, symbols, client.query_np(_EXECUTED, parameters=parameters))


def gaps(client: Client, symbol: str, end: int) -> list[dict[str, Any]]:
    """Return the holes in each venue's feeds that began before `end` (ms), latest end first."""
    return records(client.query(_GAPS, parameters={"symbol": symbol, "end": end}))


def _stretch(symbols: Sequence[str], start: int, end: int) -> Parameters:
    return {"symbols": list(symbols), "start": start, "end": end}


def _filters(shape: Shape, prices: tuple[float, float] = EVERYWHERE) -> Parameters:
    return {
        "venues": list(shape.venues),
        "bases": list(shape.bases),
        "bands": list(shape.bands),
        "low": prices[0],
        "high": prices[1],
    }
