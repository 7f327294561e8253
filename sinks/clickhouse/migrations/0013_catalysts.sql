-- News and known events by symbol; an item that is read again replaces itself.
CREATE TABLE IF NOT EXISTS {database}.catalysts_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Always all',
    event_time DateTime64(3, 'UTC') COMMENT 'When it happens or was published, UTC' CODEC(Delta, ZSTD(1)),
    catalyst_id String COMMENT 'The same whenever the item is read again' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'Feed or file that it came by',
    title String COMMENT 'Headline' CODEC(ZSTD(1)),
    link String COMMENT 'Address, or empty' CODEC(ZSTD(1)),
    importance LowCardinality(String) COMMENT 'low, normal or high',
    _partition UInt16 COMMENT 'Partition that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition; the later row wins' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(_offset)
PARTITION BY toStartOfMonth(event_time)
ORDER BY (symbol, event_time, catalyst_id)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.catalysts {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    event_time DateTime64(3, 'UTC') COMMENT 'When it happens or was published, UTC',
    catalyst_id String COMMENT 'The same whenever the item is read again',
    source LowCardinality(String) COMMENT 'Feed or file that it came by',
    title String COMMENT 'Headline',
    link String COMMENT 'Address, or empty',
    importance LowCardinality(String) COMMENT 'low, normal or high'
)
AS SELECT
    symbol, event_time, catalyst_id, source, title, link, importance
FROM {database}.catalysts_raw FINAL
COMMENT 'News and events by symbol.';

-- Social volume: how often a symbol is mentioned in an hour.
CREATE OR REPLACE VIEW {database}.catalyst_mentions {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    hour DateTime('UTC') COMMENT 'Start of the hour, UTC',
    mentions UInt64 COMMENT 'News and events in that hour',
    sources UInt64 COMMENT 'Feeds or files that they came by'
)
AS SELECT symbol, toStartOfHour(event_time) AS hour, count() AS mentions, uniqExact(source) AS sources
FROM {database}.catalysts
GROUP BY symbol, hour
COMMENT 'Mentions of a symbol an hour, as social volume.';

-- Which clusters a catalyst may set off: those alive at the latest judged minute of the hour before it.
CREATE OR REPLACE VIEW {database}.catalyst_clusters {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    event_time DateTime64(3, 'UTC') COMMENT 'When the catalyst happens or was published, UTC',
    catalyst_id String COMMENT 'The catalyst',
    title String COMMENT 'Headline',
    window_start DateTime('UTC') COMMENT 'Latest minute in the hour before it, UTC',
    cluster_id String COMMENT 'A cluster alive in that minute',
    side LowCardinality(String) COMMENT 'long (below the price) or short (above it)',
    nearer_edge Float64 COMMENT 'Edge that price meets first, USD per coin',
    at_risk_usd Float64 COMMENT 'Notional of the cluster, USD',
    percent_of_adv Nullable(Float64) COMMENT 'Notional in % of the 24 h volume; NULL where unknown',
    distance Nullable(Float64) COMMENT 'From the mark price to the nearer edge, in %'
)
AS SELECT
    before.symbol AS symbol, before.event_time AS event_time, before.catalyst_id AS catalyst_id, before.title AS title,
    before.latest AS window_start, cluster.cluster_id AS cluster_id, cluster.side AS side,
    cluster.nearer_edge AS nearer_edge, cluster.at_risk_usd AS at_risk_usd,
    cluster.percent_of_adv AS percent_of_adv, cluster.distance AS distance
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
COMMENT 'Catalysts with the clusters that lay around the price just before.';
