-- Alerts, one row each.
SELECT
    symbol, -- Canonical symbol of the coin
    event_time, -- End of the minute that it is about, UTC
    alert_id, -- The same in every replay
    kind, -- {alert_kinds}
    side, -- Side of the positions
    cluster_id, -- The cluster; empty where the alert is about a whole side
    mark_price, -- Mark price, USD per coin
    if(isNaN(edge_price), NULL, edge_price) AS edge_price, -- Nearer edge of the cluster, or trigger of the chain, USD per coin; NULL where there is none
    notional_micro_usd / 1e6 AS notional_usd, -- What the cluster holds, what was swept or executed, or what a chain would liquidate, USD
    if(isNaN(percent_of_adv), NULL, percent_of_adv) AS percent_of_adv, -- That in % of the 24 h volume; NULL where unknown
    if(isNaN(distance), NULL, distance) AS distance, -- From the mark price to the nearer edge, in %; NULL where unknown
    message -- All of it in a sentence
FROM {database}.alerts_raw FINAL
