"""The map for other people's tools: rows as CSV or Parquet, or the JSON shape of CoinGlass' API v4.

Read by `liqheat export` from the same views that everybody else reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.platform.errors import FatalError


class Step(StrEnum):
    """How wide one column of the map is."""

    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"


VIEW_OF = {Step.MINUTE: "heatmap", Step.HOUR: "heatmap_1h", Step.DAY: "heatmap_1d"}
_MS_OF = {Step.MINUTE: MINUTE_MS, Step.HOUR: HOUR_MS, Step.DAY: DAY_MS}
_MOST_COLUMNS = 1_500
"""About what a chart can show; a longer stretch takes the next wider step."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is exported: one symbol over `[start, end)` (ms), of some venues or of all where `venues` is empty."""

    symbol: str
    start: int
    end: int
    venues: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        """The WHERE clause; its parameters are `parameters`."""
        return (
            "symbol = {symbol:String} AND window_start >= fromUnixTimestamp64Milli({start:Int64}) "
            "AND window_start < fromUnixTimestamp64Milli({end:Int64}) "
            "AND (empty({venues:Array(String)}) OR venue IN {venues:Array(String)})"
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of `condition`."""
        return {"symbol": self.symbol, "start": self.start, "end": self.end, "venues": list(self.venues)}


def step_for(start: int, end: int) -> Step:
    """Return the narrowest step that shows `[start, end)` (ms) in a chartable number of columns."""
    for step in (Step.MINUTE, Step.HOUR):
        if (end - start) / _MS_OF[step] <= _MOST_COLUMNS:
            return step
    return Step.DAY


def stored_span(client: Client, symbol: str, now: int) -> tuple[int, int]:
    """Return the start of the oldest and the end of the newest minute of `symbol`, in ms.

    One that begins after `now` (ms) is the newest only where all do: a row of a time that has not come hides no other.

    Raises:
        FatalError: there is none; the sentence names the symbols that there are.
    """
    rows = client.query(
        "SELECT count(), toUnixTimestamp(min(window_start)), toUnixTimestamp(max(window_start)), "
        "toUnixTimestamp(maxIf(window_start, window_start <= fromUnixTimestamp64Milli({now:Int64}))) "
        "FROM market_minutes WHERE symbol = {symbol:String}",
        parameters={"symbol": symbol, "now": now},
    ).result_rows
    count, first, latest, come = rows[0]
    last = come or latest
    if not count:
        known = client.query("SELECT DISTINCT symbol FROM market_minutes ORDER BY symbol").result_rows
        names = ", ".join(name for (name,) in known) or "none"
        raise FatalError(f"The database has no minutes of {symbol}; known are {names}")
    return int(first) * 1_000, int(last) * 1_000 + MINUTE_MS


def has_rows(client: Client, selection: Selection, step: Step) -> bool:
    """Return whether the view of `step` has anything of the selection."""
    query = f"SELECT 1 FROM {VIEW_OF[step]} WHERE {selection.condition} LIMIT 1"  # noqa: S608 - made of constants
    return bool(client.query(query, parameters=selection.parameters).result_rows)


def rows_as(client: Client, selection: Selection, step: Step, clickhouse_format: str) -> bytes:
    """Return the rows of the view of `step`, oldest first, in an output format of ClickHouse."""
    return client.raw_query(
        f"SELECT * FROM {VIEW_OF[step]} WHERE {selection.condition} "  # noqa: S608 - made of constants
        "ORDER BY window_start, venue, side, basis, leverage_band, price_low",
        parameters=selection.parameters,
        fmt=clickhouse_format,
    )


def coinglass(client: Client, selection: Selection, step: Step) -> bytes:
    """Return the JSON of CoinGlass' `liquidation/heatmap` answers, all venues and leverages of the selection summed.

    `y_axis` holds the lower edges of the price buckets, `liquidation_leverage_data` `[x, y, USD at risk]` with
    indices into the candles and `y_axis`, `price_candlesticks` `[seconds, open, high, low, close, volume in USD]`
    with prices as text, of the venue with the most volume.
    """
    cells = client.query(
        f"SELECT toUnixTimestamp(window_start) AS time, price_low, sum(at_risk_usd) AS usd FROM {VIEW_OF[step]} "  # noqa: S608
        f"WHERE {selection.condition} GROUP BY time, price_low HAVING usd > 0 ORDER BY time, price_low",
        parameters=selection.parameters,
    ).result_rows
    candles = _candles(client, selection, step)
    times = sorted({time for time, _, _ in cells} | {candle[0] for candle in candles})
    prices = sorted({price for _, price, _ in cells})
    column = {time: index for index, time in enumerate(times)}
    row = {price: index for index, price in enumerate(prices)}
    return msgspec.json.encode(
        {
            "y_axis": prices,
            "liquidation_leverage_data": [[column[time], row[price], usd] for time, price, usd in cells],
            "price_candlesticks": _filled(candles, times),
        }
    )


Candle = tuple[int, float, float, float, float, float]


def _candles(client: Client, selection: Selection, step: Step) -> list[Candle]:
    seconds = _MS_OF[step] // 1_000
    rows = client.query(
        f"""
        WITH (
            SELECT venue FROM market_minutes WHERE {selection.condition}
            GROUP BY venue ORDER BY sum(taker_buy_usd + taker_sell_usd) DESC, venue LIMIT 1
        ) AS leading
        SELECT
            intDiv(toUnixTimestamp(window_start), {seconds}) * {seconds} AS time,
            argMinIf(mark_open, window_start, venue = leading) AS open,
            maxIf(mark_high, venue = leading) AS high,
            minIf(mark_low, venue = leading) AS low,
            argMaxIf(mark_close, window_start, venue = leading) AS close,
            sum(taker_buy_usd + taker_sell_usd) AS volume
        FROM market_minutes
        WHERE {selection.condition}
        GROUP BY time
        HAVING open IS NOT NULL AND open > 0
        ORDER BY time
        """,  # noqa: S608 - made of constants
        parameters=selection.parameters,
    ).result_rows
    return [(int(time), open_, high, low, close, volume) for time, open_, high, low, close, volume in rows]


def _filled(candles: Sequence[Candle], times: Sequence[int]) -> list[list[int | str]]:
    """One candle for every time: a column of the map without a trade or mark repeats the price before it."""
    known = {candle[0]: candle for candle in candles}
    close = candles[0][1] if candles else 0.0
    filled: list[list[int | str]] = []
    for time in times:
        _, open_, high, low, close, volume = known.get(time, (time, close, close, close, close, 0.0))
        filled.append([time, *(f"{price:.12g}" for price in (open_, high, low, close)), f"{volume:.4f}"])
    return filled
