-- The last minute of each market in each hour: what is current, and what was a day ago, without reading every minute of
-- every market. Of two rows of one hour the later minute wins, and of one minute the higher revision.
CREATE TABLE IF NOT EXISTS {database}.market_hours_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    hour DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    window_start DateTime('UTC') COMMENT 'Start of the market''s last minute in it' CODEC(Delta, ZSTD(1)),
    mark_close Float64 COMMENT 'Last mark price, USD per coin, NaN where unknown' CODEC(ZSTD(1)),
    open_interest_usd Float64 COMMENT 'Open interest at the mark price, USD' CODEC(ZSTD(1)),
    turnover_24h_usd Float64 COMMENT 'Quote volume of 24 hours, USD' CODEC(ZSTD(1)),
    warming_up Bool COMMENT 'Whether the market has too little past for its model',
    model_version UInt8 COMMENT 'Version of the model that made the row' CODEC(ZSTD(1)),
    version UInt128 COMMENT 'Start of the minute, then its revision' CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toMonday(hour)
ORDER BY (hour, symbol, venue)
SETTINGS ttl_only_drop_parts = 1;

INSERT INTO {database}.market_hours_raw
SELECT symbol, venue, toStartOfHour(window_start) AS hour,
    max(minute.window_start), argMax(mark_close, bitShiftLeft(toUInt128(toUnixTimestamp(minute.window_start)), 64) + revision),
    argMax(open_interest_usd, bitShiftLeft(toUInt128(toUnixTimestamp(minute.window_start)), 64) + revision),
    argMax(turnover_24h_usd, bitShiftLeft(toUInt128(toUnixTimestamp(minute.window_start)), 64) + revision), false, 1,
    max(bitShiftLeft(toUInt128(toUnixTimestamp(minute.window_start)), 64) + revision)
FROM {database}.market_minutes_raw AS minute
GROUP BY symbol, venue, hour;
