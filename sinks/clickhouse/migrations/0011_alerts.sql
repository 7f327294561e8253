-- What a trader is told once; an alert that is sent again has the same id and replaces itself.
CREATE TABLE IF NOT EXISTS {database}.alerts_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Always all: it is about all venues',
    event_time DateTime64(3, 'UTC') COMMENT 'End of the minute that it is about, UTC' CODEC(Delta, ZSTD(1)),
    alert_id String COMMENT 'The same in every replay' CODEC(ZSTD(1)),
    rule LowCardinality(String) COMMENT 'approaching, entered, caution, swept or cascade',
    side LowCardinality(String) COMMENT 'Side of the positions',
    cluster_id String COMMENT 'The cluster, empty for a cascade' CODEC(ZSTD(1)),
    mark_price Float64 COMMENT 'Mark price, USD per coin' CODEC(ZSTD(1)),
    edge_price Float64 COMMENT 'Nearer edge of the cluster, USD per coin; unknown for a cascade, NaN where unknown' CODEC(ZSTD(1)),
    notional_micro_usd Int64 COMMENT 'Notional of the cluster; for swept and cascade what was swept or executed, micro-USD' CODEC(T64, ZSTD(1)),
    percent_of_adv Float64 COMMENT 'That in % of the 24 h volume, NaN where unknown' CODEC(ZSTD(1)),
    distance Float64 COMMENT 'From the mark price to the nearer edge, in %, NaN where unknown' CODEC(ZSTD(1)),
    message String COMMENT 'All of it in a sentence' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'Rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toStartOfMonth(event_time)
ORDER BY (symbol, event_time, alert_id)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.alerts {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    event_time DateTime64(3, 'UTC') COMMENT 'End of the minute that it is about, UTC',
    alert_id String COMMENT 'The same in every replay',
    kind LowCardinality(String) COMMENT 'approaching, entered, caution, swept or cascade',
    side LowCardinality(String) COMMENT 'Side of the positions',
    cluster_id String COMMENT 'The cluster, empty for a cascade',
    mark_price Float64 COMMENT 'Mark price, USD per coin',
    edge_price Nullable(Float64) COMMENT 'Nearer edge of the cluster, USD per coin; unknown for a cascade',
    notional_usd Float64 COMMENT 'Notional of the cluster; for swept and cascade what was swept or executed, USD',
    percent_of_adv Nullable(Float64) COMMENT 'That in % of the 24 h volume; NULL where unknown',
    distance Nullable(Float64) COMMENT 'From the mark price to the nearer edge, in %; NULL where unknown',
    message String COMMENT 'All of it in a sentence'
)
AS SELECT
    symbol, event_time, alert_id, rule AS kind, side, cluster_id, mark_price,
    if(isNaN(edge_price), NULL, edge_price) AS edge_price, notional_micro_usd / 1e6 AS notional_usd,
    if(isNaN(percent_of_adv), NULL, percent_of_adv) AS percent_of_adv,
    if(isNaN(distance), NULL, distance) AS distance, message
FROM {database}.alerts_raw FINAL
COMMENT 'Alerts, one row each.';
