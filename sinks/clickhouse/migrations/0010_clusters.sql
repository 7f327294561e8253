-- Dense price ranges with a lasting identity, over all venues of a symbol: one row a cluster and minute.
CREATE TABLE IF NOT EXISTS {database}.clusters_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Always all: it is about all venues',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC' CODEC(DoubleDelta, ZSTD(1)),
    cluster_id String COMMENT 'Identity, the same from birth to end and in every replay' CODEC(ZSTD(1)),
    side LowCardinality(String) COMMENT 'long (below the price) or short (above it)',
    state LowCardinality(String) COMMENT 'born, grown, shrunk, steady, swept or gone; the last two end it',
    price_low Float64 COMMENT 'Lower edge, USD per coin' CODEC(ZSTD(1)),
    price_high Float64 COMMENT 'Upper edge, USD per coin' CODEC(ZSTD(1)),
    nearer_edge Float64 COMMENT 'Edge that price meets first, USD per coin' CODEC(ZSTD(1)),
    peak_price Float64 COMMENT 'Middle of the densest bucket, USD per coin' CODEC(ZSTD(1)),
    at_risk_micro_usd Int64 COMMENT 'Notional that lies in it at the end of the minute, micro-USD' CODEC(T64, ZSTD(1)),
    peak_micro_usd Int64 COMMENT 'Notional of its heaviest bucket, micro-USD' CODEC(T64, ZSTD(1)),
    swept_micro_usd Int64 COMMENT 'Notional that price has swept of it since birth, micro-USD' CODEC(T64, ZSTD(1)),
    observed_share Float64 COMMENT 'Share of its notional that is observed, the rest is inferred, NaN where unknown' CODEC(ZSTD(1)),
    share_binance Float64 COMMENT 'Share of its notional on Binance, NaN where unknown' CODEC(ZSTD(1)),
    share_bybit Float64 COMMENT 'Share on Bybit, NaN where unknown' CODEC(ZSTD(1)),
    share_okx Float64 COMMENT 'Share on OKX, NaN where unknown' CODEC(ZSTD(1)),
    share_hyperliquid Float64 COMMENT 'Share on Hyperliquid, NaN where unknown' CODEC(ZSTD(1)),
    share_1_5x Float64 COMMENT 'Share at leverage 1 to 5, NaN where unknown' CODEC(ZSTD(1)),
    share_5_10x Float64 COMMENT 'Share at leverage 5 to 10, NaN where unknown' CODEC(ZSTD(1)),
    share_10_25x Float64 COMMENT 'Share at leverage 10 to 25, NaN where unknown' CODEC(ZSTD(1)),
    share_25_50x Float64 COMMENT 'Share at leverage 25 to 50, NaN where unknown' CODEC(ZSTD(1)),
    share_50x_up Float64 COMMENT 'Share at leverage 50 and more, NaN where unknown' CODEC(ZSTD(1)),
    confidence Float64 COMMENT 'Share of its notional expected to be real, NaN where unknown' CODEC(ZSTD(1)),
    percent_of_adv Float64 COMMENT 'Notional in % of the 24 h volume over all venues, NaN where unknown' CODEC(ZSTD(1)),
    distance Float64 COMMENT 'From the mark price to the nearer edge, in % of the mark; negative inside, NaN where unknown' CODEC(ZSTD(1)),
    round_number Float64 COMMENT 'Round-number price nearest to the peak, USD per coin' CODEC(ZSTD(1)),
    round_number_distance Float64 COMMENT 'From the cluster to that price, in %; 0 inside, NaN where unknown' CODEC(ZSTD(1)),
    born_time DateTime64(3, 'UTC') COMMENT 'Start of the minute in which it was born' CODEC(Delta, ZSTD(1)),
    age_minutes Int64 COMMENT 'Minutes since' CODEC(T64, ZSTD(1)),
    revision UInt64 COMMENT 'Rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toMonday(window_start)
ORDER BY (symbol, window_start, cluster_id)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.clusters {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC',
    cluster_id String COMMENT 'Identity, the same from birth to end and in every replay',
    side LowCardinality(String) COMMENT 'long (below the price) or short (above it)',
    state LowCardinality(String) COMMENT 'born, grown, shrunk, steady, swept or gone; the last two end it',
    price_low Float64 COMMENT 'Lower edge, USD per coin',
    price_high Float64 COMMENT 'Upper edge, USD per coin',
    nearer_edge Float64 COMMENT 'Edge that price meets first, USD per coin',
    peak_price Float64 COMMENT 'Middle of the densest bucket, USD per coin',
    at_risk_usd Float64 COMMENT 'Notional that lies in it at the end of the minute, USD',
    peak_usd Float64 COMMENT 'Notional of its heaviest bucket, USD',
    swept_usd Float64 COMMENT 'Notional that price has swept of it since birth, USD',
    observed_share Nullable(Float64) COMMENT 'Share of its notional that is observed, the rest is inferred; NULL where unknown',
    share_binance Nullable(Float64) COMMENT 'Share of its notional on Binance; NULL where unknown',
    share_bybit Nullable(Float64) COMMENT 'Share on Bybit; NULL where unknown',
    share_okx Nullable(Float64) COMMENT 'Share on OKX; NULL where unknown',
    share_hyperliquid Nullable(Float64) COMMENT 'Share on Hyperliquid; NULL where unknown',
    share_1_5x Nullable(Float64) COMMENT 'Share at leverage 1 to 5; NULL where unknown',
    share_5_10x Nullable(Float64) COMMENT 'Share at leverage 5 to 10; NULL where unknown',
    share_10_25x Nullable(Float64) COMMENT 'Share at leverage 10 to 25; NULL where unknown',
    share_25_50x Nullable(Float64) COMMENT 'Share at leverage 25 to 50; NULL where unknown',
    share_50x_up Nullable(Float64) COMMENT 'Share at leverage 50 and more; NULL where unknown',
    confidence Nullable(Float64) COMMENT 'Share of its notional expected to be real; NULL where unknown',
    percent_of_adv Nullable(Float64) COMMENT 'Notional in % of the 24 h volume over all venues; NULL where unknown',
    distance Nullable(Float64) COMMENT 'From the mark price to the nearer edge, in % of the mark; negative inside; NULL where unknown',
    round_number Float64 COMMENT 'Round-number price nearest to the peak, USD per coin',
    round_number_distance Nullable(Float64) COMMENT 'From the cluster to that price, in %; 0 inside; NULL where unknown',
    born_time DateTime64(3, 'UTC') COMMENT 'Start of the minute in which it was born',
    age_minutes Int64 COMMENT 'Minutes since'
)
AS SELECT
    symbol, window_start, cluster_id, side, state, price_low, price_high, nearer_edge, peak_price,
    at_risk_micro_usd / 1e6 AS at_risk_usd, peak_micro_usd / 1e6 AS peak_usd, swept_micro_usd / 1e6 AS swept_usd,
    if(isNaN(observed_share), NULL, observed_share) AS observed_share,
    if(isNaN(share_binance), NULL, share_binance) AS share_binance,
    if(isNaN(share_bybit), NULL, share_bybit) AS share_bybit, if(isNaN(share_okx), NULL, share_okx) AS share_okx,
    if(isNaN(share_hyperliquid), NULL, share_hyperliquid) AS share_hyperliquid,
    if(isNaN(share_1_5x), NULL, share_1_5x) AS share_1_5x, if(isNaN(share_5_10x), NULL, share_5_10x) AS share_5_10x,
    if(isNaN(share_10_25x), NULL, share_10_25x) AS share_10_25x,
    if(isNaN(share_25_50x), NULL, share_25_50x) AS share_25_50x,
    if(isNaN(share_50x_up), NULL, share_50x_up) AS share_50x_up,
    if(isNaN(confidence), NULL, confidence) AS confidence,
    if(isNaN(percent_of_adv), NULL, percent_of_adv) AS percent_of_adv,
    if(isNaN(distance), NULL, distance) AS distance, round_number,
    if(isNaN(round_number_distance), NULL, round_number_distance) AS round_number_distance, born_time, age_minutes
FROM {database}.clusters_raw FINAL
COMMENT 'Clusters of liquidations, one row a cluster and minute while it lives.';
