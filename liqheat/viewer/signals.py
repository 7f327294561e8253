"""What the page and `liqheat watch` show beside the map: clusters, readings, alerts and catalysts of one symbol.

Reads the views `clusters`, `symbol_signals`, `market_signals`, `alerts` and `catalysts`, over all venues, bases and
bands, whatever the page's filters show. Answers are plain JSON: times in ms, amounts in USD, null for what is unknown.
"""

from datetime import UTC, datetime
from typing import Any

from liqheat.viewer.queries import Client

ALERTS = 30
CATALYSTS = 20
CLUSTERS_PER_SIDE = 6

# The newest minute is looked for up to `end` only, so that one row of a far time hides nothing.
_NEWEST = """(
    SELECT max(window_start) FROM symbol_signals
    WHERE symbol = {symbol:String} AND window_start < fromUnixTimestamp64Milli({end:Int64}, 'UTC'))"""

_READING = f"""
SELECT * FROM symbol_signals
WHERE symbol = {{symbol:String}} AND window_start = {_NEWEST}
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_CLUSTERS = f"""
SELECT * FROM (
    SELECT * FROM clusters
    WHERE symbol = {{symbol:String}} AND state NOT IN ('swept', 'gone') AND window_start = {_NEWEST}
    ORDER BY at_risk_usd DESC, cluster_id
    LIMIT {CLUSTERS_PER_SIDE} BY side)
ORDER BY distance, cluster_id
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_VENUES = f"""
SELECT * FROM market_signals
WHERE symbol = {{symbol:String}} AND window_start = {_NEWEST}
ORDER BY venue
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

# Of one minute's alerts the ids' order is that of the events: approaching, entered, swept.
_ALERTS = """
SELECT * FROM alerts
WHERE symbol = {symbol:String} AND event_time >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND event_time <= fromUnixTimestamp64Milli({end:Int64}, 'UTC')
ORDER BY event_time DESC, alert_id DESC
LIMIT {limit:UInt32}
"""

_CATALYSTS = """
SELECT * FROM catalysts
WHERE symbol = {symbol:String} AND event_time >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND event_time <= fromUnixTimestamp64Milli({end:Int64}, 'UTC')
ORDER BY event_time DESC, catalyst_id
LIMIT {limit:UInt32}
"""


def signals_picture(client: Client, symbol: str, start: int, end: int) -> dict[str, Any]:
    """Return the readings of `symbol` at its newest minute before `end`, and what happened from `start` on (ms).

    Keys: `symbol`, `reading` (a row of `symbol_signals`, null while none is stored), `clusters` (nearest first, the
    largest of each side), `venues` (rows of `market_signals`), `alerts` and `catalysts` (newest first).
    """
    parameters = {"symbol": symbol, "start": start, "end": end}
    newest = _rows(client, _READING, parameters)
    return {
        "symbol": symbol,
        "reading": newest[0] if newest else None,
        "clusters": _rows(client, _CLUSTERS, parameters),
        "venues": _rows(client, _VENUES, parameters),
        "alerts": _rows(client, _ALERTS, parameters | {"limit": ALERTS}),
        "catalysts": _rows(client, _CATALYSTS, parameters | {"limit": CATALYSTS}),
    }


def _rows(client: Client, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    result = client.query(query, parameters=parameters)
    return [dict(zip(result.column_names, map(_plain, row), strict=True)) for row in result.result_rows]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000)
    return value
