-- What the map predicted, beside what was executed. Of two rows of one key the first one counts: `precedence` falls as
-- revisions rise, so that neither a replay nor a late correction rewrites the record.
CREATE TABLE IF NOT EXISTS {database}.track_record_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin',
    venue LowCardinality(String) COMMENT 'Exchange',
    window_start DateTime('UTC') COMMENT 'Begin of the stretch that is judged' CODEC(Delta, ZSTD(1)),
    horizon_hours Int64 COMMENT '0: one hour of the map as renewed each minute; else hours of the map frozen at the begin' CODEC(T64, ZSTD(1)),
    predicted_long_micro_usd Int64 COMMENT 'Expected longs in the way of the price' CODEC(T64, ZSTD(1)),
    predicted_short_micro_usd Int64 COMMENT 'Expected shorts in the way of the price' CODEC(T64, ZSTD(1)),
    executed_long_micro_usd Int64 COMMENT 'Executed liquidations of longs' CODEC(T64, ZSTD(1)),
    executed_short_micro_usd Int64 COMMENT 'Executed liquidations of shorts' CODEC(T64, ZSTD(1)),
    rival_long_micro_usd Int64 COMMENT 'What trailing liquidations per squared move predict of longs' CODEC(T64, ZSTD(1)),
    rival_short_micro_usd Int64 COMMENT 'What trailing liquidations per squared move predict of shorts' CODEC(T64, ZSTD(1)),
    move_down Float64 COMMENT 'Largest fall of the mark price from the begin, %' CODEC(ZSTD(1)),
    move_up Float64 COMMENT 'Largest rise of the mark price from the begin, %' CODEC(ZSTD(1)),
    place_score Float64 COMMENT 'Nats over a uniform density, NaN where nothing was executed' CODEC(ZSTD(1)),
    kernel_score Float64 COMMENT 'The same of a density of distance alone' CODEC(ZSTD(1)),
    place_weight Float64 COMMENT 'Weight of both scores in a mean' CODEC(ZSTD(1)),
    mark_price Float64 COMMENT 'Mark price at the begin, USD per coin' CODEC(ZSTD(1)),
    feed LowCardinality(String) COMMENT 'Liquidations that the venue publishes: whole, sampled or none',
    coverage Float64 COMMENT 'Share of the minutes in which the feed was read' CODEC(ZSTD(1)),
    warming_up Bool COMMENT 'Whether the market had too little past for its model',
    model_version UInt8 COMMENT 'Version of the model that predicted' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'Model version, then rows of the symbol''s log applied; the lowest wins' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(revision) COMMENT 'Falls as the revision rises' CODEC(Delta, ZSTD(1)),
    _partition UInt16 COMMENT 'Partition of track-record that the row came by' CODEC(ZSTD(1)),
    _offset Int64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(precedence)
PARTITION BY toStartOfMonth(window_start)
ORDER BY (symbol, venue, horizon_hours, model_version, window_start)
SETTINGS ttl_only_drop_parts = 1;
