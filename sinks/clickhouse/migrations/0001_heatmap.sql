-- The map itself: one row a price bucket and minute, absolute, so that the newest revision is the whole truth.
-- Ordered by symbol and time first: every reader asks for one symbol over a stretch of time.
CREATE TABLE IF NOT EXISTS {database}.heatmap_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    side LowCardinality(String) COMMENT 'Side of the positions at risk: long or short',
    basis LowCardinality(String) COMMENT 'How it is known: observed or inferred',
    leverage_band LowCardinality(String) COMMENT 'Leverage of the positions',
    window_start DateTime('UTC') COMMENT 'Start of the minute' CODEC(DoubleDelta, ZSTD(1)),
    price_low Float64 COMMENT 'Lower edge of the price bucket, inclusive, USD per coin' CODEC(ZSTD(1)),
    price_high Float64 COMMENT 'Upper edge of the price bucket, exclusive, USD per coin' CODEC(ZSTD(1)),
    at_risk_micro_usd Int64 COMMENT 'Level: notional liquidated if the mark price went there, micro-USD' CODEC(T64, ZSTD(1)),
    opened_micro_usd Int64 COMMENT 'Flow: notional opened in the minute, micro-USD' CODEC(T64, ZSTD(1)),
    closed_micro_usd Int64 COMMENT 'Flow: notional closed before liquidation, micro-USD' CODEC(T64, ZSTD(1)),
    swept_micro_usd Int64 COMMENT 'Flow: notional that the mark price swept, micro-USD' CODEC(T64, ZSTD(1)),
    liquidated_micro_usd Int64 COMMENT 'Flow: executed liquidations, micro-USD' CODEC(T64, ZSTD(1)),
    confidence Float64 COMMENT 'Share of at-risk notional expected to be real, NaN where unknown' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'Rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition of heatmap-buckets that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toMonday(window_start)
ORDER BY (symbol, window_start, venue, side, basis, leverage_band, price_low)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.heatmap {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin, VIRTUAL',
    venue LowCardinality(String) COMMENT 'Exchange: binance, bybit, okx, hyperliquid',
    side LowCardinality(String) COMMENT 'Side of the positions at risk: long (below the price) or short (above it)',
    basis LowCardinality(String) COMMENT 'How it is known: observed at the venue, or inferred from aggregates',
    leverage_band LowCardinality(String) COMMENT 'Leverage of the positions: 1-5x, 5-10x, 10-25x, 25-50x, 50x+',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC; the minute is half-open',
    price_low Float64 COMMENT 'Lower edge of the price bucket, inclusive, USD per coin',
    price_high Float64 COMMENT 'Upper edge of the price bucket, exclusive, USD per coin',
    at_risk_usd Float64 COMMENT 'Level at the end of the minute: notional liquidated if the mark price went there, USD',
    opened_usd Float64 COMMENT 'Flow in the minute: notional opened, USD',
    closed_usd Float64 COMMENT 'Flow in the minute: notional closed before liquidation, USD',
    swept_usd Float64 COMMENT 'Flow in the minute: at-risk notional that the mark price swept, USD',
    liquidated_usd Float64 COMMENT 'Flow in the minute: executed liquidations as the venue published them, USD',
    confidence Nullable(Float64) COMMENT 'Share of at_risk_usd expected to be real, 0 to 1; NULL where unknown'
)
AS SELECT
    symbol, venue, side, basis, leverage_band, window_start, price_low, price_high,
    at_risk_micro_usd / 1e6 AS at_risk_usd,
    opened_micro_usd / 1e6 AS opened_usd,
    closed_micro_usd / 1e6 AS closed_usd,
    swept_micro_usd / 1e6 AS swept_usd,
    liquidated_micro_usd / 1e6 AS liquidated_usd,
    if(isNaN(confidence), NULL, confidence) AS confidence
FROM {database}.heatmap_raw FINAL
COMMENT 'Liquidation heatmap, one row a price bucket and minute. Levels must not be summed over time.';
