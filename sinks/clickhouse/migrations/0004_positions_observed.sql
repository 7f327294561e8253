-- Observed positions (Hyperliquid): absolute, so the newest row of an account is its position.
CREATE TABLE IF NOT EXISTS {database}.positions_observed_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    account String COMMENT 'Public account address' CODEC(ZSTD(1)),
    event_time DateTime64(3, 'UTC') COMMENT 'When it was so' CODEC(Delta, ZSTD(1)),
    side LowCardinality(String) COMMENT 'long or short',
    quantity Float64 COMMENT 'Coins; 0 ends the position' CODEC(ZSTD(1)),
    entry_price Float64 COMMENT 'USD per coin, NaN where unknown' CODEC(ZSTD(1)),
    leverage Float64 COMMENT 'Times, NaN where unknown' CODEC(ZSTD(1)),
    is_cross Bool COMMENT 'Cross margin, else isolated',
    liquidation_price Float64 COMMENT 'The venue''s own, NaN where there is none' CODEC(ZSTD(1)),
    margin Float64 COMMENT 'USD, NaN where unknown' CODEC(ZSTD(1)),
    account_value Float64 COMMENT 'USD, NaN where unknown' CODEC(ZSTD(1)),
    _partition UInt16 COMMENT 'Partition of position-events that the row came by' CODEC(T64, ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition; of two rows of one time the later wins' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(_offset)
PARTITION BY toMonday(event_time)
ORDER BY (symbol, venue, account, event_time)
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW {database}.positions_observed_history {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    account String COMMENT 'Public account address',
    event_time DateTime64(3, 'UTC') COMMENT 'When it was so',
    side LowCardinality(String) COMMENT 'long or short',
    quantity Float64 COMMENT 'Coins; 0 says that the position ended',
    entry_price Nullable(Float64) COMMENT 'USD per coin',
    leverage Nullable(Float64) COMMENT 'Times',
    is_cross Bool COMMENT 'Cross margin, else isolated',
    liquidation_price Nullable(Float64) COMMENT 'The venue''s own liquidation price; NULL where it gives none',
    margin Nullable(Float64) COMMENT 'Margin held for the position, USD',
    account_value Nullable(Float64) COMMENT 'Account value, USD'
)
AS SELECT
    symbol, venue, instrument, account, event_time, side, quantity,
    if(isNaN(entry_price), NULL, entry_price) AS entry_price,
    if(isNaN(leverage), NULL, leverage) AS leverage,
    is_cross,
    if(isNaN(liquidation_price), NULL, liquidation_price) AS liquidation_price,
    if(isNaN(margin), NULL, margin) AS margin,
    if(isNaN(account_value), NULL, account_value) AS account_value
FROM {database}.positions_observed_raw FINAL
COMMENT 'Every observation of a public position, absolute, ends included.';

CREATE OR REPLACE VIEW {database}.positions_observed {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    account String COMMENT 'Public account address',
    event_time DateTime64(3, 'UTC') COMMENT 'When it was last observed',
    side LowCardinality(String) COMMENT 'long or short',
    quantity Float64 COMMENT 'Coins, above 0',
    entry_price Nullable(Float64) COMMENT 'USD per coin',
    leverage Nullable(Float64) COMMENT 'Times',
    is_cross Bool COMMENT 'Cross margin, else isolated',
    liquidation_price Nullable(Float64) COMMENT 'The venue''s own liquidation price; NULL where it gives none',
    margin Nullable(Float64) COMMENT 'Margin held for the position, USD',
    account_value Nullable(Float64) COMMENT 'Account value, USD'
)
AS SELECT
    symbol, venue, instrument, account, event_time, side, quantity, entry_price, leverage, is_cross,
    liquidation_price, margin, account_value
FROM
(
    SELECT * FROM {database}.positions_observed_history
    ORDER BY symbol, venue, account, event_time DESC
    LIMIT 1 BY symbol, venue, account
)
WHERE quantity > 0
COMMENT 'Public positions as last observed, one row an account and market; ended ones are left out.';
