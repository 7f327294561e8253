"""What the page and `liqheat watch` show beside the map: clusters, readings, alerts and catalysts of one symbol.

Reads the views `clusters`, `symbol_signals`, `market_signals`, `alerts` and `catalysts`. Answers are plain JSON:
times in ms, amounts in USD, null for what is unknown.
"""

from datetime import UTC, datetime
from typing import Any

from liqheat.viewer.queries import Client

ALERTS = 20
CATALYSTS = 10

_LATEST = """
SELECT * FROM symbol_signals
WHERE symbol = {symbol:String}
  AND window_start = (SELECT max(window_start) FROM symbol_signals
      WHERE symbol = {symbol:String} AND window_start <= now() + INTERVAL 2 MINUTE)
"""

_CLUSTERS = """
SELECT * FROM clusters
WHERE symbol = {symbol:String} AND state NOT IN ('swept', 'gone')
  AND window_start = (SELECT max(window_start) FROM symbol_signals
      WHERE symbol = {symbol:String} AND window_start <= now() + INTERVAL 2 MINUTE)
ORDER BY distance, cluster_id
"""

_VENUES = """
SELECT * FROM market_signals
WHERE symbol = {symbol:String}
  AND window_start = (SELECT max(window_start) FROM symbol_signals
      WHERE symbol = {symbol:String} AND window_start <= now() + INTERVAL 2 MINUTE)
ORDER BY venue
"""

# Of one minute's alerts the ids' order is that of the events: approaching, entered, swept.
_ALERTS = """
SELECT * FROM alerts
WHERE symbol = {symbol:String}
ORDER BY event_time DESC, alert_id DESC
LIMIT {limit:UInt32}
"""

_CATALYSTS = """
SELECT * FROM catalysts
WHERE symbol = {symbol:String}
ORDER BY event_time DESC, catalyst_id
LIMIT {limit:UInt32}
"""


def signals_picture(client: Client, symbol: str) -> dict[str, Any]:
    """Return the latest readings of `symbol`; `reading` is null while none is stored.

    Keys: `symbol`, `reading` (a row of `symbol_signals`), `clusters` (nearest first), `venues`, `alerts` and
    `catalysts` (newest first).
    """
    parameters = {"symbol": symbol}
    latest = _rows(client, _LATEST, parameters)
    return {
        "symbol": symbol,
        "reading": latest[0] if latest else None,
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
