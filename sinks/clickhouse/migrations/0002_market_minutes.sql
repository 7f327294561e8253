-- What each venue's market did in a minute, and how well the estimate fits it.
CREATE TABLE IF NOT EXISTS {database}.market_minutes_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Start of the minute' CODEC(DoubleDelta, ZSTD(1)),
    mark_open Float64 COMMENT 'First mark price, USD per coin, NaN where unknown' CODEC(ZSTD(1)),
    mark_high Float64 COMMENT 'Highest mark price' CODEC(ZSTD(1)),
    mark_low Float64 COMMENT 'Lowest mark price' CODEC(ZSTD(1)),
    mark_close Float64 COMMENT 'Last mark price' CODEC(ZSTD(1)),
    index_price Float64 COMMENT 'Last index price' CODEC(ZSTD(1)),
    funding_rate Float64 COMMENT 'Funding rate of the running interval, fraction' CODEC(ZSTD(1)),
    next_funding_time DateTime64(3, 'UTC') COMMENT 'Next settlement, 1970 where unknown' CODEC(Delta, ZSTD(1)),
    open_interest Float64 COMMENT 'Open interest, one-sided, coins' CODEC(ZSTD(1)),
    open_interest_usd Float64 COMMENT 'Open interest at the mark price, USD' CODEC(ZSTD(1)),
    turnover_24h_usd Float64 COMMENT 'Quote volume of 24 hours, USD' CODEC(ZSTD(1)),
    taker_buy_micro_usd Int64 COMMENT 'Taker buys, micro-USD' CODEC(T64, ZSTD(1)),
    taker_sell_micro_usd Int64 COMMENT 'Taker sells, micro-USD' CODEC(T64, ZSTD(1)),
    liquidated_long_micro_usd Int64 COMMENT 'Executed long liquidations, micro-USD' CODEC(T64, ZSTD(1)),
    liquidated_short_micro_usd Int64 COMMENT 'Executed short liquidations, micro-USD' CODEC(T64, ZSTD(1)),
    at_risk_long_micro_usd Int64 COMMENT 'Longs at risk over all buckets, micro-USD' CODEC(T64, ZSTD(1)),
    at_risk_short_micro_usd Int64 COMMENT 'Shorts at risk over all buckets, micro-USD' CODEC(T64, ZSTD(1)),
    scale_long Float64 COMMENT 'Factor that held longs to open interest' CODEC(ZSTD(1)),
    scale_short Float64 COMMENT 'Factor that held shorts to open interest' CODEC(ZSTD(1)),
    reach_share_long Float64 COMMENT 'Estimated share of long open interest within reach' CODEC(ZSTD(1)),
    reach_share_short Float64 COMMENT 'Estimated share of short open interest within reach' CODEC(ZSTD(1)),
    coverage Float64 COMMENT 'Observed notional over open interest' CODEC(ZSTD(1)),
    late_rows Int64 COMMENT 'Rows that came after their minute closed' CODEC(T64, ZSTD(1)),
    revision UInt64 COMMENT 'Rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition of market-minutes that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toMonday(window_start)
ORDER BY (symbol, window_start, venue)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.market_minutes {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC; the minute is half-open',
    mark_open Nullable(Float64) COMMENT 'First mark price of the minute, USD per coin; NULL where there was none',
    mark_high Nullable(Float64) COMMENT 'Highest mark price, USD per coin',
    mark_low Nullable(Float64) COMMENT 'Lowest mark price, USD per coin',
    mark_close Nullable(Float64) COMMENT 'Last mark price, USD per coin',
    index_price Nullable(Float64) COMMENT 'Last index price, USD per coin; NULL where the venue publishes none',
    funding_rate Nullable(Float64) COMMENT 'Funding rate of the running interval, fraction; above 0 longs pay',
    next_funding_time Nullable(DateTime64(3, 'UTC')) COMMENT 'Next funding settlement; NULL where unknown',
    open_interest Nullable(Float64) COMMENT 'Open interest, one-sided, coins',
    open_interest_usd Nullable(Float64) COMMENT 'Open interest at the mark price, USD',
    turnover_24h_usd Nullable(Float64) COMMENT 'Quote volume of the last 24 hours, USD: the day volume that sizes are judged by',
    taker_buy_usd Float64 COMMENT 'Taker buys in the minute, USD',
    taker_sell_usd Float64 COMMENT 'Taker sells in the minute, USD',
    liquidated_long_usd Float64 COMMENT 'Executed liquidations of longs in the minute, USD',
    liquidated_short_usd Float64 COMMENT 'Executed liquidations of shorts in the minute, USD',
    at_risk_long_usd Float64 COMMENT 'Longs at risk at the end of the minute, over all buckets, USD',
    at_risk_short_usd Float64 COMMENT 'Shorts at risk at the end of the minute, over all buckets, USD',
    scale_long Nullable(Float64) COMMENT 'Factor that held the longs to open interest; 1 means it fitted',
    scale_short Nullable(Float64) COMMENT 'Factor that held the shorts to open interest',
    reach_share_long Nullable(Float64) COMMENT 'Estimated share of long open interest that is within reach of liquidation: at risk over open interest',
    reach_share_short Nullable(Float64) COMMENT 'Estimated share of short open interest that is within reach of liquidation: at risk over open interest',
    coverage Nullable(Float64) COMMENT 'Observed notional over open interest; NULL or 0 where nothing is observed',
    late_rows Int64 COMMENT 'Rows that came after their minute had closed'
)
AS SELECT
    symbol, venue, window_start,
    if(isNaN(mark_open), NULL, mark_open) AS mark_open,
    if(isNaN(mark_high), NULL, mark_high) AS mark_high,
    if(isNaN(mark_low), NULL, mark_low) AS mark_low,
    if(isNaN(mark_close), NULL, mark_close) AS mark_close,
    if(isNaN(index_price), NULL, index_price) AS index_price,
    if(isNaN(funding_rate), NULL, funding_rate) AS funding_rate,
    if(toUnixTimestamp64Milli(next_funding_time) = 0, NULL, next_funding_time) AS next_funding_time,
    if(isNaN(open_interest), NULL, open_interest) AS open_interest,
    if(isNaN(open_interest_usd), NULL, open_interest_usd) AS open_interest_usd,
    if(isNaN(turnover_24h_usd), NULL, turnover_24h_usd) AS turnover_24h_usd,
    taker_buy_micro_usd / 1e6 AS taker_buy_usd,
    taker_sell_micro_usd / 1e6 AS taker_sell_usd,
    liquidated_long_micro_usd / 1e6 AS liquidated_long_usd,
    liquidated_short_micro_usd / 1e6 AS liquidated_short_usd,
    at_risk_long_micro_usd / 1e6 AS at_risk_long_usd,
    at_risk_short_micro_usd / 1e6 AS at_risk_short_usd,
    if(isNaN(scale_long), NULL, scale_long) AS scale_long,
    if(isNaN(scale_short), NULL, scale_short) AS scale_short,
    if(isNaN(reach_share_long), NULL, reach_share_long) AS reach_share_long,
    if(isNaN(reach_share_short), NULL, reach_share_short) AS reach_share_short,
    if(isNaN(coverage), NULL, coverage) AS coverage,
    late_rows
FROM {database}.market_minutes_raw FINAL
COMMENT 'Price, funding, open interest, flow and fit of each venue''s market, one row a minute.';
