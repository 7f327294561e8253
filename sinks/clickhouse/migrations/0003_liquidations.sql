-- Executed liquidations. The key is what the venue said, so history read twice is stored once; `occurrence` keeps
-- two truly equal liquidations of one message apart.
CREATE TABLE IF NOT EXISTS {database}.liquidations_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    event_time DateTime64(3, 'UTC') COMMENT 'When the venue says it happened' CODEC(Delta, ZSTD(1)),
    side LowCardinality(String) COMMENT 'Side of the position that died: long or short',
    price Float64 COMMENT 'Average fill, else bankruptcy price, USD per coin' CODEC(ZSTD(1)),
    quantity Float64 COMMENT 'Coins' CODEC(ZSTD(1)),
    bankruptcy_price Float64 COMMENT 'Bankruptcy price, NaN where unknown' CODEC(ZSTD(1)),
    occurrence UInt32 COMMENT 'Number among equal rows of one message' CODEC(T64, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition of position-events that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toStartOfMonth(event_time)
ORDER BY (symbol, event_time, venue, side, price, quantity, occurrence)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.liquidations {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    event_time DateTime64(3, 'UTC') COMMENT 'When the venue says it happened',
    side LowCardinality(String) COMMENT 'Side of the position that died: long or short',
    price Float64 COMMENT 'Average fill price where the venue gives it, else its bankruptcy price, USD per coin',
    quantity Float64 COMMENT 'Coins',
    notional_usd Float64 COMMENT 'price x quantity, USD',
    bankruptcy_price Nullable(Float64) COMMENT 'Bankruptcy price, USD per coin; NULL where the venue publishes none'
)
AS SELECT
    symbol, venue, instrument, event_time, side, price, quantity,
    price * quantity AS notional_usd,
    if(isNaN(bankruptcy_price), NULL, bankruptcy_price) AS bankruptcy_price
FROM {database}.liquidations_raw FINAL
COMMENT 'Executed liquidations as the venues publish them: Binance and OKX at most about one a second and market.';
