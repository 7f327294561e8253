-- Catalysts with the clusters that lay around the price just before.
SELECT
    before.symbol AS symbol, -- Canonical symbol of the coin
    before.event_time AS event_time, -- When the catalyst happens or was published, UTC
    before.catalyst_id AS catalyst_id, -- The catalyst
    before.title AS title, -- Headline
    before.latest AS window_start, -- Latest minute in the hour before it, UTC
    cluster.cluster_id AS cluster_id, -- A cluster alive in that minute
    cluster.side AS side, -- long (below the price) or short (above it)
    cluster.nearer_edge AS nearer_edge, -- Edge that price meets first, USD per coin
    cluster.at_risk_usd AS at_risk_usd, -- Notional of the cluster, USD
    cluster.percent_of_adv AS percent_of_adv, -- Notional in % of the 24 h volume; NULL where unknown
    cluster.distance AS distance -- From the mark price to the nearer edge, in %
FROM
(
    SELECT catalyst.symbol AS symbol, catalyst.event_time AS event_time, catalyst.catalyst_id AS catalyst_id,
        catalyst.title AS title, max(signal.window_start) AS latest
    FROM {database}.catalysts AS catalyst
    INNER JOIN {database}.symbol_signals AS signal ON signal.symbol = catalyst.symbol
    WHERE signal.window_start < catalyst.event_time AND signal.window_start >= catalyst.event_time - INTERVAL 1 HOUR
    GROUP BY symbol, event_time, catalyst_id, title
) AS before
INNER JOIN {database}.clusters AS cluster
    ON cluster.symbol = before.symbol AND cluster.window_start = before.latest
WHERE cluster.state NOT IN ('swept', 'gone')
