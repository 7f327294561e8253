-- Which leverages positions are opened with, as learned from liquidations.
CREATE TABLE IF NOT EXISTS {database}.leverage_mix_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Start of the minute' CODEC(DoubleDelta, ZSTD(1)),
    leverage Float64 COMMENT 'Leverage, times' CODEC(ZSTD(1)),
    share Float64 COMMENT 'Share of opened notional, summing to 1 over leverages' CODEC(ZSTD(1)),
    uncertainty Float64 COMMENT 'Standard deviation of the share' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'Rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition of market-minutes that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toMonday(window_start)
ORDER BY (symbol, window_start, venue, leverage)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.leverage_mix {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange whose book it was taken to at that time',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC; about every ten minutes',
    leverage Float64 COMMENT 'Leverage, times',
    share Float64 COMMENT 'Share of opened notional, summing to 1 over leverages; learned over all venues of the symbol',
    uncertainty Float64 COMMENT 'Standard deviation of the share'
)
AS SELECT symbol, venue, window_start, leverage, share, uncertainty
FROM {database}.leverage_mix_raw FINAL
COMMENT 'Leverages in use, learned from liquidations and their absence, over time.';
