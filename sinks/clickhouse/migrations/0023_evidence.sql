-- What followed once price met large clusters, against like moments without one: what the sink judges by the hour out of
-- the stored minutes. One row per symbol, stage, measure and horizon; that of the latest hour wins.
CREATE TABLE IF NOT EXISTS {database}.evidence_raw {on_cluster}
(
    symbol LowCardinality(String) COMMENT 'Canonical symbol of the coin; all: every symbol together',
    stage LowCardinality(String) COMMENT 'How price met the cluster: neared, entered or swept',
    measure LowCardinality(String) COMMENT 'What followed: towards, volatility or executed',
    horizon_minutes UInt16 COMMENT 'Minutes over which was looked ahead',
    cases UInt32 COMMENT 'Moments of the stage that had like moments',
    unmatched UInt32 COMMENT 'Moments of the stage that had none',
    blocks UInt32 COMMENT 'Blocks of time with a case',
    block_hours UInt8 COMMENT 'Length of a block',
    is_enough Bool COMMENT 'Whether cases and blocks are enough to judge by',
    case_mean Float64 COMMENT 'Mean of the cases, NaN without any',
    control_mean Float64 COMMENT 'Mean of the like moments, NaN without any',
    difference Float64 COMMENT 'The first less the second, NaN without any',
    difference_low Float64 COMMENT 'Lower bound of the 95 % interval of the difference, NaN where unknown',
    difference_high Float64 COMMENT 'Upper bound, NaN where unknown',
    verdict LowCardinality(String) COMMENT 'attract, repel, nothing or too few cases: of the symbol as a whole',
    words String COMMENT 'The stage in plain words' CODEC(ZSTD(1)),
    percent_of_adv Float64 COMMENT 'Size from which clusters were counted, % of the 24 h volume',
    near_percent Float64 COMMENT 'Distance from which price was near one, %',
    symbols UInt32 COMMENT 'Symbols that were judged together',
    minutes UInt64 COMMENT 'Minutes of which the clusters were known, over these symbols',
    start_time DateTime('UTC') COMMENT 'Begin of the history that was judged',
    end_time DateTime('UTC') COMMENT 'Its end, a whole hour; the latest wins'
)
ENGINE = {replicated}ReplacingMergeTree(end_time)
ORDER BY (symbol, stage, measure, horizon_minutes)
SETTINGS index_granularity = 256;
