-- Hours and days of the map, recomputed by the sink from what they are made of (see sinks/clickhouse/rollup.py).
-- `version` grows with everything a rollup has read, so of two rollups of one hour the better informed one wins.
CREATE TABLE IF NOT EXISTS {database}.heatmap_1h_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    side LowCardinality(String) COMMENT 'long or short',
    basis LowCardinality(String) COMMENT 'observed or inferred',
    leverage_band LowCardinality(String) COMMENT 'Leverage of the positions',
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(DoubleDelta, ZSTD(1)),
    price_low Float64 COMMENT 'Lower edge of the price bucket' CODEC(ZSTD(1)),
    price_high Float64 COMMENT 'Upper edge of the price bucket' CODEC(ZSTD(1)),
    at_risk_micro_usd Int64 COMMENT 'Level at the end of the market''s last minute in the hour' CODEC(T64, ZSTD(1)),
    at_risk_peak_micro_usd Int64 COMMENT 'Highest level of any minute' CODEC(T64, ZSTD(1)),
    opened_micro_usd Int64 COMMENT 'Sum over the minutes' CODEC(T64, ZSTD(1)),
    closed_micro_usd Int64 COMMENT 'Sum over the minutes' CODEC(T64, ZSTD(1)),
    swept_micro_usd Int64 COMMENT 'Sum over the minutes' CODEC(T64, ZSTD(1)),
    liquidated_micro_usd Int64 COMMENT 'Sum over the minutes' CODEC(T64, ZSTD(1)),
    confidence Float64 COMMENT 'Of the bucket''s last minute, NaN where unknown' CODEC(ZSTD(1)),
    version UInt128 COMMENT 'Sum of the revisions of all rows of the market''s hour' CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toStartOfMonth(window_start)
ORDER BY (symbol, window_start, venue, side, basis, leverage_band, price_low)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS {database}.heatmap_1d_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    side LowCardinality(String) COMMENT 'long or short',
    basis LowCardinality(String) COMMENT 'observed or inferred',
    leverage_band LowCardinality(String) COMMENT 'Leverage of the positions',
    window_start DateTime('UTC') COMMENT 'Start of the day' CODEC(DoubleDelta, ZSTD(1)),
    price_low Float64 COMMENT 'Lower edge of the price bucket' CODEC(ZSTD(1)),
    price_high Float64 COMMENT 'Upper edge of the price bucket' CODEC(ZSTD(1)),
    at_risk_micro_usd Int64 COMMENT 'Level at the end of the market''s last hour in the day' CODEC(T64, ZSTD(1)),
    at_risk_peak_micro_usd Int64 COMMENT 'Highest level of any minute' CODEC(T64, ZSTD(1)),
    opened_micro_usd Int64 COMMENT 'Sum over the minutes' CODEC(T64, ZSTD(1)),
    closed_micro_usd Int64 COMMENT 'Sum over the minutes' CODEC(T64, ZSTD(1)),
    swept_micro_usd Int64 COMMENT 'Sum over the minutes' CODEC(T64, ZSTD(1)),
    liquidated_micro_usd Int64 COMMENT 'Sum over the minutes' CODEC(T64, ZSTD(1)),
    confidence Float64 COMMENT 'Of the bucket''s last minute, NaN where unknown' CODEC(ZSTD(1)),
    version UInt128 COMMENT 'Sum of the versions of all rows of the market''s hours' CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toStartOfYear(window_start)
ORDER BY (symbol, window_start, venue, side, basis, leverage_band, price_low)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.heatmap_1h {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    side LowCardinality(String) COMMENT 'Side of the positions at risk: long (below the price) or short (above it)',
    basis LowCardinality(String) COMMENT 'How it is known: observed or inferred',
    leverage_band LowCardinality(String) COMMENT 'Leverage of the positions: 1-5x, 5-10x, 10-25x, 25-50x, 50x+',
    window_start DateTime('UTC') COMMENT 'Start of the hour, UTC; the hour is half-open',
    price_low Float64 COMMENT 'Lower edge of the price bucket, inclusive, USD per coin',
    price_high Float64 COMMENT 'Upper edge of the price bucket, exclusive, USD per coin',
    at_risk_usd Float64 COMMENT 'Level at the end of the hour, or so far: notional at risk, USD',
    at_risk_peak_usd Float64 COMMENT 'Highest level of any minute of the hour, USD',
    opened_usd Float64 COMMENT 'Flow in the hour: notional opened, USD',
    closed_usd Float64 COMMENT 'Flow in the hour: notional closed before liquidation, USD',
    swept_usd Float64 COMMENT 'Flow in the hour: at-risk notional that the mark price swept, USD',
    liquidated_usd Float64 COMMENT 'Flow in the hour: executed liquidations as the venue published them, USD',
    confidence Nullable(Float64) COMMENT 'Share of at_risk_usd expected to be real, 0 to 1; NULL where unknown'
)
AS SELECT
    symbol, venue, side, basis, leverage_band, window_start, price_low, price_high,
    at_risk_micro_usd / 1e6 AS at_risk_usd,
    at_risk_peak_micro_usd / 1e6 AS at_risk_peak_usd,
    opened_micro_usd / 1e6 AS opened_usd,
    closed_micro_usd / 1e6 AS closed_usd,
    swept_micro_usd / 1e6 AS swept_usd,
    liquidated_micro_usd / 1e6 AS liquidated_usd,
    if(isNaN(confidence), NULL, confidence) AS confidence
FROM {database}.heatmap_1h_raw FINAL
COMMENT 'The map by the hour, for ranges of days and weeks.';

CREATE OR REPLACE VIEW {database}.heatmap_1d {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    side LowCardinality(String) COMMENT 'Side of the positions at risk: long (below the price) or short (above it)',
    basis LowCardinality(String) COMMENT 'How it is known: observed or inferred',
    leverage_band LowCardinality(String) COMMENT 'Leverage of the positions: 1-5x, 5-10x, 10-25x, 25-50x, 50x+',
    window_start DateTime('UTC') COMMENT 'Start of the day, UTC; the day is half-open',
    price_low Float64 COMMENT 'Lower edge of the price bucket, inclusive, USD per coin',
    price_high Float64 COMMENT 'Upper edge of the price bucket, exclusive, USD per coin',
    at_risk_usd Float64 COMMENT 'Level at the end of the day, or so far: notional at risk, USD',
    at_risk_peak_usd Float64 COMMENT 'Highest level of any minute of the day, USD',
    opened_usd Float64 COMMENT 'Flow in the day: notional opened, USD',
    closed_usd Float64 COMMENT 'Flow in the day: notional closed before liquidation, USD',
    swept_usd Float64 COMMENT 'Flow in the day: at-risk notional that the mark price swept, USD',
    liquidated_usd Float64 COMMENT 'Flow in the day: executed liquidations as the venue published them, USD',
    confidence Nullable(Float64) COMMENT 'Share of at_risk_usd expected to be real, 0 to 1; NULL where unknown'
)
AS SELECT
    symbol, venue, side, basis, leverage_band, window_start, price_low, price_high,
    at_risk_micro_usd / 1e6 AS at_risk_usd,
    at_risk_peak_micro_usd / 1e6 AS at_risk_peak_usd,
    opened_micro_usd / 1e6 AS opened_usd,
    closed_micro_usd / 1e6 AS closed_usd,
    swept_micro_usd / 1e6 AS swept_usd,
    liquidated_micro_usd / 1e6 AS liquidated_usd,
    if(isNaN(confidence), NULL, confidence) AS confidence
FROM {database}.heatmap_1d_raw FINAL
COMMENT 'The map by the day, for ranges of months.';
