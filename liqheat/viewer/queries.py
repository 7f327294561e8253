"""What the page asks ClickHouse: parameterised SQL on the views `market_minutes`, `liquidations` and `gaps`.

The map itself is read by `levels`. Questions about the newest minutes are asked for several symbols at once, as a
question costs much more than a symbol in it. Columns are numbered from 1970 on, so that pictures of any range share
them. Every question has an end in time, so that a row of a far time hides nothing.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from liqheat.domain.windows import DAY_MS
from liqheat.viewer.columns import Columns, Executed, by_symbol

Parameters = dict[str, Any]


class Client(Protocol):
    """The part of a clickhouse-connect client that the page uses."""

    def query(self, query: str, parameters: Parameters | None = None) -> Any:
        """Return a result with `column_names` and `result_rows`."""

    def query_np(self, query: str, parameters: Parameters | None = None) -> Any:
        """Return a result as a structured numpy array."""

    def raw_query(self, query: str, parameters: Parameters | None = None, *, fmt: str | None = None) -> bytes:
        """Return a result in one of ClickHouse's formats."""


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

STRETCH = """
      symbol IN {symbols:Array(String)}
  AND window_start >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
"""
"""Rows of `symbols` from `start` to before `end`."""

_LATEST = f"""
SELECT symbol, toInt64(toUnixTimestamp(max(window_start))) * 1000 AS latest, count() AS minutes
FROM market_minutes
WHERE {STRETCH}
GROUP BY symbol
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

COLUMN = "intDiv(toInt64(toUnixTimestamp(window_start)) * 1000, {step:Int64})"
"""Number of the column of a minute, `step` (ms) wide."""

# A minute in which no mark came has only its close, which is the price of the minute before.
_COLUMNS = f"""
SELECT symbol, {COLUMN} AS column, venue,
       ifNull(argMin(ifNull(mark_open, mark_close), window_start), nan) AS open,
       ifNull(max(ifNull(mark_high, mark_close)), nan) AS high,
       ifNull(min(ifNull(mark_low, mark_close)), nan) AS low,
       ifNull(argMax(mark_close, window_start), nan) AS close,
       ifNull(argMax(open_interest_usd, window_start), nan) AS open_interest,
       sum(liquidated_long_usd) AS liquidated_long, sum(liquidated_short_usd) AS liquidated_short
FROM market_minutes
WHERE {STRETCH}
GROUP BY symbol, column, venue
ORDER BY symbol, column, venue
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_QUALITY = f"""
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
WHERE {STRETCH}
GROUP BY symbol, venue
ORDER BY symbol, venue
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

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
SELECT symbol, toUnixTimestamp64Milli(event_time) AS start,
       toUnixTimestamp64Milli(end_time) AS end,
       venue, stream, missing, reason, filled
FROM gaps
WHERE symbol IN {{symbols:Array(String)}} AND event_time < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
ORDER BY end DESC, start, venue, stream
LIMIT {GAPS} BY symbol, venue
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
    found = client.query(_LATEST, parameters=stretch(symbols, start, end)).result_rows
    return {symbol: (int(newest), int(minutes)) for symbol, newest, minutes in found}


def columns(client: Client, symbols: Sequence[str], step: int, start: int, end: int) -> dict[str, Columns]:
    """Return mark prices, open interest and executed liquidations by column and venue, per symbol."""
    parameters = stretch(symbols, start, end) | {"step": step}
    return by_symbol(Columns, symbols, client.query_np(_COLUMNS, parameters=parameters))


def quality(
    client: Client, symbols: Sequence[str], end: int, start: int | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Return the state of each venue's market at `end` (ms), and how well the estimate fits it, per symbol.

    It is made of the minutes from `start` (ms) on, a day unless given.
    """
    start = end - DAY_MS if start is None else start
    found: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in symbols}
    for row in records(client.query(_QUALITY, parameters=stretch(symbols, start, end))):
        found[row.pop("symbol")].append(row)
    return found


def executed(client: Client, symbols: Sequence[str], step: int, start: int, end: int) -> dict[str, Executed]:
    """Return the largest executed liquidations of each column and venue, per symbol."""
    parameters = stretch(symbols, start, end) | {"step": step}
    return by_symbol(Executed, symbols, client.query_np(_EXECUTED, parameters=parameters))


def gaps(client: Client, symbols: Sequence[str], end: int) -> dict[str, list[dict[str, Any]]]:
    """Return the holes in each venue's feeds that began before `end` (ms), latest end first, per symbol."""
    found: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in symbols}
    for row in records(client.query(_GAPS, parameters=stretch(symbols, 0, end))):
        found[row.pop("symbol")].append(row)
    return found


def stretch(symbols: Sequence[str], start: int, end: int) -> Parameters:
    """Return the parameters of `STRETCH`; times in ms."""
    return {"symbols": list(symbols), "start": start, "end": end}
