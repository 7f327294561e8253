-- The map as one row per market, minute, side, basis and band, with parallel arrays of buckets. An hour of a market lies
-- together and a series within it row after row, where most values repeat: so it is small, and quick to read by time.
-- Amounts named `_steps` are logarithmic: 0 is nothing, n is 0.01 USD times ratio^(n - 1), with the ratio 1.01 for levels
-- and 1.1 for the flows opened and closed (see sinks/clickhouse/steps.py).
CREATE TABLE IF NOT EXISTS {database}.heatmap_levels_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Start of the minute' CODEC(Delta, ZSTD(1)),
    side LowCardinality(String) COMMENT 'long or short',
    basis LowCardinality(String) COMMENT 'observed or inferred',
    leverage_band LowCardinality(String) COMMENT 'Band of leverage, by distance from the entry price',
    bucket Array(Int32) COMMENT 'Numbers of the price buckets, rising' CODEC(Delta, ZSTD(3)),
    at_risk_steps Array(UInt16) COMMENT 'Level: notional at risk, steps of 1 %' CODEC(ZSTD(3)),
    expected_steps Array(UInt16) COMMENT 'Level: notional expected to be executed, steps of 1 %' CODEC(ZSTD(3)),
    opened_steps Array(UInt16) COMMENT 'Flow: notional opened, steps of 10 %' CODEC(ZSTD(3)),
    closed_steps Array(UInt16) COMMENT 'Flow: notional closed before liquidation, steps of 10 %' CODEC(ZSTD(3)),
    swept_micro_usd Array(Int64) COMMENT 'Flow: notional that the mark price swept' CODEC(ZSTD(3)),
    liquidated_micro_usd Array(Int64) COMMENT 'Flow: executed liquidations' CODEC(ZSTD(3)),
    confidence Array(Float32) COMMENT 'Share of the expected notional that the record bears out, NaN where unknown' CODEC(ZSTD(3)),
    grid_factor UInt16 COMMENT 'Fine buckets joined in one of these' CODEC(ZSTD(1)),
    model_version UInt8 COMMENT 'Version of the model that made the row' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'Model version, then rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition of heatmap-buckets that the row came by' CODEC(ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toDate(window_start)
ORDER BY (symbol, toStartOfHour(window_start), venue, side, basis, leverage_band, window_start)
SETTINGS ttl_only_drop_parts = 1, index_granularity = 512;

CREATE TABLE IF NOT EXISTS {database}.heatmap_levels_1h_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    side LowCardinality(String) COMMENT 'long or short',
    basis LowCardinality(String) COMMENT 'observed or inferred',
    leverage_band LowCardinality(String) COMMENT 'Band of leverage, by distance from the entry price',
    bucket Array(Int32) COMMENT 'Numbers of the price buckets, rising' CODEC(Delta, ZSTD(3)),
    at_risk_steps Array(UInt16) COMMENT 'Level at the end of the market''s last minute in the hour' CODEC(ZSTD(3)),
    at_risk_peak_steps Array(UInt16) COMMENT 'Highest level of any minute' CODEC(ZSTD(3)),
    expected_steps Array(UInt16) COMMENT 'Level at the end of the market''s last minute in the hour' CODEC(ZSTD(3)),
    opened_usd Array(Float32) COMMENT 'Sum over the minutes, USD' CODEC(ZSTD(3)),
    closed_usd Array(Float32) COMMENT 'Sum over the minutes, USD' CODEC(ZSTD(3)),
    swept_micro_usd Array(Int64) COMMENT 'Sum over the minutes' CODEC(ZSTD(3)),
    liquidated_micro_usd Array(Int64) COMMENT 'Sum over the minutes' CODEC(ZSTD(3)),
    confidence Array(Float32) COMMENT 'Of the bucket''s last minute, NaN where unknown' CODEC(ZSTD(3)),
    grid_factor UInt16 COMMENT 'Fine buckets joined in one of these' CODEC(ZSTD(1)),
    model_version UInt8 COMMENT 'Highest version of the model in the hour' CODEC(ZSTD(1)),
    version UInt128 COMMENT 'Sum of the revisions of all rows of the market''s hour' CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toStartOfMonth(window_start)
ORDER BY (symbol, toDate(window_start), venue, side, basis, leverage_band, grid_factor, window_start)
SETTINGS ttl_only_drop_parts = 1, index_granularity = 512;

CREATE TABLE IF NOT EXISTS {database}.heatmap_levels_1d_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Start of the day' CODEC(Delta, ZSTD(1)),
    side LowCardinality(String) COMMENT 'long or short',
    basis LowCardinality(String) COMMENT 'observed or inferred',
    leverage_band LowCardinality(String) COMMENT 'Band of leverage, by distance from the entry price',
    bucket Array(Int32) COMMENT 'Numbers of the price buckets, rising' CODEC(Delta, ZSTD(3)),
    at_risk_steps Array(UInt16) COMMENT 'Level at the end of the market''s last hour in the day' CODEC(ZSTD(3)),
    at_risk_peak_steps Array(UInt16) COMMENT 'Highest level of any minute' CODEC(ZSTD(3)),
    expected_steps Array(UInt16) COMMENT 'Level at the end of the market''s last hour in the day' CODEC(ZSTD(3)),
    opened_usd Array(Float32) COMMENT 'Sum over the minutes, USD' CODEC(ZSTD(3)),
    closed_usd Array(Float32) COMMENT 'Sum over the minutes, USD' CODEC(ZSTD(3)),
    swept_micro_usd Array(Int64) COMMENT 'Sum over the minutes' CODEC(ZSTD(3)),
    liquidated_micro_usd Array(Int64) COMMENT 'Sum over the minutes' CODEC(ZSTD(3)),
    confidence Array(Float32) COMMENT 'Of the bucket''s last minute, NaN where unknown' CODEC(ZSTD(3)),
    grid_factor UInt16 COMMENT 'Fine buckets joined in one of these' CODEC(ZSTD(1)),
    model_version UInt8 COMMENT 'Highest version of the model in the day' CODEC(ZSTD(1)),
    version UInt128 COMMENT 'Sum of the versions of all rows of the market''s hours' CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toStartOfYear(window_start)
ORDER BY (symbol, toStartOfMonth(window_start), venue, side, basis, leverage_band, grid_factor, window_start)
SETTINGS ttl_only_drop_parts = 1, index_granularity = 512;

-- Where the rows of version 1 end: its rows count up to there, those of later versions after it.
CREATE TABLE IF NOT EXISTS {database}.heatmap_upgrade_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Last minute of the market in heatmap_raw at the upgrade'
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (symbol, venue);

INSERT INTO {database}.heatmap_upgrade_raw
SELECT symbol, venue, max(window_start) FROM {database}.heatmap_raw GROUP BY symbol, venue;
