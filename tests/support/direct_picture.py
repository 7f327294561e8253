"""What a picture must show, asked of ClickHouse directly and for it alone: the oracle of the page's shared columns.

Plain SQL over the picture's own range and rows, with none of the blocks, edges and numpy of `liqheat.viewer`.
"""

import base64
from typing import Any

import numpy as np
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import MINUTE_MS
from liqheat.viewer.request import MapRequest

_TIME = "toInt64(toUnixTimestamp(window_start)) * 1000"
_RANGE = f"{_TIME} >= {{start:Int64}} AND {_TIME} < {{end:Int64}}"
_CHOSEN = """symbol = {symbol:String} AND venue IN {venues:Array(String)} AND basis IN {bases:Array(String)}
  AND leverage_band IN {bands:Array(String)} AND price_low >= {edges:Array(Float64)}[1]
  AND price_low < {edges:Array(Float64)}[-1]"""
_SUMS = """roundDown((price_low + price_high) / 2, {edges:Array(Float64)}) AS edge,
  toFloat32(sumIf(toInt64(round(ifNull(%(measure)s, 0) * 1e6)), side = 'long') / 1e6) AS long_usd,
  toFloat32(sumIf(toInt64(round(ifNull(%(measure)s, 0) * 1e6)), side = 'short') / 1e6) AS short_usd"""

_LATEST = f"SELECT max({_TIME}), count() FROM market_minutes WHERE symbol = {{symbol:String}} AND {_RANGE}"
_COLUMNS = f"""
SELECT intDiv({_TIME} - {{start:Int64}}, {{step:Int64}}) AS column, venue,
  argMin(ifNull(mark_open, mark_close), window_start), max(ifNull(mark_high, mark_close)),
  min(ifNull(mark_low, mark_close)), argMax(mark_close, window_start), sum(liquidated_long_usd)
FROM market_minutes WHERE symbol = {{symbol:String}} AND {_RANGE} GROUP BY column, venue ORDER BY column, venue"""
_CELLS = f"""
SELECT intDiv({_TIME} - {{start:Int64}}, {{step:Int64}}) AS column, {_SUMS}
FROM heatmap WHERE {_RANGE} AND {_CHOSEN} AND (venue, window_start) IN (
    SELECT venue, max(window_start) FROM (
        SELECT venue, window_start FROM market_minutes
        WHERE symbol = {{symbol:String}} AND {_RANGE} AND {_TIME} < {{open:Int64}}
        UNION ALL SELECT venue, window_start FROM heatmap
        WHERE symbol = {{symbol:String}} AND {_RANGE} AND {_TIME} >= {{open:Int64}})
    GROUP BY venue, intDiv({_TIME} - {{start:Int64}}, {{step:Int64}}))
GROUP BY column, edge HAVING long_usd > 0 OR short_usd > 0 ORDER BY column, edge"""
_CURRENT = f"""
SELECT edge, venue, basis, toFloat64(long_usd), toFloat64(short_usd) FROM (
    SELECT venue, basis, {_SUMS} FROM heatmap
    WHERE {_CHOSEN} AND (venue, window_start) IN (
        SELECT venue, max(window_start) FROM heatmap WHERE symbol = {{symbol:String}}
        AND {_TIME} < {{at:Int64}} AND {_TIME} >= {{at:Int64}} - {{stale:Int64}} GROUP BY venue)
    GROUP BY edge, venue, basis HAVING long_usd > 0 OR short_usd > 0)
ORDER BY edge, venue, basis"""
_EXECUTED = """
SELECT toUnixTimestamp64Milli(event_time) AS time, venue, side, price, notional_usd FROM liquidations
WHERE symbol = {symbol:String} AND venue IN {venues:Array(String)} AND time >= {start:Int64} AND time < {end:Int64}
ORDER BY notional_usd DESC, time, venue, side, price LIMIT 400"""
_GAPS = """
SELECT toUnixTimestamp64Milli(event_time) AS begun, toUnixTimestamp64Milli(end_time) AS ended, venue
FROM gaps WHERE symbol = {symbol:String} AND venue IN {venues:Array(String)} AND ended >= {start:Int64}
AND begun < {at:Int64} ORDER BY ended DESC, begun, venue LIMIT 100"""


def direct(client: Client, request: MapRequest, answer: dict[str, Any], latest: int, stale: int) -> dict[str, Any]:
    """Return what `shown_of(answer)` must be; `latest` is the symbol's latest minute (ms) of all that counts.

    Range, leading venue and grid are taken from the answer, where other tests look at them.
    """
    start, end = answer["start"], answer["start"] + answer["columns"] * answer["step"]
    at = min(request.end or latest + MINUTE_MS, latest + MINUTE_MS)
    edges = answer["grid"]["edges"]
    parameters: dict[str, Any] = {
        "symbol": request.symbol, "start": start, "end": end, "step": request.step, "open": latest - MINUTE_MS,
        "venues": list(request.venues), "bases": list(request.bases), "bands": list(request.bands),
        "edges": edges, "at": at, "stale": stale,
    }  # fmt: skip

    def ask(query: str, **more: Any) -> list[Any]:
        text = query % {"measure": f"{request.measure}_usd"} if "%(" in query else query
        return list(client.query(text, parameters=parameters | more).result_rows)

    row = {edge: number for number, edge in enumerate(edges)}
    since = (answer["since"] - start) // request.step
    columns = ask(_COLUMNS)
    liquidated = [0.0] * answer["columns"]
    for column, venue, *_, usd in columns:
        liquidated[column] += usd if venue in request.venues else 0.0
    return {
        "latest": ask(_LATEST, start=0, end=at)[0],
        "price": [tuple(row[:1] + row[2:6]) for row in columns if row[1] == answer["price"]["venue"] and row[5]],
        "liquidated": liquidated,
        "cells": [(column, row[edge], *both) for column, edge, *both in ask(_CELLS) if column >= since],
        "current": [(row[edge], *rest) for edge, *rest in ask(_CURRENT)],
        "executed": ask(_EXECUTED),
        "gaps": ask(_GAPS),
    }


def shown_of(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what a picture shows, in the form of `direct`."""
    arrays = [
        np.frombuffer(base64.b64decode(answer["cells"][name]), dtype=dtype).tolist()
        for name, dtype in (("column", "<u2"), ("row", "<u2"), ("long", "<f4"), ("short", "<f4"))
    ]
    price = answer["price"]
    return {
        "latest": (answer["latest"], answer["minutes"]),
        "price": list(zip(*(price[name] for name in ("column", "open", "high", "low", "close")), strict=True)),
        "liquidated": answer["flows"]["liquidated_long"],
        "cells": list(zip(*arrays, strict=True)),
        "current": [(*row[:3], *(float(np.float32(usd)) for usd in row[3:])) for row in answer["current"]],
        "executed": [tuple(row) for row in answer["executed"]],
        "gaps": [tuple(row[:3]) for row in answer["gaps"]],
    }
