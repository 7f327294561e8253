-- Contracts and margin tiers as the venues last published them; small, and kept for ever.
CREATE TABLE IF NOT EXISTS {database}.contracts_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    event_time DateTime64(3, 'UTC') COMMENT 'When it was read; the newest wins',
    status LowCardinality(String) COMMENT 'The venue''s word for its state',
    tick_size Float64 COMMENT 'Smallest price step, NaN where unknown',
    quantity_step Float64 COMMENT 'Smallest quantity step, coins, NaN where unknown',
    contract_value Float64 COMMENT 'Coins a contract, NaN where unknown',
    funding_interval Int64 COMMENT 'ms between funding settlements, 0 where unknown',
    _partition UInt16 COMMENT 'Partition of position-events that the row came by',
    _offset Int64 COMMENT 'Offset in that partition'
)
ENGINE = {replicated}ReplacingMergeTree(event_time)
ORDER BY (symbol, venue, instrument);

CREATE OR REPLACE VIEW {database}.contracts {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    event_time DateTime64(3, 'UTC') COMMENT 'When it was last read',
    status LowCardinality(String) COMMENT 'The venue''s word for its state',
    tick_size Nullable(Float64) COMMENT 'Smallest price step, USD per coin',
    quantity_step Nullable(Float64) COMMENT 'Smallest quantity step, coins',
    contract_value Nullable(Float64) COMMENT 'Coins a contract',
    funding_interval_hours Nullable(Float64) COMMENT 'Hours between funding settlements; NULL where unknown'
)
AS SELECT
    symbol, venue, instrument, event_time, status,
    if(isNaN(tick_size), NULL, tick_size) AS tick_size,
    if(isNaN(quantity_step), NULL, quantity_step) AS quantity_step,
    if(isNaN(contract_value), NULL, contract_value) AS contract_value,
    if(funding_interval = 0, NULL, funding_interval / 3600000) AS funding_interval_hours
FROM {database}.contracts_raw FINAL
COMMENT 'Every known perpetual and its rules.';

CREATE TABLE IF NOT EXISTS {database}.margin_tiers_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    event_time DateTime64(3, 'UTC') COMMENT 'When it was read; the newest wins',
    tier UInt16 COMMENT 'Number of the tier, from 1',
    tiers UInt16 COMMENT 'How many tiers the table has',
    notional_floor Float64 COMMENT 'Position size from which it holds, USD',
    notional_cap Float64 COMMENT 'Position size up to which it holds, USD',
    maximum_leverage Float64 COMMENT 'Highest leverage, times',
    maintenance_margin_rate Float64 COMMENT 'Fraction of notional',
    maintenance_amount Float64 COMMENT 'Deduction, USD',
    _partition UInt16 COMMENT 'Partition of position-events that the row came by',
    _offset Int64 COMMENT 'Offset in that partition'
)
ENGINE = {replicated}ReplacingMergeTree(event_time)
ORDER BY (symbol, venue, instrument, tier);

-- A table that shrank leaves older rows with higher tier numbers behind: only rows of the newest reading count.
CREATE OR REPLACE VIEW {database}.margin_tiers {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    instrument LowCardinality(String) COMMENT 'The venue''s own name of the market',
    event_time DateTime64(3, 'UTC') COMMENT 'When the table was last read',
    tier UInt16 COMMENT 'Number of the tier, from 1',
    notional_floor Float64 COMMENT 'Position size from which it holds, USD',
    notional_cap Float64 COMMENT 'Position size up to which it holds, USD',
    maximum_leverage Float64 COMMENT 'Highest leverage, times',
    maintenance_margin_rate Float64 COMMENT 'Maintenance margin, fraction of notional',
    maintenance_amount Float64 COMMENT 'Deduction from the maintenance margin, USD'
)
AS SELECT
    symbol, venue, instrument, event_time, tier, notional_floor, notional_cap, maximum_leverage,
    maintenance_margin_rate, maintenance_amount
FROM
(
    SELECT *, max(event_time) OVER (PARTITION BY symbol, venue, instrument) AS newest
    FROM {database}.margin_tiers_raw FINAL
)
WHERE event_time = newest
COMMENT 'Margin-tier tables as last read: one row a tier.';
