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
SELECT intDiv(toUnixTimestamp(window_start), 60) AS minute,
       maxIf(mark_close, venue = reference) AS close, maxIf(mark_high, venue = reference) AS high,
       maxIf(mark_low, venue = reference) AS low,
       sum(liquidated_long_usd) AS longs, sum(liquidated_short_usd) AS shorts,
       sum(taker_buy_usd + taker_sell_usd) AS traded
FROM market_minutes
WHERE {_SPAN}
GROUP BY minute
ORDER BY minute
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_JUDGED = f"""
SELECT intDiv(toUnixTimestamp(window_start), 60) AS minute
FROM symbol_signals
WHERE {_SPAN}
ORDER BY minute
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

# Only clusters that were once large, or may have been: the others are neither cases nor in the way of a control.
_CLUSTERS = f"""
SELECT cluster_id, intDiv(toUnixTimestamp(window_start), 60) AS minute, if(side = 'long', 1, -1) AS sign,
       price_low, price_high, percent_of_adv AS percent, state = 'swept' AS is_swept, at_risk_usd
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
    rows = client.query(_MINUTES, parameters=parameters).result_rows
    priced = [row for row in rows if row[1] and row[2] and row[3]]
    if len(priced) < 2:
        return None
    first, count = int(rows[0][0]), int(rows[-1][0]) - int(rows[0][0]) + 1
    place = np.array([row[0] for row in rows], dtype=np.int64) - first
    close, high, low = (_placed(rows, column, place, count) for column in (1, 2, 3))
    executed = np.zeros((count, 2))
    executed[place] = [(row[4] or 0.0, row[5] or 0.0) for row in rows]
    traded = np.full(count, np.nan)
    traded[place] = [row[6] or 0.0 for row in rows]
    judged = np.zeros(count, dtype=np.bool_)
    known = (
        np.array([row[0] for row in client.query(_JUDGED, parameters=parameters).result_rows], dtype=np.int64) - first
    )
    judged[known[(known >= 0) & (known < count)]] = True
    clusters = _clusters(client.query(_CLUSTERS, parameters=parameters).result_rows, first, daily_volume(traded))
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


def _placed(rows: list[Any], column: int, place: IntArray, count: int) -> FloatArray:
    values = np.full(count, np.nan)
    values[place] = [row[column] if row[column] else np.nan for row in rows]
    return values


def _clusters(rows: list[Any], first: int, volume: FloatArray) -> Clusters:
    inside = [row for row in rows if 0 <= row[1] - first < len(volume)]
    names, minutes, sides, lows, highs, percents, swept, at_risk = zip(*inside, strict=True) if inside else ((),) * 8
    numbers = np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1]
    place = np.array(minutes, dtype=np.int64) - first
    stored = np.array([np.nan if percent is None else percent for percent in percents], dtype=np.float64)
    estimated = 100 * np.array(at_risk, dtype=np.float64) / np.where(volume[place] > 0, volume[place], np.nan)
    return Clusters(
        numbers.astype(np.int64),
        place,
        np.array(sides, dtype=np.int64),
        np.array(lows, dtype=np.float64),
        np.array(highs, dtype=np.float64),
        np.nan_to_num(np.where(np.isnan(stored), estimated, stored)),
        np.array(swept, dtype=np.bool_),
    )
