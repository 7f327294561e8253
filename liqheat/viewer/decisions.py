"""What the pipeline concludes from the map: clusters, alerts, conviction and catalysts, read for the page.

They are computed over all venues, bases and leverage bands, whatever the page's filters show.
"""

from typing import Any

from liqheat.viewer.queries import Client, records

_CLUSTERS = """
SELECT side, price_low, price_high, nearer_edge, at_risk_usd, percent_of_adv, distance, state, age_minutes,
       round_number, round_number_distance, observed_share
FROM clusters
WHERE symbol = {symbol:String} AND state NOT IN ('swept', 'gone') AND window_start = (
    SELECT max(window_start) FROM clusters WHERE symbol = {symbol:String}
      AND window_start < toDateTime(intDiv({end:Int64}, 1000), 'UTC')
      AND window_start >= toDateTime(intDiv({end:Int64}, 1000), 'UTC') - INTERVAL 15 MINUTE)
ORDER BY at_risk_usd DESC
LIMIT 6 BY side
"""

# Of one minute's alerts the ids' order is that of the events: approaching, entered, swept.
_ALERTS = """
SELECT toUnixTimestamp64Milli(event_time) AS time, kind, side, message
FROM alerts
WHERE symbol = {symbol:String} AND event_time >= toDateTime(intDiv({start:Int64}, 1000), 'UTC')
  AND event_time <= toDateTime(intDiv({end:Int64}, 1000), 'UTC')
ORDER BY event_time DESC, alert_id DESC
LIMIT 30
"""

_READING = """
SELECT direction, conviction, conviction_cluster AS cluster, conviction_imbalance AS imbalance,
       conviction_funding AS funding, conviction_open_interest AS open_interest,
       conviction_round_number AS round_number, coiled_spring, exposure_reduction,
       funding_rate_4h, funding_direction, settlement_seconds,
       open_interest_change_1h, open_interest_change_4h, open_interest_agreement_1h, open_interest_agreement_4h,
       max_pain_long_price, max_pain_long_usd, max_pain_short_price, max_pain_short_usd,
       [down_1_usd, down_2_usd, down_5_usd, down_10_usd] AS down_usd,
       [up_1_usd, up_2_usd, up_5_usd, up_10_usd] AS up_usd
FROM symbol_signals
WHERE symbol = {symbol:String} AND window_start >= toDateTime(intDiv({end:Int64}, 1000), 'UTC') - INTERVAL 15 MINUTE
  AND window_start < toDateTime(intDiv({end:Int64}, 1000), 'UTC')
ORDER BY window_start DESC
LIMIT 1
"""

_MARKETS = """
SELECT venue, funding_rate_4h, settlement_seconds, open_interest_change_1h, open_interest_change_4h
FROM market_signals
WHERE symbol = {symbol:String} AND window_start = (
    SELECT max(window_start) FROM symbol_signals WHERE symbol = {symbol:String}
      AND window_start < toDateTime(intDiv({end:Int64}, 1000), 'UTC')
      AND window_start >= toDateTime(intDiv({end:Int64}, 1000), 'UTC') - INTERVAL 15 MINUTE)
ORDER BY venue
"""

_CATALYSTS = """
SELECT toUnixTimestamp64Milli(event_time) AS time, title, source, importance
FROM catalysts
WHERE symbol = {symbol:String} AND event_time >= toDateTime(intDiv({start:Int64}, 1000), 'UTC')
  AND event_time <= toDateTime(intDiv({end:Int64}, 1000), 'UTC')
ORDER BY event_time DESC, catalyst_id
LIMIT 20
"""


def decisions(client: Client, symbol: str, start: int, end: int) -> dict[str, Any]:
    """Return what stands at `end` and what was told since `start` (ms).

    Keys: `clusters`, `alerts`, `reading` (of the symbol; None before the first), `markets` (its venues), `catalysts`.
    """
    parameters = {"symbol": symbol, "start": start, "end": end}
    reading = records(client.query(_READING, parameters=parameters))
    return {
        "clusters": records(client.query(_CLUSTERS, parameters=parameters)),
        "alerts": records(client.query(_ALERTS, parameters=parameters)),
        "reading": reading[0] if reading else None,
        "markets": records(client.query(_MARKETS, parameters=parameters)),
        "catalysts": records(client.query(_CATALYSTS, parameters=parameters)),
    }
