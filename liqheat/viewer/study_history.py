"""A symbol's stored history for `liqheat.scoring.study`, read from ClickHouse; for `liqheat study` and the page.

Prices are of the venue with the most minutes, so that a venue that joins does not move them; liquidations are summed
over the venues that publish them. Backfilled minutes know no daily volume, so there a cluster is sized by what was
traded in the stored minutes of the day before.
"""

from typing import Any

import numpy as np

from liqheat.domain.windows import MINUTE_MS
from liqheat.scoring.study_moments import Clusters, FloatArray, History, IntArray
from liqheat.viewer.queries import Client

_DAY_MINUTES = 1_440
_FEWEST_MINUTES = 60
"""Stored minutes from which daily volume is estimated."""

_SYMBOLS = """
SELECT symbol FROM symbol_signals
WHERE window_start >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
GROUP BY symbol
ORDER BY symbol
"""

_SPAN = """
      symbol = {symbol:String} AND window_start >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
"""

_MINUTES = f"""
WITH (
    SELECT argMax(venue, (minutes, venue)) FROM (
        SELECT venue, count() AS minutes FROM market_minutes WHERE {_SPAN} AND mark_close > 0 GROUP BY venue)
    ) AS reference
SELECT toInt64(intDiv(toUnixTimestamp(window_start), 60)) AS minute,
       ifNull(maxIf(mark_close, venue = reference), 0) AS close, ifNull(maxIf(mark_high, venue = reference), 0) AS high,
       ifNull(maxIf(mark_low, venue = reference), 0) AS low,
       ifNull(sum(liquidated_long_usd), 0) AS longs, ifNull(sum(liquidated_short_usd), 0) AS shorts,
       ifNull(sum(taker_buy_usd + taker_sell_usd), 0) AS traded
FROM market_minutes
WHERE {_SPAN}
GROUP BY minute
ORDER BY minute
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_JUDGED = f"""
SELECT toInt64(intDiv(toUnixTimestamp(window_start), 60)) AS minute
FROM symbol_signals
WHERE {_SPAN}
ORDER BY minute
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

# Only clusters that were once large, or may have been: the others are neither cases nor in the way of a control.
_CLUSTERS = f"""
SELECT sipHash64(cluster_id) AS id, toInt64(intDiv(toUnixTimestamp(window_start), 60)) AS minute,
       toInt64(if(side = 'long', 1, -1)) AS sign, price_low, price_high, ifNull(percent_of_adv, nan) AS percent,
       state = 'swept' AS is_swept, at_risk_usd
FROM clusters
WHERE {_SPAN}
  AND cluster_id IN (
      SELECT cluster_id FROM clusters
      WHERE {_SPAN} AND (percent_of_adv >= {{percent:Float64}} OR percent_of_adv IS NULL))
ORDER BY cluster_id, minute
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters


def symbols(client: Client, start: int, end: int) -> list[str]:
    """Return the symbols whose clusters are stored between `start` and `end` (ms)."""
    rows = client.query(_SYMBOLS, parameters={"start": start, "end": end}).result_rows
    return [str(row[0]) for row in rows]


def read_history(client: Client, symbol: str, start: int, end: int, percent: float) -> History | None:
    """Return the symbol's minutes between `start` and `end` (ms), with the clusters that held `percent` % of ADV.

    None where fewer than two minutes with a price are stored.
    """
    parameters = {"symbol": symbol, "start": start, "end": end, "percent": percent}
    rows = client.query_np(_MINUTES, parameters=parameters)
    if not len(rows) or np.count_nonzero((rows["close"] > 0) & (rows["high"] > 0) & (rows["low"] > 0)) < 2:
        return None
    first, count = int(rows["minute"][0]), int(rows["minute"][-1] - rows["minute"][0]) + 1
    place = rows["minute"] - first
    close, high, low = (
        _placed(np.where(rows[name] > 0, rows[name], np.nan), place, count) for name in ("close", "high", "low")
    )
    executed = np.zeros((count, 2))
    executed[place] = np.column_stack([rows["longs"], rows["shorts"]])
    judged = np.zeros(count, dtype=np.bool_)
    known = client.query_np(_JUDGED, parameters=parameters).ravel().astype(np.int64) - first
    judged[known[(known >= 0) & (known < count)]] = True
    volume = daily_volume(_placed(rows["traded"], place, count))
    clusters = _clusters(client.query_np(_CLUSTERS, parameters=parameters), first, volume)
    return History(symbol, first * MINUTE_MS, close, high, low, executed, judged, clusters)


def daily_volume(traded: FloatArray) -> FloatArray:
    """Return the notional traded over the 24 hours that end with each minute, USD per day, shape (n,).

    `traded` is USD per minute, NaN where no minute is stored; the day is made up from the minutes that are. NaN where
    there are fewer than `_FEWEST_MINUTES`.
    """
    known = ~np.isnan(traded)
    totals, counts = np.r_[0.0, np.cumsum(np.where(known, traded, 0.0))], np.r_[0, np.cumsum(known)]
    begin = np.maximum(np.arange(1, len(traded) + 1) - _DAY_MINUTES, 0)
    total, count = totals[1:] - totals[begin], counts[1:] - counts[begin]
    return np.where(count >= _FEWEST_MINUTES, total / np.maximum(count, 1) * _DAY_MINUTES, np.nan)


def _placed(of_rows: FloatArray, place: IntArray, count: int) -> FloatArray:
    values = np.full(count, np.nan)
    values[place] = of_rows
    return values


def _clusters(rows: Any, first: int, volume: FloatArray) -> Clusters:
    """Return the rows within the minutes of `volume` (USD per day), with clusters numbered as they come."""
    if not len(rows):
        nothing, none = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Clusters(none, none, none, nothing, nothing, nothing, nothing.astype(np.bool_))
    place = rows["minute"] - first
    inside = (place >= 0) & (place < len(volume))
    rows, place = rows[inside], place[inside]
    number = np.cumsum(np.r_[False, rows["id"][1:] != rows["id"][:-1]][: len(rows)])
    estimated = 100 * rows["at_risk_usd"] / np.where(volume[place] > 0, volume[place], np.nan)
    return Clusters(
        number.astype(np.int64),
        place,
        rows["sign"],
        rows["price_low"],
        rows["price_high"],
        np.nan_to_num(np.where(np.isnan(rows["percent"]), estimated, rows["percent"])),
        rows["is_swept"].astype(np.bool_),
    )
