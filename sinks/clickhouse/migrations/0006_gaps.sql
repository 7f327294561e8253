-- Holes in the feeds, as data. A hole that REST history closed is written again with filled = true.
CREATE TABLE IF NOT EXISTS {database}.gaps_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    stream LowCardinality(String) COMMENT 'The feed with the hole',
    event_time DateTime64(3, 'UTC') COMMENT 'Start of the hole',
    end_time DateTime64(3, 'UTC') COMMENT 'End of the hole',
    missing Int64 COMMENT 'Events missing, 0 where the number is unknown',
    reason String COMMENT 'Why, in a sentence',
    filled Bool COMMENT 'Closed from REST history',
    _partition UInt16 COMMENT 'Partition of gaps that the row came by',
    _offset Int64 COMMENT 'Offset in that partition; the later row of a hole wins'
)
ENGINE = {replicated}ReplacingMergeTree(_offset)
PARTITION BY toStartOfMonth(event_time)
ORDER BY (symbol, venue, stream, event_time)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.gaps {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    stream LowCardinality(String) COMMENT 'The feed with the hole',
    event_time DateTime64(3, 'UTC') COMMENT 'Start of the hole',
    end_time DateTime64(3, 'UTC') COMMENT 'End of the hole',
    missing Int64 COMMENT 'Events missing; 0 where the number is unknown',
    reason String COMMENT 'Why, in a sentence',
    filled Bool COMMENT 'Whether REST history has closed it'
)
AS SELECT symbol, venue, instrument, stream, event_time, end_time, missing, reason, filled
FROM {database}.gaps_raw FINAL
COMMENT 'Holes noticed in the feeds, filled or not.';
