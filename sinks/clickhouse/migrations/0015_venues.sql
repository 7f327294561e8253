-- Resting orders of the order books near mid, about every ten seconds.
CREATE TABLE IF NOT EXISTS {database}.depth_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The exchange''s own name of the market',
    event_time DateTime64(3, 'UTC') COMMENT 'When the book stood so, UTC' CODEC(Delta, ZSTD(1)),
    mid_price Float64 COMMENT 'Middle of best bid and best ask, USD per coin' CODEC(ZSTD(1)),
    best_bid Float64 COMMENT 'Highest bid, USD per coin' CODEC(ZSTD(1)),
    best_ask Float64 COMMENT 'Lowest ask, USD per coin' CODEC(ZSTD(1)),
    bid_reach Float64 COMMENT 'How far below mid bids were read, %; 100 where all were' CODEC(ZSTD(1)),
    ask_reach Float64 COMMENT 'How far above mid asks were read, %; 100 where all were' CODEC(ZSTD(1)),
    bid_0_1_usd Float64 COMMENT 'Bids within 0.1% of mid, USD; a lower bound beyond bid_reach' CODEC(ZSTD(1)),
    bid_0_25_usd Float64 COMMENT 'Bids within 0.25% of mid, USD; a lower bound beyond bid_reach' CODEC(ZSTD(1)),
    bid_0_5_usd Float64 COMMENT 'Bids within 0.5% of mid, USD; a lower bound beyond bid_reach' CODEC(ZSTD(1)),
    bid_1_usd Float64 COMMENT 'Bids within 1% of mid, USD; a lower bound beyond bid_reach' CODEC(ZSTD(1)),
    bid_2_usd Float64 COMMENT 'Bids within 2% of mid, USD; a lower bound beyond bid_reach' CODEC(ZSTD(1)),
    bid_5_usd Float64 COMMENT 'Bids within 5% of mid, USD; a lower bound beyond bid_reach' CODEC(ZSTD(1)),
    bid_10_usd Float64 COMMENT 'Bids within 10% of mid, USD; a lower bound beyond bid_reach' CODEC(ZSTD(1)),
    ask_0_1_usd Float64 COMMENT 'Asks within 0.1% of mid, USD; a lower bound beyond ask_reach' CODEC(ZSTD(1)),
    ask_0_25_usd Float64 COMMENT 'Asks within 0.25% of mid, USD; a lower bound beyond ask_reach' CODEC(ZSTD(1)),
    ask_0_5_usd Float64 COMMENT 'Asks within 0.5% of mid, USD; a lower bound beyond ask_reach' CODEC(ZSTD(1)),
    ask_1_usd Float64 COMMENT 'Asks within 1% of mid, USD; a lower bound beyond ask_reach' CODEC(ZSTD(1)),
    ask_2_usd Float64 COMMENT 'Asks within 2% of mid, USD; a lower bound beyond ask_reach' CODEC(ZSTD(1)),
    ask_5_usd Float64 COMMENT 'Asks within 5% of mid, USD; a lower bound beyond ask_reach' CODEC(ZSTD(1)),
    ask_10_usd Float64 COMMENT 'Asks within 10% of mid, USD; a lower bound beyond ask_reach' CODEC(ZSTD(1)),
    _partition UInt16 COMMENT 'Partition of position-events that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree()
PARTITION BY toMonday(event_time)
ORDER BY (symbol, event_time, venue, instrument)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.depth {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The exchange''s own name of the market',
    event_time DateTime64(3, 'UTC') COMMENT 'When the book stood so, UTC',
    mid_price Float64 COMMENT 'Middle of best bid and best ask, USD per coin',
    best_bid Float64 COMMENT 'Highest bid, USD per coin',
    best_ask Float64 COMMENT 'Lowest ask, USD per coin',
    bid_reach Float64 COMMENT 'How far below mid bids were read, %; 100 where all were',
    ask_reach Float64 COMMENT 'How far above mid asks were read, %; 100 where all were',
    bid_0_1_usd Float64 COMMENT 'Bids within 0.1% of mid, USD; a lower bound beyond bid_reach',
    bid_0_25_usd Float64 COMMENT 'Bids within 0.25% of mid, USD; a lower bound beyond bid_reach',
    bid_0_5_usd Float64 COMMENT 'Bids within 0.5% of mid, USD; a lower bound beyond bid_reach',
    bid_1_usd Float64 COMMENT 'Bids within 1% of mid, USD; a lower bound beyond bid_reach',
    bid_2_usd Float64 COMMENT 'Bids within 2% of mid, USD; a lower bound beyond bid_reach',
    bid_5_usd Float64 COMMENT 'Bids within 5% of mid, USD; a lower bound beyond bid_reach',
    bid_10_usd Float64 COMMENT 'Bids within 10% of mid, USD; a lower bound beyond bid_reach',
    ask_0_1_usd Float64 COMMENT 'Asks within 0.1% of mid, USD; a lower bound beyond ask_reach',
    ask_0_25_usd Float64 COMMENT 'Asks within 0.25% of mid, USD; a lower bound beyond ask_reach',
    ask_0_5_usd Float64 COMMENT 'Asks within 0.5% of mid, USD; a lower bound beyond ask_reach',
    ask_1_usd Float64 COMMENT 'Asks within 1% of mid, USD; a lower bound beyond ask_reach',
    ask_2_usd Float64 COMMENT 'Asks within 2% of mid, USD; a lower bound beyond ask_reach',
    ask_5_usd Float64 COMMENT 'Asks within 5% of mid, USD; a lower bound beyond ask_reach',
    ask_10_usd Float64 COMMENT 'Asks within 10% of mid, USD; a lower bound beyond ask_reach'
)
AS SELECT
    symbol, venue, instrument, event_time, mid_price, best_bid, best_ask, bid_reach, ask_reach,
    bid_0_1_usd, bid_0_25_usd, bid_0_5_usd, bid_1_usd, bid_2_usd, bid_5_usd, bid_10_usd,
    ask_0_1_usd, ask_0_25_usd, ask_0_5_usd, ask_1_usd, ask_2_usd, ask_5_usd, ask_10_usd
FROM {database}.depth_raw FINAL
COMMENT 'Resting orders near mid, one row per reading of an order book.';

-- What each venue holds of a cluster: rows, so that a venue more is no column more.
CREATE TABLE IF NOT EXISTS {database}.cluster_shares_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC' CODEC(DoubleDelta, ZSTD(1)),
    cluster_id String COMMENT 'Identity of the cluster' CODEC(ZSTD(1)),
    side LowCardinality(String) COMMENT 'long (below the price) or short (above it)',
    at_risk_micro_usd Int64 COMMENT 'Notional of the cluster on this exchange, micro-USD' CODEC(T64, ZSTD(1)),
    share Float64 COMMENT 'Share of the cluster''s notional, of 1' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'Rows of the symbol''s log applied; the highest wins' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toMonday(window_start)
ORDER BY (symbol, window_start, cluster_id, venue)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.cluster_shares {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange; one that holds nothing of the cluster has no row',
    window_start DateTime('UTC') COMMENT 'Start of the minute, UTC',
    cluster_id String COMMENT 'Identity of the cluster, as in the view clusters',
    side LowCardinality(String) COMMENT 'long (below the price) or short (above it)',
    at_risk_usd Float64 COMMENT 'Notional of the cluster on this exchange, USD',
    share Float64 COMMENT 'Share of the cluster''s notional, of 1'
)
AS SELECT symbol, venue, window_start, cluster_id, side, at_risk_micro_usd / 1e6 AS at_risk_usd, share
FROM {database}.cluster_shares_raw FINAL
COMMENT 'What each exchange holds of a cluster, one row per cluster, minute and exchange.';

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
    if(isNaN(share_1_5x), NULL, share_1_5x) AS share_1_5x, if(isNaN(share_5_10x), NULL, share_5_10x) AS share_5_10x,
    if(isNaN(share_10_25x), NULL, share_10_25x) AS share_10_25x,
    if(isNaN(share_25_50x), NULL, share_25_50x) AS share_25_50x,
    if(isNaN(share_50x_up), NULL, share_50x_up) AS share_50x_up,
    if(isNaN(confidence), NULL, confidence) AS confidence,
    if(isNaN(percent_of_adv), NULL, percent_of_adv) AS percent_of_adv,
    if(isNaN(distance), NULL, distance) AS distance, round_number,
    if(isNaN(round_number_distance), NULL, round_number_distance) AS round_number_distance, born_time, age_minutes
FROM {database}.clusters_raw FINAL
COMMENT 'Clusters of liquidations, one row per cluster and minute while it lives.';

ALTER TABLE {database}.clusters_raw {on_cluster}
    DROP COLUMN IF EXISTS share_binance, DROP COLUMN IF EXISTS share_bybit,
    DROP COLUMN IF EXISTS share_okx, DROP COLUMN IF EXISTS share_hyperliquid;
