-- Minutes say what is expected to be executed, with its interval, how the levels were scaled, and which model made them.
ALTER TABLE {database}.market_minutes_raw {on_cluster}
    ADD COLUMN IF NOT EXISTS expected_long_micro_usd Int64 COMMENT 'Longs expected to be executed over all buckets, micro-USD' CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS expected_short_micro_usd Int64 COMMENT 'Shorts expected to be executed over all buckets, micro-USD' CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS interval_low_long Float64 DEFAULT nan COMMENT 'Lower end of the interval of expected longs, times expected' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS interval_high_long Float64 DEFAULT nan COMMENT 'Upper end of the interval of expected longs, times expected' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS interval_low_short Float64 DEFAULT nan COMMENT 'Lower end of the interval of expected shorts, times expected' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS interval_high_short Float64 DEFAULT nan COMMENT 'Upper end of the interval of expected shorts, times expected' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS at_risk_scale_long Float64 DEFAULT nan COMMENT 'Factor that fits longs at risk to open interest' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS at_risk_scale_short Float64 DEFAULT nan COMMENT 'Factor that fits shorts at risk to open interest' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS expected_scale_long Float64 DEFAULT nan COMMENT 'Factor that fits expected to executed longs' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS expected_scale_short Float64 DEFAULT nan COMMENT 'Factor that fits expected to executed shorts' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS warming_up Bool DEFAULT false COMMENT 'Whether the market has too little past for its model',
    ADD COLUMN IF NOT EXISTS model_version UInt8 DEFAULT 1 COMMENT 'Version of the model that made the row' CODEC(ZSTD(1));

ALTER TABLE {database}.market_minutes_raw {on_cluster}
    DROP COLUMN IF EXISTS scale_long,
    DROP COLUMN IF EXISTS scale_short,
    DROP COLUMN IF EXISTS reach_share_long,
    DROP COLUMN IF EXISTS reach_share_short;

-- The model learns no mix of leverages any more.
DROP VIEW IF EXISTS {database}.leverage_mix {on_cluster};
DROP TABLE IF EXISTS {database}.leverage_mix_raw {on_cluster};
