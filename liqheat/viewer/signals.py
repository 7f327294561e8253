"""What the page and `liqheat watch` show beside the map: clusters, readings, alerts and catalysts of a symbol.

Reads the views `clusters`, `symbol_signals`, `market_signals`, `alerts` and `catalysts`, over all venues, bases and
bands, whatever the page's filters show. Answers are plain JSON: times in ms, amounts in USD, null for what is unknown.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from liqheat.domain.signals import AlertKind
from liqheat.domain.windows import HOUR_MS
from liqheat.viewer.queries import Client, Parameters

ALERTS = 30
CATALYSTS = 20
CLUSTERS_PER_SIDE = 6

# The newest minute is looked for up to `end` only, so that one row of a far time hides nothing.
_READINGS_OF_LATE = """
SELECT * FROM symbol_signals
WHERE symbol IN {symbols:Array(String)}
  AND window_start >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
ORDER BY symbol, window_start DESC
LIMIT 1 BY symbol
"""

_READINGS = """
SELECT * FROM symbol_signals
WHERE symbol IN {symbols:Array(String)} AND (symbol, window_start) IN (
    SELECT symbol, max(window_start) FROM symbol_signals
    WHERE symbol IN {symbols:Array(String)} AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    GROUP BY symbol)
"""

_CLUSTERS = f"""
SELECT * FROM (
    SELECT * FROM clusters
    WHERE symbol IN {{symbols:Array(String)}} AND state NOT IN ('swept', 'gone')
      AND window_start = fromUnixTimestamp64Milli({{at:Int64}}, 'UTC')
    ORDER BY at_risk_usd DESC, cluster_id
    LIMIT {CLUSTERS_PER_SIDE} BY symbol, side)
ORDER BY distance, cluster_id
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_VENUES = """
SELECT * FROM market_signals
WHERE symbol IN {symbols:Array(String)} AND window_start = fromUnixTimestamp64Milli({at:Int64}, 'UTC')
ORDER BY venue
"""

_ALERTS = f"""
SELECT * FROM alerts
WHERE symbol IN {{symbols:Array(String)}} AND event_time >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
  AND event_time <= fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
ORDER BY event_time DESC, indexOf({[kind.value for kind in AlertKind]}, kind) DESC, alert_id DESC
LIMIT {ALERTS} BY symbol
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_CATALYSTS = f"""
SELECT * FROM catalysts
WHERE symbol IN {{symbols:Array(String)}} AND event_time >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
  AND event_time <= fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
ORDER BY event_time DESC, catalyst_id
LIMIT {CATALYSTS} BY symbol
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

Found = dict[str, list[dict[str, Any]]]
"""Rows by symbol."""


def signals_picture(client: Client, symbol: str, start: int, end: int) -> dict[str, Any]:
    """Return `signals_pictures` of one symbol."""
    return signals_pictures(client, [symbol], start, end)[symbol]


def signals_pictures(client: Client, symbols: Sequence[str], start: int, end: int) -> dict[str, dict[str, Any]]:
    """Return the readings of each symbol at its newest minute before `end`, and what happened from `start` on (ms).

    Keys: `symbol`, `reading` (a row of `symbol_signals`, null while none is stored), `clusters` (nearest first, the
    largest of each side), `venues` (rows of `market_signals`), `alerts` and `catalysts` (newest first).
    """
    parameters = {"symbols": list(symbols), "start": start, "end": end}
    readings = _rows(client, _READINGS_OF_LATE, parameters | {"since": end - HOUR_MS})
    # All that is stored is looked through only where there is none of late.
    silent = [symbol for symbol in symbols if symbol not in readings]
    if silent:
        readings |= _rows(client, _READINGS, {"symbols": silent, "end": end})
    by_minute: dict[int, list[str]] = {}
    for symbol, rows in readings.items():
        by_minute.setdefault(rows[0]["window_start"], []).append(symbol)
    clusters: Found = {}
    venues: Found = {}
    # Mostly all have the same newest minute.
    for at, alike in by_minute.items():
        clusters |= _rows(client, _CLUSTERS, {"symbols": alike, "at": at})
        venues |= _rows(client, _VENUES, {"symbols": alike, "at": at})
    alerts = _rows(client, _ALERTS, parameters)
    catalysts = _rows(client, _CATALYSTS, parameters)
    return {
        symbol: {
            "symbol": symbol,
            "reading": readings[symbol][0] if symbol in readings else None,
            "clusters": clusters.get(symbol, []),
            "venues": venues.get(symbol, []),
            "alerts": alerts.get(symbol, []),
            "catalysts": catalysts.get(symbol, []),
        }
        for symbol in symbols
    }


def _rows(client: Client, query: str, parameters: Parameters) -> Found:
    result = client.query(query, parameters=parameters)
    found: Found = {}
    for row in result.result_rows:
        record = dict(zip(result.column_names, map(_plain, row), strict=True))
        found.setdefault(record["symbol"], []).append(record)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000)
    return value
