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

ALTER TABLE {database}.clusters_raw {on_cluster}
    DROP COLUMN IF EXISTS share_binance, DROP COLUMN IF EXISTS share_bybit,
    DROP COLUMN IF EXISTS share_okx, DROP COLUMN IF EXISTS share_hyperliquid;
